"""不是一课  01、02、07 一起用的。请求会出的每一种错，都在这里变成一句中文和下一步

`@patient` 让一次提问有时限、遇到 503 再试；`hub_or_local` 先问 Hub，连不上就在本进程里开一个
自己的 API 接着问；`explain_failure` 说一个失败的回答是什么意思。token 从不写进任何一句话里。
"""

import argparse
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps

import httpx2
import requests
from huggingface_hub import get_token
from huggingface_hub.errors import HfHubHTTPError, InferenceTimeoutError

from course.cli import Parser, above
from course.errors import CourseError
from course.inference_api import make_app, serving
from course.models import find_model
from course.network import bypass_proxy_for_loopback, ignore_netrc, unreachable, within
from course.paths import command
from course.text_models import Generator

MODEL = "uer/gpt2-chinese-cluecorpussmall"  # 没有指定 --model 时问它；本机的 API 只有它
PROBE_SECONDS = 5  # 探路最多等几秒；国内直连 Hub 常常一直没有回音
TIMEOUT = 30  # 一次请求最多等几秒
RETRIES = 3  # 503（模型正在装载）最多再试几次
MAX_WAIT = 10  # 每次重试之前最多等几秒，不管服务器让等多久
LOCAL_API = command("demo01_hf_basics/07_local_api.py")  # 报错时告诉学员的下一步
TOKENS_PAGE = "https://huggingface.co/settings/tokens"
HOW_TO_SET = "cmd：set 变量=…    PowerShell：$env:变量='…'    macOS、Linux：export 变量=…"


class Unreachable(CourseError):
    """连不上，或等不到回答：没有指定 --endpoint 时可以改用本机的 API"""


class NotServed(CourseError):
    """请求没有错，只是这个服务不提供这个模型"""


@dataclass(frozen=True)
class Api:
    """向谁提问：地址（不带最后的 /）、模型的全名、它要的 token（None 是不带）"""

    endpoint: str
    model: str
    token: str | None


# 1. 读回答


def clip(text: str, secret: str | None) -> str:
    """服务器给的话，能放心打印的样子：一行、不超过 200 字、没有控制字符，也没有 token"""
    if secret:
        text = text.replace(secret, "***")
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= 200 else text[:200] + "…"


def show(response: requests.Response, token: str | None) -> None:
    """打印读回答的头几步：状态码、内容类型、内容，先看它们，再谈 .json()"""
    print(f"状态码  {response.status_code}")
    print(f"类型    {clip(response.headers.get('Content-Type', '（没说）'), token)}")
    print(f"内容    {clip(response.text, token) or '（空）'}")


# 状态码 → (哪里不对, 下一步)
PROBLEMS = {
    400: ("请求的格式不对", "打开 07_local_api.py 的 /docs，对照里面的例子检查请求"),
    402: (
        "这个月的额度用完了，Hub 的推理 API 是按量收费的",
        f"到 https://huggingface.co/settings/billing 看用了多少；不花钱的：{LOCAL_API}",
    ),
    403: (
        "token 没有权限",
        f"到 {TOKENS_PAGE} 给它勾上 Make calls to Inference Providers；"
        "模型要申请的，先在它的页面上点同意",
    ),
    404: (
        "没有这个模型，或者这个服务不提供它",
        "检查 --model 是不是完整的 组织/名字；Hub 只提供一部分模型，其余的下载下来自己跑"
        "（03_download_gpt2.py、07_local_api.py）",
    ),
    405: ("这个地址不接受 POST", "检查 --endpoint，它后面不要再带 /models"),
    408: ("请求没有发完就超时了", "再试一次"),
    410: ("这个模型或地址已经停止服务", f"换一个模型 --model，或者自己跑：{LOCAL_API}"),
    413: ("请求太大", "把 inputs 缩短"),
    422: ("参数不对", "对照服务器的说明改 parameters；参数的名字和范围见 07_local_api.py 的 /docs"),
    429: ("请求太多，被限流了", "等一会儿再试"),
    503: ("模型还没装载好，或服务器忙", "过几分钟再试，换个时间人少一些"),
    504: ("服务器太忙，等不到它后面的机器", "过几分钟再试，换个时间人少一些"),
}


def complaint(answer: object) -> str:
    """回答里的报错：{"error": "一句话"}，OpenAI 的格式是 {"error": {"message": "一句话"}}"""
    error = answer.get("error") if isinstance(answer, dict) else None
    if isinstance(error, dict):
        error = error.get("message") or error
    return str(error) if error else ""


