"""工具  07_local_api.py 撑不撑得住：8 个客户同时来问，一个错都没有、答案不串、内存不涨

怎么运行：python benchmarks/bench_local_api.py --seconds 60
（tests/test_inference_api.py 跑其中的几秒）
"""

from course.cli import Parser, above, run
from course.paths import ROOT

import time
from concurrent.futures import ThreadPoolExecutor

import requests
from huggingface_hub import InferenceClient

from bench_clients import memory_curve, started

NAME = "uer/gpt2-chinese-cluecorpussmall"


def load(url: str, seconds: float, clients: int = 8) -> tuple[int, list[str]]:
    """clients 个线程不停地问 seconds 秒：(答了几个, 出的错和串了的)

    种子是定的，同一个问题永远是同一个答案，第一次的答案就是标准。
    """
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
            except Exception as error:  # 找的就是错，不管哪一种
                errors.append(repr(error))
            answers[i] += 1

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(client, range(clients)))
    return sum(answers), errors


def main() -> None:
    parser = Parser(__doc__)
    positive = above(0.0)
    parser.add_argument("--seconds", type=positive, default=60, help="问几秒，默认 60")
    args = parser.parse_args()
    script = str(ROOT / "demo01_hf_basics" / "07_local_api.py")
    with started(script, "--port", "0") as (url, pid):
        load(url, 5)  # 热身：线程池和内存池长到位
        with memory_curve(pid, args.seconds / 15) as curve:
            total, errors = load(url, args.seconds)
        requests.get(f"{url}/health", timeout=10).raise_for_status()
    print(f"{args.seconds:g} 秒答了 {total} 个，{len(errors)} 个错 {errors[:3]}")
    print(f"内存 MB：{' '.join(f'{mb:.0f}' for mb in curve)}")


if __name__ == "__main__":
    run(main)
