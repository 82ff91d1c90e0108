"""export.py: the folder, read by transformers alone, says what predict.py says"""

import json

import pytest
import torch
from conftest import run_script
from huggingface_hub import ModelCard
from transformers import AutoConfig, AutoTokenizer, pipeline

from classifier import SentimentClassifier
from course.errors import CourseError
from course.reviews import load_reviews, to_splits
from course.text_models import Classifier
from export import check_out, write_card

EXPORT = "demo02_sentiment/export.py"


@pytest.fixture(scope="module")
def exported(repo, trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "我的模型"
    done = run_script(repo, EXPORT, "--weights", trained / "best.pth", "--out", folder)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_the_pipeline_says_what_predict_says(exported, trained, mini_data):
    folder, _ = exported
    splits = to_splits(load_reviews(mini_data))
    texts = [text for text, _ in splits["validation"] + splits["test"]] + ["长" * 600, "很好"]
    classifier = SentimentClassifier(trained / "best.pth")
    expected = classifier.probabilities(texts).tolist()
    classify = pipeline("text-classification", str(folder))
    rows = classify(texts, top_k=None, truncation=True)
    for row, p in zip(rows, expected, strict=True):
        given = {one["label"]: one["score"] for one in row}
        assert given == pytest.approx(dict(zip(["负向", "正向"], p, strict=True)), abs=1e-5)
    short = [text for text in texts if len(text) < 400]  # nothing to truncate: no argument needed
    for text, answer in zip(short, classify(short), strict=True):
        assert answer["score"] == pytest.approx(max(expected[texts.index(text)]), abs=1e-5)


def test_the_local_api_of_lesson_1_serves_it(exported, trained):
    theirs = Classifier(exported[0]).scores("房间很干净")
    ours = SentimentClassifier(trained / "best.pth").scores("房间很干净")
    assert theirs == pytest.approx(ours, abs=1e-4)


def test_labels_and_length_travel_with_it(exported):
    config = AutoConfig.from_pretrained(exported[0])
    assert config.architectures == ["BertForSequenceClassification"]
    assert config.id2label == {0: "负向", 1: "正向"} and config.label2id == {"负向": 0, "正向": 1}
    assert AutoTokenizer.from_pretrained(exported[0]).model_max_length == 500


def test_the_model_card_has_the_measured_scores(exported, trained, mini_data):
    folder, printed = exported
    card = ModelCard.load(folder / "README.md")
    assert card.data.pipeline_tag == "text-classification" and card.data.language == "zh"
    scores = {result.dataset_split: result.metric_value for result in card.data.eval_results}
    record = json.loads((trained / "run.json").read_text(encoding="utf-8"))
    rows = to_splits(load_reviews(mini_data))["test"]
    classifier = SentimentClassifier(trained / "best.pth")
    predicted = classifier.probabilities([text for text, _ in rows]).argmax(dim=1)
    right = (predicted == torch.tensor([label for _, label in rows])).float().mean().item()
    assert scores["validation"] == round(record["best"]["validation_accuracy"], 4)
    assert scores["test"] == pytest.approx(right, abs=1e-4)
    assert all(result.dataset_name == "自己的评论" for result in card.data.eval_results)
    path = folder.as_posix()  # on Windows too: a backslash in quotes is an escape
    assert f'pipeline("text-classification", "{path}", truncation=True)' in printed
    assert f'hf upload 你的用户名/模型名 "{path}"' in printed and "hf auth login" in printed
    assert "冻结的 BERT + Linear" in card.text and "demo02_sentiment/train.py" in card.text
    assert "训练数据：自己的评论，400 条" in card.text and "住宿" not in card.text
    assert str(folder.parent) not in card.text  # nobody's private path goes to the Hub


@pytest.mark.parametrize(
    ("unfreeze", "kind"), [("all", "全量微调的 BERT"), (2, "微调最后 2 层的 BERT")]
)
def test_the_model_card_of_finetuned_weights_says_so(trained, unfreeze, kind):
    classifier = SentimentClassifier(trained / "best.pth")
    classifier.record = classifier.record | {"unfreeze": unfreeze}
    card = write_card(classifier, "x", [1, 2, 3], 0.5)
    assert kind in card and "finetune.py" in card and "train.py" not in card


def test_only_an_old_export_is_overwritten(exported, tmp_path):
    check_out(exported[0])
    check_out(tmp_path / "new")
    check_out(tmp_path)  # an empty folder
    (tmp_path / "thesis.docx").write_text("years of work", encoding="utf-8")
    for out in (tmp_path, tmp_path / "thesis.docx"):
        with pytest.raises(CourseError, match="不能盖掉"):
            check_out(out)
