"""For tests on 127.0.0.1: run scripts that reach nothing else, a rude server, and a proxy"""

import os
import socket
import socketserver
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import torch
from conftest import TINY, environment, run_python
from transformers import GPT2Config, GPT2LMHeadModel

from course.paths import ROOT

TOKEN = "hf_ThisIsTheSecretOfTheTests0123456789"  # must never be seen in any output


def loopback_environment(repo: Path, **extra: str) -> dict[str, str]:
    env = environment(repo) | extra
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT / "tests" / "loopback"), str(repo)])
    return env


def run_loopback(
    repo: Path, script: str, *args: object, **extra: str
) -> subprocess.CompletedProcess:
    """As conftest.run_script, but the script may reach 127.0.0.1; `extra` are its variables"""
    words = [str(repo / script), *map(str, args)]
    env = loopback_environment(repo, **extra)
    return run_python(words, repo, env, warm=not extra, seconds=600)


def make_gpt2(folder: Path, seed: int = 0) -> Path:
    """A GPT-2 folder with random weights and the shipped vocabulary"""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=21128, n_positions=128, n_embd=32, n_layer=2, n_head=2, eos_token_id=102
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    for name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((TINY / name).read_bytes())
    return folder


class Rude:
    """A server on 127.0.0.1 that answers every request with `answers`, one after another

    An answer is (status, headers, body bytes) or one of the faults "silent", "garbage",
    "hang up". The last answer is repeated. `seen` holds the Authorization header of each request,
    `paths` where it went.
    """

    def __init__(self, *answers):
        self.answers, self.seen, self.paths = list(answers), [], []
        self.release = threading.Event()
        rude = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_GET(self):
                self.do_POST()

            def do_POST(self):
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                rude.seen.append(self.headers.get("Authorization"))
                rude.paths.append(self.path)
                answer = rude.answers.pop(0) if len(rude.answers) > 1 else rude.answers[0]
                if answer == "silent":
                    rude.release.wait(60)
                elif answer == "garbage":
                    self.wfile.write(b"\x00\xff not http at all\r\n\r\n")
                elif answer != "hang up":
                    status, headers, body = answer
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(body)
                self.close_connection = True

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self) -> "Rude":
        return self

    def __exit__(self, *_) -> None:
        self.release.set()
        self.server.shutdown()
        self.server.server_close()


class Proxy:
    """A proxy on 127.0.0.1 that speaks SOCKS5 and HTTP, as Clash does on its one port

    Whatever host it is asked for (`hosts` holds the names), it connects to 127.0.0.1:`port`.
    `logins` holds the user names and passwords, as SOCKS5 sends them.
    """

    def __init__(self, port: int):
        self.hosts: list[str] = []
        self.logins: list[bytes] = []
        proxy = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                with socket.create_connection(("127.0.0.1", port)) as there:
                    first = self.request.recv(65536)
                    if first[0] == 5:  # SOCKS5: a greeting, then: connect me to (length, name)
                        with_password = 2 in first[2:]  # one of the ways to log in that it offers
                        self.request.sendall(b"\x05\x02" if with_password else b"\x05\x00")
                        if with_password:
                            proxy.logins.append(self.request.recv(600))
                            self.request.sendall(b"\x01\x00")
                        asked = self.request.recv(300)
                        by_name = asked[3] == 3  # not an address that the client looked up itself
                        proxy.hosts.append(asked[5:-2].decode() if by_name else "an address")
                        self.request.sendall(b"\x05\x00\x00\x01" + bytes(6))
                        first = b""
                    else:
                        method, url, _ = first.split(b" ", 2)
                        proxy.hosts.append(url.decode().removeprefix("http://").split("/")[0])
                        if method == b"CONNECT":
                            self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                            first = b""
                    there.sendall(first)
                    back = threading.Thread(target=self.copy, args=(there, self.request))
                    back.start()
                    self.copy(self.request, there)
                    back.join()

            def copy(self, source, target):
                try:
                    while data := source.recv(65536):
                        target.sendall(data)
                    target.shutdown(socket.SHUT_WR)
                except OSError:
                    pass

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.block_on_close = False
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(self, *_) -> None:
        self.server.shutdown()
        self.server.server_close()
