"""The fast pass: equal to the lecture's, whatever the lengths, the batches and the activation"""

import copy

import numpy as np
import pytest
import torch
from conftest import lesson
from transformers.activations import ACT2FN

from course import packed_bert
from course.errors import CourseError
from course.models import load_encoder, load_tokenizer
from course.packed_bert import encode, make_batches, packed_features, prepare

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
        ours = encode(encoder, tokenizer, texts, progress=False)
        assert ours.shape == (len(texts), 32)
        torch.testing.assert_close(ours, expected, atol=5e-6, rtol=0)
        for padding in ("max_length", True):  # the two slower ways that lesson 6 shows
            shown = features.cls_features(encoder, tokenizer, texts, padding)
            torch.testing.assert_close(shown, expected, atol=5e-6, rtol=0)
    assert (ours[3] - ours[4]).abs().max() > 1e-3  # different reviews differ by far more than that


@pytest.mark.parametrize("onednn", [True, False])
@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_packed_sequences_do_not_see_each_other(encoder, onednn, activation, monkeypatch):
    monkeypatch.setattr(packed_bert, "ONEDNN", onednn and packed_bert.ONEDNN)
    encoder = copy.deepcopy(encoder)
    for layer in encoder.encoder.layer:
        layer.intermediate.intermediate_act_fn = ACT2FN[activation]
    # equal and different lengths, more than one batch, and one batch that is exactly full
    lengths = [17, 17, 3, 40, 1, 500, 12, packed_bert.BATCH_TOKENS, 60, 60, 60]
    sequences = [np.random.randint(1000, 8000, n, np.int32) for n in lengths]
    with torch.inference_mode():
        alone = [
            encoder(input_ids=torch.from_numpy(s)[None]).last_hidden_state[0, 0] for s in sequences
        ]
    several = [[5, 3, 10], [7], [0, 1, 2, 4, 6, 8, 9]]
    for batches in (several, [[0, 1, 2]]):
        rows = [[sequences[i] for i in batch] for batch in batches]
        ours = packed_features(encoder, rows, prepare(encoder))
        for batch, rows in zip(batches, ours, strict=True):
            expected = torch.stack([alone[i] for i in batch])
            torch.testing.assert_close(rows, expected, atol=5e-6, rtol=0)


def test_batches_are_full_within_the_budget_and_hold_every_row_once():
    lengths = [3, 5, 3, 500, 5, 3, packed_bert.BATCH_TOKENS + 1, *[7] * 1000, *range(20, 400)]
    batches = make_batches(lengths)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    totals = [sum(lengths[i] for i in batch) for batch in batches]
    assert totals[0] == packed_bert.BATCH_TOKENS + 1 and len(batches[0]) == 1
    assert max(totals[1:]) <= packed_bert.BATCH_TOKENS
    assert sum(totals) > 0.97 * packed_bert.BATCH_TOKENS * len(batches)
    for batch in batches:  # equal lengths side by side: attention takes them together
        assert [lengths[i] for i in batch] == sorted((lengths[i] for i in batch), reverse=True)


def test_an_empty_batch_of_texts_gives_no_rows(encoder, tokenizer):
    assert encode(encoder, tokenizer, [], progress=False).shape == (0, 32)


def test_train_mode_is_refused(encoder, tokenizer):
    with pytest.raises(RuntimeError, match="eval mode"):
        encode(copy.deepcopy(encoder).train(), tokenizer, ["好"])


def test_max_length_beyond_the_positions_is_refused(mini_bert):
    with pytest.raises(CourseError, match="上限 512"):
        load_tokenizer(mini_bert, 513)
