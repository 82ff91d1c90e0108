"""不是一课  冻结的特征上学一个分类头，12_label_curve（分类头写在那里）和几课选学用"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from transformers import AutoConfig, AutoModel

from course.encoder import SentenceEncoder
from course.features import cached_features
from course.files import atomic_write
from course.models import fingerprint, load_encoder, load_tokenizer, quiet
from course.paths import PARAMS
from my_dataset import MAX_LENGTH, MyDataset
from net import DEVICE

ABLATION = PARAMS / "ablation"  # extra_ablation 的每一次训练，和随机权重的 BERT
C = 0.01  # 逻辑回归的正则强度，12_label_curve.py 里讲，那里的也是这个数


def subset(labels: np.ndarray, size: int, seed: int) -> np.ndarray:
    """抽 size 条的编号 (size,)，各类的比例和全部的一样；同一个种子，小的包含在大的里"""
    order = np.random.default_rng(seed).permutation(len(labels))
    # 每条排在它那一类的几分之几：先是每一类的第 0 条，再按这个数从小到大，各类就按比例交替
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = order[labels[order] == label]
        place[members] = np.arange(len(members)) / len(members)
    return order[np.argsort(place[order], kind="stable")][:size]


def linear_head() -> Pipeline:
    """还没有学的分类头：特征先标准化，再逻辑回归"""
    return make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=2000))


def frozen_features(
    folder: Path,
    train: MyDataset,
    other: MyDataset,
    name: str = "validation",
    pretrained: bool = True,
    pooling: str = "cls",
) -> tuple[np.ndarray, np.ndarray, str]:
    """冻结的 BERT 在训练集和另一份（叫 name）上的特征 (N, hidden)，和它的 SHA-256

    算过的直接读。pretrained 是 False：结构、字典一样，权重随机的那个。pooling 见 net.py。
    """
    if not pretrained:
        folder = random_model(folder, 0)
    parts = [("train", train.texts), (name, other.texts)]
    return sentence_features(folder, parts, pooling)


def sentence_features(
    folder: Path, parts: Iterable[tuple[str, list[str]]], pooling: str = "cls"
) -> tuple[np.ndarray | str, ...]:
    """冻结的 BERT 在几份评论上的特征，一份一个 (N, hidden)，最后是它的 SHA-256；算过的直接读

    parts 是 (叫什么, 评论)，名字用在提示里。
    """
    encoder, tokenizer = load_encoder(folder).to(DEVICE), load_tokenizer(folder, MAX_LENGTH)
    sentences = SentenceEncoder(encoder, tokenizer, pooling)
    found = [cached_features(sentences, texts, name).numpy() for name, texts in parts]
    return *found, fingerprint(encoder, tokenizer)


def random_model(source: Path, seed: int) -> Path:
    """没有预训练的对照组：和 source 结构、字典都相同、权重随机的 BERT，存成一个文件夹"""
    out = ABLATION / f"random-{source.name}-{seed}"
    if not out.exists():
        torch.manual_seed(seed)
        with quiet(), atomic_write(out) as folder:
            config = AutoConfig.from_pretrained(source)
            AutoModel.from_config(config).save_pretrained(folder)
            load_tokenizer(source).save_pretrained(folder)
    return out
