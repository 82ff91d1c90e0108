"""答案  第一个 demo 的第 4 课  怎么抽下一个字：temperature、top_k、top_p

练什么：三个参数管的都是同一件事，把字典里每个 token 的分数变成抽签的概率。照定义写出来，
它们各做了什么就一清二楚。下面的 logits 都是形状 (V,) 的小数张量，V 是字典的大小。
"""

import torch


def with_temperature(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """分数 → 概率，形状 (V,)，加起来是 1：分数先除以 temperature，再做 softmax"""
    return (logits / temperature).softmax(dim=-1)


def keep_top_k(logits: torch.Tensor, k: int) -> torch.Tensor:
    """只留下分数最高的 k 个，其余的分数换成负无穷（概率就是 0）；k 不小于 V 时全部留下

    返回新的张量，形状、顺序都和 logits 一样，不要改 logits 自己。
    """
    kept = torch.full_like(logits, float("-inf"))
    best = logits.topk(min(k, len(logits))).indices
    kept[best] = logits[best]
    return kept


def keep_top_p(logits: torch.Tensor, p: float) -> torch.Tensor:
    """从最可能的开始一个一个收，收到的概率加起来第一次不小于 p 就停；没收到的换成负无穷

    所以至少留下一个，让总和跨过 p 的那一个也留下。返回新的张量，形状、顺序都和 logits 一样。
    """
    chance, order = logits.softmax(dim=-1).sort(descending=True)
    before = chance.cumsum(dim=-1) - chance  # 轮到它之前，已经收了多少
    kept = torch.full_like(logits, float("-inf"))
    best = order[before < p]
    kept[best] = logits[best]
    return kept
