"""A stand-in for the Hub (and for ModelScope) on 127.0.0.1, with the faults of a real network

`StandIn(repos)` serves {("model" | "dataset", "org/name"): {path: bytes}} over real HTTP, to the
real clients. Faults are set as attributes: `status` answers everything with that code; `silent`
accepts and never answers (True: all, or a path suffix); `cut` closes the connection after so many
bytes of a file, `cuts` times, with `reset` as firewalls do; `before_file` and `after_file` are
called with the bytes of a file around its sending; `redirect` sends every API request on to that
address (308), `redirect_files` every large file. `log` holds (method, path, headers) of every
request, the names of the headers as in Content-Type, however the client wrote them.

What a Hub must not do, and some do: `portal` answers everything with a login page (status 200);
`gated` refuses without a token; `corrupt` changes the last byte of large files; `retry_after`
goes with `status`. `heal()` ends every fault.
"""

import hashlib
import io
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from struct import pack
from urllib.parse import parse_qs, unquote, urlsplit

import pandas as pd
import torch
from loopback_tools import make_gpt2
from safetensors.torch import load

GPT = "uer/gpt2-chinese-cluecorpussmall"
BERT = "google-bert/bert-base-chinese"
REVIEWS = "lansinuote/ChnSentiCorp"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
LFS_FROM = 100_000  # larger files are named by SHA-256, as Git LFS does; smaller by git's SHA-1


def etag(data: bytes) -> str:
    if len(data) >= LFS_FROM:
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def folder_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def gpt2_repo(folder: Path) -> dict[str, bytes]:
    """The files of a small GPT-2, made in `folder`, with what the course must not download"""
    files = folder_bytes(make_gpt2(folder))
    return files | {"tf_model.h5": b"other framework", "README.md": b"# card"}


def only_bin(files: dict[str, bytes]) -> dict[str, bytes]:
    """The same model with its weights in the old format only, as the real GPT repo has them"""
    files, buffer = dict(files), io.BytesIO()
    torch.save(load(files.pop("model.safetensors")), buffer)
    return files | {"pytorch_model.bin": buffer.getvalue()}


def reviews_repo(splits: dict[str, list[tuple[str, int]]]) -> dict[str, bytes]:
    """400 / 100 / 100 of the reviews as parquet files, named as on the Hub"""
    files = {}
    for name, size in (("train", 400), ("validation", 100), ("test", 100)):
        buffer = io.BytesIO()
        pd.DataFrame(splits[name][:size], columns=["text", "label"]).to_parquet(buffer)
        files[f"data/{name}-00000-of-00001-abc.parquet"] = buffer.getvalue()
    return files


