"""第 2 课  带 token 访问推理 API：手写请求头，再用 InferenceClient

教什么：token 是你的通行证，放在请求头 Authorization: Bearer … 里。它等于密码：不写进代码，
不打印，不提交到 git；放在环境变量 HF_TOKEN 里，或者用 `hf auth login` 存在自己的电脑上。

怎么申请：https://huggingface.co/settings/tokens → Create new token → 勾上
Make calls to Inference Providers → 复制（只显示一次）→ 终端里运行 hf auth login，粘贴。

怎么运行：python demo01_hf_basics/02_api_token.py
          python demo01_hf_basics/02_api_token.py --endpoint http://127.0.0.1:8000

会看到：没有 token 或连不上 Hub 时，同样的请求发给本机上自己的 API：
    token：没有找到
    POST http://127.0.0.1:41877/models/uer/gpt2-chinese-cluecorpussmall
         Authorization: Bearer ***
         {"inputs": "你好，我是一款语言模型，", "parameters": {"max_new_tokens": 30, …}}
    状态码  200
    内容    [{"generated_text":"你好，我是一款语言模型，…
    InferenceClient(model=url, token=token).text_generation(…)
    结果    你好，我是一款语言模型，…
"""

import json
import secrets

import httpx2
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError, InferenceTimeoutError

from course.cli import Parser, run
from course.errors import CourseError
from course.inference_client import (
    MODEL,
    add_arguments,
    clip,
    explain,
    local_api,
    local_model,
    post_until_loaded,
    problem_of,
    read_token,
    show,
    try_endpoint,
)
from course.network import within

PROMPT = "你好，我是一款语言模型，"
PARAMETERS = {"max_new_tokens": 30, "temperature": 0.7, "top_k": 50, "top_p": 0.9}


def ask_with_requests(url: str, token: str | None, timeout: float) -> None:
    """手写的请求：地址、请求头、JSON"""
    payload = {"inputs": PROMPT, "parameters": PARAMETERS}
    print(f"\nPOST {url}")
    print(f"     Authorization: {'Bearer ***' if token else '（没有）'}")
    print(f"     {json.dumps(payload, ensure_ascii=False)}")
    response = post_until_loaded(url, payload, token, timeout)
    show(response, token)
    problem = problem_of(response, token)
    if problem:
        raise problem


def ask_with_client(url: str, token: str | None, timeout: float) -> None:
    """官方的客户端：同样的请求，一行；它还认得别的任务，也会流式地读"""
    client = InferenceClient(model=url, token=token, timeout=timeout)
    try:
        text = within(timeout, lambda: client.text_generation(PROMPT, **PARAMETERS))
    except HfHubHTTPError as error:
        answer = error.response
        problem = explain(
            answer.status_code,
            answer.headers.get("Content-Type", ""),
            answer.text,
            answer.headers.get("Retry-After"),
            token,
        )
    except (TimeoutError, InferenceTimeoutError):
        problem = CourseError(f"{timeout:g} 秒内没有等到回答", "过一会儿再试，或加大 --timeout")
    except (httpx2.HTTPError, ValueError, KeyError, TypeError, IndexError) as error:
        problem = CourseError(f"回答读不懂（{type(error).__name__}）", "换 --endpoint 或 --model")
    else:
        print("\nInferenceClient(model=url, token=token).text_generation(…)")
        print(f"结果    {clip(str(text), token)}")
        return
    raise problem or CourseError("客户端读不懂这个回答", "换 --endpoint 或 --model")


def ask_both_ways(url: str, token: str | None, timeout: float) -> None:
    """3. 先自己写请求，看清每一样东西；4. 再用官方客户端，少写几行"""
    ask_with_requests(url, token, timeout)
    ask_with_client(url, token, timeout)


def main() -> None:
    parser = Parser(__doc__)
    add_arguments(parser)
    args = parser.parse_args()

    # 1. 取 token：环境变量 HF_TOKEN，没有就用 hf auth login 存下的
    token = read_token(for_hub=args.endpoint is None)
    print(f"token：{f'找到了，共 {len(token)} 个字符' if token else '没有找到'}")

    # 2. 去哪里：Hub；没有 token 或连不上，就是本机的 API
    if token is None and args.endpoint is None:
        print("Hub 不受理没有 token 的请求。怎么申请见本文件开头；先用本机的 API 看一遍")
        reason = "没有 token"
    else:
        reason = try_endpoint(
            args.endpoint,
            lambda endpoint: ask_both_ways(f"{endpoint}/models/{args.model}", token, args.timeout),
        )
    if reason:
        if token:
            print(f"Hub 连不上：{reason}。改用本机的 API，请求一个字不变")
        # 你的 token 只交给 Hub；本机的 API 用现造的一个，用完就扔
        token = f"hf_{secrets.token_hex(16)}"
        with local_api(local_model(), token) as endpoint:
            ask_both_ways(f"{endpoint}/models/{MODEL}", token, args.timeout)

    # GPT-2 是续写模型：它不回答问题，只顺着你的话往下写
    # 小结：Authorization: Bearer token；token 等于密码；手写的和 InferenceClient 发的是同一个请求
    #       免费的 API 忙的时候又慢又不稳，真要用就自己部署，见 07
    # 练习：把 PARAMETERS 的 temperature 改成 0，读一读 422 说了什么


if __name__ == "__main__":
    run(main)
