"""不是一课  00_check_env.py 的后一半：其余的检查，和怎么打印；第一遍不用读

装坏了的环境里也要能跑，所以只用标准库（网络等 requests 装好再查），也不 import course；语法停在
Python 3.8，这样旧的 Python 才能把"版本太旧"说出来，而不是 SyntaxError。
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

ROOT = Path(__file__).resolve().parents[1]
WINDOWS = os.name == "nt"
SECONDS = 5  # 所有网站一起，最多等多久
Finding = namedtuple("Finding", "mark text fix")  # mark 是 OK、! 或 X；fix 是要敲的，一行一条


def good(text: str) -> Finding:
    return Finding("OK", text, "")


def warn(text: str, fix: str = "") -> Finding:
    return Finding("!", text, FIXES.get(fix, fix))


def bad(text: str, fix: str) -> Finding:
    return Finding("X", text, FIXES.get(fix, fix))


def python(arguments: str) -> str:
    """用正在运行的这个 Python 的命令：终端里的 python 就是它时写 python，不然写它的完整路径"""
    found = shutil.which("python")
    if found and Path(found).parent == Path(sys.executable).parent:
        return f"python {arguments}"
    if WINDOWS and " " in sys.executable:
        return f'& "{sys.executable}" {arguments}'  # PowerShell 里，开头是引号的要加 & 才是命令
    return f"{sys.executable if WINDOWS else shlex.quote(sys.executable)} {arguments}"


ENTER = r".venv\Scripts\activate" if WINDOWS else "source .venv/bin/activate"
CREATE = f"{'python' if WINDOWS else 'python3'} -m venv --clear .venv"
NEWER = {"win32": "winget install -e --id Python.Python.3.12", "darwin": "brew install python@3.12"}
FIXES = {  # 照抄就能用的命令，都在仓库根目录敲
    "install": python("-m pip install -r requirements.txt"),
    "course": python("-m pip install -e ."),
    "activate": ENTER if (ROOT / ".venv").is_dir() else f"{CREATE}\n{ENTER}",
    "rebuild": f"{CREATE}\n{ENTER}\npython -m pip install -r requirements.txt",
    "python": NEWER.get(sys.platform, "sudo apt install python3.12 python3.12-venv"),
}


def findings(check) -> list[Finding]:
    """一样检查的结果；检查自己出了岔子，也不能连累别的"""
    try:
        return list(check())
    except Exception as error:  # 只说类型：报错的原文里可能有代理的密码
        return [warn(f"{check.__name__} 没有查成（{type(error).__name__}）")]


def report(checks: dict) -> int:
    """{标题: 检查} 一起查，按顺序打印；有 [X] 就返回 1"""
    if hasattr(sys.stdout, "reconfigure"):  # IDLE、Jupyter 的没有，也不用
        sys.stdout.reconfigure(errors="replace")  # 控制台没有的字打成问号，而不是崩溃
    if Path.cwd() != ROOT:  # Windows 的 cd 不换盘，pushd 换
        print(f'下面的命令都在仓库根目录运行，先敲  {"pushd" if WINDOWS else "cd"} "{ROOT}"')
    pause = "--pause" in sys.argv or os.environ.get("COURSE_PAUSE", "0") not in ("", "0")
    counts, steps = {"OK": 0, "!": 0, "X": 0}, []
    with ThreadPoolExecutor() as pool:  # 慢的是等网站和 import torch
        waiting = {title: pool.submit(findings, check) for title, check in checks.items()}
        for number, (title, future) in enumerate(waiting.items(), 1):
            print(f"\n── {number}. {title}", flush=True)
            if pause and sys.stdin:
                sys.stdin.readline()
            for fix, group in groupby(future.result(), key=lambda finding: finding.fix):
                for finding in group:  # 同样的命令连着几条都要，只写一次
                    print(f"{'[' + finding.mark + ']':4} {finding.text}")
                    counts[finding.mark] += 1
                    steps += [fix] * (finding.mark == "X")
                for line in fix.splitlines():
                    print(f"       {line}")
    fine, odd, wrong = counts.values()
    print(f"\n一共查了 {fine + odd + wrong} 样：好的 {fine}，注意 {odd}，要改 {wrong}")
    lesson = "python demo01_hf_basics/01_api_anonymous.py"
    print("接着运行：" + (steps[0].splitlines()[0] if steps else lesson))
    print("运行别的脚本出错了，看 docs/errors.md：看到什么、为什么、敲什么")
    return 1 if wrong else 0


# 问 torch 自己，在另一个进程里：它的 DLL 坏了，倒下的是那个进程
ASK_TORCH = """
import json, torch
name = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
print(json.dumps([torch.__version__, torch.version.cuda, name]))
"""


def run_program(*command: str, seconds: float = 10) -> tuple[int | None, str, str]:
    """(退出码, stdout, stderr)；没有这个程序、超过 seconds 秒时退出码是 None"""
    options = {"encoding": "utf-8", "errors": "replace", "stdin": subprocess.DEVNULL}
    try:
        done = subprocess.run(command, capture_output=True, timeout=seconds, **options)
    except (OSError, subprocess.TimeoutExpired):
        return None, "", "等得太久，第一次会被杀毒软件查一遍，再运行一次"
    return done.returncode, done.stdout, done.stderr


def check_torch():
    """torch 自带 CUDA，不用另装；要紧的是驱动够不够新，装的是不是 CPU 版（docs/04-gpu.md）"""
    if importlib.util.find_spec("torch") is None:
        yield warn("torch 还没有装，装好再查")
        return
    pins = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    pin = re.search(r"^torch==[\d.]+", pins, re.MULTILINE)[0]
    code, out, err = run_program(sys.executable, "-c", ASK_TORCH, seconds=90)
    if code != 0:  # Windows 上多半缺运行库
        fix = python(f"-m pip install --force-reinstall --no-deps {pin}")
        runtime = "winget install -e --id Microsoft.VCRedist.2015+.x64\n" if WINDOWS else ""
        yield bad(f"import torch 失败：{[str(code), *err.splitlines()][-1]}", runtime + fix)
        return
    version, cuda, name = json.loads(out.splitlines()[-1])
    said = run_program("nvidia-smi")[1] + "\n" + run_program("nvidia-smi", "-L")[1]
    asked = (r"GPU 0: (.*?)(?: \(UUID|$)", r"Driver Version: *([\d.]+)", r"CUDA Version: *([\d.]+)")
    found = [re.search(pattern, said, re.MULTILINE) for pattern in asked]
    if not all(found):  # 没有 NVIDIA 的显卡，或者驱动坏了
        yield good(f"torch {version}，用 CPU（苹果芯片用 mps），够学完这门课")
        return
    card, driver, newest = (match[1] for match in found)
    had, needed = (int(number.split(".")[0]) for number in (newest, cuda or "0"))
    # 驱动到了 CUDA 13 用 cu130，旧驱动和 cu130 不支持的旧卡用 cu126
    old = had < 13 or re.search(r"GTX (?:9|10)\d\d|TITAN [XV]|[PV]100\b", card)
    build = "cu126" if old else "cu130"
    index = f"--index-url https://download.pytorch.org/whl/{build}"
    wheels = python(f"-m pip install {pin}+{build} {index}")
    if name:
        yield good(f"torch {version}，显卡 {name}，驱动 {driver}")
    elif had < 12:
        yield warn(f"{card} 的驱动 {driver} 太旧：先升级 https://www.nvidia.com/drivers")
    elif cuda is None:
        yield warn(f"有 {card}，装的却是 CPU 版的 torch {version}：能学，只是慢", wheels)
    elif needed > had:
        said = f"torch {version} 要 CUDA {cuda}，驱动只到 {newest}"
        yield warn(f"{said}：升级驱动，或者换低一档的 torch", wheels)
    else:
        yield warn(f"torch {version} 看不见 {card}：重启电脑；还不行就重装", wheels)


def ask(url: str) -> str | None:
    """有回答（哪怕是 404）就是通的，返回 None；不通，或转回 huggingface.co，返回原因"""
    import requests  # 和课程的脚本用同一个，代理（也有 SOCKS 的）就走得一样

    try:
        answer = requests.head(url, timeout=SECONDS - 1, allow_redirects=False)
    except Exception as error:  # 库的异常没有共同的类型；全文里可能有代理的密码，只说种类
        return f"连接失败（{type(error).__name__}）"
    host = urlsplit(answer.headers.get("Location", "")).hostname
    back = host == "huggingface.co" != urlsplit(url).hostname
    return "它把请求转回了 huggingface.co" if back else None


def check_network():
    """连不上不要紧，课程不联网也能学完，所以只是 [!]"""
    for kind, address in getproxies().items():  # 代理软件退出了，变量还留着，下载就都会失败
        url = urlsplit(address if "://" in address else f"http://{address}")
        if kind in ("http", "https", "all"):  # 只给主机和端口：地址里可能写着密码
            where = f"{url.scheme}://{url.hostname}:{url.port}"
            yield good(f"设了代理 {kind.upper()}_PROXY：{where}，连不上时先看它开着没有")
    mirror = "-m pip install -r requirements.txt -i https://pypi.tuna.tsinghua.edu.cn/simple"
    if importlib.util.find_spec("requests") is None:
        yield warn("requests 还没有装，装好再查；装包慢，就从国内的镜像装", python(mirror))
        return
    os.environ["NETRC"] = os.devnull  # requests 会带上 ~/.netrc 里的密码
    for name, address in os.environ.items():  # 域名交给代理去查，和 course/network.py 一样
        if name.lower().endswith("_proxy"):
            os.environ[name] = re.sub(r"^socks(5h?)?://", "socks5h://", address)
    bert = "google-bert/bert-base-chinese/resolve/main/config.json"
    pip = run_program(sys.executable, "-m", "pip", "config", "get", "global.index-url")[1].strip()
    sites = {
        "Hub": os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/"),
        "hf-mirror": f"https://hf-mirror.com/{bert}",
        "魔搭 ModelScope": "https://www.modelscope.cn",
        "pip 下载的地方": os.environ.get("PIP_INDEX_URL") or pip or "https://pypi.org/simple",
    }
    # 解析域名没有超时可设，会卡很久：线程是 daemon，到点就不等了
    answers = dict.fromkeys(sites, f"{SECONDS} 秒没有回答")
    threads = [
        threading.Thread(target=lambda n=n: answers.update({n: ask(sites[n])}), daemon=True)
        for n in sites
    ]
    deadline = time.monotonic() + SECONDS
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0, deadline - time.monotonic()))
    answers = dict(answers)
    sources = {"魔搭 ModelScope": "modelscope", "hf-mirror": "hf-mirror", "Hub": "hf"}
    works = [source for name, source in sources.items() if answers[name] is None]
    other = f"python demo01_hf_basics/05_download_bert.py --source {works[0]}" if works else ""
    for name, reason in answers.items():
        host = urlsplit(sites[name]).hostname
        if reason is None:
            yield good(f"{name} 连得上（{host}）")
        elif name.startswith("pip"):
            yield warn(f"{name}（{host}）：{reason}。从国内的镜像装包", python(mirror))
        else:
            yield warn(f"{name}（{host}）：{reason}。不下载也能学完", other)


def check_token():
    """访问 token 等于密码：只说有没有、从哪来，一个字符也不显示；和 huggingface_hub 找的顺序一样"""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "huggingface"
    stored = Path(os.environ.get("HF_HOME", cache)) / "token"
    stored = Path(os.environ.get("HF_TOKEN_PATH", stored)).expanduser()
    token, where = os.environ.get("HF_TOKEN", "").strip(), "环境变量 HF_TOKEN"
    if not token and stored.is_file():
        token, where = stored.read_text(encoding="utf-8", errors="replace").strip(), str(stored)
    if not token:
        yield warn("没有访问 token：只有 02 用得上，没有也能学；申请好以后", "hf auth login")
    elif not re.fullmatch(r"hf_[\w.-]+", token, re.ASCII):
        said = "不是 hf_ 开头，或混进了空格、引号、全角字符，重新存一次"
        yield warn(f"{where} 里的访问 token {said}", "hf auth login")
    else:
        yield good(f"访问 token 来自 {where}")


def check_pycharm():
    """PyCharm 有它自己选的解释器，和终端里的不一定是同一个"""
    made = ROOT / (r".venv\Scripts\python.exe" if WINDOWS else ".venv/bin/python")
    chosen = sys.executable if sys.prefix != sys.base_prefix else made
    select = f"Settings → Python → Interpreter → Add Interpreter → Select existing，选 {chosen}"
    misc = ROOT / ".idea" / "misc.xml"
    text = misc.read_text(encoding="utf-8", errors="replace") if misc.is_file() else ""
    name = re.search(r'project-jdk-name="([^"]+)"', text)
    version = re.search(r"Python (\d+\.\d+)", name[1]) if name else None
    if "PYCHARM_HOSTED" in os.environ:
        yield good("PyCharm 正在运行它，用的就是上面那个解释器")
    elif version and not sys.version.startswith(version[1] + "."):
        yield warn(f"PyCharm 选的是「{name[1]}」，和这里的不是同一个。改：{select}")
    else:
        yield good(f"PyCharm 里拿不准，就再选一次：{select}")


def weights_problem(path: Path) -> str | None:
    """safetensors 缺了什么；完整是 None。它开头就写着每个张量从第几个字节到第几个字节"""
    with path.open("rb") as file:
        start = file.read(8)
        if start == b"version ":
            return "只是 Git LFS 的指针，真的权重没有下载"
        length = int.from_bytes(start, "little")
        tensors = json.loads(file.read(min(length, 10_000_000)))
    ends = [entry["data_offsets"][1] for name, entry in tensors.items() if name != "__metadata__"]
    expected, size = 8 + length + max(ends, default=0), path.stat().st_size
    return None if size == expected else f"应该有 {expected:,} 字节，只有 {size:,}"


def check_files():
    for name in ("tiny-bert-chinese", "tiny-gpt2-chinese"):
        weights, again = ROOT / "models" / name / "model.safetensors", f"git checkout models/{name}"
        needed = (weights.with_name("config.json"), weights.with_name("vocab.txt"), weights)
        missing = "、".join(path.name for path in needed if not path.is_file())
        problem = f"缺少 {missing}" if missing else weights_problem(weights)
        if problem:
            fix = "git lfs pull" if "LFS" in problem else again
            yield bad(f"models/{name}：{problem}；仓库是下载的 ZIP，就再解压这个文件夹", fix)
        else:
            yield good(f"{name}：权重完整，{weights.stat().st_size / 1e6:.1f} MB")
    for name in ("data", "params", "models"):
        try:
            tempfile.TemporaryFile(dir=ROOT / name).close()
        except OSError as error:
            allow = f'icacls {name} /grant "%USERNAME%:(OI)(CI)F" /T'
            allow = allow if WINDOWS else f'sudo chown -R "$USER" {name}'
            yield bad(f"{name}/ 不能写：{error.strerror}", allow)
    free = shutil.disk_usage(ROOT).free / 1024**3
    if free < 4:
        clean = python("-m pip cache purge")
        yield warn(f"硬盘还剩 {free:.1f} GB，下载真模型前腾一些地方", clean)
    else:
        yield good(f"硬盘还剩 {free:.1f} GB")


OTHER_CHECKS = {
    "torch 和显卡": check_torch,
    "网络": check_network,
    "访问 token": check_token,
    "PyCharm 选的解释器": check_pycharm,
    "随仓库的模型，硬盘": check_files,
}
