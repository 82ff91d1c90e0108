"""答案  第二个 demo 的第 7 课  成绩单：混淆矩阵、置信区间、最笨的办法

练什么：一个精度要带上三样东西一起看，错在哪一类、有多准、比全猜一类强多少。
"""

from collections import Counter


def confusion(labels: list[int], predicted: list[int], classes: int) -> list[list[int]]:
    """混淆矩阵，classes × classes 的列表：第 i 行第 j 列是真标签为 i、被说成 j 的有几条"""
    table = [[0] * classes for _ in range(classes)]
    for label, guess in zip(labels, predicted, strict=True):
        table[label][guess] += 1
    return table


def wilson(correct: int, total: int) -> tuple[float, float]:
    """精度的 95 % 置信区间 (下限, 上限)，用 Wilson 的公式，z = 1.96

    p = correct / total，n = total
    中心 = (p + z^2 / 2n) / (1 + z^2 / n)
    半宽 = z / (1 + z^2 / n) × √(p(1 - p) / n + z^2 / 4n^2)
    """
    z, p, n = 1.96, correct / total, total
    center = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
    return center - half, center + half


def majority_accuracy(train_labels: list[int], test_labels: list[int]) -> float:
    """最笨的办法：不看评论，全猜训练集里最多的那一类，在测试集上的精度"""
    guess = Counter(train_labels).most_common(1)[0][0]
    return test_labels.count(guess) / len(test_labels)
