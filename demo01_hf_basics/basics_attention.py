"""基础  注意力：四个字，每一步都能用纸笔算

教什么：第 6 课打印的模型里，query、key、value 三个 Linear 在算什么；分数、轻重、加权和、遮住。
四个字「苹果很甜」，一个字两个数：第 0 个是"像水果"，第 1 个是"有味道"（数是编的，好算）。
怎么运行：python demo01_hf_basics/basics_attention.py
会看到：docs/12-attention.md 里每段代码下面的那几行；讲解也在那一页，和屏幕对着看
"""

import torch
from torch.nn.functional import scaled_dot_product_attention

from course.cli import run, step


def main(args) -> None:
    step("1. 四个字，四个向量")
    x = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 0.0], [0.0, 2.0]])  # 苹、果、很、甜
    print(f"{x.shape=} {x[1]=}")

    step("2. 三个矩阵，每个字变成 query、key、value")
    query = x @ torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    key = x @ torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    value = x @ torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    print(f"{query[1]=}", f"{key[3]=}", f"{value[3]=}", sep="\n")

    step("3. 分数：我的 query 和每个字的 key")
    scores = query @ key.T / 2**0.5
    print(scores)

    step("4. 轻重：每一行 softmax，加起来是 1")
    weights = scores.softmax(dim=-1)
    print(weights)

    step("5. 加权和：按轻重把 value 加起来")
    new = weights @ value
    print(f"{x[1]=} {new[1]=}")

    step("6. 遮住：补齐的不看，GPT 不看后面的")
    mask = torch.tensor([1, 1, 0, 1])
    print(scores[1].masked_fill(mask == 0, float("-inf")).softmax(dim=-1))
    later = torch.ones(4, 4).triu(diagonal=1)
    print(scores.masked_fill(later == 1, float("-inf")).softmax(dim=-1))

    step("7. PyTorch 一行就是它；它不认识先后")
    print(torch.allclose(scaled_dot_product_attention(query, key, value), new))
    turned = [3, 2, 1, 0]  # 倒过来写：甜很果苹
    again = scaled_dot_product_attention(query[turned], key[turned], value[turned])
    print(torch.allclose(again, new[turned]))


if __name__ == "__main__":
    run(main, then="demo01_hf_basics/06_classify_text.py")
