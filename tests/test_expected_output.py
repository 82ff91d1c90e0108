"""What a lesson promises under 会看到 is what it prints

Each indented line of the block must occur in the output, in this order; … stands for anything.
What differs from machine to machine (seconds, ports, rounding errors) is not compared, and where
the lesson runs on small data, no number is.
"""

import ast
import re
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import environment, run_python, run_script
from loopback_tools import loopback_environment
from shell_blocks import BLOCKS

from course.paths import ROOT

FOLDERS = ("demo01_hf_basics", "demo02_sentiment", "data", "models", "docs/tools")
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
    "demo01_hf_basics/03_download_gpt2.py": Run(loopback=True, code=1),
    "demo01_hf_basics/05_download_bert.py": Run(loopback=True, code=1),
    "demo02_sentiment/06_features.py": Run("--data {data}", **SMALL),
    "demo02_sentiment/train.py": Run("--data {data} --params {folder}", **SMALL),
    "demo02_sentiment/extra_finetune.py": Run(
        "--data {data} --params {folder} --epochs 1 --max-length 50", **SMALL
    ),
    "demo02_sentiment/07_evaluate.py": Run("--weights {weights}", **SMALL),
    "demo02_sentiment/08_predict.py": [
        Run("--weights {weights}", **SMALL),
        Run("--weights {weights} 房间很干净，服务也好，下次还来 又脏又吵，再也不来了", **SMALL),
    ],
    "demo02_sentiment/09_serve.py": Run(
        "--weights {weights} --port 0", numbers=False, loopback=True, server=True
    ),
    "demo02_sentiment/extra_debugging.py": Run("--data {data} --params {folder}", **SMALL),
    "demo02_sentiment/extra_behaviour.py": Run("--weights {weights}", **SMALL),
    "demo02_sentiment/extra_label_noise.py": Run("--data {data}", **SMALL),
    "demo02_sentiment/extra_stacking.py": [
        Run("--data {data} --seeds 2 --params {folder}", **SMALL),
        Run("--params {folder} 房间很干净，服务也好，下次还来 又脏又吵，再也不来了", **SMALL),
    ],
    "demo02_sentiment/extra_long_text.py": Run("--data {data}", **SMALL),
    "demo02_sentiment/extra_lora.py": Run("--epochs 1", **SMALL),
    "demo02_sentiment/10_pictures.py": Run("--weights {weights}", **SMALL),
    "demo02_sentiment/11_export.py": Run("--weights {weights}", **SMALL),
}
EXEMPT = {
    "demo01_hf_basics/01_api_anonymous.py": "tests/test_api_client.py",
    "demo01_hf_basics/02_api_token.py": "tests/test_api_client.py",
    "demo01_hf_basics/07_local_api.py": "tests/test_api.py",
    "demo02_sentiment/12_label_curve.py": "minutes; tests/test_label_curve.py runs it small",
    "models/build_tiny_bert.py": "trains for two hours",
    "models/build_tiny_gpt2.py": "trains for two hours",
    "demo02_sentiment/extra_explain.py": "minutes; tests/test_explain.py runs it small",
    "demo02_sentiment/extra_ablation.py": "trains 15 times; tests/test_ablation.py runs it small",
    "demo02_sentiment/extra_trainer.py": "wants accelerate; tests/test_extra_trainer.py",
    "demo02_sentiment/extra_accelerate.py": "wants accelerate; tests/test_extra_trainer.py",
    "demo02_sentiment/extra_ray.py": "wants ray, optional; tests/test_predict_ray.py",
    "demo02_sentiment/extra_label.py": "wants gradio, optional; tests/test_label_page.py",
    "data/prepare_inews.py": "wants a package that is optional; tests/test_inews.py",
    "data/build_reviews.py": "the reviews of the tests come from it; tests/test_reviews.py",
    "data/build_words.py": "extra_many_classes.py runs it",
}


def docstring(name: str) -> str:
    return ast.get_docstring(ast.parse((ROOT / name).read_text(encoding="utf-8"))) or ""


def promised(name: str) -> list[list[str]]:
    """The indented blocks under 会看到, up to the next paragraph

    A second block follows a line in brackets that names another command: （第二条命令）：
    """
    found: list[list[str]] = [[]]
    for line in docstring(name).partition("会看到")[2].splitlines()[1:]:
        if line.startswith("    "):
            found[-1] += [] if line.strip() == "…" else [line.strip()]
        elif line.startswith("（") and found[-1]:
            found.append([])
        elif line and found[-1]:
            break
    return [block for block in found if block]


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
        line = re.sub(r"[-+]?\d[\d,]*(?:\.\d*)?", "N", line)
        line = re.sub(r"(?<= )[是否](?= )", "是", line)  # an answer in a table
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


def shown(block: list[str]) -> dict[str, list[str]]:
    """{where: lines} of the output in the documents that begins with a line of this block"""
    promises = {plain(line, True) for line in block}
    found = {}
    for other in BLOCKS:
        lines = [line.strip() for line in other.text.splitlines()]
        lines = [line for line in lines if line not in ("", "…")]
        while lines and lines[0].startswith("── "):  # several lessons have a step "1. 数据"
            del lines[0]
        output = lines and not other.is_shell and other.language in ("", "text")
        if output and plain(lines[0], True) in promises:
            found[other.where] = lines
    return found


