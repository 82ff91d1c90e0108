"""course/tables.py: every shape of table read right or refused in a sentence, within bounds

The property tests draw a few cases; HYPOTHESIS_EXAMPLES=20000 draws that many new ones.
"""

import datetime
import gzip
import io
import json
import os
import zipfile

import openpyxl
import pandas as pd
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from backstage.predict_file import harmless, write_frames
from course import tables
from course.encoder import opening
from course.errors import CourseError
from course.models import load_tokenizer
from course.paths import ROOT
from course.tables import About, read_frames, read_path

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


def rows_of(name: str, content: bytes | str, about: About | None = None, bare=False) -> list[dict]:
    content = content.encode() if isinstance(content, str) else content
    frames = list(read_frames(io.BytesIO(content), name, about, bare))
    return [row for frame in frames for row in frame.to_dict("records")]


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
    ("name", "content", "encoding"),
    [
        ("a.csv", TABLE, "UTF-8"),
        ("a.csv", TABLE.encode("utf-8-sig"), "UTF-8"),
        ("a.csv", TABLE.encode("utf-16"), "UTF-16"),
        ("a.CSV", TABLE.encode("gbk"), "GBK"),
        ("a.csv", TABLE.replace(",", ";"), "UTF-8"),
        ("a.csv", TABLE.replace(",", "|"), "UTF-8"),
        ("a.csv", TABLE.replace(",", "\t"), "UTF-8"),
        ("a.tsv", TABLE.replace(",", "\t"), "UTF-8"),
        ("a.tsv", TABLE, "UTF-8"),
        ("a.csv", "sep=;\n" + TABLE.replace(",", ";"), "UTF-8"),
        ("a.csv", "\n,\n" + TABLE.replace("\n", "\r\n"), "UTF-8"),
        ("a.csv", "text,label,,\n很好,1,,\n太差,0\n", "UTF-8"),
        ("a.tsv", '"text"\t"label"\n"很好"\t"1"\n"太差"\t"0"\n', "UTF-8"),
    ],
)
def test_tables_of_text(name, content, encoding):
    about = About()
    assert rows_of(name, content, about) == ROWS
    assert (about.encoding, about.notes) == (encoding, [])


def test_how_quotes_are_written_is_tried_not_guessed():
    odd = '"很好，他说"不错'  # the review itself begins with a quote that is never closed
    lines = ["text\tlabel", *(f"第{i}条\t{i % 2}" for i in range(40))]
    lines[11] = f"{odd}\t1"
    rows = rows_of("a.tsv", "\n".join(lines))
    assert len(rows) == 40 and rows[10] == {"text": odd, "label": "1"}
    # quoted cells that hold the delimiter, quotes and lines are still what they were
    quoted = 'text,label\n"他说""好"", 真的\n第二行\n第三行",1\n'
    assert rows_of("a.csv", quoted)[0]["text"] == '他说"好", 真的\n第二行\n第三行'
    # Spark, MySQL
    spark = 'text,label\n"他说\\"很好\\", 真的",1\n"差",0\n'
    assert rows_of("a.csv", spark)[0]["text"] == '他说"很好", 真的'
    # a quote that is opened in one row and closed in another swallows neither
    swallowed = "\n".join(["text,label", '"好,1', *(f"第{i}条,0" for i in range(5)), '说",1'])
    with pytest.raises(CourseError, match=r"第 2 行里有 7 行"):
        rows_of("a.csv", swallowed)


def test_rows_that_are_shorter_are_padded_and_said():
    about = About()
    rows = rows_of("a.csv", "text,label\n好,1\n差\n坏,0\n", about)
    assert rows[1] == {"text": "差", "label": ""}
    assert about.notes[0].startswith("1 行少几格，缺的当作空，第一个是第 3 行")


def test_row_numbers_are_those_of_excel():
    (frame,) = read_frames(io.BytesIO('\ntext,label\n"两\n行",1\n\n好,0\n'.encode()), "a.csv")
    assert list(frame.index) == [3, 4, 5] and list(frame.text) == ["两\n行", "", "好"]
    (frame,) = read_frames(io.BytesIO(as_xlsx([[], ["text"], ["a"], [], ["b"]])), "a.xlsx")
    assert list(frame.index) == [3, 4, 5]


