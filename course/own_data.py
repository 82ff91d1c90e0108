"""不是一课  自己的数据：一个表格、一个文件夹 → 三份评论和一份小报告，一行也不会悄悄不见

认得的样子：
    一个表格文件（格式见 course/table_files.py），自动切成三份
    文件夹里有 train、validation（dev、val）、test 的表格，缺的从 train 里切；Hub 下载的也是这样
    文件夹里一个标签一个文件夹，每个 .txt 是一条评论：pos/*.txt、neg/*.txt，外面可以有 train/、test/
    `save_to_disk` 存的文件夹

清洗的规则比自带的评论松：只看规范化之后是不是同一条（见 course/cleaning.py 的 normalize）。
自带的评论还要求没有 20 个相同的字连着，那是为了几万条网上抄来抄去的评论；短评论太多的数据受不了。
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from course.cleaning import normalize
from course.columns import (
    HEADLESS,
    LABEL_NAMES,
    SAMPLED,
    DataSource,
    UnknownColumns,
    columns_of,
    doubtful_names,
    find_columns,
    label_name,
    order_of,
)
from course.dataset_folder import check_folder, is_saved
from course.errors import CourseError
from course.paths import command
from course.reviews import to_dataset
from course.table_files import FORMATS, cell, encoding_of, read_rows

if TYPE_CHECKING:
    from datasets import DatasetDict

PARTS = 10  # 要切的时候：一份验证、一份测试，其余训练
SHOWN = 10  # 报告里最多列几类
PLACES = 5  # 丢掉的行最多列几个行号
UNEVEN = 5  # 最多的一类是最少的几倍，就提醒
SPLITS = {
    "train": {"train", "training", "训练", "训练集"},
    "validation": {"validation", "valid", "val", "dev", "eval", "验证", "验证集"},
    "test": {"test", "testing", "测试", "测试集"},
}
OTHER = {"readme", "license", "dataset_infos", "dataset_info", "dataset_dict", "state"}


class Place(NamedTuple):
    """一行在哪里：文件（只有一个文件时不写）和行号"""

    file: str
    number: int

    def __str__(self) -> str:
        return f"{self.file} 第 {self.number} 行".strip()


class Review(NamedTuple):
    """一行：标签还是名字，空的是空字符串；key 相同的算同一条"""

    place: Place
    text: str
    label: str
    key: str


def review(place: Place, text: str, label: str) -> Review:
    return Review(place, text, label, normalize(text) or text.strip())  # 全是标点、表情的照原样比


@dataclass
class Report:
    """读的时候记下来，最后打印"""

    title: str
    columns: str = ""
    read: int = 0
    dropped: dict[str, list[Place]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    made: str = ""

    def drop(self, reason: str, place: Place) -> None:
        self.dropped.setdefault(reason, []).append(place)

    def lost(self, reason: str) -> str:
        """因为 reason 丢了几行，头几个行号"""
        places = self.dropped[reason]
        some = "、".join(map(str, places[:PLACES]))
        return f"{reason} {len(places)} 行：{some}{'……' if len(places) > PLACES else ''}"

    def show(self, splits: dict[str, list[Review]], names: list[str]) -> None:
        print(f"数据：{self.title}")
        print(f"  列    {self.columns}\n  读到  {self.read} 行")
        for reason in self.dropped:
            print(f"  丢掉  {self.lost(reason)}")
        counts = Counter(row.label for rows in splits.values() for row in rows)
        print(f"  类别  {len(names)} 类：")
        shown = LABEL_NAMES if names == ["0", "1"] else names
        for i, name in enumerate(names[:SHOWN]):
            print(f"        {i} {shown[i]}  {counts[name]} 条")
        if len(names) > SHOWN:
            rest = names[SHOWN:]
            print(f"        ……另有 {len(rest)} 类，{sum(counts[name] for name in rest)} 条")
        for note in self.notes:
            print(f"  注意  {note}")
        sizes = "，".join(f"{name} {len(rows)} 条" for name, rows in splits.items())
        print(f"  三份  {sizes}{self.made}\n")


def load_own(source: DataSource) -> "DatasetDict":
    """你的文件或文件夹 → 三份评论 train、validation、test，列 text 和 label（ClassLabel）

    打印一份报告。认不出列、不足两类、缺训练集、读不了时抛 CourseError。
    """
    path = source.path
    report = Report(str(path))
    if path.is_dir():
        found, order = read_folder(path, source, report)
    else:
        found, order = {"": list(read_table(path, source, report, ""))}, None
    found = drop_empty(found, report)
    everything = sorted({row.label for rows in found.values() for row in rows}, key=order_of)
    report.notes += doubtful_names(everything)
    splits = make_splits(found, path, report)
    labels = {row.label for row in splits["train"]}
    if order is None:
        names = sorted(labels, key=order_of)
    else:
        names = [name for name in order if name in labels]
    counts = Counter(row.label for row in splits["train"]).most_common()
    if counts[0][1] >= UNEVEN * counts[-1][1]:
        report.notes.append(
            f"{counts[0][0]} 的条数是 {counts[-1][0]} 的 {counts[0][1] / counts[-1][1]:.0f} 倍："
            "成绩看 macro-F1，小类漏得多就加 --class-weight balanced"
        )
    report.show(splits, names)
    index = {name: i for i, name in enumerate(names)}
    names = LABEL_NAMES if names == ["0", "1"] else names
    numbered = {
        split: [(row.text, index[row.label]) for row in rows] for split, rows in splits.items()
    }
    return to_dataset(numbered, names)


# 读：文件、文件夹 → 一行一行的 Review


def read_table(path: Path, source: DataSource, report: Report, file: str) -> Iterator[Review]:
    """一个表格文件的每一行；行号和 Excel 左边的一样"""
    columns = columns_of(path, source)
    report.notes += [note for note in columns.notes if note not in report.notes]
    report.columns = f"评论在「{columns.text}」，标签在「{columns.label}」"
    if encoding := encoding_if_odd(path):
        report.title = f"{report.title.removesuffix(encoding)}{encoding}"
    start = 1 if path.suffix.lower() in HEADLESS else 2
    for number, row in enumerate(read_rows(path), start):
        text = cell(row.get(columns.text)) or ""
        yield review(Place(file, number), text, label_name(row.get(columns.label)))


def encoding_if_odd(path: Path) -> str:
    """文字文件不是 UTF-8 时说一声：认错了编码，从这里看得出来"""
    if path.suffix.lower() in {".parquet", ".xlsx"}:
        return ""
    with path.open("rb") as file:
        encoding = encoding_of(file)
    name = {"gb18030": "GBK"}.get(encoding, encoding.upper())
    return "" if name.startswith("UTF-8") else f"（编码 {name}）"


def split_of(name: str) -> str:
    """文件或文件夹的名字属于哪一份：train-00000-of-00001 是 train；看不出是空字符串"""
    words = set(re.split(r"[-_. ]", name.lower()))
    found = [split for split, names in SPLITS.items() if words & names]
    return found[0] if len(found) == 1 else ""


def read_folder(
    path: Path, source: DataSource, report: Report
) -> tuple[dict[str, list[Review]], list[str] | None]:
    """({份的名字: 它的行}, 标签的顺序)；只有一份、要自己切的，名字是空字符串"""
    if is_saved(path):
        return read_saved(path, source, report)
    files = [
        file
        for pattern in ("*", "*/*", "*/*/*")
        for file in sorted(path.glob(pattern))
        if file.is_file()
        and file.suffix.lower() in FORMATS
        and file.stem.lower() not in OTHER
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
    ]
    tables = [file for file in files if file.suffix.lower() != ".txt"]
    if tables:
        return read_tables(tables, path, source, report), None
    found: dict[str, list[Review]] = {}
    for file in files:
        *folders, label = file.relative_to(path).parent.parts or ("",)
        split = split_of(folders[0]) if folders else ""
        if label and (split or not folders):
            place = Place(file.relative_to(path).as_posix(), 1)
            text = "\n".join(row["text"] for row in read_rows(file))
            found.setdefault(split, []).append(review(place, text, label))
    if not found:
        raise CourseError(
            f"{path} 不是数据文件夹：没有 train 开头的表格，没有一个标签一个文件夹的 txt，"
            "也不是 save_to_disk 存的",
            command("demo02_sentiment/02_load_dataset.py") + " 看看数据文件夹该是什么样",
        )
    report.columns = "一个 txt 是一条评论，它所在的文件夹的名字是标签"
    return found, None


def read_tables(
    files: list[Path], path: Path, source: DataSource, report: Report
) -> dict[str, list[Review]]:
    """文件夹里的表格，按名字（或所在文件夹的名字）归到三份里"""
    by_split: dict[str, list[Path]] = {}
    for file in files:
        inside = file.relative_to(path)
        split = split_of(file.stem) or next(filter(None, map(split_of, inside.parent.parts)), "")
        by_split.setdefault(split, []).append(file)
    named = {split: by_split[split] for split in SPLITS if split in by_split}
    if not named and len(files) == 1:
        return {"": list(read_table(files[0], source, report, ""))}
    several = [split for split, some in named.items() if len({f.parent for f in some}) > 1]
    several += [split for split, some in named.items() if len({f.suffix for f in some}) > 1]
    if several or "train" not in named:
        listed = "、".join(file.relative_to(path).as_posix() for file in files[:6])
        why = f"{several[0]} 有好几样" if several else "没有一个叫 train"
        raise CourseError(
            f"{path} 里的表格{why}：{listed}{'……' if len(files) > 6 else ''}",
            "--data 给其中一个文件或文件夹；分好的三份叫 train、validation、test",
        )
    found = {}
    for split, some in named.items():
        try:
            found[split] = [
                row
                for file in some
                for row in read_table(file, source, report, file.relative_to(path).as_posix())
            ]
        except UnknownColumns:
            if split == "train":
                raise
            report.notes.append(f"{some[0].name} 没有用：里面认不出标签那一列")
    return found


def read_saved(
    path: Path, source: DataSource, report: Report
) -> tuple[dict[str, list[Review]], list[str] | None]:
    """`save_to_disk` 存的一份或几份；标签带名字的，名字和顺序照旧"""
    from datasets import ClassLabel, Dataset, load_from_disk

    check_folder(path)
    saved = load_from_disk(str(path))
    whole = {"": saved} if isinstance(saved, Dataset) else dict(saved)
    found, order = {}, None
    for name, dataset in whole.items():
        split = split_of(name) if name else ""
        if name and not split:
            report.notes.append(f"{name} 这一份没有用，只认 train、validation、test")
            continue
        columns = find_columns(
            dataset.column_names, list(dataset.select(range(min(SAMPLED, len(dataset))))),
            path, source,
        )  # fmt: skip
        report.notes += [note for note in columns.notes if note not in report.notes]
        report.columns = f"评论在「{columns.text}」，标签在「{columns.label}」"
        labels: Iterable = dataset[columns.label][:]
        feature = dataset.features[columns.label]
        if isinstance(feature, ClassLabel):
            order = feature.names
            labels = ["" if i is None or i < 0 else order[i] for i in labels]  # -1 是没有标签
        found[split] = [
            review(Place(name, i), cell(text) or "", label_name(label))
            for i, (text, label) in enumerate(
                zip(dataset[columns.text][:], labels, strict=True), start=1
            )
        ]
    return found, order and [label_name(name) for name in order]


# 清洗和切分


def drop_empty(found: dict[str, list[Review]], report: Report) -> dict[str, list[Review]]:
    """丢掉评论或标签是空的行，记在报告里"""
    kept: dict[str, list[Review]] = {}
    for split, rows in found.items():
        report.read += len(rows)
        kept[split] = []
        for row in rows:
            if row.text.strip() and row.label:
                kept[split].append(row)
            else:
                empty = "评论" if row.label else "标签" if row.text.strip() else "整行"
                report.drop(f"{empty}是空的", row.place)
        if rows and not kept[split]:
            report.notes.append(f"{split or '文件'} 里没有一行有评论又有标签")
    return {split: rows for split, rows in kept.items() if rows}


def one_of_each(rows: list[Review], report: Report) -> list[Review]:
    """同一条评论只留第一次出现的；有两种标签的，一条也不留"""
    labels: dict[str, set[str]] = {}
    for row in rows:
        labels.setdefault(row.key, set()).add(row.label)
    kept: dict[str, Review] = {}
    for row in rows:
        if len(labels[row.key]) > 1:
            report.drop("同一条评论有两种标签", row.place)
        elif row.key in kept:
            report.drop("重复", row.place)
        else:
            kept[row.key] = row
    return list(kept.values())


def cut(rows: list[Review], parts: int) -> list[list[Review]]:
    """切出 parts 份各占十分之一的，剩下的是最后一份；各份里每一类的比例相同

    谁去哪一份由文本的 SHA-256 决定：换了行的顺序、再加几行，别的行还在原来那一份。
    """
    rows = sorted(rows, key=lambda row: hashlib.sha256(row.key.encode("utf-8", "replace")).digest())
    counts = Counter(row.label for row in rows)
    seen: Counter[str] = Counter()
    out: list[list[Review]] = [[] for _ in range(parts + 1)]
    for row in rows:
        which = seen[row.label] // max(1, round(counts[row.label] / PARTS))
        seen[row.label] += 1
        out[min(which, parts)].append(row)
    return out


def make_splits(
    found: dict[str, list[Review]], path: Path, report: Report
) -> dict[str, list[Review]]:
    """给了几份就用几份，缺的从 train（或唯一的那一份）里切；返回 train、validation、test"""
    if not found:
        raise CourseError(f"{path} 没有一行有评论又有标签，等于是空的", "补上数据，再运行一次")
    train = one_of_each(found.get("train") or found.get("") or [], report)
    given = {split: found[split] for split in ("validation", "test") if found.get(split)}
    if given:
        exams = {row.key for rows in given.values() for row in rows}
        train = drop_seen(train, exams, "train 里的也在 validation、test 里", report)
    if "validation" in given and "test" in given:
        exams = {row.key for row in given["test"]}
        reason = "validation 里的也在 test 里"
        given["validation"] = drop_seen(given["validation"], exams, reason, report)
    if not given:
        train = drop_rare(train, report)
    if len({row.label for row in train}) < 2:
        raise few_classes(train, found, path, report)
    needed = [split for split in ("validation", "test") if split not in given]
    if needed:
        *made, train = cut(train, len(needed))
        given |= dict(zip(needed, made, strict=True))
        report.made = f"（{needed[0]} 是从 train 里切出来的十分之一）"
        if len(needed) == 2:
            report.made = "（按 8 : 1 : 1 切的，各份里每一类的比例相同）"
    known = {row.label for row in train}
    for split, rows in given.items():
        for row in rows:
            if row.label not in known:
                report.drop(f"{split} 里的标签 {row.label} 不在 train 里", row.place)
        given[split] = [row for row in rows if row.label in known]
        if not given[split]:
            raise CourseError(f"{path} 的 {split} 一条能用的也没有", "补上数据，或删掉这一份")
    return {"train": train, "validation": given["validation"], "test": given["test"]}


def drop_seen(rows: list[Review], exams: set[str], reason: str, report: Report) -> list[Review]:
    """去掉也在考卷里的：不去掉，考的就是记性"""
    for row in rows:
        if row.key in exams:
            report.drop(reason, row.place)
    return [row for row in rows if row.key not in exams]


def drop_rare(rows: list[Review], report: Report) -> list[Review]:
    """不到 PARTS 条的类切不成三份，整类丢掉"""
    counts = Counter(row.label for row in rows)
    rare = [f"「{name}」{count} 行" for name, count in counts.items() if count < PARTS]
    reason = f"不到 {PARTS} 行的类，切不成三份（{'、'.join(rare[:PLACES])}"
    reason += f"……一共 {len(rare)} 类）" if len(rare) > PLACES else "）"
    for row in rows:
        if counts[row.label] < PARTS:
            report.drop(reason, row.place)
    return [row for row in rows if counts[row.label] >= PARTS]


def few_classes(
    train: list[Review], found: dict[str, list[Review]], path: Path, report: Report
) -> CourseError:
    """剩下不到两类时，说清楚是怎么少掉的"""
    whole = Counter(row.label for rows in found.values() for row in rows)
    if len(whole) == 1:
        return CourseError(
            f"{path} 只有一种标签 {next(iter(whole))}，学不出区别", "补上另一种标签的评论"
        )
    if len(whole) > 20 and len(whole) * 3 > whole.total():
        return CourseError(
            f"{path} 的标签有 {len(whole)} 种，几乎一行一种，不像标签（{report.columns}）",
            "用 --label-column 换一列",
        )
    lost = "；".join(map(report.lost, report.dropped))
    left = Counter(row.label for row in train)
    return CourseError(
        f"{path} 只剩 {len(left)} 种够用的标签，要有两种（每种至少 {PARTS} 条不重复的）。"
        f"丢掉的：{lost[:300]}",
        "每种标签补到十条以上；已经分好的，放进一个文件夹，叫 train、validation、test",
    )
