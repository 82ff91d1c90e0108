"""不是一课  08_predict.py 的后厨，主要是 --file，给一个文件的每一行加上预测

一段一段地算，多大的文件内存都够；算过的特征存在 data/features/，断电、Ctrl-C 之后只算剩下的。
"""

import json
import os
import re
import stat
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from tqdm import tqdm

from backstage.classifier import SentimentClassifier, readable
from course.columns import SAMPLED, DataSource, check_flat, find_columns
from course.errors import CourseError
from course.features import FeatureStore
from course.files import atomic_write, only_one
from course.tables import OUTPUTS, ROWS, About, cell, kind, read_path, whole

if TYPE_CHECKING:
    from pandas import DataFrame

FORMULA = re.compile(r"[=+\-@＝＋－＠\t\r\n]")  # 一格以它开头，Excel 可能当公式算
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
Judged = tuple["DataFrame", list[dict]]  # 原来的一块，和每一行要加的几列


def piped() -> bool:
    """句子是不是别的程序用管道、用 < 文件送进来的；PyCharm 的运行窗口也是管道，可是有人坐着"""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (AttributeError, OSError, ValueError):  # pythonw、Jupyter：没有真的输入
        return False
    return (stat.S_ISFIFO(mode) or stat.S_ISREG(mode)) and "PYCHARM_HOSTED" not in os.environ


def row_of(labels: list[str], shares: torch.Tensor, note: str) -> dict:
    """一行要加的几列：预测的标签、各类的概率 shares (类别数,)、note；空的一行概率是 nan，写成空"""
    p = shares.tolist()
    empty = p[0] != p[0]
    named = {
        f"p_{label}": None if empty else round(x, 6) for label, x in zip(labels, p, strict=True)
    }
    return {"predicted_label": None if empty else labels[p.index(max(p))], **named, "note": note}


def joined(columns: list[str], judged: Iterator[Judged]) -> Iterator["DataFrame"]:
    """原来的每一块，右边接上它的预测"""
    import pandas as pd

    for table, rows in judged:
        more = pd.DataFrame(rows, index=table.index, dtype=object)
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
    path: Path, source: DataSource, columns: list[str], labels: list[str], judged: Iterator[Judged]
) -> None:
    """原来就是 parquet 的，列和类型原样照抄，右边加上预测；别的格式来的，列都是文字"""
    import pyarrow
    from pyarrow import parquet

    shares = [(f"p_{label}", pyarrow.float64()) for label in labels]
    added = [("predicted_label", pyarrow.string()), *shares, ("note", pyarrow.string())]
    if source.path.suffix.lower() == ".parquet":
        table = parquet.ParquetFile(source.path)
        own, batches = table.schema_arrow, table.iter_batches(ROWS)
        every = chain.from_iterable(rows for _, rows in judged)
        pairs = ((batch, list(islice(every, len(batch)))) for batch in batches)
    else:
        own = pyarrow.schema([(column, pyarrow.string()) for column in columns])

        def texts(table: "DataFrame") -> pyarrow.RecordBatch:
            table = table.reindex(columns=columns)
            table = table.map(lambda v: None if v is None or v != v else whole(v))
            return pyarrow.RecordBatch.from_pandas(table, own, False)

        pairs = ((texts(table), rows) for table, rows in judged)
    fields = pyarrow.schema(added)
    schema = pyarrow.schema([*own, *fields], own.metadata)
    with parquet.ParquetWriter(path, schema, write_page_checksum=True) as writer:
        for batch, rows in pairs:
            cells = [*batch.columns, *pyarrow.RecordBatch.from_pylist(rows, fields).columns]
            writer.write_batch(pyarrow.RecordBatch.from_arrays(cells, schema=schema))


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


