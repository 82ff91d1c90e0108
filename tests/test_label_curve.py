"""12_label_curve.py: proportional, nested subsets; scores that resume; the printed lead"""

import json
import re

import numpy as np
import pytest
from conftest import SMALL, TINY, lesson, make_bert, rows_of, run_here, run_script, write_csv
from matplotlib import image

from backstage import probe
from backstage.curves import finetuned, read_notes
from backstage.probe import subset
from course.baseline import tfidf_baseline
from my_dataset import MyDataset

CURVE = "demo02_sentiment/12_label_curve.py"


def test_subsets_are_proportional_nested_and_different_from_seed_to_seed():
    labels = np.array([0] * 300 + [1] * 90 + [2] * 10)
    small, large = subset(labels, 40, 0), subset(labels, 200, 0)
    assert len(set(small)) == 40 and set(small) < set(large) and len(set(large)) == 200
    # each class in its own proportion; a rare one is there from the start
    assert np.bincount(labels[small]).tolist() == [30, 9, 1]
    assert np.bincount(labels[large]).tolist() == [150, 45, 5]
    assert np.bincount(labels[subset(labels, 3, 1)]).tolist() == [1, 1, 1]
    halves = np.array([0, 1] * 50)
    assert np.bincount(halves[subset(halves, 20, 2)]).tolist() == [10, 10]
    assert set(subset(labels, 40, 1)) != set(small)
    assert sorted(subset(labels, 400, 3)) == list(range(400))


def test_the_lesson_and_the_extras_regularize_alike():
    assert lesson("12_label_curve").C == probe.C


@pytest.mark.slow
def test_table_picture_and_resume(repo, mini_data, tmp_path):
    flags = ("--model", TINY, "--data", mini_data, "--params", tmp_path, "--subsets", 2)
    first = run_script(repo, CURVE, *flags)
    assert first.returncode == 0, first.stderr
    cell = r" +([\d.]+)(?: ± [\d.]+)?"  # all labels: one draw, no spread
    lead = r" +([+-][\d.]+) ± [\d.]+"
    rows = re.findall(rf"^(\d+){3 * cell}{lead}$", first.stdout, re.MULTILINE)
    assert [int(row[0]) for row in rows] == [20, 50, 100, 200, 400]
    for _, words, _, frozen, lead in rows:
        assert abs(float(frozen) - float(words) - float(lead)) < 0.11  # each is rounded
    splits = rows_of(mini_data)
    (train, labels), (texts, answers) = (
        map(list, zip(*splits[name], strict=True)) for name in ("train", "validation")
    )
    whole = tfidf_baseline(train, labels).score(texts, answers)
    assert abs(float(rows[-1][1]) - 100 * whole) < 0.06  # all labels: nothing is drawn
    # pretraining is worth more than the same network without it, by far more than the spread
    assert np.mean([float(row[3]) - float(row[2]) for row in rows]) > 5
    assert image.imread(tmp_path / "label_curve.png").shape[0] > 300

    notes = tmp_path / "label_curve.json"
    done = json.loads(notes.read_text(encoding="utf-8"))
    assert len(done) == 3 * (4 * 2 + 1)
    assert all(min(accuracy, macro) > 0 for accuracy, macro, _ in done.values())
    assert "不用看 macro-F1" in first.stdout  # as many of the one as of the other
    half = [0.5, 0.5, "aa" * 13]  # 100 reviews, every other one right
    done = {key: half if "TF-IDF 20 " in key else value for key, value in done.items()}
    older = done | {"sha256": "as an older course wrote it"}
    notes.write_text(json.dumps(older), encoding="utf-8")
    again = run_script(repo, CURVE, *flags)
    assert re.search(r"^20 +50\.0 ± 0\.0 ", again.stdout, re.MULTILINE)  # read, not computed anew


@pytest.mark.parametrize(
    "text", ["{", "[1]", '{"a": 0.5}', '{"a": [0.5, 1]}', '{"a": ["x", 1, "ff"]}', "\xff"]
)
def test_damaged_notes_are_not_believed(capsys, tmp_path, text):
    notes = tmp_path / "label_curve.json"
    notes.write_bytes(text.encode("latin-1"))
    assert read_notes(notes) == {} and "重新算" in capsys.readouterr().out
    notes.write_text('{"a": [0.5, 0.25, "ff"]}', encoding="utf-8")
    assert read_notes(notes) == {"a": [0.5, 0.25, "ff"]} and capsys.readouterr().out == ""
    assert read_notes(tmp_path / "none.json") == {} and capsys.readouterr().out == ""


def test_lopsided_classes_are_also_scored_by_macro_f1(monkeypatch, capsys, mini_bert, tmp_path):
    """Three classes, the smallest never told: accuracy stays high, macro-F1 does not"""
    counts = (("甲", "a", 60, 0), ("乙", "b", 60, 0), ("甲", "c", 10, 3))
    for split, name in enumerate(("train", "validation", "test")):  # all of different lengths
        rows = [
            (word * (30 + 6 * i + shift + split), label)
            for word, label, count, shift in counts
            for i in range(count)
        ]
        write_csv(tmp_path / "data" / f"{name}.csv", rows)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "label_curve.json").write_text("{", encoding="utf-8")
    arguments = ("--model", mini_bert, "--data", tmp_path / "data", "--subsets", 1)
    code, output = run_here(monkeypatch, capsys, CURVE, *arguments, "--params", tmp_path / "out")
    assert code == 0 and "重新算" in output, output
    assert "a 60 条，b 60 条，c 10 条" in output
    accuracy, macro = re.findall(r"^130 +([\d.]+) ", output, re.MULTILINE)
    assert float(accuracy) == pytest.approx(100 * 120 / 130, abs=0.06)
    # of a: 60 right among 70 said, of b: all, of c: none
    assert float(macro) == pytest.approx(100 * (120 / 130 + 1 + 0) / 3, abs=0.06)


def test_fine_tuning_sees_few_labels_often_enough(monkeypatch, tmp_path):
    """Forty labels are two batches: a BERT that knows nothing needs many rounds of them"""
    some = "一二三四五六七"
    for split, name in enumerate(("train", "validation", "test"), start=1):
        rows = [
            ("甲乙"[i % 2] * 6 + some[i % 7] * 3 + some[i // 7] * split, i % 2) for i in range(48)
        ]
        write_csv(tmp_path / "data" / f"{name}.csv", rows)
    train = MyDataset("train", tmp_path / "data")
    small = make_bert(tmp_path / "bert", **SMALL | {"num_hidden_layers": 1})
    far_to_go = 3e-3  # from random weights
    monkeypatch.setattr("backstage.curves.encoder_lr", lambda hidden: far_to_go)
    guess = finetuned(small, train, np.arange(40), train.texts[40:], seed=0)
    assert (guess == train.labels[40:]).all()
