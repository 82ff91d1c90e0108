"""A learner's own data: tables and folders of every shape, and the report that is printed first"""

import json
import re
import shutil
from collections import Counter
from pathlib import Path

import pandas as pd
import pyarrow
import pytest
from conftest import reviews_of, rows_of, write_csv
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from pyarrow import parquet

from course.cleaning import review_key
from course.columns import DataSource, find_columns
from course.errors import CourseError
from course.own_data import label_of, order_of
from course.reviews import to_splits

SIZES = ("train", "validation", "test")
REVIEWS = [(f"第{i}条评论{'好' * (i % 7)}", i % 2) for i in range(200)]


def names(data: DatasetDict) -> list[str]:
    return data["train"].features["label"].names


def sizes(data: DatasetDict) -> list[int]:
    return [len(data[split]) for split in SIZES]


def table(path: Path, header: str, rows: list[tuple], separator: str = ",") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [header, *(separator.join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


# columns


@pytest.mark.parametrize(
    ("header", "text", "label"),
    [
        ("review,sentiment", "review", "sentiment"),
        ("标签,评论", "评论", "标签"),
        (" Text , LABEL ", " Text ", " LABEL "),
        ("id,ＣＯＮＴＥＮＴ,类别,date", "ＣＯＮＴＥＮＴ", "类别"),
        ("text,label,content,cat", "text", "label"),  # the course's own names come first
    ],
)
def test_columns_are_found_by_their_usual_names(header, text, label):
    table = pd.DataFrame([["很好"] * header.count(",") + ["1"]], columns=header.split(","))
    found, notes = find_columns(table, Path("a.csv"), DataSource())
    assert found == [text, label]
    assert len(notes) == (2 if "cat" in header else 0)  # the other candidates are named


@pytest.mark.parametrize(
    ("header", "row", "problem", "next_step"),
    [
        ("cat,review,sentiment", "书,好,1", "都像标签：cat、sentiment", '--label-column "cat"'),
        ("甲,乙", "很好很好很好,1", "现有的列是 甲、乙", '--text-column "甲" --label-column "乙"'),
        ("甲,乙", "1,很好很好很好", "现有的列是 甲、乙", '--text-column "乙" --label-column "甲"'),
        ("review,乙", "很好,1", "认不出哪一列是标签", '--text-column "review" --label-column "乙"'),
        ("编号,话,好不好", "1,很好,1", "现有的列是 编号、话、好不好", "--text-column"),
        ("text", "很好", "只有一列 text", "pos/*.txt"),
        (
            "很好用,1",
            "不好用,0",
            "没有列名，第一行就是数据：很好用，1",
            "--text-column 第1列 --label-column 第2列",
        ),
        ("好评,好得很", "好评,真不错", "没有列名，第一行就是数据", "--text-column 第2列"),
    ],
)
def test_columns_that_are_not_clear_are_asked_for(tmp_path, header, row, problem, next_step):
    path = table(tmp_path / "a.csv", header, [row.split(",")])
    with pytest.raises(CourseError) as caught:
        reviews_of(path)
    assert problem in caught.value.problem and next_step in caught.value.next_step


def test_columns_are_given(tmp_path):
    path = table(tmp_path / "a.csv", "cat,话,label", [("书", text, y) for text, y in REVIEWS])
    data = reviews_of(DataSource(path, "话", "LABEL "))
    assert {text for split in data.values() for text in split["text"]} == dict(REVIEWS).keys()
    with pytest.raises(CourseError, match=r"没有列 没有，现有的列是 cat、话、label"):
        reviews_of(DataSource(path, "没有"))


# labels


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 1.0], ["0", "1"]),
        (["1.00", " -1 ", "1.5"], ["-1", "1", "1.5"]),
        (["0111", "0112", "111"], ["0111", "111", "0112"]),  # codes, not numbers
        (["好评\u200b", "好评", " 好评\ufeff"], ["好评"]),
        ([["正面"], "['正面']", []], ["正面", ""]),
        ([True, False], ["false", "true"]),
        (["好评", "差评"], ["差评", "好评"]),  # the page draws the first of two as the bad one
        (["positive", "neutral", "Negative"], ["Negative", "neutral", "positive"]),
        (["10", "9", "2.5"], ["2.5", "9", "10"]),
        (["10星", "1星", "2星"], ["1星", "2星", "10星"]),
        (["体育", "财经"], ["体育", "财经"]),
        ([float("nan"), None, "  ", "a"], ["", "a"]),
    ],
)
def test_names_of_labels_and_their_order(values, expected):
    assert sorted({label_of(value, "") for value in values}, key=order_of) == expected


