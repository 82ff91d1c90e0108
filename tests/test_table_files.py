"""course/table_files.py: every shape of table read right or refused in a sentence, within bounds

The property tests draw a few cases; HYPOTHESIS_EXAMPLES=20000 draws that many new ones.
"""

import datetime
import gzip
import io
import json
import os
import zipfile

import openpyxl
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from course import table_binary
from course.errors import CourseError
from course.long_text import opening
from course.models import load_tokenizer
from course.paths import ROOT
from course.table_files import harmless, read_rows, read_stream, write_rows
from course.table_text import Found

ASKED = int(os.environ.get("HYPOTHESIS_EXAMPLES", 0))
# the short form draws the same cases every time; a failure prints how to draw it again
few, more = (
    settings(
        max_examples=ASKED or examples,
        derandomize=not ASKED,
        deadline=None,
        database=None,
        print_blob=True,
    )
    for examples in (30, 300)
)
TABLE = "text,label\n很好,1\n太差,0\n"
ROWS = [{"text": "很好", "label": "1"}, {"text": "太差", "label": "0"}]
OBJECTS = [{"text": "很好", "label": 1}, {"text": "太差", "label": 0}]


def rows_of(name: str, content: bytes, found: Found | None = None) -> list[dict]:
    return list(read_stream(io.BytesIO(content), name, found))


def as_parquet(columns: dict | pyarrow.Table, **options) -> bytes:
    file = io.BytesIO()
    table = columns if isinstance(columns, pyarrow.Table) else pyarrow.table(columns)
    parquet.write_table(table, file, **options)
    return file.getvalue()


def as_xlsx(*sheets: list[list]) -> bytes:
    book, file = openpyxl.Workbook(), io.BytesIO()
    book.remove(book.active)
    for i, rows in enumerate(sheets):
        sheet = book.create_sheet(f"表{i}")
        for row in rows:
            sheet.append(row)
    book.save(file)
    return file.getvalue()


def as_zip(name: str = "a.csv", content: str = TABLE) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", TABLE, "编码 UTF-8，用逗号分列"),
        ("a.csv", TABLE.encode("utf-8-sig"), "编码 UTF-8，用逗号分列"),
        ("a.csv", TABLE.encode("utf-16"), "编码 UTF-16，用逗号分列"),
        ("a.CSV", TABLE.encode("gbk"), "编码 GBK，用逗号分列"),
        ("a.csv", TABLE.replace(",", ";"), "编码 UTF-8，用分号分列"),
        ("a.csv", TABLE.replace(",", "\t"), "编码 UTF-8，用Tab分列"),
        ("a.tsv", TABLE.replace(",", "\t"), "编码 UTF-8，用Tab分列"),
        ("a.tsv", TABLE, "编码 UTF-8，用逗号分列"),
        ("a.csv", "sep=;\n" + TABLE.replace(",", ";"), "编码 UTF-8，用分号分列"),
        ("a.csv", "\n,\n" + TABLE.replace("\n", "\r\n"), "编码 UTF-8，用逗号分列"),
        ("a.csv", "text,label,,\n很好,1,,\n太差,0\n", "编码 UTF-8，用逗号分列"),
        (
            "a.csv",
            "text,label\n很好,1\n太差,0,\n",
            "编码 UTF-8，用逗号分列，1 行的格数和列名不一样多（第一个是第 3 行），缺的当作空",
        ),
    ],
)
def test_tables_of_text(name, content, said):
    found = Found()
    content = content.encode() if isinstance(content, str) else content
    assert rows_of(name, content, found) == ROWS and found.describe() == said


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(OBJECTS),
        json.dumps(OBJECTS, indent=2, ensure_ascii=False),
        json.dumps({"version": 1, "data": OBJECTS}),
        json.dumps({"text": ["很好", "太差"], "label": [1, 0]}),
        json.dumps({"text": {"0": "很好", "1": "太差"}, "label": {"0": 1, "1": 0}}),
        json.dumps({"0": OBJECTS[0], "1": OBJECTS[1]}),
        "\n".join(map(json.dumps, OBJECTS)),
        "\n \n" + json.dumps(OBJECTS) + "\n",
    ],
)
def test_json_as_lists_columns_and_lines(content):
    assert rows_of("a.json", content.encode()) == OBJECTS
    assert rows_of("a.json", content.encode("utf-16")) == OBJECTS


