"""The page of 09_serve.py in a real browser, with the browser's own network log and console

Needs Chromium, Chrome or Edge and its driver; on Debian: apt-get install chromium chromium-driver
"""

import csv
import json
import shutil
import time

import pyarrow
import pytest
import torch
from conftest import ROOT, rows_of
from pyarrow import parquet
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from backstage.batching import BatchingClassifier
from backstage.classifier import SentimentClassifier
from backstage.page_routes import MAX_FILE, SHORT, make_sentiment_app
from course.api import serving
from course.paths import portable
from course.reviews import REVIEWS

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
DRIVER = shutil.which("chromedriver")

pytestmark = pytest.mark.skipif(
    not (BROWSER and DRIVER),
    reason="no browser with a driver; on Debian: apt-get install chromium chromium-driver",
)

# The contrast of every text on the page with what is behind it (WCAG 2.2, relative luminance)
CONTRASTS = """
const parse = (css) => [...css.match(/[\\d.]+/g).map(Number), 1].slice(0, 4);
const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
const light = (rgb) => rgb.slice(0, 3).map((v) => v / 255)
  .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const found = [];
for (const node of document.querySelectorAll("body *")) {
  const own = [...node.childNodes].some((c) => c.nodeType === 3 && c.textContent.trim());
  if (!own || !node.checkVisibility()) continue;
  const layers = [];
  for (let e = node; e; e = e.parentElement) {
    layers.unshift(parse(getComputedStyle(e).backgroundColor));
  }
  const back = layers.reduce((below, top) => over(top, below), [255, 255, 255]);
  const front = parse(getComputedStyle(node).color);
  const [high, low] = [light(front), light(back)].sort((a, b) => b - a);
  found.push([(high + 0.05) / (low + 0.05), node.tagName + "." + node.className, node.textContent]);
}
return found;
"""


@pytest.fixture(scope="module")
def classifier(trained) -> SentimentClassifier:
    return SentimentClassifier(trained / "best.pth")


@pytest.fixture(scope="module")
def app(trained):
    classifier = BatchingClassifier(trained / "best.pth")
    classifier.record["data"] = portable(REVIEWS)  # as if it were trained on the built-in reviews
    return make_sentiment_app(classifier, trained / "best.pth")


@pytest.fixture(scope="module")
def url(app):
    with serving(app) as url:
        yield url


@pytest.fixture(scope="module")
def downloads(tmp_path_factory):
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def browser(tmp_path_factory, downloads):
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(downloads)}
    )
    yield driver
    driver.quit()


@pytest.fixture
def page(browser, url):
    """A fresh page; afterwards: the console is empty and no other host was asked"""
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(f"{url}/")
    wait(browser, lambda: "验证精度" in text(browser, "about"))
    yield browser
    assert browser.get_log("browser") == []
    asked = []
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] in ("Network.requestWillBeSent", "Network.webSocketCreated"):
            params = message["params"]
            asked.append(params["request"]["url"] if "request" in params else params["url"])
    assert any(address.endswith("/info") for address in asked)
    for address in asked:
        assert address.startswith((f"{url}/", f"blob:{url}/")), address


def element(browser, name):
    return browser.find_element(By.ID, name)


def text(browser, name) -> str:
    return element(browser, name).text


def wait(browser, condition) -> None:
    WebDriverWait(browser, 60, poll_frequency=0.05).until(lambda _: condition())


def write(browser, name, value) -> None:
    """What a learner pastes; send_keys of chromedriver cannot type emoji"""
    browser.execute_script(
        "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))",
        element(browser, name),
        value,
    )


def pieces(browser) -> list[str]:
    return browser.execute_script(
        "return [...document.getElementById('sentence').children].map((node) => node.textContent)"
    )


def share(p: float) -> str:
    return f"{100 * p:.1f} %"


