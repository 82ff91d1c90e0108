"""train.py as a learner runs it: what it prints, what it writes, how it stops, what it refuses"""

import csv
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import environment, load, read_log, record_of, run_here, run_script, write_csv
from sklearn.utils.class_weight import compute_class_weight

from backstage.classifier import SentimentClassifier
from backstage.training import TrainingLog, class_weights
from course.columns import DataSource
from course.errors import CourseError
from course.files import only_one
from my_dataset import MyDataset

TRAIN = "demo02_sentiment/train.py"


def test_writes_one_state_dict_per_epoch_the_best_a_record_and_a_picture(trained, mini_bert):
    log = read_log(trained)
    assert [row["epoch"] for row in log] == list(range(6))
    names = {f"{epoch}bert.pth" for epoch in range(6)}
    names |= {"best.pth", "log.csv", "curve.png"}
    assert {path.name for path in trained.iterdir()} == names  # and no temporary file
    for epoch in range(6):
        state = load(trained / f"{epoch}bert.pth")
        assert {name: tuple(t.shape) for name, t in state.items()} == {
            "fc.weight": (2, 32),
            "fc.bias": (2,),
        }
    best = max(log, key=lambda row: row["validation_accuracy"])  # the first of equals
    record = record_of(trained / "best.pth")
    assert record["epoch"] == best["epoch"]
    assert record["validation_accuracy"] == best["validation_accuracy"]
    assert record["model"] == str(mini_bert) and record["label_names"] == ["负向", "正向"]
    same = load(trained / f"{int(best['epoch'])}bert.pth")
    assert all(torch.equal(same[k], v) for k, v in load(trained / "best.pth").items())
    picture = (trained / "curve.png").read_bytes()
    assert picture.startswith(b"\x89PNG") and len(picture) > 10_000


def test_a_dozen_validation_reviews_choose_by_their_loss(repo, mini_bert, splits, tmp_path):
    """Accuracy of ten reviews picks an epoch by luck: seven points lost at 160 reviews"""
    data = write_csv(tmp_path / "few.csv", splits["train"][:100])
    flags = ("--model", mini_bert, "--data", data, "--params", tmp_path, "--lr", 0.01)
    done = run_script(repo, TRAIN, *flags, "--epochs", 12)
    assert done.returncode == 0 and "改看验证集上的 loss" in done.stdout
    losses = []
    for epoch in range(12):
        exam = SentimentClassifier(tmp_path / f"{epoch}bert.pth").exam("validation")
        losses.append(-np.log(exam.probabilities[range(len(exam.labels)), exam.labels]).mean())
    assert record_of(tmp_path / "best.pth")["epoch"] == np.argmin(losses)


def test_the_loss_goes_down(trained):
    losses = [row["loss"] for row in read_log(trained)]
    assert losses[-1] < losses[1] < losses[0]


def test_second_run_reads_the_features_repeats_exactly_and_clears_the_first(
    repo, trained, mini_bert, mini_data, tmp_path
):
    arguments = ("--model", mini_bert, "--data", mini_data, "--params", tmp_path, "--epochs", 2)
    arguments += ("--patience", 0, "--lr", 0.01)
    run_script(repo, TRAIN, *arguments)
    shutil.copy(tmp_path / "0bert.pth", tmp_path / "5bert.pth")  # of an earlier, longer run
    done = run_script(repo, TRAIN, *arguments, cwd=repo / "demo02_sentiment")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("都是存好的") == 2 and "算特征" not in done.stderr
    assert not (tmp_path / "5bert.pth").exists()
    for epoch in range(2):
        for name, tensor in load(tmp_path / f"{epoch}bert.pth").items():
            assert torch.equal(tensor, load(trained / f"{epoch}bert.pth")[name])


def test_stops_early_when_validation_no_longer_improves(repo, mini_bert, mini_data, tmp_path):
    done = run_script(
        repo,
        TRAIN,
        *("--model", mini_bert, "--data", mini_data, "--params", tmp_path),
        *("--patience", 4, "--seed", 3),
    )
    assert done.returncode == 0, done.stderr
    assert "连续 4 轮没有超过最好成绩" in done.stdout
    assert f"07_evaluate.py --weights {tmp_path / 'best.pth'}，在测试集上" in done.stdout
    log = read_log(tmp_path)
    accuracies = [row["validation_accuracy"] for row in log]
    assert accuracies.index(max(accuracies)) == len(log) - 1 - 4


