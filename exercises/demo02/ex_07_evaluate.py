"""动手  第二个 demo 的第 7 课  成绩单：混淆矩阵、置信区间、最笨的办法

练什么：一个精度要带上三样东西一起看，错在哪一类、有多准、比全猜一类强多少。

怎么做：把 raise NotImplementedError（或者 ...）换成你的代码，名字不要改，要用的库自己 import，然后
    python exercises/check.py demo02/07          对不对，为什么
    python exercises/check.py demo02/07 --hint   提示
    python exercises/check.py demo02/07 --answer 答案
"""


def confusion(labels: list[int], predicted: list[int], classes: int) -> list[list[int]]:
    """混淆矩阵，classes × classes 的列表：第 i 行第 j 列是真标签为 i、被说成 j 的有几条"""
    raise NotImplementedError


def wilson(correct: int, total: int) -> tuple[float, float]:
    """精度的 95 % 置信区间 (下限, 上限)，用 Wilson 的公式，z = 1.96

    p = correct / total，n = total
    中心 = (p + z^2 / 2n) / (1 + z^2 / n)
    半宽 = z / (1 + z^2 / n) × √(p(1 - p) / n + z^2 / 4n^2)
    """
    raise NotImplementedError


def majority_accuracy(train_labels: list[int], test_labels: list[int]) -> float:
    """最笨的办法：不看评论，全猜训练集里最多的那一类，在测试集上的精度"""
    raise NotImplementedError
