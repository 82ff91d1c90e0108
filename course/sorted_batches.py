"""不是一课  任何编码器都走得通的算法：长短相近的评论一批，补齐到这一批里最长的，算出特征

首尾相接的快算法（course/packed_bert.py）只认 BERT 的结构；DistilBERT、ALBERT、
ModernBERT 这些，和显卡上的，走这里。补齐的位置有 attention_mask 挡着，所以和全部补齐再算相等
（只差浮点误差）。
"""

import numpy as np
import torch
from torch import nn
from tqdm import tqdm
from transformers import PreTrainedTokenizerBase

from course.errors import CourseError, is_out_of_memory
from course.packed_bert import token_rows

BATCH_TOKENS = {"cpu": 2048, "cuda": 32768}  # 一批最多多少个 token，补齐的也算


def mean_vector(hidden: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
    """每个真的 token 的向量的平均：(N, 句长, hidden)、(N, 句长) → (N, hidden)，补齐的位置不算

    [CLS] 和 [SEP] 也是真的 token。就是 sentence-transformers、e5 的 mean pooling。
    """
    mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * mask).sum(1) / mask.sum(1)


def one_batch(
    encoder: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    rows: list[np.ndarray],
    dtype: torch.dtype,
    pooling: str,
) -> torch.Tensor:
    """几条 token 序列 → 特征 (条数, hidden)，fp32，在 CPU 上"""
    ids = {"input_ids": [row.tolist() for row in rows]}
    batch = tokenizer.pad(ids, return_tensors="pt").to(encoder.device)
    low = torch.autocast(encoder.device.type, dtype, enabled=dtype != torch.float32)
    with torch.inference_mode(), low:
        hidden = encoder(**batch).last_hidden_state.float()
    if pooling == "mean":
        return mean_vector(hidden, batch["attention_mask"]).cpu()
    return hidden[:, 0].cpu()


def encode(
    encoder: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    texts: list[str],
    dtype: torch.dtype = torch.float32,
    progress: bool = True,
    pooling: str = "cls",
    notes: list[str] | None = None,
) -> torch.Tensor:
    """N 条评论 → 特征 (N, hidden)，和 `packed_bert.encode` 说的一样，只是什么编码器都行

    dtype 是矩阵乘法的数值类型，torch.bfloat16、torch.float16 的结果是近似的。内存（显存）装不下时
    一批减半再来，一条也装不下时抛 CourseError。
    """
    if encoder.training:
        raise RuntimeError("encoder must be in eval mode: with dropout a feature is random")
    sequences, places = token_rows(tokenizer, texts, notes)
    features = torch.empty(len(sequences), encoder.config.hidden_size)
    budget = BATCH_TOKENS.get(encoder.device.type, BATCH_TOKENS["cpu"])
    # 短的在前，从末尾取：最长的先算，内存不够马上就知道
    rest = sorted(range(len(sequences)), key=lambda i: len(sequences[i]))
    total = sum(map(len, sequences))
    with tqdm(total=total, desc="编码器算特征", unit="token", disable=not progress) as bar:
        while rest:
            longest = max(1, len(sequences[rest[-1]]))
            rows = rest[-max(1, budget // longest) :]
            try:
                out = one_batch(encoder, tokenizer, [sequences[i] for i in rows], dtype, pooling)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                out = None  # 出了 except 再还内存：抓在手里的 error 还连着算到一半的东西
            if out is None:
                if len(rows) == 1:
                    raise CourseError("内存（显存）连一条评论都装不下", "--max-length 128")
                budget = len(rows) // 2 * longest
                torch.cuda.empty_cache()  # 没有显卡时什么也不做
                print(f"内存（显存）装不下，一批从 {len(rows)} 条减半再来，结果不变")
                continue
            del rest[-len(rows) :]
            features[rows] = out
            bar.update(sum(len(sequences[i]) for i in rows))
    return features[places]