def test_type_a_review_and_see_why(page, classifier):
    review = "房间很干净，<b>服务</b>也好"
    element(page, "text").send_keys(review, Keys.ENTER)
    wait(page, lambda: len(pieces(page)) > 1)
    row = classifier.probabilities([review])[0].tolist()
    best = max(range(2), key=row.__getitem__)
    label = classifier.labels[best]
    said = text(page, "verdict-label")
    assert said == (label if row[best] >= 0.6 else f"拿不准，略偏{label}")
    assert text(page, "verdict-score") == share(row[best])
    for name, p in zip(classifier.labels, row, strict=True):
        assert f"{name}\n{share(p)}" in text(page, "bars")
    assert "".join(pieces(page)) == review  # and <b> is text, not HTML
    assert "服务" in pieces(page)  # a word stays whole
    empty = classifier.probabilities([""])[0, best].item()
    assert f"{label} {share(empty)}" in text(page, "start")
    page.find_elements(By.CSS_SELECTOR, ".piece")[pieces(page).index("服务")].click()
    after = classifier.probabilities([review.replace("服务", "")])[0, best].item()
    detail = text(page, "detail")
    assert "「服务」" in detail and (share(after) in detail or "几乎不变" in detail)
    # an error does not leave the old verdict standing
    element(page, "text").clear()
    element(page, "text").send_keys(" ", Keys.ENTER)
    wait(page, lambda: "还没有写" in text(page, "one-error"))
    assert not element(page, "verdict").is_displayed() and not element(page, "why").is_displayed()


def test_the_examples_of_the_lecture(page, classifier):
    for chip in page.find_elements(By.CSS_SELECTOR, "#examples button")[-2:]:
        chip.click()
        sentence = chip.text
        wait(page, lambda sentence=sentence: "".join(pieces(page)) == sentence)
        p = classifier.probabilities([sentence]).max().item()
        assert text(page, "verdict-score") == share(p)
    assert element(page, "text").get_property("value") == "不可以"
    assert f"不到 {SHORT} 个字" in text(page, "verdict-note")  # it has three; the READMEs agree
    assert f"不到 {SHORT} 个字" in (ROOT / "README.md").read_text("utf-8")
    assert f"fewer than {SHORT} characters" in (ROOT / "README.en.md").read_text("utf-8")


def test_three_classes_of_other_texts(browser, topics):
    """Nothing on the page speaks of reviews, the examples are the data's own, 1.5 x is enough"""
    classifier = BatchingClassifier(topics / "best.pth")
    weight, bias = classifier.model.head.weight, classifier.model.head.bias
    with serving(make_sentiment_app(classifier, topics / "best.pth")) as url, torch.no_grad():
        browser.get(f"{url}/")
        wait(browser, lambda: "验证精度" in text(browser, "about"))
        shown = browser.find_element(By.TAG_NAME, "main").text
        assert "评论" not in shown and "好评" not in browser.title and "topics.csv" in shown
        chips = browser.find_elements(By.CSS_SELECTOR, "#examples button")
        assert len(chips) == 3 and len({chip.text[:2] for chip in chips}) == 3
        weight.zero_()
        for shares, sure in (([0.4, 0.35, 0.25], False), ([0.5, 0.3, 0.2], True)):
            bias.copy_(torch.tensor(shares).log())
            chips[0].click()
            wait(browser, lambda: len(pieces(browser)) > 1)
            label = classifier.labels[0]
            assert text(browser, "verdict-label") == (label if sure else f"拿不准，略偏{label}")
            assert text(browser, "verdict-score") == share(shares[0])
            assert not element(browser, "verdict-note").is_displayed()  # they are all that short
            assert len(browser.find_elements(By.CSS_SELECTOR, "#bars dt")) == 3
        write(browser, "text", "好")
        element(browser, "text").send_keys(Keys.ENTER)
        wait(browser, lambda: element(browser, "verdict-note").is_displayed())
        element(browser, "tab-many").click()
        write(browser, "lines", "进球5\n股票5")
        bias.copy_(torch.tensor([0.4, 0.35, 0.25]).log())
        browser.find_element(By.CSS_SELECTOR, "#many-form .primary").click()
        wait(browser, lambda: element(browser, "download").is_displayed())
        assert "2 条拿不准" in text(browser, "summary")
    assert browser.get_log("browser") == []


def on_screen(page, name) -> bool:
    return page.execute_script(
        "const box = document.getElementById(arguments[0]).getBoundingClientRect();"
        "return box.top >= 0 && box.bottom <= innerHeight + 1",
        name,
    )


def test_bad_input_is_said_on_the_page(page, classifier):
    element(page, "text").send_keys("  ", Keys.ENTER)
    wait(page, lambda: "还没有写" in text(page, "one-error"))
    write(page, "text", "长" * 10001)
    page.find_element(By.CSS_SELECTOR, "#one-form .primary").click()
    wait(page, lambda: "最多 10000" in text(page, "one-error"))
    write(page, "text", "长" * 10000)
    page.find_element(By.CSS_SELECTOR, "#one-form .primary").click()
    wait(page, lambda: "后面 9502 个字模型没看到" in text(page, "tail"))
    assert text(page, "verdict-note") == f"太长，只看了开头 {classifier.max_length} 个 token"
    # the detail of the first piece is on the screen, however long the text is
    page.find_element(By.CSS_SELECTOR, ".piece").click()
    assert on_screen(page, "detail")
    assert text(page, "one-error") == ""


