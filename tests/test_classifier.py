"""The one path of probabilities: against plain transformers, one by one and batched"""

import pytest
import torch
from conftest import rows_of
from transformers import BertModel

from backstage.classifier import SentimentClassifier
from backstage.explain import explain
from course.errors import InputError
from course.models import load_tokenizer


@pytest.fixture(scope="module")
def classifier(trained) -> SentimentClassifier:
    return SentimentClassifier(trained / "best.pth")


def test_200_reviews_equal_transformers_one_by_one_and_batched(
    classifier, trained, mini_bert, mini_data
):
    splits = rows_of(mini_data)
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
def test_an_empty_text_is_not_explained(classifier, text):
    with pytest.raises(InputError, match="空"):
        explain(classifier, text)


def test_half_an_emoji_does_not_crash(classifier):
    probabilities, _ = classifier.judge(["很好\ud83d"])
    assert not probabilities.isnan().any()
    assert explain(classifier, "很好\ud83d")["pieces"][-1]["text"] == "?"
