"""The suite on every Python that the course claims to run on and that this machine has

    python tests/versions.py                          all of them, the whole suite
    python tests/versions.py --quick                  import everything, a few test files
    python tests/versions.py --python python3.13      only this one (a name or a path)

Each gets a new environment with the pinned packages of requirements.txt: those are the one set of
versions that the course promises, the oldest and the newest. What varies is Python, from
requires-python of pyproject.toml on. The last lines are a table; the exit code is 1 if one failed.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
QUICK = ["test_cli.py", "test_net.py", "test_reviews.py", "test_download_faults.py"]
IMPORTS = """
import importlib, pathlib, sys
sys.path[:0] = ["demo01_hf_basics", "demo02_sentiment"]
for folder in ("course", "demo01_hf_basics", "demo02_sentiment"):
    for path in sorted(pathlib.Path(folder).glob("[a-z]*.py")):
        importlib.import_module(f"course.{path.stem}" if folder == "course" else path.stem)
"""


def claimed() -> list[str]:
    """The Pythons on this machine, from the oldest that pyproject.toml allows"""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    oldest = int(re.search(r'requires-python = ">=3\.(\d+)"', text)[1])
    names = [f"python3.{minor}" for minor in range(oldest, oldest + 10)]
    found = [shutil.which(name) for name in names]
    if os.name == "nt":  # py.exe knows where they are: a line is  -V:3.12 *  C:\…\python.exe
        listed = subprocess.run(["py", "--list-paths"], capture_output=True, encoding="utf-8")
        lines = re.findall(r"3\.(\d+)\S*[ *]+(\S.*python\.exe)", listed.stdout)
        found = [path for minor, path in lines if int(minor) >= oldest]
    return [path for path in found if path]


def attempt(python: str, steps: list[list[str]], index: str | None) -> tuple[str, str]:
    """(version, what came of it): the first step that fails, or "passed" """
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python, "-m", "venv", folder], check=True)
        inside = str(Path(folder) / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
        version = subprocess.run(
            [inside, "-V"], capture_output=True, encoding="utf-8", check=True
        ).stdout.strip()
        extra = ["--extra-index-url", index] if index else []
        wanted = ["-r", "requirements.txt", "-r", "tests/requirements.txt"]
        for step in [["-m", "pip", "install", "-q", *wanted, *extra], *steps]:
            print(f"+ {version}: python {' '.join(step)[:80]}", flush=True)
            environment = os.environ | {"PYTHONPATH": str(ROOT)}
            if subprocess.run([inside, *step], cwd=ROOT, env=environment).returncode:
                return version, f"failed: python {' '.join(step)[:60]}"
    return version, "passed"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--python", action="append", help="default: every one that is found")
    parser.add_argument("--index", help="e.g. https://download.pytorch.org/whl/cpu on Linux")
    args = parser.parse_args()
    files = [f"tests/{name}" for name in QUICK] if args.quick else []
    steps = [["-c", IMPORTS], ["-m", "pytest", "-q", *files]]
    rows = []
    for python in args.python or claimed():
        start = time.monotonic()
        version, result = attempt(python, steps, args.index)
        rows.append(f"{version:16}{(time.monotonic() - start) / 60:6.1f} min  {result}")
    print("\n".join(rows))
    return int(any("passed" not in row for row in rows))


if __name__ == "__main__":
    sys.exit(main())
