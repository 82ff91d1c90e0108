"""工具  部署有多快：serve.py 和同一个服务后面放一个普通的 pipeline 比，32 个客户同时来问

谁和谁比（轮流跑 A B A B …，取中位数）：
    serve.py    同时来的请求凑成一批算
    pipeline    export.py 导出的文件夹装进 transformers 的 pipeline，来一条算一条，协议和服务都一样
每个回答都和 predict.py 的概率比，差过 1e-5 就算错；内存一路记着，看它涨不涨。

怎么运行（先训练：python demo02_sentiment/train.py）：
    python benchmarks/bench_serve.py --seconds 5 --rounds 1                   约 1 分钟
    python benchmarks/bench_serve.py                                          约 5 分钟
    python benchmarks/bench_serve.py --seconds 120 --rounds 1                 内存平不平，久一点看
"""

from course.cli import Parser, above, at_least, run
from course.errors import CourseError
from course.inference_api import make_app, serve_until_stopped
from course.paths import PARAMS, ROOT, command
from course.reviews import load_reviews

import csv
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from transformers import pipeline

from bench_clients import ask_for, memory_curve, started
from bench_common import machine, print_table

TEXTS = 64  # 几条不同的评论：答案给错了客户，看得出来
LESSON = ROOT / "demo02_sentiment"


class PlainPipeline:
    """大多数人的部署：导出的文件夹放进 pipeline，一次一条"""

    task = "text-classification"

    def __init__(self, folder: Path):
        self.classify = pipeline("text-classification", str(folder), device="cpu")
        self.scores("热身")

    def scores(self, text: str) -> dict[str, float]:
        rows = self.classify(text, top_k=None, truncation=True, function_to_apply="none")
        return {row["label"]: row["score"] for row in rows}


def lesson(script: str, *arguments: object) -> None:
    """运行第二个 demo 的一个脚本，不看它打印什么；出错时抛 CourseError"""
    line = [sys.executable, str(LESSON / script), *map(str, arguments)]
    done = subprocess.run(line, capture_output=True, encoding="utf-8", errors="replace")
    if done.returncode:
        said = done.stderr[-300:].strip()
        raise CourseError(f"{script} 没有成功：{said}", command(f"demo02_sentiment/{script}"))


def predict(texts: list[str], weights: Path, folder: Path) -> list[dict[str, float]]:
    """predict.py --file 说的每一条的 {标签: 概率}"""
    source, out = folder / "in.csv", folder / "out.csv"
    with source.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["text"], *([text] for text in texts)])
    lesson("predict.py", "--file", source, "--out", out, "--weights", weights)
    with out.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name.startswith("p_")]
    return [{name.removeprefix("p_"): float(row[name]) for name in names} for row in rows]


def measure(line: list[str], texts: list[str], expected: list[dict[str, float]], args) -> dict:
    """启动一个服务，让客户们问 args.seconds 秒，再停掉它"""
    with started(*line) as (url, pid):
        ask_for(url, texts, expected, min(5, args.seconds / 2), args.clients)  # 热身
        with memory_curve(pid, args.seconds / 12) as curve:
            waits, errors = ask_for(url, texts, expected, args.seconds, args.clients)
    p50, p99 = np.percentile(waits, [50, 99]) * 1000
    return {
        "rate": len(waits) / args.seconds,
        "p50": p50,
        "p99": p99,
        "errors": errors,
        "memory": curve,
    }


def main() -> None:
    parser = Parser(__doc__)
    positive = above(0.0)
    parser.add_argument("--seconds", type=positive, default=30, help="每次问几秒，默认 30")
    parser.add_argument("--clients", type=at_least(1), default=32, help="几个客户，默认 32")
    parser.add_argument("--rounds", type=at_least(1), default=3, help="几个回合，默认 3")
    weights = PARAMS / "best.pth"
    parser.add_argument("--weights", type=Path, default=weights, help="默认 params/best.pth")
    parser.add_argument("--pipeline", type=Path, help="内部用：当那个普通的服务")
    args = parser.parse_args()
    if args.pipeline:
        app = make_app({"sentiment": PlainPipeline(args.pipeline)})
        serve_until_stopped(app, 0, lambda url: print(url, flush=True))
        return
    if not args.weights.is_file():
        raise CourseError(f"没有权重 {args.weights}", command("demo02_sentiment/train.py"))

    texts = list(load_reviews()["test"]["text"][:TEXTS])
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        exported = folder / "exported"
        lesson("export.py", "--weights", args.weights, "--out", exported)
        expected = predict(texts, args.weights, folder)
        servers = {
            "serve.py": [str(LESSON / "serve.py"), "--port", "0", "--weights", str(args.weights)],
            "pipeline": [__file__, "--pipeline", str(exported)],
        }
        rounds: dict[str, list[dict]] = {name: [] for name in servers}
        for _ in range(args.rounds):
            for name, line in servers.items():
                rounds[name].append(measure(line, texts, expected, args))

    print(f"{machine()}\n{args.clients} 个客户，每次 {args.seconds:g} 秒，{args.rounds} 个回合\n")
    table = []
    for name, found in rounds.items():
        row = [name]
        for key, digits in (("rate", 1), ("p50", 0), ("p99", 0)):
            pairs = zip(found, rounds["pipeline"], strict=True)
            ratio = statistics.median(one[key] / other[key] for one, other in pairs)
            row.append(f"{statistics.median(one[key] for one in found):.{digits}f}")
            row.append(f"{ratio:.2f} ×")
        curve = [mb for one in found for mb in one["memory"]]
        errors = [error for one in found for error in one["errors"]]
        table.append([*row, str(len(errors)), f"{min(curve):.0f}–{max(curve):.0f} MB"])
        if errors:
            print(f"{name} 出的错：{errors[:3]}\n")
    ratio = "÷ pipeline"
    print_table(
        ["server", "requests/s", ratio, "p50 ms", ratio, "p99 ms", ratio, "errors", "memory"], table
    )


if __name__ == "__main__":
    run(main)
