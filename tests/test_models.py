"""Finding models offline, and what the shipped tiny BERT must be"""

import copy
import hashlib
import json
import shutil

import pytest
import torch
from conftest import TINY, make_bert
from sklearn.linear_model import LogisticRegression
from torch import nn
from transformers import (
    AutoModelForSequenceClassification,
    BertForSequenceClassification,
    BertModel,
)
from transformers.utils import logging

import build_reviews
import build_tiny_bert
from build_reviews import letters, windows
from course import models
from course.encoder import SentenceEncoder
from course.errors import CourseError
from course.models import (
    REAL_MODELS,
    find_model,
    fingerprint,
    licence_of,
    load_encoder,
    load_model,
    load_tokenizer,
    model_name,
)
from course.paths import ROOT


@pytest.fixture
def empty_models(tmp_path, monkeypatch):
    """models/ of a fresh clone: the tiny model only"""
    monkeypatch.setattr(models, "MODELS", tmp_path)
    shutil.copytree(TINY, tmp_path / "tiny-bert-chinese")
    return tmp_path


def test_falls_back_to_the_shipped_model_and_says_so(empty_models, capsys):
    assert find_model("bert-base-chinese") == empty_models / "tiny-bert-chinese"
    assert "随仓库的小模型" in capsys.readouterr().out
    assert find_model("tiny-bert-chinese") == empty_models / "tiny-bert-chinese"


@pytest.mark.parametrize(
    "place",
    [
        "bert-base-chinese",
        "google-bert/bert-base-chinese",
        "models--bert-base-chinese/snapshots/0123abc",
        "models--google-bert--bert-base-chinese/snapshots/0123abc",
    ],
)
@pytest.mark.parametrize("name", ["bert-base-chinese", "google-bert/bert-base-chinese"])
def test_finds_a_download_wherever_the_tools_put_it(empty_models, capsys, place, name):
    shutil.copytree(TINY, empty_models / place)
    assert find_model(name) == empty_models / place
    assert capsys.readouterr().out == ""


def test_skips_an_interrupted_download(empty_models, capsys):
    broken = empty_models / "bert-base-chinese"
    broken.mkdir()
    shutil.copy(TINY / "config.json", broken)
    assert find_model("bert-base-chinese") == empty_models / "tiny-bert-chinese"
    assert "下载可能中断" in capsys.readouterr().out


def test_a_folder_of_the_user_comes_first(mini_bert):
    assert find_model(str(mini_bert)) == mini_bert


