"""不是一课  train 和几课微调共用的精度、批数和命令行参数"""

from collections.abc import Callable
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from course.cli import Parser, above, at_least
from course.columns import add_data_arguments
from course.encoding import POOLINGS
from course.errors import CourseError
from course.paths import portable
from my_dataset import MAX_LENGTH, MyDataset
from net import DEVICE, MODEL


@torch.no_grad()
def accuracy(forward: Callable[..., torch.Tensor], loader: DataLoader) -> float:
    """在 loader 的全部数据上的精度：答对的条数 / 总条数；forward(*inputs) 给出一批的 logits"""
    correct = total = 0
    for *inputs, labels in loader:
        out = forward(*(x.to(DEVICE) for x in inputs))
        correct += (out.argmax(dim=1) == labels.to(DEVICE)).sum().item()
        total += len(labels)
    return correct / total


def count_batches(dataset: MyDataset, batch_size: int) -> int:
    """每轮几批，凑不满的一批不算；一批都凑不出来时抛 CourseError"""
    batches = len(dataset) // batch_size
    if batches == 0:
        raise CourseError(
            f"--batch-size {batch_size} 比训练集的 {len(dataset)} 条还大，一批都凑不出来",
            f"--batch-size {max(1, len(dataset) // 10)}",
        )
    return batches


def make_parser(
    description: str,
    params: Path,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    patience: int,
    seed: int,
) -> Parser:
    """train.py 和 extra_finetune.py 共同的参数，各有各的默认值；params 是默认存到哪个文件夹"""
    parser = Parser(description)
    add = parser.add_argument
    add("--model", default=MODEL, help=f"模型名或文件夹，默认 {MODEL}")
    add_data_arguments(parser)
    add("--params", type=Path, default=params, help=f"默认存到 {portable(params)}/")
    add("--epochs", type=at_least(1), default=epochs, help=f"最多几轮，默认 {epochs}")
    add("--batch-size", type=at_least(1), default=batch_size, help=f"默认 {batch_size}")
    add("--pooling", choices=POOLINGS, default="cls", help="一句话用 [CLS] 还是平均，默认 cls")
    add("--max-length", type=at_least(3), default=MAX_LENGTH, help=f"默认 {MAX_LENGTH}")
    rate = above(0.0)
    add("--lr", type=rate, default=learning_rate, help=f"fc 的学习率，默认 {learning_rate}")
    add("--patience", type=at_least(0), default=patience, help="几轮没进步就停，0 = 永不")
    ways = ("none", "balanced")
    add("--class-weight", choices=ways, default="none", help="各类条数悬殊时用 balanced")
    add("--seed", type=at_least(0), default=seed, help=f"随机种子，默认 {seed}")
    add("--resume", action="store_true", help="接着上次停在半路的训练，别的参数要和那次一样")
    return parser
