"""不是一课  文字写成的表格怎么读，CSV、TSV、TXT、JSON、JSONL；手里只拿着一行，一行最多 LIMIT 个字

编码自己认：UTF-8（带不带 BOM 都行）、带 BOM 的 UTF-16、GBK。别的说出来，不猜：猜错了是满篇乱码，
训练照样能跑完。
"""

import codecs
import csv
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, BinaryIO, TextIO

from course.errors import CourseError

BLOCK = 1 << 20  # 一次读 1 MB
LIMIT = 10_000_000  # 一行、一格最多多少个字：内存由它决定，和文件多大无关；《红楼梦》不到一百万字
MAX_COLUMNS = 16_384  # 最多多少列，和 Excel 一样
MAX_OBJECT = 50_000_000  # 整个文件是一个 JSON 对象时，最多多少个字
MAX_VALUES = 2_000_000  # 和最多多少个值
MAX_DIGITS = 1000  # JSON 里的整数最多几位
HALF = re.compile("[\ud800-\udfff]")  # 半个字符：JSON 写得出，UTF-8 里没有它
ENCODINGS = {"utf-8-sig": "UTF-8", "utf-16": "UTF-16", "gb18030": "GBK"}  # gb18030 包含 GBK
DELIMITERS = {".csv": ",", ".tsv": "\t"}
DELIMITER_NAMES = {",": "逗号", "\t": "Tab", ";": "分号"}
# 认得出是 GBK：非 ASCII 的字至少这么多在 GB2312 里。真的评论在 0.99 以上，繁体的约 0.6；
# 别的编码（Big5、Shift-JIS、坏了的 UTF-8）硬当 GBK 读，出来的多是生僻字，在 0.45 以下
COMMON = 0.5


@dataclass
class Found:
    """读一个表格时认出来的东西，边读边填：给人看的报告从这里来"""

    encoding: str = ""  # UTF-8、UTF-16、GBK；xlsx、parquet 没有
    delimiter: str = ""  # 逗号、Tab、分号；只有 CSV、TSV 有
    sheet: str = ""  # xlsx 读的是哪个工作表
    sheets: int = 0  # 它一共有几个
    uneven: int = 0  # 格数和列名不一样多的行有几行：少的当作空，多的都是空格子
    first_uneven: int = 0  # 第一个这样的行是第几行

    def describe(self) -> str:
        """一句话，如"编码 GBK，用分号分列"；没有可说的是空串"""
        said = []
        if self.encoding:
            said.append(f"编码 {self.encoding}")
        if self.delimiter:
            said.append(f"用{self.delimiter}分列")
        if self.sheet:
            said.append(f"工作表 {self.sheet}" + f"（共 {self.sheets} 个）" * (self.sheets > 1))
        if self.uneven:
            said.append(
                f"{self.uneven} 行的格数和列名不一样多（第一个是第 {self.first_uneven} 行），"
                "缺的当作空"
            )
        return "，".join(said)


def too_long(where: str) -> CourseError:
    return CourseError(
        f"{where}超过 {LIMIT:,} 个字，不像是一条评论",
        "看看这里是不是少了换行或双引号；真有这么长，先自己切短",
    )


# 1. 编码


def encoding_of(file: BinaryIO) -> str:
    """文本的编码：有 BOM 就听它的，否则能按 UTF-8 读完就是 UTF-8，再不行看像不像 GBK

    要读完整个文件才敢说：一个英文居多的 GBK 文件，可能最后一行才出现汉字。读完回到开头，
    返回 ENCODINGS 里的一个；哪一种都不是时抛 UnicodeError。
    """
    marked = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    line, foreign, common = 1, 0, 0
    for encoding in ("utf-16",) if marked else ("utf-8-sig", "gb18030"):
        decoder = codecs.getincrementaldecoder(encoding)()
        file.seek(0)
        row = 1
        try:
            block = True
            while block:
                block = file.read(BLOCK)
                text = decoder.decode(block, final=not block)
                if "\0" in text:
                    raise UnicodeError("里面有编号为 0 的字节：不是文本，或是没有 BOM 的 UTF-16")
                row += text.count("\n")
                if encoding == "gb18030":
                    text = text.replace("—", "").replace("·", "")  # Python 的 gb2312 没有这两个
                    ascii_only = len(text.encode("ascii", "ignore"))
                    foreign += len(text) - ascii_only
                    common += (len(text.encode("gb2312", "ignore")) - ascii_only) // 2
        except UnicodeDecodeError as error:
            if encoding != "gb18030":  # UTF-8 读到哪一行为止，认不出时告诉人家
                line = row + error.object[: error.start].count(b"\n")
            continue
        if encoding == "gb18030" and common < COMMON * foreign:
            continue
        file.seek(0)
        return encoding
    if marked:
        raise UnicodeError(f"开头写着 UTF-16，第 {line} 行却不是")
    raise UnicodeError(f"认不出编码：按 UTF-8 读，第 {line} 行有坏字节；也不像 GBK")


