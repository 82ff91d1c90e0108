"""不是一课  自己的数据：一个表格、一个文件夹 → 三份评论和一份小报告，一行也不会悄悄不见

认得的样子：
    一个表格文件（格式见 course/tables.py），自动切成三份；有 split 这样一列的，照它切
    文件夹里有 train、validation（dev、val）、test 的表格，缺的从 train 里切；Hub 下载的也是这样
    文件夹里一个标签一个文件夹，每个 .txt 是一条评论：pos/*.txt、neg/*.txt，外面可以有 train/、test/
    `save_to_disk` 存的文件夹
标签是文件里写的那几个字；读到几行、留下几行、丢了哪几行、为什么，都在报告里。
"""

import ast
import hashlib
import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from course.cleaning import review_key, visible
from course.columns import (
    LABEL_NAMES,
    SAMPLED,
    SENTIMENT,
    DataSource,
    UnknownColumns,
    check_flat,
    find_columns,
    plain,
)
from course.errors import CourseError
from course.paths import command
from course.reviews import to_dataset
from course.tables import FORMATS, About, cell, read_path

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
SPLIT_COLUMNS = {"split", "set", "subset", "partition", "数据集", "划分", "集合"}
OTHER = {"readme", "license", "dataset_infos", "dataset_info", "dataset_dict", "state"}
# 各种程序替"没有标签"写的字：R、Excel、pandas、SQL、Python、MySQL；IMDB 的没有标注
NOTHING = {"NA", "N/A", "#N/A", "<NA>", "nan", "NaN", "NaT", "NULL", "null", "None", "\\N", "unsup"}
# 情感的三极的各种叫法：排编号时负向在前；同一极有两种叫法，多半是一类写成了两样
POLES = [
    set(names.split())
    for names in (
        "负 负向 负面 消极 差评 差 坏 不好 neg negative bad 否 no false",
        "中 中性 中立 中评 一般 neu neutral",
        "正 正向 正面 积极 好评 好 pos positive good 是 yes true",
    )
]


@dataclass
class Report:
    """读的时候记下来，最后打印"""

    title: str
    columns: str = ""
    read: int = 0
    dropped: dict[str, list[str]] = field(default_factory=dict)  # 为什么丢 → 在哪里
    notes: list[str] = field(default_factory=list)
    made: str = ""
    label: str = ""  # 标签那一列的名字
    names: dict[str, str] = field(default_factory=dict)  # 文件自己写着的：数字 → 名字

    def name(self, names: dict[str, str], source: str) -> None:
        """文件自己写着标签叫什么；几处写的不一样抛 CourseError"""
        for number, name in names.items():
            if self.names.setdefault(number, name) != name:
                raise CourseError(
                    f"标签 {number} 有两个名字：{self.names[number]}，{source} 里是 {name}",
                    "改成一样的，或者删掉不对的那一处",
                )
        said = "，".join(f"{number} {name}" for number, name in list(names.items())[:SHOWN])
        self.note(f"标签的名字照 {source}：{said}")

    def note(self, *notes: str) -> None:
        self.notes += [note for note in notes if note not in self.notes]

    def drop(self, rows: pd.DataFrame, wrong: pd.Series, reason: str) -> pd.DataFrame:
        """去掉 wrong 的那几行，记下为什么；返回剩下的"""
        if wrong.any():
            self.dropped.setdefault(reason, []).extend(rows.place[wrong])
        return rows[~wrong]

    def lost(self) -> list[str]:
        """每一种丢掉的：为什么，几行，头几个行号"""
        return [
            f"{reason} {len(places)} 行：{'、'.join(places[:PLACES])}"
            + "……" * (len(places) > PLACES)
            for reason, places in self.dropped.items()
        ]

    def show(self, rows: pd.DataFrame, names: list[str]) -> None:
        kept, lost = len(rows), sum(map(len, self.dropped.values()))
        if kept + lost != self.read:  # 有一行悄悄不见了
            raise RuntimeError(f"{self.read} rows read, {kept} kept, {lost} dropped")
        print(f"数据：{self.title}\n  列    {self.columns}")
        print(f"  读到  {self.read} 行，留下 {kept} 行，丢掉 {lost} 行")
        for line in self.lost():
            print(f"  丢掉  {line}")
        print(f"  类别  {len(names)} 类：")
        for i, name in enumerate(names[:SHOWN]):
            some = rows.text[rows.label == name]
            first = " ".join(some.iloc[0].split())
            shown = first if len(first) <= 20 else f"{first[:20]}…"
            print(f"        {i} {name}  {len(some)} 条，如：{shown}")
        if len(names) > SHOWN:
            rest = rows.label.isin(names[SHOWN:]).sum()
            print(f"        ……另有 {len(names) - SHOWN} 类，{rest} 条")
        for note in self.notes:
            print(f"  注意  {note}")
        sizes = "，".join(f"{split} {count} 条" for split, count in sizes_of(rows).items())
        print(f"  分成  {sizes}{self.made}\n")


