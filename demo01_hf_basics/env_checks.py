"""不是一课  00_check_env.py 的工具（跑程序、问网站、读驱动），和几样不用讲的检查

装坏了的环境里也要能跑，所以只用标准库，也不 import course；语法停在 Python 3.8，这样旧的
Python 才能把"版本太旧"说出来，而不是 SyntaxError。
"""

from __future__ import annotations

import ctypes
import http.client
import importlib.util
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, unquote, urlsplit

ROOT = Path(__file__).resolve().parent.parent
WINDOWS = os.name == "nt"
GB = 1024**3
SECONDS = 5  # 所有网站一起，最多等多久
TORCH_SECONDS = 90  # 第一次 import torch，杀毒软件会把几百个文件查一遍

# 问 torch 自己，在另一个进程里：它的 DLL 坏了，倒下的是那个进程
ASK_TORCH = """
import json, torch
cuda = torch.cuda.is_available()
name = torch.cuda.get_device_name(0) if cuda else None
print(json.dumps([torch.__version__, torch.version.cuda, name, torch.backends.mps.is_available()]))
"""


class Finding(NamedTuple):
    """一条检查结果：mark 是 OK、! 或 X；fix 是 {哪个终端: 命令}，"" 表示哪里都一样"""

    mark: str
    text: str
    fix: dict[str, str] = {}  # noqa: RUF012  只读，从不修改


def good(text: str) -> Finding:
    return Finding("OK", text)


def warn(text: str, fix: dict[str, str] | None = None) -> Finding:
    return Finding("!", text, fix or {})


def bad(text: str, fix: dict[str, str] | None = None) -> Finding:
    return Finding("X", text, fix or {})


def same(command: str) -> dict[str, str]:
    """四种终端里都一样的命令"""
    return {"": command}


def shells(cmd: str, powershell: str, macos: str, linux: str | None = None) -> dict[str, str]:
    """各个终端不一样的命令；没写 linux 就和 macOS 一样"""
    if linux is None:
        return {"cmd": cmd, "PowerShell": powershell, "macOS/Linux": macos}
    return {"cmd": cmd, "PowerShell": powershell, "macOS": macos, "Linux": linux}


def python(arguments: str) -> dict[str, str]:
    """用正在运行的这个 Python 的命令：终端里的 python 就是它时写 python，不然写它的完整路径"""
    found = shutil.which("python")
    if found and Path(found).parent == Path(sys.executable).parent:
        return same(f"python {arguments}")
    if not WINDOWS:
        return same(f"{shlex.quote(sys.executable)} {arguments}")
    if " " not in sys.executable:
        return same(f"{sys.executable} {arguments}")
    path = f'"{sys.executable}"'  # PowerShell 里，开头是引号的要加 & 才是命令
    return {"cmd": f"{path} {arguments}", "PowerShell": f"& {path} {arguments}"}


# 照抄就能用的命令，都在仓库根目录敲
INSTALL = "-m pip install -r requirements.txt"  # 前面加上 python(…)
MIRROR = "https://pypi.tuna.tsinghua.edu.cn/simple"
VC_RUNTIME = "winget install -e --id Microsoft.VCRedist.2015+.x64"  # Windows 上 torch 的 DLL 要它
DRIVERS = "https://www.nvidia.com/drivers"
AGAIN = same("python demo01_hf_basics/00_check_env.py")
DOWNLOAD = "python demo01_hf_basics/05_download_bert.py --source"
ACTIVATE = shells(  # 建一个虚拟环境，再进去
    r"python -m venv .venv && .venv\Scripts\activate.bat",
    r"python -m venv .venv; .venv\Scripts\Activate.ps1",
    "python3 -m venv .venv && source .venv/bin/activate",
)
NEWER_PYTHON = shells(
    "winget install -e --id Python.Python.3.12",
    "winget install -e --id Python.Python.3.12",
    "brew install python@3.12",
    "sudo apt install python3.12 python3.12-venv",
)


def run_program(command: list[str], seconds: float) -> tuple[int | None, str, str]:
    """(退出码, stdout, stderr)；没有这个程序、超过 seconds 秒时退出码是 None"""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=seconds,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None, "", ""
    return done.returncode, done.stdout, done.stderr


def torch_facts() -> tuple[list | None, str]:
    """([版本, CUDA 版本, 显卡名, 有没有 mps], "")；import 不了是 (None, 原因)"""
    code, out, err = run_program([sys.executable, "-c", ASK_TORCH], TORCH_SECONDS)
    if code == 0:
        return json.loads(out.splitlines()[-1]), ""
    if code is None:
        return None, f"{TORCH_SECONDS} 秒还没有 import 完"
    return None, (err.strip().splitlines() or [f"退出码 {code}"])[-1]


