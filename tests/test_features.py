"""Stored features: each row computed once, whoever asks, whenever it is killed"""

import collections
import copy
import multiprocessing
import os
import random
import re
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SMALL, make_bert, record_of, run_script
from safetensors.torch import load_file, save
from transformers import BertTokenizer

from course import encoder as engine
from course import features, packed_bert
from course.encoder import SentenceEncoder
from course.features import FeatureStore, cached_features
from course.models import load_encoder, load_tokenizer

SHARDS, ROWS = 40, 16  # of the pass that is killed


@pytest.fixture(scope="module")
def encoder(mini_bert):
    return load_encoder(mini_bert)


@pytest.fixture
def tokenizer(mini_bert):
    return load_tokenizer(mini_bert, 100)


@pytest.fixture(scope="module")
def texts(splits):
    return [text for text, _ in splits["test"][:150]]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(features, "DATA", tmp_path)
    return tmp_path / "features"


def compute(encoder, tokenizer, texts, **options) -> tuple[torch.Tensor, int]:
    """The features, as a new process would ask for them, and how many rows were computed"""
    store = FeatureStore(SentenceEncoder(encoder, tokenizer, **options))
    return store.features(texts, progress=False), store.computed


def test_only_rows_that_nobody_asked_for_are_computed(
    cache, encoder, tokenizer, texts, monkeypatch
):
    monkeypatch.setattr(features, "SHARD", 64)
    first, computed = compute(encoder, tokenizer, [*texts, texts[3], f" {texts[5]} "])
    assert (
        computed == 150 and torch.equal(first[150], first[3]) and torch.equal(first[151], first[5])
    )
    expected = SentenceEncoder(encoder, tokenizer).encode(texts)
    torch.testing.assert_close(first[:150], expected, atol=5e-6, rtol=0)
    (folder,) = cache.iterdir()
    sizes = [len(load_file(file)["keys"]) for file in folder.glob("*.safetensors")]
    assert sorted(sizes) == [22, 64, 64]
    for other in (texts, texts[::-1], texts[40:50]):
        again, computed = compute(encoder, tokenizer, other)
        assert computed == 0
        assert torch.equal(again, first[[texts.index(text) for text in other]])
    grown, computed = compute(encoder, tokenizer, ["新来的一条", *texts, "又一条"])
    assert computed == 2 and torch.equal(grown[1:-1], first[:150])
    if sys.platform != "win32":
        ordinary = cache.parent / "ordinary"
        ordinary.touch()
        assert {f.stat().st_mode for f in folder.glob("*.safetensors")} == {ordinary.stat().st_mode}


def test_a_damaged_file_is_never_used(cache, encoder, tokenizer, texts, capsys):
    first, _ = compute(encoder, tokenizer, texts)
    (file,) = cache.rglob("*.safetensors")
    good = file.read_bytes()
    flipped = bytearray(good)
    flipped[-1000] ^= 1  # one bit of one number
    files_on_disk = (good[: len(good) // 2], bytes(flipped), bytes(len(good)), b"", b"not a tensor")
    header = b'{"features":{"dtype":"F32","shape":[9999999999,9999999],"data_offsets":[0,4]}}'
    files_on_disk += (len(header).to_bytes(8, "little") + header + bytes(4),)  # 355 PB
    keys = load_file(file)["keys"]
    for other in (first.T.contiguous(), first.flatten(), first.view(torch.int32), first[:10]):
        # the digest is that of the content, so only the shape or the type gives it away
        about = {"sha256": features.content_sha256(keys, other)}
        files_on_disk += (save({"keys": keys, "features": other}, about),)
    for damaged in files_on_disk:
        file.write_bytes(damaged)
        again, computed = compute(encoder, tokenizer, texts)
        assert torch.equal(again, first) and computed == 150
        assert "已损坏，里面的重新算" in capsys.readouterr().out
        assert file.read_bytes() == good


def test_files_that_are_deleted_while_they_are_in_use_are_computed_again(
    cache, encoder, tokenizer, texts
):
    store = FeatureStore(SentenceEncoder(encoder, tokenizer))
    first = store.features(texts, progress=False)
    for file in cache.rglob("*.safetensors"):
        file.unlink()
    assert torch.equal(store.features(texts, progress=False), first) and store.computed == 300


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of a file")
def test_features_that_do_not_fit_on_the_disk_are_used_all_the_same(
    cache, encoder, tokenizer, texts, capsys, monkeypatch
):
    import resource

    monkeypatch.setattr(features, "SHARD", 100)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))  # the features take 19,200 bytes
    try:
        first, _ = compute(encoder, tokenizer, texts)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert capsys.readouterr().out.count("算好的这次照样用") == 1
    assert not list(cache.rglob("*.safetensors"))
    assert torch.equal(compute(encoder, tokenizer, texts)[0], first)


