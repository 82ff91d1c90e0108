"""Hostile requests to both servers, seeded: attack(cases, seed) counts what was answered properly

A case survives when the server answers it in HTTP with JSON (or a whole event stream) and no 5xx
other than a 503 with a sentence. Run it long by hand (needs params/best.pth, see train.py):
    python tests/attack_servers.py --cases 20000
"""

import json
import math
import random
import re
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import requests
from conftest import make_bert
from loopback_tools import make_gpt2

from batching import BatchingClassifier
from course.cli import Parser, at_least, run
from course.inference_api import make_app, serving
from course.paths import PARAMS
from course.text_models import Classifier, Generator
from serve import make_sentiment_app

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
PATHS = [
    f"/models/{GPT}",
    f"/models/{BERT}",
    "/models/sentiment",
    "/v1/chat/completions",
    "/classify",
    "/explain",
    "/table?name=a.csv",
    "/table?name=%ff.parquet",
    "/health",
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
        body = {"model": dice.choice([GPT, BERT, text]), "messages": messages} | given
    elif path == "/classify":
        body = {"texts": dice.choices(TEXTS, k=dice.randint(0, 5))}
    elif path == "/explain":
        body = {"text": text}
    elif BERT in path or "sentiment" in path:
        names = ["top_k", "function_to_apply"]
        body = {"inputs": text, "parameters": {k: v for k, v in given.items() if k in names}}
    else:
        body = {"inputs": text, "parameters": given, "stream": dice.random() < 0.3}
    if "v1" in path:
        body["stream"] = dice.random() < 0.3
    if dice.random() < 0.3:  # one field of a wrong type, or one that nobody knows
        body[dice.choice([*body, text])] = anything(dice)
    return anything(dice) if dice.random() < 0.05 else body


def request(dice: random.Random, port: int) -> bytes:
    """The bytes of one request, good HTTP or not quite"""
    path = dice.choice(PATHS)
    body = json.dumps(payload(dice, path)).encode()
    odd = dice.random()
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
            json.loads(body)
        except ValueError:
            return f"broken JSON: {body[:80]!r}"
    return ""


@contextmanager
def servers(weights: Path | None) -> Iterator[list[int]]:
    """The ports of 07's API with two random models and, given weights, of serve.py's"""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        gpt = make_gpt2(Path(folder) / "gpt")
        tiny = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64}
        bert = make_bert(Path(folder) / "bert", vocab_size=21128, num_hidden_layers=2, **tiny)
        apps = [make_app({GPT: Generator(gpt), BERT: Classifier(bert)})]
        if weights:
            apps.append(make_sentiment_app(BatchingClassifier(weights), weights))
        yield [int(stack.enter_context(serving(app)).rsplit(":", 1)[1]) for app in apps]


def attack(cases: int, seed: int, weights: Path | None = None) -> tuple[int, int, list[str]]:
    """(injected, survived, what was lost: the answer and the request)"""
    dice, lost = random.Random(seed), []
    with servers(weights) as ports:
        for case in range(cases):
            port = ports[case % len(ports)]
            sent = request(dice, port)
            if wrong := verdict(sent, answer(port, sent)):
                lost.append(f"case {case}: {wrong}  <-  {sent[:400]!r}")
        for port in ports:  # still there, and still right
            requests.get(f"http://127.0.0.1:{port}/health", timeout=30).raise_for_status()
    return cases, cases - len(lost), lost


def half_open(count: int, seconds: float) -> tuple[int, int, list[str]]:
    """`count` connections that send half a head: closed within `seconds`, the API answers"""
    with servers(None) as (port,):
        held = []
        for _ in range(count):
            held.append(socket.create_connection(("127.0.0.1", port), timeout=60))
            held[-1].sendall(b"POST /models/x HTTP/1.1\r\nHost: 127.0.0.1")
        deadline, stayed = time.monotonic() + seconds, 0
        for connection in held:
            connection.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                while connection.recv(4096):  # the refusal, or nothing
                    pass
            except TimeoutError:
                stayed += 1
            except ConnectionResetError:
                pass
            connection.close()
        requests.get(f"http://127.0.0.1:{port}/health", timeout=30).raise_for_status()
    return count, count - stayed, [f"{stayed} connections stayed"] if stayed else []


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--cases", type=at_least(1), default=300)
    parser.add_argument("--seed", type=at_least(0), default=0)
    parser.add_argument("--half-open", type=at_least(0), default=300)
    args = parser.parse_args()
    weights = PARAMS / "best.pth"
    started = time.monotonic()
    kinds = {
        "hostile requests": attack(args.cases, args.seed, weights if weights.is_file() else None),
        "half-open connections": half_open(args.half_open, 40),
    }
    print(f"{'kind':24} injected survived  lost")
    for kind, (injected, survived, lost) in kinds.items():
        print(f"{kind:24} {injected:8} {survived:8} {len(lost):5}")
        for count in Counter(line.split(": ", 1)[1][:160] for line in lost).most_common(10):
            print(f"    {count[1]} x {count[0]}")
        print(*lost[:5], sep="\n")
    print(f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    run(main)
