"""Lessons 04 and 06 of demo01: an untrained head, typed paths, what does not fit"""

import pytest
from conftest import run_here, run_script

from course.paths import ROOT

GENERATE = "demo01_hf_basics/04_generate_text.py"
CLASSIFY = "demo01_hf_basics/06_classify_text.py"


def test_an_untrained_head_says_something_else_with_every_seed(repo):
    done = run_script(repo, CLASSIFY)
    assert done.returncode == 0, done.stderr
    assert "Loading weights" not in done.stderr and "LOAD REPORT" not in done.stdout + done.stderr
    rows = [row.split("→")[1] for row in done.stdout.splitlines() if "→ LABEL_0" in row]
    assert len(rows) == len(set(rows)) == 4
    assert "自己加的三个向量和模型里的一样：True" in done.stdout


def test_04_two_sequences_and_typed_paths(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(ROOT / "models")
    folder = ROOT / "models" / "tiny-gpt2-chinese"
    outputs = []
    for typed in ("tiny-gpt2-chinese", folder, "../models/tiny-gpt2-chinese"):
        code, text = run_here(monkeypatch, capsys, GENERATE, "--model", typed, "--length", 3)
        assert code == 0 and f"模型文件夹：{folder}\n" in text
        outputs.append(text)
    assert len(set(outputs)) == 1
    assert outputs[0].count("'generated_text'") == 2
    monkeypatch.chdir(tmp_path)  # from here the relative path leads nowhere
    code, text = run_here(monkeypatch, capsys, GENERATE, "--model", "../nowhere/tiny-gpt2-chinese")
    assert "找不到模型" in str(code)


@pytest.mark.parametrize("arguments", [("--prompt", "好" * 600), ("--length", 600)])
def test_04_refuses_what_does_not_fit(monkeypatch, capsys, arguments):
    code, text = run_here(monkeypatch, capsys, GENERATE, *arguments)
    assert "超过了模型的上限 512" in str(code) and "Traceback" not in text


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--prompt", " "), "--prompt 是空的"),
        (("--model", "tiny-bert-chinese"), "是编码器"),
        (("--model", "nowhere"), "去掉 --model"),
    ],
)
def test_04_says_at_once_what_cannot_be_continued(monkeypatch, capsys, flags, message):
    code, text = run_here(monkeypatch, capsys, GENERATE, *flags)
    assert message in str(code) and "generated_text" not in text
