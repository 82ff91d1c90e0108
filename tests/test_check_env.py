"""The doctor: healthy, bare, broken, with a card, behind a dead proxy; a token is never shown"""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import environment, run_script
from loopback_tools import Proxy, Rude, run_loopback

from course.paths import ROOT

SCRIPT = "demo01_hf_basics/00_check_env.py"
MACHINERY = "demo01_hf_basics/env_checks.py"
SECRET = "ThisMustNeverBeSeen0123456789"
NVIDIA_SMI = """#!/bin/sh
if [ "$1" = "-L" ]; then
    echo "GPU 0: NVIDIA GeForce RTX 3060 (UUID: GPU-11111111-2222-3333-4444-555555555555)"
    exit 0
fi
cat <<'END'
Tue Nov 24 10:00:00 2026
+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI {driver}             Driver Version: {driver}      CUDA Version: {cuda}     |
|-----------------------------------------+------------------------+----------------------+
|   0  NVIDIA GeForce RTX 3060        Off |   00000000:01:00.0  On |                  N/A |
+-----------------------------------------+------------------------+----------------------+
END
"""


def problems(out: str) -> list[str]:
    return [line for line in out.splitlines() if line.startswith("[X]")]


def line_after(out: str, found: str) -> str:
    """The line below the (only) one that contains `found`: the command"""
    lines = out.splitlines()
    (number,) = [i for i, line in enumerate(lines) if found in line]
    return lines[number + 1].strip()


def check(repo: Path, python: str = sys.executable, **env: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [python, str(repo / SCRIPT)],
        cwd=repo,
        env={k: v for k, v in environment(repo).items() if k != "VIRTUAL_ENV"} | env,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )


def test_a_healthy_machine_without_network(repo):
    done = run_script(repo, SCRIPT)
    assert done.returncode == 0 and done.stderr == ""
    out = done.stdout
    assert f"[OK] Python {sys.version.split()[0]}：{sys.executable}" in out
    pins = re.findall(r"^[\w-]+==", (ROOT / "requirements.txt").read_text("utf-8"), re.MULTILINE)
    assert f"[OK] {len(pins)} 个包都装了" in out
    assert "[OK] course 装好了" in out and "[OK] torch 2." in out
    assert "[!]  Hub（huggingface.co）：连接失败" in out  # no network is no error
    assert "[OK] tiny-bert-chinese：权重完整" in out and "[OK] tiny-gpt2-chinese：" in out
    assert re.findall(r"── (\d+)\. ", out) == list("123456789")
    counted = re.search(r"一共查了 (\d+) 样：好的 (\d+)，注意 (\d+)，要改 0\n", out).groups()
    total, ok, warnings = map(int, counted)
    assert (ok, warnings) == (out.count("[OK]"), out.count("[!]")) and ok + warnings == total
    assert "接着运行：python demo01_hf_basics/01_api_anonymous.py\n" in out
    assert "docs/errors.md" in out.splitlines()[-1]
    leftovers = [p.name for folder in ("data", "params") for p in (repo / folder).iterdir()]
    assert [name for name in leftovers if name.startswith("tmp")] == []


