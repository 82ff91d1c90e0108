"""For the tests of lesson 1: run scripts that reach only 127.0.0.1, and a server that misbehaves"""

import os
import subprocess
import threading
import time
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

    An answer is (status, headers, body bytes) or one of the faults "silent", "trickle", "garbage",
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
                elif answer == "trickle":
                    self.send_response(200)
                    self.end_headers()
                    while not rude.release.is_set():
                        self.wfile.write(b" ")
                        time.sleep(0.2)
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
