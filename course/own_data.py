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
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from course.cleaning import review_key, visible
from course.columns import (
    LABEL_NAMES,
    SAMPLED,
    SENTIMENT,
    TO_CSV,
    DataSource,
    UnknownColumns,
    check_flat,
    find_columns,
    plain,
)
from course.errors import CourseError
from course.reviews import to_dataset
from course.tables import FORMATS, About, cell, read_path, whole

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
# 各种程序替"没有标签"写的字：R、Excel、pandas、SQL、Python、MySQL、IMDB
MISSING = {"", "NA", "N/A", "#N/A", "<NA>", "nan", "NaN", "NaT", "NULL", "null", "None", "\\N"}
MISSING |= {"-1", "unsup", "unlabeled", "unlabelled"}
# 情感的三极的各种叫法：排编号时负向在前；同一极有两种叫法，多半是一类写成了两样
POLES = [
    set(names.split())
    for names in (
        "负 负向 负面 消极 差评 差 坏 不好 neg negative bad 否 no false",
        "中 中性 中立 中评 一般 neu neutral",
        "正 正向 正面 积极 好评 好 pos positive good 是 yes true",
    )
]


def load_own(source: DataSource) -> "DatasetDict":
    """你的文件或文件夹 → 三份评论 train、validation、test，列 text 和 label（ClassLabel）

    打印一份报告。认不出列、不足两类、缺训练集、读不了时抛 CourseError。
    """
    data = OwnData(source)
    rows = make_splits(data)
    names = [name for name in data.order if name in set(rows.label)]
    counts = rows.label[rows.split == "train"].value_counts()
    most, least = counts.idxmax(), counts.idxmin()
    if counts[most] >= UNEVEN * counts[least]:
        data.note(
            f"{most} 的条数是 {least} 的 {counts[most] / counts[least]:.0f} 倍："
            "成绩看 macro-F1，小类漏得多就加 --class-weight balanced"
        )
    data.show(rows, names)
    splits = {split: rows[rows.split == split] for split in SPLITS}
    numbers = {name: i for i, name in enumerate(names)}
    return to_dataset(
        {
            split: list(zip(part.text, part.label.map(numbers), strict=True))
            for split, part in splits.items()
        },
        names,
    )


def load_exam(source: DataSource, names: list[str]) -> tuple[list[str], list[int]]:
    """你的文件当考卷：(评论, 标签在 names 里的编号)；分好了几份的只考 test，不然整个都考

    打印一份报告。标签不在 names 里的、空的、重复的不考，都写在报告里；一条也不剩抛 CourseError。
    """
    data = OwnData(source, exam=names)
    rows = data.rows[data.rows.split.isin(["test", ""])]
    rows = data.rows if rows.empty else rows
    if others := len(data.rows) - len(rows):
        data.read -= others
        data.note(f"分好了几份的只考 test；别的 {others} 行这次没有用")
    rows = one_of_each(rows, data)
    found = "、".join(data.order[:SHOWN])
    rows = data.drop(rows, ~rows.label.isin(names), f"标签不是学过的 {'、'.join(names[:SHOWN])}")
    if rows.empty:
        raise CourseError(
            f"{source} 没有一条能考：标签是 {found}，学过的是 {'、'.join(names[:SHOWN])}",
            "改成一样的；标签是数字的，加一列 label_text 写上名字",
        )
    data.show(rows.assign(split="test"), [name for name in names if name in set(rows.label)])
    return list(rows.text), [names.index(label) for label in rows.label]