class StandIn:
    def __init__(self, repos: dict[tuple[str, str], dict[str, bytes]]):
        self.repos = repos
        self.log: list[tuple[str, str, dict[str, str]]] = []
        self.release = threading.Event()
        self.heal()
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_HEAD(self):
                stand_in.answer(self)

            def do_GET(self):
                stand_in.answer(self)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def heal(self) -> None:
        """No fault any more; who waits for an answer is let go"""
        self.release.set()
        self.release = threading.Event()
        self.status: int | None = None
        self.gated = False
        self.silent: bool | str = False
        self.cut, self.cuts, self.reset = 0, 0, False
        self.corrupt = False
        self.before_file = self.after_file = None
        self.redirect = self.redirect_files = ""
        self.portal = False
        self.retry_after = ""

    def __enter__(self) -> "StandIn":
        return self

    def __exit__(self, *_) -> None:
        self.release.set()
        self.server.shutdown()
        self.server.server_close()

    def ranges(self) -> list[str]:
        """The Range headers of all requests for file contents, in order"""
        return [headers["Range"] for method, _, headers in self.log if "Range" in headers]

    def send(self, handler, status: int, value: object = None, **headers: str) -> None:
        body = b"" if value is None else json.dumps(value).encode()
        handler.send_response(status)
        for name, text in headers.items():
            handler.send_header(name.replace("_", "-"), text)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    def answer(self, handler) -> None:
        headers = {name.title(): value for name, value in handler.headers.items()}
        self.log.append((handler.command, handler.path, headers))
        url = urlsplit(handler.path)
        path = unquote(url.path).strip("/")
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        if self.silent is True or (self.silent and path.endswith(self.silent)):
            self.release.wait(120)
            handler.close_connection = True
        elif self.portal:
            page = b"<html><title>Login</title>" + b"." * 3000
            handler.send_response(200)
            handler.send_header("Content-Type", "text/html; charset=utf-8")
            handler.send_header("Content-Length", str(len(page)))
            handler.end_headers()
            handler.wfile.write(page)
        elif path == "":
            self.send(handler, 200, {})
        elif self.redirect and path.startswith("api/"):
            self.send(handler, 308, Location=self.redirect + handler.path)
        elif self.gated:
            self.send(handler, 401, {"error": "gated"}, X_Error_Code="GatedRepo")
        elif self.status:
            headers = {"Retry_After": self.retry_after} if self.retry_after else {}
            self.send(handler, self.status, {"error": "as the test asked"}, **headers)
        else:
            self.route(handler, path, query)

    def route(self, handler, path: str, query: dict[str, str]) -> None:
        parts = path.split("/")
        if parts[:2] == ["api", "v1"]:  # ModelScope
            kind, repo, rest = parts[2][:-1], "/".join(parts[3:5]), parts[5:]
            files = self.repos.get((kind, repo))
            if files is None:
                self.send(handler, 404, {"Code": 404})
            elif rest in (["repo", "files"], ["repo", "tree"]):
                listing = [
                    {
                        "Path": name,
                        "Size": len(data),
                        "Type": "blob",
                        "Sha256": hashlib.sha256(data).hexdigest(),
                    }
                    for name, data in files.items()
                ]
                listing.append({"Path": "a-folder", "Type": "tree", "Size": 0})
                data = {"Files": listing}
                self.send(handler, 200, {"Code": 200, "Success": True, "Data": data})
            else:
                self.send_file(handler, files[query["FilePath"]])
            return
        if parts[0] == "api":  # api/models/org/name/tree/main
            kind, repo, rest = parts[1][:-1], "/".join(parts[2:4]), parts[4:]
            files = self.repos.get((kind, repo))
            if files is None:
                self.send(handler, 404, {"error": "none"}, X_Error_Code="RepoNotFound")
            elif rest[:1] == ["tree"]:
                below = "".join(f"{part}/" for part in rest[2:])
                recursive = query.get("recursive", "false").lower() == "true"
                self.send(handler, 200, self.tree(files, below, recursive))
            else:
                siblings = [{"rfilename": name} for name in files]
                self.send(handler, 200, {"id": repo, "sha": COMMIT, "siblings": siblings})
            return
        kind = "model"
        if parts[0] == "datasets":
            kind, parts = "dataset", parts[1:]
        files = self.repos.get((kind, "/".join(parts[:2])), {})
        name = "/".join(parts[4:])
        if name not in files:
            self.send(handler, 404, {"error": "none"}, X_Error_Code="EntryNotFound")
            return
        data, number = files[name], f'"{etag(files[name])}"'
        if self.redirect_files and len(data) >= LFS_FROM:  # large files lie elsewhere
            about = {"X_Linked_ETag": number, "X_Linked_Size": str(len(data))}
            there = self.redirect_files + handler.path
            self.send(handler, 302, X_Repo_Commit=COMMIT, Location=there, **about)
        else:
            self.send_file(handler, data, X_Repo_Commit=COMMIT, ETag=number)

    def tree(self, files: dict[str, bytes], below: str, recursive: bool) -> list[dict]:
        """The entries of the folder `below` ("" or "data/"): folders too, unless recursive"""
        entries = {}
        for name, data in files.items():
            if not name.startswith(below):
                continue
            folder, slash, _ = name.removeprefix(below).partition("/")
            if slash and not recursive:
                path = below + folder
                entries[path] = {"type": "directory", "oid": COMMIT, "size": 0, "path": path}
            else:
                entries[name] = self.entry(name, data)
        return list(entries.values())

    def entry(self, name: str, data: bytes) -> dict:
        entry = {"type": "file", "oid": etag(data), "size": len(data), "path": name}
        if len(data) >= LFS_FROM:
            entry["lfs"] = {"oid": etag(data), "size": len(data), "pointerSize": 134}
        return entry

    def send_file(self, handler, data: bytes, **headers: str) -> None:
        start = 0
        if "Range" in handler.headers:
            start = int(handler.headers["Range"].removeprefix("bytes=").split("-")[0])
        if start and start >= len(data):
            self.send(handler, 416)
            return
        handler.send_response(206 if start else 200)
        for name, text in headers.items():
            handler.send_header(name.replace("_", "-"), text)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        body = data[start:]
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if handler.command == "HEAD":
            return
        if self.before_file:
            self.before_file(data)
        if self.corrupt and len(data) >= LFS_FROM:
            body = body[:-1] + b"\0"
        if self.cuts and len(body) > self.cut:
            self.cuts -= 1
            body = body[: self.cut]
            handler.close_connection = True
            if self.reset:  # what is on its way is lost too
                handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack("ii", 1, 0))
        handler.wfile.write(body)
        if self.after_file:
            self.after_file(data)
