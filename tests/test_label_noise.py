"""extra_label_noise.py: the counts of confident learning, errors put in on purpose, the test set"""

import re

import numpy as np
import pytest
from conftest import TINY, run_here, run_script, write_csv

from extra_label_noise import (
    count_table,
    looks_like,
    most_suspicious_first,
    plant_errors,
    wrong_share,
)

NOISE = "demo02_sentiment/extra_label_noise.py"


def test_counts_by_hand():
    labels = np.array([0, 0, 0, 1, 1, 1])
    first = np.array([0.9, 0.7, 0.2, 0.1, 0.2, 0.9])  # P(class 0); thresholds 0.6 and 0.6
    probabilities = np.stack([first, 1 - first], axis=1)
    like = looks_like(probabilities, labels)
    assert like.tolist() == [0, 0, 1, 1, 1, 0]
    table = count_table(labels, like, 2)
    assert table.tolist() == [[2, 1], [1, 2]]
    assert wrong_share(labels, table) == pytest.approx(1 / 3)
    assert most_suspicious_first(probabilities, labels, like).tolist() == [5, 2]

    unsure = np.array([[0.9, 0.1], [0.5, 0.5], [0.1, 0.9]])  # thresholds 0.7 and 0.9
    assert looks_like(unsure, np.array([0, 0, 1])).tolist() == [0, -1, 1]
    # a row of the table is scaled to all that bear the label, sure or not
    assert wrong_share(np.array([0] * 6 + [1] * 2), np.array([[3, 1], [0, 2]])) == 0.75 * 0.25
    # cleanlab 2.9.0, compute_confident_joint(calibrate=False) and 1 - trace(estimate_joint), on
    # rng.dirichlet([1, 1, 1], 500) and labels drawn from it, rng = default_rng(0)
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet([1, 1, 1], 500)
    labels = np.array([rng.choice(3, p=row) for row in probabilities])
    table = count_table(labels, looks_like(probabilities, labels), 3)
    assert table.tolist() == [[85, 16, 19], [19, 93, 21], [16, 8, 67]]
    assert wrong_share(labels, table) == pytest.approx(0.288, abs=0.002)  # it rounds counts


def test_planted_errors_are_all_errors():
    labels = np.repeat([0, 1, 2], 100)
    changed, rows = plant_errors(labels)
    assert len(rows) == 15 and sorted(rows) == np.flatnonzero(changed != labels).tolist()
    assert set(changed) == {0, 1, 2} and (labels == np.repeat([0, 1, 2], 100)).all()


def test_errors_in_the_data_are_suspected_and_the_test_set_is_judged_from_outside(
    repo, splits, tmp_path
):
    train = splits["train"][:300]
    wrong = [(text, 1 - label if i < 30 else label) for i, (text, label) in enumerate(train)]
    folder = tmp_path / "wrong"
    for name, rows in (("train", wrong), ("validation", splits["validation"][:60])):
        write_csv(folder / f"{name}.csv", rows)
    write_csv(folder / "test.csv", splits["test"][:100])
    done = run_script(repo, NOISE, "--model", TINY, "--data", folder)
    assert done.returncode == 0, done.stderr
    table = [list(map(int, row)) for row in re.findall(r"^[01] +(\d+) +(\d+)$", done.stdout, re.M)]
    suspects = int(re.search(r"可疑的 (\d+) 条", done.stdout)[1])
    assert suspects == table[0][1] + table[1][0] and "没有拿来学" not in done.stdout
    shown = re.findall(r"标着 [01]，模型说[01]（[\d.]+%）\n    (.*)", done.stdout)
    # a head that had learned these very labels would suspect next to none of them
    assert suspects > 20 and len(shown) == 20
    guilty = {text[:150] for text, _ in train[:30]}
    assert sum(text.rstrip("…") in guilty for text in shown) >= 4  # two would be chance
    share, raised, rise = re.search(
        r"估计从 ([\d.]+)% 变成 ([\d.]+)%，涨了 (-?[\d.]+)", done.stdout
    ).groups()
    assert abs(float(raised) - float(share) - float(rise)) < 0.11

    done = run_script(repo, NOISE, "--model", TINY, "--data", folder, "--split", "test", "--top")
    assert done.returncode == 0, done.stderr
    assert "test 没有拿来学" in done.stdout and "每条代表" not in done.stdout
    sure = [float(one) for one in re.findall(r"模型说[01]（([\d.]+)%）", done.stdout)]
    assert sure == sorted(sure, reverse=True) and sure


def test_a_class_too_small_to_divide(monkeypatch, capsys, splits, tmp_path):
    for name in ("train", "validation", "test"):
        rows = [(text, "甲乙"[label]) for text, label in splits[name][:40]]
        write_csv(tmp_path / f"{name}.csv", [*rows, (f"只有一条的一类，{name} 里的", "丙")])
    code, _ = run_here(monkeypatch, capsys, NOISE, "--model", TINY, "--data", tmp_path)
    assert "有一类不到 5 条" in str(code)
