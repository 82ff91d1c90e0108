"""不是一课：predict.py --file 的后厨，给一个文件的每一行加上预测

一段一段地算，多大的文件内存都够；每段算完就记到 .progress 里，断电、Ctrl-C 之后接着算。
"""

import json
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow
from tqdm import tqdm

from classifier import NOTES, SentimentClassifier
from course.errors import CourseError
from course.files import atomic_write, file_sha256, remove
from course.table_files import (
    OUTPUTS,
    cell,
    chunks,
    kind,
    read_rows,
    schema_of,
    string,
    survey,
    write_parquet,
    write_rows,
)

CHUNK = 1024  # 一次算多少条：多了占内存，少了凑不齐一样长的评论，慢


def open_progress(path: Path, task: dict, size: int) -> tuple[BinaryIO, int]:
    """打开存中间结果的文件：(停在末尾的文件, 已经算好的条数)

    第一行是 task 的 JSON，后面每条评论 size 个字节，所以断在哪里都数得清：多出来的半条切掉。
    文件里的 task 和现在的不一样（换了输入或权重）时抛 CourseError，免得把两次的结果混在一起。
    """
    header = json.dumps(task, ensure_ascii=False).encode("utf-8") + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("r+b" if path.exists() else "w+b")
    except OSError as error:
        raise CourseError(
            f"写不了 {path}：{error.strerror or error}", "--out 换一个能写的文件夹"
        ) from error
    found = file.readline()
    if not header.startswith(found):
        raise CourseError(
            f"{path} 是上次没算完留下的，但输入文件、--column 或权重已经变了，不能接着算",
            "删掉这个文件，再运行一次同样的命令，从头算",
        )
    done = (path.stat().st_size - len(header)) // size if found == header else 0
    file.seek(0)
    file.write(header)
    file.seek(len(header) + done * size)
    file.truncate()
    return file, done


def results(classifier: SentimentClassifier, texts: list[str], record: np.dtype) -> np.ndarray:
    """一段评论 → 每条一个 record：概率 p（空的是 nan），note 在 NOTES 里的编号"""
    out = np.empty(len(texts), record)
    probabilities, notes = classifier.judge(texts)
    out["p"], out["note"] = probabilities.numpy(), [NOTES.index(note) for note in notes]
    return out


def read_results(path: Path, record: np.dtype) -> Iterator[np.void]:
    """把中间结果一条一条地读回来"""
    with path.open("rb") as file:
        file.readline()  # 第一行是 task
        while block := file.read(CHUNK * record.itemsize):
            yield from np.frombuffer(block, record)


def with_results(source: Path, progress: Path, record: np.dtype, labels: list[str]):
    """原来的每一行，加上它的预测"""
    for row, (p, note) in zip(read_rows(source), read_results(progress, record), strict=True):
        predicted = None if np.isnan(p[0]) else labels[int(p.argmax())]
        shares = [None if np.isnan(x) else round(float(x), 6) for x in p]
        named = zip((f"p_{label}" for label in labels), shares, strict=True)
        yield row | {"predicted_label": predicted} | dict(named) | {"note": NOTES[note]}


def write_output(out: Path, source: Path, columns: list[str], labels: list[str], rows) -> None:
    """按 out 的扩展名写出去，写完才换上正式的名字"""
    shares = [f"p_{label}" for label in labels]
    with atomic_write(out) as temporary:
        if out.suffix.lower() != ".parquet":
            names = [*columns, "predicted_label", *shares, "note"]
            write_rows(temporary, out.suffix.lower(), names, rows)
            return
        if source.suffix.lower() != ".parquet":  # 列都当文字存，数字、列表写成 JSON
            rows = (row | {name: string(row.get(name)) for name in columns} for row in rows)
        schema = schema_of(source, columns)
        schema = schema.append(pyarrow.field("predicted_label", pyarrow.string()))
        for share in shares:
            schema = schema.append(pyarrow.field(share, pyarrow.float64()))
        schema = schema.append(pyarrow.field("note", pyarrow.string()))
        write_parquet(temporary, schema, rows)


def predict_file(weights: Path, source: Path, column: str, out: Path) -> None:
    """source 的每一行加上预测，按 out 的扩展名写出去；评论在 column 列，空的一行概率也空着

    中途停下会留下 out.progress，下次同样的参数就接着算；参数、文件不对时抛 CourseError。
    """
    # 1. 先把能出错的都查一遍，再开始算
    kind(out, OUTPUTS)
    total, columns = survey(source)
    if out.exists() and out.samefile(source):
        raise CourseError(f"--out 和 --file 是同一个文件 {out}，会盖掉原来的", "--out 换一个名字")
    if column not in columns:
        raise CourseError(
            f"{source} 没有列 {column}，现有的列是 {'、'.join(columns)}", "--column 写对列名"
        )
    classifier = SentimentClassifier(weights)
    labels = classifier.labels
    taken = {"predicted_label", *(f"p_{label}" for label in labels), "note"} & set(columns)
    if taken:
        raise CourseError(
            f"{source} 里已经有列 {'、'.join(sorted(taken))}，结果没有地方放", "先给这些列改名"
        )

    # 2. 一段一段地算，每段算完就记下来。一段之内由长到短装箱，不用补齐（见第二个 demo 的第 5 课）
    task = {
        "input_sha256": file_sha256(source),
        "weights_sha256": file_sha256(weights),
        "encoder_sha256": classifier.record["encoder_sha256"],
        "column": column,
        "labels": labels,
        "max_length": classifier.max_length,
    }
    record = np.dtype([("p", "<f4", (len(labels),)), ("note", "u1")])
    progress = out.with_name(f"{out.name}.progress")
    file, done = open_progress(progress, task, record.itemsize)
    if done:
        print(f"接着上次的算，前 {done} 条已经算好")
    texts = (cell(row.get(column)) or "" for row in read_rows(source))
    with file, tqdm(total=total, initial=done, desc="预测", unit="条") as bar:
        for chunk in chunks(islice(texts, done, None), CHUNK):
            try:
                file.write(results(classifier, chunk, record).tobytes())
                file.flush()
            except KeyboardInterrupt:
                print(f"\n算好的 {bar.n} 条在 {progress}，再运行一次同样的命令就接着算")
                raise
            bar.update(len(chunk))

    # 3. 原来的每一行和它的结果合在一起，写成 out
    said, noted = Counter(), Counter()
    for p, note in read_results(progress, record):
        noted[NOTES[note]] += 1
        if not np.isnan(p[0]):
            said[labels[int(p.argmax())]] += 1
    if noted.total() != total:
        raise CourseError(
            f"{progress} 里有 {noted.total()} 条，应该是 {total} 条：是不是同时运行了两次？",
            "删掉这个文件，再运行一次",
        )
    write_output(out, source, columns, labels, with_results(source, progress, record, labels))
    remove(progress)
    counts = "，".join(f"{label} {said[label]}" for label in labels)
    print(f"\n写好 {out}：{total} 条，{counts}")
    if noted["空"]:
        print(f"  空的 {noted['空']} 条，没有预测，note 列写着“空”")
    if noted["截断"]:
        print(
            f"  超过 {classifier.max_length} 个 token 的 {noted['截断']} 条，"
            "按开头的部分预测，note 列写着“截断”"
        )
