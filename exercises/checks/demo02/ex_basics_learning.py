"""判题  第二个 demo 的基础，模型怎么学：和 PyTorch 的 backward、SGD、cross_entropy 比"""

import math

import torch
from judging import ask, exercise
from torch.nn import functional


@exercise(
    "gradient",
    "损失的梯度",
    "差 = w * x + b - y；损失对预测是 2 × 差，预测对 w 是 x，预测对 b 是 1，乘起来",
)
def check_gradient(gradient):
    for w, b, x, y in ((1.0, 0.0, 2.0, 5.0), (0.5, -1.0, 3.0, -2.0), (2.0, 1.0, -1.5, 4.0)):
        weight, bias = (torch.tensor(value, requires_grad=True) for value in (w, b))
        ((weight * x + bias - y) ** 2).backward()
        dw, db = weight.grad.item(), bias.grad.item()
        ask(
            gradient,
            *(w, b, x, y),
            want=(dw, db),
            usual=[
                ((-dw, -db), "方向反了：差是 预测 - 答案；梯度也不用先变号，走一步时才减"),
                ((dw / 2, db / 2), "少了平方求导的 2"),
                ((db, db), "w 的梯度还要乘 x：w 动一点，预测动 x 那么多"),
                ((dw, dw), "b 的梯度不乘 x：b 动一点，预测就动一点"),
                ((db, dw), "次序反了：先 w，后 b"),
                ((db * w, db), "w 的梯度乘的是 x，不是 w"),
                ((weight.grad, bias.grad), "还是张量，.item() 取成 Python 的小数"),
            ],
            errors={
                AttributeError: "要先 torch.tensor(w, requires_grad=True)，算损失，再 backward()",
                RuntimeError: "w、b 都要 requires_grad=True，backward() 才有账可以往回走",
            },
        )


def train(data: list, lr: float, epochs: int, mistake: str = "") -> tuple[float, float]:
    """真的走一遍；mistake 是故意犯的错"""
    w = torch.tensor(1.0 if mistake == "start" else 0.0, requires_grad=True)
    b = torch.tensor(0.0, requires_grad=True)
    optimizer = torch.optim.SGD([w, b], lr=lr, maximize=mistake == "up")
    for _ in range(1 if mistake == "once" else epochs):
        for x, y in data[:1] if mistake == "first" else data:
            ((w * x + b - y) ** 2).backward()
            if mistake == "turns":  # 先挪 w，再用新的 w 算 b 的梯度
                with torch.no_grad():
                    b.grad = 2 * ((w - lr * w.grad) * x + b - y)
            if mistake != "batch":
                optimizer.step()
            if mistake not in ("keep", "batch"):
                optimizer.zero_grad()
        if mistake == "batch":
            optimizer.step()
            optimizer.zero_grad()
    return w.item(), b.item()


MISTAKES = {
    "up": "往梯度的方向走了，损失越来越大：是减，不是加",
    "keep": "没有 zero_grad()：前面几条的梯度还在，累加到这一条上了",
    "turns": "先改了 w，再拿新的 w 算 b 的梯度：两个梯度都算好，再一起挪",
    "batch": "一轮只走了一步：每看一条就走一步",
    "start": "从 w = 1 学起了：题目是从 w = 0、b = 0 学起",
    "once": "只看了一轮：一共 epochs 轮",
    "first": "每一轮只看了第 0 条：一条一条全看",
}


@exercise("learn", "一步一步地走", "两层 for：外面一轮一轮，里面一条一条；梯度用上面的 gradient")
def check_learn(learn):
    line = [(-1.0, -1.0), (0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]  # 答案 = 2 × 输入 + 1
    for data, lr, epochs in (([(2.0, 5.0)], 0.05, 1), (line[1:3], 0.1, 2), (line, 0.05, 40)):
        ask(
            learn,
            *(list(data), lr, epochs),
            want=train(data, lr, epochs),
            usual=[(train(data, lr, epochs, mistake), why) for mistake, why in MISTAKES.items()]
            + [(torch.tensor(train(data, lr, epochs)).unbind(), "还是张量，.item() 取成小数")],
        )


@exercise(
    "cross_entropy",
    "交叉熵",
    "top = max(logits)；结果 = ln(每个 e^(分数 - top) 的总和) + top - 正确那一类的分数",
)
def check_cross_entropy(cross_entropy):
    for logits, label in (
        ([2.0, 0.0], 0),
        ([2.0, 0.0], 1),
        ([0.5, -1.0, 3.0], 1),
        ([1000.0, 998.0], 1),
        ([-3.0, 1000.0], 0),
    ):
        tensor = torch.tensor(logits, dtype=torch.float64)
        logs = tensor.log_softmax(0)
        want = functional.cross_entropy(tensor[None], torch.tensor([label])).item()
        ask(
            cross_entropy,
            *(list(logits), label),
            want=want,
            usual=[
                (-logs.max().item(), "取成了最像的那一类：罚的是正确那一类，logits[label]"),
                (-logs[0].item(), "写死成第 0 类了：正确的是第 label 类"),
                (-logs.sum().item(), "各类的都加起来了：只看正确那一类的概率"),
                (-want, "少了负号：概率不到 1，ln 是负的，损失要正的"),
                (math.exp(-want), "这是正确那一类的概率，还要 -ln"),
                (1 - math.exp(-want), "1 - 概率不是交叉熵：是 -ln 概率"),
                (want / math.log(2), "用了 log2：要自然对数 math.log"),
                (want / math.log(10), "用了 log10：要自然对数 math.log"),
                (math.inf, "概率成了 0，-ln 0 是无穷：-ln(e^a ÷ 总和) 拆开是 ln 总和 - a"),
                (torch.tensor(want), "还是张量，.item() 取成 Python 的小数"),
            ],
            errors={
                OverflowError: "math.exp(1000) 太大了：每个分数先减去最大的，概率不变",
                ValueError: "概率成了 0，ln 0 没有：-ln(e^a ÷ 总和) 拆开是 ln 总和 - a",
            },
        )
