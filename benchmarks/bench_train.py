"""工具  训练有多快：特征算好之后，一轮要几毫秒，30,000 轮要多久，一百万条要多少内存

量什么：分类头 fc 的一轮（9,600 × 768 个特征，批次 90），几种写法轮流跑，取中位数：
    plain loop    DataLoader(TensorDataset) + AdamW，没有优化过的写法
    our train.py  FeatureDataset 一次切好一批，其余和课上一样，权重一位不差：本课的循环
    by hand       梯度用手写的公式，numpy 写进预先备好的数组，没有自动求导
三种写法打乱的顺序相同，所以权重也应该相同，表里给出和 plain loop 最大差多少。
然后：课上的一轮（每条补到 500 个 token，完整大小的 BERT 重算一遍）；by hand 真的跑完 --run 轮；
1,000 … 1,000,000 条特征放在硬盘上，内存映射着训练。
课程的循环停在第二种：好读，也够快。by hand 说明还剩多少余地。

怎么运行：
    python benchmarks/bench_train.py --rounds 2 --epochs 2 --run 0 --rows 1000 10000   约 1 分钟
    python benchmarks/bench_train.py                                                   约 20 分钟
    python benchmarks/bench_train.py --compare    再让 plain loop 也跑那么多轮，比权重，约 2 小时
"""

import math
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits  # 随 scikit-learn 装好了
from torch import nn
from torch.optim import AdamW
from torch.utils.data import DataLoader, TensorDataset
from tqdm import tqdm
from transformers import BertConfig, BertModel

from bench_common import machine, memory, print_table
from course.cli import Parser, at_least, run
from course.features import FeatureDataset

HIDDEN, LABELS = 768, 2  # bert-base-chinese 的特征维数、正负两类
BATCH_SIZE = 90  # 课上的批次大小
LEARNING_RATE = 1e-3
SEED = 0
BLOCK = 4096  # 硬盘上的特征成块地打乱：块的顺序打乱，块内再打乱，读的地方就总在附近


