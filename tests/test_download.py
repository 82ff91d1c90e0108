"""Downloads from a stand-in Hub on 127.0.0.1: the real client, and the faults of a real network"""

import shutil
import subprocess
import sys
import threading
import time

import pytest
from conftest import run_script
from loopback_tools import TOKEN, Rude, loopback_environment, run_loopback
from standin_hub import (
    BERT,
    COMMIT,
    GPT,
    REVIEWS,
    StandIn,
    folder_bytes,
    gpt2_repo,
    only_bin,
    reviews_repo,
)

from course import hub as hub_module
from course import models
from course.errors import CourseError
from course.hub import (
    LIST_SECONDS,
    PROBE_SECONDS,
    download_model,
    download_reviews,
    make_source,
    name_for_cache_dir,
)
from course.models import find_model
from folder_tour import tour


@pytest.fixture(scope="module")
def gpt2_files(tmp_path_factory):
    return gpt2_repo(tmp_path_factory.mktemp("hub") / "gpt2")


@pytest.fixture(scope="module")
def parquet_files(splits):
    return reviews_repo(splits)


@pytest.fixture(scope="module")
def repos(gpt2_files, mini_bert, parquet_files):
    return {
        ("model", GPT): gpt2_files,
        ("model", BERT): folder_bytes(mini_bert),
        ("dataset", REVIEWS): parquet_files,
    }


@pytest.fixture
def hub(repos):
    with StandIn(repos) as standin:
        yield standin


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """models/ and data/ of this test"""
    for module in (hub_module, models):
        monkeypatch.setattr(module, "MODELS", tmp_path / "models")
    monkeypatch.setattr(hub_module, "DATA", tmp_path / "data")
    monkeypatch.setattr(hub_module, "CHNSENTICORP", tmp_path / "data" / "ChnSentiCorp")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return tmp_path


def source(hub, name="hf", patience=2.0):
    return make_source(name, hub.url, patience)


def test_full_download_in_the_layout_of_the_official_client(hub, folders, gpt2_files, capsys):
    folder = download_model(GPT, source(hub))
    assert folder == folders / "models" / f"models--{GPT.replace('/', '--')}" / "snapshots" / COMMIT
    assert find_model(GPT) == folder
    assert {path.name for path in folder.iterdir()} == set(gpt2_files) - {"tf_model.h5"}
    for path in folder.iterdir():
        assert path.read_bytes() == gpt2_files[path.name]
    printed = capsys.readouterr()
    assert "核对无误" in printed.out and "B/s" in printed.err  # size and speed
    # the token stays at home, whoever runs the server
    assert all("Authorization" not in headers for _, _, headers in hub.log)
    tour(folder)
    text = capsys.readouterr().out
    for word in ("refs/", f"main → {COMMIT[:12]}", "blobs/", "snapshots/", "不会执行任何代码"):
        assert word in text
    assert "n_positions             128" in text and "字典：21128 项，你 是 872" in text


def test_a_second_download_fetches_nothing(hub, folders):
    download_model(GPT, source(hub))
    hub.log.clear()
    download_model(GPT, source(hub))
    assert not [path for method, path, _ in hub.log if method == "GET" and "resolve" in path]


def test_a_cut_connection_is_continued(hub, folders, gpt2_files):
    hub.cut, hub.cuts = 300_000, 3
    folder = download_model(GPT, source(hub))
    assert (folder / "model.safetensors").read_bytes() == gpt2_files["model.safetensors"]
    assert len(hub.ranges()) == 3
    assert all(int(r.removeprefix("bytes=").rstrip("-")) > 200_000 for r in hub.ranges())


def test_an_interrupted_run_is_continued_by_the_next(hub, folders, gpt2_files):
    """The connection is cut after 50,000 bytes of vocab.txt, and then the server falls silent"""
    hub.cut, hub.cuts = 50_000, 1
    hub.after_file = lambda data: setattr(hub, "silent", hub.cuts == 0 and "vocab.txt")
    with pytest.raises(CourseError, match=r"vocab.txt 下到 \d+ / 109540 字节，1 秒没有新数据"):
        download_model(GPT, source(hub, patience=1))
    assert not list(folders.rglob("snapshots/*/model.safetensors"))
    (part,) = folders.rglob("*.part")
    kept = part.stat().st_size
    assert 30_000 < kept <= 50_000
    hub.silent, hub.cuts, hub.after_file = False, 0, None
    hub.log.clear()
    folder = download_model(GPT, source(hub))
    assert hub.ranges() == [f"bytes={kept}-"]
    assert (folder / "vocab.txt").read_bytes() == gpt2_files["vocab.txt"]


def test_bin_only_repository(hub, folders, repos, gpt2_files):
    hub.repos = repos | {("model", GPT): only_bin(gpt2_files)}
    folder = download_model(GPT, source(hub))
    assert (folder / "pytorch_model.bin").is_file() and find_model(GPT) == folder


