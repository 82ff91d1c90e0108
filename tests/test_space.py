"""space/app.py as in a Space: beside the exported model, on 127.0.0.1, asking nobody else"""

import json
import re
import shutil
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
from conftest import ROOT, run_script
from loopback_tools import loopback_environment
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from test_page import BROWSER, DRIVER, FLAGS

from backstage.classifier import SentimentClassifier

SPACE = ROOT / "demo02_sentiment" / "space"
TEXT = "房间很干净，服务也好"
COLOURS = """
const words = [...document.querySelectorAll("[data-testid='highlighted-text:textfield'] .text")];
return [words.map((word) => word.textContent), words.map((word) =>
  [...getComputedStyle(word.parentElement).backgroundColor.match(/[\\d.]+/g), "1"].slice(0, 4))];
"""


def start(folder, repo) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, folder / "app.py"],
        cwd=folder,
        env=loopback_environment(repo, PYTHONWARNINGS="ignore"),  # every other address is refused
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )


@pytest.fixture(scope="module")
def space(repo, trained, tmp_path_factory):
    for name in ("gradio", "jieba"):
        pytest.importorskip(name, reason=f"NOT INSTALLED: {name}")
    folder = tmp_path_factory.mktemp("space") / "space"
    export = ("demo02_sentiment/11_export.py", "--weights", trained / "best.pth", "--out", folder)
    assert run_script(repo, *export).returncode == 0
    shutil.copytree(SPACE, folder, dirs_exist_ok=True)
    app = (folder / "app.py").read_text("utf-8")
    assert "\nFLOOR = 0.05 " in app  # the mini model moves less: shown all the same
    (folder / "app.py").write_text(app.replace("FLOOR = 0.05", "FLOOR = 1e-6"), "utf-8")
    return folder


@pytest.fixture(scope="module")
def url(space, repo):
    app = start(space, repo)
    printed = ""
    for line in app.stdout:
        printed += line
        if found := re.search(r"Running on local URL: +(http://127\.0\.0\.1:\d+)", line):
            break
    try:
        assert found, printed
        yield found[1]
    finally:
        app.kill()
        app.wait()


def test_the_page_judges_colours_the_words_and_asks_nobody_else(url, trained, tmp_path):
    if not (BROWSER and DRIVER):
        pytest.skip("no browser with a driver")
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in (*FLAGS, f"--user-data-dir={tmp_path}", "--lang=zh-CN"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    browser = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    try:
        browser.get(url)
        wait = WebDriverWait(browser, 60)
        box = wait.until(lambda b: b.find_element(By.CSS_SELECTOR, "textarea"))

        def judge(text) -> None:
            box.send_keys(Keys.CONTROL, "a")
            box.send_keys(text)
            browser.find_element(By.CSS_SELECTOR, "button.primary").click()

        def shown_with(words) -> str:
            wait.until(lambda b: words in b.find_element(By.TAG_NAME, "body").text)
            return browser.find_element(By.TAG_NAME, "body").text

        judge(TEXT)
        shown = shown_with("%")
        wait.until(lambda b: "".join(b.execute_script(COLOURS)[0]) == TEXT)
        words, colours = browser.execute_script(COLOURS)
        judge("长" * 600)  # the app reads 500 tokens and says so; with no text it says that
        shown_with("太长，只看了开头 500 个 token")
        judge(Keys.DELETE)
        assert "%" not in shown_with("还没有写呢")
        asked = [
            message["params"]["request"]["url"]
            for entry in browser.get_log("performance")
            if (message := json.loads(entry["message"])["message"])["method"]
            == "Network.requestWillBeSent"
        ]
    finally:
        browser.quit()
    classifier = SentimentClassifier(trained / "best.pth")
    row = classifier.probabilities([TEXT])[0]
    assert f"{round(100 * float(row.max()))}%" in shown, shown
    # each word as deep as the loss of probability without it: red a loss, purple a gain
    assert "服务" in words  # a word, not a character
    without = [
        "".join(" " if i == j else word for j, word in enumerate(words)) for i in range(len(words))
    ]
    lost = row.max() - classifier.probabilities(without)[:, row.argmax()]
    deep = (0.6 * lost / lost.abs().max()).tolist()
    red, alpha = zip(*((int(c[0]) > 200, float(c[3])) for c in colours), strict=True)
    assert [a if r else -a for r, a in zip(red, alpha, strict=True)] == pytest.approx(
        deep, abs=0.02
    )
    asked = [urlsplit(address) for address in asked]
    hosts = {address.hostname for address in asked if address.scheme in ("http", "https")}
    assert hosts == {"127.0.0.1"}, asked


def test_without_a_model_a_sentence_says_what_to_run(repo, tmp_path):
    pytest.importorskip("gradio", reason="NOT INSTALLED: gradio")
    folder = tmp_path / "a" / "b"
    shutil.copytree(SPACE, folder)
    app = start(folder, repo)
    printed, _ = app.communicate(timeout=300)
    assert app.returncode == 1 and "Traceback" not in printed
    assert "出错了：没有导出的模型\n下一步：python demo02_sentiment/11_export.py" in printed
