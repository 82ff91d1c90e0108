"""不是一课  一批评论 → 特征：BERT 走首尾相接的快路，别的编码器长短排好、补齐着算，两条路的结果相等

train、extra_finetune、07 到 11 都从这里要特征。
"""

from collections.abc import Callable

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from course import packed_bert, sorted_batches

POOLINGS = ("cls", "mean")  # 一句话用哪个向量代表：[CLS] 的，还是每个 token 的平均
Prepared = list[list[Callable]] | None


def prepare(encoder: nn.Module) -> Prepared:
    """常常只来一条评论时，备好的权重一直留着，传给 `encode`；走补齐那条路的没有什么可备，是 None"""
    return list(packed_bert.prepare(encoder)) if packed_bert.fits(encoder) else None


def way(encoder: nn.Module) -> str:
    """给人看的一句话：这个模型走哪条路"""
    return "首尾相接算的" if packed_bert.fits(encoder) else "长短排好、一批一批补齐算的"


def has_bf16(device: torch.device) -> bool:
    """处理器（显卡）有没有 bf16 的乘法单元；没有的话用 bf16 反而更慢"""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and torch.cpu.get_capabilities().get("avx512_bf16", False)


def half(device: torch.device) -> torch.dtype:
    """--bf16 用的数值类型；没有 bf16 单元的显卡（RTX 20 系和更老的）用 fp16，它们都有"""
    return torch.float16 if device.type == "cuda" and not has_bf16(device) else torch.bfloat16


def encode(
    encoder: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    texts: list[str],
    dtype: torch.dtype = torch.float32,
    prepared: Prepared = None,
    progress: bool = True,
    pooling: str = "cls",
    notes: list[str] | None = None,
) -> torch.Tensor:
    """N 条评论 → 特征 (N, hidden)，在 CPU 上，行的顺序与 texts 相同；参数见 `packed_bert.encode`"""
    if packed_bert.fits(encoder):
        return packed_bert.encode(
            encoder, tokenizer, texts, dtype, prepared, progress, pooling, notes
        )
    return sorted_batches.encode(encoder, tokenizer, texts, dtype, progress, pooling, notes)
