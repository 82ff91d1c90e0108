"""不是一课  一批分成几份算，梯度攒在一起：内存（显存）装不下时自己分，而不是停下来报错

extra_finetune.py 用。
"""

from collections.abc import Callable

import torch

from course.errors import CourseError, is_out_of_memory


class Accumulation:
    """梯度累积：一批分成 parts 份，一份一份地算，梯度攒在一起，和一次算完一样

    每一份的损失乘上它占一批的几成，加起来就是整批的平均损失，梯度也一样。占的内存是一份的；
    还装不下，就把份数翻倍，清掉 optimizer 的梯度，从这一批的头上重来，并说一声。dropout 抽的
    随机数和一次算完的不同。
    weight (类别数,) 是损失里各类的轻重，平均时按它来，占几成也就按它来；None 是一样重。
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        parts: int = 1,
        weight: torch.Tensor | None = None,
    ):
        self.optimizer, self.parts, self.weight = optimizer, parts, weight

    def __call__(
        self,
        learn: Callable[..., tuple[torch.Tensor, torch.Tensor]],
        inputs: list[torch.Tensor],
        labels: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """攒好这一批的梯度，返回 (logits (批, 类别数), 平均损失)，都不带梯度

        learn(一份输入, 一份标签, 占几成) 要自己 backward，返回 (logits, 平均损失 × 几成)，都不带
        梯度。一条也装不下时抛 CourseError。
        """
        while True:
            try:
                return self.once(learn, inputs, labels)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
            # 出了 except 才能还：出错的地方算到一半的东西，抓在手里的 error 还连着它们
            self.optimizer.zero_grad()
            torch.cuda.empty_cache()  # 没有显卡时什么也不做
            if self.parts >= len(labels):
                raise CourseError(
                    "内存（显存）连一条评论都装不下", "--max-length 128，或 --unfreeze 1 少放开几层"
                )
            self.parts = min(2 * self.parts, len(labels))
            print(f"内存（显存）装不下，一批分成 {self.parts} 份来算，梯度攒在一起，结果不变")

    def once(self, learn, inputs, labels) -> tuple[torch.Tensor, torch.Tensor]:
        outs, total = [], torch.zeros((), device=labels.device)
        sizes = [len(part) for part in labels.tensor_split(self.parts) if len(part)]
        for *part, answers in zip(*(x.split(sizes) for x in (*inputs, labels)), strict=True):
            out, loss = learn(part, answers, self.mass(answers) / self.mass(labels))
            outs.append(out)
            total += loss
        return torch.cat(outs), total

    def mass(self, labels: torch.Tensor) -> float | torch.Tensor:
        """这些标签在平均损失里一共有多重"""
        return len(labels) if self.weight is None else self.weight[labels].sum()
