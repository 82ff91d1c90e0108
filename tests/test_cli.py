"""The ground floor: error sentences, flags, atomic writes, commands that can be copied"""

import argparse
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from conftest import environment, run_here, run_python

from course.cli import Parser, above, at_least, run
from course.errors import CourseError
from course.files import atomic_write
from course.paths import ROOT, command


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def out_of_memory():
    torch.empty(10**15)  # really asks for a petabyte


def out_of_video_memory():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")


def course_error():
    raise CourseError("哪里不对", "敲这条命令")


@pytest.mark.parametrize(
    ("main", "message"),
    [
        (out_of_memory, "内存（显存）不够"),
        (out_of_video_memory, "内存（显存）不够"),
        (course_error, "出错了：哪里不对\n下一步：敲这条命令"),
    ],
)
def test_errors_of_the_learner_become_a_sentence(main, message):
    with pytest.raises(SystemExit) as exit_:
        run(main)
    assert message in str(exit_.value.code)  # sys.exit(text): printed to stderr, exit code 1


def test_bugs_keep_their_traceback():
    with pytest.raises(RuntimeError, match="a bug"):
        run(lambda: (_ for _ in ()).throw(RuntimeError("a bug")))


def test_ctrl_c_exits_with_130():
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as exit_:
        run(interrupted)
    assert exit_.value.code == 130


def test_gbk_console_does_not_crash_on_a_character_it_lacks():
    code = "from course.cli import run; run(lambda: print('好👍'))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONIOENCODING": "gbk"},
        capture_output=True,
    )
    assert done.returncode == 0 and done.stdout.decode("gbk").strip() == "好?"


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (at_least(1), ["1", "30000"], ["0", "-3", "1.5", "x", "", "inf", "nan"]),
        (above(0.0), ["1e-3", "2"], ["0", "-1", "nan", "inf", "x"]),
    ],
)
def test_numbers_are_validated(check, good, bad):
    assert [check(text) for text in good] == [float(text) for text in good]
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError):
            check(text)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--source", "x"], r"--source 不能是 'x'，可选 .*hf.*modelscope"),
        (["--sou", "hf"], "不认识的参数 --sou hf"),  # no abbreviations
        (["--lr"], "--lr 后面要跟一个值"),
        (["--lr", "nan"], "--lr 要是大于 0 的数字，不能是 nan"),
        (["--fast=1"], "--fast 是开关，后面不能跟值 '1'"),
    ],
)
def test_wrong_flags_are_a_chinese_sentence(flags, message):
    parser = Parser("x")
    parser.add_argument("--source", choices=["hf", "modelscope"], default="hf")
    parser.add_argument("--lr", type=above(0.0))
    parser.add_argument("--fast", action="store_true")
    with pytest.raises(CourseError, match=message):
        parser.parse_args(flags)


def test_atomic_write_keeps_the_old_file_when_writing_fails(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt), atomic_write(path) as temporary:
        temporary.write_text("half", encoding="utf-8")
        raise KeyboardInterrupt
    assert path.read_text(encoding="utf-8") == "old"
    assert names(tmp_path) == ["file.txt"]


def test_atomic_write_replaces_a_whole_folder(tmp_path):
    for content in ("first", "second"):
        with atomic_write(tmp_path / "a" / "folder") as temporary:
            temporary.mkdir()
            (temporary / content).touch()
    assert names(tmp_path / "a" / "folder") == ["second"]
    assert names(tmp_path / "a") == ["folder"]


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is a Linux device")
def test_a_full_disk_is_a_sentence(tmp_path):
    with (
        pytest.raises(CourseError, match="写不了"),
        atomic_write(tmp_path / "x") as temporary,
        Path("/dev/full").open("wb") as full,
    ):
        temporary.touch()
        full.write(b"x" * 100_000)
    assert names(tmp_path) == []


