"""不是一课  读表格文件：csv、tsv、txt、json、jsonl、xlsx、parquet

一块一块地读，每一块是 pandas 的 DataFrame，行的编号（index）就是 Excel 左边的行号。CSV 里的格子都是
文字，"NA""null" 也是；没有写的是空串。训练数据、08_predict.py --file、网页上选的文件都从这里读。
"""

import codecs
import csv
import io
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TextIO

from course.cli import require
from course.errors import CourseError

if TYPE_CHECKING:  # import pandas 要半秒，用到才 import：只预测一句话用不到
    from pandas import DataFrame

FORMATS = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".xlsx", ".parquet")
OUTPUTS = (".csv", ".tsv", ".jsonl", ".xlsx", ".parquet")  # txt 一行只有一句话，放不下结果
ROWS = 1024  # 一块多少行
MOST = 1_000_000_000  # xlsx、parquet 是压缩的：展开后最多多少字节
SAVE_AGAIN = "用 Excel 或记事本打开，另存为 CSV UTF-8"
# 认得出是 GBK：非 ASCII 的字至少这么多在 GB2312 里。真的评论在 0.99 以上，繁体的约 0.6；
# 别的编码（Big5、Shift-JIS、坏了的 UTF-8）硬当 GBK 读，出来的多是生僻字，在 0.45 以下
COMMON = 0.5
# 开头的几个字节说得出它其实是什么，不管扩展名叫什么
MAGIC = {
    rb"version https://git-lfs": ("Git LFS 的指针，数据还没有下载", "git lfs pull，或重新下载"),
    rb"PK\x03\x04": ("Excel 文件或压缩包", "是 Excel 文件就改名 .xlsx，是压缩包先解压"),
    rb"PAR1": ("parquet", "把扩展名改成 .parquet"),
    rb"\x1f\x8b|\xfd7zXZ|BZh|7z\xbc\xaf|Rar!|\x28\xb5\x2f\xfd": ("压缩包", "先解压"),
    rb"\xd0\xcf\x11\xe0": ("老式的 .xls，或加了密码的 Excel 文件", SAVE_AGAIN),
    rb"\s*<(!doctype html|html|table)\b": ("网页", SAVE_AGAIN),
}
PLAIN = {"quoting": csv.QUOTE_NONE}  # 不用引号括格子的文件：引号是评论里的字
SIGNS = {"\t": "Tab", "_!_": "_!_", "\x01": "\\001", "|": "|", ";": ";", ",": ","}  # 分列的记号


@dataclass
class About:
    """读一个文件时认出来的：编码，要说的话，文件自己写着的标签名字 {列: [名字, …]}"""

    encoding: str = ""
    notes: list[str] = field(default_factory=list)
    names: dict[str, list[str]] = field(default_factory=dict)


def kind(path: Path, known: tuple[str, ...] = FORMATS) -> str:
    """小写的扩展名，不在 known 里就抛 CourseError"""
    if path.suffix.lower() in known:
        return path.suffix.lower()
    advice = SAVE_AGAIN if known == FORMATS else "换一个扩展名，如 结果.csv"
    raise CourseError(f"不认识 {path.name} 的扩展名，能用的是 {' '.join(known)}", advice)


def check_kind(file: BinaryIO, name: str, suffix: str) -> None:
    """看开头的字节，里面和扩展名说的不是一种东西时抛 CourseError；看完回到开头"""
    head = file.read(512)
    file.seek(0)
    own = {".xlsx": b"PK\x03\x04", ".parquet": b"PAR1"}.get(suffix)
    if own and head.startswith(own):
        return
    for magic, (real, advice) in MAGIC.items():
        if re.match(magic, head, re.IGNORECASE):
            raise CourseError(f"{name} 的内容其实是 {real}", advice)
    if own:
        raise CourseError(f"{name} 不是 {suffix} 文件", "里面是文字的话，把扩展名改成 .csv")