@pytest.mark.parametrize(
    ("labels", "shown"),
    [
        (("0.0", "1.0"), ["0", "1"]),
        (("-1", "1"), ["-1", "1"]),
        (("负", "正"), ["负", "正"]),
    ],
)
def test_labels_keep_the_words_of_the_file(tmp_path, capsys, labels, shown):
    rows = [(text, labels[y]) for text, y in REVIEWS]
    data = reviews_of(write_csv(tmp_path / "a.csv", rows))
    assert names(data) == shown
    got = dict(row for rows in to_splits(data).values() for row in rows)
    assert got == dict(REVIEWS)  # and the first of them is class 0
    assert f"0 {shown[0]}  100 条" in capsys.readouterr().out


def test_two_words_for_one_class_are_doubted_not_merged(tmp_path, capsys):
    words = ["好评", "差评", "正面", "差评"]
    rows = [(text, words[i % 4]) for i, (text, _) in enumerate(REVIEWS)]
    assert len(names(reviews_of(write_csv(tmp_path / "a.csv", rows)))) == 3
    assert "好评 和 正面 像是同一类" in capsys.readouterr().out
    rows = [(text, word.replace("差评", "A").replace("正面", "a")) for text, word in rows]
    reviews_of(write_csv(tmp_path / "a.csv", rows))
    assert "A 和 a 像是同一类" in capsys.readouterr().out


# the report: nothing disappears without a word


def test_every_dropped_row_is_counted_and_the_first_are_named(tmp_path, capsys):
    rows = [*REVIEWS, ("", 1), ("没有标签", ""), ("", ""), (f" {REVIEWS[7][0]}", 1)]
    rows += [
        (REVIEWS[0][0], 1),
        ("太少", 5),
        ("太少了", 5),
        *[(text, 1) for text, _ in REVIEWS[1::2]],
    ]
    data = reviews_of(write_csv(tmp_path / "a.csv", rows, "gb18030"))
    out = capsys.readouterr().out
    for line in (
        f"数据：{tmp_path / 'a.csv'}（编码 GBK）",
        "列    评论在「text」，标签在「label」",
        "读到  307 行，留下 199 行，丢掉 108 行",
        "评论是空的 1 行：第 202 行",
        "标签是空的 1 行：第 203 行",
        "整行是空的 1 行：第 204 行",
        "重复 101 行：第 205 行、第 209 行、第 210 行、第 211 行、第 212 行……",
        "同一条评论有两种标签 2 行：第 2 行、第 206 行",
        "不到 10 行的类，切不成三份（「5」2 行） 2 行：第 207 行、第 208 行",
        "1 1  100 条，如：",
    ):
        assert line in out, line
    dropped = sum(int(n) for n in re.findall(r"丢掉  .*? (\d+) 行：", out))
    assert dropped == len(rows) - sum(sizes(data))


def test_many_classes_take_ten_lines_and_lop_sided_ones_are_named(tmp_path, capsys):
    rows = [(f"评论{i}和{j}", f"类{i}") for i in range(13) for j in range(10 if i else 90)]
    data = reviews_of(write_csv(tmp_path / "a.csv", rows))
    out = capsys.readouterr().out
    assert len(names(data)) == 13 and out.count(" 条，如：") == 10
    assert "……另有 3 类，30 条" in out
    assert "类0 的条数是 类" in out and "9 倍" in out and "--class-weight balanced" in out


# splits


def check_splits(data: DatasetDict) -> None:
    """No text stands twice, in whatever punctuation; every class keeps its share everywhere"""
    keys = [review_key(text) for split in data.values() for text in split["text"]]
    assert len(keys) == len(set(keys))
    for split in data.values():
        counts = Counter(split["label"])
        assert max(counts.values()) - min(counts.values()) <= 1


def test_one_table_is_split_the_same_in_whatever_order_its_rows_stand(tmp_path):
    rows = [(f"第{i}条评论{'好' * (i % 7)}", f"类{i % 3}") for i in range(300)]
    data = reviews_of(write_csv(tmp_path / "mine.csv", rows + rows))  # every row twice
    assert names(data) == ["类0", "类1", "类2"] and sizes(data) == [240, 30, 30]
    check_splits(data)
    again = reviews_of(write_csv(tmp_path / "again.csv", rows[::-1]))
    assert to_splits(again) == to_splits(data)


