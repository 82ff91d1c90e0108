"""不是一课  一句话里的每一段，把结果推动了多少；09_serve.py 的网页用

做法是沙普利值（Shapley value）：把词一个一个地写上去，每写一个看结果动了多少；先写哪个不一样，就换
许多种顺序，取平均。好处是加得起来：从"什么都没写"的结果出发，加上每一段的推动，正好是整句的
结果；重复的好话也不会因为"少一句没关系"就一分功劳都没有。它说的是模型看重什么，不一定是人看重的。

和别的做法（每次删一段、用 [MASK] 遮一段、积分梯度）比，谁指出来的词删掉之后结果变得最多：
extra_explain.py。
"""

import itertools
import math
import random

import torch

from backstage.classifier import SentimentClassifier, readable
from course.errors import InputError

MAX_PIECES = 64  # 最多分成几段
MIN_PIECES = 8  # 再长的评论也至少分成这么多段
BUDGET = 8192  # 各种顺序总共大约算多少个 token：短句换的顺序多，长评论段数少、每段长
ORDERS = (2, 40)  # 最少、最多换几种顺序
CLAUSE_ENDS = set("，。！？；：、…,.!?;:\n")  # 一个分句到这里为止


def explain(classifier: SentimentClassifier, text: str, words: list[str] | None = None) -> dict:
    """一句话的概率，和每一段把结果推动了多少

    推动 effect 是对数几率 ln(p / (1 - p)) 的增加量，p 是结果 label 的概率：p 已经是 99 % 时概率几乎
    不动，对数几率还看得出谁重要。正数说明这一段支持结果，负数说明它在反对；全部加起来等于整句的对数
    几率减去什么都没写时的。words 是这句话切成的词，连起来必须就是 text；不给就一个字一段（一个英文
    单词也是一段）。

    返回 {"label", "probabilities": {标签: 概率}, "empty": {标签: 什么都没写时的概率},
    "cut": 截断没有, "pieces": [{"text", "effect", "without": 只删掉这一段时 label 的概率}, …]}；
    pieces 拼起来就是原文，模型没看的部分（空格、截掉的尾巴）effect 和 without 是 None。
    同一句话每次结果相同。
    text 是空的、words 连起来不是 text 时抛 InputError。
    沙普利值：Shapley 1953；随机换顺序来估计：Štrumbelj & Kononenko 2010；一种顺序配一种反过来的，
    波动更小：Mitchell 等 2022。
    """
    if not text.strip():
        raise InputError("text 是空的，至少要有一个字")
    if words is not None and "".join(words) != text:
        raise InputError("words 连起来不是 text")
    text = readable(text)
    spans, seen = split(classifier, text, words)

    # 1. 要问模型的全部句子：整句，什么都没写，每次只删一段，每种顺序里一段一段地加
    def written(chosen: set[int]) -> str:
        # 没写的换成空格：等于删掉，又不会让两边的英文单词连成一个；截掉的尾巴也不会补进来
        at, out = 0, ""
        for i, (start, end) in enumerate(spans):
            out += text[at:start] + (text[start:end] if i in chosen else " ")
            at = end
        return out + text[at:seen]

    everything = set(range(len(spans)))
    orders = orders_of(len(spans), seen)
    asked = [frozenset(everything), frozenset()]
    asked += [frozenset(everything - {i}) for i in everything]
    asked += [frozenset(order[:k]) for order in orders for k in range(1, len(spans))]
    place = {chosen: i for i, chosen in enumerate(dict.fromkeys(asked))}  # 相同的只问一次

    # 2. 一次全问
    logits = classifier.logits([written(chosen) for chosen in place])
    probabilities = logits.softmax(dim=1)
    best = int(logits[0].argmax())
    others = torch.cat([logits[:, :best], logits[:, best + 1 :]], dim=1)
    odds = (logits[:, best] - others.logsumexp(dim=1)).tolist()

    # 3. 每一段：在每种顺序里，写上它前后差多少，取平均
    effects = [0.0] * len(spans)
    for order in orders:
        steps = [odds[place[frozenset(order[:k])]] for k in range(len(spans) + 1)]
        for i, (before, after) in zip(order, itertools.pairwise(steps), strict=True):
            effects[i] += (after - before) / len(orders)

    shown, position = [], 0
    for i, (start, end) in enumerate([*spans, (len(text), len(text))]):
        if start > position:
            shown.append({"text": text[position:start], "effect": None, "without": None})
        if end > start:
            without = probabilities[place[frozenset(everything - {i})], best].item()
            shown.append({"text": text[start:end], "effect": effects[i], "without": without})
        position = end
    whole, empty = (  # 一个看得见的字都没有时，两句是同一句
        dict(zip(classifier.labels, probabilities[place[chosen]].tolist(), strict=True))
        for chosen in asked[:2]
    )
    return {
        "label": classifier.labels[best],
        "probabilities": whole,
        "empty": empty,
        "cut": classifier.cut([text])[0],
        "pieces": shown,
    }


def orders_of(pieces: int, length: int) -> list[tuple[int, ...]]:
    """先写哪一段后写哪一段的几种顺序；全部顺序不多时就全部（那时结果是精确的），否则随机抽

    length 是整句大约多少个 token：每种顺序要算 pieces 句，平均半句那么长。
    """
    fewest, most = ORDERS
    if math.factorial(min(pieces, 10)) <= most:
        return list(itertools.permutations(range(pieces)))
    count = min(most, max(fewest, BUDGET * 2 // (pieces * length)))
    rng = random.Random(0)
    orders: list[tuple[int, ...]] = []
    while len(orders) < count:
        order = tuple(rng.sample(range(pieces), pieces))
        orders += [order, order[::-1]]
    return orders


def split(
    classifier: SentimentClassifier, text: str, words: list[str] | None
) -> tuple[list[tuple[int, int]], int]:
    """切成不多于 MAX_PIECES 段：([(从第几个字, 到第几个字), …], 模型看得见前多少个字)"""
    encoded = classifier.tokenizer(text, truncation=True, return_offsets_mapping=True)
    offsets = encoded["offset_mapping"]
    seen = max(end for _, end in offsets)
    if words is None:  # 一个汉字是一个词，一个英文单词可能有几个 token
        tokens: dict[int, tuple[int, int]] = {}
        for word, (start, end) in zip(encoded.word_ids(), offsets, strict=True):
            if word is not None:
                tokens[word] = (tokens.get(word, (start, end))[0], end)
        spans = list(tokens.values())
    else:
        ends = list(itertools.accumulate(map(len, words)))
        spans = [(end - len(word), min(end, seen)) for word, end in zip(words, ends, strict=True)]
        spans = [(start, end) for start, end in spans if text[start:end].strip()]
    limit = min(MAX_PIECES, max(MIN_PIECES, BUDGET * 2 // (min(ORDERS) * len(offsets))))
    while len(spans) > limit:  # 太多：每次把相邻的两段合成一段，先合同一分句里最短的
        at = min(
            range(len(spans) - 1),
            key=lambda i: (text[spans[i][1] - 1] in CLAUSE_ENDS, spans[i + 1][1] - spans[i][0]),
        )
        spans[at : at + 2] = [(spans[at][0], spans[at + 1][1])]
    return spans, seen
