"""不是一课  中文评论数据：用哪一份，标签叫什么，怎么认出是不是同一份

自带的是 data/reviews/ 里的三个 CSV：12,000 条购物和住宿评论（约 2008 年），怎么清洗出来的、为什么
没有一段话同时在训练集和测试集里，见 data/build_reviews.py。读它们的是 demo02 的 my_dataset.py。
"""

import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from course.columns import DataSource
from course.errors import CourseError, is_disk_full
from course.files import atomic_write, check_writable
from course.paths import DATA, ROOT

if TYPE_CHECKING:  # datasets 要读一秒，用到才读：08、09 用不到
    from datasets import DatasetDict

Row = tuple[str, int | str]  # (评论, 标签)

SPLITS = ("train", "validation", "test")
REVIEWS = DATA / "reviews"  # 自带的三个 CSV
CHNSENTICORP = DATA / "ChnSentiCorp"  # 下载脚本放 lansinuote/ChnSentiCorp 的地方
# 三份评论和标签的 SHA-256（sha256 算的），记在每个用它们训练的 .pth 里
SHA256 = "466700b959dcf13ac810c63efefd450b5356f75694f87d9db1355bd2171c7363"
# 三个 CSV 接在一起的 SHA-256：少一条、换一个字都会变
FILES_SHA256 = "e89c54c852854978ff78994c106d89b6f8f72cf66a12f1c3f8dc71d3560041ff"


def find_reviews(data: str | Path | DataSource | None = None) -> DataSource:
    """用哪份数据：你给的文件夹或文件 → 下载好的 ChnSentiCorp → 自带的；路径写成绝对的

    相对路径先从当前目录找，再从仓库找；没有就抛 CourseError。
    """
    source = DataSource.of(data)
    if source.path is None:
        downloaded = (CHNSENTICORP / "dataset_dict.json").is_file()
        source = source._replace(path=CHNSENTICORP if downloaded else REVIEWS)
    for path in (Path(source.path).resolve(), ROOT / source.path):
        if path.exists() or path == REVIEWS:
            if path in (REVIEWS, CHNSENTICORP) and any(source[1:]):
                raise CourseError(
                    f"{path} 的列就叫 text 和 label，不用指定", "只写 --data，或都不写"
                )
            if path == CHNSENTICORP:
                from course.own_data import check_folder  # 它也要 import 这里

                check_folder(path)
            return source._replace(path=path)
    raise CourseError(
        f"找不到数据 {source}", "--data 换成存在的文件夹或文件；不写 --data 就用自带的评论"
    )


def to_dataset(splits: dict[str, list[Row]], names: list[str]) -> "DatasetDict":
    """{"train": [(text, label), …], …} → DatasetDict，列 text 和 label，标签带名字 names"""
    from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

    features = Features({"text": Value("string"), "label": ClassLabel(names=names)})
    return DatasetDict(
        {
            name: Dataset.from_dict(
                {"text": [text for text, _ in rows], "label": [label for _, label in rows]},
                features=features,
            )
            for name, rows in splits.items()
        }
    )


def to_splits(dataset: "DatasetDict") -> dict[str, list[Row]]:
    """`to_dataset` 的反方向"""
    return {
        name: list(zip(split["text"][:], split["label"][:], strict=True))
        for name, split in dataset.items()
    }


def sha256(dataset: "DatasetDict") -> str:
    """全部评论和标签的 SHA-256：差一个字、换一次顺序都会变，所以能认出是不是同一份数据"""
    return hashlib.sha256(json.dumps(to_splits(dataset)).encode("ascii")).hexdigest()


def files_sha256(folder: Path) -> str:
    """folder 里 train、validation、test 三个 CSV 接在一起的 SHA-256，缺的不算"""
    paths = [folder / f"{name}.csv" for name in SPLITS]
    content = b"".join(path.read_bytes() for path in paths if path.is_file())
    return hashlib.sha256(content).hexdigest()


@contextmanager
def shipped() -> Iterator[tuple[dict[str, str], str]]:
    """with shipped() as (files, cache): 里面读自带的评论

    files 是三个 CSV {"train": 路径, …}，缺了、改过的，抛 CourseError；cache 是 load_dataset 转成的
    Arrow 文件放哪里，那里的坏了（清理软件动过、拷到一半），也抛 CourseError。
    """
    if files_sha256(REVIEWS) != FILES_SHA256:
        raise CourseError(
            f"{REVIEWS} 里的三个 CSV 和课程的不一样了：改过、另存过，或者没有拷全",
            "改回来：git checkout -- data/reviews（下载 ZIP 的，再解压一次，把 data/reviews 盖上）"
            "；想用改过的，拷到别的文件夹，用 --data 指着它",
        )
    cache = DATA / "cache"
    try:
        check_writable(cache)
    except CourseError:  # 只读的仓库
        cache = Path(tempfile.gettempdir()) / "hf-course-cache"
    try:
        yield {name: str(REVIEWS / f"{name}.csv") for name in SPLITS}, str(cache)
    except Exception as error:  # 坏法很多，异常没有共同的类型
        if is_disk_full(error):
            raise
        raise CourseError(
            f"{cache} 里的缓存坏了（{type(error).__name__}）",
            f"删掉 {cache}，再运行一次同样的命令",
        ) from error


def save(dataset: "DatasetDict", folder: Path) -> None:
    """整个存成 folder，要么存好要么不存；不打印英文的进度条（Saving the dataset）"""
    from datasets import disable_progress_bars

    disable_progress_bars()
    with atomic_write(folder) as temporary:
        dataset.save_to_disk(str(temporary))
