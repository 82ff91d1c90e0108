"""答案  第二个 demo 的基础  模型怎么学：梯度、一步一步地走、交叉熵

练什么：两个数的模型，预测 = w × x + b，损失 = (预测 - 答案)^2；分类的损失换成交叉熵。
"""

import math


def gradient(w: float, b: float, x: float, y: float) -> tuple[float, float]:
    """一条数据（输入 x，答案 y）的损失 (w × x + b - y)^2，对 w、对 b 的梯度，两个 Python 的小数

    照公式算，或者让 backward() 算，都行。
    例：gradient(1.0, 0.0, 2.0, 5.0) → (-12.0, -6.0)
    """
    error = w * x + b - y
    return 2 * error * x, 2 * error


def learn(data: list[tuple[float, float]], lr: float, epochs: int) -> tuple[float, float]:
    """从 w = 0、b = 0 学起，返回最后的 (w, b)，两个 Python 的小数

    data 是 [(输入, 答案), …]；把它从头到尾看一遍是一轮，一共 epochs 轮，每看一条就走一步：
    w、b 都往梯度的反方向挪 学习率 lr × 梯度。
    """
    w = b = 0.0
    for _ in range(epochs):
        for x, y in data:
            dw, db = gradient(w, b, x, y)
            w, b = w - lr * dw, b - lr * db
    return w, b


def cross_entropy(logits: list[float], label: int) -> float:
    """一句话各类的分数，和正确的是第几类 → 交叉熵，-ln(正确那一类的概率)，Python 的小数

    照公式写，不用 PyTorch 的。分数可能是 1000，e 的 1000 次方就太大了：每个分数先减去最大的，
    概率不变。
    一大一小差到 1000，小的那一类概率成了 0，ln 0 没有：先在纸上把 -ln(e^分数 ÷ 总和) 拆开。
    """
    top = max(logits)
    return math.log(sum(math.exp(score - top) for score in logits)) + top - logits[label]
