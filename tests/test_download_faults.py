"""Nothing on disk and nothing from the network is believed: every byte is compared with its digest

The faults of tests/standin_hub.py, one after another; the ways of a real network are in
tests/test_download.py.
"""
# ruff: noqa: F811  (fixtures of another file)

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import filelock
import pytest
import torch
from datasets import load_from_disk
from loopback_tools import Rude, loopback_environment
from safetensors.torch import save_file
from standin_hub import COMMIT, GPT, REVIEWS, StandIn, etag, reviews_repo
from test_download import folders, gpt2_files, hub, parquet_files, repos, source  # noqa: F401

from course import download
from course.cli import Parser
from course.errors import CourseError
from course.hub import Obtained, add_arguments, download_model, download_reviews, obtain_model
from course.models import cache_folder, find_model
from course.network import without_password
from course.paths import ROOT

NEXT = "fedcba9876543210fedcba9876543210fedcba98"
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


@pytest.mark.parametrize("layout", ["cache_dir", "folder"])
def test_a_missing_shard_of_a_model_that_others_downloaded(hub, folders, capsys, layout):
    """No record of ours: the index names the shards, the official client names blobs by digest"""
    inside = cache_folder(GPT) / "snapshots" / COMMIT
    folder = inside if layout == "cache_dir" else folders / "models" / GPT
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    index = {"metadata": {}, "weight_map": shards}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    save_file({"a": torch.zeros(9)}, folder / shards["a"])
    assert not obtain(hub).failure
    assert f"里的 {shards['b']} 缺了或坏了" in capsys.readouterr().out


def test_a_cut_weights_file_and_a_wrong_blob_of_the_official_client(hub, folders, capsys):
    folder = download_model(GPT, source(hub))
    (cache_folder(GPT) / f"{COMMIT}.sha256").unlink()  # as if hf download had done it
    assert not obtain(hub).failure and "已经下载好了" in capsys.readouterr().out
    flip((folder / "config.json").resolve())
    obtain(hub)
    assert "里的 config.json 缺了或坏了" in capsys.readouterr().out
    copy = folders / "models" / GPT
    copy.mkdir(parents=True)
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-5])
    assert obtain(hub).folder == folder
    assert f"{copy} 里的 某个文件（SafetensorError） 缺了或坏了" in capsys.readouterr().out


def test_files_of_another_repository_are_not_mixed_in(hub, folders, parquet_files, splits):
    """Stopped in the middle of A; then B, whose files have the same names"""
    rows = {name: some[1000:] for name, some in splits.items() if name == "train"}
    hub.repos[("dataset", "b/b")] = reviews_repo(splits | rows)
    hub.after_file = lambda data: setattr(hub, "silent", "validation-00000-of-00001-abc.parquet")
    with pytest.raises(CourseError):
        download_reviews(REVIEWS, source(hub, patience=0.2))
    assert [path.name for path in folders.rglob("train*.parquet")]  # A's first file is complete
    hub.silent, hub.after_file = False, None
    dataset = load_from_disk(str(download_reviews("b/b", source(hub))))
    assert dataset["train"][0]["text"] == splits["train"][1000][0]


def test_a_bad_parquet_is_downloaded_again(hub, folders, parquet_files):
    raw = folders / "data" / "ChnSentiCorp-download" / "data"
    raw.mkdir(parents=True)
    for name, data in parquet_files.items():
        (raw / Path(name).name).write_bytes(data)
    flip(raw / "train-00000-of-00001-abc.parquet")
    (raw / "test-00000-of-00001-abc.parquet").write_bytes(b"")
    download_reviews(REVIEWS, source(hub))
    assert fetched(hub) == {f"{n}-00000-of-00001-abc.parquet" for n in ("train", "test")}


def test_a_wrong_part_is_thrown_away_and_orphans_go(hub, folders, gpt2_files):
    blobs = cache_folder(GPT) / "blobs"
    blobs.mkdir(parents=True)
    wrong = blobs / f"{etag(gpt2_files['model.safetensors'])}.part"
    wrong.write_bytes(b"\0" * 200_000)  # not how these weights begin
    (blobs / "vocab.txt.part").write_bytes(b"of another version")
    assert same(download_model(GPT, source(hub)), gpt2_files)
    assert hub.ranges() == ["bytes=200000-"] and not list(folders.rglob("*.part"))


# 2. What the server says


@pytest.mark.parametrize("tag", ['"the-same-for-all"', 'W/"weak"', "../../../evil", "", "\t", '""'])
def test_the_etag_does_not_matter(hub, folders, gpt2_files, tag):
    hub.etag = tag or " "
    assert same(download_model(GPT, source(hub)), gpt2_files)
    assert not list(folders.rglob("evil*"))


def changed(key: str, value: object, only: str = ""):
    """A change to the entries of a listing, of either kind of server"""
    names = {"size": "Size", "path": "Path", "oid": "Sha256"}

    def change(entry: dict) -> dict:
        keys = {key, names[key]} & set(entry)
        if only and only not in (entry.get("path"), entry.get("Path")):
            return entry
        if value is KeyError:
            return {k: v for k, v in entry.items() if k not in {*keys, "lfs"}}
        return entry | {k: value(entry[k]) if callable(value) else value for k in keys}

    return change


