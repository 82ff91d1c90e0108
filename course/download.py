"""从 Hub、镜像或魔搭下载模型和数据集：先探路，断了接着下，下完核对

Hub 和镜像的东西放成官方 cache_dir 的样子（models/models--组织--名字/…），别的工具也认得；魔搭的
放在 models/组织/名字。文件由自己按 Range 续传：huggingface_hub 2.x 断在 99 % 也要从头再来。
三个仓库都是公开的，所以从不发送你的 token，镜像站也就拿不到它。
"""

import argparse
import errno
import hashlib
import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import httpx2
import pandas as pd
import requests
from huggingface_hub import HfApi, constants, get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.hf_api import RepoFile
from tqdm import tqdm

from course.cli import Parser, number
from course.errors import CourseError
from course.files import atomic_write, remove
from course.models import (
    check_folder,
    downloaded,
    find_model,
    has_weights,
    load_tokenizer,
    real_model,
)
from course.network import unreachable, within
from course.paths import DATA, MODELS
from course.reviews import CHNSENTICORP, LABEL_NAMES, check, to_dataset

SOURCES = {
    "hf": "https://huggingface.co",
    "hf-mirror": "https://hf-mirror.com",
    "modelscope": "https://modelscope.cn",
}
PROBE_SECONDS = 5  # 探路最多等几秒
LIST_SECONDS = 30  # 问清楚有哪些文件，最多等几秒
PATIENCE = 20  # 下载时这么多秒没有新数据，就算断了一次
TRIES = 3  # 连续断这么多次、一个字节都没多，就放弃
CHUNK = 16 * 1024  # 断线时手里没写完的一块会丢，所以块要小

# 要哪些文件：配置、字典、权重。tf_model.h5、flax_model.msgpack 是别的框架的权重，不要
WANTED = re.compile(
    r"(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens)\.json"
    r"|vocab\.txt|README\.md"
)
SAFETENSORS = re.compile(r"model(-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json")
BIN = re.compile(r"pytorch_model(-\d+-of-\d+)?\.bin|pytorch_model\.bin\.index\.json")
PARQUET = re.compile(r"(?:data/)?(train|validation|test)[-.\w]*\.parquet")


@dataclass
class Source:
    """一个来源：名字、地址、多少秒没有新数据算断线"""

    name: str
    endpoint: str
    patience: float

    @property
    def others(self) -> str:
        """失败时的下一步"""
        rest = "、".join(f"--source {name}" for name in SOURCES if name != self.name)
        return f"换一个来源：{rest}；或再运行一次，断了的会接着下"


@dataclass
class RemoteFile:
    """仓库里的一个文件；digest 是 64 位的 SHA-256 或 40 位的 git SHA-1，没有就是空"""

    path: str
    size: int
    url: str
    digest: str = ""


def add_arguments(parser: Parser, repo: str) -> None:
    """下载脚本共同的参数"""
    parser.add_argument("--repo", default=repo, help=f"仓库的名字，默认 {repo}")
    parser.add_argument("--source", default="hf", choices=list(SOURCES), help="默认 hf")
    parser.add_argument("--endpoint", default=None, help="直接给地址，比如别的镜像站")
    patience = number(float, 0, exclusive=True)
    parser.add_argument(
        "--patience", type=patience, default=PATIENCE, help=f"几秒没数据算断线，默认 {PATIENCE}"
    )


def to_source(args: argparse.Namespace) -> Source:
    """命令行参数 → 来源；--endpoint 优先，其次 --source，hf 时也认环境变量 HF_ENDPOINT"""
    endpoint = args.endpoint
    if endpoint is None and args.source == "hf":
        endpoint = os.environ.get("HF_ENDPOINT")
    endpoint = (endpoint or SOURCES[args.source]).rstrip("/")
    if not re.match(r"https?://", endpoint):
        raise CourseError(f"地址 {endpoint} 要以 https:// 开头", "--endpoint https://hf-mirror.com")
    return Source(args.source, endpoint, args.patience)


# 1. 有哪些文件