def sizes_of(rows: pd.DataFrame) -> dict[str, int]:
    counts = rows.split.value_counts()
    return {split: int(counts[split]) for split in SPLITS if split in counts}


def load_own(source: DataSource) -> "DatasetDict":
    """你的文件或文件夹 → 三份评论 train、validation、test，列 text 和 label（ClassLabel）

    打印一份报告。认不出列、不足两类、缺训练集、读不了时抛 CourseError。
    """
    rows, order, report = read_own(source)
    rows = make_splits(rows, source.path, report)
    names = [name for name in order if name in set(rows.label)]
    counts = rows.label[rows.split == "train"].value_counts()
    most, least = counts.idxmax(), counts.idxmin()
    if counts[most] >= UNEVEN * counts[least]:
        report.note(
            f"{most} 的条数是 {least} 的 {counts[most] / counts[least]:.0f} 倍："
            "成绩看 macro-F1，小类漏得多就加 --class-weight balanced"
        )
    report.show(rows, names)
    number = {name: i for i, name in enumerate(names)}
    parts = {split: rows[rows.split == split] for split in SPLITS}
    return to_dataset(
        {k: list(zip(part.text, part.label.map(number), strict=True)) for k, part in parts.items()},
        names,
    )


def load_exam(source: DataSource, names: list[str]) -> tuple[list[str], list[int]]:
    """你的文件当考卷：(评论, 标签在 names 里的编号)；分好了几份的只考 test，不然整个都考

    打印一份报告。标签不在 names 里的、空的、重复的不考，都写在报告里；一条也不剩抛 CourseError。
    """
    rows, _, report = read_own(source)
    kept = rows[rows.split.isin(["test", ""])]
    if kept.empty:
        kept = rows
    if len(kept) < len(rows):
        report.note(f"分好了几份的只考 test；别的 {len(rows) - len(kept)} 行这次没有用")
        report.read -= len(rows) - len(kept)
    kept = one_of_each(kept, report)
    unknown = ~kept.label.isin(names)
    kept = report.drop(kept, unknown, f"标签不是学过的 {'、'.join(names[:SHOWN])}")
    if kept.empty:
        raise CourseError(
            f"{source} 没有一条能考：{'；'.join(report.lost())[:300]}", "标签要和训练时的一样"
        )
    report.show(kept.assign(split="test"), [name for name in names if name in set(kept.label)])
    return list(kept.text), [names.index(label) for label in kept.label]


# 读：文件、文件夹 → 一张表，列 text、label（都是文字）、split（哪一份，不知道是空串）、place


