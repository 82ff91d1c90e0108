"""extra_stacking.py: the third model learns from judgements by models that never saw the review"""

import re

import numpy as np
from conftest import rows_of, run_here, run_script, write_csv

from course.baseline import tfidf_baseline
from extra_stacking import stack

STACKING = "demo02_sentiment/extra_stacking.py"


def test_memory_is_not_trusted():
    """Features that only name the review are perfect on what was learned and worth nothing else"""
    rng = np.random.default_rng(0)
    labels = np.array([0, 1] * 60)
    texts = ["好" * (1 + label) + "一二三四五六七八九十"[i % 10] for i, label in enumerate(labels)]
    memory = rng.normal(size=(120, 400))  # more columns than reviews: any labels can be learned
    guesses, trust = stack(texts, memory, labels, texts, rng.normal(size=(120, 400)), seed=0)
    assert (guesses["叠起来"] == labels).all() and trust < 0.2


def test_the_table(repo, mini_bert, mini_data):
    done = run_script(repo, STACKING, "--model", mini_bert, "--data", mini_data, "--seeds", 2)
    assert done.returncode == 0, done.stderr
    cell = r" +([\d.]+) ± [\d.]+"
    rows = re.findall(rf"^(\d+){cell * 3} +([+-][\d.]+) +([\d.]+)$", done.stdout, re.MULTILINE)
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


def test_three_classes_and_a_class_too_small(monkeypatch, capsys, mini_bert, splits, tmp_path):
    for name in ("train", "validation", "test"):
        rows = [(text, "甲乙丙"[i % 3]) for i, (text, _) in enumerate(splits[name][:60])]
        write_csv(tmp_path / "three" / f"{name}.csv", rows)
        rows.append((f"只有一条的一类，{name} 里的", "丁"))
        write_csv(tmp_path / "few" / f"{name}.csv", rows)
    arguments = ("--model", mini_bert, "--seeds", 1, "--data")
    code, output = run_here(monkeypatch, capsys, STACKING, *arguments, tmp_path / "three")
    assert code == 0 and re.search(r"^60 ", output, re.MULTILINE)
    code, _ = run_here(monkeypatch, capsys, STACKING, *arguments, tmp_path / "few")
    assert "有一类不到 5 条" in str(code)
