"""第 8 课  预测：一句话、一问一答、一个文件

教什么：训练好的权重怎么用。一句话 → 分词 → BERT 的特征 → fc → softmax → 每一类的概率；
一个文件也是这条路，只是分成一段一段地算，多大的文件内存都够，中断了下次接着算。

怎么运行：先训练（train.py），再
    python demo02_sentiment/predict.py 房间很干净，服务也好，下次还来 又脏又吵，再也不来了
    python demo02_sentiment/predict.py                      一问一答，空行或 Ctrl-C 结束
    python demo02_sentiment/predict.py --file 评论.csv --column text --out 结果.csv
文件可以是 csv、tsv、txt（一行一条）、jsonl、parquet；结果按原来的顺序，原来的列都在，后面加上
predicted_label（预测的标签）、p_负向、p_正向（概率）、note（空 = 没有预测，截断 = 只看了开头）。

会看到：
    正向   99.2%  ████████████████████  房间很干净，服务也好，下次还来
    负向   92.6%  ███████████████████   又脏又吵，再也不来了

看什么：概率是模型有多肯定，不是有多对；它说 90 % 的时候真的对九成吗？见 pictures.py。
几个字的短句要当心：训练用的评论都在 20 个字以上，短句它没见过，小 BERT 会说“这本书真好”是负向。
"""

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow
from tqdm import tqdm

from classifier import NOTES, SentimentClassifier
from course.cli import Parser, run
from course.errors import CourseError
from course.files import atomic_write, remove
from course.paths import PARAMS, command
from table_files import (
    FORMATS,
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

SCRIPT = "demo02_sentiment/predict.py"
WEIGHTS = PARAMS / "best.pth"
COLUMN = "text"  # 评论在哪一列；txt 没有列名，就叫 text
CHUNK = 1024  # 一次算多少条：多了占内存，少了凑不齐一样长的评论，慢
BAR = 20  # 概率条有多长


def print_predictions(classifier: SentimentClassifier, texts: list[str]) -> None:
    """每句话一行：标签、概率、概率条"""
    cuts = classifier.cut(texts)
    for text, row, cut in zip(texts, classifier.probabilities(texts), cuts, strict=True):
        best = int(row.argmax())
        bar = "█" * round(BAR * float(row[best]))
        note = f"（太长，只看了前 {classifier.max_length} 个 token）" if cut else ""
        print(f"{classifier.labels[best]}  {row[best]:6.1%}  {bar:{BAR}}  {text}{note}")


def ask_and_answer(classifier: SentimentClassifier) -> None:
    """一行一句，直到空行或文件结尾；别的程序用管道送进来的也行"""
    if sys.stdin is None:  # pythonw 没有标准输入
        return
    sys.stdin.reconfigure(errors="replace")
    # 提示走 stderr：结果用管道接走时，里面只有结果
    print("输入一句话，按回车；空行结束", file=sys.stderr)
    for line in sys.stdin:
        if not line.strip():
            return
        print_predictions(classifier, [line.strip()])
        sys.stdout.flush()


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
        text, number = pyarrow.string(), pyarrow.float64()
        kinds = [("predicted_label", text), *((share, number) for share in shares), ("note", text)]
        schema = schema_of(source, columns)
        for name, kind_of_value in kinds:
            schema = schema.append(pyarrow.field(name, kind_of_value))
        write_parquet(temporary, schema, rows)


def predict_file(weights: Path, source: Path, column: str, out: Path) -> None:
    """给一个文件的每一行加上预测"""
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

    # 2. 一段一段地算，每段算完就记下来。一段之内按长度排队，一样长的一批，不用补零（见第 5 课）
    task = {
        "input_sha256": sha256(source),
        "weights_sha256": sha256(weights),
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


def main() -> None:
    parser = Parser(__doc__)
    add = parser.add_argument
    add("texts", nargs="*", metavar="句子", help="一句或几句话；不写就一问一答")
    add("--weights", type=Path, default=WEIGHTS, help="默认 params/best.pth")
    add("--file", type=Path, help=f"要预测的文件：{' '.join(FORMATS)}")
    add("--column", default=COLUMN, help=f"评论在哪一列，默认 {COLUMN}")
    add("--out", type=Path, help=f"结果写到哪里：{' '.join(OUTPUTS)}，默认 原名_predicted.csv")
    args = parser.parse_args()
    if args.file and args.texts:
        raise CourseError("句子和 --file 只能给一样", command(SCRIPT, "--help"))
    if args.out and not args.file:
        raise CourseError("--out 要和 --file 一起用", command(SCRIPT, "--file 评论.csv"))
    if not all(text.strip() for text in args.texts):
        raise CourseError("有一句话是空的", command(SCRIPT, "这本书真好"))

    # 三种用法，同一条路：SentimentClassifier.probabilities
    if args.file:
        out = args.out or args.file.with_name(f"{args.file.stem}_predicted.csv")
        predict_file(args.weights, args.file, args.column, out)
    elif args.texts:
        print_predictions(SentimentClassifier(args.weights), args.texts)
    else:
        ask_and_answer(SentimentClassifier(args.weights))

    # 小结：训练和预测必须用同样的分词、同样的 max_length、同样的 BERT，run.json 记着这三样
    # 练习：把一句好评一个字一个字地加长，看概率在哪个字上跳得最多；serve.py 的网页会把它画出来


if __name__ == "__main__":
    run(main)
