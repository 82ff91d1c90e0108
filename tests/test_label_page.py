"""extra_label.py: which review is asked next, the page in a real browser, what survives a kill"""

import re
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import numpy as np
import pytest
from conftest import ROOT, rows_of, run_here, run_script, write_csv
from loopback_tools import loopback_environment
from selenium.webdriver.common.by import By
from test_expected_output import keeps_its_promise, promised
from test_page import BROWSER, DRIVER, browser, downloads, wait  # noqa: F401

from backstage.classifier import SentimentClassifier
from backstage.label_page import Labelling, picture
from course.columns import DataSource
from course.errors import CourseError
from extra_label import learn, least_sure
from my_dataset import MyDataset

LABEL = "demo02_sentiment/extra_label.py"
SHOWN = """  // the review, what the page says, how many points the curve has
const at = (place) => document.querySelector(place), review = at('#review textarea');
return review && review.value && [review.value, at('#said .prose').innerText.trim(),
  at('#curve polyline').getAttribute('points').split(' ').filter(Boolean).length];"""


def test_the_least_sure_is_asked_and_a_fifth_is_drawn_at_random(tmp_path):
    labels = np.arange(120) % 3
    features = np.random.default_rng(0).normal(size=(120, 8)) + 3 * np.eye(3, 8)[labels]
    texts = ["=1+1", *(f"第 {i} 条，\n很好" for i in range(1, 119)), "=1+1"]  # one comes twice
    names, about = ["差", "一般", "好"], (features, None, learn, least_sure, 10, 5)
    work = Labelling(tmp_path / "a.jsonl", texts, names, *about)
    exam = work.drawn.tolist()  # chosen before the first answer: no model has a say in it
    for n in range(40):
        if n >= 10 and n % 5:
            asked = {r["text"] for r in work.records} | {texts[i] for i in exam}
            left = [i for i in range(120) if texts[i] not in asked]
            assert work.row == left[work.head.predict_proba(features[left]).max(axis=1).argmin()]
        work.answer(work.row, names[labels[work.row]])
    drawn = [n for n, r in enumerate(work.records) if r["drawn"]]
    assert drawn == list(range(10, 40, 5)) and len(exam) == 24
    assert [work.records[n]["text"] for n in drawn] == [texts[i] for i in exam[:6]]
    # no validation set: how many of those drawn the head had guessed before it was told
    right = sum(r["guess"] == r["label"] for r in work.records if r["drawn"])
    assert work.curve()[-1] == (36, 100 * right / 6)
    assert ["svg" in picture([(1, 50.0)] * n, False) for n in (0, 9, 10)] == [False, False, True]
    assert "6 条是考题（test），太少：要 30 条" in work.export() and "160 条左右" in work.export()
    assert "这份只有 120 条" in work.export()
    work.answer((work.row + 1) % 120, "好")  # not the one on the screen: pressed too soon
    assert len(work.records) == 40
    work.answer(work.row, None)
    assert work.why == "随机抽查的"  # a skipped one is not an answer
    with pytest.raises(CourseError, match="从前的标签是"):
        Labelling(tmp_path / "a.jsonl", texts, ["差", "好"], *about)
    while work.row >= 0:
        work.answer(work.row, names[labels[work.row]])
    work.export()
    lines = (tmp_path / "a.csv").read_bytes().decode("utf-8-sig").split("\r\n")
    assert sum(line.startswith("'=1+1,") for line in lines) == 1 and len(lines) == 120


def test_a_file_without_labels(monkeypatch, capsys, mini_bert, tmp_path):
    path = write_csv(tmp_path / "a.csv", [("很好", ""), (" ", ""), ("很好", ""), ("差", "")])
    common = ("--model", mini_bert, "--experiment", "--file", path)
    output = run_here(monkeypatch, capsys, LABEL, *common, "--labels", "坏", "好")[1]
    assert "要标的 2 条，分成 坏、好" in output and "没有真标签，量不了" in output
    assert "一起写" in str(run_here(monkeypatch, capsys, LABEL, *common)[0])


