"""不是一课  写文件：要么完整写好，要么当没写过；强行结束、两个程序同时写，都不会只有半个

强行结束可能在旁边留下一个 .名字.进程号.tmp，没有人用它，可以删。
"""

import hashlib
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
def atomic_write(path: Path) -> Iterator[Path]:
    """先写到旁边的临时名字，写完才换上正式名字，强行结束或 Ctrl-C 不会留下半个文件

    用法：`with atomic_write(path) as temporary: …往 temporary 里写…`；文件和文件夹都行，
    旧的会被替换。写不了（只读、磁盘满、上一级不是文件夹）时抛 CourseError。
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove(temporary)  # 从前有个同号的进程被强行结束，留下的
        yield temporary
        if temporary.is_dir():  # 文件夹不能直接盖在旧文件夹上
            remove(path)
        rename(temporary, path)
    except OSError as error:
        raise unwritable(path, error.strerror or error) from error
    except RuntimeError as error:  # 磁盘满了，torch.save(…, 路径) 抛的不是 OSError
        if "iostream" not in str(error) and "inline_container" not in str(error):
            raise
        raise unwritable(path, "没有写完，多半是磁盘满了") from error
    finally:
        if temporary.exists():
            remove(temporary)


def unwritable(path: Path, reason: object) -> CourseError:
    return CourseError(
        f"写不了 {path}：{reason}",
        "检查这个文件夹有没有写权限、磁盘满没满，再运行一次同样的命令",
    )


def rename(old: Path, new: Path) -> None:
    """换上正式名字；Windows 上有人正读着 new（杀毒软件、另一个脚本）时，等他一会儿"""
    if os.name == "nt":
        for _ in range(40):
            with suppress(PermissionError):
                old.replace(new)
                return
            time.sleep(0.05)
    old.replace(new)


def check_writable(folder: Path) -> None:
    """要算很久才写之前，先确认 folder 写得进去；写不进去时抛 CourseError"""
    if folder.is_file():
        raise CourseError(f"{folder} 是一个文件，不是文件夹", "换一个文件夹")
    probe = folder / ".writable"
    with atomic_write(probe) as temporary:
        temporary.write_text("ok", encoding="utf-8")
    remove(probe)


@contextmanager
def only_one(path: Path, busy: CourseError) -> Iterator[None]:
    """with 里面，同一个锁文件 path 只许有一个进程；已经有了就抛 busy

    锁是操作系统的，进程怎么结束（断电、强行结束）它都会松开，不会把后来的人永远挡在外面。
    """
    lock = FileLock(path, timeout=0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise busy from None
    except OSError as error:
        raise unwritable(path.parent, error.strerror or error) from error
    try:
        yield
    finally:
        # 还锁着就删：同时在等的人会发现文件没了，重新来；Windows 上松开时自己删
        if os.name == "posix":
            path.unlink(missing_ok=True)
        lock.release()
