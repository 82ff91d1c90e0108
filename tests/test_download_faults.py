"""Nothing on disk and nothing from the network is believed: every byte is compared with its digest

The faults of tests/standin_hub.py, one after another; the ways of a real network are in
tests/test_download.py.
"""
# ruff: noqa: F811  (fixtures of another file)

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import filelock
import pytest
from loopback_tools import loopback_environment
from standin_hub import GPT, REVIEWS, StandIn
from test_download import folders, gpt2_files, hub, parquet_files, repos, source  # noqa: F401

from course.cli import Parser
from course.errors import CourseError
from course.hub import Obtained, add_arguments, download_model, download_reviews, obtain_model
from course.models import cache_folder, find_model
from course.network import without_password
from course.paths import ROOT

SECRET = "ThisMustNeverBeSeen0123456789"


def obtain(hub, name="hf", repo=GPT) -> Obtained:
    """What 03_download_gpt2.py does first"""
    parser = Parser("")
    add_arguments(parser, GPT)
    words = ["--repo", repo, "--source", name, "--endpoint", hub.url, "--patience", "1"]
    return obtain_model(parser.parse_args(words), GPT)


def fetched(hub) -> set[str]:
    """The files that were asked for since hub.log was cleared"""
    return {
        path.split("FilePath=")[-1].split("/")[-1]
        for method, path, _ in hub.log
        if method == "GET" and ("/resolve/" in path or "FilePath=" in path)
    }


def same(folder: Path, files: dict[str, bytes]) -> bool:
    names = {path.name for path in folder.iterdir()}
    return names >= {"config.json", "vocab.txt"} and all(
        (folder / name).read_bytes() == files[name] for name in names
    )


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


# 1. What is on disk already


@pytest.mark.parametrize("name", ["hf", "modelscope"])
def test_a_file_that_is_there_counts_only_with_the_right_digest(hub, folders, gpt2_files, name):
    folder = download_model(GPT, source(hub, name))
    (folder / "vocab.txt").resolve().write_bytes(b"")  # an empty file at the right name
    flip((folder / "model.safetensors").resolve())  # the right size, one bit off
    hub.log.clear()
    assert same(download_model(GPT, source(hub, name)), gpt2_files)
    assert fetched(hub) == {"vocab.txt", "model.safetensors"}


@pytest.mark.parametrize("name", ["hf", "modelscope"])
def test_downloaded_already_means_every_file_is_whole(hub, folders, gpt2_files, capsys, name):
    folder = obtain(hub, name).folder
    hub.log.clear()
    assert obtain(hub, name).folder == folder and not hub.log
    assert "已经下载好了" in capsys.readouterr().out
    for hurt in (flip, Path.unlink):
        hurt((folder / "vocab.txt").resolve())
        got = obtain(hub, name)
        assert got.folder == folder and not got.failure and same(folder, gpt2_files)
        out = capsys.readouterr().out
        assert "里的 vocab.txt 缺了或坏了，重新下载" in out and "已经下载好了" not in out
    # and without a network: the lesson goes on with the shipped model, not with the broken one
    flip((folder / "vocab.txt").resolve())
    shutil.copytree(ROOT / "models" / "tiny-gpt2-chinese", folders / "models" / "tiny-gpt2-chinese")
    hub.status = 500
    got = obtain(hub, name)
    assert got.failure and "tiny-gpt2-chinese" in got.name


# 2. What the server says


# 3. What comes instead of the file


@pytest.mark.parametrize("name", ["hf", "modelscope"])
def test_a_portal_in_mid_download_takes_nothing(hub, folders, gpt2_files, name):
    hub.cut, hub.cuts = 300_000, 1
    hub.after_file = lambda data: setattr(hub, "portal", hub.cuts == 0)
    with pytest.raises(CourseError, match=r"下到 \d{6} / \d+ 字节，回答的是一张网页.*登录页"):
        download_model(GPT, source(hub, name))
    (part,) = folders.rglob("*.part")
    kept = part.stat().st_size
    assert kept > 200_000 and part.read_bytes() == gpt2_files["tokenizer.json"][:kept]
    hub.portal, hub.after_file = False, None
    hub.log.clear()
    assert same(download_model(GPT, source(hub, name)), gpt2_files)
    assert hub.ranges() == [f"bytes={kept}-"]


# 4. Bounded in time


# 5. Named for what it is


