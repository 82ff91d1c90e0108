"""Every failure of a request becomes one Chinese sentence with a next step; no token is shown"""

import json
import re
import runpy
import time
from argparse import Namespace

import pytest
import requests
from conftest import run_here
from loopback_tools import TOKEN, Proxy, Rude, run_loopback
from shown import assert_shown

from api_client import check_token
from course.network import unreachable
from course.paths import ROOT

LESSONS = "demo01_hf_basics"
JSON = {"Content-Type": "application/json"}
ECHO = json.dumps({"error": f"bad Bearer {TOKEN} \x1b[31m"}).encode()  # a server that repeats it
NOT_SERVED = json.dumps({"error": "Model not supported by provider hf-inference"}).encode()
OPENAI = json.dumps({"error": {"message": f"model_not_supported {TOKEN}", "code": "x"}}).encode()
CHAT = {
    **{"id": "1", "created": 1, "model": "m", "system_fingerprint": ""},
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "我会回答"}}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
GOOD = (200, JSON, json.dumps([{"generated_text": "你好"}]).encode())
GOOD_CHAT = (200, JSON, json.dumps(CHAT).encode())
ERRORS = [
    ((400, JSON, ECHO), "400：请求的格式不对"),
    ((400, JSON, NOT_SERVED), "400：这个服务不提供这个模型，请求的格式没有错"),
    ((401, JSON, ECHO), "401：token 不对或已经作废"),
    ((402, JSON, ECHO), "402：这个月的额度用完了"),
    ((403, JSON, ECHO), "403：token 没有权限"),
    ((404, JSON, ECHO), "404：没有这个模型"),
    ((404, JSON, OPENAI), "服务器说：model_not_supported ***"),
    ((405, JSON, ECHO), "405：这个地址不接受 POST"),
    ((410, JSON, ECHO), "410：这个模型或地址已经停止服务"),
    ((413, JSON, ECHO), "413：请求太大"),
    ((418, JSON, ECHO), "418：服务器不接受这个请求"),
    ((422, JSON, ECHO), "422：参数不对"),
    ((429, JSON | {"Retry-After": "17"}, ECHO), "429：请求太多，被限流了"),
    ((503, JSON, ECHO), "503：模型还没装载好"),
    ((500, {}, TOKEN.encode()), "500：服务器出错"),
    ((504, {"Content-Type": "text/html"}, b"<html>"), "504：服务器太忙"),
    ((302, {"Location": "http://127.0.0.1:9/"}, b""), "连不上"),
    ((200, {"Content-Type": "text/html"}, f"<html>{TOKEN}".encode()), "回答是一张网页，不是 JSON"),
    ((200, {"Content-Type": "text/plain"}, TOKEN.encode()), "回答是一段文字，不是 JSON"),
    ((200, JSON, b""), "200，但回答是空的"),
    ((200, JSON, ECHO), "200，但内容是报错"),
    ("garbage", "连不上"),
    ("hang up", "连不上"),
    ("silent", "等不到"),
]


@pytest.fixture(autouse=True)
def token(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)


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


@pytest.mark.parametrize(
    "answer, sentence", [e for e in ERRORS if e[0][0] != 302 and e[1][:2] in "40 42 50 连不"]
)
def test_the_official_client_is_explained_too(monkeypatch, capsys, answer, sentence):
    """requests was answered well, then the client asks and is refused"""
    with Rude(GOOD, answer) as rude:
        options = ("--endpoint", rude.url, "--timeout", 1)
        code, text = run_here(monkeypatch, capsys, f"{LESSONS}/02_api_token.py", *options)
    assert sentence in str(code) and "下一步：" in code
    assert TOKEN not in text + code and len(rude.seen) == 2


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


@pytest.mark.parametrize(
    "refusal, sentence",
    [
        ((400, JSON, NOT_SERVED), "400：这个服务不提供这个模型，请求的格式没有错"),
        ((404, {}, b"Not Found"), "404：没有这个模型，或者这个服务不提供它"),
    ],
)
def test_02_at_the_hub_goes_on_to_the_route_that_serves(monkeypatch, capsys, refusal, sentence):
    script = runpy.run_path(str(ROOT / LESSONS / "02_api_token.py"))
    wanted = {"endpoint": None, "timeout": 30.0}
    wanted |= {name.lower(): script[name] for name in ("MODEL", "CHAT_MODEL")}
    with Rude((404, {}, b""), refusal, GOOD_CHAT) as rude:  # the first: the probe
        settings = script["main"].__globals__
        settings["HUB"], settings["HUB_CHAT"] = f"{rude.url}/hf-inference", f"{rude.url}/v1"
        script["main"](Namespace(**wanted))
    text = capsys.readouterr().out
    assert f"意思    {sentence}" in text
    assert f'"model": "{script["CHAT_MODEL"]}"' in text and "结果    我会回答" in text
    assert rude.paths == [
        "/hf-inference",
        "/hf-inference/models/uer/gpt2-chinese-cluecorpussmall",
        *["/v1/chat/completions"] * 2,
    ]
    assert rude.seen == [None, *[f"Bearer {TOKEN}"] * 3] and TOKEN not in text


