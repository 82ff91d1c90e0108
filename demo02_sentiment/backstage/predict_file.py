"""不是一课  08_predict.py --file 的后厨，给一个文件的每一行加上预测

一段一段地算，多大的文件内存都够；每段算完就记到 .progress 里，断电、Ctrl-C 之后接着算。
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from tqdm import tqdm

from backstage.classifier import NOTES, SentimentClassifier
from course.columns import SAMPLED, DataSource, check_flat, find_columns
from course.errors import CourseError
from course.files import atomic_write, file_sha256, only_one, remove
from course.long_text import MAX_CHARACTERS
from course.tables import OUTPUTS, ROWS, About, cell, kind, read_path, whole

if TYPE_CHECKING:
    from pandas import DataFrame

FORMULA = re.compile(r"[=+\-@＝＋－＠\t\r\n]")  # 一格以它开头，Excel 可能当公式算
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
CHUNK = 1024  # 一次算多少条：多了占内存，少了凑不齐一样长的评论，慢
CHARACTERS = 2_000_000  # 一次最多算多少个字：都是长文章时，一次就少算几条
DIGEST = 16  # 每一段的校验码有多少字节


def sections(texts: Iterable[str]) -> Iterator[list[str]]:
    """评论一段一段地来：一段最多 CHUNK 条，或刚过 CHARACTERS 个字"""
    section, size = [], 0
    for text in texts:
        part = text[: MAX_CHARACTERS + 1]  # 多留一个字，分类器就知道后面还有
        section.append(part if part.strip() else text.strip()[: MAX_CHARACTERS + 1])
        size += len(section[-1])
        if len(section) == CHUNK or size > CHARACTERS:
            yield section
            section, size = [], 0
    if section:
        yield section


class Progress:
    """存中间结果的文件：第一行是 task 的 JSON，后面一段一段的结果，每段带着自己的校验码

    一段 = 条数（4 字节）+ 校验码（DIGEST 字节）+ 每条一个 record。断在哪里、坏了哪个字节都看得出，
    从那一段起重算。校验码连第一行和这一段从第几条开始也算在内。
    """

    def __init__(self, path: Path, task: dict, record: np.dtype):
        self.path, self.record = path, record
        content = json.dumps(task, ensure_ascii=False).encode("utf-8")
        self.header = content + b" " + self.digest(content) + b"\n"

    @staticmethod
    def digest(content: bytes) -> bytes:
        return hashlib.blake2b(content, digest_size=DIGEST).hexdigest().encode("ascii")

    def seal(self, start: int, count: bytes, content: bytes) -> bytes:
        """一段的校验码：从第 start 条起的 content"""
        whole = self.header + start.to_bytes(8, "little") + count + content
        return hashlib.blake2b(whole, digest_size=DIGEST).digest()

    def read(self) -> Iterator[np.ndarray]:
        """把完好的每一段读回来，到第一个不完好的为止"""
        start = 0
        with self.path.open("rb") as file:
            if file.readline() != self.header:
                return
            while count := file.read(4):
                rows = int.from_bytes(count, "little")
                if rows > CHUNK:
                    return
                seal, content = file.read(DIGEST), file.read(rows * self.record.itemsize)
                if seal != self.seal(start, count, content):
                    return
                yield np.frombuffer(content, self.record)
                start += rows

    def open(self) -> tuple[BinaryIO, int]:
        """(停在完好部分末尾的文件, 已经算好的条数)

        task 和上次的不一样（换了输入或权重）时抛 CourseError，免得把两次的结果混在一起。
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = self.path.open("r+b" if self.path.exists() else "w+b")
        except OSError as error:
            raise CourseError(
                f"写不了 {self.path}：{error.strerror or error}", "--out 换一个能写的文件夹"
            ) from error
        content, _, seal = file.readline().removesuffix(b"\n").rpartition(b" ")
        if seal == self.digest(content) and content + b" " + seal + b"\n" != self.header:
            raise CourseError(
                f"{self.path} 是上次没算完留下的，但输入文件、--column 或权重已经变了，不能接着算",
                "删掉这个文件，再运行一次同样的命令，从头算",
            )
        sizes = [len(section) for section in self.read()]
        end = len(self.header) + sum(4 + DIGEST + n * self.record.itemsize for n in sizes)
        if self.path.stat().st_size > end:
            print(f"{self.path} 从第 {sum(sizes) + 1} 条起不完整或坏了，从那里重算")
        file.seek(0)
        file.write(self.header)
        file.seek(end)
        file.truncate()
        return file, sum(sizes)

    def add(self, file: BinaryIO, start: int, results: np.ndarray) -> None:
        """从第 start 条起的一段结果，写在末尾"""
        count, content = len(results).to_bytes(4, "little"), results.tobytes()
        file.write(count + self.seal(start, count, content) + content)
        file.flush()


