"""不是一课  自己的推理 API：协议与 Hugging Face 的相同，只听 127.0.0.1

`make_app({模型名: 模型}, token)` 造一个 FastAPI 应用，`serving(app, port)` 在后台把它跑起来，
`serve_until_stopped` 一直服务到 Ctrl-C。模型要会什么、每个请求怎么答，见 course/answers.py。
"""

import asyncio
import ctypes
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import anyio.to_thread
import h11
import uvicorn
from fastapi import FastAPI, HTTPException, Security
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from fastapi_offline import FastAPIOffline
from pydantic import ValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException
from uvicorn.protocols.http.h11_impl import H11Protocol

from course.answer_types import (
    ChatAnswer,
    Health,
    Inference,
    ModelList,
    OpenAIProblem,
    Problem,
    TextAnswer,
)
from course.answers import (
    ANSWERS,
    ChatQuestion,
    CompletionQuestion,
    Judge,
    Question,
    Writer,
    chat,
    complete,
    tasks_of,
)
from course.errors import CourseError, InputError
from course.gatekeeper import MAX_REQUESTS, Guard, describe, error_json
from course.network import bypass_proxy_for_loopback

HOST = "127.0.0.1"  # 只有本机能访问；写成 0.0.0.0 就对整个局域网敞开了
HEAD_SECONDS = 10  # 连上之后，请求头多少秒内要发完
MAX_CONNECTIONS = 500  # 同时最多几个连接，再来的答 503
GRACE_SECONDS = 3  # 要停的时候，正在算的请求最多再等几秒

# Linux 的 glibc 给线程各配一块内存池（arena），最多核数的 8 倍。哪一块都会先后轮到大的请求，用过的
# 不还，一个服务的内存就慢慢涨：两个核上问几分钟，从 568 涨到 692 MB；全部线程合用两块，到
# 627 MB 为止，也不慢。要赶在模型读进来之前：读的时候已经有好几个线程了。
# -8 是 malloc.h 里的 M_ARENA_MAX，和环境变量 MALLOC_ARENA_MAX 是一回事；别的系统没有这个函数
if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
    libc.mallopt(-8, 2)

PROBLEMS = {  # /docs 里说会怎样拒绝
    401: "token 不对，或没有带（启动时要了 token 才有）",
    404: "没有这个模型",
    413: "请求太大",
    415: "Content-Type 不是 application/json",
    422: "请求不合要求，error 里说是哪个字段",
    503: "太忙，或正在停止",
}


ROUTE_ERRORS = {  # starlette 自己说的两句英文
    "Not Found": "没有这个地址，有哪些见 /docs",
    "Method Not Allowed": "这个地址不能这样访问，多半是要用 POST，见 /docs",
}

# 边写边送的回答，/docs 里在 JSON 的旁边说一声
STREAM = {200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}}


def refusals(model: type) -> dict:
    return {status: {"model": model, "description": text} for status, text in PROBLEMS.items()}


