"""三个基准共用的：在子进程里用 demo02 的代码、机器的说明、打印表格"""

import os
import platform
import sys
from pathlib import Path

import torch
import transformers

from course.paths import ROOT


def child_command(script: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """(命令, 环境变量)：在新进程里运行 script，`import features` 找到的是 demo02_sentiment 的

    -P 让 Python 不先找脚本所在的文件夹：benchmarks/train.py 和 demo02_sentiment/train.py 同名。
    """
    places = [ROOT / "demo02_sentiment", ROOT / "benchmarks", ROOT, os.environ.get("PYTHONPATH")]
    path = os.pathsep.join(str(place) for place in places if place)
    return [sys.executable, "-P", script, *arguments], os.environ | {"PYTHONPATH": path}


def memory(field: str, pid: int | str = "self") -> float:
    """一个进程的内存，MB；field 是 /proc/…/status 里的名字，没有这个文件的系统返回 nan"""
    status = Path(f"/proc/{pid}/status")
    if not status.is_file():
        return float("nan")
    lines = status.read_text(encoding="utf-8").splitlines()
    return next(int(x.split()[1]) / 1024 for x in lines if x.startswith(f"{field}:"))


def machine() -> str:
    """一行：处理器、核数、指令集、系统、Python 和各个库的版本"""
    info = Path("/proc/cpuinfo")
    name = platform.processor() or platform.machine()
    if info.is_file():
        lines = info.read_text(encoding="utf-8").splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        name = names[0] if names else name
    units = torch.cpu.get_capabilities()
    extra = [unit for unit in ("avx2", "avx512_f", "avx512_bf16", "amx_bf16") if units.get(unit)]
    return (
        f"{name}，{os.cpu_count()} 个核，{' '.join(extra)}；{platform.system()}，"
        f"Python {platform.python_version()}，torch {torch.__version__}，"
        f"transformers {transformers.__version__}"
    )


def print_table(header: list[str], rows: list[list[str]]) -> None:
    """打印一张 Markdown 表，可以原样贴进 README"""
    for row in (header, ["---"] * len(header), *rows):
        print(f"| {' | '.join(row)} |")
    print(flush=True)
