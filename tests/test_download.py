"""Downloads from a stand-in Hub on 127.0.0.1: the real clients, and the faults of a real network"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from argparse import Namespace
from pathlib import Path

import pytest
import standin_hub
from conftest import run_script
from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError
from loopback_tools import TOKEN, loopback_environment, run_loopback
from standin_hub import BERT, COMMIT, GPT, REVIEWS, StandIn
from transformers import AutoTokenizer

import download_dataset
from course import cli, models
from course import hub as hub_module
from course.errors import CourseError
from course.hub import PROBE_SECONDS, download_model, fetch, make_source
from course.models import cache_folder, damaged, find_model
from course.paths import ROOT
from download_dataset import download_reviews
from folder_tour import tour

BOTH = pytest.mark.parametrize("name", ["hf", "modelscope"])


@pytest.fixture(scope="module")
def gpt2_files(tmp_path_factory):
    return standin_hub.gpt2_repo(tmp_path_factory.mktemp("hub") / "gpt2")


@pytest.fixture(scope="module")
def repos(gpt2_files, mini_bert, splits):
    other = {"onnx/config.json": b"{}", "1_Pooling/config.json": b"{}"}
    return {
        ("model", GPT): gpt2_files | other,
        ("model", BERT): standin_hub.folder_bytes(mini_bert),
        ("dataset", REVIEWS): standin_hub.reviews_repo(splits),
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
    monkeypatch.setattr(download_dataset, "DATA", tmp_path / "data")
    monkeypatch.setattr(download_dataset, "CHNSENTICORP", tmp_path / "data" / "ChnSentiCorp")
    for variable in ("HF_TOKEN", "MODELSCOPE_API_TOKEN"):
        monkeypatch.setenv(variable, TOKEN)
    return tmp_path


def source(hub, name="hf", patience=2.0):
    return make_source(name, hub.url, patience)


def obtain(hub, name="hf") -> Path | None:
    """What 03_download_gpt2.py does first: the folder, or None where it could not be had"""
    args = Namespace(repo=GPT, source=name, endpoint=hub.url, timeout=1.0)
    return None if fetch(args) else find_model(GPT)


def same(folder: Path, files: dict[str, bytes]) -> bool:
    names = {path.name for path in folder.iterdir() if path.is_file()}
    wanted = {"config.json", "vocab.txt", "model.safetensors"}
    return names >= wanted and all((folder / name).read_bytes() == files[name] for name in names)


def fetched(hub) -> set[str]:
    """The files that were asked for since hub.log was cleared"""
    gets = [path for method, path, _ in hub.log if method == "GET"]
    gets = [path for path in gets if "/resolve/" in path or "FilePath=" in path]
    return {path.split("FilePath=")[-1].split("/")[-1].split("&")[0] for path in gets}


def download_elsewhere(hub, folders, url: str = "", **variables: str) -> subprocess.Popen:
    """download_model in a process of its own, which reaches nothing but 127.0.0.1"""
    code = f"""