def test_a_workbook_gives_its_first_visible_sheet():
    day = datetime.datetime(2024, 1, 2)
    rows = [[], ["评论", " 标签", None, "日期"], ["很好", 1, None, day], [None], ["太差", 0, None]]
    found = Found()
    assert rows_of("a.xlsx", as_xlsx([*rows, [None], [None]], [["x"]]), found) == [
        {"评论": "很好", "标签": 1, "": "", "日期": day},
        {"评论": "", "标签": "", "": "", "日期": ""},
        {"评论": "太差", "标签": 0, "": "", "日期": ""},
    ]
    assert found.describe() == "工作表 表0（共 2 个）"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "text,label\n很好,下次还来,1\n", "第 2 行有 3 格，列名只有 2 个：很好｜下次还来"),
        ("a.csv", "text,label,\n好,1,\n很好,下次还来,1\n", "第 3 行有 3 格"),
        ("a.csv", "评论，标签\n很好，1\n", "第一行应该是列名，用英文逗号分开"),
        ("a.csv", "text,label,text\na,1,b\n", "列名有重复：text"),
        ("a.csv", TABLE.encode("utf-16-le"), "没有 BOM 的 UTF-16"),
        ("a.csv", "text\n這個飯店很髒，服務很差\n".encode("big5"), "按 UTF-8 读，第 2 行有坏字节"),
        ("a.csv", gzip.compress(TABLE.encode(), mtime=0), "其实是 gzip 压缩包"),
        ("a.jsonl", as_zip(), "其实是 zip 压缩包"),
        ("a.csv", as_xlsx([["text"]]), "其实是 .xlsx"),
        ("a.xlsx", bytes.fromhex("d0cf11e0a1b11ae1"), "老式的 .xls"),
        ("a.xlsx", TABLE, "不是 Excel 文件"),
        ("a.xlsx", as_zip(), "不是完整的 Excel 文件"),
        ("a.xlsx", as_xlsx([["text"], ["好"]])[:-300], "不是完整的 Excel 文件"),
        ("a.xlsx", as_xlsx([["text"], ["好", 0]]), "第 2 行有 2 格"),
        ("a.xlsx", as_xlsx([["text", "text"]]), "列名有重复"),
        ("a.xlsx", as_xlsx([[]]), "工作表 表0 是空的"),
        ("a.csv", as_parquet({"text": ["好"]}), "其实是 .parquet"),
        ("a.csv", "<!DOCTYPE html><table>", "其实是 网页"),
        ("a.csv.gz", "", "不认识 a.csv.gz 的扩展名"),
        ("a.json", " \n", "一行数据也没有"),
        ("a.json", '{"train": [{"a": 1}], "test": [{"a": 1}]}', "里有几份数据：train、test"),
        ("a.json", '{"text": ["a"], "label": [1, 0]}', "不一样长：text 1 个、label 2 个"),
        ("a.parquet", as_parquet({"text": ["好"]})[:-9], "不是完整的 parquet"),
        (
            "a.parquet",
            as_parquet(pyarrow.table([pyarrow.array([1])] * 2, names=["a", "a"])),
            "列名有重复",
        ),
    ],
)
def test_broken_tables_are_refused_in_a_sentence(name, content, message):
    content = content.encode() if isinstance(content, str) else content
    with pytest.raises(CourseError, match="下一步") as refusal:
        rows_of(name, content)
    assert message in refusal.value.problem


def test_a_parquet_far_larger_than_its_file_is_refused(monkeypatch):
    monkeypatch.setattr(table_binary, "BOMB", 1_000_000)
    table = {"text": ["a" * 1000] * 2000}
    packed = as_parquet(table, use_dictionary=False, compression="zstd")
    with pytest.raises(CourseError, match="倍"):
        rows_of("a.parquet", packed)
    assert len(rows_of("a.parquet", as_parquet(table, use_dictionary=False))) == 2000


# Property-based: any text, any bytes

# what a table may hold: no NUL (no text file has one), no half emoji
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
names = st.text("文字 ,;\"'\t", min_size=1, max_size=5).filter(lambda name: "文" in name)


@few
@given(st.data())
def test_what_is_written_is_read_back(tmp_path_factory, data):
    suffix = data.draw(st.sampled_from([".csv", ".tsv", ".jsonl"]))
    columns = data.draw(st.lists(names, min_size=2, max_size=3, unique=True))
    rows = data.draw(st.lists(st.fixed_dictionaries(dict.fromkeys(columns, texts)), max_size=5))
    path = tmp_path_factory.getbasetemp() / f"round{suffix}"
    write_rows(path, suffix, columns, rows)
    expected = rows
    if suffix != ".jsonl":  # neutralised, for Excel
        expected = [{harmless(k): harmless(v) for k, v in row.items()} for row in rows]
    assert list(read_rows(path)) == expected
    for row in expected if suffix != ".jsonl" else []:
        for value in row.values():
            assert value[:1] not in tuple("=@\t\r") and (value[:1] not in "+-" or is_number(value))


def is_number(text: str) -> bool:
    try:
        return not text or bool(float(text)) or True
    except ValueError:
        return False


@few
@given(st.data())
def test_the_opening_of_a_review_has_the_same_first_tokens(data):
    tokenizer = load_tokenizer(ROOT / "models" / "tiny-bert-chinese", max_length=12)
    pieces = st.sampled_from(
        ["好", "房间 ", "a", "hotel", "\u0301", "\u200b", "  ", "[MASK]", "，"]
    )
    pieces = pieces | st.text(max_size=3)
    text = "".join(data.draw(st.lists(pieces, max_size=150)))
    text = text.encode("utf-8", "replace").decode("utf-8")
    part = opening(tokenizer, text)
    assert text.startswith(part)
    assert tokenizer(part, truncation=True) == tokenizer(text, truncation=True)


def test_formulas_are_neutralised_and_numbers_are_not(tmp_path):
    cells = ["=1+1", "+86", "-5", "-0.5e-3", "-很好", "@x", "\tx", "\rx", "＝x", "很=好", None]
    write_rows(tmp_path / "a.csv", ".csv", ["=c"], [{"=c": cell} for cell in [*cells, -1.5]])
    assert [row["'=c"] for row in read_rows(tmp_path / "a.csv")] == [
        *("'=1+1", "+86", "-5", "-0.5e-3", "'-很好", "'@x", "'\tx", "'\rx", "'＝x", "很=好", ""),
        "-1.5",
    ]
