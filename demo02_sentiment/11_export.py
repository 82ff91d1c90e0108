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
    自检：64 条测试评论，pipeline 和 08_predict.py 的概率最大相差 1.4e-06
    验证精度 0.8625，测试精度 0.8217
    导出到 …/params/review-sentiment-zh，用法：
        pipeline("text-classification", "…/params/review-sentiment-zh", truncation=True)
    传到 Hub（要先注册；换成你的用户名和模型名）：
        hf auth login
        hf upload 你的用户名/模型名 "…/params/review-sentiment-zh"
加上 --onnx，自检多一行，说 onnxruntime 和 08_predict.py 差多少。它的图里没有分词器：别的语言要自己
把文字变成 input_ids；09_serve.py --onnx 也用它。
重新训练了就重新导出；不写 --onnx 再导出一次，旧的 onnx/ 也一起换掉，就没有了。

看什么：打开导出的 config.json 找 id2label，再打开 README.md（模型卡）看最前面的 YAML，
Hub 的网页就是按它显示任务、语言和成绩的。
"""

import copy
from pathlib import Path

import numpy as np
import torch
from huggingface_hub import ModelCard
from torch import nn
from tqdm import tqdm
from transformers import BertForSequenceClassification, BertModel, pipeline

from backstage import onnx_model
from backstage.checkpoint import retrain
from backstage.classifier import (
    EXPORTED,
    TOLERANCE,
    SentimentClassifier,
    add_weights_arguments,
)
from backstage.model_card import write_card
from backstage.onnx_model import OnnxModel, write_onnx
from course.cli import Parser, require, run
from course.errors import CourseError
from course.files import atomic_write
from course.models import quiet
from net import DEVICE

# 标准的 BertForSequenceClassification 在 [CLS] 和分类头之间多一层 pooler：tanh(Wx + b)，我们没有。
# 让 W = SCALE × 单位矩阵、b = 0，分类头再除以 SCALE：SCALE 很小时 tanh(SCALE·x) 就是 SCALE·x，
# 乘除 2 的整数次幂又没有舍入误差。200 条评论上实测，fp32 的概率最大差：2^-8 时 1.4e-5，
# 2^-12 时 1.2e-7，2^-14 时一位不差；再小，转成 fp16 用的人就要溢出了
SCALE = 2.0**-14
CHECKED = 64  # 自检用多少条评论
FILES = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "README.md"}
FILES |= {onnx_model.FILE.parts[0]}  # onnx/


def to_standard(classifier: SentimentClassifier) -> BertForSequenceClassification:
    """我们的 encoder + fc → 概率相同的 BertForSequenceClassification，在 CPU 上，评估模式"""
    encoder, fc = classifier.model.encoder, one_linear(classifier.model.head)
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
        "classifier.bias": torch.zeros(len(fc.weight)) if fc.bias is None else fc.bias,
    }
    model.load_state_dict(state)
    return model.eval()


def one_linear(head: nn.Module) -> nn.Linear | None:
    """分类头里的那一层 Linear；还有别的层（Dropout 不算，只在训练时有用）就是 None"""
    layers = [part for part in head.modules() if not isinstance(part, nn.Sequential | nn.Dropout)]
    return layers[0] if len(layers) == 1 and type(layers[0]) is nn.Linear else None


def check_standard(classifier: SentimentClassifier) -> None:
    """标准的结构里没有的（不是 BERT、用平均、分类头不止一层），抛 CourseError：导出了也算不对"""
    model = classifier.model
    if one_linear(model.head) is None:
        raise CourseError(
            f"分类头是 {' '.join(repr(model.head).split())}，标准的"
            " BertForSequenceClassification 里只有一层 Linear，存不成它",
            "08_predict.py、09_serve.py 照样能用；要导出，net.py 的 fc 换回一层 Linear 重新训练",
        )
    if type(model.encoder) is not BertModel or model.pooling != "cls":
        kind = model.encoder.config.model_type
        raise CourseError(
            f"这份权重用的是 {kind} 的 {model.pooling} 特征，标准的 BertForSequenceClassification"
            " 只认 bert 的 [CLS]（cls），存不成它",
            "08_predict.py、09_serve.py 照样能用；要导出，用 BERT 和 --pooling cls 重新训练",
        )


def check_out(out: Path) -> None:
    """旧的导出可以盖掉，别的文件夹不行：写新的之前会删掉旧的，不能误删"""
    if out.is_file() or (out.is_dir() and not {path.name for path in out.iterdir()} <= FILES):
        raise CourseError(f"{out} 里有别的东西，不能盖掉", "--out 换一个新的文件夹名")


def compare(reader: str, theirs: np.ndarray, ours: np.ndarray) -> None:
    """打印两份概率 (N, 类别数) 最大差多少；差得太多就抛 CourseError"""
    difference = np.abs(theirs - ours).max()
    print(
        f"自检：{len(ours)} 条测试评论，{reader} 和 08_predict.py 的概率最大相差 {difference:.1e}"
    )
    if not difference <= TOLERANCE:  # nan 也算差得太多
        raise CourseError(
            f"相差超过了 {TOLERANCE:g}，导出的模型不能用",
            "python -m pip install -r requirements.txt，再运行一次",
        )


def main() -> None:
    parser = Parser(__doc__)
    add_weights_arguments(parser)
    parser.add_argument("--out", type=Path, help=f"导出到哪个文件夹，默认权重旁边的 {EXPORTED}")
    onnx = onnx_model.FILE
    parser.add_argument("--onnx", action="store_true", help=f"多一份 {onnx.as_posix()}")
    args = parser.parse_args()
    out = (args.out or args.weights.parent / EXPORTED).resolve()
    check_out(out)
    if args.onnx:
        require(*onnx_model.PACKAGES)

    # 1. 读回训练好的模型，在测试集上考一次：模型卡要写成绩（07_evaluate.py 算过的特征，这里直接用）
    #    导出的用 fp32 算，所以这里也用 fp32，不管训练时用没用 int8
    classifier = SentimentClassifier(args.weights, args.labels, exact=True)
    check_standard(classifier)
    if "data_sha256" not in classifier.record:
        again = f"{retrain(args.weights)} 重新训练，再导出"
        raise CourseError("这份权重没有训练记录，模型卡上写不出成绩", again)
    tokenizer = classifier.tokenizer
    exam = classifier.exam("test")
    if classifier.approximate:
        print("注意：这份权重是在 int8 的特征上学的，导出的用 fp32 算，所以下面都用 fp32 比")
    sizes = [len(classifier.learned(split)) for split in ("train", "validation", "test")]
    texts, ours = exam.texts[:CHECKED], exam.probabilities[:CHECKED]

    # 2. 换成标准的结构，存成标准的文件夹：模型、分词器、模型卡
    model = to_standard(classifier)
    for key in ("local_files_only", "is_local"):  # 我们怎么读到它的，不关别人的事
        tokenizer.init_kwargs.pop(key, None)
    card = ModelCard(write_card(classifier, out.name, sizes, exam.accuracy))
    with quiet(), atomic_write(out) as temporary:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)  # 连最多读多少 token 也记在里面
        card.save(temporary / "README.md")
        if args.onnx:  # 同一个模型，再存成 ONNX
            write_onnx(model, tokenizer, temporary / onnx)
        for path in temporary.rglob("*"):  # 权重存成了只有自己能读，别人、网页服务器也要读
            path.chmod(0o755 if path.is_dir() else 0o644)

    # 3. 自检：用别人的办法读回来，和自己的概率比
    with quiet():
        classify = pipeline("text-classification", str(out), device=DEVICE)
    rows = [
        {one["label"]: one["score"] for one in classify(text, top_k=None, truncation=True)}
        for text in tqdm(texts, desc="自检", unit="条")
    ]
    theirs = np.array([[row[label] for label in classifier.labels] for row in rows])
    compare("pipeline", theirs, ours)
    if args.onnx:
        logits = torch.from_numpy(OnnxModel(out, tokenizer).logits(texts))
        compare("onnxruntime", logits.softmax(dim=1).numpy(), ours)
    validation = classifier.record["validation_accuracy"]
    print(f"验证精度 {validation:.4f}，测试精度 {exam.accuracy:.4f}")
    path = out.as_posix()  # Windows 也认正斜杠；反斜杠写进 Python 的引号里就错了
    print(f'导出到 {out}，用法：\n    pipeline("text-classification", "{path}", truncation=True)')

    # 4. 传到 Hub 上，两行；不传也能用：07_local_api.py 换上它，就是一个会判断的 API
    #    在代码里传也行：model.push_to_hub("你的用户名/模型名")，tokenizer、模型卡也有 push_to_hub；
    #    文件夹已经有了，传文件夹最省事。国内传到魔搭：modelscope login，modelscope upload，参数一样
    print("传到 Hub（要先注册；换成你的用户名和模型名）：")
    print(f'    hf auth login\n    hf upload 你的用户名/模型名 "{path}"')

    # 小结：标准格式 = config.json（结构和标签名）+ 权重 + 分词器 + 模型卡，谁拿到都会用
    # 练习：运行 07_local_api.py --bert 导出的文件夹，再用 01_api_anonymous.py 的办法问它一句
    # 动手：python exercises/check.py demo02/11


if __name__ == "__main__":
    run(main)
