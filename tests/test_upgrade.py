"""What a learner of yesterday's course has lying about works, or gets a sentence"""

import shutil
import zipfile

import pytest
from conftest import ROOT, record_of, run_script


@pytest.mark.slow
def test_a_checkout_of_version_0_3_pulls_and_runs(repo, mini_data, mini_bert, tmp_path):
    """tests/course_0.3.zip: files that commit 0b0295a wrote in params/, and a solved exercise"""
    ignored = shutil.ignore_patterns("cache", "features", "params", "tests", "docs")
    copy = shutil.copytree(repo, tmp_path / "repo", ignore=ignored)
    with zipfile.ZipFile(ROOT / "tests" / "course_0.3.zip") as old:
        old.extractall(copy)
    params = copy / "params"

    done = run_script(copy, "demo02_sentiment/08_predict.py", "房间很干净，服务也好，下次还来")
    assert done.returncode == 0 and "正向   97.5%" in done.stdout, done.stderr
    # best.pth is vouched for by run.json; an epoch of whatever training is not
    third = ("--weights", params / "3bert.pth")
    done = run_script(copy, "demo02_sentiment/08_predict.py", "房间很干净", *third)
    assert done.returncode == 1 and "没有训练记录" in done.stderr and "--labels" in done.stderr
    labels = ("--labels", "负向", "正向")
    done = run_script(copy, "demo02_sentiment/08_predict.py", "很好", *third, *labels)
    assert done.returncode == 0 and "向 " in done.stdout, done.stderr

    # the reviews moved, their content did not
    done = run_script(copy, "demo02_sentiment/07_evaluate.py")
    assert done.returncode == 0 and "986/1200" in done.stdout.replace(" ", ""), done.stderr

    done = run_script(copy, "exercises/check.py", "demo02/07")
    assert "ex_evaluate.py 是旧版的名字" in done.stdout

    options = ("--model", mini_bert, "--data", mini_data, "--epochs", 1)
    done = run_script(copy, "demo02_sentiment/train.py", *options)
    assert done.returncode == 0, done.stderr
    left = {path.name for path in params.iterdir() if path.suffix != ".md"}
    assert left == {"0bert.pth", "best.pth", "log.csv", "curve.png"}
    assert record_of(params / "best.pth")["model"] == str(mini_bert)