def refused(status: int, repo: str, source: Source) -> CourseError:
    """服务器的拒绝 → 一句中文"""
    reasons = {
        401: f"{repo} 不公开，或没有这个仓库（名字要写全：组织/名字）",
        403: f"没有权限下载 {repo}，要先在它的网页上申请",
        404: f"{source.endpoint} 上没有 {repo}，或缺少要的文件",
        429: "请求太多，被限流了，过几分钟再试",
        503: "服务器忙，暂时不提供服务",
    }
    return CourseError(f"{status}：{reasons.get(status, '服务器出错')}", source.others)


def explain(error: Exception, repo: str, source: Source) -> CourseError:
    """客户端的各种异常 → 一句中文"""
    if isinstance(error, CourseError):
        return error
    if isinstance(error, GatedRepoError):
        return refused(403, repo, source)
    if isinstance(error, RepositoryNotFoundError):
        return refused(404, repo, source)
    if isinstance(error, HfHubHTTPError) and error.response is not None:
        return refused(error.response.status_code, repo, source)
    if isinstance(error, TimeoutError | httpx2.TimeoutException | requests.Timeout):
        return CourseError(f"{source.endpoint} 迟迟没有回答", source.others)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return disk_full()
    if isinstance(error, PermissionError | FileExistsError | NotADirectoryError):
        return CourseError(f"写不了 {error.filename}", "检查这个文件夹有没有写权限，再运行一次")
    name = type(error).__name__
    return CourseError(f"从 {source.endpoint} 下载 {repo} 失败（{name}）", source.others)


def disk_full() -> CourseError:
    return CourseError("磁盘满了", "腾出空间，再运行一次同样的命令，已经下的不会浪费")


def list_hub(repo: str, kind: str, source: Source) -> list[RemoteFile]:
    """Hub 或镜像上的文件；kind 是 model 或 dataset"""
    api = HfApi(endpoint=source.endpoint, token=False)
    tree = within(
        LIST_SECONDS, lambda: list(api.list_repo_tree(repo, recursive=True, repo_type=kind))
    )
    return [
        RemoteFile(
            entry.path,
            entry.size,
            hf_hub_url(repo, entry.path, repo_type=kind, endpoint=source.endpoint),
            entry.lfs.sha256 if entry.lfs else entry.blob_id,
        )
        for entry in tree
        if isinstance(entry, RepoFile)
    ]


def list_modelscope(repo: str, kind: str, source: Source) -> list[RemoteFile]:
    """魔搭上的文件；kind 是 model 或 dataset。没有在真的魔搭上试过，只在测试的替身上试过"""
    base = f"{source.endpoint}/api/v1/{kind}s/{repo}/repo"
    listing = f"{base}/files" if kind == "model" else f"{base}/tree"
    query = {"Revision": "master", "Recursive": "true", "Root": "", "PageSize": 100}
    response = within(
        LIST_SECONDS,
        lambda: requests.get(listing, params=query, timeout=source.patience, auth=no_auth),
    )
    if response.status_code != 200:
        raise refused(response.status_code, repo, source)
    return [
        RemoteFile(
            entry["Path"],
            entry["Size"],
            f"{base}?{urlencode({'Revision': 'master', 'FilePath': entry['Path']})}",
            entry.get("Sha256") or "",
        )
        for entry in response.json()["Data"]["Files"]
        if entry["Type"] == "blob"
    ]


def no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """requests 会自作主张带上 ~/.netrc 里的密码；给它一个什么也不做的 auth，它就不带了"""
    return request


def list_files(repo: str, kind: str, source: Source) -> list[RemoteFile]:
    """探路，然后问清楚有哪些文件；任何失败都是 CourseError"""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
        raise CourseError(f"{repo} 不是仓库的名字", "--repo 写成 组织/名字")
    print(f"来源：{source.endpoint}（先探一下，最多 {PROBE_SECONDS} 秒）")
    reason = unreachable(source.endpoint, PROBE_SECONDS)
    if reason:
        raise CourseError(f"连不上 {source.endpoint}：{reason}", source.others)
    lister = list_modelscope if source.name == "modelscope" else list_hub
    try:
        return lister(repo, kind, source)
    except Exception as error:  # 各库的异常没有共同的类型，都变成一句话
        raise explain(error, repo, source) from None


# 2. 下载


