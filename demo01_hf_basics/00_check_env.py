"""第 0 课  体检：这台机器能不能学这门课（只要运行，不用读代码）

教什么：学不下去，十次有九次是环境的问题：包装到了另一个 Python、版本不对、显卡的驱动和 torch
不配、网站连不上。这里一样一样查给你看。最常错的四样在这个文件里，其余的在 env_checks.py。
只用标准库，所以一个包都没装也能运行。

怎么运行：python demo01_hf_basics/00_check_env.py
          有 [X] 时退出码是 1；每个 [X] 和 [!] 下面是要敲的命令，照抄就行

会看到：
    ── 1. 哪个 Python
    [OK] Python 3.…
    ── 2. 虚拟环境
    [OK] 虚拟环境 …
    ── 3. 每个包
    [OK] … 个包都装了，版本和 requirements.txt 里的一样
    ── 4. course，这个仓库自己的包
    [OK] course 装好了，就是这个仓库里的
    ── 5. torch 和显卡
    [OK] torch …
    ── 6. 网络
    … Hub（…
    ── 7. 访问 token
    … 访问 token…
    ── 8. PyCharm 选的解释器
    … PyCharm …
    ── 9. 随仓库的模型，硬盘
    [OK] tiny-bert-chinese：权重完整，35.1 MB
    …
    一共查了 … 样：…
    接着运行：python …
    运行别的脚本出错了，看 docs/errors.md：看到什么、为什么、敲什么
"""

import importlib.metadata
import importlib.util
import os
import re
import sys
from pathlib import Path

from env_checks import OTHER_CHECKS, bad, good, report, warn

ROOT = Path(__file__).resolve().parents[1]
ISOLATED = sys.prefix != sys.base_prefix or (Path(sys.prefix) / "conda-meta").is_dir()
INSTALL = "install" if ISOLATED else "activate"  # 没有虚拟环境，先别把两 GB 装进系统的 Python


# 装包的 Python 和运行的 Python 不是同一个，是 No module named … 的头号原因
def check_python():
    version = "Python " + sys.version.split()[0]
    if sys.version_info < (3, 11) or sys.maxsize < 2**32:
        yield bad(f"{version} 不行，要 3.11 以上、64 位的", "python")
    else:
        yield good(f"{version}：{sys.executable}")


# 虚拟环境：给一门课单独一套包，不和别的项目打架，弄坏了删掉重来
def check_environment():
    active = os.environ.get("VIRTUAL_ENV") or os.environ.get("CONDA_PREFIX")
    script = next(ROOT.glob(".venv/*/activate"), None)  # 激活用的脚本，里面写着 .venv 在哪里
    text = script.read_text(encoding="utf-8", errors="replace") if script else ""
    written = re.findall(r"VIRTUAL_ENV=[\"']?([^\"'$\n]+)", text)
    if written and not any(Path(place).exists() for place in written):
        yield warn(f".venv 是在 {written[-1]} 建的，整个文件夹搬过家：删掉它，重新建", "rebuild")
    elif active and Path(active).resolve() != Path(sys.prefix).resolve():
        yield warn(f"终端里激活的是 {active}，运行的却是 {sys.executable}", "activate")
    elif ISOLATED:
        yield good(f"虚拟环境 {sys.prefix}")
    elif script:
        yield warn("有 .venv，却没有激活：现在用的是系统的 Python", "activate")
    else:
        yield warn("没有用虚拟环境，包会装进系统的 Python；建一个更省心", "activate")


# 课程固定了版本：换一个版本，讲义里的输出就可能不一样
def check_packages():
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    pinned = re.findall(r"^([\w.-]+)(?:\[.*\])?==([\w.]+)", text, re.MULTILINE)
    problems = []
    for name, wanted in pinned:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            problems.append(bad(f"{name} 没有装，要 {wanted}", INSTALL))
            continue
        if version.split("+")[0] != wanted:  # +cpu、+cu130 只是编译不同
            problems.append(bad(f"{name} 装的是 {version}，课程用的是 {wanted}", INSTALL))
    yield from problems or [good(f"{len(pinned)} 个包都装了，版本和 requirements.txt 里的一样")]


# course 靠 requirements.txt 最后一行的 -e . 装上：-e 是"就用这个文件夹里的"，不另拷一份
def check_course():
    spec = importlib.util.find_spec("course")
    folder = Path(spec.origin).resolve().parents[1] if spec and spec.origin else None
    fix = "course" if ISOLATED else "activate"
    if folder is None:
        yield bad("course 没有装，脚本会说 No module named 'course'", fix)
    elif folder == ROOT:
        yield good("course 装好了，就是这个仓库里的")
    elif folder.name == "site-packages":  # pip install . 少写了 -e
        yield warn(f"course 是拷到 {folder} 里的一份，这里的 course/ 改了也不算数", fix)
    else:
        yield bad(f"course 来自另一份仓库 {folder}", fix)


CHECKS = {
    "哪个 Python": check_python,
    "虚拟环境": check_environment,
    "每个包": check_packages,
    "course，这个仓库自己的包": check_course,
}

if __name__ == "__main__":
    sys.exit(report({**CHECKS, **OTHER_CHECKS}))

    # 小结：先看是哪个 Python，再看包、显卡、网络；[X] 改好才能学，[!] 不改也能学
    # 练习：把 requirements.txt 里一个版本改掉再运行，看完改回来；HF_TOKEN 设成一句中文，它显示吗？
