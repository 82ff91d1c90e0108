"""extra_label.py: which review is asked next, the page in a real browser, what survives a kill"""

import json
import re
import subprocess
import sys
from contextlib import contextmanager
from urllib.parse import urlsplit

import numpy as np
import pytest
from conftest import ROOT, rows_of, run_here, run_script, write_csv
from loopback_tools import loopback_environment
from selenium.webdriver.common.by import By
from test_expected_output import keeps_its_promise, promised
from test_page import BROWSER, DRIVER, browser, downloads, wait  # noqa: F401

from backstage.label_page import Labelling
from course.errors import CourseError
from extra_label import learn, least_sure
from my_dataset import MyDataset

LABEL = "demo02_sentiment/extra_label.py"
SHOWN = """
const [said, line, review] = ['#said .prose', '#curve polyline', '#review textarea']
  .map((place) => document.querySelector(place));
return said && line && [said.innerText.trim(), review.value,
  line.getAttribute('points').split(' ').filter(Boolean).length];
"""  # what the page says, the review, how many points the curve has


def test_the_least_sure_is_asked_and_a_fifth_is_drawn_at_random(tmp_path):
    labels = np.arange(120) % 3
    features = np.random.default_rng(0).normal(size=(120, 8)) + 3 * np.eye(3, 8)[labels]
    texts = ["=1+1", *(f"第 {i} 条，\n很好" for i in range(1, 120))]
    names, about = ["差", "一般", "好"], (features, None, learn, least_sure, 10, 5)
    work = Labelling(tmp_path / "a.jsonl", texts, names, *about)
    for n in range(40):
        if n >= 10 and n % 5:
            asked = {r["text"] for r in work.records}
            sure = {i: work.head.predict_proba(features[[i]]).max() for i in range(120)}
            assert work.row == min((i for i in sure if texts[i] not in asked), key=sure.get)
        work.answer(work.row, names[labels[work.row]])
    assert [n for n, r in enumerate(work.records) if r["drawn"]] == list(range(10, 40, 5))
    # no validation set: how many of those drawn the head had guessed before it was told
    right = sum(r["guess"] == r["label"] for r in work.records if r["drawn"])
    assert work.curve()[-1] == (36, 100 * right / 6)
    before = work.row
    work.answer((before + 1) % 120, "好")  # not the one on the screen: pressed too soon
    assert len(work.records) == 40
    work.answer(before, None)
    assert work.row != before and work.why == "随机抽查的"  # a skipped one is not an answer
    work.undo()
    assert work.row == before
    with pytest.raises(CourseError, match="从前的标签是"):
        Labelling(tmp_path / "a.jsonl", texts, ["差", "好"], *about)
    while work.row >= 0:
        work.answer(work.row, names[labels[work.row]])
    work.export()
    lines = (tmp_path / "a.csv").read_bytes().decode("utf-8-sig").split("\r\n")
    assert sum(line.startswith("'=1+1,差,") for line in lines) == 1 and len(lines) == 122


def test_a_file_without_labels(monkeypatch, capsys, mini_bert, tmp_path):
    path = write_csv(tmp_path / "a.csv", [("很好", ""), (" ", ""), ("很好", ""), ("差", "")])
    common = ("--model", mini_bert, "--experiment", "--file", path)
    code, output = run_here(monkeypatch, capsys, LABEL, *common, "--labels", "坏", "好")
    assert code == 0 and "要标的 2 条，分成 坏、好" in output and "没有真标签，量不了" in output
    assert "一起写" in str(run_here(monkeypatch, capsys, LABEL, *common)[0])


@contextmanager
def serving(repo, *arguments):
    """The lesson up to its address: (what it printed, the address); then it is killed"""
    env = loopback_environment(repo, PYTHONWARNINGS="ignore")
    words = [sys.executable, repo / LABEL, *map(str, arguments), "--port", "0"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "encoding": "utf-8"}
    with subprocess.Popen(words, cwd=repo, env=env, **pipes) as app:
        try:
            printed = ""
            while "Ctrl-C 停止" not in printed:
                printed += next(app.stdout)
            yield printed, re.search(r"http://127\.0\.0\.1:\d+", printed)[0]
        finally:
            app.kill()


@pytest.mark.skipif(not (BROWSER and DRIVER), reason="no browser with a driver")
def test_keys_a_kill_and_what_train_py_reads(repo, mini_bert, mini_data, tmp_path, request):
    pytest.importorskip("gradio", reason="NOT INSTALLED: gradio")
    page = request.getfixturevalue("browser")
    truth = dict(rows_of(mini_data)["train"])

    def press(key) -> list:
        old = page.execute_script(SHOWN)
        page.find_element(By.TAG_NAME, "body").send_keys(key)
        wait(page, lambda: page.execute_script(SHOWN) != old)
        return page.execute_script(SHOWN)

    def shown_at(url) -> list:
        page.get(url)
        wait(page, lambda: (page.execute_script(SHOWN) or [0, 0])[1])
        return page.execute_script(SHOWN)

    flags = ("--model", mini_bert, "--data", mini_data, "--params", tmp_path)
    with serving(repo, *flags) as (printed, url):
        keeps_its_promise(LABEL, promised(LABEL)[0], printed, numbers=False)
        first = shown_at(url)
        second = press(" ")
        assert second[::2] == ["标了 0 条：负向 0，正向 0；跳过 1", 0]
        assert press("2")[::2] == ["标了 1 条：负向 0，正向 1；跳过 1", 1]
        assert press("u") == second and press("u") == first
        for n in range(1, 23):
            after = press("12"[truth[page.execute_script(SHOWN)[1]]])
            assert after[2] == n
    with serving(repo, *flags) as (printed, url):
        assert "从前标过 22 条" in printed and shown_at(url) == after
        page.find_element(By.TAG_NAME, "body").send_keys("e")
        wait(page, lambda: "写好" in page.page_source)
    assert page.get_log("browser") == []
    log = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    sent = [m["params"]["request"]["url"] for m in log if m["method"].endswith("requestWillBeSent")]
    assert {urlsplit(url).hostname for url in sent if url.startswith("http")} == {"127.0.0.1"}
    labels = tmp_path / "labels" / f"{mini_data.name}.csv"
    assert len(MyDataset("test", labels)) == 3  # those drawn: the 11th, the 16th, the 21st
    trained = ("--model", mini_bert, "--data", labels, "--params", tmp_path, "--epochs", 2)
    done = run_script(ROOT, "demo02_sentiment/train.py", *trained)
    assert done.returncode == 0 and "训练 17 条，验证 2 条" in done.stdout, (
        done.stdout + done.stderr
    )