def test_too_many_requests(hub, folders, gpt2_files, capsys):
    hub.status, hub.retry_after, hub.refusals = 429, "1", 3  # one for a look at redirects
    start = time.monotonic()
    assert same(download_model(GPT, source(hub)), gpt2_files)
    assert time.monotonic() - start >= 2
    assert capsys.readouterr().out.count("429：请求太多，被限流了") == 2
    hub.refusals, hub.retry_after = 10**9, "3600"
    for name in ("hf", "modelscope"):
        with pytest.raises(CourseError, match="429：请求太多，被限流了，过 3600 秒再试"):
            download_model(GPT, source(hub, name))
    hub.retry_after = "Wed, 21 Oct 2099 07:28:00 GMT"
    with pytest.raises(CourseError, match="429：请求太多，被限流了，过几分钟再试"):
        download_model(GPT, source(hub))
    hub.status = None
    hub.before_file = lambda data: setattr(hub, "status", 429)
    with pytest.raises(CourseError, match="429：请求太多，被限流了"):
        download_reviews(REVIEWS, source(hub))


# 6. Two at once; systems without links


def test_a_second_download_at_once_is_refused(hub, folders, gpt2_files):
    hub.silent = "vocab.txt"
    answers = []

    def first():
        try:
            answers.append(download_model(GPT, source(hub, patience=5)))
        except CourseError as error:
            answers.append(error)

    running = threading.Thread(target=first)
    running.start()
    while not any("vocab.txt" in path for _, path, _ in hub.log):
        time.sleep(0.05)
    with pytest.raises(CourseError, match=f"另一个程序正在下载 {GPT}") as caught:
        download_model(GPT, source(hub))
    assert "再运行一次" in caught.value.next_step
    hub.silent = False
    hub.release.set()
    running.join(60)
    assert same(answers[0], gpt2_files)
    lock = folders / "models" / ".locks" / f"{cache_folder(GPT).name}.lock"
    with filelock.FileLock(lock, timeout=0):  # and it was given back
        pass


@pytest.mark.parametrize("hard_links", [True, False])
def test_windows_without_links(hub, folders, gpt2_files, monkeypatch, hard_links):
    """Windows makes no symbolic link without developer mode, and FAT no link at all"""

    def refuse(*_, **__):
        raise OSError("A required privilege is not held by the client")

    monkeypatch.setattr(os, "symlink", refuse)
    if not hard_links:
        monkeypatch.setattr(os, "link", refuse)
    folder = obtain(hub).folder
    assert same(folder, gpt2_files) and not any(path.is_symlink() for path in folder.iterdir())
    assert obtain(hub).folder == folder == find_model(GPT)
    flip(folder / "vocab.txt")
    assert same(obtain(hub).folder, gpt2_files)


# 7. Passwords


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


def test_a_password_in_the_endpoint_is_used_and_not_printed(hub, folders, capsys):
    class Private:
        url = hub.url.replace("://", f"://me:{SECRET}@")

    download_model(GPT, source(Private))
    assert any("Authorization" in headers for _, _, headers in hub.log)
    texts = [capsys.readouterr()]
    hub.after_file = lambda data: setattr(hub, "silent", True)
    for status in (401, 404, 429, 500, None):
        hub.status = status
        for name in ("hf", "modelscope"):
            with pytest.raises(CourseError) as caught:
                download_model("a/b", source(Private, name, patience=0.2))
            texts.append(caught.value)
    with pytest.raises(CourseError) as caught:
        Private.url = f"me:{SECRET}@mirror.cn"
        source(Private)
    texts += [caught.value, capsys.readouterr()]
    assert SECRET not in str(texts)


def test_netrc_stays_at_home(hub, tmp_path, folders):
    """A real ~/.netrc, with an entry for every host: no request of a download carries it"""
    home = tmp_path / "home"
    home.mkdir()
    for name in (".netrc", "_netrc"):
        (home / name).write_text(f"default login me password {SECRET}\n", encoding="utf-8")
        (home / name).chmod(0o600)
    with StandIn(hub.repos) as cdn:
        hub.redirect_files = cdn.url.replace("127.0.0.1", "localhost")  # as to another host
        code = f"""
from pathlib import Path
import requests
from course import hub, models
assert requests.utils.get_netrc_auth({hub.url!r})  # it would be sent
hub.MODELS = models.MODELS = Path({str(folders / "models")!r})
hub.download_model({GPT!r}, hub.make_source("hf", {hub.url!r}, 5.0))
"""
        env = loopback_environment(ROOT, HOME=str(home), USERPROFILE=str(home))
        env.pop("NETRC", None)
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=env,
            capture_output=True,
            encoding="utf-8",
        )
        assert done.returncode == 0, done.stderr
        assert len(cdn.log) >= 7
        for _, path, headers in [*hub.log, *cdn.log]:
            assert "Authorization" not in headers, path
