"""不是一课  两种说得清楚的错误：学员能改好的 CourseError，和请求里的内容不合要求的 InputError"""

import errno
import re


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


def is_out_of_memory(error: BaseException) -> bool:
    """是不是内存（显存）不够：显卡上是 torch.OutOfMemoryError，CPU 上是一句话不同的 RuntimeError"""
    said = "[Oo]ut ?[Oo]f ?[Mm]emory|can't allocate memory|not enough memory"
    return bool(re.search(said, f"{error}{type(error)}"))


def is_disk_full(error: BaseException | None) -> bool:
    """是不是磁盘满了：库会把它包在自己的异常里，所以沿着原因找下去"""
    while error is not None and getattr(error, "errno", None) != errno.ENOSPC:
        error = error.__cause__ or error.__context__
    return error is not None
