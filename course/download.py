"""不是一课  下载一个文件：断了接着下，下完核对大小和 SHA；下什么、放在哪由 course/hub.py 决定

文件自己按 Range（HTTP 的"从第几个字节起"）续传：huggingface_hub 2.4 的下一次运行会把没下完的
文件从头再来。三个仓库都是公开的，所以从不发送你的 token，镜像站也就拿不到它。
网上来的、硬盘上已经有的都不可信：内容和清单里的指纹（SHA）一样，才算下好了。
"""

import errno
import hashlib
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import filelock
import requests
import urllib3
from tqdm import tqdm

from course.errors import CourseError
from course.files import file_sha256
from course.network import within, without_password

TRIES = 3  # 连续断这么多次、一个字节都没多，就放弃
FLOOR = 1024  # 每秒不到这么多字节，也放弃：400 MB 要下好几天
MOST_WAIT = 10  # 被限流时，服务器让等多少秒才肯等：再久就下次再来
MOST_JSON = 16_000_000  # 文件清单最多这么多字节，正常的只有几 KB
CHUNK = 16 * 1024  # 断线时手里没写完的一块会丢，所以块要小


@dataclass(frozen=True)
class Source:
    """一个来源：名字、地址、多少秒没有新数据算断线、失败时告诉学员的下一步"""

    name: str
    endpoint: str
    patience: float
    advice: str

    @property
    def shown(self) -> str:
        """能打印的地址：里面的密码换成 ***"""
        return without_password(self.endpoint)


@dataclass(frozen=True)
class RemoteFile:
    """仓库里的一个文件；digest 是 64 位的 SHA-256 或 40 位的 git SHA-1，十六进制小写"""

    path: str
    size: int
    url: str
    digest: str


class NotTheFile(Exception):
    """回答的不是这个文件：登录页、别的范围、别的长度"""


class TooSlow(Exception):
    """一直有数据来，但慢到没有下完的指望"""


# 1. 各种失败 → 一句中文


def refused(response: requests.Response, what: str, source: Source) -> CourseError:
    """服务器的拒绝 → 一句中文；what 是仓库或文件的名字"""
    codes = {"GatedRepo": 403, "RepoNotFound": 404}  # Hub 对没登录的人都回 401，真正的原因在这里
    status = codes.get(response.headers.get("X-Error-Code"), response.status_code)
    wait = response.headers.get("Retry-After", "")
    when = f"过 {wait} 秒再试" if wait.isdecimal() else "过几分钟再试"
    reasons = {
        401: f"{what} 不公开，或没有这个仓库（名字要写全：组织/名字）",
        403: f"没有权限下载 {what}，要先在它的网页上申请",
        404: f"{source.shown} 上没有 {what}，或缺少要的文件",
        429: f"请求太多，被限流了，{when}",
        503: "服务器忙，暂时不提供服务",
    }
    return CourseError(f"{status}：{reasons.get(status, '服务器出错')}", source.advice)


def explain(error: Exception, repo: str, source: Source) -> CourseError:
    """各种异常 → 一句中文"""
    if isinstance(error, CourseError):
        return error
    if isinstance(error, TimeoutError | requests.Timeout):
        return CourseError(f"{source.shown} 迟迟没有回答", source.advice)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return CourseError("磁盘满了", "腾出空间，再运行一次同样的命令，已经下的不会浪费")
    cannot_write = PermissionError | FileExistsError | NotADirectoryError | IsADirectoryError
    if isinstance(error, cannot_write):
        return CourseError(f"写不了 {error.filename}", "检查这个文件夹有没有写权限，再运行一次")
    name = type(error).__name__
    return CourseError(f"从 {source.shown} 下载 {repo} 失败（{name}）", source.advice)


def elsewhere(error: Exception, source: Source) -> str:
    """文件的请求被转到了别的主机，才在那里失败：说出是哪个主机；没有转就是空的"""
    request = getattr(error, "request", None)
    host = urlsplit(request.url or "").netloc if request else ""
    if host in ("", urlsplit(source.endpoint).netloc):
        return ""
    return f"，{source.shown} 把它转到了 {without_password(host)}"


# 2. 问


