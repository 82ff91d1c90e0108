"""第 11 课  导出：变成一个标准的 Hugging Face 模型文件夹

教什么：params/best.pth 只有我们自己的代码会读。换成 transformers 的标准格式
BertForSequenceClassification 加分词器和模型卡，任何人一行 pipeline 就能用，也能传到 Hub 上；
再多存一份 ONNX，没有 Python、没有 PyTorch 的地方（C#、Java、浏览器）也能用。

怎么运行：先训练（train.py），再
    python demo02_sentiment/11_export.py
    python demo02_sentiment/11_export.py --out 我的模型
    python demo02_sentiment/11_export.py --onnx    多一份 onnx/model.onnx，要先装两个可选的包：
                                                python -m pip install onnxruntime onnxscript

会看到：
    ── 1. 读回训练好的模型，考一次测试集
    验证精度 0.8625，测试精度 0.8217
    ── 2. 换成标准的结构
    BertForSequenceClassification，id2label {0: '负向', 1: '正向'}
    ── 3. 存成标准的文件夹
    README.md  …
    config.json  …
    model.safetensors  …
    tokenizer.json  …
    tokenizer_config.json  …
    ── 4. 自检：用别人的办法读回来
    自检：64 条测试评论，pipeline 和 08_predict.py 的概率最大相差 1.4e-06
    导出到 …/params/review-sentiment-zh，用法：
        pipeline("text-classification", "…/params/review-sentiment-zh", truncation=True)
    ── 5. 传到 Hub 上
    要先注册；换成你的用户名和模型名：
        hf auth login
        hf upload 你的用户名/模型名 "…/params/review-sentiment-zh"

    下一步：python demo02_sentiment/12_label_curve.py
加上 --onnx，自检多一行，说 onnxruntime 和 08_predict.py 差多少。它的图里没有分词器：别的语言要自己
把文字变成 input_ids；09_serve.py --onnx 也用它。
重新训练了就重新导出；不写 --onnx 再导出一次，旧的 onnx/ 也一起换掉，就没有了。

看什么：打开导出的 config.json 找 id2label，再打开 README.md（模型卡）看最前面的 YAML，
Hub 的网页就是按它显示任务、语言和成绩的。
"""

import copy
import sys

import numpy as np
import torch
from huggingface_hub import ModelCard
from tqdm import tqdm
from transformers import BertForSequenceClassification, pipeline
from transformers.utils import logging

from backstage.classifier import SentimentClassifier
from backstage.exportable import check_out, exportable_fc
from backstage.model_card import write_card
from backstage.onnx_model import write_onnx
from course.cli import run, step
from course.files import atomic_write
from net import DEVICE

NAME = "review-sentiment-zh"  # 导出的文件夹叫什么，在权重旁边
ONNX = "onnx/model.onnx"  # 别人的工具（optimum、transformers.js）都到这个位置找它
CHECKED = 64  # 自检用多少条评论
TOLERANCE = 1e-5  # 概率最多差多少，多了就是导出错了

# 为什么要 SCALE（第一遍可以跳过）
#
# 标准的 BertForSequenceClassification 在 [CLS] 和分类头之间多一层 pooler，tanh(Wx + b)，我们没有。
# 要让它等于不存在：W = SCALE × 单位矩阵、b = 0，把特征缩得很小；分类头再除以 SCALE，放大回来。
# tanh 在 0 附近就是一条斜率为 1 的直线，SCALE 很小时 tanh(SCALE·x) 就是 SCALE·x，乘除 2 的整数次幂
# 又没有舍入误差。200 条评论上实测，fp32 的概率最大差：2^-8 时 1.4e-5，2^-12 时 1.2e-7，2^-14 时
# 一位不差；再小，转成 fp16 用的人就要溢出了
SCALE = 2.0**-14


def to_standard(classifier: SentimentClassifier, fc) -> BertForSequenceClassification:
    """我们的 encoder + fc → 概率相同的 BertForSequenceClassification，在 CPU 上"""
    encoder = classifier.model.encoder
    config = copy.deepcopy(encoder.config)
    config.id2label = dict(enumerate(classifier.labels))
    config.label2id = {label: i for i, label in enumerate(classifier.labels)}
    model = BertForSequenceClassification(config)
    state = {f"bert.{name}": tensor for name, tensor in encoder.state_dict().items()}
    state |= {
        "bert.pooler.dense.weight": SCALE * torch.eye(config.hidden_size),
        "bert.pooler.dense.bias": torch.zeros(config.hidden_size),
        "classifier.weight": fc.weight / SCALE,
        "classifier.bias": torch.zeros(len(fc.weight)) if fc.bias is None else fc.bias,
    }
    model.load_state_dict(state)  # 名字要一个不多一个不少，少了会报 Missing key(s) in state_dict
    return model