def explain_failure(
    response: requests.Response | httpx2.Response, token: str | None
) -> CourseError | None:
    """这个回答哪里不对：一句中文 + 下一步；是 200 和好的 JSON 就返回 None

    token 是带去的那一个，服务器把它写在回答里时要遮住。
    """
    status, body = response.status_code, response.text
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    complained = complaint(answer)
    said = f"，服务器说：{clip(complained, token)}" if complained else ""
    if status == 401:
        if token:
            problem = "401：token 不对或已经作废"
            next_step = f"到 {TOKENS_PAGE} 新建一个，再运行 hf auth login"
        else:
            problem = "401：没有带 token，匿名的请求不受理"
            lesson = command("demo01_hf_basics/02_api_token.py")
            next_step = f"{lesson}（里面说明怎么申请和保存 token）"
        return CourseError(f"{problem}{said}", next_step)
    if status == 400 and "not support" in complained.lower():
        return NotServed(
            f"400：这个服务不提供这个模型，请求的格式没有错{said}",
            f"换一个它提供的 --model，或者下载下来自己跑：{LOCAL_API}",
        )
    if status in PROBLEMS:
        problem, next_step = PROBLEMS[status]
        retry_after = response.headers.get("Retry-After")
        if status == 429 and retry_after:
            next_step = f"等 {clip(retry_after, token)}（Retry-After，单位秒）再试"
        kind = NotServed if status in (404, 410) else CourseError
        return kind(f"{status}：{problem}{said}", next_step)
    if status >= 500:
        return CourseError(f"{status}：服务器出错{said}", "过一会儿再试，或换 --endpoint")
    if status >= 400:
        return CourseError(f"{status}：服务器不接受这个请求{said}", "按它说的改，或换 --endpoint")
    if status >= 300:
        return CourseError(
            f"{status}：服务器出错，它要我们到别的地址去",
            "多半是登录页，或者地址已经搬家：用浏览器打开 --endpoint 看看是什么",
        )
    if not body.strip():
        return CourseError(f"{status}，但回答是空的", "再试一次；总是这样就换 --endpoint")
    if answer is None:
        page = "html" in response.headers.get("Content-Type", "") or body.lstrip().startswith("<")
        return CourseError(
            f"{status}，但回答是{'一张网页' if page else '一段文字'}，不是 JSON："
            f"{clip(body, token)[:80]}",
            "多半被代理、校园网登录页或镜像站拦下了：用浏览器打开 --endpoint 看看是什么",
        )
    if said:
        return CourseError(f"{status}，但内容是报错{said}", "按服务器说的改，再试一次")
    return None


# 2. 提问


def once(ask: Callable, url: str, settings: dict):
    """问一次，最多等 settings["timeout"] 秒：(得到的, None)，或官方客户端的 (None, 失败的回答)"""
    timeout, token = settings["timeout"], settings.get("token")
    address = url.split("?")[0]
    try:
        return within(timeout, lambda: ask(url, **settings)), None
    except HfHubHTTPError as error:
        return None, error.response
    except (TimeoutError, requests.Timeout, InferenceTimeoutError, httpx2.TimeoutException):
        problem = Unreachable(
            f"{timeout:g} 秒内没有等到 {address} 的回答", "过一会儿再试，或用 --timeout 多等一会儿"
        )
    except (requests.RequestException, httpx2.TransportError, httpx2.InvalidURL) as error:
        problem = Unreachable(
            f"连不上 {address}（{type(error).__name__}）",
            f"检查网络和 --endpoint；想在本机试：{LOCAL_API}",
        )
    except (httpx2.HTTPError, ValueError, LookupError, TypeError, AttributeError) as error:
        # 客户端拿到的 JSON 不是它要的样子；也可能是它不认得你写的参数
        why = clip(f"{type(error).__name__}：{error}", token)
        problem = CourseError(f"回答读不懂（{why}）", "换 --endpoint 或 --model")
    # 在 except 外面抛：底层异常里可能带着请求头，不让它跟在后面
    raise problem


def seconds_to_wait(response: object) -> float | None:
    """等几秒值得再问：模型在装载（503），或被限流（429）而服务器说用不了多久；别的是 None"""
    status = getattr(response, "status_code", None)
    try:
        wanted = response.headers.get("Retry-After") or response.json()["estimated_time"]
        wait = max(0.0, float(wanted))
    except (AttributeError, ValueError, LookupError, TypeError):
        wait = None
    if status == 503:
        return 2.0 if wait is None else min(wait, MAX_WAIT)
    return wait if status == 429 and wait is not None and wait <= MAX_WAIT else None


