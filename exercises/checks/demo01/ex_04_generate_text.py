"""判题  第一个 demo 的第 4 课：和 transformers 自己的三个实现比"""

import torch
from judging import ask, exercise, require
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

NOTHING = float("-inf")
SCORES = [
    torch.tensor([2.0, 1.0, 0.5, -1.0]),
    torch.tensor([-3.0, 4.0, 0.0, 3.5, 1.0, -0.5]),
    torch.randn(50, generator=torch.Generator().manual_seed(0)) * 3,
]


def theirs(warper, logits: torch.Tensor) -> torch.Tensor:
    return warper(None, logits[None].clone())[0]


def keep(logits: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """chosen (V,) 是 True 的留下"""
    return logits.masked_fill(~chosen, NOTHING)


def check_untouched(function, *arguments) -> None:
    logits = SCORES[1].clone()
    function(logits, *arguments)
    require(
        torch.equal(logits, SCORES[1]),
        f"{function.__name__} 把传进来的 logits 改了\n多半是：写了 logits[…] = …，先 clone()",
    )


@exercise("with_temperature", "温度", "先除以 temperature，再 softmax(dim=-1)，两步的顺序不能换")
def check_with_temperature(with_temperature):
    for logits in SCORES:
        for temperature in (0.3, 0.7, 1.5):
            ask(
                with_temperature,
                *(logits.clone(), temperature),
                want=theirs(TemperatureLogitsWarper(temperature), logits).softmax(-1),
                usual=[
                    ((logits * temperature).softmax(-1), "乘反了：温度低要让差距变大，是除"),
                    (logits.softmax(-1), "没有用上 temperature"),
                    (logits.softmax(-1) / temperature, "先 softmax 再除：加起来不是 1 了"),
                    (logits / temperature, "还是分数，要再做一次 softmax 才是概率"),
                ],
            )


@exercise("keep_top_k", "top_k", "logits.topk(k) 给出最高的 k 个和它们的位置；k 不能超过 V")
def check_keep_top_k(keep_top_k):
    for logits in SCORES:
        for k in (1, 2, 3, 1000):
            ranks = logits.argsort(descending=True).argsort()
            ask(
                keep_top_k,
                *(logits.clone(), k),
                want=theirs(TopKLogitsWarper(k), logits),
                usual=[
                    (
                        logits.sort(descending=True).values[:k],
                        "位置不能丢：不要排序",
                    ),
                    (logits.topk(min(k, len(logits))).values, "形状要和 logits 一样，位置不能丢"),
                    (keep(logits, ranks >= len(logits) - k), "留下的是最低的 k 个"),
                    (logits * (ranks < k), "换成 0 不是去掉：0 分比负分还高，要换成负无穷"),
                    (keep(logits, ranks < k - 1), "少留了一个"),
                ],
                errors={RuntimeError: "k 比 V 大时 topk 会抛错：用 min(k, len(logits))"},
            )
    check_untouched(keep_top_k, 2)


@exercise(
    "keep_top_p",
    "top_p",
    "先 sort(descending=True)，再 cumsum；一个 token 留不留，看轮到它之前已经收了多少",
)
def check_keep_top_p(keep_top_p):
    for logits in SCORES:
        for p in (0.1, 0.5, 0.8, 0.9, 0.99):
            chance = logits.softmax(-1)
            order = chance.argsort(descending=True)
            total = chance[order].cumsum(0)
            back = order.argsort()
            want = theirs(TopPLogitsWarper(p), logits)
            ask(
                keep_top_p,
                *(logits.clone(), p),
                want=want,
                usual=[
                    (
                        keep(logits, chance >= p),
                        "拿每个概率自己和 p 比了；要比的是从最可能的加起来的总和",
                    ),
                    (keep(logits, chance > 1 - p), "拿每个概率自己和 1 - p 比了；要比的是总和"),
                    (
                        keep(logits, (total < p)[back]),
                        "让总和跨过 p 的那一个也要留下，不然可能一个都不剩",
                    ),
                    (keep(logits, (total <= p)[back]), "让总和跨过 p 的那一个也要留下"),
                    (keep(logits, total - chance[order] < p), "排过序之后没有放回原来的位置"),
                    (keep(logits, chance.cumsum(0) <= p), "要先从大到小排序，再累加"),
                    (want.softmax(-1), "返回分数，不要变成概率"),
                ],
            )
    check_untouched(keep_top_p, 0.5)