def compare(reader: str, theirs: np.ndarray, ours: np.ndarray) -> None:
    """打印两份概率 (N, 类别数) 最大差多少；差得太多，导出的就不能用"""
    difference = np.abs(theirs - ours).max()
    print(
        f"自检：{len(ours)} 条测试评论，{reader} 和 08_predict.py 的概率最大相差 {difference:.1e}"
    )
    if not difference <= TOLERANCE:  # nan 也算差得太多
        sys.exit(
            f"\n出错了：相差超过了 {TOLERANCE:g}，导出的模型不能用"
            "\n下一步：python -m pip install -r requirements.txt，再运行一次"
        )


def main(args) -> None:
    if args.onnx:
        import onnxruntime  # 可选的包，没有装的话现在就说
        import onnxscript  # noqa: F401  写 ONNX 时 torch 要用它
    logging.set_verbosity_error()  # 读写模型时，不要库的英文提示和进度条
    logging.disable_progress_bar()
    out = (args.out or args.weights.parent / NAME).resolve()
    check_out(out)  # 会盖掉旧的导出，别的文件夹不盖

    step("1. 读回训练好的模型，考一次测试集")
    #    模型卡要写成绩；07_evaluate.py 算过的特征，这里直接用
    #    导出的用 fp32 算，所以这里也用 fp32（exact），不管训练时用没用 int8
    classifier = SentimentClassifier(args.weights, args.labels, exact=True)
    fc = exportable_fc(classifier)
    sizes = [len(classifier.learned(split)) for split in ("train", "validation", "test")]
    exam = classifier.exam("test")
    if classifier.approximate:
        print("注意：这份权重是在 int8 的特征上学的，导出的用 fp32 算，所以下面都用 fp32 比")
    print(f"验证精度 {classifier.record['validation_accuracy']:.4f}，测试精度 {exam.accuracy:.4f}")

    step("2. 换成标准的结构")
    #    BERT 的权重改个名字搬过去，fc 变成 classifier。id2label 写进 config.json：
    #    别人看到的是"正向"，不是 LABEL_1
    model = to_standard(classifier, fc)
    print(f"{type(model).__name__}，id2label {model.config.id2label}")

    step("3. 存成标准的文件夹")
    #    save_pretrained 存什么，from_pretrained 就读什么；先写在临时的文件夹里，写完再换上正式名字
    tokenizer = classifier.tokenizer
    for key in ("local_files_only", "is_local"):  # 我们怎么读到它的，不关别人的事
        tokenizer.init_kwargs.pop(key, None)
    card = ModelCard(write_card(classifier, out.name, sizes, exam.accuracy))
    with atomic_write(out) as temporary:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)  # 连最多读多少 token 也记在里面
        card.save(temporary / "README.md")
        if args.onnx:  # 同一个模型，再存成 ONNX：一张算式的图加上权重
            write_onnx(model, tokenizer, temporary / ONNX)
        for path in temporary.rglob("*"):  # 权重存成了只有自己能读，别人、网页服务器也要读
            path.chmod(0o755 if path.is_dir() else 0o644)
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        print(f"{path.relative_to(out).as_posix()}  {path.stat().st_size / 1000:,.0f} KB")

    step("4. 自检：用别人的办法读回来")
    texts, ours = exam.texts[:CHECKED], exam.probabilities[:CHECKED]
    classify = pipeline("text-classification", str(out), device=DEVICE)
    rows = [
        {one["label"]: one["score"] for one in classify(text, top_k=None, truncation=True)}
        for text in tqdm(texts, desc="自检", unit="条")
    ]
    compare("pipeline", np.array([[row[name] for name in classifier.labels] for row in rows]), ours)
    if args.onnx:
        #    没有 PyTorch 的地方就这样用：读文件，喂 input_ids 等三样，拿回 logits
        session = onnxruntime.InferenceSession(str(out / ONNX), providers=["CPUExecutionProvider"])
        batch = tokenizer(texts, padding=True, truncation=True, return_tensors="np")
        (logits,) = session.run(["logits"], dict(batch))
        compare("onnxruntime", torch.from_numpy(logits).softmax(dim=1).numpy(), ours)
    path = out.as_posix()  # Windows 也认正斜杠；反斜杠写进 Python 的引号里就错了
    print(f'导出到 {out}，用法：\n    pipeline("text-classification", "{path}", truncation=True)')

    step("5. 传到 Hub 上")
    #    两行；不传也能用：07_local_api.py 换上它，就是一个会判断的 API
    #    在代码里传也行：model.push_to_hub("你的用户名/模型名")，tokenizer、模型卡也有 push_to_hub；
    #    文件夹已经有了，传文件夹最省事。国内传到魔搭：modelscope login，modelscope upload，参数一样
    print("要先注册；换成你的用户名和模型名：")
    print(f'    hf auth login\n    hf upload 你的用户名/模型名 "{path}"')

    # 小结：标准格式 = config.json（结构和标签名）+ 权重 + 分词器 + 模型卡，谁拿到都会用
    # 练习：运行 07_local_api.py --bert 导出的文件夹，再用 01_api_anonymous.py 的办法问它一句
    # 动手：python exercises/check.py demo02/11


if __name__ == "__main__":
    then = "demo02_sentiment/12_label_curve.py"
    run(main, "weights", "labels", "out", onnx=False, then=then)
