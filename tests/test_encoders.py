"""Other encoders through the one door `--model`: every architecture is equal to padding by hand"""

import functools
import json
import re
import runpy
import shutil
from pathlib import Path

import pytest
import torch
from conftest import load, read_log, record_of, run_here, write_csv
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, trainers
from tokenizers import models as kinds
from tokenizers.processors import TemplateProcessing
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    BertModel,
    DistilBertModel,
    PreTrainedTokenizerFast,
)

from backstage.classifier import SentimentClassifier
from backstage.tuning import TunableModel
from course import packed_bert
from course.accumulation import Accumulation
from course.encoder import SentenceEncoder
from course.errors import CourseError
from course.models import ENCODERS, load_encoder, load_tokenizer
from course.paths import ROOT

POSITIVE = ["房间很干净，下次还来", "very clean room, will come again", "味道好极了", "great value"]
NEGATIVE = ["太差了，再也不来", "dirty and noisy, never again", "等了一个小时", "broken on arrival"]
ROWS = [
    (text + text[: n + 1], label)  # no two alike: copies are dropped from a learner's own data
    for n in range(4)
    for label, texts in enumerate((NEGATIVE, POSITIVE))
    for text in texts
]
TEXTS = ["好", "房间 " * 30, *POSITIVE, *NEGATIVE, "好", "the end" * 5]

SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 514,
}
OWN_NAMES = {
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64},
    "albert": {"embedding_size": 16},
    "electra": {"embedding_size": 32},
    "deberta-v2": {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]},
    "modernbert": {"local_attention": 16, "global_attn_every_n_layers": 2},
}
PACKED = {"bert", "camembert", "electra", "ernie", "roberta", "xlm-roberta"}
NO_TYPES = {"distilbert", "modernbert", "mpnet"}
NO_POOLER = {"deberta-v2", "distilbert", "electra", "modernbert"}


def wordpiece(folder: Path) -> int:
    """vocab.txt as Chinese BERT has it, one character a line; the number of its tokens"""
    characters = sorted({c for text in TEXTS for c in text.lower() if not c.isspace()})
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters]
    words += [f"##{c}" for c in characters]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    return len(words)


def sentencepiece(folder: Path, names: dict[str, str]) -> int:
    """tokenizer.json that splits as XLM-R does: <s> first, a metaspace, pieces of any length"""
    special = list(names.values())
    tokenizer = Tokenizer(kinds.BPE(unk_token=names["unk_token"]))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=200, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    first, last = names["cls_token"], names["sep_token"]
    tokenizer.post_processor = TemplateProcessing(
        single=f"{first} $A {last}",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in (first, last)],
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
    if "token_type_ids" in fast.model_input_names:
        fast.model_input_names = ["input_ids", "attention_mask"]
    fast.save_pretrained(folder)
    return len(fast)


ROBERTA_NAMES = {
    "cls_token": "<s>",
    "pad_token": "<pad>",
    "sep_token": "</s>",
    "unk_token": "<unk>",
    "mask_token": "<mask>",
}
BERT_NAMES = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}


def make_encoder(folder: Path, kind: str, seed: int = 0) -> Path:
    """A folder with random weights of one architecture, and a tokenizer of its family"""
    folder.mkdir(parents=True)
    if kind in ("camembert", "mpnet", "roberta", "xlm-roberta"):
        size, special = sentencepiece(folder, ROBERTA_NAMES), {"pad_token_id": 1}
    elif kind == "modernbert":
        size, special = sentencepiece(folder, BERT_NAMES), {}
        for i, name in enumerate(("pad", "unk", "cls", "sep", "mask")):
            special[f"{name}_token_id"] = i
        special |= {"bos_token_id": 2, "eos_token_id": 3}
    else:
        size, special = wordpiece(folder), {"pad_token_id": 0}
    torch.manual_seed(seed)
    settings = {"vocab_size": size, **SHAPE, **OWN_NAMES.get(kind, {}), **special}
    model = AutoModel.from_config(AutoConfig.for_model(kind, **settings))
    with torch.no_grad():  # random weights as given are so small that every text looks the same
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(4)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("encoders")
    return {kind: make_encoder(root / kind, kind) for kind in ENCODERS}


def by_hand(folder: Path, texts: list[str], length: int, pooling: str) -> torch.Tensor:
    """Every text padded to the full length, nothing of ours but the folder's tokenizer"""
    encoder, tokenizer = AutoModel.from_pretrained(folder).eval(), load_tokenizer(folder, length)
    batch = tokenizer(texts, truncation=True, padding="max_length", return_tensors="pt")
    with torch.no_grad():
        hidden = encoder(**batch).last_hidden_state
    if pooling == "cls":
        return hidden[:, 0]
    rows = zip(hidden, batch["attention_mask"], strict=True)
    return torch.stack([row[mask.bool()].mean(0) for row, mask in rows])


