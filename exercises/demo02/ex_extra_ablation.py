"""动手  第二个 demo 的选修课  消融：换一种代表一句话的办法，差别算不算数

练什么：一次只换一样；换几个种子，平均分的差别比种子之间的差别大，才算数。

用到的 PyTorch：`sum`（docs/10-tensors.md 第 5 步），
`unsqueeze`（第 4 步），`to`（第 7 步），`clone`（第 8 步）

怎么做：把 raise NotImplementedError（或者 ...）换成你的代码，名字不要改，要用的库自己 import，然后
    python exercises/check.py demo02/extra_ablation          对不对，为什么
    python exercises/check.py demo02/extra_ablation --hint   提示
    python exercises/check.py demo02/extra_ablation --answer 答案
"""

import torch


def mean_of_words(last_hidden_state: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
    """不用 [CLS]，用每个字的平均代表一句话：(N, 句长, hidden)、(N, 句长) → (N, hidden)

    只平均原文的字：第 0 个位置 [CLS] 不算，每句最后一个真的位置 [SEP] 不算，补齐的
    （attention_mask 是 0）不算。每句至少有一个字，补齐都在右边。
    """
    raise NotImplementedError


def matters(first: list[float], second: list[float]) -> bool:
    """两种做法各换几个种子跑出来的精度，差别算不算数

    算数：平均数的差（绝对值）比两个标准差都大。标准差用 statistics.stdev。
    这只管训练的运气（种子）；考题的运气另算，1,200 条是 ±2 个点。
    """
    raise NotImplementedError
