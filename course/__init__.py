"""两个 demo 共用的底座：找模型、备数据、读参数、报错、写文件，除此之外什么都没有

每个脚本最先 import 的是它：读 PyTorch 要好几秒，这时按 Ctrl-C，也只该看到一句话。
"""

import signal
import sys
import threading
from types import FrameType, TracebackType

STOPPED = "\n已停止（Ctrl-C）"
pressed = threading.Event()  # import 的时候按过 Ctrl-C；course.cli.run 开始以后归它管


def remember(number: int, frame: FrameType | None) -> None:
    """Ctrl-C 照常抛 KeyboardInterrupt；有的库会把它换成别的异常，甚至吞掉，所以记一笔"""
    pressed.set()
    signal.default_int_handler(number, frame)


def one_sentence(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """没有人接住的异常最后到这里：因为 Ctrl-C，就打印一句话；别的照旧"""
    if pressed.is_set() or issubclass(kind, KeyboardInterrupt):
        pressed.clear()
        print(STOPPED, file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


if sys.excepthook is sys.__excepthook__:  # 别人（IDE、IPython）换过的不动
    sys.excepthook = one_sentence
in_main_thread = threading.current_thread() is threading.main_thread()
if in_main_thread and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, remember)
