"""判题  第二个 demo 的第 6 课：小 BERT 带着 dropout，忘了评估模式就会露馅"""

import torch
from judging import Unsolved, Wrong, ask, compare, exercise, require, show
from transformers import BertConfig, BertModel


@exercise("cls_features", "算 [CLS] 特征", "encoder.eval()；with torch.no_grad(): 里面再算")
def check_cls_features(cls_features):
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=60,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        hidden_dropout_prob=0.3,
    )
    encoder = BertModel(config)
    batch = {
        "input_ids": torch.tensor([[2, 7, 9, 3], [2, 5, 3, 0]]),
        "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]]),
    }
    encoder.eval()
    with torch.no_grad():
        out = encoder(**batch)
    states = out.last_hidden_state
    encoder.train()
    first = cls_features(encoder, batch)
    if first is ...:
        raise Unsolved
    encoder.train()
    second = cls_features(encoder, batch)
    if isinstance(first, torch.Tensor) and not torch.equal(first, second):
        raise Wrong(
            "同一批算了两次，结果不一样\n多半是：没有 encoder.eval()，dropout 每次随机扔掉一些数"
        )
    compare(
        "cls_features(encoder, batch)",
        first,
        states[:, 0],
        [
            (states, "没有取 [CLS]：last_hidden_state[:, 0]"),
            (states[0], "[0] 是第 0 句话；要每句话的第 0 个位置：[:, 0]"),
            (states[:, -1], "[:, -1] 是最后一个位置，[CLS] 在第 0 个"),
            (states.mean(1), "取了全部位置的平均，连补的也算了"),
            (out.pooler_output, "pooler_output 多过了一层，本课用 last_hidden_state[:, 0]"),
        ],
    )
    require(not first.requires_grad, "特征还带着梯度的账，白占内存\n多半是：没有 torch.no_grad()")


def cost(batches: list[list[int]], lengths: list[int]) -> int:
    """每批补齐到最长的一句，一共要算几个 token"""
    return sum(len(batch) * max(lengths[i] for i in batch) for batch in batches)


@exercise(
    "make_batches",
    "长短相近的一批",
    "sorted(range(len(lengths)), key=lambda i: lengths[i]) 是按长度排好的编号",
)
def check_make_batches(make_batches):
    for lengths, size in (
        ([3, 50, 4, 49, 5, 48], 2),
        ([9, 1, 1], 2),
        ([7], 4),
        ([5, 5, 5, 5], 4),
        ([10, 200, 30, 30, 11, 190, 12, 29, 8], 4),
    ):
        call = f"make_batches({lengths}, {size})"
        got = make_batches(list(lengths), size)
        if got is ...:
            raise Unsolved
        require(
            isinstance(got, (list, tuple)) and all(isinstance(b, (list, tuple)) for b in got),
            f"{call}\n要的是列表的列表，得到的是 {show(got)}",
        )
        ids = sorted(i for batch in got for i in batch)
        short = len(ids) < len(lengths) and len(ids) % size == 0
        why = "最后凑不满的一批也要留下" if short else "每个编号正好出现一次"
        if ids == sorted(lengths):
            why = "批里放的是编号（第几句），不是长度"
        require(
            ids == list(range(len(lengths))),
            f"{call}\n得到的是 {show(got)}\n不对：每句都要在，也只在一次\n多半是：{why}",
        )
        require(
            all(0 < len(batch) <= size for batch in got),
            f"{call}\n得到的是 {show(got)}\n不对：一批最多 {size} 句，也不能是空的",
        )
        orders = [sorted(range(len(lengths)), key=lambda i, s=s: s * lengths[i]) for s in (1, -1)]
        best = [[o[i : i + size] for i in range(0, len(o), size)] for o in orders]
        limit = max(cost(batches, lengths) for batches in best)
        require(
            cost(got, lengths) <= limit,
            f"{call}\n得到的是 {show(got)}\n补齐之后要算 {cost(got, lengths)} 个 token，"
            f"排好再切只要 {cost(best[0], lengths)} 个\n多半是：没有按长度排序",
        )


@exercise("put_back", "放回原来的顺序", "造一个一样大的空张量 result，写 result[order] = features")
def check_put_back(put_back):
    generator = torch.Generator().manual_seed(0)
    for order in ([2, 0, 1], [0, 1, 2, 3], [4, 2, 0, 3, 1], [0]):
        features = torch.randn(len(order), 2, generator=generator)
        want = features[torch.tensor(order).argsort()]
        ask(
            put_back,
            *(features.clone(), list(order)),
            want=want,
            usual=[
                (
                    features[order],
                    "features[order] 是再打乱一次；要反过来：第 i 行放到第 order[i] 行",
                ),
                (features, "还是排队之后的顺序"),
                (features[sorted(order)], "还是排队之后的顺序"),
            ],
            shown=f"put_back(features, {order})",
        )
