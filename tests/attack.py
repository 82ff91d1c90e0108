"""Attacks the course and counts what survives: `python tests/attack.py [kind …] [--cases N]`

Every kind is one function in KINDS: it makes N cases from a seed, and yields for each what was done
and, if something was lost, what (an empty string: it survived). A case is lost when the answer is
wrong without a word, when a learner sees a traceback, when the process dies or hangs, or when it
takes more than a gigabyte. Scripts run in children that are forked after torch was imported: a case
takes a second, not thirty. Linux and macOS only.
"""
# ruff: noqa: E402  the lessons are no package: their folder must be known before they are imported

import argparse
import json
import os
import random
import resource
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "demo02_sentiment"), str(ROOT / "tests")]

from course import feature_cache
from course.errors import CourseError
from course.reviews import LABEL_NAMES, build_splits, save, to_dataset

import attack_files
import finetune  # noqa: F401  the children inherit what is imported here
import predict  # noqa: F401
import torch
from attack_downloads import downloads as attack_downloads
from attack_files import Case, damaged
from attack_servers import half_open, hostile
from conftest import SMALL, make_bert, write_csv
from safetensors.torch import load_file, save_file

from backstage import checkpoint

# sympy, which half of the scripts import without asking for it, lifts this limit of Python
sys.set_int_max_str_digits(sys.int_info.default_max_str_digits)
SECONDS = 120  # a child that runs longer hangs
MEMORY = 2**30  # a case that takes more is lost


class World:
    """A folder with a tiny BERT, small data, and two finished trainings"""

    def __init__(self, folder: Path):
        self.folder = folder
        feature_cache.DATA = folder / "data"  # the children inherit it
        self.bert = make_bert(folder / "bert", **SMALL)
        row = {"epoch": 0, "loss": 1.0, "train_accuracy": 0.5, "validation_accuracy": 0.5}
        checkpoint.draw_curve([row], folder / "warm.png")  # the children inherit the fonts
        self.splits = build_splits(progress=False)
        for name, size in (("train", 200), ("validation", 60), ("test", 60)):
            write_csv(folder / "csv" / f"{name}.csv", self.splits[name][:size])
        self.flags = ["--model", self.bert, "--data", folder / "csv", "--max-length", 60]
        self.flags += ["--epochs", 8, "--patience", 0, "--batch-size", 20]
        self.old = self.trained("old", "--lr", 0.05, "--seed", 9)  # what lies in the folder before
        self.new = self.trained("new", "--lr", 0.01)

    def trained(self, name: str, *flags: object) -> Path:
        out = self.folder / name
        said = self.run("train.py", *self.flags, *flags, "--params", out)
        assert said.code == 0, said.text
        return out

    def start(self, script: str, *args: object, hook: Callable[[], None] | None = None) -> "Child":
        def work() -> None:
            path = ROOT / "demo02_sentiment" / script
            sys.argv = [str(path), *map(str, args)]
            if hook:
                hook()
            runpy.run_path(str(path), run_name="__main__")

        return Child(self.folder, work)

    def run(self, script: str, *args: object, hook: Callable[[], None] | None = None) -> "Child":
        child = self.start(script, *args, hook=hook)
        child.wait()
        return child


class Child:
    """work() in a forked process; after wait(): code (negative: a signal) and all its text"""

    count = 0

    def __init__(self, folder: Path, work: Callable[[], None]):
        Child.count += 1
        self.log = folder / f"said-{Child.count}.txt"
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            code = 70
            try:
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                resource.setrlimit(resource.RLIMIT_AS, (16 * 2**30, 16 * 2**30))
                log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                os.dup2(log, 1)
                os.dup2(log, 2)
                work()
                code = 0
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else 1
                if isinstance(stop.code, str):
                    print(stop.code)
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(code)

    def wait(self, seconds: float = SECONDS) -> bool:
        """True when it ended by itself; after `seconds` it is killed"""
        deadline = time.monotonic() + seconds
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.end(status)
                return True
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                self.end(os.waitpid(self.pid, 0)[1])
                return False
            time.sleep(0.002)

    def end(self, status: int) -> None:
        self.code, self.text = os.waitstatus_to_exitcode(status), ""
        if self.log.is_file():  # killed before it could open it
            self.text = self.log.read_text(encoding="utf-8", errors="replace")
            self.log.unlink()

    def refused(self) -> bool:
        """One sentence and the next step, exit code 1"""
        return self.code == 1 and "下一步：" in self.text and "Traceback" not in self.text


