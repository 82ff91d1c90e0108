"""不是一课  save_to_disk 存的数据文件夹：先核对再读，坏了只是一句话，不会让整个 Python 退出

Arrow 文件是直接映射进内存的，里面记着"第几条从第几个字节开始"。这些数坏了，pyarrow 会照着去读别处的
内存，进程当场被系统结束，连 traceback 都没有。所以读之前，请 pyarrow 把每一批完整地核对一遍。
"""

import json
from pathlib import Path

import pyarrow

from course.errors import CourseError


def is_saved(folder: Path) -> bool:
    """folder 是不是 save_to_disk 存的：几份的，或只有一份的"""
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def check_folder(folder: Path) -> None:
    """load_from_disk(folder) 之前：该有的文件都在，都读得懂；不是就抛 CourseError"""
    try:
        parts = [folder]
        if (folder / "dataset_dict.json").is_file():
            listed = json.loads((folder / "dataset_dict.json").read_text(encoding="utf-8"))
            parts = [folder / name for name in listed["splits"]]
        for part in parts:
            json.loads((part / "dataset_info.json").read_text(encoding="utf-8"))
            state = json.loads((part / "state.json").read_text(encoding="utf-8"))
            for file in state["_data_files"]:
                check_arrow(part / file["filename"])
    except (OSError, ValueError, KeyError, TypeError) as error:  # ArrowInvalid 也是 ValueError
        raise CourseError(
            f"{folder} 读不了（{type(error).__name__}），多半没有拷全、没有下载完",
            "再存一次、再拷一次，或删掉它重新下载",
        ) from error


def check_arrow(path: Path) -> None:
    with pyarrow.memory_map(str(path)) as source:
        for batch in pyarrow.ipc.open_stream(source):
            batch.validate(full=True)
