"""不是一课  几个基准共用的：一个进程的内存、机器的说明、读评论、打印表格"""

import math
import os
import platform
import statistics
from itertools import accumulate
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import transformers

from course.reviews import REVIEWS

CHNSENTICORP = (76, 0.849)  # ChnSentiCorp 字数的中位数、对数的标准差：平均 109、p99 543 都对得上


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


def pick_reviews(count: int, lengths: str) -> list[str]:
    """训练集的 count 条评论，长短的分布与整份数据相同（等间隔地取）

    lengths 是 "ours"（本课的评论）或 "chnsenticorp"（对数正态，把本课的评论接起来再切断）。
    """
    texts = list(reviews("train")["text"])
    points = [(i + 0.5) / count for i in range(count)]
    if lengths == "ours":
        texts.sort(key=len)
        chosen = [texts[int(point * len(texts))] for point in points]
    else:
        median, sigma = CHNSENTICORP
        normal = statistics.NormalDist(math.log(median), sigma)
        sizes = [round(math.exp(normal.inv_cdf(point))) for point in points]
        stream = "".join(texts)
        stream *= math.ceil(sum(sizes) / len(stream))
        chosen = [stream[end - n : end] for n, end in zip(sizes, accumulate(sizes), strict=True)]
    return [chosen[i] for i in np.random.default_rng(0).permutation(count)]


def print_table(header: list[str], rows: list[list[str]]) -> None:
    """打印一张 Markdown 表，可以原样贴进 README"""
    for row in (header, ["---"] * len(header), *rows):
        print(f"| {' | '.join(row)} |")
    print(flush=True)
