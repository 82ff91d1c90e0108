"""extra_trainer.py and extra_accelerate.py: the same losses as extra_finetune.py, in one process
and in two; a killed process ends the others

fp32 on both sides and no dropout: dropout draws other random numbers in each of them.
"""

import re
import threading

import pytest
import torch
from conftest import SMALL, load, make_bert, read_log, run_here, run_script
from launching import TORCHRUN, children, launch
from test_expected_output import not_printed, promised

from course import accumulation

pytest.importorskip("accelerate", reason="pip install accelerate")

TRAINER = "demo02_sentiment/extra_trainer.py"
ACCELERATE = "demo02_sentiment/extra_accelerate.py"
STEPS = 24  # 400 reviews, 32 in a batch, 2 epochs


@pytest.fixture(scope="module")
def calm_bert(tmp_path_factory):
    """A small random BERT without dropout"""
    return make_bert(
        tmp_path_factory.mktemp("models") / "calm",
        **SMALL,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )


@pytest.fixture(scope="module")
def flags(calm_bert, mini_data):
    return ("--model", calm_bert, "--data", mini_data, "--max-length", 60)


@pytest.fixture(scope="module")
def ours(flags, tmp_path_factory):
    """extra_finetune.py: (the loss of every step, the rows of log.csv, the folder)"""
    folder = tmp_path_factory.mktemp("ours") / "params"
    losses, once = [], accumulation.Accumulation.once

    def listen(self, *args):
        out, loss = once(self, *args)
        losses.append(loss.item())
        return out, loss

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("course.encoder.has_bf16", lambda device: False)
        patch.setattr(accumulation.Accumulation, "once", listen)
        script = "demo02_sentiment/extra_finetune.py"
        code, text = run_here(patch, Silent(), script, *flags, "--params", folder)
    assert code == 0, text
    assert len(losses) == STEPS
    return losses, read_log(folder), folder


class Silent:
    """capsys for a fixture that lives longer than a test"""

    out = err = ""

    def readouterr(self):
        return self


def test_trainer_has_the_losses_of_finetune(monkeypatch, capfd, ours, flags, tmp_path):
    from transformers import Trainer

    losses, step = [], Trainer.training_step

    def listen(self, *args, **kwargs):
        loss = step(self, *args, **kwargs)
        losses.append(loss.item())
        return loss

    monkeypatch.setattr(Trainer, "training_step", listen)
    monkeypatch.setattr("course.encoder.has_bf16", lambda device: False)
    params = tmp_path / "params"
    code, text = run_here(monkeypatch, capfd, TRAINER, *flags, "--params", params)
    assert code == 0, text
    assert losses == pytest.approx(ours[0], abs=1e-5)
    assert max(losses) - min(losses) > 0.01  # they do move
    (block,) = promised(TRAINER)
    assert not_printed(block, text, numbers=False) == []

    # the best epoch is the one in best.pth, and the other lessons read it
    best = max(ours[1], key=lambda row: row["validation_accuracy"])
    assert f"最好的一轮是 {best['epoch']:.0f}，验证精度 {best['validation_accuracy']:.4f}" in text
    state, theirs = load(params / "best.pth"), load(ours[2] / "best.pth")
    assert state.keys() == theirs.keys()
    assert all(torch.allclose(state[name], theirs[name], atol=1e-4) for name in state)
    score = "demo02_sentiment/07_evaluate.py"
    code, text = run_here(monkeypatch, capfd, score, "--weights", params / "best.pth")
    assert code == 0 and "全量微调" in text


@pytest.mark.slow
@pytest.mark.parametrize("program", [None, TORCHRUN], ids=["alone", "torchrun"])
def test_one_process_or_two_have_the_losses_of_finetune(repo, ours, flags, tmp_path, program):
    params = tmp_path / "params"
    words = (repo / ACCELERATE, *flags, "--params", params)
    if program:
        with launch(repo, *program, *words) as running:
            text = running.communicate(timeout=300)[0]
        assert running.returncode == 0, text
    else:
        done = run_script(repo, ACCELERATE, *words[1:])
        text = done.stdout
        assert done.returncode == 0, done.stderr
        (block,) = promised(ACCELERATE)
        assert not_printed(block, text, numbers=False) == []
    count = 2 if program else 1
    assert f"{count} 个进程" in text and f"每个进程一批 {32 // count} 条" in text
    assert len(re.findall(r"^轮次 \d", text, re.MULTILINE)) == 2  # rank 0 prints, no other
    for row, expected in zip(read_log(params), ours[1], strict=True):
        assert row["loss"] == pytest.approx(expected["loss"], abs=1e-5)
        assert row["train_accuracy"] == expected["train_accuracy"]
        assert row["validation_accuracy"] == expected["validation_accuracy"]
    state, theirs = load(params / "best.pth"), load(ours[2] / "best.pth")
    assert state.keys() == theirs.keys()
    assert all(torch.allclose(state[name], theirs[name], atol=1e-4) for name in state)


@pytest.mark.slow
def test_a_killed_process_ends_the_other(repo, flags, tmp_path):
    words = (repo / ACCELERATE, *flags, "--params", tmp_path / "params", "--epochs", 10_000)
    with launch(repo, *TORCHRUN, *words) as running:
        watchdog = threading.Timer(200, running.kill)  # readline has no timeout of its own
        watchdog.start()
        for line in running.stdout:
            if line.startswith("轮次 0"):
                break
        watchdog.cancel()
        ranks = [p for p in children(running) if "extra_accelerate" in str(p.cmdline())]
        assert len(ranks) == 2
        max(ranks, key=lambda p: p.pid).kill()
        text = running.communicate(timeout=60)[0]
        assert running.returncode != 0
        assert not any(p.is_running() and p.status() != "zombie" for p in ranks)
        assert "Signal 9 (SIGKILL)" in text


@pytest.mark.slow
def test_a_batch_that_cannot_be_shared_is_one_sentence(repo, flags, tmp_path):
    params = tmp_path / "params"
    words = (repo / ACCELERATE, *flags, "--params", params, "--batch-size", 31)
    with launch(repo, *TORCHRUN, *words) as running:
        text = running.communicate(timeout=300)[0]
    assert running.returncode != 0
    assert "一批 31 条，2 个进程分不匀" in text and "--batch-size 32" in text
    assert not params.exists()


@pytest.mark.parametrize("script", [TRAINER, ACCELERATE])
def test_without_the_package_it_is_one_sentence(monkeypatch, capsys, flags, tmp_path, script):
    monkeypatch.setattr("course.cli.find_spec", lambda name: None)
    code, text = run_here(monkeypatch, capsys, script, *flags, "--params", tmp_path / "params")
    assert "accelerate 没有装" in code and "python -m pip install accelerate" in code
    assert "Traceback" not in text and not (tmp_path / "params").exists()
