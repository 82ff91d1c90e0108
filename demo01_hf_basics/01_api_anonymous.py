"""第 1 课  匿名访问推理 API：发一个请求，学会读回答

教什么：不下载模型，把文字发给别人的服务器，让它的模型来算，这就是"调 API"。一个请求由地址、
内容（JSON）组成，回答由状态码、类型、内容组成。先看状态码再读内容：课上直接 .json() 就崩了。

怎么运行：python demo01_hf_basics/01_api_anonymous.py
          python demo01_hf_basics/01_api_anonymous.py --endpoint http://127.0.0.1:8000

会看到：连得上 Hub 时，它怎样拒绝匿名请求；连不上时，同一个请求发给本机上自己的 API：
    Hub 连不上：连接失败（ConnectionError）。改用本机的 API，请求一个字不变
    —— 要 token 的 API（和 Hub 一样）
    POST http://127.0.0.1:39355/models/uer/gpt2-chinese-cluecorpussmall
         {"inputs": "你好，Hugging Face"}
    状态码  401
    类型    application/json
    内容    {"error":"要 token：请求头 Authorization: Bearer …"}
    …
    —— 不要 token 的 API
    状态码  200
    结果    [{"generated_text": "你好，Hugging Face…
"""

import json

from course.cli import Parser, run
from course.inference_client import (
    MODEL,
    add_arguments,
    local_api,
    local_model,
    post_until_loaded,
    problem_of,
    show,
    try_endpoint,
)

INPUTS = "你好，Hugging Face"
LOCAL_TOKEN = "hf_only_for_this_lesson"  # 本机 API 要的 token，故意不带上，看它怎么拒绝


def ask(endpoint: str, model: str, timeout: float) -> None:
    """发一次匿名请求，打印回答和它的意思"""
    # 1. 请求：POST 到 地址/models/模型名，内容是 {"inputs": 文字}
    url, payload = f"{endpoint}/models/{model}", {"inputs": INPUTS}
    print(f"\nPOST {url}\n     {json.dumps(payload, ensure_ascii=False)}")
    response = post_until_loaded(url, payload, token=None, timeout=timeout)

    # 2. 回答：先看状态码和类型。200 是成功，4xx 是请求有问题，5xx 是服务器有问题
    show(response, token=None)

    # 3. 确认是好的 JSON，才把它变成 Python 的列表和字典
    problem = problem_of(response, token=None)
    if problem:
        print(f"意思    {problem}")
    else:
        print(f"结果    {json.dumps(response.json(), ensure_ascii=False)[:300]}")


def main() -> None:
    parser = Parser(__doc__)
    add_arguments(parser)
    args = parser.parse_args()

    reason = try_endpoint(args.endpoint, lambda endpoint: ask(endpoint, args.model, args.timeout))
    if reason:
        # 连不上 Hub：在本机开两个 API，把同样的请求发过去。第一个像 Hub 一样要 token
        print(f"Hub 连不上：{reason}。改用本机的 API，请求一个字不变")
        model = local_model()
        for token in (LOCAL_TOKEN, None):
            print(f"\n—— {'要 token 的 API（和 Hub 一样）' if token else '不要 token 的 API'}")
            with local_api(model, token) as endpoint:
                ask(endpoint, MODEL, args.timeout)

    # 4. 课上为什么崩：回答不是 JSON（比如一张网页、一句 Not Found）时，.json() 只会说这么一句
    print("\n课上的写法：不看状态码，直接 response.json()，遇到网页就是")
    try:
        json.loads("<!doctype html><title>Not Found</title>")
    except json.JSONDecodeError as error:
        print(f"    JSONDecodeError: {error}")
    print("看着像 JSON 写错了，其实是根本没拿到 JSON；状态码才说明原因")

    # 小结：请求 = 地址 + JSON；回答 = 状态码 + 类型 + 内容，按这个顺序读
    #       匿名请求得到 401：API 要知道你是谁，下一课带上 token
    # 练习：--model 换成一个不存在的名字，状态码变成多少？--timeout 0.001 呢？


if __name__ == "__main__":
    run(main)