class OwnData:
    """读进来的一份数据；读不了、认不出、没有一行能用，抛 CourseError

    rows 是一张表，一行一条：text、label（名字）、split（哪一份，不知道是空串）、place（第几行）；
    order 是标签的顺序。丢了什么、没有用什么，边读边记，`show` 打印。exam：当考卷，没有 train 也行。
    """

    def __init__(self, source: DataSource, exam: list[str] | None = None):
        self.source, self.path, self.exam = source, Path(source.path), exam
        self.title, self.columns, self.label, self.made = str(source.path), "", "", ""
        self.names: dict[str, str] = {}  # 文件自己写着的：数字 → 名字
        self.dropped: dict[str, list[str]] = {}  # 为什么丢 → 在哪里
        self.notes: list[str] = []
        if not self.path.is_dir():
            parts = [self.read_table(self.path)]
        elif (self.path / "dataset_dict.json").is_file() or (self.path / "state.json").is_file():
            parts = self.read_saved()
        else:
            parts = self.read_folder()
        rows = pd.concat(parts, ignore_index=True)
        self.read = len(rows) + sum(map(len, self.dropped.values()))
        self.rows = self.name_labels(self.drop_empty(rows))
        self.check_labels()

    # 记下来的

    def note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    def unused(self, files: list[Path]) -> None:
        if files:
            listed = "、".join(self.inside(file) for file in files[:6])
            self.note(f"没有用的文件 {len(files)} 个：{listed}{'……' * (len(files) > 6)}")

    def inside(self, file: Path) -> str:
        return file.relative_to(self.path).as_posix()

    def name(self, names: dict[str, str], where: str) -> None:
        """文件自己写着标签叫什么；几处写的不一样抛 CourseError"""
        for number, name in names.items():
            if self.names.setdefault(number, name) != name:
                raise CourseError(
                    f"标签 {number} 有两个名字：{self.names[number]}，{where}里是 {name}",
                    "改成一样的，或者删掉不对的那一处",
                )
        said = "，".join(f"{number} {name}" for number, name in list(names.items())[:SHOWN])
        self.note(f"标签的名字照{where}：{said}")

    def drop(self, rows: pd.DataFrame, wrong: pd.Series, reason: str) -> pd.DataFrame:
        """去掉 wrong 的那几行，记下为什么；返回剩下的"""
        if wrong.any():
            self.dropped.setdefault(reason, []).extend(rows.place[wrong])
        return rows[~wrong]

    def lost(self) -> list[str]:
        """每一种丢掉的：为什么，几行，头几个行号"""
        return [
            f"{reason} {len(places)} 行："
            + "、".join(places[:PLACES])
            + "……" * (len(places) > PLACES)
            for reason, places in self.dropped.items()
        ]

    def show(self, rows: pd.DataFrame, names: list[str]) -> None:
        lost = sum(map(len, self.dropped.values()))
        if len(rows) + lost != self.read:  # 有一行悄悄不见了
            raise RuntimeError(f"{self.read} rows read, {len(rows)} kept, {lost} dropped")
        print(f"数据：{self.title}\n  列    {self.columns}")
        print(f"  读到  {self.read} 行，留下 {len(rows)} 行，丢掉 {lost} 行")
        for line in self.lost():
            print(f"  丢掉  {line}")
        print(f"  类别  {len(names)} 类：")
        for i, name in enumerate(names[:SHOWN]):
            some = rows.text[rows.label == name]
            example = " ".join(some.iloc[0].split())
            example = example if len(example) <= 20 else f"{example[:20]}…"
            print(f"        {i} {name}  {len(some)} 条，如：{example}")
        if rest := names[SHOWN:]:
            print(f"        ……另有 {len(rest)} 类，{rows.label.isin(rest).sum()} 条")
        for note in self.notes:
            print(f"  注意  {note}")
        sizes = [(split, (rows.split == split).sum()) for split in SPLITS]
        sizes = "，".join(f"{split} {count} 条" for split, count in sizes if count)
        print(f"  分成  {sizes}{self.made}\n")

    # 读：文件、文件夹 → 几张表

    def read_table(self, file: Path, split: str = "") -> pd.DataFrame:
        """一个表格文件；行号和 Excel 左边的一样"""
        about, name = About(), "" if file == self.path else self.inside(file)
        frames = list(read_path(file, about, self.source.bare))
        if not frames:
            raise CourseError(f"{file} 是空的，一条评论也没有", "补上数据，再运行一次")
        if about.encoding not in ("", "UTF-8"):  # 认错了编码，从这里看得出来
            self.title += f"（{f'{name} 编码 {about.encoding}'.strip()}）"
        for note in about.notes:
            self.note(note)
        table = pd.concat(frames)
        table.index = [f"{name} 第 {number} 行".strip() for number in table.index]
        return self.two_columns(table, file, split, about.names)

    def two_columns(
        self, table: pd.DataFrame, file: Path, split: str, said: dict[str, list[str]]
    ) -> pd.DataFrame:
        """表里的评论和标签；index 是每一行在哪里，said 是文件写着的标签名字 {列: [名字, …]}"""
        (text, label), notes = find_columns(table.head(SAMPLED), file, self.source)
        check_flat(table[text], file, "text")
        check_flat(table[label], file, "label")
        again = (table[text] == text) & (table[label] == label)  # 几个文件接成的
        self.drop(table.index.to_frame(name="place"), again, "又是一行列名")
        table = table[~again]
        labels = [label_of(value, f"{file} {place}") for place, value in table[label].items()]
        rows = {"text": map(whole, table[text]), "label": labels, "split": split}
        rows = pd.DataFrame(rows | {"place": table.index}, index=table.index, dtype=object)
        unused = [column for column in table.columns if column not in (text, label)]
        for column in [c for c in unused if plain(c) in SPLIT_COLUMNS and not split]:
            parts = table[column].map(lambda value: split_of(cell(value)))
            if (parts != "").all():
                rows["split"], self.made = parts, f"（照列 {column} 分的）"
                unused.remove(column)
                break
            self.note(f"没有照列 {column} 分：有的行看不出是 train、validation 还是 test")
        for column in [c for c in unused if plain(c).startswith(plain(label))]:
            if names := twin_names(labels, [visible(cell(value)) for value in table[column]]):
                self.name(names, f"列 {column}")
                unused.remove(column)
        if label in said:
            self.name({str(number): name for number, name in enumerate(said[label])}, "文件写的")
        for note in notes:
            self.note(note)
        self.label = plain(label)
        columns = f"评论在「{text}」，标签在「{label}」"
        more = f"……一共 {len(unused)} 列" if len(unused) > 20 else ""
        columns += f"；没有用 {'、'.join(unused[:20])}{more}" if unused else ""
        self.columns = self.columns or columns
        if columns != self.columns:
            self.note(f"{file.name} 里{columns}")
        return rows

    def read_saved(self) -> list[pd.DataFrame]:
        """`save_to_disk` 存的一份或几份；标签带名字的，名字和顺序照旧"""
        from datasets import ClassLabel, Dataset, load_from_disk

        check_folder(self.path)
        saved, found = load_from_disk(str(self.path)), []
        for name, part in {"": saved}.items() if isinstance(saved, Dataset) else saved.items():
            if name and not split_of(name):
                self.note(f"{name} 这一份没有用（{len(part)} 行），只认 train、validation、test")
                continue
            said = {k: getattr(v, "feature", v) for k, v in part.features.items()}
            said = {k: v.names for k, v in said.items() if isinstance(v, ClassLabel)}
            places = [f"{name} 第 {i} 行".strip() for i in range(1, len(part) + 1)]
            table = pd.DataFrame(part.to_dict(), index=places, dtype=object)
            found.append(self.two_columns(table, self.path, split_of(name), said))
        return found

    def read_folder(self) -> list[pd.DataFrame]:
        """文件夹里的表格，或者一个标签一个文件夹的 txt"""
        files = [
            file
            for file in sorted(self.path.rglob("*"))
            if file.is_file() and file.stem.lower() not in OTHER
            if not re.search(r"(^|/)\.", self.inside(file))
        ]
        read = [file for file in files if file.suffix.lower() in FORMATS]
        tables = [file for file in read if file.suffix.lower() != ".txt"]
        known = set().union(*SPLITS.values())
        tables = tables or [file for file in read if file.stem.lower() in known]
        if tables:  # train.txt 这样的，一行里还分着列，也是
            return self.read_tables(tables, files)
        rows = []
        for file in read:
            *folders, label = file.relative_to(self.path).parts[:-1] or ("",)
            split = split_of(folders[0]) if folders else ""
            # pos/1.txt、train/pos/1.txt
            if label and not split_of(label) and len(folders) == bool(split):
                text = "\n".join(line for frame in read_path(file) for line in frame.text)
                rows.append((text, label, split, self.inside(file)))
        if not rows:
            raise CourseError(
                f"{self.path} 不是数据文件夹：没有 train 开头的表格，没有一个标签一个文件夹的 txt，"
                f"也不是 save_to_disk 存的；里面是 {'、'.join(map(self.inside, files[:3]))}",
                "标签的文件夹要正好在 --data 里面，文件叫 .txt；见 data/README.md；"
                "一类一个 txt（pos.txt、neg.txt，一行一条）的，先合成一个 CSV："
                'python -c "import pandas as pd, pathlib; pd.concat(pd.DataFrame({'
                "'text': [x.strip() for x in open(p, encoding='utf-8')], 'label': p.stem}) "
                f"for p in pathlib.Path(r'{self.path}').glob('*.txt'))"
                f".to_csv('all.csv', {TO_CSV}\"（是 GBK 的，utf-8 换成 gbk）",
            )
        self.columns = "一个 txt 是一条评论，它所在的文件夹的名字是标签"
        table = pd.DataFrame(rows, columns=["text", "label", "split", "place"], dtype=object)
        self.unused([file for file in files if self.inside(file) not in set(table.place)])
        return [table]

    def read_tables(self, tables: list[Path], files: list[Path]) -> list[pd.DataFrame]:
        """文件夹里的表格，按名字（或所在文件夹的名字）归到三份里"""
        named: dict[str, list[Path]] = {split: [] for split in SPLITS}
        for file in tables:
            parts = (file.stem, *file.relative_to(self.path).parts[:-1])
            if split := next(filter(None, map(split_of, parts)), ""):
                named[split].append(file)
        if len(tables) == 1 and not any(named.values()):
            self.unused([file for file in files if file != tables[0]])
            return [self.read_table(tables[0])]
        several = [s for s, some in named.items() if len({(f.parent, f.suffix) for f in some}) > 1]
        if several or not (named["train"] or (self.exam and named["test"])):
            listed = "、".join(map(self.inside, tables[:6])) + "……" * (len(tables) > 6)
            why = f"{several[0]} 有好几样" if several else "没有一个叫 train"
            raise CourseError(
                f"{self.path} 里的表格{why}：{listed}",
                "--data 给其中一个文件或文件夹；分好的三份叫 train、validation、test",
            )
        found, used = [], set()
        for split, some in named.items():
            if len(some) > 1:
                listed = "、".join(map(self.inside, some[:6])) + "……" * (len(some) > 6)
                self.note(f"{split} 由 {len(some)} 个文件接成：{listed}")
            for file in some:
                try:
                    found.append(self.read_table(file, split))
                    used.add(file)
                except UnknownColumns:
                    if split == "train":
                        raise
                    self.note(f"{file.name} 没有用：里面认不出标签那一列")
        self.unused([file for file in files if file not in used])
        return found

    # 标签

    def drop_empty(self, rows: pd.DataFrame) -> pd.DataFrame:
        """去掉评论或标签是空的；标签写着 NA 这样的，也是空的"""
        coded = (
            self.names and "-1" not in self.names
        )  # 标签带着名字，-1 没有：datasets 写的"没有标签"
        missing = MISSING if coded else MISSING - {"-1"}
        written = sorted(set(rows.label) & missing - {""})
        told = f"（写着 {'、'.join(written)} 的算空的）" if written else ""
        blank = rows.text.str.strip().isin(["", "\\N"])  # \\N 是 MySQL 的 NULL
        unlabelled = rows.label.isin(missing)
        for wrong, reason in (
            (blank & unlabelled, "整行是空的"),
            (blank & ~unlabelled, "评论是空的"),
            (~blank & unlabelled, f"标签是空的{told}"),
        ):
            rows = self.drop(rows, wrong[rows.index], reason)
        if rows.empty:
            raise CourseError(
                f"{self.path} 没有一行有评论又有标签：{'；'.join(self.lost() + self.notes)}",
                "补上数据，再运行一次",
            )
        return rows

    def name_labels(self, rows: pd.DataFrame) -> pd.DataFrame:
        """数字换成文件自己写着的名字；都没有写，0 和 1 就是 0 和 1"""
        found = set(rows.label)
        if not self.names and all(map(str.isdecimal, found)):
            self.names_beside(found)
        guessed = found == {"0", "1"} and self.label in SENTIMENT.split()
        if not self.names and guessed and not found <= set(self.exam or []):  # 学的就叫 0、1
            self.names = dict(zip("01", LABEL_NAMES, strict=True))
            self.note("文件没有写 0 和 1 叫什么，猜是负向和正向；反了就加一列 label_text，写上名字")
        rows = rows.assign(label=[self.names.get(label, label) for label in rows.label])
        self.order = [self.names[number] for number in sorted(self.names, key=order_of)]
        self.order += sorted(set(rows.label) - set(self.order), key=order_of)
        return rows

    def names_beside(self, found: set[str]) -> None:
        """写在旁边的 README.md、dataset_infos.json 里的名字：Hub 上下载的数据集这样写"""
        from datasets import ClassLabel
        from datasets.info import DatasetInfosDict

        for folder in (self.path, self.path.parent, self.path.parent.parent):
            card = folder / "README.md"
            written = card.is_file() and card.read_bytes().startswith(b"---")
            if not written and not (folder / "dataset_infos.json").is_file():
                continue
            try:
                infos = DatasetInfosDict.from_directory(folder)
            except Exception as error:  # 别人写的，坏法很多
                self.note(f"{card} 开头的设置读不懂（{type(error).__name__}），没有用它")
                continue
            said = {}
            for config, info in infos.items():
                for column, feature in (info.features or {}).items():
                    if plain(column) == self.label and isinstance(feature, ClassLabel):
                        said[config] = {str(i): name for i, name in enumerate(feature.names)}
            mine = [names for config, names in said.items() if config in self.path.parts]
            mine = mine or list(said.values())
            if mine and all(names == mine[0] for names in mine) and found <= mine[0].keys():
                self.name(mine[0], f" {folder.name} 的 README")
                return

    def check_labels(self) -> None:
        """像好几个标签写在一格里的、不像标签的，抛 CourseError；多半是一类写成两样的，只提醒"""
        counts = Counter(self.rows.label)
        for label in counts:
            parts = [part.strip() for part in re.split("[,，、;；|#]", label)]
            if len(parts) > 1 and all(part in counts for part in parts):
                label_of(parts, f"{self.path} {self.rows.place[self.rows.label == label].iloc[0]}")
        if len(counts) > 20 and len(counts) * 3 > counts.total():
            raise CourseError(
                f"{self.path} 的标签有 {len(counts)} 种，几乎一行一种，不像标签（{self.columns}）",
                "用 --label-column 换一列",
            )
        alike = [[name for name in counts if plain(name) in pole] for pole in POLES]
        for key in dict.fromkeys(map(plain, counts)):
            same = [name for name in counts if plain(name) == key]
            alike += [same] if not any(set(same) <= set(group) for group in alike) else []
        for group in alike:
            if len(group) > 1:
                self.note(
                    f"{' 和 '.join(group)} 像是同一类，这里当 {len(group)} 类；"
                    "是一类就先在文件里改成一样的"
                )


