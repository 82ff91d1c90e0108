"""What a lesson promises under 会看到 is what it prints

Each indented line of the block must occur in the output, in this order; … stands for anything.
What differs from machine to machine (seconds, ports, rounding errors) is not compared, and where
the lesson runs on small data, no number is.
"""

import ast
import re
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from conftest import environment, run_script
from loopback_tools import loopback_environment
from shell_blocks import BLOCKS

from course.paths import ROOT

FOLDERS = ("demo01_hf_basics", "demo02_sentiment", "models", "docs")
SERVER_SECONDS = 60  # a server that has not printed everything by then never will
LESSON = re.compile(r"(?:第 \d+ 课|选学) ")


@dataclass
class Run:
    """How a lesson is run here: {data}, {weights}, {folder} are small stand-ins"""

    arguments: str = ""
    numbers: bool = True  # compare them? Not on small data
    loopback: bool = False  # may it talk to 127.0.0.1
    server: bool = False  # it runs until Ctrl-C
    code: int = 0


SMALL = {"numbers": False}
RUNS = {
    "demo01_hf_basics/01_api_anonymous.py": Run(loopback=True),
    "demo01_hf_basics/02_api_token.py": Run(loopback=True),
    "demo01_hf_basics/03_download_gpt2.py": Run(loopback=True, code=1),
    "demo01_hf_basics/05_download_bert.py": Run(loopback=True, code=1),
    "demo01_hf_basics/07_local_api.py": Run("--port 0", loopback=True, server=True),
    "demo02_sentiment/features.py": Run("--data {data}", **SMALL),
    "demo02_sentiment/train.py": Run("--data {data} --params {folder}", **SMALL),
    "demo02_sentiment/finetune.py": Run("--data {data} --params {folder} --epochs 1", **SMALL),
    "demo02_sentiment/evaluate.py": Run("--weights {weights}", **SMALL),
    "demo02_sentiment/predict.py": Run(
        "--weights {weights} 房间很干净，服务也好，下次还来 又脏又吵，再也不来了", **SMALL
    ),
    "demo02_sentiment/serve.py": Run(
        "--weights {weights} --port 0", numbers=False, loopback=True, server=True
    ),
    "demo02_sentiment/pictures.py": Run("--weights {weights}", **SMALL),
    "demo02_sentiment/export.py": Run("--weights {weights}", **SMALL),
}
EXEMPT = {
    "models/build_tiny_bert.py": "trains for two hours",
    "models/build_tiny_gpt2.py": "trains for two hours",
    "demo02_sentiment/ablation.py": "trains fifteen times; tests/test_ablation.py runs it small",
}


def docstring(name: str) -> str:
    return ast.get_docstring(ast.parse((ROOT / name).read_text(encoding="utf-8"))) or ""


def promised(name: str) -> list[str]:
    """The indented lines under 会看到, up to the next paragraph that is not indented"""
    after = docstring(name).partition("会看到")[2].splitlines()[1:]
    lines = []
    for line in after:
        if line.startswith("    "):
            lines.append(line.strip())
        elif line and lines:
            break
    return [line for line in lines if line != "…"]


SCRIPTS = sorted(
    path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in (ROOT / folder).glob("*.py")
)
PROMISING = [name for name in SCRIPTS if promised(name)]


def plain(line: str, numbers: bool) -> str:
    """Without what may differ: blanks, seconds, ports, rounding errors; small data: all numbers"""
    line = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:N", line)
    line = re.sub(r"(\d+/\d+) \[[^]]*\]$", r"\1", line)  # the speed at the end of a progress bar
    line = re.sub(r"[\d.]+ ?(?:秒|毫秒|分钟)", "N 秒", line)
    line = re.sub(r"[\d.]+ ?([kMG]?B/s|条/s|it/s)", r"N \1", line)
    line = re.sub(r"\d(?:\.\d+)?e-\d+", "N", line)
    if not numbers:
        line = re.sub(r"\d[\d,]*(?:\.\d*)?", "N", line)
        line = re.sub("█+", "█", line)
    return " ".join(line.split())


