"""不是一课  自己的推理 API：说 Hugging Face 和 OpenAI 的话，只听 127.0.0.1

最小的一个在 demo01_hf_basics/07_local_api.py 里，二十几行；这里多的是真的服务要的：token、Host、
大小、人数，边写边给，对方走了就停，写错了说是哪里。
"""

import asyncio
import json
import logging
import os
import re
import secrets
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Annotated, Any, NoReturn
from urllib.parse import urlsplit

import anyio.to_thread
import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi_offline import FastAPIOffline
from pydantic import ValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException

from course.errors import CourseError, InputError
from course.text_models import LEFT, Chat, Generator, Question, Ranking, Writing

HOST = "127.0.0.1"  # 只有本机能访问；写成 0.0.0.0 就对整个局域网敞开了
MAX_BYTES = 64 * 1024  # 一个请求最多 64 KB，约两万字
MAX_REQUESTS = 256  # 同时最多几个，再来的由 uvicorn 答 503
GRACE_SECONDS = 2  # 要停的时候，正在算的请求最多再等几秒


# 1. 请求 → 回答


def stream(values: Iterator[dict], end: str = "") -> StreamingResponse:
    """边写边给（server-sent events）：每一块是 data: 后面一行 JSON，再空一行"""
    lines = (f"data: {json.dumps(value, ensure_ascii=False)}\n\n" for value in values)
    return StreamingResponse(chain(lines, [end]), media_type="text/event-stream")


def generate(model: Generator, question: Question) -> list | StreamingResponse:
    """续写：[{"generated_text": …}]，inputs 是列表时每段一个；stream 时一块文字一个事件"""
    settings = Writing.model_validate(question.parameters)
    heads = question.texts if settings.return_full_text else [""] * len(question.texts)
    answers = [model.write(text, settings) for text in question.texts]
    if not question.stream:
        texts = ["".join([head, *list(a)[:-1]]) for head, a in zip(heads, answers, strict=True)]
        rows = [[{"generated_text": text}] for text in texts]
        return rows if isinstance(question.inputs, list) else rows[0]
    if len(answers) > 1:
        raise InputError("stream 时 inputs 只能是一段文字，不能是列表")

    def events() -> Iterator[dict]:
        whole = heads[0]
        for index, piece in enumerate(answers[0], 1):
            end = piece if isinstance(piece, dict) else None
            token = {"text": "" if end else piece, "special": bool(end)}  # id 和概率没有算
            whole += token["text"]
            text = whole if end else None
            yield {"index": index, "token": token, "generated_text": text, "details": end}

    return stream(events())


def classify(model: Any, question: Question) -> list[list[dict]]:
    """分类：每段文字一行 [{"label", "score"}, …]，分数从高到低；一段文字也是一行的列表"""
    wanted = Ranking.model_validate(question.parameters)
    if question.stream:
        raise InputError("分类一次就答完，没有 stream")
    if not all(text.strip() for text in question.texts):
        raise InputError("inputs 是空的，至少要有一个字")
    logits = model.logits(question.texts)
    functions = {"softmax": logits.softmax(1), "sigmoid": logits.sigmoid(), "none": logits}
    rows = functions[wanted.function_to_apply].tolist()
    named = [
        [{"label": a, "score": b} for a, b in zip(model.labels, row, strict=True)] for row in rows
    ]
    return [sorted(row, key=lambda one: -one["score"])[: wanted.top_k] for row in named]


