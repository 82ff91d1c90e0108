"""tests/coverage.csv: each item of the two lectures is explained where the list says

1.… and 2.… are the 152 items of the lectures, 3.… the 21 that a second reading found missing.
An item whose explanation is rewritten needs its phrase in the list changed with it; an item whose
explanation is lost fails here.
"""

import csv
import io
import re
import tokenize
from collections import Counter
from functools import cache

import pytest

from course.paths import ROOT

WANTED = [f"{part}.{i}" for part, last in ((1, 72), (2, 80), (3, 21)) for i in range(1, last + 1)]

with (ROOT / "tests" / "coverage.csv").open(encoding="utf-8", newline="") as lines:
    ITEMS = list(csv.DictReader(lines))


@cache
def explanations(name: str) -> str:
    """What a file says to the learner: no headings, no commands, no code"""
    text = (ROOT / name).read_text(encoding="utf-8")
    if name.endswith(".py"):
        kinds = {tokenize.COMMENT, tokenize.STRING}
        kinds.add(getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING))  # before 3.12: one STRING
        found = tokenize.generate_tokens(io.StringIO(text).readline)
        return "\n".join(token.string for token in found if token.type in kinds)
    text = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"^#.*$", "", text, flags=re.MULTILINE)


def test_the_list_has_every_item_of_the_lectures_once_and_in_order():
    assert [item["id"] for item in ITEMS] == WANTED
    assert all(re.search("[一-鿿]|[a-z]", item["title"]) for item in ITEMS)


@pytest.mark.parametrize("item", ITEMS, ids=[item["id"] for item in ITEMS])
def test_the_item_is_explained_where_the_list_says(item):
    name, phrase = item["file"], item["phrase"]
    assert (ROOT / name).is_file(), f"{item['id']} {item['title']}: no file {name}"
    assert phrase, f"{item['id']} {item['title']}: no phrase yet, it belongs to {name}"
    assert len(phrase) >= 6 and len(re.findall("[一-鿿]", phrase)) >= 3, f"too short: {phrase}"
    assert phrase in explanations(name), (
        f"{item['id']} {item['title']}: {name} does not say 「{phrase}」 outside headings and code"
    )


def test_no_two_items_lean_on_the_same_phrase():
    used = Counter((item["file"], item["phrase"]) for item in ITEMS if item["phrase"])
    assert [pair for pair, times in used.items() if times > 1] == []
    for name, phrase in used:
        inside = [other for file, other in used if file == name and other != phrase]
        assert not any(phrase in other for other in inside), (
            f"{name}: 「{phrase}」 is part of another"
        )


def test_what_is_true_today_is_taught_in_a_lesson_or_a_page_not_in_the_errata():
    text = (ROOT / "docs" / "errata.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    rows = [row for row in rows if row[0] != "讲课时"]
    assert len(rows) > 50 and {len(row) for row in rows} == {3}
    for said, _, place in rows:
        assert re.fullmatch(r"\[[^]]+]\((?:0\d-|\.\./demo0[12]_)\S+\.(?:md|py)\)", place), said
