"""不是一课  两种说得清楚的错误：学员能改好的 CourseError，和请求里的内容不合要求的 InputError"""

import errno
import posixpath
import re

from course.paths import ROOT


class CourseError(Exception):
    """学员能自己改好的错误，由 `course.cli.run` 打印成一句话，不显示 traceback

    参数 problem 说哪里不对，next_step 说下一步做什么（通常是一条命令）。
    """

    def __init__(self, problem: str, next_step: str):
        super().__init__(f"{problem}\n下一步：{next_step}")
        self.problem = problem
        self.next_step = next_step


class InputError(ValueError):
    """请求里的文字或参数不合要求，一句中文说哪里不对；API 回 422，带着这句话"""


def look_up(error: BaseException) -> str | None:
    """docs/errors.md 里说这个错误的那一行：为什么、怎么办；没有就是 None

    表的第一栏，反引号里的是看到的字，… 是随便什么：一段一段依次出现在"类名: 那句话"里，就是这一行。
    几行都对得上时，看到的字最长的那一行说得最准；不到八个字的说不准，只给人看。库会把真正的原因包在
    自己的异常里（raise … from），所以沿着原因找下去。
    """
    page = ROOT / "docs" / "errors.md"
    try:
        lines = page.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # 没有、读不了：就只有错误本身
        lines = []
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    rows = [row for row in rows if len(row) == 3]
    found: list[tuple[int, list[str]]] = []
    cause: BaseException | None = error
    while cause is not None:
        said = f"{type(cause).__name__}: {cause}"
        for row in rows:
            for seen in re.findall(r"`([^`]+)`", row[0]):
                pieces = [re.escape(piece) for piece in seen.split("…")]
                length = len(re.sub(r"[…\s]", "", seen))
                if length >= 8 and re.search(".*".join(pieces), said, re.DOTALL):
                    found.append((length, row))
        cause = cause.__cause__
    if not found:
        return None
    _, (_, why, cure) = max(found, key=lambda pair: pair[0])
    text = f"为什么：{why}\n怎么办：{cure}\n（别的错误：docs/errors.md）"
    # 终端里点不了链接：写出那一页在哪里
    return re.sub(r"\[([^]]+)]\(([^)]+)\)", lambda link: f"{link[1]}（{in_repo(link[2])}）", text)


def in_repo(target: str) -> str:
    """docs/errors.md 里的链接指着哪个文件，从仓库算起；网址照旧"""
    return target if "://" in target else posixpath.normpath(f"docs/{target}")


def is_out_of_memory(error: BaseException) -> bool:
    """是不是内存（显存）不够：显卡上是 torch.OutOfMemoryError，CPU 上是一句话不同的 RuntimeError"""
    said = "[Oo]ut ?[Oo]f ?[Mm]emory|can't allocate memory|not enough memory"
    return bool(re.search(said, f"{error}{type(error)}"))


def is_disk_full(error: BaseException | None) -> bool:
    """是不是磁盘满了：库会包在自己的异常里，沿着原因找下去；torch.save 抛的是 RuntimeError"""
    if isinstance(error, RuntimeError) and re.search("iostream error|inline_container", str(error)):
        return True
    while error is not None and getattr(error, "errno", None) != errno.ENOSPC:
        error = error.__cause__ or error.__context__
    return error is not None
