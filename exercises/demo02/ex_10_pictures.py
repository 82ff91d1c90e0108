"""动手  第二个 demo 的第 10 课  看图背后的数：校准、每一类、注意力

练什么：校准图上的每个点怎么来，ECE 怎么算；注意力图的每一行在说什么。

用到的 PyTorch：`mean`（docs/10-tensors.md 第 7 步）

怎么做：把 raise NotImplementedError（或者 ...）换成你的代码，名字不要改，要用的库自己 import，然后
    python exercises/check.py demo02/10          对不对，为什么
    python exercises/check.py demo02/10 --hint   提示
    python exercises/check.py demo02/10 --answer 答案
"""

import torch


def ece(confidence: list[float], right: list[bool], bins: int = 10) -> float:
    """校准误差 ECE：把握和真对的比例平均相差多少

    1. 把握（0 到 1）按大小分成 bins 档：第 0 档 [0, 0.1)，第 1 档 [0.1, 0.2)，…；1.0 算最后一档
    2. 每一档：相差 = |平均把握 - 真对的比例|
    3. 各档的相差按条数加权平均；空的档不算
    """
    raise NotImplementedError


def recalls(table: list[list[int]]) -> list[float]:
    """混淆矩阵（行是真标签，列是模型说的）→ 每一类的 recall：真是这一类的，找回了几成

    一条也没有的类是 0.0。
    """
    raise NotImplementedError


def mean_attention(layer: torch.Tensor) -> torch.Tensor:
    """一句话在一层里的注意力 (1, 头数, L, L) → 各个头的平均 (L, L)

    结果的第 i 行是第 i 个 token 在看谁，每行加起来是 1。
    """
    raise NotImplementedError