def test_short_reviews_and_reviews_without_a_letter_are_kept(tmp_path):
    rows = [("👍" * (i + 1), 1) if i % 2 else (f"差{i}", 0) for i in range(60)]
    assert sum(sizes(reviews_of(write_csv(tmp_path / "a.csv", rows)))) == 60


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"train.csv": (0, 150), "dev.csv": (150, 170), "test.csv": (170, 200)}, [150, 20, 30]),
        ({"Train_set.csv": (0, 160), "test.csv": (160, 200)}, [144, 16, 40]),
        ({"my-train.csv": (0, 160), "验证集.csv": (160, 200)}, [144, 40, 16]),
        ({"train.csv": (0, 200)}, [160, 20, 20]),
        ({"酒店.csv": (0, 200)}, [160, 20, 20]),
        (
            {
                "data/train-00000-of-00002.csv": (0, 80),
                "data/train-00001-of-00002.csv": (80, 160),
                "data/test-00000-of-00001.csv": (160, 200),
            },
            [144, 16, 40],
        ),
        ({"train/0000.csv": (0, 160), "validation/0000.csv": (160, 200)}, [144, 40, 16]),
    ],
)
def test_a_folder_of_tables_in_which_splits_may_be_missing(tmp_path, files, expected):
    for name, (start, end) in files.items():
        write_csv(tmp_path / name, REVIEWS[start:end])
    (tmp_path / "README.md").write_text("a card", encoding="utf-8")
    data = reviews_of(tmp_path)
    assert sizes(data) == expected
    check_splits(data)


def test_a_given_split_comes_back_unchanged(tmp_path):
    rows = [("null", 0), ('他说："好", 真的', 1), ("NA", 0), ("两行\n评论", 1), ("A\r\nB", 0)]
    given = {split: [(f"{split} {text}", y) for text, y in rows] for split in SIZES}
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "gb18030"):
        for split in SIZES:
            write_csv(tmp_path / f"{split}.csv", given[split], encoding)
        assert rows_of(tmp_path) == given


def test_integer_classes_of_given_splits_keep_their_order(tmp_path):
    given = {split: [(f"{split}{i}", i % 11) for i in range(33)] for split in SIZES}
    for split in SIZES:
        write_csv(tmp_path / f"{split}.csv", given[split])
    assert rows_of(tmp_path) == given


def test_a_text_that_stands_in_two_given_splits_leaves_the_one_that_teaches(tmp_path, capsys):
    write_csv(tmp_path / "train.csv", REVIEWS[:120])
    write_csv(tmp_path / "val.csv", [(f"{text} ", y) for text, y in REVIEWS[100:160]])
    write_csv(tmp_path / "test.csv", [*REVIEWS[150:], ("没见过的类", 7)])
    data = reviews_of(tmp_path)
    out = capsys.readouterr().out
    assert sizes(data) == [100, 50, 50]
    check_splits(data)
    assert "train 里的也在 validation、test 里 20 行：train.csv 第 102 行" in out
    assert "validation 里的也在 test 里 10 行：val.csv 第 52 行" in out
    assert "test 里的标签 7 不在 train 里 1 行：test.csv 第 52 行" in out


def test_a_test_file_without_labels_is_replaced_and_named(tmp_path, capsys):
    write_csv(tmp_path / "train.csv", REVIEWS)
    table(tmp_path / "test.csv", "id,text", [(1, "不知道")])
    assert sizes(reviews_of(tmp_path)) == [160, 20, 20]
    assert "test.csv 没有用" in capsys.readouterr().out


@pytest.mark.parametrize("splits", [False, True])
def test_one_txt_per_review_in_a_folder_per_label(tmp_path, splits):
    for i, (text, y) in enumerate(REVIEWS):
        split = ("train" if i < 160 else "test") if splits else ""
        path = tmp_path / split / ("neg", "pos")[y] / f"{i}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n第二行\n", encoding="gb18030" if i % 2 else "utf-8")
    data = reviews_of(tmp_path)
    assert names(data) == ["neg", "pos"] and sizes(data) == (
        [144, 16, 40] if splits else [160, 20, 20]
    )
    assert set(data["test"]["text"]) <= {f"{text}\n第二行" for text, _ in REVIEWS}


