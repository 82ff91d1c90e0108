"""答案  第一个 demo 的基础  注意力：打分、遮住、加起来

练什么：BERT 和 GPT 里同一个算式，自己写一遍；判题拿 PyTorch 自己的注意力和你的比。
"""

import torch


def scores(query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """每个字看每个字的分数：两个 (L, d) → (L, L)，L 个字，一个向量 d 个数

    第 i 行第 j 列是第 i 个字的 query 和第 j 个字的 key 的点积，再除以 √d。
    """
    return query @ key.T / query.shape[-1] ** 0.5


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """每个字的新向量：三个 (L, d) → (L, d)，按轻重把 value 加起来

    mask (L,) 就是 attention_mask：1 看，0 谁也不看它。一行的轻重加起来总是 1，遮住了也是。
    分数就用上面的 scores。
    """
    weights = scores(query, key).masked_fill(mask == 0, float("-inf")).softmax(dim=-1)
    return weights @ value


def causal_mask(n: int) -> torch.Tensor:
    """GPT 的：每个字只看自己和前面。返回 (n, n) 的真假，第 i 行第 j 列是第 i 个字看不看第 j 个

    例：causal_mask(2) → [[True, False], [True, True]]
    """
    return torch.ones(n, n).triu(diagonal=1) == 0
