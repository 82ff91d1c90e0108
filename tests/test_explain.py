"""The explanation of one sentence: Shapley values, against their definition and against captum"""

import itertools
import math
from pathlib import Path

import pytest
import torch
from captum.attr import ShapleyValues
from conftest import ROOT, TINY, run_script

import extra_explain
from backstage.classifier import SentimentClassifier
from backstage.explain import MAX_PIECES, MIN_PIECES, explain, orders_of
from course.errors import InputError
from course.models import fingerprint, load_tokenizer
from net import Model


def untrained(folder: Path, labels: list[str], pooling: str = "cls") -> SentimentClassifier:
    """A random head on the shipped encoder: in a random one, masking moves next to nothing"""
    torch.manual_seed(0)
    model = Model(TINY, len(labels))
    model.record = {
        "model": str(TINY),
        "encoder_sha256": fingerprint(model.encoder, load_tokenizer(TINY)),
        "data": None,
        "label_names": labels,
        "max_length": 500,
        "pooling": pooling,
        "epoch": 0,
        "validation_accuracy": 0.5,
        "seed": 0,
    }
    torch.save(model.state_dict(), folder / "best.pth")
    return SentimentClassifier(folder / "best.pth")


@pytest.fixture(scope="module")
def three(tmp_path_factory) -> SentimentClassifier:
    return untrained(tmp_path_factory.mktemp("three"), ["差", "中", "好"])


def odds_of(classifier: SentimentClassifier, text: str, best: int) -> float:
    logits = classifier.logits([text])[0].double()
    others = torch.cat([logits[:best], logits[best + 1 :]])
    return float(logits[best] - others.logsumexp(0))


@pytest.mark.parametrize(
    "text",
    ["不可以", "iPhone 15 真不错， really good!", "  前后有空格 ", "[MASK]很好", "长" * 600],
)
def test_pieces_of_an_explanation_make_the_text(three, text):
    answer = explain(three, text)
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


@pytest.mark.parametrize("text", ["\0", "\u202e\ufeff"])
def test_a_text_without_a_letter_moves_nothing(three, text):
    answer = explain(three, text, [text])
    assert answer["pieces"] == [{"text": text, "effect": None, "without": None}]
    assert answer["probabilities"] == answer["empty"]


@pytest.mark.parametrize("text", ["房间很干净", "房间很干净，服务也好，下次还来", "长" * 600])
def test_the_effects_lead_from_the_empty_text_to_the_result(three, text):
    answer = explain(three, text)
    best = three.labels.index(answer["label"])
    kept = text[:498]
    row = three.probabilities([kept])[0].tolist()
    assert answer["probabilities"] == pytest.approx(
        dict(zip(three.labels, row, strict=True)), abs=1e-5
    )
    total = sum(piece["effect"] or 0 for piece in answer["pieces"])
    moved = odds_of(three, kept, best) - odds_of(three, "", best)
    assert total == pytest.approx(moved, abs=1e-4)
    assert answer["empty"][answer["label"]] == pytest.approx(
        three.probabilities([""])[0, best].item(), abs=1e-5
    )


def test_few_words_are_exact_by_the_definition_and_by_captum(three):
    words = ["房间", "很", "干净", "，"]
    answer = explain(three, "".join(words), words)
    best = three.labels.index(answer["label"])
    effects = [piece["effect"] for piece in answer["pieces"]]
    assert max(map(abs, effects)) > 0.1  # or else nothing is compared

    def value(chosen) -> float:
        return odds_of(three, " ".join(words[i] for i in sorted(chosen)), best)

    n = len(words)
    for i in range(n):  # Shapley 1953: over all sets of the others
        rest = [j for j in range(n) if j != i]
        expected = sum(
            math.factorial(k) * math.factorial(n - k - 1) / math.factorial(n)
            * (value({*chosen, i}) - value(chosen))
            for k in range(n)
            for chosen in itertools.combinations(rest, k)
        )  # fmt: skip
        assert effects[i] == pytest.approx(expected, abs=1e-4)

    captum = ShapleyValues(
        lambda rows: torch.tensor(
            [value([i for i in range(n) if row[i] > 0]) for row in rows], dtype=torch.float64
        )
    ).attribute(torch.ones(1, n, dtype=torch.float64), torch.zeros(1, n, dtype=torch.float64))
    assert effects == pytest.approx(captum[0].tolist(), abs=1e-4)
    # and deleting one piece is really deleting it
    for i, piece in enumerate(answer["pieces"]):
        left = "".join(word for j, word in enumerate(words) if j != i)
        p = three.probabilities([left])[0, best].item()
        assert piece["without"] == pytest.approx(p, abs=1e-5)


def test_sampled_orders_come_in_opposite_pairs_and_always_the_same():
    orders = orders_of(12, 30)
    assert orders == orders_of(12, 30) and len(orders) == 40
    assert orders[1] == orders[0][::-1] and sorted(orders[0]) == list(range(12))
    assert len(orders_of(64, 500)) == 2  # a long review: fewer orders, not more time
    assert len(set(orders_of(3, 5))) == 6  # all of them: exact


def test_words_are_kept_whole_and_clauses_apart(three):
    words = ["性价比", "不高", "，", "Wi-Fi", "慢", "。"] * 40
    answer = explain(three, "".join(words), words)
    pieces = [piece["text"] for piece in answer["pieces"] if piece["effect"] is not None]
    assert MIN_PIECES <= len(pieces) <= MAX_PIECES
    ends = {"，", "。"}
    assert all(piece[-1] in ends for piece in pieces)  # merged, but never across half a clause
    with pytest.raises(InputError, match="连起来不是"):
        explain(three, "很好", ["很", "坏"])


@pytest.mark.slow
def test_the_comparison_of_explanations(trained):
    arguments = ("--weights", trained / "best.pth", "--reviews", 1)
    done = run_script(ROOT, "demo02_sentiment/extra_explain.py", *arguments)
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")]
    assert [row[0].strip("| ") for row in rows[2:]] == (
        ["随便挑", "遮一段", "删一段", "只写一段", "积分梯度", "沙普利值"]
    )
    assert all(len(row) == 5 for row in rows)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_integrated_gradients_lead_from_masks_to_the_result(pooling, tmp_path, monkeypatch):
    monkeypatch.setattr(extra_explain, "STEPS", 200)  # the lesson's 20 are coarser, but quicker
    judge = extra_explain.Judge(untrained(tmp_path, ["差", "好"], pooling), "房间很干净，服务也好")
    (masked,) = judge.odds(["[MASK]" * len(judge.text)])
    assert abs(judge.whole - masked) > 0.2  # or else nothing is compared
    (total,) = judge.gradients([(0, len(judge.text))])
    assert total == pytest.approx(judge.whole - masked, rel=0.05)  # completeness