def test_a_bare_environment_names_every_missing_package(repo, tmp_path):
    made = [sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")]
    subprocess.run(made, check=True)
    python = tmp_path / "bare" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done = check(repo, str(python), PYTHONPATH=str(ROOT / "tests" / "offline"))
    assert done.returncode == 1 and done.stderr == ""
    pins = (ROOT / "requirements.txt").read_text("utf-8")
    for name, version in re.findall(r"^([\w-]+)==([\w.]+)", pins, re.MULTILINE):
        assert f"[X]  {name} 没有装，要 {version}" in done.stdout
    # one command for all of them, with the very interpreter that lacks them
    install = f"{python} -m pip install -r requirements.txt"
    assert done.stdout.count(f"       {install}\n") == 1
    assert "simple" in line_after(done.stdout, "requests 还没有装")  # a mirror for pip
    assert "[X]  course 没有装" in done.stdout
    assert f"[OK] 虚拟环境 {tmp_path / 'bare'}" in done.stdout
    assert f"接着运行：{install}\n" in done.stdout


@pytest.fixture
def broken(tmp_path) -> Path:
    """A repo where nearly everything is wrong"""
    repo = tmp_path / "broken repo"
    for name in (SCRIPT, MACHINERY, "requirements.txt", "pyproject.toml"):
        (repo / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, repo / name)
    pins = (repo / "requirements.txt").read_text(encoding="utf-8")
    pins = re.sub(r"requests==[\d.]+", "requests==2.0.1", pins)
    pins = re.sub(r"torch==[\d.]+", "torch==99.1.0", pins)
    (repo / "requirements.txt").write_text(pins, encoding="utf-8")
    bert, gpt2 = repo / "models/tiny-bert-chinese", repo / "models/tiny-gpt2-chinese"
    for folder in (bert, gpt2):
        folder.mkdir(parents=True)
        for name in ("config.json", "vocab.txt", "tokenizer_config.json"):
            shutil.copy(ROOT / "models" / folder.name / name, folder)
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 35070568\n"
    (bert / "model.safetensors").write_text(pointer, encoding="utf-8")
    whole = (ROOT / "models/tiny-gpt2-chinese/model.safetensors").read_bytes()
    (gpt2 / "model.safetensors").write_bytes(whole[:1_000_000])
    (repo / "data").mkdir()
    (repo / "params").write_text("a file", encoding="utf-8")
    (repo / ".idea").mkdir()
    misc = '<component name="ProjectRootManager" project-jdk-name="Python 3.7 (venv)" />'
    (repo / ".idea/misc.xml").write_text(misc, encoding="utf-8")
    return repo


def test_a_broken_repo(broken, tmp_path):
    (tmp_path / "token").write_text(f"hf_oauth_{SECRET}\n", encoding="utf-8")
    path = os.pathsep.join([str(ROOT / "tests/offline"), str(ROOT)])  # course of another repo
    done = check(
        broken,
        PYTHONPATH=path,
        HF_TOKEN_PATH=str(tmp_path / "token"),
        HTTPS_PROXY=f"http://me:{SECRET}@proxy.example:8080",
        PIP_INDEX_URL=f"https://me:{SECRET}@pip.example/simple",
        HF_ENDPOINT=f"https://me:{SECRET}@mirror.example",
        VIRTUAL_ENV=str(tmp_path),
    )
    out = done.stdout
    assert done.returncode == 1 and SECRET not in out + done.stderr
    assert re.search(r"\[X\]  requests 装的是 [\d.]+，课程用的是 2\.0\.1", out)
    assert re.search(r"\[X\]  torch 装的是 \S+，课程用的是 99\.1\.0", out)
    assert f"[X]  course 来自另一份仓库 {ROOT}" in out
    assert line_after(out, "course 来自").endswith("-m pip install -e .")
    assert line_after(out, "models/tiny-bert-chinese：只是 Git LFS") == "git lfs pull"
    assert "tiny-gpt2-chinese：应该有 17,403,848 字节，只有 1,000,000" in out
    assert "data/ 不能写" not in out and "[X]  params/ 不能写" in out
    assert "[!]  PyCharm 选的是「Python 3.7 (venv)」" in out
    assert f"[!]  终端里激活的是 {tmp_path}" in out
    assert "-m venv" in line_after(out, "终端里激活的是")
    assert f"[OK] 访问 token 来自 {tmp_path / 'token'}" in out
    assert "设了代理 HTTPS_PROXY：http://proxy.example:8080，" in out
    assert "pip.example" in out
    assert "Hub（mirror.example）" in out
    assert f"要改 {len(problems(out))}" in out and len(problems(out)) == 6


@pytest.mark.parametrize(
    ("token", "said"),
    [
        (f"hf_{SECRET}", "[OK] 访问 token 来自 环境变量 HF_TOKEN"),
        (f"“hf_{SECRET}”", "[!]  环境变量 HF_TOKEN 里的访问 token 不是 hf_ 开头，或混进了"),
        (SECRET, "不是 hf_ 开头"),
        ("", "[!]  没有访问 token"),
    ],
)
def test_the_token_is_described_and_never_shown(repo, tmp_path, token, said):
    code = "import env_checks; print(*env_checks.check_token())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(repo) | {"HF_TOKEN": token, "PYTHONPATH": str(repo / "demo01_hf_basics")},
        capture_output=True,
        encoding="utf-8",
    )
    text = done.stdout.replace("Finding(mark='OK', text='", "[OK] ")
    assert said in text.replace("Finding(mark='!', text='", "[!]  "), done
    assert not any(SECRET[i : i + 6] in done.stdout + done.stderr for i in range(20))


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for nvidia-smi is a shell script")
@pytest.mark.parametrize(
    ("card", "driver", "cuda", "torch", "said", "command"),
    [
        ("RTX 3060", "560.94", "12.6", None, "有 NVIDIA GeForce RTX 3060，装的却是 CPU", "+cu126"),
        (
            "RTX 3060",
            "580.65",
            "13.0",
            None,
            "RTX 3060，装的却是 CPU 版的 torch",
            "+cu130 --index-url",
        ),
        ("GTX 1060", "580.65", "13.0", None, "GTX 1060，装的却是 CPU 版的 torch", "+cu126"),
        ("RTX 3060", "470.82", "11.4", None, "RTX 3060 的驱动 470.82 太旧：先升级", ""),
        ("RTX 3060", "560.94", "12.6", ("13.0", None), "要 CUDA 13.0，驱动只到 12.6", "+cu126"),
        ("RTX 3060", "580.65", "13.0", ("13.0", "RTX"), "[OK] torch 99+test，显卡 RTX，", ""),
        ("RTX 3060", "580.65", "13.0", ("13.0", None), "看不见 NVIDIA GeForce RTX 3060", "+cu130"),
    ],
)
def test_the_card_and_its_driver(repo, tmp_path, card, driver, cuda, torch, said, command):
    program = tmp_path / "nvidia-smi"
    shown = NVIDIA_SMI.replace("{driver}", driver).replace("{cuda}", cuda)
    program.write_text(shown.replace("RTX 3060", card), encoding="utf-8")
    program.chmod(0o755)
    path = [str(repo / "demo01_hf_basics")]
    if torch:  # a CUDA build cannot be had here: a module that answers what such a build answers
        build, name = torch
        (tmp_path / "torch.py").write_text(
            "from types import SimpleNamespace as N\n__version__ = '99+test'\n"
            f"version = N(cuda={build!r})\n"
            f"cuda = N(is_available=lambda: {bool(name)}, get_device_name=lambda i: {name!r})\n"
            "backends = N(mps=N(is_available=lambda: False))\n",
            encoding="utf-8",
        )
        path.insert(0, str(tmp_path))
    code = (
        "import env_checks\nfor f in env_checks.check_torch(): print(f'[{f.mark}]', f.text, f.fix)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(repo)
        | {
            "PATH": os.pathsep.join([str(tmp_path), os.environ["PATH"]]),
            "PYTHONPATH": os.pathsep.join(path),
        },
        capture_output=True,
        encoding="utf-8",
    )
    (line,) = done.stdout.splitlines()
    assert said in line and command in line and "UUID" not in line


