"""动手  第二个 demo 的第 6 课  特征只算一次：评估模式、少补齐、放回原处

练什么：为什么能只算一次；一批里长短相近，补齐就少；按长短排过队，算完要放回原来的位置。

用到的 PyTorch：`eval`、`no_grad`（demo02_sentiment/train.py 第 5 步），
`empty_like`（demo02_sentiment/06_features.py 第 3 步）

怎么做：把 raise NotImplementedError（或者 ...）换成你的代码，名字不要改，要用的库自己 import，然后
    python exercises/check.py demo02/06          对不对，为什么
    python exercises/check.py demo02/06 --hint   提示
    python exercises/check.py demo02/06 --answer 答案
"""

import torch
from transformers import BertModel


def cls_features(encoder: BertModel, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """一批编码好的句子 → 每句的 [CLS] 特征 (N, hidden)，batch 交给 encoder 用 encoder(**batch)

    同一批不管算几次都要一样，所以先切到评估模式；也不要梯度，免得白占内存。
    """
    raise NotImplementedError


def make_batches(lengths: list[int], batch_size: int) -> list[list[int]]:
    """每句的长度 → 分成批，每批是句子的编号，最多 batch_size 个，一句都不能少

    一批要补齐到这批里最长的一句，所以长短相近的放在一起：按长度排好，再一段一段地切。
    """
    raise NotImplementedError


def put_back(features: torch.Tensor, order: list[int]) -> torch.Tensor:
    """放回原来的顺序：features[i] 是第 order[i] 句的特征，返回的第 j 行要是第 j 句的

    例：order 是 [2, 0, 1]，features 的第 0 行是第 2 句的，就要放到第 2 行。
    """
    raise NotImplementedError
