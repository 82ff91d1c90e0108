"""不是一课  自己的数据：哪一列是评论、哪一列是标签，标签怎么编号

列名照常见的叫法认，认不准就列出现有的列，请你用 --text-column、--label-column 指定；
绝不猜了就走：拿错一列，训练照样跑得完。
"""

import argparse
import math
import re
import unicodedata
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from course.cleaning import normalize
from course.errors import CourseError
from course.table_files import cell, read_rows

SAMPLED = 200  # 看头多少行来认列
TEXT = "text review comment content sentence message body 评论 评价 内容 文本 正文 句子 留言 点评"
TEXT += " texts reviews comments contents sentences 评论内容 评价内容 评论文本 评论正文 文本内容"
LABEL = "label sentiment cat category class target polarity rating star 标签 类别 情感 分类 类目"
LABEL += " labels sentiments categories classes ratings stars 星级 评分 情感倾向 情感标签 分类标签"
KINDS = {"text": set(TEXT.split()), "label": set(LABEL.split())}
SAID = {"text": "评论", "label": "标签"}
LABEL_NAMES = ["负向", "正向"]  # 只有 0 和 1 两种标签时，它们的名字
HEADLESS = {".jsonl", ".json", ".parquet", ".txt"}  # 第一行就是数据的格式，别的第一行是列名

# 情感的三极的各种叫法：排编号时负向在前；同一极有两种叫法，多半是一类写成了两样
POLES = [
    set(names.split())
    for names in (
        "负 负向 负面 消极 差评 差 坏 不好 neg negative bad 否 no false",
        "中 中性 中立 中评 一般 neu neutral",
        "正 正向 正面 积极 好评 好 pos positive good 是 yes true",
    )
]


class DataSource(NamedTuple):
    """--data 给的文件或文件夹，和指定的两列；没有指定的是 None"""

    path: str | Path | None = None
    text_column: str | None = None
    label_column: str | None = None

    @classmethod
    def of(cls, data: "str | Path | DataSource | None") -> "DataSource":
        """一个路径、None 也行的地方，统一成 DataSource"""
        return data if isinstance(data, cls) else cls(data)

    def __str__(self) -> str:
        return str(self.path)

    def flags(self) -> list[str]:
        """命令行的写法：["--data", …, "--text-column", …]，没有指定的不写"""
        names = ("--data", "--text-column", "--label-column")
        pairs = zip(names, self, strict=True)
        return [word for name, value in pairs if value is not None for word in (name, str(value))]


class Remember(argparse.Action):
    """--data、--text-column、--label-column 合成一个 args.data：DataSource，都没写就是 None"""

    def __call__(self, parser, namespace, value, option=None):
        field = {"--data": "path"}.get(option, option.strip("-").replace("-", "_"))
        namespace.data = (namespace.data or DataSource())._replace(**{field: value})


def add_data_arguments(
    parser: argparse.ArgumentParser, default: str = "默认下载好的 ChnSentiCorp，没有就是自带的评论"
) -> None:
    """给一个脚本加上 --data、--text-column、--label-column，读出来都在 args.data 里"""
    for flag, name, about in (
        ("--data", "路径", f"文件夹或表格文件，{default}；认得什么见 data/README.md"),
        ("--text-column", "列名", "评论在哪一列，不写就按列名认"),
        ("--label-column", "列名", "标签在哪一列，不写就按列名认"),
    ):
        parser.add_argument(flag, action=Remember, dest="data", metavar=name, help=about)


def plain(name: str) -> str:
    """列名去掉首尾空格、全角半角和大小写的差别"""
    return unicodedata.normalize("NFKC", str(name)).strip().strip("\ufeff\"'").strip().lower()


class UnknownColumns(CourseError):
    """认不出哪一列是评论、哪一列是标签"""


class Columns(NamedTuple):
    """认出来的两列，和要告诉学员的话"""

    text: str
    label: str
    notes: list[str]


def flags(text: str, label: str) -> str:
    return f'加上 --text-column "{text}" --label-column "{label}"'


def find_columns(columns: list[str], sample: list[dict], path: Path, source: DataSource) -> Columns:
    """columns 里哪一列是评论、哪一列是标签；认不出、有好几个候选时抛 CourseError，说怎么指定

    sample 是头几行，只在报错时用来猜。正好叫 text、label 的优先，另有候选就记在 notes 里。
    """
    there = "、".join(columns)
    found: dict[str, str] = {}
    notes: list[str] = []
    for kind, names in KINDS.items():
        wanted = getattr(source, f"{kind}_column")
        if wanted is not None:
            same = [name for name in columns if name == wanted]
            same = same or [name for name in columns if plain(name) == plain(wanted)]
            if len(same) != 1:
                raise CourseError(
                    f"{path} 没有列 {wanted}，现有的列是 {there}", f"--{kind}-column 写对列名"
                )
            found[kind] = same[0]
            continue
        same = [name for name in columns if plain(name) in names]
        first = [name for name in same if plain(name) == kind]
        if len(first) == 1:
            found[kind] = first[0]
            if len(same) > 1:
                others = "、".join(name for name in same if name != first[0])
                notes.append(f"列 {others} 也像{SAID[kind]}，没有用；要用就加 --{kind}-column")
        elif len(same) > 1:
            raise CourseError(
                f"{path} 有 {len(same)} 列都像{SAID[kind]}：{'、'.join(same)}",
                f'用哪一列就写哪一列，例如 --{kind}-column "{same[0]}"',
            )
        elif same:
            found[kind] = same[0]
    if len(found) == 2:
        if found["text"] == found["label"]:
            raise CourseError(f"评论和标签都是列 {found['text']}", f"现有的列是 {there}，各写一列")
        return Columns(found["text"], found["label"], notes)

    if not found:
        check_header(columns, sample, path)
    missing = "、".join(SAID[kind] for kind in KINDS if kind not in found)
    problem = f"{path} 里认不出哪一列是{missing}，现有的列是 {there}"
    if len(columns) == 1:
        if all("\t" in (cell(row.get(there)) or "\t") for row in sample):
            raise UnknownColumns(
                f"{path} 的每一行里有 Tab，像是表格，但 txt 一行只当一条评论",
                "把扩展名改成 .tsv，最前面加一行列名：text、Tab、label（顺序和下面的一样）",
            )
        raise UnknownColumns(
            f"{path} 只有一列 {there}，评论和标签要各有一列",
            "加上标签那一列；一个标签一个文件夹也行：pos/*.txt、neg/*.txt",
        )
    if len(columns) == 2:
        label = found.get("label") or shortest(columns, sample)
        text = found.get("text") or next(name for name in columns if name != label)
        if text == label:
            label = next(name for name in columns if name != text)
        raise UnknownColumns(problem, flags(text, label))
    raise UnknownColumns(
        problem, flags(found.get("text", "评论那一列"), found.get("label", "标签那一列"))
    )


