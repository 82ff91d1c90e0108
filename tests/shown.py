"""The block under 会看到 in a lesson's docstring says what the lesson really prints"""

import ast
import re
from pathlib import Path


def promised(script: Path) -> list[str]:
    """The indented lines under 会看到, without the indent and without lines of nothing but …"""
    # as it stands: cleaning it would turn the tabs that a lesson prints into spaces
    doc = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8")), clean=False)
    lines = iter(doc.splitlines())
    for line in lines:
        if line.startswith("会看到"):
            break
    block = []
    for line in lines:
        if line.startswith("    "):
            block.append(line[4:].rstrip())
        elif line.strip():
            break
    block = [line for line in block if line != "…"]
    assert block, f"{script.name} promises nothing"
    return block


def assert_shown(script: Path, printed: str) -> None:
    """Every promised line was printed, in this order; … stands for anything"""
    rest = [line.rstrip() for line in printed.splitlines()]
    for line in promised(script):
        pattern = re.compile(".*".join(map(re.escape, line.split("…"))))
        found = next((i for i, text in enumerate(rest) if pattern.fullmatch(text)), None)
        assert found is not None, f"{script.name} promises, but did not print: {line}\n{printed}"
        rest = rest[found + 1 :]
