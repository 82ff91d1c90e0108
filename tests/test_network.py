"""Proxies as people have them (one paste of Clash sets three), and passwords that stay at home"""

import os
import time

import pytest
from loopback_tools import Proxy, run_loopback
from standin_hub import BERT, GPT, StandIn
from test_download import download_elsewhere, folders, gpt2_files, hub, repos  # noqa: F401

from course import network
from course.errors import CourseError
from course.hub import download_model, make_source
from course.network import bypass_proxy_for_loopback, unreachable, without_password

SECRET = "ThisMustNeverBeSeen0123456789"
FREE = "127.0.0.1:9"  # where nothing listens


@pytest.fixture
def proxy(hub):  # noqa: F811
    with Proxy(hub.server.server_address[1]) as running:
        yield running


def paste(address: str) -> dict[str, str]:
    """What the menu of Clash puts on the clipboard"""
    variables = {"http_proxy": "http", "https_proxy": "http", "all_proxy": "socks5"}
    return {name: f"{scheme}://{address}" for name, scheme in variables.items()}


@pytest.mark.parametrize("scheme", ["paste", "socks5", "socks5h", "socks"])
def test_a_proxy_finds_the_hub_and_loopback_goes_past_it(hub, proxy, folders, scheme):  # noqa: F811
    """hub.test is a name that only the proxy can look up: another look-up is refused"""
    if scheme == "paste":
        variables = paste(proxy.address)
    else:
        variables = {"ALL_PROXY": f"{scheme}://me:{SECRET}@{proxy.address}"}
    running = download_elsewhere(hub, folders, "http://hub.test", **variables)
    out = running.communicate(timeout=120)[0]
    assert running.returncode == 0 and "核对无误" in out, out
    assert set(proxy.hosts) == {"hub.test"} and SECRET not in out
    seen = len(proxy.hosts)
    hub.log.clear()
    (folders / "models").rename(folders / "other")
    running = download_elsewhere(hub, folders, **variables)  # to http://127.0.0.1:…
    out = running.communicate(timeout=120)[0]
    assert running.returncode == 0 and hub.log and len(proxy.hosts) == seen, out


@pytest.mark.parametrize("lesson", ["03_download_gpt2", "05_download_bert"])
def test_a_proxy_that_was_closed_is_one_sentence(repo, lesson):
    for variables in (paste(FREE), {"ALL_PROXY": f"socks5://me:{SECRET}@{FREE}"}):
        start = time.perf_counter()
        done = run_loopback(repo, f"demo01_hf_basics/{lesson}.py", **variables)
        said = "连不上 https://huggingface.co：代理连不上（看看环境变量 HTTPS_PROXY、ALL_PROXY）"
        assert done.returncode == 1 and f"没有下载成：{said}" in done.stdout, done.stdout
        assert "Traceback" not in done.stderr and SECRET not in done.stdout + done.stderr
        assert "没下载成不影响往下学" in done.stdout and time.perf_counter() - start < 60


def test_a_proxy_that_accepts_and_says_nothing(hub, proxy, monkeypatch):  # noqa: F811
    hub.silent = True
    monkeypatch.setenv("http_proxy", f"http://{proxy.address}")
    assert unreachable("http://hub.test", 1).startswith("1 秒内没有回答，走的是代理（看看环境变量")


def test_the_proxy_of_windows_settings_is_kept(monkeypatch):
    """Python looks at it only while no variable names a proxy, and NO_PROXY is one"""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(network, "getproxies", lambda: {"https": "http://127.0.0.1:7890"})
    before = dict(os.environ)
    try:
        bypass_proxy_for_loopback()
        assert os.environ["https_proxy"] == "http://127.0.0.1:7890"
        assert os.environ["NO_PROXY"] == os.environ["no_proxy"] == "127.0.0.1,localhost"
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]


@pytest.mark.parametrize(
    "address, shown",
    [
        (f"https://me:{SECRET}@mirror.cn/a", "https://***@mirror.cn/a"),
        (f"https://me:{SECRET}/@x@mirror.cn", "https://***@mirror.cn"),
        (f"me:{SECRET}@mirror.cn", "***@mirror.cn"),
        ("https://mirror.cn/a", "https://mirror.cn/a"),
    ],
)
def test_addresses_are_shown_without_the_password(address, shown):
    assert without_password(address) == shown


def test_a_password_in_the_endpoint_is_used_and_not_printed(hub, folders, capfd):  # noqa: F811
    url = hub.url.replace("://", f"://me:{SECRET}@")
    download_model(GPT, make_source("hf", url))
    assert any("Authorization" in headers for _, _, headers in hub.log)
    texts = []
    for name in ("hf", "modelscope"):
        for fault in ({"status": 404}, {"status": 500}, {"portal": True}, {"corrupt": True}):
            hub.heal()
            vars(hub).update(fault)
            with pytest.raises(CourseError) as caught:
                download_model(BERT, make_source(name, url, 1))
            texts.append(str(caught.value))
    with pytest.raises(CourseError) as caught:
        make_source("hf", f"me:{SECRET}@mirror.cn")
    assert SECRET not in str([*texts, caught.value, capfd.readouterr()])


def test_netrc_stays_at_home(hub, tmp_path, folders):  # noqa: F811
    """A real ~/.netrc, with an entry for every host: no request of a download carries it"""
    for name in (".netrc", "_netrc"):
        (tmp_path / name).write_text(f"default login me password {SECRET}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o600)
    with StandIn(hub.repos) as cdn:
        hub.redirect_files = cdn.url.replace("127.0.0.1", "localhost")  # as to another host
        running = download_elsewhere(hub, folders, HOME=str(tmp_path), USERPROFILE=str(tmp_path))
        out = running.communicate(timeout=120)[0]
        assert running.returncode == 0 and cdn.log, out
        for _, path, headers in [*hub.log, *cdn.log]:
            assert "Authorization" not in headers, path
