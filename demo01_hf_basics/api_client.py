"""不是一课  01、02、07 一起用的：向谁提问，出错时的一句中文和下一步，不打印 token；第一遍不用读"""

import argparse
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import httpx2
import requests
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError, InferenceTimeoutError, OfflineModeIsEnabled

from course.api import make_app, serve_until_stopped, serving
from course.errors import CourseError
from course.models import find_model
from course.network import OFFLINE, PROXY_HINT, bypass_proxy_for_loopback, ignore_netrc, unreachable
from course.paths import command
from course.text_models import Classifier, Generator

MODEL = "uer/gpt2-chinese-cluecorpussmall"  # 本机的 API 只有它
PROBE_SECONDS = 5  # 探路最多等几秒；国内直连 Hub 常常一直没有回音
LOCAL_API = command("demo01_hf_basics/07_local_api.py")  # 报错时告诉学员的下一步
TOKENS_PAGE = "https://huggingface.co/settings/tokens"
HOW_TO_SET = "cmd：set 变量=…    PowerShell：$env:变量='…'    macOS、Linux：export 变量=…"


# 1. 向谁提问


def servers(args: argparse.Namespace, hub: str | None, *tokens: str | None) -> Iterator[str]:
    """给了 --endpoint 就是它；没有就是 hub，先探路 5 秒；连不上（或 hub 是 None）就是本机的 API

    本机的 API 在这个进程里，一个 token 一个，None 是不要 token；for 走到下一个，这一个就停下。
    """
    bypass_proxy_for_loopback()
    ignore_netrc()  # 请求头里只有你写的那些
    for token in filter(None, tokens):
        check_token(token, for_hub=hub and not args.endpoint)
    constants.HF_HUB_DISABLE_TELEMETRY = True  # 不然官方的客户端问谁都先去问一次 huggingface.co
    if args.endpoint:
        check_address(args.endpoint)
        print(f"就问它：{args.endpoint}")
        yield args.endpoint.rstrip("/")
        return
    if hub:
        print(f"先探一下 {hub}，最多 {PROBE_SECONDS} 秒 …")
        reason = unreachable(hub, PROBE_SECONDS)
        if not reason:
            yield hub
            return
        print(f"Hub 连不上：{reason}。改用本机的 API，请求一个字不变")
    model = Generator(find_model(MODEL))
    for token in tokens:
        with serving(make_app({MODEL: model}, token)) as endpoint:
            needs = "要 token，和 Hub 一样" if token else "不要 token"
            print(f"\n—— 本机 API：{endpoint}（{needs}）")
            yield endpoint


def check_address(endpoint: str) -> None:
    if "@" in endpoint:  # 不能说出它是什么，也不能用：requests 会拿它盖掉 token
        said = "--endpoint 里不要写密码（…@）：会留在历史记录里，还会盖掉 token"
        raise CourseError(said, "去掉 @ 和它前面的")
    if not re.match(r"https?://[\w.]", endpoint):
        said = "--endpoint 要以 http:// 或 https:// 开头"
        raise CourseError(said, f"--endpoint http://{endpoint}")


# 2. 出了错


class NotServed(CourseError):
    """请求没有错，只是这个服务不提供这个模型"""


def explain(
    thing: requests.Response | Exception, address: str, token: str | None = None
) -> Exception | None:
    """回答或异常，哪里不对：一句中文和下一步；是 200 和好的 JSON 就是 None，不认得的异常原样返回

    address 是问的地址；token 是带去的那一个，服务器把它写在回答里时要遮住。
    """
    if isinstance(thing, requests.Response):
        return explain_failure(thing, token)
    if isinstance(thing, OfflineModeIsEnabled):
        return CourseError(*OFFLINE)
    response = getattr(thing, "response", None)
    unreadable = CourseError("官方的客户端读不懂这个回答", "换 --endpoint 或 --model")
    if response is not None:  # 官方的客户端收到了拒绝
        return explain_failure(response, token) or unreadable
    if isinstance(thing, requests.Timeout | httpx2.TimeoutException | InferenceTimeoutError):
        return CourseError(f"等不到 {address} 的回答", "过一会儿再试，或用 --timeout 多等一会儿")
    elsewhere = f"检查网络和 --endpoint；想在本机试：{LOCAL_API}"
    if isinstance(thing, requests.exceptions.ProxyError | httpx2.ProxyError):
        return CourseError(f"连不上 {address}：代理连不上{PROXY_HINT}", elsewhere)
    if isinstance(thing, requests.RequestException | httpx2.HTTPError | HfHubHTTPError):
        # 异常的全文里可能带着请求头，只说种类
        return CourseError(f"连不上 {address}（{type(thing).__name__}）", elsewhere)
    if isinstance(thing, LookupError | TypeError | ValueError):  # 答的不是它要的样子
        why = one_line(f"{type(thing).__name__}：{thing}", token)
        said = f"官方的客户端读不懂这个回答，或不认得你写的参数（{why}）"
        return CourseError(said, unreadable.next_step)
    return thing


def one_line(text: str, token: str | None) -> str:
    """服务器给的话，能放心打印的样子：一行、不超过 200 字、没有控制字符，也没有 token"""
    if token:
        text = text.replace(token, "***")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:200]


# 状态码 → (哪里不对, 下一步)
PROBLEMS = {
    400: ("请求的格式不对", "对照 07_local_api.py 的 /docs 检查请求"),
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
    """回答里的报错：{"error": "一句话"}，OpenAI 的 {"error": {"message": …}}，FastAPI 的 detail"""
    error = (answer.get("error") or answer.get("detail")) if isinstance(answer, dict) else None
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
    said = f"，服务器说：{one_line(complained, token)}" if complained else ""
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
            next_step = f"等 {one_line(retry_after, token)}（Retry-After，单位秒）再试"
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
            f"{one_line(body, token)[:80]}",
            "多半被代理、校园网登录页或镜像站拦下了：用浏览器打开 --endpoint 看看是什么",
        )
    if said:
        return CourseError(f"{status}，但内容是报错{said}", "按服务器说的改，再试一次")
    return None


# 3. token


def check_token(token: str, for_hub: bool) -> None:
    """token 的样子不对就抛 CourseError；只说哪里不对，绝不把它打印出来"""
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


def serve_full(
    args: argparse.Namespace,
    gpt: Path,
    bert: Path,
    names: Sequence[str],
    announce: Callable[[str, bool, str], None],
) -> NoReturn:
    """07 --full：真的要给人用的那一个（course/api.py），一直服务到 Ctrl-C

    names 是三个名字：续写的，分类的两个；开始服务时调用 announce(地址, 要不要 token, 外面的地址)。
    """
    token, generator, classifier = read_secret(args.token_env), Generator(gpt), Classifier(bert)
    models = dict(zip(names, (generator, classifier, classifier), strict=True))
    public = args.public_url or ""
    app = make_app(models, token, public)
    serve_until_stopped(app, args.port, lambda url: announce(url, bool(token), public))
