"""不是一课  请求 → 回答：推理 API 的三种回答，续写、分类、对话，格式都是通行的

`generate` 和 `classify` 是 Hugging Face 的格式（{"inputs": …}），`chat` 是 OpenAI 的格式
（{"messages": […]}），今天多数对话服务说的都是它。模型要会什么，见 Writer 和 Judge。
"""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, Protocol

import torch
from fastapi.responses import StreamingResponse
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from course.errors import InputError
from course.text_models import (
    MAX_NEW_TOKENS,
    ClassificationParameters,
    GenerationParameters,
    Token,
)


class Writer(Protocol):
    """会续写的模型，task 是 "text-generation" """

    task: str

    def encode(self, text: str, max_new_tokens: int, truncate: int | None = None) -> list[int]: ...

    def write(self, ids: list[int], parameters: GenerationParameters) -> Iterator[Token]: ...


class Judge(Protocol):
    """会分类的模型，task 是 "text-classification"；scores 是 {标签: logit}"""

    task: str

    def scores(self, text: str) -> dict[str, float]: ...


MAX_INPUTS = 32  # inputs 是列表时最多几条


def drop_nulls(value: Any) -> Any:
    """别的语言的客户端常把没写的参数送成 null：当作没写"""
    if isinstance(value, dict):
        return {key: item for key, item in value.items() if item is not None}
    return value


def text_or_texts(value: Any) -> Any:
    texts = value if isinstance(value, list) else [value]
    if not 1 <= len(texts) <= MAX_INPUTS or not all(isinstance(text, str) for text in texts):
        message = f"要是一段文字，或 1 到 {MAX_INPUTS} 段文字的列表"
        raise ValueError(message)
    return value


def one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


TextOrTexts = Annotated[str | list[str], BeforeValidator(text_or_texts)]


class Options(BaseModel):
    """Hugging Face 从前的选项，认得，但在这里不起作用：没有缓存，模型早就装好了"""

    model_config = ConfigDict(extra="forbid")

    use_cache: bool = True
    wait_for_model: bool = True


class Body(BaseModel):
    """各种请求共同的规矩：null 当作没写，不认识的字段报错，不会悄悄忽略"""

    model_config = ConfigDict(extra="forbid")
    _nulls = model_validator(mode="before")(drop_nulls)


class Question(Body):
    """Hugging Face 格式的请求：文字（一段，或一个列表），和可选的参数"""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"inputs": "今天天气", "parameters": {"max_new_tokens": 30}}]
        },
    )

    inputs: TextOrTexts
    parameters: Annotated[dict[str, Any], AfterValidator(drop_nulls)] = Field(default_factory=dict)
    options: Annotated[Options, BeforeValidator(drop_nulls)] = Field(default_factory=Options)
    stream: bool = False


def joined(value: Any) -> Any:
    """一句话也可以写成几块 [{"type": "text", "text": …}, …]，连起来；图片、声音看不懂"""
    if not isinstance(value, list):
        return value
    if not all(isinstance(part, dict) and part.get("type") == "text" for part in value):
        raise ValueError('只认文字，每一块是 {"type": "text", "text": …}')
    return "".join(TextPart.model_validate(part).text for part in value)


class TextPart(Body):
    type: Literal["text"]
    text: str


class Message(Body):
    """对话里的一句：谁说的（system 是设定，user 是人，assistant 是模型），说了什么"""

    role: Literal["system", "user", "assistant"]
    content: Annotated[str, BeforeValidator(joined)]


class StreamOptions(Body):
    include_usage: bool = False  # 最后多送一块，说用了多少个 token


