"""动手  第二个 demo 的第 5 课  训练循环的四块：凑批、一步、精度、什么时候停

练什么：训练循环只有几行，每一行少了都不报错，只是学不好。自己写一遍，记住每行为什么在那里。

用到的 PyTorch：`tensor`（docs/10-tensors.md 第 1 步），
`argmax`（第 3 步），`float`、`mean`、`item`（第 7 步），
`backward`（docs/11-learning.md 第 2 步），`step`（第 3 步），`zero_grad`（第 4 步）

怎么做：把 raise NotImplementedError（或者 ...）换成你的代码，名字不要改，要用的库自己 import，然后
    python exercises/check.py demo02/train          对不对，为什么
    python exercises/check.py demo02/train --hint   提示
    python exercises/check.py demo02/train --answer 答案
"""

import torch
from torch import nn


def collate(batch: list[tuple[str, int]], tokenizer, max_length: int) -> tuple:
    """DataLoader 凑的一批 [(评论, 标签), …] → (input_ids, attention_mask, labels)，都是整数张量

    前两个的形状是 (批, 句长)：太长的截到 max_length，短的补齐到这一批里最长的一条（不是
    max_length，少算很多补齐）；labels 的形状是 (批,)。
    """
    raise NotImplementedError


def training_step(
    model: nn.Module,
    loss_fn: nn.CrossEntropyLoss,
    optimizer: torch.optim.Optimizer,
    inputs: torch.Tensor,
    labels: torch.Tensor,
) -> float:
    """学一批：算 logits → 算 loss → 清掉旧梯度 → 反向传播 → 更新；返回 loss，是 Python 的小数

    model(inputs) 给出 logits。CrossEntropyLoss 自带 softmax，把 logits 原样给它。
    """
    raise NotImplementedError


def accuracy(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """logits (N, 类别数)，labels (N,) → 答对的比例，0 到 1 的 Python 小数"""
    raise NotImplementedError


def should_stop(history: list[float], patience: int) -> bool:
    """history 是到现在为止每一轮的验证精度，该停了吗

    连续 patience 轮没有超过之前最好的成绩（打平不算超过）就停；patience 是 0 表示永不提前停。
    """
    raise NotImplementedError
