"""不是一课  下什么、从哪里下、放在哪里：Hub、镜像站和魔搭；一个文件怎么下在 course/download.py

从 Hub 和镜像站下的模型放成官方 cache_dir 的样子（models/models--组织--名字/…），所以
from_pretrained(名字, cache_dir="models") 认得；魔搭的放在 models/组织/名字。
"""

import argparse
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode, urljoin, urlsplit

import pandas as pd
import requests
from safetensors import SafetensorError, safe_open

from course.cli import Parser, above
from course.columns import LABEL_NAMES
from course.download import (
    RemoteFile,
    Source,
    ask_json,
    downloading,
    explain,
    fetch_all,
    holds,
)
from course.errors import CourseError
from course.files import atomic_write, file_sha256, remove
from course.models import (
    cache_folder,
    check_folder,
    downloaded,
    has_weights,
    load_tokenizer,
    model_name,
    real_model,
)
from course.network import ignore_netrc, unreachable, within, without_password
from course.paths import DATA, MODELS
from course.reviews import CHNSENTICORP, save, to_dataset

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
MODEL_FILE = re.compile("|".join(each.pattern for each in (WANTED, SAFETENSORS, BIN)))
DIGEST = r"[0-9a-f]{40}|[0-9a-f]{64}"  # git 的 SHA-1，或 SHA-256
# 组织/名字：英文字母、数字开头；Windows 的保留名（con、nul……）不能当文件夹的名字
REPO = re.compile(
    r"(?!.*(?:^|/)(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|/|$))[a-z0-9][\w.-]*/[a-z0-9][\w.-]*",
    re.ASCII | re.IGNORECASE,
)
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
            f"地址 {without_password(endpoint)} 要以 https:// 开头",
            f"--endpoint {SOURCES['hf-mirror']}",
        )
    others = [other for other in SOURCES if other != name]
    note = ""
    if "modelscope" in others and not on_modelscope:
        others.remove("modelscope")
        note = "（魔搭上没有查到它）"
    advice = "、".join(f"--source {other}" for other in others) + note
    return Source(name, endpoint, patience, f"换一个来源：{advice}；或再运行一次，断了的会接着下")


# 1. 有哪些文件


def remote_file(path: str, size: object, url: str, digest: object, source: Source) -> RemoteFile:
    """清单里的一项；大小、指纹不像样就抛 CourseError：没有指纹，下来了也没法核对"""
    if isinstance(size, str) and size.isdecimal() and len(size) < 20:
        size = int(size)
    if type(size) is not int or size < 0:
        problem = f"大小是 {size!r}"[:60]
    elif not re.fullmatch(DIGEST, str(digest).lower()):
        problem = "没有指纹（SHA），下来了也没法核对"
    else:
        return RemoteFile(path, size, url, str(digest).lower())
    raise CourseError(f"{source.shown} 的文件清单读不懂：{path} {problem}", source.advice)


def list_hub(
    repo: str, kind: str, wanted: re.Pattern, source: Source
) -> tuple[str, list[RemoteFile]]:
    """Hub 或镜像上的（版本号，文件）：都在同一个版本里，下到一半它更新了，也不会混进新的"""
    api = f"{source.endpoint}/api/{kind}s/{repo}"
    about, _ = ask_json(api, repo, source, LIST_SECONDS)
    commit = about["sha"]
    if not re.fullmatch(r"[0-9a-f]{40}", commit):
        raise CourseError(f"{source.shown} 没有说 {repo} 现在是哪个版本", source.advice)
    entries, page = [], f"{api}/tree/{commit}?recursive=true"
    while page:
        rows, page = ask_json(page, repo, source, LIST_SECONDS)
        entries += rows
    where = repo if kind == "model" else f"datasets/{repo}"
    files = {}
    for entry in entries:
        path = str(entry["path"])
        if entry["type"] == "file" and wanted.fullmatch(path):
            url = f"{source.endpoint}/{where}/resolve/{commit}/{path}"
            digest = (entry.get("lfs") or entry).get("oid")
            files[path] = remote_file(path, entry["size"], url, digest, source)
    return commit, list(files.values())


