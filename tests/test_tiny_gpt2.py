"""What the shipped tiny GPT-2 must be: small, complete, trained, and blind to the exam's reviews"""

import pytest
import torch
from conftest import run_here
from transformers import AutoTokenizer, GPT2LMHeadModel

import build_reviews
import build_tiny_gpt2 as build
from course.paths import ROOT

FOLDER = ROOT / "models" / "tiny-gpt2-chinese"


@pytest.fixture
def texts(monkeypatch) -> list[str]:
    """What it learnt from; the builder itself reads files that data/build_reviews.py writes"""
    train = [text for text, _ in build_reviews.build_splits()["train"]]
    files = {"train": train, "unused": build_reviews.unused_reviews()}
    files["newspaper"] = build_reviews.newspaper()
    monkeypatch.setattr(build, "pretraining_text", files.get)
    return build.pretraining_texts()


def test_folder_is_small_and_loads_everywhere():
    assert (FOLDER / "model.safetensors").stat().st_size < 25_000_000
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\n") and "license: mit" in card
    tokenizer = AutoTokenizer.from_pretrained(FOLDER)  # without tokenizer_class: 1 token, silently
    assert len(tokenizer) == 21128
    model = GPT2LMHeadModel.from_pretrained(FOLDER)
    assert model.dtype == torch.float32 and model.config.vocab_size == 21128


def test_it_never_saw_a_review_of_validation_or_test(texts, splits):
    seen = set(texts)
    assert {text for text, _ in splits["train"]} <= seen
    for name in ("validation", "test"):
        assert not any(text in seen for text, _ in splits[name])


@pytest.mark.slow
def test_it_beats_the_bigram_on_text_it_never_saw(texts):
    tokenizer = AutoTokenizer.from_pretrained(FOLDER)
    model = GPT2LMHeadModel.from_pretrained(FOLDER).eval()
    bigram = build.Bigram(build.to_ids(texts, tokenizer))
    for unseen in build.held_out_texts().values():
        documents = build.to_ids(unseen[:40], tokenizer)
        ours, theirs, count, _ = build.perplexity(model, bigram, documents)
        assert count > 1000 and ours < 0.9 * theirs


def test_a_folder_without_a_model_is_refused_before_anything_is_read(monkeypatch, capsys, tmp_path):
    script = "models/build_tiny_gpt2.py"
    code, said = run_here(monkeypatch, capsys, script, "--check", "--out", tmp_path)
    assert "里没有模型" in str(code) and f"{script} 先造一个" in said