def test_a_folder_that_moved_and_an_environment_that_is_not_active(broken):
    """.venv stands there: nothing is installed into the Python of the system"""
    bare = Path(os.path.realpath(sys.executable))
    place = broken / ".venv" / "bin"
    place.mkdir(parents=True)
    (place / "activate").write_text(f'VIRTUAL_ENV="{broken / ".venv"}"\n', encoding="utf-8")
    offline = str(ROOT / "tests/offline")
    out = check(broken, str(bare), PYTHONPATH=offline).stdout
    assert line_after(out, "有 .venv，却没有激活").endswith("activate")
    assert "接着运行：source .venv/bin/activate\n" in out and "-m pip install -r" not in problems(
        out
    )
    (place / "activate").write_text('VIRTUAL_ENV="/was/here/.venv"\n', encoding="utf-8")
    out = check(broken, str(bare), PYTHONPATH=offline).stdout
    assert ".venv 是在 /was/here/.venv 建的，整个文件夹搬过家" in out
    assert "-m venv --clear .venv" in line_after(out, "整个文件夹搬过家")


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_proxy_is_described_and_tried(repo, scheme):
    """hub.test is a name that only the proxy can look up"""
    with Rude((200, {}, b"")) as site, Proxy(site.server.server_address[1]) as proxy:
        kind = {"http": "HTTP_PROXY", "socks5": "ALL_PROXY"}[scheme]
        variables = {"HF_ENDPOINT": "http://hub.test", "https_proxy": "http://127.0.0.1:9"}
        variables |= {kind: f"{scheme}://me:{SECRET}@{proxy.address}"}
        done = run_loopback(repo, SCRIPT, **variables)
    assert f"设了代理 {kind}：{scheme}://{proxy.address}，" in done.stdout
    assert "[OK] Hub 连得上（hub.test）" in done.stdout and "hub.test" in proxy.hosts
    assert SECRET not in done.stdout + done.stderr
    if scheme == "socks5":
        assert set(proxy.logins) == {b"\x01\x02me" + bytes([len(SECRET)]) + SECRET.encode()}


def test_an_old_python_can_read_the_doctor_and_no_package_is_needed():
    for name in (SCRIPT, MACHINERY):
        tree = ast.parse((ROOT / name).read_text(encoding="utf-8"), feature_version=(3, 8))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            else:
                modules = [node.module] if isinstance(node, ast.ImportFrom) else []
            for module in modules:
                top = module.split(".")[0]
                assert top in sys.stdlib_module_names or top in ("env_checks", "requests"), module
