"""extra_ablation.py: every row is really trained, once; the table repeats what the runs say"""

import shutil

import pytest
from conftest import SMALL, make_bert, record_of, run_here, run_script

from extra_ablation import percent

ABLATION = "demo02_sentiment/extra_ablation.py"


@pytest.mark.slow
def test_rows_are_trained_once_and_their_scores_reported(repo, mini_bert, mini_data, tmp_path):
    copy = tmp_path / "mini"
    shutil.copytree(mini_bert, copy)
    arguments = ("random", "--model", copy, "--data", mini_data, "--seeds", 1)
    first = run_script(repo, ABLATION, *arguments)
    assert first.returncode == 0, first.stderr
    folder = repo / "params" / "ablation"
    record = record_of(folder / "random-0" / "best.pth")
    assert record["seed"] == 0 and record["model"].endswith("random-mini-0")
    row = f"| 随机权重的 BERT，冻结 | {percent([record['validation_accuracy']])} |"
    assert row in first.stdout
    assert "| 全猜一类 | 50.00 |" in first.stdout and "测试精度" not in first.stdout

    again = run_script(repo, ABLATION, *arguments, "--test")
    assert again.returncode == 0, again.stderr
    assert "——" not in again.stdout  # nothing was trained again
    assert "| 做法 | 验证精度 % | 测试精度 % |" in again.stdout
    assert row in again.stdout  # scored again by another path: 07_evaluate.py's

    # the same command, other weights in the same folder: trained anew
    shutil.rmtree(copy)
    make_bert(copy, seed=7, **SMALL)
    third = run_script(repo, ABLATION, *arguments)
    assert third.returncode == 0 and "—— 随机权重的 BERT，冻结，种子 0" in third.stdout


def test_mean_and_sample_standard_deviation_in_percent():
    assert percent([0.85, 0.86, 0.84]) == "85.00 ± 1.00" and percent([0.5]) == "50.00"


def test_an_unknown_row(monkeypatch, capsys):
    code, _ = run_here(monkeypatch, capsys, ABLATION, "frozen", "froozen")
    assert "没有叫 froozen 的行" in str(code)