def fetch(file: RemoteFile, path: Path, source: Source) -> None:
    """把 file 下载到 path，断了接着下，最后核对大小和 SHA；失败抛 CourseError

    没下完的放在 path 旁边的 .part 里，下次运行从那里接着来。
    """
    part = path.with_name(f"{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    have = part.stat().st_size if part.exists() else 0
    if have > file.size:  # 上次的东西不对，重新来
        have = 0
    bar = tqdm(
        total=file.size, initial=have, desc=file.path, unit="B", unit_scale=True, unit_divisor=1024
    )
    failures = 0
    with bar, part.open("r+b" if have else "wb") as out:
        while have < file.size:
            out.seek(have)
            before = have
            problem = "连接断了"
            try:
                for chunk in stream(file, have, source):
                    if chunk is None:  # 服务器不会续传，从头给
                        bar.update(-have)
                        have = 0
                        out.seek(0)
                        continue
                    out.write(chunk)
                    have += len(chunk)
                    bar.update(len(chunk))
                    if have > file.size:
                        break
                out.truncate()
            except requests.Timeout:
                problem = f"{source.patience:g} 秒没有新数据"
            except requests.RequestException as error:
                problem = f"连接断了（{type(error).__name__}）"
            if have == file.size:
                continue
            if have > file.size:
                have = 0
                problem = f"文件比说好的 {file.size} 字节长"
                bar.reset()
            failures = failures + 1 if have <= before else 0
            if failures == TRIES:
                out.flush()
                raise CourseError(
                    f"{file.path} 下到 {have} / {file.size} 字节，{problem}，试了 {TRIES} 次",
                    source.others,
                )
            tqdm.write(f"{problem}，从 {have} 字节处接着下")
            time.sleep(1)
    if file.digest and digest(part, file) != file.digest:
        part.unlink()
        raise CourseError(f"{file.path} 的内容和说好的不一样（SHA 不符），已经删掉", source.others)
    part.replace(path)


def stream(file: RemoteFile, have: int, source: Source):
    """从第 have 个字节起，一块一块地给；服务器不会续传时先给一个 None"""
    headers = {"Accept-Encoding": "identity"}  # 不要压缩：续传数的是原始字节
    if have:
        headers["Range"] = f"bytes={have}-"
    with requests.get(
        file.url, headers=headers, stream=True, auth=no_auth, timeout=source.patience
    ) as response:
        if response.status_code in (401, 403, 404):
            raise refused(response.status_code, file.path, source)
        if response.status_code == 503:
            raise requests.ConnectionError("503")
        if response.status_code not in (200, 206):
            raise refused(response.status_code, file.path, source)
        if have and response.status_code == 200:
            yield None
        yield from response.iter_content(CHUNK)


def digest(path: Path, file: RemoteFile) -> str:
    """SHA-256，或 git 的 SHA-1（前面加一行大小），看 file.digest 有多长"""
    if len(file.digest) == 64:
        value = hashlib.sha256()
    else:
        value = hashlib.sha1(f"blob {file.size}\0".encode("ascii"))
    with path.open("rb") as data:
        while block := data.read(1 << 20):
            value.update(block)
    return value.hexdigest()


def fetch_all(files: list[RemoteFile], repo: str, source: Source, folder: Path, place) -> None:
    """逐个下载；place(file) 负责把一个文件放好。先看磁盘够不够"""
    total = sum(file.size for file in files)
    folder.mkdir(parents=True, exist_ok=True)
    print(f"要下 {len(files)} 个文件，共 {total / 1e6:.1f} MB，放在 {folder}")
    parts = sum(part.stat().st_size for part in folder.rglob("*.part"))
    free = shutil.disk_usage(folder).free
    if free < total - parts:
        raise CourseError(
            f"磁盘不够：要 {total / 1e6:.0f} MB，只剩 {free / 1e6:.0f} MB",
            "腾出空间，再运行一次同样的命令",
        )
    for file in files:
        try:
            place(file)
        except Exception as error:  # 同 list_files
            raise explain(error, repo, source) from None


def choose(files: list[RemoteFile], repo: str, source: Source) -> list[RemoteFile]:
    """课程要的文件，小的在前；权重有 .safetensors 就不要 .bin（旧格式）"""
    weights = [f for f in files if SAFETENSORS.fullmatch(f.path)]
    weights = weights or [f for f in files if BIN.fullmatch(f.path)]
    chosen = [f for f in files if WANTED.fullmatch(f.path)] + weights
    if not weights or all(f.path != "config.json" for f in files):
        raise CourseError(f"{repo} 里没有 config.json 或权重，不是一个模型", source.others)
    return sorted(chosen, key=lambda f: (f in weights, f.size))


def download_model(repo: str, source: Source) -> Path:
    """下载一个模型，核对，返回装着 config.json 的文件夹；任何失败都是 CourseError"""
    known = real_model(repo)
    repo = known.name if known else repo
    files = choose(list_files(repo, "model", source), repo, source)
    if source.name == "modelscope":
        folder = MODELS / repo

        def place(file: RemoteFile) -> None:
            if not (folder / file.path).is_file():
                fetch(file, folder / file.path, source)

        fetch_all(files, repo, source, folder, place)
    else:
        # 走普通的 HTTP：镜像站只认它，官方的 Xet 通道断了也不能续传
        constants.HF_HUB_DISABLE_XET = True
        cache = MODELS / f"models--{repo.replace('/', '--')}"
        placed: list[Path] = []

        def place(file: RemoteFile) -> None:
            """blobs 里放好内容，再请官方客户端认领：它写 refs，在 snapshots 里做链接"""
            about = within(
                LIST_SECONDS,
                lambda: get_hf_file_metadata(file.url, token=False, timeout=source.patience),
            )
            if not re.fullmatch(r"[\w.-]+", about.etag or ""):
                raise CourseError(f"服务器没有给出 {file.path} 的编号（ETag）", source.others)
            blob = cache / "blobs" / about.etag
            if not blob.is_file():
                fetch(file, blob, source)
            path = within(
                LIST_SECONDS,
                lambda: hf_hub_download(
                    repo, file.path, cache_dir=MODELS, endpoint=source.endpoint, token=False
                ),
            )
            placed.append(Path(path))

        fetch_all(files, repo, source, cache, place)
        folder = next(path.parent for path in placed if path.name == "config.json")
    check_folder(folder)
    load_tokenizer(folder)
    print(f"下载完成，核对无误：{folder}")
    return folder


def obtain_model(args: argparse.Namespace, lesson_repo: str) -> tuple[Path, CourseError | None]:
    """下载过就用下载好的，不然下载；没下载成就退回课上那个模型：(文件夹, 没下载成的原因)

    args 是 `add_arguments` 的参数；lesson_repo 是随仓库的小模型能顶替的名字。
    """
    source = to_source(args)
    for folder in downloaded(args.repo):
        if has_weights(folder):
            print(f"已经下载好了：{folder}（想重新下载，先删掉它）")
            return folder, None
    try:
        return download_model(args.repo, source), None
    except CourseError as error:
        print(f"\n没有下载成：{error}\n\n先用随仓库的小模型看一遍，里面的东西是一样的：")
        return find_model(lesson_repo), error


def download_reviews(repo: str, source: Source) -> Path:
    """下载 ChnSentiCorp 那样的数据集（parquet），存成 data/ChnSentiCorp，返回那个文件夹"""
    files = {}
    for file in list_files(repo, "dataset", source):
        if match := PARQUET.fullmatch(file.path):
            files.setdefault(match[1], []).append(file)
    if set(files) != {"train", "validation", "test"}:
        raise CourseError(f"{repo} 里没有 train、validation、test 三份 parquet", source.others)
    raw = DATA / f"{CHNSENTICORP.name}-download"

    def place(file: RemoteFile) -> None:
        if not (raw / Path(file.path).name).is_file():
            fetch(file, raw / Path(file.path).name, source)

    fetch_all([f for some in files.values() for f in some], repo, source, raw, place)
    splits = {}
    try:
        for name, some in files.items():
            tables = [pd.read_parquet(raw / Path(f.path).name) for f in some]
            table = pd.concat(tables)
            splits[name] = list(zip(table["text"], table["label"].astype(int), strict=True))
    except (OSError, ValueError, KeyError) as error:
        remove(raw)
        raise CourseError(
            f"{repo} 的内容读不懂（{type(error).__name__}），已经删掉", source.others
        ) from error
    dataset = check(to_dataset(splits, LABEL_NAMES), repo)
    with atomic_write(CHNSENTICORP) as temporary:
        dataset.save_to_disk(str(temporary))
    remove(raw)  # 内容已经在 data/ChnSentiCorp 里了
    return CHNSENTICORP
