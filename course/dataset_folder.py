"""不是一课  save_to_disk 存的数据文件夹：坏了一个字节也只是一句话，不会让整个 Python 退出

Arrow 文件是直接映射进内存的，里面记着"第几条从第几个字节开始"。这些数坏了，pyarrow 会照着去读别处的
内存，进程当场被系统结束，连 traceback 都没有。所以打开之前先查：我们存的每个文件都记着 SHA-256；
别人存的，请 pyarrow 把每一批完整地核对一遍。
"""

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow

from course.files import file_sha256, read_json, write_json

if TYPE_CHECKING:  # datasets 要读一秒，用到才读：08、09 用不到
    from datasets import Dataset, DatasetDict

SUMS = "sha256.json"  # 文件夹里每个文件的 SHA-256


def write_sums(folder: Path) -> None:
    """记下 folder 里每个文件的 SHA-256"""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    write_json(folder / SUMS, {p.relative_to(folder).as_posix(): file_sha256(p) for p in files})


def open_folder(folder: Path) -> "Dataset | DatasetDict":
    """load_from_disk(folder)，先核对再打开；没有时抛 FileNotFoundError，坏了抛 ValueError"""
    from datasets import DatasetDict, load_from_disk

    if (folder / SUMS).is_file():
        for name, written in read_json(folder / SUMS).items():
            if not (folder / name).is_file() or file_sha256(folder / name) != written:
                raise ValueError(f"{name} 和存的时候不一样")
    else:
        for path in folder.rglob("*.arrow"):
            check_arrow(path)
    try:
        dataset = load_from_disk(str(folder))
    except FileNotFoundError:
        raise
    except Exception as error:  # 说明文件（JSON）坏法很多，异常没有共同的类型
        raise ValueError(f"读不出来（{type(error).__name__}）") from error
    for split in dataset.values() if isinstance(dataset, DatasetDict) else [dataset]:
        check_values(split)
    return dataset


def check_arrow(path: Path) -> None:
    """核对一个 Arrow 文件的每一批：长度、位置、编码；不对时抛 ArrowInvalid，是一种 ValueError"""
    with pyarrow.memory_map(str(path)) as source:
        for batch in pyarrow.ipc.open_stream(source):
            batch.validate(full=True)


def check_values(split: "Dataset") -> None:
    """text 都是文字，label 都在标签的名字之内；不对时抛 ValueError"""
    from datasets import ClassLabel

    if "text" in split.column_names and not all(isinstance(t, str) for t in split["text"][:]):
        raise ValueError("text 列里有的不是文字")
    kind = split.features.get("label")
    if isinstance(kind, ClassLabel) and not set(split["label"][:]) <= set(range(len(kind.names))):
        raise ValueError("label 列里有的不在标签的名字之内")