def nvidia_driver() -> dict[str, str] | None:
    """nvidia-smi 说的：{"driver": 驱动版本, "cuda": 驱动最高支持的 CUDA, "card": 名字}

    没有 nvidia-smi 是 None；有但读不出来（驱动坏了）时，三样都是空的。
    """
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    table, names = run_program([program], 10)[1], run_program([program, "-L"], 10)[1]
    patterns = {"driver": r"Driver Version: *([\d.]+)", "cuda": r"CUDA Version: *([\d.]+)"}
    facts = {name: re.search(pattern, table) for name, pattern in patterns.items()}
    facts["card"] = re.search(r"GPU 0: (.*?)(?: \(UUID|$)", names, re.MULTILINE)
    return {name: match[1] if match else "" for name, match in facts.items()}


def cuda_torch(version: str, driver: dict[str, str]) -> dict[str, str]:
    """装 CUDA 版 torch 的命令：驱动到了 CUDA 13 用 cu130，旧驱动和 cu130 不支持的旧卡用 cu126

    版本后面写上 +cu130，pip 才会换掉已有的 CPU 版。怎么选的见 docs/04-gpu.md。
    """
    old_card = re.search(r"GTX (?:9|10)\d\d|TITAN [XV]|[PV]100\b", driver["card"])
    build = "cu126" if old_card or int(driver["cuda"].split(".")[0]) < 13 else "cu130"
    wheels = f"https://download.pytorch.org/whl/{build}"
    return python(f"-m pip install torch=={version}+{build} --index-url {wheels}")


def memory_bytes() -> int | None:
    """这台机器的内存，字节；问不出来是 None"""
    if WINDOWS:

        class Status(ctypes.Structure):
            _fields_ = [("length", ctypes.c_ulong), ("load", ctypes.c_ulong)] + [
                (name, ctypes.c_ulonglong) for name in ("total", "free", "a", "b", "c", "d", "e")
            ]

        status = Status()
        status.length = ctypes.sizeof(Status)
        ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
        return status.total or None
    if sys.platform == "darwin":
        out = run_program(["sysctl", "-n", "hw.memsize"], 5)[1]
        return int(out) if out.strip().isdigit() else None
    meminfo = Path("/proc/meminfo")
    text = meminfo.read_text(encoding="utf-8") if meminfo.is_file() else ""
    found = re.search(r"^MemTotal: *(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else None


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """不跟着 3xx 走：要看的正是它把我们转到哪里"""

    def redirect_request(self, *_) -> None:
        return None


def ask(url: str, proxy: str = "") -> str | None:
    """问一个网站。有回答（哪怕是 404）就是通的，返回 None；不通，或转到别的主机，返回原因

    走 proxy；没给就像课程用的库那样走环境变量里的，其中的 ALL_PROXY 和 SOCKS，urllib 自己不会。
    """
    there, proxies = urlsplit(url), urllib.request.getproxies()
    if not proxy and not urllib.request.proxy_bypass(there.hostname or ""):
        proxy = proxies.get(there.scheme) or proxies.get("all", "")
    try:
        if proxy.startswith("socks"):
            ask_by_socks(there, urlsplit(proxy))
            return None
        by = urllib.request.ProxyHandler({there.scheme: proxy} if proxy else {})
        request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "check-env"})
        urllib.request.build_opener(NoRedirect, by).open(request, timeout=SECONDS - 1).close()
    except HTTPError as answer:
        host = urlsplit(answer.headers.get("Location", "")).hostname
        if 300 <= answer.code < 400 and host == "huggingface.co" != there.hostname:
            return "它把请求转回了 huggingface.co"
    except URLError as error:
        return f"连接失败（{type(error.reason).__name__}）"
    except (OSError, http.client.HTTPException, ValueError, RuntimeError) as error:
        return f"连接失败（{type(error).__name__}）"
    return None


def ask_by_socks(there: SplitResult, proxy: SplitResult) -> None:
    """经过 SOCKS5 代理连一个网站，域名交给代理去查；不通就抛 OSError"""
    place, seconds = (proxy.hostname, proxy.port or 1080), SECONDS - 1
    try:
        import socks  # 环境还没装好时没有它，那就只看代理开着没有
    except ImportError:
        socket.create_connection(place, timeout=seconds).close()
        return
    login = [word and unquote(word) for word in (proxy.username, proxy.password)]
    port = there.port or (443 if there.scheme == "https" else 80)
    socks.create_connection(
        (there.hostname, port), seconds, None, socks.SOCKS5, *place, True, *login
    ).close()


