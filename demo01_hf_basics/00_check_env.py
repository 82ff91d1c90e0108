"""第 0 课  体检：这台机器能不能学这门课，哪里要改

教什么：学不下去，十次有九次是环境的问题：包装到了另一个 Python、版本不对、显卡的驱动和 torch
不配、网站连不上。这里一样一样查给你看。只用标准库，所以一个包都没装也能运行。

怎么运行：python demo01_hf_basics/00_check_env.py
          有 [X] 时退出码是 1；每个 [X] 和 [!] 下面是要敲的命令，照抄就行

会看到：
    [OK] Python 3.…
    …
    [OK] … 个包都装了，版本和 requirements.txt 里的一样
    [OK] course 装好了，就是这个仓库里的
    …
    [OK] tiny-bert-chinese：权重完整，35.1 MB
    …
    一共查了 … 样：…
    接着运行：python …
"""

import importlib.metadata
import importlib.util
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from urllib.parse import urlsplit

from env_checks import (
    ACTIVATE,
    AGAIN,
    DOWNLOAD,
    DRIVERS,
    INSTALL,
    MIRROR,
    NEWER_PYTHON,
    ROOT,
    VC_RUNTIME,
    WINDOWS,
    ask_all,
    bad,
    check_chinese,
    check_files,
    check_proxy,
    check_pycharm,
    check_space,
    cuda_torch,
    good,
    nvidia_driver,
    pip_index,
    python,
    same,
    shells,
    stored_token,
    torch_facts,
    warn,
)

REQUIREMENTS = (ROOT / "requirements.txt").read_text(encoding="utf-8")
PINNED = dict(re.findall(r"^([\w.-]+)(?:\[.*\])?==([\w.]+)", REQUIREMENTS, re.MULTILINE))


# 1. 哪个 Python。装包的 Python 和运行的 Python 不是同一个，是 No module named … 的头号原因
def check_python():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    oldest = tuple(map(int, re.search(r'requires-python = ">=(\d+)\.(\d+)"', text).groups()))
    version = "Python " + sys.version.split()[0]
    if sys.version_info < oldest or sys.maxsize < 2**32:
        yield bad(f"{version} 不行，要 {oldest[0]}.{oldest[1]} 以上、64 位的", NEWER_PYTHON)
    else:
        yield good(f"{version}：{sys.executable}")


# 2. 虚拟环境：给一门课单独一套包，不和别的项目打架，弄坏了删掉重来
def check_environment():
    active = os.environ.get("VIRTUAL_ENV") or os.environ.get("CONDA_PREFIX")
    if active and Path(active).resolve() != Path(sys.prefix).resolve():
        yield warn(f"终端里激活的是 {active}，运行的却是 {sys.executable}", ACTIVATE)
    elif sys.prefix != sys.base_prefix or (Path(sys.prefix) / "conda-meta").is_dir():
        yield good(f"虚拟环境 {sys.prefix}")
    else:
        yield warn("没有用虚拟环境，包会装进系统的 Python；建一个更省心", ACTIVATE)


# 3. 每个包。课程固定了版本：换一个版本，讲义里的输出就可能不一样
def check_packages():
    problems = []
    for name, pinned in PINNED.items():
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            problems.append(bad(f"{name} 没有装，要 {pinned}", python(INSTALL)))
            continue
        if version.split("+")[0] != pinned:  # +cpu、+cu130 只是编译不同
            problems.append(bad(f"{name} 装的是 {version}，课程用的是 {pinned}", python(INSTALL)))
    yield from problems or [good(f"{len(PINNED)} 个包都装了，版本和 requirements.txt 里的一样")]


# 4. course 是这个仓库自己的包，靠 requirements.txt 最后一行的 -e . 装上
def check_course():
    spec = importlib.util.find_spec("course")
    folder = Path(spec.origin).resolve().parent.parent if spec and spec.origin else None
    if folder is None:
        yield bad("course 没有装，脚本会说 No module named 'course'", python("-m pip install -e ."))
    elif folder != ROOT:
        yield bad(f"course 来自另一份仓库 {folder}", python("-m pip install -e ."))
    else:
        yield good("course 装好了，就是这个仓库里的")


# 5. torch 和显卡。torch 自带 CUDA，不用另装；要紧的是驱动够不够新，装的是不是 CPU 版
def check_torch():
    driver = nvidia_driver()
    card = driver["card"] or "NVIDIA 显卡" if driver else None
    if driver and not driver["cuda"]:
        yield warn(f"有 nvidia-smi，但问不到显卡，驱动可能坏了：重装 {DRIVERS}")
    if importlib.util.find_spec("torch") is None:
        return  # 上面已经说过没有装
    facts, reason = torch_facts()
    if facts is None:
        again = "python -m pip install --force-reinstall --no-deps torch==" + PINNED["torch"]
        yield bad(f"import torch 失败：{reason}", shells(VC_RUNTIME, VC_RUNTIME, again))
        return
    version, cuda, name, mps = facts
    if driver and driver["cuda"]:
        wheels = cuda_torch(PINNED["torch"], driver)
        newest, needed = (float(re.match(r"\d+", v or "0")[0]) for v in (driver["cuda"], cuda))
        if name:
            yield good(f"torch {version}，显卡 {name}，驱动 {driver['driver']}")
        elif newest < 12:
            text = f"{card} 的驱动 {driver['driver']} 太旧（CUDA {driver['cuda']}），torch 用不上它"
            yield warn(f"{text}：先升级 {DRIVERS}")
        elif cuda is None:
            yield warn(f"有 {card}，装的却是 CPU 版的 torch {version}：能学，只是慢", wheels)
        elif needed > newest:
            text = f"torch {version} 要 CUDA {cuda}，驱动只到 {driver['cuda']}"
            yield warn(f"{text}：升级驱动，或者换低一档的 torch", wheels)
        else:
            yield warn(f"torch {version} 看不见 {card}：重启电脑；还不行就重装", wheels)
    elif cuda:
        yield good(f"torch {version}，CUDA 版，这里没有显卡可用，会用 CPU（CPU 版小得多）")
    else:
        yield good(f"torch {version}，用{'苹果芯片（mps）' if mps else ' CPU'}，够学完这门课")


