"""不是一课  推理 API 的门卫：不合格的请求不会走到模型面前，每一种拒绝都是一句话

先看 Host 和 token，再看大小和时间；服务要停时，没答完的请求由它答 503。提问的人走了，它记在
LEFT 里，算的人看到就不算了。
"""

import asyncio
import hmac
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from fastapi.responses import JSONResponse

MAX_BYTES = 64 * 1024  # 一个请求最多 64 KB，约两万字；make_app 的 limits 可以给某个地址放宽
BODY_SECONDS = 10  # 请求体多少秒内要发完，发一半就不动的不等
MAX_REQUESTS = 256  # 同时最多答几个，再来的请它等一会儿
MAX_LARGE = 2  # 放宽了的地址，同时最多收几个：每个都要占一大块内存
STOPPING = "服务正在停止，没有答完，过一会儿再试"
OPENAI = re.compile(r"(/models/[^/]+(/[^/]+)?)?/v1/")  # 说 OpenAI 的格式的地址

# 正在答的这个请求，提问的人走了没有；FastAPI 把它带进算的那个线程
LEFT: ContextVar[threading.Event] = ContextVar("LEFT", default=threading.Event())  # noqa: B039


def problem(path: str, status: int, message: str) -> dict:
    """{"error": 一句话}；OpenAI 的地址多包一层 {"error": {"message", "type"}}，它的客户端只认这种

    句子里可能有请求带来的半个 emoji，写不成 JSON，换成问号。
    """
    message = message.encode("utf-8", "replace").decode("utf-8")
    if not OPENAI.match(path):
        return {"error": message}
    kind = "server_error" if status >= 500 else "invalid_request_error"
    kind = "authentication_error" if status == 401 else kind
    return {"error": {"message": message, "type": kind}}


def error_json(path: str, status: int, message: str, **headers: str) -> JSONResponse:
    """一个拒绝；path 是请求的地址，它定了用哪一种样子（见 `problem`）"""
    return JSONResponse(problem(path, status, message), status, headers)


# pydantic 的报错里常见的几种，换成中文；{} 里是它给的上下限
TRANSLATIONS = {
    "extra_forbidden": "不认识的参数，或者这里没有实现",
    "missing": "没有写",
    "too_short": "不能是空的",
    "json_invalid": "JSON 写错了",
    "string_type": "要是一段文字",
    "value_error": "{error}",
    "string_unicode": "有坏掉的字符（半个 emoji）",
    "list_type": "要是一个列表",
    "int_parsing": "要是整数",
    "int_type": "要是整数",
    "int_from_float": "要是整数",
    "int_parsing_size": "数字太大",
    "bool_type": "要是 true 或 false",
    "bool_parsing": "要是 true 或 false",
    "float_type": "要是数字",
    "dict_type": "要是一个 JSON 对象",
    "model_attributes_type": "要是一个 JSON 对象",
    "too_long": "最多 {max_length} 个",
    "less_than": "要小于 {lt}",
    "float_parsing": "要是数字",
    "finite_number": "要是有限的数字",
    "greater_than": "要大于 {gt}",
    "greater_than_equal": "不能小于 {ge}",
    "less_than_equal": "不能大于 {le}",
    "literal_error": "只能是 {expected}",
}


def describe(errors: list[dict]) -> str:
    """pydantic 的报错 → 一行：哪个字段，哪里不对"""
    lines = []
    for error in errors:
        where = ".".join(str(part) for part in error["loc"] if part != "body") or "请求体"
        chinese = TRANSLATIONS.get(error["type"])
        wrong = chinese.format(**error.get("ctx", {})) if chinese else error["msg"]
        lines.append(f"{where}：{wrong}")
    return "；".join(lines)


RETRY = {"Retry-After": "1"}


class Reply:
    """一个请求的回答：记着说到哪里了，give_up 之后应用再说什么都不送"""

    def __init__(self, send):
        self.send = send
        self.started = self.streaming = self.finished = False

    async def __call__(self, message: dict) -> None:
        if self.finished:
            return
        if message["type"] == "http.response.start":
            self.started = True
            kind = dict(message.get("headers", ())).get(b"content-type", b"")
            self.streaming = kind.startswith(b"text/event-stream")
        else:
            self.finished = not message.get("more_body", False)
        await self.send(message)

    async def give_up(self, scope: dict) -> None:
        """没有开始答的答 503；正在一个字一个字送的，送一个报错的事件就结束"""
        if self.finished:
            return
        self.finished = True
        if not self.started:
            await error_json(scope["path"], 503, STOPPING)(scope, None, self.send)
        elif self.streaming:
            said = json.dumps(problem(scope["path"], 503, STOPPING), ensure_ascii=False)
            event = f"data: {said}\n\n"
            await self.send({"type": "http.response.body", "body": event.encode()})