def patient(ask: Callable) -> Callable:
    """装饰 ask(url, timeout=…, …)：问得稳妥一些，用法不变

    从头到尾最多等 timeout 秒（requests 的 timeout 管不住一秒吐一个字节的服务器）；遇到 503、
    等不了多久的 429，等一等再问，最多 RETRIES 次。连不上、等不到抛 Unreachable；ask 用的是官方
    客户端时，失败的回答抛 explain_failure 的那一句。参数要按名字给。
    """

    @wraps(ask)
    def asked(url: str, **settings):
        for attempt in range(RETRIES + 1):
            answer, refusal = once(ask, url, settings)
            response = answer if refusal is None else refusal
            wait = None if attempt == RETRIES else seconds_to_wait(response)
            if wait is None:
                break
            why = "请求太多，被限流了" if response.status_code == 429 else "模型正在装载"
            nth = f"第 {attempt + 1} / {RETRIES} 次"
            print(f"{response.status_code}：{why}，{wait:g} 秒后再试（{nth}）")
            time.sleep(wait)
        if refusal is None:
            return answer
        problem = explain_failure(refusal, settings.get("token"))
        raise problem or CourseError("客户端读不懂这个回答", "换 --endpoint 或 --model")

    return asked


# 3. 向谁提问


def address(text: str) -> str:
    """argparse 的 type：里面没有密码的地址"""
    if "@" in text:  # 不能说出它是什么，也不能用：requests 会拿它盖掉 token
        raise argparse.ArgumentTypeError("里不要写密码（…@）：会留在历史记录里，还会盖掉 token")
    return text


def add_arguments(parser: Parser, hub: str) -> None:
    """01、02 共同的参数"""
    parser.add_argument("--endpoint", type=address, help=f"只用这个地址，默认 {hub}")
    parser.add_argument("--model", default=MODEL, help=f"完整的 组织/名字，默认 {MODEL}")
    positive = above(0.0)
    parser.add_argument("--timeout", type=positive, default=TIMEOUT, help=f"秒，默认 {TIMEOUT}")


def try_hub(lesson: Callable[[Api], None], api: Api) -> str | None:
    """先探一下 Hub，连得上就 lesson(api)；连不上返回一句原因"""
    print(f"先探一下 {api.endpoint}，最多 {PROBE_SECONDS} 秒 …")
    reason = unreachable(api.endpoint, PROBE_SECONDS)
    if reason is None:
        try:
            lesson(api)
        except Unreachable as error:
            reason = error.problem
    return reason and f"Hub 连不上：{reason}"


@contextmanager
def local_api(model: Generator, token: str | None) -> Iterator[str]:
    """在本进程里开一个自己的推理 API（同 07），with 块里拿到它的地址"""
    with serving(make_app({MODEL: model}, token)) as endpoint:
        print(f"\n—— 本机 API：{endpoint}（{'要 token，和 Hub 一样' if token else '不要 token'}）")
        yield endpoint


def hub_or_local(
    lesson: Callable[[Api], None],
    args,
    hub: str,
    token: str | None,
    local_tokens: tuple[str | None, ...],
    skip_hub: str | None = None,
) -> None:
    """lesson(api)：问 --endpoint 指定的地址；没指定就问 hub，连不上再问本机的 API

    明确指定了地址就只去那里，连不上抛 Unreachable。本机的 API 按 local_tokens 一个一个地开，
    每个要一个 token（None 是不要），lesson 各走一遍。skip_hub 是不问 hub 的原因，None 是要问。
    """
    bypass_proxy_for_loopback()
    ignore_netrc()  # 请求头里只有你写的那些
    if args.endpoint is not None:
        lesson(Api(args.endpoint.rstrip("/"), args.model, token))
        return
    reason = skip_hub or try_hub(lesson, Api(hub, args.model, token))
    if reason:
        print(f"{reason}。改用本机的 API，请求一个字不变")
        model = Generator(find_model(MODEL))
        for local_token in local_tokens:
            with local_api(model, local_token) as endpoint:
                lesson(Api(endpoint, args.model, local_token))


# 4. token


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
    # 网页上建的是 hf_ 加字母数字；浏览器登录得来的是 hf_oauth_ 加一长串，里面有点和横线
    if for_hub and not re.fullmatch(r"hf_[\w.-]{8,}", token):
        raise CourseError("token 不是 hf_ 开头的一串字母和数字", fix)
    return token


def read_secret(variable: str | None) -> str | None:
    """07 要求客户带上的 token，在环境变量 variable 里；没给变量名就是 None，不能用就抛 CourseError

    token 不直接写在命令行上：命令行会留在历史记录里，同一台机器上的别人也看得见。
    """
    if variable is None:
        return None
    token = os.environ.get(variable, "").strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise CourseError(
            f"环境变量 {variable} 里没有能用的 token（要一串没有空格的英文字母、数字）",
            HOW_TO_SET.replace("变量", variable),
        )
    return token
