"""不是一课  extra_stacking.py 学好的三个小模型：存成 stacking.npz，读回来，判句子、判文件

三个都是一层 Linear，要存的只有数、字典和一份记录。npz 打开时只读数，不执行任何代码
（allow_pickle=False）；sklearn 常用的 joblib 就是 pickle，打开别人的等于运行别人的程序，所以不用。
"""

import json
import zipfile
from pathlib import Path

import numpy as np
import torch
from sklearn.pipeline import Pipeline

from backstage.classifier import SentimentClassifier, readable
from backstage.predict_file import check_asked, predict_with
from course.baseline import counter
from course.encoder import SentenceEncoder
from course.errors import CourseError
from course.files import atomic_write, check_writable
from course.models import find_model, fingerprint, load_encoder, load_tokenizer
from course.paths import command, portable
from my_dataset import MAX_LENGTH
from net import DEVICE

FILE = "stacking.npz"
WAYS = ("TF-IDF", "冻结的 BERT", "叠起来")


def place(params: Path) -> Path:
    """存在哪里；params 写不进去，学几分钟之前就抛 CourseError"""
    check_writable(params)
    return params / FILE


def folded(pipeline: Pipeline) -> dict[str, np.ndarray]:
    """标准化 + 逻辑回归 → 一层 Linear：减平均、除以标准差，都并进权重 (列, 进) 和偏置 (列,)"""
    scaler, model = pipeline[0], pipeline[-1]
    weight = model.coef_ / scaler.scale_
    return {"weight": weight, "bias": model.intercept_ - weight @ scaler.mean_}


def save(
    path: Path,
    models: tuple[Pipeline, Pipeline, Pipeline],
    label_names: list[str],
    folder: Path,
    encoder_sha256: str,
) -> None:
    """存下三个模型（TF-IDF、分类头、裁判），各类的名字，特征是哪个 BERT（folder）算的"""
    words, head, judge = models
    record = {
        "label_names": label_names,
        "model": portable(folder),
        "encoder_sha256": encoder_sha256,
        "max_length": MAX_LENGTH,
    }
    linears = {
        "words": {"weight": words[-1].coef_, "bias": words[-1].intercept_},
        "head": folded(head),
        "judge": folded(judge),
    }
    arrays = {f"{name}.{key}": x for name, layer in linears.items() for key, x in layer.items()}
    terms = np.array(words[0].get_feature_names_out().tolist())  # 文字，不是 Python 的对象
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file, record=json.dumps(record), terms=terms, idf=words[0].idf_, **arrays
        )


class Stacked(SentimentClassifier):
    """save 存下的，读回来；怎么用和 SentimentClassifier 一样，只是 logits 走另一条路

    没有、坏了、BERT 不是学的时候那个，抛 CourseError。
    """

    def __init__(self, path: Path):
        again = command("demo02_sentiment/extra_stacking.py")
        if not path.is_file():
            raise CourseError(f"还没有学过：没有 {path}", f"{again}（一分钟上下），再来")
        try:
            with np.load(path, allow_pickle=False) as file:
                self.arrays = {name: file[name] for name in file.files}
            self.record = json.loads(str(self.arrays["record"]))
            self.labels, folder = self.record["label_names"], self.record["model"]
            self.max_length = self.record["max_length"]
            self.words = counter(self.arrays["terms"].tolist())
            self.words.idf_ = self.arrays["idf"]
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise CourseError(f"{path} 坏了，或者不是 {FILE}", f"{again} 重新学") from error
        folder = find_model(folder)
        encoder, self.tokenizer = load_encoder(folder), load_tokenizer(folder, self.max_length)
        if fingerprint(encoder, self.tokenizer) != self.record["encoder_sha256"]:
            raise CourseError(f"{folder} 和学 {path} 时用的 BERT 不是同一个", f"{again} 重新学")
        self.sentences = SentenceEncoder(encoder.to(DEVICE), self.tokenizer)

    def linear(self, name: str, inputs) -> np.ndarray:
        """名叫 name 的那一层 Linear：(N, 进) → logits (N, 列)"""
        return inputs @ self.arrays[f"{name}.weight"].T + self.arrays[f"{name}.bias"]

    def opinions(
        self, texts: list[str], features: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """三个各怎么说：{做法: logits (N, 类别数)}；特征 (N, hidden) 算过的话就不再算"""
        texts = [readable(text) for text in texts]
        if features is None:
            features = self.sentences.encode(texts)
        words = self.linear("words", self.words.transform(texts))
        head = self.linear("head", features.numpy())
        judge = self.linear("judge", np.hstack([words, head]))
        found = [torch.tensor(z, dtype=torch.float32) for z in (words, head, judge)]
        # 两类的只有一列，是第 1 类的：第 0 类补上 0，softmax 之后就是它的概率
        found = [torch.hstack([0 * z, z]) if z.shape[1] == 1 else z for z in found]
        return dict(zip(WAYS, found, strict=True))

    def logits(self, texts: list[str], features: torch.Tensor | None = None) -> torch.Tensor:
        return self.opinions(texts, features)["叠起来"]


def print_opinions(stacked: Stacked, texts: list[str]) -> None:
    """每句话一行：叠起来说是哪一类、有多肯定；另外两个各给这一类多大概率"""
    found = {way: logits.softmax(dim=1) for way, logits in stacked.opinions(texts).items()}
    for i, text in enumerate(texts):
        best = int(found["叠起来"][i].argmax())
        words, head, both = (f"{found[way][i, best]:.1%}" for way in WAYS)
        print(f"{stacked.labels[best]}  {both}（TF-IDF {words}，冻结的 BERT {head}）  {text}")


def predict(args) -> None:
    """用 args.params 里存下的，判句子或者 --file；结果和 08_predict.py 的一样写"""
    check_asked(args)
    path = args.params / FILE
    if args.file:
        predict_with(lambda: Stacked(path), args.file, args.column, args.out)
    else:
        print_opinions(Stacked(path), args.texts)
