"""不是一课  读写一切表格文件，一行一行地来，文件多大内存都一样

读得了 csv、tsv、txt、json、jsonl、xlsx、parquet。读出来的每一行是一个 dict {列名: 值}；CSV 里的格子
都是文字，"NA""null" 也是。文字的读法在 table_text.py，xlsx、parquet 的在 table_binary.py。
训练数据（course/reviews.py）、08_predict.py --file、网页上选的文件，都从这里读。
"""

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TypeVar

import pyarrow
from pyarrow import parquet

from course.errors import CourseError
from course.table_binary import ROWS, read_parquet, read_xlsx
from course.table_text import (
    DELIMITERS,
    ENCODINGS,
    MAX_COLUMNS,
    Found,
    encoding_of,
    read_csv,
    read_json,
    read_json_lines,
    read_txt,
)

T = TypeVar("T")

# 读得了的
FORMATS = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".xlsx", ".parquet")
OUTPUTS = (".csv", ".tsv", ".jsonl", ".parquet")  # 写得了的：txt 一行只有一句话，放不下结果
PACKED = (".gz", ".zip", ".xz", ".bz2", ".7z", ".rar", ".tar", ".tgz", ".zst")
# 文件开头的几个字节说得出它其实是什么，不管扩展名叫什么
MAGIC = {
    b"\x1f\x8b": "gzip 压缩包",
    b"\xfd7zXZ\x00": "xz 压缩包",
    b"BZh": "bzip2 压缩包",
    b"7z\xbc\xaf\x27\x1c": "7z 压缩包",
    b"Rar!": "rar 压缩包",
    b"\x28\xb5\x2f\xfd": "zstd 压缩包",
    b"\xd0\xcf\x11\xe0": "老式的 .xls，或加了密码的 Excel 文件",
    b"%PDF": "PDF",
    b"SQLite format 3": "SQLite 数据库",
    b"ARROW1": "Arrow 文件",
}
FORMULA = re.compile(r"[=+\-@＝＋－＠\t\r\n]")  # 一格以它开头，Excel 可能当公式算
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """每 size 个一组，最后一组可以少"""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def kind(path: Path, known: tuple[str, ...]) -> str:
    """小写的扩展名，不在 known 里就抛 CourseError"""
    suffix = path.suffix.lower()
    if suffix in known:
        return suffix
    advice = "在 Excel 里另存为 CSV UTF-8，或换一个文件名"
    if suffix in PACKED:
        advice = "先解压，用里面的文件"
    raise CourseError(f"不认识 {path.name} 的扩展名，能用的是 {' '.join(known)}", advice)


def check_kind(file: BinaryIO, name: str, suffix: str) -> None:
    """看开头的字节，里面和扩展名说的不是一种东西时抛 CourseError；看完回到开头"""
    head = file.read(512)
    file.seek(0)
    real, advice = None, "先解压，用里面的文件"
    if head.startswith(b"PK\x03\x04") and suffix == ".xlsx":
        real = suffix  # xlsx 也是 zip；里面对不对，读的时候就知道
    elif head.startswith(b"PK\x03\x04"):
        real = "zip 压缩包"
        if zipfile.is_zipfile(file):
            file.seek(0)
            with zipfile.ZipFile(file) as archive:
                if "xl/workbook.xml" in archive.namelist():
                    real, advice = ".xlsx", "把扩展名改成 .xlsx"
        file.seek(0)
    elif head.startswith(b"PAR1"):
        real, advice = ".parquet", "把扩展名改成 .parquet"
    elif head[257:262] == b"ustar":
        real = "tar 压缩包"
    elif re.match(rb"\s*<(!doctype html|html|table)\b", head, re.IGNORECASE):
        real, advice = "网页", "用浏览器打开看看，再在 Excel 里另存为 CSV UTF-8"
    else:
        real = next((said for magic, said in MAGIC.items() if head.startswith(magic)), None)
        if real and "压缩包" not in real:
            advice = "用能打开它的程序，另存为 CSV UTF-8"
    if real and real != suffix:
        raise CourseError(f"{name} 的内容其实是 {real}", advice)
    if suffix == ".xlsx" and real is None:
        raise CourseError(f"{name} 不是 Excel 文件", "里面是文字的话，把扩展名改成 .csv")