def chat(model: Generator, question: Chat) -> dict | StreamingResponse:
    """OpenAI 的 chat.completion；stream 时是 chat.completion.chunk，以 [DONE] 结束

    GPT-2 没有学过一问一答，也不认得谁是 user：几句话连成一段，接着往下写。对话模型的分词器带着
    chat template，按它把角色写成训练时见过的特殊符号，如 <|im_start|>user。
    """
    p = question.model_dump(include={"top_p", "seed"})
    p |= {"max_new_tokens": question.max_tokens, "do_sample": question.temperature > 0}
    settings = Writing(**p, temperature=question.temperature or 1.0)
    answer = model.write("".join(message.content for message in question.messages), settings)
    head = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time())}
    head |= {"model": question.model, "system_fingerprint": ""}

    def last(end: dict, **said: dict) -> dict:
        """最后一块，或者一次给的整个回答：为什么停，用了几个 token"""
        reason = "length" if end["finish_reason"] == "length" else "stop"
        asked, more = end["prompt_tokens"], end["generated_tokens"]
        usage = dict(prompt_tokens=asked, completion_tokens=more, total_tokens=asked + more)
        return {"choices": [{"index": 0, "finish_reason": reason} | said], "usage": usage}

    if not question.stream:
        *pieces, end = answer
        message = {"role": "assistant", "content": "".join(pieces)}
        return head | {"object": "chat.completion"} | last(end, message=message)

    def chunks() -> Iterator[dict]:
        for piece in answer:
            if isinstance(piece, dict):
                more = last(piece, delta={"role": "assistant"})
            else:
                delta = {"role": "assistant", "content": piece}
                more = {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
            yield head | {"object": "chat.completion.chunk"} | more

    return stream(chunks(), "data: [DONE]\n\n")


# 2. 应用

# pydantic 的报错里最常见的几种，和 FastAPI 自己说的几句英文，换成中文；{} 里是上下限
REASONS = dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "要是整数") | {
    "extra_forbidden": "不认识的参数，或者这里没有实现",
    "missing": "没有写",
    "too_short": "不能是空的",
    "too_long": "不能超过 {max_length} 个",
    "json_invalid": "JSON 写错了（{error}）",
    "string_type": "要是一段文字",
    "string_unicode": "有坏掉的字符（半个 emoji）",
    "list_type": "要是列表",
    "bool_parsing": "要是 true 或 false",
    "float_parsing": "要是数字",
    "less_than": "要小于 {lt}",
    "greater_than": "要大于 {gt}",
    "greater_than_equal": "不能小于 {ge}",
    "less_than_equal": "不能大于 {le}",
    "literal_error": "只能是 {expected}",
    "model_attributes_type": "要是一个 JSON 对象",
    "Not Found": "没有这个地址，有哪些见 /docs",
    "Method Not Allowed": "这个地址不能这样访问，多半是要用 POST，见 /docs",
    "There was an error parsing the body": "读不懂：Windows 的 curl 常把汉字送成 GBK，写成 \\uXXXX",
    "Content Too Large": f"请求太大，最多 {MAX_BYTES} 字节",
}


async def refuse(request: Request, error: Exception) -> JSONResponse:
    """{"error": 一句话}；OpenAI 的地址多包一层，它的客户端只认那种。半个 emoji 换成问号"""
    status, said, headers = 422, str(error), None
    if isinstance(error, StarletteHTTPException):
        status, headers = error.status_code, error.headers
        said = REASONS.get(error.detail, error.detail)
    elif isinstance(error, RequestValidationError | ValidationError):
        said, sent = describe(error.errors()), request.headers.get("content-type", "没有写")
        if error.errors()[0]["type"] == "model_attributes_type" and "json" not in sent.lower():
            status, said = 415, f"Content-Type 要是 application/json，这个请求的是：{sent}"
    elif not isinstance(error, InputError):
        status, said = 500, f"服务器内部出错（{type(error).__name__}）"
    said = said.encode("utf-8", "replace").decode("utf-8")
    kind = {401: "authentication_error", 500: "server_error"}.get(status, "invalid_request_error")
    answer = {"message": said, "type": kind} if "/v1/" in request.url.path else said
    return JSONResponse({"error": answer}, status, headers)


def describe(errors: list[dict]) -> str:
    """pydantic 的报错 → 一行：哪个字段，哪里不对"""
    lines = []
    for error in errors:
        path = [str(part) for part in error["loc"] if part not in ("body", "str", "list[str]")]
        where = ".".join(path) if path and error["type"] != "json_invalid" else "请求体"
        reason = REASONS.get(error["type"], error["msg"]).format(**error.get("ctx", {}))
        lines.append(f"{where}：{reason}")
    return "；".join(lines)


Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))]


async def watch(request: Request) -> AsyncIterator[None]:
    """答的时候看着：提问的人断开了，就记在 LEFT 里；请求体已经读完，再来的只会是断开"""
    # 排队的请求各占一个线程；默认只有 40 个，四十个大的就把小的堵在门外
    anyio.to_thread.current_default_thread_limiter().total_tokens = MAX_REQUESTS
    LEFT.set(left := threading.Event())

    async def wait() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        left.set()

    waiting = asyncio.create_task(wait())
    yield
    waiting.cancel()


