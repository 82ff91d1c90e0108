"""工具  评论多了会怎样：一万条到一百万条，从 CSV 到训练好的分类头，每条多少时间、多少内存

每个条数：做一个 CSV（句子是训练集的评论拆开再拼的，长短和 ChnSentiCorp 一样；标签是随机的，学不到
东西，快慢和内存不受影响），在新的进程里运行 train.py --data，量处理器时间、墙上时间、内存的最高点。
算下来的特征（data/features/）和权重，量完就删。

怎么运行（Linux、macOS）：
    python benchmarks/bench_growth.py --reviews 1000 10000          一两分钟
    python benchmarks/bench_growth.py                               小 BERT，约 20 分钟
    python benchmarks/bench_growth.py --small --reviews 10000 100000 1000000
--small 用随机的 1 层 × 64 维，一百万条也等得到，看内存平不平。
"""

import csv
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from transformers import BertConfig, BertModel, BertTokenizer

from bench_common import CHNSENTICORP, machine, print_table, reviews
from course.cli import Parser, at_least, run
from course.errors import CourseError
from course.models import find_model
from course.paths import DATA, ROOT

TINY = "tiny-bert-chinese"


def synthetic_reviews(count: int) -> Iterator[str]:
    """count 条评论：半句半句地从训练集里随机取，拼到一个随机的长度（分布见 bench_common.py）"""
    rng = random.Random(count)  # 每个条数是另一些评论：算过的特征存着，不能拿来用
    parts = [
        part
        for text in reviews("train")["text"]
        for part in re.findall(r"[^，。！？；]+[，。！？；]*", text)
    ]
    median, sigma = CHNSENTICORP
    for _ in range(count):
        size, text = max(4, round(median * rng.lognormvariate(0, sigma))), ""
        while len(text) < size:
            text += rng.choice(parts)
        yield text[:size]


def write_small_model(folder: Path) -> None:
    """随机的 1 层 × 64 维的 BERT，字典用小 BERT 的"""
    tokenizer = BertTokenizer.from_pretrained(find_model(TINY), local_files_only=True)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=256,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def stored() -> set[Path]:
    """存着的特征"""
    return set((DATA / "features").rglob("*.safetensors"))


def measure(line: list[str]) -> tuple[float, float, float]:
    """运行一条命令：(处理器秒, 墙上秒, 内存的最高点 MB)；没有成功抛 CourseError"""
    before = stored()
    started = time.perf_counter()
    with tempfile.TemporaryFile() as file:
        process = subprocess.Popen(line, stdout=file, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)  # 只有它给得出这一个子进程的内存
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - started
        file.seek(0)
        said = file.read().decode("utf-8", "replace")
    for path in stored() - before:
        path.unlink()
    if process.returncode:
        raise CourseError(f"train.py 没有成功：{said[-500:].strip()}", "腾出内存、磁盘，再运行一次")
    unit = 1 if sys.platform == "darwin" else 1024  # macOS 的单位是字节，Linux 是 KB
    return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * unit / 2**20


def main() -> None:
    parser = Parser(__doc__)
    count = at_least(100)
    some = [10_000, 62_774, 100_000]
    parser.add_argument("--reviews", type=count, nargs="+", default=some, help="几条，几种")
    parser.add_argument("--epochs", type=at_least(1), default=3, help="训练几轮，默认 3")
    parser.add_argument("--small", action="store_true", help="随机的 1 层 × 64 维，不用小 BERT")
    args = parser.parse_args()
    if not hasattr(os, "wait4"):
        raise CourseError("Windows 上量不到一个子进程的内存", "在 Linux 或 WSL 里运行")

    table, peaks = [], []
    with tempfile.TemporaryDirectory() as temporary:
        folder, model = Path(temporary), TINY
        if args.small:
            model = folder / "model"
            write_small_model(model)
        for reviews in args.reviews:
            source, lengths = folder / "reviews.csv", []
            with source.open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(["text", "label"])
                for i, text in enumerate(synthetic_reviews(reviews)):
                    writer.writerow([text, i % 2])
                    lengths.append(len(text))
            line = [sys.executable, str(ROOT / "demo02_sentiment" / "train.py")]
            line += ["--data", str(source), "--model", str(model), "--patience", "0"]
            line += ["--params", str(folder / "params"), "--epochs", str(args.epochs)]
            cpu, wall, peak = measure(line)
            row = [f"{reviews:,}", f"{statistics.mean(lengths):.0f}", f"{cpu:.0f}", f"{wall:.0f}"]
            table.append([*row, f"{1000 * cpu / reviews:.2f}", f"{peak:.0f} MB"])
            peaks.append(peak)

    print(f"{machine()}，{'1 层 × 64 维' if args.small else TINY}，{args.epochs} 轮\n")
    for reviews, row, peak in zip(args.reviews, table, peaks, strict=True):
        more = reviews - args.reviews[0]  # 比第一行多几条
        row.append(f"{1024 * (peak - peaks[0]) / more:.2f} KB" if more else "—")
    header = ["reviews", "mean characters", "CPU s", "s", "CPU ms per review", "peak memory"]
    print_table([*header, "memory per further review"], table)


if __name__ == "__main__":
    run(main)
