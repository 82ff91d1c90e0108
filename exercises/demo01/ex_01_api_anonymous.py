"""动手  第一个 demo 的第 1 课  匿名请求：拼出请求，按顺序读回答

练什么：一个请求由地址和 JSON 组成；一个回答要先看状态码，再看类型，最后才读内容。

怎么做：把 raise NotImplementedError（或者 ...）换成你的代码，名字不要改，要用的库自己 import，然后
    python exercises/check.py demo01/01             对不对，为什么
    python exercises/check.py demo01/01 --hint      提示
    python exercises/check.py demo01/01 --answer    答案
"""

import requests


def build_request(endpoint: str, model: str, text: str) -> tuple[str, dict]:
    """拼出一个推理请求：(地址, 要当作 JSON 发出去的内容)

    地址是 endpoint/models/模型名，endpoint 的末尾有没有 / 都要对；
    内容是一个字典，文字放在键 inputs 下面。
    例：build_request("http://127.0.0.1:8000", "gpt2", "你好")
        → ("http://127.0.0.1:8000/models/gpt2", {"inputs": "你好"})
    """
    raise NotImplementedError


def read_answer(response: requests.Response) -> str:
    """读一个回答，返回一句话

    1. 状态码不是 200：返回 "状态码 401" 这样的一句（写上真的状态码）
    2. 类型（响应头 Content-Type）不是 application/json：返回 "不是 JSON"
       当心：它后面可以跟着编码，如 application/json; charset=utf-8，那也是 JSON
    3. 都没问题：内容是 [{"generated_text": "……"}]，返回里面的文字
    """
    raise NotImplementedError
