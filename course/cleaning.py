"""不是一课  怎样算同一条评论，全课只有这一种算法；分成三份、查漏题、讲清洗，都用它"""

import re
import unicodedata

# 看不见的字：零宽空格、BOM、从右往左写的记号（Unicode 的 Cf 类里常见的）
INVISIBLE = re.compile(r"[\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")


def visible(text: str) -> str:
    """去掉看不见的字和首尾的空白：两个标签看着一样，就是一样"""
    return INVISIBLE.sub("", text).strip()


def review_key(text: str) -> str:
    """key 相同的算同一条：统一全角半角和大小写，去掉空白和看不见的字，剩下的一字不差

    标点和表情算数：同一句话，后面是 😊 还是 😡，意思正相反。
    """
    return "".join(visible(unicodedata.normalize("NFKC", text)).lower().split())
