"""Rules of the house: imports run one way, code is formatted, the READMEs fit the repo"""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from course.paths import ROOT

BACKSTAGE = "demo02_sentiment/backstage"
ALLOWED = {  # folder → what of ours its files may import
    "course": {"course"},
    "demo01_hf_basics": {"course", "demo01_hf_basics"},
    "demo02_sentiment": {"course", "demo02_sentiment", BACKSTAGE},
    BACKSTAGE: {"course", BACKSTAGE},
    "data": {"course", "data"},
    "models": {"course", "models"},
    "benchmarks": {"course", "demo02_sentiment", BACKSTAGE, "benchmarks"},
    "exercises": {"course", "exercises"},
    "docs/tools": {"course", "docs/tools"},
}
SHOWN = {"my_dataset", "net"}  # the lessons that backstage may import
LESSON = re.compile(r"第 \d+ 课  |选学  |基础  ")
NO_LESSON = re.compile(r"工具  |不是一课(，第一遍不用读)?  ")
DEMOS = ("demo01_hf_basics", "demo02_sentiment")
NUMBERED = r"第 (\d+) 课"
LINES = 240  # a lesson is a lecture of a screen or four, not a program


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
    top = module.split(".")[0]
    if top in ("course", "backstage"):
        return BACKSTAGE if top == "backstage" else top
    for folder in {*ALLOWED, "tests"} - {BACKSTAGE}:
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
                shown = folder == BACKSTAGE and module in SHOWN
                fits = shown or owner(module) in {None, *ALLOWED[folder]}
                assert fits, f"{path.name} imports {module}"


def sources(folder: str) -> list[Path]:
    return [ROOT / name for name in tracked(f"{folder}/*.py")]


@pytest.mark.parametrize("folder", ALLOWED)
def test_the_first_line_says_which_lesson_it_is_or_that_it_is_none(folder):
    for path in sources(folder):
        doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        if LESSON.match(doc):
            assert folder.startswith("demo"), path
            assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES, path.name
            assert "教什么：" in doc and "怎么运行" in doc and "会看到" in doc, path.name
        else:
            assert NO_LESSON.match(doc) or folder == "exercises", path


LECTURE = {"MyDataset", "Model", "DEVICE"}  # the lecture's own words
PLAIN = ("01_tokenizer", "02_load_dataset", "my_dataset", "net", "train")


@pytest.mark.parametrize("folder", ["demo01_hf_basics", "demo02_sentiment"])
def test_a_lesson_speaks_the_words_of_the_field(folder):
    """Names of ours: none in 00_one_file, five where the lectures are followed, eight later"""
    for path in sources(folder):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if not re.match(r"第 \d+ 课  ", ast.get_docstring(tree)):
            continue
        froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        ours = {alias.name for node in froms if owner(node.module) for alias in node.names}
        most = 5 if folder == "demo01_hf_basics" or path.stem in PLAIN else 8
        most = 0 if path.stem == "00_one_file" else most
        assert len(ours - LECTURE) <= most, f"{path.name}: {sorted(ours - LECTURE)}"


def test_importing_a_module_changes_nothing():
    """Logging, progress bars, threads and the rest stay as they were"""
    names = sorted(path.stem for path in sources("course") if path.stem != "__init__")
    code = f"""
import csv, importlib, os
import torch, transformers, datasets
from transformers.utils import logging as noise

def state():
    return (
        noise.get_verbosity(), noise.is_progress_bar_enabled(), csv.field_size_limit(),
        datasets.utils.logging.get_verbosity(), datasets.are_progress_bars_disabled(),
        torch.get_num_threads(), torch.is_grad_enabled(), os.environ.get("NO_PROXY"),
    )

before = state()
for name in {names}:
    importlib.import_module("course." + name)
assert state() == before, (before, state())
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


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
    data = [n for n in tracked("data/*") if not n.endswith((".py", "README.md"))]
    assert {n.split("/")[1] for n in data} == {"reviews", "words"}  # written by build_*.py
    assert tracked("params/*") == ["params/README.md"]


def commands(readme: str) -> list[str]:
    text = (ROOT / readme).read_text(encoding="utf-8")
    return [
        line.split("  #")[0].strip()
        for block in re.findall(r"^```[a-z]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        for line in block.splitlines()
        if line.startswith("python ")
    ]


def links(text: str) -> set[str]:
    return set(re.findall(r"\]\(([^)#]+)", text))


def lessons(folder: str, kind: str) -> list[str]:
    """The scripts of a folder whose first words are 第 N 课, in the order of N, or 选学"""
    found = []
    for path in (ROOT / folder).glob("*.py"):
        said = re.match(rf'r?"""{kind}', path.read_text(encoding="utf-8"))
        found += [(*map(int, said.groups()), path.name)] if said else []
    return [name for *_, name in sorted(found)]