# 6. 网络。连不上不要紧，课程不联网也能学完，所以只是 [!]
def check_network():
    sites = {
        "Hub": os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/"),
        "hf-mirror": "https://hf-mirror.com/google-bert/bert-base-chinese/resolve/main/config.json",
        "魔搭 ModelScope": "https://www.modelscope.cn",
        "PyPI": "https://pypi.org/simple/pip/",
        "pip 下载的地方": pip_index(),
    }
    answers = ask_all({name: (url,) for name, url in sites.items()})
    sources = {"魔搭 ModelScope": "modelscope", "hf-mirror": "hf-mirror", "Hub": "hf"}
    works = [source for name, source in sources.items() if answers[name] is None]
    slow = {
        "PyPI": python(f"{INSTALL} -i {MIRROR}"),
        "pip 下载的地方": python(f"-m pip config set global.index-url {MIRROR}"),
    }
    for name, reason in answers.items():
        host = urlsplit(sites[name]).hostname  # 只给主机名：地址里可能写着密码
        if reason is None:
            yield good(f"{name} 连得上（{host}）")
        elif name in slow:
            yield warn(f"{name}（{host}）：{reason}。换国内的镜像装包", slow[name])
        elif works:
            yield warn(f"{name}（{host}）：{reason}。从别处下", same(f"{DOWNLOAD} {works[0]}"))
        else:
            yield warn(f"{name}（{host}）：{reason}。不下载也能学完；换个网络再查", AGAIN)


# 7. 访问 token 等于密码：只说有没有、是哪一种、从哪来，一个字符也不显示
def check_token():
    token, where = stored_token()
    login = same("hf auth login")
    kinds = {
        "hf_oauth_": "用浏览器登录得到的，会过期",
        "hf_": "自己申请的；fine-grained、read 还是 write，从开头看不出来",
    }
    kind = next((text for start, text in kinds.items() if token.startswith(start)), None)
    if not token:
        yield warn("没有访问 token：只有 demo01 的 02 用得上，没有也能学；申请好以后", login)
    elif not re.fullmatch(r"[\w.-]+", token, re.ASCII):
        yield warn(f"{where} 里的访问 token 混进了空格、引号或全角字符，重新存一次", login)
    elif kind is None:
        yield warn(f"{where} 里的不像 Hugging Face 的访问 token（不是 hf_ 开头）", login)
    else:
        yield good(f"访问 token 来自 {where}：{kind}")


# 8. 一样一样地查。其余几样（硬盘、字体、权重文件……）没有什么可讲的，在 env_checks.py 里
CHECKS = [
    *(check_python, check_environment, check_pycharm, check_packages, check_course, check_torch),
    *(check_space, check_network, check_proxy, check_token, check_chinese, check_files),
]


def findings(check) -> list:
    """一样检查的结果；检查自己出了岔子，也不能连累别的"""
    try:
        return list(check())
    except Exception as error:  # 只说类型：报错的原文里可能有代理的密码
        return [warn(f"{check.__name__} 没有查成（{type(error).__name__}）")]


def main() -> int:
    if hasattr(sys.stdout, "reconfigure"):  # IDLE、Jupyter 的没有，也不用
        sys.stdout.reconfigure(errors="replace")  # 控制台没有的字打成问号，而不是崩溃
    if Path.cwd() != ROOT:  # Windows 的 cd 不换盘，pushd 换
        print(f'下面的命令都在仓库根目录运行，先敲  {"pushd" if WINDOWS else "cd"} "{ROOT}"\n')
    # 一起查，按顺序打印：慢的是等网站和 import torch。同样的命令连着几条都要，只写一次
    counts, steps = {"OK": 0, "!": 0, "X": 0}, []
    with ThreadPoolExecutor() as pool:
        results = (finding for found in pool.map(findings, CHECKS) for finding in found)
        for fix, group in groupby(results, key=lambda finding: finding.fix):
            for finding in group:
                print(f"{'[' + finding.mark + ']':4} {finding.text}", flush=True)
                counts[finding.mark] += 1
                if finding.mark == "X":
                    steps.append(list(fix.values())[0 if WINDOWS else -1])
            for shell, command in fix.items():
                print(f"       {shell:12} {command}" if shell else f"       {command}")
    fine, odd, wrong = counts.values()
    print(f"\n一共查了 {fine + odd + wrong} 样：好的 {fine}，注意 {odd}，要改 {wrong}")
    print("接着运行：" + (steps[0] if steps else "python demo01_hf_basics/01_api_anonymous.py"))
    return 1 if wrong else 0

    # 小结：先看是哪个 Python，再看包、显卡、网络；[X] 改好才能学，[!] 不改也能学
    # 练习：把 requirements.txt 里一个版本改掉再运行，看完改回来；HF_TOKEN 设成一句中文，它显示吗？


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\n已停止（Ctrl-C）")