from pathlib import Path
from course import cli, hub, models
hub.MODELS = models.MODELS = Path({str(folders / "models")!r})
source = hub.make_source("hf", {url or hub.url!r}, 5.0)
cli.run(lambda: print(hub.download_model({GPT!r}, source)))
"""
    env = loopback_environment(ROOT, **variables)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen([sys.executable, "-c", code], env=env, encoding="utf-8", **pipes)


# 1. Whole downloads


def test_full_download_in_the_layout_of_the_official_client(hub, folders, gpt2_files, capsys):
    folder = download_model(GPT, source(hub))
    assert folder == folders / "models" / f"models--{GPT.replace('/', '--')}" / "snapshots" / COMMIT
    assert find_model(GPT) == folder and same(folder, gpt2_files) and damaged(folder) == []
    # neither the weights of another framework nor another part's config.json
    assert {path.name for path in folder.iterdir()} == set(gpt2_files) - {"tf_model.h5"}
    printed = capsys.readouterr()
    assert "核对无误" in printed.out and "B/s" in printed.err  # size and speed, terminal or not
    # the token stays at home, whoever runs the server
    assert all("Authorization" not in headers for _, _, headers in hub.log)
    # the lecture's own calls find it by its name
    there = {"cache_dir": folders / "models", "local_files_only": True}
    some = {"allow_patterns": ["config.json", "vocab.txt"]}
    assert snapshot_download(GPT, **there, **some) == str(folder)
    assert len(AutoTokenizer.from_pretrained(GPT, **there)) == 21128
    tour(folder)
    text = capsys.readouterr().out
    for word in ("refs/", f"main → {COMMIT[:12]}", "blobs/", "snapshots/", "不会执行任何代码"):
        assert word in text
    hub.log.clear()
    download_model(GPT, source(hub))
    assert not fetched(hub)


def test_modelscope(hub, folders, gpt2_files, monkeypatch):
    hub.cut, hub.cuts = 300_000, 1
    folder = download_model(GPT, source(hub, "modelscope"))
    assert folder == folders / "models" / GPT and find_model(GPT) == folder
    assert same(folder, gpt2_files) and len(hub.ranges()) == 1
    assert all("Authorization" not in headers for _, _, headers in hub.log)
    monkeypatch.setattr(cli, "find_spec", lambda name: None)
    with pytest.raises(CourseError, match="modelscope 没有装") as caught:
        download_model(GPT, source(hub, "modelscope"))
    assert caught.value.next_step == "python -m pip install modelscope"


@BOTH
def test_reviews(hub, folders, splits, name):
    from datasets import load_from_disk

    dataset = load_from_disk(str(download_reviews(REVIEWS, source(hub, name))))
    assert {k: len(v) for k, v in dataset.items()} == {"train": 400, "validation": 100, "test": 100}
    assert (dataset["train"][7]["text"], dataset["train"][7]["label"]) == splits["train"][7]
    assert not (folders / "data" / "ChnSentiCorp-download").exists()


@pytest.mark.parametrize("hard_links", [True, False])
def test_windows_without_links(hub, folders, gpt2_files, monkeypatch, hard_links):
    """Windows makes no symbolic link without developer mode, and FAT no link at all"""

    def refuse(*_, **__):
        raise OSError("A required privilege is not held by the client")

    monkeypatch.setattr(os, "symlink", refuse)
    if not hard_links:
        monkeypatch.setattr(os, "link", refuse)
    folder = obtain(hub)
    assert same(folder, gpt2_files) and not any(path.is_symlink() for path in folder.iterdir())
    total = sum(path.stat().st_size for path in folders.rglob("*.safetensors"))
    assert total == len(gpt2_files["model.safetensors"])  # 400 MB, not twice
    assert not [path for path in folders.rglob("blobs/*") if path.stat().st_size > 1_000_000]
    assert obtain(hub) == folder
    os.truncate(folder / "model.safetensors", 1_000_000)  # copied by half
    assert same(obtain(hub), gpt2_files)


# 2. What breaks off is continued


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_killed_at_12_of_30_megabytes_the_next_run_asks_for_the_rest(hub, folders, repos):
    weights = os.urandom(30_000_000)
    hub.repos = repos | {("model", GPT): repos[("model", GPT)] | {"model.safetensors": weights}}
    hub.cut, hub.cuts, reached = 12_000_000, 1, threading.Event()

    def stall(data):
        hub.silent = "model.safetensors"  # no answer any more
        reached.set()

    hub.after_file = stall
    running = download_elsewhere(hub, folders)
    assert reached.wait(60)
    time.sleep(2)
    running.send_signal(signal.SIGKILL)
    running.communicate(timeout=30)
    assert not list(folders.rglob("snapshots/*/model.safetensors"))
    (part,) = folders.rglob("*.part")
    kept = part.stat().st_size
    assert 11_900_000 <= kept <= 12_000_000
    hub.heal()
    hub.log.clear()
    folder = download_model(GPT, source(hub))
    assert hub.ranges() == [f"bytes={kept}-"] and not list(folders.rglob("*.part"))
    assert (folder / "model.safetensors").read_bytes() == weights


@pytest.mark.parametrize("reset", [False, True])
def test_a_cut_connection_is_continued_in_the_same_run(hub, folders, gpt2_files, reset):
    hub.cut, hub.cuts, hub.reset = 300_000, 3, reset
    assert same(download_model(GPT, source(hub)), gpt2_files)
    starts = [int(asked.removeprefix("bytes=").rstrip("-")) for asked in hub.ranges()]
    assert len(starts) == 3 and starts == sorted(starts) and starts[-1] > 100_000


def test_corrupt_content_is_thrown_away(hub, folders, gpt2_files):
    hub.corrupt = True
    with pytest.raises(CourseError, match=r"model.safetensors 的内容和说好的不一样（SHA 不符）"):
        download_model(GPT, source(hub))
    assert not list(folders.rglob("model.safetensors")) and not list(folders.rglob("*.part"))
    hub.corrupt = False
    assert same(download_model(GPT, source(hub)), gpt2_files)


# 3. One sentence and the next command, in time


@pytest.mark.slow
def test_a_silent_server_is_given_up_within_the_stated_bound(hub, folders):
    hub.cut, hub.cuts = 300_000, 1
    hub.after_file = lambda data: setattr(hub, "silent", "model.safetensors")
    start = time.perf_counter()
    with pytest.raises(CourseError, match=r"下到 \d{6} / \d+ 字节断了，试了 6 次") as caught:
        download_model(BERT, source(hub, patience=0.5))
    assert "再运行一次，断了的会接着下" in caught.value.next_step
    assert time.perf_counter() - start < 6 * (0.5 + 1) + 10
    hub.heal()
    for silent, words, seconds in (
        (True, f"{PROBE_SECONDS} 秒内没有回答", PROBE_SECONDS),
        (GPT, "迟迟没有回答", PROBE_SECONDS),  # the list of files
        ("vocab.txt", "迟迟没有回答", 6 * 0.5),
    ):
        hub.silent, start = silent, time.perf_counter()
        with pytest.raises(CourseError, match=words) as caught:
            download_model(GPT, source(hub, patience=0.5))
        assert "--source hf-mirror" in caught.value.next_step
        assert time.perf_counter() - start < seconds + 5
        hub.heal()


@BOTH
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"status": 404}, f"404：.* 上没有 {GPT}，或缺少要的文件"),
        ({"status": 401}, "401：.*不公开，或没有这个仓库"),
        ({"gated": True}, "403：没有权限下载 .*，要先在它的网页上申请"),
        ({"status": 429, "retry_after": "3600"}, "429：请求太多，被限流了，过 3600 秒再试"),
        ({"status": 429, "retry_after": "Wed, 21 Oct 2099"}, "429：.*过几分钟再试"),
        ({"status": 503}, "503：服务器出错"),
        ({"portal": True}, "回答的不是文件清单，多半被校园网、酒店的登录页或代理拦下了"),
    ],
)
def test_refusals_are_one_sentence(hub, folders, name, fault, said):
    vars(hub).update(fault)
    start = time.perf_counter()
    with pytest.raises(CourseError, match=said) as caught:
        download_model(GPT, source(hub, name))
    assert time.perf_counter() - start < PROBE_SECONDS
    assert "--source hf-mirror" in caught.value.next_step and TOKEN not in str(caught.value)
    if "portal" in fault:
        assert "用浏览器打开它，登录之后再运行一次" in caught.value.next_step


def test_no_repository_no_model_no_address_and_hf_hub_offline(hub, folders, repos, monkeypatch):
    with pytest.raises(CourseError, match=r"404：.*上没有 nobody/nothing"):
        download_model("nobody/nothing", source(hub))
    hub.repos = {("model", GPT): {"README.md": b"# card"}}
    with pytest.raises(CourseError, match=r"没有 config.json 或权重，不是一个模型"):
        download_model(GPT, source(hub))
    with pytest.raises(CourseError, match="要以 https:// 开头"):
        make_source("hf", "mirror.cn")
    hub.repos = repos
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(CourseError, match="环境变量 HF_HUB_OFFLINE 不许联网"):
        download_model(BERT, source(hub))


def test_a_mirror_that_sends_us_back_to_the_blocked_hub(hub, folders, gpt2_files):
    with StandIn(hub.repos) as blocked:
        hub.redirect = hub.redirect_files = blocked.url
        assert same(download_model(GPT, source(hub, "hf-mirror")), gpt2_files)  # reachable: fine
        assert "model.safetensors" in fetched(blocked)
        blocked.silent = True
        for hub.redirect, repo in ((blocked.url, GPT), ("", BERT)):  # the list, then the files
            start = time.perf_counter()
            with pytest.raises(CourseError, match=f"转到了 {blocked.url}，那里连不上：5 秒内"):
                download_model(repo, source(hub, "hf-mirror"))
            assert time.perf_counter() - start < PROBE_SECONDS + 5


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


@BOTH
def test_a_disk_that_fills_up(hub, small_disk, repos, name):
    large = repos[("model", GPT)] | {"model.safetensors": os.urandom(4_000_000)}
    hub.repos = {("model", GPT): large}
    with pytest.raises(CourseError, match="磁盘满了") as caught:
        download_model(GPT, source(hub, name))
    assert "再运行一次同样的命令" in caught.value.next_step


def test_a_second_download_at_once_is_refused(hub, folders, gpt2_files):
    reached, go_on, answers = threading.Event(), threading.Event(), []
    hub.before_file = lambda data: reached.set() or go_on.wait(60)
    first = source(hub, patience=60)
    running = threading.Thread(target=lambda: answers.append(download_model(GPT, first)))
    running.start()
    assert reached.wait(60)
    with pytest.raises(CourseError, match=f"另一个程序正在下载 {GPT}") as caught:
        download_model(GPT, source(hub))
    assert "再运行一次同样的命令" in caught.value.next_step
    go_on.set()
    running.join(60)
    assert same(answers[0], gpt2_files)
    assert not (folders / "models" / ".locks" / f"{cache_folder(GPT).name}.lock").exists()


@BOTH
def test_downloaded_already_means_every_file_is_whole(hub, folders, gpt2_files, capsys, name):
    folder = obtain(hub, name)
    hub.log.clear()
    assert obtain(hub, name) == folder and not hub.log
    assert "已经下载好了" in capsys.readouterr().out
    weights = (folder / "model.safetensors").resolve()
    hurts = [lambda: os.truncate(weights, 1_000_000)]  # copied by half
    if name == "hf":  # where the name of the content is its digest
        data = gpt2_files["model.safetensors"]
        hurts += [weights.unlink, lambda: weights.write_bytes(data[:-1] + b"\x07")]
        hurts += [(folder / "vocab.txt").resolve().unlink]
    for hurt in hurts:
        hurt()
        hub.log.clear()
        assert obtain(hub, name) == folder and same(folder, gpt2_files)
        assert len(fetched(hub)) == 1 and "缺了或坏了，重新下载" in capsys.readouterr().out
    # and without a network: the lesson goes on with the shipped model, not with the broken one
    hurts[0]()
    shutil.copytree(ROOT / "models" / "tiny-gpt2-chinese", folders / "models" / "tiny-gpt2-chinese")
    hub.status = 500
    assert obtain(hub, name) is None
    if name == "hf":  # what is left of it is not taken for a model by anybody
        assert find_model(GPT).name == "tiny-gpt2-chinese"
        with pytest.raises(LocalEntryNotFoundError):
            snapshot_download(GPT, cache_dir=folders / "models", local_files_only=True)


# 4. The lessons


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
        assert "没有下载成：连不上 https://huggingface.co：连接失败" in done.stdout
        advice = done.stdout.split("换一个来源：")[1].splitlines()[0]
        assert "--source hf-mirror" in advice
        # ModelScope has BERT; sending a learner there for GPT-2 would cost an hour for nothing
        assert ("--source modelscope" in advice) == (model == "bert")
        assert ("魔搭上没有查到它" in advice) == (model == "gpt2")
        assert "没下载成不影响往下学" in done.stdout.splitlines()[-3]
        assert f"tiny-{model}-chinese/" in done.stdout and "字典：21128 项" in done.stdout
        assert TOKEN not in done.stdout + done.stderr
    done = run_loopback(clone, "data/download_dataset.py")
    assert done.returncode == 1 and "会用自带的评论" in done.stderr


@pytest.mark.slow
def test_download_then_everything_works_offline_with_the_very_files(clone, hub, repos, gpt2_files):
    hub.repos = repos | {("model", GPT): standin_hub.only_bin(gpt2_files)}  # as on the real Hub
    names = {"03_download_gpt2": GPT, "05_download_bert": BERT}
    for script in (*(f"demo01_hf_basics/{name}.py" for name in names), "data/download_dataset.py"):
        done = run_loopback(clone, script, "--endpoint", hub.url)
        assert done.returncode == 0 and hub.url in done.stdout, done.stdout + done.stderr
    scripts = {f"demo01_hf_basics/{name}.py": name for name in names}
    for script, *args in (
        *([script] for script in scripts),
        ("demo01_hf_basics/04_generate_text.py", "--length", 5),
        ("demo01_hf_basics/06_classify_text.py",),
        ("demo02_sentiment/train.py", "--epochs", 2),
    ):
        done = run_script(clone, script, *args)  # no socket at all
        assert done.returncode == 0, done.stdout + done.stderr
        assert "随仓库的小模型" not in done.stdout
        if script.startswith("demo01"):  # no English bars or warnings
            assert "[transformers]" not in done.stderr and "Loading weights" not in done.stderr
        if script in scripts:  # the lecture's own call, by name, and never asking the Hub
            call = f'from_pretrained("{names[scripts[script]]}", cache_dir="models", local_files'
            assert call in done.stdout and "字典 21128 项" in done.stdout
            assert ".locks/" in done.stdout