@pytest.mark.parametrize("kind", ENCODERS)
def test_both_ways_are_equal_to_padding_each_text_to_full_length(folders, kind):
    folder = folders[kind]
    encoder, tokenizer = load_encoder(folder), load_tokenizer(folder, 40)
    assert packed_bert.fits(encoder) == (kind in PACKED)
    assert ("token_type_ids" in tokenizer("好")) == (
        kind not in NO_TYPES and "token_type_ids" in tokenizer.model_input_names
    )
    assert (getattr(encoder, "pooler", None) is None) == (kind in NO_POOLER)
    for pooling in ("cls", "mean"):
        expected = by_hand(folder, TEXTS, 40, pooling)
        assert (expected[0] - expected[2]).abs().max() > 0.01  # texts differ by far more
        for packs in {kind in PACKED, False}:
            sentences = SentenceEncoder(encoder, tokenizer, pooling)
            sentences.packs = packs
            ours = sentences.encode(TEXTS)
            assert ours.shape == (len(TEXTS), 32)
            torch.testing.assert_close(ours, expected, atol=2e-5, rtol=0)
            assert sentences.encode([]).shape == (0, 32)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr("course.features.DATA", tmp_path / "data")


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("rows")
    for i, name in enumerate(("train", "validation", "test")):
        write_csv(folder / f"{name}.csv", [(text + text[:1] * i, label) for text, label in ROWS])
    return folder


@pytest.mark.parametrize("kind", ENCODERS)
def test_train_one_epoch_then_predict_is_the_padded_forward(
    folders, rows, cache, tmp_path, monkeypatch, capsys, kind
):
    pooling = "mean" if ENCODERS.index(kind) % 2 else "cls"
    code, text = run_here(
        *(monkeypatch, capsys, "demo02_sentiment/train.py"),
        *("--model", folders[kind], "--data", rows, "--params", tmp_path, "--epochs", 1),
        *("--batch-size", 8, "--max-length", 40, "--pooling", pooling, "--lr", 0.1),
    )
    assert code in (0, None), text
    assert ("首尾相接算的" in text) == (kind in PACKED)
    assert ("长短排好、补齐算的" in text) == (kind not in PACKED)
    record = record_of(tmp_path / "best.pth")
    assert record["pooling"] == pooling and record["model"] == str(folders[kind])
    state = load(tmp_path / "best.pth")
    expected = by_hand(folders[kind], TEXTS, 40, pooling) @ state["fc.weight"].T + state["fc.bias"]
    classifier = SentimentClassifier(tmp_path / "best.pth")
    torch.testing.assert_close(classifier.logits(TEXTS), expected, atol=1e-4, rtol=1e-4)
    exam = classifier.exam("test")
    texts = exam.texts
    torch.testing.assert_close(
        torch.tensor(exam.features), by_hand(folders[kind], texts, 40, pooling), atol=2e-5, rtol=0
    )
    assert (exam.predicted == classifier.logits(texts).argmax(1).numpy()).all()

    # lesson 8 walks the road by itself, one step after the other
    predict = runpy.run_path(str(ROOT / "demo02_sentiment" / "08_predict.py"))
    predict["walk_the_road"](classifier, TEXTS[3])
    walked = capsys.readouterr().out
    assert ("平均 特征" in walked) == (pooling == "mean") and "给的概率和上面一样：True" in walked

    if (kind, pooling) != ("bert", "cls"):  # what the standard class cannot express
        arguments = ("--weights", tmp_path / "best.pth", "--out", tmp_path / "exported")
        code, _ = run_here(monkeypatch, capsys, "demo02_sentiment/11_export.py", *arguments)
        assert f"{kind} 的 {pooling} 特征" in code and "下一步：" in code
        assert not (tmp_path / "exported").exists()


def test_lessons_4_and_6_with_another_encoder(folders, rows, cache, monkeypatch, capsys):
    code, text = run_here(
        monkeypatch, capsys, "demo02_sentiment/net.py", "--model", folders["modernbert"]
    )
    assert (
        code in (0, None)
        and "last_hidden_state  (2, " in text
        and "logits             (2, 2)" in text
    )
    for kind, way in (("distilbert", "长短排好、补齐"), ("roberta", "首尾相接")):
        code, text = run_here(
            *(monkeypatch, capsys, "demo02_sentiment/06_features.py"),
            *("--model", folders[kind], "--data", rows),
        )
        assert code in (0, None), text
        difference = re.search(r"三种算法的特征最大相差 (\S+)", text)[1]
        assert float(difference) < 2e-5
        assert f"── 4. 课程用的算法：{way}\n" in text
        assert ("一个也不白算" in text) == (way == "首尾相接")


