"""答案  第一个 demo 的第 3 课  下载：文件夹在哪里，断了从哪里接

练什么：cache_dir 里的真文件夹藏得很深；下载断了，从已经到手的字节数接着要。
"""

from pathlib import Path


def find_model_folder(cache_dir: Path) -> Path | None:
    """在 cache_dir 下面（不管多深）找模型的文件夹，返回它的路径，找不到返回 None

    模型的文件夹：里面直接有 config.json，也直接有权重（名字以 .safetensors 或 .bin 结尾的文件）。
    只有 config.json、没有权重的是下载断了留下的，不算。这里的例子里最多只有一个算数的。
    """
    for config in cache_dir.rglob("config.json"):
        if any(file.suffix in (".safetensors", ".bin") for file in config.parent.iterdir()):
            return config.parent
    return None


def resume_headers(part: Path, total: int) -> dict[str, str] | None:
    """接着下载 part 时要带的请求头；total 是整个文件的字节数

    part 不存在或是空的：从头下，不带请求头，返回 {}
    part 有 n 个字节：第 0 … n-1 个已经有了，要从第 n 个要起，返回 {"Range": "bytes=n-"}
    已经有 total 个字节：不用下了，返回 None
    """
    size = part.stat().st_size if part.exists() else 0
    if size == total:
        return None
    return {"Range": f"bytes={size}-"} if size else {}
