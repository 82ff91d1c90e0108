"""判题  第二个 demo 的第 7 课：和 scikit-learn、scipy 算的比"""

from collections import Counter

import numpy as np
from judging import ask, exercise
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix


@exercise("confusion", "混淆矩阵", "先造一张全是 0 的表，再一条一条地给 table[真标签][答案] 加 1")
def check_confusion(confusion):
    for labels, predicted, classes in (
        ([0, 0, 1, 1, 1], [0, 1, 1, 1, 0], 2),
        ([0, 1, 2, 2, 1, 0], [2, 1, 0, 2, 0, 2], 3),
        ([0, 0], [1, 1], 3),
    ):
        want = confusion_matrix(labels, predicted, labels=range(classes)).tolist()
        shares = [[n / max(1, sum(row)) for n in row] for row in want]
        rows = Counter(labels)
        shared = [[predicted.count(j) for j in range(classes)]] * classes
        ask(
            confusion,
            *(labels, predicted, classes),
            want=want,
            usual=[
                (np.transpose(want).tolist(), "行和列反了：行是真标签，列是模型说的"),
                (shares, "要条数，不是比例"),
                (shared, "[[0] * n] * n 的每一行是同一个列表，改一行就全改了"),
                ([want[i][i] for i in range(classes)], "这是对角线；要整张表"),
                (want[: len(rows)], "没有出现的类别也要有一行"),
            ],
            errors={IndexError: "表不够大：classes 行、classes 列，没有出现的类别也要有"},
        )


@exercise("wilson", "置信区间", "照公式写；开方是 ** 0.5；当心 z**2 / (2 * n) 的括号")
def check_wilson(wilson):
    for correct, total in ((997, 1200), (9, 10), (10, 10), (0, 7), (600, 1200)):
        interval = binomtest(correct, total).proportion_ci(0.95, method="wilson")
        p, n, z = correct / total, total, 1.96
        half = z * (p * (1 - p) / n) ** 0.5
        low, high = float(interval.low), float(interval.high)
        scale = 1 + z**2 / n
        wrong = (p + z**2 / 2 * n) / scale
        right = z / scale * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
        ask(
            wilson,
            *(correct, total),
            want=(low, high),
            usual=[
                ((p - half, p + half), "这是正态近似：全对时区间只有一个点，显然不对；用 Wilson"),
                ((high, low), "下限在前，上限在后"),
                ((100 * low, 100 * high), "要 0 到 1 的小数，不是百分数"),
                ((wrong - right, wrong + right), "z**2 / 2 * n 是乘以 n；要写 z**2 / (2 * n)"),
                (((low + high) / 2, (high - low) / 2), "要下限和上限：中心减半宽，中心加半宽"),
            ],
        )


@exercise("majority_accuracy", "全猜一类", "Counter(train_labels).most_common(1) 是最多的那一类")
def check_majority_accuracy(majority_accuracy):
    for train, test in (
        ([0, 0, 1], [1, 1, 1, 0]),
        ([2, 2, 2, 0, 1], [0, 1, 2, 2]),
        ([1], [0, 0]),
        ([0, 1, 1], [1, 1]),
    ):
        guess = Counter(train).most_common(1)[0][0]
        most = Counter(test).most_common(1)[0][1] / len(test)
        ask(
            majority_accuracy,
            *(train, test),
            want=test.count(guess) / len(test),
            usual=[
                (most, "哪一类最多要看训练集：看了测试集再猜，等于漏题"),
                (train.count(guess) / len(train), "这是训练集上的精度，要考测试集"),
                (test.count(guess), "这是条数，还要除以测试集的条数"),
            ],
        )
