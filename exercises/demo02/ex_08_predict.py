"""动手  第二个 demo 的第 8 课  从 logits 到一句话

练什么：softmax 把分数变成概率，最大的那个就是答案；多条评论一起算，空的要挑出来。

怎么做：把 raise NotImplementedError（或者 ...）换成你的代码，名字不要改，要用的库自己 import，然后
    python exercises/check.py demo02/08          对不对，为什么
    python exercises/check.py demo02/08 --hint   提示
    python exercises/check.py demo02/08 --answer 答案
"""


def softmax(logits: list[float]) -> list[float]:
    """分数 → 概率，加起来是 1：每个取 exp，再除以总和

    分数可能很大（1000），exp 会溢出：先每个都减去最大的那个，结果不变。不用 torch。
    """
    raise NotImplementedError


def verdict(probabilities: list[float], names: list[str]) -> str:
    """概率 → "名字 百分数"，百分数留一位小数

    例：verdict([0.008, 0.992], ["负向", "正向"]) → "正向 99.2%"
    """
    raise NotImplementedError


def predict_all(texts: list[str], ask) -> list[str | None]:
    """一批评论，可能有空的（只有空白也算空）→ 每条的答案，空的是 None，顺序不变

    ask(评论的列表) 返回一样多的答案，它不接受空评论；整批只问它一次（一条一条地问很慢），
    一条都没有可问的时候就不问。
    """
    raise NotImplementedError
