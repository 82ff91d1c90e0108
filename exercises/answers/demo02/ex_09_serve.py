"""答案  第二个 demo 的第 9 课  服务：凑批、拒绝坏请求

练什么：同时来的请求凑成一批算；外面来的东西一概不信，每一种坏请求都有一个状态码。
"""

import json
import queue


def take_batch(waiting: queue.Queue, limit: int) -> list:
    """从队列里取一批：先来的在前，最多 limit 个

    队列空着就一直等，等到第一个；有了第一个，把正在排队的都取出来，不为还没来的再等。
    """
    batch = [waiting.get()]
    while len(batch) < limit and not waiting.empty():
        batch.append(waiting.get())
    return batch


def hand_out(results: list, sizes: list[int]) -> list[list]:
    """一批的结果分还给每个请求：sizes 是每个请求有几句话

    例：hand_out(["a", "b", "c"], [2, 1]) → [["a", "b"], ["c"]]
    """
    parts, start = [], 0
    for size in sizes:
        parts.append(results[start : start + size])
        start += size
    return parts


MAX_BYTES = 64 * 1024


def check_request(body: bytes) -> int:
    """看一个请求的内容，返回该答的状态码，按这个顺序

    413：超过 MAX_BYTES 个字节
    400：不是 UTF-8 的 JSON
    422：是 JSON，但不是字典，或者没有 inputs，或者 inputs 不是字符串，或者是空的（只有空白也算空）
    200：可以
    """
    if len(body) > MAX_BYTES:
        return 413
    try:
        question = json.loads(body.decode("utf-8"))
    except ValueError:
        return 400
    inputs = question.get("inputs") if isinstance(question, dict) else None
    return 200 if isinstance(inputs, str) and inputs.strip() else 422
