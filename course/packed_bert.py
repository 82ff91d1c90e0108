"""不是一课  BERT 的快算法：几条评论首尾相接排成一串 token，一个补齐的位置也不算

结果和全部补齐再算相等（只差浮点误差，fp32 约 5e-6），快在三处：
1. 首尾相接：Linear 和 LayerNorm 本来就一个 token 一个 token 地算，不管句子在哪里断开；只有注意力
   按句子切开
2. 最后一层只算 [CLS]：别的位置没有人用（特征取平均时要用，就全算）
3. 权重先重排：AVX-512 的处理器上，交给 oneDNN 顺着读

int8 是另一回事，结果是近似的：一个数只用 8 位来乘，快得多，特征差到 0.1 上下（`int8_multiplier`）。

它认得的是 BERT 的结构和与它一样的几种（`fits`），别的模型走 course/encoder.py 里补齐的路。
讲给学员看的三种算法的比较在 demo02_sentiment/06_features.py，有多快在 benchmarks/README.md。
"""

import platform
from collections.abc import Callable
from functools import cache
from itertools import groupby

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from course.models import first_position

SHAPE = 16  # 一批的 token 数凑成它的倍数
WIDE = 512  # 没有 VNNI 的处理器上，hidden 到这么宽，int8 才快得出三成以上（量过 256 和 768）
# 和 BERT 一层不差的：每层先算后 LayerNorm，位置是加上去的编号；只有编号从几数起可以不同
# 写名字，不 import：transformers 的模型部分要读两三秒，到用模型时才读
LIKE_BERT = {
    "BertModel",
    "CamembertModel",
    "ElectraModel",
    "ErnieModel",
    "RobertaModel",
    "XLMRobertaModel",
}
# oneDNN（PyTorch 自带的矩阵库）算 fp32，只在有 AVX-512 的处理器上比平常的 F.linear 快
CPU = torch.backends.cpu.get_cpu_capability()
ONEDNN = torch.backends.mkldnn.is_available() and CPU.startswith("AVX512")


def fits(encoder: nn.Module) -> bool:
    """这个模型能不能用这里的算法：结构和 BERT 一样，在 CPU 上

    词向量比隐藏层窄的 ELECTRA 中间多一层，不行。显卡要一大批才喂得饱，补齐着一大批一大批地算才对。
    """
    kind = type(encoder)
    same = kind.__module__.startswith("transformers.models.") and kind.__name__ in LIKE_BERT
    narrow = hasattr(encoder, "embeddings_project")
    return same and not narrow and encoder.device.type == "cpu"


def why_not_int8(encoder: nn.Module) -> str:
    """为什么不能用 int8，一句话；能用就是空的"""
    if not fits(encoder):
        return "只有 CPU 上的 BERT（和结构与它一样的）有"
    x86 = platform.machine().lower() in ("x86_64", "amd64") and CPU.startswith("AVX")
    if not x86 or not torch.backends.mkldnn.is_available():
        return "只有 x86 的处理器有"
    narrow = encoder.config.hidden_size < WIDE and int8_bits() < 8
    return "在没有 VNNI 指令的处理器上，这么小的 BERT 快不了多少" if narrow else ""


def multiplier(linear: nn.Linear, activation: Callable | None = None) -> Callable:
    """一层 Linear，也许再过 activation → 函数：x (token 数, in) → (token 数, out)，fp32"""
    weight, multiply, after = linear.weight, F.linear, ()
    if ONEDNN:
        weight = torch.ops.mkldnn._reorder_linear_weight(weight)
        multiply, after = torch.ops.mkldnn._linear_pointwise, ("none", [], "")
        if type(activation).__name__ == "GELUActivation":  # 乘完顺手就算，不用再读写一遍
            activation, after = None, ("gelu", [], "none")
    activation = activation or nn.Identity()
    return lambda x: activation(multiply(x, weight, linear.bias, *after))


def int8_product(q: torch.Tensor, zero: int, packed: torch.Tensor, scale: torch.Tensor):
    """(q - zero) @ (int8 的权重 × scale).T，q 是 uint8，结果是 fp32；packed 是重排好的权重

    torch.compile 在 CPU 上算 int8 用的就是它。
    """
    zeros = torch.zeros(len(scale), dtype=torch.int32)
    shape = (1.0, 0, torch.float32, "none", [], "")
    return torch.ops.onednn.qlinear_pointwise(q, 1.0, zero, packed, scale, zeros, None, *shape)


