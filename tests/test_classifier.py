"""The one path of probabilities: against plain transformers, one by one and batched"""

import json

import pytest
import torch
from conftest import TINY
from transformers import BertModel

from classifier import MAX_PIECES, MIN_PIECES, SentimentClassifier
from course.errors import InputError
from course.models import fingerprint, load_tokenizer
from course.reviews import load_reviews, to_splits
from net import Model


@pytest.fixture(scope="module")
def classifier(trained) -> SentimentClassifier:
    return SentimentClassifier(trained / "best.pth")


@pytest.fixture(scope="module")
def three(tmp_path_factory) -> SentimentClassifier:
    """Three classes on the shipped encoder: in a random one, masking moves next to nothing"""
    folder = tmp_path_factory.mktemp("three")
    torch.manual_seed(0)
    model = Model(TINY, 3)
    torch.save({f"fc.{k}": v for k, v in model.fc.state_dict().items()}, folder / "best.pth")
    record = {
        "model": str(TINY),
        "encoder_sha256": fingerprint(model.encoder, load_tokenizer(TINY)),
        "data": None,
        "label_names": ["差", "中", "好"],
        "max_length": 500,
        "best": {"epoch": 0, "validation_accuracy": 0.5},
        "seed": 0,
    }
    (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
    return SentimentClassifier(folder / "best.pth")


def test_200_reviews_equal_transformers_one_by_one_and_batched(
    classifier, trained, mini_bert, mini_data
):
    splits = to_splits(load_reviews(mini_data))
    texts = [text for text, _ in splits["validation"] + splits["test"]]
    assert len(texts) == 200
    bert, tokenizer = BertModel.from_pretrained(mini_bert).eval(), load_tokenizer(mini_bert)
    state = torch.load(trained / "best.pth", weights_only=True)
    batch = tokenizer(texts, padding=True, truncation=True, max_length=500, return_tensors="pt")
    with torch.no_grad():
        cls = bert(**batch).last_hidden_state[:, 0]
    expected = (cls @ state["fc.weight"].T + state["fc.bias"]).softmax(dim=1)
    batched = classifier.probabilities(texts)
    alone = torch.cat([classifier.probabilities([text]) for text in texts])
    assert torch.allclose(batched, expected, atol=1e-5, rtol=0)
    assert torch.allclose(alone, expected, atol=1e-5, rtol=0)
    logits = torch.tensor([list(classifier.scores(text).values()) for text in texts[:20]])
    assert torch.allclose(logits.softmax(dim=1), expected[:20], atol=1e-5, rtol=0)


def test_empty_and_long_texts_are_judged_in_their_place(classifier):
    long = "长" * 600
    texts = ["", "很好", " \n", long, "很好"]
    probabilities, notes = classifier.judge(texts)
    assert notes == ["空", "", "空", "截断", ""]
    assert probabilities[[0, 2]].isnan().all() and not probabilities[[1, 3, 4]].isnan().any()
    assert torch.equal(probabilities[1], probabilities[4])
    # a cut text has the probability of its beginning, and 498 characters just fit
    assert torch.allclose(probabilities[3], classifier.probabilities(["长" * 498])[0], atol=1e-5)
    assert classifier.cut(["长" * 498, "长" * 499]) == [False, True]
    assert classifier.judge(["", ""])[1] == ["空", "空"]


@pytest.mark.parametrize("text", ["", "  ", "\n"])
def test_an_empty_text_is_refused_where_one_answer_is_asked_for(classifier, text):
    with pytest.raises(InputError, match="空"):
        classifier.scores(text)
    with pytest.raises(InputError, match="空"):
        classifier.explain(text)


def test_half_an_emoji_does_not_crash(classifier):
    probabilities, _ = classifier.judge(["很好\ud83d"])
    assert not probabilities.isnan().any()
    assert classifier.explain("很好\ud83d")["pieces"][-1]["text"] == "?"


@pytest.mark.parametrize(
    "text",
    [
        "不可以",
        "iPhone 15 真不错， really good!",
        "  前后有空格 ",
        "[MASK]很好",
        "长" * 600,
        "好" * 3,
    ],
)
def test_pieces_of_an_explanation_make_the_text(classifier, text):
    answer = classifier.explain(text)
    assert "".join(piece["text"] for piece in answer["pieces"]) == text
    assert answer["cut"] == (len(text) == 600)
    seen = [piece for piece in answer["pieces"] if piece["effect"] is not None]
    assert 0 < len(seen) <= MAX_PIECES
    for piece in answer["pieces"]:  # what the model never saw has no effect
        if piece["effect"] is None:
            assert not piece["text"].strip() or answer["cut"]
    if answer["cut"]:
        assert len(seen) >= MIN_PIECES and answer["pieces"][-1]["effect"] is None
        assert len(answer["pieces"][-1]["text"]) == 102
    if len(text) == 3:
        assert len(answer["pieces"]) == 3  # one character, one piece


def test_effects_are_what_masking_does(three):
    text = "房间很干净，服务差"
    answer = three.explain(text)
    before = three.probabilities([text])[0]
    best = int(before.argmax())
    assert answer["label"] == three.labels[best]
    assert answer["probabilities"] == pytest.approx(
        dict(zip(three.labels, before.tolist(), strict=True)), abs=1e-6
    )
    for i, piece in enumerate(answer["pieces"]):
        after = three.probabilities([f"{text[:i]}[MASK]{text[i + 1 :]}"])[0, best]
        assert piece["masked"] == pytest.approx(float(after), abs=1e-5)
        moved = torch.logit(before[best].double()) - torch.logit(after.double())
        assert piece["effect"] == pytest.approx(float(moved), abs=1e-4)
    assert any(abs(piece["effect"]) > 0.1 for piece in answer["pieces"])
