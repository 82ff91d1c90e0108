"""09_serve.py: the API with the real InferenceClient, batching, page headers, refusals"""

import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pyarrow
import pytest
import requests
import torch
from conftest import record_of, rows_of, run_script
from huggingface_hub import InferenceClient
from loopback_tools import loopback_environment
from pyarrow import parquet
from transformers import BertForSequenceClassification, BertTokenizer

from backstage.batching import BatchingClassifier
from backstage.classifier import EXPORTED, SentimentClassifier
from backstage.onnx_model import write_onnx
from backstage.page_routes import MAX_FILE, MAX_ROWS, MAX_TEXTS, make_sentiment_app
from course.api import MAX_BYTES, serving
from course.errors import CourseError
from my_dataset import MyDataset


@pytest.fixture(scope="module")
def classifier(trained) -> BatchingClassifier:
    return BatchingClassifier(trained / "best.pth")


@pytest.fixture(scope="module")
def url(classifier, trained):
    with serving(make_sentiment_app(classifier, trained / "best.pth")) as url:
        yield url


@pytest.fixture(scope="module")
def reviews(mini_data) -> list[str]:
    splits = rows_of(mini_data)
    return [text for text, _ in splits["validation"] + splits["test"]]


@pytest.fixture(scope="module")
def expected(trained, reviews) -> list[dict[str, float]]:
    """What 08_predict.py says about the 200 reviews"""
    plain = SentimentClassifier(trained / "best.pth")
    rows = plain.probabilities(reviews).tolist()
    return [dict(zip(plain.labels, row, strict=True)) for row in rows]


