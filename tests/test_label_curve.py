"""label_curve.py: balanced, nested subsets; scores that resume; the lead that the table prints"""

import json
import re

import numpy as np
from conftest import TINY, run_script
from matplotlib import image

from course.baseline import tfidf_baseline
from course.reviews import load_reviews, to_splits
from label_curve import subset

CURVE = "demo02_sentiment/label_curve.py"


def test_subsets_are_balanced_nested_and_different_from_seed_to_seed():
    labels = np.array([0] * 300 + [1] * 90 + [2] * 10)
    small, large = subset(labels, 30, 0), subset(labels, 200, 0)
    assert len(set(small)) == 30 and set(small) < set(large) and len(set(large)) == 200
    assert np.bincount(labels[small]).tolist() == [10, 10, 10]
    assert np.bincount(labels[large]).tolist() == [100, 90, 10]  # what a rare class has, it gives
    assert set(subset(labels, 30, 1)) != set(small)
    assert sorted(subset(labels, 400, 3)) == list(range(400))


def test_table_picture_and_resume(repo, mini_data, tmp_path):
    flags = ("--model", TINY, "--data", mini_data, "--params", tmp_path, "--subsets", 2)
    first = run_script(repo, CURVE, *flags)
    assert first.returncode == 0, first.stderr
    rows = re.findall(
        r"^(\d+) +([\d.]+) ± [\d.]+ +([\d.]+) ± [\d.]+ +([\d.]+) ± [\d.]+ +([+-][\d.]+)$",
        first.stdout,
        re.MULTILINE,
    )
    assert [int(row[0]) for row in rows] == [20, 50, 100, 200, 400]
    for _, words, _, frozen, lead in rows:
        assert abs(float(frozen) - float(words) - float(lead)) < 0.11  # each is rounded
    splits = to_splits(load_reviews(mini_data))
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
    del done["sha256"]  # of all the others; a file without it is taken as it is
    assert len(done) == 3 * (4 * 2 + 1)
    done = {key: 0.5 if "TF-IDF 20 " in key else value for key, value in done.items()}
    notes.write_text(json.dumps(done), encoding="utf-8")
    again = run_script(repo, CURVE, *flags)
    assert re.search(r"^20 +50\.0 ± 0\.0 ", again.stdout, re.MULTILINE)  # read, not computed anew
