"""docs/08-api.md says which calls of other people's clients work: the real clients ask every row"""

import re

import pytest
from conftest import SMALL, make_bert
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError
from loopback_tools import make_gpt2

from course.inference_api import make_app, serving
from course.paths import ROOT
from course.text_models import Classifier, GenerationParameters, Generator

PROMPT = "你好，我是一款语言模型，"
GPT, BERT = "someone/tiny-gpt", "tiny-bert"
PAGE = (ROOT / "docs/08-api.md").read_text(encoding="utf-8")
ROWS = {name: result for result, name in re.findall(r"\| ([^|]+) <!-- (\S+) --> \|\n", PAGE)}
WORKS, REFUSED, ASTRAY = "能用", "拒绝：", "答非所问："


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clients")
    bert = make_bert(folder / "bert", **SMALL)
    return {GPT: Generator(make_gpt2(folder / "gpt")), BERT: Classifier(bert)}


@pytest.fixture(scope="module")
def api(models):
    with serving(make_app(models)) as url:
        yield url


@pytest.fixture(scope="module")
def greedy(models) -> list[str]:
    """What the model writes after PROMPT, piece by piece: eight tokens, the most probable ones"""
    generator = models[GPT]
    ids = generator.encode(PROMPT, 8)
    parameters = GenerationParameters(max_new_tokens=8, do_sample=False)
    return [token.text for token in generator.write(ids, parameters)]


MESSAGES = [{"role": "user", "content": PROMPT}]
PARTS = [{"type": "text", "text": PROMPT[:4]}, {"type": "text", "text": PROMPT[4:]}]
PICTURE = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
PLAIN = {"do_sample": False, "max_new_tokens": 8, "return_full_text": False}
CHAT = {"messages": MESSAGES, "max_tokens": 8, "temperature": 0}


def at(path):
    return lambda api: InferenceClient(model=f"{api}/models/{path}", token=None)


def base(api):
    return InferenceClient(base_url=f"{api}/v1", token=None)


def chunks(stream) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream)


# {row: (client, call)}; a call that should work gives the text that the model writes, or True
HUB = {
    "py-write": (at(GPT), lambda c: c.text_generation(PROMPT, **PLAIN)),
    "py-write-stream": (
        at(GPT),
        lambda c: "".join(c.text_generation(PROMPT, stream=True, **PLAIN)),
    ),
    "py-write-details": (
        at(GPT),
        lambda c: c.text_generation(PROMPT, details=True, **PLAIN).generated_text,
    ),
    "py-write-watermark": (at(GPT), lambda c: c.text_generation(PROMPT, watermark=True)),
    "py-chat": (at(GPT), lambda c: c.chat_completion(**CHAT).choices[0].message.content),
    "py-chat-stream": (at(GPT), lambda c: chunks(c.chat_completion(**CHAT, stream=True))),
    "py-chat-base": (
        base,
        lambda c: c.chat_completion(model=GPT, **CHAT).choices[0].message.content,
    ),
    "py-classify": (
        at(BERT),
        lambda c: {row.label for row in c.text_classification("很好")} == {"LABEL_0", "LABEL_1"},
    ),
    "py-features": (
        at(f"{BERT}/pipeline/feature-extraction"),
        lambda c: c.feature_extraction("很好").shape == (1, 4, 32),
    ),
    "py-mask": (at(BERT), lambda c: c.fill_mask("很[MASK]")),
    "py-mask-named": (at(f"{BERT}/pipeline/fill-mask"), lambda c: c.fill_mask("很[MASK]")),
    "py-zero-shot": (
        at(BERT),
        lambda c: c.zero_shot_classification("好", candidate_labels=["a", "b"]),
    ),
    "py-question": (at(BERT), lambda c: c.question_answering(question="谁", context="我")),
    "py-similarity": (at(BERT), lambda c: c.sentence_similarity("好", ["坏"])),
    "py-tokens": (at(BERT), lambda c: c.token_classification("很好")[0][0].entity is None),
    "py-summary": (at(GPT), lambda c: c.summarization("很好").summary_text is None),
    "py-summary-named": (at(f"{GPT}/pipeline/summarization"), lambda c: c.summarization("很好")),
}


def said(answer) -> str:
    return answer.choices[0].message.content


