"""不是一课  xlsx 和 parquet 怎么读，也一行一行地来

它们都是压缩的，几百 KB 可以展开成几个 GB，所以展开之前先看写着的大小。
"""

import io
import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import pyarrow
from pyarrow import compute, parquet, types

from course.errors import CourseError
from course.table_text import BLOCK, LIMIT, MAX_COLUMNS, Found, fit, name_columns, too_long

ROWS = 1000  # parquet 一次读、写多少行
MAX_SHEETS = 100_000_000  # xlsx 里的 XML 展开一共最多多少字节
MAX_ROW = 10_000_000  # 其中一行最多多少字节
EXCEL_ROWS = 1_048_576  # Excel 一个工作表最多多少行
BATCH = 64_000_000  # parquet 一次最多展开成多少字节
# parquet 的一组行展开后这么大、又是整个文件的这么多倍：不是数据，是压缩炸弹
BOMB, RATIO = 256_000_000, 100
WIDE = 10_000  # 平均一行这么多字节，多半存着图片；这样的一列，一读就是整组
TEXTS = (pyarrow.string(), pyarrow.large_string(), pyarrow.binary(), pyarrow.large_binary())
AS_CSV = "在 Excel 里另存为 CSV UTF-8，--file 或 --data 用那个文件"


# 1. xlsx


def check_archive(file: BinaryIO, name: str) -> None:
    """展开后太大的、一行太长的 xlsx 抛 CourseError"""
    end = re.compile(rb"</(?:\w+:)?(?:row|si)>")  # 一行、一段文字到此为止
    with zipfile.ZipFile(file) as archive:
        parts = [p for p in archive.infolist() if p.filename.endswith((".xml", ".rels"))]
        if sum(part.file_size for part in parts) > MAX_SHEETS:
            raise CourseError(f"{name} 展开后超过 {MAX_SHEETS:,} 字节", AS_CSV)
        for part in parts:
            since = rows = 0
            with archive.open(part) as content:
                while block := content.read(BLOCK):
                    ends = [found.end() for found in end.finditer(block)]
                    since = len(block) - ends[-1] if ends else since + len(block)
                    rows += len(ends) * part.filename.startswith("xl/worksheets/")
                    if rows > EXCEL_ROWS:
                        raise CourseError(f"{name} 超过 {EXCEL_ROWS} 行", AS_CSV)
                    if since > MAX_ROW:
                        raise CourseError(f"{name} 里有一行超过 {MAX_ROW:,} 字节", AS_CSV)
    file.seek(0)


def sheet_rows(file: BinaryIO, name: str, found: Found) -> Iterator[list]:
    """第一个看得见的工作表，每一行的格子，空格子是空串"""
    import openpyxl  # 只有 xlsx 要，别的脚本、别的文件不为它等

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 样式、数据验证读不懂，和评论无关
        # data_only：公式要它的结果；结果是 Excel 上次保存时算的
        book = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
        sheets = book.worksheets
        sheet = next((s for s in sheets if s.sheet_state == "visible"), sheets[0])
        found.sheet, found.sheets = sheet.title, len(sheets)
        sheet.reset_dimensions()  # 写着的大小常常不对
        for cells in sheet.iter_rows(values_only=True):
            yield ["" if cell is None else cell for cell in cells]


def read_xlsx(file: BinaryIO, name: str, found: Found) -> Iterator[dict]:
    """Excel 的第一个工作表：第一行是列名；结尾的空行不算"""
    try:
        check_archive(file, name)
        columns, width, blank = None, 0, 0
        for row, cells in enumerate(sheet_rows(file, name, found), start=1):
            if row > EXCEL_ROWS:
                raise CourseError(f"{name} 超过 {EXCEL_ROWS} 行", AS_CSV)
            if not any(cell != "" for cell in cells):
                blank += columns is not None
                continue
            if columns is None:
                columns = name_columns([str(cell).strip() for cell in cells], name)
                width = len(columns)
                continue
            for _ in range(blank):
                yield dict.fromkeys(columns, "")
            blank = 0
            while len(cells) > len(columns) and cells[-1] == "":
                cells.pop()
            cells += [""] * (len(columns) - len(cells))  # Excel 不存行尾的空格子
            yield fit(columns, width, cells, (name, row), found)
    except (CourseError, MemoryError):
        raise
    except Exception as error:  # 残缺的 xlsx，openpyxl 什么异常都抛
        raise CourseError(
            f"{name} 不是完整的 Excel 文件（{type(error).__name__}）", AS_CSV
        ) from error
    if columns is None:
        raise CourseError(f"{name} 的工作表 {found.sheet} 是空的", "把数据放在第一个工作表")


# 2. parquet


