"""不是一课  extra_trainer、extra_accelerate 的后台"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from backstage.checkpoint import RECORD
from backstage.tuning import BATCH_SIZE, EPOCH, SEED
from course.cli import Parser, at_least
from course.columns import add_data_arguments
from course.errors import CourseError
from course.files import atomic_write
from my_dataset import MAX_LENGTH
from net import MODEL, Model

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


def finetune_parser(description: str, params: Path) -> Parser:
    """extra_finetune.py 的参数里，另外两种写法也要的那几个；params 是默认存到哪个文件夹"""
    parser = Parser(description)
    add = parser.add_argument
    add("--model", default=MODEL, help=f"模型名或文件夹，默认 {MODEL}")
    add_data_arguments(parser)
    add("--params", type=Path, default=params, help=f"存到哪个文件夹，默认 params/{params.name}")
    add("--epochs", type=at_least(1), default=EPOCH, help=f"几轮，默认 {EPOCH}")
    add("--batch-size", type=at_least(1), default=BATCH_SIZE, help=f"默认 {BATCH_SIZE}")
    add("--max-length", type=at_least(3), default=MAX_LENGTH, help=f"默认 {MAX_LENGTH}")
    add("--seed", type=at_least(0), default=SEED, help=f"随机种子，默认 {SEED}")
    return parser


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
