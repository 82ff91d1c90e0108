"""仓库里几个固定的文件夹：写成绝对路径，从哪个目录运行脚本都一样"""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODELS = ROOT / "models"
DATA = ROOT / "data"
PARAMS = ROOT / "params"