def pip_index() -> str:
    """pip 从哪里下载：配置过的镜像，没有就是 PyPI"""
    configured = (
        os.environ.get("PIP_INDEX_URL")
        or run_program(
            [sys.executable, "-m", "pip", "config", "get", "global.index-url"], SECONDS - 1
        )[1]
    )
    return configured.strip() or "https://pypi.org/simple"


def ask_all(sites: dict[str, tuple[str, ...]]) -> dict[str, str | None]:
    """{名字: ask 的参数} → {名字: None 或原因}，一起问，总共不超过 SECONDS 秒

    解析域名没有超时可设，会卡很久；线程都是 daemon，到点就不等了。
    """
    answers: dict[str, str | None] = {}

    def one(name: str, question: tuple[str, ...]) -> None:
        answers[name] = ask(*question)

    threads = [threading.Thread(target=one, args=site, daemon=True) for site in sites.items()]
    deadline = time.monotonic() + SECONDS
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0, deadline - time.monotonic()))
    return {name: answers.get(name, f"{SECONDS} 秒没有回答") for name in sites}


def stored_token() -> tuple[str, str]:
    """(访问 token, 在哪里找到的)；和 huggingface_hub 找的顺序一样：环境变量在前，没有就是空的"""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "huggingface"
    home = Path(os.environ.get("HF_HOME", cache))
    stored = Path(os.environ.get("HF_TOKEN_PATH", home / "token")).expanduser()
    token = os.environ.get("HF_TOKEN", "").strip()
    if token or not stored.is_file():
        return token, "环境变量 HF_TOKEN"
    return stored.read_text(encoding="utf-8", errors="replace").strip(), str(stored)


def weights_problem(path: Path) -> str | None:
    """safetensors 文件缺了什么；完整是 None

    格式：8 个字节的长度，一段 JSON（每个张量从第几个字节到第几个字节），然后是数字。
    所以不用对照表，文件自己就说出该有多大。https://huggingface.co/docs/safetensors
    """
    with path.open("rb") as file:
        start = file.read(8)
        if start == b"version ":
            return "只是 Git LFS 的指针，真的权重没有下载"
        length = int.from_bytes(start, "little")
        try:
            tensors = json.loads(file.read(min(length, 10_000_000)))
        except ValueError:
            return "开头坏了"
    ends = [entry["data_offsets"][1] for name, entry in tensors.items() if name != "__metadata__"]
    expected, size = 8 + length + max(ends, default=0), path.stat().st_size
    return None if size == expected else f"应该有 {expected:,} 字节，只有 {size:,}"


def check_pycharm():
    """PyCharm 有它自己选的解释器，和终端里的不一定是同一个"""
    select = (
        "Settings → Python → Interpreter（旧版 Project → Python Interpreter）→ Add Interpreter →"
        " Add Local Interpreter → Select existing，选 "
    )
    if sys.prefix != sys.base_prefix or (Path(sys.prefix) / "conda-meta").is_dir():
        select += sys.executable
    else:  # 没有虚拟环境，就别让 PyCharm 也用系统的 Python
        made = r".venv\Scripts\python.exe" if WINDOWS else ".venv/bin/python"
        select = f"先建 .venv（命令在上面），再 {select}{ROOT / made}"
    files = [ROOT / ".idea" / "misc.xml", *(ROOT / ".idea").glob("*.iml")]
    text = "".join(f.read_text(encoding="utf-8", errors="replace") for f in files if f.is_file())
    name = re.search(r'(?:project-jdk-name|jdkName)="([^"]+)"', text)
    version = re.search(r"Python (\d+\.\d+)", name[1]) if name else None
    others = [f.parent for f in ROOT.glob("*/pyvenv.cfg") if f.parent != Path(sys.prefix)]
    if "PYCHARM_HOSTED" in os.environ:
        yield good("PyCharm 正在运行它，用的就是上面那个解释器")
    elif version and not sys.version.startswith(version[1] + "."):
        yield warn(f"PyCharm 选的是「{name[1]}」，和这里的不是同一个。改成这个：{select}")
    elif name:
        yield good(f"PyCharm 选的解释器叫「{name[1]}」；拿不准就再选一次：{select}")
    else:
        yield good(f"PyCharm 还没有打开过这个仓库；用它的话，{select}")
    if others and sys.prefix == sys.base_prefix:
        yield warn(f"仓库里有虚拟环境 {others[0].name}，现在用的不是它；PyCharm 里也选它")


