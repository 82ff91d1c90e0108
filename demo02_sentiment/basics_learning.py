"""基础  模型怎么学：两个数的模型，每一步都能用纸笔算

教什么：train.py 的循环里那几行各做了什么。模型只有两个数 w、b：预测 = w × 2 + b，答案是 5。
怎么运行：python demo02_sentiment/basics_learning.py
会看到：docs/11-learning.md 里每段代码下面的那几行；讲解也在那一页，和屏幕对着看
"""

import torch
from torch.nn.functional import cross_entropy

from course.cli import run, step


def main(args) -> None:
    step("1. 损失：错得多少，一个数")
    w, b = torch.tensor(1.0, requires_grad=True), torch.tensor(0.0, requires_grad=True)
    loss = (w * 2 + b - 5) ** 2
    print(f"{loss=}")

    step("2. 梯度：每个参数挪一点，损失变多少")
    loss.backward()
    print(f"{w.grad=} {b.grad=} {((1.001 * 2 - 5) ** 2 - 9) / 0.001=:.3f}")

    step("3. 走一步：往损失变小的方向")
    optimizer = torch.optim.SGD([w, b], lr=0.05)
    optimizer.step()
    print(f"{w.item()=:.1f} {b.item()=:.1f} {((w * 2 + b - 5) ** 2).item()=:.2f}")

    step("4. 为什么要 zero_grad：梯度是加上去的")
    for _ in range(2):
        ((w * 2 + b - 5) ** 2).backward()
        print(f"{w.grad=}")
        optimizer.zero_grad()

    step("5. 学习率：太小、正好、太大")
    for lr in (0.001, 0.05, 0.1, 0.2, 0.25):
        w, b, losses = 1.0, 0.0, ""
        for _ in range(6):
            error = w * 2 + b - 5
            losses += f"{error**2:8.2f}"
            w, b = w - lr * 2 * error * 2, b - lr * 2 * error
        print(f"{lr=:<6}{losses}")

    step("6. 分类的损失：softmax 和交叉熵")
    logits = torch.tensor([[2.0, 0.0]], requires_grad=True)
    print(f"{logits.detach().softmax(dim=1)=}")
    cross_entropy(logits, torch.tensor([0])).backward()
    print(f"{cross_entropy(logits, torch.tensor([0])).item()=:.4f} {logits.grad=}")
    print(f"{cross_entropy(torch.zeros(1, 2), torch.tensor([0])).item()=:.4f}")

    step("7. AdamW 记着什么")
    w = torch.tensor(1.0, requires_grad=True)
    adamw = torch.optim.AdamW([w], lr=0.05)
    ((w * 2 - 5) ** 2).backward()
    adamw.step()
    print(f"{w.grad=} {w.item()=:.4f}", f"{adamw.state[w]=}", sep="\n")


if __name__ == "__main__":
    run(main, then="demo02_sentiment/net.py")