def test_files_of_other_programs():
    r = '"text","label"\n"1","很好",1\n"2","太差",0\n'  # write.table(sep=",")
    assert [row["text"] for row in rows_of("a.csv", r)] == ["很好", "太差"]
    index = ",text,label\n0,很好,1\n1,太差,0\n"  # pandas to_csv
    assert rows_of("a.csv", index)[0] == {"Unnamed: 0": "0", **ROWS[0]}
    bare = "102_!_很好\n101_!_太差\n"
    assert rows_of("a.txt", bare, bare=True) == [
        {"第1列": "102", "第2列": "很好"},
        {"第1列": "101", "第2列": "太差"},
    ]


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(OBJECTS),
        json.dumps(OBJECTS, indent=2, ensure_ascii=False),
        json.dumps({"version": 1, "data": OBJECTS}),
        json.dumps({"RECORDS": OBJECTS}),  # Navicat
        json.dumps({"text": ["很好", "太差"], "label": [1, 0]}),
        json.dumps({"text": {"0": "很好", "1": "太差"}, "label": {"0": 1, "1": 0}}),
        json.dumps({"0": OBJECTS[0], "1": OBJECTS[1]}),
        json.dumps(
            {"columns": ["text", "label"], "index": [0, 1], "data": [["很好", 1], ["太差", 0]]}
        ),
        "\n".join(map(json.dumps, OBJECTS)),
    ],
)
def test_json_as_lists_columns_and_lines(content):
    assert rows_of("a.json", content.encode()) == OBJECTS
    assert rows_of("a.json", content.encode("utf-16")) == OBJECTS


def test_a_workbook_gives_its_first_visible_sheet():
    day = datetime.datetime(2024, 1, 2)
    rows = [[], ["评论", " 标签", None, "日期"], ["NA", 1, None, day], [None], ["007", 0, None]]
    about = About()
    assert rows_of("a.xlsx", as_xlsx([*rows, [None], [None]], [["x"], ["y"]]), about) == [
        {"评论": "NA", " 标签": "1", "日期": "2024-01-02"},
        {"评论": "", " 标签": "", "日期": ""},
        {"评论": "007", " 标签": "0", "日期": ""},
    ]
    assert about.notes == ["只读了工作表「表0」，没有读 「表1」2 行；要用就各存一个文件"]


def test_parquet_keeps_every_digit_and_tells_the_names_of_its_labels():
    big = 2**60 + 1
    features = {"info": {"features": {"label": {"names": ["好", "坏"], "_type": "ClassLabel"}}}}
    table = pyarrow.table({"n": [big, None], "label": [0, 1], "tags": [["a"], []]})
    table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    about = About()
    rows = rows_of("a.parquet", as_parquet(table), about)
    assert rows[0] == {"n": str(big), "label": "0", "tags": ["a"]} and rows[1]["n"] is None
    assert about.names == {"label": ["好", "坏"]}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.csv",
            "text,label\n很好,下次还来,1\n",
            "第 2 行有 3 格，列名只有 2 个：很好",
        ),
        ("a.csv", "text,label,\n好,1,\n很好,下次还来,1\n", "第 3 行有 3 格"),
        ("a.csv", "评论，标签\n很好，1\n", "列名要用英文逗号分开"),
        ("a.csv", "text,label,text\na,1,b\n", "列名有重复：text"),
        ("a.csv", TABLE.encode("utf-16-le"), "没有 BOM 的 UTF-16"),
        ("a.csv", "text\n這個飯店很髒，服務很差\n".encode("big5"), "认不出编码"),
        ("a.csv", gzip.compress(TABLE.encode(), mtime=0), "其实是 压缩包"),
        ("a.jsonl", as_zip(), "其实是 Excel 文件或压缩包"),
        ("a.csv", as_xlsx([["text"]]), "其实是 Excel 文件或压缩包"),
        ("a.csv", "version https://git-lfs.github.com/spec/v1\noid sha256:ab\n", "Git LFS 的指针"),
        ("a.xlsx", "version https://git-lfs.github.com/spec/v1\noid sha256:ab\n", "Git LFS 的指针"),
        ("a.xlsx", bytes.fromhex("d0cf11e0a1b11ae1"), "老式的 .xls"),
        ("a.xlsx", TABLE, "不是 .xlsx 文件"),
        ("a.xlsx", as_xlsx([["text"], ["好"]])[:-300], "读不了"),
        ("a.xlsx", as_xlsx([["text", "text"]]), "列名有重复"),
        ("a.csv", as_parquet({"text": ["好"]}), "其实是 parquet"),
        ("a.csv", "<!DOCTYPE html><table>", "其实是 网页"),
        ("a.csv.gz", "", "不认识 a.csv.gz 的扩展名"),
        ("a.json", '{"train": [{"a": 1}], "test": [{"a": 1}]}', "里面有几份数据"),
        ("a.json", '{"text": ["a"], "label": [1, 0]}', "读不了"),
        ("a.json", "[1, 2]", "第 1 条不是对象"),
        ("a.json", '["很好", "太差"]', "第 1 行不是 JSON"),
        ("a.parquet", as_parquet({"text": ["好"]})[:-9], "读不了"),
        (
            "a.parquet",
            as_parquet(pyarrow.table([pyarrow.array([1])] * 2, names=["a", "a"])),
            "列名有重复",
        ),
    ],
)
def test_broken_tables_are_refused_in_a_sentence(name, content, message):
    with pytest.raises(CourseError, match="下一步") as refusal:
        rows_of(name, content)
    assert message in refusal.value.problem