def test_upload_a_gbk_csv_and_download_the_result(page, classifier, mini_data, tmp_path, downloads):
    reviews = [one for one, _ in rows_of(mini_data)["test"]]
    texts = [*reviews, '带"引号"，\n和换行,逗号', "", "长" * 600, "=1+1"]
    source = tmp_path / "评论.csv"
    with source.open("w", encoding="gb18030", newline="") as file:
        rows = [("编号", "text"), *((f"{i}", one) for i, one in enumerate(texts))]
        csv.writer(file).writerows(rows)
    element(page, "tab-one").send_keys(Keys.ARROW_RIGHT)
    element(page, "file").send_keys(str(source))
    wait(page, lambda: f"{len(texts)} 条" in text(page, "file-name"))
    page.find_element(By.CSS_SELECTOR, "#many-form .primary").click()
    wait(page, lambda: element(page, "download").is_displayed())

    summary = text(page, "summary")
    assert (
        summary.startswith(f"评论.csv：{len(texts)} / {len(texts)} 条") and "1 条是空的" in summary
    )
    probabilities, notes = classifier.judge(texts)
    for i, name in enumerate(classifier.labels):
        count = int((probabilities[~probabilities[:, 0].isnan()].argmax(dim=1) == i).sum())
        assert f"{name}\n{count} 条" in text(page, "totals")
    assert len(page.find_elements(By.CSS_SELECTOR, "#rows tr")) == len(texts)

    element(page, "download").click()
    target = downloads / "评论_predicted.csv"
    wait(page, target.is_file)
    time.sleep(0.2)
    assert target.read_bytes().startswith(b"\xef\xbb\xbf")
    with target.open(encoding="utf-8-sig", newline="") as file:
        written = list(csv.DictReader(file))
    assert [row["text"] for row in written] == texts
    assert [row["编号"] for row in written] == [str(i) for i in range(len(texts))]
    assert [row["note"] for row in written] == notes
    for row, p in zip(written, probabilities.tolist(), strict=True):
        if row["predicted_label"]:
            assert [float(row["p_负向"]), float(row["p_正向"])] == pytest.approx(p, abs=1e-5)


def judge_file(page, path, button) -> list[str]:
    """Choose a file, judge it: the reviews as the table shows them"""
    element(page, "file").send_keys(str(path))
    wait(page, lambda: path.name in text(page, "file-name") and "条" in text(page, "file-name"))
    button.click()
    wait(page, lambda: element(page, "download").is_displayed())
    return [cell.text for cell in page.find_elements(By.CSS_SELECTOR, "#rows td:last-child")]


def test_every_kind_of_file_and_another_one_chosen_before_the_download(page, tmp_path, downloads):
    element(page, "tab-many").click()
    button = page.find_element(By.CSS_SELECTOR, "#many-form .primary")
    table = pyarrow.table({"n": [1, 2], "评论": ["很好的房间", "太差"]})
    parquet.write_table(table, tmp_path / "a.parquet")
    assert judge_file(page, tmp_path / "a.parquet", button) == ["很好的房间", "太差"]
    (tmp_path / "a.jsonl").write_text('{"text": "好\\ud83d"}\n{"n": 5}\n', encoding="utf-8")
    assert judge_file(page, tmp_path / "a.jsonl", button) == ["好?", ""]
    (tmp_path / "b.tsv").write_text('评论\tn\n"好\t吃",\t1\n', encoding="utf-16")
    element(page, "file").send_keys(str(tmp_path / "b.tsv"))
    wait(page, lambda: "不成对" in text(page, "many-error"))
    (tmp_path / "b.tsv").write_text('评论\tn\n"好\t吃"\t1\n', encoding="utf-16")
    assert judge_file(page, tmp_path / "b.tsv", button) == ["好 吃"]
    (tmp_path / "c.txt").write_text("x\n", encoding="utf-8")
    element(page, "file").send_keys(str(tmp_path / "c.txt"))
    wait(page, lambda: "c.txt，1 条" in text(page, "file-name"))
    element(page, "download").click()  # what was judged, under its own name
    wait(page, (downloads / "b_predicted.csv").is_file)
    time.sleep(0.2)
    written = (downloads / "b_predicted.csv").read_text(encoding="utf-8-sig")
    assert written.startswith("评论,n,predicted_label,p_负向,p_正向,note\n好\t吃,1,")
    refused_by_the_server(page, 1)