def read_own(source: DataSource) -> tuple[pd.DataFrame, list[str], Report]:
    """读进来，去掉空的：(表, 标签的顺序, 报告)"""
    path, report = Path(source.path), Report(str(source.path))
    if not path.is_dir():
        parts = [read_table(path, source, report)]
    elif (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        parts = read_saved(path, source, report)
    else:
        parts = read_folder(path, source, report)
    rows = pd.concat(parts, ignore_index=True)
    report.read = len(rows)
    names = report.names
    if not names and all(label.lstrip("-").isdecimal() for label in set(rows.label) - NOTHING):
        names = names_beside(path, report, set(rows.label))
    nothing = sorted(set(rows.label) & NOTHING)
    if names and not set(names) & {"-1"}:
        nothing.append("-1")  # 数据集里没有标签的写成 -1
    rows.loc[rows.label.isin(nothing), "label"] = ""
    blank, unlabelled = rows.text.str.strip() == "", rows.label == ""
    told = f"（写着 {'、'.join(nothing)} 的算空的）" if nothing else ""
    for wrong, reason in (
        (blank & unlabelled, "整行是空的"),
        (blank & ~unlabelled, "评论是空的"),
        (~blank & unlabelled, f"标签是空的{told}"),
    ):
        rows = report.drop(rows, wrong[rows.index], reason)
    if rows.empty:
        raise CourseError(
            f"{path} 没有一行有评论又有标签：{'；'.join(report.lost() + report.notes)}",
            "补上数据，再运行一次",
        )
    if set(rows.label) == {"0", "1"} and not names and report.label in SENTIMENT.split():
        names = dict(zip("01", LABEL_NAMES, strict=True))
        report.note("文件没有写 0 和 1 叫什么，猜是负向和正向；反了就加一列 label_text，写上名字")
    rows["label"] = rows.label.map(lambda label: names.get(label, label))
    check_labels(rows, path, report)
    order = [names[number] for number in sorted(names, key=order_of)]
    order += sorted(set(rows.label) - set(order), key=order_of)
    return rows, order, report


def label_of(value: object, where: str) -> str:
    """一格 → 标签：文件里写的那几个字，只有 1.0 是 1；[好评] 是好评，好几个标签的抛 CourseError"""
    text = visible(cell(value))
    if isinstance(value, str) and re.fullmatch(r"\[.*\]", text):
        with suppress(ValueError, SyntaxError):
            value = ast.literal_eval(text)  # doccano、pandas 把列表写成文字
    if isinstance(value, list):
        if len(value) > 1:
            raise CourseError(
                f"{where}有 {len(value)} 个标签：{text[:40]}；这里一条评论只有一个标签",
                "每条留一个标签，或者一个标签做一个文件：有它的写 1，没有的写 0",
            )
        return label_of(value[0], where) if value else ""
    return re.sub(r"^(-?\d+)\.0+$", r"\1", text)


def read_table(
    path: Path, source: DataSource, report: Report, file: str = "", split: str = ""
) -> pd.DataFrame:
    """一个表格文件；行号和 Excel 左边的一样"""
    about = About()
    frames = list(read_path(path, about, source.bare))
    if not frames:
        raise CourseError(f"{path} 是空的，一条评论也没有", "补上数据，再运行一次")
    if about.encoding not in ("", "UTF-8"):  # 认错了编码，从这里看得出来
        report.title += f"（{file} 编码 {about.encoding}）".replace("（ ", "（")
    report.note(*about.notes)
    places = [f"{file} 第 {number} 行".strip() for frame in frames for number in frame.index]
    return rows_of(pd.concat(frames, ignore_index=True), places, path, source, report, split, about)


def rows_of(
    table: pd.DataFrame,
    places: list[str],
    path: Path,
    source: DataSource,
    report: Report,
    split: str,
    about: About,
) -> pd.DataFrame:
    """表里的两列，加上 split 和 place；没有用的列、标签的名字记在 report 里"""
    (text, label), notes = find_columns(table.head(SAMPLED), path, source)
    check_flat(table[text], path)
    check_flat(table[label], path)
    report.note(*notes)
    labels = [label_of(v, f"{path} {p}") for v, p in zip(table[label], places, strict=True)]
    rows = pd.DataFrame({"text": table[text].map(cell), "label": labels, "split": split})
    rows["place"] = places
    unused = [column for column in table.columns if column not in (text, label)]
    for column in unused.copy():
        values = table[column].map(cell)
        if not split and plain(column) in SPLIT_COLUMNS:
            parts = {value: split_of(value) for value in set(values)}
            if all(parts.values()):
                rows["split"] = values.map(parts)
                report.made = f"（照列 {column} 分的）"
                unused.remove(column)
        elif plain(column).startswith(plain(label)) and all(map(str.isdecimal, labels)):
            pairs = set(zip(labels, map(visible, values), strict=True))
            if len(pairs) == len(set(labels)) == len({name for _, name in pairs} - {""}):
                report.name(dict(pairs), f"列 {column}")
                unused.remove(column)
    if said := about.names.get(label):
        report.name(dict(zip(map(str, range(len(said))), said, strict=False)), f"{path.name}")
    report.label = plain(label)
    report.columns = f"评论在「{text}」，标签在「{label}」"
    report.columns += f"；没有用 {'、'.join(unused)}" if unused else ""
    return rows


def names_beside(path: Path, report: Report, labels: set[str]) -> dict[str, str]:
    """数字标签的名字，写在旁边的 README.md、dataset_infos.json 里的（Hub 上下载的数据集这样写）"""
    from datasets import ClassLabel
    from datasets.info import DatasetInfosDict

    for folder in [path] if path.is_dir() else [path.parent, path.parent.parent]:
        card = folder / "README.md"
        written = card.is_file() and card.read_bytes().startswith(b"---")
        if not written and not (folder / "dataset_infos.json").is_file():
            continue
        try:
            infos = DatasetInfosDict.from_directory(folder).values()
        except Exception as error:  # 别人写的，坏法很多
            report.note(f"{card} 开头的设置读不懂（{type(error).__name__}），没有用它")
            continue
        for column, feature in (pair for info in infos for pair in (info.features or {}).items()):
            if plain(column) == report.label and isinstance(feature, ClassLabel):
                names = {str(number): name for number, name in enumerate(feature.names)}
                if labels - NOTHING - {"-1"} <= names.keys():
                    report.name(names, f"{folder.name} 的 README")
    return report.names


def split_of(name: str) -> str:
    """文件、文件夹、一格的名字属于哪一份：train-00000-of-00001 是 train；看不出是空字符串"""
    words = set(re.split(r"[-_. ]", name.lower()))
    found = [split for split, names in SPLITS.items() if words & names]
    return found[0] if len(found) == 1 else ""


def read_folder(path: Path, source: DataSource, report: Report) -> list[pd.DataFrame]:
    """文件夹里的表格，或者一个标签一个文件夹的 txt"""
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
    tables = tables or [
        file for file in files if file.stem.lower() in set().union(*SPLITS.values())
    ]
    if tables:  # train.txt 这样的，一行里还分着列，也是
        return read_tables(tables, files, path, source, report)
    texts = {file: label for file in files if (label := label_folder(file, path))}
    if not texts:
        raise CourseError(
            f"{path} 不是数据文件夹：没有 train 开头的表格，没有一个标签一个文件夹的 txt，"
            "也不是 save_to_disk 存的",
            command("demo02_sentiment/02_load_dataset.py") + " 看看数据文件夹该是什么样",
        )
    report.columns = "一个 txt 是一条评论，它所在的文件夹的名字是标签"
    unused(report, [file for file in files if file not in texts], path)
    rows = []
    for file, (split, label) in texts.items():
        text = "\n".join(line for frame in read_path(file) for line in frame.text)
        rows.append((text, label, split, file.relative_to(path).as_posix()))
    return [pd.DataFrame(rows, columns=["text", "label", "split", "place"])]


def label_folder(file: Path, path: Path) -> tuple[str, str] | None:
    """pos/1.txt、train/pos/1.txt → (哪一份, 标签)；不是这个样子的是 None"""
    *folders, label = file.relative_to(path).parent.parts or ("",)
    split = split_of(folders[0]) if folders else ""
    there = file.suffix.lower() == ".txt" and label and not split_of(label)
    return (split, label) if there and (split or not folders) else None


def unused(report: Report, files: list[Path], path: Path) -> None:
    if files:
        listed = "、".join(file.relative_to(path).as_posix() for file in files[:6])
        report.note(f"没有用的文件 {len(files)} 个：{listed}{'……' if len(files) > 6 else ''}")


def read_tables(
    tables: list[Path], files: list[Path], path: Path, source: DataSource, report: Report
) -> list[pd.DataFrame]:
    """文件夹里的表格，按名字（或所在文件夹的名字）归到三份里"""
    by_split: dict[str, list[Path]] = {}
    for file in tables:
        inside = file.relative_to(path)
        split = split_of(file.stem) or next(filter(None, map(split_of, inside.parent.parts)), "")
        by_split.setdefault(split, []).append(file)
    named = {split: by_split[split] for split in SPLITS if split in by_split}
    if not named and len(tables) == 1:
        return [read_table(tables[0], source, report)]
    several = [split for split, some in named.items() if len({f.parent for f in some}) > 1]
    several += [split for split, some in named.items() if len({f.suffix for f in some}) > 1]
    if several or "train" not in named:
        listed = "、".join(file.relative_to(path).as_posix() for file in tables[:6])
        why = f"{several[0]} 有好几样" if several else "没有一个叫 train"
        raise CourseError(
            f"{path} 里的表格{why}：{listed}{'……' if len(tables) > 6 else ''}",
            "--data 给其中一个文件或文件夹；分好的三份叫 train、validation、test",
        )
    found, left = [], set(files) - {file for some in named.values() for file in some}
    for split, some in named.items():
        try:
            for file in some:
                name = file.relative_to(path).as_posix()
                found.append(read_table(file, source, report, name, split))
        except UnknownColumns:
            if split == "train":
                raise
            left |= set(some)
            report.note(f"{some[0].name} 没有用：里面认不出标签那一列")
    unused(report, sorted(left), path)
    return found


def check_folder(folder: Path) -> None:
    """load_from_disk(folder) 之前：读得进去没有，不行就抛 CourseError"""
    from datasets import load_from_disk

    try:
        load_from_disk(str(folder))
    except (OSError, ValueError, KeyError, TypeError) as error:  # ArrowInvalid 也是 ValueError
        raise CourseError(
            f"{folder} 读不了（{type(error).__name__}），多半没有拷全、没有下载完",
            "再存一次、再拷一次，或删掉它重新下载",
        ) from error


def read_saved(path: Path, source: DataSource, report: Report) -> list[pd.DataFrame]:
    """`save_to_disk` 存的一份或几份；标签带名字的，名字和顺序照旧"""
    from datasets import ClassLabel, Dataset, load_from_disk

    check_folder(path)
    saved = load_from_disk(str(path))
    found = []
    for name, part in {"": saved}.items() if isinstance(saved, Dataset) else saved.items():
        split = split_of(name)
        if name and not split:
            report.note(f"{name} 这一份没有用（{len(part)} 行），只认 train、validation、test")
            continue
        features = {k: v.names for k, v in part.features.items() if isinstance(v, ClassLabel)}
        places = [f"{name} 第 {i} 行".strip() for i in range(1, len(part) + 1)]
        table = pd.DataFrame(part.to_dict(), dtype=object)
        found.append(rows_of(table, places, path, source, report, split, About(names=features)))
    return found


# 标签


def order_of(name: str) -> tuple:
    """排编号用：负向、中性、正向；别的里面，数按大小排，10 在 9 后面"""
    for i, pole in enumerate(POLES):
        if plain(name) in pole:
            return (0, i, name)
    if re.fullmatch(r"-?\d+(\.\d+)?", name):
        return (1, float(name), name)
    number = re.match(r"\d+", name)  # 1星、2星、10星
    return (2, float(number[0]), name) if number else (3, 0, name)


def check_labels(rows: pd.DataFrame, path: Path, report: Report) -> None:
    """像好几个标签写在一格里的、不像标签的，抛 CourseError；多半是一类写成两样的，只提醒"""
    counts = Counter(rows.label)
    for label in counts:
        parts = [part.strip() for part in re.split("[,，、;；|]", label)]
        if len(parts) > 1 and all(part in counts for part in parts):
            place = rows.place[rows.label == label].iloc[0]
            label_of(parts, f"{path} {place}")
    if len(counts) > 20 and len(counts) * 3 > counts.total():
        raise CourseError(
            f"{path} 的标签有 {len(counts)} 种，几乎一行一种，不像标签（{report.columns}）",
            "用 --label-column 换一列",
        )
    groups = [[name for name in counts if plain(name) in pole] for pole in POLES]
    for key in dict.fromkeys(map(plain, counts)):
        same = [name for name in counts if plain(name) == key]
        if not any(set(same) <= set(group) for group in groups):
            groups.append(same)
    report.note(
        *(
            f"{' 和 '.join(group)} 像是同一类，这里当 {len(group)} 类；是一类就先在文件里改成一样的"
            for group in groups
            if len(group) > 1
        )
    )


# 切分


def one_of_each(rows: pd.DataFrame, report: Report) -> pd.DataFrame:
    """同一条评论只留第一次出现的；有两种标签的，一条也不留"""
    rows = rows.assign(key=rows.text.map(review_key))
    labels = rows.groupby("key").label.transform("nunique")
    rows = report.drop(rows, labels > 1, "同一条评论有两种标签")
    return report.drop(rows, rows.duplicated("key"), "重复")


def cut(rows: pd.DataFrame, parts: list[str]) -> pd.DataFrame:
    """切出 parts 里的几份，各占十分之一，剩下的是 train；各份里每一类的比例相同

    谁去哪一份由文本的 SHA-256 决定：换了行的顺序、再加几行，别的行还在原来那一份。
    """
    hashes = rows.key.map(lambda key: hashlib.sha256(key.encode("utf-8", "replace")).digest())
    rows = rows.loc[hashes.sort_values().index]
    sizes = (rows.groupby("label").key.transform("size") / PARTS).round().clip(lower=1)
    which = rows.groupby("label").cumcount() // sizes
    return rows.assign(split=which.map(dict(enumerate(parts))).fillna("train"))


def make_splits(rows: pd.DataFrame, path: Path, report: Report) -> pd.DataFrame:
    """给了几份就用几份，缺的从 train（或唯一的那一份）里切；返回的表 split 都填好了"""
    rows = rows.assign(split=rows.split.replace("", "train"), key=rows.text.map(review_key))
    parts = {split: rows[rows.split == split] for split in SPLITS}
    train, validation, test = parts.values()
    train = one_of_each(train, report)
    exams = set(validation.key) | set(test.key)
    train = report.drop(train, train.key.isin(exams), "train 里的也在 validation、test 里")
    same = validation.key.isin(set(test.key))
    validation = report.drop(validation, same, "validation 里的也在 test 里")
    given = [part for part in (validation, test) if len(part)]
    if not given:
        counts = train.label.map(train.label.value_counts())
        rare = train.label[counts < PARTS].value_counts()
        listed = "、".join(f"「{name}」{count} 行" for name, count in rare[:PLACES].items())
        listed += f"……一共 {len(rare)} 类" if len(rare) > PLACES else ""
        reason = f"不到 {PARTS} 行的类，切不成三份（{listed}）"
        train = report.drop(train, counts < PARTS, reason)
    if train.label.nunique() < 2:
        raise few_classes(train, rows, path, report)
    needed = [name for name, part in (("validation", validation), ("test", test)) if part.empty]
    if needed:
        train = cut(train, needed)
        report.made = f"（{needed[0]} 是从 train 里切出来的十分之一）"
        if len(needed) == 2:
            report.made = "（按 8 : 1 : 1 切的，各份里每一类的比例相同）"
    known = set(train.label)
    for i, part in enumerate(given):
        split = part.split.iloc[0]
        for label in sorted(set(part.label) - known):
            part = report.drop(part, part.label == label, f"{split} 里的标签 {label} 不在 train 里")
        if part.empty:
            raise CourseError(f"{path} 的 {split} 一条能用的也没有", "补上数据，或删掉这一份")
        given[i] = part
        if missing := sorted(known - set(part.label), key=order_of):
            report.note(f"{split} 里没有 {'、'.join(missing[:SHOWN])}，考不到")
    return pd.concat([train, *given])


def few_classes(train: pd.DataFrame, rows: pd.DataFrame, path: Path, report: Report) -> CourseError:
    """剩下不到两类时，说清楚是怎么少掉的"""
    if rows.label.nunique() == 1:
        return CourseError(
            f"{path} 只有一种标签 {rows.label.iloc[0]}，学不出区别", "补上另一种标签的评论"
        )
    return CourseError(
        f"{path} 只剩 {train.label.nunique()} 种够用的标签，至少要两种，每种 {PARTS} 条不重复的。"
        f"丢掉的：{'；'.join(report.lost())[:300]}。{'；'.join(report.notes)}",
        "每种标签补到十条以上；已经分好的，放进一个文件夹，叫 train、validation、test",
    )