# What a finished training leaves, without the seconds


def result(params: Path) -> dict[str, object]:
    """{file name: content} of everything in params but how long it took"""
    found: dict[str, object] = {}
    for path in params.iterdir():
        if path.name == "log.csv":
            lines = path.read_text(encoding="utf-8").splitlines()
            found[path.name] = [line.rsplit(",", 1)[0] for line in lines]
        elif path.name == "run.json":
            record = json.loads(path.read_text(encoding="utf-8"))
            del record["best"]["seconds"], record["sha256"]
            found[path.name] = record
        else:
            found[path.name] = path.read_bytes() if path.is_file() else "folder"
    return found


def difference(params: Path, expected: dict[str, object]) -> str:
    now = result(params)
    names = [n for n in sorted(now.keys() | expected.keys()) if now.get(n) != expected.get(n)]
    return f"{'、'.join(names)} differ from an uninterrupted run" if names else ""


def mixture(params: Path, *runs: dict[str, object]) -> str:
    """What a reader finds at this moment must be of one run, whole"""
    try:
        record, data = checkpoint.read_pair(params / "best.pth")
    except CourseError as error:
        return "" if "还没有训练过" in error.problem else f"a reader is told: {error.problem}"
    if data is None:
        return "best.pth does not belong to run.json"
    for run in runs:
        same = all(
            record[key] == run["run.json"][key] for key in ("learning_rate", "seed", "label_names")
        )
        if same and data == run[f"{record['best']['epoch']}bert.pth"]:
            return ""
    return "a reader finds a mixture of two runs"


# 1. kill: SIGKILL at a random moment or inside a save, then --resume


