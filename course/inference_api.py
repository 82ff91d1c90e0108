"""自己的推理 API：协议与 Hugging Face 的相同，只听 127.0.0.1

`make_app({模型名: 模型}, token)` 造一个 FastAPI 应用，`serving(app, port)` 在后台把它跑起来，
`serve_until_stopped` 一直服务到 Ctrl-C。模型要会什么、每个请求怎么答，见 course/answers.py。
"""

import asyncio
import hmac
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI, HTTPException
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from pydantic import ValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException

from course.answers import ChatQuestion, Judge, Question, Writer, chat, classify, generate
from course.errors import CourseError, InputError
from course.network import bypass_proxy_for_loopback

HOST = "127.0.0.1"  # 只有本机能访问；写成 0.0.0.0 就对整个局域网敞开了
MAX_BYTES = 64 * 1024  # 一个请求最多 64 KB，约两万字；make_app 的 limits 可以给某个地址放宽
BODY_SECONDS = 10  # 请求体多少秒内要发完，发一半就不动的不等


def error_json(status: int, message: str, **headers: str) -> JSONResponse:
    return JSONResponse({"error": message}, status, headers)


# pydantic 的报错里常见的几种，换成中文；{} 里是它给的上下限
TRANSLATIONS = {
    "extra_forbidden": "不认识的参数，或者这里没有实现",
    "missing": "没有写",
    "too_short": "不能是空的",
    "json_invalid": "JSON 写错了",
    "string_type": "要是一段文字",
    "list_type": "要是一个列表",
    "int_parsing": "要是整数",
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


class Guard:
    """门卫，在 FastAPI 之前：先看 Host 和 token，再看大小；不合格的请求不会走到模型面前"""

    def __init__(self, app, token: str | None, limits: dict[str, int]):
        self.app = app
        self.limits = limits
        self.expected = f"Bearer {token}".encode() if token else None

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        limit = self.limits.get(scope["path"], MAX_BYTES)
        refusal = self.refuse(scope["path"], headers, limit)
        if refusal is None and scope["method"] == "POST":
            refusal, receive = await self.read(receive, limit)
        await (refusal or self.app)(scope, receive, send)

    def refuse(self, path: str, headers: dict[bytes, bytes], limit: int) -> JSONResponse | None:
        host = headers.get(b"host", b"").rsplit(b":", 1)[0]
        if host not in (b"127.0.0.1", b"localhost"):  # 别的网站借浏览器之手来访问
            return error_json(400, "Host 只能是 127.0.0.1 或 localhost")
        if self.expected and path.startswith(("/models/", "/v1/")):
            given = headers.get(b"authorization", b"")
            # 普通的 == 在第一个不同的字节就停，掐表能一位一位猜出 token；这个函数用时固定
            if not hmac.compare_digest(given, self.expected):
                message = "token 不对" if given else "要 token：请求头 Authorization: Bearer …"
                return error_json(401, message, **{"WWW-Authenticate": "Bearer"})
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > limit:
            return error_json(413, f"请求最大 {limit} 字节，这个有 {int(length)} 字节")
        return None

    async def read(self, receive, limit: int):
        """把请求体收齐（Content-Length 可以说谎，所以边收边数），再原样交给后面"""
        body, more = bytearray(), True
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while more and len(body) <= limit:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        more = False
                    else:
                        body += message.get("body", b"")
                        more = message.get("more_body", False)
        except TimeoutError:
            return error_json(408, f"{BODY_SECONDS} 秒内没有收完请求"), receive
        if len(body) > limit:
            return error_json(413, f"请求最大 {limit} 字节"), receive
        collected = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def replay():
            return collected.pop() if collected else await receive()

        return None, replay


ANSWERS = {"text-generation": generate, "text-classification": classify}


def make_app(
    models: dict[str, Writer | Judge],
    token: str | None = None,
    limits: dict[str, int] | None = None,
) -> FastAPI:
    """{模型名: 模型} → FastAPI 应用；给了 token，/models、/v1 下的请求就必须带上它

    limits 是 {地址: 请求最多多少字节}，没有写的地址是 MAX_BYTES。
    """
    # FastAPI 自带的文档页要从国外的 CDN 取脚本，没有网络就是白板；FastAPIOffline 自己带着
    app = FastAPIOffline(title="我的推理 API", redoc_url=None)
    app.add_middleware(Guard, token=token, limits=limits or {})

    @app.exception_handler(StarletteHTTPException)
    async def http_error(request, error):
        return error_json(error.status_code, str(error.detail))

    @app.exception_handler(RequestValidationError)
    async def bad_body(request, error):
        return error_json(422, describe(error.errors()))

    @app.exception_handler(ValidationError)
    async def bad_parameters(request, error):
        return error_json(422, describe(error.errors()))

    @app.exception_handler(InputError)
    async def bad_input(request, error):
        return error_json(422, str(error))

    @app.exception_handler(Exception)
    async def unexpected(request, error):
        return error_json(500, f"服务器内部出错（{type(error).__name__}）")

    @app.get("/health", summary="活着吗，有哪些模型")
    def health() -> dict:
        return {"status": "ok", "models": {name: model.task for name, model in models.items()}}

    # def 而不是 async def：FastAPI 把它放到线程池里，模型在算的时候别的请求照样有人接
    @app.post("/models/{name}", summary="推理", response_model=None)
    @app.post("/models/{org}/{name}", summary="推理（模型名带组织）", response_model=None)
    def infer(question: Question, name: str, org: str | None = None):
        model = find(f"{org}/{name}" if org else name)
        return ANSWERS[model.task](model, question)

    @app.post("/v1/chat/completions", summary="对话（OpenAI 的格式）", response_model=None)
    def complete(question: ChatQuestion):
        model = find(question.model)
        if model.task != "text-generation":
            raise HTTPException(404, f"{question.model} 是分类模型，不会写字，不能对话")
        return chat(model, question)

    def find(name: str) -> Writer | Judge:
        if name not in models:
            raise HTTPException(404, f"没有模型 {name}，这里有 {'、'.join(models) or '零个模型'}")
        return models[name]

    return app


@contextmanager
def serving(app: FastAPI, port: int = 0) -> Iterator[str]:
    """在后台线程里运行 app，with 块里拿到它的地址 http://127.0.0.1:端口，出块时停下

    port 为 0 时自动挑一个空闲的端口。端口被占用时抛 CourseError。
    """
    bypass_proxy_for_loopback()
    try:
        listener = socket.create_server((HOST, port))
    except (OSError, OverflowError) as error:  # 被占用、没有权限，或大于 65535
        reason = getattr(error, "strerror", None) or error
        raise CourseError(
            f"端口 {port} 用不了（{reason}）", "--port 换一个，--port 0 自动挑"
        ) from error
    # 不攒小包：否则每个长连接的回答都要白等约 45 毫秒（Nagle 算法和延迟确认碰在一起）
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    settings = uvicorn.Config(
        app,
        log_level="warning",
        timeout_graceful_shutdown=5,  # 停的时候，还没答完的请求最多再等 5 秒
        lifespan="off",
    )
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield f"http://{HOST}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


def serve_until_stopped(app: FastAPI, port: int, announce: Callable[[str], None]) -> None:
    """一直服务，直到 Ctrl-C 或 SIGTERM；开始服务时调用 announce(地址) 打印介绍"""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with serving(app, port) as url:
        announce(url)
        try:
            while not stop.wait(0.5):  # 一小段一小段地等：Windows 上这样 Ctrl-C 才灵
                pass
        except KeyboardInterrupt:
            pass
        print("\n正在停止 …")
    print("已停止，端口已经释放")
