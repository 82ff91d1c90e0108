"""Finding models offline, and what the shipped tiny BERT must be"""

import hashlib
import runpy
import shutil

import pytest
import torch
from conftest import TINY, make_bert
from sklearn.linear_model import LogisticRegression
from transformers import BertModel

from course import models
from course.cleaning import normalize, runs
from course.errors import CourseError
from course.models import find_model, load_tokenizer
from course.paths import ROOT
from features import encode
from net import load_encoder


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


def test_silent_five_token_tokenizer_is_refused(tmp_path):
    shutil.copy(TINY / "config.json", tmp_path)
    with pytest.raises(CourseError, match="字典只有 5 个 token"):
        load_tokenizer(tmp_path)


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


def test_validation_and_test_reviews_were_never_pretrained_on(splits):
    builder = runpy.run_path(str(ROOT / "models" / "build_tiny_bert.py"), run_name="builder")
    corpus = [normalize(text) for text in builder["pretraining_texts"]()]
    assert len(corpus) >= 9600
    held_out = [normalize(t) for name in ("validation", "test") for t, _ in splits[name]]
    pieces = set().union(*map(runs, held_out))
    assert all(pieces.isdisjoint(runs(text)) for text in corpus)
    # texts too short for a run of twenty: not contained in a held-out review either
    everything = "\n".join(held_out)
    assert not [text for text in corpus if 0 < len(text) < 20 and text in everything]


def test_tiny_bert_beats_the_same_architecture_with_random_weights(tmp_path, splits):
    config = BertModel.from_pretrained(TINY).config
    shape = ("vocab_size", "num_hidden_layers", "hidden_size", "num_attention_heads")
    random = make_bert(
        tmp_path / "random",
        **{name: getattr(config, name) for name in (*shape, "intermediate_size")},
    )
    accuracy = {}
    for name, folder in (("tiny", TINY), ("random", random)):
        encoder, tokenizer = load_encoder(folder).eval(), load_tokenizer(folder)
        train, validation = (
            encode(encoder, tokenizer, [t for t, _ in splits[s][:n]], 128, progress=False)
            for s, n in (("train", 1200), ("validation", 600))
        )
        head = LogisticRegression(max_iter=2000).fit(train, [y for _, y in splits["train"][:1200]])
        accuracy[name] = head.score(validation, [y for _, y in splits["validation"][:600]])
    print(accuracy)
    assert accuracy["tiny"] >= accuracy["random"] + 0.05
