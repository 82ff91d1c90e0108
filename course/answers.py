"""请求 → 回答：推理 API 的三种回答，续写、分类、对话，格式都是通行的

`generate` 和 `classify` 是 Hugging Face 的格式（{"inputs": …}），`chat` 是 OpenAI 的格式
（{"messages": […]}），今天多数对话服务说的都是它。模型要会什么，见 Writer 和 Judge。
"""

import json
import time
import uuid
from collections.abc import Iterator
from typing import Any, Literal, Protocol

import torch
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from course.text_models import (
    MAX_NEW_TOKENS,
    ClassificationParameters,
    GenerationParameters,
    Token,
)


class Writer(Protocol):
    """会续写的模型，task 是 "text-generation" """

    task: str

    def encode(self, text: str, max_new_tokens: int) -> list[int]: ...

    def write(self, ids: list[int], parameters: GenerationParameters) -> Iterator[Token]: ...


class Judge(Protocol):
    """会分类的模型，task 是 "text-classification"；scores 是 {标签: logit}"""

    task: str

    def scores(self, text: str) -> dict[str, float]: ...


class Question(BaseModel):
    """Hugging Face 格式的请求：文字，和可选的参数"""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"inputs": "今天天气", "parameters": {"max_new_tokens": 30}}]
        },
    )

    inputs: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    stream: bool = False


class Message(BaseModel):
    """对话里的一句：谁说的（system 是设定，user 是人，assistant 是模型），说了什么"""

    model_config = ConfigDict(extra="forbid")

    role: Literal["system", "user", "assistant"]
    content: str


class ChatQuestion(BaseModel):
    """OpenAI 格式的请求。认得的参数就是下面这些，别的（tools、stop、n …）会报错，不会悄悄忽略"""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "model": "uer/gpt2-chinese-cluecorpussmall",
                    "messages": [{"role": "user", "content": "今天天气"}],
                    "max_tokens": 30,
                }
            ]
        },
    )

    model: str
    messages: list[Message] = Field(min_length=1)
    max_tokens: int = Field(50, ge=1, le=MAX_NEW_TOKENS)
    temperature: float = Field(0.7, ge=0, le=2)  # 0：每一步都取最可能的字
    top_p: float = Field(1.0, gt=0, le=1)
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    stream: bool = False


def sse(value: dict) -> str:
    """一个 server-sent event：data: 后面一行 JSON，再空一行"""
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"


def generate(model: Writer, question: Question) -> list[dict] | StreamingResponse:
    """续写：stream 时返回逐字的事件流，否则返回 [{"generated_text": …}]"""
    parameters = GenerationParameters.model_validate(question.parameters)
    ids = model.encode(question.inputs, parameters.max_new_tokens)
    text = question.inputs if parameters.return_full_text else ""
    if not question.stream:
        text += "".join(token.text for token in model.write(ids, parameters))
        return [{"generated_text": text}]

    def events() -> Iterator[str]:
        """每个 token 一个事件；最后一个事件带全文"""
        whole, waiting = text, None
        for index, token in enumerate(model.write(ids, parameters), start=1):
            if waiting:
                yield sse(waiting)
            whole += token.text
            waiting = {
                "index": index,
                "token": token.model_dump(),
                "generated_text": None,
                "details": None,
            }
        if not waiting:  # 一个字也没写就结束了
            end = {"id": 0, "text": "", "logprob": 0.0, "special": True}
            waiting = {"index": 1, "token": end, "details": None}
        yield sse(waiting | {"generated_text": whole})

    return StreamingResponse(events(), media_type="text/event-stream")


def classify(model: Judge, question: Question) -> list[list[dict]]:
    """分类：[[{"label", "score"}, …]]，分数从高到低"""
    parameters = ClassificationParameters.model_validate(question.parameters)
    logits = model.scores(question.inputs)
    scores = torch.tensor(list(logits.values()), dtype=torch.float64)
    if parameters.function_to_apply == "softmax":
        scores = scores.softmax(0)
    elif parameters.function_to_apply == "sigmoid":
        scores = scores.sigmoid()
    ranked = sorted(zip(logits, scores.tolist(), strict=True), key=lambda pair: -pair[1])
    return [[{"label": label, "score": score} for label, score in ranked[: parameters.top_k]]]


def chat(model: Writer, question: ChatQuestion) -> dict | StreamingResponse:
    """对话：OpenAI 的 chat.completion；stream 时是 chat.completion.chunk 的事件流，以 [DONE] 结束

    GPT-2 是续写模型，没有学过一问一答，也不认得谁是 user：几句话按顺序连成一段，接着往下写。
    真正的对话模型这里会套一个模板（chat template），把角色也写进文字里。
    """
    parameters = GenerationParameters(
        max_new_tokens=question.max_tokens,
        do_sample=question.temperature > 0,
        temperature=question.temperature or 1.0,
        top_p=question.top_p,
        seed=question.seed,
    )
    ids = model.encode("".join(m.content for m in question.messages), question.max_tokens)
    head = {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "created": int(time.time()),
        "model": question.model,
        "system_fingerprint": "",
    }

    def reason(written: int) -> str:
        """为什么停：length 是写满了 max_tokens，stop 是写到了 [SEP]，话说完了"""
        return "length" if written == question.max_tokens else "stop"

    if not question.stream:
        pieces = [token.text for token in model.write(ids, parameters)]
        message = {"role": "assistant", "content": "".join(pieces)}
        choice = {"index": 0, "message": message, "finish_reason": reason(len(pieces))}
        usage = {
            "prompt_tokens": len(ids),
            "completion_tokens": len(pieces),
            "total_tokens": len(ids) + len(pieces),
        }
        return head | {"object": "chat.completion", "choices": [choice], "usage": usage}

    def chunk(delta: dict, finish_reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return sse(head | {"object": "chat.completion.chunk", "choices": [choice]})

    def chunks() -> Iterator[str]:
        """先说是谁在说，然后一个 token 一块，再说为什么停"""
        yield chunk({"role": "assistant", "content": ""})
        written = 0
        for token in model.write(ids, parameters):
            written += 1
            yield chunk({"role": "assistant", "content": token.text})
        yield chunk({"role": "assistant"}, reason(written))
        yield "data: [DONE]\n\n"

    return StreamingResponse(chunks(), media_type="text/event-stream")
