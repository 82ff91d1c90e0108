"""The fast pass: equal to the lecture's, whatever the lengths, the batches and the activation"""

import copy
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import environment, lesson
from transformers.activations import ACT2FN

from course import packed_bert
from course.encoder import SentenceEncoder, make_batches
from course.errors import CourseError
from course.models import load_encoder, load_tokenizer
from course.packed_bert import packed

features = lesson("06_features")


@pytest.fixture(scope="module")
def encoder(mini_bert):
    return load_encoder(mini_bert).eval()


@pytest.fixture(scope="module")
def tokenizer(mini_bert):
    return load_tokenizer(mini_bert)


@pytest.fixture(scope="module")
def texts(splits):
    return [text for text, _ in splits["test"][:150]]


def literal(encoder, tokenizer, texts, max_length):
    """The lecture's pass: padded to max_length, attention_mask, last_hidden_state[:, 0]"""
    batch = tokenizer(
        texts, truncation=True, padding="max_length", max_length=max_length, return_tensors="pt"
    )
    with torch.no_grad():
        return encoder(**batch).last_hidden_state[:, 0]


def test_equal_to_the_lectures_pass_row_by_row(encoder, tokenizer, texts, mini_bert):
    texts = [*texts, texts[3], "好", texts[0]]  # duplicates, and the shortest
    for max_length in (60, 200):  # some are cut, some are not
        expected = literal(encoder, tokenizer, texts, max_length)
        tokenizer = load_tokenizer(mini_bert, max_length)
        ours = SentenceEncoder(encoder, tokenizer).encode(texts)
        assert ours.shape == (len(texts), 32)
        torch.testing.assert_close(ours, expected, atol=5e-6, rtol=0)
        for padding in ("max_length", True):  # the two slower ways that lesson 6 shows
            shown, _ = features.cls_features(encoder, tokenizer, texts, padding)
            torch.testing.assert_close(shown, expected, atol=5e-6, rtol=0)
    assert (ours[3] - ours[4]).abs().max() > 1e-3  # different reviews differ by far more than that


@pytest.mark.parametrize("way", ["onednn", "plain", "int8"])
@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_packed_sequences_do_not_see_each_other(encoder, way, activation, monkeypatch):
    monkeypatch.setattr(packed_bert, "ONEDNN", way == "onednn" and packed_bert.ONEDNN)
    encoder = copy.deepcopy(encoder)
    for layer in encoder.encoder.layer:
        layer.intermediate.intermediate_act_fn = ACT2FN[activation]
    # equal and different lengths, more than one batch, and one batch that is exactly full
    lengths = [17, 17, 3, 40, 1, 500, 12, 512, 60, 60, 60]
    sequences = [np.random.randint(1000, 8000, n, np.int32) for n in lengths]
    for pooling in ("cls", "mean"):
        forward = packed(encoder, pooling, int8=way == "int8")
        alone = torch.cat([forward([sequence]) for sequence in sequences])
        for batch in ([5, 3, 10], [7], [0, 1, 2, 4, 6, 8, 9], [0, 1, 2]):
            rows = forward([sequences[i] for i in batch])
            if way == "int8":  # one scale a token: to the last bit
                assert torch.equal(rows, alone[batch])
            else:
                torch.testing.assert_close(rows, alone[batch], atol=5e-6, rtol=0)
        with torch.inference_mode():
            hidden = [
                encoder(input_ids=torch.from_numpy(s)[None]).last_hidden_state[0] for s in sequences
            ]
        expected = torch.stack([h[0] if pooling == "cls" else h.mean(0) for h in hidden])
        apart = (alone - expected).abs().max()
        low, high = (1e-4, 0.2) if way == "int8" else (0, 5e-6)
        assert low <= apart < high, apart


INT8 = """
import torch
from course.packed_bert import int8_bits, int8_multiplier
torch.manual_seed(0)
for width in (64, 768):
    linear, x = torch.nn.Linear(width, 128), torch.randn(40, width)
    largest = torch.nn.Linear(width, 128)
    torch.nn.init.constant_(largest.weight, 0.1)  # every product as large as it can be
    with torch.inference_mode():
        apart = (int8_multiplier(linear)(x) - linear(x)).abs().max()
        ones = torch.ones(40, width)
        full = (int8_multiplier(largest)(ones) - largest(ones)).abs().max()
    print(int8_bits(), float(apart), float(full))
"""


@pytest.mark.parametrize("isa", ["AVX2", "DEFAULT"])
def test_int8_products_never_overflow_whatever_the_processor(isa, repo):
    """Without VNNI 16 bits hold the sum of two products: 8-bit inputs would saturate, silently"""
    env = environment(repo) | {"ONEDNN_MAX_CPU_ISA": isa}
    done = subprocess.run([sys.executable, "-c", INT8], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        bits, apart, full = line.split()
        assert bits == "7" or isa == "DEFAULT"
        assert float(apart) < 0.06 and float(full) < 1e-3, line


@pytest.mark.parametrize("padding", [True, False])
def test_batches_are_within_the_budget_and_hold_every_row_once(padding):
    lengths = [3, 5, 3, 1000, 5, 3, 1025, *[7] * 1000, *range(20, 400)]
    batches = make_batches(lengths, 1024, padding)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    sizes = [[lengths[i] for i in batch] for batch in batches]
    assert [size for batch in sizes for size in batch] == sorted(lengths, reverse=True)
    totals = [max(size) * len(size) if padding else sum(size) for size in sizes]
    assert totals[0] == 1025 and len(batches[0]) == 1 and max(totals[1:]) <= 1024
    assert sum(totals) > 0.8 * 1024 * len(batches)


def test_an_empty_batch_of_texts_gives_no_rows(encoder, tokenizer):
    assert SentenceEncoder(encoder, tokenizer).encode([]).shape == (0, 32)


def test_train_mode_is_refused(encoder, tokenizer):
    with pytest.raises(RuntimeError, match="eval mode"):
        SentenceEncoder(copy.deepcopy(encoder).train(), tokenizer).encode(["好"])


def test_max_length_beyond_the_positions_is_refused(mini_bert):
    with pytest.raises(CourseError, match="上限 512"):
        load_tokenizer(mini_bert, 513)
