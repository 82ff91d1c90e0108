"""Fixtures: a private copy of the repo, a tiny random BERT, small data, one finished training run

Scripts run as a learner would run them: `python path/to/script.py` in a subprocess, with sockets
forbidden (tests/offline). They run in a copy of the repo, so the learner's own data/ and params/
are never touched.
"""

import csv
import functools
import importlib.util
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

# Two test processes share two cores: threads of torch that wait for each other cost more than
# they bring. Set before torch is imported; the scripts that the tests start inherit it
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from datasets import DatasetDict
from filelock import FileLock
from transformers import BertConfig, BertModel

from backstage.checkpoint import RECORD, describe
from backstage.classifier import EXPORTED
from course.columns import DataSource
from course.models import load_tokenizer
from course.paths import ROOT
from course.reviews import REVIEWS, SPLITS, find_reviews, to_splits
from my_dataset import MyDataset, read_reviews
from net import DEVICE, Model

# A shell that starts the tests in the background tells them to ignore Ctrl-C, and the scripts that
# the tests start would inherit that: test their answer to Ctrl-C all the same
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

TINY = ROOT / "models" / "tiny-bert-chinese"


def run_script(
    repo: Path, script: str, *args: object, cwd: Path | None = None
) -> subprocess.CompletedProcess:
    """`python script args…`, offline, stdout and stderr as text; the exit code is not checked"""
    return run_python([str(repo / script), *map(str, args)], cwd or repo, environment(repo))


def run_python(
    argv: list[str],
    cwd: Path,
    env: dict[str, str],
    merge: bool = False,
    warm: bool = True,
    seconds: int = 1200,
) -> subprocess.CompletedProcess:
    """`python argv…` to its end; merge: stderr goes to stdout, in the order a learner sees it

    After `seconds` it is ended. warm: in a process forked from tests/warm.py, which has imported
    the large libraries. Only on Linux (Windows cannot fork, macOS not safely), not with
    COURSE_COLD=1, and not for variables that libraries read when imported: then in a new one, as a
    learner starts it.
    """
    if warm and sys.platform == "linux" and "COURSE_COLD" not in os.environ:
        return warm_python(tuple(sorted(env.items()))).run(argv, cwd, merge, seconds)
    return subprocess.run(
        [sys.executable, *argv],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if merge else subprocess.PIPE,
        encoding="utf-8",
        timeout=seconds,
    )


@functools.cache  # a few: offline, with a server on this machine, in the copy, in the checkout
def warm_python(env: tuple[tuple[str, str], ...]) -> "Warm":
    return Warm(dict(env))


class Warm:
    """A process of tests/warm.py"""

    def __init__(self, env: dict[str, str]):
        self.folder = Path(tempfile.mkdtemp(prefix="warm"))
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "warm.py")],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )
        weakref.finalize(self, shutil.rmtree, self.folder, True)

    def run(
        self, argv: list[str], cwd: Path, merge: bool, seconds: int
    ) -> subprocess.CompletedProcess:
        out = self.folder / "out"
        err = out if merge else self.folder / "err"
        for path in (out, err):
            path.write_bytes(b"")
        files = {"cwd": str(cwd), "out": str(out), "err": str(err)}
        job = {"argv": argv, "seconds": seconds} | files
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        code = int(self.process.stdout.readline())
        texts = [path.read_text(encoding="utf-8") for path in (out, err)]
        return subprocess.CompletedProcess(argv, code, texts[0], None if merge else texts[1])


def run_here(monkeypatch, capsys, script: str, *args: object) -> tuple[object, str]:
    """Run a script in this process: (exit code or the sentence, everything printed)

    For cases by the dozen: starting Python and importing torch takes longer than most of them.
    """
    monkeypatch.setattr(sys, "argv", [script, *map(str, args)])
    code: object = 0
    try:
        runpy.run_path(str(ROOT / script), run_name="__main__")
    except SystemExit as stop:
        code = stop.code
    printed = capsys.readouterr()
    return code, printed.out + printed.err + str(code)


def lesson(name: str) -> ModuleType:
    """A numbered lesson of demo02, which no import statement can name"""
    path = ROOT / "demo02_sentiment" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def environment(repo: Path) -> dict[str, str]:
    """The learner's environment, with the copy's `course` first and sockets forbidden"""
    private = {
        "PYTHONPATH": os.pathsep.join([str(ROOT / "tests" / "offline"), str(repo)]),
        "PYTHONIOENCODING": "utf-8",
        "PYTHONUNBUFFERED": "1",
        "HF_HOME": str(repo.parent / "hf_home"),
    }
    # nor the name of the test: pytest sets it anew for each
    outer = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "PYTEST_CURRENT"))}
    return outer | private


SMALL = {  # what most tests ask of make_bert: two layers that compute in a moment
    "vocab_size": 21128,
    "num_hidden_layers": 2,
    "hidden_size": 32,
    "num_attention_heads": 2,
    "intermediate_size": 64,
}


def make_bert(folder: Path, seed: int = 0, **config: int) -> Path:
    """A BERT folder with random weights and the shipped vocabulary"""
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    BertModel(BertConfig(**config)).save_pretrained(folder)
    for name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(TINY / name, folder)
    return folder


