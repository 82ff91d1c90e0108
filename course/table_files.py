"""不是一课：读写一切表格文件，csv、tsv、txt、jsonl、parquet，一行一行地来，文件多大内存都一样

读出来的每一行是一个 dict {列名: 值}；CSV 里的格子都是文字，"NA""null" 也是。
编码自己认：UTF-8（带不带 BOM 都行）、UTF-16、GBK。
训练数据（course/reviews.py）、predict.py --file、网页上选的文件，都从这里读。
"""

import codecs
import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TextIO, TypeVar

import pyarrow
from pyarrow import parquet

from course.errors import CourseError

T = TypeVar("T")

FORMATS = (".csv", ".tsv", ".txt", ".jsonl", ".parquet")  # 读得了的
OUTPUTS = (".csv", ".tsv", ".jsonl", ".parquet")  # 写得了的：txt 一行只有一句话，放不下结果
DELIMITERS = {".csv": ",", ".tsv": "\t"}
BLOCK = 1 << 20  # 认编码时一次读 1 MB
ROWS = 1000  # 写 parquet 时多少行一组


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """每 size 个一组，最后一组可以少"""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def kind(path: Path, known: tuple[str, ...]) -> str:
    """小写的扩展名，不在 known 里就抛 CourseError"""
    suffix = path.suffix.lower()
    if suffix not in known:
        raise CourseError(
            f"不认识 {path.name} 的扩展名，能用的是 {' '.join(known)}",
            "在 Excel 里另存为 CSV UTF-8，或换一个文件名",
        )
    return suffix


def encoding_of(file: BinaryIO) -> str:
    """文本的编码：有 BOM 就听它的，否则能按 UTF-8 读完就是 UTF-8，再不行是 GBK

    要读完整个文件才敢说：一个英文居多的 GBK 文件，可能最后一行才出现汉字。读完回到开头；
    哪一种都不是时抛 UnicodeError。
    """
    marked = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    for encoding in ("utf-16",) if marked else ("utf-8-sig", "gb18030"):  # gb18030 包含 GBK
        decoder = codecs.getincrementaldecoder(encoding)()
        file.seek(0)
        try:
            while block := file.read(BLOCK):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            continue
        file.seek(0)
        return encoding
    raise UnicodeError("认不出编码，不是 UTF-8 也不是 GBK")


def name_columns(cells: list[str], name: str) -> list[str]:
    """第一行的列名；没有名字的列有好几个时叫"第 3 列"这样的名字，重名的抛 CourseError"""
    if cells.count("") > 1:  # Excel 常在右边多存几个空列
        cells = [title or f"第 {i} 列" for i, title in enumerate(cells, start=1)]
    if len(set(cells)) < len(cells):
        raise CourseError(f"{name} 第一行的列名有重复：{'、'.join(cells)}", "改成各不相同的名字")
    return cells


def read_table(lines: TextIO, name: str, delimiter: str) -> Iterator[dict]:
    """CSV、TSV：第一行是列名；引号里可以有逗号和换行。空行也是一行，不丢"""
    # csv 模块默认一格最多 131,072 个字符，长文章放不下；Windows 上这个数只收 32 位的
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    columns, row = None, 0  # 行号和 Excel 左边的一样：引号里的换行不算新的一行
    try:
        for row, cells in enumerate(reader, start=1):
            if columns is None:
                columns = name_columns(cells, name) if cells else None
            elif len(cells) > len(columns):
                raise CourseError(
                    f"{name} 第 {row} 行有 {len(cells)} 格，列名只有 {len(columns)} 个",
                    "评论里有逗号时，整条要放在英文双引号里；用 Excel 另存一次就对了",
                )
            else:
                padding = [""] * (len(columns) - len(cells))
                yield dict(zip(columns, cells + padding, strict=True))
    except csv.Error as error:
        raise CourseError(
            f"{name} 第 {row + 1} 行读不了，多半是双引号不成对（{error}）",
            "改好这一行的双引号；用 Excel 另存一次就对了",
        ) from error
    if columns is None:
        raise CourseError(f"读不了 {name}：一行数据也没有，连列名都没有", "换一个文件")


def read_lines(lines: TextIO) -> Iterator[dict]:
    """TXT：一行一条评论，没有列名，列叫 text"""
    for line in lines:
        yield {"text": line.rstrip("\n")}


