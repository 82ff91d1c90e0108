"""动手  第二个 demo 的第 11 课  导出：标签的名字，和多出来的那一层

练什么：config.json 里的 id2label 怎么写；标准的结构多一层 pooler，怎么让它等于没有。

用到的 PyTorch：`zeros`、`eye`（docs/10-tensors.md 第 6 步）

怎么做：把 raise NotImplementedError（或者 ...）换成你的代码，名字不要改，要用的库自己 import，然后
    python exercises/check.py demo02/11          对不对，为什么
    python exercises/check.py demo02/11 --hint   提示
    python exercises/check.py demo02/11 --answer 答案
"""

import torch


def label_maps(names: list[str]) -> dict[str, dict]:
    """标签的名字 → {"id2label": {0: 名字, …}, "label2id": {名字: 0, …}}，编号是整数"""
    raise NotImplementedError


def transparent_pooler(fc_weight: torch.Tensor, fc_bias: torch.Tensor) -> dict[str, torch.Tensor]:
    """我们的 fc → 标准结构的四个权重，算出来的 logits 要和 fc 一样（差不到 0.001）

    我们的（x 是 [CLS] 的向量）：
        logits = fc_weight @ x + fc_bias
    标准结构的：
        logits = classifier_weight @ tanh(pooler_weight @ x + pooler_bias) + classifier_bias
    tanh 会把大的数压到 1 以内，但 s 很小时 tanh(s·x) 几乎就是 s·x：pooler 先缩小，分类头再放大。

    fc_weight 是 (类别数, hidden)。返回的键：pooler_weight (hidden, hidden)、pooler_bias (hidden,)、
    classifier_weight、classifier_bias。
    """
    raise NotImplementedError
