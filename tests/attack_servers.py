"""Hostile requests to both servers, for tests/attack.py: each kind yields its cases

A case survives when the server answers it in HTTP with JSON (or a whole event stream) and no 5xx
other than a 503 with a sentence.
"""

from course import gatekeeper, inference_api
from course.inference_api import make_app, serving
from course.text_models import Classifier, Generator

import json
import math
import random
import re
import resource
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import requests
from attack_files import table
from conftest import SMALL, make_bert
from loopback_tools import make_gpt2
from serve import make_sentiment_app

from backstage.batching import BatchingClassifier

Case = tuple[str, str]  # what was done, what was lost
GPT, BERT = "someone/tiny-gpt", "tiny-bert"
NUMBERS = [0, -1, 1, 2, 1e-320, 1e-45, 5e-324, 1e308, -1e308, 2**31, 2**63, 2**64, -(2**63) - 1]
NUMBERS += [10**400, math.nan, math.inf, -math.inf, 0.5, 1.5, "7", "many", True]
TEXTS = [
    "",
    " ",
    "很好",
    "好\ud83d",
    "\udc00",
    "\x00",
    "\u202e\ufeff",
    "👍🏽" * 9,
    "长" * 600,
    "[MASK]",
]
TEXTS += ["[SEP]", "[CLS][PAD]", "a" * 3000, "\r\n", "'; DROP TABLE", "\uffff", "e\u0301" * 50]
TABLE = "/table?name=a"
API = [  # of the lesson 07
    f"/models/{GPT}",
    f"/models/{BERT}",
    f"/models/{GPT}/pipeline/text-generation",
    f"/models/{BERT}/pipeline/text-classification",
    f"/models/{BERT}/pipeline/feature-extraction",
    "/v1/chat/completions",
    "/v1/completions",
]
PAGE = [  # of 09_serve.py
    "/models/sentiment",
    "/models/sentiment/pipeline/text-classification",
    "/classify",
    "/explain",
    TABLE,
]
BOTH = [
    f"/models/{GPT}/pipeline/text-classification",
    "/models/sentiment/pipeline/feature-extraction",
    f"/models/{BERT}/pipeline/%ff%00",
    "/table?name=%ff.parquet",
    "/table",
    "/health",
    "/info",
    "/docs",
    "/openapi.json",
    "/page/..%2f..%2fserve.py",
    "/models/../x",
    "/models/%00",
    "/",
]
FIELDS = {
    **dict.fromkeys(["max_new_tokens", "max_tokens", "top_k", "top_p", "temperature"], NUMBERS),
    **dict.fromkeys(["seed", "repetition_penalty", "truncate", "n"], NUMBERS),
    "do_sample": [True, False, None, "no", 3],
    "return_full_text": [True, False, None],
    "function_to_apply": ["softmax", "sigmoid", "none", "", None, 5],
    **{name: [True, False, None, "no"] for name in ("details", "echo", "stream")},
    "stop": [*TEXTS, TEXTS[:3], TEXTS[:5], [None]],
    "stream_options": [{"include_usage": True}, {}, None, [], {"x": 1}],
    "max_completion_tokens": NUMBERS,
    "user": TEXTS,
}


def deep(depth: int) -> str:
    return "[" * depth + "]" * depth


def anything(dice: random.Random) -> object:
    return dice.choice([None, True, dice.choice(NUMBERS), dice.choice(TEXTS), [], {}, [[None]]])


def payload(dice: random.Random, path: str) -> object:
    """Mostly what the path asks for, with something wrong in it"""
    text = dice.choice(TEXTS)
    given = {
        name: dice.choice(values)
        for name, values in dice.sample(list(FIELDS.items()), dice.randint(0, 3))
    }
    given.setdefault("max_tokens" if "v1" in path else "max_new_tokens", 3)
    if "v1" in path:
        messages = [{"role": dice.choice(["user", "system", "robot"]), "content": text}]
        asked = {"prompt": text} if path == "/v1/completions" else {"messages": messages}
        body = {"model": dice.choice([GPT, GPT, BERT, text])} | asked | given
    elif path == "/classify":
        body = {"texts": dice.choices(TEXTS, k=dice.randint(0, 5))}
    elif path == "/explain":
        body = {"text": text} | words(dice, text)
    elif BERT in path or "sentiment" in path:
        names = ["top_k", "function_to_apply"]
        some = dice.choices(TEXTS, k=dice.randint(0, 40))
        inputs = some if dice.random() < 0.2 else text
        body = {"inputs": inputs, "parameters": {k: v for k, v in given.items() if k in names}}
    else:
        body = {"inputs": text, "parameters": given, "stream": dice.random() < 0.3}
    if "v1" in path and "stream" not in body:
        body["stream"] = dice.random() < 0.3
    if dice.random() < 0.3:  # one field of a wrong type, or one that nobody knows
        body[dice.choice([*body, text])] = anything(dice)
    return anything(dice) if dice.random() < 0.05 else body


def words(dice: random.Random, text: str) -> dict:
    """The text in words as a browser cuts it, mostly; emoji are cut in two, as in JavaScript"""
    size = dice.randint(1, 3)
    cut = [text[i : i + size] for i in range(0, len(text), size)]
    wrong = [cut[::-1], cut[1:], [""] * 9, [*cut, ""], [text, None], "x", [[text]]]
    return dice.choice([{}, {"words": cut}, {"words": cut}, {"words": dice.choice(wrong)}])


