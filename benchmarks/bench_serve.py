"""工具  部署有多快：09_serve.py 和别的部署办法比，1 到 128 个客户同时来问

谁和谁比（轮流跑 A B C D A B C D …，取中位数）：
    09_serve.py             同时来的请求凑成一批算
    09_serve.py --onnx      同上，由 ONNX Runtime 一条一条地算
    pipeline                11_export.py 导出的文件夹装进 transformers 的 pipeline，来一条算一条
    sentence-transformers   FastAPI 后面放它，同样凑批
    LitServe                一个核一个进程，各自凑批；等几秒凑批由 --wait 定
没装的跳过：python -m pip install -r benchmarks/requirements.txt
每个回答都和 08_predict.py 的概率比，差过 1e-5 就算错；内存（连子进程）一路记着，看它涨不涨。

怎么运行（先训练：python demo02_sentiment/train.py）：
    python benchmarks/bench_serve.py --seconds 5 --rounds 1 --clients 32      约 3 分钟
    python benchmarks/bench_serve.py                                          约 40 分钟
    python benchmarks/bench_serve.py --seconds 120 --rounds 1                 内存平不平，久一点看
"""

import csv
import shutil
import statistics
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from bench_clients import ask_for, memory_curve, started
from bench_common import machine, print_table, reviews
from course.cli import Parser, above, at_least, run
from course.errors import CourseError
from course.paths import PARAMS, ROOT, command
from serve_peers import PEERS

TEXTS = 64  # 几条不同的评论：答案给错了客户，看得出来
LESSON = ROOT / "demo02_sentiment"
EXPORTED = "review-sentiment-zh"  # 11_export.py 给它的名字


def lesson(script: str, *arguments: object) -> None:
    """运行第二个 demo 的一个脚本，不看它打印什么；出错时抛 CourseError"""
    line = [sys.executable, str(LESSON / script), *map(str, arguments)]
    done = subprocess.run(line, capture_output=True, encoding="utf-8", errors="replace")
    if done.returncode:
        said = done.stderr[-300:].strip()
        raise CourseError(f"{script} 没有成功：{said}", command(f"demo02_sentiment/{script}"))


def predict(texts: list[str], weights: Path, folder: Path) -> list[dict[str, float]]:
    """08_predict.py --file 说的每一条的 {标签: 概率}"""
    source, out = folder / "in.csv", folder / "out.csv"
    with source.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["text"], *([text] for text in texts)])
    lesson("08_predict.py", "--file", source, "--out", out, "--weights", weights)
    with out.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name.startswith("p_")]
    return [{name.removeprefix("p_"): float(row[name]) for name in names} for row in rows]


def measure(line: list[str], texts: list[str], expected: list[dict[str, float]], args) -> dict:
    """启动一个服务，让 1、8 …个客户各问 args.seconds 秒，再停掉它：{几个客户: 量到的}"""
    found = {}
    with started(*line) as (url, pid):
        ask_for(url, texts, expected, min(5, args.seconds / 2), max(args.clients))  # 热身
        for clients in args.clients:
            with memory_curve(pid, args.seconds / 12) as curve:
                waits, errors = ask_for(url, texts, expected, args.seconds, clients)
            p50, p99 = np.percentile(waits, [50, 99]) * 1000
            rate = len(waits) / args.seconds
            found[clients] = {
                "rate": rate,
                "p50": p50,
                "p99": p99,
                "errors": errors,
                "memory": curve,
            }
    return found


def row_of(name: str, rounds: dict[str, list[dict[int, dict]]]) -> list[str]:
    """一个服务的一行；和 pipeline 的比值先在同一回合里比，再取中位数"""
    found, row = rounds[name], [name]
    for clients in found[0]:
        pairs = zip(found, rounds["pipeline"], strict=True)
        ratio = statistics.median(
            one[clients]["rate"] / other[clients]["rate"] for one, other in pairs
        )
        p50, p99 = (statistics.median(one[clients][key] for one in found) for key in ("p50", "p99"))
        row.append(f"{ratio:.2f} × ({p50:.0f}, {p99:.0f})")
    each = [one for all_clients in found for one in all_clients.values()]
    errors = [error for one in each for error in one["errors"]]
    if errors:
        print(f"{name} 出的错：{errors[:3]}\n")
    return [*row, str(len(errors)), f"{max(mb for one in each for mb in one['memory']):.0f} MB"]


def main() -> None:
    parser = Parser(__doc__)
    positive, count = above(0.0), at_least(1)
    parser.add_argument("--seconds", type=positive, default=30, help="每次问几秒，默认 30")
    some = [1, 8, 32, 128]
    parser.add_argument("--clients", type=count, nargs="+", default=some, help="几个客户，几种")
    parser.add_argument("--rounds", type=count, default=3, help="几个回合，默认 3")
    weights = PARAMS / "best.pth"
    parser.add_argument("--weights", type=Path, default=weights, help="默认 params/best.pth")
    wait = at_least(0.0)
    parser.add_argument("--wait", type=wait, default=0.005, help="LitServe 等几秒凑批，默认 0.005")
    parser.add_argument("--peer", choices=list(PEERS), help="内部用：当一个对手")
    parser.add_argument("--folder", type=Path, help="内部用：导出的文件夹")
    args = parser.parse_args()
    if args.peer:
        options = {"wait": args.wait} if args.peer == "LitServe" else {}
        PEERS[args.peer][0](args.folder, **options)
        return
    if not args.weights.is_file():
        raise CourseError(f"没有 {args.weights}", command("demo02_sentiment/train.py"))

    texts = list(reviews("test")["text"][:TEXTS])
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        shutil.copy(args.weights, folder)
        weights, exported = folder / args.weights.name, folder / EXPORTED
        serve = [str(LESSON / "09_serve.py"), "--port", "0", "--weights", str(weights)]
        servers = {"09_serve.py": serve}
        if find_spec("onnxruntime") and find_spec("onnxscript"):
            servers["09_serve.py --onnx"] = [*serve, "--onnx"]
            lesson("11_export.py", "--weights", weights, "--onnx")
        else:
            print("跳过 09_serve.py --onnx：没有安装 onnxruntime、onnxscript")
            lesson("11_export.py", "--weights", weights)
        expected = predict(texts, weights, folder)
        for name, (_, package) in PEERS.items():
            if package is None or find_spec(package):
                line = [__file__, "--peer", name, "--folder", str(exported)]
                servers[name] = [*line, "--wait", str(args.wait)]
            else:
                print(f"跳过 {name}：没有安装 {package}")
        rounds: dict[str, list[dict]] = {name: [] for name in servers}
        for _ in range(args.rounds):
            for name, line in servers.items():
                rounds[name].append(measure(line, texts, expected, args))

    print(f"{machine()}\n每次 {args.seconds:g} 秒，{args.rounds} 个回合\n")
    print("每秒答几个，是 pipeline 的几倍（一半的请求几毫秒以内，百分之九十九的几毫秒以内）\n")
    header = ["server", *(f"{clients} 个客户" for clients in args.clients), "errors", "memory"]
    print_table(header, [row_of(name, rounds) for name in rounds])


if __name__ == "__main__":
    run(main)