def start(env: dict[str, str], *line: object) -> tuple[subprocess.Popen, str]:
    """The process of a server's script, and what it had printed when it was ready"""
    server = subprocess.Popen(
        [sys.executable, *map(str, line)],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    out = ""
    while "Ctrl-C 停止" not in out:
        printed = server.stdout.readline()
        assert printed, out
        out += printed
    return server, out


def ask(url, path, payload, **more):
    return requests.post(f"{url}/{path}", json=payload, timeout=60, **more)


def test_api_and_page_agree_with_predict_on_200_reviews(url, reviews, expected):
    client = InferenceClient(model=f"{url}/models/sentiment", token=None)
    for text, p in zip(reviews, expected, strict=True):
        answer = client.text_classification(text)
        assert {row.label: row.score for row in answer} == pytest.approx(p, abs=1e-5)
    for start in range(0, 200, 50):  # the page's second tab
        answers = ask(url, "classify", {"texts": reviews[start : start + 50]}).json()
        for answer, p in zip(answers, expected[start : start + 50], strict=True):
            assert answer["probabilities"] == pytest.approx(p, abs=1e-5)
            assert answer["label"] == max(p, key=p.get)
    for text, p in zip(reviews[:5], expected[:5], strict=True):  # the page's explanation
        answer = ask(url, "explain", {"text": text}).json()
        assert answer["probabilities"] == pytest.approx(p, abs=1e-5)


def test_empty_and_long_texts_keep_their_place(url):
    answers = ask(url, "classify", {"texts": ["", "很好", " ", "长" * 600]}).json()
    assert [answer["note"] for answer in answers] == ["空", "", "空", "截断"]
    assert [answer["label"] is None for answer in answers] == [True, False, True, False]
    assert [a["note"] for a in ask(url, "classify", {"texts": ["", ""]}).json()] == ["空", "空"]


def test_requests_that_wait_are_answered_in_one_batch(classifier, url, reviews, monkeypatch):
    """The worker is held in its first batch until fifteen more wait: those are one batch"""
    batches, release = [], threading.Event()
    plain = SentimentClassifier.logits
    monkeypatch.setattr(classifier, "batch_chars", 16 * 500)

    def logits(self, texts):
        batches.append(len(texts))
        assert release.wait(60)
        return plain(self, texts)

    monkeypatch.setattr(SentimentClassifier, "logits", logits)
    answers = [None] * 16

    def client(i):
        answers[i] = ask(url, "models/sentiment", {"inputs": reviews[i]}).json()

    threads = [threading.Thread(target=client, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    while sum(batches) + classifier.waiting.qsize() < 16:
        time.sleep(0.01)
    release.set()
    for thread in threads:
        thread.join()
    assert len(batches) == 2 and sum(batches) == 16
    monkeypatch.undo()
    for text, answer in zip(reviews, answers, strict=False):
        alone = ask(url, "models/sentiment", {"inputs": text}).json()
        assert [row["label"] for row in answer[0]] == [row["label"] for row in alone[0]]
        assert answer[0][0]["score"] == pytest.approx(alone[0][0]["score"], abs=1e-5)


def test_the_onnx_engine_says_what_predict_says(exported, reviews, expected):
    model = BatchingClassifier(exported / "best.pth", onnx=True)
    assert model.onnx
    with serving(make_sentiment_app(model, exported / "best.pth")) as url:
        for start in range(0, 200, 50):
            answers = ask(url, "classify", {"texts": reviews[start : start + 50]}).json()
            for answer, p in zip(answers, expected[start : start + 50], strict=True):
                assert answer["probabilities"] == pytest.approx(p, abs=1e-5)
        answers = ask(url, "classify", {"texts": ["", "很好", "长" * 600]}).json()
        assert [answer["note"] for answer in answers] == ["空", "", "截断"]
        answer = ask(url, "explain", {"text": reviews[0]}).json()
        assert answer["probabilities"] == pytest.approx(expected[0], abs=1e-5)
    half = ["好\ud83d"]  # half an emoji: the tokenizer would raise, so a question mark stands in
    plain = SentimentClassifier(exported / "best.pth")
    assert torch.allclose(model.probabilities(half), plain.probabilities(half), atol=1e-5)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")
def test_the_script_says_that_the_onnx_engine_answers_until_it_is_stopped(exported, repo):
    script, weights = repo / "demo02_sentiment/09_serve.py", exported / "best.pth"
    env = loopback_environment(repo)
    server, out = start(env, script, "--port", 0, "--onnx", "--weights", weights)
    try:
        assert "由 ONNX Runtime 算" in out
        url = re.search(r"网页  (http://\S+)", out)[1]
        answer = ask(url, "models/sentiment", {"inputs": "很好"})
        assert answer.status_code == 200 and len(answer.json()[0]) == 2
        server.send_signal(signal.SIGTERM)
        out += server.communicate(timeout=30)[0]
    finally:
        server.kill()
    assert server.returncode == 0 and "已停止" in out and "Traceback" not in out


def test_the_onnx_engine_is_refused_when_missing_broken_or_of_other_weights(
    exported, repo, tmp_path
):
    folder = tmp_path / "params"
    shutil.copytree(exported, folder)
    line = ("demo02_sentiment/09_serve.py", "--port", 0, "--onnx", "--weights", folder / "best.pth")
    onnx = folder / EXPORTED / "onnx" / "model.onnx"

    def refused() -> str:
        done = run_script(repo, *line)
        assert done.returncode == 1 and "Traceback" not in done.stderr and "http" not in done.stdout
        assert "11_export.py --onnx --weights" in done.stderr
        return done.stderr

    model = BertForSequenceClassification.from_pretrained(onnx.parents[1])
    model.classifier.bias.data += torch.tensor([0.0, 0.5])
    onnx.unlink()
    write_onnx(model.eval(), BertTokenizer.from_pretrained(onnx.parents[1]), onnx)
    assert "是用另一份权重导出的" in refused()
    onnx.write_bytes(onnx.read_bytes()[:1000])
    assert "读不了" in refused()
    onnx.unlink()
    assert "没有 " in refused()


def test_a_failure_reaches_every_waiting_request_and_the_next_one_works(url, monkeypatch):
    def fail(self, texts):
        raise RuntimeError("out of order")

    monkeypatch.setattr(SentimentClassifier, "logits", fail)
    refused = ask(url, "models/sentiment", {"inputs": "很好"})
    assert refused.status_code == 500 and "RuntimeError" in refused.json()["error"]
    monkeypatch.undo()
    assert ask(url, "models/sentiment", {"inputs": "很好"}).status_code == 200


def test_a_short_question_goes_before_the_rest_of_a_long_one(classifier, url, monkeypatch):
    """While one batch is computed, a long request and then a short one arrive: the next batch holds
    the short one, and the long one still gets all its answers"""
    batches, release = [], threading.Event()
    plain = SentimentClassifier.logits

    def logits(self, texts):
        batches.append(texts)
        assert release.wait(60)
        return plain(self, texts)

    monkeypatch.setattr(SentimentClassifier, "logits", logits)
    long = [f"{i}" + "长" * 200 for i in range(40)]  # 48 KB of JSON
    asked = [{"texts": ["占住"]}, {"texts": long}, {"texts": ["短"]}]
    answers, threads = [None] * 3, []

    def client(i):
        answers[i] = ask(url, "classify", asked[i]).json()

    for i, waiting in enumerate((0, 40, 41)):
        threads.append(threading.Thread(target=client, args=(i,)))
        threads[i].start()
        while len(batches) < 1 or classifier.waiting.qsize() < waiting:
            time.sleep(0.01)
    release.set()
    for thread in threads:
        thread.join()
    assert batches[0] == ["占住"] and "短" in batches[1]
    assert sum(map(len, batches[1])) <= classifier.batch_chars + 201
    assert [len(a) for a in answers] == [1, 40, 1]


def test_clients_with_long_lists_do_not_starve_a_short_question(url, reviews):
    stop = time.monotonic() + 2

    def ask(path: str, payload: dict) -> int:
        answered = 0
        while time.monotonic() < stop:
            requests.post(f"{url}/{path}", json=payload, timeout=60).raise_for_status()
            answered += 1
        return answered

    with ThreadPoolExecutor(9) as pool:
        for _ in range(8):
            pool.submit(ask, "classify", {"texts": reviews[:64]})
        short = pool.submit(ask, "models/sentiment", {"inputs": "很好"})
    assert short.result() >= 2


@pytest.mark.parametrize(
    ("path", "payload", "word"),
    [
        ("models/sentiment", {"inputs": ""}, "空"),
        ("models/sentiment", {"inputs": " \n "}, "空"),
        ("models/sentiment", {"inputs": "x", "parameters": {"top": 1}}, "不认识的参数"),
        ("models/sentiment", {"text": "x"}, "inputs"),
        ("explain", {"text": "  "}, "空"),
        ("explain", {"text": 5}, "text"),
        ("classify", {"texts": []}, "texts"),
        ("classify", {"texts": ["x"] * (MAX_TEXTS + 1)}, "texts"),
        ("classify", {"texts": ["x", 1]}, "texts"),
        ("classify", {"texts": ["x"], "more": 1}, "不认识的参数"),
    ],
)
def test_bad_requests_are_json_422(url, path, payload, word):
    response = ask(url, path, payload)
    assert response.status_code == 422 and word in response.json()["error"]


def test_other_refusals(url):
    assert ask(url, "classify", {"texts": ["长" * MAX_BYTES]}).status_code == 413
    assert ask(url, "models/other", {"inputs": "x"}).status_code == 404
    foreign = requests.get(f"{url}/", headers={"Host": "evil.example"}, timeout=10)
    assert foreign.status_code == 400
    half = requests.post(
        f"{url}/explain",
        data=json.dumps({"text": "很好\ud83d"}),
        headers={"Content-Type": "application/json"},
        timeout=10,
    )
    assert half.status_code == 200 and half.json()["pieces"][-1]["text"] == "?"


def send_file(url, name, body, content_type="application/octet-stream"):
    address, headers = f"{url}/table", {"Content-Type": content_type}
    return requests.post(address, data=body, params={"name": name}, headers=headers, timeout=60)


def test_a_file_is_read_and_the_column_of_the_reviews_is_guessed(url):
    body = '编号,评论,备注\n1,"好，""很""好\n吃",\n2,太差\n\n'
    expected = {
        "columns": ["编号", "评论", "备注"],
        "rows": [["1", '好，"很"好\n吃', ""], ["2", "太差", ""], ["", "", ""]],
        "column": 1,
    }
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "gb18030"):
        assert send_file(url, "评论.csv", body.encode(encoding)).json() == expected, encoding
    answer = send_file(url, "a.CSV", b"long name,text\nxxxxxxxxxx,y\n").json()
    assert answer["column"] == 1  # a column called text comes first
    answer = send_file(url, "a.csv", "评论,text\n好,差\n".encode()).json()
    assert answer["column"] == 1  # before its synonyms, too
    answer = send_file(url, "a.jsonl", b'{"a": [1, null], "b": 2.5}\n\n{"c": "x"}\n').json()
    assert answer["columns"] == ["a", "b", "c"]
    assert answer["rows"] == [["[1, null]", "2.5", ""], ["", "", ""], ["", "", "x"]]
    large = send_file(url, "a.txt", ("很好\n" * 100_000).encode()).json()  # more than 64 KB
    assert large == {"columns": ["text"], "rows": [["很好"]] * 100_000, "column": 0}


def test_a_file_that_cannot_be_used_is_said(url):
    packed = io.BytesIO()  # 40 MB of text in a few KB
    parquet.write_table(pyarrow.table({"text": ["很好" * 10_000] * 2000}), packed)
    assert len(packed.getvalue()) < MAX_BYTES
    for name, body, word in (
        ("a.parquet", packed.getvalue(), "08_predict.py --file"),
        ("a.doc", b"PK", "不认识 a.doc 的扩展名"),
        ("a.xlsx", b"PK", "a.xlsx 不是 .xlsx 文件"),
        ("a.csv", "很好用,1\n不好用,0\n".encode(), "在最前面加一行列名"),
        ("a.csv", "又大又干净的房间下次还来再住一晚吧\n差\n".encode(), "没有列名，第一行就是数据"),
        ("a.csv", b"", "一条评论也没有"),
        ("a.csv", b"text\n", "一条评论也没有"),
        ("a.json", b"{}", "一条评论也没有"),
        ("a.csv", b"text,b\nx,y,z\n", "第 2 行有 3 格"),
        ("a.csv", b"text\n\xff\xff\n", "认不出编码"),
        ("a.parquet", b"PAR1", "读不了 a.parquet"),
        ("a.txt", b"\n" * (MAX_ROWS + 1), "08_predict.py --file"),
    ):
        refused = send_file(url, name, body)
        assert refused.status_code == 422 and word in refused.json()["error"], refused.text
    assert send_file(url, "a.txt", b"x" * (MAX_FILE + 1)).status_code == 413
    assert send_file(url, "a.txt", iter([b"x" * MAX_FILE, b"x"])).status_code == 413
    # what a form of another site could send without asking
    assert send_file(url, "a.txt", b"x", "text/plain").status_code == 422


def test_info_health_and_the_page(url, trained, mini_bert):
    info = requests.get(f"{url}/info", timeout=10).json()
    record = record_of(trained / "best.pth")
    assert info["encoder"] == str(mini_bert) and info["weights"] == str(trained / "best.pth")
    assert info["validation_accuracy"] == record["validation_accuracy"]
    assert info["labels"] == ["负向", "正向"] and info["max_length"] == 500
    health = requests.get(f"{url}/health", timeout=10).json()
    assert health == {"status": "ok", "models": {"sentiment": "text-classification"}}
    page = requests.get(f"{url}/", timeout=10)
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    for link in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        file = requests.get(f"{url}/{link}", timeout=10)
        assert file.status_code == 200, link
        assert file.headers["Cache-Control"] == "no-cache"  # an edited page is seen at once
    assert "/classify" in requests.get(f"{url}/openapi.json", timeout=10).json()["paths"]


def test_info_of_own_data(topics, tmp_path):
    """One example of each class out of the validation texts; none when the data are gone"""
    classifier = BatchingClassifier(topics / "best.pth")
    validation = MyDataset("validation", str(topics / "topics.csv"))
    with serving(make_sentiment_app(classifier, topics / "best.pth")) as url:
        info = requests.get(f"{url}/info", timeout=10).json()
        answer = ask(url, "explain", {"text": "进球了"}).json()
        assert set(answer["probabilities"]) == {"体育", "财经", "科技"}
    assert info["labels"] == validation.label_names and not info["built_in"]
    labels = dict(zip(validation.texts, validation.labels, strict=True))
    assert sorted(labels[text] for text in info["examples"]) == [0, 1, 2]
    assert info["short"] == min(map(len, validation.texts)) < 10
    classifier.record["data"] = str(tmp_path / "gone.csv")
    with serving(make_sentiment_app(classifier, topics / "best.pth")) as url:
        info = requests.get(f"{url}/info", timeout=10).json()
    assert (info["examples"], info["short"], info["built_in"]) == ([], 0, False)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")
def test_stopped_with_thirty_batches_in_flight(repo, trained, tmp_path):
    """More work than the two seconds of grace are enough for"""
    slow = tmp_path / "slow.py"  # 09_serve.py with a classifier that takes a second for every batch
    slow.write_text(
        "import runpy, sys, time\nfrom backstage.classifier import SentimentClassifier\n"
        "plain = SentimentClassifier.logits\n"
        "def logits(self, texts):\n    time.sleep(1)\n    return plain(self, texts)\n"
        "SentimentClassifier.logits = logits\n"
        "sys.argv[0] = '09_serve.py'\n"
        f"runpy.run_path({str(repo / 'demo02_sentiment/09_serve.py')!r}, run_name='__main__')\n",
        encoding="utf-8",
    )
    env = loopback_environment(repo)
    env["PYTHONPATH"] += os.pathsep + str(repo / "demo02_sentiment")
    server, out = start(env, slow, "--port", 0, "--weights", trained / "best.pth")
    answers = []
    try:
        url = re.search(r"http://127\.0\.0\.1:\d+", out)[0]

        def client(i):
            texts = [f"{i}、{j}，" + "好" * 100 for j in range(60)]
            with suppress(requests.RequestException):
                answers.append(ask(url, "classify", {"texts": texts}).status_code)

        threads = [threading.Thread(target=client, args=(i,)) for i in range(30)]
        for thread in threads:
            thread.start()
        time.sleep(2)
        started = time.monotonic()
        server.send_signal(signal.SIGINT)
        out += server.communicate(timeout=30)[0]
        took = time.monotonic() - started
        for thread in threads:
            thread.join()
    finally:
        server.kill()
    assert server.returncode == 0 and "已停止" in out and "Traceback" not in out
    assert took < 4.5 and len(answers) == 30 and set(answers) <= {200, 500}


def test_a_port_that_is_taken_or_cannot_be_is_said(classifier, trained):
    app = make_sentiment_app(classifier, trained / "best.pth")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for port in (taken.getsockname()[1], 99999):
            with pytest.raises(CourseError, match=f"端口 {port} 用不了"), serving(app, port):
                pass
