"""不是一课  本地模型的两种用法：续写（GPT）和分类（BERT），给推理 API 当后厨

`Generator` 一个字一个字地写，每写一个就交出来，所以既能一次给全文，也能边写边给（流式）。
"""

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from course.errors import InputError
from course.gatekeeper import LEFT
from course.models import load_model, load_tokenizer

MAX_NEW_TOKENS = 256  # 一次最多续写多少字，免得一个请求占住机器不放


class GenerationParameters(BaseModel):
    """续写的参数，名字与 HF 推理 API 相同；没写的用默认值，写错名字会报错而不是悄悄忽略"""

    model_config = ConfigDict(extra="forbid")

    max_new_tokens: int = Field(50, ge=1, le=MAX_NEW_TOKENS)
    do_sample: bool = True  # False：每一步都取最可能的字，结果固定
    temperature: float = Field(0.7, gt=0, le=100)
    top_k: int = Field(50, ge=0)  # 0：不限
    top_p: float = Field(1.0, gt=0, le=1)
    return_full_text: bool = True  # 答案里带不带提示语
    repetition_penalty: float = Field(1.0, ge=0.01, le=100)  # 大于 1：出现过的字更难再出现
    stop: list[str] = Field([], max_length=4)  # 写出其中一个就停
    truncate: int | None = Field(None, ge=1)  # 提示语只留最后几个 token
    details: bool = False  # 答案里带不带每个 token 的对数概率、为什么停
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)  # 给了种子，随机的结果也能重现


class ClassificationParameters(BaseModel):
    """分类的参数，名字与 HF 推理 API 相同"""

    model_config = ConfigDict(extra="forbid")

    top_k: int | None = Field(None, ge=1)  # 只要分数最高的几类；不写就全给
    function_to_apply: str = Field("softmax", pattern="^(softmax|sigmoid|none)$")


class Token(BaseModel):
    """写出来的一个 token：编号、它带来的文字、当时的对数概率"""

    id: int
    text: str
    logprob: float
    special: bool = False


def tidy(text: str) -> str:
    """去掉汉字旁边的空格：分词器还原时在每两个 token 之间放一个，英文单词之间的留着"""
    return re.sub(r"(?<=[^\x00-\x7f]) | (?=[^\x00-\x7f])", "", text)


def check(text: str) -> str:
    """原样返回 text；里面有半个 emoji（坏掉的请求里才有，分词器读不了）时抛 InputError"""
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise InputError("文字里有坏掉的字符（半个 emoji），删掉它再试")
    return text


