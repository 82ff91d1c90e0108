"""不是一课  从 Hub、镜像站、魔搭下载：先探路，断了接着下，下完核对，失败是一句中文和下一步

文件怎么放、链接、版本是 huggingface_hub 的 snapshot_download 的事，魔搭的用它自己的包 modelscope。
这里只有它们没有的：几秒之内说出连不上；权重断了接着下（huggingface_hub 2.4 的下一次运行从头来）。
"""

import logging
import os
import re
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

import httpx2
import requests
from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url, snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled
from huggingface_hub.file_download import are_symlinks_supported, http_get, repo_folder_name
from tqdm import tqdm

from course import models
from course.cli import require
from course.errors import CourseError, is_disk_full
from course.files import file_sha256, only_one, remove
from course.network import OFFLINE, bypass_proxy_for_loopback, ignore_netrc, unreachable, within
from course.network import without_password as shown
from course.paths import MODELS

SOURCES = {  # 国内先试 modelscope；hf-mirror 有时只是把请求转回 huggingface.co
    "hf": "https://huggingface.co",
    "modelscope": "https://modelscope.cn",
    "hf-mirror": "https://hf-mirror.com",
}
PROBE_SECONDS = 5  # 探路最多等几秒
LIST_SECONDS = 30  # 问一个问题，最多等几秒
PATIENCE = 20  # 下载时这么多秒没有新数据，就算断了一次
TRIES = 6  # 连续断这么多次、一个字节都没多，就放弃：http_get 的规矩
# 要哪些文件：配置、字典、权重。tf_model.h5 是别的框架的权重，onnx/、1_Pooling/ 里的也不要
WANTED = re.compile(r"\w*(config|token)\w*\.json|vocab\.txt|README\.md")
SAFETENSORS = re.compile(r"model(-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json")
BIN = re.compile(r"pytorch_model(-\d+-of-\d+)?\.bin|pytorch_model\.bin\.index\.json")


class Source(NamedTuple):
    """一个来源：名字、地址、多少秒没有新数据算断线、失败时告诉学员的下一步"""

    name: str
    endpoint: str
    patience: float
    advice: str


def make_source(
    name: str, endpoint: str | None = None, patience: float = PATIENCE, on_modelscope: bool = True
) -> Source:
    """来源的名字 → 来源；on_modelscope 是魔搭上有没有要下的东西，没有就不劝人去那里"""
    endpoint = endpoint or (name == "hf" and os.environ.get("HF_ENDPOINT")) or SOURCES[name]
    if not re.match(r"https?://", endpoint):
        said = f"地址 {shown(endpoint)} 要以 https:// 开头"
        raise CourseError(said, f"--endpoint {SOURCES['hf-mirror']}")
    others = [o for o in SOURCES if o != name and (on_modelscope or o != "modelscope")]
    advice = "换一个来源：" + "、".join(f"--source {other}" for other in others)
    advice += "" if on_modelscope or name == "modelscope" else "（魔搭上没有查到它）"
    return Source(name, endpoint.rstrip("/"), patience, f"{advice}；或再运行一次，断了的会接着下")


@contextmanager
def downloading(repo: str, place: Path, source: Source) -> Iterator[None]:
    """with 里面往 place 下载：先探路，同时只许一个程序在下；任何失败都变成 CourseError"""
    if source.name == "modelscope":
        require("modelscope")
    ignore_netrc()
    bypass_proxy_for_loopback()
    logging.getLogger("huggingface_hub").setLevel("CRITICAL")  # 英文，还带着地址，里面可能有密码
    constants.HF_HUB_DOWNLOAD_TIMEOUT = source.patience
    constants.DOWNLOAD_CHUNK_SIZE = 64 * 1024  # 断线时手里没写完的一块会丢，本来是 10 MB
    constants.HF_HUB_DISABLE_XET = True  # Xet 是另一种协议，不能按字节接着下
    constants.HF_HUB_DISABLE_TELEMETRY = True  # 不然用镜像时，也要先去问一次 huggingface.co
    constants.HF_HUB_DISABLE_SYMLINKS_WARNING = True  # Windows 上一段用不着看的英文
    print(f"来源：{shown(source.endpoint)}（先探一下，最多 {PROBE_SECONDS} 秒）")
    if reason := unreachable(source.endpoint, PROBE_SECONDS):
        raise CourseError(f"连不上 {shown(source.endpoint)}：{reason}", source.advice)
    busy = CourseError(f"另一个程序正在下载 {repo}", "等它下完（或停掉它），再运行一次同样的命令")
    try:
        with only_one(place.parent / ".locks" / f"{place.name}.lock", busy):
            yield
    except Exception as error:  # 各库的异常没有共同的类型，都变成一句话
        raise explain(error, repo, source) from None


