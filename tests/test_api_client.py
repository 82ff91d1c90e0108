"""Every failure of a request becomes one Chinese sentence with a next step; no token is shown"""

import json
import re
import runpy
import time

import pytest
from conftest import run_here
from loopback_tools import TOKEN, Rude, run_loopback

from course.errors import CourseError
from course.inference_client import MAX_WAIT, RETRIES, clip, read_token
from course.network import unreachable
from course.paths import ROOT

LESSONS = "demo01_hf_basics"
JSON = {"Content-Type": "application/json"}
ECHO = json.dumps({"error": f"bad Bearer {TOKEN} \x1b[31m"}).encode()  # a server that repeats it
ERRORS = [
    ((401, JSON, ECHO), "401：token 不对或已经作废"),
    ((403, JSON, ECHO), "403：token 没有权限"),
    ((404, JSON, ECHO), "404：没有这个模型"),
    ((410, JSON, ECHO), "410：这个模型或地址已经停止服务"),
    ((413, JSON, ECHO), "413：请求太大"),
    ((422, JSON, ECHO), "422：参数不对"),
    ((429, JSON | {"Retry-After": "17"}, ECHO), "429：请求太多，被限流了"),
    ((503, JSON | {"Retry-After": "0"}, ECHO), "503：模型还没装载好"),
    ((500, {}, TOKEN.encode()), "500：服务器出错"),
    ((302, {"Location": "http://127.0.0.1:9/"}, b""), "302：服务器出错"),
    ((200, {"Content-Type": "text/html"}, f"<html>{TOKEN}".encode()), "回答是一张网页，不是 JSON"),
    ((200, {"Content-Type": "text/plain"}, TOKEN.encode()), "回答是一段文字，不是 JSON"),
    ((200, JSON, b""), "200，但回答是空的"),
    ((200, JSON, ECHO), "200，但内容是报错"),
    ("garbage", "连不上"),
    ("hang up", "连不上"),
    ("silent", "1 秒内没有等到"),
    ("trickle", "1 秒内没有等到"),
]


