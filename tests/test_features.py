"""Features: equal to the literal pass, cached under a key that covers everything"""

import copy

import pytest
import torch
from transformers import BertTokenizer

import features
from course.errors import CourseError
from course.models import load_tokenizer
from features import cached_features, cls_features, encode, make_batches
from net import load_encoder


@pytest.fixture(scope="module")
def encoder(mini_bert):
    return load_encoder(mini_bert).eval()


@pytest.fixture(scope="module")
def tokenizer(mini_bert):
    return load_tokenizer(mini_bert)


@pytest.fixture(scope="module")
def texts(splits):
    return [text for text, _ in splits["test"][:150]]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(features, "DATA", tmp_path)
    return tmp_path / "features"


def literal(encoder, tokenizer, texts, max_length):
    """The lecture's pass: padded to max_length, attention_mask, last_hidden_state[:, 0]"""
    batch = tokenizer(
        texts, truncation=True, padding="max_length", max_length=max_length, return_tensors="pt"
    )
    with torch.no_grad():
        return encoder(**batch).last_hidden_state[:, 0]


def test_equal_to_the_lectures_pass_row_by_row(encoder, tokenizer, texts):
    texts = [*texts, texts[3], "好", texts[0]]  # duplicates, and the shortest
    for max_length in (60, 200):  # some are cut, some are not
        expected = literal(encoder, tokenizer, texts, max_length)
        ours = encode(encoder, tokenizer, texts, max_length, progress=False)
        assert ours.shape == (len(texts), 32)
        torch.testing.assert_close(ours, expected, atol=5e-6, rtol=0)
    assert (ours[3] - ours[4]).abs().max() > 1e-3  # different reviews differ by far more than that


def test_last_layer_for_cls_only_is_the_whole_last_layer_at_cls(encoder):
    input_ids = torch.randint(1000, 8000, (5, 17))
    with torch.inference_mode():
        whole = encoder(input_ids=input_ids).last_hidden_state[:, 0]
        torch.testing.assert_close(cls_features(encoder, input_ids), whole, atol=5e-6, rtol=0)


def test_batches_hold_equal_lengths_within_the_budget_and_every_row_once():
    sequences = [[0] * n for n in (3, 5, 3, 500, 5, 3, 2049)] + [[0] * 7] * 1000
    batches = make_batches(sequences)
    assert sorted(i for batch in batches for i in batch) == list(range(len(sequences)))
    for batch in batches:
        assert len({len(sequences[i]) for i in batch}) == 1
        assert len(batch) == 1 or len(batch) * len(sequences[batch[0]]) <= features.BATCH_TOKENS


def test_encoding_restores_the_number_of_threads(encoder, tokenizer):
    before = torch.get_num_threads()
    encode(encoder, tokenizer, ["好", "坏"], progress=False)
    assert torch.get_num_threads() == before


def test_train_mode_is_refused(encoder, tokenizer):
    with pytest.raises(RuntimeError, match="eval mode"):
        encode(copy.deepcopy(encoder).train(), tokenizer, ["好"])


def test_max_length_beyond_the_positions_is_refused(encoder, tokenizer):
    with pytest.raises(CourseError, match="上限 512"):
        encode(encoder, tokenizer, ["好"], max_length=513)


def test_second_time_is_read_and_a_damaged_file_is_never_used(
    cache, encoder, tokenizer, texts, capsys
):
    first = cached_features(encoder, tokenizer, texts, 100, "test")
    (file,) = cache.iterdir()
    good = file.read_bytes()
    capsys.readouterr()
    assert torch.equal(cached_features(encoder, tokenizer, texts, 100, "test"), first)
    assert "用上次存下的" in capsys.readouterr().out

    flipped = bytearray(good)
    flipped[-1000] ^= 1  # one bit of one number
    for damaged in (good[: len(good) // 2], bytes(flipped), b"", b"not a tensor"):
        file.write_bytes(damaged)
        assert torch.equal(cached_features(encoder, tokenizer, texts, 100, "test"), first)
        assert "已损坏，重新算" in capsys.readouterr().out
        assert file.read_bytes() == good


def test_key_covers_everything_that_changes_a_feature(
    cache, encoder, tokenizer, texts, mini_bert, tmp_path
):
    def files() -> int:
        return len(list(cache.iterdir()))

    cached_features(encoder, tokenizer, texts, 100, "test")
    assert files() == 1
    other = copy.deepcopy(encoder)
    with torch.no_grad():
        other.embeddings.word_embeddings.weight[4635, 0] += 1e-3
    cached_features(other, tokenizer, texts, 100, "test")  # weights
    assert files() == 2
    cached_features(encoder, tokenizer, texts, 101, "test")  # max_length
    assert files() == 3
    cached_features(encoder, tokenizer, texts[::-1], 100, "test")  # texts, and their order
    assert files() == 4
    low = cached_features(copy.deepcopy(encoder).bfloat16(), tokenizer, texts, 100, "test")  # dtype
    assert files() == 5 and low.dtype == torch.bfloat16
    cased = tmp_path / "cased"
    cased.mkdir()
    lines = (mini_bert / "vocab.txt").read_text(encoding="utf-8").split("\n")
    lines[4635], lines[3189] = lines[3189], lines[4635]  # two characters change places
    (cased / "vocab.txt").write_text("\n".join(lines), encoding="utf-8")
    cached_features(encoder, BertTokenizer.from_pretrained(cased), texts, 100, "test")  # tokenizer
    assert files() == 6
    cached_features(encoder, tokenizer, texts, 100, "test")  # and nothing else does
    assert files() == 6