class Lines:
    """一行一行地读；used 是上次清零以来读了多少个字，超过 LIMIT 就抛 CourseError"""

    def __init__(self, text: TextIO, name: str):
        self.text, self.name = text, name
        self.used, self.row = 0, 1

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.text.readline(LIMIT + 1)
        if not line:
            raise StopIteration
        self.used += len(line)
        if self.used > LIMIT:
            raise too_long(f"{self.name} 第 {self.row} 行")
        return line

    def next_row(self) -> None:
        self.used = 0
        self.row += 1


# 2. CSV、TSV；fit 和 name_columns 也给 xlsx 用


def name_columns(cells: list[str], name: str) -> list[str]:
    """第一行的列名；右边没有名字的列不算，中间没有名字的有好几个时叫"第 3 列"这样的名字

    重名的、太多的抛 CourseError。
    """
    while not cells[-1]:  # Excel 常在右边多存几个空列
        cells = cells[:-1]
    if len(cells) > MAX_COLUMNS:
        raise CourseError(f"{name} 有 {len(cells)} 列，最多 {MAX_COLUMNS} 列", "检查第一行")
    if cells.count("") > 1:
        cells = [title or f"第 {i} 列" for i, title in enumerate(cells, start=1)]
    if len(set(cells)) < len(cells):
        twice = next(title for title in cells if cells.count(title) > 1)
        raise CourseError(f"{name} 第一行的列名有重复：{shown(twice)}", "改成各不相同的名字")
    return cells


def shown(text: object) -> str:
    """报错时给人看的一格：太长的只看开头"""
    text = str(text)
    return text if len(text) <= 20 else f"{text[:20]}…"


def fit(columns: list[str], width: int, cells: list, where: tuple[str, int], found: Found) -> dict:
    """一行的格子 → {列名: 值}；width 是列名那一行有几格，where 是（文件名，第几行）

    少几格的补空：Excel 存 CSV 时，行尾空的格子连逗号都不写。多出来的都是空格子，不要紧；不空就是
    评论里的逗号没有用引号括住，整行错了位，抛 CourseError。
    """
    if len(cells) == len(columns):
        return dict(zip(columns, cells, strict=True))
    name, row = where
    if any(cell != "" for cell in cells[len(columns) :]):
        raise CourseError(
            f"{name} 第 {row} 行有 {len(cells)} 格，列名只有 {len(columns)} 个："
            + "｜".join(map(shown, cells[:9])),
            "评论里有逗号时，整条要放在英文双引号里；用 Excel 另存一次就对了。"
            "右边多一列的，在第一行给它起个名字",
        )
    if any(cells) and len(cells) != width:
        found.uneven += 1
        found.first_uneven = found.first_uneven or row
    cells = cells + [""] * (len(columns) - len(cells))
    return dict(zip(columns, cells, strict=False))  # 多出来的空格子不要


def delimiter_of(header: str, own: str) -> str:
    """列名那一行用什么分列：扩展名说的 own 出现了就是它，没有才看别的哪个出现得多；引号里的不算"""
    outside = re.sub(r'"[^"]*("|$)', "", header)
    best = own if own in outside else max(DELIMITER_NAMES, key=outside.count)
    return best if best in outside else own