def test_the_folder_is_another_for_everything_that_changes_a_feature(
    cache, encoder, tokenizer, texts, mini_bert, tmp_path
):
    def folders(*arguments, **options) -> int:
        compute(*arguments, texts, **options)
        return len(list(cache.iterdir()))

    assert folders(encoder, tokenizer) == 1
    other = copy.deepcopy(encoder)
    with torch.no_grad():
        other.embeddings.word_embeddings.weight[4635, 0] += 1e-3
    assert folders(other, tokenizer) == 2  # weights
    assert folders(encoder, load_tokenizer(mini_bert, 101)) == 3  # max_length
    assert folders(encoder, tokenizer, pooling="mean") == 4
    cased = tmp_path / "cased"
    cased.mkdir()
    lines = (mini_bert / "vocab.txt").read_text(encoding="utf-8").split("\n")
    lines[4635], lines[3189] = lines[3189], lines[4635]  # two characters change places
    (cased / "vocab.txt").write_text("\n".join(lines), encoding="utf-8")
    swapped = BertTokenizer.from_pretrained(cased, model_max_length=100)
    assert folders(encoder, swapped) == 5
    newer = copy.deepcopy(encoder)  # the same model, read by another version of the library
    newer.config.transformers_version = "99.0"
    assert folders(newer, tokenizer) == 5


def test_a_long_pass_says_how_long_and_what_is_shorter(
    cache, encoder, tokenizer, texts, monkeypatch, capsys
):
    clock = iter(range(0, 10**6, 600))  # ten minutes a batch
    monkeypatch.setattr(features.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(engine, "PACKED_TOKENS", 300)
    cached_features(SentenceEncoder(encoder, tokenizer), texts, "test")
    said = capsys.readouterr()
    (minutes,) = re.findall(r"大约还要 (\d+) 分钟", said.out + said.err)
    assert 100 < int(minutes) < 1000
    tokenizer.model_max_length = 500
    cached_features(SentenceEncoder(encoder, tokenizer), texts, "test")
    said = capsys.readouterr()
    assert "--max-length 128；中途停下（Ctrl-C）不白算" in said.out + said.err


# a pass that is killed: a process of its own


def one_pass(data: Path, model: Path, rows: list[str], log: Path, out: Path, seconds: float):
    """Compute and store, slowly; log which rows go into the encoder"""
    torch.set_num_threads(1)
    features.DATA, features.SHARD = data, ROWS
    sentences = SentenceEncoder(load_encoder(model), load_tokenizer(model, 60))
    encode_rows = sentences.encode_rows

    def counted(rows, done):
        with log.open("a") as file:
            file.write("".join(f"{hash(row.tobytes())}\n" for row in rows))
        time.sleep(seconds)
        return encode_rows(rows, done)

    sentences.encode_rows = counted
    found = FeatureStore(sentences).features(rows, progress=False)
    np.save(out, found.numpy())


@pytest.fixture(scope="module")
def spawn():
    """Start one_pass; the server has imported torch, so that a process is there in a moment"""
    if sys.platform == "win32":
        pytest.skip("no fork server there")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["course.features", "transformers.models.bert.modeling_bert"])
    os.environ["PYTHONHASHSEED"] = "0"  # the rows are logged by their hash

    def start(*arguments) -> multiprocessing.Process:
        process = context.Process(target=one_pass, args=arguments)
        process.start()
        return process

    yield start
    del os.environ["PYTHONHASHSEED"]


@pytest.fixture(scope="module")
def rows(splits) -> list[str]:
    return [text for text, _ in splits["train"][: SHARDS * ROWS]]


def files(data: Path) -> list[Path]:
    return list(data.rglob("*.safetensors"))


