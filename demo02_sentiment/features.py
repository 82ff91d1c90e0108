"""第 5 课  特征只算一次：冻结的 BERT 对同一条评论，每一轮算出来都一样

教什么：训练循环要把全部评论看很多轮，但 BERT 是冻结的，第 1 轮和第 30000 轮对同一条评论
给出的 [CLS] 特征一个数都不差。所以先算一遍存下来，之后每一轮只训练 fc，快几万倍，结果不变。
算这一遍也有讲究：长短不一的句子首尾相接排成一长串，就没有一个补零的位置是白算的。

怎么运行：python demo02_sentiment/features.py
          python demo02_sentiment/features.py --bf16    快，但是近似的

会看到：
    特征：validation (1200, 256)，存为 …/data/features/validation-….safetensors
    第二次再取：0.16 秒
    8 条评论补到 4000 个 token，其中只有 677 个是真的
    两种算法的特征最大相差 5.8e-06（加上 --bf16 是 2.1e-02）
"""

import hashlib
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from math import ceil
from operator import itemgetter
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from tqdm import tqdm
from transformers import BertModel, BertTokenizer
from transformers.activations import GELUActivation

from course.cli import Parser, run
from course.errors import CourseError
from course.files import atomic_write
from course.models import find_model, load_tokenizer
from course.paths import DATA, command
from my_dataset import MyDataset
from net import DEVICE, MODEL, Model, fingerprint, load_encoder

MAX_LENGTH = 500  # 编码后最多多少个 token，超出的截掉；bert-base-chinese 的上限是 512
BATCH_TOKENS = 512  # 一批最多多少个 token：内存由它和 GROUP 决定，和评论多少、长短无关
GROUP = 16  # 一个核一次领几批：每层的权重重排一次，供这几批用
SHAPE = 64  # 一批的 token 数凑成它的倍数
# oneDNN 的快路只在有 AVX-512 的处理器上用：别处的 PyTorch 不一定带它，也不一定更快
ONEDNN = torch.backends.mkldnn.is_available() and torch.backends.cpu.get_cpu_capability() in (
    "AVX512",
    "AVX512_VNNI",
)


def check_max_length(max_length: int, encoder: BertModel) -> None:
    """max_length 不能超过 BERT 的位置编码个数，超过时抛 CourseError"""
    limit = encoder.config.max_position_embeddings
    if max_length > limit:
        raise CourseError(
            f"max_length {max_length} 超过了这个 BERT 的上限 {limit}", f"--max-length {limit}"
        )


def make_batches(lengths: list[int]) -> list[list[int]]:
    """N 条句子各有几个 token → 把它们的编号分成批：一批不超过 BATCH_TOKENS 个 token，又尽量装满

    像装箱：先放最长的，剩下的空位每次放进放得下的里面最长的；比一批还长的自己占一批。
    """
    rest = sorted((length, i) for i, length in enumerate(lengths))
    batches = []
    while rest:
        batch, room, at = [], BATCH_TOKENS, len(rest) - 1  # 最长的先来：内存不够马上就知道
        while at >= 0:
            length, i = rest.pop(at)
            batch.append(i)
            room -= length
            at = bisect_right(rest, room, key=itemgetter(0)) - 1
        batches.append(batch)
    return batches


def multiplier(
    linears: list[nn.Linear], dtype: torch.dtype, activation: Callable | None = None
) -> Callable:
    """输入相同的几个 Linear 合成一个函数：x (token 数, in) → (token 数, out 之和)，再过 activation

    权重先重排成矩阵乘法顺着读的样子，交给 oneDNN（PyTorch 自带的矩阵库，F.linear 算 fp32 用的是
    MKL）：AMD 上快一到五成，一次乘的 token 越少越明显。名字以 _ 开头的是 PyTorch 内部的接口，
    requirements.txt 固定了版本才敢用。
    """
    weight, bias = linears[0].weight, linears[0].bias
    if len(linears) > 1:
        weight = torch.cat([linear.weight for linear in linears])
        bias = torch.cat([linear.bias for linear in linears])
    weight, bias = weight.to(dtype), bias.to(dtype)
    multiply, after = F.linear, ()
    if ONEDNN and weight.device.type == "cpu":
        weight = torch.ops.mkldnn._reorder_linear_weight(weight)
        multiply, after = torch.ops.mkldnn._linear_pointwise, ("none", [], "")
        if isinstance(activation, GELUActivation):  # oneDNN 乘完顺手就算，不用再读写一遍
            activation, after = None, ("gelu", [], "none")
    activation = activation or nn.Identity()
    return lambda x: activation(multiply(x.to(dtype), weight, bias, *after))


