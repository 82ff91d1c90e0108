"""Cached features: read the second time, never from a damaged file, under a key that covers all"""

import copy
import sys

import pytest
import torch
from safetensors.torch import save_file
from transformers import BertTokenizer

from course import feature_cache
from course.feature_cache import cached_features
from course.models import load_encoder, load_tokenizer


@pytest.fixture(scope="module")
def encoder(mini_bert):
    return load_encoder(mini_bert).eval()


@pytest.fixture
def tokenizer(mini_bert):
    return load_tokenizer(mini_bert, 100)


@pytest.fixture(scope="module")
def texts(splits):
    return [text for text, _ in splits["test"][:150]]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(feature_cache, "DATA", tmp_path)
    return tmp_path / "features"


def test_bf16_is_close_and_stored_apart(cache, encoder, tokenizer, texts, capsys):
    exact = cached_features(encoder, tokenizer, texts, "test")
    capsys.readouterr()
    near = cached_features(encoder, tokenizer, texts, "test", torch.bfloat16)
    assert "是近似的" in capsys.readouterr().out
    assert len(list(cache.iterdir())) == 2 and near.dtype == torch.float32
    assert 1e-4 < (near - exact).abs().max() < 0.1
    assert torch.cosine_similarity(near, exact).min() > 0.999


def test_second_time_is_read_and_a_damaged_file_is_never_used(
    cache, encoder, tokenizer, texts, capsys
):
    first = cached_features(encoder, tokenizer, texts, "test")
    (file,) = cache.iterdir()
    good = file.read_bytes()
    capsys.readouterr()
    assert torch.equal(cached_features(encoder, tokenizer, texts, "test"), first)
    assert "用上次存下的" in capsys.readouterr().out

    flipped = bytearray(good)
    flipped[-1000] ^= 1  # one bit of one number
    for damaged in (good[: len(good) // 2], bytes(flipped), b"", b"not a tensor"):
        file.write_bytes(damaged)
        assert torch.equal(cached_features(encoder, tokenizer, texts, "test"), first)
        assert "已损坏，重新算" in capsys.readouterr().out
        assert file.read_bytes() == good


def test_a_sound_file_of_another_shape_or_type_is_never_used(
    cache, encoder, tokenizer, texts, capsys
):
    first = cached_features(encoder, tokenizer, texts, "test")
    (file,) = cache.iterdir()
    for other in (first.T.contiguous(), first.flatten(), first.view(torch.int32), first[:10]):
        # the digest is that of the content, so only the shape or the type gives it away
        save_file({"features": other}, file, metadata={"sha256": feature_cache.sha256(other)})
        capsys.readouterr()
        assert torch.equal(cached_features(encoder, tokenizer, texts, "test"), first)
        assert "已损坏，重新算" in capsys.readouterr().out
    header = b'{"features":{"dtype":"F32","shape":[9999999999,9999999],"data_offsets":[0,4]}}'
    file.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))  # 355 PB
    assert torch.equal(cached_features(encoder, tokenizer, texts, "test"), first)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of a file")
def test_features_that_do_not_fit_on_the_disk_are_used_all_the_same(
    cache, encoder, tokenizer, texts, capsys
):
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))  # the features take 19,200 bytes
    try:
        features = cached_features(encoder, tokenizer, texts, "test")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "这次照样用" in capsys.readouterr().out and not list(cache.iterdir())
    assert torch.equal(cached_features(encoder, tokenizer, texts, "test"), features)
    assert len(list(cache.iterdir())) == 1


def test_key_covers_everything_that_changes_a_feature(
    cache, encoder, tokenizer, texts, mini_bert, tmp_path
):
    def files() -> int:
        return len(list(cache.iterdir()))

    cached_features(encoder, tokenizer, texts, "test")
    assert files() == 1
    other = copy.deepcopy(encoder)
    with torch.no_grad():
        other.embeddings.word_embeddings.weight[4635, 0] += 1e-3
    cached_features(other, tokenizer, texts, "test")  # weights
    assert files() == 2
    cached_features(encoder, load_tokenizer(mini_bert, 101), texts, "test")  # max_length
    assert files() == 3
    cached_features(encoder, tokenizer, texts[::-1], "test")  # texts, and their order
    assert files() == 4
    low = cached_features(copy.deepcopy(encoder).bfloat16(), tokenizer, texts, "test")  # dtype
    assert files() == 5 and low.dtype == torch.bfloat16
    cased = tmp_path / "cased"
    cased.mkdir()
    lines = (mini_bert / "vocab.txt").read_text(encoding="utf-8").split("\n")
    lines[4635], lines[3189] = lines[3189], lines[4635]  # two characters change places
    (cased / "vocab.txt").write_text("\n".join(lines), encoding="utf-8")
    cached_features(
        encoder, BertTokenizer.from_pretrained(cased, model_max_length=100), texts, "test"
    )  # tokenizer
    assert files() == 6
    cached_features(encoder, tokenizer, texts, "test")  # and nothing else does
    assert files() == 6
