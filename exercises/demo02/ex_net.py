"""动手  第二个 demo 的第 4 课  冻结的 BERT + 一层 Linear，十类也行

练什么：冻结是什么意思，[CLS] 从哪里取，类别变成十个要改哪里，要学的到底有几个数。

用到的 PyTorch：`Linear`、`parameters`、`numel`（demo02_sentiment/net.py 第 2 步），
`eval`（第 3 步）

怎么做：把 raise NotImplementedError（或者 ...）换成你的代码，名字不要改，要用的库自己 import，然后
    python exercises/check.py demo02/net            对不对，为什么
    python exercises/check.py demo02/net --hint     提示
    python exercises/check.py demo02/net --answer   答案
"""

import torch
from torch import nn
from transformers import BertModel


def freeze(encoder: BertModel) -> BertModel:
    """冻结：它的每个参数都不要梯度，并切到评估模式；返回 encoder 自己"""
    raise NotImplementedError


class Classifier(nn.Module):
    """BERT + 分类头：encoder 是一个 BertModel（已经冻结好了），num_labels 是类别数"""

    def __init__(self, encoder: BertModel, num_labels: int):
        """存下 encoder，造一层 Linear 叫 self.fc，输入的宽度看 encoder.config.hidden_size"""
        raise NotImplementedError

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """两个 (N, 句长) 的整数张量 → logits (N, num_labels)

        过一遍 encoder，取 last_hidden_state 里 [CLS]（第 0 个位置）的向量，过 fc。
        不做 softmax：训练时 CrossEntropyLoss 自己会做。
        """
        raise NotImplementedError


def count_trained(model: nn.Module) -> int:
    """模型里要训练的参数（要梯度的）一共有多少个数"""
    raise NotImplementedError
