"""不是一课  写文件：要么完整写好，要么当没写过；断电、强行结束、两个程序同时写，都不会只有半个

强行结束可能在旁边留下一个 .名字.进程号.tmp，没有人用它，可以删。
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from course.errors import CourseError


def remove(path: Path) -> None:
    """删掉一个文件或文件夹；本来就没有也不算错"""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def file_sha256(path: Path) -> str:
    """文件内容的 SHA-256，十六进制 64 位：差一个字节就全变"""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def atomic_write(path: Path, durable: bool = True) -> Iterator[Path]:
    """先写到旁边的临时名字，写完才换上正式名字，中途断电或 Ctrl-C 不会留下半个文件

    用法：`with atomic_write(path) as temporary: …往 temporary 里写…`；文件和文件夹都行，
    旧的会被替换。出了 with，内容已经真的落在硬盘上（fsync），不只是在系统的缓存里；丢了能重做、
    又写得很勤的，durable=False 省下等硬盘的十来毫秒。
    写不了（只读、磁盘满、上一级不是文件夹）时抛 CourseError。
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove(temporary)  # 从前有个同号的进程被强行结束，留下的
        yield temporary
        if durable:
            flush(temporary)
        if temporary.is_dir():  # 文件夹不能直接盖在旧文件夹上
            remove(path)
        rename(temporary, path, durable)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        if temporary.exists():
            remove(temporary)


def unwritable(path: Path, error: OSError) -> CourseError:
    return CourseError(
        f"写不了 {path}：{error.strerror or error}",
        "检查这个文件夹有没有写权限、磁盘满没满，再运行一次同样的命令",
    )


def rename(old: Path, new: Path, durable: bool = True) -> None:
    """换上正式名字；Windows 上有人正读着 new（杀毒软件、另一个脚本）时，等他一会儿"""
    for _ in range(40):
        with suppress(PermissionError):
            old.replace(new)
            break
        if os.name != "nt":
            break
        time.sleep(0.05)
    if old.exists():
        try:
            old.replace(new)
        except OSError as error:
            raise unwritable(new, error) from error
    if (
        durable and os.name == "posix"
    ):  # 名字记在文件夹里，文件夹也要落到硬盘上；Windows 没有这个操作
        folder = os.open(new.parent, os.O_RDONLY)
        try:
            with suppress(OSError):  # 有的网络盘不支持
                os.fsync(folder)
        finally:
            os.close(folder)


def flush(path: Path) -> None:
    """让写好的文件（或文件夹里的每个文件）真的落到硬盘上"""
    for file in path.rglob("*") if path.is_dir() else [path]:
        if file.is_file():
            with file.open("r+b") as opened:  # Windows 要能写的才让 fsync
                os.fsync(opened.fileno())


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """with 里面，同一个 folder 只许有一个进程；已经有了就抛 CourseError

    锁是操作系统的，进程怎么结束（断电、强行结束）它都会松开，不会把后来的人永远挡在外面。
    """
    path = folder / ".lock"
    lock = FileLock(path, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise CourseError(
            f"另一个训练正在往 {folder} 里写，两次训练的文件会混在一起",
            "等它结束再运行，或者加上 --params 换一个文件夹",
        ) from error
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        yield
    finally:
        if (
            os.name == "posix"
        ):  # 还锁着就删：同时在等的人会发现文件没了，重新来；Windows 上松开时自己删
            path.unlink(missing_ok=True)
        lock.release()


# 记录：JSON 里带着自己的 SHA-256


def write_json(path: Path, record: dict) -> None:
    """把 record 写成 path，另加一项 sha256：手改、坏了一个字节，`read_json` 都认得出"""
    text = json.dumps(record | {"sha256": digest(record)}, ensure_ascii=False, indent=2)
    with atomic_write(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> dict:
    """读 `write_json` 写的，不含 sha256 那一项；坏了抛 ValueError，没有、读不了抛 OSError

    没有 sha256 的（旧版课程写的）照收。
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:  # 一层套一层几千层的 [[[[
        raise ValueError(f"{path} 套得太深") from error
    if not isinstance(record, dict):
        raise ValueError(f"{path} 不是一个 JSON 对象")
    written = record.pop("sha256", None)
    if written is not None and written != digest(record):
        raise ValueError(f"{path} 的内容和它的 SHA-256 对不上")
    return record


def digest(record: dict) -> str:
    text = json.dumps(record, sort_keys=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
