"""向推理 API 提问：发请求、读回答，把每一种失败变成一句中文和下一步

01、02 共用。token 从不写进任何一句话里。
"""

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import requests
from huggingface_hub import get_token

from course.cli import Parser, number
from course.errors import CourseError
from course.inference_api import make_app, serving
from course.models import find_model
from course.network import unreachable, within
from course.paths import command
from course.text_models import Generator

HUB = "https://router.huggingface.co/hf-inference"  # 旧地址 api-inference.huggingface.co 已停用
MODEL = "uer/gpt2-chinese-cluecorpussmall"  # 模型名是完整的 组织/名字
PROBE_SECONDS = 5  # 探路最多等几秒；国内直连 Hub 常常一直没有回音
TIMEOUT = 30  # 一次请求最多等几秒
RETRIES = 3  # 503（模型正在装载）最多再试几次
LOCAL_API = command("demo01_hf_basics/07_local_api.py")  # 报错时告诉学员的下一步
MAX_WAIT = 10  # 每次重试之前最多等几秒，不管服务器让等多久


class Unreachable(CourseError):
    """连不上，或等不到回答：没有指定 --endpoint 时可以改用本机的 API"""


def clip(text: str, secret: str | None) -> str:
    """服务器给的话，能放心打印的样子：一行、不超过 200 字、没有控制字符，也没有 token"""
    if secret:
        text = text.replace(secret, "***")
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= 200 else text[:200] + "…"


# 状态码 → (哪里不对, 下一步)
PROBLEMS = {
    400: ("请求的格式不对", "对照 07_local_api.py 里的例子检查请求"),
    403: (
        "token 没有权限",
        "到 https://huggingface.co/settings/tokens 给它勾上 Make calls to Inference Providers；"
        "模型要申请的，先在它的页面上点同意",
    ),
    404: (
        "没有这个模型，或者这个服务不提供它",
        "检查 --model 是不是完整的 组织/名字；Hub 只提供一部分模型，其余的下载下来自己跑"
        "（03_download_gpt2.py、07_local_api.py）",
    ),
    408: ("请求没有发完就超时了", "再试一次"),
    410: (
        "这个模型或地址已经停止服务",
        f"换一个模型 --model，或者自己跑：{LOCAL_API}",
    ),
    413: ("请求太大", "把 inputs 缩短"),
    422: ("参数不对", "对照服务器的说明改 parameters；参数的名字和范围见 07_local_api.py 的 /docs"),
    429: ("请求太多，被限流了", "等一会儿再试"),
}


def explain(status: int, content_type: str, body: str, retry_after: str | None, token: str | None):
    """一个失败的回答 → CourseError（一句中文 + 下一步）；是好的 JSON 就返回 None"""
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    said = ""
    if isinstance(answer, dict) and answer.get("error"):
        said = f"，服务器说：{clip(str(answer['error']), token)}"
    if status == 401:
        if token:
            return CourseError(
                f"401：token 不对或已经作废{said}",
                "到 https://huggingface.co/settings/tokens 新建一个，再运行 hf auth login",
            )
        return CourseError(
            f"401：没有带 token，匿名的请求不受理{said}",
            f"{command('demo01_hf_basics/02_api_token.py')}（里面说明怎么申请和保存 token）",
        )
    if status in PROBLEMS:
        problem, next_step = PROBLEMS[status]
        if status == 429 and retry_after:
            next_step = f"等 {clip(retry_after, token)}（Retry-After，单位秒）再试"
        return CourseError(f"{status}：{problem}{said}", next_step)
    if status == 503:
        return CourseError(f"503：模型还没装载好，或服务器忙{said}", "过几分钟再试")
    if status >= 300:
        return CourseError(f"{status}：服务器出错{said}", "过一会儿再试，或换 --endpoint")
    if not body.strip():
        return CourseError(f"{status}，但回答是空的", "再试一次；总是这样就换 --endpoint")
    if answer is None:
        kind = "一张网页" if "html" in content_type or body.lstrip().startswith("<") else "一段文字"
        return CourseError(
            f"{status}，但回答是{kind}，不是 JSON：{clip(body, token)[:80]}",
            "多半被代理、校园网登录页或镜像站拦下了：用浏览器打开 --endpoint 看看是什么",
        )
    if said:
        return CourseError(f"{status}，但内容是报错{said}", "按服务器说的改，再试一次")
    return None


