"""Every command that a document tells the learner to type is run, or checked by the real program

A new kind of command fails test_every_command_fits_a_class until CLASSES knows it and a test here
runs or checks it. A block that shows output, not commands, is tagged ```text.
"""

import argparse
import ast
import io
import re
import runpy
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pandas as pd
import pytest
from conftest import run_script
from loopback_tools import loopback_environment, make_gpt2
from packaging.requirements import Requirement
from pip._internal.commands import create_command
from shell_blocks import BLOCKS, COMMANDS, INLINE_COMMANDS, NO_SHELL, SHELLS, Command
from standin_hub import StandIn

from course.paths import ROOT

CLASSES = {
    "pip": r"(?:python3? -m )?pip3? (?:install|download|config|cache|list|show|--version)\b",
    "script": r"python3? [\w./\\-]+\.py\b",
    "python -c": r"python3? -c ",
    "module": r"python3? -m (?:pytest|venv|ruff)\b",
    "version": r"python3? (?:--version|-V)$",
    "torchrun": r"torchrun ",
    "ray": r"ray (?:start|stop)\b",
    "hf": r"hf \S",
    "modelscope": r"modelscope download ",
    "variable": r"set \w+=|\$env:\w+ ?= ?|export \w+=|unset \w+$|Remove-Item Env:\w+$",
    "activate": r"(?:source |\. )?\.venv[\\/](?:bin|Scripts)[\\/][Aa]ctivate(?:\.bat|\.ps1)?$"
    r"|deactivate$|Set-ExecutionPolicy -Scope (?:Process|CurrentUser) RemoteSigned$",
    "conda": r"conda (?:create -n [\w-]+ python=3\.\d+(?: -y)?|activate [\w-]+|deactivate)$",
    "git": r"git (?:clone|checkout|pull|lfs pull|status|diff|log)\b",
    "cd": r"(?:cd|pushd)(?: /d)? \S",
    "curl": r"curl(?:\.exe)? ",
    "system": r"nvidia-smi$|winget install -e --id [\w.+]+$|brew install python@3\.\d+$"
    r"|sudo apt(?:-get)? install [\w. -]+$|where python$|which python3?$|Get-Command python$",
}
BIN = Path(sysconfig.get_path("scripts"))
PINNED = dict(
    re.findall(r"^([\w-]+)==([\w.]+)", (ROOT / "requirements.txt").read_text("utf-8"), re.M)
)


def class_of(text: str) -> str | None:
    return next((name for name, rule in CLASSES.items() if re.match(rule, text)), None)


def kind(command: Command) -> str | None:
    return class_of(command.text)


def every(name: str, commands: list[Command] = COMMANDS) -> pytest.MarkDecorator:
    """Parametrize over the different commands of one class"""
    found = {command.text: command for command in commands if kind(command) == name}
    names = [f"{command.where} {text}" for text, command in found.items()]
    return pytest.mark.parametrize("command", found.values(), ids=names)


def arguments(command: Command) -> list[str]:
    """What comes after `python -m pip`, `python x.py`, `hf`, …"""
    words = list(command.words)
    if words[0].startswith("python"):
        words = words[2:] if words[1] == "-m" else words[1:]
    return words[1:]


@pytest.mark.parametrize("block", BLOCKS, ids=[block.where for block in BLOCKS])
def test_every_command_fits_a_class(block):
    assert block.language in SHELLS.keys() | NO_SHELL, f"{block.where}: unknown ```{block.language}"
    if block.language == "python":
        ast.parse(block.text)
    if block.language == "text":  # no hiding place for commands
        assert [line for line in block.text.splitlines() if class_of(line)] == [], block.where
    if block.is_shell:
        for command in block.commands():
            assert kind(command), (
                f"{block.where}: no test knows `{command.text}`. Is it output? Tag it ```text"
            )


@pytest.mark.parametrize("block", BLOCKS, ids=[block.where for block in BLOCKS])
def test_no_double_ampersand_for_powershell(block):
    # Windows PowerShell 5.1: "The token '&&' is not a valid statement separator in this version"
    assert not (block.for_powershell and "&&" in block.text), block.where


@every("pip", COMMANDS + INLINE_COMMANDS)
def test_pip(command):
    name, *rest = arguments(command)
    if name.startswith("--"):
        return
    options, requirements = create_command(name).parse_args(rest)  # pip's own parser; exits if not
    for text in requirements if name in ("install", "download") else []:
        if text == ".":
            assert (ROOT / "pyproject.toml").is_file(), command
        elif Path(text).suffix != ".whl":
            wanted = Requirement(text.partition("+")[0])  # torch==2.13.0+cu130: the build aside
            if wanted.name in PINNED and wanted.specifier:
                assert wanted.specifier.contains(PINNED[wanted.name]), command
    for file in getattr(options, "requirements", []):
        assert (ROOT / file).is_file(), command
    for folder in getattr(options, "editables", []):
        assert (ROOT / folder / "pyproject.toml").is_file(), command