def test_both_readmes_give_the_same_commands_and_every_script_exists():
    assert commands("README.md") == commands("README.en.md")
    for command in commands("README.md"):
        for script in re.findall(r"\S+\.py", command):
            assert (ROOT / script).is_file(), command


@pytest.mark.parametrize("readme", ["README.md", "README.en.md"])
def test_the_readme_is_one_page_and_lists_every_lesson(readme):
    text = (ROOT / readme).read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 130
    for folder in DEMOS:
        assert {f"{folder}/{name}" for name in lessons(folder, NUMBERED)} <= links(text)


@pytest.mark.parametrize("folder", DEMOS)
def test_a_start_page_puts_every_lesson_and_page_in_one_sequence(folder):
    text = (ROOT / folder / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| (.*) \| (\d+) \|", text, re.MULTILINE)
    assert [int(number) for number, *_ in rows] == list(range(1, len(rows) + 1))
    scripts = [s for _, what, _ in rows for s in re.findall(r"\((\w+\.py)\)", what)]
    assert [s for s in scripts if not s.startswith("basics_")] == lessons(folder, NUMBERED)
    assert sorted(s for s in scripts if s.startswith("basics_")) == sorted(lessons(folder, "基础"))
    assert set(lessons(folder, "选学")) <= links(text)  # below the sequence


def test_every_page_stands_in_a_start_page_and_in_the_list_of_docs():
    pages = {name.removeprefix("docs/") for name in tracked("docs/*.md")} - {"README.md"}
    listed = links((ROOT / "docs" / "README.md").read_text(encoding="utf-8"))
    assert pages <= listed
    started = set()
    for folder in DEMOS:
        found = links((ROOT / folder / "README.md").read_text(encoding="utf-8"))
        started |= {target.removeprefix("../docs/") for target in found}
    assert pages - {"00-map.md"} <= started  # the map stands in README.md


def test_links_in_the_documents_lead_somewhere():
    for name in tracked("*.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for target in links(text):
            if "://" not in target:
                assert ((ROOT / name).parent / target).exists(), f"{name}: {target}"


def pins(name: str) -> dict[str, str]:
    """{package: version} of the lines package==version in a file at the root"""
    text = (ROOT / name).read_text(encoding="utf-8")
    return dict(re.findall(r"^([\w-]+)==([\w.]+)", text, re.MULTILINE))


def test_requirements_are_pinned_and_complete():
    distribution = {"sklearn": "scikit-learn", "fastapi_offline": "fastapi-offline"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [Requirement(x) for xs in project["optional-dependencies"].values() for x in xs]
    optional = {requirement.name for requirement in extras}
    pinned = pins("requirements.txt")
    used = set()
    folders = ("course", "demo01_hf_basics", "demo02_sentiment", BACKSTAGE, "data")
    for folder in (*folders, "demo02_sentiment/space"):
        for path in (ROOT / folder).glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                else:
                    names = [node.module] if isinstance(node, ast.ImportFrom) else []
                for name in names:
                    top = name.split(".")[0]
                    if top not in sys.stdlib_module_names and owner(name) is None:
                        used.add(distribution.get(top, top))
    assert used <= pinned.keys() | optional
    # of zhplot only the font; pandas, requests and httpx2 ask for the others themselves
    assert pinned.keys() - {"zhplot", "openpyxl", "pysocks", "socksio"} <= used


def test_an_old_python_stops_before_anything_is_downloaded():
    """pip takes the files of a list before it asks an index: one that is not there stops it"""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    first = Requirement(next(line for line in lines if line and not line.startswith("#")))
    assert not Path(first.url.removeprefix("file://")).exists()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    oldest = SpecifierSet(project["requires-python"])
    for version in ("3.9", "3.10", "3.11", "3.14"):
        refused = first.marker.evaluate({"python_version": version})
        assert refused != oldest.contains(version), version


def test_pyproject_and_the_lock_agree_with_the_requirements():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    ranges = {r.name: r.specifier for r in map(Requirement, project["dependencies"])}
    pinned = pins("requirements.txt")
    assert ranges.keys() == pinned.keys()
    assert all(ranges[name].contains(version) for name, version in pinned.items())
    lock = pins("requirements.lock")
    assert {
        name.replace("_", "-"): version for name, version in pinned.items()
    }.items() <= lock.items()
    assert not [name for name in lock if name.startswith(("nvidia", "cuda", "triton"))]
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    entries = re.split(r"^(?=[\w-]+==)", text, flags=re.MULTILINE)[1:]
    assert all("--hash=sha256:" in entry for entry in entries) and len(text) < 400_000
