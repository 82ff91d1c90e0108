"""不是一课  extra_behaviour.py 的后台：读 behaviour.csv 里的句子，打印表，画图"""

import csv
from collections.abc import Collection, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from scipy.stats import binomtest

from backstage.curves import pad
from course.errors import CourseError
from course.files import atomic_write
from course.fonts import chinese_font

SENTENCES = Path(__file__).resolve().parent / "behaviour.csv"


def read_sentences(expects: Collection[str], labels: Collection[str]) -> list[dict[str, str]]:
    """每一行：group、expect、label、text、other；expect、label 不认识，缺句子的，抛 CourseError"""
    with SENTENCES.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows, 2):
        known = row["expect"] in expects and row["label"] in labels and row["text"]
        if not known or (row["other"] == "") != (row["expect"] == "判对"):
            raise CourseError(
                f"{SENTENCES} 第 {number} 行：expect 要是 {'、'.join(expects)}，"
                f"label 要是 {'、'.join(labels)}；“判对”只写 text，别的还要写 other",
                "改好这一行，评论里有逗号的放在英文双引号里",
            )
    return rows


def print_row(widths: Sequence[int], *cells) -> None:
    """表的一行：每一格右边补空格，补到 widths 的那么宽"""
    padded = (pad(str(cell), width) for cell, width in zip(cells, widths, strict=False))
    print("".join(padded).rstrip())


def draw(
    path: Path,
    groups: dict[str, list[int]],
    done: dict[str, np.ndarray],
    kept: list[str],
    cuts: dict[str, list[float]],
) -> None:
    """左：每一组做到几成；右：真评论留头几个字（kept），几成说正向（cuts）

    groups 是 {组: 第几行}；done 是 {模型: 每一行做到没有}。
    """
    matplotlib.use("Agg")  # 只存文件，不开窗口
    from matplotlib import pyplot as plt

    with plt.rc_context({"font.family": [chinese_font(), "DejaVu Sans"]}):
        figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5), layout="constrained")
        place, height = np.arange(len(groups)), 0.8 / len(done)
        for i, (name, passed) in enumerate(done.items()):
            tests = [binomtest(int(passed[at].sum()), len(at)) for at in groups.values()]
            share = np.array([test.statistic for test in tests])
            ends = np.array([test.proportion_ci(method="wilson") for test in tests])
            bars = place + (i - (len(done) - 1) / 2) * height
            errors = np.maximum(0, [share - ends[:, 0], ends[:, 1] - share])
            left.barh(bars, share, height, xerr=errors, error_kw={"alpha": 0.35})
            right.plot(kept, cuts[name], marker="o", label=name)
        left.set_yticks(place, groups)
        left.invert_yaxis()  # 第一组在最上面
        left.set(title="每一组做到几成（细线：95 % 置信区间）", xlim=(0, 1.02))
        right.axhline(0.5, color="gray", linestyle=":")
        right.set(title="同样的评论只留头几个字，几成说正向", xlabel="留几个字", ylim=(0, 1))
        right.legend(loc="upper left")
        with atomic_write(path) as temporary:
            figure.savefig(temporary, format="png", dpi=110)
        plt.close(figure)
