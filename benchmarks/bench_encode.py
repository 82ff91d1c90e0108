"""工具  算特征有多快：同一个 BERT、同样的评论、同样要 [CLS]，和别的做法比

谁和谁比（轮流跑 A B C A B C …，取中位数；比值在同一回合里算，机器忽快忽慢对谁都一样）：
    lecture                 课上的写法：每条补到 500 个 token，fp32，no_grad
    ours fp32 / bf16        course/packed_bert.py 的 encode
    per core fp32 / bf16    朴素的 PyTorch：长短排好、补齐，每个核各算各的；和 ours 只差首尾相接
    torch.compile fp32      同上，模型先过 torch.compile（要有 C++ 编译器）
    sentence-transformers   SentenceTransformer.encode，fp32 / bf16（它自己按长度排序）
    pipeline                transformers 的 pipeline("feature-extraction")，一次一条，不补齐
    Trainer.predict         按长度排好序，一批 32 条
    ONNX Runtime            fp32（图优化过）/ int8（动态量化），排好序
    OpenVINO                fp32 / bf16 / int8，排好序
    static                  像 model2vec：一个词片一个固定的向量，查表取平均，不看上下文
对手都用它最拿手的用法：每个核一个会话，一批 4 条，各算各的（OpenVINO 叫吞吐模式 THROUGHPUT，
sentence-transformers 是每个核一个进程）；"× 1" 结尾的是默认用法，一个会话，全部线程合算一批 32 条。
没装的对手跳过；要装：python -m pip install -r benchmarks/requirements.txt
每种做法在自己的进程里跑，内存才分得清；权重默认随机（速度与权重无关），不用下载。

怎么运行：
    python benchmarks/bench_encode.py --reviews 64 --rounds 2                 约 10 分钟
    python benchmarks/bench_encode.py --engines lecture "ours fp32" "ours bf16"    只比这几个
    python benchmarks/bench_encode.py --lengths chnsenticorp --reviews 256 --rounds 5
    python benchmarks/bench_encode.py --parts --reviews 64 --rounds 3    快算法的每一样各值多少
    … --accuracy --model tiny-bert-chinese    各种做法的特征学出来的分类头，精度多少
"""

import json
import math
import os
import queue
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from transformers import BertConfig, BertModel

from bench_common import machine, memory, print_table, reviews
from course import packed_bert
from course.cli import Parser, at_least, run
from course.encoding import has_bf16
from course.errors import CourseError
from course.models import find_model, load_tokenizer
from course.packed_bert import multiplier
from course.paths import MODELS

MAX_LENGTH = 500  # 课上的长度
LECTURE_BATCH = 16  # 课上的写法一批几条；每条都补到 500，快慢与内容、条数无关，所以只跑这么多条
BATCH_SIZE = 32  # 对手的批次大小：一个会话时
SMALL_BATCH = 4  # 每个核一个会话时；2、4、8、16 里量过，见 README.md
LABELS = 2000  # --accuracy 的分类头学多少条
CHNSENTICORP = (76, 0.849)  # ChnSentiCorp 字数的中位数、对数的标准差：平均 109、p99 543 都对得上


