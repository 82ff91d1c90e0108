"""不是一课  推理 API 的后厨：请求里能写什么，续写（GPT）和分类（BERT）怎么算"""

import ctypes
import re
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    TextIteratorStreamer,
)

from course.errors import InputError
from course.models import load_model, load_tokenizer

MAX_NEW_TOKENS = 256  # 一次最多续写多少字，免得一个请求占住机器不放

# Linux 的 glibc 给线程各配一块内存池（arena），用过的不还，一个服务的内存就慢慢涨：
# 两个核上问几分钟，从 568 涨到 692 MB；全部线程合用两块（-8 是 M_ARENA_MAX），到 627 MB 为止，
# 也不慢。要赶在读模型之前
if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
    libc.mallopt(-8, 2)

# 正在答的这个请求，提问的人走了没有；FastAPI 把它带进算的那个线程
LEFT: ContextVar[threading.Event] = ContextVar("LEFT", default=threading.Event())  # noqa: B039


# 1. 请求的格式：FastAPI 照着检查，/docs 照着写


class Strict(BaseModel):
    """不认识的字段报错，不会悄悄忽略；null 当作没写，别的语言的客户端常这样送"""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def drop_nulls(cls, value: Any) -> Any:
        return {k: v for k, v in value.items() if v is not None} if type(value) is dict else value


Seed = Annotated[int | None, Field(ge=-(2**63), lt=2**63)]  # 给了种子，随机的结果也能重现


class Writing(Strict):
    """续写的参数，名字与 HF 推理 API 相同"""

    max_new_tokens: int = Field(50, ge=1, le=MAX_NEW_TOKENS)
    do_sample: bool = True  # False：每一步都取最可能的字，结果固定
    temperature: float = Field(0.7, gt=0, le=100)
    top_k: int = Field(50, ge=0)  # 0：不限
    top_p: float = Field(1.0, gt=0, le=1)
    repetition_penalty: float = Field(1.0, ge=0.01, le=100)  # 大于 1：出现过的字更难再出现
    return_full_text: bool = True  # 答案里带不带提示语
    seed: Seed = None


class Ranking(Strict):
    """分类的参数，名字与 HF 推理 API 相同"""

    top_k: int | None = Field(None, ge=1)  # 只要分数最高的几类；不写就全给
    function_to_apply: Literal["softmax", "sigmoid", "none"] = "softmax"


class Question(Strict):
    """Hugging Face 格式的请求"""

    inputs: str | Annotated[list[str], Field(min_length=1, max_length=32)]
    parameters: dict[str, Any] = Field(
        default_factory=dict,
        description=f"续写：{'、'.join(Writing.model_fields)}；分类：{'、'.join(Ranking.model_fields)}",
    )
    stream: bool = False

    @property
    def texts(self) -> list[str]:
        return self.inputs if isinstance(self.inputs, list) else [self.inputs]


class Message(Strict):
    role: Literal["system", "user", "assistant"]  # 设定、人、模型
    content: str


TOKENS = AliasChoices("max_tokens", "max_completion_tokens")  # 后一个是新名字


class Chat(Strict):
    """OpenAI 格式的请求；认得的就是这些，别的（tools、logprobs、stop …）会报错"""

    model: str = ""
    messages: list[Message] = Field(min_length=1)
    max_tokens: int = Field(50, ge=1, le=MAX_NEW_TOKENS, validation_alias=TOKENS)
    temperature: float = Field(0.7, ge=0, le=2)  # 0：每一步都取最可能的字
    top_p: float = Field(1.0, gt=0, le=1)
    seed: Seed = None
    n: Literal[1] = 1  # 一次只写一个
    stream: bool = False
    stream_options: dict = Field(default_factory=dict)  # 要不要说用了多少个 token；这里总是说


# 2. 模型


def tidy(text: str) -> str:
    """去掉汉字旁边的空格：分词器还原时在每两个 token 之间放一个，英文单词之间的留着"""
    return re.sub(r"(?<=[^\x00-\x7f]) | (?=[^\x00-\x7f])", "", text)