def talk(c, **more):
    return c.chat.completions.create(**({"model": GPT} | CHAT | more))


def write(c, **more):
    asked = {"model": GPT, "prompt": PROMPT, "max_tokens": 8, "temperature": 0}
    return c.completions.create(**(asked | more))


OPENAI = {
    "openai-chat": lambda c: said(talk(c)),
    "openai-chat-stream": lambda c: chunks(talk(c, stream=True)),
    "openai-parts": lambda c: said(talk(c, messages=[{"role": "user", "content": PARTS}])),
    "openai-image": lambda c: talk(c, messages=[{"role": "user", "content": PICTURE}]),
    "openai-complete": lambda c: write(c).choices[0].text,
    "openai-complete-stream": lambda c: "".join(
        chunk.choices[0].text for chunk in write(c, stream=True)
    ),
    "openai-stop": lambda c: write(c, stop="不会写出来的").choices[0].text,
    "openai-models": lambda c: [model.id for model in c.models.list()] == [GPT],
    "openai-in-model": lambda c: said(talk(c, model="anything")),
    "openai-tools": lambda c: talk(c, tools=[]),
    "openai-logprobs": lambda c: write(c, logprobs=1),
    "openai-two": lambda c: talk(c, n=2),
    "openai-unknown": lambda c: talk(c, model="gpt-4"),
    "openai-classifier": lambda c: talk(c, model=BERT),
    "openai-embeddings": lambda c: c.embeddings.create(model=BERT, input="很好"),
    "openai-responses": lambda c: c.responses.create(model=GPT, input=PROMPT),
}


def agrees(row: str, answer: object, refusal: str | None, greedy: list[str]) -> None:
    """What the client got is what the page says in this row"""
    result = ROWS[row]
    if result.startswith(REFUSED):
        words = re.search("`(.+)`", result)[1]
        assert refusal is not None and words in refusal, (row, answer, refusal)
        return
    assert refusal is None, (row, refusal)
    assert result == WORKS or result.startswith(ASTRAY)
    assert answer is True or (answer == "".join(greedy) and result == WORKS), (row, answer)


def test_every_row_of_the_page_is_asked():
    assert sorted(ROWS) == sorted([*HUB, *OPENAI])


@pytest.mark.parametrize("row", HUB)
def test_huggingface_hub(row, api, greedy):
    client, call = HUB[row]
    answer = refusal = None
    try:
        answer = call(client(api))
    except HfHubHTTPError as error:
        refusal = str(error)
    agrees(row, answer, refusal, greedy)


@pytest.mark.parametrize("row", OPENAI)
def test_openai(row, api, greedy):
    openai = pytest.importorskip("openai")
    where = f"{api}/models/{GPT}/v1" if row == "openai-in-model" else f"{api}/v1"
    client = openai.OpenAI(base_url=where, api_key="any", max_retries=0)
    answer = refusal = None
    try:
        answer = OPENAI[row](client)
    except openai.APIStatusError as error:
        refusal = error.message  # the sentence itself: OpenAI's form of an error
        assert refusal.startswith(f"Error code: {error.status_code} - ")
        assert error.type == "invalid_request_error"
    agrees(row, answer, refusal, greedy)


def test_openai_is_told_how_much_was_spent(api):
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(base_url=f"{api}/v1", api_key="any", max_retries=0)
    chat = talk(client)
    assert chat.usage.completion_tokens == 8 and chat.choices[0].finish_reason == "length"
    *_, last = talk(client, stream=True, stream_options={"include_usage": True})
    assert last.usage.total_tokens == chat.usage.total_tokens and last.choices == []
    text = write(client).choices[0].text
    cut = write(client, stop=text[3:5]).choices[0]
    assert cut.text == text[: text.index(text[3:5])] and cut.finish_reason == "stop"


def test_openai_without_the_token(models):
    openai = pytest.importorskip("openai")
    with serving(make_app(models, "secret")) as url:
        wrong = openai.OpenAI(base_url=f"{url}/v1", api_key="wrong", max_retries=0)
        with pytest.raises(openai.AuthenticationError, match="token 不对") as refused:
            talk(wrong)
        assert refused.value.type == "authentication_error"
        right = openai.OpenAI(base_url=f"{url}/models/{GPT}/v1", api_key="secret", max_retries=0)
        assert said(talk(right))