def encoding_of(file: BinaryIO) -> str:
    """有 BOM 听它的；能按 UTF-8 读完就是 UTF-8；再看像不像 GBK，不像就抛 UnicodeError，不猜

    要读完整个文件才敢说：一个英文居多的 GBK 文件，可能最后一行才出现汉字。读完回到开头。
    """
    marked = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    for encoding in ("utf-16",) if marked else ("utf-8-sig", "gb18030"):
        file.seek(0)
        decoder = codecs.getincrementaldecoder(encoding)()
        foreign = common = 0
        try:
            for block in chain(iter(lambda: file.read(1 << 20), b""), [b""]):
                text = decoder.decode(block, final=not block)
                if "\0" in text:
                    raise UnicodeError("有编号为 0 的字节：不是文本，或是没有 BOM 的 UTF-16")
                if encoding == "gb18030":
                    text = re.sub("[\1-\x7f]", "", text)
                    foreign += len(text)
                    common += len(text.encode("gb2312", "ignore")) // 2
                    # Big5 当 GBK 读，三成是这些：不是字，是留给各家自己用的
                    common -= len(re.findall(r"[\ue000-\uf8ff]", text))
        except UnicodeDecodeError:
            continue
        if common >= COMMON * foreign:
            file.seek(0)
            return encoding
    file.seek(0)
    before, *rest = file.read().decode("utf-8", "replace").split("\ufffd")
    if 100 * len(rest) < len(re.findall("[一-龥]", before + "".join(rest))):
        row = before.count("\n") + 1
        raise UnicodeError(f"是 UTF-8，可是有 {len(rest)} 处坏了的字，第一处在第 {row} 行")
    raise UnicodeError("认不出编码，不是 UTF-8，也不像 GBK")


# 各种格式：每个 read_… 返回 (列名, 一行一行的 (行号, 格子))；读不通抛 ValueError


def names_of(cells: list[str]) -> list[str]:
    """第一行 → 列名；没有名字的叫 Unnamed: 0 这样，和 pandas 一样"""
    if len(cells) == 1 and re.search("[，；]", cells[0]):
        raise ValueError(f"列名要用英文逗号分开，现在是：{cells[0][:40]}")
    columns = []
    for i, cell in enumerate(cells):
        name = cell or f"Unnamed: {i}"
        columns.append(name if cell or name not in cells else f"{name}.1")
    if twice := [column for column in columns if columns.count(column) > 1]:
        raise ValueError(f"列名有重复：{twice[0]}；没有列名的，用哪一列就写 第1列、第2列……")
    return columns


def cells_of(
    text: TextIO, above: int, sign: str, options: dict, slashes: bool, extra: int = 0
) -> Iterator[tuple[int, list[str]]]:
    """跳过开头 above 行，往后每一行：(行号, 格子)；格子比第一行多的、引号不成对的抛 ValueError

    slashes：引号写成 \\" 的（MySQL、Spark），当作两个引号；extra：比第一行多几格也行。
    """
    text.seek(0)
    lines = (re.sub(r"\r(?!\r*$)", "\0", line) for line in islice(text, above, None))
    if slashes:
        lines = (re.sub(r'(?<!\\)((\\\\)*)\\"', r'\1""', line) for line in lines)
    if len(sign) > 1:  # csv 只认一个字的
        lines = (line.replace(sign, "\x1f") for line in lines)
    row, width = above, 0
    delimiter = sign if len(sign) == 1 else "\x1f"
    try:
        for cells in csv.reader(lines, delimiter=delimiter, strict=True, **options):
            row += 1
            while len(cells) > max(width, 1) and not cells[-1]:  # Excel 常在右边多存几个空列
                cells.pop()
            width = width or len(cells) + extra
            if len(cells) > width:
                shown = "｜".join(cell[:20] for cell in cells[:9])
                raise ValueError(
                    f"第 {row} 行有 {len(cells)} 格，列名只有 {width} 个：{shown}；"
                    "第一行要是列名，评论里有逗号的，整条放在英文双引号里"
                )
            yield row, [cell.replace("\0", "\r") for cell in cells]
    except csv.Error as error:
        raise ValueError(
            f"第 {row + 1} 行前后读不通，多半是双引号不成对（{error}）；评论里的一个引号要写两个"
        ) from error


def rows_inside(cells: list[str], sign: str, width: int) -> list[list[str]]:
    """换了行的一条里，每一行都像单独的一条时，这几行的格子；不像是空的"""
    lines = [line.rstrip("\r").split(sign) for line in sign.join(cells).split("\n")]
    return lines if len(lines) > 1 and {len(line) for line in lines} == {width} != {1} else []