def test_the_first_batch_is_looked_at_before_the_loop(repo, mini_bert, mini_data, tmp_path):
    done = run_script(
        repo,
        TRAIN,
        *("--model", mini_bert, "--data", mini_data, "--params", tmp_path, "--epochs", 1),
    )
    assert done.returncode == 0, done.stderr
    assert "一批：特征 (90, 32)，标签 (90,) → logits (90, 2)" in done.stdout
    first = float(re.search(r"还没学的损失 (\d\.\d+)；全靠瞎猜是 ln 2 = 0\.6931", done.stdout)[1])
    assert abs(first - math.log(2)) < 0.4
    assert f"数据：{mini_data}" in done.stdout  # the report of the learner's data
    assert re.search(r"轮次 0  loss 0\.\d+  训练精度 0\.\d+  验证精度 0\.\d+", done.stdout)


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent differently on Windows")
def test_ctrl_c_stops_cleanly_with_the_last_epoch_saved(repo, mini_bert, mini_data, tmp_path):
    process = subprocess.Popen(
        [
            *(sys.executable, str(repo / TRAIN), "--model", str(mini_bert)),
            *("--data", str(mini_data), "--params", str(tmp_path), "--patience", "0"),
        ],
        env=environment(repo),
        cwd=repo,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    deadline = time.monotonic() + 300
    while not (tmp_path / "21bert.pth").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "收到 Ctrl-C" in out and "Traceback" not in err
    epochs = len(read_log(tmp_path))
    assert epochs >= 21 and len(list(tmp_path.glob("*bert.pth"))) == epochs
    load(tmp_path / f"{epochs - 1}bert.pth")
    assert (tmp_path / "curve.png").exists() and not list(tmp_path.glob(".*"))


def test_a_new_training_leaves_nothing_of_the_one_before(
    monkeypatch, capsys, trained, mini_bert, mini_data, tmp_path
):
    params = shutil.copytree(trained, tmp_path / "params")
    with monkeypatch.context() as interruption:
        interruption.setattr(TrainingLog, "finish", lambda self: 1 / 0)  # before log and curve
        with pytest.raises(ZeroDivisionError):
            run_here(
                *(monkeypatch, capsys, TRAIN, "--model", mini_bert, "--data", mini_data),
                *("--params", params, "--epochs", 2),
            )
    names = {path.name for path in params.iterdir()}
    assert names == {"0bert.pth", "1bert.pth", "best.pth"}


@pytest.mark.parametrize(
    "mine",
    ["log.csv", "best.pth", "3bert.pth", "curve.png", "resume.pth"],
)
def test_files_of_mine_are_never_touched(monkeypatch, capsys, mini_bert, mini_data, tmp_path, mine):
    """--params names a folder of mine"""
    others = ["chinese_roberta_bert.pth", "老师给的bert.pth", "2024-best-bert.pth", "notes.txt"]
    for name in (mine, *others):
        (tmp_path / name).write_text("mine, two days on a GPU", encoding="utf-8")
    if mine.endswith("th"):  # as the lecture saves it
        torch.save({"fc.weight": torch.zeros(2, 32)}, tmp_path / mine)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    flags = ("--model", mini_bert, "--data", mini_data, "--params", tmp_path, "--epochs", 2)
    code, text = run_here(monkeypatch, capsys, TRAIN, *flags)
    assert f"里的 {mine} 认不出" in str(code) and "--params" in code
    assert "算特征" not in text  # said before the long pass
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    (tmp_path / mine).unlink()
    del before[tmp_path / mine]
    assert run_here(monkeypatch, capsys, TRAIN, *flags)[0] == 0
    assert all(path.read_bytes() == content for path, content in before.items())


def test_a_handful_of_rows_makes_a_smaller_batch(monkeypatch, capsys, mini_bert, tmp_path):
    rows = [(f"第{i}条评论{'好差'[i % 2]}", "好差"[i % 2]) for i in range(20)]
    data = write_csv(tmp_path / "few.csv", rows)
    flags = ("--model", mini_bert, "--data", data, "--params", tmp_path / "p", "--epochs", 2)
    code, text = run_here(monkeypatch, capsys, TRAIN, *flags)
    assert code == 0 and "训练集只有 16 条，一批从 90 条改成 2 条" in text and "每轮 8 批" in text


def test_one_training_per_folder(tmp_path):
    with (
        only_one(tmp_path / ".lock", CourseError("busy", "wait")),
        pytest.raises(CourseError, match="另一个训练正在"),
        TrainingLog(tmp_path, 0, 1),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_a_loss_that_is_nan_ends_the_training_and_leaves_nothing(tmp_path):
    log = TrainingLog(tmp_path, 0, 5)
    with pytest.raises(CourseError, match=r"的 loss 成了 nan.*\n下一步：--lr 改小"), log:
        torch.save({}, log.new)
        log.add(math.nan, 0.5, 0.5)
    assert not list(tmp_path.iterdir())


def read_only_folder(tmp_path: Path) -> Path:
    if os.geteuid() == 0:  # root may write anywhere but into the kernel's own file system
        return Path("/sys/params")
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o555)
    return folder


def test_class_weights_are_those_of_scikit_learn_and_change_the_training(
    repo, mini_bert, splits, tmp_path
):
    rows = [(text, ("差", "好")[y]) for text, y in splits["train"][:300] if y or len(text) < 40]
    lopsided = tmp_path / "a.csv"
    with lopsided.open("w", encoding="gb18030", newline="") as file:
        table = [(i, *row) for i, row in enumerate(rows)]
        csv.writer(file).writerows([("编号", "话", "好坏"), *table])
    losses = []
    for how in ("none", "balanced"):
        params = tmp_path / how
        done = run_script(
            repo,
            TRAIN,
            *("--model", mini_bert, "--data", lopsided, "--params", params, "--epochs", 2),
            *("--text-column", "话", "--label-column", "好坏", "--class-weight", how),
            *("--batch-size", 20),
        )
        assert done.returncode == 0, done.stderr
        losses.append(read_log(params)[0]["loss"])
        record = record_of(params / "best.pth")
        assert record["class_weight"] == how and record["label_names"] == ["差", "好"]
        assert record["columns"] == ["话", "好坏"]  # 07_evaluate.py reads the same columns again
    assert losses[0] != losses[1]
    labels = MyDataset("train", DataSource(lopsided, "话", "好坏")).labels
    expected = compute_class_weight("balanced", classes=np.array([0, 1]), y=labels)
    assert class_weights(labels, 2, "balanced").tolist() == pytest.approx(expected.tolist())
    assert class_weights(labels, 2, "none") is None
    done = run_script(
        repo, "demo02_sentiment/07_evaluate.py", "--weights", tmp_path / "none/best.pth"
    )
    assert done.returncode == 0 and "macro-F1  方法" in done.stdout, done.stderr


BAD_INPUT = {
    "unknown model": (["--model", "no-such-bert"], "找不到模型 no-such-bert"),
    "folder without config.json": (["--model", "{tmp}"], "没有 config.json"),
    "unknown data": (["--data", "no-such.csv"], "找不到数据 no-such.csv"),
    "empty data": (["--data", "{tmp}/empty.csv"], "是空的"),
    "one class": (["--data", "{tmp}/one.csv"], "只有一种标签"),
    "wrong columns": (
        ["--data", "{tmp}/wrong.csv"],
        "认不出哪一列是评论、标签，现有的列是 甲、乙、丙",
    ),
    "no epochs": (["--epochs", "0"], "--epochs 要是不小于 1 的整数，不能是 0"),
    "negative batch": (["--batch-size", "-3"], "--batch-size 要是不小于 1 的整数，不能是 -3"),
    "too long": (["--max-length", "513", "--data", "{data}"], "超过了这个 BERT 的上限 512"),
    "params is below a file": (["--params", "{tmp}/one.csv/params"], "写不了"),
    "params is read-only": (["--params", "{read_only}"], "写不了"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_one_sentence_and_the_next_step(
    monkeypatch, capsys, mini_data, tmp_path, case
):
    flags, message = BAD_INPUT[case]
    write_csv(tmp_path / "empty.csv", [])
    write_csv(tmp_path / "one.csv", [(f"第{i}条评论", 1) for i in range(60)])
    (tmp_path / "wrong.csv").write_text("甲,乙,丙\n好,5,6\n", encoding="utf-8")
    if "{read_only}" in flags and sys.platform != "linux":
        pytest.skip("needs a folder that even root cannot write")
    places = {"tmp": tmp_path, "data": mini_data, "read_only": read_only_folder(tmp_path)}
    params = tmp_path / "params"
    flags = [flag.format(**places) for flag in flags]
    if "--params" not in flags:
        flags += ["--params", str(params)]
    code, text = run_here(monkeypatch, capsys, TRAIN, *flags)
    assert isinstance(code, str) and message in code and "下一步：" in code  # printed, exit code 1
    assert "Traceback" not in text
    assert not params.exists() or not list(params.iterdir())  # nothing half-written
