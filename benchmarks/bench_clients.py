"""不是一课  一群客户同时来问一个服务：答案对不对、要等多久、服务占多少内存"""

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import requests

from bench_common import memory
from course.errors import CourseError

TOLERANCE = 1e-5  # 概率差得比它多，就是答错了，或把别人的答案给了这个客户


@contextmanager
def started(script: str, *arguments: str) -> Iterator[tuple[str, int]]:
    """启动一个服务的脚本，给出 (它打印的网址, 进程号)，块结束时停掉它；没有启动时抛 CourseError"""
    line = [sys.executable, "-u", script, *arguments]
    server = subprocess.Popen(line, stdout=subprocess.PIPE, encoding="utf-8")
    try:
        url = None
        while url is None:
            printed = server.stdout.readline()
            if not printed:
                raise CourseError("服务没有启动", " ".join(line))
            url = re.search(r"http://127\.0\.0\.1:\d+", printed)
        yield url[0], server.pid
    finally:
        server.terminate()
        server.wait(timeout=30)


def family_memory(pid: int) -> float:
    """一个进程和它的子子孙孙现在占多少内存，MB；没有 /proc 的系统返回 nan"""
    total = memory("VmRSS", pid)
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        total += sum(family_memory(int(child)) for child in children.read_text("utf-8").split())
    return total


@contextmanager
def memory_curve(pid: int, every: float) -> Iterator[list[float]]:
    """一个列表：块里的代码运行时，每隔 every 秒记一次进程 pid（连子进程）的内存，MB"""
    curve: list[float] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(every):
            curve.append(family_memory(pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield curve
    finally:
        done.set()
        watcher.join()


def ask_for(
    url: str, texts: list[str], expected: list[dict[str, float]], seconds: float, clients: int = 32
) -> tuple[list[float], list[str]]:
    """clients 个线程不停地问 seconds 秒：(每个回答等了几秒, 出的错和答错的)

    每个回答都和 expected（texts 每一条的 {标签: 概率}）比。
    """
    stop = time.monotonic() + seconds
    waits: list[list[float]] = [[] for _ in range(clients)]
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
                if worst > TOLERANCE:
                    errors.append(f"差 {worst:.1e}：{texts[which][:20]}")
            except (requests.RequestException, KeyError, ValueError) as error:
                errors.append(repr(error))
            waits[i].append(time.perf_counter() - started)

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(client, range(clients)))
    return [wait for one in waits for wait in one], errors
