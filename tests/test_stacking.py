"""extra_stacking.py: the third model learns from judgements by models that never saw the review"""

import csv
import re

import numpy as np
import pytest
from conftest import rows_of, run_here, run_script, write_csv

from backstage.stacked import Stacked
from course.baseline import tfidf_baseline
from course.errors import CourseError
from extra_stacking import guesses, learn

STACKING = "demo02_sentiment/extra_stacking.py"


def test_memory_is_not_trusted():
    """Features that only name the review are perfect on what was learned and worth nothing else"""
    rng = np.random.default_rng(0)
    labels = np.array([0, 1] * 60)
    texts = ["好" * (1 + label) + "一二三四五六七八九十"[i % 10] for i, label in enumerate(labels)]
    memory = rng.normal(size=(120, 400))  # more columns than reviews: any labels can be learned
    models, trust = learn(texts, memory, labels, seed=0)
    found = guesses(models, texts, rng.normal(size=(120, 400)))
    assert (found["叠起来"] == labels).all() and trust < 0.2


@pytest.fixture(scope="module")
def stacked(repo, mini_bert, mini_data, tmp_path_factory):
    """The folder with stacking.npz, and what was printed"""
    out = tmp_path_factory.mktemp("stacking")
    arguments = ("--model", mini_bert, "--data", mini_data, "--seeds", 2, "--params", out)
    done = run_script(repo, STACKING, *arguments)
    assert done.returncode == 0, done.stderr
    return out, done.stdout


def test_the_table(stacked, mini_data):
    cell = r" +([\d.]+)(?: ± [\d.]+)?"
    rows = re.findall(rf"^(\d+){cell * 3} +([+-][\d.]+) +([\d.]+)$", stacked[1], re.MULTILINE)
    assert [int(row[0]) for row in rows] == [200, 400]
    for _, words, frozen, both, gain, trust in rows:
        assert abs(float(both) - max(float(words), float(frozen)) - float(gain)) < 0.11
        assert 0 <= float(trust) <= 10
    splits = rows_of(mini_data)
    (train, labels), (texts, answers) = (
        map(list, zip(*splits[name], strict=True)) for name in ("train", "validation")
    )
    whole = tfidf_baseline(train, labels).score(texts, answers)
    assert abs(float(rows[-1][1]) - 100 * whole) < 0.06


def test_a_file_gets_the_marks_of_the_exam(repo, stacked, mini_data, tmp_path):
    """What was saved is what was examined: scaling folded in, vocabulary in its order"""
    folder, printed = stacked
    out = tmp_path / "out.csv"
    asked = ("--file", mini_data / "validation.csv", "--out", out, "--params", folder)
    done = run_script(repo, STACKING, *asked)
    assert done.returncode == 0, done.stderr
    with out.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    right = sum(row["predicted_label"] == row["label_text"] for row in rows)
    assert re.search(rf"^ *{right}/100 .* 叠起来$", printed, re.MULTILINE)
    sentence = run_script(repo, STACKING, rows[0]["text"], "--params", folder)
    p = max(float(rows[0]["p_负向"]), float(rows[0]["p_正向"]))
    assert sentence.stdout.startswith(f"{rows[0]['predicted_label']}  {p:.1%}（TF-IDF ")


def test_a_file_that_is_none_of_ours_is_refused_and_never_run(stacked, tmp_path):
    whole = (stacked[0] / "stacking.npz").read_bytes()
    bad = tmp_path / "stacking.npz"
    with pytest.raises(CourseError, match="还没有学过"):
        Stacked(bad)
    for content in (whole[: len(whole) // 2], b"", b"PK"):
        bad.write_bytes(content)
        with pytest.raises(CourseError, match="坏了"):
            Stacked(bad)
    mark = tmp_path / "it ran"

    class Trap:
        def __reduce__(self):
            return open, (str(mark), "w")

    np.savez(bad, record=np.array([Trap()], dtype=object))
    with pytest.raises(CourseError, match="坏了"):
        Stacked(bad)
    assert not mark.exists()


def test_three_classes_and_a_class_too_small(monkeypatch, capsys, mini_bert, splits, tmp_path):
    for name in ("train", "validation", "test"):
        rows = [(text, "甲乙丙"[i % 3]) for i, (text, _) in enumerate(splits[name][:60])]
        write_csv(tmp_path / "three" / f"{name}.csv", rows)
        rows.append((f"只有一条的一类，{name} 里的", "丁"))
        write_csv(tmp_path / "few" / f"{name}.csv", rows)
    arguments = ("--model", mini_bert, "--seeds", 1, "--params", tmp_path, "--data")
    code, output = run_here(monkeypatch, capsys, STACKING, *arguments, tmp_path / "three")
    assert code == 0 and re.search(r"^60 ", output, re.MULTILINE)
    code, _ = run_here(monkeypatch, capsys, STACKING, *arguments, tmp_path / "few")
    assert "有一类不到 3 条" in str(code)


@pytest.mark.parametrize("words", ["好差", "好差问"])
def test_a_class_with_one_row_in_a_draw(monkeypatch, capsys, mini_bert, tmp_path, words):
    """Two classes left: cross_val_predict raises; three: it writes -1.8e308, one class wins all"""
    for name, size, few in (("train", 1000, 5), ("validation", 60, 3), ("test", 60, 3)):
        names = ["中"] * few + [words[i % len(words)] for i in range(size)]
        rows = [(f"{word * 3}{name}{i}", word) for i, word in enumerate(names)]
        write_csv(tmp_path / "skewed" / f"{name}.csv", rows)
    arguments = ("--model", mini_bert, "--seeds", 1, "--params", tmp_path, "--data")
    code, output = run_here(monkeypatch, capsys, STACKING, *arguments, tmp_path / "skewed")
    assert code == 0 and "标签 200 条：抽到的里有一类不到 3 条" in output, output
    rows = re.findall(r"^(\d+) +100\.0 +[\d.]+ +([\d.]+) ", output, re.MULTILINE)
    assert rows == [("1000", "100.0"), ("1005", "100.0")], output
