"""The three pages of basics say what their scripts do, and a debugger shows what they promise"""

import re
import subprocess
import sys
import textwrap

import pytest
from conftest import environment, run_script
from shell_blocks import FENCE

from course.paths import ROOT

PAGES = {
    "docs/10-tensors.md": "demo01_hf_basics/basics_tensors.py",
    "docs/11-learning.md": "demo02_sentiment/basics_learning.py",
    "docs/12-attention.md": "demo01_hf_basics/basics_attention.py",
}
BREAKPOINT = re.compile(r"^\| `(demo\S+\.py)` \| `(.+?)` \| `(.+?)` \| `(.+?)` \|$", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_its_script_step_by_step_and_what_each_prints(repo, page):
    source = (ROOT / PAGES[page]).read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 60
    done = run_script(repo, PAGES[page])
    assert done.returncode == 0, done.stderr
    printed = re.split(r"^── ", done.stdout.partition("\n下一步：")[0], flags=re.MULTILINE)[1:]
    written = re.split(
        r"^    step\(", textwrap.dedent(source).partition("\n\n\nif ")[0], flags=re.M
    )
    sections = re.split(r"^## (?=\d)", (ROOT / page).read_text(encoding="utf-8"), flags=re.M)[1:]
    assert len(sections) == len(printed)
    for section, output, code in zip(sections, printed, written[1:], strict=True):
        title, _, lines = output.partition("\n")
        assert section.startswith(title + "\n") and code.startswith(f'"{title}")\n')
        blocks = {kind: text for _, kind, text in FENCE.findall(section)}
        assert blocks["python"].strip() == textwrap.dedent(code.partition("\n")[2]).strip()
        assert blocks["text"].strip() == lines.strip()


def places() -> list[tuple[str, ...]]:
    return BREAKPOINT.findall((ROOT / "docs/10-tensors.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("script", "line", "asked", "seen"), places())
def test_a_breakpoint_on_the_named_line_shows_the_named_value(
    repo, mini_data, tmp_path, script, line, asked, seen
):
    source = (ROOT / script).read_text(encoding="utf-8").splitlines()
    found = [number for number, text in enumerate(source, 1) if text.strip().startswith(line)]
    assert found, f"{script} has no line {line}"
    small = ["--data", mini_data, "--params", tmp_path] if script.endswith("train.py") else []
    # net.py's first such line is the lecture's class, which is what runs
    orders = f"b {found[0]}\nc\np 'HERE', {asked}\nq\n"
    done = subprocess.run(
        [sys.executable, "-m", "pdb", str(repo / script), *map(str, small)],
        input=orders,
        env=environment(repo),
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert f"('HERE', {seen})" in done.stdout, done.stdout + done.stderr