def results(classifier: SentimentClassifier, texts: list[str], record: np.dtype) -> np.ndarray:
    """一段评论 → 每条一个 record：概率 p（空的是 nan），note 在 NOTES 里的编号"""
    out = np.empty(len(texts), record)
    probabilities, notes = classifier.judge(texts)
    out["p"], out["note"] = probabilities.numpy(), [NOTES.index(note) for note in notes]
    return out


def predictions(progress: Progress, labels: list[str]) -> Iterator[dict]:
    """每一行要加的几列：预测的标签、各类的概率、note"""
    for section in progress.read():
        for p, note in section:
            predicted = None if np.isnan(p[0]) else labels[int(p.argmax())]
            shares = [None if np.isnan(x) else round(float(x), 6) for x in p]
            named = zip((f"p_{label}" for label in labels), shares, strict=True)
            yield {"predicted_label": predicted, **dict(named), "note": NOTES[note]}


def joined(
    source: DataSource, columns: list[str], progress: Progress, labels: list[str]
) -> Iterator["DataFrame"]:
    """原来的每一块，右边接上它的预测"""
    import pandas as pd

    added = predictions(progress, labels)
    for table in read_path(source.path, bare=source.bare):
        more = pd.DataFrame(list(islice(added, len(table))), index=table.index, dtype=object)
        yield pd.concat([table.reindex(columns=columns), more], axis=1)


def harmless(value: object) -> str | float:
    """写进表格的一格：像公式的前面加一个 '，Excel 就当文字；数照旧（OWASP 的 CSV Injection）

    评论是陌生人写的，=HYPERLINK(…) 这样的一格会在打开表格的人的电脑上运行。
    """
    if isinstance(value, float) and value == value:
        return value
    text = whole(value)
    return f"'{text}" if FORMULA.match(text) and not NUMBER.fullmatch(text) else text


def write_frames(path: Path, suffix: str, frames: Iterable["DataFrame"]) -> None:
    """csv、tsv、jsonl、xlsx。CSV 开头写 BOM：中文 Windows 的 Excel 靠它认出 UTF-8，否则是乱码"""
    if suffix == ".jsonl":
        with path.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
            for row in chain.from_iterable(table.to_dict("records") for table in frames):
                there = {name: value for name, value in row.items() if value == value}
                file.write(json.dumps(there, ensure_ascii=False, default=str) + "\n")
        return
    tables = (table.map(harmless).rename(columns=harmless) for table in frames)
    if suffix == ".xlsx":
        import pandas as pd
        from openpyxl.utils.escape import escape

        # escape：Excel 的格子里不许有的字（控制字符）写成 _x0008_ 这样，它认得
        whole_table = pd.concat(tables).map(lambda v: escape(v) if isinstance(v, str) else v)
        with path.open("wb") as file:
            whole_table.to_excel(file, index=False, engine="openpyxl")
        return
    for i, table in enumerate(tables):
        table.to_csv(
            path,
            sep="," if suffix == ".csv" else "\t",
            index=False,
            header=i == 0,
            mode="a",
            encoding="utf-8" if i else "utf-8-sig",
            lineterminator="\r\n",  # 格子里单独的 \r 也要引号
        )


def write_parquet(
    path: Path, source: DataSource, columns: list[str], labels: list[str], progress: Progress
) -> None:
    """原来就是 parquet 的，列和类型原样照抄，右边加上预测；别的格式来的，列都是文字"""
    import pyarrow
    from pyarrow import parquet

    shares = [(f"p_{label}", pyarrow.float64()) for label in labels]
    added = [("predicted_label", pyarrow.string()), *shares, ("note", pyarrow.string())]
    if source.path.suffix.lower() == ".parquet":
        table = parquet.ParquetFile(source.path)
        own, batches = table.schema_arrow, table.iter_batches(ROWS)
    else:
        own = pyarrow.schema([(column, pyarrow.string()) for column in columns])
        tables = (t.reindex(columns=columns) for t in read_path(source.path, bare=source.bare))
        tables = (t.map(lambda v: None if v is None or v != v else whole(v)) for t in tables)
        batches = (pyarrow.RecordBatch.from_pandas(t, own, False) for t in tables)
    fields = pyarrow.schema(added)
    schema = pyarrow.schema([*own, *fields], own.metadata)
    rows = predictions(progress, labels)
    with parquet.ParquetWriter(path, schema, write_page_checksum=True) as writer:
        for batch in batches:
            more = pyarrow.RecordBatch.from_pylist(list(islice(rows, len(batch))), fields)
            cells = [*batch.columns, *more.columns]
            writer.write_batch(pyarrow.RecordBatch.from_arrays(cells, schema=schema))


@contextmanager
def saved(progress: Path) -> Iterator[None]:
    """算到一半停下时说一声算好的在哪里；磁盘满了是 CourseError"""
    try:
        yield
    except KeyboardInterrupt:
        print(f"\n算好的在 {progress}，再运行一次同样的命令就接着算")
        raise
    except OSError as error:
        raise CourseError(
            f"写不了 {progress}：{error.strerror or error}",
            "腾出一些磁盘空间，再运行一次同样的命令，从停下的地方接着算",
        ) from error


