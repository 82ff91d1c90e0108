"""不是一课：07_evaluate.py 打印的两张表，每一类的成绩和混淆矩阵，两类、二十类都对得齐、看得清"""

import math
import unicodedata

import numpy as np

UNEVEN = 1.5  # 最多的一类是最少的几倍，就算条数悬殊
NAMED = 3  # 几类以内，混淆矩阵的列写名字；再多写编号
WHOLE = 12  # 几类以内打印整个混淆矩阵；再多，只打印最常见的错
WORST = 10  # 最常见的错打印几种
LONGEST = 24  # 名字最多占多宽，再长就截断
BINS = 10  # 校准图把概率分成几档


def is_uneven(labels: np.ndarray, classes: int) -> bool:
    """要不要看 macro-F1：多于两类，或者最多的一类比最少的多一半以上；labels (N,)"""
    counts = np.bincount(labels, minlength=classes)
    return classes > 2 or counts.max() > UNEVEN * counts.min()


def width(text: str) -> int:
    """在终端里占几格：汉字和全角的标点占两格"""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def pad(text: str, size: int) -> str:
    """右边补空格到 size 格，太长的截断"""
    while width(text) > size:
        text = text.rstrip("…")[:-1] + "…"
    return text + " " * (size - width(text))


def numbered(names: list[str]) -> list[str]:
    """["0 负向", …]：每一类的编号和名字，补齐到一样宽"""
    rows = [f"{i:>{len(str(len(names) - 1))}} {name}" for i, name in enumerate(names)]
    size = min(LONGEST, max(map(width, rows)))
    return [pad(row, size) for row in rows]


def print_report(
    names: list[str],
    precision: np.ndarray,
    recall: np.ndarray,
    f1: np.ndarray,
    support: np.ndarray,
    accuracy: float,
) -> None:
    """每一类的成绩，各个数组都是 (类别数,)；最后是全部的精度和两种平均"""
    rows = dict(zip(names, zip(precision, recall, f1, strict=True), strict=True))
    rows["macro avg"] = tuple(np.mean(column) for column in (precision, recall, f1))
    weights = support / support.sum()
    rows["weighted avg"] = tuple((column * weights).sum() for column in (precision, recall, f1))
    size = min(LONGEST, max(map(width, rows)))
    counts = [*support, support.sum(), support.sum()]
    print(f"\n  {' ' * size}  precision    recall        f1   support")
    for i, (name, count) in enumerate(zip(rows, counts, strict=True)):
        if i == len(names):
            print(f"\n  {pad('accuracy', size)}  {accuracy:>29.3f}{support.sum():>10}")
        scores = "".join(f"{score:>10.3f}" for score in rows[name])
        print(f"  {pad(name, size)} {scores}{count:>10}")


def print_confusion(counts: np.ndarray, names: list[str]) -> None:
    """混淆矩阵 (类别数, 类别数)；类别太多时只列最常见的错"""
    if len(names) <= WHOLE:
        print("\n混淆矩阵（行是真标签，列是模型说的）：")
        rows = [f"{name}" for name in names] if len(names) <= NAMED else numbered(names)
        heads = names if len(names) <= NAMED else [str(i) for i in range(len(names))]
        size = max(map(width, rows))
        cell = max(6, *(width(head) + 2 for head in heads), len(str(counts.max())) + 2)
        print(f"  {' ' * size}" + "".join(" " * (cell - width(head)) + head for head in heads))
        for row, line in zip(rows, counts, strict=True):
            print(f"  {pad(row, size)}" + "".join(f"{n:>{cell}}" for n in line))
    if len(names) > NAMED:
        wrong = counts * (1 - np.eye(len(names), dtype=int))
        print("\n最常见的错（占这一类的多少）：")
        for cell in np.argsort(-wrong, axis=None, kind="stable")[:WORST]:
            i, j = divmod(int(cell), len(names))
            if wrong[i, j]:
                share = wrong[i, j] / counts[i].sum()
                print(f"  {wrong[i, j]:>5} 条（{share:.0%}）  真 {names[i]}，说成 {names[j]}")


def print_pair(ours: np.ndarray, theirs: np.ndarray) -> None:
    """两种做法考同样的题，各题答对没有 (N,)：只有一边答对的各几条，差得这么多是不是碰巧

    McNemar 检验（1947）：不分高下时，只有一边答对的题，两边该各占一半，像抛硬币。
    """
    one, other = int((theirs & ~ours).sum()), int((ours & ~theirs).sum())
    chance = math.erfc(abs(one - other) / math.sqrt(2 * (one + other))) if one + other else 1.0
    often = f"也有 {chance:.0%}" if chance >= 0.01 else "只有不到 1%"
    print(
        f"  同样的题，只有 TF-IDF 答对的 {one} 条，只有 BERT 答对的 {other} 条："
        f"本来不分高下时，{often} 的机会差得这么多"
    )


def reliability(confidence: np.ndarray, right: np.ndarray) -> tuple[list[tuple], float]:
    """把预测按把握分档：[(平均把握, 真对的比例, 条数), …] 和 ECE

    ECE（expected calibration error，Guo et al. 2017 的公式 3）：每一档里"把握"和"真对的比例"
    相差多少，按条数加权平均。confidence 和 right 的形状都是 (条数,)。
    """
    bins, error = [], 0.0
    which = np.clip((confidence * BINS).astype(int), 0, BINS - 1)
    for b in range(BINS):
        members = which == b
        if members.any():
            sure, hit = confidence[members].mean(), right[members].mean()
            bins.append((sure, hit, int(members.sum())))
            error += members.mean() * abs(sure - hit)
    return bins, error
