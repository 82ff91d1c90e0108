"""不是一课  哪一列是评论、哪一列是标签；--data、--text-column、--label-column 三个参数

列名照常见的叫法认，认不准就列出现有的列，请你指定；绝不猜了就走：拿错一列，训练照样跑得完。
"""

import argparse
import re
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from course.cleaning import visible
from course.errors import CourseError
from course.tables import SIGNS, cell, whole

if TYPE_CHECKING:
    from pandas import DataFrame, Series

TEXT = "text text_a review comment content sentence message body 评论 评价 内容 文本 正文 句子"
TEXT += " texts reviews comments contents sentences 评论内容 评价内容 评论文本 评论正文 文本内容"
TEXT += " 留言 点评"
LABEL = "label labels class classes category categories target cat 标签 类别 分类 类目 分类标签"
# 只有 0 和 1 时，这样的列名多半说的是负向、正向
SENTIMENT = "sentiment sentiments polarity 情感 情感倾向 情感标签 情感极性 情绪"
RATING = "rating ratings star stars score 星级 评分"
NAMES = {"text": TEXT.split(), "label": f"{LABEL} {SENTIMENT} {RATING}".split()}
SAID = {"text": "评论", "label": "标签"}
LABEL_NAMES = ["负向", "正向"]
NUMBERED = re.compile(r"第\d+列")  # 没有列名的文件，这样叫它的列
SAMPLED = 200  # 看头多少行来认列
HEADED = {".csv", ".tsv", ".xlsx"}  # 第一行是列名的格式
TO_CSV = "index=False, encoding='utf-8-sig')"


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

    @property
    def bare(self) -> bool:
        """指定的列是 第1列 这样的：文件没有列名，第一行就是数据"""
        return any(NUMBERED.fullmatch(column or "") for column in self[1:])

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
        ("--text-column", "列名", "评论在哪一列，不写就按列名认；没有列名的写 第1列"),
        ("--label-column", "列名", "标签在哪一列，不写就按列名认；没有列名的写 第2列"),
    ):
        parser.add_argument(flag, action=Remember, dest="data", metavar=name, help=about)


def plain(name: str) -> str:
    """比列名用的：再去掉引号，统一全角半角和大小写"""
    return visible(unicodedata.normalize("NFKC", str(name))).strip().lower()


class UnknownColumns(CourseError):
    """认不出哪一列是评论、哪一列是标签"""


def find_columns(
    table: "DataFrame", path: Path, source: DataSource, kinds: tuple[str, ...] = ("text", "label")
) -> tuple[list[str], list[str]]:
    """table（头几行）里哪一列是评论、哪一列是标签：([评论, 标签], 要告诉学员的)

    认不出、有好几个候选时抛 CourseError，说怎么指定。正好叫 text、label 的优先，另有候选就说一声。
    kinds 是 ("text",) 时只找评论那一列，那时的参数叫 --column。
    """
    if path.suffix.lower() == ".txt":
        check_lines(table, path, kinds)
    columns = list(table.columns)
    there = "、".join(columns[:20]) + "……" * (len(columns) > 20)
    flag = flags_of(kinds)
    found, notes = {}, []
    for kind in kinds:
        wanted = getattr(source, f"{kind}_column")
        known = [wanted] if wanted else NAMES[kind]
        same = [name for name in columns if plain(name) in map(plain, known)]
        if kind == "text" and not wanted:
            same = [name for name in same if not other(name, table)]
        first = [name for name in same if name == wanted or (not wanted and plain(name) == kind)]
        if wanted and len(first or same) != 1:
            raise CourseError(
                f"{path} 没有列 {wanted}，现有的列是 {there}", f"{flag[kind]} 写对列名"
            )
        if len(same) > 1 and len(first) != 1:
            raise CourseError(
                f"{path} 有 {len(same)} 列都像{SAID[kind]}：{'、'.join(same)}",
                f'用哪一列就写哪一列，例如 {flag[kind]} "{same[0]}"',
            )
        if len(same) > 1 and not wanted:
            others = "、".join(name for name in same if name != first[0])
            notes.append(f"列 {others} 也像{SAID[kind]}，没有用；要用就加 {flag[kind]}")
        if same:
            found[kind] = (first or same)[0]
    if len(set(found.values())) == len(kinds):
        return list(found.values()), notes
    if len(found) == len(kinds):
        raise CourseError(f"评论和标签都是列 {found['text']}", f"现有的列是 {there}，各写一列")
    rest = table.drop(columns=found["label"]) if "label" in found else table
    guessed = guess(rest, found.get("text")) | found
    advice = " ".join(f'{flag[kind]} "{guessed.get(kind, "列名")}"' for kind in kinds)
    if not found:
        check_header(table, path, kinds)
    for name in columns:
        check_flat(table[name], path)
    if len(columns) == 1 == len(kinds):
        raise UnknownColumns(
            f"{path} 只有一列 {there}：不知道它是列名，还是第一条评论",
            f'是评论就加上 {flag["text"]} 第1列，是列名就加上 {flag["text"]} "{columns[0]}"',
        )
    if len(columns) == 1:
        raise UnknownColumns(
            f"{path} 只有一列 {there}，评论和标签要各有一列",
            "加上标签那一列；一个标签一个文件夹也行：pos/*.txt、neg/*.txt",
        )
    missing = "、".join(SAID[kind] for kind in kinds if kind not in found)
    raise UnknownColumns(
        f"{path} 里认不出哪一列是{missing}，现有的列是 {there}", f"看看对不对：{advice}"
    )


