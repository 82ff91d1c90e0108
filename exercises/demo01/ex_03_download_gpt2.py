"""动手  第一个 demo 的第 3 课  下载：文件夹在哪里，断了从哪里接

练什么：cache_dir 里的真文件夹藏得很深；下载断了，从已经到手的字节数接着要。

怎么做：把 raise NotImplementedError（或者 ...）换成你的代码，名字不要改，要用的库自己 import，然后
    python exercises/check.py demo01/03             对不对，为什么
    python exercises/check.py demo01/03 --hint      提示
    python exercises/check.py demo01/03 --answer    答案
"""

from pathlib import Path


def find_model_folder(cache_dir: Path) -> Path | None:
    """在 cache_dir 下面（不管多深）找模型的文件夹，返回它的路径，找不到返回 None

    模型的文件夹：里面直接有 config.json，也直接有权重（名字以 .safetensors 或 .bin 结尾的文件）。
    只有 config.json、没有权重的是下载断了留下的，不算。这里的例子里最多只有一个算数的。
    """
    raise NotImplementedError


def resume_headers(part: Path, total: int) -> dict[str, str] | None:
    """接着下载 part 时要带的请求头；total 是整个文件的字节数

    part 不存在或是空的：从头下，不带请求头，返回 {}
    part 有 n 个字节：第 0 … n-1 个已经有了，要从第 n 个要起，返回 {"Range": "bytes=n-"}
    已经有 total 个字节：不用下了，返回 None
    """
    raise NotImplementedError
