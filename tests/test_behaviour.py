"""extra_behaviour.py: what counts as done, balanced reviews, rows and weights that do not fit"""

import csv
import shutil

import numpy as np
import pytest
from conftest import run_here

from backstage import behaviour
from course.errors import CourseError
from extra_behaviour import NAMES, RULES, balanced, take

BEHAVIOUR = "demo02_sentiment/extra_behaviour.py"
SAYS = {"好": 0.9, "还好": 0.6, "差": 0.2, "极差": 0.1, " ": 0.5}


@pytest.mark.parametrize(
    ("expect", "label", "text", "other", "done"),
    [
        ("判对", "正向", "好", "", True),
        ("判对", "负向", "好", "", False),
        ("反过来", "正向", "好", "差", True),
        ("反过来", "正向", "差", "好", False),  # it moves, the wrong way round
        ("反过来", "负向", "差", "极差", False),
        ("不变", "负向", "好", "还好", True),  # alike, though wrong
        ("不变", "正向", "还好", "差", False),
        ("更肯定", "负向", "差", "极差", True),
        ("更肯定", "正向", "好", "还好", False),
    ],
)
def test_what_counts_as_done(expect, label, text, other, done):
    row = {"expect": expect, "label": label, "text": text, "other": other}
    margins, p = take([row], lambda texts: np.array([SAYS[text] for text in texts]))
    assert (margins[0] > 0) == done and p.tolist() == [[SAYS[text], SAYS[other or " "]]]


def test_every_length_keeps_as_many_of_both_with_and_without_book():
    lengths, labels = np.array([20] * 6 + [50, 200, 200]), np.array([0, 0, 1, 0, 0, 1, 1, 0, 1])
    books = np.array([1, 1, 1, 0, 0, 0, 1, 0, 1], dtype=bool)
    assert sorted(balanced(lengths, books, labels)) == [0, 2, 3, 5]


def test_a_row_or_weights_that_do_not_fit(monkeypatch, capsys, tmp_path, topics):
    sentences = behaviour.read_sentences(RULES, NAMES)
    assert len({(row["text"], row["other"]) for row in sentences}) == len(sentences)
    changed = tmp_path / "behaviour.csv"
    shutil.copy(behaviour.SENTENCES, changed)
    with changed.open("a", encoding="utf-8", newline="") as file:
        csv.writer(file).writerow(["否定", "反过来", "正向", "很好", ""])
    monkeypatch.setattr(behaviour, "SENTENCES", changed)
    with pytest.raises(CourseError, match=rf"第 {len(sentences) + 2} 行"):
        behaviour.read_sentences(RULES, NAMES)
    monkeypatch.undo()
    code, _ = run_here(monkeypatch, capsys, BEHAVIOUR, "--weights", topics / "best.pth")
    assert "分的是" in str(code) and "--weights" in str(code)
