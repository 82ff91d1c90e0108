"""不是一课  怎样算同一条评论"""

import unicodedata


def normalize(text: str) -> str:
    """只留字母、汉字和数字，统一全角半角和大小写：只有标点不同的两条算同一条"""
    return "".join(c for c in unicodedata.normalize("NFKC", text).lower() if c.isalnum())