def twin_names(labels: list[str], words: list[str]) -> dict[str, str]:
    """label_text 这样的一列：数字标签 → 名字；不一一对应、有空的、名字也是数字的，不算，返回空的"""
    pairs = set(zip(labels, words, strict=True))
    unnamed = {number for number, name in pairs if name in MISSING}
    pairs = {(number, name) for number, name in pairs if name not in MISSING}
    numbers, names = {number for number, _ in pairs}, {name for _, name in pairs}
    fits = len(pairs) == len(numbers) == len(names) and unnamed <= MISSING | numbers
    digits = all(re.fullmatch(r"-?\d+", number) for number in numbers)
    words = not any(re.fullmatch(r"[-+.\d]+", name) for name in names)
    return dict(sorted(pairs)) if fits and digits and words else {}


def label_of(value: object, where: str) -> str:
    """一格 → 标签：文件里写的那几个字，只有 1.0 是 1；[好评] 是好评，好几个标签的抛 CourseError"""
    text = visible(cell(value))
    if isinstance(value, str) and text.startswith(("[", '{"choices"')):
        with suppress(ValueError, SyntaxError):
            value = ast.literal_eval(text)  # doccano、pandas、Label Studio 把列表写成文字
    if isinstance(value, dict):
        value = value.get("choices", [])
    if isinstance(value, list):
        if value and not isinstance(value[0], str | int | float):
            raise CourseError(
                f"{where}的标签是一段一段的标注：{text[:40]}；这里一条评论一个标签",
                "换成整条的标签",
            )
        if len(value) > 1:
            raise CourseError(
                f"{where}有 {len(value)} 个标签：{text[:40]}；这里一条评论只有一个标签",
                "每条留一个标签，或者一个标签做一个文件：有它的写 1，没有的写 0",
            )
        return label_of(value[0], where) if value else ""
    return re.sub(r"^(-?\d+)\.0+$", r"\1", text)


