"""不是一课  仓库里几个固定的文件夹：写成绝对路径，从哪个目录运行脚本都一样"""

import os
import sys
from pathlib import Path


def find_root() -> Path:
    """仓库的文件夹：course/ 的上一级

    pip install . 把 course 装到了别处，那时是正在运行的脚本所在的仓库；没有脚本的（交互式的
    python、Jupyter），是当前目录所在的仓库。
    """
    here, cwd = Path(__file__).resolve().parent.parent, Path.cwd()
    places = (here, *Path(sys.argv[0]).resolve().parents, cwd, *cwd.parents)
    return next((path for path in places if (path / "demo02_sentiment").is_dir()), here)


ROOT = find_root()
MODELS = ROOT / "models"
DATA = ROOT / "data"
PARAMS = ROOT / "params"


def portable(path: Path) -> str:
    """写进记录里的路径：仓库里的相对仓库，整个仓库搬走了也找得到；别处的是绝对路径"""
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)


def command(script: str, *arguments: object) -> str:
    """从学员现在所在的目录运行仓库里某个脚本的命令，照抄就能用；有空格的参数加上引号

    例：在 demo02_sentiment/ 里，command("demo02_sentiment/train.py") 是 "python train.py"。
    """
    try:
        path = os.path.relpath(ROOT / script)
    except ValueError:  # Windows 上当前目录和仓库不在同一个盘
        path = str(ROOT / script)
    words = [f'"{word}"' if " " in word else word for word in map(str, (path, *arguments))]
    return " ".join(["python", *words])
