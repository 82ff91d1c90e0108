"""不是一课  extra_trainer、extra_accelerate 的后台"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from backstage.checkpoint import RECORD
from course.errors import CourseError
from course.files import atomic_write
from net import Model

# 别的进程没了，等着它的这一个会收到的：gloo（CPU）、NCCL（显卡）各有各的说法
GONE = re.compile(r"gloo|NCCL|Connection (?:closed|reset)|Broken pipe|Socket Timeout", re.I)


@contextmanager
def together() -> Iterator[None]:
    """一个进程被杀了、死机了，别的不能一直等它：说一声，也停下，退出码不是 0"""
    try:
        yield
    except RuntimeError as error:
        if not GONE.search(str(error)):
            raise
        raise CourseError(
            "别的进程停了，缺一个也算不下去",
            "先看它的那一台、那一段输出里为什么停，改好了再运行一次",
        ) from error


def save_best(params: Path, model: Model) -> None:
    """Trainer 读回来的最好的一轮，存成别的脚本认得的 best.pth"""
    state = model.state_dict() | {RECORD: Model.get_extra_state(model)}
    with atomic_write(params / "best.pth") as path:
        torch.save(state, path)
    best = model.record
    print(
        f"\n最好的一轮是 {best['epoch']}，验证精度 {best['validation_accuracy']:.4f}"
        f"\n权重 {params / 'best.pth'}"
    )
