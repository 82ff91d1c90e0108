"""Rules of the house: imports run one way, code is formatted, the READMEs fit the repo"""

import ast
import re
import subprocess
import sys

import pytest

from course.paths import ROOT

ALLOWED = {  # folder → what of ours its files may import
    "course": {"course"},
    "demo01_hf_basics": {"course", "demo01_hf_basics"},
    "demo02_sentiment": {"course", "demo02_sentiment"},
    "models": {"course", "models"},
}


def tracked(pattern: str) -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", pattern],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    return [name for name in listed.stdout.decode("utf-8").split("\0") if name]


def owner(module: str) -> str | None:
    """Which folder of ours a module name belongs to"""
    if module.split(".")[0] == "course":
        return "course"
    for folder in ("demo01_hf_basics", "demo02_sentiment", "models", "tests"):
        if (ROOT / folder / f"{module}.py").is_file():
            return folder
    return None


@pytest.mark.parametrize("folder", ALLOWED)
def test_imports_run_one_way(folder):
    for path in (ROOT / folder).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [node.module]
            else:
                continue
            for module in modules:
                assert owner(module) in {None, *ALLOWED[folder]}, f"{path.name} imports {module}"


def test_ruff_finds_nothing():
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "."],
            cwd=ROOT,
            capture_output=True,
            encoding="utf-8",
        )
        assert done.returncode == 0, done.stdout


def test_nothing_built_is_committed():
    built = [n for n in tracked("*") if n.endswith((".pth", ".arrow", ".pyc", ".bin"))]
    assert built == []
    assert [n for n in tracked("data/*") + tracked("params/*") if not n.endswith("README.md")] == []


def commands(readme: str) -> list[str]:
    text = (ROOT / readme).read_text(encoding="utf-8")
    return [
        line.split("  #")[0].strip()
        for block in re.findall(r"^```[a-z]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        for line in block.splitlines()
        if line.startswith("python ")
    ]


def test_both_readmes_give_the_same_commands_and_every_script_exists():
    assert commands("README.md") == commands("README.en.md")
    for command in commands("README.md"):
        for script in re.findall(r"\S+\.py", command):
            assert (ROOT / script).is_file(), command


def test_links_in_the_documents_lead_somewhere():
    for name in tracked("*.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#]+)", text):
            if "://" not in target:
                assert ((ROOT / name).parent / target).exists(), f"{name}: {target}"


def test_requirements_are_pinned_and_complete():
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([\w-]+)==([\w.]+)", text, re.MULTILINE))
    distribution = {"sklearn": "scikit-learn", "fastapi_offline": "fastapi-offline"}
    for folder in ("course", "demo01_hf_basics", "demo02_sentiment"):
        for path in (ROOT / folder).glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                else:
                    names = [node.module] if isinstance(node, ast.ImportFrom) else []
                for name in names:
                    top = name.split(".")[0]
                    if top not in sys.stdlib_module_names and owner(name) is None:
                        assert distribution.get(top, top) in pinned, f"{path.name}: {top}"