def test_explicit_endpoint_means_no_fallback(monkeypatch, capsys):
    for script in ("01_api_anonymous.py", "02_api_token.py"):
        code, text = run_here(
            monkeypatch, capsys, f"{LESSONS}/{script}", "--endpoint", "http://127.0.0.1:9"
        )
        assert "连不上 http://127.0.0.1:9" in str(code) and "本机 API" not in text


def test_01_without_the_hub_asks_the_local_api_for_the_model_that_was_named(monkeypatch, capsys):
    script = runpy.run_path(str(ROOT / LESSONS / "01_api_anonymous.py"))
    monkeypatch.setitem(script["main"].__globals__, "HUB", "http://127.0.0.1:9")  # nobody there
    script["main"](Namespace(endpoint=None, model="no/such", timeout=30.0))
    text = capsys.readouterr().out
    assert len(re.findall(r"POST \S+/models/no/such\n", text)) == 2
    assert "状态码  401" in text and "意思    404：没有这个模型" in text


@pytest.mark.parametrize(
    "bad, why",
    [
        ("hf_abcdefgh，", "全角字符"),
        ("hf_abcd efgh", "空格或换行"),
        ('"hf_abcdefgh"', "引号"),
        ("abcdefghijkl", "不是 hf_ 开头"),
    ],
)
def test_malformed_tokens_are_refused_without_showing_them(monkeypatch, capsys, bad, why):
    monkeypatch.setenv("HF_TOKEN", bad)
    code, text = run_here(monkeypatch, capsys, f"{LESSONS}/02_api_token.py")
    assert why in str(code) and bad not in text