def answer(
    url: str, source: Source, seconds: float, headers: dict | None = None
) -> requests.Response:
    """GET 一个地址；回答的头最多等 seconds 秒，内容还没有读，状态码由调用的人看

    被限流（429）时，服务器说等多久（Retry-After）就等多久再问，太久就不等了。
    """
    for left in reversed(range(TRIES)):
        response = within(
            seconds,
            lambda: requests.get(url, headers=headers, stream=True, timeout=source.patience),
        )
        wait = response.headers.get("Retry-After", "")
        patient = wait.isdecimal() and int(wait) <= MOST_WAIT
        if response.status_code != 429 or not patient or not left:
            return response
        response.close()
        tqdm.write(f"429：请求太多，被限流了，{source.shown} 让等 {wait} 秒，等一等再问")
        time.sleep(int(wait))


def is_page(response: requests.Response) -> bool:
    return "html" in response.headers.get("Content-Type", "")


def ask_json(url: str, repo: str, source: Source, seconds: float) -> tuple[object, str]:
    """问一个问题，回答是 JSON：(内容, 下一页的地址)，没有下一页是空的；不是 JSON 抛 CourseError"""
    with answer(url, source, seconds) as response:
        if response.status_code != 200:
            raise refused(response, repo, source)
        body = response.raw.read(MOST_JSON, decode_content=True)
    try:
        return json.loads(body), response.links.get("next", {}).get("url", "")
    except (ValueError, RecursionError):
        what = "一张网页" if is_page(response) else "一段读不懂的文字"
        raise CourseError(
            f"问 {repo} 有哪些文件失败：{source.shown} 回答的是{what}，"
            "多半被校园网、酒店的登录页或代理拦下了",
            f"用浏览器打开 {source.shown} 看看是什么，登录之后再运行一次；{source.advice}",
        ) from None


# 3. 下载


