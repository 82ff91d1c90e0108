"""工具  只来一条评论时有多快：我们的引擎，和同一个导出的模型交给 ONNX Runtime、OpenVINO

谁和谁比（各在自己的进程里，轮流跑 A B C A B C …；每次都从文字算到概率，分词也在内）：
    ours            course/packed_bert.py 的 encode 和分类头，SentimentClassifier 就是这样算的
    ONNX Runtime    onnx/model.onnx
    OpenVINO        同一个 onnx/model.onnx，PERFORMANCE_HINT=LATENCY，fp32
各用一个线程、用全部核。没装的跳过。四种长短：1、16、77、300 个字；每种给墙上时间的 p50、p99，处理器
时间（CPU）的 p50，和 ours ÷ 它（线程数相同的比；先在每个回合里比，再取各回合的中位数；大于 1 就是它
比我们快）。别的程序在抢核时，墙上时间不可信，CPU 的比值还看得。概率和 ours 的最大差也在表里。

怎么运行：先训练（train.py）、导出（11_export.py --onnx），再
    python -m pip install -r benchmarks/requirements.txt
    python benchmarks/bench_one_review.py
    python benchmarks/bench_one_review.py --model 别的导出的文件夹 --rounds 10 --calls 5
"""

from course.cli import Parser, at_least, run
from course.errors import CourseError
from course.models import load_model, load_tokenizer
from course.packed_bert import encode, prepare
from course.paths import PARAMS
from course.reviews import load_reviews

import os
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
from transformers import BertForSequenceClassification

from bench_common import machine, print_table

MODEL = PARAMS / "review-sentiment-zh"  # 11_export.py --onnx 写的
ONNX = Path("onnx") / "model.onnx"
LENGTHS = (1, 16, 77, 300)  # 几个字
WARM_UP = 10

# ---- 各种做法：folder 是导出的文件夹，返回 一条评论 → 概率 (1, 类别数) 的函数 ------------------


def ours(folder: Path, threads: int) -> Callable:
    torch.set_num_threads(threads)
    model, tokenizer = load_model(BertForSequenceClassification, folder), load_tokenizer(folder)
    kept = list(prepare(model.bert))

    def compute(text: str) -> np.ndarray:
        features = encode(model.bert, tokenizer, [text], prepared=kept, progress=False)
        with torch.inference_mode():
            hidden = model.bert.pooler(features[:, None])  # (N, 1, hidden)：只有 [CLS] 一个位置
            return model.classifier(hidden).softmax(dim=1).numpy()

    return compute


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def onnx_runtime(folder: Path, threads: int) -> Callable:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(folder / ONNX), options, ["CPUExecutionProvider"])
    tokenizer = load_tokenizer(folder)

    def compute(text: str) -> np.ndarray:
        batch = tokenizer([text], truncation=True, return_tensors="np")
        return softmax(session.run(["logits"], dict(batch))[0])

    return compute


def open_vino(folder: Path, threads: int) -> Callable:
    import openvino

    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
    }
    model = openvino.compile_model(folder / ONNX, "CPU", settings)
    tokenizer = load_tokenizer(folder)

    def compute(text: str) -> np.ndarray:
        batch = tokenizer([text], truncation=True, return_tensors="np")
        return softmax(model(dict(batch))["logits"])

    return compute


ENGINES = {"ours": ours, "ONNX Runtime": onnx_runtime, "OpenVINO": open_vino}


# ---- 子进程：装好一种做法，主进程给一条评论就算几遍 --------------------------------------------


def worker(name: str, threads: int, folder: Path, pipe: Connection) -> None:
    """收 (评论, 算几遍)，回 (秒数 (遍数, 2)：墙上、处理器, 概率)；先回没装的包，都装了回 None"""
    try:
        compute = ENGINES[name](folder, threads)
    except ModuleNotFoundError as error:
        pipe.send(error.name)
        return
    pipe.send(None)
    while request := pipe.recv():
        text, calls = request
        seconds = []
        for _ in range(calls):
            wall, cpu = time.perf_counter(), time.process_time()
            probabilities = compute(text)
            seconds.append((time.perf_counter() - wall, time.process_time() - cpu))
        pipe.send((np.array(seconds), probabilities))


def start(name: str, threads: int, folder: Path) -> Connection | None:
    """一种做法的子进程，回它那一头的管子；没装就打印一句，回 None"""
    context = get_context("spawn")
    pipe, theirs = context.Pipe()
    context.Process(target=worker, args=(name, threads, folder, theirs), daemon=True).start()
    theirs.close()
    missing = pipe.recv()
    if missing:
        print(f"跳过 {name}：没有安装 {missing}")
        return None
    return pipe


def main() -> None:
    parser = Parser(__doc__)
    count = at_least(1)
    parser.add_argument("--model", type=Path, default=MODEL, help=f"默认 {MODEL.name}")
    parser.add_argument("--rounds", type=count, default=20, help="几个回合，默认 20")
    parser.add_argument("--calls", type=count, default=20, help="一回合每种几遍，默认 20")
    parser.add_argument("--threads", type=count, nargs="+", default=[1, os.cpu_count()])
    args = parser.parse_args()
    if not (args.model / ONNX).is_file():
        raise CourseError(
            f"{args.model} 里没有 {ONNX.as_posix()}", "python demo02_sentiment/11_export.py --onnx"
        )
    stream = "".join(load_reviews()["test"]["text"][:])
    texts = {length: stream[:length] for length in LENGTHS}

    print(machine())
    ways = [(name, threads) for threads in dict.fromkeys(args.threads) for name in ENGINES]
    pipes = {way: pipe for way in ways if (pipe := start(*way, args.model))}
    times = {(way, length): [] for way in pipes for length in LENGTHS}
    answers = {}
    for turn in range(args.rounds + 1):  # 第一回合热身，不算
        for length, text in texts.items():
            for way, pipe in pipes.items():
                pipe.send((text, args.calls if turn else WARM_UP))
                seconds, answers[way, length] = pipe.recv()
                times[way, length] += [seconds] if turn else []
    for pipe in pipes.values():
        pipe.send(None)

    print(f"\n{args.model.name}，每种 {args.rounds} 个回合 × {args.calls} 遍，毫秒\n")
    rows = []
    for length in LENGTHS:
        for way in pipes:
            name, threads = way
            mine, theirs = (np.stack(times[w, length]) for w in (("ours", threads), way))
            # (回合, 遍, 墙上和处理器) → 每个回合的中位数之比，再取中位数
            ratios = np.median(np.median(mine, axis=1) / np.median(theirs, axis=1), axis=0)
            wall, cpu = 1000 * theirs.reshape(-1, 2).T
            difference = np.abs(answers[way, length] - answers[("ours", threads), length]).max()
            numbers = [
                f"{x:.2f}" for x in (np.median(wall), np.quantile(wall, 0.99), np.median(cpu))
            ]
            row = [str(length), name, str(threads), *numbers, *(f"{x:.2f} ×" for x in ratios)]
            rows.append([*row, f"{difference:.0e}"])
    print_table(
        [
            "characters",
            "engine",
            "threads",
            "p50",
            "p99",
            "CPU p50",
            "ours ÷ it",
            "ours ÷ it, CPU",
            "largest difference",
        ],
        rows,
    )


if __name__ == "__main__":
    run(main)
