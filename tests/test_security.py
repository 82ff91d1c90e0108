"""Weights never run code; servers stay on this machine; Windows can show and check out all of it"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from conftest import environment
from test_house import tracked

from course.paths import ROOT

SCRIPTS = [ROOT / name for name in tracked("*.py") if not name.startswith("tests/")]
EVERYTHING = [ROOT / name for name in tracked("*.py")]


def calls(path: Path) -> Iterator[tuple[str, dict[str, object]]]:
    """Every call in a file: ("torch.load", {"weights_only": True, …}), constants only"""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            keywords = {
                each.arg: getattr(each.value, "value", None) for each in node.keywords if each.arg
            }
            yield ast.unparse(node.func), keywords


def test_weights_never_run_code():
    loads = 0
    for path in EVERYTHING:
        for name, keywords in calls(path):
            if name == "torch.load":
                loads += 1
                assert keywords.get("weights_only") is True, path
            assert keywords.get("trust_remote_code") is not True, path
            assert keywords.get("allow_pickle") is not True, path
    assert loads >= 3
    for path in SCRIPTS:  # a pickle.Unpickler that refuses every class is another matter
        names = {name for name, _ in calls(path)}
        assert not names & {"pickle.load", "pickle.loads", "dill.load", "joblib.load"}, path
        assert not names & {"eval", "exec", "pd.read_pickle", "pandas.read_pickle"}, path


def test_servers_listen_on_this_machine_alone():
    for path in SCRIPTS:
        for name, keywords in calls(path):
            assert keywords.get("host") not in ("0.0.0.0", "::", ""), (path, name)


# Windows: cmd of a Chinese Windows writes GBK; a file of a name like con or aux cannot be opened


def test_what_we_print_exists_in_gbk():
    """A character that GBK lacks is printed as ?; single characters are data, not text"""
    for path in SCRIPTS:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        for_readers = {f.body[0].value for f in functions if ast.get_docstring(f)}
        for node in set(ast.walk(tree)) - for_readers:
            text = getattr(node, "value", None) if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and len(text) > 1:
                shown = re.sub(r"[\ud800-\udfff\ufeff]", "", text)  # what tables may hold
                assert shown.encode("gbk", errors="replace").decode("gbk") == shown, path


def test_a_gbk_console_shows_the_first_lesson(repo):
    done = subprocess.run(
        [sys.executable, str(repo / "demo01_hf_basics" / "00_check_env.py")],
        env=environment(repo) | {"PYTHONIOENCODING": "gbk"},
        cwd=repo,
        capture_output=True,
        timeout=120,
    )
    out = done.stdout.decode("gbk")
    assert done.returncode == 0 and done.stderr == b"" and "一共查了" in out


def test_every_file_can_be_checked_out_on_windows():
    reserved = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")
    seen = set()
    for name in tracked("*"):
        assert not re.search(r'[<>:"|?*\\]|[ .](/|$)', name), name
        assert not any(reserved.fullmatch(part) for part in name.split("/")), name
        assert name.lower() not in seen and len(name) < 150, name
        seen.add(name.lower())


# The workflow: it cannot run here, so at least it says what README.md says


def test_the_workflow_runs_the_command_of_the_readme():
    text = (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = readme.split("<!-- test command -->")[1].split("<!-- end -->")[0]
    for command in block.strip("`\n ").split(" && "):
        assert f"- run: {command}\n" in text
    oldest = re.search(
        r'requires-python = ">=(3\.\d+)"', (ROOT / "pyproject.toml").read_text("utf-8")
    )
    assert f'"{oldest[1]}"' in text and all(s in text for s in ("ubuntu", "macos", "windows"))