def encode(tokenizer, text: str, room: int, **options):
    """一段文字 → 一批的 token；空的、超过 room 个、有半个 emoji（分词器读不了）的抛 InputError"""
    if re.search("[\ud800-\udfff]", text):
        raise InputError("文字里有坏掉的字符（半个 emoji），删掉它再试")
    batch = tokenizer(text, return_tensors="pt", verbose=False, **options)
    count = batch["input_ids"].shape[1]
    if not text.strip() or not 0 < count <= room:  # 看不见的字，一个 token 也没有
        raise InputError(f"文字不能是空的，最多 {room} 个 token，这里有 {count} 个")
    return batch


class Generator:
    """续写模型；folder 是装着 config.json 和权重的 GPT-2 文件夹"""

    task = "text-generation"

    def __init__(self, folder: Path):
        self.tokenizer = load_tokenizer(folder)
        self.model = load_model(AutoModelForCausalLM, folder)
        self.turns = ThreadPoolExecutor(1)  # 只有一个线程在写，别的请求排队

    def write(self, text: str, settings: Writing) -> Iterator[str | dict]:
        """一块一块地给出文字，最后是 {"finish_reason", "generated_tokens", "prompt_tokens"}

        提示语不加 [CLS]、[SEP]：加了 [SEP] 等于告诉模型"话说完了"，续写就跑题。
        """
        room = self.model.config.max_position_embeddings - settings.max_new_tokens
        # 不要 token_type_ids：那是 BERT 的，GPT-2 收到了会把它也当成字加进去
        plain = {"add_special_tokens": False, "return_token_type_ids": False}
        inputs = encode(self.tokenizer, text, room, **plain)
        pieces = TextIteratorStreamer(self.tokenizer, skip_prompt=True, skip_special_tokens=True)
        sampling = {"temperature", "top_k", "top_p"}  # 取最可能的字时用不上，写了 generate 要警告
        unused = {"return_full_text", "seed"} | (set() if settings.do_sample else sampling)
        options = settings.model_dump(exclude=unused)
        if settings.do_sample:  # 再低就和取最大的一样了；低到 1e-38 以下，fp32 里是除以 0
            options["temperature"] = max(settings.temperature, 1e-6)
        end = self.tokenizer.sep_token_id  # 写到 [SEP] 就是写完了，别的特殊符号不是文字，不许写出来
        never = [i for i in self.tokenizer.all_special_ids if i != end]
        left, closed = LEFT.get(), threading.Event()

        def stop(*_: object, **__: object) -> torch.Tensor:
            return torch.tensor([left.is_set() or closed.is_set()])

        def work() -> torch.Tensor:
            torch.seed() if settings.seed is None else torch.manual_seed(settings.seed)
            try:
                return self.model.generate(
                    **inputs, **options, suppress_tokens=never, eos_token_id=end,
                    pad_token_id=end, streamer=pieces, stopping_criteria=[stop],
                )[0]  # fmt: skip
            finally:  # 出了错，等着的人也要醒
                pieces.text_queue.put(pieces.stop_signal)

        def written() -> Iterator[str | dict]:
            job, whole, said = self.turns.submit(work), "", ""
            try:
                for piece in pieces:
                    whole = (whole + piece).removeprefix("##")  # 头一个也可能是单词的后半截
                    ready = tidy(whole).rstrip(" ")
                    if ready != said:
                        yield ready[len(said) :]
                    said = ready
                ids = job.result()  # 写的时候出的错，在这里抛
            finally:
                closed.set()
            asked, done = inputs["input_ids"].shape[1], int(ids[-1]) == end
            yield {
                "finish_reason": "eos_token" if done else "length",
                "generated_tokens": len(ids) - asked - done,
                "prompt_tokens": asked,
            }

        return written()


class Classifier:
    """分类模型；folder 里没有训练过的分类头时，按 seed 随机造一个（答案没有意义，见 06）"""

    task = "text-classification"

    def __init__(self, folder: Path, seed: int = 0):
        self.tokenizer, self.turn = load_tokenizer(folder), threading.Lock()
        torch.manual_seed(seed)
        may_miss = ("classifier.", "bert.pooler.")
        self.model = load_model(AutoModelForSequenceClassification, folder, may_miss)
        self.labels = list(self.model.config.id2label.values())

    def logits(self, texts: list[str]) -> torch.Tensor:
        """N 段文字 → (N, 类别数)，一段一段地算；不合要求的抛 InputError"""
        room = self.model.config.max_position_embeddings
        batches = [encode(self.tokenizer, text, room) for text in texts]
        with self.turn, torch.inference_mode():
            return torch.cat([self.model(**batch).logits for batch in batches])