def explain(error: Exception, repo: str, source: Source) -> CourseError:
    """各种异常 → 一句中文和下一步"""
    error = next(iter(getattr(error, "failed_files", {}).values()), error)  # 魔搭：每个文件的原因
    if isinstance(error, LocalEntryNotFoundError):  # 真正的原因在里面
        error = error.__cause__ or error
    where, response = shown(source.endpoint), getattr(error, "response", None)
    if isinstance(error, CourseError):
        return error
    if is_disk_full(error):
        return CourseError("磁盘满了", "腾出空间，再运行一次同样的命令，已经下的不会浪费")
    if isinstance(error, OfflineModeIsEnabled):
        return CourseError(*OFFLINE)
    if isinstance(error, TimeoutError | requests.Timeout | httpx2.TimeoutException):
        return CourseError(f"{where} 迟迟没有回答", source.advice)
    if response is None:
        return CourseError(f"从 {where} 下载 {repo} 失败（{type(error).__name__}）", source.advice)
    codes = {"GatedRepo": 403, "RepoNotFound": 404}  # Hub 对没登录的人都回 401，真正的原因在这里
    status = codes.get(response.headers.get("X-Error-Code"), response.status_code)
    wait = response.headers.get("Retry-After", "")
    reasons = {
        401: f"{repo} 不公开，或没有这个仓库（名字要写全：组织/名字）",
        403: f"没有权限下载 {repo}，要先在它的网页上申请",
        404: f"{where} 上没有 {repo}，或缺少要的文件",
        429: f"请求太多，被限流了，过{f' {wait} 秒' if wait.isdecimal() else '几分钟'}再试",
    }
    return CourseError(f"{status}：{reasons.get(status, '服务器出错')}", source.advice)


def check_host(url: str, source: Source) -> None:
    """请求转到了别的主机（url）的话，也先探一下；那里连不上，就说出是哪个主机"""
    address, here = "://".join(urlsplit(url)[:2]), shown(source.endpoint)
    if not source.endpoint.startswith(address) and (reason := unreachable(address, PROBE_SECONDS)):
        said = f"{here} 把请求转到了 {shown(address)}，那里连不上：{reason}"
        raise CourseError(said, source.advice)


def ask(repo: str, kind: str, source: Source) -> list[str]:
    """仓库里有哪些文件，kind 是 model 或 dataset；拒绝、登录页，都在这一问里看出来"""
    url = f"{source.endpoint}/api/{kind}s/{repo}"
    if source.name == "modelscope":
        part = "files" if kind == "model" else "tree"
        url = f"{source.endpoint}/api/v1/{kind}s/{repo}/repo/{part}?Revision=master&Recursive=true"
    with requests.get(url, timeout=PROBE_SECONDS, stream=True, allow_redirects=False) as first:
        check_host(urljoin(url, first.headers.get("Location", "")), source)
    response = within(LIST_SECONDS, partial(requests.get, url, timeout=LIST_SECONDS))
    response.raise_for_status()
    try:
        answer = response.json()
        if source.name == "modelscope":
            return [file["Path"] for file in answer["Data"]["Files"]]
        return [file["rfilename"] for file in answer["siblings"]]
    except (ValueError, LookupError, TypeError):
        said = (
            f"{shown(source.endpoint)} 回答的不是文件清单，多半被校园网、酒店的登录页或代理拦下了"
        )
        raise CourseError(said, f"用浏览器打开它，登录之后再运行一次；{source.advice}") from None


def download(repo: str, kind: str, names: list[str], cache: Path, source: Source) -> Path:
    """下载 repo 的这些文件，返回放着它们的文件夹；从 Hub 下的，放成 cache_dir=cache 的样子"""
    where = {"repo_type": kind, "endpoint": source.endpoint}
    if source.name == "modelscope":  # 续传、核对 SHA，它的包也会
        os.environ.setdefault("MODELSCOPE_DOWNLOAD_TIMEOUT", f"{max(1, source.patience):.0f}")
        from modelscope import snapshot_download as fetch  # 可选的包；上面的变量，import 时就要有

        logging.getLogger("modelscope_hub").setLevel("CRITICAL")
        where |= {"local_dir": str(cache / repo), "token": "", "max_workers": 1}
        return Path(fetch(repo, allow_patterns=names, **where))
    large = [name for name in names if name.endswith((".safetensors", ".bin", ".parquet"))]
    here = [resume(repo, name, cache, source, where) for name in large]
    where |= {"cache_dir": cache, "token": False, "tqdm_class": partial(tqdm, disable=True)}
    rest = partial(snapshot_download, repo, allow_patterns=names, max_workers=1, **where)
    return Path(within(TRIES * source.patience, rest) if all(here) else rest())  # 剩下小的，很快