def test_a_token_with_a_newline_at_the_end_is_stripped(monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", f" {TOKEN}\r\n")
    with Rude(GOOD, GOOD, GOOD_CHAT) as rude:
        script = f"{LESSONS}/02_api_token.py"
        code, _ = run_here(monkeypatch, capsys, script, "--endpoint", rude.url)
    assert code == 0 and rude.seen == [f"Bearer {TOKEN}"] * 4


@pytest.mark.parametrize("good", ["hf_abcdefgh", "hf_oauth_eyJhbGciOi.eyJzdWIi-_x.S1gnaTU-re"])
def test_tokens_of_both_kinds_are_accepted(good):
    assert check_token(good, for_hub=True) is None


def test_the_proxy_of_the_environment_is_not_asked_for_127_0_0_1(monkeypatch, capsys):
    """Clash: http, https and socks in one paste; Ubuntu writes socks://; nobody listens there"""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        scheme = "socks" if name == "all_proxy" else "http"
        for variable in (name, name.upper()):
            monkeypatch.setenv(variable, f"{scheme}://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    for script in ("01_api_anonymous.py", "02_api_token.py"):
        with Rude(GOOD, GOOD, GOOD_CHAT) as rude:
            options = ("--endpoint", rude.url)
            code, text = run_here(monkeypatch, capsys, f"{LESSONS}/{script}", *options)
        assert code == 0 and "你好" in text.split("结果    ")[1]


def test_01_and_02_go_through_the_paste_of_clash(repo):
    """hub.test is a name that only the proxy can look up; requests and the official client"""
    for scheme in ("http", "socks5"):
        with (
            Rude(GOOD, GOOD, GOOD, GOOD_CHAT) as rude,
            Proxy(int(rude.url.rsplit(":")[-1])) as proxy,
        ):
            variables = {"all_proxy": f"socks5://{proxy.address}"}
            if scheme == "http":
                variables["http_proxy"] = f"http://{proxy.address}"
            for script in ("01_api_anonymous.py", "02_api_token.py"):
                options = ("--endpoint", "http://hub.test")
                done = run_loopback(repo, f"{LESSONS}/{script}", *options, **variables)
                assert done.returncode == 0 and "结果    " in done.stdout, done.stdout + done.stderr
            assert set(proxy.hosts) == {"hub.test"} and len(rude.seen) == 5


@pytest.fixture
def netrc(monkeypatch, tmp_path):
    """A real ~/.netrc (on Windows _netrc) with an entry for every host"""
    for name in (".netrc", "_netrc"):
        (tmp_path / name).write_text("default login me password do-not-send\n", encoding="utf-8")
        (tmp_path / name).chmod(0o600)
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.delenv("NETRC", raising=False)
    assert requests.utils.get_netrc_auth("http://127.0.0.1") == ("me", "do-not-send")


def test_the_passwords_of_netrc_are_not_sent(monkeypatch, capsys, netrc):
    with Rude(GOOD) as rude:
        script = f"{LESSONS}/01_api_anonymous.py"
        code, _ = run_here(monkeypatch, capsys, script, "--endpoint", rude.url)
    assert code == 0 and rude.seen == [None]
    monkeypatch.delenv("NETRC")
    with Rude(GOOD, GOOD, GOOD_CHAT) as rude:
        script = f"{LESSONS}/02_api_token.py"
        code, _ = run_here(monkeypatch, capsys, script, "--endpoint", rude.url)
    assert code == 0 and rude.seen == [f"Bearer {TOKEN}"] * 4  # requests twice, httpx twice


def test_an_answer_of_another_kind_is_said(monkeypatch, capsys):
    other = (200, JSON, b'{"answer": 42}')  # a server of the learner's own
    with Rude(other) as rude:
        script = f"{LESSONS}/02_api_token.py"
        code, _ = run_here(monkeypatch, capsys, script, "--endpoint", rude.url)
    assert "官方的客户端读不懂这个回答" in str(code) and "KeyError" in str(code)


def test_an_endpoint_without_http_and_the_offline_switch_are_said(monkeypatch, capsys):
    script = f"{LESSONS}/02_api_token.py"
    code, _ = run_here(monkeypatch, capsys, script, "--endpoint", "127.0.0.1:8000")
    assert "--endpoint 要以 http:// 或 https:// 开头" in str(code)
    with Rude(GOOD) as rude:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        code, _ = run_here(monkeypatch, capsys, script, "--endpoint", rude.url)
    assert "环境变量 HF_HUB_OFFLINE 不许联网" in str(code)


def test_a_password_in_the_endpoint_is_refused_and_not_printed(monkeypatch, capsys):
    for script in ("01_api_anonymous.py", "02_api_token.py"):
        bad = "http://me:do-not-print@127.0.0.1:9"
        code, text = run_here(monkeypatch, capsys, f"{LESSONS}/{script}", "--endpoint", bad)
        assert "--endpoint 里不要写密码" in str(code) and "do-not-print" not in text


def test_probe_is_bounded():
    for fault, word in (("silent", "1 秒内没有回答"), ("garbage", "连接失败")):
        with Rude(fault) as rude:
            start = time.perf_counter()
            assert word in unreachable(rude.url, 1)
            assert time.perf_counter() - start < 5
    with Rude((404, {}, b"")) as rude:
        assert unreachable(rude.url, 5) is None
    assert "连接失败" in unreachable("http://127.0.0.1:9", 5)


SCRIPTS = sorted(path.name for path in (ROOT / "demo01_hf_basics").glob("0[1-9]*.py"))


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_and_a_wrong_flag(monkeypatch, capsys, script):
    code, text = run_here(monkeypatch, capsys, f"{LESSONS}/{script}", "--help")
    assert code == 0 and "怎么运行：python demo01_hf_basics/" in text and "会看到" in text
    assert "@@" not in text  # no placeholder left
    code, text = run_here(monkeypatch, capsys, f"{LESSONS}/{script}", "--no-such-flag")
    assert "不认识的参数 --no-such-flag" in str(code) and f"{script} --help" in str(code)


def test_01_and_02_without_network_ask_the_local_api(repo):
    lessons = repo / "demo01_hf_basics"
    first = run_loopback(repo, "demo01_hf_basics/01_api_anonymous.py")
    assert first.returncode == 0, first.stderr
    assert "Hub 连不上：连接失败" in first.stdout  # not "the proxy": there is none
    assert "状态码  401" in first.stdout
    assert first.stdout.count('{"inputs": "今天天气很好，"}') == 2  # the very same request
    result = re.search(r"结果    \[\{'generated_text': '今天天气很好，(.*)'\}\]", first.stdout)
    assert len(result[1]) > 3  # the prompt is one that the model can continue
    assert_shown(lessons / "01_api_anonymous.py", first.stdout)
    second = run_loopback(repo, "demo01_hf_basics/02_api_token.py", HF_TOKEN=TOKEN)
    assert second.returncode == 0, second.stderr
    assert "Hub 连不上" in second.stdout and second.stdout.count("状态码  200") == 2
    assert "结果    你好，我是一款语言模型，" in second.stdout
    chat = second.stdout.split("── 5.")[1].split("结果    ")[1]
    assert chat.strip() and not chat.startswith(
        "你好，我是"
    )  # the answer alone, without the prompt
    assert TOKEN not in first.stdout + second.stdout + first.stderr + second.stderr
    shown = second.stdout.replace(f"token：找到了，共 {len(TOKEN)} 个字符", "token：没有找到")
    assert_shown(lessons / "02_api_token.py", shown)
