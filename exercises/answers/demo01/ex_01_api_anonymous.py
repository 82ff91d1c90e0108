"""答案  第一个 demo 的第 1 课  匿名请求：拼出请求，按顺序读回答

练什么：一个请求由地址和 JSON 组成；一个回答要先看状态码，再看类型，最后才读内容。
"""

import requests


def build_request(endpoint: str, model: str, text: str) -> tuple[str, dict]:
    """拼出一个推理请求：(地址, 要当作 JSON 发出去的内容)

    地址是 endpoint/models/模型名，endpoint 的末尾有没有 / 都要对；
    内容是一个字典，文字放在键 inputs 下面。
    例：build_request("http://127.0.0.1:8000", "gpt2", "你好")
        → ("http://127.0.0.1:8000/models/gpt2", {"inputs": "你好"})
    """
    return f"{endpoint.rstrip('/')}/models/{model}", {"inputs": text}


def read_answer(response: requests.Response) -> str:
    """读一个回答，返回一句话

    1. 状态码不是 200：返回 "状态码 401" 这样的一句（写上真的状态码）
    2. 类型（响应头 Content-Type）不是 application/json：返回 "不是 JSON"
       当心：它后面可以跟着编码，如 application/json; charset=utf-8，那也是 JSON
    3. 都没问题：内容是 [{"generated_text": "……"}]，返回里面的文字
    """
    if response.status_code != 200:
        return f"状态码 {response.status_code}"
    if not response.headers.get("Content-Type", "").startswith("application/json"):
        return "不是 JSON"
    return response.json()[0]["generated_text"]
