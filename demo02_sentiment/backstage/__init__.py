"""不是一课，第一遍不用读  几课共用的；先看一眼 course 是不是这一份仓库的"""

import sys
from pathlib import Path

import course

# course 里也看，可是另一份仓库可能是旧的，它不会看
_mine, _theirs = (Path(p).resolve() for p in (Path(__file__).parents[2], course.__file__))
if (_theirs.parents[1] / "demo02_sentiment").is_dir() and _theirs.parents[1] != _mine:
    sys.exit(
        f"\n出错了：运行的脚本是 {_mine} 的，import 到的 course 却是 {_theirs.parents[1]} 的"
        f'\n下一步：python -m pip install -e "{_mine}"（两份都要用，就各建一个 .venv）'
    )
