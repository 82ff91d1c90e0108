"""不是一课  12_label_curve.py 的少几条标签的微调、算过的分数、表、图"""

import hashlib
import json
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from unicodedata import east_asian_width

import matplotlib
import numpy as np
import torch
from sklearn.metrics import f1_score
from torch import nn
from torch.utils.data import DataLoader, Subset
from transformers import get_linear_schedule_with_warmup

from backstage.checkpoint import data_sha256
from backstage.tuning import (
    BATCH_SIZE,
    EPOCH,
    LEARNING_RATE,
    MAX_NORM,
    WARMUP,
    LengthBatches,
    TunableModel,
    encoder_lr,
)
from course import baseline
from course.encoder import SentenceEncoder, has_bf16
from course.files import atomic_write, check_writable
from course.fonts import chinese_font
from course.models import load_tokenizer
from my_dataset import MAX_LENGTH, MyDataset, collate_fn
from net import DEVICE

COLORS = ["#6b7280", "#c2571a", "#0f766e", "#7c3aed"]  # 每种做法一种颜色
MIN_STEPS = 100  # 微调至少更新这么多步：200 条一轮才 6 批，两轮什么也学不到


def finetuned(
    folder: Path, train: MyDataset, rows: np.ndarray, texts: list[str], seed: int
) -> np.ndarray:
    """只用训练集的 rows 这几条全量微调，再判 texts → 标签 (N,)

    模型、批次、两个学习率、循环都是 extra_finetune.py 的；少了每轮的考试：考最后一轮，不挑轮次。
    """
    tokenizer = load_tokenizer(folder, MAX_LENGTH)
    torch.manual_seed(seed)
    model = TunableModel(folder, len(train.label_names), "all").to(DEVICE)
    lengths, order = [len(train.texts[i]) for i in rows], torch.Generator().manual_seed(seed)
    batches = LengthBatches(lengths, min(BATCH_SIZE, len(rows)), order)
    collate = partial(collate_fn, tokenizer=tokenizer, padding="longest")
    loader = DataLoader(Subset(train, rows), batch_sampler=batches, collate_fn=collate)
    epochs = max(EPOCH, math.ceil(MIN_STEPS / len(batches)))

    body = [p for p in model.encoder.parameters() if p.requires_grad]
    rate = encoder_lr(model.encoder.config.hidden_size)
    groups = [{"params": model.head.parameters()}, {"params": body, "lr": rate}]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, fused=True)
    steps = epochs * len(batches)
    schedule = get_linear_schedule_with_warmup(optimizer, round(WARMUP * steps), steps)
    for _ in range(epochs):
        for *inputs, labels in loader:
            with torch.autocast(DEVICE.type, torch.bfloat16, enabled=has_bf16(DEVICE)):
                out = model(*(x.to(DEVICE) for x in inputs)).float()
            optimizer.zero_grad()
            nn.functional.cross_entropy(out, labels.to(DEVICE)).backward()
            nn.utils.clip_grad_norm_(body, MAX_NORM)
            optimizer.step()
            schedule.step()
    model.eval()
    with torch.no_grad():
        features = SentenceEncoder(model.encoder, tokenizer).encode(texts)
        return model.head(features.to(DEVICE)).argmax(dim=1).cpu().numpy()


def read_notes(path: Path) -> dict[str, list]:
    """算过的 {哪一次: [精度, macro-F1, 哪几条对了]}；没有就是空的，坏了、是旧版写的就说一声，重新算

    哪几条对了：一条一位，压成十六进制的字。
    """
    if not path.is_file():
        return {}
    try:
        notes = json.loads(path.read_text(encoding="utf-8"))
        notes.pop("sha256", None)  # 旧版课程多写的一项
        for accuracy, macro, right in notes.values():
            if not (0 <= accuracy <= 1 and 0 <= macro <= 1 and bytes.fromhex(right)):
                raise ValueError
        return notes
    except (OSError, ValueError, TypeError, AttributeError):  # 不是 JSON，或不是我们写的样子
        pass
    print(f"{path} 坏了，或者是旧版课程写的：重新算")
    return {}


def mean_and_spread(values: Sequence[float]) -> str:
    """[81.0, 81.6] → 81.3 ± 0.4，平均和样本标准差（除以 n − 1）；只有一个数就没有 ±"""
    mean = f"{np.mean(values):.1f}"
    return mean if len(values) == 1 else f"{mean} ± {np.std(values, ddof=1):.1f}"


def lead(ours: np.ndarray, theirs: np.ndarray) -> str:
    """哪几条对了 (抽样, 条数)，两种做法的 → 高几个百分点，± 是 95 % 置信区间的一半

    同样的抽样、同样的题，一条一条相减，所以只算不一样的。误差有两处：换一份验证集，换一次抽样，方差
    相加；只有一次抽样时，后一处看不出来。
    """
    draws = min(len(ours), len(theirs))
    gap = ours[:draws].astype(float) - theirs[:draws]
    variance = gap.mean(axis=0).var(ddof=1) / gap.shape[1]
    if draws > 1:
        variance += gap.mean(axis=1).var(ddof=1) / draws
    return f"{100 * gap.mean():+.1f} ± {196 * variance**0.5:.1f}"


