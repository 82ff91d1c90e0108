"""选学  Ray：几台机器一起预测一个大表格

教什么：08_predict.py --file 一台机器一段一段地算；评论上亿条时，交给 Ray Data：数据切成许多块，几个
进程（actor）各读一次模型，谁闲着谁领下一块，算好的马上写出去，内存里从来不会有全部。一个 actor 死了
（机器坏了、内存不够），Ray 再起一个，没算完的那一块重算。

怎么运行：先训练（train.py），再
    python -m pip install ray
    python demo02_sentiment/extra_ray.py 评论.parquet --column text --out 结果 --workers 2
输入是 parquet 文件，或装着 parquet 的文件夹；结果是一个文件夹，里面的 parquet 按原来的顺序，每一行
后面加上 predicted_label、p_负向 …、note，和 08_predict.py --file 一样。
几台机器见 docs/09-many-machines.md：脚本不用改，输入和输出放在每台都看得见的地方（共享盘）。

会看到：
    600 条，2 个 actor
    …
    写好 …：600 条，一条没少，一条没多

看什么：Ray 打印的进度里，读、算、写三步同时在走，后一步不等前一步做完
"""

import os
from pathlib import Path

import pyarrow
from pyarrow import parquet

from backstage.classifier import SentimentClassifier, add_weights_arguments
from course.cli import Parser, at_least, require, run
from course.errors import CourseError
from course.files import atomic_write
from course.tables import cell

WORKERS = 2  # 几个 actor：CPU 上一个核一个，显卡一张一个
CHUNK = 1024  # 一块多少行：多了占内存，少了凑不齐一样长的评论，慢


class Predictor:
    """一个 actor：起来时读一次模型，以后来一块算一块"""

    def __init__(self, weights: Path, labels: list[str] | None, column: str):
        self.classifier, self.column = SentimentClassifier(weights, labels), column

    def __call__(self, table: pyarrow.Table) -> pyarrow.Table:
        """一块表格 → 同样的几行，多了预测的几列；空的评论没有预测"""
        texts = [cell(text) for text in table[self.column].to_pylist()]
        probabilities, notes = self.classifier.judge(texts)
        labels = self.classifier.labels
        best = probabilities.argmax(dim=1).tolist()
        said = [None if note == "空" else labels[i] for i, note in zip(best, notes, strict=True)]
        table = table.append_column("predicted_label", pyarrow.array(said, pyarrow.string()))
        for i, label in enumerate(labels):
            shares = probabilities[:, i].double().numpy().round(6)
            table = table.append_column(f"p_{label}", pyarrow.array(shares, from_pandas=True))
        return table.append_column("note", pyarrow.array(notes, pyarrow.string()))


def survey(path: Path) -> tuple[int, list[str]]:
    """一个 parquet，或一个文件夹里的：(一共几行, 第一个的列名)；只读文件尾，不读内容

    路径不对、文件坏了、各个文件的列不一样时抛 CourseError。
    """
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        raise CourseError(f"{path} 不是 parquet 文件，也不是装着它们的文件夹", "写对路径")
    rows, columns = 0, None
    for file in files:
        try:
            opened = parquet.ParquetFile(file)
        except (OSError, pyarrow.ArrowException) as error:
            raise CourseError(
                f"{file} 坏了，或者不是 parquet", "用 08_predict.py --file 读别的格式"
            ) from error
        columns = columns or opened.schema_arrow.names
        if opened.schema_arrow.names != columns:
            raise CourseError(f"{file} 的列和 {files[0]} 的不一样", "列不同的分几次预测")
        rows += opened.metadata.num_rows
    return rows, columns


def main() -> None:
    parser = Parser(__doc__)
    add = parser.add_argument
    add("source", type=Path, metavar="输入", help="parquet 文件或文件夹")
    add("--column", default="text", help="评论在哪一列，默认 text")
    add("--out", type=Path, required=True, help="结果放在哪个文件夹")
    add_weights_arguments(parser)
    add("--workers", type=at_least(1), default=WORKERS, help=f"几个 actor，默认 {WORKERS}")
    args = parser.parse_args()
    require("ray")
    if args.out.exists():
        raise CourseError(f"{args.out} 已经有了，不盖掉它", "--out 换一个名字，或先删掉")
    rows, columns = survey(args.source)
    if args.column not in columns:
        raise CourseError(
            f"{args.source} 没有列 {args.column}，现有的列是 {'、'.join(columns)}",
            "--column 写对列名",
        )
    # 权重有问题现在就说，不要等每个 actor 都说一遍
    labels = SentimentClassifier(args.weights, args.labels).labels
    if taken := {"predicted_label", *(f"p_{label}" for label in labels), "note"} & set(columns):
        raise CourseError(
            f"{args.source} 里已经有列 {'、'.join(sorted(taken))}，结果没有地方放", "先给这些列改名"
        )
    print(f"{rows} 条，{args.workers} 个 actor", flush=True)

    import ray

    # 连上集群；没有集群（RAY_ADDRESS 没有设）就在这台机器上起一个。读和写也各占一个名额：名额
    #    全给了 actor，读的等 actor 让位，actor 等读的送数据，谁也动不了
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # 不向 Ray 的网站报告谁在用
    local = {} if "RAY_ADDRESS" in os.environ else {"num_cpus": args.workers + 2}
    ray.init(**local)
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True  # 按原来的顺序写，不是谁先算完谁先写

    # 说清楚每一步，这时什么也没有算：读 → 切成块 → 算
    table = ray.data.read_parquet(str(args.source.resolve()))
    table = table.repartition(target_num_rows_per_block=CHUNK)
    table = table.map_batches(
        Predictor,
        fn_constructor_args=(args.weights.resolve(), args.labels, args.column),
        batch_size=CHUNK,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=args.workers),
    )

    # 要写结果了，才从头流到尾：一块读进来、算完、写出去；全部写完才换上正式的名字
    with atomic_write(args.out) as temporary:
        table.write_parquet(str(temporary.resolve()))
        written, _ = survey(temporary)
        if written != rows:
            raise CourseError(f"写出 {written} 条，应该是 {rows} 条", "再运行一次同样的命令")
    ray.shutdown()
    print(f"\n写好 {args.out}：{rows} 条，一条没少，一条没多")

    # 小结：大表格 = 切块 + 读一次模型的 actor + 流水线 + 失败重算；算一块和 08_predict.py 一样
    # 练习：运行时杀掉一个 actor，看结果少不少。Linux 上 pkill -f ray::MapWorker；
    #       Windows 的任务管理器里，它是用 CPU 最多的几个 python.exe 里的一个


if __name__ == "__main__":
    run(main)