def read_csv(text: TextIO, suffix: str, about: About, bare: bool) -> tuple:
    """第一行是列名；bare：没有列名，叫 第1列、第2列……"""
    csv.field_size_limit(10_000_000)
    said, above, line = None, 0, ""
    for line in text:
        if match := re.fullmatch(r"sep=(.)\s*", line):  # Excel 自己的约定：单独一行说用什么分列
            said = match[1]
        elif line.strip(" \t,;|\r\n"):
            break
        above += 1
    outside = re.sub(r'"[^"]*("|$)', "", line)  # 引号里的不算
    own = "," if suffix == ".csv" else "\t"
    if said or "_!_" in line:
        own = said or "_!_"
    elif own not in outside:
        own = max([own, *SIGNS, *[" "] * line.startswith('"')], key=outside.count)  # R 用空格
    counts, slashes, spaced, naked = {outside.count(own)}, False, False, False
    text.seek(0)
    if line.endswith("\n"):  # 别处单独的 \r 是评论里的字，不是换行
        text.reconfigure(newline="\n")
    for row in islice(text, above, None):
        counts |= {row.count(own)} if '"' in row else set()
        naked = naked or ("," in row and '"' not in row)
        slashes = slashes or '\\"' in row
        spaced = spaced or f'{own} "' in row
    options = {"skipinitialspace": spaced and f"{own} " in outside}  # text, label 这样空了格的
    ways = [(options, False, 0)] + [(options, True, 0)] * slashes
    if own in ("\t", "_!_", "\x01") and len(counts) == 1:
        # 有引号的每一行都有那么多 Tab：一行就是一条，引号是评论里的字
        options, slashes, ways = PLAIN, False, [(PLAIN, False, 0)]
    if line.startswith('"') or options == PLAIN:
        ways.append((options, slashes, 1))  # R 的 write.table：行号那一列没有列名
    problem = None
    for way in ways:
        try:
            width, total, short, ends, doubtful = 0, 0, [], set(), []
            for row, cells in cells_of(text, above, own, *way):
                if not width:
                    width = len(cells) + way[2]
                elif any(cells):
                    total += 1
                    short += [row] if len(cells) < width else []
                    if way[2] and (short or not cells[0].isdecimal()):
                        raise ValueError("不是 R 的行号")
                    if lines := rows_inside(cells, own, width):
                        doubtful.append((row, lines))
                    elif len(ends) < 10_000:
                        ends |= {one for one in enumerate(cells) if 0 < len(one[1]) <= 20}
            for row, lines in doubtful:  # 同一列别处也有的标签：引号没有合上，吞了几行
                if len(lines) > 4 or all(ends & set(enumerate(line)) for line in lines):
                    raise ValueError(
                        f"第 {row} 行里有 {len(lines)} 行，每行都像单独的一条：引号不成对；"
                        "真是一条评论里换了行的，存成 .xlsx"
                    )
            break
        except ValueError as error:
            problem = problem or error
    else:
        raise problem
    if not width:
        return [], iter(())
    if short:
        if len(short) == total and width > 1:
            raise ValueError(f"第 {short[0]} 行起都比列名少几格；分列要用和第一行一样的英文逗号")
        about.notes.append(
            f"{len(short)} 行少几格，缺的当作空，第一个是第 {short[0]} 行；要是评论里换了行，"
            "它的下一行也只剩半句，把整条放进英文双引号"
        )
    rows = ((n, row + [""] * (width - len(row))) for n, row in cells_of(text, above, own, *way))
    if way[0] == PLAIN:  # 有的程序照样括：列名也括着，或者里面的引号写了两个
        marks = ['""', "\r", *[","] * (not naked), *[""] * line.startswith('"')]  # Excel 括有逗号的
        rows = ((n, [unquoted(cell, marks) for cell in row]) for n, row in rows)
    if bare:
        return [f"第{i}列" for i in range(1, width + 1)], rows
    header = next(rows)[1]
    return names_of([""] * way[2] + header[: width - way[2]]), rows


def unquoted(cell: str, marks: list[str]) -> str:
    inside = cell[1:-1]
    if len(cell) > 1 and cell[0] == cell[-1] == '"' and any(mark in inside for mark in marks):
        for pair in ('""', '\\"'):  # R 写成 \"
            if '"' not in inside.replace(pair, ""):
                return inside.replace(pair, '"')
    return cell