def test_a_pass_killed_ten_times_gives_the_same_features_and_computes_nothing_twice(
    spawn, mini_bert, rows, tmp_path
):
    whole = spawn(tmp_path / "whole", mini_bert, rows, *(tmp_path / n for n in "ab"), 0)
    whole.join()
    expected = np.load(tmp_path / "b.npy")

    data, log, out = tmp_path / "data", tmp_path / "log", tmp_path / "out.npy"
    chance, between = random.Random(0), 0
    for kill in range(10):
        had = len(files(data))
        process = spawn(data, mini_bert, rows, log, out, 0.02)
        if kill:  # three or so further on, at any moment of it; the first time before any
            while len(files(data)) < min(had + 1 + kill % 4, SHARDS - 1):
                assert process.is_alive()
                time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.04))
        process.kill()
        process.join()
        between += 0 < len(files(data)) < SHARDS
    assert between >= 6 and not out.exists()
    process = spawn(data, mini_bert, rows, log, out, 0)
    process.join()
    assert np.array_equal(np.load(out), expected)  # the same set, in the same order: to the bit

    stored = [key.tobytes() for file in files(data) for key in load_file(file)["keys"].numpy()]
    assert len(stored) == len(set(stored)) == len(set(rows)) and len(files(data)) == SHARDS
    counts = collections.Counter(log.read_text().split())
    assert len(counts) == len(set(rows))
    again = sum(counts.values()) - len(counts)  # of the file that each kill interrupted
    assert again <= 10 * ROWS and again % ROWS == 0
    assert not list(data.rglob("*.tmp"))


def test_two_at_once_share_the_work(spawn, mini_bert, rows, tmp_path):
    log = tmp_path / "log"
    outs = [tmp_path / "a.npy", tmp_path / "b.npy"]
    both = [spawn(tmp_path / "data", mini_bert, rows, log, out, 0.01) for out in outs]
    for process in both:
        process.join()
    assert np.array_equal(*map(np.load, outs))
    assert len(log.read_text().split()) == len(set(rows))


# int8


@pytest.fixture(scope="module")
def wide(tmp_path_factory) -> Path:
    """As wide as it takes for int8 to be worth its while on every x86"""
    shape = {"hidden_size": 512, "num_attention_heads": 8, "num_hidden_layers": 1}
    return make_bert(tmp_path_factory.mktemp("wide") / "bert", **{**SMALL, **shape})


def test_int8_from_training_to_export(repo, wide, mini_data, tmp_path):
    if packed_bert.why_not_int8(load_encoder(wide)):
        pytest.skip("no int8 on this processor")
    train = ("demo02_sentiment/train.py", "--model", wide, "--data", mini_data, "--epochs", 3)
    accuracy, stored = {}, repo / "data" / "features"
    before = set(stored.glob("bert-*"))
    for name, flags in (("fp32", ()), ("int8", ("--int8",))):
        done = run_script(repo, *train, "--lr", 0.01, "--params", tmp_path / name, *flags)
        assert done.returncode == 0, done.stderr
        record = record_of(tmp_path / name / "best.pth")
        assert record["arithmetic"].startswith(name)
        accuracy[name] = record["validation_accuracy"]
    assert abs(accuracy["fp32"] - accuracy["int8"]) < 0.05
    assert len(set(stored.glob("bert-*")) - before) == 2  # fp32 and int8, never in one folder
    weights = ("--weights", tmp_path / "int8" / "best.pth")
    done = run_script(repo, "demo02_sentiment/08_predict.py", *weights)
    assert "给的概率和上面一样：True" in done.stdout
    for script in ("07_evaluate", "11_export"):
        done = run_script(repo, f"demo02_sentiment/{script}.py", *weights)
        assert done.returncode == 0, done.stdout + done.stderr
        exact = script == "11_export"  # what is exported computes in fp32, and is compared so
        assert ("最大相差" in done.stdout) == exact
    assert len(set(stored.glob("bert-*")) - before) == 2


def test_where_int8_is_no_gain_one_sentence_and_fp32(encoder, tokenizer, monkeypatch, capsys):
    monkeypatch.setattr(packed_bert, "int8_bits", lambda: 7)
    sentences = SentenceEncoder(encoder, tokenizer, int8=True)
    assert "没有 VNNI 指令的处理器上，这么小的 BERT" in capsys.readouterr().out
    assert sentences.arithmetic == "fp32"
    monkeypatch.setattr(packed_bert.platform, "machine", lambda: "arm64")
    SentenceEncoder(encoder, tokenizer, int8=True)
    assert "int8 只有 x86 的处理器有，这里用 fp32 算" in capsys.readouterr().out
