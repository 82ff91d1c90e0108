"""extra_long_text.py: the bigger table keeps what was pretrained, the pieces are all of a review"""

import numpy as np
import torch
from conftest import TEXTS, TINY, encode, run_here, write_csv
from transformers import BertModel

from course.models import load_tokenizer
from extra_long_text import cut, interval, longer, spans


def test_the_bigger_table_keeps_the_pretrained_rows_and_starts_over_after_them(mini_bert):
    bert, table = BertModel.from_pretrained(mini_bert).eval(), "embeddings.position_embeddings"
    bigger = longer(bert, 64, 200)
    old, new = bert.get_submodule(table).weight, bigger.get_submodule(table).weight
    assert new.shape == (200, 32) and torch.equal(new[:64], old[:64])
    assert torch.equal(new[64:128], old[:64]) and torch.equal(new[128:], old[:64].repeat(2, 1)[:72])
    assert bert.config.max_position_embeddings == 512  # the old one is as it was
    with torch.no_grad():
        batch = encode(mini_bert).to("cpu")
        assert torch.equal(bert(**batch)[0], bigger(**batch)[0])
        assert bigger(torch.full((1, 200), 100))[0].shape == (1, 200, 32)


def test_the_pieces_of_a_review_are_all_of_it(splits):
    tokenizer = load_tokenizer(TINY)
    text = max((text for text, _ in splits["validation"][:200]), key=len)
    places = spans(tokenizer, text)
    for size in (1, 7, 62):
        pieces = [cut(text, places[i : i + size]) for i in range(0, len(places), size)]
        assert "".join(pieces).replace(" ", "") == "".join(text.split())
    assert cut(text, []) == ""  # the head of a very small limit


def test_a_gain_is_measured_on_the_same_reviews():
    right = np.array([1.0, 0.0, 1.0, 1.0] * 50)
    assert interval(right - right, "+") == "+0.0 [+0.0, +0.0]"  # unpaired, some points wide
    assert interval(right).startswith("75.0 [6")


def test_too_few_long_reviews_are_said_and_not_measured(monkeypatch, capsys, tmp_path):
    rows = [(f"{text}{i}", i % 2) for i in range(60) for text in TEXTS[:1]]
    data = write_csv(tmp_path / "short.csv", rows)
    script = "demo02_sentiment/extra_long_text.py"
    code, printed = run_here(monkeypatch, capsys, script, "--model", TINY, "--data", data)
    assert code == 1 and "--max-length 写小一点" in printed
