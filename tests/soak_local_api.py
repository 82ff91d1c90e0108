"""A minute of 8 clients against 07_local_api.py: no error, no mixed answers, flat memory

Not part of the test run (test_inference_api.py takes a few seconds of the same):

    python tests/soak_local_api.py --seconds 60
"""

import argparse
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from huggingface_hub import InferenceClient

from course.paths import ROOT

NAME = "uer/gpt2-chinese-cluecorpussmall"


def resident_mb(pid: int) -> float:
    """Memory that the process holds, in MB (Linux)"""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


@contextmanager
def memory_curve(pid: int, every: float) -> Iterator[list[float]]:
    """A list that grows by resident_mb(pid) every `every` seconds while the block runs"""
    curve: list[float] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(every):
            curve.append(resident_mb(pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield curve
    finally:
        done.set()
        watcher.join()


def load(url: str, seconds: float, clients: int = 8) -> tuple[int, list[str]]:
    """`clients` threads ask for `seconds`: (answers, errors). Every answer is checked: its seed is
    fixed, so the first answer to a prompt is the right one for ever"""
    stop = time.monotonic() + seconds
    answers, errors, first = [0] * clients, [], {}

    def client(i: int) -> None:
        writer = InferenceClient(model=f"{url}/models/{NAME}", token=None)
        judge = InferenceClient(model=f"{url}/models/bert-base-chinese", token=None)
        while time.monotonic() < stop:
            turn = answers[i]
            prompt = f"第{i}家店，{'很好' if turn % 2 else '很差'}，"
            options = {"max_new_tokens": 12, "seed": i, "temperature": 1.0}
            try:
                if turn % 5 == 4:
                    label = str(judge.text_classification(prompt))
                    same = first.setdefault(("label", prompt), label) == label
                elif turn % 5 == 3:
                    text = "".join(writer.text_generation(prompt, stream=True, **options))
                    same = first.setdefault(prompt, prompt + text) == prompt + text
                else:
                    text = writer.text_generation(prompt, **options)
                    same = first.setdefault(prompt, text) == text
                if not same:
                    errors.append(f"mixed: {prompt}")
            except Exception as error:  # whatever goes wrong is what we look for
                errors.append(repr(error))
            answers[i] += 1

    threads = [threading.Thread(target=client, args=(i,)) for i in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(answers), errors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    args = parser.parse_args()
    server = subprocess.Popen(
        [sys.executable, "-u", str(ROOT / "demo01_hf_basics/07_local_api.py"), "--port", "0"],
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        url = None
        while url is None:
            found = re.search(r"推理 API：(http://127\.0\.0\.1:\d+)", server.stdout.readline())
            url = found and found[1]
        load(url, 5)  # warm up: thread pools and allocator reach their size
        with memory_curve(server.pid, args.seconds / 15) as curve:
            total, errors = load(url, args.seconds)
        requests.get(f"{url}/health", timeout=10).raise_for_status()
        print(f"{total} answers in {args.seconds:g} s, {len(errors)} errors {errors[:3]}")
        print(f"memory MB {' '.join(f'{mb:.0f}' for mb in curve)}")
    finally:
        server.terminate()
        print("server ended with", server.wait(timeout=30))


if __name__ == "__main__":
    main()