def order_of(name: str) -> tuple:
    """排编号用：负向、中性、正向；别的里面，数按大小排，10 在 9 后面"""
    for i, pole in enumerate(POLES):
        if plain(name) in pole:
            return (0, "", i, name)
    if re.fullmatch(r"-?\d+(\.\d+)?", name):
        return (1, "", float(name), name)
    number = re.fullmatch(r"(\D*)(\d+)(\D*)", name)  # 1星、2星、10星，类1、类2、类10
    return (2, number[1], float(number[2]), name) if number else (2, name, 0.0, name)


def split_of(name: str) -> str:
    """文件、文件夹、一格的名字属于哪一份：train-00000-of-00001 是 train；看不出是空字符串"""
    words = set(re.split(r"[-_. ]", name.lower()))
    found = [split for split, names in SPLITS.items() if words & names]
    return found[0] if len(found) == 1 else ""


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


# 切分


def one_of_each(rows: pd.DataFrame, data: OwnData) -> pd.DataFrame:
    """同一条评论只留第一次出现的；有两种标签的，一条也不留；多出一列 key，见 review_key"""
    rows = rows if "key" in rows else rows.assign(key=[review_key(text) for text in rows.text])
    labels = rows.groupby("key").label.transform("nunique")
    rows = data.drop(rows, labels > 1, "同一条评论有两种标签")
    return data.drop(rows, rows.duplicated("key"), "重复")