def list_modelscope(
    repo: str, kind: str, wanted: re.Pattern, source: Source
) -> tuple[str, list[RemoteFile]]:
    """魔搭上的（分支，文件），一页一页地要；没有在真的魔搭上试过，只在测试的替身上试过"""
    base = f"{source.endpoint}/api/v1/{kind}s/{repo}/repo"
    listing = f"{base}/files" if kind == "model" else f"{base}/tree"
    query = {"Revision": "master", "Recursive": "true", "Root": "", "PageSize": PAGE}
    entries: dict[str, dict] = {}
    new, page = {"": {}}, 0
    while new:  # 直到没有新的：有的仓库一次给全部，有的一页一页给，页有多大也是服务器说了算
        page += 1
        url = f"{listing}?{urlencode(query | {'PageNumber': page})}"
        body, _ = ask_json(url, repo, source, LIST_SECONDS)
        if body.get("Success") is False or body.get("Code", 200) != 200:  # 200，其实没成
            said = str(body.get("Message"))[:100]
            raise CourseError(f"{source.shown} 上的 {repo} 打不开：{said}", source.advice)
        data = body["Data"]
        rows = data["Files"] if isinstance(data, dict) else data
        new = {str(row["Path"]): row for row in rows if str(row["Path"]) not in entries}
        entries |= new
    files = []
    for path, entry in entries.items():
        if entry["Type"] == "blob" and wanted.fullmatch(path):
            url = f"{base}?{urlencode({'Revision': 'master', 'FilePath': path})}"
            files.append(remote_file(path, entry["Size"], url, entry.get("Sha256"), source))
    return "master", files


def redirected(repo: str, kind: str, source: Source) -> str | None:
    """source 把这个仓库的请求转给了哪个别的地址，如 https://huggingface.co；没有转就是 None"""
    url = f"{source.endpoint}/api/{kind}s/{repo}"
    with requests.get(url, timeout=PROBE_SECONDS, stream=True, allow_redirects=False) as response:
        target = urlsplit(urljoin(url, response.headers.get("Location", "")))
    if target.netloc == urlsplit(url).netloc:
        return None
    return f"{target.scheme}://{target.netloc}"


def list_files(
    repo: str, kind: str, wanted: re.Pattern, source: Source
) -> tuple[str, list[RemoteFile]]:
    """探路，然后问清楚有哪些名字像 wanted 的文件：（版本号，文件）；任何失败都是 CourseError"""
    if not REPO.fullmatch(repo):
        raise CourseError(f"{repo} 不是仓库的名字", "--repo 写成 组织/名字")
    ignore_netrc()
    print(f"来源：{source.shown}（先探一下，最多 {PROBE_SECONDS} 秒）")
    reason = unreachable(source.endpoint, PROBE_SECONDS)
    if reason:
        raise CourseError(f"连不上 {source.shown}：{reason}", source.advice)
    print(f"连得上。问它 {repo} 有哪些文件（最多 {LIST_SECONDS} 秒）")
    ask = list_modelscope if source.name == "modelscope" else list_hub
    try:
        if source.name != "modelscope":
            other = within(PROBE_SECONDS, lambda: redirected(repo, kind, source))
            reason = unreachable(other, PROBE_SECONDS) if other else None
            if reason:
                raise CourseError(
                    f"{source.shown} 把请求转到了 {without_password(other)}，那里连不上：{reason}",
                    source.advice,
                )
        return within(LIST_SECONDS, lambda: ask(repo, kind, wanted, source))
    except (LookupError, TypeError, AttributeError):  # 是 JSON，但不是清单的样子
        raise CourseError(f"{source.shown} 的文件清单读不懂", source.advice) from None
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
    if real_model(repo) and all(f.path != "vocab.txt" for f in files):  # 课程的两个模型都有字典
        raise CourseError(f"{source.shown} 的文件清单不全：没有 vocab.txt", source.advice)
    return sorted(chosen, key=lambda f: (f in weights, f.size))


def link(blob: Path, path: Path) -> None:
    """path 成为指向 blob 的链接；Windows 上不能做链接时是同一个文件的另一个名字，再不行就复制"""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    try:
        path.symlink_to(Path("..", "..", blob.parent.name, blob.name))
    except OSError:
        try:
            path.hardlink_to(blob)
        except OSError:  # U 盘的格式（FAT）两种都没有
            shutil.copyfile(blob, path)


def download_model(repo: str, source: Source) -> Path:
    """下载一个模型，核对，返回装着 config.json 的文件夹；任何失败都是 CourseError"""
    known = real_model(repo)
    repo = known.name if known else repo
    commit, files = list_files(repo, "model", MODEL_FILE, source)
    files = choose(files, repo, source)
    scope = source.name == "modelscope"
    cache = MODELS / repo if scope else cache_folder(repo)
    folder = cache if scope else cache / "snapshots" / commit
    with downloading(cache, repo, source):
        if scope:
            fetch_all(files, source, cache, lambda file: cache / file.path)
        else:
            fetch_all(files, source, cache, lambda file: cache / "blobs" / file.digest)
            for file in sorted(files, key=lambda file: file.path == "config.json"):
                link(cache / "blobs" / file.digest, folder / file.path)  # 有 config.json 就是齐了
            with atomic_write(cache / "refs" / "main") as temporary:
                temporary.write_text(commit, encoding="utf-8")
        with atomic_write(sums(folder)) as temporary:
            lines = [f"{file_sha256(folder / file.path)}  {file.path}\n" for file in files]
            temporary.write_text("".join(lines), encoding="utf-8")
    check_folder(folder)
    load_tokenizer(folder)
    print(f"下载完成，核对无误：{folder}")
    return folder