def edit_config(folder: Path, **changes) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | changes
    path.write_text(json.dumps(config), encoding="utf-8")


def test_what_is_no_encoder_is_refused_in_one_sentence(folders, tmp_path):
    for kind in ("gpt2", "bart", "convbert"):  # a decoder, both, and one that padding changes
        folder = tmp_path / kind
        AutoModel.from_config(AutoConfig.for_model(kind, vocab_size=50, **SHAPE)).save_pretrained(
            folder
        )
        with pytest.raises(CourseError, match=f"是 {kind} 模型，本课要的是 BERT 这样的编码器"):
            load_encoder(folder)
    folder = shutil.copytree(folders["bert"], tmp_path / "bert")
    edit_config(folder, is_decoder=True)
    with pytest.raises(CourseError, match="是 bert 模型，本课要的是"):
        load_encoder(folder)
    edit_config(folder, model_type="no-such-model")
    for read in (load_encoder, load_tokenizer):
        with pytest.raises(CourseError, match="不知道是什么模型"):
            read(folder)


def test_vocabulary_must_fit_the_config_and_may_be_a_little_short_of_a_round_number(
    folders, tmp_path
):
    folder = shutil.copytree(folders["modernbert"], tmp_path / "modernbert")
    size = json.loads((folder / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    edit_config(folder, vocab_size=size + size // 100)  # rounded up, as ModernBERT's is
    assert len(load_tokenizer(folder)) == size
    for wrong in (size - 1, 2 * size):
        edit_config(folder, vocab_size=wrong)
        with pytest.raises(CourseError, match=f"{size} 个 token，config.json 说应有 {wrong} 个"):
            load_tokenizer(folder)
    folder = shutil.copytree(folders["bert"], tmp_path / "bert")  # BERT's fits exactly
    size = len(load_tokenizer(folder))
    edit_config(folder, vocab_size=size + 1)
    with pytest.raises(CourseError, match=f"只有 {size} 个 token"):
        load_tokenizer(folder)
    (folders["roberta"] / "tokenizer.json").rename(tmp_path / "tokenizer.json")
    try:
        with pytest.raises(CourseError, match="roberta"):
            load_tokenizer(folders["roberta"])
    finally:
        (tmp_path / "tokenizer.json").rename(folders["roberta"] / "tokenizer.json")


# memory that does not fit


def test_features_that_do_not_fit_are_computed_in_smaller_batches(folders, monkeypatch, capsys):
    encoder, tokenizer = load_encoder(folders["distilbert"]), load_tokenizer(folders["distilbert"])
    expected = SentenceEncoder(encoder, tokenizer).encode(TEXTS)
    forward, sizes, room = DistilBertModel.forward, [], 70
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)

    def small_card(self, input_ids, **options):
        sizes.append(input_ids.numel())
        if input_ids.numel() > room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return forward(self, input_ids=input_ids, **options)

    monkeypatch.setattr(DistilBertModel, "forward", small_card)
    sentences = SentenceEncoder(encoder, tokenizer)
    torch.testing.assert_close(sentences.encode(TEXTS), expected, atol=2e-5, rtol=0)
    assert sizes[0] > room and sizes[-1] <= room
    said = capsys.readouterr().out
    assert said.count("一批减半") == sum(n > room for n in sizes) > 0
    sizes.clear()
    sentences.encode(TEXTS)  # and remembers what fits
    assert max(sizes) <= room
    room = 0
    with pytest.raises(CourseError, match="连一条评论都装不下"):
        sentences.encode(TEXTS)
    monkeypatch.setattr(
        DistilBertModel, "forward", lambda *args, **options: torch.ones(2) @ torch.ones(3)
    )
    with pytest.raises(RuntimeError, match="size"):  # any other error stays what it is
        sentences.encode(TEXTS)


@pytest.mark.parametrize("weight", [None, [0.3, 5.0]])
@pytest.mark.parametrize("parts", [2, 3, 7, 100])
def test_gradients_of_parts_add_up_to_those_of_the_batch(parts, weight):
    torch.manual_seed(0)
    model, x = nn.Linear(4, 2).double(), torch.randn(7, 4, dtype=torch.float64)
    labels = torch.tensor([0, 1, 1, 0, 1, 0, 0])
    loss_fn = nn.CrossEntropyLoss(weight and torch.tensor(weight, dtype=torch.float64))
    optimizer = torch.optim.SGD(model.parameters())

    def learn(inputs, answers, share):
        out = model(*inputs)
        loss = loss_fn(out, answers) * share
        loss.backward()
        return out.detach(), loss.detach()

    found = []
    for n in (1, parts):
        optimizer.zero_grad()
        out, loss = Accumulation(optimizer, n, loss_fn.weight)(learn, [x], labels)
        assert not out.requires_grad and not loss.requires_grad
        found.append((out, loss, model.weight.grad.clone(), model.bias.grad.clone()))
    expected = loss_fn(model(x), labels)
    torch.testing.assert_close(found[0][1].double(), expected.detach(), check_dtype=False)
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


FINETUNE = "demo02_sentiment/extra_finetune.py"


@pytest.fixture(scope="module")
def calm(tmp_path_factory) -> Path:
    """A BERT without dropout: the same steps give the same losses however a batch is cut"""
    folder = make_encoder(tmp_path_factory.mktemp("calm") / "bert", "bert")
    edit_config(folder, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    return folder


def test_a_batch_that_does_not_fit_is_cut_and_learns_the_same(
    calm, rows, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("course.encoder.has_bf16", lambda device: False)
    forward, largest = BertModel.forward, []

    @functools.wraps(forward)  # the tokenizer asks its signature
    def small_card(self, input_ids=None, **options):
        if torch.is_grad_enabled() and len(input_ids) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        largest.append(len(input_ids))
        return forward(self, input_ids=input_ids, **options)

    logs, states = [], []
    for name, flags in (("whole", []), ("asked", ["--accumulate", 3]), ("forced", [])):
        if name == "forced":
            monkeypatch.setattr(BertModel, "forward", small_card)
        code, text = run_here(
            *(monkeypatch, capsys, FINETUNE, "--model", calm, "--data", rows, "--epochs", 2),
            *("--params", tmp_path / name, "--batch-size", 8, "--max-length", 40, *flags),
        )
        assert code in (0, None), text
        assert ("一批分成" in text) == (name == "forced")
        logs.append(read_log(tmp_path / name))
        states.append(load(tmp_path / name / "1bert.pth"))
    assert "一批分成 2 份" in text and "一批分成 4 份" in text and max(largest) == 2
    for log, state in zip(logs[1:], states[1:], strict=True):
        for one, other in zip(logs[0], log, strict=True):
            assert one["loss"] == pytest.approx(other["loss"], abs=1e-5)
            assert one["validation_accuracy"] == other["validation_accuracy"]
        for key in state:
            if key.endswith("key.bias"):  # softmax does not see it: its gradient is noise only
                continue
            torch.testing.assert_close(state[key], states[0][key], atol=1e-5, rtol=0)

    @functools.wraps(forward)
    def no_card(self, **options):
        return torch.empty(2**60)

    monkeypatch.setattr(BertModel, "forward", no_card)
    code, text = run_here(
        *(monkeypatch, capsys, FINETUNE, "--model", calm, "--data", rows),
        *("--params", tmp_path / "none", "--batch-size", 4, "--max-length", 40),
    )
    assert isinstance(code, str) and "连一条评论都装不下" in code and "下一步：" in code


@pytest.mark.parametrize("kind", ["albert", "distilbert", "modernbert", "xlm-roberta"])
def test_fine_tuning_other_encoders(folders, rows, tmp_path, monkeypatch, capsys, kind):
    code, text = run_here(
        *(monkeypatch, capsys, FINETUNE, "--model", folders[kind], "--data", rows, "--epochs", 1),
        *("--params", tmp_path, "--batch-size", 8, "--max-length", 40, "--pooling", "mean"),
        *("--unfreeze", 1),
    )
    if kind == "albert":  # its layers are one and the same
        assert "这个 BERT 只有 0 层" in code and "--unfreeze all" in code
        return
    assert code in (0, None), text
    state = load(tmp_path / "best.pth")
    learned = {name for name in state if not name.startswith("fc.")}
    assert learned and all(".1." in name for name in learned)  # the second of two layers
    model = TunableModel(folders[kind], 2, 1, "mean")
    model.load_state_dict(state, strict=False)
    tokenizer = load_tokenizer(folders[kind], 40)
    batch = tokenizer(TEXTS, truncation=True, padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = model.eval()(**batch)
    ours = SentimentClassifier(tmp_path / "best.pth").logits(TEXTS)
    torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-4)
