"""写文件：要么完整写好，要么当没写过"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
    """先写到旁边的临时名字，写完才换上正式名字，中途断电或 Ctrl-C 不会留下半个文件

    用法：`with atomic_write(path) as temporary: …往 temporary 里写…`；文件和文件夹都行，
    旧的会被替换。写不了（只读、磁盘满、上一级不是文件夹）时抛 CourseError。
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if temporary.is_dir():  # 文件夹不能直接盖在旧文件夹上
            remove(path)
        temporary.replace(path)
    except OSError as error:
        raise CourseError(
            f"写不了 {path}：{error.strerror or error}",
            "检查这个文件夹有没有写权限、磁盘满没满，再运行一次同样的命令",
        ) from error
    finally:
        if temporary.exists():
            remove(temporary)
