"""动手  第一个 demo 的基础  注意力：打分、遮住、加起来

练什么：BERT 和 GPT 里同一个算式，自己写一遍；判题拿 PyTorch 自己的注意力和你的比。

用到的 PyTorch：`masked_fill`、`softmax`、`ones`、`triu`（docs/12-attention.md 第 6 步）；
矩阵乘法 @ 和转置 .T 在那一页的第 2、3 步

怎么做：把 raise NotImplementedError（或者 ...）换成你的代码，名字不要改，要用的库自己 import，然后
    python exercises/check.py demo01/attention          对不对，为什么
    python exercises/check.py demo01/attention --hint   提示
    python exercises/check.py demo01/attention --answer 答案
"""

import torch


def scores(query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """每个字看每个字的分数：两个 (L, d) → (L, L)，L 个字，一个向量 d 个数

    第 i 行第 j 列是第 i 个字的 query 和第 j 个字的 key 的点积，再除以 √d。
    """
    raise NotImplementedError


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """每个字的新向量：三个 (L, d) → (L, d)，按轻重把 value 加起来

    mask (L,) 就是 attention_mask：1 看，0 谁也不看它。一行的轻重加起来总是 1，遮住了也是。
    分数就用上面的 scores。
    """
    raise NotImplementedError


def causal_mask(n: int) -> torch.Tensor:
    """GPT 的：每个字只看自己和前面。返回 (n, n) 的真假，第 i 行第 j 列是第 i 个字看不看第 j 个

    例：causal_mask(2) → [[True, False], [True, True]]
    """
    raise NotImplementedError
