"""工具  启动有多慢：还没有开始做事，光是 import 就要多少处理器时间

每一行都在新的进程里 import 一次，轮流跑，取中位数。前几行是别人的库，后几行是课上的脚本：一个脚本
不会比它用的库更快，多出来的才是我们的。

怎么运行：
    python benchmarks/bench_start.py
    python benchmarks/bench_start.py --rounds 3
"""

from course.cli import Parser, at_least, run
from course.errors import CourseError
from course.paths import ROOT

import os
import statistics
import subprocess
import sys
import time

from bench_common import machine, print_table

IMPORTS = {  # 一行的名字 → 代码
    "import torch": "import torch",
    "from transformers import AutoModel": "from transformers import AutoModel",
    "from transformers import BertModel": "from transformers import BertModel",
    "import datasets": "import datasets",
    "04_generate_text.py": "import runpy; runpy.run_path('demo01_hf_basics/04_generate_text.py')",
    "train.py": "import train",
    "evaluate.py": "import evaluate",
    "predict.py": "import predict",
    "serve.py": "import serve",
}


def once(code: str) -> tuple[float, float]:
    """新的进程里运行 code：(处理器秒, 墙上秒)；出错时抛 CourseError"""
    folders = [ROOT, ROOT / "demo02_sentiment", ROOT / "demo01_hf_basics"]
    path = os.pathsep.join(map(str, folders))
    line = [sys.executable, "-c", f"{code}\nimport time; print('CPU', time.process_time())"]
    started = time.perf_counter()
    done = subprocess.run(
        line, cwd=ROOT, env=os.environ | {"PYTHONPATH": path}, capture_output=True, encoding="utf-8"
    )
    wall = time.perf_counter() - started
    if done.returncode:
        raise CourseError(f"{code} 没有成功：{done.stderr[-200:]}", "先按 README 装好要用的包")
    return float(done.stdout.rsplit("CPU", 1)[1]), wall


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--rounds", type=at_least(1), default=5, help="几个回合，默认 5")
    args = parser.parse_args()
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in IMPORTS}
    for _ in range(args.rounds):
        for name, code in IMPORTS.items():
            found[name].append(once(code))
    print(f"{machine()}，{args.rounds} 个回合\n")
    bert = [cpu for cpu, _ in found["from transformers import BertModel"]]
    table = []
    for name, times in found.items():
        cpu, wall = (statistics.median(column) for column in zip(*times, strict=True))
        ratio = statistics.median(
            mine / other for (mine, _), other in zip(times, bert, strict=True)
        )
        table.append([name, f"{cpu:.1f}", f"{wall:.1f}", f"{ratio:.2f} ×"])
    print_table(["import", "CPU s", "s", "÷ BertModel"], table)


if __name__ == "__main__":
    run(main)