def check_space():
    """内存和硬盘：默认的训练用不到 1 GB，真的 bert-base-chinese 和 gpt2 各 400 MB"""
    total = memory_bytes()
    if total is None:
        yield warn("问不出内存有多大；默认的训练用不到 1 GB")
    elif total < 4 * GB:
        yield warn(f"内存 {total / GB:.1f} GB，偏小：关掉别的程序，训练时 --batch-size 用小的")
    else:
        yield good(f"内存 {total / GB:.1f} GB")
    clean = python("-m pip cache purge")
    for title, folder in {"仓库": ROOT, "用户文件夹（Hub 的缓存）": Path.home()}.items():
        free = shutil.disk_usage(folder).free / GB
        text = f"{title}所在的硬盘还剩 {free:.1f} GB"
        if free < 0.5:
            yield bad(f"{text}，存不下权重；先腾地方，比如 pip 的缓存", clean)
        elif free < 4:
            yield warn(f"{text}，下载真模型前腾一些地方", clean)
        else:
            yield good(text)


def check_chinese():
    """汉字：图里的字体，终端的编码"""
    spec = importlib.util.find_spec("zhplot")
    fonts = sorted(Path(spec.origin).parent.rglob("*.[ot]t[fc]")) if spec else []
    if any(font.stat().st_size > 1_000_000 for font in fonts):
        yield good(f"画图的中文字体 {fonts[0].name}")
    else:
        yield bad("没有 zhplot 带的中文字体，图里的汉字会是方框", python(INSTALL))
    page = ctypes.windll.kernel32.GetConsoleOutputCP() if WINDOWS else None
    utf8 = shells("chcp 65001", "chcp 65001", "export PYTHONIOENCODING=utf-8")
    if page not in (None, 0, 936, 65001):
        yield warn(f"终端的代码页是 {page}，显示不了汉字", utf8)
        return
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"  # pythonw 没有标准输出
    if re.match("utf|gb|cp936", encoding.lower()):
        yield good(f"输出的编码 {encoding}，能显示汉字")
    else:
        yield warn(f"输出的编码是 {encoding}，显示不了汉字", utf8)


def check_files():
    """随仓库的两个小模型，和三个要往里写东西的文件夹"""
    for name in ("tiny-bert-chinese", "tiny-gpt2-chinese"):
        folder = ROOT / "models" / name
        again = same(f"git checkout -- models/{name}")
        unzip = "" if (ROOT / ".git").exists() else "；仓库是下载的 ZIP，就从里面再解压这个文件夹"
        needed = ("config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json")
        missing = [file for file in needed if not (folder / file).is_file()]
        if missing:
            yield bad(f"models/{name} 缺少 {'、'.join(missing)}{unzip}", again)
            continue
        problem = weights_problem(folder / "model.safetensors")
        words = (folder / "vocab.txt").read_text(encoding="utf-8").count("\n")
        size = json.loads((folder / "config.json").read_text(encoding="utf-8"))["vocab_size"]
        if problem:
            lfs = same("git lfs pull") if "LFS" in problem else again
            yield bad(f"models/{name}/model.safetensors {problem}{unzip}", lfs)
        elif words != size:
            yield bad(f"models/{name}/vocab.txt 有 {words} 行，应该有 {size} 行{unzip}", again)
        else:
            weights = (folder / "model.safetensors").stat().st_size
            yield good(f"{name}：权重完整，{weights / 1e6:.1f} MB")
    for name in ("data", "params", "models"):
        folder = ROOT / name
        try:
            with tempfile.TemporaryFile(dir=folder):
                yield good(f"{name}/ 能写")
        except OSError as error:
            allow = shells(
                f'icacls {name} /grant "%USERNAME%:(OI)(CI)F" /T',
                f'icacls {name} /grant "${{env:USERNAME}}:(OI)(CI)F" /T',
                f'sudo chown -R "$USER" {name}',
            )
            yield bad(f"{name}/ 不能写：{error.strerror}", allow)


def check_proxy():
    """代理：Clash 之类退出了，变量还留着，所有的下载就都会失败"""
    found = urllib.request.getproxies()
    proxies = {kind: found[kind] for kind in ("http", "https", "all") if kind in found}
    if not proxies:
        yield good("没有设代理")
    hub = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    reasons = ask_all({kind: (hub, address) for kind, address in proxies.items()})
    for kind, address in proxies.items():
        url = urlsplit(address if "://" in address else f"http://{address}")
        name = f"{kind.upper()}_PROXY"  # 只给主机和端口：地址里可能写着密码
        text = f"代理 {name}：{url.scheme}://{url.hostname}:{url.port}，经过它"
        unset = shells(f"set {name}=", f"$env:{name}=''", f"unset {name} {name.lower()}")
        if reasons[kind] is None:
            yield good(f"{text}连得上 {urlsplit(hub).hostname}")
        else:
            text += f"连不上 {urlsplit(hub).hostname}，{reasons[kind]}"
            yield warn(f"{text}：打开代理软件，换一个节点，或去掉这个变量", unset)
