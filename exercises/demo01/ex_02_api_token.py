"""动手  第一个 demo 的第 2 课  token：放进请求头，不让它露面

练什么：token 从环境变量取，放进请求头 Authorization，不打印，也不当成表单内容发出去。

怎么做：把 raise NotImplementedError（或者 ...）换成你的代码，名字不要改，要用的库自己 import，然后
    python exercises/check.py demo01/02             对不对，为什么
    python exercises/check.py demo01/02 --hint      提示
    python exercises/check.py demo01/02 --answer    答案
"""

from collections.abc import Mapping

import requests


def bearer_headers(environ: Mapping[str, str]) -> dict[str, str]:
    """环境变量（像 os.environ 那样的字典）→ 请求头

    token 在 HF_TOKEN 里，前后可能混进空格和换行，要去掉；没有这个变量，或者里面是空的，
    就返回空字典，也就是匿名请求。
    例：bearer_headers({"HF_TOKEN": "hf_abc"}) → {"Authorization": "Bearer hf_abc"}
    """
    raise NotImplementedError


def redact(text: str, token: str | None) -> str:
    """text 里的 token 全部换成 ***，再打印就不怕别人看见；token 是 None 或空的，原样返回"""
    raise NotImplementedError


def ask(url: str, headers: dict, payload: dict, timeout: float) -> requests.Response:
    """用 requests.post 把 payload 当作 JSON 发到 url，带上 headers，最多等 timeout 秒

    返回 requests.post 给的回答。
    """
    raise NotImplementedError
