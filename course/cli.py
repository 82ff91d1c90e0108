"""不是一课  命令行的共同约定：参数写错、文件缺失，都用一句中文说清楚，不甩 traceback"""

import argparse
import atexit
import gc
import math
import os
import re
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn, TextIO

from course.errors import CourseError, is_disk_full, is_out_of_memory

MOST = 2**32 - 1  # 整数的参数最大多少：随机种子只有 32 位
# argparse 自带的英文报错里学员最常碰到的几句，换成中文
TRANSLATIONS = [
    (r"unrecognized arguments: (.*)", r"不认识的参数 \1"),
    (r"the following arguments are required: (.*)", r"缺少参数 \1"),
    (r"argument (\S+): expected (one|at least one) argument", r"\1 后面要跟一个值"),
    (r"argument (\S+): ignored explicit argument (.*)", r"\1 是开关，后面不能跟值 \2"),
    (r"argument (\S+): invalid choice: (\S+) \(choose from (.*)\)", r"\1 不能是 \2，可选 \3"),
    (r"argument ([^:]+): (.*)", r"\1 \2"),
]


class Parser(argparse.ArgumentParser):
    """和 argparse 一样用，只是报错是中文；脚本开头的 docstring 就是 --help 的说明"""

    def __init__(self, description: str):
        super().__init__(
            prog=f"python {sys.argv[0]}",
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def parse_args(self, *args, **options) -> argparse.Namespace:
        """默认值也照 type 检查：学员改的多半是脚本开头的 EPOCH = 0，不是命令行"""
        for action in self._actions:
            if callable(action.type) and isinstance(action.default, int | float):
                try:
                    action.type(str(action.default))
                except argparse.ArgumentTypeError as error:
                    self.error(f"argument {action.option_strings[0]}: {error}")
        return super().parse_args(*args, **options)

    def error(self, message: str) -> NoReturn:
        dashed = re.search(r"(?<=unrecognized arguments: ).*|(?<=-h/--help: ignored ).*", message)
        next_step = f"{self.prog} --help 看全部参数"
        if dashed and self._get_positional_actions():
            next_step += f"；句子以 - 开头的，写在最后，前面加上 -- 和一个空格：{self.prog} -- -1分"
        for pattern, chinese in TRANSLATIONS:
            if re.fullmatch(pattern, message):
                message = re.sub(pattern, chinese, message)
                break
        raise CourseError(f"参数有误：{message}", next_step)


def at_least(minimum: int | float) -> Callable[[str], int | float]:
    """做一个 argparse 的 type：不小于 minimum 的数；minimum 写成 1 就只收整数，写成 1.0 小数也收"""
    return bounded(type(minimum), f"不小于 {minimum:g}", lambda value: value >= minimum)


def above(minimum: float) -> Callable[[str], float]:
    """做一个 argparse 的 type：大于 minimum 的数"""
    return bounded(type(minimum), f"大于 {minimum:g}", lambda value: value > minimum)


def bounded(kind: type, bound: str, fits: Callable) -> Callable[[str], int | float]:
    name = "整数" if kind is int else "数字"

    def parse(text: str) -> int | float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if kind is int and value > MOST:
            raise argparse.ArgumentTypeError(f"最大 {MOST}，不能是 {text}")
        # nan 和任何数比较都是 False，正好也被挡住
        if not fits(value) or value == math.inf:
            raise argparse.ArgumentTypeError(f"要是{bound} 的{name}，不能是 {text}")
        return value

    return parse


def require(*packages: str) -> None:
    """可选的包都装了没有；缺哪个就抛 CourseError；要哪个版本写 "jieba==0.42.1"，只说不查"""
    missing = [name for name in packages if find_spec(name.split("==")[0]) is None]
    if missing:
        raise CourseError(
            f"这里要用的 {'、'.join(missing)} 没有装（可选的，别的课不用等它）",
            f"python -m pip install {' '.join(packages)}",
        )


def forgive_missing_characters(stream: TextIO | None) -> None:
    """Windows 的 cmd 可能是 GBK：遇到它没有的字符就打问号，而不是崩溃

    IDLE、Jupyter、Spyder 的不是真的终端，没有 reconfigure，也没有这个毛病。
    """
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace")


def run(main: Callable[[], None]) -> None:
    """运行一个脚本的 main()：学员能改好的错误只打印一句话，退出码 1；Ctrl-C 退出码 130"""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # pythonw 没有控制台，可是进度条总要有个地方写
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        forgive_missing_characters(stream)
    # Python 退出前要把几十万个对象查一遍，看哪些该回收：反正都要还了，省一两秒
    atexit.register(gc.freeze)
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:  # 命令后面接着 | head，它看够就走了
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # 退出时还要写一次
        sys.exit(1)
    except CourseError as error:
        sys.exit(f"\n出错了：{error}")
    except Exception as error:
        if is_disk_full(error):
            sys.exit(f"\n出错了：磁盘满了（{error}）\n下一步：腾出空间，再运行一次同样的命令")
        if not is_out_of_memory(error):  # 别的错误照常抛出
            raise
        sys.exit(
            "\n出错了：内存（显存）不够"
            "\n下一步：关掉占内存的程序，或把 --batch-size 改小一半，再运行一次同样的命令"
        )
    except KeyboardInterrupt:
        print("\n已停止（Ctrl-C）", file=sys.stderr)
        sys.exit(130)
