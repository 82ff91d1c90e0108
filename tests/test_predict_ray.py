"""extra_ray.py: a worker is killed in the middle, and no row is lost, none comes twice"""

import itertools
import subprocess
import sys
import threading
import time

import numpy as np
import pyarrow
import pytest
from conftest import environment, run_here
from pyarrow import parquet
from test_expected_output import not_printed, promised

from backstage.classifier import SentimentClassifier

SCRIPT = "demo02_sentiment/extra_ray.py"
ROWS = 40_000


def write(path, texts, **more):
    parquet.write_table(pyarrow.table({"id": range(len(texts)), "text": texts, **more}), path)
    return path


@pytest.fixture(scope="module")
def big(splits, tmp_path_factory):
    """Two files, 40 blocks in all, some rows empty"""
    folder = tmp_path_factory.mktemp("big")
    cycle = itertools.cycle(text for text, _ in splits["test"][:500])
    texts = [text if i % 97 else None for i, text in enumerate(itertools.islice(cycle, ROWS))]
    for name, part in (("a", slice(None, 30_000)), ("b", slice(30_000, None))):
        table = pyarrow.table({"id": range(ROWS)[part], "text": texts[part]})
        parquet.write_table(table, folder / f"{name}.parquet")
    return folder, texts


def test_a_killed_worker_loses_no_row_and_repeats_none(repo, trained, big, tmp_path):
    pytest.importorskip("ray", reason="pip install ray (80 MB) to run it")
    psutil = pytest.importorskip("psutil", reason="pip install psutil")
    out, weights = tmp_path / "out", trained / "best.pth"
    log = tmp_path / "log.txt"
    words = [repo / SCRIPT, big[0], "--out", out, "--weights", weights]
    with log.open("w") as file:
        running = subprocess.Popen(
            [sys.executable, *map(str, words)],
            cwd=repo,
            env=environment(repo) | {"PYTHONPATH": str(repo)},  # ray talks to its parts by the IP
            stdout=file,
            stderr=subprocess.STDOUT,
        )

    def workers() -> list:
        found = []
        for child in psutil.Process(running.pid).children(recursive=True):
            try:
                if "MapWorker" in " ".join(child.cmdline()):
                    found.append(child)
            except psutil.Error:  # gone in the meantime
                continue
        return found

    watchdog = threading.Timer(300, running.terminate)  # ray ends its own processes
    watchdog.start()
    killed, seen = None, set()
    while running.poll() is None:
        try:
            alive = workers()
        except psutil.NoSuchProcess:
            break
        seen |= {worker.pid for worker in alive}
        written = list(tmp_path.glob(".out.*/*.parquet"))
        if killed is None and written and len(alive) == 2:
            killed = alive[0]
            killed.kill()
        time.sleep(0.1)
    running.wait(60)
    watchdog.cancel()
    text = log.read_text(encoding="utf-8", errors="replace")
    assert running.returncode == 0, text
    assert killed and len(seen) == 3, "a new worker took the place of the killed one"
    (block,) = promised(SCRIPT)
    assert not_printed(block, text, numbers=False) == []

    table = pyarrow.concat_tables(map(parquet.read_table, sorted(out.glob("*.parquet"))))
    assert table["id"].to_pylist() == list(range(ROWS))  # each once, in order
    assert table["text"].to_pylist() == big[1]
    classifier = SentimentClassifier(weights)
    few = [text or "" for text in big[1][:300]]
    probabilities, notes = classifier.judge(few)
    assert table["note"].to_pylist()[:300] == notes and "空" in notes
    for i, label in enumerate(classifier.labels):
        column = np.array(table[f"p_{label}"].to_pylist()[:300], dtype=float)
        np.testing.assert_allclose(column, probabilities[:, i].numpy(), atol=1e-5)
    said = table["predicted_label"].to_pylist()[:300]
    best = probabilities.argmax(dim=1).tolist()
    assert said == [
        None if note == "空" else classifier.labels[i] for i, note in zip(best, notes, strict=True)
    ]
    assert not list(tmp_path.glob(".out.*"))


BAD_INPUT = {
    "no such file": ("nowhere.parquet", [], "不是 parquet 文件"),
    "not parquet": ("broken.parquet", [], "坏了，或者不是 parquet"),
    "no such column": ("good.parquet", ["--column", "评论"], "没有列 评论，现有的列是 id、text"),
    "no room for the answer": ("taken.parquet", [], "已经有列 note"),
    "there already": ("good.parquet", ["--out", "{folder}"], "已经有了，不盖掉它"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_one_sentence(monkeypatch, capsys, trained, tmp_path, case):
    monkeypatch.setattr("course.cli.find_spec", lambda name: "found")
    name, flags, message = BAD_INPUT[case]
    write(tmp_path / "good.parquet", ["好", "坏"])
    write(tmp_path / "taken.parquet", ["好", "坏"], note=["a", "b"])
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    flags = ["--out", tmp_path / "out", *(flag.format(folder=tmp_path) for flag in flags)]
    weights = ("--weights", trained / "best.pth")
    code, text = run_here(monkeypatch, capsys, SCRIPT, tmp_path / name, *weights, *flags)
    assert isinstance(code, str) and message in code and "下一步：" in code
    assert "Traceback" not in text and not (tmp_path / "out").exists()