def check_asked(args) -> None:
    """句子和 --file 只能给一样，--out 跟着 --file：不是这样的抛 CourseError"""
    if args.file and args.texts:
        raise CourseError("句子和 --file 只能给一样", "去掉句子，或者去掉 --file")
    if args.out and not args.file:
        raise CourseError("--out 要和 --file 一起用", "加上 --file 评论.csv，或者去掉 --out")
    if not all(text.strip() for text in args.texts):
        raise CourseError("有一句话是空的", "在引号里写上字")


def predict_file(
    weights: Path,
    path: Path,
    column: str | None,
    out: Path | None,
    labels: list[str] | None = None,
) -> None:
    """.pth 里的分类器，见 predict_with；labels 见 SentimentClassifier"""
    predict_with(lambda: SentimentClassifier(weights, labels), path, column, out)


def predict_with(
    load: Callable[[], SentimentClassifier], path: Path, column: str | None, out: Path | None
) -> None:
    """path 的每一行加上预测，按 out 的扩展名写出去；评论在 column 列，空的一行概率也空着

    load() 给出分类器，看过文件才叫它；column 是 None 就按列名认，out 是 None 就是
    原名_predicted.csv。参数、文件不对时抛 CourseError。
    """
    out = out or path.with_name(f"{path.stem}_predicted.csv")
    if out.exists() and path.exists() and out.samefile(path):
        raise CourseError(f"--out 和 --file 是同一个文件 {out}，会盖掉原来的", "--out 换一个名字")
    busy = CourseError(f"另一个程序正在算 {out}", "等它算完，或者 --out 换一个名字")
    source = DataSource(path, column)
    total, columns, column = survey(source, out)
    with only_one(out.with_name(f".{out.name}.lock"), busy):
        add_predictions(load(), source, total, columns, column, out)


def add_predictions(
    classifier: SentimentClassifier,
    source: DataSource,
    total: int,
    columns: list[str],
    column: str,
    out: Path,
) -> None:
    """见 predict_with；total、columns、column 是 survey 看到的"""
    labels, path = classifier.labels, source.path
    taken = {"predicted_label", *(f"p_{label}" for label in labels), "note"} & set(columns)
    if taken:
        raise CourseError(
            f"{path} 里已经有列 {'、'.join(sorted(taken))}，结果没有地方放", "先给这些列改名"
        )
    store = FeatureStore(classifier.sentences)

    def logits(texts: list[str]) -> torch.Tensor:
        features = store.features([*map(readable, texts)], progress=False)
        return classifier.logits(texts, features)

    said, noted = Counter(), Counter()

    def judge() -> Iterator[Judged]:
        """一块一块地读、算：原来的一块，和每一行要加的几列"""
        with tqdm(total=total, desc="预测", unit="条") as bar:
            for table in read_path(path, bare=source.bare):
                texts = [cell(text) for text in table.reindex(columns=[column])[column]]
                rows = [
                    row_of(labels, *one)
                    for one in zip(*classifier.judge(texts, logits), strict=True)
                ]
                said.update(row["predicted_label"] for row in rows)
                noted.update(row["note"] for row in rows)
                yield table, rows
                bar.update(len(rows))

    try:
        with atomic_write(out) as temporary:
            if out.suffix.lower() == ".parquet":
                write_parquet(temporary, source, columns, labels, judge())
            else:
                write_frames(temporary, out.suffix.lower(), joined(columns, judge()))
    except KeyboardInterrupt:
        print(f"\n停在半路，{out} 还没有写；算好的特征存着，再运行一次同样的命令，只算没算过的")
        raise
    counts = "，".join(f"{label} {said[label]}" for label in labels)
    print(f"\n写好 {out}：{total} 条，{counts}")
    if noted["空"]:
        print(f"  空的 {noted['空']} 条，没有预测，note 列写着“空”")
    if noted["截断"]:
        print(
            f"  超过 {classifier.max_length} 个 token 的 {noted['截断']} 条，"
            "按开头的部分预测，note 列写着“截断”"
        )
