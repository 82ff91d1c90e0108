"""The short form of tests/attack.py: killed, raced and damaged, nothing is lost"""

from course.paths import ROOT

import subprocess
import sys

import pytest
from loopback_tools import loopback_environment

KINDS = [
    "kill",
    "kill-finetune",
    "race",
    "damage",
    "ctrl-c",
    "progress",
    "tables",
    "downloads",
    "requests",
    "half-open",
]


@pytest.mark.skipif(sys.platform == "win32", reason="the attack forks")
def test_nothing_is_lost(tmp_path):
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "attack.py")],
        env=loopback_environment(ROOT, HF_HOME=str(tmp_path)),
        capture_output=True,
        encoding="utf-8",
        timeout=1200,
    )
    table = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line.strip()}
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(table)[1:] == KINDS
    for kind in KINDS:
        injected, survived, lost, _ = map(int, table[kind])
        assert injected == survived > 0 and lost == 0
