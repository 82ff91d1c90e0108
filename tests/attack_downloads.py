"""Random faults of the stand-in Hub, for tests/attack.py: `downloads(folder, splits, seeds)`

After each attempt nothing that counts as downloaded may hold a wrong byte, and the learner is told
in a sentence; after the faults the same command must bring the right files.
"""

from course import download, hub, models
from course.errors import CourseError

import io
import random
import shutil
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace

from attack_files import damaged
from datasets import load_from_disk
from standin_hub import COMMIT, GPT, REVIEWS, StandIn, etag, gpt2_repo, reviews_repo

Case = tuple[str, str]  # what was done, what was lost
DONE = "下载完成"
ODD = [
    None,
    True,
    -1,
    0,
    5,
    1.5,
    10**30,
    "",
    "x",
    "../../a",
    "9" * 5000,
    [],
    {},
    [1],
    "config.json",
]
NEXT = "fedcba9876543210fedcba9876543210fedcba98"


class Disk:
    """models/ and data/ of one case, and what a download brings there"""

    def __init__(self, root: Path, server: StandIn, source: str, dataset: bool):
        self.server, self.source, self.dataset = server, source, dataset
        self.root = root
        shutil.rmtree(root, ignore_errors=True)
        hub.MODELS = models.MODELS = root / "models"
        hub.DATA, hub.CHNSENTICORP = root / "data", root / "data" / "ChnSentiCorp"

    def attempt(self, patience: float) -> tuple[Path | None, str]:
        """(the folder or None: refused in a sentence, what was lost)"""
        hub.PROBE_SECONDS, hub.LIST_SECONDS = 5 * patience, 10 * patience
        printed = io.StringIO()
        try:
            with redirect_stdout(printed):
                source = hub.make_source(self.source, self.server.url, patience)
                if self.dataset:
                    folder = hub.download_reviews(REVIEWS, source)
                else:
                    folder = hub.download_model(GPT, source)
        except CourseError as error:
            said = f"{error.problem} {printed.getvalue()}"
            return None, f"refused, but said: {said}" if DONE in said else self.wrong()
        except Exception:
            return None, traceback.format_exc()[-600:]
        return folder, self.wrong() or self.wrong_in(folder)

    def wrong_in(self, folder: Path) -> str:
        """What of a download that counts is not what the server has"""
        if self.dataset:
            table = load_from_disk(str(folder))["train"]
            rows = list(zip(table["text"], table["label"], strict=True))
            return "" if rows == self.server.splits["train"][: len(rows)] and rows else "other rows"
        there = {path.name: path.read_bytes() for path in folder.iterdir()}
        files = self.server.repos["model", GPT]
        ours = filter(hub.MODEL_FILE.fullmatch, there)
        bad = [name for name in ours if there[name] != files.get(name)]
        missing = {"config.json", "model.safetensors", "vocab.txt", "tokenizer.json"} - there.keys()
        return f"wrong: {bad}, missing: {missing}" if bad or missing else ""

    def wrong(self) -> str:
        """The same of everything that another run would take for downloaded already"""
        if self.dataset:
            return ""
        whole = [f for f in models.downloaded(GPT) if models.has_weights(f) and not hub.damaged(f)]
        return next(filter(None, map(self.wrong_in, whole)), "")

    def hurt(self, rng: random.Random) -> str:
        """One file that lies there is not what was written; or one lies there that never came"""
        there = sorted(path for path in self.root.rglob("*") if path.is_file())
        if there and rng.random() < 0.8:
            path = rng.choice(there)
            if rng.random() < 0.2:
                path.unlink()
                return f"{path.name} lost"
            how, content = damaged(path.read_bytes(), rng)
            path.write_bytes(content)
            return f"{path.name} {how}"
        files = self.server.repos[
            "dataset" if self.dataset else "model", REVIEWS if self.dataset else GPT
        ]
        name = rng.choice(sorted(files))
        data = files[name]
        blobs = hub.cache_folder(GPT) / "blobs"
        for folder in (blobs, hub.MODELS / GPT, hub.DATA / "ChnSentiCorp-download" / "data"):
            folder.mkdir(parents=True, exist_ok=True)
            part = folder / rng.choice([f"{etag(data)}.part", etag(data), Path(name).name])
            part.write_bytes(damaged(data, rng)[1])
        return f"{name} of somebody"


