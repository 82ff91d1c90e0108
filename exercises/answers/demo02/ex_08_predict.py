"""答案  第二个 demo 的第 8 课  从 logits 到一句话

练什么：softmax 把分数变成概率，最大的那个就是答案；多条评论一起算，空的要挑出来。
"""

import math


def softmax(logits: list[float]) -> list[float]:
    """分数 → 概率，加起来是 1：每个取 exp，再除以总和

    分数可能很大（1000），exp 会溢出：先每个都减去最大的那个，结果不变。不用 torch。
    """
    top = max(logits)
    powers = [math.exp(score - top) for score in logits]
    return [power / sum(powers) for power in powers]


def verdict(probabilities: list[float], names: list[str]) -> str:
    """概率 → "名字 百分数"，百分数留一位小数

    例：verdict([0.008, 0.992], ["负向", "正向"]) → "正向 99.2%"
    """
    best = max(range(len(names)), key=probabilities.__getitem__)
    return f"{names[best]} {probabilities[best]:.1%}"


def predict_all(texts: list[str], ask) -> list[str | None]:
    """一批评论，可能有空的（只有空白也算空）→ 每条的答案，空的是 None，顺序不变

    ask(评论的列表) 返回一样多的答案，它不接受空评论；整批只问它一次（一条一条地问很慢），
    一条都没有可问的时候就不问。
    """
    full = [text for text in texts if text.strip()]
    answers = iter(ask(full) if full else [])
    return [next(answers) if text.strip() else None for text in texts]
