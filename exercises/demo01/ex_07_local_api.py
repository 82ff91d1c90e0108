"""动手  第一个 demo 的第 7 课  自己的 API：按协议回答，把住门

练什么：协议的回答是一层套一层的列表，少一层别人的客户端就读不懂；比较 token 要用时间固定的办法。

怎么做：把 raise NotImplementedError（或者 ...）换成你的代码，名字不要改，要用的库自己 import，然后
    python exercises/check.py demo01/07             对不对，为什么
    python exercises/check.py demo01/07 --hint      提示
    python exercises/check.py demo01/07 --answer    答案
"""


def generation_answer(prompt: str, written: str, full: bool) -> list[dict]:
    """续写的回答：一个列表，里面一个字典，键是 generated_text

    full 是 True 时文字是 prompt 接上 written，是 False 时只有 written。
    """
    raise NotImplementedError


def classification_answer(logits: dict[str, float], top_k: int) -> list[list[dict]]:
    """分类的回答：列表里的列表，里层每一类一个 {"label": 名字, "score": 概率}

    logits 是 {名字: 分数}，用 softmax 变成概率，按概率从高到低，只留前 top_k 个。
    分数可能很大（1000）：math.exp(1000) 会溢出，先每个都减去最大的那个，结果不变。
    """
    raise NotImplementedError


def allowed(header: str | None, token: str) -> bool:
    """请求头 Authorization 的内容是 "Bearer " 加 token 就放行；没有这个请求头时 header 是 None

    普通的 == 在第一个不同的字符就停，掐表能一位一位猜出 token；用 hmac.compare_digest。
    它不认非 ASCII 的字符串，两边都先 .encode() 成字节。
    """
    raise NotImplementedError