def other(name: str, table: "DataFrame") -> bool:
    """叫评论，其实是评论数；叫 text_a，其实是一对句子里的一句"""
    words = [word for word in map(cell, table[name]) if word]
    pair = plain(name) == "text_a" and "text_b" in map(plain, table.columns)
    return pair or (len(words) > 9 and all(map(str.isdecimal, words)))


def flags_of(kinds: tuple[str, ...]) -> dict[str, str]:
    """指定列的参数叫什么：只找评论的（08_predict.py）叫 --column"""
    return {"text": "--text-column" if len(kinds) > 1 else "--column", "label": "--label-column"}


def by_number(numbers: dict[str, int], kinds: tuple[str, ...]) -> str:
    """没有列名的文件，指定第几列的写法"""
    flag = flags_of(kinds)
    said = " ".join(f"{flag[kind]} 第{numbers[kind]}列" for kind in kinds if kind in numbers)
    return f"加上 {said}（看看对不对）"


def guess(table: "DataFrame", text: str | None = None) -> dict[str, str]:
    """猜给学员看的：平均最长的一列是评论（除非已经知道），别的里面种类最少的是标签"""
    texts = table.map(whole)
    text = text or texts.map(len).mean().idxmax()
    rest = texts.nunique().drop(text)
    rest = rest[rest > 1] if (rest > 1).any() else rest
    return {"text": text, "label": rest.idxmin()} if len(rest) else {"text": text}


def check_header(
    table: "DataFrame", path: Path, kinds: tuple[str, ...] = ("text", "label")
) -> None:
    """列名那一行其实是数据时抛 CourseError：不说的话，第一条评论就悄悄不见了"""
    columns = list(table.columns)
    known = any(plain(name) in names for name in columns for names in NAMES.values())
    if known or path.suffix.lower() not in HEADED:
        return
    if not any(
        re.fullmatch(r"[+-]?\d+(\.\d+)?", plain(name))
        or name in set(table[name])
        or (len(columns) == 1 and len(name) > 15)  # 像一条评论
        for name in columns
    ):
        return
    numbers = {kind: columns.index(name) + 1 for kind, name in guess(table).items()}
    row = "，".join(columns)
    raise CourseError(
        f"{path} 像是没有列名，第一行就是数据：{row[:60]}{'…' if len(row) > 60 else ''}",
        f"{by_number(numbers, kinds)}，或者在最前面加一行列名，评论那一列叫 text；"
        "第一行真是列名的，就照写它的名字",
    )