def test_commands_run_from_where_the_learner_is(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    assert command("demo02_sentiment/train.py") == f"python {Path('demo02_sentiment/train.py')}"
    monkeypatch.chdir(ROOT / "demo02_sentiment")
    assert command("demo02_sentiment/train.py", "--epochs", 3) == "python train.py --epochs 3"
    assert command("demo02_sentiment/train.py", "a b").endswith('train.py "a b"')
    monkeypatch.chdir(tmp_path)
    script = command("demo02_sentiment/train.py").removeprefix("python ").strip('"')  # a space
    assert Path(script).samefile(ROOT / "demo02_sentiment" / "train.py")


def test_a_setting_edited_in_the_file_is_checked_like_a_flag():
    parser = Parser("lesson")
    parser.add_argument("--epochs", type=at_least(1), default=0)  # somebody wrote EPOCH = 0
    with pytest.raises(CourseError, match="--epochs 要是不小于 1 的整数，不能是 0"):
        parser.parse_args([])
    parser = Parser("lesson")
    parser.add_argument("--pooling", choices=("cls", "mean"), default="max")
    with pytest.raises(CourseError, match="--pooling 不能是 'max'，可选 'cls', 'mean'"):
        parser.parse_args([])
    parser = Parser("lesson")
    parser.add_argument("--seed", type=at_least(0), default=0)
    with pytest.raises(CourseError, match="--seed 最大 4294967295"):
        parser.parse_args(["--seed", "1" * 23])


@pytest.mark.parametrize("sentence", ["-1分都不想给", "--差评", "-_-||无语了", "-h不好用"])
def test_a_sentence_that_looks_like_a_flag_is_told_the_way(monkeypatch, capsys, sentence):
    code, _ = run_here(monkeypatch, capsys, "demo02_sentiment/08_predict.py", sentence)
    assert "前面加上 -- 和一个空格" in str(code)


def test_a_reader_that_goes_away_is_no_error(repo):
    script = [sys.executable, str(repo / "demo02_sentiment/my_dataset.py")]
    pipe = subprocess.PIPE
    with subprocess.Popen(script, env=environment(repo), stdout=pipe, stderr=pipe) as lesson:
        lesson.stdout.close()  # as `| head` does
        said = lesson.stderr.read().decode()
    assert "Traceback" not in said and "BrokenPipe" not in said


def test_the_course_of_another_checkout_is_noticed(repo, tmp_path):
    old = tmp_path / "old"  # a checkout from before there was such a check
    (old / "course").mkdir(parents=True)
    (old / "course" / "__init__.py").touch()
    (old / "demo02_sentiment").mkdir()
    for theirs, script in ((ROOT, "my_dataset.py"), (old, "train.py")):
        path = os.pathsep.join([str(ROOT / "tests" / "offline"), str(theirs)])
        before = names(repo / "params")
        script = repo / "demo02_sentiment" / script
        done = run_python([str(script)], repo, environment(repo) | {"PYTHONPATH": path})
        assert done.returncode == 1 and "Traceback" not in done.stderr
        assert f"import 到的 course 却是 {theirs} 的" in done.stderr
        assert f'pip install -e "{repo}"' in done.stderr
        assert names(repo / "params") == before


def test_an_installed_course_uses_the_checkout_of_the_script(tmp_path):
    """After `pip install .` course lies in site-packages: models/ and params/ do not"""
    site, checkout = tmp_path / "site-packages", tmp_path / "我的 课程"
    shutil.copytree(ROOT / "course", site / "course")
    script = checkout / "demo02_sentiment" / "show.py"
    script.parent.mkdir(parents=True)
    script.write_text("from course.paths import ROOT\nprint(ROOT)\n", encoding="utf-8")
    for cwd in (tmp_path, script.parent):
        done = subprocess.run(
            [sys.executable, os.path.relpath(script, cwd)],
            cwd=cwd,
            env=os.environ | {"PYTHONPATH": str(site), "PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            encoding="utf-8",
        )
        assert done.stdout == f"{checkout}\n", done.stderr


def test_a_script_answers_before_the_models_part_of_transformers_is_read():
    """--help, a wrong flag, a missing file: nobody waits for what only a model needs"""
    code = """
import runpy, sys
import train
runpy.run_path('demo02_sentiment/08_predict.py')
late = {"transformers.modeling_utils", "transformers.activations", "datasets", "matplotlib"}
print(sorted(late & set(sys.modules)))
"""
    folders = [str(ROOT), str(ROOT / "demo02_sentiment")]
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(folders)},
        capture_output=True,
        encoding="utf-8",
    )
    assert done.stdout == "[]\n", done.stdout + done.stderr


