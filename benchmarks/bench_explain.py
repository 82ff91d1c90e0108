"""工具  网页的解释有多慢：一句话拆成几十句来问，比只问一句同样多的 token 慢几倍

backstage/explain.py 的沙普利值要问模型几百句：删一段、写一段、换着顺序写。这里数它问了几句、
一共多少个 token，再和 510 个 token 的一条评论比（轮流算，各取中位数）：每个 token 的时间几倍。1 倍
就是拆成多少句都不吃亏。

怎么运行：先训练（train.py），再
    python benchmarks/bench_explain.py
    python benchmarks/bench_explain.py --rounds 3
"""

from course.cli import Parser, at_least, run
from course.paths import PARAMS
from course.reviews import load_reviews

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench_common import lesson_environment, machine, print_table

LENGTHS = (4, 16, 77, 300)  # 几个字
LONGEST = 508  # 一条评论：加上 [CLS] 和 [SEP] 是 510 个 token


def seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def measure(weights: Path, rounds: int) -> list[list[str]]:
    """在看得见 demo02_sentiment 的进程里量：表的各行"""
    from backstage.classifier import SentimentClassifier
    from backstage.explain import explain

    class Counting(SentimentClassifier):
        """记下最近一次问了哪些句子"""

        def logits(self, texts):
            self.asked = texts
            return super().logits(texts)

        def tokens(self) -> int:
            return sum(map(len, self.tokenizer(self.asked, truncation=True)["input_ids"]))

    classifier = Counting(weights)
    stream = "".join(load_reviews()["validation"]["text"][:])
    one = stream[:LONGEST]
    table = []
    for length in LENGTHS:
        text = stream[:length]
        explain(classifier, text)  # 热身，也数一数
        sentences, total = len(classifier.asked), classifier.tokens()
        mine, theirs = [], []
        for _ in range(rounds):
            mine.append(seconds(lambda text=text: explain(classifier, text)))
            theirs.append(seconds(lambda: classifier.logits([one])))
        whole = classifier.tokens()
        pairs = zip(mine, theirs, strict=True)
        ratio = statistics.median((a / total) / (b / whole) for a, b in pairs)
        times = [f"{1000 * statistics.median(x):.0f}" for x in (mine, theirs)]
        table.append([str(length), str(sentences), f"{total:,}", *times, f"{ratio:.2f} ×"])
    return table


def main() -> None:
    parser = Parser(__doc__)
    weights = PARAMS / "best.pth"
    parser.add_argument("--weights", type=Path, default=weights, help="默认 params/best.pth")
    parser.add_argument("--rounds", type=at_least(1), default=10, help="几个回合，默认 10")
    parser.add_argument("--worker", action="store_true", help="内部用：子进程")
    args = parser.parse_args()
    if not args.worker:  # 换一个看得见 demo02_sentiment 的进程
        line = [sys.executable, __file__, *sys.argv[1:], "--worker"]
        sys.exit(subprocess.run(line, env=lesson_environment()).returncode)
    table = measure(args.weights, args.rounds)
    print(f"{machine()}，{args.rounds} 个回合\n")
    header = ["characters", "sentences asked", "tokens asked", "ms", "ms for one of 510 tokens"]
    print_table([*header, "per token, explain ÷ one"], table)


if __name__ == "__main__":
    run(main)
