"""不是一课  联网的规矩：先探路，每一步都有时限，本机的请求不走代理，存着的密码一个也不带出去"""

import os
import re
import threading
from collections.abc import Callable
from typing import TypeVar
from urllib.request import getproxies

import requests

T = TypeVar("T")

PROXY_HINT = "（看看环境变量 HTTPS_PROXY、ALL_PROXY）"
OFFLINE = ("环境变量 HF_HUB_OFFLINE 不许联网", "去掉它，再运行一次同样的命令")  # 给 CourseError


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

    proxy = None
    try:
        proxy = requests.utils.select_proxy(endpoint, requests.utils.get_environ_proxies(endpoint))
        within(seconds, knock)
    except (TimeoutError, requests.Timeout):
        return f"{seconds:g} 秒内没有回答" + (f"，走的是代理{PROXY_HINT}" if proxy else "")
    except requests.exceptions.SSLError:
        return "证书不对，多半是代理或公司防火墙拦在中间"
    except (requests.RequestException, ValueError) as error:
        if proxy:
            return f"代理连不上{PROXY_HINT}"
        # 只说种类：异常的全文里有一长串内部地址，帮不上学员
        return f"连接失败（{type(error).__name__}）"
    return None


def let_the_proxy_resolve() -> None:
    """代理软件（Clash……）给的 socks5:// 改成 socks5h://：域名交给代理去查

    socks5:// 在 requests 里是自己查域名，只把 IP 给代理，在国内查到的常是假的。
    Ubuntu 的系统设置写成 socks://，httpx2 不认得，也一并改掉。
    """
    for name, address in os.environ.items():
        if name.lower().endswith("_proxy"):
            os.environ[name] = re.sub(r"^socks(5h?)?://", "socks5h://", address)


def bypass_proxy_for_loopback() -> None:
    """开着代理软件时，发给本机 127.0.0.1 的请求也会被送去代理，这里声明例外

    Windows、macOS 的系统代理不在环境变量里，而有了 NO_PROXY 这个变量，Python 就不再去看它们：
    先抄过来。
    """
    let_the_proxy_resolve()
    for kind, address in getproxies().items():
        if kind != "no":
            os.environ.setdefault(f"{kind}_proxy", address)
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