class Guard:
    """门卫，在 FastAPI 之前：先看 Host 和 token，再看大小；不合格的请求不会走到模型面前"""

    def __init__(self, app, token: str | None, limits: dict[str, int]):
        self.app = app
        self.limits = limits
        self.running = self.large = 0
        self.expected = f"Bearer {token}".encode() if token else None

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        reply = Reply(send)
        work = asyncio.create_task(self.admit(scope, receive, reply))
        # 服务要停了，最后的期限也到了：course/inference_api.py 的 Server 说的
        closing = asyncio.create_task(scope["state"]["closing"].wait())
        self.running += 1
        try:
            await asyncio.wait({work, closing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.running -= 1
            closing.cancel()
        if work.done():
            work.result()  # 出了错就在这里抛
        else:  # 正在算的线程叫不停，不等它了
            work.add_done_callback(lambda task: task.cancelled() or task.exception())
            await reply.give_up(scope)

    async def admit(self, scope, receive, send) -> None:
        path, headers = scope["path"], dict(scope["headers"])
        limit = self.limits.get(path, MAX_BYTES)
        refusal = self.refuse(path, headers, limit)
        if refusal or scope["method"] != "POST":
            await (refusal or self.app)(scope, receive, send)
            return
        large = path in self.limits
        full = large and self.large >= MAX_LARGE
        taken = large and not full
        self.large += taken
        try:
            refusal, replay = await self.read(path, receive, limit, keep=not full)
            if full:
                message = f"同时只收 {MAX_LARGE} 个大文件，过几秒再试"
                refusal = refusal or error_json(path, 503, message, **RETRY)
            with self.watched(receive):
                await (refusal or self.app)(scope, replay, send)
        finally:
            self.large -= taken

    @contextmanager
    def watched(self, receive) -> Iterator[None]:
        """块里的代码答一个请求；提问的人断开了，就记在 LEFT 里"""
        left = threading.Event()
        LEFT.set(left)

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            left.set()

        watching = asyncio.create_task(watch())
        try:
            yield
        finally:
            watching.cancel()

    def refuse(self, path: str, headers: dict[bytes, bytes], limit: int) -> JSONResponse | None:
        if self.running > MAX_REQUESTS:
            return error_json(
                path, 503, f"太忙，同时最多答 {MAX_REQUESTS} 个，过一会儿再试", **RETRY
            )
        host = headers.get(b"host", b"").rsplit(b":", 1)[0]
        if host not in (b"127.0.0.1", b"localhost"):  # 别的网站借浏览器之手来访问
            return error_json(path, 400, "Host 只能是 127.0.0.1 或 localhost")
        if self.expected and path.startswith(("/models/", "/v1/")):
            given = headers.get(b"authorization", b"")
            scheme, _, secret = given.partition(b" ")
            given = b" ".join((scheme.capitalize(), secret.strip()))  # bearer 小写也算
            # 普通的 == 在第一个不同的字节就停，掐表能一位一位猜出 token；这个函数用时固定
            if not hmac.compare_digest(given, self.expected):
                message = "token 不对" if secret else "要 token：请求头 Authorization: Bearer …"
                return error_json(path, 401, message, **{"WWW-Authenticate": "Bearer"})
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > limit:
            return error_json(path, 413, f"请求最大 {limit} 字节，这个有 {int(length)} 字节")
        return None

    async def read(self, path: str, receive, limit: int, keep: bool):
        """把请求体收齐（Content-Length 可以说谎，所以边收边数），再原样交给后面

        keep=False 时收了就扔：反正要拒绝，可是不等对方发完就答，他多半收不到。
        """
        body, size, more = bytearray(), 0, True
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while more and size <= limit:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        more = False
                    else:
                        part = message.get("body", b"")
                        size += len(part)
                        body += part if keep else b""
                        more = message.get("more_body", False)
        except TimeoutError:
            return error_json(path, 408, f"{BODY_SECONDS} 秒内没有收完请求"), receive
        if size > limit:
            return error_json(path, 413, f"请求最大 {limit} 字节"), receive
        collected = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def replay():
            return collected.pop() if collected else await receive()

        return None, replay