def kill_at_operation(number: int, after: bool) -> Callable[[], None]:
    """A hook: the process dies just before, or just after, its number-th rename, fsync or write"""

    def hook() -> None:
        left = number

        def lethal(real: Callable) -> Callable:
            def call(*args, **kwargs):
                nonlocal left
                left -= 1
                if left == 0 and not after:
                    if real is write:  # half a file
                        write(args[0], bytes(args[1])[: len(args[1]) // 2])
                    os.kill(os.getpid(), signal.SIGKILL)
                value = real(*args, **kwargs)
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return value

            return call

        write = Path.write_bytes
        Path.write_bytes = lethal(write)
        os.replace, os.fsync, os.unlink = map(lethal, (os.replace, os.fsync, os.unlink))

    return hook


def kill_training(
    world: World, rng: random.Random, cases: int, script: str, old: Path, new: Path, flags: list
) -> Iterator[Case]:
    expected, before = result(new), result(old)
    started = time.monotonic()
    params = world.folder / "killed"
    shutil.rmtree(params, ignore_errors=True)
    world.run(script, *flags, "--params", params)
    whole = time.monotonic() - started
    for _ in range(cases):
        shutil.rmtree(params, ignore_errors=True)
        if rng.random() < 0.7:  # else the folder is new
            shutil.copytree(old, params)
        done, resume, lost = [], [], ""
        for kill in range(rng.randint(1, 3)):
            if rng.random() < 0.5:
                moment = rng.uniform(0, whole)
                child = world.start(script, *flags, *resume, "--params", params)
                ended = child.wait(moment)
                done.append(f"after {moment:.3f} s")
            else:
                number, after = rng.randint(1, 70), rng.random() < 0.5
                hook = kill_at_operation(number, after)
                child = world.run(script, *flags, *resume, "--params", params, hook=hook)
                ended = child.code >= 0
                done.append(f"at operation {number}{' (done)' if after else ''}")
            lost = lost or mixture(params, before, expected)
            if ended and child.code != 0 and not (resume and child.refused()):
                lost = lost or f"kill {kill}: exit code {child.code}: {child.text[-300:]}"
            # without --resume everything would begin anew; sometimes there is nothing to resume
            resume = ["--resume"] if (params / checkpoint.RESUME).is_file() else []
        if resume or difference(params, expected):
            last = world.run(script, *flags, *resume, "--params", params)
            if last.code != 0:
                lost = lost or f"resume: exit code {last.code}: {last.text[-300:]}"
        yield "SIGKILL " + ", ".join(done), lost or difference(params, expected)


def kill(world: World, rng: random.Random, cases: int) -> Iterator[Case]:
    flags = [*world.flags, "--lr", 0.01]
    yield from kill_training(world, rng, cases, "train.py", world.old, world.new, flags)


def kill_finetune(world: World, rng: random.Random, cases: int) -> Iterator[Case]:
    """The same with dropout, two learning rates and a schedule"""
    flags = [*world.flags, "--lr", 0.01, "--unfreeze", 1, "--epochs", 3]
    new = world.folder / "new-finetune"
    done = world.run("extra_finetune.py", *flags, "--params", new)
    assert done.code == 0, done.text
    yield from kill_training(world, rng, cases, "extra_finetune.py", world.old, new, flags)


# 2. race: two trainings in one folder, somebody reads all the time


def race(world: World, rng: random.Random, cases: int) -> Iterator[Case]:
    lr = {"old": ["--lr", 0.05, "--seed", 9], "new": ["--lr", 0.01]}
    runs = {"old": result(world.old), "new": result(world.new)}
    for _ in range(cases):
        params = world.folder / "raced"
        shutil.rmtree(params, ignore_errors=True)
        wait = rng.uniform(0, 0.5)
        children = {}
        for name in rng.sample(["old", "new"], 2):
            children[name] = world.start("train.py", *world.flags, *lr[name], "--params", params)
            time.sleep(wait if len(children) == 1 else 0)
        lost = ""
        ended: set[str] = set()
        while len(ended) < 2:
            for name in children.keys() - ended:
                pid, status = os.waitpid(children[name].pid, os.WNOHANG)
                if pid:
                    children[name].end(status)
                    ended.add(name)
            lost = lost or mixture(params, *runs.values())
        refused = [name for name, child in children.items() if child.code != 0]
        for name in refused:
            if not (children[name].refused() and "另一个训练正在" in children[name].text):
                lost = lost or children[name].text[-300:]
        if len(refused) == 2:
            lost = lost or "both were refused"
        winners = children.keys() - set(refused)
        if all(difference(params, runs[name]) for name in winners):
            lost = lost or "the files are of neither run: " + difference(params, runs[min(winners)])
        yield f"{wait:.3f} s apart, {len(refused)} refused", lost


# 3. damage: one file is not what was written


def nan_inside(data: bytes, path: Path) -> bytes:
    if path.suffix == ".pth":
        state = torch.load(path, weights_only=True)
        state["fc.bias"][0] = torch.nan
        torch.save(state, path)
    else:
        state = load_file(path)
        next(iter(state.values())).view(-1)[0] = torch.nan
        save_file(state, path)
    bad = path.read_bytes()
    path.write_bytes(data)
    return bad


def damage(world: World, rng: random.Random, cases: int) -> Iterator[Case]:
    params = shutil.copytree(world.new, world.folder / "damaged")
    out = world.folder / "out"
    ask = ["08_predict.py", "--weights", params / "best.pth", "房间很干净，下次还来", "太差了"]
    small = [*world.flags, "--lr", 0.01]
    fast = ["train.py", *small, "--params", out]
    folder = world.folder / "saved"  # what a learner made with save_to_disk, no checksums
    splits = {name: rows[:200] for name, rows in world.splits.items()}
    to_dataset(splits, LABEL_NAMES).save_to_disk(str(folder))
    own = ["train.py", *small, "--data", folder, "--params", out]
    sums = world.folder / "summed"
    save(to_dataset(splits, LABEL_NAMES), sums)
    summed = ["train.py", *small, "--data", sums, "--params", out]
    half = world.folder / "half"
    shutil.copytree(world.new, half)
    killed = world.run("train.py", *small, "--params", half, hook=kill_at_operation(40, True))
    assert killed.code == -9 and (half / checkpoint.RESUME).is_file()
    resume = ["train.py", *small, "--params", out, "--resume"]

    def files(where: Path, pattern: str) -> list[Path]:
        return sorted(path for path in where.rglob(pattern) if path.is_file())

    def prepare() -> None:
        shutil.rmtree(out, ignore_errors=True)

    def prepare_resume() -> None:
        prepare()
        shutil.copytree(half, out)

    # name: (the files, the command that reads them, what to do before)
    targets: dict[str, tuple[list[Path], list, Callable[[], None]]] = {
        "weights": ([params / "best.pth"], ask, prepare),
        "record": ([params / "run.json"], ask, prepare),
        "model": (files(world.bert, "*"), ask, prepare),
        "features": (files(world.folder / "data", "*.safetensors"), fast, prepare),
        "own arrow": (files(folder, "*"), own, prepare),
        "our arrow": (files(sums, "*"), summed, prepare),
        "resume": ([half / checkpoint.RESUME], resume, prepare_resume),
    }
    sound = {}
    for name, (_, command, before) in targets.items():
        before()
        done = world.run(*command)
        assert done.code == 0, done.text
        sound[name] = result(out) if command is not ask else done.text
    for case in range(cases):
        name = list(targets)[case % len(targets)]
        paths, command, before = targets[name]
        path = rng.choice(paths)
        good = path.read_bytes()
        if path.suffix in (".pth", ".safetensors") and name in ("weights", "model"):
            how, bad = ("nan", nan_inside(good, path)) if rng.random() < 0.1 else damaged(good, rng)
        else:
            how, bad = damaged(good, rng)
        path.write_bytes(bad)
        before()
        done = world.run(*command)
        path.write_bytes(good)
        lost = ""
        if "Traceback" in done.text:
            lost = "a traceback: " + done.text.strip().splitlines()[-1]
        elif done.code == 0:
            answer = result(out) if command is not ask else done.text
            # nobody can know that a letter of a learner's own reviews is another
            if answer != sound[name] and name != "own arrow":
                lost = "another answer, without a word"
        elif not done.refused():
            lost = f"exit code {done.code}: {done.text[-200:]}"
        yield f"{name} {path.name} {how}", lost


# 4. Ctrl-C: from the first import on, one sentence


def ctrl_c(world: World, rng: random.Random, cases: int) -> Iterator[Case]:
    """Stopped at the n-th module that is imported after `course`, or soon after the last one"""
    weights = ["--weights", world.new / "best.pth"]
    scripts: dict[str, list] = {
        "train.py": [*world.flags, "--params", world.folder / "stopped"],
        "08_predict.py": [*weights, "好"],
        "07_evaluate.py": [*weights, "--data", world.folder / "csv"],
        "09_serve.py": [*weights, "--port", 0],
        "12_label_curve.py": ["--help"],
    }
    for _ in range(cases):
        script, number = rng.choice(list(scripts)), int(10 ** rng.uniform(0, 3.6))
        path = ROOT / "demo02_sentiment" / script
        line = [sys.executable, "-X", "importtime", path, *scripts[script]]
        child = subprocess.Popen(
            list(map(str, line)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        late = threading.Timer(SECONDS / 4, child.send_signal, [signal.SIGINT])  # no such module
        late.start()
        left, said = None, []
        for text in child.stderr:
            if not text.startswith("import time:"):
                said.append(text)
            elif left is not None:
                left -= 1
                if left == 0:
                    child.send_signal(signal.SIGINT)
            elif text.split("|")[-1].strip() == "course":
                left = number
        late.cancel()
        code, text = child.wait(), "".join(said)
        told = code == 0 or ("Ctrl-C" in text and "Traceback" not in text)
        lost = "" if told else f"exit code {code}: {text[-600:]}"
        yield f"{script} at module {number}", lost


# 5. tables, .progress, downloads, servers: many cases in one child


def one_by_one(
    world: World, rng: random.Random, cases: int, make: Callable[[list[int]], Iterator[Case]]
) -> Iterator[Case]:
    """make(seeds) in a child; where it dies or hangs, the case is lost and another child goes on"""
    seeds = [rng.getrandbits(32) for _ in range(cases)]
    while seeds:
        read, write = os.pipe()

        def work(read: int = read, write: int = write) -> None:
            os.close(read)
            with os.fdopen(write, "w", encoding="utf-8", errors="replace") as pipe:
                before = peak()
                signal.alarm(2 * SECONDS)  # it starts a server, reads a model
                for what, lost in make(seeds):
                    signal.alarm(SECONDS)
                    if peak() > before + MEMORY:
                        before = peak()
                        lost = lost or "more than a gigabyte"
                    print(json.dumps([what, lost]), file=pipe, flush=True)

        child = Child(world.folder, work)
        os.close(write)
        with os.fdopen(read, encoding="utf-8") as pipe:
            for line in pipe:
                seeds.pop(0)
                yield tuple(json.loads(line))
        child.wait()
        if child.code != 0 and seeds:
            what = next((x for x in reversed(child.text.splitlines()) if x.startswith("seed ")), "")
            yield what or f"seed {seeds[0]}", f"exit code {child.code}: {child.text[-600:]}"
            seeds.pop(0)
        elif child.code != 0:
            yield "after the last case", f"exit code {child.code}: {child.text[-600:]}"


def peak() -> int:
    """The most memory that this process has held, in bytes"""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def tables(world: World, rng: random.Random, cases: int) -> Iterator[Case]:
    make = partial(attack_files.tables, world.folder, world.new / "best.pth")
    return one_by_one(world, rng, cases, make)


def progress(world: World, rng: random.Random, cases: int) -> Iterator[Case]:
    both = [world.new / "best.pth", world.old / "best.pth"]
    return one_by_one(world, rng, cases, partial(attack_files.progress, world.folder, *both))


def downloads(world: World, rng: random.Random, cases: int) -> Iterator[Case]:
    return one_by_one(world, rng, cases, partial(attack_downloads, world.folder, world.splits))


def requests(world: World, rng: random.Random, cases: int) -> Iterator[Case]:
    return one_by_one(world, rng, cases, partial(hostile, world.new / "best.pth"))


def half_open_connections(world: World, rng: random.Random, cases: int) -> Iterator[Case]:
    return one_by_one(world, rng, cases, half_open)


# name: (the function, how many cases without --cases)
KINDS: dict[str, tuple[Callable[[World, random.Random, int], Iterator[Case]], int]] = {
    "kill": (kill, 5),
    "kill-finetune": (kill_finetune, 2),
    "race": (race, 3),
    "damage": (damage, 42),
    "ctrl-c": (ctrl_c, 4),
    "progress": (progress, 60),
    "tables": (tables, 300),
    "downloads": (downloads, 15),
    "requests": (requests, 200),
    "half-open": (half_open_connections, 60),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", default=list(KINDS), help=" ".join(KINDS))
    parser.add_argument("--cases", type=int, help="of each kind; without it, the few of KINDS")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="attack-") as folder:
        world = World(Path(folder))
        for kind in args.kinds:
            rng = random.Random(f"{kind} {args.seed}")
            attack, few = KINDS[kind]
            done, bad, started = 0, 0, time.monotonic()
            try:
                for what, loss in attack(world, rng, args.cases or few):
                    done, bad = done + 1, bad + bool(loss)
                    if loss:
                        print(f"{kind}: {what}: {loss}", flush=True)
            except KeyboardInterrupt:  # a long run that is stopped still says what it found
                print(f"{kind}: stopped after {done} cases", file=sys.stderr)
            rows.append((kind, done, done - bad, bad, time.monotonic() - started))
    print(f"{'kind':16}{'injected':>9}{'survived':>9}{'lost':>6}{'seconds':>9}")
    for kind, injected, survived, lost, seconds in rows:
        print(f"{kind:16}{injected:>9}{survived:>9}{lost:>6}{seconds:>9.0f}")
    return 1 if any(lost for _, _, _, lost, _ in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