def test_a_parquet_far_larger_than_its_file_is_refused(monkeypatch):
    monkeypatch.setattr(tables, "MOST", 1_000_000)
    table = {"text": ["a" * 1000] * 2000}
    packed = as_parquet(table, use_dictionary=False, compression="zstd")
    with pytest.raises(CourseError, match="倍"):
        rows_of("a.parquet", packed)
    assert len(rows_of("a.parquet", as_parquet(table, use_dictionary=False))) == 2000


# Property-based: any text, any bytes

# what a table may hold: no NUL (no text file has one), no half emoji
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
names = st.text("文字 ,;\"'\t", min_size=1, max_size=5).filter(
    lambda name: "文" in name.strip() == name
)


@few
@given(st.data())
def test_what_is_written_is_read_back(tmp_path_factory, data):
    suffix = data.draw(st.sampled_from([".csv", ".tsv", ".jsonl"]))
    columns = data.draw(st.lists(names, min_size=2, max_size=3, unique=True))
    cells = texts.map(lambda text: text.replace("\t", "")) if suffix == ".tsv" else texts
    rows = data.draw(st.lists(st.fixed_dictionaries(dict.fromkeys(columns, cells)), max_size=5))
    path = tmp_path_factory.getbasetemp() / f"round{suffix}"
    path.unlink(missing_ok=True)
    write_frames(path, suffix, [pd.DataFrame(rows, columns=columns, dtype=object)])
    expected = rows
    if suffix != ".jsonl":  # neutralised, for Excel
        expected = [{harmless(k): harmless(v) for k, v in row.items()} for row in rows]
    if suffix != ".jsonl" or rows:
        got = [row for frame in read_path(path) for row in frame.to_dict("records")]
        assert got == expected
    for row in expected if suffix != ".jsonl" else []:
        for value in row.values():
            assert value[:1] not in tuple("=@\t\r") and (value[:1] not in "+-" or is_number(value))


def is_number(text: str) -> bool:
    try:
        return not text or bool(float(text)) or True
    except ValueError:
        return False


@pytest.mark.parametrize("text", ["房间很干净，", "a clean hotel room. ", "internationalization "])
def test_the_opening_of_a_review_has_the_same_first_tokens(text):
    tokenizer = load_tokenizer(ROOT / "models" / "tiny-bert-chinese", max_length=50)
    part = opening(tokenizer, text * 1000)
    assert len(part) == 1000
    assert tokenizer(part, truncation=True) == tokenizer(text * 1000, truncation=True)


def test_formulas_are_neutralised_and_numbers_are_not(tmp_path):
    cells = ["=1+1", "+86", "-5", "-0.5e-3", "-很好", "@x", "\tx", "\rx", "＝x", "很=好", None]
    frame = pd.DataFrame({"=c": pd.Series([*cells, -1.5], dtype=object)})
    for suffix in (".csv", ".xlsx"):
        write_frames(tmp_path / f"a{suffix}", suffix, [frame])
    (excel,) = read_path(tmp_path / "a.xlsx")
    assert excel["'=c"][2] == "'=1+1"
    (frame,) = read_path(tmp_path / "a.csv")
    assert list(frame["'=c"]) == [
        *("'=1+1", "+86", "-5", "-0.5e-3", "'-很好", "'@x", "'\tx", "'\rx", "'＝x", "很=好", ""),
        "-1.5",
    ]
