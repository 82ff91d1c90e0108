"""动手  第二个 demo 的第 1 课  分词器：自己编码、自己还原

练什么：分词器 = 切分 + 查字典 + 加记号 + 截断或补齐。自己写一遍，就知道每个数从哪里来。
vocab 是 {token: id} 的字典，[PAD] 是 0，[UNK] 是 100，[CLS] 是 101，[SEP] 是 102。

怎么做：把 raise NotImplementedError（或者 ...）换成你的代码，名字不要改，要用的库自己 import，然后
    python exercises/check.py demo02/01             对不对，为什么
    python exercises/check.py demo02/01 --hint      提示
    python exercises/check.py demo02/01 --answer    答案
"""


def encode(text: str, vocab: dict[str, int], max_length: int) -> dict[str, list[int]]:
    """一句中文 → {"input_ids": […], "attention_mask": […]}，都正好 max_length 个

    1. 一个字一个 token，查 vocab；没有的字用 [UNK]
    2. 前面加 [CLS]，后面加 [SEP]
    3. 太长就截掉句尾的字，[CLS] 和 [SEP] 也占位置，截完 [SEP] 还在最后
    4. 太短就在后面补 [PAD]；attention_mask 真的 token 是 1，补的是 0
    """
    raise NotImplementedError


def decode(ids: list[int], vocab: dict[str, int]) -> str:
    """编号 → 文字：去掉 [CLS]、[SEP]、[PAD]，其余的连起来，中间没有空格

    [UNK] 留着，它说明这里原来有一个字。
    """
    raise NotImplementedError


SENTENCE = "iphone15很好用，unbelievable！"
# 编码 SENTENCE 时，max_length 最小是多少，才一个 token 也不会被截掉？
# 先看第 1 课打印的：英文和数字不是一个字母一个 token，想一想再数
MAX_LENGTH = ...