def read_jsonl(lines: TextIO, name: str) -> Iterator[dict]:
    """JSONL：一行一个 JSON 对象；空行当作什么都没写的一行，不丢"""
    for row, line in enumerate(lines, start=1):
        try:
            value = json.loads(line) if line.strip() else {}
        except ValueError as error:
            raise CourseError(f"{name} 第 {row} 行不是 JSON：{error}", "改好这一行") from error
        if not isinstance(value, dict):
            raise CourseError(f"{name} 第 {row} 行不是 JSON 对象", '每行应该像 {"text": "很好"}')
        yield value


@contextmanager
def open_parquet(file: BinaryIO, name: str) -> Iterator[parquet.ParquetFile]:
    try:
        with parquet.ParquetFile(file) as table:
            yield table
    except pyarrow.ArrowException as error:
        raise CourseError(f"{name} 不是完整的 parquet 文件：{error}", "换一个文件") from error


def read_parquet(file: BinaryIO, name: str) -> Iterator[dict]:
    with open_parquet(file, name) as table:
        for batch in table.iter_batches(ROWS):
            yield from batch.to_pylist()


def read_stream(file: BinaryIO, name: str) -> Iterator[dict]:
    """打开的文件（或内存里的 io.BytesIO）的每一行；格式看 name 的扩展名，报错时也说 name"""
    suffix = kind(Path(name), FORMATS)
    try:
        if suffix == ".parquet":
            yield from read_parquet(file, name)
            return
        # CSV 的格子里可以有换行，换行交给 csv 去认；别的统一成 \n
        newline = "" if suffix in DELIMITERS else None
        lines = io.TextIOWrapper(file, encoding=encoding_of(file), newline=newline)
        if suffix in DELIMITERS:
            yield from read_table(lines, name, DELIMITERS[suffix])
        elif suffix == ".txt":
            yield from read_lines(lines)
        else:
            yield from read_jsonl(lines, name)
    except (OSError, UnicodeError) as error:
        raise CourseError(
            f"读不了 {name}：{error}", "检查文件有没有损坏；文字用记事本另存为 UTF-8"
        ) from error


def read_rows(path: Path) -> Iterator[dict]:
    """一个文件的每一行；没有这个文件、读不了、某一行不对时抛 CourseError"""
    kind(path, FORMATS)
    if not path.is_file():
        raise CourseError(f"找不到文件 {path}", "检查文件名和它所在的文件夹")
    try:
        with path.open("rb") as file:
            yield from read_stream(file, str(path))
    except OSError as error:
        raise CourseError(f"读不了 {path}：{error}", "检查这个文件能不能打开") from error


def survey(path: Path) -> tuple[int, list[str]]:
    """从头到尾看一遍：(行数, 全部列名)。有毛病的行现在就发现，而不是算了一小时之后"""
    total, columns = 0, {}
    for row in read_rows(path):
        total += 1
        columns |= dict.fromkeys(row)
    if total == 0:
        raise CourseError(f"{path} 里一行数据也没有", "换一个文件")
    return total, list(columns)


def cell(value: object) -> str | None:
    """表格的一格只能放文字：列表、字典写成 JSON"""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


def string(value: object) -> str | None:
    """parquet 的一格文字：半个 emoji 不是合法的 UTF-8，写成 \\ud83d"""
    text = cell(value)
    return text and text.encode("utf-8", "backslashreplace").decode("utf-8")


def write_rows(path: Path, suffix: str, columns: list[str], rows: Iterable[dict]) -> None:
    """CSV、TSV、JSONL。CSV 开头写 BOM：中文 Windows 的 Excel 靠它认出 UTF-8，否则是乱码"""
    encoding = "utf-8" if suffix == ".jsonl" else "utf-8-sig"
    # backslashreplace：半个 emoji 写成 \ud83d，在 JSON 里正好是它原来的写法
    with path.open("w", encoding=encoding, errors="backslashreplace", newline="") as file:
        if suffix == ".jsonl":
            for row in rows:
                file.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")
            return
        writer = csv.writer(file, delimiter=DELIMITERS[suffix])
        writer.writerow(columns)
        writer.writerows([cell(row.get(column)) for column in columns] for row in rows)


def write_parquet(path: Path, schema: pyarrow.Schema, rows: Iterable[dict]) -> None:
    with parquet.ParquetWriter(path, schema) as writer:
        for group in chunks(rows, ROWS):
            writer.write_batch(pyarrow.RecordBatch.from_pylist(group, schema))


def schema_of(source: Path, columns: list[str]) -> pyarrow.Schema:
    """写 parquet 时每一列的类型：原来就是 parquet 的照旧，别的都是文字"""
    if source.suffix.lower() == ".parquet":
        with source.open("rb") as file, open_parquet(file, str(source)) as table:
            return table.schema_arrow
    return pyarrow.schema([(column, pyarrow.string()) for column in columns])