def faults(server: StandIn, rng: random.Random) -> str:
    """One to three of them at once, and which"""

    def sometimes(work: Callable[[bytes], bytes], share: float) -> Callable[[bytes], bytes]:
        return lambda data: work(data) if rng.random() < share else data

    def odd_entry(key: str, value: object, share: float) -> Callable[[dict], object]:
        """One field of a listing's entries, or all of an entry, is odd"""
        keys = {"oid": {"oid", "lfs", "Sha256"}}.get(key, {key, key.capitalize()})

        def change(entry: dict) -> object:
            if rng.random() > share:
                return entry
            return value if key == "all" else entry | dict.fromkeys(keys & entry.keys(), value)

        return change

    def after(count: int, name: str) -> Callable[[bytes], None]:
        """After so many files"""
        left = iter(range(count))
        return lambda data: next(left, "none") == "none" and setattr(server, name, True)

    one = rng.choice
    paths = [path for files in server.repos.values() for path in files]
    share, some = one([0.1, 1]), rng.randint(0, 4)
    field = one(["size", "path", "oid", "type", "all"])
    several: dict[str, dict[str, object]] = {
        "cut": {"cut": one([0, 1, 20, 5000, 100_000]), "cuts": one([1, 3, 10**9])},
        "refuse": {
            "status": one([401, 403, 404, 418, 429, 500, 503]),
            "retry_after": one(["", "1", "3600", "soon"]),
            "refusals": rng.randint(1, 4),
        },
        "ranges": {
            "cut": one([5000, 100_000]),
            "cuts": rng.randint(1, 3),
            "range_fault": one(["ignored", "wrong", "untold"]),
        },
        "commit": {
            "pinned": {COMMIT: server.repos},
            "before_file": lambda data: setattr(server, "commit", NEXT),
        },
        "wrong bytes": {"mangle": sometimes(lambda data: damaged(data, rng)[1], share)},
        "lie": {"lie": one([-5, 1, 10**6])},
        "etag": {"etag": one(['"same"', 'W/"x"', "../../a", " ", '""'])},
        "listing": {"about": odd_entry(field, one(ODD), share)},
        "portal": {"after_file": after(some, "portal")},
        "silent": {"silent": one([True, *paths])},
        "silent later": {"before_file": after(some, "silent")},
        "type": {"kind": one(["text/html", "x", "text/html; x=1"])},
        "pages": {"page": one([1, 2, 3])},
        "list": {"as_list": True},
        "failure": {"failure": "no"},
        "drip": {"drip": 0.05},
        "dripping head": {"drip_head": 0.05},
    }
    weights = [1 if name.startswith("drip") else 4 for name in several]
    chosen = sorted(set(rng.choices(list(several), weights, k=rng.randint(1, 3))))
    for name in chosen:
        for attribute, value in several[name].items():
            setattr(server, attribute, value)
    return " + ".join(chosen)


def downloads(
    folder: Path, splits: dict[str, list[tuple[str, int]]], seeds: list[int]
) -> Iterator[Case]:
    """The right files, or a sentence and nothing wrong; and then the right files"""
    slept = [0.0]  # nobody waits here, but the clock of the download says that it waited
    download.time = SimpleNamespace(
        monotonic=lambda: time.monotonic() + sum(slept), sleep=slept.append
    )
    files = {("model", GPT): gpt2_repo(folder / "gpt2"), ("dataset", REVIEWS): reviews_repo(splits)}
    with StandIn(files) as server:
        server.splits = splits
        for seed in seeds:
            rng = random.Random(seed)
            source, dataset = rng.choice(["hf", "hf", "modelscope"]), rng.random() < 0.2
            disk = Disk(folder / "downloads", server, source, dataset)
            server.log.clear()
            slept[1:] = []
            done, lost = [source + (" dataset" if dataset else "")], ""
            for _ in range(rng.choice([1, 1, 2, 3])):
                if rng.random() < 0.2:
                    done.append(disk.hurt(rng))
                done.append(faults(server, rng))
                print(f"seed {seed}: {'; '.join(done)}", flush=True)
                lost = lost or disk.attempt(0.2)[1]
                server.heal()
            if rng.random() < 0.5:
                done.append(disk.hurt(rng))
            came, wrong = disk.attempt(20)
            if not wrong and came is None:
                wrong = "no download without faults"
            yield f"{'; '.join(done)} (seed {seed})", lost or wrong