def test_saved_to_disk_with_other_columns(tmp_path, capsys):
    features = Features({"review": Value("string"), "类别": ClassLabel(names=["好", "差", "没有"])})
    columns = {"review": [text for text, _ in REVIEWS], "类别": [y for _, y in REVIEWS]}
    whole = Dataset.from_dict(columns, features=features)
    whole.save_to_disk(str(tmp_path / "one"))
    assert sizes(reviews_of(tmp_path / "one")) == [160, 20, 20]
    unlabelled = Dataset.from_dict({"review": ["?"], "类别": [-1]}, features=features)
    parts = {"train": whole, "test": unlabelled, "unsupervised": whole}
    DatasetDict(parts).save_to_disk(str(tmp_path / "many"))
    data = reviews_of(tmp_path / "many")
    out = capsys.readouterr().out
    assert names(data) == ["好", "差"]  # its own order, without the class of which there is nothing
    assert (
        sizes(data) == [160, 20, 20] and "标签是空的（写着 -1 的算空的） 1 行：test 第 1 行" in out
    )
    assert "unsupervised 这一份没有用（200 行）" in out
    for arrow in (tmp_path / "one").glob("*.arrow"):
        arrow.write_bytes(arrow.read_bytes()[:100])
    with pytest.raises(CourseError, match="多半没有拷全"):
        reviews_of(tmp_path / "one")


def test_other_tables_are_read_like_a_csv(tmp_path):
    rows = [(f"第{i}条评论", i % 2) for i in range(40)]
    expected = rows_of(write_csv(tmp_path / "mine.csv", rows))
    lines = [json.dumps({"text": text, "label": label}) for text, label in rows]
    (tmp_path / "mine.jsonl").write_text("\n\n".join(lines), encoding="utf-8")
    parquet.write_table(
        pyarrow.table({"label": [float(y) for _, y in rows], "text": [text for text, _ in rows]}),
        tmp_path / "mine.parquet",
    )
    # as Excel leaves it: two more columns without a name, rows without anything in them
    excel = ["text\tlabel\t\t", *(f"{text}\t{label}" for text, label in rows), "", "\t\t\t", ""]
    (tmp_path / "mine.tsv").write_text("\n".join(excel), encoding="gb18030")
    for suffix in ("jsonl", "parquet", "tsv"):
        assert rows_of(tmp_path / f"mine.{suffix}") == expected, suffix


# what cannot be used


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "是空的"),
        ("text,label\n好,1\n好,吃,1\n", "第 3 行有 3 格"),
        ('text,label\n"两\n行",1\n"好,1\n', "第 3 行前后读不通"),
        ("text,label\n", "是空的"),
        ("text,label\n好,\n", "没有一行有评论又有标签"),
        ("text,label\n好,1\n坏,0\n,0\n", "评论是空的 1 行：第 4 行.*「1」1 行、「0」1 行"),
        ("text,label\n" + "".join(f"第{i}条,1\n" for i in range(50)), "只有一种标签"),
        (
            "text,label\n" + "".join(f"好{i % 2},第{i}条\n" for i in range(50)),
            "几乎一行一种，不像标签",
        ),
    ],
)
def test_bad_tables_say_what_is_wrong(tmp_path, content, message):
    path = tmp_path / "bad.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(CourseError, match=message):
        reviews_of(path)


def test_bad_folders_say_what_is_wrong(tmp_path):
    with pytest.raises(CourseError, match="不是数据文件夹"):
        reviews_of(tmp_path)
    with pytest.raises(CourseError, match="找不到数据"):
        reviews_of(tmp_path / "nowhere")
    lines = [f"{text}\t{y}" for text, y in REVIEWS]
    (tmp_path / "lines.txt").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(CourseError, match="每行用 Tab 分成 2 段"):
        reviews_of(tmp_path / "lines.txt")
    write_csv(tmp_path / "a.csv", REVIEWS)
    write_csv(tmp_path / "b.csv", REVIEWS)
    with pytest.raises(CourseError, match=r"没有一个叫 train：a\.csv、b\.csv"):
        reviews_of(tmp_path)
    shutil.copy(tmp_path / "a.csv", tmp_path / "train.csv")
    write_csv(tmp_path / "config" / "train.csv", REVIEWS)
    with pytest.raises(CourseError, match="train 有好几样"):
        reviews_of(tmp_path)
    write_csv(tmp_path / "given" / "train.csv", REVIEWS)
    write_csv(tmp_path / "given" / "test.csv", [("没见过的类", 7)])
    with pytest.raises(CourseError, match="given 的 test 一条能用的也没有"):
        reviews_of(tmp_path / "given")
