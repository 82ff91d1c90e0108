"""判题  第一个 demo 的基础，张量：形状有方有长，认错一维的答案有的报错，有的悄悄不对"""

import torch
from judging import ask, exercise


@exercise("last_scores", "最后一个位置的分数", "三维，方括号里三格：这一维全要写 :，最后一个写 -1")
def check_last_scores(last_scores):
    for n, length, size in ((2, 3, 4), (1, 4, 2), (3, 3, 3)):
        logits = torch.arange(n * length * size * 1.0).view(n, length, size)
        ask(
            last_scores,
            logits,
            want=logits.select(dim=1, index=-1),
            usual=[
                (logits[0, -1], "[0, -1] 只有第 0 句话；每句都要，第 0 维写 :"),
                (logits[-1], "[-1] 是最后一句话；位置是第 1 维：[:, -1]"),
                (logits[:, 0], "[:, 0] 是第 0 个位置，BERT 的 [CLS] 才在那里"),
                (logits[:, :, -1], "[:, :, -1] 是字典最后一项在每个位置的分数；位置是第 1 维"),
                (logits[:, -1:], "-1: 是一段，那一维还在，长度是 1；写 -1 才去掉它"),
                (logits[:, -1].argmax(dim=1), "要的是分数，不是谁最大"),
            ],
        )


@exercise("names_of", "每句话的答案", "logits.argmax(dim=1).tolist() 是 N 个编号，一个一个换成名字")
def check_names_of(names_of):
    for logits, names in (
        ([[2.0, 0.0], [1.0, 3.0], [0.0, 4.0]], ["负向", "正向"]),
        ([[0.1, 0.7, 0.2]], ["差", "中", "好"]),
        ([[3.0, 1.0, 2.0], [9.0, 8.0, 7.0], [4.0, 6.0, 5.0]], ["差", "中", "好"]),
    ):
        tensor = torch.tensor(logits)
        best = [row.index(max(row)) for row in logits]
        down = tensor.argmax(dim=0).tolist()
        ask(
            names_of,
            *(tensor, list(names)),
            want=[names[i] for i in best],
            usual=[
                ([names[i] for i in down if i < len(names)], "dim=0 是竖着比：要每句话一个答案"),
                (best, "还是编号，要换成名字：names[编号]"),
                (tensor.argmax(dim=1), "还是编号的张量：先 .tolist()，再换成名字"),
                ([names[row.index(min(row))] for row in logits], "取成了分数最低的一类"),
            ],
            errors={
                IndexError: "编号超出了 names：argmax 要写 dim=1，每句话在自己那一行里比",
                TypeError: "要一句话一个编号：argmax(dim=1).tolist()。没有写 dim 只有一个数；"
                "max(dim=1) 给的是一对：值，和在第几个",
            },
        )


@exercise("shares", "占那一行的几成", "每一行的和是 (N,)，先变成 (N, 1)，再去除")
def check_shares(shares):
    for rows in ([[3, 1], [1, 1]], [[8, 1, 1], [0, 2, 2]], [[5, 0, 5], [1, 2, 1], [0, 0, 7]]):
        counts = torch.tensor(rows)
        total = counts.sum(dim=1)
        usual = [
            (counts / counts.sum(dim=0), "除以的是每一列的和：dim=1 才是一行"),
            (counts / counts.sum(), "除以的是全部的和：sum 要写 dim=1"),
            (counts.float().softmax(dim=1), "几成是除以总和，不用 softmax"),
            (counts // total[:, None], "// 只留整数，写进整数张量也是：用 /，放进新的小数张量"),
            (100 * counts / total[:, None], "要 0 到 1 的小数，不是百分数"),
        ]
        if len(rows) == len(rows[0]):  # 方的才除得了
            why = "(N, M) 除以 (N,)：从右往左对齐，每一列除以了一个和；先 [:, None] 变成 (N, 1)"
            usual.insert(0, (counts / total, why))
        ask(
            shares,
            counts,
            want=torch.tensor([[n / sum(row) for n in row] for row in rows]),
            usual=usual,
        )
