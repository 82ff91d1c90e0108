"""判题  第一个 demo 的基础，注意力：和 PyTorch 自己的注意力比"""

import torch
from judging import ask, exercise
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

NOTHING = float("-inf")


def vectors(how_many: int, length: int, size: int) -> list[torch.Tensor]:
    """几个 (length, size)，里面是 -2 到 2 的整数，好看清"""
    random = torch.Generator().manual_seed(length)
    return [torch.randint(-2, 3, (length, size), generator=random) * 1.0 for _ in range(how_many)]


@exercise("scores", "每个字看每个字", "query @ key.T 是 (L, L)；d 是 query.shape[-1]")
def check_scores(scores):
    for length, size in ((4, 2), (3, 3), (2, 8)):
        query, key = vectors(2, length, size)
        dots = query @ key.T
        usual = [
            (dots, "没有除以 √d"),
            (dots / size, "除以的是 d，要除以 √d：d ** 0.5"),
            (dots / 2**0.5, "写死成 √2 了：d 看 query.shape[-1]"),
            (dots / length**0.5, "√ 里的是一个向量有几个数（d），不是有几个字（L）"),
            (dots.T / size**0.5, "反了：第 i 行是第 i 个字的 query，query 在左边"),
            ((dots / size**0.5).softmax(dim=-1), "分数还不用 softmax"),
            (query.T @ key / size**0.5, "转置的是 key：query @ key.T，得 (L, L)"),
            (query * key / size**0.5, "* 是一格对一格地乘；矩阵乘法是 @"),
        ]
        if length == size:  # 方的才乘得了
            usual.append((query @ key / size**0.5, "key 要转置：query @ key.T"))
        ask(
            scores,
            *(query, key),
            want=dots / size**0.5,
            usual=usual,
            errors={RuntimeError: "(L, d) @ (L, d) 对不上：key 要转置，key.T 是 (d, L)"},
        )


@exercise("attend", "按轻重加起来", "scores → masked_fill → softmax(dim=-1) → @ value，次序不能换")
def check_attend(attend):
    for size, seen in ((2, [1, 1, 0, 1]), (4, [1, 1, 1, 0]), (3, [1, 1, 1]), (8, [1, 0])):
        length, mask = len(seen), torch.tensor(seen)
        query, key, value = vectors(3, length, size)
        raw = query @ key.T
        scores = raw / size**0.5
        hidden = scores.masked_fill(mask == 0, NOTHING)
        ask(
            attend,
            *(query, key, value, mask),
            want=scaled_dot_product_attention(
                query, key, value, attn_mask=(mask == 1).expand(length, length)
            ),
            usual=[
                (scores.softmax(-1) @ value, "没有用上 mask"),
                (
                    scores.softmax(-1).masked_fill(mask == 0, 0.0) @ value,
                    "先 softmax 再遮，一行加起来不到 1 了：遮在 softmax 之前",
                ),
                (
                    (scores * mask).softmax(-1) @ value,
                    "乘成 0 不是不看，e 的 0 次方是 1：要换成负无穷",
                ),
                (
                    scores.masked_fill(mask == 0, 0.0).softmax(-1) @ value,
                    "换成 0 不是不看，e 的 0 次方是 1：要换成负无穷",
                ),
                (hidden.softmax(dim=0) @ value, "softmax 的 dim 错了：每一行加起来是 1，dim=-1"),
                (
                    scores.masked_fill(mask[:, None] == 0, NOTHING).softmax(-1) @ value,
                    "遮的是行：那是这个字不看别人；谁也不看它，遮的是那一列",
                ),
                (
                    scores.masked_fill(mask == 1, NOTHING).softmax(-1) @ value,
                    "遮反了：1 是看，0 才遮",
                ),
                (
                    raw.masked_fill(mask == 0, NOTHING).softmax(-1) @ value,
                    "分数没有除以 √d：用上面的 scores",
                ),
                (
                    scores.T.masked_fill(mask == 0, NOTHING).softmax(-1) @ value,
                    "行和列反了：先把 scores 做对，第 i 行是第 i 个字在看",
                ),
                (hidden.softmax(-1), "这是轻重，还要 @ value"),
                (hidden @ value, "分数还没有 softmax 成轻重"),
            ],
            shown=f"attend(query, key, value, {seen})，三个都是 ({length}, {size})",
        )


@exercise("causal_mask", "GPT 看得见谁", "torch.ones(n, n).triu(diagonal=1) 里是 1 的看不见")
def check_causal_mask(causal_mask):
    for n in (3, 1, 5):
        want = nn.Transformer.generate_square_subsequent_mask(n) == 0
        here = torch.eye(n) == 1
        ask(
            causal_mask,
            n,
            want=want,
            usual=[
                (~want, "反了：看得见的是 True"),
                (want & ~here, "自己也看得见：对角线要留下"),
                (want.T, "第 i 行看的是前面，True 在左下角"),
                (want.float(), "要真假，不是 1 和 0：和 0 比一下，== 0"),
                (want.long(), "要真假，不是 1 和 0：和 0 比一下，== 0"),
                ((~want).float(), "这是看不见的，还是 1 和 0：和 0 比一下，== 0"),
            ],
        )