@pytest.fixture(autouse=True)
def token(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return TOKEN


@pytest.mark.parametrize("answer, sentence", ERRORS)
def test_02_explains_every_failure_and_never_shows_the_token(
    monkeypatch, capsys, caplog, answer, sentence
):
    caplog.set_level("DEBUG")
    start = time.perf_counter()
    with Rude(answer) as rude:
        code, text = run_here(
            monkeypatch,
            capsys,
            f"{LESSONS}/02_api_token.py",
            "--endpoint",
            rude.url,
            "--timeout",
            1,
        )
    assert time.perf_counter() - start < 20
    assert isinstance(code, str) and sentence in code and "下一步：" in code
    assert TOKEN not in text + caplog.text and "Traceback" not in text and "\x1b" not in text
    assert rude.seen[0] == f"Bearer {TOKEN}"  # it was sent, as a header
    if sentence.startswith("429"):
        assert "等 17" in code
    if sentence.startswith("503"):
        assert len(rude.seen) == 1 + RETRIES


@pytest.mark.parametrize("answer, sentence", ERRORS)
def test_the_official_client_is_explained_too(capsys, caplog, answer, sentence):
    script = runpy.run_path(str(ROOT / "demo01_hf_basics" / "02_api_token.py"))
    caplog.set_level("DEBUG")
    with Rude(answer) as rude, pytest.raises(CourseError) as caught:
        script["ask_with_client"](f"{rude.url}/models/a/b", TOKEN, 1.0)
    assert "下一步：" in str(caught.value)
    printed = capsys.readouterr()
    assert TOKEN not in printed.out + printed.err + caplog.text + str(caught.value)
    assert TOKEN not in repr(caught.value.__cause__)
    if re.match(r"4\d\d|50\d", sentence):
        assert sentence in str(caught.value)


@pytest.mark.parametrize(
    "answer, sentence",
    [((401, JSON, b'{"error": "no"}'), "401：没有带 token"), *[e for e in ERRORS if "40" in e[1]]],
)
def test_01_reads_the_answer_and_goes_on(monkeypatch, capsys, answer, sentence):
    if "token" in sentence:
        sentence = sentence[:4]
    with Rude(answer) as rude:
        code, text = run_here(
            monkeypatch, capsys, f"{LESSONS}/01_api_anonymous.py", "--endpoint", rude.url
        )
    assert code == 0 and sentence in text and f"状态码  {answer[0]}" in text
    assert "JSONDecodeError: Expecting value: line 1 column 1 (char 0)" in text
    assert rude.seen == [None]  # anonymous: the token of the environment was not sent


def test_503_then_success(monkeypatch, capsys):
    loading = (503, JSON, b'{"error": "loading", "estimated_time": 0.1}')
    good = (200, JSON, json.dumps([{"generated_text": "你好"}]).encode())
    with Rude(loading, loading, good) as rude:
        code, text = run_here(
            monkeypatch, capsys, f"{LESSONS}/02_api_token.py", "--endpoint", rude.url
        )
    assert code == 0 and text.count("模型正在装载") == 2 and "结果    你好" in text
    assert len(rude.seen) == 4 and MAX_WAIT <= 10


def test_explicit_endpoint_means_no_fallback(monkeypatch, capsys):
    for script in ("01_api_anonymous.py", "02_api_token.py"):
        code, text = run_here(
            monkeypatch, capsys, f"{LESSONS}/{script}", "--endpoint", "http://127.0.0.1:9"
        )
        assert "连不上 http://127.0.0.1:9/models/" in str(code) and "本机 API" not in text


@pytest.mark.parametrize(
    "bad, why",
    [
        ("hf_abcdefgh，", "全角字符"),
        ("hf_abcd efgh", "空格或换行"),
        ("hf_abcd\nefgh", "空格或换行"),
        ('"hf_abcdefgh"', "引号"),
        ("abcdefghijkl", "不是 hf_ 开头"),
    ],
)
def test_malformed_tokens_are_refused_without_showing_them(monkeypatch, capsys, bad, why):
    monkeypatch.setenv("HF_TOKEN", bad)
    code, text = run_here(monkeypatch, capsys, f"{LESSONS}/02_api_token.py")
    assert why in str(code) and bad not in text


def test_a_token_with_a_newline_at_the_end_is_stripped(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", f" {TOKEN}\r\n")
    assert read_token(for_hub=True) == TOKEN


def test_clip_hides_the_token_before_it_cuts():
    assert clip("x" * 190 + TOKEN, TOKEN) == "x" * 190 + "***"


def test_probe_is_bounded():
    for fault, word in (("silent", "1 秒内没有回答"), ("garbage", "连接失败")):
        with Rude(fault) as rude:
            start = time.perf_counter()
            assert word in unreachable(rude.url, 1)
            assert time.perf_counter() - start < 5
    with Rude((404, {}, b"")) as rude:
        assert unreachable(rude.url, 5) is None
    assert "连接失败" in unreachable("http://127.0.0.1:9", 5)


SCRIPTS = sorted(path.name for path in (ROOT / "demo01_hf_basics").glob("0*.py"))


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_and_a_wrong_flag(monkeypatch, capsys, script):
    code, text = run_here(monkeypatch, capsys, f"{LESSONS}/{script}", "--help")
    assert code == 0 and "怎么运行：python demo01_hf_basics/" in text and "会看到：" in text
    assert "@@" not in text  # no placeholder left
    code, text = run_here(monkeypatch, capsys, f"{LESSONS}/{script}", "--no-such-flag")
    assert "不认识的参数 --no-such-flag" in str(code) and f"{script} --help" in str(code)


def test_there_are_seven_lessons():
    assert [name[:2] for name in SCRIPTS] == [f"0{i}" for i in range(1, 8)]


def test_01_and_02_without_network_ask_the_local_api(repo):
    first = run_loopback(repo, "demo01_hf_basics/01_api_anonymous.py")
    assert first.returncode == 0, first.stderr
    assert "Hub 连不上" in first.stdout and "状态码  401" in first.stdout
    assert first.stdout.count('{"inputs": "你好，Hugging Face"}') == 2  # the very same request
    assert '结果    [{"generated_text": "你好，Hugging Face' in first.stdout
    second = run_loopback(repo, "demo01_hf_basics/02_api_token.py", HF_TOKEN=TOKEN)
    assert second.returncode == 0, second.stderr
    assert "Hub 连不上" in second.stdout and "状态码  200" in second.stdout
    assert "结果    你好，我是一款语言模型，" in second.stdout
    assert TOKEN not in first.stdout + second.stdout + first.stderr + second.stderr
