"""The main promise: a fresh clone, no arguments, no network, and an honest score at the end"""

import re

import pytest
from conftest import run_script


@pytest.mark.slow
def test_train_twice_then_evaluate_with_no_arguments(repo):
    first = run_script(repo, "demo02_sentiment/train.py")
    assert first.returncode == 0, first.stderr
    assert "先用随仓库的小模型 tiny-bert-chinese" in first.stdout
    assert "提前停止" in first.stdout  # EPOCH = 30000 is safe to leave in
    best = float(re.search(r"最好的一轮是 \d+，验证精度 (0\.\d+)", first.stdout)[1])
    assert best > 0.6

    again = run_script(repo, "demo02_sentiment/train.py", cwd=repo / "demo02_sentiment")
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("都是存好的") == 2
    assert f"验证精度 {best:.4f}" in again.stdout  # the same score, to the last digit

    score = run_script(repo, "demo02_sentiment/07_evaluate.py", cwd=repo / "demo02_sentiment")
    assert score.returncode == 0, score.stderr
    assert "没有一条也在训练集里" in score.stdout
    accuracy = re.search(r"(\d+)/1200 .*冻结的 BERT", score.stdout)
    assert int(accuracy[1]) / 1200 > 0.6
    assert re.search(r"600/1200 .*全猜一类", score.stdout)

    # the libraries' own bars and reports are English and say nothing to a learner
    for done in (first, again, score):
        for english in ("Loading weights", "LOAD REPORT", "Saving the dataset", "Writing model"):
            assert english not in done.stdout + done.stderr