def refused_by_the_server(page, times) -> None:
    """The browser itself writes every 422 into its console: those, and nothing else"""
    log = page.get_log("browser")
    assert len(log) == times, log
    assert all("/table?name=" in entry["message"] and "422" in entry["message"] for entry in log)


def test_paste_lines_and_files_that_do_not_fit(page, tmp_path):
    element(page, "tab-many").click()
    page.find_element(By.CSS_SELECTOR, "#many-form .primary").click()
    wait(page, lambda: "还没有评论" in text(page, "many-error"))
    for name, content, message in (
        ("a.xlsx", "x", "不是 .xlsx"),
        ("a.csv", 'text\n"x', "不成对"),
        ("a.csv", "text\nx,y", "第 2 行有 2 格"),
        ("a.csv", "text\n", "一条评论也没有"),
        ("a.csv", "很好用,1\n不好用,0\n", "在最前面加一行列名"),
        ("a.csv", "text\n很好\udcff\n", "认不出编码"),  # one bad byte: no mojibake is judged
    ):
        (tmp_path / name).write_bytes(content.encode("utf-8", "surrogateescape"))
        element(page, "file").send_keys(str(tmp_path / name))
        wait(page, lambda message=message: message in text(page, "many-error"))
    refused_by_the_server(page, 6)
    (tmp_path / "d.csv").write_text("很好\n太差\n", encoding="utf-8")  # nothing gives it away
    element(page, "file").send_keys(str(tmp_path / "d.csv"))
    wait(page, lambda: "d.csv，1 条，第一行「很好」是列名" in text(page, "file-name"))
    element(page, "clear").click()
    with (tmp_path / "big.csv").open("wb") as file:
        file.truncate(MAX_FILE + 1)
    element(page, "file").send_keys(str(tmp_path / "big.csv"))
    wait(page, lambda: "超过 20 MB" in text(page, "many-error"))
    write(page, "lines", "很好\n\n<i>太差</i>\n")
    page.find_element(By.CSS_SELECTOR, "#many-form .primary").click()
    wait(page, lambda: element(page, "download").is_displayed())
    assert text(page, "summary").startswith("粘贴的评论：2 / 2 条") and "<i>太差</i>" in text(
        page, "rows"
    )


def test_the_table_is_filtered_and_sorted_and_a_row_leads_to_its_why(page, classifier):
    reviews = ["房间很干净，服务也好", "又脏又吵，再也不来了", "还行吧", "一般", "长" * 600]
    reviews += ["x" * 10001]  # a single token: it is the page that cuts it
    rows = classifier.probabilities(reviews)
    element(page, "tab-many").click()
    write(page, "lines", "\n".join(reviews))
    page.find_element(By.CSS_SELECTOR, "#many-form .primary").click()
    wait(page, lambda: element(page, "download").is_displayed())

    def shown() -> list[str]:
        return [cell.text for cell in page.find_elements(By.CSS_SELECTOR, "#rows td:nth-child(2)")]

    def choose(name, option) -> None:
        Select(element(page, name)).select_by_visible_text(option)

    best = [classifier.labels[i] for i in rows.argmax(dim=1).tolist()]
    said = [
        label if p >= 0.6 else f"拿不准，略偏{label}"
        for label, p in zip(best, rows.max(dim=1).values.tolist(), strict=True)
    ]
    assert shown() == said  # the same words as for one sentence
    choose("sort", "最拿不准的在前")
    order = rows.max(dim=1).values.argsort().tolist()
    assert shown() == [said[i] for i in order]
    choose("sort", "从负向到正向")
    assert shown() == [said[i] for i in rows[:, 1].argsort().tolist()]
    choose("filter", "负向")
    assert len(shown()) == best.count("负向") and "负向" in "".join(shown())
    choose("filter", "空的、截断的")
    said_of_each = f"太长，只看了开头 {classifier.max_length} 个 token"
    assert len(shown()) == 2 and f"2 条{said_of_each}" in text(page, "summary")
    assert text(page, "rows").count(said_of_each) == 2
    choose("filter", "全部")
    choose("sort", "原来的顺序")
    page.find_elements(By.CSS_SELECTOR, "#rows button")[1].click()
    wait(page, lambda: "".join(pieces(page)) == reviews[1])
    assert element(page, "text").get_property("value") == reviews[1]
    assert text(page, "verdict-label") == said[1]


