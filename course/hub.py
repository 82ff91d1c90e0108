"""下什么、从哪里下、放在哪里：Hub、镜像站和魔搭；一个文件怎么下在 course/download.py

从 Hub 和镜像站下的模型放成官方 cache_dir 的样子（models/models--组织--名字/…），所以
from_pretrained(名字, cache_dir="models") 认得；魔搭的放在 models/组织/名字。
"""

import argparse
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode, urljoin, urlsplit

import pandas as pd
import requests
from huggingface_hub import HfApi, constants, get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.hf_api import RepoFile

from course.cli import Parser, above
from course.download import RemoteFile, Source, explain, fetch, fetch_all, no_auth, refused
from course.errors import CourseError
from course.files import remove
from course.models import (
    cache_folder,
    check_folder,
    downloaded,
    find_model,
    has_weights,
    load_tokenizer,
    model_name,
    real_model,
)
from course.network import unreachable, within
from course.paths import DATA, MODELS
from course.reviews import CHNSENTICORP, LABEL_NAMES, check, save, to_dataset

SOURCES = {  # 国内先试 modelscope；hf-mirror 有时只是把请求转回 huggingface.co
    "hf": "https://huggingface.co",
    "modelscope": "https://modelscope.cn",
    "hf-mirror": "https://hf-mirror.com",
}
PROBE_SECONDS = 5  # 探路最多等几秒
LIST_SECONDS = 30  # 问清楚有哪些文件，最多等几秒
PATIENCE = 20  # 下载时这么多秒没有新数据，就算断了一次
PAGE = 100  # 魔搭的文件清单一页多少项

# 要哪些文件：配置、字典、权重。tf_model.h5、flax_model.msgpack 是别的框架的权重，不要
WANTED = re.compile(
    r"(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens)\.json"
    r"|vocab\.txt|README\.md"
)
SAFETENSORS = re.compile(r"model(-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json")
BIN = re.compile(r"pytorch_model(-\d+-of-\d+)?\.bin|pytorch_model\.bin\.index\.json")
PARQUET = re.compile(r"(?:data/)?(train|validation|test)[-.\w]*\.parquet")


def add_arguments(parser: Parser, repo: str) -> None:
    """下载脚本共同的参数"""
    parser.add_argument("--repo", default=repo, help=f"仓库的名字，默认 {repo}")
    parser.add_argument("--source", default="hf", choices=list(SOURCES), help="默认 hf")
    parser.add_argument("--endpoint", default=None, help="直接给地址，比如别的镜像站")
    patience = above(0.0)
    parser.add_argument(
        "--patience", type=patience, default=PATIENCE, help=f"几秒没数据算断线，默认 {PATIENCE}"
    )


def make_source(
    name: str,
    endpoint: str | None = None,
    patience: float = PATIENCE,
    on_modelscope: bool = True,
) -> Source:
    """来源的名字 → 来源；endpoint 优先，其次 name，hf 时也认环境变量 HF_ENDPOINT

    on_modelscope 是魔搭上有没有要下的东西：没有，连不上时就不劝人去那里。
    """
    if endpoint is None and name == "hf":
        endpoint = os.environ.get("HF_ENDPOINT")
    endpoint = (endpoint or SOURCES[name]).rstrip("/")
    if not re.match(r"https?://", endpoint):
        raise CourseError(
            f"地址 {endpoint} 要以 https:// 开头", f"--endpoint {SOURCES['hf-mirror']}"
        )
    others = [other for other in SOURCES if other != name]
    note = ""
    if "modelscope" in others and not on_modelscope:
        others.remove("modelscope")
        note = "（魔搭上没有查到它）"
    advice = "、".join(f"--source {other}" for other in others) + note
    return Source(name, endpoint, patience, f"换一个来源：{advice}；或再运行一次，断了的会接着下")


# 1. 有哪些文件


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
    """魔搭上的文件，一页一页地要；没有在真的魔搭上试过，只在测试的替身上试过"""
    base = f"{source.endpoint}/api/v1/{kind}s/{repo}/repo"
    listing = f"{base}/files" if kind == "model" else f"{base}/tree"
    query = {"Revision": "master", "Recursive": "true", "Root": "", "PageSize": PAGE}
    entries: dict[str, dict] = {}
    new, page = {"": {}}, 0
    while new:  # 直到没有新的：有的仓库一次给全部，有的一页一页给，页有多大也是服务器说了算
        page += 1
        response = requests.get(
            listing, params=query | {"PageNumber": page}, timeout=source.patience, auth=no_auth
        )
        if response.status_code != 200:
            raise refused(response.status_code, repo, source)
        body = response.json()
        if body.get("Success") is False or body.get("Code", 200) != 200:  # 200，其实没成
            said = str(body.get("Message"))[:100]
            raise CourseError(f"{source.endpoint} 上的 {repo} 打不开：{said}", source.advice)
        data = body["Data"]
        rows = data["Files"] if isinstance(data, dict) else data
        new = {row["Path"]: row for row in rows if row["Path"] not in entries}
        entries |= new
    return [
        RemoteFile(
            path,
            entry["Size"],
            f"{base}?{urlencode({'Revision': 'master', 'FilePath': path})}",
            entry.get("Sha256") or "",
        )
        for path, entry in entries.items()
        if entry["Type"] == "blob"
    ]


