"""两个 demo 共用的底座：找模型、备数据、读参数、报错、写文件，除此之外什么都没有

每个脚本最先 import 的是它：读 PyTorch 要好几秒，这时按 Ctrl-C，也只该看到一句话。
"""

import sys
from types import TracebackType

STOPPED = "\n已停止（Ctrl-C）"


def one_sentence(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """没有人接住的异常最后到这里：是 Ctrl-C（或因它而起的），打印一句话；别的照旧"""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, KeyboardInterrupt):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        sys.__excepthook__(kind, error, trace)
    else:
        print(STOPPED, file=sys.stderr)


if sys.excepthook is sys.__excepthook__:  # 别人（IDE、IPython）换过的不动
    sys.excepthook = one_sentence