def test_modelscope(hub, folders, gpt2_files):
    hub.cut, hub.cuts = 300_000, 1
    folder = download_model(GPT, source(hub, "modelscope"))
    assert folder == folders / "models" / GPT and find_model(GPT) == folder
    assert name_for_cache_dir(folder) == str(folder)  # no cache_dir layout: load it by its path
    assert (folder / "model.safetensors").read_bytes() == gpt2_files["model.safetensors"]
    assert len(hub.ranges()) == 1
    assert all("Authorization" not in headers for _, _, headers in hub.log)


def test_a_mirror_that_sends_us_back_to_the_blocked_hub(hub, folders, gpt2_files):
    with StandIn(hub.repos) as blocked:
        hub.redirect = blocked.url
        folder = download_model(GPT, source(hub, "hf-mirror"))  # it can be reached: fine
        assert (folder / "vocab.txt").read_bytes() == gpt2_files["vocab.txt"]
        blocked.silent = True
        start = time.perf_counter()
        with pytest.raises(CourseError, match=f"转到了 {blocked.url}，那里连不上"):
            download_model(GPT, source(hub, "hf-mirror"))
        assert time.perf_counter() - start < 3 * PROBE_SECONDS
        hub.redirect, hub.redirect_files, blocked.silent = "", blocked.url, False
        blocked.silent = True  # the list is answered, the files are elsewhere and do not come
        with pytest.raises(CourseError, match=f"转到了 {blocked.url.removeprefix('http://')}"):
            download_model(BERT, source(hub, "hf-mirror", patience=1))


@pytest.mark.parametrize("name", ["hf", "modelscope"])
def test_reviews(hub, folders, parquet_files, splits, name):
    from datasets import load_from_disk

    dataset = load_from_disk(str(download_reviews(REVIEWS, source(hub, name))))
    assert {k: len(v) for k, v in dataset.items()} == {"train": 400, "validation": 100, "test": 100}
    assert (dataset["train"][7]["text"], dataset["train"][7]["label"]) == splits["train"][7]
    assert not (folders / "data" / "ChnSentiCorp-download").exists()


@pytest.mark.parametrize("name", ["hf", "modelscope"])
@pytest.mark.parametrize(
    "status, word", [(404, "404"), (401, "401|404"), (403, "403"), (503, "503")]
)
def test_refusals_are_one_sentence(hub, folders, name, status, word):
    hub.status = status
    start = time.perf_counter()
    with pytest.raises(CourseError, match=word) as caught:
        download_model(GPT, source(hub, name))
    assert time.perf_counter() - start < PROBE_SECONDS + LIST_SECONDS + 5
    assert "--source hf-mirror" in caught.value.next_step
    assert TOKEN not in str(caught.value)


def test_gated_and_unknown_repositories(hub, folders):
    with pytest.raises(CourseError, match=r"404：.*上没有 nobody/nothing"):
        download_model("nobody/nothing", source(hub))
    with pytest.raises(CourseError, match="不是仓库的名字"):
        download_model("../../etc", source(hub))
    hub.gated = True
    with pytest.raises(CourseError, match="要先在它的网页上申请"):
        download_model(GPT, source(hub))


@pytest.mark.slow
def test_a_silent_server_is_given_up_within_the_stated_bound(hub, folders):
    hub.silent = True
    start = time.perf_counter()
    with pytest.raises(CourseError, match=f"{PROBE_SECONDS} 秒内没有回答"):
        download_model(GPT, source(hub))
    assert time.perf_counter() - start < PROBE_SECONDS + 5
    start = time.perf_counter()
    hub.silent = "vocab.txt"  # everything answers, except this one file
    with pytest.raises(CourseError, match=r"vocab.txt .*，1 秒没有新数据，试了 3 次"):
        download_model(GPT, source(hub, patience=1))
    hub.silent = "repo"  # ModelScope: the list comes, the files do not
    with pytest.raises(CourseError, match=r"1 秒没有新数据，试了 3 次"):
        download_model(GPT, source(hub, "modelscope", patience=1))
    assert time.perf_counter() - start < 60


def test_corrupt_content_is_thrown_away(hub, folders):
    hub.corrupt = True
    with pytest.raises(CourseError, match="SHA 不符"):
        download_model(GPT, source(hub))
    assert not list(folders.rglob("snapshots/*/model.safetensors"))
    assert not list(folders.rglob("*.part"))
    hub.corrupt = False
    download_model(GPT, source(hub))


@pytest.fixture
def small_disk(folders):
    """models/ on a real file system of 3 MB (needs root on Linux)"""
    place = folders / "models"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_too_small_and_a_disk_that_fills_up(hub, small_disk, repos):
    large = repos[("model", GPT)] | {"model.safetensors": b"x" * 4_000_000}
    hub.repos = {("model", GPT): large}
    with pytest.raises(CourseError, match="磁盘不够"):
        download_model(GPT, source(hub))
    hub.repos = {("model", GPT): large | {"model.safetensors": b"x" * 2_000_000}}
    hub.before_file = lambda data: (small_disk / "other").write_bytes(b"x" * 1_500_000)
    with pytest.raises(CourseError, match="磁盘满了"):
        download_model(GPT, source(hub))