def request(dice: random.Random, port: int, paths: list[str]) -> bytes:
    """The bytes of one request, good HTTP or not quite"""
    path = dice.choice(paths if dice.random() < 0.8 else [*API, *PAGE, *BOTH])
    odd = dice.random()
    if path == TABLE:
        name, _, body = table(dice)
        path, odd = path.removesuffix("a") + name, 1
    else:
        body = json.dumps(payload(dice, path)).encode()
    if odd < 0.03:
        body = deep(dice.choice([5, 900, 20_000])).encode()
    elif odd < 0.06:
        body = dice.randbytes(dice.choice([0, 1, 50, 3000]))
    elif odd < 0.08:
        body = b'{"inputs": ' + b"9" * 6000 + b"}"
    elif odd < 0.1:
        body = body[: len(body) // 2]
    kind = "application/octet-stream" if "table" in path else "application/json"
    if dice.random() < 0.1:
        kind = dice.choice(
            ["", "text/plain", "application/json; charset=gbk", "multipart/form-data"]
        )
    method = dice.choices(["POST", "GET", "PUT", "HEAD", "BREW"], [30, 2, 1, 1, 1])[0]
    length = len(body) if dice.random() < 0.95 else dice.choice([0, 10**4, 10**8, 2**60])
    headers = [
        f"Host: 127.0.0.1:{port}",
        f"Content-Type: {kind}",
        f"Content-Length: {length}",
        "Connection: close",
        dice.choice(["", "Accept: text/html\r\n", "X-Wait-For-Model: 1\r\n", "Expect: x\r\n"]),
    ]
    if dice.random() < 0.03:
        headers.insert(
            0, dice.choice(["Upgrade: websocket\r\nConnection: Upgrade", "no colon", "\x00: y"])
        )
    return f"{method} {path} HTTP/1.1\r\n".encode() + "\r\n".join(headers).encode() + b"\r\n" + body


def answer(port: int, sent: bytes) -> bytes:
    """Everything the server sends back until it closes"""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        received = b""
        try:
            connection.sendall(sent)
            if promises_more(sent):
                return b""  # this client leaves
            while part := connection.recv(65536):
                received += part
        except (ConnectionResetError, BrokenPipeError):
            pass  # refused before all of it was read
        return received


def promises_more(sent: bytes) -> bool:
    """Is the body shorter than Content-Length says? The server waits for the rest"""
    head, _, body = sent.partition(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head)
    return bool(length) and len(body) < int(length[1]) <= 64 * 1024


def verdict(sent: bytes, received: bytes) -> str:
    """ "" when the answer is a proper one, otherwise what is wrong with it"""
    if not received and promises_more(sent):
        return ""
    head, _, body = received.partition(b"\r\n\r\n")
    status = head.split(b" ")[1].decode() if head.startswith(b"HTTP/1.1 ") else "no HTTP answer"
    if not status.isdigit():
        return status
    if status == "503" and b'"error"' in body:
        return ""
    if status >= "500":
        return f"{status} {body[:200].decode(errors='replace')}"
    if b"text/event-stream" in head and not body.endswith(b"\r\n0\r\n\r\n"):
        return f"broken stream: {body[-80:]!r}"
    if b"application/json" in head and b"chunked" not in head and not sent.startswith(b"HEAD"):
        try:
            json.loads(body, parse_constant=no_number)
        except ValueError as error:
            return f"broken JSON ({error}): {body[:80]!r}"
    return ""


def no_number(name: str) -> float:
    raise ValueError(f"{name} is not JSON: no browser reads it")


@contextmanager
def servers(weights: Path | None) -> Iterator[list[int]]:
    """The ports of 07's API with two random models and, given weights, of 09_serve.py's"""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        gpt = make_gpt2(Path(folder) / "gpt")
        bert = make_bert(Path(folder) / "bert", **SMALL)
        apps = [make_app({GPT: Generator(gpt), BERT: Classifier(bert)})]
        if weights:
            apps.append(make_sentiment_app(BatchingClassifier(weights), weights))
        yield [int(stack.enter_context(serving(app)).rsplit(":", 1)[1]) for app in apps]


def hostile(weights: Path, seeds: list[int]) -> Iterator[Case]:
    """Anything that can be sent, to the API of 07 and to 09_serve.py in turn"""
    with servers(weights) as (api, page):
        for seed in seeds:
            dice = random.Random(seed)
            port, paths = dice.choice([(api, API), (page, PAGE)])
            sent = request(dice, port, paths)
            yield f"{sent[:300]!r} (seed {seed})", verdict(sent, answer(port, sent))
        for port in (api, page):  # still there, and still right
            requests.get(f"http://127.0.0.1:{port}/health", timeout=30).raise_for_status()


HALVES = [
    b"",
    b"POST /models/x HTTP/1.1\r\nHost: 127.0.0.1",
    b"POST /models/x HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b'Content-Length: 500\r\n\r\n{"inputs": ',
    b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",  # and then nothing more
]


def half_open(seeds: list[int]) -> Iterator[Case]:
    """Connections that send a part of a request, all at once: closed in time, the API answers"""
    inference_api.HEAD_SECONDS = gatekeeper.BODY_SECONDS = 2
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with servers(None) as (port,):
        held = []
        for seed in seeds:
            part = random.Random(seed).choice(HALVES)
            held.append((part, socket.create_connection(("127.0.0.1", port), timeout=60)))
            with suppress(ConnectionError):  # one too many: refused at once
                held[-1][1].sendall(part)
        requests.get(f"http://127.0.0.1:{port}/docs", timeout=30)
        deadline = time.monotonic() + 20
        for part, connection in held:
            connection.settimeout(max(0.01, deadline - time.monotonic()))
            lost = ""
            try:
                while connection.recv(4096):  # the refusal, or nothing
                    pass
            except TimeoutError:
                lost = "the connection stayed"
            except ConnectionError:
                pass
            connection.close()
            yield f"{part!r:.60} and no more", lost
        requests.get(f"http://127.0.0.1:{port}/health", timeout=30).raise_for_status()
