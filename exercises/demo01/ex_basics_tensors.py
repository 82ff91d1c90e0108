"""动手  第一个 demo 的基础  张量：取哪一维，沿哪一维，和谁对齐

练什么：三个函数都只有一两行，难在认准是哪一维；认错了多半不报错，只是答案不对。

用到的 PyTorch：`argmax`（docs/10-tensors.md 第 3 步），`sum`（第 5 步），`tolist`（第 7 步）

怎么做：把 raise NotImplementedError（或者 ...）换成你的代码，名字不要改，要用的库自己 import，然后
    python exercises/check.py demo01/tensors          对不对，为什么
    python exercises/check.py demo01/tensors --hint   提示
    python exercises/check.py demo01/tensors --answer 答案
"""

import torch


def last_scores(logits: torch.Tensor) -> torch.Tensor:
    """每句话最后一个位置的分数：(N, L, V) → (N, V)，N 句话、L 个位置、字典里 V 项

    每句话一样长，没有补齐；续写几句话时，每句的下一个字就在这里挑。
    """
    raise NotImplementedError


def names_of(logits: torch.Tensor, names: list[str]) -> list[str]:
    """分数 (N, 类别数) → 每句话的答案，N 个名字：分数最高的是第 i 类，就是 names[i]

    例：names_of(torch.tensor([[2.0, 0.0], [1.0, 3.0]]), ["负向", "正向"]) → ["负向", "正向"]
    """
    raise NotImplementedError


def shares(counts: torch.Tensor) -> torch.Tensor:
    """每个数占它那一行的几成：整数 (N, M) → 小数 (N, M)，每一行加起来是 1

    一行是一家店，一列是一种标签，里面是几条评论；每一行至少有一条。sum(dim=1) 是沿着第 1 维加，
    dim 的意思和 argmax(dim=1) 的一样。
    例：[[3, 1], [1, 1]] → [[0.75, 0.25], [0.5, 0.5]]
    """
    raise NotImplementedError
