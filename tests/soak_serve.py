"""32 clients against serve.py, and against the plain `pipeline` behind the same server

No error, no mixed answers (every answer is compared with predict.py's), the memory curve,
throughput and latency as ratios. Not part of the test run (test_serve.py takes two seconds of it):

    python demo02_sentiment/train.py && python demo02_sentiment/export.py
    python tests/soak_serve.py --seconds 120
"""

import argparse
import csv
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import requests
from soak_local_api import memory_curve
from transformers import pipeline

from course.inference_api import make_app, serve_until_stopped
from course.paths import PARAMS, ROOT
from course.reviews import load_reviews

TEXTS = 64  # different reviews, so that an answer given to the wrong client is seen


class PlainPipeline:
    """What most people deploy: the exported folder in a `pipeline`, one text at a time"""

    task = "text-classification"

    def __init__(self, folder: Path):
        self.classify = pipeline("text-classification", str(folder), device="cpu")
        self.scores("热身")

    def scores(self, text: str) -> dict[str, float]:
        rows = self.classify(text, top_k=None, truncation=True, function_to_apply="none")
        return {row["label"]: row["score"] for row in rows}


def predict(texts: list[str], weights: Path) -> list[dict[str, float]]:
    """{label: probability} of each text, by `predict.py --file`"""
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "in.csv", Path(folder) / "out.csv"
        with source.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([["text"], *([text] for text in texts)])
        script = ROOT / "demo02_sentiment" / "predict.py"
        command = [sys.executable, script, "--file", source, "--out", out, "--weights", weights]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with out.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name.startswith("p_")]
    return [{name.removeprefix("p_"): float(row[name]) for name in names} for row in rows]


def load(
    url: str, texts: list[str], expected: list[dict[str, float]], seconds: float, clients: int = 32
) -> tuple[list[float], list[str]]:
    """`clients` threads ask for `seconds`: (seconds of each answer, errors and wrong answers)"""
    stop = time.monotonic() + seconds
    latencies: list[list[float]] = [[] for _ in range(clients)]
    errors: list[str] = []

    def client(i: int) -> None:
        session, turn = requests.Session(), i
        while time.monotonic() < stop:
            which = turn % len(texts)
            turn += clients + 1
            started = time.perf_counter()
            try:
                answer = session.post(
                    f"{url}/models/sentiment", json={"inputs": texts[which]}, timeout=60
                )
                answer.raise_for_status()
                given = {row["label"]: row["score"] for row in answer.json()[0]}
                worst = max(abs(given[label] - p) for label, p in expected[which].items())
                if worst > 1e-5:
                    errors.append(f"wrong by {worst:.1e}: {texts[which][:20]}")
            except (requests.RequestException, KeyError, ValueError) as error:
                errors.append(repr(error))
            latencies[i].append(time.perf_counter() - started)

    threads = [threading.Thread(target=client, args=(i,)) for i in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [seconds for one in latencies for seconds in one], errors


def measure(command: list[str], name: str, seconds: float, clients: int, texts, expected) -> dict:
    """Start a server, load it, print what happened, stop it"""
    server = subprocess.Popen(
        [sys.executable, "-u", *command], stdout=subprocess.PIPE, encoding="utf-8"
    )
    try:
        url = None
        while url is None:
            line = server.stdout.readline()
            assert line, f"{name} did not start"
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
            url = found and found[0]
        load(url, texts, expected, min(5, seconds / 2), clients)  # warm up: pools, allocator
        with memory_curve(server.pid, max(0.5, seconds / 12)) as memory:
            latencies, errors = load(url, texts, expected, seconds, clients)
    finally:
        server.terminate()
        server.wait(timeout=30)
    p50, p99 = np.percentile(latencies, [50, 99])
    rate = len(latencies) / seconds
    print(
        f"{name:9} {len(latencies):6} answers, {len(errors)} errors {errors[:2]}"
        f"  {rate:7.1f}/s  p50 {1000 * p50:6.0f} ms  p99 {1000 * p99:6.0f} ms"
        f"\n          memory MB {' '.join(f'{mb:.0f}' for mb in memory)}",
        flush=True,
    )
    return {"rate": rate, "p50": p50, "p99": p99}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=1, help="serve, pipeline, serve, pipeline …")
    parser.add_argument("--weights", type=Path, default=PARAMS / "best.pth")
    parser.add_argument("--folder", type=Path, help="what export.py wrote")
    parser.add_argument("--pipeline", action="store_true", help="be the server of the baseline")
    args = parser.parse_args()
    folder = args.folder or args.weights.parent / "review-sentiment-zh"
    if args.pipeline:
        app = make_app({"sentiment": PlainPipeline(folder)})
        serve_until_stopped(app, 0, lambda url: print(url, flush=True))
        return
    texts = list(load_reviews()["test"]["text"][:TEXTS])
    expected = predict(texts, args.weights)
    script = str(ROOT / "demo02_sentiment" / "serve.py")
    commands = {
        "serve.py": [script, "--port", "0", "--weights", str(args.weights)],
        "pipeline": [__file__, "--pipeline", "--folder", str(folder)],
    }
    runs: dict[str, list[dict]] = {name: [] for name in commands}
    for _ in range(args.rounds):
        for name, command in commands.items():
            found = measure(command, name, args.seconds, args.clients, texts, expected)
            runs[name].append(found)
    for key in ("rate", "p50", "p99"):
        ours, theirs = (np.median([one[key] for one in runs[name]]) for name in commands)
        print(f"{key}: serve.py = {ours / theirs:.2f} x pipeline")


if __name__ == "__main__":
    main()
