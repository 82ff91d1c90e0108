"""工具  启动和退出有多慢：还没有开始做事，光是 import 就要多少处理器时间；做完了，多久才退出

每一行都在新的进程里 import 一次，轮流跑，取中位数。前几行是别人的库，后几行是课上的脚本：一个脚本
不会比它用的库更快，多出来的才是我们的。exit s 是做完之后到进程真的没了：Python 退出前要查一遍
全部对象，课上的脚本由 course/cli.py 的 run 免了这一遍（gc.freeze）。

怎么运行：
    python benchmarks/bench_start.py
    python benchmarks/bench_start.py --rounds 3
"""

from course.cli import Parser, at_least, run
from course.errors import CourseError
from course.paths import ROOT

import statistics
import subprocess
import sys
import time

from bench_common import lesson_environment, machine, print_table

IMPORTS = {  # 一行的名字 → 代码
    "import torch": "import torch",
    "from transformers import AutoModel": "from transformers import AutoModel",
    "from transformers import BertModel": "from transformers import BertModel",
    "import datasets": "import datasets",
    "04_generate_text.py": "import runpy; runpy.run_path('demo01_hf_basics/04_generate_text.py')",
    "train.py": "import train",
    "07_evaluate.py": "import evaluate",
    "08_predict.py": "import predict",
    "09_serve.py": "import serve",
}
OURS = "\nfrom course.cli import run\nrun(lambda: None)"  # 和脚本的最后一行一样，只是什么也不做


def once(code: str) -> tuple[float, float, float]:
    """新的进程里运行 code：(处理器秒, 墙上秒, 退出的秒数)；出错时抛 CourseError"""
    tail = "import time; print('CPU', time.process_time(), time.time())"
    line = [sys.executable, "-c", f"{code}\n{tail}"]
    started = time.time()
    done = subprocess.run(
        line, cwd=ROOT, env=lesson_environment(), capture_output=True, encoding="utf-8"
    )
    ended = time.time()
    if done.returncode:
        raise CourseError(f"{code} 没有成功：{done.stderr[-200:]}", "先按 README 装好要用的包")
    cpu, ready = map(float, done.stdout.rsplit("CPU", 1)[1].split())
    return cpu, ready - started, ended - ready


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--rounds", type=at_least(1), default=5, help="几个回合，默认 5")
    args = parser.parse_args()
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in IMPORTS}
    for _ in range(args.rounds):
        for name, code in IMPORTS.items():
            found[name].append(once(code + OURS * name.endswith(".py")))
    print(f"{machine()}，{args.rounds} 个回合\n")
    bert = [cpu for cpu, *_ in found["from transformers import BertModel"]]
    table = []
    for name, times in found.items():
        cpu, wall, leave = (statistics.median(column) for column in zip(*times, strict=True))
        ratio = statistics.median(
            mine / other for (mine, *_), other in zip(times, bert, strict=True)
        )
        table.append([name, *(f"{x:.1f}" for x in (cpu, wall, leave)), f"{ratio:.2f} ×"])
    print_table(["import", "CPU s", "s", "exit s", "CPU ÷ BertModel"], table)


if __name__ == "__main__":
    run(main)