def test_python_does_not_look_through_every_object_before_it_leaves():
    """That takes a second after `import torch`; IDLE and Jupyter go on: nothing is frozen there"""
    code = """
import atexit, gc
from course.cli import run
run(lambda: None)
running = gc.get_freeze_count()
atexit._run_exitfuncs()
print(running, gc.get_freeze_count() > 10_000)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "0 True\n", done.stderr


def test_a_console_that_is_no_terminal(repo):
    """IDLE's and Jupyter's stdout: a TextIOBase without reconfigure"""
    code = """
import io, runpy, sys

class Console(io.TextIOBase):
    encoding = "utf-8"
    write = sys.__stdout__.write

sys.stdin = sys.stdout = sys.stderr = Console()
for script in sys.argv[1:]:
    sys.argv, sys.path[0] = [script], script.rpartition("/")[0]
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as stop:
        assert not stop.code, (script, stop.code)
print("the end")
"""
    scripts = ["demo02_sentiment/01_tokenizer.py", "demo01_hf_basics/00_check_env.py"]
    done = run_python(["-c", code, *scripts], repo, environment(repo), warm=False)
    assert done.returncode == 0 and done.stdout.endswith("the end\n"), done.stdout + done.stderr


def test_no_console_at_all():
    """Under pythonw stdin, stdout and stderr are None"""
    code = """
import sys
sys.stdin = sys.stdout = sys.stderr = None
from tqdm import tqdm
from course.cli import run
run(lambda: print(list(tqdm(range(3)))))
sys.__stdout__.write("the end")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("the end", "")


def test_an_old_python_is_refused_in_a_sentence():
    code = "import sys; sys.version_info = (3, 10, 13); import course.cli"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and "要 Python 3.11 以上" in done.stderr
    assert "下一步：" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("how", ["--pause", "COURSE_PAUSE"])
def test_a_step_waits_for_enter_after_its_heading_and_goes_on_at_the_end_of_input(tmp_path, how):
    script = tmp_path / "lesson.py"
    script.write_text(
        "from course.cli import run, step\n"
        "def main(args):\n"
        "    for i in (1, 2):\n"
        "        step(f'{i}. 一步')\n"
        "        print('算出来的', i, flush=True)\n"
        "run(main, seed=0, then='demo02_sentiment/train.py --seed')\n",
        encoding="utf-8",
    )
    words = ["--pause"] if how == "--pause" else []
    env = environment(ROOT) | ({} if words else {"COURSE_PAUSE": "1"})
    running = subprocess.Popen(
        [sys.executable, str(script), *words, "--seed", "3"],
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    lines = [running.stdout.readline().strip() for _ in range(3)]
    assert lines == ["", "── 1. 一步", "（按回车）"]
    result: list[str] = []
    reader = threading.Thread(target=lambda: result.append(running.stdout.readline()))
    reader.start()
    reader.join(0.5)
    assert not result  # it waits
    running.stdin.write("\n")
    running.stdin.flush()
    reader.join(60)
    assert result == ["算出来的 1\n"]
    running.stdin.close()
    rest = running.stdout.read()
    running.wait(60)
    assert "── 2. 一步" in rest and "算出来的 2" in rest
    assert rest.splitlines()[-1].endswith("train.py --seed 3") and running.returncode == 0
