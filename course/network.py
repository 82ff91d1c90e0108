"""不是一课  联网的规矩：先探路，每一步都有时限，本机的请求不走代理，存着的密码一个也不带出去"""

import os
import re
import threading
from collections.abc import Callable
from typing import TypeVar

import requests

T = TypeVar("T")


def within(seconds: float, work: Callable[[], T]) -> T:
    """执行 work()，超过 seconds 秒就不等了，抛 TimeoutError

    requests 的 timeout 只管"多久没有新数据"：域名解析卡住、对方一秒吐一个字节，它都管不着。
    这里放到后台线程里，到点就走；线程是 daemon，不会拖住脚本的退出。
    """
    box: dict[str, object] = {}

    def body() -> None:
        try:
            box["value"] = work()
        except BaseException as error:  # 原样带回给调用的人
            box["error"] = error

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    thread.join(seconds)
    if "error" in box:
        raise box["error"]
    if "value" not in box:
        raise TimeoutError(f"{seconds:g} 秒内没有回答")
    return box["value"]


def unreachable(endpoint: str, seconds: float) -> str | None:
    """seconds 秒内探一下路：连得上（无论答什么）返回 None，连不上返回一句中文原因"""

    def knock() -> None:
        # stream=True：看到回答的第一行就够了，不读内容；不跟着跳转走
        with requests.get(endpoint, timeout=seconds, stream=True, allow_redirects=False):
            pass

    try:
        within(seconds, knock)
    except (TimeoutError, requests.Timeout):
        return f"{seconds:g} 秒内没有回答"
    except requests.exceptions.SSLError:
        return "证书不对，多半是代理或公司防火墙拦在中间"
    except requests.exceptions.ProxyError:
        return "代理连不上（看看环境变量 HTTPS_PROXY）"
    except (requests.RequestException, ValueError) as error:
        # 只说种类：异常的全文里有一长串内部地址，帮不上学员
        return f"连接失败（{type(error).__name__}）"
    return None


def bypass_proxy_for_loopback() -> None:
    """开着代理软件（HTTP_PROXY）时，发给本机 127.0.0.1 的请求也会被送去代理，这里声明例外"""
    for name in ("NO_PROXY", "no_proxy"):
        hosts = [host for host in os.environ.get(name, "").split(",") if host]
        os.environ[name] = ",".join(dict.fromkeys([*hosts, "127.0.0.1", "localhost"]))


def ignore_netrc() -> None:
    """requests 会自作主张带上 ~/.netrc 里的密码，还盖掉请求头里的 token；给它一个空的文件

    环境变量 NETRC 是它找这个文件的地方：https://docs.python-requests.org/en/latest/user/authentication/
    """
    os.environ["NETRC"] = os.devnull


def without_password(address: str) -> str:
    """能打印的地址：https://名字:密码@主机 → https://***@主机"""
    return re.sub(r"^([a-z]+://)?.*@", r"\1***@", address, flags=re.IGNORECASE)