def make_data(rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """像 [CLS] 特征的随机数 (rows, HIDDEN)，和由其中一个方向加噪声决定的标签 (rows,)"""
    generator = torch.Generator().manual_seed(SEED)
    features = torch.randn(rows, HIDDEN, generator=generator) * 0.5
    noise = torch.randn(rows, generator=generator)
    return features, (features[:, :16].sum(1) + noise > 0).long()


def make_head() -> nn.Linear:
    torch.manual_seed(SEED)
    return nn.Linear(HIDDEN, LABELS)


def flat(fc: nn.Linear) -> np.ndarray:
    """fc 的权重和偏置接成一条"""
    return torch.cat([fc.weight.flatten(), fc.bias]).detach().numpy().copy()


def loop(dataset, epochs: int, collate_fn=None) -> np.ndarray:
    """课上的循环，训练 epochs 轮，返回权重"""
    fc, loss_fn = make_head(), nn.CrossEntropyLoss()
    optimizer = AdamW(fc.parameters(), lr=LEARNING_RATE)
    loader = DataLoader(
        dataset,
        batch_size=BATCH_SIZE,
        shuffle=True,
        drop_last=True,
        collate_fn=collate_fn,
        generator=torch.Generator().manual_seed(SEED),
    )
    for _ in range(epochs):
        for features, labels in loader:
            loss = loss_fn(fc(features), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return flat(fc)


def loader_orders(rows: int, epochs: int) -> Iterator[np.ndarray]:
    """DataLoader(shuffle=True) 每轮打乱的顺序；它还多抽两次随机数，要跟着抽，顺序才对得上"""
    generator = torch.Generator().manual_seed(SEED)
    for _ in range(epochs):
        torch.empty((), dtype=torch.int64).random_(generator=generator)  # 给读数据的子进程的种子
        yield torch.randperm(rows, generator=generator).numpy()
        torch.randperm(rows, generator=generator)  # RandomSampler 收尾时又打乱一次，没有用上


def block_orders(rows: int, epochs: int) -> Iterator[np.ndarray]:
    """成块打乱的顺序，给比内存大的数据用"""
    generator = np.random.default_rng(SEED)
    for _ in range(epochs):
        blocks = np.array_split(np.arange(rows), -(-rows // BLOCK))
        generator.shuffle(blocks)
        yield np.concatenate([generator.permutation(block) for block in blocks])


def by_hand(features: np.ndarray, labels: np.ndarray, orders: Iterator[np.ndarray]) -> np.ndarray:
    """同样的训练，梯度手写：交叉熵对 logits 的梯度是 (softmax - 标签的 one-hot) / 批次大小

    features (N, HIDDEN) 可以是内存映射的；orders 每轮给一个顺序。AdamW 照 Loshchilov & Hutter
    2019（arXiv:1711.05101）算法 2，默认值与 PyTorch 相同。
    """
    beta1, beta2, epsilon, decay = 0.9, 0.999, 1e-8, 0.01
    weights = flat(make_head())
    gradient, mean, square, change = (np.zeros_like(weights) for _ in range(4))
    # weights 和 gradient 里 fc.weight、fc.bias 的那两段，改它们就是改整条
    weight, bias = weights[:-LABELS].reshape(LABELS, HIDDEN), weights[-LABELS:, None]
    weight_gradient = gradient[:-LABELS].reshape(LABELS, HIDDEN)
    one_hot = np.eye(LABELS, dtype=np.float32)[labels]
    x = np.empty((BATCH_SIZE, HIDDEN), np.float32)
    y = np.empty((BATCH_SIZE, LABELS), np.float32)
    out = np.empty((LABELS, BATCH_SIZE), np.float32)  # 一列一条：按列求和、求最大值，内存连着读
    total = np.empty(BATCH_SIZE, np.float32)
    step = 0
    for order in orders:
        for start in range(0, len(order) - BATCH_SIZE + 1, BATCH_SIZE):
            rows = order[start : start + BATCH_SIZE]
            np.take(features, rows, axis=0, out=x, mode="clip")
            np.take(one_hot, rows, axis=0, out=y, mode="clip")
            # 前向：logits → softmax（先减最大值，免得 exp 溢出）
            np.dot(weight, x.T, out=out)
            out += bias
            out -= np.maximum.reduce(out, axis=0, out=total)
            np.exp(out, out=out)
            out /= np.add.reduce(out, axis=0, out=total)
            # 梯度
            out -= y.T
            out *= 1 / BATCH_SIZE
            np.dot(out, x, out=weight_gradient)
            np.add.reduce(out, axis=1, out=gradient[-LABELS:])
            # AdamW：mean 和 square 少乘了 1 - beta，补在 scale 和步长里，省几次来回
            step += 1
            weights *= 1 - LEARNING_RATE * decay
            mean *= beta1
            mean += gradient
            gradient *= gradient
            square *= beta2
            square += gradient
            scale = math.sqrt((1 - beta2) / (1 - beta2**step))
            np.sqrt(square, out=change)
            change += epsilon / scale
            np.divide(mean, change, out=change)
            change *= LEARNING_RATE * (1 - beta1) / (1 - beta1**step) / scale
            weights -= change
    return weights


def lecture_epoch(rows: int, batch: int) -> float:
    """课上的一轮要几秒：完整大小的 BERT（随机权重），补到 500 个 token，由 batch 条推算"""
    torch.manual_seed(SEED)
    encoder = BertModel(BertConfig(vocab_size=21128), add_pooling_layer=False).eval()
    ids = torch.randint(1000, 8000, (batch, 500))
    mask = torch.ones_like(ids)
    mask[:, 80:] = 0  # 后面都是补齐的
    seconds = []
    for _ in range(3):  # 第一次热身，不算
        started = time.perf_counter()
        with torch.no_grad():
            encoder(input_ids=ids, attention_mask=mask)
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:]) / len(ids) * rows


def timed(function, *arguments) -> tuple[float, float, object]:
    """(秒, CPU 秒, 结果)"""
    wall, cpu = time.perf_counter(), time.process_time()
    result = function(*arguments)
    return time.perf_counter() - wall, time.process_time() - cpu, result


def compare_loops(rows: int, rounds: int, epochs: int, lecture: float) -> None:
    """第一张表：三种写法一轮几毫秒，30,000 轮多久，权重差多少"""
    features, labels = make_data(rows)
    plain, sliced = TensorDataset(features, labels), FeatureDataset(features, labels)
    ways = {
        "plain loop": lambda: loop(plain, epochs),
        "our train.py": lambda: loop(sliced, epochs, tuple),
        "by hand": lambda: by_hand(features.numpy(), labels.numpy(), loader_orders(rows, epochs)),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    weights = {}
    for _ in range(rounds):  # 轮流跑：机器忽快忽慢，对谁都一样
        for name, way in ways.items():
            wall, cpu, weights[name] = timed(way)
            times[name].append((wall / epochs, cpu / epochs))
    table = []
    for name, pairs in times.items():
        wall, cpu = (statistics.median(column) for column in zip(*pairs, strict=True))
        faster = statistics.median(
            a / b for (a, _), (b, _) in zip(times["plain loop"], pairs, strict=True)
        )
        table.append(
            [
                name,
                f"{wall * 1000:.1f}",
                f"{cpu * 1000:.1f}",
                f"{faster:.1f} ×",
                f"1 : {lecture / wall:,.0f}",
                f"{cpu * 30000 / 60:.1f}",
                f"{np.abs(weights[name] - weights['plain loop']).max():.1e}",
            ]
        )
    print(f"{rows} × {HIDDEN} 个特征，批次 {BATCH_SIZE}，{rounds} 个回合，每回合 {epochs} 轮\n")
    print_table(
        [
            "way",
            "ms per epoch",
            "CPU ms per epoch",
            "plain loop ÷ it",
            "it : lecture's epoch",
            "30,000 epochs, CPU min (projected)",
            f"weights after {epochs} epochs: largest difference to plain loop",
        ],
        table,
    )


def really_run(rows: int, epochs: int, compare: bool) -> None:
    """真的跑完 epochs 轮，early stopping 关着"""
    features, labels = make_data(rows)
    orders = tqdm(loader_orders(rows, epochs), total=epochs, desc="by hand", mininterval=5)
    wall, cpu, weights = timed(by_hand, features.numpy(), labels.numpy(), orders)
    print(
        f"by hand 真的跑完 {epochs} 轮：{wall / 60:.1f} 分钟，{cpu / 60:.1f} CPU 分钟", flush=True
    )
    if compare:
        wall, cpu, plain = timed(loop, TensorDataset(features, labels), epochs)
        print(f"plain loop 跑完 {epochs} 轮：{wall / 60:.1f} 分钟，{cpu / 60:.1f} CPU 分钟")
        print(f"两份权重最大差 {np.abs(weights - plain).max():.1e}")
    print(flush=True)


def out_of_core(sizes: list[int], folder: Path) -> None:
    """第二张表：特征在硬盘上，用内存映射读，一轮多久，进程自己占多少内存"""
    table = []
    for rows in sizes:
        path = folder / "features.npy"
        shape = (rows, HIDDEN)
        file = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
        generator = np.random.default_rng(SEED)
        for start in range(0, rows, BLOCK):
            block = generator.standard_normal((min(BLOCK, rows - start), HIDDEN), np.float32)
            file[start : start + BLOCK] = block
        file.flush()
        del file
        features = np.load(path, mmap_mode="r")
        labels = generator.integers(0, LABELS, rows)
        wall, cpu, _ = timed(by_hand, features, labels, block_orders(rows, 1))
        table.append(
            [
                f"{rows:,}",
                f"{path.stat().st_size / 2**20:,.0f} MB",
                f"{wall:.2f} s",
                f"{cpu / rows * 1e6:.2f}",
                f"{memory('RssAnon'):.0f} MB",
            ]
        )
        del features
        path.unlink()
    print(f"特征在硬盘上（内存映射），按 {BLOCK} 行一块打乱，by hand 一轮\n")
    print_table(
        ["rows", "file", "one epoch", "CPU us per row", "memory of the process (RssAnon)"], table
    )


def main() -> None:
    parser = Parser(__doc__)
    count = at_least(1)
    parser.add_argument("--reviews", type=count, default=9600, help="训练集的条数，默认 9600")
    parser.add_argument("--rounds", type=count, default=7, help="几个回合，默认 7")
    parser.add_argument("--epochs", type=count, default=10, help="每回合几轮，默认 10")
    parser.add_argument("--lecture", type=count, default=8, help="由几条推算课上的一轮，默认 8")
    parser.add_argument("--run", type=at_least(0), default=30000, help="真的跑几轮，0 = 不跑")
    parser.add_argument("--compare", action="store_true", help="plain loop 也跑那么多轮，比权重")
    parser.add_argument(
        "--rows",
        type=count,
        nargs="*",
        default=[1000, 10_000, 100_000, 1_000_000],
        help="硬盘上几条",
    )
    args = parser.parse_args()

    print(f"{machine()}\n")
    lecture = lecture_epoch(args.reviews, args.lecture)
    threads = torch.get_num_threads()
    print(f"课上的一轮：{lecture / 60:.0f} 分钟（由 {args.lecture} 条推算，{threads} 个线程）\n")
    # fc 很小，多个线程互相等的时间比算的时间还长：PyTorch 和 numpy 的矩阵乘法都只用一个线程
    torch.set_num_threads(1)
    with threadpool_limits(1, user_api="blas"), tempfile.TemporaryDirectory() as folder:
        compare_loops(args.reviews, args.rounds, args.epochs, lecture)
        if args.run:
            really_run(args.reviews, args.run, args.compare)
        out_of_core(args.rows, Path(folder))


if __name__ == "__main__":
    run(main)