def survey(source: DataSource, out: Path) -> tuple[int, list[str], str]:
    """从头到尾看一遍：(行数, 全部列名, 评论在哪一列)。有毛病现在就发现，而不是算了一小时之后"""
    path, suffix, about = source.path, kind(out, OUTPUTS), About()
    total, columns, column = 0, {}, ""
    for table in read_path(path, about, source.bare):
        if total == 0:
            (column,), notes = find_columns(table.head(SAMPLED), path, source, ("text",))
            about.notes += notes
        total += len(table)
        columns |= dict.fromkeys(table.columns)
        if column in table:
            check_flat(table[column], path, "text")
        if path.suffix.lower() == ".parquet" != suffix or suffix == ".xlsx":
            # 二进制的列，只有 parquet 放得下，cell 会说
            sizes = table.map(lambda value: len(cell(value)))
            if suffix == ".xlsx" and (sizes.to_numpy().max() > 32767 or total > 1_048_575):
                raise CourseError(
                    f"{path} 有一格超过 32,767 个字，或者超过 1,048,575 行，Excel 放不下",
                    "--out 换成 .csv",
                )
    if total == 0:
        raise CourseError(f"{path} 里一条评论也没有", "换一个文件")
    encoding = f"编码 {about.encoding}" if about.encoding else ""
    print(f"{path}：" + "，".join(filter(None, [f"{total} 条", encoding, f"评论在「{column}」"])))
    for note in about.notes:
        print(f"  注意  {note}")
    return total, list(columns), column


def predict_file(
    weights: Path,
    path: Path,
    column: str | None,
    out: Path,
    labels: list[str] | None = None,
) -> None:
    """path 的每一行加上预测，按 out 的扩展名写出去；评论在 column 列，空的一行概率也空着

    column 是 None 就按列名认；labels 见 SentimentClassifier。中途停下会留下 out.progress，下次同样
    的参数就接着算；参数、文件不对时抛 CourseError。
    """
    if out.exists() and path.exists() and out.samefile(path):
        raise CourseError(f"--out 和 --file 是同一个文件 {out}，会盖掉原来的", "--out 换一个名字")
    busy = CourseError(f"另一个程序正在算 {out}", "等它算完，或者 --out 换一个名字")
    source = DataSource(path, column)
    total, columns, column = survey(source, out)
    with only_one(out.with_name(f".{out.name}.lock"), busy):
        add_predictions(weights, labels, source, total, columns, column, out)


def add_predictions(
    weights: Path,
    labels: list[str] | None,
    source: DataSource,
    total: int,
    columns: list[str],
    column: str,
    out: Path,
) -> None:
    """见 predict_file；total、columns、column 是 survey 看到的"""
    classifier = SentimentClassifier(weights, labels)
    labels, path = classifier.labels, source.path
    taken = {"predicted_label", *(f"p_{label}" for label in labels), "note"} & set(columns)
    if taken:
        raise CourseError(
            f"{path} 里已经有列 {'、'.join(sorted(taken))}，结果没有地方放", "先给这些列改名"
        )

    # 1. 一段一段地算，每段算完就记下来。一段之内由长到短装箱，不用补齐（见第二个 demo 的第 6 课）
    task = {
        "input_sha256": file_sha256(path),
        "weights_sha256": file_sha256(weights),
        "encoder_sha256": classifier.record["encoder_sha256"],
        "column": column,
        "labels": labels,
        "max_length": classifier.max_length,
    }
    record = np.dtype([("p", "<f4", (len(labels),)), ("note", "u1")])
    progress = Progress(out.with_name(f"{out.name}.progress"), task, record)
    file, done = progress.open()
    if done:
        print(f"接着上次的算，前 {done} 条已经算好")
    tables = (t.reindex(columns=[column]) for t in read_path(path, bare=source.bare))
    texts = (cell(text) for table in tables for text in table[column])
    with saved(progress.path), file, tqdm(total=total, initial=done, desc="预测", unit="条") as bar:
        for section in sections(islice(texts, done, None)):
            progress.add(file, bar.n, results(classifier, section, record))
            bar.update(len(section))

    # 2. 原来的每一行和它的结果合在一起，写成 out
    said, noted = Counter(), Counter()
    for row in predictions(progress, labels):
        noted[row["note"]] += 1
        said[row["predicted_label"]] += 1
    with atomic_write(out) as temporary:
        if out.suffix.lower() == ".parquet":
            write_parquet(temporary, source, columns, labels, progress)
        else:
            write_frames(temporary, out.suffix.lower(), joined(source, columns, progress, labels))
    remove(progress.path)
    counts = "，".join(f"{label} {said[label]}" for label in labels)
    print(f"\n写好 {out}：{total} 条，{counts}")
    if noted["空"]:
        print(f"  空的 {noted['空']} 条，没有预测，note 列写着“空”")
    if noted["截断"]:
        print(
            f"  超过 {classifier.max_length} 个 token 的 {noted['截断']} 条，"
            "按开头的部分预测，note 列写着“截断”"
        )
