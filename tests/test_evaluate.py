"""evaluate.py: its figures recomputed by other means, its refusals"""

import json
import pickle
import re
import shutil

import numpy as np
import pytest
import torch
from conftest import run_here, run_script, write_csv
from scipy.stats import binomtest
from transformers import BertModel

from course.models import load_tokenizer
from course.reviews import load_reviews, to_splits

EVALUATE = "demo02_sentiment/evaluate.py"


@pytest.fixture(scope="module")
def report(repo, trained) -> str:
    done = run_script(repo, EVALUATE, "--weights", trained / "best.pth")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def predictions(trained, mini_bert, mini_data) -> tuple[np.ndarray, np.ndarray]:
    """(predicted, true) of the test split, with nothing of the course but the weights"""
    rows = to_splits(load_reviews(mini_data))["test"]
    bert = BertModel.from_pretrained(mini_bert).eval()
    batch = load_tokenizer(mini_bert)(
        [text for text, _ in rows], padding=True, truncation=True, max_length=500,
        return_tensors="pt",
    )  # fmt: skip
    state = torch.load(trained / "best.pth", weights_only=True)
    with torch.no_grad():
        cls = bert(**batch).last_hidden_state[:, 0]
    logits = cls @ state["fc.weight"].T + state["fc.bias"]
    return logits.argmax(dim=1).numpy(), np.array([label for _, label in rows])


def row(report: str, name: str) -> tuple[int, int, float, float]:
    match = re.search(rf"(\d+)/(\d+) +[\d.]+% +\[([\d.]+)%, ([\d.]+)%\] +{name}", report)
    assert match, report
    return int(match[1]), int(match[2]), float(match[3]), float(match[4])


def test_accuracy_and_interval_of_every_row(report, predictions):
    predicted, labels = predictions
    correct, total, low, high = row(report, "冻结的 BERT")
    assert (correct, total) == ((predicted == labels).sum(), len(labels))
    interval = binomtest(correct, total).proportion_ci(method="wilson")
    assert low == pytest.approx(100 * interval.low, abs=0.06)
    assert high == pytest.approx(100 * interval.high, abs=0.06)
    assert row(report, "全猜一类")[:2] == (50, 100)
    assert 65 <= row(report, "TF-IDF")[0] <= 95


def test_per_class_report_and_confusion_matrix(report, predictions):
    predicted, labels = predictions
    for label, name in enumerate(["负向", "正向"]):
        right = ((predicted == label) & (labels == label)).sum()
        precision, recall = right / max(1, (predicted == label).sum()), right / 50
        line = re.search(rf"^ +{name} +([\d.]+) +([\d.]+) +([\d.]+) +50$", report, re.MULTILINE)
        assert float(line[1]) == pytest.approx(precision, abs=6e-4)
        assert float(line[2]) == pytest.approx(recall, abs=6e-4)
        counts = [((labels == label) & (predicted == other)).sum() for other in (0, 1)]
        assert re.search(rf"^  {name} +{counts[0]} +{counts[1]}$", report, re.MULTILINE)


def test_ten_most_confident_mistakes_are_mistakes_in_order(report, predictions, mini_data):
    predicted, labels = predictions
    shown = re.findall(r"真 (..)，模型说(..)（([\d.]+)%）\n +(.+)", report)
    assert len(shown) == min(10, (predicted != labels).sum())
    confidences = [float(confidence) for _, _, confidence, _ in shown]
    assert confidences == sorted(confidences, reverse=True)
    texts = [text for text, _ in to_splits(load_reviews(mini_data))["test"]]
    for true, said, _, text in shown:
        (i,) = [i for i, t in enumerate(texts) if t.startswith(text.rstrip("…"))]
        assert ["负向", "正向"][labels[i]] == true and ["负向", "正向"][predicted[i]] == said
        assert true != said


def test_reviews_that_stand_in_train_too_are_reported_apart(
    repo, mini_bert, mini_data, tmp_path, report
):
    assert "没有一条也在训练集里" in report
    splits = to_splits(load_reviews(mini_data))
    leak = [(f"{text}！！", label) for text, label in splits["train"][:30]]  # punctuation differs
    for name, rows in splits.items():
        write_csv(tmp_path / f"{name}.csv", rows + (leak if name == "test" else []))
    params = tmp_path / "params"
    arguments = ("--model", mini_bert, "--data", tmp_path, "--params", params, "--epochs", 1)
    assert run_script(repo, "demo02_sentiment/train.py", *arguments).returncode == 0
    done = run_script(repo, EVALUATE, "--weights", params / "best.pth")
    assert "其中 30 条（23.1%）也在训练集里" in done.stdout, done.stderr
    assert row(done.stdout, "没见过的，TF-IDF")[1] == 100
    assert row(done.stdout, "训练时见过的，TF-IDF")[1] == 30


class Evil:
    def __reduce__(self):
        return (print, ("code from a .pth ran",))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("no weights", "找不到权重"),
        ("not a pth", "不是能用的权重文件"),
        ("code inside", "不是能用的权重文件"),
        ("other shape", "和模型对不上"),
        ("no record", "不知道权重是怎么训练的"),
        ("broken record", "已损坏"),
        ("other encoder", "不是同一个"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    monkeypatch, capsys, trained, tmp_path, damage, message
):
    params = tmp_path / "params"
    shutil.copytree(trained, params)
    best, record = params / "best.pth", params / "run.json"
    if damage == "no weights":
        best.unlink()
    elif damage == "not a pth":
        best.write_bytes(b"hello")
    elif damage == "code inside":
        best.write_bytes(pickle.dumps({"fc.weight": Evil()}))
    elif damage == "other shape":
        torch.save({"fc.weight": torch.zeros(2, 768), "fc.bias": torch.zeros(2)}, best)
    elif damage == "no record":
        record.unlink()
    elif damage == "broken record":
        record.write_text("{", encoding="utf-8")
    else:
        content = json.loads(record.read_text(encoding="utf-8"))
        content["model"] = "tiny-bert-chinese"
        del content["sha256"]  # a record without it is taken as it is
        record.write_text(json.dumps(content), encoding="utf-8")
    code, text = run_here(monkeypatch, capsys, EVALUATE, "--weights", best)
    assert isinstance(code, str) and message in code and "下一步：" in code
    assert "Traceback" not in text and "code from a .pth ran" not in text
