"""工具  判题用的本机服务器：按写好的样子回答，并记下收到了什么"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Received:
    """服务器收到的一个请求"""

    headers: dict[str, str]
    body: bytes


@dataclass
class Server:
    """一个运行着的服务器：url 是它的地址，received 是它收到的请求，先来的在前"""

    url: str
    received: list[Received] = field(default_factory=list)


@contextmanager
def serving(handle) -> Iterator[str]:
    """在 127.0.0.1 的空闲端口上运行，with 块里拿到地址；handle 是 BaseHTTPRequestHandler 的子类"""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handle)
    with_proxy = {name: os.environ.get(name) for name in ("NO_PROXY", "no_proxy")}
    os.environ.update(dict.fromkeys(with_proxy, "127.0.0.1"))  # 开着代理软件时，本机的请求不走代理
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        for name, value in with_proxy.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


class Quiet(BaseHTTPRequestHandler):
    """不把每个请求打印到终端上"""

    def log_message(self, *_: object) -> None:
        return

    def reply(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        if kind:
            self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def answering(*answers: tuple[int, str, str]) -> Iterator[str]:
    """GET /i 得到 answers[i]，每个是 (状态码, 类型, 内容)"""

    class Handle(Quiet):
        def do_GET(self) -> None:
            status, kind, body = answers[int(self.path[1:])]
            self.reply(status, kind, body.encode("utf-8"))

    with serving(Handle) as url:
        yield url


@contextmanager
def recording(delay: float = 0) -> Iterator[Server]:
    """每个 POST 都记下来，等 delay 秒，回答 200 和 {"ok": true}"""
    record = Server("")

    class Handle(Quiet):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            record.received.append(Received(dict(self.headers), body))
            time.sleep(delay)
            self.reply(200, "application/json", b'{"ok": true}')

    with serving(Handle) as url:
        record.url = url
        yield record
