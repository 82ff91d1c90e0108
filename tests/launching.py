"""For the tests of several processes: start them, find them, leave none behind"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from loopback_tools import loopback_environment

psutil = pytest.importorskip("psutil", reason="comes with accelerate")

# not --master_port 0: torchrun hands the 0 on, and the processes look for each other for ever
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", 2)


@contextmanager
def launch(repo: Path, *words: object, **variables: str) -> Iterator[subprocess.Popen]:
    """`python words…`; whatever is still running at the end is killed, the children too"""
    running = subprocess.Popen(
        [sys.executable, *map(str, words)],
        cwd=repo,
        env=loopback_environment(repo, **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    try:
        yield running
    finally:
        for process in children(running):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        running.kill()
        running.wait(10)


def children(running: subprocess.Popen) -> list:
    try:
        return psutil.Process(running.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
