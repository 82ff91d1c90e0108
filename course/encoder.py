"""不是一课  一批评论 → 特征：什么编码器、什么设备都是这一条路

长短排好、切成批次，CPU 上每个核各算各的一批。一批怎么算有两种：BERT 首尾相接
（course/packed_bert.py），别的模型和显卡上的补齐到这一批里最长的；结果相等，只差浮点误差。
算过的存起来、下次直接读，见 course/features.py。
"""

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from math import ceil

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm
from transformers import PreTrainedTokenizerBase

from course.errors import CourseError, is_out_of_memory
from course.packed_bert import fits, int8_bits, packed, why_not_int8

PACKED_TOKENS = 1024  # 首尾相接时，一批最多多少个 token
PADDED_TOKENS = {"cpu": 512, "mps": 2048, "cuda": 32768}  # 补齐时，补的也算
CHARACTERS = 20  # 分词前，一条最多看 max_length 的几倍个字：一个 token 多半是一到五个字母
DOUBTFUL = 0.1  # 不认识的 token、截断的评论超过这么多，要说一声


def has_bf16(device: torch.device) -> bool:
    """处理器（显卡）有没有 bf16 的乘法单元；没有的话用 bf16 反而更慢"""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and torch.cpu.get_capabilities().get("avx512_bf16", False)


def mean_vector(hidden: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
    """每个真的 token 的向量的平均：(N, 句长, hidden)、(N, 句长) → (N, hidden)，补齐的位置不算

    [CLS] 和 [SEP] 也是真的 token。就是 sentence-transformers、e5 的 mean pooling。
    """
    mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * mask).sum(1) / mask.sum(1)