class Parsed(Exception):
    """The script's own parser took the arguments; the script goes no further"""


def script_of(command: Command) -> Path | None:
    """The script, from the root, from the document's folder, or by its name alone

    A document may tell the learner to copy one first: 把 `train.py` 复制成 `mine.py`.
    """
    name = command.words[1].replace("\\", "/")
    document = (ROOT / command.where.split(":")[0]).read_text(encoding="utf-8")
    for original, copy in re.findall(r"`([\w.]+\.py)` 复制成 `([\w.]+\.py)`", document):
        name = re.sub(rf"\b{re.escape(copy)}$", original, name)
    places = [ROOT / name, (ROOT / command.where).parent / name, *ROOT.glob(f"demo*/{name}")]
    return next((place for place in places if place.is_file()), None)


@every("script", COMMANDS + INLINE_COMMANDS)
def test_scripts_take_their_arguments(monkeypatch, command):
    path = script_of(command)
    assert path, f"{command.where}: there is no {command.words[1]}"
    reads_flags = re.search(r"parse_args|\brun\(main, ", path.read_text("utf-8"))
    if arguments(command) in ([], ["--help"]) and not reads_flags:
        return

    def parse(self, *args, **kwargs):
        try:
            real(self, *args, **kwargs)
        except SystemExit as stop:
            assert stop.code == 0, command  # --help prints and leaves
        raise Parsed

    real = argparse.ArgumentParser.parse_args
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)
    monkeypatch.setattr(sys, "argv", [str(path), *arguments(command)])
    monkeypatch.syspath_prepend(path.parent)
    try:
        runpy.run_path(str(path), run_name="__main__")
    except Parsed:
        return
    except ImportError:  # the benchmarks want other libraries; see the flags in their text
        assert path.is_relative_to(ROOT / "benchmarks")
        for word in arguments(command):
            assert not word.startswith("--") or f'"{word}"' in path.read_text("utf-8"), command
        return
    raise AssertionError(f"{command}: the script never parsed its arguments")


@pytest.fixture
def smaller(mini_bert, mini_data, trained, tmp_path):
    """What is added to a script's documented arguments so that it ends within seconds"""
    train = ("--model", mini_bert, "--data", mini_data, "--params", tmp_path, "--epochs", 1)
    weights = ("--weights", trained / "best.pth")
    return {
        "demo01_hf_basics/00_check_env.py": (),
        "demo02_sentiment/01_tokenizer.py": (),
        "demo02_sentiment/train.py": (*train, "--patience", 1),
        "demo02_sentiment/07_evaluate.py": weights,
        "demo02_sentiment/08_predict.py": weights,
        "docs/tools/quiz.py": (),
    }


@pytest.mark.parametrize(
    "path",
    [
        "demo01_hf_basics/00_check_env.py",
        "demo02_sentiment/01_tokenizer.py",
        "demo02_sentiment/train.py",
        "demo02_sentiment/07_evaluate.py",
        "demo02_sentiment/08_predict.py",
        "docs/tools/quiz.py",
    ],
)
def test_cheap_scripts_run_as_documented(repo, smaller, path):
    found = {  # one of those with the same flags
        tuple(word for word in command.words if word.startswith("--")): command
        for command in COMMANDS + INLINE_COMMANDS
        if kind(command) == "script" and script_of(command) == ROOT / path
    }
    commands = [c for flags, c in found.items() if "--help" not in flags]
    if not commands:
        pytest.skip(f"no document says to run {path}")
    for command in commands:
        for word in arguments(command):
            if word.endswith(".csv"):  # a file of the learner's
                (repo / word).write_text("text,label\n很好,1\n", encoding="utf-8")
        done = run_script(repo, path, *arguments(command), *smaller[path])
        assert done.returncode == 0 and done.stdout, f"{command}\n{done.stdout}{done.stderr}"


def model_files(folder: Path) -> dict[str, bytes]:
    """A repo as on the Hub: the model, and what a learner does not need"""
    extra = {"README.md": b"# card", "tf_model.h5": b"another framework", ".gitattributes": b""}
    return {path.name: path.read_bytes() for path in folder.iterdir()} | extra


@pytest.fixture(scope="module")
def hub(mini_bert, mini_data, tmp_path_factory):
    """A stand-in Hub that has every repo the documents name"""
    bert = model_files(mini_bert)
    gpt2 = model_files(make_gpt2(tmp_path_factory.mktemp("gpt2") / "gpt2"))
    gpt2["pytorch_model.bin"] = gpt2.pop("model.safetensors")  # as on the main branch of the Hub
    table = {}
    for split in ("train", "validation", "test"):
        buffer = io.BytesIO()
        pd.read_csv(mini_data / f"{split}.csv").to_parquet(buffer)
        table[f"data/{split}-00000-of-00001.parquet"] = buffer.getvalue()
    names = {w for c in COMMANDS for w in re.findall(r"[\w-]+/[\w.-]+", c.text)}
    repos = {("model", name): gpt2 if "gpt2" in name else bert for name in names}
    repos |= {("dataset", name): table for name in names}
    with StandIn(repos) as standin:
        yield standin