@torch.inference_mode()
def prepare(encoder: BertModel, dtype: torch.dtype = torch.float32) -> Iterator[list[Callable]]:
    """一层一层地备好矩阵乘法，每层四个：query、key、value 合成的，注意力之后的，加宽的，收窄的"""
    for layer in encoder.encoder.layer:
        look, wide = layer.attention.self, layer.intermediate
        yield [
            multiplier([look.query, look.key, look.value], dtype),
            multiplier([layer.attention.output.dense], dtype),
            multiplier([wide.dense], dtype, wide.intermediate_act_fn),
            multiplier([layer.output.dense], dtype),
        ]


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, runs: list, heads: int
) -> torch.Tensor:
    """首尾相接的句子各看各的：key、value (token 数, hidden)，返回与 query 同形状

    runs 里每一段是等长的几条句子（条数，句长），一段算一次；query 每条句子可以只有一个位置。
    """
    sizes = [rows * length for rows, length in runs]
    asked = sizes if len(query) == len(key) else [rows for rows, _ in runs]
    out = []
    parts = (query.split(asked), key.split(sizes), value.split(sizes))
    for (rows, _), *qkv in zip(runs, *parts, strict=True):
        # (条数 × 句长, hidden) → (条数, 头数, 句长, 每头维数)，注意力之后再变回来
        q, k, v = (x.unflatten(-1, (heads, -1)).unflatten(0, (rows, -1)) for x in qkv)
        context = F.scaled_dot_product_attention(*(x.transpose(1, 2) for x in (q, k, v)))
        out.append(context.transpose(1, 2).flatten(2).flatten(0, 1))
    return torch.cat(out)


@torch.inference_mode()
def cls_features(
    encoder: BertModel, batches: list[list[np.ndarray]], prepared: Iterable[list[Callable]]
) -> list[torch.Tensor]:
    """几批长短不一的 token 序列 → 每批的 [CLS] 特征 (条数, hidden)；prepared 来自 prepare

    和 `encoder(…).last_hidden_state[:, 0]` 相等（只差浮点误差），但不补零：一批句子首尾相接，
    排成 (token 数, hidden)。Linear 和 LayerNorm 本来就一个 token 一个 token 地算，不管句子在
    哪里断开；只有注意力按句子切开。最后一层只有 [CLS] 有人用，所以它"看"完整句话之后只算
    [CLS] 一个位置。
    """
    heads, layers = encoder.config.num_attention_heads, encoder.encoder.layer
    hiddens, firsts, runs = [], [], []  # 每批一个：向量 (token 数, hidden)，[CLS] 的位置，见 attend
    for batch in batches:
        if len(batches) > 1 and (rest := -sum(map(len, batch)) % SHAPE):
            # 末尾凑一句废话：每种形状 oneDNN 都要另编译、另占内存
            batch = [*batch, np.zeros(rest, np.int32)]
        lengths = [len(ids) for ids in batch]
        ids = torch.from_numpy(np.concatenate(batch))[None].to(encoder.device)
        positions = torch.cat([torch.arange(length) for length in lengths])[None].to(ids.device)
        hiddens.append(encoder.embeddings(input_ids=ids, position_ids=positions)[0])
        firsts.append(torch.tensor([0, *lengths[:-1]], device=ids.device).cumsum(0))
        runs.append([(len(list(same)), length) for length, same in groupby(lengths)])

    # 一层的权重备好，各批都用过，再换下一层
    for layer, (look, mix, widen, narrow) in zip(layers, prepared, strict=True):
        for i, hidden in enumerate(hiddens):
            # 注意力和 LayerNorm 总用 fp32：bf16 的注意力在 CPU 上反而慢，LayerNorm 不占多少时间
            query, key, value = look(hidden).float().chunk(3, dim=-1)
            if layer is layers[-1]:
                query, hidden = query[firsts[i]], hidden[firsts[i]]
            context = mix(attend(query, key, value, runs[i], heads))
            hidden = layer.attention.output.LayerNorm(hidden + context.to(hidden.dtype))
            hiddens[i] = layer.output.LayerNorm(hidden + narrow(widen(hidden)).to(hidden.dtype))
    return [hidden[: len(batch)].cpu() for batch, hidden in zip(batches, hiddens, strict=True)]


