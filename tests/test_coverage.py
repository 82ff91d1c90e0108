"""tests/coverage.csv: each of the 152 items of the two lectures is explained where the list says

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

WANTED = [f"1.{i}" for i in range(1, 73)] + [f"2.{i}" for i in range(1, 81)]

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