def pad(text: str, width: int) -> str:
    """右边补空格到 width 列；一个汉字占两列"""
    return text + " " * (width - sum(1 + (east_asian_width(c) in "WF") for c in text))


class Scores:
    """每种做法、每个条数、每次抽样考了多少，算一个就记一个，都在 label_curve.json 里

    folder 是放在哪里；data 是训练集，answers 是验证集的标签 (M,)；about 说是哪个 BERT、什么设置：
    变了，从前的记录就不算数。
    """

    def __init__(self, folder: Path, data: MyDataset, answers: np.ndarray, about: str):
        check_writable(folder)
        self.answers = answers
        self.path = folder / "label_curve.json"
        self.about = f"{data_sha256(data.source)} {about} {baseline.C} {MIN_STEPS}"
        self.notes = read_notes(self.path)
        self.table: dict[str, dict[int, list]] = {}

    def key(self, way: str, size: int, seed: int) -> str:
        return f"{hashlib.sha256(self.about.encode()).hexdigest()[:16]} {way} {size} {seed}"

    def known(self, way: str, size: int, seed: int) -> bool:
        """从前算过没有；算过的就进了表"""
        note = self.notes.get(self.key(way, size, seed))
        if note:
            self.table.setdefault(way, {}).setdefault(size, []).append(note)
        return note is not None

    def add(self, way: str, size: int, seed: int, guess: np.ndarray) -> None:
        """guess 是模型对验证集的回答 (M,)"""
        right = guess == self.answers
        macro = f1_score(self.answers, guess, average="macro")
        bits = np.packbits(right).tobytes().hex()
        self.notes[self.key(way, size, seed)] = [float(right.mean()), float(macro), bits]
        with atomic_write(self.path) as path:
            path.write_text(json.dumps(self.notes, ensure_ascii=False), encoding="utf-8")
        self.known(way, size, seed)

    def right(self, way: str, size: int) -> np.ndarray:
        """哪几条对了 (抽样, 条数)，真假"""
        packed = [
            np.frombuffer(bytes.fromhex(bits), np.uint8) for *_, bits in self.table[way][size]
        ]
        return np.unpackbits(packed, axis=1, count=len(self.answers)) == 1

    def print_head(self, ways: list[str]) -> None:
        cells = [pad(way, 20) for way in ways[:3]]
        more = [f"{way}，比冻结的" for way in ways[3:]]
        print((pad("标签", 8) + "".join(cells) + pad("冻结 - TF-IDF", 17) + "".join(more)).rstrip())

    def print_row(self, size: int, column: int = 0) -> None:
        """表的一行，平均 ± 标准差，单位是百分点；column 0 是精度，1 是 macro-F1"""
        values = {
            way: [100 * note[column] for note in sizes[size]]
            for way, sizes in self.table.items()
            if size in sizes
        }
        cells = [pad(mean_and_spread(one), 20) for one in values.values()]
        leads = []
        for way in list(values)[2:]:
            rival = "TF-IDF" if way == "冻结的 BERT" else "冻结的 BERT"
            if column == 0:
                leads.append(lead(self.right(way, size), self.right(rival, size)))
            else:
                leads.append(f"{np.mean(values[way]) - np.mean(values[rival]):+.1f}")
        more = [f"{cell.strip()}，{gap}" for cell, gap in zip(cells[3:], leads[1:], strict=True)]
        row = f"{size:<8}" + "".join(cells[:3]) + pad(leads[0], 17) + "  ".join(more)
        print(row.rstrip(), flush=True)

    def draw(self) -> Path:
        """画成 label_curve.png，返回它在哪里

        横轴是标签条数（对数），纵轴是验证精度；线是平均，带子是最低到最高。
        """
        path = self.path.with_suffix(".png")
        matplotlib.use("Agg")  # 只存文件，不开窗口
        from matplotlib import pyplot as plt

        font = chinese_font()
        with plt.rc_context({"font.family": [font, "DejaVu Sans"], "axes.unicode_minus": False}):
            figure, axes = plt.subplots(figsize=(8, 4.6), layout="constrained")
            for (way, by_size), color in zip(self.table.items(), COLORS, strict=False):
                values = [np.array([100 * note[0] for note in one]) for one in by_size.values()]
                sizes = list(by_size)
                means = [one.mean() for one in values]
                lowest, highest = [one.min() for one in values], [one.max() for one in values]
                axes.plot(sizes, means, marker="o", color=color, label=way)
                axes.fill_between(sizes, lowest, highest, color=color, alpha=0.15, lw=0)
            axes.set(xscale="log", xlabel="标签的条数", ylabel="验证精度 %")
            ticks = list(self.table["TF-IDF"])
            axes.set_xticks(ticks, [f"{size:,}" for size in ticks])
            axes.minorticks_off()
            axes.set_title("要标多少条：平均和最低到最高")
            axes.grid(alpha=0.3)
            axes.legend()
            with atomic_write(path) as temporary:
                figure.savefig(temporary, format="png", dpi=110)
            plt.close(figure)
        return path