def padded(encoder: nn.Module, tokenizer: PreTrainedTokenizerBase, pooling: str) -> Callable:
    """→ 函数：几条 token 序列 → 特征 (条数, hidden)，fp32，在 CPU 上；补齐到这几条里最长的"""

    @torch.inference_mode()
    def features(rows: list[np.ndarray]) -> torch.Tensor:
        sequences = [torch.tensor(row, dtype=torch.long) for row in rows]
        ids = pad_sequence(sequences, batch_first=True, padding_value=tokenizer.pad_token_id)
        mask = pad_sequence([torch.ones_like(row) for row in sequences], batch_first=True)
        ids, mask = ids.to(encoder.device), mask.to(encoder.device)
        hidden = encoder(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        # 补齐的位置有 attention_mask 挡着，[CLS] 看不见它们
        return (mean_vector(hidden, mask) if pooling == "mean" else hidden[:, 0]).cpu()

    return features


def opening(tokenizer: PreTrainedTokenizerBase, text: str) -> str:
    """太长的评论先切短再分词：模型只看前 max_length 个 token，分词器却要把整条分完，慢，也占内存

    留 max_length 的 CHARACTERS 倍个字，足够凑出 max_length 个 token；开头一万个空格的那种不管。
    """
    return text[: CHARACTERS * tokenizer.model_max_length]


def make_batches(lengths: list[int], budget: int, padding: bool) -> list[list[int]]:
    """N 条各有几个 token → 长短相近的编号一批，一批不超过 budget 个 token（一条就超过的自己一批）

    最长的在前：内存不够马上就知道。padding：补齐的也算。
    """
    batches, room = [], 0
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        size = lengths[batches[-1][0]] if padding and batches else lengths[i]
        if size > room:
            batches.append([])
            size, room = lengths[i], budget
        batches[-1].append(i)
        room -= size
    return batches


class SentenceEncoder:
    """编码器 + 分词器 → 一句话一个向量

    pooling 是 "cls"（[CLS] 的向量）或 "mean"（每个 token 的平均）。int8：矩阵乘法用 8 位的整数，
    快，但是近似的；这台机器、这个模型不能用时说一声，照 fp32 算。备好的权重一直留着，一句一句地
    来时，这个对象也要留着。属性 arithmetic 是 "fp32"、"int8" 或 "int8 (7 bits)"，way 是算法的名字。
    """

    def __init__(
        self,
        encoder: nn.Module,
        tokenizer: PreTrainedTokenizerBase,
        pooling: str = "cls",
        int8: bool = False,
    ):
        self.encoder, self.tokenizer, self.pooling = encoder, tokenizer, pooling
        self.packs = fits(encoder)
        reason = why_not_int8(encoder) if int8 else ""
        if reason:
            print(f"注意：int8 {reason}，这里用 fp32 算")
        self.int8 = int8 and not reason
        self.arithmetic = "fp32"
        if self.int8:
            self.arithmetic = "int8" if int8_bits() == 8 else "int8 (7 bits)"
        self.way = "首尾相接" if self.packs else "长短排好、补齐"
        self.budget = PACKED_TOKENS if self.packs else PADDED_TOKENS[encoder.device.type]

    @cached_property
    def forward(self) -> Callable:
        """一批 token 序列 → 特征；备权重要时间，用到才备"""
        if self.encoder.training:
            raise RuntimeError("encoder must be in eval mode: with dropout a feature is random")
        if self.packs:
            return packed(self.encoder, self.pooling, self.int8)
        return padded(self.encoder, self.tokenizer, self.pooling)

    @cached_property
    def fast(self):
        """分词器里面的那个（tokenizers.Tokenizer）：只要编号，不问它在原文的哪里，快得多"""
        fast = copy.deepcopy(self.tokenizer.backend_tokenizer)
        fast.enable_truncation(self.tokenizer.model_max_length)
        fast.no_padding()
        return fast

    def tokenize(
        self, texts: list[str], notes: list[str] | None = None
    ) -> tuple[list[np.ndarray], list[int]]:
        """N 条评论 → 各不相同的 token 序列，和每条评论是其中的第几个：token 完全相同的只算一次

        超过 tokenizer.model_max_length 个 token 的截断。不认识的 token、截断的评论多于 DOUBTFUL，
        写一句在 notes 里：训练照样跑得完，精度却上不去。
        """
        tokenizer = self.tokenizer
        unique: dict[bytes, int] = {}  # {序列: 编号}
        places = []
        tokens = unknown = cut = 0
        for start in range(0, len(texts), 100):  # 一百条一百条地来，省内存
            part = [opening(tokenizer, text) for text in texts[start : start + 100]]
            for encoding in self.fast.encode_batch_fast(part):
                ids = encoding.ids  # 每取一次都要变成 list，所以只取一次
                tokens += len(ids)
                unknown += ids.count(tokenizer.unk_token_id)
                cut += bool(encoding.overflowing)
                row = np.array(ids, np.int32).tobytes()
                places.append(unique.setdefault(row, len(unique)))
        if notes is not None and unknown > DOUBTFUL * tokens:
            notes.append(
                f"{unknown / tokens:.0%} 的 token 是 [UNK]，分词器不认识：多半是词表 vocab.txt 和"
                "评论不是一种文字（英文的 BERT、繁体、别的语言），换一个 --model"
            )
        if notes is not None and cut > DOUBTFUL * len(texts):
            notes.append(
                f"{cut / len(texts):.0%} 的评论超过 {tokenizer.model_max_length} 个 token，"
                "只看了开头；--max-length 可以加大，BERT 最多 512"
            )
        return [np.frombuffer(row, np.int32) for row in unique], places

    def encode_rows(
        self, rows: list[np.ndarray], done: Callable[[int], object] = int
    ) -> torch.Tensor:
        """token 序列 → 特征 (条数, hidden)，在 CPU 上；每算完一批，叫一次 done(几个 token)

        显存（内存）装不下时一批减半再来，一条也装不下时抛 CourseError。
        """
        while True:
            try:
                return self.try_rows(rows, done)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
            longest = max(map(len, rows))
            if self.budget <= longest:
                raise CourseError("内存（显存）连一条评论都装不下", "--max-length 128")
            self.budget = max(longest, self.budget // 2)
            torch.cuda.empty_cache()  # 没有显卡时什么也不做
            print(f"内存（显存）装不下，一批减半，改成 {self.budget} 个 token，结果不变")

    def try_rows(self, rows: list[np.ndarray], done: Callable[[int], object]) -> torch.Tensor:
        """见 encode_rows；装不下就抛出来"""
        forward = self.forward
        with torch.inference_mode(False):  # 下面的线程要往里写，所以它必须是普通的张量
            features = torch.empty(len(rows), self.encoder.config.hidden_size)
        threads = torch.get_num_threads() if self.encoder.device.type == "cpu" else 1
        lengths = [len(row) for row in rows]
        share = ceil(sum(lengths) / threads)  # 只来几条时，每个核也分到一份
        batches = make_batches(lengths, min(self.budget, share), not self.packs)

        def work(batch: list[int]) -> int:
            features[batch] = forward([rows[i] for i in batch])
            return sum(lengths[i] for i in batch)

        # CPU 上每个核各算各的批次，谁也不等谁；若让几个核合算一批，有一个核被别的程序占着，
        # 大家都要等它，实测慢几倍。显卡只要一个线程喂它就够
        cores = min(threads, len(batches))
        if cores <= 1:  # 就在这个线程里算，另起一个线程要白等几毫秒
            for batch in batches:
                done(work(batch))
            return features
        each = (threads // cores,)
        pool = ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=each)
        try:
            for tokens in pool.map(work, batches):
                done(tokens)
        finally:
            pool.shutdown(cancel_futures=True)  # Ctrl-C 时不再算剩下的批次
            torch.set_num_threads(threads)
        return features

    def encode(self, texts: list[str], progress: bool = False) -> torch.Tensor:
        """N 条评论 → 特征 (N, hidden)，在 CPU 上，行的顺序与 texts 相同"""
        rows, places = self.tokenize(texts)
        total = sum(map(len, rows))
        with tqdm(total=total, desc="算特征", unit="token", disable=not progress) as bar:
            return self.encode_rows(rows, bar.update)[places]
