"""清洗评论：一条规则同时挡住重复、片段和泄漏

    任何两条留下来的评论，都没有连续 20 个相同的字

只看字母、汉字和数字（见 `normalize`）。于是同一段话不可能既在训练集又在测试集里，
测试精度才真的是"没见过的评论"上的精度。ChnSentiCorp 的测试集有 27.6 % 的评论原样
出现在训练集里，在那上面报的精度就偏高。
"""

import hashlib
import unicodedata
from collections.abc import Iterable

from tqdm import tqdm

OVERLAP = 20  # 两条评论连续相同的字最多 OVERLAP - 1 个

Row = tuple[str, int | str]  # (评论, 标签)


def normalize(text: str) -> str:
    """只留字母、汉字和数字，统一全角半角和大小写：只有标点不同的两条算同一条"""
    return "".join(c for c in unicodedata.normalize("NFKC", text).lower() if c.isalnum())


def windows(key: str) -> set[str]:
    """规范化文本 key 里所有长为 OVERLAP 的片段；不足 OVERLAP 字的就是它自己"""
    return {key[i : i + OVERLAP] for i in range(max(1, len(key) - OVERLAP + 1))}


def clean(rows: Iterable[Row], min_chars: int = 1, progress: bool = True) -> list[Row]:
    """去掉一文两标、重复、片段和不足 min_chars 字的评论，结果里任何两条没有长为 OVERLAP 的相同片段

    从长到短挑：长评论先留下，后来的短评论只要有一段与留下的相同就丢掉。
    返回的顺序由文本的 SHA-256 决定，与输入顺序、随机种子、Python 版本都无关。
    """
    labels: dict[str, set] = {}
    first_text: dict[str, str] = {}
    for text, label in rows:
        key = normalize(text)
        labels.setdefault(key, set()).add(label)
        first_text.setdefault(key, text)
    candidates = [key for key in labels if len(key) >= min_chars and len(labels[key]) == 1]

    seen: set[str] = set()
    kept: list[str] = []
    longest_first = sorted(candidates, key=lambda key: (-len(key), key))
    for key in tqdm(longest_first, desc="清洗评论", unit="条", disable=not progress):
        pieces = windows(key)
        if seen.isdisjoint(pieces):
            seen |= pieces
            kept.append(key)
    kept.sort(key=lambda key: hashlib.sha256(key.encode("utf-8")).digest())
    return [(first_text[key], *labels[key]) for key in kept]
