"""基础  张量：形状、取一格、谁最大、广播、类型

教什么：模型收的、给的都是张量（tensor），多维的数字表。后面每一课都在看形状、取一格、找最大的，
这里用纸笔算得出来的小表，一样一样地试。f"{x.shape=}" 里的 = 是 Python 的写法：算式和值一起印。
怎么运行：python demo01_hf_basics/basics_tensors.py
会看到：docs/10-tensors.md 里每段代码下面的那几行；讲解也在那一页，和屏幕对着看
"""

import torch

from course.cli import run, step


def main(args) -> None:
    step("1. 形状：几维，每一维多长")
    scores = torch.tensor([[[1.0, 3.0, 2.0], [0.0, 1.0, 5.0]]])
    print(f"{scores.shape=} {scores.ndim=} {scores.numel()=}")

    step("2. 取一格、一行、一列，挑几个")
    print(f"{scores[0, 1, 2]=}", f"{scores[0, -1]=}", sep="\n")
    print(f"{scores[:, 0]=}", f"{scores[0, :, 2]=}", sep="\n")
    print(f"{scores[0, -1][torch.tensor([2, 1])]=}", f"{scores[scores > 1]=}", sep="\n")

    step("3. 谁最大：argmax 和 topk")
    logits = torch.tensor([[2.0, 0.0], [1.0, 3.0], [0.0, 4.0]])
    print(f"{logits.argmax(dim=1)=}", f"{logits.argmax(dim=0)=}", f"{logits.argmax()=}", sep="\n")
    print(f"{scores[0, -1].topk(2).values=}", f"{scores[0, -1].topk(2).indices=}", sep="\n")

    step("4. 换个形状，接起来")
    ids = torch.tensor([101, 4635, 102])
    print(f"{ids.view(1, 3)=}", f"{ids[:, None].shape=}", f"{logits.T.shape=}", sep="\n")
    print(f"{torch.cat([ids, torch.tensor([0])])=}", f"{torch.stack([ids, ids]).shape=}", sep="\n")

    step("5. 广播：形状不同也能算")
    print(logits - torch.tensor([1.0, 2.0]))
    labels = torch.tensor([0, 1, 0])
    right = logits.argmax(dim=1) == labels
    wrong = logits.argmax(dim=1) == labels[:, None]
    print(f"{right.shape=} {right.sum().item() / 3=:.2f}")
    print(f"{wrong.shape=} {wrong.sum().item() / 3=:.2f}")

    step("6. 遮住、排序、累加")
    mask = torch.tensor([1, 1, 0])
    print(f"{scores[0, -1].masked_fill(mask == 0, float('-inf'))=}")
    chance, order = scores[0, -1].softmax(dim=-1).sort(descending=True)
    print(f"{chance=}", f"{order=}", f"{chance.cumsum(dim=-1)=}", sep="\n")

    step("7. 类型：整数、小数、真假")
    print(f"{labels.dtype=} {logits.dtype=} {right.dtype=}")
    print(f"{right.float().mean()=}", f"{torch.tensor(257.0).to(torch.bfloat16)=}", sep="\n")

    step("8. .to() 给的是新的，[0] 给的还是原来那一块")
    print(f"{logits.to(torch.int64).dtype=} {logits.dtype=} {logits.device=}")
    first, copy = logits[0], logits[0].clone()
    first[0] = 9.0
    print(f"{logits[0]=}", f"{copy=}", sep="\n")


if __name__ == "__main__":
    run(main, then="demo01_hf_basics/04_generate_text.py")
