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
from selenium.webdriver.support.ui import WebDriverWait
from test_page import BROWSER, DRIVER, FLAGS

from backstage.classifier import SentimentClassifier

SPACE = ROOT / "demo02_sentiment" / "space"
TEXT = "房间很干净，服务也好"


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
    pytest.importorskip("gradio", reason="NOT INSTALLED: gradio")
    folder = tmp_path_factory.mktemp("space") / "space"
    export = ("demo02_sentiment/11_export.py", "--weights", trained / "best.pth", "--out", folder)
    assert run_script(repo, *export).returncode == 0
    shutil.copytree(SPACE, folder, dirs_exist_ok=True)
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


def test_the_page_judges_and_asks_nobody_else(url, trained, tmp_path):
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
        box.send_keys(TEXT)
        browser.find_element(By.CSS_SELECTOR, "button.primary").click()
        wait.until(lambda b: "%" in b.find_element(By.TAG_NAME, "body").text)
        shown = browser.find_element(By.TAG_NAME, "body").text
        asked = [
            message["params"]["request"]["url"]
            for entry in browser.get_log("performance")
            if (message := json.loads(entry["message"])["message"])["method"]
            == "Network.requestWillBeSent"
        ]
    finally:
        browser.quit()
    row = SentimentClassifier(trained / "best.pth").probabilities([TEXT])[0]
    assert f"{round(100 * float(row.max()))}%" in shown, shown
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
