"""动手  第二个 demo 的选修课  微调：两种学习率、先热身、别迈太大步

练什么：把整个 BERT 放开来学，训练循环只多三样东西，每一样都是为了别把学到的东西冲掉。

用到的 PyTorch：`parameters`（demo02_sentiment/net.py 第 2 步），
`sum`、`item`（docs/10-tensors.md 第 5 步）

怎么做：把 raise NotImplementedError（或者 ...）换成你的代码，名字不要改，要用的库自己 import，然后
    python exercises/check.py demo02/extra_finetune          对不对，为什么
    python exercises/check.py demo02/extra_finetune --hint   提示
    python exercises/check.py demo02/extra_finetune --answer 答案
"""

from torch import nn


def parameter_groups(model: nn.Module, head_lr: float, encoder_lr: float) -> list[dict]:
    """给 AdamW 的两组参数：第一组是 model.fc 的，第二组是 model.encoder 里要梯度的

    每组是 {"params": 参数的列表, "lr": 学习率}；fc 用 head_lr，BERT 用 encoder_lr（小得多）。
    冻结的参数哪一组都不进。
    """
    raise NotImplementedError


def warmup_factor(step: int, warmup: int, total: int) -> float:
    """第 step 步（从 0 数）的学习率要乘上几：一共 total 步，头 warmup 步热身

    热身时从 0 直线升到 1：step / warmup；之后直线降，到第 total 步是 0：
    (total - step) / (total - warmup)。再往后一直是 0；warmup 可以是 0。
    """
    raise NotImplementedError


def clip_gradients(parameters: list[nn.Parameter], max_norm: float) -> float:
    """梯度裁剪：全部梯度连成一个长向量，它的长度超过 max_norm，就把全部梯度等比缩短到 max_norm

    长度是每个数的平方加起来再开方。直接改 parameter.grad，返回裁剪之前的长度；没有梯度的参数跳过。
    不要用 nn.utils.clip_grad_norm_，自己写一遍。
    """
    raise NotImplementedError
