"""动手  第二个 demo 的选学 extra_debugging  训练学不会：第一个 loss、背下一批、看两条曲线

练什么：三项检查自己写一遍，以后的每个训练，开头都先跑它们。

用到的 PyTorch：`no_grad`、`zero_grad`、`backward`（demo02_sentiment/train.py 第 5 步），
`step`、`item`（第 5 步）

怎么做：把 raise NotImplementedError（或者 ...）换成你的代码，名字不要改，要用的库自己 import，然后
    python exercises/check.py demo02/extra_debugging          对不对，为什么
    python exercises/check.py demo02/extra_debugging --hint   提示
    python exercises/check.py demo02/extra_debugging --answer 答案
"""

import torch
from torch import nn


def expected_first_loss(classes: int) -> float:
    """还没学的模型，每一类给的概率都一样：第一批的交叉熵该是多少，Python 的小数

    交叉熵是 -ln(正确那一类的概率)。
    """
    raise NotImplementedError


def overfits(
    model: nn.Module,
    loss_fn: nn.CrossEntropyLoss,
    optimizer: torch.optim.Optimizer,
    inputs: torch.Tensor,
    labels: torch.Tensor,
    steps: int,
) -> bool:
    """背得下这一批吗：拿它学 steps 步（就改传进来的 model），再算一次 loss，小于 0.1 是 True

    看 loss，不看精度：精度 100 % 了，loss 可能还大。
    """
    raise NotImplementedError


def diagnose(train: list[float], validation: list[float]) -> str:
    """每一轮的训练 loss、验证 loss（第 0 个是还没学的）→ "步子太大"、"步子太小"、"过拟合" 或 "正常"

    按这个次序看，前面的成立就不看后面的：
    步子太大：最后的训练 loss 没有低于第 0 个，或者成了 nan
    步子太小：最后的训练 loss 比第 0 个低了不到一成
    过拟合：最后的验证 loss 比最低的那一轮高出两成以上
    """
    raise NotImplementedError
