"""extra_lora.py: LoRA by hand is nothing at first, learns only A and B, merges, equals peft"""

import pytest
import torch
from conftest import encode
from torch import nn

from extra_lora import ALPHA, RANK, LoraLinear, alike, cls, count, fit, load_bert, swap


@pytest.fixture
def learned(mini_bert):
    """(the plain features, a BERT whose adapters have learned something, the batch)"""
    bert, batch = load_bert(mini_bert), dict(encode(mini_bert).to("cpu"))
    plain = cls(bert, batch).detach()
    torch.manual_seed(0)
    swap(bert.requires_grad_(False), LoraLinear)
    assert torch.equal(cls(bert, batch), plain)
    fit(bert, nn.Linear(32, 3), 0.05, 3, batch, torch.tensor([0, 1, 2]))
    return plain, bert, batch


def test_only_the_adapters_learn(mini_bert, learned):
    _, bert, _ = learned
    assert count(bert) == 2 * 2 * RANK * (32 + 32)  # two layers, query and value
    for layer, old in zip(bert.encoder.layer, load_bert(mini_bert).encoder.layer, strict=True):
        mine, was = layer.attention.self, old.attention.self
        assert torch.equal(mine.query.linear.weight, was.query.weight)
        assert mine.query.B.abs().max() > 0.01 and torch.equal(mine.key.weight, was.key.weight)


@torch.no_grad()
def test_the_merged_model_is_plain_and_answers_the_same(learned, tmp_path):
    plain, bert, batch = learned
    before = cls(bert, batch)
    assert (before - plain).abs().max() > 0.01  # it has something to merge
    swap(bert, LoraLinear.merged)
    bert.save_pretrained(tmp_path)
    for merged in (bert, load_bert(tmp_path)):
        assert alike(cls(merged, batch), before)


@torch.no_grad()
def test_peft_does_the_same(mini_bert, learned):
    # not in requirements.txt: with peft installed transformers asks the Hub for an adapter at each
    # from_pretrained(name), local_files_only or not
    peft = pytest.importorskip("peft", reason="pip install peft to run it")
    _, bert, batch = learned
    settings = peft.LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=["query", "value"])
    wrapped = peft.get_peft_model(load_bert(mini_bert), settings)
    assert count(wrapped) == count(bert)
    ours = [m for m in bert.modules() if isinstance(m, LoraLinear)]
    theirs = [m for m in wrapped.modules() if hasattr(m, "lora_A")]
    for mine, other in zip(ours, theirs, strict=True):
        other.lora_A["default"].weight.copy_(mine.A)
        other.lora_B["default"].weight.copy_(mine.B)
    assert alike(cls(wrapped, batch), cls(bert, batch))
