"""How the shipped tiny BERT is built: pieces of newspaper, and a loop that learns, stops, goes on

Its teacher is an optional package; a teacher that anybody can imitate stands in for it here. That
it never read a review of validation or test: tests/test_models.py.
"""

import random

import pytest
import torch
from transformers import BertTokenizer

import build_tiny_bert as build
import training
from build_reviews import newspaper
from course.paths import ROOT

FOLDER = ROOT / "models" / "tiny-bert-chinese"


def test_the_newspaper_is_cut_at_its_marks_and_nothing_but_crumbs_is_lost(monkeypatch):
    paragraphs = newspaper()
    monkeypatch.setattr(build, "pretraining_text", lambda name: paragraphs)
    pieces = build.newspaper_pieces()
    assert {len(piece) for piece in pieces} <= set(range(build.SHORTEST, build.LONGEST + 1))
    long = next(text for text in paragraphs if len(text) > 2 * build.LONGEST)
    of_it = [piece for piece in pieces if piece in long]
    assert "".join(of_it)[: build.LONGEST] == long[: build.LONGEST]
    assert all(piece[-1] in "。！？；，" for piece in of_it[:-1])
    assert sum(map(len, pieces)) > 0.97 * sum(map(len, dict.fromkeys(paragraphs)))


def test_muon_in_fp32_is_the_one_of_torch():
    """One step from zero is the stretched gradient; torch's own is in bf16, so two digits"""
    gradient = torch.randn(96, 24, generator=torch.Generator().manual_seed(0))
    weight = torch.nn.Parameter(torch.zeros(96, 24))
    weight.grad = gradient.clone()
    muon = torch.optim.Muon([weight], lr=1.0, weight_decay=0.0, momentum=0.0, nesterov=False)
    muon.step()
    coefficients = (3.4445, -4.775, 2.0315)  # Keller Jordan's, torch's default
    ours = training.stretch(gradient, coefficients, 5, 1e-7)
    scale = 2.0  # torch's default: the root of rows / columns
    assert torch.allclose(weight.detach(), -scale * ours, atol=0.03)
    lengths = torch.linalg.svdvals(ours)
    assert lengths.min() > 0.6 and lengths.max() < 1.3
    assert torch.linalg.svdvals(gradient).max() > 2 * torch.linalg.svdvals(gradient).min()


@pytest.mark.slow
def test_two_stages_learn_and_go_on_where_they_stopped(tmp_path):
    tokenizer = BertTokenizer.from_pretrained(FOLDER)
    rng = random.Random(0)
    table = torch.randn(200, 24, generator=torch.Generator().manual_seed(1))
    lessons = []
    for _ in range(120):  # the teacher's vector of a token depends on the token alone
        ids = torch.tensor([rng.randrange(200) for _ in range(rng.randrange(8, 30))])
        lessons.append(((ids + 700).int(), table[ids].half()))
    student = build.new_student().train()
    start = {name: value.clone() for name, value in student.state_dict().items()}

    def learn(minutes: float):
        arguments = (lessons, tokenizer, build.REVIEWS, minutes, tmp_path)
        return build.pretrain(student, *arguments)

    first = learn(0.05).state
    assert first["step"] > 0 and (tmp_path / "reviews.pt").is_file()
    assert any((value != start[name]).any() for name, value in student.state_dict().items())
    again = learn(0.1).state
    assert again["step"] > first["step"] and again["tokens"] > first["tokens"]
    assert learn(0.1).state == again  # finished: nothing more to do
