"""07_evaluate.py: its figures recomputed by other means, its refusals"""

import math
import pickle
import re
import shutil

import numpy as np
import pytest
import torch
from conftest import change_record, lesson, rows_of, run_here, run_script
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from transformers import BertModel

from backstage.class_tables import print_confusion, print_report
from backstage.classifier import SentimentClassifier
from course.columns import LABEL_NAMES
from course.models import load_tokenizer
from course.reviews import to_dataset

EVALUATE = "demo02_sentiment/07_evaluate.py"
evaluate = lesson("07_evaluate")


@pytest.fixture(scope="module")
def report(repo, trained) -> str:
    done = run_script(repo, EVALUATE, "--weights", trained / "best.pth")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def predictions(trained, mini_bert, mini_data) -> tuple[np.ndarray, np.ndarray]:
    """(predicted, true) of the test split, with nothing of the course but the weights"""
    rows = rows_of(mini_data)["test"]
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
        line = re.search(rf"^{name} +([\d.]+) +([\d.]+) +([\d.]+) +50$", report, re.MULTILINE)
        assert float(line[1]) == pytest.approx(precision, abs=6e-4)
        assert float(line[2]) == pytest.approx(recall, abs=6e-4)
        counts = [((labels == label) & (predicted == other)).sum() for other in (0, 1)]
        assert re.search(rf"^{name} +{counts[0]} +{counts[1]}$", report, re.MULTILINE)


def test_the_pair_is_compared_on_the_questions_that_only_one_answers(report, capsys):
    ours, theirs = row(report, "冻结的 BERT")[0], row(report, "TF-IDF")[0]
    one, other = map(
        int, re.search(r"TF-IDF 答对的 (\d+) 条，只有 BERT 答对的 (\d+)", report).groups()
    )
    assert ours - theirs == other - one and one + other <= 100
    rng = np.random.default_rng(0)
    ours, theirs = rng.random(500) < 0.8, rng.random(500) < 0.77
    evaluate.print_pair(ours, theirs)
    one, other = int((theirs & ~ours).sum()), int((ours & ~theirs).sum())
    tosses = one + other  # of a coin: as far from the middle as this, to either side
    exact = 2 * sum(math.comb(tosses, k) for k in range(min(one, other) + 1)) / 2**tosses
    assert 0.01 < exact < 0.9
    said = capsys.readouterr().out
    assert f"TF-IDF 答对的 {one} 条，只有 BERT 答对的 {other} 条" in said
    assert f"p 值 {exact:.0%}：" in said and said.endswith("不小于 5%：分不出高下\n")
    evaluate.print_pair(ours, ours)
    assert "p 值 100%" in capsys.readouterr().out
    evaluate.print_pair(ours, np.zeros(500, dtype=bool))
    said = capsys.readouterr().out
    assert "p 值 不到 1%" in said and said.endswith("\n小于 5%：多半是 BERT 真的好\n")


def test_ten_most_confident_mistakes_of_validation_are_mistakes_in_order(
    report, trained, mini_data
):
    exam = SentimentClassifier(trained / "best.pth").exam("validation")
    predicted, labels = exam.predicted, exam.labels
    shown = re.findall(r"真 (..)，模型说(..)（([\d.]+)%）\n +(.+)", report)
    assert len(shown) == min(10, (predicted != labels).sum())
    confidences = [float(confidence) for _, _, confidence, _ in shown]
    assert confidences == sorted(confidences, reverse=True)
    texts = [text for text, _ in rows_of(mini_data)["validation"]]
    for true, said, _, text in shown:
        (i,) = [i for i, t in enumerate(texts) if t.startswith(text.rstrip("…"))]
        assert ["负向", "正向"][labels[i]] == true and ["负向", "正向"][predicted[i]] == said
        assert true != said


def test_reviews_that_stand_in_train_too_are_reported_apart(
    repo, mini_bert, mini_data, tmp_path, report
):
    """Only of ChnSentiCorp, which is kept as published: of other data they leave the train split"""
    assert "没有一条也在训练集里" in report
    splits = rows_of(mini_data)
    leak = [(f"{text} ", label) for text, label in splits["train"][:30]]  # a space differs
    splits["test"] += leak
    chnsenticorp = repo / "data" / "ChnSentiCorp"
    to_dataset(splits, LABEL_NAMES).save_to_disk(str(chnsenticorp))
    params = tmp_path / "params"
    arguments = ("--model", mini_bert, "--params", params, "--epochs", 1)
    try:
        assert run_script(repo, "demo02_sentiment/train.py", *arguments).returncode == 0
        done = run_script(repo, EVALUATE, "--weights", params / "best.pth")
    finally:
        shutil.rmtree(chnsenticorp)
    assert "其中 30 条（23.1%）也在训练集里" in done.stdout, done.stderr
    assert row(done.stdout, "没见过的，TF-IDF")[1] == 100
    assert row(done.stdout, "训练时见过的，TF-IDF")[1] == 30


def many_classes(classes: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """(true, predicted, names): class i has 10 (i + 1) rows, every fifth is taken for the next"""
    true = np.repeat(np.arange(classes), 10 * np.arange(1, classes + 1))
    predicted = np.where(np.arange(len(true)) % 5 == 0, (true + 1) % classes, true)
    return true, predicted, [f"第{i}类{'长' * (i % 4 * 5)}" for i in range(classes)]


def test_the_tables_of_ten_classes(capsys):
    true, predicted, names = many_classes(10)
    print_report(true, predicted, names)
    print_confusion(true, predicted, names)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    scores = precision_recall_fscore_support(true, predicted)
    for name, *figures, support in zip(names, *scores, strict=True):
        assert [name, *(f"{figure:.3f}" for figure in figures), str(support)] in lines
    assert ["accuracy", f"{(true == predicted).mean():.3f}", str(len(true))] in lines
    for name, row in zip(names, confusion_matrix(true, predicted), strict=True):
        assert [name, *map(str, row)] in lines
    assert ["20", "条（20%）", "真", f"{names[9]}，说成", names[0]] in lines


def test_with_twenty_classes_only_the_commonest_mistakes_are_listed(capsys):
    print_confusion(*many_classes(20))
    out = capsys.readouterr().out
    assert "混淆矩阵" not in out and out.count("说成") == 10


def test_when_macro_f1_is_shown(monkeypatch, capsys, topics, report):
    """Of three classes, not of two that are equal"""
    assert "macro-F1" not in report
    flags = ("--weights", topics / "best.pth")
    assert "macro-F1  方法" in run_here(monkeypatch, capsys, EVALUATE, *flags)[1]


class Evil:
    def __reduce__(self):
        return (print, ("code from a .pth ran",))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("no weights", "还没有训练过"),
        ("code inside", "坏了，或者不是"),
        ("other encoder", "不是同一个"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    monkeypatch, capsys, trained, tmp_path, damage, message
):
    params = tmp_path / "params"
    shutil.copytree(trained, params)
    best = params / "best.pth"
    if damage == "no weights":
        best.unlink()
    elif damage == "code inside":
        best.write_bytes(pickle.dumps({"fc.weight": Evil()}))
    else:
        change_record(best, model="tiny-bert-chinese")
    code, text = run_here(monkeypatch, capsys, EVALUATE, "--weights", best)
    assert isinstance(code, str) and message in code and "下一步：" in code
    assert "Traceback" not in text and "code from a .pth ran" not in text
