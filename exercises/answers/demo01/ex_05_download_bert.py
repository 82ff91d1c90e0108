"""答案  第一个 demo 的第 5 课  下哪些文件，下对了没有

练什么：同一份权重在仓库里常有好几种格式，只下一种；下完用 SHA-256 核对，一个字节都不能错。
"""

import hashlib
from pathlib import Path


def files_to_download(names: list[str]) -> list[str]:
    """仓库里的文件名 → 要下载的，按原来的顺序

    1. 结尾是 .json 或 .txt 的都要
    2. 权重只要一种：有 model.safetensors 就要它，没有才要 pytorch_model.bin
    3. 别的（tf_model.h5、flax_model.msgpack、README.md、.gitattributes …）都不要
    """
    safe = "model.safetensors" in names
    weights = "model.safetensors" if safe else "pytorch_model.bin"
    return [name for name in names if name.endswith((".json", ".txt")) or name == weights]


def sha256_of(path: Path) -> str:
    """文件内容的 SHA-256，64 个小写的十六进制字符

    权重有几百 MB，不要一次读进内存，一次读 1 MB（1024 * 1024 个字节）。
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1024 * 1024):
            digest.update(block)
    return digest.hexdigest()