def make_app(models: dict[str, Any], token: str | None = None, public: str = "") -> FastAPI:
    """{模型名: 模型} → FastAPI 应用；给了 token，请求就必须带上它；public 是 nginx 前面的地址"""
    if public and not re.fullmatch(r"https?://[\w.-]+(:\d+)?(/\S*)?", public):
        raise CourseError(f"{public} 不是一个网址", "--public-url https://example.com/nlp")
    outside = urlsplit(public)
    allowed = {HOST, "localhost", "::1", (outside.hostname or HOST).encode("idna").decode()}

    def check_host(request: Request) -> None:  # 别的网站借浏览器之手来访问，Host 是它自己的名字
        host = request.url.hostname
        if host not in allowed:
            raise HTTPException(400, f"Host 是 {host}，不是本机；放在 nginx 后面的，启动时加上 "
                                f"--public-url http://{host}")  # fmt: skip

    def check_token(given: Bearer) -> None:
        # 普通的 == 在第一个不同的字节就停，掐表能一位一位猜出 token；这个函数用时固定
        if not given or not secrets.compare_digest(given.credentials.encode(), token.encode()):
            said = "token 不对" if given else "要 token：请求头 Authorization: Bearer …"
            raise HTTPException(401, said, {"WWW-Authenticate": "Bearer"})

    # FastAPI 自带的文档页要从国外的 CDN 取脚本，没有网络就是白板；FastAPIOffline 自己带着
    app = FastAPIOffline(
        title="我的推理 API", redoc_url=None, max_body_size=MAX_BYTES, redirect_slashes=False,
        dependencies=[Depends(check_host), Depends(watch)],
    )  # fmt: skip
    app.state.root_path = outside.path.rstrip("/")  # nginx 去掉的那一截，/docs 里的地址要有它
    guarded = {"dependencies": [Depends(check_token)] * bool(token)}
    for kind in (StarletteHTTPException, RequestValidationError, ValidationError, InputError):
        app.add_exception_handler(kind, refuse)
    app.add_exception_handler(Exception, refuse)  # 别的是我们的错，答 500，终端里有 traceback

    def find(name: str) -> Any:
        if name not in models:
            raise HTTPException(404, f"没有模型 {name or '（没有写）'}，这里有 {'、'.join(models)}")
        return models[name]

    @app.get("/health", summary="活着吗，有哪些模型")
    def health() -> dict:
        return {"status": "ok", "models": {name: model.task for name, model in models.items()}}

    @app.get("/v1/models", summary="会写字的模型（OpenAI 的格式）", **guarded)
    def list_models() -> dict:
        writers = [name for name, model in models.items() if model.task == "text-generation"]
        card = {"object": "model", "created": 0, "owned_by": "me"}
        return {"object": "list", "data": [{"id": name} | card for name in writers]}

    # def 而不是 async def：FastAPI 把它放到线程池里，模型在算的时候别的请求照样有人接
    # 第二个地址：Hugging Face 的客户端把模型写在地址里，这时 JSON 里的模型名不算
    @app.post("/v1/chat/completions", summary="对话（OpenAI 的格式）", **guarded)
    @app.post("/models/{name:path}/v1/chat/completions", summary="对话，模型在地址里", **guarded)
    def chat_completion(question: Chat, name: str = ""):
        question.model = name or question.model
        model = find(question.model)
        if model.task != "text-generation":
            raise HTTPException(404, f"{question.model} 是分类模型，不会写字，不能对话")
        return chat(model, question)

    @app.post("/models/{name:path}", summary="续写或分类（Hugging Face 的格式）", **guarded)
    def infer(name: str, question: Question):
        model = find(name)
        return (generate if model.task == "text-generation" else classify)(model, question)

    return app


# 3. 服务器


def listen(port: int) -> socket.socket:
    """占住 127.0.0.1 的 port，0 是自动挑一个空闲的；用不了时抛 CourseError"""
    try:
        return socket.create_server((HOST, port))
    except (OSError, OverflowError) as error:
        said = f"端口 {port} 用不了：已经有程序在用，没有权限，或大于 65535"
        raise CourseError(said, "--port 换一个，--port 0 自动挑") from error


def free_port(port: int) -> int:
    """port 用得了就是它，0 是自动挑一个；用不了时抛 CourseError"""
    with listen(port) as listener:
        return listener.getsockname()[1]


@contextmanager
def serving(app: FastAPI, port: int = 0) -> Iterator[str]:
    """在后台线程里运行 app，with 块里拿到它的地址 http://127.0.0.1:端口，出块时停下"""
    listener = listen(port)
    # 不攒小包：否则每个长连接的回答都要白等约 45 毫秒（Nagle 算法和延迟确认碰在一起）
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    limits = {"limit_concurrency": MAX_REQUESTS, "timeout_graceful_shutdown": GRACE_SECONDS}
    limits |= {"root_path": getattr(app.state, "root_path", "")}
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", **limits))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield f"http://{HOST}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(GRACE_SECONDS + 1)  # 还有线程在算的话，它等不到头
        listener.close()


def serve_until_stopped(app: FastAPI, port: int, announce: Callable[[str], None]) -> NoReturn:
    """一直服务，直到 Ctrl-C 或 SIGTERM，然后退出；开始服务时调用 announce(地址) 打印介绍"""
    stop = threading.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda *_: stop.set())  # 再按几次也只停一次
    with serving(app, port) as url:
        announce(url)
        while not stop.wait(0.5):  # 一小段一小段地等：Windows 上这样 Ctrl-C 才灵
            pass
        print("\n正在停止 …", flush=True)
        logging.disable()  # 没答完的请求，uvicorn 要一个个地报
    print("已停止，端口已经释放", flush=True)
    os._exit(0)  # 正在算的线程叫不停（Python 没有这个办法），正常退出会等它们算完
