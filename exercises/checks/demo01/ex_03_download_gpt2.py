"""判题  第一个 demo 的第 3 课：在临时文件夹里搭出 cache_dir 的样子，再让学员来找"""

import tempfile
from pathlib import Path

from judging import ask, exercise


def write(path: Path, content: bytes = b"{}") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@exercise(
    "find_model_folder",
    "文件夹在哪里",
    "cache_dir.rglob('config.json') 找出每一个 config.json，它的 .parent 就是所在的文件夹",
)
def check_find_model_folder(find_model_folder):
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        for i, weights in enumerate(("model.safetensors", "pytorch_model.bin")):
            cache = root / f"cache{i}"
            repo = cache / "models--uer--gpt2-chinese-cluecorpussmall"
            write(repo / "refs" / "main", b"c2c0249")
            write(repo / "blobs" / "4f2b19", b"0" * 64)
            broken = write(repo / "snapshots" / "0a1b2c3" / "config.json").parent
            good = write(repo / "snapshots" / "c2c0249" / "config.json").parent
            write(good / "vocab.txt", b"[PAD]\n")
            write(good / weights, b"0" * 64)
            ask(
                find_model_folder,
                cache,
                want=good,
                usual=[
                    (good / "config.json", "要的是文件夹，不是 config.json 这个文件：.parent"),
                    (broken / "config.json", "要的是文件夹，不是 config.json 这个文件：.parent"),
                    (broken, "这个文件夹里没有权重，是下载断了留下的"),
                    (cache, "cache_dir 只是外壳，加载模型要的是里面有 config.json 的那一层"),
                    (repo, "还要往里走：snapshots / 版本号"),
                    (str(good), "返回 Path，不要变成字符串"),
                    (None, f"只看了最上面一层？或者权重只认了一种，这里的是 {weights}"),
                ],
            )
        only_broken = root / "broken"
        folder = write(only_broken / "models--a--b" / "snapshots" / "1" / "config.json").parent
        empty = root / "empty"
        empty.mkdir()
        nothing = {
            StopIteration: "一个都没有时 next() 会抛 StopIteration",
            IndexError: "一个都没有时 [0] 会抛 IndexError",
        }
        no_weights = [(folder, "这个文件夹里没有权重，是下载断了留下的")]
        ask(find_model_folder, only_broken, want=None, usual=no_weights, errors=nothing)
        ask(find_model_folder, empty, want=None, errors=nothing)
        flat = write(root / "flat" / "config.json").parent
        write(flat / "model.safetensors", b"0")
        why = "cache_dir 自己就是模型的文件夹时也要认得"
        ask(find_model_folder, flat, want=flat, usual=[(None, why)])


@exercise("resume_headers", "断点续传", "part.stat().st_size 是已经有了几个字节；编号从 0 数")
def check_resume_headers(resume_headers):
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        for size in (1, 700, 999):
            part = write(root / f"{size}.part", b"x" * size)
            ask(
                resume_headers,
                *(part, 1000),
                want={"Range": f"bytes={size}-"},
                usual=[
                    (
                        {"Range": f"bytes={size + 1}-"},
                        "从 0 数：有 n 个字节，就是第 0 … n-1 个，下一个是第 n 个；多跳了一个",
                    ),
                    ({"Range": f"bytes={size - 1}-"}, "最后一个字节已经有了，又要了一遍"),
                    ({"Range": f"bytes={size}"}, "后面的 - 不能少，意思是一直到结尾"),
                    ({"Range": f"{size}-"}, "少了单位 bytes="),
                    (
                        {"Range": f"bytes={1000 - size}-"},
                        "这是还差几个字节；Range 写的是从第几个字节开始",
                    ),
                    (None, "只有大小正好是 total 时才算下载完了"),
                ],
                shown=f"resume_headers({size} 个字节的文件, 1000)",
            )
        missing = {FileNotFoundError: "文件还不存在时 stat() 会抛错，先 part.exists()"}
        zero = [({"Range": "bytes=0-"}, "还没有开始下载，不用带 Range，返回 {}")]
        ask(resume_headers, root / "no.part", 1000, want={}, usual=zero, errors=missing)
        empty = write(root / "0.part", b"")
        ask(resume_headers, empty, 1000, want={}, usual=zero, shown="resume_headers(空文件, 1000)")
        whole = write(root / "1000.part", b"x" * 1000)
        ask(
            resume_headers,
            *(whole, 1000),
            want=None,
            usual=[({"Range": "bytes=1000-"}, "已经下完了，再要服务器会答 416")],
            shown="resume_headers(1000 个字节的文件, 1000)",
        )
