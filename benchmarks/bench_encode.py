"""工具  算特征有多快：同一个模型、同样的评论、同样要 [CLS]，和别的做法比

谁和谁比（轮流跑 A B C A B C …，取中位数；比值在同一回合里算，机器忽快忽慢对谁都一样）：
    lecture                 课上的写法：每条补到 500 个 token，fp32，no_grad
    ours fp32 / int8        course/encoder.py 的 SentenceEncoder
    per core fp32           朴素的 PyTorch：长短排好、补齐，每个核各算各的；和 ours 只差首尾相接
    torch.compile fp32      同上，模型先过 torch.compile（要有 C++ 编译器）
    sentence-transformers   SentenceTransformer.encode，每个核一个进程
    ONNX Runtime            fp32（图优化过）/ int8（动态量化）
    OpenVINO                fp32 / bf16 / int8，吞吐模式 THROUGHPUT
对手都用它最拿手的用法：评论按长短排好，一批 4 条，每个核各算各的一批；只来一条时全部的核合算。
没装的、这台机器跑不了的跳过；要装：python -m pip install -r benchmarks/requirements.txt
每种做法在自己的进程里跑，内存才分得清；权重默认随机（速度与权重无关），不用下载。

怎么运行：
    python benchmarks/bench_encode.py --reviews 64 --rounds 2                 约 10 分钟
    python benchmarks/bench_encode.py --engines "ours int8" "OpenVINO int8"   只比这几个
    python benchmarks/bench_encode.py --lengths chnsenticorp --reviews 256 --rounds 5
    python benchmarks/bench_encode.py --kind distilbert    不是 BERT 的编码器，走补齐的路
    … --accuracy --model tiny-bert-chinese    各种做法的特征学出来的分类头，精度多少
"""

import json
import math
import multiprocessing
import os
import queue
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from transformers import AutoModel, BertConfig, DistilBertConfig

from bench_common import machine, memory, pick_reviews, print_table, reviews
from course import packed_bert
from course.cli import Parser, at_least, run
from course.encoder import SentenceEncoder, has_bf16
from course.errors import CourseError
from course.models import find_model, load_encoder, load_tokenizer, quiet
from course.paths import MODELS

MAX_LENGTH = 500  # 课上的长度
LECTURE_BATCH = 16  # 课上的写法一批几条；每条都补到 500，快慢与内容、条数无关，所以只跑这么多条
BATCH_SIZE = 4  # 对手一批几条；2、4、8、16 里量过，见 README.md
LABELS = 2000  # --accuracy 的分类头学多少条
EXAMPLE = (torch.ones(2, 40).long(), torch.ones(2, 40).long())  # 导出时走一遍的 ids、mask
KINDS = {"bert": BertConfig, "distilbert": DistilBertConfig}  # 完整大小：12 层、6 层，都是 768 维


# ---- 各种做法：folder 是模型文件夹，返回 texts → (N, hidden) 的函数 ----------------------------


class CannotRun(Exception):
    """这种做法在这台机器上、对这个模型跑不了，跳过它"""


def load(folder: Path) -> nn.Module:
    """权重是内存映射的，每个数都读一遍才真的在内存里，量"模型之外"的内存才对"""
    model = load_encoder(folder)
    for parameter in model.parameters():
        parameter.sum()
    return model


def lecture(folder: Path) -> Callable:
    model, tokenizer = load(folder), load_tokenizer(folder, MAX_LENGTH)

    def compute(texts: list[str]) -> np.ndarray:
        batch = tokenizer(texts, truncation=True, padding="max_length", return_tensors="pt")
        with torch.no_grad():
            return model(**batch).last_hidden_state[:, 0].numpy()

    return compute