def sums(folder: Path) -> Path:
    """模型文件夹旁边的 .sha256：下载时记下每个文件的 SHA-256，一行一个，sha256sum -c 也认得"""
    place = folder.parent.parent if folder.parent.name == "snapshots" else folder.parent
    return place / f"{folder.name}.sha256"


def damaged(folder: Path) -> str:
    """模型文件夹里哪个文件缺了、坏了：一个名字，都好就是空的；不联网"""
    try:
        return next(bad_files(folder), "")
    except (OSError, ValueError, LookupError, TypeError, AttributeError, SafetensorError) as error:
        return f"某个文件（{type(error).__name__}）"


def bad_files(folder: Path) -> Iterator[str]:
    """我们下载的，和 .sha256 对；官方客户端下载的，链接指着的文件名就是指纹；拷来的只看齐不齐"""
    record = sums(folder)
    lines = record.read_text(encoding="utf-8").splitlines() if record.is_file() else []
    for digest, _, name in (line.partition("  ") for line in lines):
        if not holds(folder / name, digest):
            yield name
    if lines:
        return
    for index in folder.glob("*.index.json"):  # 权重分成了几个文件，一个都不能少
        shards = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        yield from sorted({name for name in shards if not (folder / name).is_file()})
    for path in folder.iterdir():
        blob = path.resolve()
        if blob.parent.name == "blobs" and re.fullmatch(DIGEST, blob.name):
            if not holds(blob, blob.name):
                yield path.name
        elif path.suffix == ".safetensors":
            with safe_open(path, "pt"):  # 该有多长，它自己的开头说得出来
                pass


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
    broken = []
    for folder in filter(has_weights, downloaded(args.repo)):
        bad = damaged(folder)
        if not bad:
            print(f"已经下载好了：{folder}（想重新下载，先删掉它）")
            return Obtained(name_for_cache_dir(folder), folder)
        print(f"{folder} 里的 {bad} 缺了或坏了，重新下载")
        broken.append(folder)
    try:
        folder = download_model(args.repo, source)
        for other in broken:
            if other != folder:
                print(f"注意：坏的还在 {other}，别的脚本可能会读到它，删掉这个文件夹")
        return Obtained(name_for_cache_dir(folder), folder)
    except CourseError as error:
        print(f"\n没有下载成：{error}\n\n先用随仓库的小模型看一遍，里面的东西是一样的：")
        folder = check_folder(MODELS / real_model(lesson_repo).stand_in)
        return Obtained(str(folder), folder, error)


# 3. 数据集


def download_reviews(repo: str, source: Source) -> Path:
    """下载 ChnSentiCorp 那样的数据集（parquet），存成 data/ChnSentiCorp，返回那个文件夹"""
    _, parquets = list_files(repo, "dataset", PARQUET, source)
    files = {}
    for file in sorted(parquets, key=lambda file: file.path):
        files.setdefault(PARQUET.fullmatch(file.path)[1], []).append(file)
    if set(files) != {"train", "validation", "test"}:
        raise CourseError(f"{repo} 里没有 train、validation、test 三份 parquet", source.advice)
    raw = DATA / f"{CHNSENTICORP.name}-download"
    with downloading(raw, repo, source):
        fetch_all(parquets, source, raw, lambda file: raw / file.path)
        convert(files, raw, repo, source)
        remove(raw)  # 内容已经在 data/ChnSentiCorp 里了
    return CHNSENTICORP


def convert(files: dict[str, list[RemoteFile]], raw: Path, repo: str, source: Source) -> None:
    """raw 里下好的 parquet → data/ChnSentiCorp；读不懂就删掉，抛 CourseError"""
    splits = {}
    try:
        for name, some in files.items():
            tables = [pd.read_parquet(raw / f.path) for f in some]
            table = pd.concat(tables)
            splits[name] = list(zip(table["text"], table["label"].astype(int), strict=True))
        dataset = to_dataset(splits, LABEL_NAMES)
    except (OSError, ValueError, KeyError) as error:
        remove(raw)
        raise CourseError(
            f"{repo} 的内容读不懂（{type(error).__name__}），已经删掉", source.advice
        ) from error
    save(dataset, CHNSENTICORP)