class Generator:
    """续写模型；folder 是装着 config.json 和权重的 GPT-2 文件夹"""

    task = "text-generation"

    def __init__(self, folder: Path, device: str = "cpu"):
        self.tokenizer = load_tokenizer(folder)
        self.model = load_model(AutoModelForCausalLM, folder).to(device)
        # 这些记号不是文字，不许写出来；[SEP] 例外，写到它就是"写完了"
        self.never = [i for i in self.tokenizer.all_special_ids if i != self.tokenizer.sep_token_id]
        self.turn = threading.Lock()  # 同时来的请求轮流，各算一个字

    def encode(self, text: str, max_new_tokens: int, truncate: int | None = None) -> list[int]:
        """提示语 → id，truncate 是只留最后几个；不合要求（空的、太长）时抛 InputError

        不加 [CLS]、[SEP]：加了 [SEP] 等于告诉模型"话说完了"，续写就跑题。
        """
        ids = self.tokenizer(check(text), add_special_tokens=False, verbose=False)["input_ids"]
        ids = ids[-truncate:] if truncate else ids
        room = self.model.config.max_position_embeddings - max_new_tokens
        if not ids:
            raise InputError("文字是空的，至少要有一个字")
        if len(ids) > room:
            raise InputError(
                f"文字有 {len(ids)} 个 token，再续写 {max_new_tokens} 个就超过了"
                f"模型的上限 {self.model.config.max_position_embeddings}"
            )
        return ids

    def decode(self, ids: list[int]) -> str:
        return tidy(self.tokenizer.decode(ids, clean_up_tokenization_spaces=False))

    def write(self, ids: list[int], parameters: GenerationParameters) -> Iterator[Token]:
        """从 ids 往下写：算出 21,128 个分数 → 按参数调整 → 抽一个 → 接在后面，再来一遍"""
        device = self.model.device
        dice = torch.Generator(device)  # 每个请求自己的随机数，互不影响
        if parameters.seed is None:
            dice.seed()
        else:
            dice.manual_seed(parameters.seed)
        repeated = RepetitionPenaltyLogitsProcessor(parameters.repetition_penalty)
        # 再低就和取最大的一样了；低到 1e-38 以下，fp32 里是除以 0
        temperature = max(parameters.temperature, 1e-6)
        adjust = LogitsProcessorList([TemperatureLogitsWarper(temperature)])
        if parameters.top_k:
            adjust.append(TopKLogitsWarper(parameters.top_k))
        if parameters.top_p < 1:
            adjust.append(TopPLogitsWarper(parameters.top_p))

        written = list(ids)
        said = len(self.decode(written))
        step = torch.tensor([written], device=device)
        past = None
        for _ in range(parameters.max_new_tokens):
            if LEFT.get().is_set():  # 提问的人走了，写了没有人看
                return
            # inference_mode 不能跨过 yield：那会漏到别的请求的线程里
            with self.turn, torch.inference_mode():
                out = self.model(step, past_key_values=past, use_cache=True)
                past, scores = out.past_key_values, out.logits[:, -1].float()
                scores = repeated(torch.tensor([written], device=device), scores)
                scores[:, self.never] = -torch.inf
                logprobs = scores.log_softmax(-1)
                if parameters.do_sample:
                    probabilities = adjust(None, scores).softmax(-1)
                    step = torch.multinomial(probabilities, 1, generator=dice)
                else:
                    step = scores.argmax(-1, keepdim=True)
                token, logprob = int(step), float(logprobs[0, step])
            if token == self.tokenizer.sep_token_id:
                return
            written.append(token)
            text = self.decode(written)
            yield Token(id=token, text=text[said:], logprob=logprob)
            said = len(text)


class Classifier:
    """分类模型；folder 里没有训练过的分类头时，按 seed 随机造一个（答案没有意义，见 06）"""

    task = "text-classification"

    def __init__(self, folder: Path, device: str = "cpu", seed: int = 0):
        self.tokenizer = load_tokenizer(folder)
        torch.manual_seed(seed)
        self.turn = threading.Lock()  # 一次算一个，每个用上所有的核
        may_miss = ("classifier.", "bert.pooler.")
        self.model = load_model(AutoModelForSequenceClassification, folder, may_miss).to(device)

    def scores(self, text: str) -> dict[str, float]:
        """{标签: logit}，还没有变成概率；不合要求的文字抛 InputError"""
        if self.tokenizer.mask_token in text:
            raise InputError("这里的 BERT 换上了分类头，没有完形填空的头，[MASK] 填不了")
        with self.turn, torch.inference_mode():
            logits = self.model(**self.encode(text)).logits[0].tolist()
        return {self.model.config.id2label[i]: logit for i, logit in enumerate(logits)}

    def features(self, text: str) -> list[list[float]]:
        """每个 token（连 [CLS] 和 [SEP]）的特征 (token 数, hidden)，最后一层的"""
        with self.turn, torch.inference_mode():
            return self.model.base_model(**self.encode(text)).last_hidden_state[0].tolist()

    def encode(self, text: str):
        """一段文字 → 一批的 token；太长的抛 InputError"""
        batch = self.tokenizer(check(text), return_tensors="pt", verbose=False)
        length, limit = batch["input_ids"].shape[1], self.model.config.max_position_embeddings
        if length > limit:
            raise InputError(f"文字有 {length} 个 token，超过了模型的上限 {limit}")
        return batch.to(self.model.device)