def pick_reviews(count: int, lengths: str, duplicates: float) -> list[str]:
    """count 条评论，长度分布与整份数据相同（等间隔地取），其中 duplicates 的比例是重复的

    lengths 是 "ours"（本课的评论）或 "chnsenticorp"（对数正态，把本课的评论接起来再截断）。
    """
    texts = sorted(reviews("train")["text"], key=len)
    unique = count - round(count * duplicates)
    points = [(i + 0.5) / unique for i in range(unique)]
    if lengths == "ours":
        chosen = [texts[int(point * len(texts))] for point in points]
    else:
        median, sigma = CHNSENTICORP
        normal = statistics.NormalDist()
        stream = "".join(texts[:: len(texts) // 2000])
        chosen, start = [], 0
        for point in points:
            size = round(median * math.exp(sigma * normal.inv_cdf(point)))
            chosen.append((stream[start:] + stream)[:size])
            start = (start + size) % len(stream)
    order = np.random.default_rng(0).permutation(count)
    chosen += [chosen[i * len(chosen) // (count - unique)] for i in range(count - unique)]
    return [chosen[i] for i in order]


def useful_flop(length: int, config: BertConfig) -> float:
    """一条 length 个 token 的评论，得到 [CLS] 特征非做不可的浮点运算（乘和加各算一次）

    每层每个 token：4 个 hidden × hidden 的矩阵、2 个 hidden × intermediate 的矩阵，注意力
    4 × 句长 × hidden；最后一层只有 key、value 要算全部 token，其余只算 [CLS]。
    """
    hidden, wide = config.hidden_size, config.intermediate_size
    per_token = 8 * hidden**2 + 4 * hidden * wide
    layer = length * per_token + 4 * length**2 * hidden
    last = 4 * length * hidden**2 + (per_token - 4 * hidden**2) + 4 * length * hidden
    return (config.num_hidden_layers - 1) * layer + last


# ---- 各种做法：folder 是模型文件夹，返回 texts → (N, hidden) 的函数 ----------------------------


def in_memory(model: nn.Module) -> nn.Module:
    """权重是内存映射的，每个数都读一遍才真的在内存里，量"模型之外"的内存才对"""
    for parameter in model.parameters():
        parameter.sum()
    return model


def load(folder: Path, dtype: torch.dtype = torch.float32) -> BertModel:
    model = BertModel.from_pretrained(folder, add_pooling_layer=False, local_files_only=True)
    return in_memory(model.to(dtype).eval())


def lecture(folder: Path) -> Callable:
    model, tokenizer = load(folder), load_tokenizer(folder, MAX_LENGTH)

    def compute(texts: list[str]) -> np.ndarray:
        batch = tokenizer(texts, truncation=True, padding="max_length", return_tensors="pt")
        with torch.no_grad():
            return model(**batch).last_hidden_state[:, 0].numpy()

    return compute


def ours(
    folder: Path, dtype: torch.dtype = torch.float32, engine: ModuleType = packed_bert
) -> Callable:
    model, tokenizer = load(folder), load_tokenizer(folder, MAX_LENGTH)
    kept = list(engine.prepare(model, dtype))  # 只来一条时用，和 backstage/classifier.py 一样

    def compute(texts: list[str]) -> np.ndarray:
        prepared = kept if len(texts) == 1 else None
        return engine.encode(model, tokenizer, texts, dtype, prepared, progress=False).numpy()

    return compute


# 快算法的每一样各值多少：拿掉它再量。名字 → 源代码里换掉的几处
PARTS = {
    "装箱（改成一条一批）": [("BATCH_TOKENS = 512", "BATCH_TOKENS = 1")],
    "最后一层只算 [CLS]": [
        ('if layer is layers[-1] and pooling == "cls":', "if False:"),
        (
            '    if pooling == "mean":\n',
            "    starts = [torch.tensor([0, *each[:-1]]).cumsum(0) for each in sizes]\n"
            "    hiddens = [h[start] for h, start in zip(hiddens, starts)]\n"
            '    if pooling == "mean":\n',
        ),
    ],
    "权重先重排": [("ONEDNN = ", "ONEDNN = False and ")],
    "几批共用一次重排": [("GROUP = 16", "GROUP = 1")],
    "q、k、v 合成一个": [
        (
            "multiplier([attention.query, attention.key, attention.value], dtype)",
            "(lambda three: lambda x: torch.cat([one(x) for one in three], dim=-1))([multiplier("
            "[one], dtype) for one in (attention.query, attention.key, attention.value)])",
        )
    ],
    "每个核各算各的": [("cores = max(1, ", "cores = min(1, ")],
    "凑成固定的形状": [("SHAPE = 16", "SHAPE = 1")],
}


def without(part: str) -> ModuleType:
    """拿掉一样的 course/packed_bert.py"""
    source = Path(packed_bert.__file__).read_text(encoding="utf-8")
    for old, new in PARTS[part]:
        if old not in source:
            raise CourseError(
                f"packed_bert.py 里没有 {old} 了", "照着它改 bench_encode.py 的 PARTS"
            )
        source = source.replace(old, new)
    module = ModuleType("packed_bert_without")
    exec(compile(source, packed_bert.__file__, "exec"), vars(module))
    return module


def sentence_transformers(
    folder: Path, dtype: torch.dtype = torch.float32, processes: bool = False
) -> Callable:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer

    bert = Transformer(str(folder), max_seq_length=MAX_LENGTH)
    pooling = Pooling(bert.get_word_embedding_dimension(), pooling_mode="cls")
    model = in_memory(SentenceTransformer(modules=[bert, pooling], device="cpu").to(dtype))
    if processes:  # 每个核一个进程，都是它自己起的；每个进程只许用一个核
        os.environ["OMP_NUM_THREADS"] = "1"
        pool = model.start_multi_process_pool(["cpu"] * torch.get_num_threads())

    def compute(texts: list[str]) -> np.ndarray:
        if processes and len(texts) > 1:
            chunk = math.ceil(len(texts) / torch.get_num_threads())
            out = model.encode(texts, pool=pool, batch_size=SMALL_BATCH, chunk_size=chunk)
            return np.asarray(out, dtype=np.float32)
        out = model.encode(texts, batch_size=BATCH_SIZE, convert_to_tensor=True)
        return out.float().numpy()

    return compute


def hf_pipeline(folder: Path) -> Callable:
    from transformers import pipeline

    extract = pipeline(
        "feature-extraction",
        model=load(folder),
        tokenizer=load_tokenizer(folder, MAX_LENGTH),
        device="cpu",
        tokenize_kwargs={"truncation": True},
        return_tensors=True,
    )
    return lambda texts: torch.cat([out[:, 0] for out in extract(texts)]).numpy()


def in_sorted_batches(
    tokenizer, forward: Callable, size: int = BATCH_SIZE, workers: int = 1
) -> Callable:
    """按长度排序、一批 size 条、补到批里最长：forward(一批的 numpy 输入) → (N, hidden)

    workers 个线程同时各算各的一批，从长的开始领。
    """
    pool = ThreadPoolExecutor(workers)

    def compute(texts: list[str]) -> np.ndarray:
        ids = tokenizer(texts, truncation=True)["input_ids"]
        order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
        batches = []
        for start in range(0, len(order), size):
            rows = [{"input_ids": ids[i]} for i in order[start : start + size]]
            batches.append(tokenizer.pad(rows, return_tensors="np"))
        out = pool.map(lambda batch: forward(batch["input_ids"], batch["attention_mask"]), batches)
        return np.concatenate(list(out))[np.argsort(order)]

    return compute


def per_core(folder: Path, dtype: torch.dtype = torch.float32, compiled: bool = False) -> Callable:
    """最朴素的 PyTorch，只有一样讲究：每个核各算各的批次；compiled 要不要 torch.compile"""
    model, threads = load(folder, dtype), torch.get_num_threads()
    if compiled:
        model = torch.compile(model, dynamic=True)  # dynamic：句子长短不一，不要每种长短编译一次

    @torch.inference_mode()
    def forward(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        torch.set_num_threads(1)
        out = model(torch.from_numpy(ids), torch.from_numpy(mask))
        return out.last_hidden_state[:, 0].float().numpy()

    tokenizer = load_tokenizer(folder, MAX_LENGTH)
    return in_sorted_batches(tokenizer, forward, SMALL_BATCH, threads)


class Cls(nn.Module):
    """BERT → [CLS] 特征，给 Trainer 和导出用"""

    def __init__(self, model: BertModel):
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        out = self.model(input_ids=input_ids, attention_mask=attention_mask)
        return out.last_hidden_state[:, 0]


def trainer(folder: Path) -> Callable:
    import accelerate  # noqa: F401  Trainer 离不开它，没装就和别的对手一样跳过
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

    class ForTrainer(Cls):
        def forward(self, input_ids, attention_mask, token_type_ids=None):
            return {"logits": super().forward(input_ids, attention_mask)}

    tokenizer = load_tokenizer(folder, MAX_LENGTH)
    arguments = TrainingArguments(
        output_dir=tempfile.gettempdir(),  # predict 什么也不往里写
        per_device_eval_batch_size=BATCH_SIZE,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
    )
    model = Trainer(ForTrainer(load(folder)), arguments, DataCollatorWithPadding(tokenizer))

    def compute(texts: list[str]) -> np.ndarray:
        ids = tokenizer(texts, truncation=True)["input_ids"]
        order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
        out = model.predict([{"input_ids": ids[i]} for i in order]).predictions
        return out[np.argsort(order)]

    return compute


def example() -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.randint(1000, 8000, (2, 40))
    return ids, torch.ones_like(ids)


def onnx_runtime(folder: Path, int8: bool = False, sessions: bool = False) -> Callable:
    threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "model.onnx"
        session = onnx_session(load(folder), path, int8, 1 if sessions else threads)
    names = [node.name for node in session.get_inputs()]

    def forward(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return session.run(None, dict(zip(names, (ids, mask), strict=True)))[0]

    # 一个会话可以给几个线程同时用：intra_op 是 1 时，每个线程各算各的
    tokenizer = load_tokenizer(folder, MAX_LENGTH)
    if sessions:
        return in_sorted_batches(tokenizer, forward, SMALL_BATCH, threads)
    return in_sorted_batches(tokenizer, forward)


def onnx_session(model: BertModel, path: Path, int8: bool, threads: int):
    """导出成 ONNX、优化图、（int8 时）量化，装进 ONNX Runtime"""
    import onnxruntime
    from onnxruntime.quantization import quantize_dynamic
    from onnxruntime.transformers import optimizer

    axes = {0: torch.export.Dim("rows"), 1: torch.export.Dim("length")}
    torch.onnx.export(
        Cls(model),
        example(),
        path,
        dynamo=True,
        dynamic_shapes=(axes, axes),
        input_names=["ids", "mask"],
        verbose=False,
    )
    config = model.config
    better = optimizer.optimize_model(
        str(path), "bert", config.num_attention_heads, config.hidden_size, opt_level=1
    )
    better.save_model_to_file(str(path))
    if int8:
        quantize_dynamic(str(path), str(path))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])


def open_vino(folder: Path, precision: str = "f32", streams: bool = False) -> Callable:
    import openvino

    threads = torch.get_num_threads()
    model = openvino.convert_model(Cls(load(folder)), example_input=example())
    tokenizer = load_tokenizer(folder, MAX_LENGTH)
    if precision == "int8":  # 权重和激活都是 8 位，用 64 条评论定每一层的比例
        import nncf

        batches = [
            tokenizer([text], truncation=True, return_tensors="np")
            for text in pick_reviews(64, "ours", 0)
        ]
        data = nncf.Dataset([(one["input_ids"], one["attention_mask"]) for one in batches])
        model = nncf.quantize(model, data, model_type=nncf.ModelType.TRANSFORMER)
        precision = "f32"
    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads}
    if streams:
        settings |= {"PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": threads}
    compiled = openvino.compile_model(model, "CPU", settings)
    requests = queue.SimpleQueue()  # 一个请求同时只能算一批
    for _ in range(threads if streams else 1):
        requests.put(compiled.create_infer_request())

    def forward(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        request = requests.get()
        out = request.infer([ids, mask])[0].copy()
        requests.put(request)
        return out

    if streams:
        return in_sorted_batches(tokenizer, forward, SMALL_BATCH, threads)
    return in_sorted_batches(tokenizer, forward)


def static(folder: Path) -> Callable:
    """像 model2vec：每个词片单独过一遍 BERT，记下一个向量；之后一句话就是查表、取平均，不再算 BERT

    model2vec 还按词频加权、用 PCA 压短，这里没有：它自己的蒸馏要的 transformers 比课上的旧。
    """
    model, tokenizer = load(folder), load_tokenizer(folder, MAX_LENGTH)
    ids = torch.arange(len(tokenizer))
    ends = (tokenizer.cls_token_id, tokenizer.sep_token_id)
    first, last = (torch.full_like(ids, end) for end in ends)
    with torch.inference_mode():
        table = torch.cat(
            [
                model(input_ids=rows).last_hidden_state.mean(1)
                for rows in torch.stack([first, ids, last], dim=1).split(512)
            ]
        )

    def compute(texts: list[str]) -> np.ndarray:
        sequences = tokenizer(texts, truncation=True, add_special_tokens=False)["input_ids"]
        starts = np.cumsum([0, *map(len, sequences[:-1])])
        flat = torch.tensor([i for sequence in sequences for i in sequence])
        return nn.functional.embedding_bag(flat, table, torch.from_numpy(starts)).numpy()

    return compute


BF16 = torch.bfloat16
F32 = torch.float32
ENGINES = {  # 名字 → (做法, 探测矩阵乘法用的数值类型, 是不是对手)
    "lecture": (lecture, F32, False),
    "ours fp32": (ours, F32, False),
    "ours bf16": (lambda folder: ours(folder, BF16), BF16, False),
    "per core fp32": (per_core, F32, True),
    "per core bf16": (lambda folder: per_core(folder, BF16), BF16, True),
    "torch.compile fp32": (lambda folder: per_core(folder, F32, True), F32, True),
    "sentence-transformers fp32 × 1": (sentence_transformers, F32, True),
    "sentence-transformers fp32": (lambda f: sentence_transformers(f, F32, True), F32, True),
    "sentence-transformers bf16": (lambda f: sentence_transformers(f, BF16, True), BF16, True),
    "pipeline fp32": (hf_pipeline, F32, True),
    "Trainer.predict fp32": (trainer, F32, True),
    "ONNX Runtime fp32 × 1": (onnx_runtime, F32, True),
    "ONNX Runtime fp32": (lambda folder: onnx_runtime(folder, False, True), F32, True),
    "ONNX Runtime int8": (lambda folder: onnx_runtime(folder, True, True), None, True),
    "OpenVINO fp32 × 1": (open_vino, F32, True),
    "OpenVINO fp32": (lambda folder: open_vino(folder, "f32", True), F32, True),
    "OpenVINO bf16": (lambda folder: open_vino(folder, "bf16", True), BF16, True),
    "OpenVINO int8": (lambda folder: open_vino(folder, "int8", True), None, True),
    "static": (static, None, False),
}
WHOLE = list(ENGINES)  # 默认比的
for _part in PARTS:
    for _name, _dtype in (("fp32", F32), ("bf16", BF16)):
        ENGINES[f"{_name} 拿掉 {_part}"] = (
            lambda folder, part=_part, dtype=_dtype: ours(folder, dtype, without(part)),
            _dtype,
            False,
        )


# ---- 子进程：装好一种做法，主进程说跑就跑一遍 --------------------------------------------------


def matmul_peak(dtype: torch.dtype | None) -> float:
    """此刻每秒能做多少 GFLOP 矩阵乘法：每个核各自乘 (512, 768) × (768, 3072)，相加；None → nan"""
    if dtype is None:
        return float("nan")
    threads, times = torch.get_num_threads(), 8

    def work(_) -> float:
        torch.set_num_threads(1)
        multiply = multiplier([nn.Linear(768, 3072)], dtype)
        x = torch.randn(512, 768).to(dtype)
        multiply(x)
        started = time.perf_counter()
        for _ in range(times):
            multiply(x)
        return times * 2 * 512 * 768 * 3072 / (time.perf_counter() - started) / 1e9

    with torch.inference_mode(), ThreadPoolExecutor(threads) as pool:
        rate = sum(pool.map(work, range(threads)))
    torch.set_num_threads(threads)
    return rate


def worker(name: str, folder: Path, out: Path) -> None:
    """一行一个请求（评论列表），一行一个回答，特征存为 out；库打印的别的东西去 stderr"""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    build, dtype, _ = ENGINES[name]

    def answer(**fields) -> None:
        print(json.dumps(fields), file=answers, flush=True)

    try:
        compute = build(folder)
    except ModuleNotFoundError as error:
        answer(missing=error.name)
        return
    compute(["热身"])
    base = memory("VmRSS")
    answer()
    # 第一个请求热身，只量内存：量峰值的矩阵也要占内存，不能混在一起
    compute(json.loads(sys.stdin.readline()))
    answer(memory=memory("VmHWM") - base)
    for line in sys.stdin:
        texts = json.loads(line)
        before = matmul_peak(dtype)
        started = time.perf_counter()
        features = compute(texts)
        wall = time.perf_counter() - started
        peak = (before + matmul_peak(dtype)) / 2
        np.save(out, features)
        answer(wall=wall, peak=peak)


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
        self.state = self.read()

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

    def features(self) -> np.ndarray:
        return np.load(self.out)

    def stop(self) -> None:
        self.process.stdin.close()
        self.process.wait()


# ---- 主进程 ------------------------------------------------------------------------------------


def make_folder(model: str | None, folder: Path) -> Path:
    """模型文件夹：--model 给的，或完整大小的 bert-base-chinese 结构、随机权重"""
    if model:
        return find_model(model)
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=21128)).save_pretrained(folder)
    for name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((MODELS / "tiny-bert-chinese" / name).read_bytes())
    return folder


def median_ratio(slow: list[dict], fast: list[dict], scale: float = 1) -> float:
    """同一回合里的时间相除，再取中位数"""
    return statistics.median(scale * a["wall"] / b["wall"] for a, b in zip(slow, fast, strict=True))


def print_parts(timings: dict[str, list[dict]]) -> None:
    """快算法的每一样：拿掉它，要原来几倍的时间"""
    kinds = [kind for kind in ("fp32", "bf16") if f"ours {kind}" in timings]
    rows = []
    for part in PARTS:
        slower = [
            median_ratio(timings[f"{kind} 拿掉 {part}"], timings[f"ours {kind}"]) for kind in kinds
        ]
        rows.append([part, *(f"{ratio:.2f} ×" for ratio in slower)])
    print_table(["拿掉", *(f"{kind} 的时间" for kind in kinds)], rows)


def accuracies(engines: dict[str, Engine]) -> list[list[str]]:
    """各种做法的特征各学一个分类头（训练集前 LABELS 条）：验证精度，几条预测和 ours fp32 的不同"""
    train, validation = reviews("train")[:LABELS], reviews("validation")
    answers, predicted = np.array(validation["label"]), {}
    for name, engine in engines.items():
        head = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
        engine.run(list(train["text"]))
        head.fit(engine.features(), train["label"])
        engine.run(list(validation["text"]))
        predicted[name] = head.predict(engine.features())
    return [
        [
            name,
            f"{100 * (labels == answers).mean():.1f}",
            str((labels != predicted["ours fp32"]).sum()),
        ]
        for name, labels in predicted.items()
    ]


def main() -> None:
    parser = Parser(__doc__)
    count = at_least(1)
    parser.add_argument("--reviews", type=count, default=256, help="几条评论，默认 256")
    parser.add_argument("--rounds", type=count, default=5, help="几个回合，默认 5")
    parser.add_argument("--threads", type=count, default=os.cpu_count(), help="默认全部核")
    parser.add_argument("--lengths", choices=["ours", "chnsenticorp"], default="ours")
    parser.add_argument("--duplicates", type=at_least(0.0), default=0, help="重复的比例，如 0.14")
    parser.add_argument("--model", default=None, help="模型名或文件夹，默认完整大小、随机权重")
    parser.add_argument("--engines", nargs="+", choices=list(ENGINES), default=WHOLE)
    parser.add_argument("--parts", action="store_true", help="快算法的每一样各值多少：拿掉它再量")
    parser.add_argument("--accuracy", action="store_true", help="各种做法的特征，精度多少")
    parser.add_argument("--worker", choices=list(ENGINES), help="内部用：子进程")
    parser.add_argument("--out", type=Path, help="内部用：子进程把特征存在哪里")
    args = parser.parse_args()
    if args.parts:
        args.engines = [name for name in ENGINES if name.startswith("ours") or "拿掉" in name]
        if not has_bf16(torch.device("cpu")):  # 没有这种单元，量了也没有意义
            args.engines = [name for name in args.engines if "bf16" not in name]
    if args.accuracy and "ours fp32" not in args.engines:
        raise CourseError("--accuracy 要和 ours fp32 比", '--engines "ours fp32" static')
    if args.worker:
        worker(args.worker, Path(args.model), args.out)
        return

    if args.duplicates > 0.9:
        raise CourseError(
            f"--duplicates {args.duplicates} 太大，至少留一成不重复的", "--duplicates 0.14"
        )

    texts = pick_reviews(args.reviews, args.lengths, args.duplicates)
    with tempfile.TemporaryDirectory() as temporary:
        report(args, texts, make_folder(args.model, Path(temporary) / "bert"), Path(temporary))


def report(args, texts: list[str], folder: Path, temporary: Path) -> None:
    """装好各种做法，轮流跑，打印两张表"""
    tokenizer, config = load_tokenizer(folder, MAX_LENGTH), BertConfig.from_pretrained(folder)
    ids = tokenizer(texts, truncation=True)["input_ids"]
    unique = set(map(tuple, ids))
    flop = sum(useful_flop(len(sequence), config) for sequence in unique)
    print(f"{machine()}，{args.threads} 个线程")
    print(
        f"{config.num_hidden_layers} 层 × {config.hidden_size}，{len(texts)} 条评论，"
        f"{len(unique)} 条不同，平均 {np.mean([*map(len, ids)]):.0f} 个 token，{args.rounds} 个回合"
    )
    engines = {}
    for name in dict.fromkeys(["lecture", *args.engines]):
        engine = Engine(name, folder, temporary / f"{name}.npy", args.threads)
        if "missing" in engine.state:
            print(f"跳过 {name}：没有安装 {engine.state['missing']}")
            engine.stop()
        else:
            engines[name] = engine
    print(flush=True)

    # 课上的写法只跑几条，从短到长等间隔地取；别的做法的同样几行和它比，看算得对不对
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    few = [order[int((i + 0.5) * len(ids) / LECTURE_BATCH)] for i in range(LECTURE_BATCH)]
    one = [texts[order[len(order) // 2]]]  # 一条中等长度的
    timings = {name: [] for name in engines}
    ones = {name: [] for name in engines}
    chosen = {name: [texts[i] for i in few] if name == "lecture" else texts for name in engines}
    used = {name: engine.run(chosen[name])["memory"] for name, engine in engines.items()}
    features = {}
    for _ in range(args.rounds):
        for name, engine in engines.items():
            timings[name].append(engine.run(chosen[name]))
            features[name] = engine.features()
            ones[name].append(engine.run(one))
    # 课上的写法和 ours fp32 一样，只是慢得多，不陪着算几千条
    others = {name: engine for name, engine in engines.items() if name != "lecture"}
    accuracy = accuracies(others) if args.accuracy else []
    for engine in engines.values():
        engine.stop()

    if args.parts:
        print_parts(timings)
        return
    scale = len(texts) / LECTURE_BATCH
    peers = [name for name in engines if ENGINES[name][2]]
    lecture_timings, reference = timings["lecture"], features["lecture"]
    table = []
    for name in engines:
        own = 1 if name != "lecture" else scale
        wall = statistics.median(r["wall"] for r in timings[name]) * own
        ratio = median_ratio(lecture_timings, timings[name], scale / own)
        share = statistics.median(flop / own / r["wall"] / 1e9 / r["peak"] for r in timings[name])
        exact = [p for p in peers if ENGINES[p][1] == torch.float32]
        best = exact if ENGINES[name][1] == torch.float32 else peers
        to_peer = [median_ratio(timings[p], timings[name]) for p in best if p != name]
        mine = features[name] if name == "lecture" else features[name][few]
        cosine = (mine * reference).sum(1) / np.linalg.norm(mine, axis=1)
        cosine = cosine / np.linalg.norm(reference, axis=1)
        same = name != "static"  # 本来就是另一种特征，不必和别的一样
        table.append(
            [
                name,
                f"{len(texts) / wall:.2f}",
                f"{ratio:.2f} ×",
                f"{min(to_peer):.2f} ×" if to_peer and name != "lecture" else "",
                f"{flop / wall / 1e9:.0f}",
                "" if math.isnan(share) else f"{share:.0%}",
                f"+{used[name]:.0f} MB",
                f"{np.abs(mine - reference).max():.1e}" if same else "",
                f"{cosine.min():.6f}" if same else "",
            ]
        )
    print_table(
        [
            "engine",
            "reviews/s",
            "× lecture",
            "× best peer",
            "useful GFLOP/s",
            "of matmul peak",
            "peak memory beyond the loaded engine",
            "largest difference",
            "smallest cosine",
        ],
        table,
    )
    print(f"一条评论（{len(tokenizer(one[0])['input_ids'])} 个 token）：\n")
    print_table(
        ["engine", "ms", "× lecture"],
        [
            [
                name,
                f"{statistics.median(r['wall'] for r in ones[name]) * 1000:.0f}",
                f"{median_ratio(ones['lecture'], ones[name]):.1f} ×",
            ]
            for name in engines
        ],
    )
    if accuracy:
        print(f"分类头学 {LABELS} 条，验证集的精度：\n")
        print_table(["engine", "accuracy %", "predictions unlike ours fp32"], accuracy)


if __name__ == "__main__":
    run(main)