def read_objects(text: TextIO, suffix: str) -> Iterator[tuple[int, dict]]:
    """json：一个列表，{"data": […]}，几列，pandas 的 to_json 的几种；jsonl：一行一个对象"""
    import pandas as pd

    broken = None
    try:
        rows = json.load(text)
    except json.JSONDecodeError as error:
        broken = error
        text.seek(0)
        rows = (line if line.strip() else "{}" for line in text)
    if isinstance(rows, dict) and suffix == ".jsonl":  # 只有一行
        rows = [rows]
    elif isinstance(rows, dict):
        parts = list(rows.values())
        tables = [v for v in parts if isinstance(v, list) and v and isinstance(v[0], dict)]
        if len(tables) > 1:
            raise ValueError(f"里面有几份数据（{'、'.join(rows)}），留一份")
        if {"columns", "data"} <= rows.keys():  # orient="split"
            rows = [dict(zip(rows["columns"], row, strict=True)) for row in rows["data"]]
        elif tables or not all(isinstance(part, list | dict) for part in parts):
            rows = tables[0] if tables else [rows]
        else:
            table = pd.DataFrame(rows, dtype=object)
            turned = all(key.isdecimal() for key in rows)  # orient="index"，一条一个编号
            turned = turned or table.shape[1] > max(20, table.shape[0])
            rows = (table.T if turned else table).to_dict("records")
    for number, row in enumerate(rows, 1):
        try:
            row = json.loads(row) if isinstance(row, str) else row
        except json.JSONDecodeError as error:
            if broken and number == 1 and suffix == ".json":  # 不是一行一个的：整个文件哪里坏了
                raise ValueError(f"不是完整的 JSON（{broken}）") from error
            raise ValueError(f"第 {number} 行不是 JSON（{error}）") from error
        if not isinstance(row, dict):
            raise ValueError(f'第 {number} 条不是对象，应该像 {{"text": "很好"}}')
        yield number, row


def read_xlsx(file: BinaryIO, about: About, bare: bool) -> tuple:
    """第一个看得见的工作表；空的列、开头和结尾的空行不算"""
    require("openpyxl")
    import pandas as pd
    from openpyxl.utils.escape import unescape

    with zipfile.ZipFile(file) as archive:
        if sum(part.file_size for part in archive.infolist()) > MOST:
            raise ValueError(f"展开后超过 {MOST:,} 字节")
        parts = [part for part in archive.namelist() if part.startswith("xl/worksheets/sheet")]
        merged = empty = 0
        for content in map(archive.read, parts):
            merged += content.count(b"<mergeCell ")
            empty += len(re.findall(rb"</f>(<v */>|<v></v>)?</c>", content))
        if merged:
            said = f"有 {merged} 处合并的单元格，只有左上角一格有字；取消合并再填满才读得到"
            about.notes.append(said)
        if empty:
            about.notes.append(f"有 {empty} 格公式没有算好的结果，当作空的；用 Excel 打开，存一次")
    book = pd.ExcelFile(file, engine="openpyxl")
    sheets = sorted(book.book.worksheets, key=lambda sheet: sheet.sheet_state != "visible")
    options = {"header": None, "dtype": str, "na_filter": False}  # 格子照原样，"NA" 也是文字
    tables = {s.title: pd.read_excel(book, sheet_name=s.title, **options) for s in sheets}
    (title, table), *others = [one for one in tables.items() if len(one[1])] or tables.items()
    if unread := "、".join(f"「{other}」{len(rows)} 行" for other, rows in others):
        about.notes.append(f"只读了工作表「{title}」，没有读 {unread}；要用就各存一个文件")
    table = table.map(lambda value: unescape(cell(value)))  # _x000D_ 是 Excel 里的换行
    table = table.replace(r"^(\d{4}-\d\d-\d\d) 00:00:00$", r"\1", regex=True)
    table = table.loc[:, (table != "").any()]
    filled = table.index[(table != "").any(axis=1)]
    if not len(filled):
        return [], iter(())
    header = table.loc[filled[0]].tolist()
    if sum(map(bool, header)) == 1 < len(header):
        raise ValueError(f"第 {filled[0] + 1} 行只有一格，像是标题：删掉它，第一行要是列名")
    rows = table.loc[filled[0] + (not bare) : filled[-1]]
    columns = [f"第{i}列" for i in range(1, len(header) + 1)] if bare else names_of(header)
    return columns, zip(rows.index + 1, rows.to_numpy().tolist(), strict=True)