def cut(rows: pd.DataFrame, parts: list[str]) -> pd.DataFrame:
    """切出 parts 里的几份，各占十分之一，剩下的是 train；各份里每一类的比例相同

    谁去哪一份由文本的 SHA-256 决定：换了行的顺序、再加几行，别的行还在原来那一份。
    """
    hashes = rows.key.map(lambda key: hashlib.sha256(key.encode("utf-8", "replace")).digest())
    rows = rows.loc[hashes.sort_values().index]
    sizes = (rows.groupby("label").key.transform("size") / PARTS).round().clip(lower=1)
    which = rows.groupby("label").cumcount() // sizes
    return rows.assign(split=which.map(dict(enumerate(parts))).fillna("train"))


def make_splits(data: OwnData) -> pd.DataFrame:
    """给了几份就用几份，缺的从 train（或唯一的那一份）里切；返回的表 split 都填好了"""
    rows = data.rows.assign(split=data.rows.split.replace("", "train"))
    rows["key"] = [review_key(text) for text in rows.text]
    train, validation, test = (rows[rows.split == split] for split in SPLITS)
    train = one_of_each(train, data)
    exams = set(validation.key) | set(test.key)
    train = data.drop(train, train.key.isin(exams), "train 里的也在 validation、test 里")
    same = validation.key.isin(set(test.key))
    validation = data.drop(validation, same, "validation 里的也在 test 里")
    given = [part for part in (validation, test) if len(part)]
    if not given:
        counts = train.groupby("label").key.transform("size")
        rare = train.label[counts < PARTS].value_counts()
        listed = "、".join(f"「{name}」{count} 行" for name, count in rare[:PLACES].items())
        listed += f"……一共 {len(rare)} 类" if len(rare) > PLACES else ""
        train = data.drop(train, counts < PARTS, f"不到 {PARTS} 行的类，切不成三份（{listed}）")
    if train.label.nunique() < 2:
        raise few_classes(train, data)
    needed = [name for name, part in (("validation", validation), ("test", test)) if part.empty]
    if needed:
        train = cut(train, needed)
        data.made = f"（{needed[0]} 是从 train 里切出来的十分之一）"
        if len(needed) == 2:
            data.made = "（按 8 : 1 : 1 切的，各份里每一类的比例相同）"
    known = set(train.label)
    for i, part in enumerate(given):
        split = part.split.iloc[0]
        for label in sorted(set(part.label) - known):
            part = data.drop(part, part.label == label, f"{split} 里的标签 {label} 不在 train 里")
        if part.empty:
            why = f"{data.path} 的 {split} 一条能用的也没有。丢掉的：{'；'.join(data.lost())}"
            raise CourseError(why, "补上数据、标签改成和 train 一样的，或删掉这一份")
        given[i] = part
        if missing := [name for name in data.order if name in known - set(part.label)]:
            data.note(f"{split} 里没有 {'、'.join(missing[:SHOWN])}，考不到")
    return pd.concat([train, *given])


def few_classes(train: pd.DataFrame, data: OwnData) -> CourseError:
    """剩下不到两类时，说清楚是怎么少掉的"""
    lost = f"丢掉的：{'；'.join(data.lost())[:300]}" if data.dropped else ""
    if len(data.order) == 1:
        only = f"{data.path} 只有一种标签 {data.order[0]}，学不出区别。{lost}"
        return CourseError(only, "补上另一种标签的评论")
    return CourseError(
        f"{data.path} 只剩 {train.label.nunique()} 种够用的标签，要有两种（每种至少 {PARTS} 条）。"
        f"{lost}。{'；'.join(data.notes)}",
        "每种标签补到十条以上；已经分好的，放进一个文件夹，叫 train、validation、test",
    )
