"""工具  下载第二讲的数据集 ChnSentiCorp，存成 data/ChnSentiCorp

下载好之后，第二个 demo 的每个脚本都会自动用它；删掉 data/ChnSentiCorp 就换回自带的评论。

怎么运行：python data/download_dataset.py                       从官方 Hub
          python data/download_dataset.py --source hf-mirror    从国内的镜像站
魔搭上没有查到它；都连不上就不用换，自带的评论够学完全部课程。
"""

import re
from pathlib import Path

import pandas as pd
from datasets import load_from_disk

from course.cli import run
from course.columns import LABEL_NAMES
from course.errors import CourseError
from course.files import remove
from course.hub import PATIENCE, Source, ask, download, downloading, make_source
from course.own_data import check_folder
from course.paths import DATA
from course.reviews import CHNSENTICORP, SPLITS, save, to_dataset

REPO = "lansinuote/ChnSentiCorp"
PARQUET = re.compile(r"(?:data/)?(train|validation|test)[-.\w]*\.parquet")


def download_reviews(repo: str, source: Source) -> Path:
    """下载 ChnSentiCorp 那样的数据集（parquet），存成 data/ChnSentiCorp，返回那个文件夹"""
    raw = DATA / f"{CHNSENTICORP.name}-download"
    with downloading(repo, raw, source):
        names = sorted(filter(PARQUET.fullmatch, ask(repo, "dataset", source)))
        files = {split: [n for n in names if PARQUET.fullmatch(n)[1] == split] for split in SPLITS}
        if not all(files.values()):
            raise CourseError(f"{repo} 里没有 train、validation、test 三份 parquet", source.advice)
        folder = download(repo, "dataset", names, raw, source)
        splits = {}
        for split in SPLITS:
            table = pd.concat([pd.read_parquet(folder / name) for name in files[split]])
            splits[split] = list(zip(table["text"], table["label"].astype(int), strict=True))
        save(to_dataset(splits, LABEL_NAMES), CHNSENTICORP)
        remove(raw)  # 内容已经在 data/ChnSentiCorp 里了
    return CHNSENTICORP


def main(args) -> None:
    on_modelscope = args.repo != REPO
    source = make_source(args.source, args.endpoint, args.timeout, on_modelscope)

    if (CHNSENTICORP / "dataset_dict.json").is_file():
        print(f"已经下载好了：{CHNSENTICORP}（想重新下载，先删掉它）")
    else:
        try:
            download_reviews(args.repo, source)
        except CourseError as error:
            raise CourseError(
                f"没有下载成：{error.problem}",
                f"{error.next_step}；不下载也能学，脚本会用自带的评论",
            ) from None
    check_folder(CHNSENTICORP)
    reviews = load_from_disk(str(CHNSENTICORP))
    print("，".join(f"{name} {len(split)} 条" for name, split in reviews.items()))
    print("第 0 行：", reviews["train"][0])


if __name__ == "__main__":
    run(main, "endpoint", repo=REPO, source="hf", timeout=PATIENCE)
