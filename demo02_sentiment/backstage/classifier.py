"""不是一课  训练好的分类器：句子 → 每一类的概率

07 到 11 和几课选学都从这里拿概率：算特征 → 分类头 → softmax。路只有一条，命令行、文件、网页、API
说的就不会不一样。
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from backstage.checkpoint import data_sha256, load_trained, retrain
from course.cli import FLAGS
from course.columns import DataSource
from course.encoder import SentenceEncoder, opening
from course.errors import CourseError
from course.features import cached_features
from course.paths import ROOT
from course.reviews import find_reviews
from my_dataset import MyDataset
from net import DEVICE

EXPORTED = "review-sentiment-zh"  # 导出的文件夹叫什么，默认在权重旁边
TOLERANCE = 1e-5  # 同一份权重换一个引擎算，概率最多差多少
NOTES = ("", "截断", "空")  # 一条评论的 note：正常，太长只看了开头，空的没有预测


def add_weights_arguments(parser: argparse.ArgumentParser) -> None:
    """给一个脚本加上 --weights 和 --labels"""
    for name in ("weights", "labels"):
        parser.add_argument(f"--{name}", **FLAGS[name])


def readable(text: str) -> str:
    """换掉分词器读不了的字（半个 emoji，坏文件和坏请求里才有），别的原样"""
    return text.encode("utf-8", "replace").decode("utf-8")


def recorded_data(record: dict) -> DataSource:
    """训练时用的那份数据，和指定过的两列；记的路径从仓库算起，和现在在哪个目录没有关系"""
    path = record["data"] and ROOT / record["data"]
    return DataSource(path, *record.get("columns", (None, None)))


def same_data(weights: Path, record: dict, split: str) -> MyDataset:
    """训练时那份数据的一份；不在了、变了、没有记，都抛 CourseError，免得考错了卷子"""
    again = retrain(weights, record)
    if "data_sha256" not in record:
        raise CourseError("这份权重没有记是用哪份数据训练的", f"{again} 重新训练")
    try:
        source = find_reviews(recorded_data(record))
    except CourseError:
        raise CourseError(
            f"训练时用的数据不在原处：没有 {record['data']}",
            f"放回去，或 {again} 用现在的数据重新训练",
        ) from None
    dataset = MyDataset(split, source)
    if data_sha256(dataset.source) != record["data_sha256"]:
        raise CourseError(
            f"{source} 的内容和训练时的不一样了，在它上面的成绩说明不了这份权重",
            f"{again} 用现在的数据重新训练，或换回训练时的数据",
        )
    return dataset


@dataclass
class Exam:
    """一份评论考下来的结果：评论、真标签 (N,)、[CLS] 特征 (N, hidden)、概率 (N, 类别数)"""

    texts: list[str]
    labels: np.ndarray
    features: np.ndarray
    probabilities: np.ndarray

    @property
    def predicted(self) -> np.ndarray:
        """概率最大的那一类 (N,)"""
        return self.probabilities.argmax(axis=1)

    @property
    def accuracy(self) -> float:
        """答对的条数 / 总条数"""
        return float((self.predicted == self.labels).mean())


class SentimentClassifier:
    """用训练好的权重做预测；weights 是 .pth，不对时抛 CourseError

    别处来的 .pth 没有训练记录，就要给 labels，每一类的名字。在 int8 的特征上学的，也用 int8 算；
    exact 是 True 就总用 fp32。
    属性：sentences 是 BERT 和分词器，labels 标签的名字，max_length 编码后最多多少个 token（超出的
    截断，和训练时一样），record 是训练记录，approximate 是不是在 int8 的特征上学的。
    .task、.labels、.logits 是 course/api.py 要的。
    """

    task = "text-classification"

    def __init__(self, weights: Path, labels: list[str] | None = None, exact: bool = False):
        self.weights = weights
        self.model, self.tokenizer, self.record = load_trained(weights, labels)
        self.labels: list[str] = self.record["label_names"]
        self.max_length: int = self.tokenizer.model_max_length
        self.approximate = self.record.get("arithmetic", "").startswith("int8")
        self.sentences = SentenceEncoder(
            self.model.encoder,
            self.tokenizer,
            self.model.pooling,
            int8=self.approximate and not exact,
        )

    @property
    def kind(self) -> str:
        """怎么训练出来的：冻结的、微调最后几层的、全量微调的"""
        unfreeze = self.record.get("unfreeze", 0)
        head = type(self.model.head).__name__  # Linear；换过分类头的，是 Sequential 这样的
        kinds = {0: f"冻结的 BERT + {head}", "all": "全量微调的 BERT"}
        return kinds.get(unfreeze, f"微调最后 {unfreeze} 层的 BERT")

    def head(self, features: torch.Tensor) -> torch.Tensor:
        """[CLS] 特征 (N, hidden) → logits (N, 类别数)，在 CPU 上"""
        with torch.inference_mode():
            return self.model.head(features.to(DEVICE)).cpu()

    def logits(self, texts: list[str], features: torch.Tensor | None = None) -> torch.Tensor:
        """N 条评论 → logits (N, 类别数)，在 CPU 上；特征 (N, hidden) 算过的话就不再算"""
        if features is None:
            features = self.sentences.encode([readable(text) for text in texts])
        return self.head(features)

    def probabilities(self, texts: list[str]) -> torch.Tensor:
        """N 条评论 → 概率 (N, 类别数)，每一行加起来是 1"""
        return self.logits(texts).softmax(dim=1)

    def learned(self, split: str) -> MyDataset:
        """训练时那份数据的一份，见 same_data"""
        return same_data(self.weights, self.record, split)

    def training_set(self) -> MyDataset | None:
        """权重学过的训练集；不在手边、改过了，说一声，返回 None"""
        try:
            return self.learned("train")
        except CourseError as error:
            print(f"注意：{error.problem}；没有基线，查不了漏题，也没有错题")
            return None

    def exam(self, split: str = "test", data: DataSource | None = None) -> Exam:
        """在一份评论上考一次；特征算过的直接读

        data 是 None、训练时的那份，考它的 split 那一份（变了就抛 CourseError，见 same_data）；别的
        文件，整个都是考卷（见 load_exam）。
        """
        source = find_reviews(data) if data else None
        if source is None and "data_sha256" not in self.record:
            raise CourseError(
                "这份权重没有记是用哪份数据训练的",
                f"{retrain(self.weights)} 重新训练，或者用 --data 指明考哪一份",
            )
        if source in (None, recorded_data(self.record)):
            dataset = self.learned(split)
            texts, labels, names = dataset.texts, dataset.labels, dataset.label_names
        else:
            from course.own_data import load_exam  # 要 pandas，用到才 import

            split, names = "exam", self.labels
            texts, labels = load_exam(source, names)
            print(f"注意：考的是 {source}，不是训练时的 {self.record['data'] or '（没有记）'}")
        if names != self.labels:
            raise CourseError(
                f"训练时的标签是 {'、'.join(self.labels)}，这份数据的标签是 {'、'.join(names)}",
                f"{retrain(self.weights, self.record)} 重新训练",
            )
        features = cached_features(self.sentences, texts, split)
        probabilities = self.head(features).softmax(dim=1).numpy()
        return Exam(texts, np.array(labels), features.numpy(), probabilities)

    def cut(self, texts: list[str]) -> list[bool]:
        """每条评论是不是太长，被截掉了尾巴"""
        parts = [opening(self.tokenizer, readable(text)) for text in texts]
        encodings = self.sentences.fast.encode_batch_fast(parts)
        return [
            bool(encoding.overflowing) or len(part) < len(text)
            for encoding, part, text in zip(encodings, parts, texts, strict=True)
        ]

    def judge(
        self, texts: list[str], logits: Callable | None = None
    ) -> tuple[torch.Tensor, list[str]]:
        """N 条评论，可以有空的 → 概率 (N, 类别数)，和每条的 note（NOTES 之一）

        空的（只有空格也算）不预测，概率是 nan，note 是"空"；太长的按开头预测，note 是"截断"。logits
        是 N 条评论 → logits 的函数，不给就是自己的那个。
        """
        logits = logits or self.logits
        probabilities = torch.full((len(texts), len(self.labels)), torch.nan)
        notes = ["空"] * len(texts)
        full = [i for i, text in enumerate(texts) if text.strip()]
        if full:
            chosen = [texts[i] for i in full]
            probabilities[full] = logits(chosen).softmax(dim=1)
            for i, cut in zip(full, self.cut(chosen), strict=True):
                notes[i] = "截断" if cut else ""
        return probabilities, notes