def test_bad_folders_say_what_is_wrong(tmp_path):
    with pytest.raises(CourseError, match="找不到模型"):
        find_model("no-such-model")
    with pytest.raises(CourseError, match=r"没有 config\.json"):
        find_model(str(tmp_path))
    inner = tmp_path / "snapshots" / "abc"
    inner.mkdir(parents=True)
    shutil.copy(TINY / "config.json", inner)
    with pytest.raises(CourseError, match=r"--model .*abc"):  # points at the right folder
        find_model(str(tmp_path))
    with pytest.raises(CourseError, match="没有权重"):
        find_model(str(inner))
    (inner / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(CourseError, match="Git LFS 的指针"):
        find_model(str(inner))


def test_folders_of_2019_are_told_what_to_rename_and_add(tmp_path):
    config = json.loads((TINY / "config.json").read_text("utf-8"))
    del config["model_type"]
    (tmp_path / "bert_config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(CourseError, match=r"bert_config\.json，现在叫") as refusal:
        find_model(str(tmp_path))
    (tmp_path / "bert_config.json").rename(tmp_path / "config.json")
    with pytest.raises(CourseError, match="没有写 model_type") as refusal:
        load_tokenizer(find_model(str(tmp_path)))
    line = refusal.value.next_step.split("加一行 ")[1]  # as it says: one line after the first {
    text = (tmp_path / "config.json").read_text("utf-8").replace("{", "{" + line, 1)
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    shutil.copy(TINY / "vocab.txt", tmp_path)
    assert load_tokenizer(tmp_path).vocab_size == config["vocab_size"]
    (tmp_path / "config.json").unlink()
    (tmp_path / "bert_model.ckpt.index").touch()
    with pytest.raises(CourseError, match="TensorFlow"):
        find_model(str(tmp_path))


def test_silent_five_token_tokenizer_is_refused(tmp_path):
    shutil.copy(TINY / "config.json", tmp_path)
    with pytest.raises(CourseError, match="字典只有 5 个 token"):
        load_tokenizer(tmp_path)


def copy_of(folder, to):
    shutil.copytree(folder, to)
    return to


def edit_json(path, **changes):
    old = json.loads(path.read_text(encoding="utf-8"))
    new = {key: value for key, value in (old | changes).items() if value is not None}
    path.write_text(json.dumps(new), encoding="utf-8")


def test_the_one_table_of_real_models():
    for model in REAL_MODELS:
        assert (ROOT / "models" / model.stand_in / "config.json").is_file()
        assert model.name in (ROOT / model.download).read_text(encoding="utf-8")
        card = (ROOT / "models" / model.stand_in / "README.md").read_text(encoding="utf-8")
        assert f"license: {licence_of(model.stand_in)}\n" in card
    cached = "models/models--google-bert--bert-base-chinese/snapshots/0123abc"
    assert model_name(cached) == "google-bert/bert-base-chinese"
    assert model_name("models/bert-base-chinese") == "bert-base-chinese"
    for place in (cached, "models/bert-base-chinese", "models/google-bert/bert-base-chinese"):
        assert licence_of(place) == "apache-2.0"
    assert licence_of("uer/gpt2-chinese-cluecorpussmall") is None  # its card states none
    assert licence_of("my/own-model") is None


def test_max_length_travels_with_the_tokenizer(mini_bert, tmp_path):
    long_text = "好" * 600
    tokenizer = load_tokenizer(mini_bert)
    assert len(tokenizer(long_text, truncation=True)["input_ids"]) == 512
    tokenizer = load_tokenizer(mini_bert, 15)
    assert tokenizer.model_max_length == 15
    assert len(tokenizer(long_text, truncation=True)["input_ids"]) == 15
    # a folder that states no limit: the model's own, and not 10^30
    folder = copy_of(mini_bert, tmp_path / "bert")
    edit_json(folder / "tokenizer_config.json", model_max_length=None)
    assert load_tokenizer(folder).model_max_length == 512
    edit_json(folder / "tokenizer_config.json", model_max_length=100)  # the smaller one counts
    assert load_tokenizer(folder).model_max_length == 100


def test_unusable_berts_are_refused(tmp_path, mini_bert):
    broken = copy_of(mini_bert, tmp_path / "broken")
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100_000])
    with pytest.raises(CourseError, match="文件可能不完整"):
        load_encoder(broken)
    weights.write_bytes((mini_bert / "model.safetensors").read_bytes())
    edit_json(broken / "config.json", num_hidden_layers=3)
    with pytest.raises(CourseError, match="缺少 16 个权重"):  # one whole layer
        load_encoder(broken)
    edit_json(broken / "config.json", model_type="gpt2")
    with pytest.raises(CourseError, match="是 gpt2 模型"):
        load_encoder(broken)


def test_only_the_pooler_may_be_missing(tmp_path, mini_bert):
    model = load_encoder(mini_bert)
    assert model.dtype == torch.float32 and not model.training
    model.pooler = nn.Identity()
    folder = copy_of(mini_bert, tmp_path / "no-pooler")
    model.save_pretrained(folder)
    first, second = load_encoder(folder), load_encoder(folder)
    assert first.pooler is None  # a random one would make every loading another model
    tokenizer = load_tokenizer(mini_bert)
    assert fingerprint(first, tokenizer) == fingerprint(second, tokenizer)
    kind, parts = AutoModelForSequenceClassification, ("classifier.", "bert.pooler.")
    assert isinstance(load_model(kind, folder, parts), BertForSequenceClassification)
    with pytest.raises(CourseError, match=r"缺少 2 个权重，如 classifier\.bias"):
        load_model(kind, folder, ("bert.pooler.",))


def test_loading_is_quiet_and_leaves_the_logs_as_they_were(mini_bert, tmp_path, capfd, caplog):
    logging.enable_progress_bar()
    logging.set_verbosity_warning()
    load_model(BertForSequenceClassification, mini_bert, ("classifier.",))  # LOAD REPORT, bars
    printed = capfd.readouterr()
    assert printed.out + printed.err + caplog.text == ""
    with pytest.raises(CourseError):
        load_model(BertForSequenceClassification, tmp_path)
    assert logging.is_progress_bar_enabled()
    assert logging.get_verbosity() == logging.WARNING
    BertForSequenceClassification.from_pretrained(mini_bert)  # and who wants them has them
    assert "Loading weights" in capfd.readouterr().err and "LOAD REPORT" in caplog.text