@cache
def int8_bits() -> int:
    """这台机器上，输入用几位算得对：有 VNNI 指令的 8 位，没有的 7 位

    没有 VNNI 时，两个 8 位 × 8 位的积在 16 位里相加，大的装不下，悄悄变成 32767。不查表，拿装不下
    的数乘一次看看：指令集的名字有好几个，还有环境变量（ONEDNN_MAX_CPU_ISA）能关掉它。
    """
    ones = torch.full((16, 64), 127, dtype=torch.int8)
    packed = torch.ops.onednn.qlinear_prepack(ones, None)
    out = int8_product(torch.full((16, 64), 255, dtype=torch.uint8), 0, packed, torch.ones(16))
    return 8 if out[0, 0] == 64 * 255 * 127 else 7


def int8_multiplier(linear: nn.Linear, activation: Callable | None = None) -> Callable:
    """和 `multiplier` 一样，只是近似的：权重和输入都化成 8 位的整数再乘，乘完化回来

    对称量化，每个输出通道一个比例（权重）、每个 token 一个比例（输入）：x ≈ s × 整数，
    s = 这一行绝对值最大的 / 127。整数的加法没有舍入，每个 token 又各有各的比例，所以一条评论单独
    算、和别的凑成一批算，一位不差。
    """
    top = 127 if int8_bits() == 8 else 63
    scale = linear.weight.abs().amax(1).clamp(min=1e-12) / 127
    weight = (linear.weight / scale[:, None]).round().to(torch.int8)
    packed = torch.ops.onednn.qlinear_prepack(weight, None)
    activation = activation or nn.Identity()

    def multiply(x: torch.Tensor) -> torch.Tensor:
        most = torch.maximum(x.amax(1, keepdim=True), -x.amin(1, keepdim=True))
        each = most.clamp(min=1e-12) / top
        # 它要的是 uint8：0 挪到 top + 1，再加半个，截掉小数就是四舍五入
        q = (x / each).add_(top + 1.5).to(torch.uint8)
        return activation(torch.addcmul(linear.bias, int8_product(q, top + 1, packed, scale), each))

    return multiply


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
def packed(encoder: nn.Module, pooling: str = "cls", int8: bool = False) -> Callable:
    """备好权重 → 函数：几条长短不一的 token 序列 → 特征 (条数, hidden)，fp32

    和 `encoder(…).last_hidden_state[:, 0]` 相等；pooling 是 "mean" 时是每个 token 的平均。最后一层
    只有 [CLS] 有人用，所以它"看"完整句话之后只算 [CLS] 一个位置。
    """
    make = int8_multiplier if int8 else multiplier
    heads, first = encoder.config.num_attention_heads, first_position(encoder.config)
    layers = []
    for layer in encoder.encoder.layer:
        attention, feed = layer.attention, layer.intermediate
        own = attention.self
        linears = (own.query, own.key, own.value, attention.output.dense, layer.output.dense)
        norms = (attention.output.LayerNorm, layer.output.LayerNorm)
        feed_in = make(feed.dense, feed.intermediate_act_fn)
        layers.append((*map(make, linears), feed_in, *norms))

    @torch.inference_mode()
    def features(rows: list[np.ndarray]) -> torch.Tensor:
        count = len(rows)
        if rest := -sum(map(len, rows)) % SHAPE:
            # 末尾凑一句废话：每种形状都要另占一份内存。一个服务天天收长短不一的句子，不凑的话，有
            # oneDNN 的机器多占 900 MB，没有的几分钟也多占 170 MB。凑得越粗，短句白算得越多
            rows = [*rows, np.zeros(rest, np.int32)]
        lengths = [len(ids) for ids in rows]
        groups = [(len(list(same)), length) for length, same in groupby(lengths)]
        positions = torch.cat([torch.arange(first, first + length) for length in lengths])
        ids = torch.from_numpy(np.concatenate(rows))[None]
        hidden = encoder.embeddings(input_ids=ids, position_ids=positions[None])[0]
        for i, (query, key, value, out, feed_out, feed_in, norm1, norm2) in enumerate(layers, 1):
            k, v, asked = key(hidden), value(hidden), hidden
            if i == len(layers) and pooling == "cls":
                asked = hidden[torch.tensor([0, *lengths[:-1]]).cumsum(0)]
            hidden = norm1(asked + out(attend(query(asked), k, v, groups, heads)))
            hidden = norm2(hidden + feed_out(feed_in(hidden)))
        if pooling == "mean":
            hidden = torch.stack([part.mean(0) for part in hidden.split(lengths)])
        return hidden[:count]

    return features
