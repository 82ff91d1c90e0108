"""Damaged tables and damaged .progress files, for tests/attack.py: each kind yields its cases

`tables(folder, weights, seeds)`, `progress(folder, weights, others, seeds)`; `damaged` is how a
file is hurt.
"""

from course.columns import DataSource
from course.errors import CourseError
from course.own_data import load_own
from course.table_files import FORMATS, OUTPUTS, cell, harmless, read_rows

import csv
import io
import json
import random
import shutil
import traceback
import zipfile
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache
from pathlib import Path

import openpyxl
import pyarrow
from pyarrow import parquet

from backstage import predict_file
from backstage.classifier import SentimentClassifier

Case = tuple[str, str]  # what was done, what was lost
CSV = (".csv", ".tsv")
TEXT = "text"


def damaged(data: bytes, rng: random.Random) -> tuple[str, bytes]:
    """Another content, and what was done to it"""
    content, at = bytearray(data), rng.randrange(max(1, len(data)))
    how = rng.choice(["flip", "flip", "byte", "cut", "zeros", "insert", "empty", "junk", "json"])
    if how == "flip":
        content[at : at + 1] = bytes(
            [byte ^ 1 << rng.randrange(8) for byte in content[at : at + 1]]
        )
    elif how == "byte":
        content[at : at + 1] = bytes([rng.randrange(256)])
    elif how == "cut":
        del content[at:]
    elif how == "zeros":
        content[at : at + 64] = bytes(len(content[at : at + 64]))
    elif how == "insert":
        content[at:at] = rng.choice([b"9", b"999999999999", b'"', b"[" * 5000, b"\xff", b"NaN"])
    elif how == "empty":
        content = bytearray()
    elif how == "junk":
        content = bytearray(rng.choice([b"[" * 100_000, b"null", b"[]", b"{}", rng.randbytes(500)]))
    else:
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):  # no JSON: the head of a binary file
            at = rng.randrange(max(1, min(len(content), 200)))
            content[at : at + 1] = bytes([rng.randrange(256)])
            return f"head byte {at}", bytes(content)
        if isinstance(value, dict) and value:
            key = rng.choice(sorted(value))
            if rng.random() < 0.3:
                del value[key]
            else:
                strange = [None, True, -1, 0, 10**30, 1.5, "", "x", [], {}, [[1]], {"a": 1}]
                value[key] = rng.choice(strange)
            if rng.random() < 0.5:
                value.pop("sha256", None)  # a record of an older course has none
            how = f"json {key}"
        content = bytearray(json.dumps(value).encode())
    return f"{how} at {at}", bytes(content)


def problem(work: Callable[[], str]) -> str:
    """What work() says is lost; a sentence for the learner is none, any other exception is"""
    try:
        return work()
    except CourseError as error:
        return "" if error.problem and error.next_step else "a sentence without a next step"
    except Exception:
        return traceback.format_exc()[-600:]


# 1. Tables

ROWS = [(f"第 {i} 间房间很干净，服务也好，下次还来", "好评") for i in range(13)]
ROWS += [(f'等了 {i} 个小时,"菜"还是凉的；\n再也不来', "差评") for i in range(13)]
ROWS += [
    ("", "好评"),
    ("=1+1", "差评"),
    ("👍🏽 null NaN", ""),
    ("长" * 600, "好评"),
    ("+1", "好评"),
]
ROWS += [("'-", "差评")]
INSERTED = [",", '"', '""', "\n", "\r", "\t", "\0", ";", "，", "[", "}", "{}", ":", "null", "NaN"]
INSERTED += ["9" * 5000, "-", "1e999", "\ufeff", "\\ud800", "\\u0000", "=cmd()", "</t>", "٣", "②"]
INSERTED += ["好" * 3000, "\u2028", "\x1a", "\x85", "text", "label", "sep=;", "\\", "'", "\x0c"]
ENCODINGS = [
    "gb18030",
    "utf-16",
    "utf-16-le",
    "utf-32",
    "big5",
    "shift_jis",
    "utf-8-sig",
    "latin-1",
]


