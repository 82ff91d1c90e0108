"""工具  网页的解释有多慢：一句话拆成几十句来问，比只问一句同样多的 token 慢几倍

explain.py 的沙普利值要问模型几百句：删一段、写一段、换着顺序写。这里数它问了几句、一共多少个
token，再和 510 个 token 的一条评论比（轮流算，各取中位数）：每个 token 的时间几倍。1 倍就是
拆成多少句都不吃亏。

怎么运行：先训练（train.py），再
    python benchmarks/bench_explain.py
    python benchmarks/bench_explain.py --rounds 3
"""

from course.cli import Parser, at_least, run
from course.reviews import load_reviews

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from bench_common import machine, print_table
from checkpoint import WEIGHTS
from classifier import SentimentClassifier
from explain import explain

LENGTHS = (4, 16, 77, 300)  # 几个字
LONGEST = 508  # 一条评论：加上 [CLS] 和 [SEP] 是 510 个 token


class Counting(SentimentClassifier):
    """记下最近一次问了哪些句子"""

    asked: tuple[str, ...] = ()

    def logits(self, texts: list[str]) -> torch.Tensor:
        self.asked = tuple(texts)
        return super().logits(texts)


def tokens(classifier: Counting) -> int:
    """最近问的那些句子一共多少个 token"""
    ids = classifier.tokenizer(list(classifier.asked), truncation=True)["input_ids"]
    return sum(map(len, ids))


def seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="默认 params/best.pth")
    parser.add_argument("--rounds", type=at_least(1), default=10, help="几个回合，默认 10")
    args = parser.parse_args()
    classifier = Counting(args.weights)
    stream = "".join(load_reviews()["validation"]["text"])
    one = stream[:LONGEST]
    print(f"{machine()}，{args.rounds} 个回合\n")
    table = []
    for length in LENGTHS:
        text = stream[:length]
        explain(classifier, text)  # 热身，也数一数
        sentences, total = len(classifier.asked), tokens(classifier)
        mine, theirs = [], []
        for _ in range(args.rounds):
            mine.append(seconds(lambda text=text: explain(classifier, text)))
            theirs.append(seconds(lambda: classifier.logits([one])))
        whole = tokens(classifier)
        ratio = statistics.median(
            (a / total) / (b / whole) for a, b in zip(mine, theirs, strict=True)
        )
        row = [
            length,
            sentences,
            total,
            *(f"{1000 * statistics.median(x):.0f}" for x in (mine, theirs)),
        ]
        table.append([*map(str, row), f"{ratio:.2f} ×"])
    header = ["characters", "sentences asked", "tokens asked", "ms", "ms for one of 510 tokens"]
    print_table([*header, "per token, explain ÷ one"], table)


if __name__ == "__main__":
    run(main)
