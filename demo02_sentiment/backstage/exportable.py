"""不是一课  11_export.py 动手之前查一遍：存得成标准的格式吗，存的地方有没有别的东西"""

from pathlib import Path

from torch import nn
from transformers import BertModel

from backstage.classifier import SentimentClassifier
from backstage.onnx_model import FILE
from course.errors import CourseError

FILES = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "README.md"}
FILES |= {FILE.parts[0]}  # onnx/


def check_out(out: Path) -> None:
    """旧的导出可以盖掉，别的文件夹不行：写新的之前会删掉旧的，不能误删"""
    if out.is_file() or (out.is_dir() and not {path.name for path in out.iterdir()} <= FILES):
        raise CourseError(f"{out} 里有别的东西，不能盖掉", "--out 换一个新的文件夹名")


def exportable_fc(classifier: SentimentClassifier) -> nn.Linear:
    """分类头里的那一层 Linear（Dropout 不算，只在训练时有用）

    标准的结构里没有的（不是 BERT、用平均、分类头不止一层），抛 CourseError：导出了也算不对。
    """
    model = classifier.model
    parts = model.head.modules()
    layers = [part for part in parts if not isinstance(part, nn.Sequential | nn.Dropout)]
    if len(layers) != 1 or type(layers[0]) is not nn.Linear:
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
    return layers[0]
