"""不是一课  07_evaluate.py 打印的每一类的成绩、混淆矩阵，10_pictures.py 的校准"""

import numpy as np
import pandas as pd
from sklearn.metrics import classification_report, confusion_matrix

WHOLE = 12  # 几类以内打印整个混淆矩阵；再多，只打印最常见的错
WORST = 10  # 最常见的错打印几种
BINS = 10  # 校准图把概率分成几档


def print_table(table: pd.DataFrame, **how) -> None:
    """按终端里的宽度对齐：一个汉字占两格"""
    with pd.option_context("display.unicode.east_asian_width", True):
        print(table.to_string(na_rep="", **how))


def print_report(labels: np.ndarray, predicted: np.ndarray, names: list[str]) -> None:
    """每一类的成绩、全部的精度、两种平均；labels、predicted (N,)"""
    classes = list(range(len(names)))
    report = classification_report(
        labels, predicted, labels=classes, target_names=names, output_dict=True, zero_division=0
    )
    report["accuracy"] = {"f1-score": report["accuracy"], "support": len(labels)}
    print()
    whole = {"support": "{:.0f}".format}
    print_table(pd.DataFrame(report).T, float_format="{:.3f}".format, formatters=whole)


def print_confusion(labels: np.ndarray, predicted: np.ndarray, names: list[str]) -> None:
    """混淆矩阵；类别太多时只列最常见的错；labels、predicted (N,)"""
    counts = confusion_matrix(labels, predicted, labels=range(len(names)))
    if len(names) <= WHOLE:
        print("\n混淆矩阵（行是真标签，列是模型说的）：")
        print_table(pd.DataFrame(counts, names, names))
    if len(names) > 2:
        wrong = pd.DataFrame(counts * (1 - np.eye(len(names), dtype=int)), names, names).stack()
        print("\n最常见的错（占这一类的多少）：")
        for (true, said), count in wrong[wrong > 0].nlargest(WORST).items():
            share = count / counts[names.index(true)].sum()
            print(f"  {count:>5} 条（{share:.0%}）  真 {true}，说成 {said}")


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