def run_against(hub, program: list[str], folder: Path) -> subprocess.CompletedProcess:
    for name in ("models", "data", "params"):
        (folder / name).mkdir(exist_ok=True)
    env = loopback_environment(ROOT, HF_ENDPOINT=hub.url, MODELSCOPE_ENDPOINT=hub.url)
    env |= {"HF_HOME": str(folder / "hf_home"), "MODELSCOPE_CACHE": str(folder / "ms_home")}
    return subprocess.run(
        program, cwd=folder, env=env, capture_output=True, encoding="utf-8", timeout=300
    )


def check_download(command: Command, folder: Path) -> None:
    """The folder named in the command holds a model that loads; exit code 0 alone proves nothing"""
    words = arguments(command)
    if "--local-dir" not in words:
        return
    target = folder / words[words.index("--local-dir") + 1]
    names = {path.name for path in target.rglob("*") if ".cache" not in path.parts}
    if "dataset" in words:
        assert any(name.endswith(".parquet") for name in names), names
    else:
        assert {"config.json", "vocab.txt"} <= names, f"{command.where} fetched only {names}"
        assert names & {"model.safetensors", "pytorch_model.bin"}, names
        assert "tf_model.h5" not in names or not {"--include", "--exclude"} & set(words)


@every("hf")
def test_hf(hub, tmp_path, command):
    program = [str(BIN / "hf")]
    if command.words[1] == "download":
        done = run_against(hub, [*program, *command.words[1:]], tmp_path)
        assert done.returncode == 0, done.stderr
        check_download(command, tmp_path)
        return
    # login, upload: they need an account; see that the command and its flags exist
    words = list(command.words[1:])
    flags = [word for word in words if word.startswith("-")]
    names = words[: 2 if words[0] in ("auth", "cache", "repo", "repos") else 1]
    done = run_against(hub, [*program, *names, "--help"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert [flag for flag in flags if flag not in done.stdout] == []


@every("torchrun")
def test_torchrun(command):
    from torch.distributed.run import get_args_parser  # slow to import

    found = get_args_parser().parse_args(list(command.words[1:]))
    assert (ROOT / found.training_script).is_file(), command


@every("ray")
def test_ray(command):
    pytest.importorskip("ray", reason="NO ray HERE: pip install ray to check it for real")
    program = [sys.executable, "-m", "ray.scripts.scripts", command.words[1], "--help"]
    done = subprocess.run(program, capture_output=True, encoding="utf-8", timeout=120)
    assert done.returncode == 0, done.stderr
    flags = [word for word in command.words[2:] if word.startswith("-")]
    assert [flag for flag in flags if flag not in done.stdout] == []


@every("modelscope")
def test_modelscope(hub, tmp_path, command):
    assert not {"--model", "--dataset", "--local_dir", "--cache_dir"} & set(command.words), (
        f"{command.where}: a deprecated spelling; modelscope download REPO --local-dir FOLDER"
    )
    program = shutil.which("modelscope")
    if program is None:
        pytest.skip("NO modelscope COMMAND HERE: pip install modelscope to check it for real")
    done = run_against(hub, [program, *command.words[1:]], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    check_download(command, tmp_path)


@every("python -c")
def test_one_liners(hub, trained, tmp_path, command):
    shutil.copytree(trained, tmp_path / "params")
    done = run_against(hub, [sys.executable, "-c", command.words[2]], tmp_path)
    assert done.returncode == 0, done.stderr
    for target in re.findall(r"save_to_disk\('([^']+)'\)", command.words[2]):
        assert (tmp_path / target / "dataset_dict.json").is_file()


@every("module")
def test_modules(command):
    name, *rest = command.words[2:]
    if name == "venv":
        assert len(rest) == 1 and not rest[0].startswith("-")
    for word in rest if name != "venv" else []:
        if not word.startswith("-") and re.search(r"[./]", word):
            assert (ROOT / word.split("::")[0]).exists(), command


@every("variable")
def test_variables(command):
    shell = {"set": "cmd", "$env": "powershell", "Remo": "powershell"}.get(
        command.text[:4].strip() if command.text[0] != "s" else "set", "sh"
    )
    assert command.shell == shell, f"{command.where}: tag the block ```{shell}"
    if shell == "cmd":  # cmd takes quotes and blanks into the value
        assert not re.search(r"[\"']|\s$|= ", command.text), command
    if command.text.startswith("$env:"):
        assert re.search(r"= ?(['\"]).*\1$", command.text), f"{command}: the value needs quotes"
