"""动手  第一个 demo 的第 4 课  怎么抽下一个字：temperature、top_k、top_p

练什么：三个参数管的都是同一件事，把字典里每个 token 的分数变成抽签的概率。照定义写出来，
它们各做了什么就一清二楚。下面的 logits 都是形状 (V,) 的小数张量，V 是字典的大小。

用到的 PyTorch：`topk`（docs/10-tensors.md 第 3 步），
`full_like`、`softmax`、`sort`、`cumsum`（第 6 步）

怎么做：把 raise NotImplementedError（或者 ...）换成你的代码，名字不要改，要用的库自己 import，然后
    python exercises/check.py demo01/04             对不对，为什么
    python exercises/check.py demo01/04 --hint      提示
    python exercises/check.py demo01/04 --answer    答案
"""

import torch


def with_temperature(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """分数 → 概率，形状 (V,)，加起来是 1：分数先除以 temperature，再做 softmax"""
    raise NotImplementedError


def keep_top_k(logits: torch.Tensor, k: int) -> torch.Tensor:
    """只留下分数最高的 k 个，其余的分数换成负无穷（概率就是 0）；k 不小于 V 时全部留下

    返回新的张量，形状、顺序都和 logits 一样，不要改 logits 自己。
    """
    raise NotImplementedError


def keep_top_p(logits: torch.Tensor, p: float) -> torch.Tensor:
    """从最可能的开始一个一个收，收到的概率加起来第一次不小于 p 就停；没收到的换成负无穷

    所以至少留下一个，让总和跨过 p 的那一个也留下。返回新的张量，形状、顺序都和 logits 一样。
    """
    raise NotImplementedError
