"""不是一课  几个基准共用的：一个进程的内存、机器的说明、读评论、打印表格"""

import os
import platform
from pathlib import Path

import pandas as pd
import torch
import transformers

from course.reviews import REVIEWS


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


def reviews(split: str) -> pd.DataFrame:
    """自带的评论的一份：列 text、label、label_text"""
    return pd.read_csv(REVIEWS / f"{split}.csv", keep_default_na=False)


def print_table(header: list[str], rows: list[list[str]]) -> None:
    """打印一张 Markdown 表，可以原样贴进 README"""
    for row in (header, ["---"] * len(header), *rows):
        print(f"| {' | '.join(row)} |")
    print(flush=True)