# a phone; a laptop at 200 %
@pytest.mark.parametrize(("width", "height"), [(390, 664), (640, 400)])
def test_the_verdict_is_on_the_screen(page, width, height):
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        write(page, "text", "等了一个小时才上菜，鱼还是凉的，再也不来了")
        page.find_element(By.CSS_SELECTOR, "#one-form .primary").click()
        wait(page, lambda: element(page, "verdict").is_displayed())
        assert on_screen(page, "verdict")
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_forced_colours_keep_the_bars_and_the_effects(page):
    media = {"features": [{"name": "forced-colors", "value": "active"}]}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    try:
        page.find_elements(By.CSS_SELECTOR, "#examples button")[0].click()
        wait(page, lambda: len(pieces(page)) > 1)
        behind, bar, lines = page.execute_script(
            "const style = (node) => getComputedStyle(node);"
            "document.querySelector('.piece').style.setProperty('--line', '4px');"
            "return [style(document.querySelector('#bars .track')).backgroundColor,"
            " style(document.querySelector('#bars .fill')).backgroundColor,"
            " [...document.querySelectorAll('.piece')].map((n) =>"
            " style(n).textDecorationLine + parseInt(style(n).textDecorationThickness))]"
        )
        assert bar != behind
        assert lines[0] == "underline4" and all(line.startswith("underline") for line in lines)
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_and_the_contrast_of_every_text(page, scheme):
    size = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    try:
        paper = page.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (int(paper.split("(")[1].split(",")[0]) > 128) == (scheme == "light")
        # a review, an error above it, and every character shaded as deeply as can be
        page.find_elements(By.CSS_SELECTOR, "#examples button")[0].click()
        wait(page, lambda: len(pieces(page)) > 1)
        element(page, "text").clear()
        page.find_element(By.CSS_SELECTOR, "#one-form .primary").click()
        page.execute_script(
            "document.querySelectorAll('.piece').forEach((piece, i) => {"
            " piece.style.setProperty('--alpha', 'var(--deepest)');"
            " piece.className = i % 2 ? 'piece supports' : 'piece opposes'; });"
            "document.getElementById('why').hidden = false"
        )
        check_phone(page)
        element(page, "tab-many").click()
        write(page, "lines", "很好\n太差\n" + "x" * 300)
        page.find_element(By.CSS_SELECTOR, "#many-form .primary").click()
        wait(page, lambda: element(page, "download").is_displayed())
        page.execute_script(  # the longest that can stand there
            "document.querySelector('#rows td:nth-child(2)').textContent = '拿不准，略偏负向';"
            "document.querySelector('#rows td:nth-child(3)').textContent = '100.0 %'"
        )
        check_phone(page)
        size["width"] = 390
        page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        review, sideways = page.execute_script(
            "const box = document.querySelector('.scroll');"
            "return [document.querySelector('#rows td:last-child').clientWidth,"
            " box.scrollWidth - box.clientWidth]"
        )
        assert review >= 180 and sideways == 0, (review, sideways)
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def check_phone(page) -> None:
    assert page.execute_script("return document.documentElement.scrollWidth") <= 360
    contrasts = page.execute_script(CONTRASTS)
    assert len(contrasts) > 10
    assert [found for found in contrasts if found[0] < 4.5] == []


def test_the_api_docs_are_drawn_without_the_network(page, url):
    page.get(f"{url}/docs")
    wait(page, lambda: page.find_elements(By.CLASS_NAME, "opblock"))
    routes = [node.text for node in page.find_elements(By.CLASS_NAME, "opblock-summary-path")]
    assert "/models/{name}" in "".join(routes).replace("\u200b", "")


def test_a_server_that_is_gone_is_said(browser, app):
    with serving(app) as url:
        browser.get(f"{url}/")
        wait(browser, lambda: "验证精度" in text(browser, "about"))
    element(browser, "text").send_keys("很好", Keys.ENTER)
    wait(browser, lambda: "连不上服务器" in text(browser, "one-error"))
    assert not element(browser, "verdict").is_displayed()
