"""不是一课，第一遍不用读  两个 demo 共用的底座：找模型、备数据、读参数、报错、写文件"""

import sys
from pathlib import Path

from course.paths import ROOT

if sys.version_info < (3, 11):  # noqa: UP036  和 pyproject.toml 的 requires-python 一样
    sys.exit(
        f"\n出错了：这门课要 Python 3.11 以上，现在运行的是 {sys.version.split()[0]}"
        f"（{sys.executable}）\n下一步：装一个新的 Python，见 docs/03-environment.md"
    )


def _check_checkout() -> None:
    """两份仓库、一个环境：脚本是这一份的，course 却是另一份的，就会往那一份的 params/ 里写"""
    here, script = (Path(path).resolve() for path in (__file__, sys.argv[0]))
    mine = here.parent.parent
    if not (mine / "demo02_sentiment").is_dir():  # pip install . 的，course 旁边没有仓库
        if not (ROOT / "demo02_sentiment").is_dir():
            sys.exit(
                f"\n出错了：course 装在 {mine} 里，从这里找不到仓库（models/、data/ 都在那里）"
                "\n下一步：cd 到仓库的文件夹再运行；或者在那里 python -m pip install -e ."
            )
        return
    theirs = next((p for p in script.parents if (p / "demo02_sentiment").is_dir()), mine)
    if theirs == mine or script.is_relative_to(Path(sys.prefix).resolve()):
        return  # sys.prefix 里的是 pytest 这样的程序
    sys.exit(
        f"\n出错了：运行的脚本是 {theirs} 的，import 到的 course 却是 {mine} 的"
        f'\n下一步：python -m pip install -e "{theirs}"（两份都要用，就各建一个 .venv）'
    )


_check_checkout()
