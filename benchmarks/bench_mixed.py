"""工具  两个服务混着问很久：一个错都没有吗，内存平不平

一群客户同时问 09_serve.py 和 07_local_api.py：长的短的、一批一批的、为什么、文件、边写边送、
写错了的、问到一半就走的。每个回答都看状态码是不是该有的那一个。

怎么运行（先训练：python demo02_sentiment/train.py）：
    python benchmarks/bench_mixed.py --minutes 2
    python benchmarks/bench_mixed.py                  一小时
"""

from course.cli import Parser, above, at_least, run
from course.errors import CourseError
from course.paths import PARAMS, ROOT, command
from course.reviews import load_reviews

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

from bench_clients import memory_curve, started
from bench_common import machine, print_table

GPT, BERT = "uer/gpt2-chinese-cluecorpussmall", "bert-base-chinese"
WARM_UP = 0.1  # 开头这么多不算：线程和内存池还没有长到位
POINTS = 60  # 内存记多少次


def ask_page(dice: random.Random, texts: list[str]) -> tuple[str, dict, set[int]]:
    """09_serve.py 的一个请求：(地址, requests 的参数, 该答的状态码)"""
    text = dice.choice(texts)
    many = dice.choices(texts, k=32)
    table = "\r\n".join(["text", *(f'"{one}"' for one in many * dice.choice([1, 10, 500]))])
    return dice.choices(
        [
            ("models/sentiment", {"json": {"inputs": text[: dice.randint(1, 500)]}}, {200}),
            ("models/sentiment", {"json": {"inputs": (text * dice.randint(1, 9))[:9000]}}, {200}),
            ("classify", {"json": {"texts": many}}, {200}),
            ("explain", {"json": {"text": text[:200]}}, {200}),
            (
                "table?name=a.csv",
                {
                    "data": table.replace('""', "").encode(),
                    "headers": {"Content-Type": "application/octet-stream"},
                },
                {200, 422, 503},  # 评论里有双引号的读不了；第三个大文件要等一等
            ),
            ("info", {"method": "GET"}, {200}),
            ("page/page.js", {"method": "GET"}, {200}),
            ("classify", {"json": {"texts": []}}, {422}),
            ("models/nobody", {"json": {"inputs": text}}, {404}),
        ],
        weights=[8, 3, 2, 1, 1, 1, 1, 1, 1],
    )[0]


def ask_api(dice: random.Random, texts: list[str]) -> tuple[str, dict, set[int]]:
    """07_local_api.py 的一个请求"""
    text = dice.choice(texts)[:200]
    writing = {"max_new_tokens": dice.randint(1, 30), "details": dice.random() < 0.5}
    said = {"model": GPT, "max_tokens": 20, "stop": "。", "stream": dice.random() < 0.5}
    messages = [{"role": "user", "content": text}]
    return dice.choices(
        [
            (
                f"models/{GPT}",
                {"json": {"inputs": text, "parameters": writing, "stream": said["stream"]}},
                {200},
            ),
            ("v1/chat/completions", {"json": said | {"messages": messages}}, {200}),
            (f"models/{GPT}/v1/completions", {"json": said | {"prompt": text}}, {200}),
            (f"models/{BERT}", {"json": {"inputs": [text, text[:9]]}}, {200}),
            (f"models/{BERT}/pipeline/feature-extraction", {"json": {"inputs": text}}, {200}),
            ("v1/models", {"method": "GET"}, {200}),
            ("v1/chat/completions", {"json": said | {"messages": []}}, {422}),
            ("v1/embeddings", {"json": {}}, {404}),
        ],
        weights=[4, 3, 2, 2, 1, 1, 1, 1],
    )[0]


def mixed(url: str, make, texts: list[str], seconds: float, clients: int) -> tuple[int, list[str]]:
    """clients 个线程不停地问 seconds 秒：(问了几个, 出的错)；二十个里有一个问了就走"""
    stop = time.monotonic() + seconds
    asked, errors = [0] * clients, []

    def client(i: int) -> None:
        dice, session = random.Random(i), requests.Session()
        while time.monotonic() < stop:
            path, options, expected = make(dice, texts)
            options = {"method": "POST", "timeout": 300, **options}
            asked[i] += 1
            leaves = dice.random() < 0.05
            try:
                if leaves:
                    options["timeout"] = dice.uniform(0.001, 0.2)
                status = session.request(url=f"{url}/{path}", **options).status_code
                if status not in expected:
                    errors.append(f"{path}：{status}")
            except requests.RequestException as error:
                if not leaves:
                    errors.append(f"{path}：{error!r}")

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(client, range(clients)))
    return sum(asked), errors


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--minutes", type=above(0.0), default=60, help="问几分钟，默认 60")
    parser.add_argument("--clients", type=at_least(1), default=4, help="每个服务几个客户，默认 4")
    weights = PARAMS / "best.pth"
    parser.add_argument("--weights", type=Path, default=weights, help="默认 params/best.pth")
    args = parser.parse_args()
    if not args.weights.is_file():
        raise CourseError(f"没有权重 {args.weights}", command("demo02_sentiment/train.py"))

    texts = load_reviews()["test"]["text"][:]
    seconds, every = 60 * args.minutes, 60 * args.minutes / POINTS
    serve = str(ROOT / "demo02_sentiment/09_serve.py")
    local = str(ROOT / "demo01_hf_basics/07_local_api.py")
    with (
        started(serve, "--port", "0", "--weights", str(args.weights)) as (page, page_pid),
        started(local, "--port", "0") as (api, api_pid),
        memory_curve(page_pid, every) as page_curve,
        memory_curve(api_pid, every) as api_curve,
        ThreadPoolExecutor(2) as pool,
    ):
        jobs = [
            pool.submit(mixed, url, make, texts, seconds, args.clients)
            for url, make in ((page, ask_page), (api, ask_api))
        ]
        found = [job.result() for job in jobs]

    print(f"{machine()}\n每个服务 {args.clients} 个客户，{args.minutes:g} 分钟\n")
    table = []
    for name, (asked, errors), curve in zip(
        ("09_serve.py", "07_local_api.py"), found, (page_curve, api_curve), strict=True
    ):
        warm = curve[int(WARM_UP * len(curve)) :]
        points = [f"{warm[i]:.0f}" for i in (0, len(warm) // 2, -1)]
        table.append([name, str(asked), str(len(errors)), *points, f"{max(warm):.0f}"])
        for error, times in Counter(errors).most_common(5):
            print(f"{name} 出的错，{times} 次：{error}\n")
    print_table(["server", "requests", "errors", "MB at first", "middle", "end", "most"], table)


if __name__ == "__main__":
    run(main)
