"""判题  第二个 demo 的选学 extra_debugging：真的背几批，真的曲线"""

import copy
import math

import torch
from judging import ask, compare, exercise
from torch import nn

LOSS = nn.CrossEntropyLoss()


@exercise("expected_first_loss", "第一个 loss", "每一类的概率是 1 / 类别数；math.log 就是 ln")
def check_expected_first_loss(expected_first_loss):
    for classes in (2, 3, 10, 100):
        want = LOSS(torch.zeros(1, classes), torch.tensor([0])).item()  # 分数都是 0：概率一样
        ask(
            expected_first_loss,
            classes,
            want=want,
            usual=[
                (-want, "少了负号：1 / 类别数的对数是负的，交叉熵前面有个负号"),
                (1 / classes, "这是正确那一类的概率，还要取 -ln"),
                (math.log2(classes), "要以 e 为底的 math.log，不是 log2"),
                (math.log10(classes), "要以 e 为底的 math.log，不是 log10"),
                (math.log(2), "这是两类的；类别数是参数"),
            ],
        )


def memorise(model, optimizer, inputs, labels, steps, mistake="") -> bool:
    """背一批；mistake 是故意犯的错"""
    for _ in range(1 if mistake == "once" else steps):
        loss = LOSS(model(inputs), labels)
        if mistake not in ("late", "keep"):
            optimizer.zero_grad()
        loss.backward()
        if mistake == "late":
            optimizer.zero_grad()
        optimizer.step()
    logits = model(inputs)
    if mistake == "accuracy":
        return bool((logits.argmax(dim=1) == labels).all())
    return (loss if mistake == "stale" else LOSS(logits, labels)).item() < 0.1


OVERFITS = {
    "late": "参数没有动：backward() 和 step() 漏了一句，或者 zero_grad() 放在了它们中间",
    "once": "只学了一步：要学 steps 步",
    "keep": "没有 zero_grad()：上一步的梯度累加到这一步上了",
    "stale": "这个 loss 是最后一步之前的：学完再算一次",
    "accuracy": "看的是精度：精度 100 % 了，loss 可能还大",
}


@exercise("overfits", "背下一批", "第 5 课的训练循环，每一步都用同一批；循环完了再算一次 loss")
def check_overfits(overfits):
    torch.manual_seed(0)
    rows, start = torch.randn(16, 32), nn.Linear(32, 2)
    cases = {  # 说法 → 一批特征，学习率，几步
        "16 条，学 100 步": (rows, 0.5, 100),
        "16 条的特征都一样，学 100 步": (rows[:1].expand_as(rows), 0.5, 100),
        "16 条，学习率小，学 10 步": (rows, 0.1, 10),
        "2 条，学习率小，只学 1 步": (rows[:2], 0.1, 1),
        "3 条，学习率大，只学 1 步": (rows[:3], 1.0, 1),
        "2 条，学习率小，学 2 步": (rows[:2], 0.1, 2),
    }

    def answers(how) -> list:
        found = []
        for inputs, lr, steps in cases.values():
            model = copy.deepcopy(start)
            labels = torch.arange(len(inputs)) % 2
            found.append(how(model, torch.optim.SGD(model.parameters(), lr), inputs, labels, steps))
        return found

    given = answers(lambda m, o, x, y, n: overfits(m, LOSS, o, x, y, n))
    wrong = {why: answers(lambda *a, m=m: memorise(*a, m)) for m, why in OVERFITS.items()}
    usual = [why for why, values in wrong.items() if given == values]
    for told, got, want in zip(cases, given, answers(memorise), strict=True):
        compare(f"overfits(…)：{told}", got, want, [(not want, why) for why in usual])


NAN = math.nan
CURVES = [  # 前四组是 extra_debugging.py 的四种曲线，隔几轮取一个
    ([0.69, 0.33, 0.29, 0.27, 0.25], [0.70, 0.39, 0.37, 0.37, 0.38]),
    ([0.69, 0.81, 0.52, 0.53, 0.82], [0.70, 1.59, 1.44, 1.51, 1.52]),
    ([0.69, 0.67, 0.66, 0.64, 0.63], [0.70, 0.69, 0.67, 0.66, 0.65]),
    ([0.75, 0.17, 0.05, 0.02, 0.01], [0.76, 0.42, 0.49, 0.57, 0.64]),
    ([0.69, 2.50, NAN], [0.70, 3.10, NAN]),
    ([0.69, 0.69, 0.69], [0.70, 0.70, 0.70]),
    ([2.30, 0.90, 0.10], [2.40, 1.00, 1.90]),
    ([0.69, 0.40, 0.10], [0.70, 0.42, 0.45]),
    ([0.69, 0.66, 0.65], [0.50, 0.60, 0.70]),
]


def judged(train, validation, mistake="") -> str:
    """两条曲线 → 是哪一种；mistake 是故意犯的错"""
    last, lowest = validation[-1], min(validation)
    big = train[-1] >= train[0] if mistake == "nan" else not train[-1] < train[0]
    bars = {"first": 1.2 * validation[0], "gap": 1.2 * train[-1], "any": lowest}
    memory = last > bars.get(mistake, 1.2 * lowest)
    small = train[-1] > 0.9 * train[0] and not (mistake == "order" and memory)
    return "步子太大" if big else "步子太小" if small else "过拟合" if memory else "正常"


DIAGNOSE = {
    "nan": "nan 和谁比都是 False：train[-1] >= train[0] 接不住它，写 not train[-1] < train[0]",
    "first": "验证要和最低的一轮比，不是和第 0 个比",
    "gap": "验证比训练高就算过拟合，太严了：正常的也高一些，要看它有没有回头往上",
    "any": "验证只高一点点是正常的晃动，高出两成才算",
    "order": "次序：步子太小在过拟合前面",
}


@exercise("diagnose", "看两条曲线", "train[-1]、train[0]、min(validation)；nan 和谁比都是 False")
def check_diagnose(diagnose):
    for curves in CURVES:
        usual = [(judged(*curves, mistake), why) for mistake, why in DIAGNOSE.items()]
        ask(diagnose, *map(list, curves), want=judged(*curves), usual=usual)