@cache
def sound() -> dict[str, bytes]:
    """{extension, and a number where there are several: a table that every reader takes}"""
    dicts = [{"text": text, "label": label, "n": i} for i, (text, label) in enumerate(ROWS)]
    columns = {key: [row[key] for row in dicts] for key in dicts[0]}
    lines = [json.dumps(row, ensure_ascii=False) for row in dicts]
    quoted = io.StringIO()
    csv.writer(quoted).writerows([columns, *(row.values() for row in dicts)])
    book, workbook = io.BytesIO(), openpyxl.Workbook()
    for row in [list(dicts[0]), *(list(row.values()) for row in dicts)]:
        workbook.active.append(row)
    workbook.save(book)
    kinds = {
        "when": [datetime(2026, 1, 1)] * len(ROWS),
        "some": [[1, 2], None, []] * (len(ROWS) // 3) + [None] * (len(ROWS) % 3),
        "raw": [b"\xff\x00"] * len(ROWS),
    }
    tables = [pyarrow.table(columns), pyarrow.table(columns | kinds)]
    files = [io.BytesIO() for _ in tables]
    parquet.write_table(tables[0], files[0])
    parquet.write_table(tables[1], files[1], write_page_checksum=True, row_group_size=9)
    by_number = {str(i): row for i, row in enumerate(dicts)}
    text = {
        ".csv": quoted.getvalue(),
        ".csv 2": "\n".join(f"{label};{i}" for i, (_, label) in enumerate(ROWS)),
        ".tsv": "\n".join(["text\tlabel", *(f"{i} 很好\t{i % 2}" for i in range(40))]),
        ".txt": "\n".join(text.replace("\n", "") for text, _ in ROWS),
        ".json": json.dumps(dicts, ensure_ascii=False),
        ".json 2": json.dumps({"data": dicts}),
        ".json 3": json.dumps(columns),
        ".json 4": json.dumps(by_number),
        ".jsonl": "\n".join(lines),
    }
    found = {name: value.encode() for name, value in text.items()}
    return found | {
        ".xlsx": book.getvalue(),
        ".parquet": files[0].getvalue(),
        ".parquet 2": files[1].getvalue(),
    }


def strange(rng: random.Random) -> tuple[str, bytes]:
    """A table in good order whose reviews and labels nobody would write"""
    some = [*INSERTED, "9" * 4301 + ".0", 10**30, 1e308, -0.0, True, None, [1], {"a": 1}, "nan"]
    labels = rng.sample(some, 3)
    rows = [(f"{rng.choice(some)} {i}", labels[i % 3]) for i in range(36)]
    if rng.random() < 0.5:
        lines = [json.dumps({"text": text, "label": label}) for text, label in rows]
        return ".jsonl", "\n".join(lines).encode()
    text = io.StringIO()
    csv.writer(text).writerows([("text", "label"), *rows])
    return ".csv", text.getvalue().encode("utf-8")


def inside_zip(content: bytes, rng: random.Random) -> tuple[str, bytes]:
    """One member of an xlsx damaged, and packed again: its checksum is right"""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        names = old.namelist()
        chosen = rng.choice(names)
        for name in names:
            data = old.read(name)
            if name == chosen:
                how, data = rng.choice([damaged, edited])(data, rng)
            if name != chosen or rng.random() < 0.9:
                new.writestr(name, data)
    return f"{chosen} {how}", out.getvalue()


def edited(content: bytes, rng: random.Random) -> tuple[str, bytes]:
    """What people and editors do to a text: something typed in, lines lost, another encoding"""
    text = content.decode("utf-8", "replace")
    lines = text.splitlines(keepends=True) or [""]
    at = rng.randrange(len(text) + 1)
    how = rng.choice(
        ["insert", "insert", "insert", "lines", "twice", "shuffle", "encoding", "splice"]
    )
    if how == "insert":
        word = rng.choice(INSERTED)
        how, text = f"insert {word[:9]!r} at {at}", text[:at] + word + text[at:]
    elif how == "replace":
        word, other = rng.choice(["好评", "1", text[at : at + 2]]), rng.choice(INSERTED)
        how, text = f"{other[:9]!r} for {word!r}", text.replace(word, other, rng.choice([5, -1]))
    elif how == "lines":
        text = "".join(line for line in lines if rng.random() < 0.7)
    elif how == "twice":
        text = text[:at] + text[rng.randrange(at + 1) :]
    elif how == "shuffle":
        rng.shuffle(lines)
        text = "".join(lines)
    elif how == "encoding":
        encoding = rng.choice(ENCODINGS)
        return f"as {encoding}", text.encode(encoding, "replace")
    else:
        name = rng.choice(sorted(sound()))
        return f"{name} spliced in at {at}", text[:at].encode() + sound()[name]
    return how, text.encode("utf-8", "replace")


def table(rng: random.Random) -> tuple[str, str, bytes]:
    """(a name, what was done, the content) of a hurt table"""
    kind = rng.choice(sorted(sound()))
    content, suffix, done = sound()[kind], kind.split()[0], []
    if rng.random() < 0.2:
        suffix, content = strange(rng)
        kind = f"strange {suffix}"
    for _ in range(rng.choice([0, 1, 1, 1, 2, 4])):
        ways = [damaged, edited]
        if suffix == ".xlsx" and not done:
            ways = [inside_zip, inside_zip, damaged]
        how, content = rng.choice(ways)(content, rng)
        done.append(how)
    if rng.random() < 0.1:
        suffix = rng.choice([*FORMATS, ".CSV", ".xls", ""])
    return f"a{suffix}", f"{kind}: {', '.join(done)}", content


def rows_lost(path: Path) -> str:
    for row in read_rows(path):
        if not isinstance(row, dict) or not all(isinstance(name, str) for name in row):
            return f"a row that is none: {row!r:.200}"
    return ""


def data_lost(path: Path, source: DataSource) -> str:
    splits, names = load_own(path, source)
    if set(splits) != {"train", "validation", "test"} or len(names) < 2:
        return f"{list(splits)}, {names}"
    for rows in splits.values():
        for text, label in rows:
            if not (isinstance(text, str) and text.strip() and 0 <= label < len(names)):
                return f"taken for a review: {text!r:.200} {label}"
    return ""


def predictions_lost(path: Path, out: Path, weights: Path) -> str:
    """08_predict.py --file: as many rows as there were, each with its own text"""
    before = [row.get(TEXT) for row in read_rows(path)]
    out.unlink(missing_ok=True)
    predict_file.predict_file(weights, path, TEXT, out)
    if list(out.parent.glob(f"{out.name}.*")):
        return "something stayed"
    rows = list(read_rows(out))

    def written(value: object) -> str:
        text = cell(value) or ""
        text = harmless(text) if out.suffix in CSV else text
        return (text or "").encode("utf-8", "backslashreplace").decode()

    kept = [written(value) for value in before] == [
        (cell(row.get(TEXT)) or "").encode("utf-8", "backslashreplace").decode() for row in rows
    ]
    whole = all({"predicted_label", "note"} <= row.keys() for row in rows)
    return "" if kept and whole else f"{len(before)} rows, other rows in {out.name}"


def tables(folder: Path, weights: Path, seeds: list[int]) -> Iterator[Case]:
    """Any bytes: rows or a sentence"""
    classifier = SentimentClassifier(weights)
    predict_file.SentimentClassifier = lambda weights: classifier  # read once, not for every case
    out = folder / "tables"
    for seed in seeds:
        rng = random.Random(seed)
        name, how, content = table(rng)
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        path = out / name
        path.write_bytes(content)
        print(f"seed {seed}: {name} {how}", flush=True)
        source = DataSource(path, *rng.choice([(None, None), (None, None), ("text", "n")]))
        target = out / f"b{rng.choice(OUTPUTS)}"
        asked = [
            lambda path=path: rows_lost(path),
            lambda path=path, source=source: data_lost(path, source),
            lambda path=path, target=target: predictions_lost(path, target, weights),
        ]
        yield f"{name} {how} (seed {seed})", next(filter(None, map(problem, asked)), "")


# 2. The .progress of 08_predict.py --file


def progress(folder: Path, weights: Path, other: Path, seeds: list[int]) -> Iterator[Case]:
    """A hurt .progress: the result is that of a run that was never stopped"""
    predict_file.CHUNK = 4
    classifiers = {w: SentimentClassifier(w) for w in (weights, other)}
    predict_file.SentimentClassifier = classifiers.get
    source, out = folder / "p.jsonl", folder / "p.csv"
    source.write_bytes(sound()[".jsonl"])
    left = out.with_name("p.csv.progress")
    files = {}
    for used in (other, weights):  # each stopped when all is computed and nothing written
        write, predict_file.write_output = predict_file.write_output, stopped
        problem(lambda used=used: predict_file.predict_file(used, source, TEXT, out))
        predict_file.write_output = write
        files[used] = left.read_bytes()
        left.unlink()
    predict_file.predict_file(weights, source, TEXT, out)
    expected, whole = out.read_bytes(), files[weights]
    head = whole.index(b"\n") + 1
    rest = whole[head:]
    size = len(rest) * predict_file.CHUNK // len(ROWS)
    assert size * len(ROWS) == len(rest) * predict_file.CHUNK
    parts = [rest[i : i + size] for i in range(0, len(rest), size)]
    for seed in seeds:
        rng = random.Random(seed)
        some = parts[: rng.randint(0, len(parts))]
        way = rng.choice(["damaged", "damaged", "damaged", "order", "twice", "foreign"])
        content, how = whole[:head] + b"".join(some), f"{len(some)} sections {way}"
        if way == "damaged":
            for _ in range(rng.randint(1, 3)):
                done, content = damaged(content, rng)
                how += f" {done}"
        elif way == "order":
            content = whole[:head] + b"".join(rng.sample(parts, len(parts)))
        elif way == "twice":
            content += b"".join(rng.choices(parts, k=3))
        else:  # sections of other weights under this header
            content += files[other][files[other].index(b"\n") + 1 :]
        out.unlink(missing_ok=True)
        left.write_bytes(content)
        print(f"seed {seed}: {how}", flush=True)
        lost = problem(lambda: predict_file.predict_file(weights, source, TEXT, out) or "")
        if not lost and not out.is_file():
            lost = "refused"
        elif not lost and (out.read_bytes() != expected or left.exists()):
            lost = "another result than without a stop"
        yield f"{how} (seed {seed})", lost


def stopped(*args: object) -> None:
    raise CourseError("stopped", "here")