def lengths(columns: list[str], sample: list[dict]) -> dict[str, float]:
    """每一列平均多少个字"""
    size = max(1, len(sample))
    return {name: sum(len(cell(r.get(name)) or "") for r in sample) / size for name in columns}


def shortest(columns: list[str], sample: list[dict]) -> str:
    size = lengths(columns, sample)
    return min(columns, key=lambda name: (size[name], len(name)))


def guess_names(columns: list[str], sample: list[dict]) -> list[str]:
    """没有列名的表该加的那一行：最长的一列叫 text，种类最少的一列叫 label"""
    size = lengths(columns, sample)
    text = max(columns, key=lambda name: (size[name], len(name)))
    kinds = {name: len({cell(row.get(name)) for row in sample}) for name in columns}
    label = min((name for name in columns if name != text), key=kinds.get, default=None)
    return [
        "text" if name == text else "label" if name == label else f"column{i}"
        for i, name in enumerate(columns, start=1)
    ]


def check_header(columns: list[str], sample: list[dict], path: Path) -> None:
    """列名那一行其实是数据时抛 CourseError：不说的话，第一条评论就悄悄不见了

    有一列的名字是认得的，就不疑心。
    """
    known = any(plain(name) in names for name in columns for names in KINDS.values())
    if known or not header_is_data(columns, sample, path):
        return
    row = "，".join(columns)
    raise CourseError(
        f"{path} 没有列名，第一行就是数据：{row[:60]}{'…' if len(row) > 60 else ''}",
        f"在最前面加一行列名：{','.join(guess_names(columns, sample))}；"
        "第一行本来就是列名的，把评论那一列改名为 text",
    )


def header_is_data(columns: list[str], sample: list[dict], path: Path) -> bool:
    """第一行像不像数据：有一格是数、有一格很长，或者同一列下面又出现了它"""
    if path.suffix.lower() in HEADLESS:
        return False
    return any(
        re.fullmatch(r"[+-]?\d+(\.\d+)?", plain(name))
        or len(normalize(name)) > 15
        or any(cell(row.get(name)) == name for row in sample)
        for name in columns
    )


def columns_of(path: Path, source: DataSource) -> Columns:
    """一个文件里的两列；一行数据也没有时抛 CourseError"""
    sample = list(islice(read_rows(path), SAMPLED))
    columns = list(dict.fromkeys(name for row in sample for name in row))
    if not columns:
        raise CourseError(f"{path} 是空的，一条评论也没有", "补上数据，再运行一次")
    return find_columns(columns, sample, path, source)


def label_name(value: object) -> str:
    """标签的一格 → 它的名字：去掉首尾空格，整的小数 1.0 就是 1；空的、nan 是空字符串"""
    if isinstance(value, float) and math.isnan(value):
        return ""
    text = (cell(value) or "").strip()
    number = re.fullmatch(r"([+-]?\d{1,99})(\.0*)?", unicodedata.normalize("NFKC", text))
    return str(int(number[1])) if number else text


def order_of(name: str) -> tuple:
    """排编号用：负向、中性、正向；别的里面，数按大小排，10 在 9 后面"""
    for i, pole in enumerate(POLES):
        if plain(name) in pole:
            return (0, i, name)
    if re.fullmatch(r"-?\d+(\.\d+)?", name):
        return (1, float(name), name)
    number = re.match(r"\d+", name)  # 1星、2星、10星
    return (2, float(number[0]), name) if number else (3, 0, name)


def doubtful_names(names: list[str]) -> list[str]:
    """多半是一类写成两样的：好评和正面，Positive 和 positive；不替学员合并，只说"""
    groups = [[name for name in names if plain(name) in pole] for pole in POLES]
    for key in dict.fromkeys(map(plain, names)):
        same = [name for name in names if plain(name) == key]
        if not any(set(same) <= set(group) for group in groups):
            groups.append(same)
    return [
        f"{' 和 '.join(group)} 像是同一类，这里当 {len(group)} 类；是一类就先在文件里改成一样的"
        for group in groups
        if len(group) > 1
    ]
