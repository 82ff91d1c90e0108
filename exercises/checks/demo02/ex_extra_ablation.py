"""判题  第二个 demo 的选修课 extra_ablation"""

import statistics

import torch
from judging import ask, compare, exercise


@exercise(
    "mean_of_words",
    "字的平均",
    "先从 attention_mask 里去掉 [CLS] 和 [SEP] 的 1，再乘上去求和，除以剩下几个 1",
)
def check_mean_of_words(mean_of_words):
    generator = torch.Generator().manual_seed(0)
    for lengths in ([5, 5], [3, 6, 4], [3]):
        longest = max(lengths)
        states = torch.randn(len(lengths), longest, 4, generator=generator)
        mask = torch.tensor([[1] * n + [0] * (longest - n) for n in lengths])

        def mean(cut, states=states, lengths=lengths) -> torch.Tensor:
            """cut(第几句, 长度) 给出平均哪一段"""
            return torch.stack([states[i, cut(n)].mean(0) for i, n in enumerate(lengths)])

        whole = torch.stack([states[i, 1 : n - 1].sum(0) for i, n in enumerate(lengths)])
        ask(
            mean_of_words,
            *(states.clone(), mask.clone()),
            want=mean(lambda n: slice(1, n - 1)),
            usual=[
                (states.mean(1), "补齐的位置也平均进去了，[CLS] 和 [SEP] 也没有去掉"),
                (mean(lambda n: slice(0, n)), "[CLS] 和 [SEP] 没有去掉"),
                (mean(lambda n: slice(1, n)), "[SEP] 没有去掉：每句最后一个真的位置"),
                (mean(lambda n: slice(0, n - 1)), "[CLS] 没有去掉：第 0 个位置"),
                (states[:, 1:-1].mean(1), "[:, 1:-1] 的最后一个，在短句里是 [PAD] 不是 [SEP]"),
                (states[:, 0], "这是 [CLS]；要字的平均"),
                (whole, "只求了和，没有除以字数"),
                (whole / longest, "除以的是每句自己的字数，不是补齐之后的长度"),
                (
                    whole / torch.tensor(lengths)[:, None],
                    "除数还算着 [CLS] 和 [SEP]：每句的字数是长度减 2",
                ),
            ],
            shown=f"mean_of_words(形状 {tuple(states.shape)}，每句长 {lengths})",
        )


@exercise("matters", "差别算不算数", "abs(平均 - 平均) > max(标准差, 标准差)")
def check_matters(matters):
    cases = [
        ([0.86, 0.87, 0.85], [0.80, 0.81, 0.79]),
        ([0.80, 0.81, 0.79], [0.86, 0.87, 0.85]),
        ([0.86, 0.80, 0.83], [0.85, 0.85, 0.85]),
        ([0.85, 0.85, 0.85], [0.86, 0.80, 0.83]),
        ([0.80, 0.90], [0.8545, 0.9055]),
        ([0.70, 0.80], [0.81, 0.81]),
        ([0.75, 0.85], [0.86, 0.86]),
    ]
    mean, stdev, pstdev = statistics.mean, statistics.stdev, statistics.pstdev
    rules = {
        "没有取绝对值：第二种更好时也算数": lambda a, b: (
            mean(a) - mean(b) > max(stdev(a), stdev(b))
        ),
        "没有取绝对值：第一种更好时也算数": lambda a, b: (
            mean(b) - mean(a) > max(stdev(a), stdev(b))
        ),
        "标准差用 stdev（除以 n - 1），pstdev 除以 n，只有几个数时偏小": lambda a, b: (
            abs(mean(a) - mean(b)) > max(pstdev(a), pstdev(b))
        ),
        "要比两个标准差都大，所以和大的那个比": lambda a, b: (
            abs(mean(a) - mean(b)) > min(stdev(a), stdev(b))
        ),
        "只看了第一种的标准差": lambda a, b: abs(mean(a) - mean(b)) > stdev(a),
        "只看了第二种的标准差": lambda a, b: abs(mean(a) - mean(b)) > stdev(b),
        "平均数不同就算数了：种子换一换也会不同，要和标准差比": lambda a, b: mean(a) != mean(b),
    }
    given = [matters(list(a), list(b)) for a, b in cases]
    usual = [why for why, rule in rules.items() if given == [rule(*case) for case in cases]]
    for (a, b), got in zip(cases, given, strict=True):
        want = abs(mean(a) - mean(b)) > max(stdev(a), stdev(b))
        compare(f"matters({a}, {b})", got, want, [(not want, why) for why in usual])