def read_csv(text: TextIO, name: str, own: str, found: Found) -> Iterator[dict]:
    """CSV、TSV：第一行是列名；引号里可以有逗号和换行。空行也是一行，不丢"""
    csv.field_size_limit(LIMIT)
    lines = Lines(text, name)
    columns, width = None, 0  # 行号和 Excel 左边的一样：引号里的换行不算新的一行
    try:
        header = next(lines, "")
        while header and not header.strip(" \t,;\r\n"):  # 列名之前的空行
            lines.next_row()
            header = next(lines, "")
        # Excel 自己的约定：开头单独一行 sep=; 说用什么分列
        said = re.fullmatch(r"sep=(.)[\r\n]*", header)
        delimiter = said[1] if said else delimiter_of(header, own)
        found.delimiter = DELIMITER_NAMES.get(delimiter, f" {delimiter} ")
        if said:
            lines.next_row()
            header = next(lines, "")
        for cells in csv.reader(chain([header], lines), delimiter=delimiter, strict=True):
            if columns is None:
                if any(cells):
                    columns, width = name_columns(cells, name), len(cells)
                    if len(columns) == 1 and re.search("[，；]", columns[0]):
                        raise CourseError(
                            f"{name} 第一行应该是列名，用英文逗号分开；现在是：{shown(columns[0])}",
                            "把中文的逗号、分号改成英文的；没有列名的，补上一行，如 text,label",
                        )
            else:
                yield fit(columns, width, cells, (name, lines.row), found)
            lines.next_row()
    except csv.Error as error:
        raise CourseError(
            f"{name} 第 {lines.row} 行读不了，多半是双引号不成对（{error}）",
            "改好这一行的双引号；用 Excel 另存一次就对了",
        ) from error
    if columns is None:
        raise CourseError(f"读不了 {name}：一行数据也没有，连列名都没有", "换一个文件")


# 3. TXT


def read_txt(text: TextIO, name: str) -> Iterator[dict]:
    """TXT：一行一条评论，没有列名，列叫 text"""
    lines = Lines(text, name)
    for line in lines:
        yield {"text": line.rstrip("\n")}
        lines.next_row()


# 4. JSON、JSONL


def whole(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"有一个 {len(digits)} 位的整数")
    return int(digits)


def unique(pairs: list[tuple[str, Any]]) -> dict:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("一个对象里同一个名字写了两次")
    if any(HALF.search(name) for name in value):
        raise ValueError("有一个名字里有半个字符（\\ud800 到 \\udfff）")
    if len(value) > MAX_COLUMNS and not all(name.isdecimal() for name in value):
        raise ValueError(f"一个对象里有 {len(value)} 个名字")
    return value


# NaN、Infinity 不是 JSON，Python 却写得出来：当作空
JSON = json.JSONDecoder(object_pairs_hook=unique, parse_int=whole, parse_constant=lambda _: None)


def not_json(where: str, error: Exception) -> CourseError:
    if isinstance(error, RecursionError):
        return CourseError(f"{where}一层套一层，太深了", '每条评论应该像 {"text": "很好"}')
    return CourseError(f"{where}不是 JSON：{error}", "改好这里")


def parse(text: str, where: str) -> Any:
    try:
        return JSON.decode(text)
    except (ValueError, RecursionError) as error:
        raise not_json(where, error) from error


def check_row(value: object, where: str) -> dict:
    if not isinstance(value, dict):
        raise CourseError(f"{where}不是 JSON 对象", '每条应该像 {"text": "很好"}')
    return value


def read_json_lines(text: TextIO, name: str) -> Iterator[dict]:
    """JSONL：一行一个 JSON 对象；空行当作什么都没写的一行，不丢"""
    lines = Lines(text, name)
    for line in lines:
        where = f"{name} 第 {lines.row} 行"
        yield check_row(parse(line, where) if line.strip() else {}, where)
        lines.next_row()