class OpenAIQuestion(Body):
    """OpenAI 的两种请求都有的。认得的就是这些，别的（tools、logprobs …）会报错"""

    model: str
    max_tokens: int = Field(50, ge=1, le=MAX_NEW_TOKENS)
    temperature: float = Field(0.7, ge=0, le=2)  # 0：每一步都取最可能的字
    top_p: float = Field(1.0, gt=0, le=1)
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    stop: Annotated[list[str], BeforeValidator(one_or_more), Field(max_length=4)] = []
    n: int = Field(1, ge=1, le=1)  # 一次只写一个
    user: str = ""  # 客户自己的用户是谁，这里不记
    stream: bool = False
    stream_options: StreamOptions = Field(default_factory=StreamOptions)

    def parameters(self) -> GenerationParameters:
        return GenerationParameters(
            max_new_tokens=self.max_tokens,
            do_sample=self.temperature > 0,
            temperature=self.temperature or 1.0,
            top_p=self.top_p,
            seed=self.seed,
            stop=self.stop,
        )


class ChatQuestion(OpenAIQuestion):
    """对话的请求；max_completion_tokens 是 max_tokens 的新名字"""

    model_config = ConfigDict(
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

    messages: list[Message] = Field(min_length=1)
    max_completion_tokens: int | None = Field(None, ge=1, le=MAX_NEW_TOKENS)

    @model_validator(mode="after")
    def new_name(self) -> "ChatQuestion":
        self.max_tokens = self.max_completion_tokens or self.max_tokens
        return self


class CompletionQuestion(OpenAIQuestion):
    """续写的请求（OpenAI 从前的格式）；echo 是答案里带不带 prompt

    后五个不是 OpenAI 的：JavaScript 的 @huggingface/inference 把 Hugging Face 的参数也送到这里来。
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "uer/gpt2-chinese-cluecorpussmall",
                    "prompt": "今天天气",
                    "max_tokens": 30,
                }
            ]
        },
    )

    prompt: str
    echo: bool = False
    do_sample: bool = True
    top_k: int = Field(50, ge=0)
    repetition_penalty: float = Field(1.0, ge=0.01, le=100)
    truncate: int | None = Field(None, ge=1)
    return_full_text: bool = False

    def parameters(self) -> GenerationParameters:
        parameters = super().parameters()
        parameters.do_sample = parameters.do_sample and self.do_sample
        parameters.top_k, parameters.truncate = self.top_k, self.truncate
        parameters.repetition_penalty = self.repetition_penalty
        return parameters


class Continuation:
    """一次续写：for token, text in 它，一块一块地给出文字；写完之后看 tokens、reason

    遇到 stop 里的一段就停。Hugging Face 的规矩是答案里带着那一段（keep_stop），OpenAI 的不带：
    那样就不能一见到字就送出去，可能是那一段的开头的，先留着。
    """

    def __init__(
        self, model: Writer, ids: list[int], parameters: GenerationParameters, keep_stop: bool
    ):
        self.steps = model.write(ids, parameters)
        self.parameters, self.keep_stop = parameters, keep_stop
        self.tokens: list[Token] = []
        self.reason = "eos_token"  # 写到了 [SEP]；或 length 写满了、stop_sequence 遇到了 stop

    def __iter__(self) -> Iterator[tuple[Token, str]]:
        stops = [stop for stop in self.parameters.stop if stop]
        text, sent = "", 0
        for token in self.steps:
            self.tokens.append(token)
            text += token.text
            found = [text.find(stop) for stop in stops if stop in text]
            if self.keep_stop:
                ready = len(text)
            elif found:
                ready = min(found)
            else:
                ready = len(text) - max((begun(text, stop) for stop in stops), default=0)
            if found:
                self.reason = "stop_sequence"
            elif len(self.tokens) == self.parameters.max_new_tokens:
                self.reason, ready = "length", len(text)
            yield token, text[sent:ready]
            sent = max(sent, ready)
            if found:
                return
        if sent < len(text):  # 留着的不是 stop，话已经说完了
            yield self.tokens[-1], text[sent:]


def begun(text: str, stop: str) -> int:
    """text 的末尾有几个字是 stop 的开头"""
    return next(n for n in range(len(stop) - 1, -1, -1) if text.endswith(stop[:n]))


def sse(value: dict) -> str:
    """一个 server-sent event：data: 后面一行 JSON，再空一行"""
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"


def generate(model: Writer, question: Question) -> list | StreamingResponse:
    """续写：stream 时返回逐字的事件流，否则返回 [{"generated_text": …}]；inputs 是列表时每段一个"""
    parameters = GenerationParameters.model_validate(question.parameters)
    if isinstance(question.inputs, list):
        if question.stream:
            raise InputError("stream 时 inputs 只能是一段文字，不能是列表")
        one = question.model_copy
        return [generate(model, one(update={"inputs": text})) for text in question.inputs]
    ids = model.encode(question.inputs, parameters.max_new_tokens, parameters.truncate)
    text = question.inputs if parameters.return_full_text else ""
    written = Continuation(model, ids, parameters, keep_stop=True)

    def details() -> dict:
        return {
            "finish_reason": written.reason,
            "generated_tokens": len(written.tokens),
            "seed": parameters.seed,
            "input_length": len(ids),
        }

    if not question.stream:
        answer = {"generated_text": text + "".join(piece for _, piece in written)}
        if parameters.details:
            tokens = [token.model_dump() for token in written.tokens]
            answer["details"] = details() | {"prefill": [], "tokens": tokens}
        return [answer]

    def events() -> Iterator[str]:
        """每个 token 一个事件；最后一个事件带全文"""
        whole, waiting = text, None
        for index, (token, piece) in enumerate(written, start=1):
            if waiting:
                yield sse(waiting)
            whole += piece
            waiting = {
                "index": index,
                "token": token.model_dump(),
                "generated_text": None,
                "details": None,
            }
        if not waiting:  # 一个字也没写就结束了
            end = {"id": 0, "text": "", "logprob": 0.0, "special": True}
            waiting = {"index": 1, "token": end}
        yield sse(waiting | {"generated_text": whole, "details": details()})

    return StreamingResponse(events(), media_type="text/event-stream")


def classify(model: Judge, question: Question) -> list[list[dict]]:
    """分类：每段文字一行 [{"label", "score"}, …]，分数从高到低；一段文字也是一行的列表"""
    parameters = ClassificationParameters.model_validate(question.parameters)
    texts = question.inputs if isinstance(question.inputs, list) else [question.inputs]
    return [rank(model.scores(text), parameters) for text in texts]


def extract(model: Judge, question: Question) -> list:
    """特征：每段文字 [每个 token 的 hidden 个数, …]，客户端拼成 (段数, token 数, hidden)"""
    if question.parameters:
        raise InputError(f"feature-extraction 不认识参数 {'、'.join(question.parameters)}")
    texts = question.inputs if isinstance(question.inputs, list) else [question.inputs]
    return [model.features(text) for text in texts]


ANSWERS = {
    "text-generation": generate,
    "text-classification": classify,
    "feature-extraction": extract,
}


def tasks_of(model: Writer | Judge) -> list[str]:
    """一个模型会的任务，第一个是地址里没写任务时的"""
    return [model.task, *(["feature-extraction"] if hasattr(model, "features") else [])]


def rank(logits: dict[str, float], parameters: ClassificationParameters) -> list[dict]:
    """{标签: logit} → [{"label", "score"}, …]"""
    scores = torch.tensor(list(logits.values()), dtype=torch.float64)
    if parameters.function_to_apply == "softmax":
        scores = scores.softmax(0)
    elif parameters.function_to_apply == "sigmoid":
        scores = scores.sigmoid()
    ranked = sorted(zip(logits, scores.tolist(), strict=True), key=lambda pair: -pair[1])
    return [{"label": label, "score": score} for label, score in ranked[: parameters.top_k]]


def chat(model: Writer, question: ChatQuestion) -> dict | StreamingResponse:
    """对话：OpenAI 的 chat.completion；stream 时是 chat.completion.chunk 的事件流，以 [DONE] 结束

    GPT-2 是续写模型，没有学过一问一答，也不认得谁是 user：几句话按顺序连成一段，接着往下写。
    对话模型的分词器带着一个模板（chat template），apply_chat_template 按它把角色写成训练时见过的
    记号，如 <|im_start|>user；这个分词器里没有模板，也没有那些记号。
    """
    prompt = "".join(message.content for message in question.messages)
    role, silent = {"role": "assistant"}, {"index": 0, "finish_reason": None}
    first = silent | {"delta": role | {"content": ""}}

    def piece(text: str) -> dict:
        return silent | {"delta": role | {"content": text}}

    def whole(text: str, reason: str) -> dict:
        return {"index": 0, "message": role | {"content": text}, "finish_reason": reason}

    def last(reason: str) -> dict:
        return {"index": 0, "delta": role, "finish_reason": reason}

    kinds = ("chatcmpl", "chat.completion", "chat.completion.chunk")
    return openai(model, question, prompt, kinds, whole, [first], piece, last)


def complete(model: Writer, question: CompletionQuestion) -> dict | StreamingResponse:
    """续写：OpenAI 的 text_completion，stream 时每块也叫这个名字"""
    head = question.prompt if question.echo or question.return_full_text else ""

    def choice(text: str, reason: str | None = None) -> dict:
        return {"index": 0, "text": text, "logprobs": None, "finish_reason": reason}

    def whole(text: str, reason: str) -> dict:
        return choice(head + text, reason)

    def last(reason: str) -> dict:
        return choice("", reason)

    kinds = ("cmpl", "text_completion", "text_completion")
    first = [choice(head)] if head else []
    return openai(model, question, question.prompt, kinds, whole, first, choice, last)


def openai(
    model: Writer,
    question: OpenAIQuestion,
    prompt: str,
    kinds: tuple[str, str, str],
    whole: Callable[[str, str], dict],
    first: list[dict],
    piece: Callable[[str], dict],
    last: Callable[[str], dict],
) -> dict | StreamingResponse:
    """OpenAI 的两种回答共同的：编号、用量、事件流

    kinds 是编号的开头、一次答完时的 object、流里每块的 object；whole(文字, 为什么停) 是一次答完的
    choice；流里先是 first，再是一个一个的 piece(文字)，最后是 last(为什么停)。
    """
    parameters = question.parameters()
    ids = model.encode(prompt, parameters.max_new_tokens, parameters.truncate)
    written = Continuation(model, ids, parameters, keep_stop=False)
    head = {
        "id": f"{kinds[0]}-{uuid.uuid4().hex}",
        "created": int(time.time()),
        "model": question.model,
        "system_fingerprint": "",
    }

    def reason() -> str:
        """length 是写满了 max_tokens；stop 是话说完了（写到 [SEP]），或遇到了 stop"""
        return "length" if written.reason == "length" else "stop"

    def usage() -> dict:
        spent = {"prompt_tokens": len(ids), "completion_tokens": len(written.tokens)}
        return spent | {"total_tokens": sum(spent.values())}

    if not question.stream:
        text = "".join(text for _, text in written)
        choices = [whole(text, reason())]
        return head | {"object": kinds[1], "choices": choices, "usage": usage()}

    def chunk(choices: list[dict], **more: dict) -> str:
        return sse(head | {"object": kinds[2], "choices": choices} | more)

    def chunks() -> Iterator[str]:
        for choice in first:
            yield chunk([choice])
        for _, text in written:
            yield chunk([piece(text)])
        yield chunk([last(reason())])
        if question.stream_options.include_usage:
            yield chunk([], usage=usage())
        yield "data: [DONE]\n\n"

    return StreamingResponse(chunks(), media_type="text/event-stream")