def once(tmp_path_factory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that make(folder) fills, for both test processes: the first that asks makes it"""
    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    with FileLock(root / f"{name}.lock"):
        if not (root / f"{name}.done").exists():
            make(root / name)
            (root / f"{name}.done").touch()
    return root / name


@pytest.fixture(scope="session")
def repo(tmp_path_factory) -> Path:
    """A copy of everything that git would commit: a fresh clone"""
    copy = tmp_path_factory.mktemp("clone") / "course repo 课程"  # a space and Chinese, on purpose
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode("utf-8").split("\0"):
        if name and (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def check():
    """exercises/check.py as a module"""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "exercises")
        import check

        yield check


@pytest.fixture(scope="session")
def splits() -> dict[str, list[tuple[str, int]]]:
    """The built-in reviews: {"train": [(text, label), …], "validation": …, "test": …}"""
    return {name: read_csv(REVIEWS / f"{name}.csv") for name in SPLITS}


def read_csv(path: Path) -> list[tuple[str, int]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [(row["text"], int(row["label"])) for row in csv.DictReader(file)]


@pytest.fixture(scope="session")
def mini_bert(tmp_path_factory) -> Path:
    return once(tmp_path_factory, "mini", lambda folder: make_bert(folder, **SMALL))


def write_csv(path: Path, rows: list[tuple], encoding: str = "utf-8") -> Path:
    """Reviews as (text, label), or (text, label, name of the label)"""
    header = ("text", "label", "label_text")[: len(rows[0]) if rows else 2]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


@pytest.fixture(scope="session")
def mini_data(tmp_path_factory, splits) -> Path:
    """A folder with train.csv, validation.csv, test.csv: 400 / 100 / 100 of the real reviews"""

    def write(folder: Path) -> None:
        for name, size in (("train", 400), ("validation", 100), ("test", 100)):
            rows = [(text, y, ("负向", "正向")[y]) for text, y in splits[name][:size]]
            write_csv(folder / f"{name}.csv", rows)

    return once(tmp_path_factory, "csv", write)


@pytest.fixture(scope="session")
def trained(repo, mini_bert, mini_data, tmp_path_factory) -> Path:
    """A params folder written by train.py: 6 epochs on the small data"""

    def train(params: Path) -> None:
        done = run_script(
            repo,
            "demo02_sentiment/train.py",
            *("--model", mini_bert, "--data", mini_data, "--params", params, "--epochs", 6),
            *("--patience", 0, "--lr", 0.01),
        )
        assert done.returncode == 0, done.stderr

    return once(tmp_path_factory, "trained", train)


@pytest.fixture(scope="session")
def exported(repo, trained, tmp_path_factory) -> Path:
    """A copy of the trained weights, what 11_export.py --onnx puts beside them, what it printed"""
    for name in ("onnxruntime", "onnxscript"):
        pytest.importorskip(name, reason=f"NOT INSTALLED: {name}")

    def export(folder: Path) -> None:
        shutil.copytree(trained, folder)
        weights = ("--weights", folder / "best.pth", "--out", folder / EXPORTED)
        done = run_script(repo, "demo02_sentiment/11_export.py", "--onnx", *weights)
        assert done.returncode == 0, done.stderr
        (folder / "printed.txt").write_text(done.stdout, encoding="utf-8")

    return once(tmp_path_factory, "exported", export)


@pytest.fixture(scope="session")
def topics(mini_bert, tmp_path_factory) -> Path:
    """A params folder: three classes of very short texts, untrained, the data beside it"""
    folder = tmp_path_factory.mktemp("topics")
    words = {"体育": "进球", "财经": "股票", "科技": "芯片"}
    rows = [(f"{word}{i}{'。' * (i % 4)}", name) for name, word in words.items() for i in range(20)]
    dataset = MyDataset("train", str(write_csv(folder / "topics.csv", rows)))
    torch.manual_seed(0)
    model, tokenizer = Model(mini_bert, 3), load_tokenizer(mini_bert, 500)
    model.record = describe(model, tokenizer, dataset, seed=0)
    model.record |= {"epoch": 0, "validation_accuracy": 0.3}
    torch.save(model.state_dict(), folder / "best.pth")
    return folder


def reviews_of(data: Path | DataSource | None = None) -> DatasetDict:
    """What the lessons read, read anew"""
    return read_reviews.__wrapped__(find_reviews(data))


def rows_of(data: Path | DataSource | None = None) -> dict[str, list[tuple[str, int]]]:
    return to_splits(reviews_of(data))


def read_log(params: Path) -> list[dict[str, float]]:
    with (params / "log.csv").open(encoding="utf-8") as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def load(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a .pth"""
    state = torch.load(path, weights_only=True)
    del state[RECORD]
    return state


def record_of(path: Path) -> dict:
    """The record of a .pth"""
    return json.loads(torch.load(path, weights_only=True)[RECORD])


def change_record(path: Path, **changes: object) -> None:
    """Other values in the record of a .pth; None removes the key"""
    state = torch.load(path, weights_only=True)
    record = json.loads(state[RECORD]) | changes
    record = {key: value for key, value in record.items() if value is not None}
    torch.save(state | {RECORD: json.dumps(record)}, path)


TEXTS = ["房间很干净", "服务太差了，失望，再也不来了", "一般"]


def encode(folder: Path, texts: list[str] = TEXTS):
    """A batch of tokens on the device that the lessons use"""
    return load_tokenizer(folder)(texts, padding=True, return_tensors="pt").to(DEVICE)
