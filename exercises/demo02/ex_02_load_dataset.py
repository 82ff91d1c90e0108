"""动手  第二个 demo 的第 2 课  读数据：编码、长度、漏题

练什么：别人给的 CSV 什么编码都有；max_length 看着数据定；同一条评论不能又学又考。

怎么做：把 raise NotImplementedError（或者 ...）换成你的代码，名字不要改，要用的库自己 import，然后
    python exercises/check.py demo02/02             对不对，为什么
    python exercises/check.py demo02/02 --hint      提示
    python exercises/check.py demo02/02 --answer    答案
"""

from pathlib import Path


def read_reviews(path: Path) -> list[tuple[str, int]]:
    """读一个 CSV：第一行是列名 text,label，返回 [(评论, 标签), …]，标签是整数

    编码可能是 UTF-8、带 BOM 的 UTF-8（Excel 存的），或者 GBK（老的中文 Windows）。
    评论里可能有逗号和换行（CSV 会用引号包住），所以要用 csv 模块来读，不要自己 split。
    """
    raise NotImplementedError


def choose_max_length(lengths: list[int], share: float) -> int:
    """lengths 是每条评论的字数（一个字一个 token），返回 max_length

    要让至少 share（如 0.95）的评论不被截断的最小的 max_length；
    [CLS] 和 [SEP] 也占两个位置；BERT 最多认 512 个位置，算出来更大就用 512。
    """
    raise NotImplementedError


def leaked(train: list[str], test: list[str]) -> list[str]:
    """测试集里也出现在训练集里的评论，按测试集的顺序

    只差空白、大小写、全角半角的，算同一条：比之前先 unicodedata.normalize("NFKC", …)，把全角
    变成半角，再变成小写，再去掉所有的空白。返回的是测试集里原来的样子。
    """
    raise NotImplementedError