def read_parquet(file: BinaryIO, about: About) -> tuple:
    from pyarrow import ArrowException, parquet, string

    table = parquet.ParquetFile(file, page_checksum_verification=True)
    groups = [table.metadata.row_group(i) for i in range(table.num_row_groups)]
    size, packed = sum(group.total_byte_size for group in groups), file.seek(0, io.SEEK_END)
    if size > MOST and size > 100 * packed:
        raise ValueError(f"展开后有 {size:,} 字节，是文件的 {size // packed} 倍")
    said = json.loads((table.schema_arrow.metadata or {}).get(b"huggingface", "{}"))
    for column, feature in said.get("info", {}).get("features", {}).items():
        feature = feature.get("feature", feature) if isinstance(feature, dict) else {}  # 列表里的
        if "names" in feature:
            about.names[column] = feature["names"]

    def texts(column) -> list:  # 整数一位不差；列表、对象照旧
        try:
            return column.cast(string()).to_pylist()
        except ArrowException:
            return column.to_pylist()

    batches = (zip(*map(texts, b.columns), strict=True) for b in table.iter_batches(ROWS))
    return names_of(table.schema_arrow.names), enumerate(chain.from_iterable(batches), 1)


def read_frames(
    file: BinaryIO, name: str, about: About | None = None, bare: bool = False
) -> Iterator["DataFrame"]:
    """打开的文件（或 io.BytesIO）的每一块；格式看 name 的扩展名。读不了的抛 CourseError，不抛别的

    认出来的填进 about。bare：没有列名，第一行就是数据，列叫 第1列、第2列……
    """
    import pandas as pd

    about = about or About()
    check_kind(file, name, Path(name).suffix.lower())
    suffix = kind(Path(name))
    try:
        if suffix == ".xlsx":
            columns, rows = read_xlsx(file, about, bare)
        elif suffix == ".parquet":
            columns, rows = read_parquet(file, about)
        else:
            encoding = encoding_of(file)
            about.encoding = {"utf-8-sig": "UTF-8", "gb18030": "GBK"}.get(encoding, "UTF-16")
            cells = suffix in (".csv", ".tsv") or (bare and suffix == ".txt")
            text = io.TextIOWrapper(file, encoding, newline="" if cells else None)
            if cells:  # 格子里可以有换行，让 csv 去认
                columns, rows = read_csv(text, suffix, about, bare)
            elif suffix == ".txt":  # 一行一条评论
                columns, rows = ["text"], enumerate(([line.rstrip("\n")] for line in text), 1)
            else:
                columns, rows = None, read_objects(text, suffix)
        while block := list(islice(rows, ROWS)):
            numbers, block = zip(*block, strict=True)
            yield pd.DataFrame(list(block), index=list(numbers), columns=columns, dtype=object)
    except (CourseError, MemoryError):
        raise
    except Exception as error:  # 坏法很多，几个库的异常没有共同的类型
        raise CourseError(
            f"读不了 {name}：{error}", f"改好它，重新下载，或者{SAVE_AGAIN}"
        ) from error


def read_path(path: Path, about: About | None = None, bare: bool = False) -> Iterator["DataFrame"]:
    """一个文件的每一块，见 read_frames"""
    try:
        with path.open("rb") as file:
            yield from read_frames(file, str(path), about, bare)
    except OSError as error:
        raise CourseError(
            f"打不开 {path}：{error.strerror}", "检查文件名和它所在的文件夹"
        ) from error


def cell(value: object) -> str:
    """一格 → 文字：空的是空串，列表、对象写成 JSON；二进制的抛 CourseError"""
    if isinstance(value, bytes):
        raise CourseError(
            "有一列是二进制数据，不是文字", "去掉这一列；照抄的话 --out 写成 .parquet"
        )
    if isinstance(value, bool | list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return "" if value is None or value != value else str(value)


def whole(value: object) -> str:
    """同上；半个 emoji 不是合法的 UTF-8，写成 \\ud83d"""
    return cell(value).encode("utf-8", "backslashreplace").decode("utf-8")