@pytest.fixture(scope="module")
def weights(repo, mini_data, tmp_path_factory) -> Path:
    """A head for the shipped BERT, trained on 400 reviews, and not on those that train.py gets
    here: it must compute features, not find them"""
    folder = tmp_path_factory.mktemp("small") / "params"
    arguments = (
        "--data",
        mini_data / "train.csv",
        "--params",
        folder,
        "--epochs",
        40,
        "--lr",
        0.01,
    )
    done = run_script(repo, "demo02_sentiment/train.py", *arguments)
    assert done.returncode == 0, done.stderr
    return folder / "best.pth"


def run(repo: Path, name: str, how: Run, block: list[str], values: dict[str, Path]) -> str:
    words = [str(repo / name), *(word.format(**values) for word in how.arguments.split())]
    env = loopback_environment(repo) if how.loopback else environment(repo)
    if not how.server:
        done = run_python(words, repo, env, merge=True, seconds=600)
        assert done.returncode == how.code, done.stdout
        return done.stdout
    running = subprocess.Popen(
        [sys.executable, *words],
        cwd=repo,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,  # in the order in which a learner sees it
        encoding="utf-8",
    )
    seen = ""
    give_up = threading.Timer(SERVER_SECONDS, running.send_signal, [signal.SIGINT])
    give_up.start()
    for line in running.stdout:
        seen += line
        if not not_printed(block, seen, how.numbers):
            break
    give_up.cancel()
    running.send_signal(signal.SIGINT)
    return seen + running.communicate(timeout=600)[0]


TRAINING = "debugging finetune label_noise long_text lora many_classes stacking"
SLOW = {f"demo02_sentiment/extra_{name}.py" for name in TRAINING.split()}
SHOWN = [
    pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
    for name in PROMISING
    if name not in EXEMPT
]


@pytest.mark.parametrize("name", SHOWN)
def test_the_output_is_what_the_lesson_promises(request, repo, mini_data, tmp_path, name):
    runs = RUNS.get(name, Run())
    runs = runs if isinstance(runs, list) else [runs]
    shutil.rmtree(repo / "data" / "features", ignore_errors=True)  # a first run, as promised
    for how, block in zip(runs, promised(name), strict=True):
        values = {"data": mini_data, "folder": tmp_path / "out"}
        if "{weights}" in how.arguments:
            values["weights"] = request.getfixturevalue("weights")
        keeps_its_promise(name, block, run(repo, name, how, block, values), how.numbers)


def keeps_its_promise(name: str, block: list[str], output: str, numbers: bool = True) -> None:
    for where, lines in ({name: block} | shown(block)).items():
        missing = not_printed(lines, output, numbers)
        assert missing == [], f"{where} promises lines that do not come, in their turn\n{output}"


def test_every_lesson_promises_something_and_no_setting_is_left_over():
    for name in SCRIPTS:
        if LESSON.match(docstring(name)) and name not in EXEMPT:
            assert promised(name), f"{name}: no indented block under 会看到"
    assert [name for name in [*RUNS, *EXEMPT] if name not in SCRIPTS] == []


def headings(name: str) -> list[re.Pattern]:
    """What the step(…) calls of a lesson print, in their order; {…} stands for anything"""
    tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    steps = [call for call in calls if getattr(call.func, "id", "") == "step"]
    found = {}
    for call in steps:
        parts = getattr(call.args[0], "values", [call.args[0]])
        texts = [
            re.escape(part.value) if isinstance(part, ast.Constant) else ".+" for part in parts
        ]
        found[call.lineno] = re.compile("── " + "".join(texts))
    return [found[line] for line in sorted(found)]


NUMBERED = [name for name in SCRIPTS if LESSON.match(docstring(name)) and headings(name)]


@pytest.mark.parametrize("name", NUMBERED)
def test_every_step_promises_a_line_of_its_own(name):
    """1, 2, 3 … without a gap, each heading under 会看到 with a line below that is printed"""
    titles = headings(name)
    numbers = [int(re.match(r"── (\d+)", title.pattern.replace("\\", ""))[1]) for title in titles]
    assert sorted(numbers) == list(range(1, len(titles) + 1))
    block = promised(name)[0]
    shown = [line for line in block if line.startswith("── ")]
    for title in titles:
        assert any(title.fullmatch(line) for line in shown), f"not under 会看到: {title.pattern}"
    for line in shown:
        assert any(title.fullmatch(line) for title in titles), f"no such step: {line}"
    for line, following in zip(block, [*block[1:], "── "], strict=True):
        assert not (line.startswith("── ") and following.startswith("── ")), (
            f"{line}: shows nothing"
        )


def test_every_numbered_lesson_has_steps():
    lessons = [name for name in SCRIPTS if re.match(r"第 \d+ 课 ", docstring(name))]
    # 00_check_env must run where nothing is installed, 00_one_file uses nothing of ours
    bare = {"demo01_hf_basics/00_check_env.py", "demo02_sentiment/00_one_file.py"}
    assert {name for name in lessons if not headings(name)} == bare