def test_fingerprint_sees_every_change_of_the_encoder(mini_bert):
    encoder, tokenizer = load_encoder(mini_bert), load_tokenizer(mini_bert)
    original = fingerprint(encoder, tokenizer)
    tokenizer(["很长的一句话"], truncation=True, max_length=3, padding="max_length")
    assert fingerprint(encoder, tokenizer) == original  # a call leaves no trace
    assert fingerprint(encoder, load_tokenizer(mini_bert, 15)) == original
    assert fingerprint(copy.deepcopy(encoder).bfloat16(), tokenizer) != original
    other = copy.deepcopy(encoder)
    other.config.layer_norm_eps = 1e-5
    assert fingerprint(other, tokenizer) != original
    other = copy.deepcopy(encoder)
    with torch.no_grad():
        other.encoder.layer[1].output.dense.bias[3] += 1e-6
    assert fingerprint(other, tokenizer) != original


def test_fingerprint_of_the_shipped_model_stays():
    """params/ folders of learners hold it: another value would refuse every one of them"""
    encoder, tokenizer = load_encoder(TINY), load_tokenizer(TINY)
    expected = "f62e360e900c91ee5f4fc14973da2d32cb5b1ed12709578877884570bcd3a853"
    assert fingerprint(encoder, tokenizer) == expected
    encoder.config.transformers_version = "5.23.0"  # until 0.4 it counted
    expected = "433d93b48ec2259a13b8a973e732b1498912300d6826e2a2a4d3992872ee62f0"
    assert fingerprint(encoder, tokenizer, old=True) == expected


def test_tiny_bert_is_a_complete_standard_bert_folder():
    vocabulary = (TINY / "vocab.txt").read_bytes()
    assert hashlib.md5(vocabulary).hexdigest() == "3b5b76c4aef48ecf8cb3abaafe960f09"
    model, info = BertModel.from_pretrained(TINY, local_files_only=True, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
    assert model.dtype == torch.float32 and model.config.max_position_embeddings == 512
    assert (TINY / "model.safetensors").stat().st_size <= 45_000_000
    tokenizer = load_tokenizer(TINY)
    assert len(tokenizer) == model.config.vocab_size == 21128
    assert tokenizer("白日依山尽，")["input_ids"] == [101, 4635, 3189, 898, 2255, 2226, 8024, 102]
    card = (TINY / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\n") and "license:" in card


def test_validation_and_test_reviews_were_never_pretrained_on(monkeypatch, splits):
    papers = {"newspaper": build_reviews.newspaper()}
    monkeypatch.setattr(build_tiny_bert, "pretraining_text", papers.get)
    texts = build_reviews.pretraining_reviews() + build_tiny_bert.newspaper_pieces()
    corpus = [letters(text) for text in texts]
    assert len(corpus) > 9600 + 17_000
    held_out = [letters(t) for name in ("validation", "test") for t, _ in splits[name]]
    pieces = set().union(*map(windows, held_out))
    assert all(pieces.isdisjoint(windows(text)) for text in corpus)
    # texts too short for a run of twenty: not contained in a held-out review either
    everything = "\n".join(held_out)
    assert not [text for text in corpus if 0 < len(text) < 20 and text in everything]


@pytest.mark.slow
def test_tiny_bert_beats_the_same_architecture_with_random_weights(tmp_path, splits):
    config = BertModel.from_pretrained(TINY).config
    shape = ("vocab_size", "num_hidden_layers", "hidden_size", "num_attention_heads")
    random = make_bert(
        tmp_path / "random",
        **{name: getattr(config, name) for name in (*shape, "intermediate_size")},
    )
    accuracy = {}
    for name, folder in (("tiny", TINY), ("random", random)):
        encoder, tokenizer = load_encoder(folder), load_tokenizer(folder, 128)
        train, validation = (
            SentenceEncoder(encoder, tokenizer).encode([t for t, _ in splits[s][:n]])
            for s, n in (("train", 600), ("validation", 400))
        )
        head = LogisticRegression(max_iter=2000).fit(train, [y for _, y in splits["train"][:600]])
        accuracy[name] = head.score(validation, [y for _, y in splits["validation"][:400]])
    print(accuracy)
    assert accuracy["tiny"] >= accuracy["random"] + 0.05