def encode(
    encoder: BertModel,
    tokenizer: BertTokenizer,
    texts: list[str],
    max_length: int = MAX_LENGTH,
    progress: bool = True,
    dtype: torch.dtype = torch.float32,
    prepared: list[list[Callable]] | None = None,
) -> torch.Tensor:
    """N 条评论 → [CLS] 特征 (N, hidden)，在 CPU 上，行的顺序与 texts 相同

    与"全部补到 max_length 再算"的结果只差浮点误差（fp32 约 5e-6）：补零的位置本来就被
    attention_mask 挡住，不影响 [CLS]。dtype=torch.bfloat16 只用 8 位有效数字做矩阵乘法，在有
    bf16 单元的处理器上快一倍以上，但结果是近似的（差到 1e-2 上下）。
    encoder 必须在评估模式，否则 dropout 让结果每次不同。常常只来一条评论时，把
    `list(prepare(encoder, dtype))` 存着传给 prepared，省得每次重新备，多占一份权重的内存。
    """
    if encoder.training:
        raise RuntimeError("encoder must be in eval mode: with dropout a feature is random")
    check_max_length(max_length, encoder)
    # token 完全相同的评论只算一次：number 是 {序列: 新编号}，rows 是每条评论对应的新编号
    # 一千条一千条地分词：分词器每个 token 要占一百多字节，记下来的只有 4 字节
    number: dict[bytes, int] = {}
    rows = []
    for start in range(0, len(texts), 1000):
        part = tokenizer(texts[start : start + 1000], truncation=True, max_length=max_length)
        for ids in part["input_ids"]:
            rows.append(number.setdefault(np.array(ids, np.int32).tobytes(), len(number)))
    unique = [np.frombuffer(ids, np.int32) for ids in number]
    features = torch.empty(len(unique), encoder.config.hidden_size, dtype=encoder.dtype)

    def work(group: list[list[int]]) -> int:
        sequences = [[unique[i] for i in batch] for batch in group]
        outs = cls_features(encoder, sequences, prepared or prepare(encoder, dtype))
        for batch, out in zip(group, outs, strict=True):
            features[batch] = out
        return sum(len(unique[i]) for batch in group for i in batch)

    # CPU 上每个核各算各的批次，谁也不等谁；若让几个核合算一批，有一个核被别的程序占着，
    # 大家都要等它，实测慢几倍。显卡只要一个线程喂它就够
    threads = torch.get_num_threads()
    batches = make_batches([len(ids) for ids in unique])
    cores = max(1, min(threads if encoder.device.type == "cpu" else 1, len(batches)))
    parts = cores * ceil(len(batches) / (GROUP * cores))  # 每个核轮到的次数相同
    groups = [batches[part::parts] for part in range(parts)]
    pool = ThreadPoolExecutor(
        cores, initializer=torch.set_num_threads, initargs=(threads // cores,)
    )
    bar = tqdm(total=sum(map(len, unique)), desc="BERT 算特征", unit="token", disable=not progress)
    try:
        for tokens in pool.map(work, groups):
            bar.update(tokens)
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C 时不再算剩下的批次
        bar.close()
        torch.set_num_threads(threads)
    return features[rows]


def cache_key(
    encoder: BertModel,
    tokenizer: BertTokenizer,
    texts: list[str],
    max_length: int,
    dtype: torch.dtype,
) -> str:
    """凡是会改变特征的东西都算进来的 SHA-256：BERT、分词器、评论、max_length、精度、这份代码"""
    digest = hashlib.sha256(fingerprint(encoder, tokenizer).encode("utf-8"))
    digest.update(f"{max_length} {dtype} {transformers.__version__} {len(texts)}".encode())
    for text in texts:
        digest.update(hashlib.sha256(text.encode("utf-8")).digest())
    digest.update(Path(__file__).read_bytes())  # 改了上面的算法，旧特征也就作废
    return digest.hexdigest()


def sha256(features: torch.Tensor) -> str:
    """特征内容的 SHA-256，用来发现存在硬盘上的文件有没有坏"""
    return hashlib.sha256(features.contiguous().view(torch.uint8).numpy()).hexdigest()


def read_cache(path: Path) -> torch.Tensor | None:
    """读存下来的特征；没有、残缺、内容对不上时返回 None"""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            features = file.get_tensor("features")
            if file.metadata()["sha256"] == sha256(features):
                return features
    except (SafetensorError, OSError, KeyError, TypeError):
        pass  # 和内容对不上一样处理：下面说一声，重新算
    print(f"特征：{path.name} 已损坏，重新算")
    return None


def cached_features(
    encoder: BertModel,
    tokenizer: BertTokenizer,
    texts: list[str],
    max_length: int,
    name: str,
    dtype: torch.dtype = torch.float32,
) -> torch.Tensor:
    """和 `encode` 一样，但算过的存在 data/features/，下次直接读；name 只用在文件名和提示里"""
    if dtype == torch.bfloat16:
        print(f"特征：{name} 用 bf16 算，是近似的，和 fp32 的差到百分之几")
    key = cache_key(encoder, tokenizer, texts, max_length, dtype)
    path = DATA / "features" / f"{name}-{key[:16]}.safetensors"
    features = read_cache(path)
    if features is not None:
        print(f"特征：{name} {tuple(features.shape)}，用上次存下的 {path.name}")
        return features
    features = encode(encoder, tokenizer, texts, max_length, dtype=dtype)
    with atomic_write(path) as temporary:
        save_file({"features": features}, temporary, metadata={"sha256": sha256(features)})
    print(f"特征：{name} {tuple(features.shape)}，存为 {path}")
    return features


def exam(
    model: Model, tokenizer: BertTokenizer, run_info: dict, data: str | None
) -> tuple[MyDataset, torch.Tensor]:
    """考训练好的分类器：(测试集, 它的特征 (N, hidden))；前三个参数来自 net.load_trained

    data 是文件夹或 CSV，None 表示训练时的那份；标签和训练时不同时抛 CourseError。
    """
    dataset, names = MyDataset("test", data or run_info["data"]), run_info["label_names"]
    if dataset.label_names != names:
        raise CourseError(
            f"训练时的标签是 {'、'.join(names)}，这份数据的标签是 {'、'.join(dataset.label_names)}",
            command("demo02_sentiment/train.py", "--data 同一份数据"),
        )
    limit = run_info["max_length"]
    return dataset, cached_features(model.encoder, tokenizer, dataset.texts, limit, "test")


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--model", default=MODEL, help=f"模型名或文件夹，默认 {MODEL}")
    parser.add_argument("--data", default=None, help="文件夹或 CSV，默认自带的评论")
    parser.add_argument("--bf16", action="store_true", help="矩阵乘法用 bf16：快，但是近似的")
    args = parser.parse_args()
    dtype = torch.bfloat16 if args.bf16 else torch.float32

    folder = find_model(args.model)
    encoder, tokenizer = load_encoder(folder).to(DEVICE).eval(), load_tokenizer(folder)
    dataset = MyDataset("validation", args.data)

    # 1. 第一次：BERT 真的算一遍；再运行一次这个脚本，就是直接读
    features = cached_features(encoder, tokenizer, dataset.texts, MAX_LENGTH, "validation", dtype)
    print(features[:2, :6])  # 前两条评论的前 6 个特征

    # 2. 第二次：从硬盘读
    start = time.perf_counter()
    cached_features(encoder, tokenizer, dataset.texts, MAX_LENGTH, "validation", dtype)
    print(f"第二次再取：{time.perf_counter() - start:.2f} 秒")

    # 3. 和课上"全部补到 max_length"的算法比：挡住的补零不影响结果，只是白白多算
    few = dataset.texts[:8]
    padded = tokenizer(
        few, truncation=True, max_length=MAX_LENGTH, padding="max_length", return_tensors="pt"
    )
    with torch.inference_mode():
        slow = encoder(**padded.to(DEVICE)).last_hidden_state[:, 0].cpu()
    real = int(padded["attention_mask"].sum())
    print(f"8 条评论补到 {padded['input_ids'].numel()} 个 token，其中只有 {real} 个是真的")
    print(f"两种算法的特征最大相差 {(slow - features[:8]).abs().max():.1e}")

    # 小结：冻结 + 评估模式 → 特征不变 → 只算一次
    # 练习：把 BATCH_TOKENS 改成 64 和 50000，看看时间和内存怎么变，特征变不变；
    #       再加上 --bf16，最大相差变成多少？


if __name__ == "__main__":
    run(main)