def read_stream(file: BinaryIO, name: str, found: Found | None = None) -> Iterator[dict]:
    """打开的文件（或内存里的 io.BytesIO）的每一行；格式看 name 的扩展名，报错时也说 name

    认出来的编码、分隔符填进 found。哪一行不对，读到那里时抛 CourseError，不抛别的。
    """
    suffix = kind(Path(name), FORMATS)
    found = found or Found()
    try:
        check_kind(file, name, suffix)
        if suffix == ".parquet":
            yield from read_parquet(file, name)
            return
        if suffix == ".xlsx":
            yield from read_xlsx(file, name, found)
            return
        encoding = encoding_of(file)
        found.encoding = ENCODINGS[encoding]
        # CSV 的格子里可以有换行，换行交给 csv 去认；别的统一成 \n
        text = io.TextIOWrapper(
            file, encoding=encoding, newline="" if suffix in DELIMITERS else None
        )
        if suffix in DELIMITERS:
            yield from read_csv(text, name, DELIMITERS[suffix], found)
        else:
            readers = {".txt": read_txt, ".json": read_json, ".jsonl": read_json_lines}
            yield from readers[suffix](text, name)
    except (OSError, UnicodeError, zipfile.BadZipFile) as error:
        raise CourseError(
            f"读不了 {name}：{error}", "检查文件有没有损坏；文字用记事本另存为 UTF-8"
        ) from error


def read_rows(path: Path, found: Found | None = None) -> Iterator[dict]:
    """一个文件的每一行，一行一个 {列名: 值}；没有这个文件、读不了、某一行不对时抛 CourseError

    found 见 `read_stream`。
    """
    kind(path, FORMATS)
    if not path.is_file():
        raise CourseError(f"找不到文件 {path}", "检查文件名和它所在的文件夹")
    try:
        with path.open("rb") as file:
            yield from read_stream(file, str(path), found)
    except OSError as error:
        raise CourseError(f"读不了 {path}：{error}", "检查这个文件能不能打开") from error


def survey(
    path: Path, found: Found | None = None, only: str | None = None
) -> tuple[int, list[str]]:
    """从头到尾看一遍：(行数, 全部列名)。有毛病的行现在就发现，而不是算了一小时之后

    每一格都要能写成文字；写了 only 就只看这一列。
    """
    total, columns = 0, {}
    for row in read_rows(path, found):
        total += 1
        columns |= dict.fromkeys(row)
        if len(columns) > MAX_COLUMNS:
            raise CourseError(f"{path} 有 {MAX_COLUMNS} 多列", "删掉用不着的列")
        for column in row if only is None else [only]:
            if not isinstance(row.get(column), str):
                cell(row.get(column), f"{path} 第 {total} 条的列 {column}")
    if total == 0:
        raise CourseError(f"{path} 里一行数据也没有", "换一个文件")
    return total, list(columns)


def cell(value: object, where: str = "有一格") -> str | None:
    """表格的一格只能放文字：列表、字典写成 JSON，NaN 当作空；二进制的抛 CourseError，说 where"""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        raise CourseError(
            f"{where} 是二进制数据，不是文字", "换一列；只是照抄的话，--out 写成 .parquet"
        )
    if not isinstance(value, bool | int | float | list | dict):
        return str(value)  # 日期、时刻、十进制数
    if value != value:
        return None
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except RecursionError as error:
        raise CourseError(f"{where}一层套一层，太深了", "删掉这一条") from error


def string(value: object) -> str | None:
    """parquet 的一格文字：半个 emoji 不是合法的 UTF-8，写成 \\ud83d"""
    text = cell(value)
    return text and text.encode("utf-8", "backslashreplace").decode("utf-8")


def harmless(text: str | None) -> str | None:
    """写进 CSV 的一格：像公式的前面加一个 '，Excel 就当文字；数照旧。NUL 写成 \\x00

    评论是陌生人写的，=HYPERLINK(…) 这样的一格会在打开表格的人的电脑上运行。规则出自 OWASP 的
    CSV Injection 一页。
    """
    if not text:
        return text
    text = text.replace("\0", "\\x00")
    return f"'{text}" if FORMULA.match(text) and not NUMBER.fullmatch(text) else text


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
        writer.writerow(map(harmless, columns))
        writer.writerows([harmless(cell(row.get(column))) for column in columns] for row in rows)


def write_parquet(path: Path, schema: pyarrow.Schema, rows: Iterable[dict]) -> None:
    with parquet.ParquetWriter(path, schema, write_page_checksum=True) as writer:
        for group in chunks(rows, ROWS):
            writer.write_batch(pyarrow.RecordBatch.from_pylist(group, schema))
