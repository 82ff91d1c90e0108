"""不是一课  推理 API 的回答长什么样；/docs 照着写，送出去之前也照着查一遍，两边就不会不一样"""

from pydantic import BaseModel, ConfigDict

from course.text_models import Token


class Answer(BaseModel):
    """多一个没有写在这里的字段也不行"""

    model_config = ConfigDict(extra="forbid")


# 1. 拒绝


class Problem(Answer):
    """每一种拒绝都是这个样子"""

    error: str


class OpenAIError(Answer):
    message: str
    type: str


class OpenAIProblem(Answer):
    """OpenAI 的地址，拒绝是这个样子"""

    error: OpenAIError


# 2. Hugging Face 的格式


class Health(Answer):
    status: str
    models: dict[str, str]  # {名字: 任务}


class Details(Answer):
    finish_reason: str
    generated_tokens: int
    seed: int | None
    input_length: int
    prefill: list
    tokens: list[Token]


class Generated(Answer):
    generated_text: str
    details: Details | None = None


class Label(Answer):
    label: str
    score: float


# 续写一段、几段，分类，特征
Inference = list[Generated] | list[list[Generated]] | list[list[Label]] | list[list[list[float]]]


# 3. OpenAI 的格式


class Usage(Answer):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Said(Answer):
    role: str
    content: str


class ChatChoice(Answer):
    index: int
    message: Said
    finish_reason: str


class TextChoice(Answer):
    index: int
    text: str
    logprobs: None
    finish_reason: str


class OpenAIAnswer(Answer):
    id: str
    object: str
    created: int  # 从 1970 年起的秒数
    model: str
    system_fingerprint: str
    usage: Usage


class ChatAnswer(OpenAIAnswer):
    choices: list[ChatChoice]


class TextAnswer(OpenAIAnswer):
    choices: list[TextChoice]


class ModelCard(Answer):
    id: str
    object: str
    created: int
    owned_by: str


class ModelList(Answer):
    object: str
    data: list[ModelCard]