def check_lines(table: "DataFrame", path: Path, kinds: tuple[str, ...]) -> None:
    """txt 一行一条评论；里面还用什么分着列的，抛 CourseError"""
    lines = [text for text in map(cell, table.iloc[:, 0]) if text]
    if not lines or list(table.columns) != ["text"]:
        return
    if re.match(r'\[?\s*\{\s*"', lines[0]):
        raise UnknownColumns(f"{path} 里面是 JSON，不是一行一条评论", "把扩展名改成 .json")
    for sign, name in SIGNS.items():
        first = lines[0].split(sign)
        if len(first) > 1 and any(plain(x) in names for x in first for names in NAMES.values()):
            raise UnknownColumns(
                f"{path} 是表格，第一行是列名，用 {name} 分列", "把扩展名改成 .csv"
            )
    for sign in ("\t", "_!_", "\x01", "|")[: 4 if len(kinds) > 1 else 3]:
        parts = [line.split(sign) for line in lines]
        parts = [part for part in parts if len(part) == len(parts[0]) > 1]
        if len(parts) < 0.9 * len(lines):
            continue
        numbers = guess(type(table)(parts, columns=range(1, len(parts[0]) + 1)))
        raise UnknownColumns(
            f"{path} 没有列名，每行用 {SIGNS[sign]} 分成 {len(parts[0])} 段：{lines[0][:60]}",
            by_number(numbers, kinds),
        )
    if len(kinds) == 1:
        return
    starts = {line.split(" ")[0] for line in lines}
    if sum("__label__" in word for word in lines[0].split()) > 1:
        raise UnknownColumns(
            f"{path} 的一行有几个 __label__；这里一条评论只有一个标签", "每条留一个标签"
        )
    if all(re.fullmatch(r"__label__\S+|-?\d+", start) for start in starts):
        to = path.with_suffix(".csv")
        raise UnknownColumns(
            f"{path} 的每一行开头是标签，空一格，后面是评论（fastText 这样写），不是表格",
            f'先转成 CSV，再 --data "{to}"：python -c "import pandas as pd; '
            f"lines = pd.Series(open(r'{path}', encoding='utf-8')).str.strip(); "
            "lines.str.replace('__label__', '').str.split(' ', n=1, expand=True)"
            f".set_axis(['label', 'text'], axis=1).to_csv(r'{to}', {TO_CSV}\""
            "（是 GBK 的，utf-8 换成 gbk）",
        )
    raise UnknownColumns(
        f"{path} 一行只当一条评论，认不出哪里是标签",
        "加上标签那一列，存成 CSV；一个标签一个文件夹也行：pos/*.txt、neg/*.txt",
    )


def check_flat(values: "Series", path: Path, kind: str = "") -> None:
    """一格里还套着对象的，抛 CourseError，说怎么摊平；kind 是 text 时，一格里是一串词的也抛"""
    inner = next((value for value in values if isinstance(value, dict)), None)
    if inner:
        read = "json.load(f)" if path.suffix.lower() == ".json" else "map(json.loads, f)"
        to = path.with_suffix(".csv")
        longest = max(inner, key=lambda name: len(cell(inner[name])))
        if path.suffix.lower() == ".parquet":
            read = f"pd.read_parquet(r'{path}').to_dict('records')"
        raise UnknownColumns(
            f"{path} 的「{values.name}」一格里还套着 {'、'.join(inner)}，不是一个值",
            '先摊平：python -c "import json, pandas as pd; '
            f"f = open(r'{path}', encoding='utf-8'); "
            f'pd.json_normalize({read}).to_csv(r\'{to}\', {TO_CSV}"，再 --data "{to}"，'
            f"加上 --{kind or 'text'}-column {values.name}.{longest}（别的列也这样叫）",
        )
    if any(isinstance(value, list) and value and isinstance(value[0], dict) for value in values):
        raise UnknownColumns(
            f"{path} 的「{values.name}」一格里是一串对象，不是一个值",
            "在标注它的程序里换一种导出：Label Studio 选 JSON-MIN 或 CSV",
        )
    if kind == "text" and any(isinstance(value, list) for value in values):
        column = f"table['{values.name}']"
        raise CourseError(
            f"{path} 的「{values.name}」一格里是一串词，不是一句话",
            f"先接起来：pandas 读进来，{column} = {column}.str.join('')",
        )
