"""动手  第一个 demo 的第 5 课  下哪些文件，下对了没有

练什么：同一份权重在仓库里常有好几种格式，只下一种；下完用 SHA-256 核对，一个字节都不能错。

怎么做：把 raise NotImplementedError（或者 ...）换成你的代码，名字不要改，要用的库自己 import，然后
    python exercises/check.py demo01/05             对不对，为什么
    python exercises/check.py demo01/05 --hint      提示
    python exercises/check.py demo01/05 --answer    答案
"""

from pathlib import Path


def files_to_download(names: list[str]) -> list[str]:
    """仓库里的文件名 → 要下载的，按原来的顺序

    1. 结尾是 .json 或 .txt 的都要
    2. 权重只要一种：有 model.safetensors 就要它，没有才要 pytorch_model.bin
    3. 别的（tf_model.h5、flax_model.msgpack、README.md、.gitattributes …）都不要
    """
    raise NotImplementedError


def sha256_of(path: Path) -> str:
    """文件内容的 SHA-256，64 个小写的十六进制字符

    权重有几百 MB，不要一次读进内存，一次读 1 MB（1024 * 1024 个字节）。
    """
    raise NotImplementedError