def fetch(file: RemoteFile, path: Path, source: Source) -> None:
    """把 file 下载到 path，断了接着下，最后核对 SHA；失败抛 CourseError

    没下完的在同一个文件夹里，叫 SHA.part，下次运行从那里接着来：换了来源、换了版本也不会接错。
    """
    part = path.with_name(f"{file.digest}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    have = part.stat().st_size if part.is_file() else 0
    if have > file.size:  # 上次的东西不对，重新来
        have = 0
    resumed = have > 0
    bar = tqdm(
        total=file.size, initial=have, desc=file.path, unit="B", unit_scale=True, unit_divisor=1024
    )
    failures, pace = 0, Pace(TRIES * (source.patience + 1))
    with bar, part.open("r+b" if have else "wb") as out:
        while have < file.size:
            out.seek(have)
            before, problem = have, "连接断了"
            try:
                for chunk in stream(file, have, source, pace):
                    out.write(chunk)
                    have += len(chunk)
                    bar.update(len(chunk))
            except TooSlow as error:
                raise CourseError(
                    f"{file.path} 下到 {have} / {file.size} 字节，太慢了，{error}", source.advice
                ) from None
            except NotTheFile as error:
                problem = str(error)
            except (TimeoutError, requests.Timeout, urllib3.exceptions.TimeoutError) as error:
                problem = f"{source.patience:g} 秒没有新数据{elsewhere(error, source)}"
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                problem = f"连接断了（{type(error).__name__}）{elsewhere(error, source)}"
            if have == file.size:
                continue
            failures = failures + 1 if have == before else 0
            if failures == TRIES:
                raise CourseError(
                    f"{file.path} 下到 {have} / {file.size} 字节，{problem}，试了 {TRIES} 次",
                    source.advice,
                )
            tqdm.write(f"{problem}，从 {have} 字节处接着下")
            time.sleep(1)
        out.truncate(file.size)
    if not holds(part, file.digest):
        part.unlink()
        if resumed:  # 多半是上次留下的那一截不对
            print(f"{file.path} 接起来的内容和说好的不一样（SHA 不符），从头再下一次")
            return fetch(file, path, source)
        raise CourseError(f"{file.path} 的内容和说好的不一样（SHA 不符），已经删掉", source.advice)
    part.replace(path)


class Pace:
    """盯着速度：一次次断了又连、一秒一个字节，都算有进展，所以看 seconds 秒里一共来了多少"""

    def __init__(self, seconds: float):
        self.seconds, self.since, self.came = seconds, time.monotonic(), 0

    def count(self, came: int) -> None:
        """又来了 came 字节；seconds 秒里平均每秒不到 FLOOR 字节，就抛 TooSlow"""
        self.came += came
        passed = time.monotonic() - self.since
        if passed >= self.seconds:
            if self.came < FLOOR * passed:
                raise TooSlow(f"{passed:.0f} 秒只来了 {self.came} 字节")
            self.since, self.came = time.monotonic(), 0


def stream(file: RemoteFile, have: int, source: Source, pace: Pace) -> Iterator[bytes]:
    """从第 have 个字节起，有多少给多少，不超过说好的大小；断了、太慢、不是这个文件都抛异常"""
    pace.count(0)
    headers = {"Accept-Encoding": "identity"}  # 不要压缩：续传数的是原始字节
    if have:
        headers["Range"] = f"bytes={have}-"
    with answer(file.url, source, 2 * source.patience, headers) as response:
        if response.status_code == 503:  # 常常过一会儿就好
            raise requests.ConnectionError("503", request=response.request)
        if response.status_code not in (200, 206):
            raise refused(response, file.path, source)
        position = first_byte(response, file, have)
        # read1 来多少给多少；requests 的 iter_content 要攒满一块，一秒一个字节时就一直不出来
        while position < file.size and (chunk := response.raw.read1(CHUNK, decode_content=True)):
            pace.count(len(chunk))
            yield chunk[max(0, have - position) : file.size - position]  # 不会续传的，跳过已有的
            position += len(chunk)


def first_byte(response: requests.Response, file: RemoteFile, have: int) -> int:
    """回答从文件的第几个字节开始：续传时是 have，不会续传的服务器从 0 开始；别的都抛 NotTheFile"""
    start, end, total = 0, file.size - 1, file.size
    if response.status_code == 206:
        said = response.headers.get("Content-Range", "")
        numbers = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", said, re.ASCII)
        if not numbers:
            raise NotTheFile("服务器没有说给的是哪一段")
        start, end = int(numbers[1]), int(numbers[2])
        total = file.size if numbers[3] == "*" else int(numbers[3])
    length = response.headers.get("Content-Length")
    expected = str(end - start + 1)
    if is_page(response) and length != expected:  # README.md 也会被说成网页，长度却是对的
        raise NotTheFile("回答的是一张网页，不是文件，多半被登录页或代理拦下了")
    if start not in (0, have) or end >= file.size or total != file.size:
        raise NotTheFile(f"服务器给的是另一段（{start}-{end}/{total}）")
    if length not in (None, expected) and "Content-Encoding" not in response.headers:
        raise NotTheFile(f"服务器说有 {length} 字节，应该是 {expected} 字节")
    return start


def holds(path: Path, digest: str) -> bool:
    """path 处是一个文件，内容的指纹正是 digest：64 位的 SHA-256，或 40 位的 git SHA-1"""
    if not path.is_file():
        return False
    if len(digest) == 64:
        return file_sha256(path) == digest
    value = hashlib.sha1(f"blob {path.stat().st_size}\0".encode("ascii"))  # git 在前面加一行大小
    value.update(path.read_bytes())  # 用 SHA-1 的都是小文件
    return value.hexdigest() == digest


@contextmanager
def downloading(folder: Path, repo: str, source: Source) -> Iterator[None]:
    """with 块里往 folder 下载：同一时间只有一个程序在下，任何失败都变成 CourseError"""
    locks = folder.parent / ".locks"
    try:
        locks.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(locks / f"{folder.name}.lock", timeout=0):
            yield
    except filelock.Timeout:
        raise CourseError(
            f"另一个程序正在下载 {repo}", "等它下完（或停掉它），再运行一次同样的命令"
        ) from None
    except Exception as error:  # 各库的异常没有共同的类型，都变成一句话
        raise explain(error, repo, source) from None


def fetch_all(
    files: list[RemoteFile], source: Source, folder: Path, target: Callable[[RemoteFile], Path]
) -> None:
    """逐个下载到 target(file)；已经有的先核对，对的不再下。先看磁盘够不够"""
    folder.mkdir(parents=True, exist_ok=True)
    parts = {part.stem: part for part in folder.rglob("*.part")}
    for orphan in parts.keys() - {file.digest for file in files}:  # 别的版本没下完的，再也用不上
        parts.pop(orphan).unlink()
    missing = [file for file in files if not holds(target(file), file.digest)]
    total = sum(file.size for file in missing)
    print(f"要下 {len(missing)} 个文件，共 {total / 1e6:.1f} MB，放在 {folder}", end="")
    print(f"（另外 {len(files) - len(missing)} 个已经有了，核对过）" if missing != files else "")
    free = shutil.disk_usage(folder).free
    if free < total - sum(part.stat().st_size for part in parts.values()):
        raise CourseError(
            f"磁盘不够：要 {total / 1e6:.0f} MB，只剩 {free / 1e6:.0f} MB",
            "腾出空间，再运行一次同样的命令",
        )
    for file in missing:
        fetch(file, target(file), source)