def ours(folder: Path, int8: bool = False) -> Callable:
    # 没有 VNNI 的处理器上，小 BERT 用 int8 快不了多少，SentenceEncoder 会改用 fp32；
    # 这里就是要量它快多少，所以多窄的都让它算
    packed_bert.WIDE = 0
    model = load(folder)
    if int8 and (reason := packed_bert.why_not_int8(model)):
        raise CannotRun(f"int8 {reason}")
    encoder = SentenceEncoder(model, load_tokenizer(folder, MAX_LENGTH), int8=int8)
    return lambda texts: encoder.encode(texts).numpy()


def in_sorted_batches(tokenizer, forward: Callable) -> Callable:
    """按长短排好、一批 BATCH_SIZE 条、补到批里最长，几个线程从长的开始领，各算各的一批

    forward(ids, mask, cores) 用 cores 个核算一批 numpy 输入 → (N, hidden)。
    """
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(threads)

    def compute(texts: list[str]) -> np.ndarray:
        ids = tokenizer(texts, truncation=True)["input_ids"]
        order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
        batches = []
        for start in range(0, len(order), BATCH_SIZE):
            rows = [{"input_ids": ids[i]} for i in order[start : start + BATCH_SIZE]]
            batches.append(tokenizer.pad(rows, return_tensors="np"))
        cores = 1 if len(batches) > 1 else threads  # 只有一批，就全部的核合算
        out = pool.map(lambda one: forward(one["input_ids"], one["attention_mask"], cores), batches)
        return np.concatenate(list(out))[np.argsort(order)]

    return compute


class Cls(nn.Module):
    """编码器 → [CLS] 特征，导出用"""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self.model(input_ids=ids, attention_mask=mask).last_hidden_state[:, 0]


def per_core(folder: Path, compiled: bool = False) -> Callable:
    """最朴素的 PyTorch，只有一样讲究：每个核各算各的批次；compiled 要不要 torch.compile"""
    model = Cls(load(folder))
    if compiled:
        model = torch.compile(model, dynamic=True)  # dynamic：句子长短不一，不要每种长短编译一次

    @torch.inference_mode()
    def forward(ids: np.ndarray, mask: np.ndarray, cores: int) -> np.ndarray:
        torch.set_num_threads(cores)
        return model(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()

    return in_sorted_batches(load_tokenizer(folder, MAX_LENGTH), forward)


def sentence_transformers(folder: Path) -> Callable:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer

    model, threads = load(folder), torch.get_num_threads()
    parts = [Transformer(str(folder), max_seq_length=MAX_LENGTH)]
    parts.append(Pooling(model.config.hidden_size, pooling_mode="cls"))
    encoder = SentenceTransformer(modules=parts, device="cpu")
    os.environ["OMP_NUM_THREADS"] = "1"  # 给下面这几个进程的：每个只许用一个核
    pool = encoder.start_multi_process_pool(["cpu"] * threads)

    def compute(texts: list[str]) -> np.ndarray:
        if len(texts) == 1:
            return encoder.encode(texts)
        chunk = math.ceil(len(texts) / threads)
        return encoder.encode(texts, pool=pool, batch_size=BATCH_SIZE, chunk_size=chunk)

    return compute


def write_onnx(model: nn.Module, path: Path, int8: bool) -> None:
    """导出成 ONNX，优化图，int8 时再量化"""
    from onnxruntime.quantization import quantize_dynamic
    from onnxruntime.transformers import optimizer

    axes = {0: torch.export.Dim("rows"), 1: torch.export.Dim("length")}
    shapes = {"ids": axes, "mask": axes}
    torch.onnx.export(Cls(model), EXAMPLE, path, input_names=list(shapes), dynamic_shapes=shapes)
    heads, hidden = model.config.num_attention_heads, model.config.hidden_size
    better = optimizer.optimize_model(str(path), "bert", heads, hidden, opt_level=1)
    better.save_model_to_file(str(path))
    if int8:
        quantize_dynamic(str(path), str(path))


def onnx_runtime(folder: Path, int8: bool = False) -> Callable:
    import onnxruntime

    sessions = {}  # 用几个核 → 会话；一个会话可以给几个线程同时用，一个核的就各算各的
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "model.onnx"
        write_onnx(load(folder), path, int8)
        for cores in {1, torch.get_num_threads()}:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = cores
            sessions[cores] = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])

    def forward(ids: np.ndarray, mask: np.ndarray, cores: int) -> np.ndarray:
        return sessions[cores].run(None, {"ids": ids, "mask": mask})[0]

    return in_sorted_batches(load_tokenizer(folder, MAX_LENGTH), forward)