def read_json_list(text: TextIO, name: str) -> Iterator[dict]:
    """[{…}, {…}, …]：一个对象一个对象地读，不等整个文件读完"""
    buffer, at = text.read(BLOCK), 0
    space = re.compile(r"[ \t\r\n]*")

    def upcoming() -> str:
        """跳过空白，看下一个字是什么，文件完了是空串"""
        nonlocal buffer, at
        at = space.match(buffer, at).end()
        while at == len(buffer):
            buffer, at = text.read(BLOCK), 0
            if not buffer:
                return ""
            at = space.match(buffer).end()
        return buffer[at]

    upcoming()
    at, row = at + 1, 0
    separator = upcoming()
    while separator != "]":
        row += 1
        where = f"{name} 第 {row} 条"
        upcoming()
        while True:
            try:
                value, at = JSON.raw_decode(buffer, at)
                break
            except RecursionError as error:
                raise not_json(where, error) from error
            except ValueError as error:  # 多半是这一条还没有读全
                rest = len(buffer) - at
                if rest > LIMIT:
                    raise too_long(where) from error
                more = text.read(max(BLOCK, rest))
                if not more:
                    raise not_json(where, error) from error
                buffer, at = buffer[at:] + more, 0
        yield check_row(value, where)
        separator = upcoming()
        if separator not in (",", "]"):
            raise CourseError(f"{where}后面不是逗号，也不是结尾的 ]", "文件不完整，或少写了逗号")
        at += separator == ","
    at += 1
    if upcoming():
        raise CourseError(f"{name} 结尾的 ] 后面还有东西", "一个文件只能有一个 [ … ]")


def rows_of(value: dict, name: str) -> Iterable[dict]:
    """整个文件是一个 JSON 对象，认得四种写法：

    {"data": [{…}, …]}，{"text": […], "label": […]}，pandas 的 to_json（{"text": {"0": …}, …} 或
    {"0": {…}, …}），一条评论 {"text": …}。
    """
    lists = {k: v for k, v in value.items() if isinstance(v, list)}
    tables = [k for k, v in lists.items() if v and all(isinstance(row, dict) for row in v)]
    if len(tables) > 1:
        raise CourseError(
            f"{name} 里有几份数据：{'、'.join(map(shown, tables[:9]))}", "各存一个文件"
        )
    if tables:
        return lists[tables[0]]
    if value and len(lists) == len(value):
        if len(set(map(len, lists.values()))) > 1:
            sizes = "、".join(f"{shown(k)} {len(v)} 个" for k, v in list(lists.items())[:9])
            raise CourseError(f"{name} 的几列不一样长：{sizes}", "每一列的个数要相同")
        return (dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True))
    if value and all(isinstance(v, dict) for v in value.values()):
        if all(k.isdecimal() for k in value):
            return value.values()
        first = list(next(iter(value.values())))
        if any(list(column) != first for column in value.values()):
            raise CourseError(f"{name} 的几列不一样长", "每一列的个数要相同")
        return ({k: column[i] for k, column in value.items()} for i in first)
    return [value]


def read_json(text: TextIO, name: str) -> Iterator[dict]:
    """JSON：一个列表，或一个对象（见 rows_of）；其实是 JSONL 的也读"""
    first = ""
    while first == "":  # 开头可以有空白
        block = text.read(BLOCK)
        if not block:
            raise CourseError(f"{name} 里一行数据也没有", "换一个文件")
        first = block.lstrip()[:1]
    text.seek(0)
    if first == "[":
        yield from read_json_list(text, name)
        return
    # 第一行自己就是一个完整的对象，后面还有：JSONL
    try:
        JSON.decode(text.readline(LIMIT))
        lines = bool(text.read(BLOCK).strip())
    except (ValueError, RecursionError):
        lines = False
    text.seek(0)
    if lines:
        yield from read_json_lines(text, name)
        return
    content = text.read(MAX_OBJECT + 1)
    if len(content) > MAX_OBJECT or sum(map(content.count, ",[{")) > MAX_VALUES:
        raise CourseError(f"{name} 整个是一个 JSON 对象，太大了", "改成一行一个对象，存成 .jsonl")
    for row, value in enumerate(
        rows_of(check_row(parse(content, f"{name} "), f"{name} "), name), start=1
    ):
        yield check_row(value, f"{name} 第 {row} 条")
