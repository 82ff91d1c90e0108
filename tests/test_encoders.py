"""Other encoders through the one door `--model`: every architecture is equal to padding by hand"""

import json
import shutil
from pathlib import Path

import pytest
import torch
from conftest import load, run_here, write_csv
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, trainers
from tokenizers import models as kinds
from tokenizers.processors import TemplateProcessing
from transformers import AutoConfig, AutoModel, BertTokenizer, PreTrainedTokenizerFast

from classifier import SentimentClassifier
from course import encoding, memory, packed_bert, sorted_batches
from course.errors import CourseError
from course.feature_cache import cache_key
from course.models import ENCODERS, first_position, load_encoder, load_tokenizer
from net import DEVICE

POSITIVE = ["房间很干净，下次还来", "very clean room, will come again", "味道好极了", "great value"]
NEGATIVE = ["太差了，再也不来", "dirty and noisy, never again", "等了一个小时", "broken on arrival"]
ROWS = [
    (f"{text}{'！' * n}", label)
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
    "max_position_embeddings": 160,
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
        for way in (encoding.encode, sorted_batches.encode):
            ours = way(encoder, tokenizer, TEXTS, progress=False, pooling=pooling)
            assert ours.shape == (len(TEXTS), 32)
            torch.testing.assert_close(ours, expected, atol=2e-5, rtol=0)
        if kind in PACKED:
            prepared = encoding.prepare(encoder)
            assert prepared
            ours = encoding.encode(
                encoder, tokenizer, TEXTS, prepared=prepared, progress=False, pooling=pooling
            )
            torch.testing.assert_close(ours, expected, atol=2e-5, rtol=0)
        else:
            assert encoding.prepare(encoder) is None
    assert encoding.encode(encoder, tokenizer, [], progress=False).shape == (0, 32)
