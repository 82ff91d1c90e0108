"""判题  第一个 demo 的第 7 课"""

import numpy as np
from judging import ask, exercise, require


@exercise("generation_answer", "续写的回答", "最外面是 [ ]，里面是 { }，只有一个键")
def check_generation_answer(generation_answer):
    for prompt, written in (("今天天气", "真好"), ("", "你好"), ("完了", "")):
        for full in (True, False):
            text = prompt + written if full else written
            other = written if full else prompt + written
            ask(
                generation_answer,
                *(prompt, written, full),
                want=[{"generated_text": text}],
                usual=[
                    ({"generated_text": text}, "少了外面的一层列表"),
                    ([[{"generated_text": text}]], "续写只有一层列表，两层的是分类"),
                    ([{"generated_text": other}], "full 为 True 才接上 prompt，这里反了"),
                    ([{"text": text}], "键是 generated_text，名字不能变"),
                ],
            )


@exercise(
    "classification_answer",
    "分类的回答",
    "先 softmax，再排序，再 [:top_k]；最后在外面再套一层 [ ]",
)
def check_classification_answer(classification_answer):
    for logits, top_k in (
        ({"负向": -1.0, "正向": 2.0}, 2),
        ({"差": 0.5, "中": 3.0, "好": 1.0}, 2),
        ({"负向": 1000.0, "正向": 998.0}, 1),
        ({"负向": -1000.0, "正向": -1000.0, "中": -1001.0}, 3),
    ):
        scores = np.array(list(logits.values()))
        shares = np.exp(scores - scores.max())
        shares /= shares.sum()

        def rows(values, names=tuple(logits)) -> list[dict]:
            return [{"label": n, "score": float(v)} for n, v in zip(names, values, strict=True)]

        ranked = sorted(rows(shares), key=lambda row: -row["score"])
        want = [ranked[:top_k]]
        each = 1 / (1 + np.exp(-np.clip(scores, -500, 500)))
        ask(
            classification_answer,
            *(logits, top_k),
            want=want,
            usual=[
                (want[0], "少了外面的一层列表：分类的回答是列表里的列表"),
                ([rows(shares)[:top_k]], "没有按概率从高到低排"),
                ([ranked[::-1][:top_k]], "排反了：概率高的在前"),
                ([ranked], "只留前 top_k 个"),
                ([sorted(rows(scores), key=lambda row: -row["score"])[:top_k]], "分数要变成概率"),
                (
                    [sorted(rows(each), key=lambda row: -row["score"])[:top_k]],
                    "这是 sigmoid，每一类各算各的；softmax 要除以总和",
                ),
            ],
            errors={
                OverflowError: f"math.exp({max(logits.values()):g}) 太大了：先减去最大的那个",
                ZeroDivisionError: "math.exp(-1000) 是 0，总和也是 0：先减去最大的那个",
            },
        )


def names_used(code) -> set[str]:
    """一个函数的代码里用到的名字，里面的函数也算"""
    inner = [names_used(part) for part in code.co_consts if hasattr(part, "co_names")]
    return set(code.co_names).union(*inner)


@exercise("allowed", "比较 token", "hmac.compare_digest(字节, 字节)；header 是 None 时当作空的")
def check_allowed(allowed):
    token = "hf_local_0123456789"
    good = f"Bearer {token}"
    errors = {
        TypeError: "compare_digest 只认字节（或纯 ASCII 的文字），None 也不行：先 .encode()",
        AttributeError: "没有请求头时 header 是 None，不能直接 .encode()",
    }
    bare = [(False, "请求头是 Bearer、一个空格、token，要和整个请求头比")]
    ask(allowed, good, token, want=True, usual=bare, errors=errors)
    for header, why in (
        (None, "没有请求头也放行了"),
        ("", "空的请求头也放行了"),
        (token, "前面没有 Bearer，不能放行"),
        (f"{good}x", "只比了开头：token 后面多了一个字符"),
        (good[:-1], "token 少了一个字符也放行了"),
        ("Bearer ", "没有 token 也放行了"),
        (f"Basic {token}", "不是 Bearer，不能放行"),
        ("Bearer 密码", "不对的 token 放行了"),
    ):
        ask(allowed, header, token, want=False, usual=[(True, why), (None, why)], errors=errors)
    require(
        "compare_digest" in names_used(allowed.__code__),
        "结果都对，但没有用 compare_digest\n多半是：用了 ==，它在第一个不同的字符就停，用时会漏出"
        "对了几位",
    )