def redirected(repo: str, kind: str, source: Source) -> str | None:
    """source 把这个仓库的请求转给了哪个别的地址，如 https://huggingface.co；没有转就是 None"""
    url = f"{source.endpoint}/api/{kind}s/{repo}"
    with requests.get(
        url, timeout=PROBE_SECONDS, stream=True, allow_redirects=False, auth=no_auth
    ) as response:
        target = urlsplit(urljoin(url, response.headers.get("Location", "")))
    if target.netloc == urlsplit(url).netloc:
        return None
    return f"{target.scheme}://{target.netloc}"


def list_files(repo: str, kind: str, source: Source) -> list[RemoteFile]:
    """探路，然后问清楚有哪些文件；任何失败都是 CourseError"""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
        raise CourseError(f"{repo} 不是仓库的名字", "--repo 写成 组织/名字")
    print(f"来源：{source.endpoint}（先探一下，最多 {PROBE_SECONDS} 秒）")
    reason = unreachable(source.endpoint, PROBE_SECONDS)
    if reason:
        raise CourseError(f"连不上 {source.endpoint}：{reason}", source.advice)
    print(f"连得上。问它 {repo} 有哪些文件（最多 {LIST_SECONDS} 秒）")
    try:
        if source.name == "modelscope":
            return within(LIST_SECONDS, lambda: list_modelscope(repo, kind, source))
        other = within(PROBE_SECONDS, lambda: redirected(repo, kind, source))
        reason = unreachable(other, PROBE_SECONDS) if other else None
        if reason:
            raise CourseError(
                f"{source.endpoint} 把请求转到了 {other}，那里连不上：{reason}", source.advice
            )
        return list_hub(repo, kind, source)
    except Exception as error:  # 各库的异常没有共同的类型，都变成一句话
        raise explain(error, repo, source) from None


# 2. 模型


def choose(files: list[RemoteFile], repo: str, source: Source) -> list[RemoteFile]:
    """课程要的文件，小的在前；权重有 .safetensors 就不要 .bin（旧格式）"""
    weights = [f for f in files if SAFETENSORS.fullmatch(f.path)]
    weights = weights or [f for f in files if BIN.fullmatch(f.path)]
    chosen = [f for f in files if WANTED.fullmatch(f.path)] + weights
    if not weights or all(f.path != "config.json" for f in files):
        raise CourseError(f"{repo} 里没有 config.json 或权重，不是一个模型", source.advice)
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
        cache = cache_folder(repo)
        placed: list[Path] = []

        def place(file: RemoteFile) -> None:
            """blobs 里放好内容，再请官方客户端认领：它写 refs，在 snapshots 里做链接"""
            about = within(
                LIST_SECONDS,
                lambda: get_hf_file_metadata(file.url, token=False, timeout=source.patience),
            )
            if not re.fullmatch(r"[\w.-]+", about.etag or ""):
                raise CourseError(f"服务器没有给出 {file.path} 的编号（ETag）", source.advice)
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


@dataclass
class Obtained:
    """from_pretrained 该写的名字（或路径）、装着 config.json 的文件夹、没下载成的原因"""

    name: str
    folder: Path
    failure: CourseError | None = None


def name_for_cache_dir(folder: Path) -> str:
    """folder 在 from_pretrained(…, cache_dir=MODELS) 里该怎么写

    cache_dir 的结构里，refs/main 指着的那个版本可以写名字；别的文件夹要写路径。
    """
    main = folder.parent.parent / "refs" / "main"
    cached = folder.parent.name == "snapshots" and main.is_file()
    if cached and main.read_text(encoding="utf-8").strip() == folder.name:
        return model_name(folder)
    return str(folder)


def obtain_model(args: argparse.Namespace, lesson_repo: str) -> Obtained:
    """下载过就用下载好的，不然下载；没下载成就退回随仓库的小模型

    args 是 `add_arguments` 的参数；lesson_repo 是随仓库的小模型能顶替的名字。
    """
    known = real_model(args.repo)
    on_modelscope = known is None or known.on_modelscope
    source = make_source(args.source, args.endpoint, args.patience, on_modelscope)
    for folder in downloaded(args.repo):
        if has_weights(folder):
            print(f"已经下载好了：{folder}（想重新下载，先删掉它）")
            return Obtained(name_for_cache_dir(folder), folder)
    try:
        folder = download_model(args.repo, source)
        return Obtained(name_for_cache_dir(folder), folder)
    except CourseError as error:
        print(f"\n没有下载成：{error}\n\n先用随仓库的小模型看一遍，里面的东西是一样的：")
        folder = find_model(lesson_repo)
        return Obtained(str(folder), folder, error)


# 3. 数据集


def download_reviews(repo: str, source: Source) -> Path:
    """下载 ChnSentiCorp 那样的数据集（parquet），存成 data/ChnSentiCorp，返回那个文件夹"""
    files = {}
    for file in list_files(repo, "dataset", source):
        if match := PARQUET.fullmatch(file.path):
            files.setdefault(match[1], []).append(file)
    if set(files) != {"train", "validation", "test"}:
        raise CourseError(f"{repo} 里没有 train、validation、test 三份 parquet", source.advice)
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
            f"{repo} 的内容读不懂（{type(error).__name__}），已经删掉", source.advice
        ) from error
    dataset = check(to_dataset(splits, LABEL_NAMES), repo)
    save(dataset, CHNSENTICORP)
    remove(raw)  # 内容已经在 data/ChnSentiCorp 里了
    return CHNSENTICORP