def make_app(
    models: dict[str, Writer | Judge],
    token: str | None = None,
    limits: dict[str, int] | None = None,
) -> FastAPI:
    """{模型名: 模型} → FastAPI 应用；给了 token，/models、/v1 下的请求就必须带上它

    limits 是 {地址: 请求最多多少字节}，没有写的地址是 MAX_BYTES。
    """
    # FastAPI 自带的文档页要从国外的 CDN 取脚本，没有网络就是白板；FastAPIOffline 自己带着
    app = FastAPIOffline(
        title="我的推理 API",
        redoc_url=None,
        responses=refusals(Problem),
    )
    app.add_middleware(Guard, token=token, limits=limits or {})

    @app.exception_handler(StarletteHTTPException)
    async def http_error(request, error):
        said = ROUTE_ERRORS.get(error.detail, error.detail)
        return error_json(request.url.path, error.status_code, said)

    @app.exception_handler(RequestValidationError)
    async def bad_body(request, error):
        kind = request.headers.get("content-type", "没有写")
        errors = error.errors()
        if errors[0]["type"] == "model_attributes_type" and "json" not in kind.lower():
            message = f"Content-Type 要是 application/json，这个请求的是：{kind}"
            return error_json(request.url.path, 415, message)
        return error_json(request.url.path, 422, describe(errors))

    @app.exception_handler(ValidationError)
    async def bad_parameters(request, error):
        return error_json(request.url.path, 422, describe(error.errors()))

    @app.exception_handler(InputError)
    async def bad_input(request, error):
        return error_json(request.url.path, 422, str(error))

    @app.exception_handler(Exception)
    async def unexpected(request, error):
        return error_json(request.url.path, 500, f"服务器内部出错（{type(error).__name__}）")

    @app.get("/health", summary="活着吗，有哪些模型")
    def health() -> Health:
        return Health(status="ok", models={name: model.task for name, model in models.items()})

    # 要 token 时，/docs 右上角多一个 Authorize；拦不合格的是 Guard，这里只是告诉 /docs
    secured = [Security(HTTPBearer(auto_error=False))] if token else []
    # exclude_unset：没有的字段就不写，不写成 null
    common = {"dependencies": secured, "response_model_exclude_unset": True}
    plain = common | {"response_model": Inference, "responses": STREAM}
    openai = common | {"responses": refusals(OpenAIProblem) | STREAM}
    chats = openai | {"response_model": ChatAnswer}
    texts = openai | {"response_model": TextAnswer}

    # def 而不是 async def：FastAPI 把它放到线程池里，模型在算的时候别的请求照样有人接
    @app.post("/models/{name}", summary="推理", **plain)
    @app.post("/models/{org}/{name}", summary="推理（模型名带组织）", **plain)
    def infer(question: Question, name: str, org: str | None = None):
        model = find(f"{org}/{name}" if org else name)
        return ANSWERS[model.task](model, question)

    # 请求里没有写要做什么，模型只会答它的第一种任务；点名任务就用这个地址，不会的当面说不会
    @app.post("/models/{name}/pipeline/{task}", summary="推理，点名任务", **plain)
    @app.post("/models/{org}/{name}/pipeline/{task}", summary="推理，点名任务", **plain)
    def infer_task(question: Question, name: str, task: str, org: str | None = None):
        model = find(f"{org}/{name}" if org else name)
        if task not in tasks_of(model):
            raise HTTPException(400, f"{name} 会的是 {'、'.join(tasks_of(model))}，不会 {task}")
        return ANSWERS[task](model, question)

    @app.post("/v1/chat/completions", summary="对话（OpenAI 的格式）", **chats)
    def chat_completion(question: ChatQuestion):
        return chat(find_writer(question.model), question)

    @app.post("/v1/completions", summary="续写（OpenAI 的格式）", **texts)
    def completion(question: CompletionQuestion):
        return complete(find_writer(question.model), question)

    # Hugging Face 的客户端把模型写在地址里，后面接上 OpenAI 的；这时 JSON 里的模型名不算
    @app.post("/models/{name}/v1/chat/completions", summary="对话，模型在地址里", **chats)
    @app.post("/models/{org}/{name}/v1/chat/completions", summary="对话，模型在地址里", **chats)
    def model_chat(question: ChatQuestion, name: str, org: str | None = None):
        question.model = f"{org}/{name}" if org else name
        return chat_completion(question)

    @app.post("/models/{name}/v1/completions", summary="续写，模型在地址里", **texts)
    @app.post("/models/{org}/{name}/v1/completions", summary="续写，模型在地址里", **texts)
    def model_completion(question: CompletionQuestion, name: str, org: str | None = None):
        question.model = f"{org}/{name}" if org else name
        return completion(question)

    started = {"object": "model", "created": int(time.time()), "owned_by": "me"}

    @app.get("/v1/models", summary="会写字的模型（OpenAI 的格式）", **common)
    def list_models() -> ModelList:
        writers = [name for name, model in models.items() if model.task == "text-generation"]
        return {"object": "list", "data": [{"id": name} | started for name in writers]}

    def find_writer(name: str) -> Writer:
        model = find(name)
        if model.task != "text-generation":
            raise HTTPException(404, f"{name} 是分类模型，不会写字，不能续写、对话")
        return model

    def find(name: str) -> Writer | Judge:
        if name not in models:
            raise HTTPException(404, f"没有模型 {name}，这里有 {'、'.join(models) or '零个模型'}")
        return models[name]

    return app


class Connection(H11Protocol):
    """uvicorn 的连接，多管两件事：请求头迟迟发不完的断开，连接太多时答 503"""

    def connection_made(self, transport) -> None:
        self.head_timer = None
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            body = '{"error": "连接太多，过一会儿再试"}'.encode()
            head = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
            head += f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
            transport.write(head.encode() + body)
            transport.close()
        self.watch_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.watch_head()

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.head_timer = self.head_timer and self.head_timer.cancel()

    def watch_head(self) -> None:
        """等请求头时开始计时，收完了（IDLE 之后）就不计"""
        waiting = self.conn.their_state is h11.IDLE
        if waiting and self.head_timer is None:
            late = self.timeout_keep_alive_handler  # 没有新请求时，uvicorn 就是这样断开的
            self.head_timer = self.loop.call_later(HEAD_SECONDS, late)
        elif not waiting and self.head_timer:
            self.head_timer = self.head_timer.cancel()  # cancel() 返回 None

    def send_400_response(self, message: str) -> None:
        """读不懂的请求；前一个请求正答到一半时没有地方说，只能断开"""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(message)
        else:
            self.transport.close()


class Server(uvicorn.Server):
    """uvicorn 的服务，停得干脆：GRACE_SECONDS 秒之后，没答完的都由门卫答 503"""

    def __init__(self, app: FastAPI):
        settings = uvicorn.Config(
            app,
            http=Connection,
            log_level="error",  # 有人发来乱码不算我们的事
            lifespan="off",
            timeout_graceful_shutdown=GRACE_SECONDS + 1,
        )
        super().__init__(settings)
        self.stopped = threading.Event()  # 每个请求都答过了

    async def startup(self, sockets=None) -> None:
        # 排队的请求各占一个线程；默认只有 40 个，四十个大的就把小的堵在门外
        anyio.to_thread.current_default_thread_limiter().total_tokens = MAX_REQUESTS
        # 每个服务自己的，门卫从请求的 scope["state"] 里看到它：同一个应用可以由几个服务先后运行
        self.lifespan.state["closing"] = asyncio.Event()
        await super().startup(sockets)

    async def shutdown(self, sockets=None) -> None:
        asyncio.get_running_loop().call_later(GRACE_SECONDS, self.lifespan.state["closing"].set)
        await super().shutdown(sockets)
        self.stopped.set()


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
    server = Server(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield f"http://{HOST}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        server.stopped.wait(GRACE_SECONDS + 1.5)
        thread.join(0.3)  # 还有线程在算的话，它等不到头
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
    print("已停止，端口已经释放", flush=True)
    sys.stderr.flush()
    # 客户都答过了，可是正在算的线程叫不停（Python 没有这个办法），正常退出会等它们算完
    os._exit(0)
