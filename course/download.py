"""下载一个文件：断了接着下，下完核对大小和 SHA；下什么、放在哪由 course/hub.py 决定

文件自己按 Range（HTTP 的"从第几个字节起"）续传：huggingface_hub 2.4 的下一次运行会把没下完的
文件从头再来。三个仓库都是公开的，所以从不发送你的 token，镜像站也就拿不到它。
"""

import errno
import hashlib
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import requests
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError
from tqdm import tqdm

from course.errors import CourseError

TRIES = 3  # 连续断这么多次、一个字节都没多，就放弃
CHUNK = 16 * 1024  # 断线时手里没写完的一块会丢，所以块要小


@dataclass
class Source:
    """一个来源：名字、地址、多少秒没有新数据算断线、失败时告诉学员的下一步"""

    name: str
    endpoint: str
    patience: float
    advice: str


@dataclass
class RemoteFile:
    """仓库里的一个文件；digest 是 64 位的 SHA-256 或 40 位的 git SHA-1，没有就是空"""

    path: str
    size: int
    url: str
    digest: str = ""


# 1. 各种失败 → 一句中文


def refused(status: int, repo: str, source: Source) -> CourseError:
    """服务器的拒绝 → 一句中文"""
    reasons = {
        401: f"{repo} 不公开，或没有这个仓库（名字要写全：组织/名字）",
        403: f"没有权限下载 {repo}，要先在它的网页上申请",
        404: f"{source.endpoint} 上没有 {repo}，或缺少要的文件",
        429: "请求太多，被限流了，过几分钟再试",
        503: "服务器忙，暂时不提供服务",
    }
    return CourseError(f"{status}：{reasons.get(status, '服务器出错')}", source.advice)


def explain(error: Exception, repo: str, source: Source) -> CourseError:
    """客户端的各种异常 → 一句中文"""
    if isinstance(error, CourseError):
        return error
    if isinstance(error, GatedRepoError):
        return refused(403, repo, source)
    if isinstance(error, RepositoryNotFoundError):
        return refused(404, repo, source)
    if isinstance(error, HfHubHTTPError) and error.response is not None:
        return refused(error.response.status_code, repo, source)
    if isinstance(error, TimeoutError | httpx2.TimeoutException | requests.Timeout):
        return CourseError(f"{source.endpoint} 迟迟没有回答", source.advice)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return disk_full()
    if isinstance(error, PermissionError | FileExistsError | NotADirectoryError):
        return CourseError(f"写不了 {error.filename}", "检查这个文件夹有没有写权限，再运行一次")
    name = type(error).__name__
    return CourseError(f"从 {source.endpoint} 下载 {repo} 失败（{name}）", source.advice)


def disk_full() -> CourseError:
    return CourseError("磁盘满了", "腾出空间，再运行一次同样的命令，已经下的不会浪费")


def no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """requests 会自作主张带上 ~/.netrc 里的密码；给它一个什么也不做的 auth，它就不带了"""
    return request


def elsewhere(error: requests.RequestException, source: Source) -> str:
    """文件的请求被转到了别的主机，才在那里失败：说出是哪个主机；没有转就是空的"""
    host = urlsplit(error.request.url or "").netloc if error.request else ""
    if host in ("", urlsplit(source.endpoint).netloc):
        return ""
    return f"，{source.endpoint} 把它转到了 {host}"


# 2. 下载


def fetch(file: RemoteFile, path: Path, source: Source) -> None:
    """把 file 下载到 path，断了接着下，最后核对大小和 SHA；失败抛 CourseError

    没下完的放在 path 旁边的 .part 里，下次运行从那里接着来。
    """
    part = path.with_name(f"{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    have = part.stat().st_size if part.exists() else 0
    if have > file.size:  # 上次的东西不对，重新来
        have = 0
    bar = tqdm(
        total=file.size, initial=have, desc=file.path, unit="B", unit_scale=True, unit_divisor=1024
    )
    failures = 0
    with bar, part.open("r+b" if have else "wb") as out:
        while have < file.size:
            out.seek(have)
            before = have
            problem = "连接断了"
            try:
                for chunk in stream(file, have, source):
                    if chunk is None:  # 服务器不会续传，从头给
                        bar.update(-have)
                        have = 0
                        out.seek(0)
                        continue
                    out.write(chunk)
                    have += len(chunk)
                    bar.update(len(chunk))
                    if have > file.size:
                        break
                out.truncate()
            except requests.Timeout as error:
                problem = f"{source.patience:g} 秒没有新数据{elsewhere(error, source)}"
            except requests.RequestException as error:
                problem = f"连接断了（{type(error).__name__}）{elsewhere(error, source)}"
            if have == file.size:
                continue
            if have > file.size:
                have = 0
                problem = f"文件比说好的 {file.size} 字节长"
                bar.reset()
            failures = failures + 1 if have <= before else 0
            if failures == TRIES:
                out.flush()
                raise CourseError(
                    f"{file.path} 下到 {have} / {file.size} 字节，{problem}，试了 {TRIES} 次",
                    source.advice,
                )
            tqdm.write(f"{problem}，从 {have} 字节处接着下")
            time.sleep(1)
    if file.digest and digest(part, file) != file.digest:
        part.unlink()
        raise CourseError(f"{file.path} 的内容和说好的不一样（SHA 不符），已经删掉", source.advice)
    part.replace(path)


def stream(file: RemoteFile, have: int, source: Source):
    """从第 have 个字节起，一块一块地给；服务器不会续传时先给一个 None"""
    headers = {"Accept-Encoding": "identity"}  # 不要压缩：续传数的是原始字节
    if have:
        headers["Range"] = f"bytes={have}-"
    with requests.get(
        file.url, headers=headers, stream=True, auth=no_auth, timeout=source.patience
    ) as response:
        if response.status_code in (401, 403, 404):
            raise refused(response.status_code, file.path, source)
        if response.status_code == 503:
            raise requests.ConnectionError("503", request=response.request)
        if response.status_code not in (200, 206):
            raise refused(response.status_code, file.path, source)
        if have and response.status_code == 200:
            yield None
        yield from response.iter_content(CHUNK)


def digest(path: Path, file: RemoteFile) -> str:
    """SHA-256，或 git 的 SHA-1（前面加一行大小），看 file.digest 有多长"""
    if len(file.digest) == 64:
        value = hashlib.sha256()
    else:
        value = hashlib.sha1(f"blob {file.size}\0".encode("ascii"))
    with path.open("rb") as data:
        while block := data.read(1 << 20):
            value.update(block)
    return value.hexdigest()


def fetch_all(files: list[RemoteFile], repo: str, source: Source, folder: Path, place) -> None:
    """逐个下载；place(file) 负责把一个文件放好。先看磁盘够不够"""
    total = sum(file.size for file in files)
    folder.mkdir(parents=True, exist_ok=True)
    print(f"要下 {len(files)} 个文件，共 {total / 1e6:.1f} MB，放在 {folder}")
    parts = sum(part.stat().st_size for part in folder.rglob("*.part"))
    free = shutil.disk_usage(folder).free
    if free < total - parts:
        raise CourseError(
            f"磁盘不够：要 {total / 1e6:.0f} MB，只剩 {free / 1e6:.0f} MB",
            "腾出空间，再运行一次同样的命令",
        )
    for file in files:
        try:
            place(file)
        except Exception as error:  # 同 list_files
            raise explain(error, repo, source) from None
