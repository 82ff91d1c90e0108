"""The commands that models/README.md and data/README.md give: the real tools, the stand-in Hub"""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from datasets import load_from_disk
from loopback_tools import loopback_environment
from standin_hub import BERT, GPT, REVIEWS, StandIn, folder_bytes, gpt2_repo, only_bin, reviews_repo

from course import models
from course.models import find_model, load_tokenizer
from course.paths import ROOT


def blocks(readme: str, language: str = "") -> list[str]:
    text = (ROOT / readme).read_text(encoding="utf-8")
    found = re.findall(r"^```([a-z]*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [block for kind, block in found if kind == language]


def lines(readme: str, start: str) -> list[str]:
    found = [
        line for block in blocks(readme) for line in block.splitlines() if line.startswith(start)
    ]
    assert found
    return found


def tool(name: str) -> str | None:
    """The command of this Python's environment, or one on PATH"""
    return shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)


@pytest.fixture(scope="module")
def hub(tmp_path_factory, mini_bert, splits):
    other = {"tf_model.h5": b"other framework", "README.md": b"# card"}
    repos = {
        ("model", BERT): folder_bytes(mini_bert) | other,
        ("model", GPT): only_bin(gpt2_repo(tmp_path_factory.mktemp("hub") / "gpt2")),
        ("dataset", REVIEWS): reviews_repo(splits),
    }
    with StandIn(repos) as standin:
        yield standin


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project folder with an empty models/, where the learner types the commands"""
    (tmp_path / "models").mkdir()
    (tmp_path / "data").mkdir()
    monkeypatch.setattr(models, "MODELS", tmp_path / "models")
    return tmp_path


def run(project, words: list[str], **variables: str) -> subprocess.CompletedProcess:
    env = loopback_environment(ROOT, HF_HOME=str(project / "hf_home"), **variables)
    return subprocess.run(
        words, cwd=project, env=env, capture_output=True, encoding="utf-8", timeout=300
    )


def hf(project, hub, line: str) -> subprocess.CompletedProcess:
    program, *arguments = shlex.split(line)
    return run(project, [tool(program), *arguments], HF_ENDPOINT=hub.url)


def test_every_hf_command_gets_a_model_that_the_course_finds(project, hub, capsys):
    commands = lines("models/README.md", "hf download")
    assert len(commands) == 2
    for command in commands:
        done = hf(project, hub, command)
        assert done.returncode == 0, done.stderr
        name = shlex.split(command)[2]
        folder = find_model(name)
        assert folder.is_relative_to(project) and "小模型" not in capsys.readouterr().out
        assert len(load_tokenizer(folder)) == 21128
        assert not (folder / "tf_model.h5").exists()


def test_cache_dir_and_snapshot_download(project, hub):
    command = lines("models/README.md", "hf download google-bert")[0]
    done = hf(project, hub, re.sub(r"--local-dir \S+", "--cache-dir models", command))
    assert done.returncode == 0, done.stderr
    folder = find_model(BERT)
    assert folder.parent.name == "snapshots" and folder.is_relative_to(project)
    shutil.rmtree(project / "models")
    (code,) = [block for block in blocks("models/README.md", "python") if "snapshot" in block]
    done = run(project, [sys.executable, "-c", code], HF_ENDPOINT=hub.url)
    assert done.returncode == 0, done.stderr
    assert find_model(BERT) == folder and not (folder / "README.md").exists()


def test_one_include_with_two_patterns_gets_no_config(project, hub):
    """What the README warns of; if this fails, hf was mended and the warning can go"""
    done = hf(project, hub, f'hf download {BERT} --include "*.json" "*.txt" --local-dir models/x')
    assert done.returncode == 0 or "vocab" not in done.stdout
    assert not (project / "models" / "x" / "config.json").exists()


def test_modelscope_download(project, hub):
    program = tool("modelscope")
    if not program:
        pytest.skip("modelscope is not installed: python -m pip install modelscope")
    (command,) = lines("models/README.md", "modelscope download")
    arguments = shlex.split(command)[1:]
    home = {"MODELSCOPE_ENDPOINT": hub.url, "MODELSCOPE_CACHE": str(project / "ms_home")}
    done = run(project, [program, *arguments], **home)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = find_model(BERT)
    assert folder == project / "models" / "bert-base-chinese"
    assert len(load_tokenizer(folder)) == 21128
    assert "deprecated" not in done.stdout + done.stderr


def test_the_data_sets_one_liner(project, hub):
    (command,) = lines("data/README.md", "python -c")
    words = [sys.executable, *shlex.split(command)[1:]]
    done = run(project, words, HF_ENDPOINT=hub.url)
    assert done.returncode == 0, done.stderr
    dataset = load_from_disk(str(project / "data" / "ChnSentiCorp"))
    assert {name: len(rows) for name, rows in dataset.items()} == {
        "train": 400,
        "validation": 100,
        "test": 100,
    }