def open_vino(folder: Path, precision: str = "f32") -> Callable:
    if precision == "bf16" and not has_bf16(torch.device("cpu")):
        raise CannotRun("处理器没有 bf16 的乘法单元")
    import openvino

    threads, tokenizer = torch.get_num_threads(), load_tokenizer(folder, MAX_LENGTH)
    model = openvino.convert_model(Cls(load(folder)), example_input=EXAMPLE)
    if precision == "int8":  # 权重和激活都是 8 位，用 64 条评论定每一层的比例
        import nncf

        texts = pick_reviews(64, "ours")
        ones = [tokenizer([text], truncation=True, return_tensors="np") for text in texts]
        data = nncf.Dataset([(one["input_ids"], one["attention_mask"]) for one in ones])
        model = nncf.quantize(model, data, model_type=nncf.ModelType.TRANSFORMER)
        precision = "f32"  # 没有量化的那几步
    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads}
    requests = {}  # 用几个核 → 空着的请求；一个请求同时只能算一批
    for cores in {1, threads}:
        hint = "LATENCY" if cores == threads else "THROUGHPUT"
        mine = settings | {"PERFORMANCE_HINT": hint, "NUM_STREAMS": threads // cores}
        compiled = openvino.compile_model(model, "CPU", mine)
        requests[cores] = queue.SimpleQueue()
        for _ in range(threads // cores):
            requests[cores].put(compiled.create_infer_request())

    def forward(ids: np.ndarray, mask: np.ndarray, cores: int) -> np.ndarray:
        request = requests[cores].get()
        out = request.infer([ids, mask])[0].copy()
        requests[cores].put(request)
        return out

    return in_sorted_batches(tokenizer, forward)


ENGINES = {
    "lecture": lecture,
    "ours fp32": ours,
    "ours int8": partial(ours, int8=True),
    "per core fp32": per_core,
    "torch.compile fp32": partial(per_core, compiled=True),
    "sentence-transformers fp32": sentence_transformers,
    "ONNX Runtime fp32": onnx_runtime,
    "ONNX Runtime int8": partial(onnx_runtime, int8=True),
    "OpenVINO fp32": open_vino,
    "OpenVINO bf16": partial(open_vino, precision="bf16"),
    "OpenVINO int8": partial(open_vino, precision="int8"),
}


# ---- 子进程：装好一种做法，主进程说跑就跑一遍 --------------------------------------------------


def family() -> list[int]:
    """这个进程和它起的进程，量内存时一起算；几个进程共用的权重各算一次"""
    return [os.getpid(), *(child.pid for child in multiprocessing.active_children())]


def worker(name: str, folder: Path, out: Path) -> None:
    """一行一个请求（评论列表），一行一个回答，特征存为 out；库打印的别的东西去 stderr"""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(**fields) -> None:
        print(json.dumps(fields), file=answers, flush=True)

    try:
        compute = ENGINES[name](folder)
    except (ModuleNotFoundError, CannotRun) as error:
        answer(skipped=str(error))
        return
    compute(["热身"] * torch.get_num_threads())
    for pid in family():  # 内存的最高点（VmHWM）从现在重新记起：装模型、量化时的高峰不算
        if (path := Path(f"/proc/{pid}/clear_refs")).exists():
            path.write_text("5", encoding="utf-8")
    before = sum(memory("VmRSS", pid) for pid in family())
    answer()
    for line in sys.stdin:
        texts = json.loads(line)
        started = time.perf_counter()
        features = compute(texts)
        wall = time.perf_counter() - started
        np.save(out, features)
        peak = sum(memory("VmHWM", pid) for pid in family())
        answer(seconds=wall / len(texts), memory=peak - before)


class Engine:
    """一种做法的子进程"""

    def __init__(self, name: str, folder: Path, out: Path, threads: int):
        self.name, self.out = name, out
        arguments = ["--worker", name, "--model", str(folder), "--out", str(out)]
        self.process = subprocess.Popen(
            [sys.executable, __file__, *arguments],
            env=os.environ | {"OMP_NUM_THREADS": str(threads)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        )
        self.skipped = self.read().get("skipped")
        self.all: list[float] = []  # 每一回合，一条评论几秒
        self.one: list[float] = []  # 每一回合，只来一条时几秒

    def read(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            raise CourseError(
                f"{self.name} 的进程退出了，退出码 {self.process.wait()}",
                f"在 --engines 里去掉 {self.name}，或看看它依赖的包装对没有",
            )
        return json.loads(line)

    def run(self, texts: list[str]) -> dict:
        self.process.stdin.write(json.dumps(texts) + "\n")
        self.process.stdin.flush()
        return self.read()

    def features(self, texts: list[str]) -> np.ndarray:
        self.run(texts)
        return np.load(self.out)

    def stop(self) -> None:
        self.process.stdin.close()
        self.process.wait()


# ---- 主进程 ------------------------------------------------------------------------------------


def make_folder(kind: str, folder: Path) -> Path:
    """完整大小、随机权重的模型，字典用小 BERT 的"""
    torch.manual_seed(0)
    with quiet():
        AutoModel.from_config(KINDS[kind](vocab_size=21128)).save_pretrained(folder)
    for name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((MODELS / "tiny-bert-chinese" / name).read_bytes())
    return folder


def start(names: list[str], folder: Path, temporary: Path, threads: int) -> dict[str, Engine]:
    """装好各种做法，跑不了的说一声；lecture 和 ours fp32 总是要的，别的和它们比"""
    engines = {}
    for name in dict.fromkeys(["lecture", "ours fp32", *names]):
        engine = Engine(name, folder, temporary / f"{name}.npy", threads)
        if engine.skipped:
            print(f"跳过 {name}：{engine.skipped}")
            engine.stop()
        else:
            engines[name] = engine
    print(flush=True)
    return engines


def faster(slow: list[float], fast: list[float]) -> str:
    """几倍快：同一回合里的时间相除，再取中位数"""
    return f"{statistics.median(a / b for a, b in zip(slow, fast, strict=True)):.2f} ×"


def compare(engines: dict[str, Engine], texts: list[str], tokens: list[int], rounds: int) -> None:
    """轮流跑 rounds 个回合，打印两张表；tokens 是每条评论几个 token"""
    order = sorted(range(len(texts)), key=tokens.__getitem__)
    middle = order[len(order) // 2]  # 一条中等长度的
    # 课上的写法只跑几条，从短到长等间隔地取；别的做法的同样几行和它比，看算得对不对
    few = [order[int((i + 0.5) * len(texts) / LECTURE_BATCH)] for i in range(LECTURE_BATCH)]
    used, features = {}, {}
    for number in range(rounds + 1):
        for name, engine in engines.items():
            answer = engine.run([texts[i] for i in few] if name == "lecture" else texts)
            found = np.load(engine.out)
            one = engine.run([texts[middle]])
            used[name] = max(answer["memory"], used.get(name, 0))
            features[name] = found if name == "lecture" else found[few]
            if number:  # 第 0 回合热身，不计时
                engine.all.append(answer["seconds"])
                engine.one.append(one["seconds"])

    first, mine, expected = engines["lecture"], engines["ours fp32"], features["lecture"]
    table, ones = [], []
    for name, engine in engines.items():
        both = np.linalg.norm(features[name], axis=1) * np.linalg.norm(expected, axis=1)
        cosine = ((features[name] * expected).sum(1) / both).min()
        apart = np.abs(features[name] - expected).max()
        speed, latency = 1 / statistics.median(engine.all), 1000 * statistics.median(engine.one)
        row = [name, f"{speed:.2f}", faster(first.all, engine.all), faster(mine.all, engine.all)]
        table.append([*row, f"+{used[name]:.0f} MB", f"{apart:.1e}", f"{cosine:.6f}"])
        ratios = [faster(first.one, engine.one), faster(mine.one, engine.one)]
        ones.append([name, f"{latency:.0f}", *ratios])
    header = ["engine", "reviews/s", "× lecture", "× ours fp32"]
    header += ["peak memory beyond the loaded engine", "largest difference", "smallest cosine"]
    print_table(header, table)
    print(f"一条评论（{tokens[middle]} 个 token）：\n")
    print_table(["engine", "ms", "× lecture", "× ours fp32"], ones)


def compare_accuracy(engines: dict[str, Engine]) -> None:
    """各种做法的特征各学一个分类头（训练集前 LABELS 条）：验证精度，几条预测和 ours fp32 的不同"""
    train, validation = reviews("train")[:LABELS], reviews("validation")
    answers, predicted = validation["label"].to_numpy(), {}
    for name, engine in engines.items():
        if name == "lecture":  # 和 ours fp32 一样，只是慢得多，不陪着算几千条
            continue
        head = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
        head.fit(engine.features(list(train["text"])), train["label"])
        predicted[name] = head.predict(engine.features(list(validation["text"])))
    print(f"分类头学 {LABELS} 条，验证集 {len(answers)} 条的精度：\n")
    table = []
    for name, mine in predicted.items():
        right, unlike = (mine == answers).mean(), (mine != predicted["ours fp32"]).sum()
        table.append([name, f"{100 * right:.1f}", f"{unlike}"])
    print_table(["engine", "accuracy %", "predictions unlike ours fp32"], table)


def main() -> None:
    parser = Parser(__doc__)
    count = at_least(1)
    parser.add_argument("--reviews", type=count, default=256, help="几条评论，默认 256")
    parser.add_argument("--rounds", type=count, default=5, help="几个回合，默认 5")
    parser.add_argument("--threads", type=count, default=os.cpu_count(), help="默认全部核")
    parser.add_argument("--lengths", choices=["ours", "chnsenticorp"], default="ours")
    parser.add_argument("--kind", choices=list(KINDS), default="bert", help="哪种随机的模型")
    parser.add_argument("--model", help="模型名或文件夹，不用随机的")
    parser.add_argument("--engines", nargs="+", choices=list(ENGINES), default=list(ENGINES))
    parser.add_argument("--accuracy", action="store_true", help="各种做法的特征，精度多少")
    parser.add_argument("--worker", choices=list(ENGINES), help="内部用：子进程")
    parser.add_argument("--out", type=Path, help="内部用：子进程把特征存在哪里")
    args = parser.parse_args()
    if args.worker:
        worker(args.worker, Path(args.model), args.out)
        return

    texts = pick_reviews(args.reviews, args.lengths)
    with tempfile.TemporaryDirectory() as name:
        temporary = Path(name)
        model = args.model
        folder = find_model(model) if model else make_folder(args.kind, temporary / args.kind)
        tokenizer = load_tokenizer(folder, MAX_LENGTH)
        tokens = [len(ids) for ids in tokenizer(texts, truncation=True)["input_ids"]]
        mean = f"平均 {statistics.mean(tokens):.0f} 个 token"
        print(f"{machine()}，{args.threads} 个线程")
        print(f"{model or args.kind}，{len(texts)} 条评论，{mean}，{args.rounds} 个回合")
        engines = start(args.engines, folder, temporary, args.threads)
        compare(engines, texts, tokens, args.rounds)
        if args.accuracy:
            compare_accuracy(engines)
        for engine in engines.values():
            engine.stop()


if __name__ == "__main__":
    run(main)