def not_printed(block: list[str], output: str, numbers: bool = True) -> list[str]:
    """The lines of the block that do not come in the output, each after the one before"""
    printed = [plain(line, numbers) for line in re.split(r"[\n\r]", output)]
    missing, start = [], 0
    for line in block:
        parts = [re.escape(part.strip()) for part in plain(line, numbers).split("…")]
        pattern = re.compile(" ?.* ?".join(parts))
        found = [i for i in range(start, len(printed)) if pattern.fullmatch(printed[i])]
        start = found[0] + 1 if found else start
        missing += [] if found else [line]
    return missing


def shown(name: str) -> dict[str, list[str]]:
    """{where: lines} of the output blocks that follow `python name` in a document"""
    found = {}
    for command_block, block in pairwise(BLOCKS):
        if (
            command_block.document == block.document
            and command_block.is_shell
            and not block.is_shell
            and block.language in ("", "text")
            and re.search(rf"^python3? {re.escape(name)}$", command_block.commands()[-1].text)
        ):
            lines = [line.strip() for line in block.text.splitlines()]
            found[block.where] = [line for line in lines if line not in ("", "…")]
    return found


@pytest.fixture(scope="module")
def weights(repo, mini_data, tmp_path_factory) -> Path:
    """A head for the shipped BERT, trained on 400 reviews"""
    folder = tmp_path_factory.mktemp("small") / "params"
    arguments = ("--data", mini_data, "--params", folder, "--epochs", 40, "--lr", 0.01)
    done = run_script(repo, "demo02_sentiment/train.py", *arguments)
    assert done.returncode == 0, done.stderr
    return folder / "best.pth"


def run(repo: Path, name: str, how: Run, values: dict[str, Path]) -> str:
    words = [word.format(**values) for word in how.arguments.split()]
    running = subprocess.Popen(
        [sys.executable, str(repo / name), *words],
        cwd=repo,
        env=loopback_environment(repo) if how.loopback else environment(repo),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,  # in the order in which a learner sees it
        encoding="utf-8",
    )
    seen = ""
    if how.server:
        give_up = threading.Timer(SERVER_SECONDS, running.send_signal, [signal.SIGINT])
        give_up.start()
        for line in running.stdout:
            seen += line
            if not not_printed(promised(name), seen, how.numbers):
                break
        give_up.cancel()
        running.send_signal(signal.SIGINT)
    seen += running.communicate(timeout=600)[0]
    assert how.server or running.returncode == how.code, seen
    return seen


@pytest.mark.parametrize("name", [name for name in PROMISING if name not in EXEMPT])
def test_the_output_is_what_the_lesson_promises(request, repo, mini_data, tmp_path, name):
    how = RUNS.get(name, Run())
    values = {"data": mini_data, "folder": tmp_path / "out"}
    if "{weights}" in how.arguments:
        values["weights"] = request.getfixturevalue("weights")
    output = run(repo, name, how, values)
    for where, block in ({name: promised(name)} | shown(name)).items():
        missing = not_printed(block, output, how.numbers)
        assert missing == [], f"{where} promises lines that do not come (in this order)\n{output}"


def test_every_lesson_promises_something_and_no_setting_is_left_over():
    for name in SCRIPTS:
        if LESSON.match(docstring(name)) and name not in EXEMPT:
            assert promised(name), f"{name}: no indented block under 会看到"
    assert [name for name in [*RUNS, *EXEMPT] if name not in SCRIPTS] == []


def test_the_comparison():
    block = ["甲 1  2", "…乙…", "http://127.0.0.1:8000 用了 3 秒", "差 5.8e-06", "读 9/9"]
    output = (
        "x\n甲  1 2\n\n这是乙吗\nhttp://127.0.0.1:41 用了 25 毫秒\r差 6e-07\n读 9/9 [0:1, 3it/s]"
    )
    assert not_printed(block, output) == []
    assert not_printed([*block[2:], *block[:2]], output) == block[:2]  # the order counts
    assert not_printed(["甲 1 3"], output) == ["甲 1 3"]
    assert not_printed(["甲 1"], "甲 1 2") == ["甲 1"]  # a whole line, unless … says otherwise
    assert not_printed(["甲…"], "甲 1 2") == []
    assert not_printed(["甲 1,200 3.5% 0.…"], "甲 7 9% 0.12", numbers=False) == []


def test_output_blocks_of_documents_are_found():
    assert all(lines for name in PROMISING for lines in shown(name).values())
    assert {"README.md", "README.en.md"} <= {
        where.split(":")[0] for where in shown("demo02_sentiment/train.py")
    }