@pytest.fixture(scope="module")
def clone(repo, tmp_path_factory):
    """A copy of the repo that downloads may fill"""
    copy = tmp_path_factory.mktemp("downloads") / "course"
    shutil.copytree(repo, copy, ignore=shutil.ignore_patterns("features", "cache", "csv"))
    return copy


def test_without_network_one_sentence_and_the_lesson_on_the_shipped_model(clone):
    for script, model in (("03_download_gpt2", "gpt2"), ("05_download_bert", "bert")):
        done = run_loopback(clone, f"demo01_hf_basics/{script}.py", HF_TOKEN=TOKEN)
        assert done.returncode == 1 and "Traceback" not in done.stderr
        assert "没有下载成：连不上 https://huggingface.co" in done.stdout
        advice = done.stdout.split("换一个来源：")[1].splitlines()[0]
        assert "--source hf-mirror" in advice
        # ModelScope has BERT; sending a learner there for GPT-2 would cost an hour for nothing
        assert ("--source modelscope" in advice) == (model == "bert")
        assert ("魔搭上没有查到它" in advice) == (model == "gpt2")
        assert "没下载成不影响往下学" in done.stdout.splitlines()[-1]
        assert f"tiny-{model}-chinese/" in done.stdout and "字典：21128 项" in done.stdout
        assert TOKEN not in done.stdout + done.stderr
    done = run_loopback(clone, "data/download_dataset.py")
    assert done.returncode == 1 and "会用自带的评论" in done.stderr


@pytest.mark.slow
def test_download_then_everything_works_offline_with_the_very_files(clone, hub, repos, gpt2_files):
    hub.repos = repos | {("model", GPT): only_bin(gpt2_files)}  # as on the real Hub
    for script in (
        "demo01_hf_basics/03_download_gpt2.py",
        "demo01_hf_basics/05_download_bert.py",
        "data/download_dataset.py",
    ):
        done = run_loopback(clone, script, "--endpoint", hub.url)
        assert done.returncode == 0, done.stdout + done.stderr
        assert hub.url in done.stdout  # it says where it went
    offline = {}
    for script, *args in (
        ("demo01_hf_basics/03_download_gpt2.py",),
        ("demo01_hf_basics/05_download_bert.py",),
        ("demo01_hf_basics/04_generate_text.py", "--length", 5),
        ("demo01_hf_basics/06_classify_text.py",),
        ("demo02_sentiment/train.py", "--epochs", 2),
    ):
        done = run_script(clone, script, *args)  # no socket at all
        assert done.returncode == 0, done.stdout + done.stderr
        assert "随仓库的小模型" not in done.stdout
        if script.startswith("demo01"):  # no English bars or warnings
            assert "[transformers]" not in done.stderr and "Loading weights" not in done.stderr
        offline[script] = done.stdout
    # the lecture's own call finds what our downloader left: by name, and never asking the Hub
    for script, name in (("03_download_gpt2", GPT), ("05_download_bert", BERT)):
        out = offline[f"demo01_hf_basics/{script}.py"]
        assert f'from_pretrained("{name}", cache_dir="models", local_files_only=True)' in out
        assert "字典 21128 项" in out and ".locks/" in out
    assert "Embedding(21128, 32" in offline["demo01_hf_basics/06_classify_text.py"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send Ctrl-C to one process")
def test_ctrl_c_keeps_what_was_downloaded(clone, hub):
    import signal

    shutil.rmtree(clone / "models" / f"models--{GPT.replace('/', '--')}", ignore_errors=True)
    hub.cut, hub.cuts = 60_000, 1
    reached = threading.Event()

    def stall(data):
        if hub.cuts == 0:  # this request is cut; the next one for the file gets no answer
            hub.silent = "vocab.txt"
            reached.set()

    hub.after_file = stall
    script = clone / "demo01_hf_basics/03_download_gpt2.py"
    running = subprocess.Popen(
        [sys.executable, str(script), "--endpoint", hub.url],
        env=loopback_environment(clone),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    assert reached.wait(60)
    time.sleep(1)
    running.send_signal(signal.SIGINT)
    out = running.communicate(timeout=30)[0]
    assert running.returncode == 130 and "Traceback" not in out
    assert [part.stat().st_size > 0 for part in clone.rglob("*.part")] == [True]


def test_a_web_page_instead_of_a_hub(folders):
    with Rude((200, {"Content-Type": "text/html"}, b"<html>login</html>")) as portal:
        for name in ("hf", "modelscope"):
            with pytest.raises(CourseError, match=r"失败：.*回答的是一张网页，.*登录页") as caught:
                download_model(GPT, make_source(name, portal.url, 2.0))
            assert f"用浏览器打开 {portal.url}" in caught.value.next_step