@contextmanager
def serving(repo, *arguments):
    """(what the lesson printed up to its address, the address); then it is killed"""
    words = [sys.executable, repo / LABEL, *map(str, arguments), "--port", "0"]
    how = {"stdout": subprocess.PIPE, "encoding": "utf-8", "env": loopback_environment(repo)}
    with subprocess.Popen(words, cwd=repo, **how) as app, ExitStack() as stack:
        stack.callback(app.kill)
        printed = ""
        while "Ctrl-C 停止" not in printed:
            printed += next(app.stdout)
        yield printed, re.search(r"http://127\.0\.0\.1:\d+", printed)[0]


@pytest.mark.skipif(not (BROWSER and DRIVER), reason="no browser with a driver")
def test_keys_a_kill_and_what_train_py_reads(repo, mini_bert, mini_data, tmp_path, request):
    pytest.importorskip("gradio", reason="NOT INSTALLED: gradio")
    page, truth = request.getfixturevalue("browser"), dict(rows_of(mini_data)["train"])

    def shown() -> list:
        wait(page, lambda: page.execute_script(SHOWN))
        return page.execute_script(SHOWN)

    def press(key, negative, positive, skipped=0) -> list:
        old, total = shown()[0], negative + positive
        said = f"标了 {total} 条：负向 {negative}，正向 {positive}；跳过 {skipped}"
        page.find_element(By.TAG_NAME, "body").send_keys(key)
        wait(page, lambda: shown()[0] != old and shown()[1:] == [said, total])
        return shown()

    flags = ("--model", mini_bert, "--data", mini_data, "--params", tmp_path)
    with serving(repo, *flags) as (printed, url):
        keeps_its_promise(LABEL, promised(LABEL)[0], printed, numbers=False)
        page.get(url)
        first, second = shown(), press(" ", 0, 0, 1)
        press("2", 0, 1, 1)
        assert press("u", 0, 0, 1) == second and press("u", 0, 0) == first
        counts = [0, 0]

        def label_one() -> list:
            label = truth[shown()[0]]
            counts[label] += 1
            return press("12"[label], *counts)

        last = [label_one() for _ in range(31)][-1]
    with serving(repo, *flags) as (printed, url):
        page.get(url)
        assert "从前标过 31 条" in printed and shown() == last
        assert "最拿不准的先标  随机地标" not in printed  # not the experiment again
        for again in (False, True):  # exported twice: the second time what is labelled then
            if again:
                label_one()
            page.find_element(By.TAG_NAME, "body").send_keys("e")
            wait(page, lambda: "没有见过考题的分类头也存好了" in page.page_source)
        asked = page.execute_script("return performance.getEntriesByType('resource')")
    assert {urlsplit(one["name"]).netloc for one in asked} == {urlsplit(url).netloc}
    flags = (*flags, "--data", tmp_path / "labels" / f"{mini_data.name}.csv", "--epochs", 2)
    done = run_script(ROOT, "demo02_sentiment/train.py", *flags)
    # test: those drawn at random, the 11th, the 16th, the 21st, …
    assert "train 24 条，validation 3 条，test 5 条" in done.stdout and done.returncode == 0
    # a head like the page's, as the other lessons read it: learned from the same 24
    weights = tmp_path / "labels" / f"{mini_data.name}.pth"
    done = run_script(ROOT, "demo02_sentiment/07_evaluate.py", "--weights", weights)
    assert done.returncode == 0 and "测试集 5 条" in done.stdout, done.stderr
    classifier, csv = SentimentClassifier(weights), weights.with_suffix(".csv")
    train = MyDataset("train", DataSource(csv))
    features = classifier.sentences.encode(train.texts).numpy()
    expected = learn(features, np.array(train.labels)).predict_proba(features)
    assert np.allclose(classifier.probabilities(train.texts), expected, atol=1e-4)