@pytest.mark.parametrize("name", ["hf", "modelscope"])
@pytest.mark.parametrize(
    "change, sentence",
    [
        (changed("size", str), ""),  # "1234" is as good as 1234
        (changed("size", None, "tf_model.h5"), ""),  # a file that nobody wants
        (changed("path", 5, "README.md"), ""),
        (changed("path", "../../config.json", "README.md"), ""),
        (changed("oid", str.upper), ""),
        (changed("size", None), "清单读不懂：.* 大小是 None"),
        (changed("size", -1), "大小是 -1"),
        (changed("size", 1.5), "大小是 1.5"),
        (changed("size", True), "大小是 True"),
        (changed("size", "9" * 5000), "大小是 '999"),
        (changed("size", KeyError), "清单读不懂"),
        (changed("path", KeyError), "清单读不懂"),
        (changed("path", 5), "没有 config.json"),
        (changed("path", None), "没有 config.json"),
        (changed("oid", None), "没有指纹"),
        (changed("oid", KeyError), "没有指纹"),
        (changed("oid", "zz"), "没有指纹"),
        (lambda entry: None, "清单读不懂"),
        (lambda entry: [1, 2], "清单读不懂"),
    ],
)
def test_odd_listings(hub, folders, gpt2_files, name, change, sentence):
    hub.about = change
    if sentence:
        with pytest.raises(CourseError, match=sentence) as caught:
            download_model(GPT, source(hub, name))
        assert "换一个来源" in caught.value.next_step and len(str(caught.value)) < 400
        assert not [path for path in folders.rglob("*") if path.is_file()]
    else:
        assert same(download_model(GPT, source(hub, name)), gpt2_files)
        assert {p.parent for p in folders.rglob("config.json")} == {find_model(GPT)}


@pytest.mark.parametrize("body", [b"[]", b"{}", b"null", b"5", b'"x"', b"[" * 100_000, b"\xff{"])
@pytest.mark.parametrize("name", ["hf", "modelscope"])
def test_json_that_is_no_listing(folders, name, body):
    json_of_a_kind = (200, {"Content-Type": "application/json"}, body)
    sentence = "读不懂|没有 config.json|没有说"
    with Rude(json_of_a_kind) as rude, pytest.raises(CourseError, match=sentence):
        download_model(GPT, source(rude, name))


def test_a_commit_in_the_middle_of_a_download(hub, folders, repos, gpt2_files):
    """main moves on after the first file: what comes is the commit of the listing, all of it"""
    moved = {name: data[::-1] for name, data in gpt2_files.items()}
    hub.pinned[COMMIT] = dict(repos)

    def push(data):
        hub.commit, hub.repos = NEXT, repos | {("model", GPT): moved}

    hub.after_file = push
    folder = download_model(GPT, source(hub))
    assert folder.name == COMMIT and same(folder, gpt2_files)


def test_a_commit_in_the_middle_at_modelscope_is_noticed(hub, folders, repos, gpt2_files):
    moved = {name: data[::-1] for name, data in gpt2_files.items()}
    hub.after_file = lambda data: setattr(hub, "repos", repos | {("model", GPT): moved})
    with pytest.raises(CourseError, match="SHA 不符"):
        download_model(GPT, source(hub, "modelscope"))
    assert not list(folders.rglob("model.safetensors"))


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


def test_a_file_that_the_server_calls_a_page(hub, folders, gpt2_files):
    """Servers that guess the type take a README with HTML in it for a page; its length is right"""
    hub.kind = "text/html; charset=utf-8"
    assert same(download_model(GPT, source(hub)), gpt2_files)


@pytest.mark.parametrize("fault", ["ignored", "wrong", "untold"])
def test_ranges_answered_wrongly(hub, folders, gpt2_files, fault):
    hub.cut, hub.cuts, hub.range_fault = 300_000, 1, fault
    if fault == "ignored":  # the whole file again: what is there already is skipped
        assert same(download_model(GPT, source(hub)), gpt2_files)
        return
    with pytest.raises(CourseError, match=r"另一段|没有说给的是哪一段"):
        download_model(GPT, source(hub))
    (part,) = folders.rglob("*.part")
    kept = part.read_bytes()
    assert len(kept) > 200_000 and gpt2_files["tokenizer.json"].startswith(kept)


# 4. Bounded in time


def test_dripping_bodies_end(hub, folders):
    """One byte in a while is no silence, and no download either: the whole takes a known time"""
    hub.drip = 0.1
    start = time.monotonic()
    with pytest.raises(CourseError, match=r"太慢了，\d+ 秒只来了 \d\d 字节") as caught:
        download_model(GPT, source(hub, patience=0.3))
    assert time.monotonic() - start < 12  # the window is 3 × (0.3 + 1) seconds
    assert "接着下" in caught.value.next_step
    assert [part.stat().st_size > 10 for part in folders.rglob("*.part")] == [True]


def test_dripping_headers_end(hub, folders):
    hub.drip_head = 0.1
    start = time.monotonic()
    with pytest.raises(CourseError, match=r"0\.5 秒没有新数据，试了 3 次"):
        download_model(GPT, source(hub, patience=0.5))
    assert time.monotonic() - start < 12


def test_a_connection_cut_after_every_few_bytes_ends(hub, folders):
    hub.cut, hub.cuts = 20, 10**9
    start = time.monotonic()
    with pytest.raises(CourseError, match="太慢了"):
        download_model(GPT, source(hub, patience=0.5))
    assert time.monotonic() - start < 15


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


@pytest.mark.parametrize(
    "name", ["../etc", "a/..", "con/model", "a/NUL.txt", "a/lpt1", "a b/c", "a\\b/c", "名/字", "a"]
)
def test_names_that_are_no_repository(hub, folders, name):
    with pytest.raises(CourseError, match="不是仓库的名字"):
        download_model(name, source(hub, "modelscope"))
    assert not hub.log


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


def test_the_window_is_what_the_tries_take():
    """The floor must not speak before three silent tries have: they say more"""
    assert download.TRIES * (20 + 1) >= 60 and download.FLOOR == 1024