def post(url: str, payload: dict, token: str | None, timeout: float) -> requests.Response:
    """发一次请求，最多等 timeout 秒；连不上、超时抛 Unreachable"""
    # 按名字写 headers=、json=：漏写名字的话，token 会被当成表单内容发出去
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    address = url.split("?")[0]
    try:
        return within(
            timeout,
            lambda: requests.post(
                url, headers=headers, json=payload, timeout=timeout, allow_redirects=False
            ),
        )
    except (TimeoutError, requests.Timeout):
        problem = f"{timeout:g} 秒内没有等到 {address} 的回答"
        next_step = "过一会儿再试，或用 --timeout 多等一会儿"
    except (requests.RequestException, ValueError) as error:
        problem = f"连不上 {address}（{type(error).__name__}）"
        next_step = f"检查网络和 --endpoint；想在本机试：{LOCAL_API}"
    # 在 except 外面抛：底层异常里可能带着请求头，不让它跟在后面
    raise Unreachable(problem, next_step)


def post_until_loaded(
    url: str, payload: dict, token: str | None, timeout: float
) -> requests.Response:
    """和 post 一样，只是遇到 503（模型正在装载）就等一等再发，最多 RETRIES 次"""
    for attempt in range(RETRIES + 1):
        response = post(url, payload, token, timeout)
        if response.status_code != 503 or attempt == RETRIES:
            return response
        try:
            wanted = float(response.headers.get("Retry-After") or response.json()["estimated_time"])
        except (ValueError, KeyError, TypeError):
            wanted = 2.0
        wait = min(max(wanted, 0.0), MAX_WAIT)
        print(f"503：模型正在装载，{wait:g} 秒后再试（第 {attempt + 1} / {RETRIES} 次）")
        time.sleep(wait)


def show(response: requests.Response, token: str | None) -> None:
    """打印读回答的第一步：状态码和内容类型，先看它们，再谈 .json()"""
    print(f"状态码  {response.status_code}")
    print(f"类型    {clip(response.headers.get('Content-Type', '（没说）'), token)}")
    print(f"内容    {clip(response.text, token) or '（空）'}")


def problem_of(response: requests.Response, token: str | None) -> CourseError | None:
    """这个回答哪里不对；没有不对就是 None"""
    return explain(
        response.status_code,
        response.headers.get("Content-Type", ""),
        response.text,
        response.headers.get("Retry-After"),
        token,
    )


def read_token(for_hub: bool) -> str | None:
    """HF_TOKEN，或 `hf auth login` 存下的 token；没有就返回 None，样子不对就抛 CourseError

    报错只说哪里不对，绝不把 token 打印出来。
    """
    token = (os.environ.get("HF_TOKEN") or get_token() or "").strip()
    if not token:
        return None
    fix = "重新复制一遍（只有 hf_ 开头的那一串），再设 HF_TOKEN 或运行 hf auth login"
    if not token.isascii():
        raise CourseError("token 里有中文或全角字符（比如全角逗号、空格）", fix)
    if re.search(r"\s", token):
        raise CourseError("token 中间有空格或换行，复制时多带了东西", fix)
    if token[0] in "\"'" or token[-1] in "\"'" or not token.isprintable():
        raise CourseError("token 里有引号或看不见的字符（cmd 的 set 命令不要加引号）", fix)
    if for_hub and not re.fullmatch(r"hf_\w{8,}", token):
        raise CourseError("token 不是 hf_ 开头的一串字母和数字", fix)
    return token


@contextmanager
def local_api(model: Generator, token: str | None = None) -> Iterator[str]:
    """在本进程里开一个自己的推理 API（同 07），with 块里拿到它的地址"""
    with serving(make_app({MODEL: model}, token)) as endpoint:
        print(f"本机 API 已启动：{endpoint}")
        yield endpoint


def local_model() -> Generator:
    """本机 API 用的模型，名字叫 MODEL；没下载时是随仓库的小模型"""
    return Generator(find_model(MODEL))


def add_arguments(parser: Parser) -> None:
    """01、02 共同的参数"""
    parser.add_argument("--endpoint", default=None, help=f"只用这个地址，默认 {HUB}")
    parser.add_argument("--model", default=MODEL, help=f"完整的 组织/名字，默认 {MODEL}")
    positive = number(float, 0, exclusive=True)
    parser.add_argument("--timeout", type=positive, default=TIMEOUT, help=f"秒，默认 {TIMEOUT}")


def try_endpoint(explicit: str | None, ask: Callable[[str], None]) -> str | None:
    """ask(地址)：问 --endpoint 指定的地址，没指定就先探一下 Hub 再问它

    问到了返回 None，Hub 连不上返回原因。明确指定了地址就只去那里，连不上抛 Unreachable。
    """
    if explicit is not None:
        ask(explicit.rstrip("/"))
        return None
    print(f"先探一下 {HUB}，最多 {PROBE_SECONDS} 秒 …")
    reason = unreachable(HUB, PROBE_SECONDS)
    if reason is None:
        try:
            ask(HUB)
        except Unreachable as error:
            reason = error.problem
    return reason