def resume(repo: str, name: str, cache: Path, source: Source, where: dict[str, str]) -> bool:
    """把一个大文件下到 blobs/，没下完的叫 SHA.part，下次接着来；来源不说 SHA-256，返回 False"""
    url = hf_hub_url(repo, name, **where)
    about = within(LIST_SECONDS, partial(get_hf_file_metadata, url, token=False))
    folder = cache / repo_folder_name(repo_id=repo, repo_type=where["repo_type"])
    there = folder / "snapshots" / about.commit_hash / name  # Windows 多半做不了链接：直接放这里
    path = folder / "blobs" / about.etag if are_symlinks_supported(cache) else there
    if len(about.etag) != 64 or path.exists() or there.exists():
        return len(about.etag) == 64
    check_host(about.location, source)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{about.etag}.part")
    print(f"{name}：{about.size / 1e6:.1f} MB，断了会自己接着下，{TRIES} 次都没有新数据才停下")
    with part.open("ab") as file:
        get = partial(http_get, expected_size=about.size, displayed_filename=name, tqdm_class=tqdm)
        left = TRIES
        while (have := file.tell()) < about.size:
            try:  # 压缩过的不能接着下，所以要原样的
                get(url, file, resume_size=have, headers={"Accept-Encoding": "identity"})
            except httpx2.TransportError as error:
                left = TRIES if file.tell() > have else left - 1
                if not left or not isinstance(error, httpx2.ReadError):  # 连接被重置，http_get 不管
                    said = f"{name} 下到 {file.tell()} / {about.size} 字节断了，试了 {TRIES} 次"
                    raise CourseError(said, source.advice) from None
    if file_sha256(part) != about.etag:
        part.unlink()
        raise CourseError(f"{name} 的内容和说好的不一样（SHA 不符），已经删掉", source.advice)
    part.replace(path)
    return True


def download_model(repo: str, source: Source) -> Path:
    """下载一个模型，返回装着 config.json 的文件夹；任何失败都是 CourseError"""
    repo = known.name if (known := models.real_model(repo)) else repo
    place = MODELS / repo if source.name == "modelscope" else models.cache_folder(repo)
    with downloading(repo, place, source):
        there = ask(repo, "model", source)
        weights = list(filter(SAFETENSORS.fullmatch, there)) or list(filter(BIN.fullmatch, there))
        if "config.json" not in there or not weights:  # 有 .safetensors 就不要 .bin（旧格式）
            raise CourseError(f"{repo} 里没有 config.json 或权重，不是一个模型", source.advice)
        names = [*filter(WANTED.fullmatch, there), *weights]
        folder = download(repo, "model", names, MODELS, source)
    models.load_tokenizer(models.check_folder(folder))
    print(f"下载完成，核对无误：{folder}")
    return folder


def fetch(args: Namespace) -> CourseError | None:
    """下载 args.repo，下载过的就不下；返回 None，没下载成就返回原因（也打印出来）"""
    scope = getattr(models.real_model(args.repo), "on_modelscope", True)
    source = make_source(args.source, args.endpoint, args.timeout, scope)
    for folder in filter(models.has_weights, models.downloaded(args.repo)):
        if not (bad := models.damaged(folder)):
            print(f"已经下载好了：{folder}（想重新下载，先删掉它）")
            return None
        print(f"{folder} 里的 {bad[0].name} 缺了或坏了，重新下载")
        if folder.parent.name == "snapshots":
            for path in bad:
                remove(path.resolve())
            # 重新下载成功之前，谁也别把它当成好的：没有 config.json，也没有分支指着它
            for path in (folder / "config.json", folder.parent.parent / "refs" / "main"):
                path.unlink(missing_ok=True)
    try:
        download_model(args.repo, source)
    except CourseError as error:
        print(f"\n没有下载成：{error}")
        return error
    return None
