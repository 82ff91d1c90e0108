"""不是一课  BERT 的快算法：一批评论 → 特征，和全部补齐再算相等，一个补齐的位置也不算

四件事让它快，每一件都不改结果（只差浮点误差，fp32 约 5e-6）：
1. 首尾相接：长短不一的评论排成一长串 token，不补齐；只有注意力按句子切开
2. 最后一层只算 [CLS]：别的位置没有人用（特征取平均时要用，就全算）
3. 权重先重排：矩阵乘法顺着读，query、key、value 合成一次乘
4. 每个核各算各的批次，谁也不等谁；token 完全相同的评论只算一次

它认得的是 BERT 的结构和与它一样的几种（`fits`），别的模型走 course/sorted_batches.py；
替你挑一条路的是 course/encoding.py。讲给学员看的三种算法的比较在 demo02_sentiment/06_features.py，
和别的库比有多快在 benchmarks/README.md。
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from math import ceil
from operator import itemgetter

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm
from transformers import PreTrainedTokenizerBase

from course.long_text import opening
from course.models import first_position

BATCH_TOKENS = 512  # 一批最多多少个 token：内存由它和 GROUP 决定，和评论多少、长短无关
GROUP = 16  # 一个核一次领几批：每层的权重重排一次，供这几批用
SHAPE = 16  # 一批的 token 数凑成它的倍数
DOUBTFUL = 0.1  # 不认识的 token、截断的评论超过这么多，要说一声
# 和 BERT 一层不差的：每层先算后 LayerNorm，位置是加上去的编号；只有编号从几数起可以不同
# 写名字，不 import：transformers 的模型部分要读两三秒，到用模型时才读，--help 和"出错了"都不用等。
# 编码器的类型也因此写成 nn.Module，不写 PreTrainedModel
LIKE_BERT = {
    "BertModel",
    "CamembertModel",
    "ElectraModel",
    "ErnieModel",
    "RobertaModel",
    "XLMRobertaModel",
}
# oneDNN 的快路只在有 AVX-512 的处理器上用：别处的 PyTorch 不一定带它，也不一定更快
ONEDNN = torch.backends.mkldnn.is_available() and torch.backends.cpu.get_cpu_capability() in (
    "AVX512",
    "AVX512_VNNI",
)


def fits(encoder: nn.Module) -> bool:
    """这个模型能不能用这里的算法：结构要和 BERT 一样，而且不在显卡上

    词向量比隐藏层窄的 ELECTRA 中间多一层，不行。显卡上一批几百个 token 太少，喂不饱，长短排好一大批
    一大批地算才对。
    """
    kind = type(encoder)
    same = kind.__module__.startswith("transformers.models.") and kind.__name__ in LIKE_BERT
    narrow = hasattr(encoder, "embeddings_project")
    return same and not narrow and encoder.device.type != "cuda"


def token_rows(
    tokenizer: PreTrainedTokenizerBase, texts: list[str], notes: list[str] | None = None
) -> tuple[list[np.ndarray], list[int]]:
    """N 条评论 → 各不相同的 token 序列，和每条评论是其中的第几个：token 完全相同的只算一次

    两百条两百条地分词，太长的先切短：分词器每个 token 要占一百多字节，记下来的只有 4 字节。
    有 DOUBTFUL 以上的 token 不认识、评论被截断，写一句在 notes 里：训练照样跑得完，精度却上不去。
    """
    unique: dict[bytes, int] = {}  # {序列: 编号}
    places = []
    tokens = unknown = cut = 0
    for start in range(0, len(texts), 200):
        part = [opening(tokenizer, text) for text in texts[start : start + 200]]
        part = tokenizer(part, truncation=True)
        if notes is not None:
            tokens += sum(map(len, part["input_ids"]))
            unknown += sum(ids.count(tokenizer.unk_token_id) for ids in part["input_ids"])
            cut += sum(bool(encoding.overflowing) for encoding in part.encodings)
        for ids in part["input_ids"]:
            places.append(unique.setdefault(np.array(ids, np.int32).tobytes(), len(unique)))
    if unknown > DOUBTFUL * tokens:
        notes.append(
            f"{unknown / tokens:.0%} 的 token 是 [UNK]，分词器不认识：多半是词表 vocab.txt 和"
            "评论不是一种文字（英文的 BERT、繁体、别的语言），换一个 --model"
        )
    if cut > DOUBTFUL * len(texts):
        notes.append(
            f"{cut / len(texts):.0%} 的评论超过 {tokenizer.model_max_length} 个 token，"
            "只看了开头；--max-length 可以加大，BERT 最多 512"
        )
    return [np.frombuffer(ids, np.int32) for ids in unique], places


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
    MKL）：AMD 上快一到五成，一次乘的 token 越少越明显。没有 oneDNN 的机器走 F.linear，结果相同。
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
        if type(activation).__name__ == "GELUActivation":  # oneDNN 乘完顺手就算，不用再读写一遍
            activation, after = None, ("gelu", [], "none")
    activation = activation or nn.Identity()
    return lambda x: activation(multiply(x.to(dtype), weight, bias, *after))


@torch.inference_mode()
def prepare(encoder: nn.Module, dtype: torch.dtype = torch.float32) -> Iterator[list[Callable]]:
    """一层一层地备好矩阵乘法，每层四个：query、key、value 合成的，注意力之后的，前馈的两个

    dtype 是乘法的数值类型：torch.bfloat16 只有 8 位有效的二进制数字，在有 bf16 单元的处理器上快
    一倍以上，但结果是近似的（差到 1e-2 上下）。
    """
    for layer in encoder.encoder.layer:
        attention, feed = layer.attention.self, layer.intermediate
        yield [
            multiplier([attention.query, attention.key, attention.value], dtype),
            multiplier([layer.attention.output.dense], dtype),
            multiplier([feed.dense], dtype, feed.intermediate_act_fn),
            multiplier([layer.output.dense], dtype),
        ]


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, groups: list, heads: int
) -> torch.Tensor:
    """首尾相接的句子各看各的：key、value (token 数, hidden)，返回与 query 同形状

    groups 里每一组是等长的几条句子（条数，句长），一组算一次；query 每条句子可以只有一个位置。
    """
    sizes = [rows * length for rows, length in groups]
    asked = sizes if len(query) == len(key) else [rows for rows, _ in groups]
    out = []
    parts = (query.split(asked), key.split(sizes), value.split(sizes))
    for (rows, _), *qkv in zip(groups, *parts, strict=True):
        # (条数 × 句长, hidden) → (条数, 头数, 句长, 每头维数)，注意力之后再变回来
        q, k, v = (x.unflatten(-1, (heads, -1)).unflatten(0, (rows, -1)) for x in qkv)
        context = F.scaled_dot_product_attention(*(x.transpose(1, 2) for x in (q, k, v)))
        out.append(context.transpose(1, 2).flatten(2).flatten(0, 1))
    return torch.cat(out)


@torch.inference_mode()
def packed_features(
    encoder: nn.Module,
    batches: list[list[np.ndarray]],
    prepared: Iterable[list[Callable]],
    pooling: str = "cls",
) -> list[torch.Tensor]:
    """几批长短不一的 token 序列 → 每批的特征 (条数, hidden)；prepared 来自 prepare

    和 `encoder(…).last_hidden_state[:, 0]` 相等（只差浮点误差），但不补齐：一批句子首尾相接，
    排成 (token 数, hidden)。Linear 和 LayerNorm 本来就一个 token 一个 token 地算，不管句子在
    哪里断开；只有注意力按句子切开。最后一层只有 [CLS] 有人用，所以它"看"完整句话之后只算
    [CLS] 一个位置。pooling 是 "mean" 时特征是每个 token 的平均，最后一层就全算。
    """
    heads, layers = encoder.config.num_attention_heads, encoder.encoder.layer
    first = first_position(encoder.config)
    # 每批一个：向量 (token 数, hidden)，每句的长短，等长的几组（见 attend）
    hiddens, sizes, groups = [], [], []
    for batch in batches:
        if rest := -sum(map(len, batch)) % SHAPE:
            # 末尾凑一句废话：每种形状都要另占一份内存。一个服务天天收长短不一的句子，不凑的话，有
            # oneDNN 的机器多占 900 MB，没有的几分钟也多占 170 MB。凑得越粗，短句白算得越多
            batch = [*batch, np.zeros(rest, np.int32)]
        lengths = [len(ids) for ids in batch]
        ids = torch.from_numpy(np.concatenate(batch))[None].to(encoder.device)
        positions = torch.cat([torch.arange(first, first + length) for length in lengths])
        positions = positions[None].to(ids.device)
        hiddens.append(encoder.embeddings(input_ids=ids, position_ids=positions)[0])
        sizes.append(lengths)
        groups.append([(len(list(same)), length) for length, same in groupby(lengths)])

    # 一层的权重备好，各批都用过，再换下一层
    for layer, (qkv, attention_out, feed_in, feed_out) in zip(layers, prepared, strict=True):
        for i, hidden in enumerate(hiddens):
            # 注意力和 LayerNorm 总用 fp32：bf16 的注意力在 CPU 上反而慢，LayerNorm 不占多少时间
            query, key, value = qkv(hidden).float().chunk(3, dim=-1)
            if layer is layers[-1] and pooling == "cls":
                firsts = torch.tensor([0, *sizes[i][:-1]], device=hidden.device).cumsum(0)
                query, hidden = query[firsts], hidden[firsts]
            context = attention_out(attend(query, key, value, groups[i], heads))
            hidden = layer.attention.output.LayerNorm(hidden + context.to(hidden.dtype))
            fed = feed_out(feed_in(hidden))
            hiddens[i] = layer.output.LayerNorm(hidden + fed.to(hidden.dtype))
    if pooling == "mean":
        hiddens = [
            torch.stack([part.mean(0) for part in hidden.split(lengths)])
            for hidden, lengths in zip(hiddens, sizes, strict=True)
        ]
    return [hidden[: len(batch)].cpu() for batch, hidden in zip(batches, hiddens, strict=True)]


def encode(
    encoder: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    texts: list[str],
    dtype: torch.dtype = torch.float32,
    prepared: list[list[Callable]] | None = None,
    progress: bool = True,
    pooling: str = "cls",
    notes: list[str] | None = None,
) -> torch.Tensor:
    """N 条评论 → 特征 (N, hidden)，在 CPU 上，行的顺序与 texts 相同；notes 见 `token_rows`

    pooling 是 "cls"（[CLS] 的向量）或 "mean"（每个 token 的平均）。
    超过 tokenizer.model_max_length 个 token 的截断。dtype 见 `prepare`。encoder 不在评估模式时抛
    RuntimeError：有 dropout，结果就每次不同。常常只来一条评论时，把 `list(prepare(encoder, dtype))`
    存着传给 prepared，省得每次重新备，多占一份权重的内存；那时用的就是备的时候的 dtype。
    """
    if encoder.training:
        raise RuntimeError("encoder must be in eval mode: with dropout a feature is random")
    sequences, places = token_rows(tokenizer, texts, notes)
    with torch.inference_mode(False):  # 下面的线程要往里写，所以它必须是普通的张量
        features = torch.empty(len(sequences), encoder.config.hidden_size, dtype=encoder.dtype)

    def work(group: list[list[int]]) -> int:
        rows = [[sequences[i] for i in batch] for batch in group]
        outs = packed_features(encoder, rows, prepared or prepare(encoder, dtype), pooling)
        for batch, out in zip(group, outs, strict=True):
            features[batch] = out
        return sum(len(sequences[i]) for batch in group for i in batch)

    # CPU 上每个核各算各的批次，谁也不等谁；若让几个核合算一批，有一个核被别的程序占着，
    # 大家都要等它，实测慢几倍。显卡只要一个线程喂它就够
    threads = torch.get_num_threads()
    batches = make_batches([len(ids) for ids in sequences])
    cores = max(1, min(threads if encoder.device.type == "cpu" else 1, len(batches)))
    parts = cores * ceil(len(batches) / (GROUP * cores))  # 每个核轮到的次数相同
    groups = [batches[part::parts] for part in range(parts)]
    bar = tqdm(
        total=sum(map(len, sequences)), desc="BERT 算特征", unit="token", disable=not progress
    )
    with bar:
        if len(groups) == 1:  # 只有一份：就在这个线程里算，另起一个线程要白等几毫秒
            bar.update(work(groups[0]))
            return features[places]
        pool = ThreadPoolExecutor(
            cores, initializer=torch.set_num_threads, initargs=(threads // cores,)
        )
        try:
            for tokens in pool.map(work, groups):
                bar.update(tokens)
        finally:
            pool.shutdown(cancel_futures=True)  # Ctrl-C 时不再算剩下的批次
            torch.set_num_threads(threads)
    return features[places]