@contextmanager
def open_parquet(file: BinaryIO, name: str) -> Iterator[parquet.ParquetFile]:
    """打开 parquet；小的文字列按字典读：一百万行同一句话，内存里只有一份

    残缺的、列名重复的、像压缩炸弹的抛 CourseError。
    """
    try:
        with parquet.ParquetFile(file) as table:
            schema, metadata = table.schema_arrow, table.metadata
        names = schema.names
        if len(names) > MAX_COLUMNS:
            raise CourseError(f"{name} 有 {len(names)} 列，最多 {MAX_COLUMNS} 列", "删掉用不着的列")
        if len(set(names)) < len(names):
            raise CourseError(f"{name} 的列名有重复：{'、'.join(names[:9])}", "改成各不相同的名字")
        # 只看一组行的总数：文件坏了的时候，问某一列的大小会让整个 Python 退出（pyarrow 26）
        sizes = [metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups)]
        size, packed = max(sizes, default=0), file.seek(0, io.SEEK_END)
        if size > BOMB and size > RATIO * packed:
            raise CourseError(
                f"{name} 展开后有 {size:,} 字节，是文件的 {size // packed} 倍", "换一个文件"
            )
        rows = max(metadata.num_rows, 1)
        wide = sum(sizes) > WIDE * rows
        if wide and size > BOMB:
            raise CourseError(
                f"{name} 平均一行有 {sum(sizes) // rows:,} 字节，一组又有 {size:,} 字节，内存不够",
                "图片这样的列先去掉；都要的话，重新写一遍：to_parquet(…, row_group_size=1000)",
            )
        file.seek(0)
        # 很大的一组行、很大的一行，内容多半各不相同，编字典反而占内存
        coded = [f.name for f in schema if f.type in TEXTS and size <= BATCH and not wide]
        with parquet.ParquetFile(
            file,
            read_dictionary=coded,
            buffer_size=BLOCK,
            pre_buffer=False,  # 默认的会先把后面的也读进来，几百 MB 地占着
            page_checksum_verification=True,
        ) as table:
            yield table
    except pyarrow.ArrowException as error:
        raise CourseError(f"{name} 不是完整的 parquet 文件：{error}", "换一个文件") from error


def batches(table: parquet.ParquetFile, name: str) -> Iterator[pyarrow.RecordBatch]:
    """一小批一小批的行，展开后大约不超过 BATCH 字节；按字典存的一批超过 BOMB 时抛 CourseError"""
    groups = [table.metadata.row_group(i) for i in range(table.metadata.num_row_groups)]
    row = max((group.total_byte_size // max(group.num_rows, 1) for group in groups), default=0)
    for batch in table.iter_batches(max(1, min(ROWS, BATCH // max(row, 1)))):
        size = sum(map(expanded, batch.columns))
        if size > BOMB:
            raise CourseError(f"{name} 的 {len(batch)} 行展开后有 {size:,} 字节", "换一个文件")
        yield batch


def expanded(column: pyarrow.Array) -> int:
    """按字典读的文字列展开后有多少字节；别的列是 0"""
    if not types.is_dictionary(column.type) or column.type.value_type not in TEXTS:
        return 0
    return compute.sum(compute.binary_length(column.dictionary).take(column.indices)).as_py() or 0


def plain(column: pyarrow.Array) -> pyarrow.Array:
    """日期和时刻变成文字：Python 的日期只到 9999 年，也不认识所有的时区

    带时区的写成 UTC，结尾是 Z；人类用不着的年份，Arrow 写成 <value out of range: …>。
    """
    kind = column.type
    if types.is_timestamp(kind) and kind.tz is not None:
        column = column.cast(pyarrow.int64()).cast(pyarrow.timestamp(kind.unit))
        return compute.binary_join_element_wise(column.cast(pyarrow.string()), "Z", "")
    if types.is_date(kind) or types.is_timestamp(kind) or types.is_time(kind):
        return column.cast(pyarrow.string())
    return column


def value_of(column: pyarrow.Array, i: int) -> object:
    """一格的值；二进制里其实是 UTF-8 文字的（Spark、Impala 常这样存）当文字"""
    value = column[i].as_py()
    if isinstance(value, bytes):
        try:
            value = value.decode("utf-8")
        except UnicodeDecodeError:
            return value
    return value


def read_parquet(file: BinaryIO, name: str) -> Iterator[dict]:
    row = 0
    with open_parquet(file, name) as table:
        for batch in batches(table, name):
            columns = {k: plain(v) for k, v in zip(batch.schema.names, batch.columns, strict=True)}
            for i in range(len(batch)):
                row += 1
                values = {}
                for title, column in columns.items():
                    where = f"{name} 第 {row} 行的列 {title}"
                    try:
                        values[title] = value_of(column, i)
                    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
                        raise CourseError(f"{where} 读不出来：{error}", "换一个文件") from error
                    if isinstance(values[title], str | bytes) and len(values[title]) > LIMIT:
                        raise too_long(f"{where} ")
                yield values


def add_columns(
    file: BinaryIO, name: str, out: Path, added: list[pyarrow.Field], rows: Iterable[dict]
) -> None:
    """原来的 parquet 加上几列，写成 out；原来的列原样照抄，类型也不变。rows 是每一行要加的"""
    rows = iter(rows)
    with open_parquet(file, name) as table:
        with parquet.ParquetFile(file) as plainly:
            original = plainly.schema_arrow
        schema = pyarrow.schema([*original, *added], original.metadata)
        with parquet.ParquetWriter(out, schema, write_page_checksum=True) as writer:
            for batch in batches(table, name):
                more = pyarrow.RecordBatch.from_pylist(
                    list(islice(rows, len(batch))), pyarrow.schema(added)
                )
                columns = batch.cast(original).columns + more.columns
                writer.write_batch(pyarrow.RecordBatch.from_arrays(columns, schema=schema))
