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


ROWS = BREAKPOINT.findall((ROOT / "docs/10-tensors.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("script", dict.fromkeys(row[0] for row in ROWS))
def test_a_breakpoint_on_the_named_line_shows_the_named_value(repo, mini_data, tmp_path, script):
    source = (ROOT / script).read_text(encoding="utf-8").splitlines()
    orders, wanted = "", []
    for _, line, asked, seen in [row for row in ROWS if row[0] == script]:
        # the first such line of net.py is in the lecture's class, which is what runs
        number = next(n for n, text in enumerate(source, 1) if text.strip().startswith(line))
        orders += "" if f"b {number}\n" in orders else f"b {number}\nc\n"
        orders += f"p 'HERE', {asked}\n"
        wanted.append(f"('HERE', {seen})")
    small = ["--data", mini_data, "--params", tmp_path] if script.endswith("train.py") else []
    done = subprocess.run(
        [sys.executable, "-m", "pdb", str(repo / script), *map(str, small)],
        input=orders + "q\n",
        env=environment(repo),
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert re.findall(r"\('HERE', .*\)$", done.stdout, re.MULTILINE) == wanted, done.stderr
