"""读写评论文件：csv、tsv、txt、jsonl、parquet，一行一行地来，文件多大内存都一样

读出来的每一行是一个 dict {列名: 值}。编码自己认：UTF-8（带不带 BOM 都行）、UTF-16、GBK。
"""

import codecs
import csv
import json
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeVar

import pyarrow
from pyarrow import parquet

from course.errors import CourseError

T = TypeVar("T")

FORMATS = (".csv", ".tsv", ".txt", ".jsonl", ".parquet")  # 读得了的
OUTPUTS = (".csv", ".tsv", ".jsonl", ".parquet")  # 写得了的：txt 一行只有一句话，放不下结果
DELIMITERS = {".csv": ",", ".tsv": "\t"}
BLOCK = 1 << 20  # 认编码时一次读 1 MB
ROWS = 1000  # 写 parquet 时多少行一组

# csv 模块默认一格最多 131,072 个字符，长文章放不下
csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # Windows 上只收 32 位的数


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


def encoding_of(path: Path) -> str:
    """文本文件的编码：有 BOM 就听它的，否则能按 UTF-8 读完就是 UTF-8，再不行是 GBK

    要读完整个文件才敢说：一个英文居多的 GBK 文件，可能最后一行才出现汉字。
    """
    with path.open("rb") as file:
        if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return "utf-16"
    for encoding in ("utf-8-sig", "gb18030"):  # gb18030 包含 GBK
        decoder = codecs.getincrementaldecoder(encoding)()
        try:
            with path.open("rb") as file:
                while block := file.read(BLOCK):
                    decoder.decode(block)
                decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            continue
        return encoding
    raise CourseError(f"认不出 {path} 的编码，不是 UTF-8 也不是 GBK", "用记事本另存为 UTF-8")


def read_table(path: Path, delimiter: str) -> Iterator[dict]:
    """CSV、TSV：第一行是列名；引号里可以有逗号和换行。空行也是一行，不丢"""
    with path.open(encoding=encoding_of(path), newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            columns = next(reader, [])
            if len(set(columns)) < len(columns):
                raise CourseError(
                    f"{path} 第一行的列名有重复：{'、'.join(columns)}", "改成各不相同的名字"
                )
            for cells in reader:
                if len(cells) > len(columns):
                    raise CourseError(
                        f"{path} 第 {reader.line_num} 行有 {len(cells)} 格，列名只有"
                        f" {len(columns)} 个",
                        "评论里有逗号时，整条要放在英文双引号里；用 Excel 另存一次就对了",
                    )
                yield dict(zip(columns, cells + [""] * (len(columns) - len(cells)), strict=True))
        except csv.Error as error:
            raise CourseError(
                f"{path} 第 {reader.line_num} 行读不了：{error}",
                "看看这一行的双引号是不是成对；用 Excel 另存一次就对了",
            ) from error


def read_lines(path: Path) -> Iterator[dict]:
    """TXT：一行一条评论，没有列名，列叫 text"""
    with path.open(encoding=encoding_of(path)) as file:
        for line in file:
            yield {"text": line.rstrip("\n")}


def read_jsonl(path: Path) -> Iterator[dict]:
    """JSONL：一行一个 JSON 对象；空行当作什么都没写的一行，不丢"""
    with path.open(encoding=encoding_of(path)) as file:
        for number, line in enumerate(file, start=1):
            try:
                row = json.loads(line) if line.strip() else {}
            except ValueError as error:
                raise CourseError(
                    f"{path} 第 {number} 行不是 JSON：{error}", "改好这一行"
                ) from error
            if not isinstance(row, dict):
                raise CourseError(
                    f"{path} 第 {number} 行不是 JSON 对象", '每行应该像 {"text": "很好"}'
                )
            yield row


def open_parquet(path: Path) -> parquet.ParquetFile:
    try:
        return parquet.ParquetFile(path)
    except pyarrow.ArrowException as error:
        raise CourseError(f"{path} 不是完整的 parquet 文件：{error}", "换一个文件") from error


def read_parquet(path: Path) -> Iterator[dict]:
    with open_parquet(path) as file:
        for batch in file.iter_batches(ROWS):
            yield from batch.to_pylist()


def read_rows(path: Path) -> Iterator[dict]:
    """任何一种文件的每一行；没有这个文件、读不了、某一行不对时抛 CourseError"""
    suffix = kind(path, FORMATS)
    if not path.is_file():
        raise CourseError(f"找不到文件 {path}", "--file 换成存在的文件")
    try:
        if suffix in DELIMITERS:
            yield from read_table(path, DELIMITERS[suffix])
        elif suffix == ".txt":
            yield from read_lines(path)
        elif suffix == ".jsonl":
            yield from read_jsonl(path)
        else:
            yield from read_parquet(path)
    except (OSError, UnicodeError) as error:
        raise CourseError(f"读不了 {path}：{error}", "检查文件有没有损坏、能不能打开") from error


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
        with open_parquet(source) as file:
            return file.schema_arrow
    return pyarrow.schema([(column, pyarrow.string()) for column in columns])
