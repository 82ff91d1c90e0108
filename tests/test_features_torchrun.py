"""features_torchrun.py: two processes store what one stores, where train.py looks for it; one that
is killed, or has another model, ends the others, and nothing is written
"""

import socket
import threading
from contextlib import ExitStack

import pytest
from conftest import SMALL, TINY, make_bert, run_script, write_csv
from launching import TORCHRUN, children, launch
from safetensors.torch import load_file

SCRIPT = "demo02_sentiment/features_torchrun.py"


def stored(repo) -> dict:
    """{file: features} of everything in data/features/, half-written files too"""
    folder = repo / "data" / "features"
    return {path.name: load_file(path)["features"] for path in folder.glob("*")}


@pytest.fixture
def flags(splits, tmp_path):
    """Reviews of no other test; some of validation come twice (of train the reader drops those)"""
    for name, size in (("train", 200), ("validation", 60), ("test", 20)):
        rows = splits[name][-size:]
        write_csv(tmp_path / "data" / f"{name}.csv", rows + rows[: size // 4])
    return ("--data", tmp_path / "data")


def test_two_processes_store_what_one_stores(repo, mini_bert, flags, tmp_path):
    flags = (*flags, "--model", mini_bert, "--pooling", "mean")
    before = stored(repo).keys()
    with launch(repo, *TORCHRUN, repo / SCRIPT, *flags) as running:
        text = running.communicate(timeout=300)[0]
    assert running.returncode == 0, text
    assert text.count("2 个进程，设备") == 1 and "validation：各不相同的 60 条" in text
    two = {name: x for name, x in stored(repo).items() if name not in before}
    assert sorted(len(features) for features in two.values()) == [75, 200]

    params = tmp_path / "params"
    train = (*flags, "--params", params, "--epochs", 1)
    done = run_script(repo, "demo02_sentiment/train.py", *train)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("用上次存下的") == 2

    for name in two:
        (repo / "data" / "features" / name).unlink()
    done = run_script(repo, SCRIPT, *flags)
    assert done.returncode == 0, done.stderr
    assert "1 个进程，设备" in done.stdout and done.stdout.count("存为") == 2
    one = stored(repo)
    for name, features in two.items():
        assert (one[name] - features).abs().max() <= 1e-5  # here they agree to the last bit


@pytest.fixture
def machines(repo):
    """Start one process on each of two "machines", with no torchrun to end one after the other"""
    with socket.socket() as free, ExitStack() as stack:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
        free.close()

        def start(rank: int, *words: object):
            place = {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": "0"}
            place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            return stack.enter_context(launch(repo, repo / SCRIPT, *words, **place))

        yield start


def read_until(running, beginning: str) -> None:
    watchdog = threading.Timer(200, running.kill)  # readline has no timeout of its own
    watchdog.start()
    for line in running.stdout:
        if line.startswith(beginning):
            break
    watchdog.cancel()


@pytest.fixture
def long_flags(splits, tmp_path):
    """Seconds of work for two processes"""
    for name, size in (("train", 1200), ("validation", 60), ("test", 20)):
        write_csv(tmp_path / "data" / f"{name}.csv", splits[name][:size])
    return ("--data", tmp_path / "data", "--model", TINY)


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_machine_ends_the_other_with_a_sentence(repo, machines, long_flags, victim):
    before = stored(repo).keys()
    ranks = [machines(rank, *long_flags) for rank in (0, 1)]
    read_until(ranks[0], "train：")  # both compute now
    ranks[victim].kill()
    other = ranks[1 - victim]
    text = other.communicate(timeout=200)[0]
    assert other.returncode == 1, text
    assert "出错了：别的进程停了" in text and "下一步：" in text and "Traceback" not in text
    assert stored(repo).keys() == before


def test_a_killed_process_ends_the_other_under_torchrun(repo, long_flags):
    before = stored(repo).keys()
    with launch(repo, *TORCHRUN, repo / SCRIPT, *long_flags) as running:
        read_until(running, "train：")
        ranks = [p for p in children(running) if "features_torchrun" in str(p.cmdline())]
        assert len(ranks) == 2
        max(ranks, key=lambda p: p.pid).kill()
        text = running.communicate(timeout=200)[0]
        assert running.returncode != 0 and "Signal 9 (SIGKILL)" in text
        assert not any(p.is_running() and p.status() != "zombie" for p in ranks)
    assert stored(repo).keys() == before


def test_another_model_on_one_machine_is_refused(repo, machines, mini_bert, long_flags, tmp_path):
    other = make_bert(tmp_path / "other", seed=1, **SMALL)
    before = stored(repo).keys()
    ranks = [machines(rank, *long_flags, "--model", x) for rank, x in enumerate((mini_bert, other))]
    texts = [running.communicate(timeout=300)[0] for running in ranks]
    assert [running.returncode for running in ranks] == [1, 1], texts
    assert "1 号的评论、模型或代码和 0 号的不一样" in texts[1] and "别的进程停了" in texts[0]
    assert "Traceback" not in texts[0] + texts[1]
    assert stored(repo).keys() == before


def test_data_that_is_not_there_is_one_sentence(repo):
    done = run_script(repo, SCRIPT, "--data", "nowhere.csv")
    assert done.returncode == 1 and "nowhere.csv" in done.stderr
    assert "Traceback" not in done.stderr
