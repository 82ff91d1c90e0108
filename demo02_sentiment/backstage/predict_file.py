"""不是一课  08_predict.py --file 的后厨，给一个文件的每一行加上预测

一段一段地算，多大的文件内存都够；每段算完就记到 .progress 里，断电、Ctrl-C 之后接着算。
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow
from tqdm import tqdm

from backstage.classifier import NOTES, SentimentClassifier
from course.columns import SAMPLED, check_header
from course.errors import CourseError
from course.files import atomic_write, file_sha256, remove
from course.long_text import MAX_CHARACTERS
from course.table_binary import add_columns
from course.table_files import (
    OUTPUTS,
    cell,
    kind,
    read_rows,
    string,
    survey,
    write_parquet,
    write_rows,
)
from course.table_text import Found

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


def write_output(
    out: Path, source: Path, columns: list[str], labels: list[str], progress: Progress
) -> None:
    """原来的每一行，加上它的预测，按 out 的扩展名写出去，写完才换上正式的名字"""
    shares = [f"p_{label}" for label in labels]
    added = predictions(progress, labels)
    fields = [
        pyarrow.field("predicted_label", pyarrow.string()),
        *(pyarrow.field(share, pyarrow.float64()) for share in shares),
        pyarrow.field("note", pyarrow.string()),
    ]
    with atomic_write(out) as temporary:
        if out.suffix.lower() == source.suffix.lower() == ".parquet":
            with source.open("rb") as file:
                add_columns(file, str(source), temporary, fields, added)
            return
        rows = (row | more for row, more in zip(read_rows(source), added, strict=True))
        if out.suffix.lower() != ".parquet":
            names = [*columns, "predicted_label", *shares, "note"]
            write_rows(temporary, out.suffix.lower(), names, rows)
            return
        # 列都当文字存，数字、列表写成 JSON
        rows = (row | {name: string(row.get(name)) for name in columns} for row in rows)
        texts = [pyarrow.field(column, pyarrow.string()) for column in columns]
        write_parquet(temporary, pyarrow.schema([*texts, *fields]), rows)


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


def predict_file(
    weights: Path, source: Path, column: str, out: Path, labels: list[str] | None = None
) -> None:
    """source 的每一行加上预测，按 out 的扩展名写出去；评论在 column 列，空的一行概率也空着

    labels 见 SentimentClassifier。

    中途停下会留下 out.progress，下次同样的参数就接着算；参数、文件不对时抛 CourseError。
    """
    # 1. 先把能出错的都查一遍，再开始算
    suffix = kind(out, OUTPUTS)
    same = suffix == source.suffix.lower() == ".parquet"  # 别的列照抄，不用写成文字
    found = Found()
    total, columns = survey(source, found, only=column if same else None)
    if out.exists() and out.samefile(source):
        raise CourseError(f"--out 和 --file 是同一个文件 {out}，会盖掉原来的", "--out 换一个名字")
    if not columns:  # 一行也没有，或者都是 JSON 的 {}
        raise CourseError(f"{source} 里一条评论也没有", "换一个文件")
    if column not in columns:
        check_header(columns, list(islice(read_rows(source), SAMPLED)), source)
        raise CourseError(
            f"{source} 没有列 {column}，现有的列是 {'、'.join(columns)}", "--column 写对列名"
        )
    classifier = SentimentClassifier(weights, labels)
    labels = classifier.labels
    taken = {"predicted_label", *(f"p_{label}" for label in labels), "note"} & set(columns)
    if taken:
        raise CourseError(
            f"{source} 里已经有列 {'、'.join(sorted(taken))}，结果没有地方放", "先给这些列改名"
        )

    # 2. 一段一段地算，每段算完就记下来。一段之内由长到短装箱，不用补齐（见第二个 demo 的第 6 课）
    task = {
        "input_sha256": file_sha256(source),
        "weights_sha256": file_sha256(weights),
        "encoder_sha256": classifier.record["encoder_sha256"],
        "column": column,
        "labels": labels,
        "max_length": classifier.max_length,
    }
    record = np.dtype([("p", "<f4", (len(labels),)), ("note", "u1")])
    progress = Progress(out.with_name(f"{out.name}.progress"), task, record)
    file, done = progress.open()
    print(f"{source}：{total} 条{f'，{found.describe()}' if found.describe() else ''}")
    if done:
        print(f"接着上次的算，前 {done} 条已经算好")
    texts = (cell(row.get(column)) or "" for row in read_rows(source))
    with saved(progress.path), file, tqdm(total=total, initial=done, desc="预测", unit="条") as bar:
        for section in sections(islice(texts, done, None)):
            progress.add(file, bar.n, results(classifier, section, record))
            bar.update(len(section))

    # 3. 原来的每一行和它的结果合在一起，写成 out
    said, noted = Counter(), Counter()
    for row in predictions(progress, labels):
        noted[row["note"]] += 1
        said[row["predicted_label"]] += 1
    if noted.total() != total:
        raise CourseError(
            f"{progress.path} 里有 {noted.total()} 条，应该是 {total} 条：是不是同时运行了两次？",
            "删掉这个文件，再运行一次",
        )
    write_output(out, source, columns, labels, progress)
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
