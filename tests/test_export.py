"""11_export.py: the folder, read by transformers alone, says what 08_predict.py says"""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import TINY, environment, lesson, record_of, rows_of, run_here
from huggingface_hub import ModelCard
from transformers import AutoConfig, AutoTokenizer, pipeline

from backstage.classifier import EXPORTED, SentimentClassifier
from backstage.exportable import check_out
from backstage.model_card import write_card
from backstage.onnx_model import INPUTS
from course.errors import CourseError
from course.text_models import Classifier

EXPORT = "demo02_sentiment/11_export.py"
export = lesson("11_export")
LONG = "房间长" * 200  # more than the model reads


@pytest.fixture(scope="module")
def exported(exported):
    """The folder, and what was printed"""
    return exported / EXPORTED, (exported / "printed.txt").read_text(encoding="utf-8")


def test_the_pipeline_says_what_predict_says(exported, trained, mini_data):
    folder, _ = exported
    splits = rows_of(mini_data)
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
    theirs, ours = Classifier(exported[0]), SentimentClassifier(trained / "best.pth")
    assert theirs.labels == ours.labels
    logits = [model.logits(["房间很干净"])[0].tolist() for model in (theirs, ours)]
    assert logits[0] == pytest.approx(logits[1], abs=1e-4)


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
    record = record_of(trained / "best.pth")
    rows = rows_of(mini_data)["test"]
    classifier = SentimentClassifier(trained / "best.pth")
    predicted = classifier.probabilities([text for text, _ in rows]).argmax(dim=1)
    right = (predicted == torch.tensor([label for _, label in rows])).float().mean().item()
    assert scores["validation"] == round(record["validation_accuracy"], 4)
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
    assert kind in card and "extra_finetune.py" in card and "train.py" not in card


def test_only_an_old_export_is_overwritten(exported, tmp_path):
    check_out(exported[0])
    check_out(tmp_path / "new")
    check_out(tmp_path)  # an empty folder
    (tmp_path / "thesis.docx").write_text("years of work", encoding="utf-8")
    for out in (tmp_path, tmp_path / "thesis.docx"):
        with pytest.raises(CourseError, match="不能盖掉"):
            check_out(out)


def test_files_are_for_others_to_read(exported):
    folder, _ = exported
    config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert config.keys().isdisjoint({"local_files_only", "is_local"})
    if os.name == "posix":
        for path in folder.rglob("*"):
            assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644), path


def test_the_snippet_of_the_card_runs(repo, exported):
    folder, _ = exported
    card = (folder / "README.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", snippet],
        cwd=folder.parent,  # as its first comment says
        env=environment(repo),
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\[\{'label': '[正负]向', 'score': 0\.\d+\}\]\n", done.stdout)


@pytest.mark.parametrize(
    ("model", "data", "base_model", "datasets"),
    [
        (
            "models/models--google-bert--bert-base-chinese/snapshots/0123",
            "data/ChnSentiCorp",
            "google-bert/bert-base-chinese",
            ["lansinuote/ChnSentiCorp"],
        ),
        ("models/bert-base-chinese", "mine.csv", "google-bert/bert-base-chinese", None),
        ("models/models--a--b/snapshots/0123", "data/reviews", "a/b", None),
        (str(TINY), "/home/me/secret.csv", None, None),
    ],
)
def test_the_card_names_what_is_on_the_hub_and_nothing_else(
    trained, model, data, base_model, datasets
):
    classifier = SentimentClassifier(trained / "best.pth")
    classifier.record = classifier.record | {"model": model, "data": data}
    card = ModelCard(write_card(classifier, "x", [1, 2, 3], 0.5))
    assert card.data.base_model == base_model and card.data.datasets == datasets
    assert card.data.metrics == ["accuracy"] and "secret" not in card.content


def test_onnxruntime_says_what_predict_says(exported, trained, mini_data):
    import onnxruntime

    folder, printed = exported
    assert re.search(
        r"自检：64 条测试评论，onnxruntime 和 08_predict.py 的概率最大相差 \d", printed
    )
    session = onnxruntime.InferenceSession(str(folder / "onnx" / "model.onnx"))
    assert {node.name for node in session.get_inputs()} == set(INPUTS)
    assert [node.name for node in session.get_outputs()] == ["logits"]
    texts = [text for text, _ in rows_of(mini_data)["test"]]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    classifier = SentimentClassifier(trained / "best.pth")
    for batch in (texts[:7], ["好"], [LONG], ["好", LONG]):  # any number of rows, any length
        encoded = tokenizer(batch, padding=True, truncation=True, return_tensors="np")
        (logits,) = session.run(["logits"], dict(encoded))
        theirs = torch.from_numpy(logits).softmax(dim=1)
        assert theirs.numpy() == pytest.approx(classifier.probabilities(batch).numpy(), abs=1e-5)


def test_without_the_optional_packages_a_sentence_says_what_to_install(
    monkeypatch, capsys, trained, tmp_path
):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # what import sees when it is missing
    out = ("--out", tmp_path / "out", "--weights", trained / "best.pth")
    code, _ = run_here(monkeypatch, capsys, EXPORT, "--onnx", *out)
    assert "onnxruntime" in str(code) and "没有装" in code
    assert "下一步：python -m pip install onnxruntime" in code
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("wrong", [0.4999, np.nan])
def test_another_answer_is_no_success(wrong):
    ours = np.array([[0.5, 0.5], [0.9, 0.1]])
    export.compare("x", ours + 9e-6, ours)
    with pytest.raises(SystemExit, match=r"不能用\n下一步"):
        export.compare("x", np.array([[wrong, 0.5], [0.9, 0.1]]), ours)
