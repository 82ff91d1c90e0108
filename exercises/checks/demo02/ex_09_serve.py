"""判题  第二个 demo 的第 9 课：用真的队列和线程"""

import json
import queue
import threading
import time

from judging import Wrong, ask, compare, exercise

WAIT = 2  # 等学员的函数几秒；它要是在等永远不会来的请求，就判它卡住了


def call_in_thread(function, *arguments) -> tuple[str, object]:
    """在另一个线程里调用：("值", 返回的)、("错", 异常) 或 ("卡住", None)"""
    box: list[tuple[str, object]] = []

    def body() -> None:
        try:
            box.append(("值", function(*arguments)))
        except Exception as error:
            box.append(("错", error))

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    thread.join(WAIT)
    return box[0] if box else ("卡住", None)


@exercise("take_batch", "凑一批", "第一个用 waiting.get()（会等）；后面的先看 waiting.empty() 再取")
def check_take_batch(take_batch):
    for inside, limit in ((["a", "b", "c"], 8), (["a", "b", "c"], 2), (["a"], 4), (["a"], 1)):
        waiting: queue.Queue = queue.Queue()
        for item in inside:
            waiting.put(item)
        call = f"take_batch(队列里有 {inside}, {limit})"
        outcome, got = call_in_thread(take_batch, waiting, limit)
        if outcome == "错":
            raise got
        if outcome == "卡住":
            raise Wrong(f"{call}\n{WAIT} 秒还没有返回\n多半是：在等凑满 limit 个；有几个就算几个")
        want = inside[:limit]
        usual = [
            (want[::-1], "先来的在前，顺序反了"),
            (inside, "最多 limit 个，剩下的留给下一批"),
            (inside[:1], "只取了一个：正在排队的也要一起取"),
            (inside[: limit + 1], "多取了一个"),
        ]
        compare(call, got, want, usual)
        compare(f"{call} 之后队列里还剩几个", waiting.qsize(), len(inside) - len(want))
    waiting = queue.Queue()
    threading.Timer(0.3, waiting.put, ["晚到的"]).start()
    started = time.perf_counter()
    outcome, got = call_in_thread(take_batch, waiting, 4)
    if outcome == "错" and isinstance(got, queue.Empty):
        raise Wrong("队列空着时抛了 queue.Empty\n多半是：第一个要用会等的 get()，不是 get_nowait()")
    if outcome == "错":
        raise got
    early = [([], f"队列空着，只等了 {time.perf_counter() - started:.1f} 秒就返回：要等到第一个来")]
    compare("take_batch(空队列，0.3 秒后来一个, 4)", got, ["晚到的"], early)


@exercise("hand_out", "结果分回去", "记住取到第几个 start，每次切 results[start : start + size]")
def check_hand_out(hand_out):
    for sizes in ([2, 1], [1, 1, 1], [3], [1, 3, 2], [2, 0, 1]):
        results = [f"r{i}" for i in range(sum(sizes))]
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
        want = [results[a : a + n] for a, n in zip(starts, sizes, strict=True)]
        ask(
            hand_out,
            *(results, sizes),
            want=want,
            usual=[
                ([results[:n] for n in sizes], "每次都从头取：别人的答案给错了人"),
                (
                    [results[i * n : (i + 1) * n] for i, n in enumerate(sizes)],
                    "开头不是 i × size：每个请求的句数不一样，要一路加",
                ),
                ([part for part in want if part], "没有句子的请求也要有一份，是空的"),
                ([part[0] if len(part) == 1 else part for part in want], "一句也要是列表"),
            ],
        )


@exercise(
    "check_request",
    "拒绝坏请求",
    "len(body) 是字节数；UnicodeDecodeError 和 JSONDecodeError 都是 ValueError；isinstance 查类型",
)
def check_check_request(check_request):
    def body(value: object) -> bytes:
        return json.dumps(value, ensure_ascii=False).encode("utf-8")

    chinese = body({"inputs": "好" * 30000})  # 3 万字，9 万字节
    for content, want, why in (
        (body({"inputs": "很好"}), 200, "这是好的请求"),
        (body({"inputs": "很好", "parameters": {}}), 200, "多出来的键没关系"),
        (body({"inputs": "好" * 20000}), 200, "两万字是 6 万字节，没有超过 64 KB"),
        (chinese, 413, "一个汉字 3 个字节：要数字节 len(body)，不是字数"),
        (b"x" * 70000, 413, "先看大小，太大的不用解析"),
        (b"", 400, "空的内容不是 JSON"),
        (b"inputs=abc", 400, "这是表单，不是 JSON"),
        ("很好".encode("gbk"), 400, "不是 UTF-8：解码的错也要接住"),
        (body(["很好"]), 422, "是 JSON，但不是字典"),
        (body("很好"), 422, "是 JSON，但不是字典"),
        (body(None), 422, "是 JSON，但不是字典"),
        (body({"text": "很好"}), 422, "没有 inputs"),
        (body({"inputs": 5}), 422, "inputs 不是字符串"),
        (body({"inputs": ["很好"]}), 422, "inputs 不是字符串，是列表"),
        (body({"inputs": None}), 422, "inputs 不是字符串"),
        (body({"inputs": ""}), 422, "inputs 是空的"),
        (body({"inputs": " \n"}), 422, "只有空白也算空的：strip()"),
    ):
        short = content if len(content) < 50 else content[:20] + b"..."
        others = [(code, why) for code in (200, 400, 413, 422, 500) if code != want]
        ask(
            check_request,
            content,
            want=want,
            usual=others,
            errors={
                UnicodeDecodeError: why,
                ValueError: why,
                AttributeError: why,
                KeyError: why,
                TypeError: why,
            },
            shown=f"check_request({short.decode('utf-8', 'replace')}，{len(content)} 个字节)",
        )
