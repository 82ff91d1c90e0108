"""判题  第二个 demo 的第 8 课：和 torch 的 softmax 比"""

import torch
from judging import Wrong, ask, exercise, require


@exercise("softmax", "分数 → 概率", "top = max(logits)；math.exp(分数 - top)；最后除以总和")
def check_softmax(softmax):
    for logits in ([2.0, 1.0], [-1.0, 0.5, 3.0], [0.0, 0.0], [1000.0, 998.0], [-1000.0, -1001.0]):
        tensor = torch.tensor(logits, dtype=torch.float64)
        total = sum(logits) or 1
        ask(
            softmax,
            list(logits),
            want=tensor.softmax(0).tolist(),
            usual=[
                (tensor.sigmoid().tolist(), "这是 sigmoid，每一类各算各的，加起来不是 1"),
                ([score / total for score in logits], "没有取 exp：负的分数会变成负的概率"),
                ((tensor - tensor.max()).exp().tolist(), "没有除以总和"),
                (tensor.exp().tolist(), "没有除以总和"),
                (tensor.log_softmax(0).tolist(), "这是概率的对数"),
                (tensor.softmax(0), "要 Python 的列表：这一题不用 torch"),
            ],
            errors={
                OverflowError: "math.exp(1000) 太大了：先每个都减去最大的那个，结果不变",
                ZeroDivisionError: "math.exp(-1000) 是 0，总和也是 0：先减去最大的那个",
            },
        )


@exercise("verdict", "一句结论", "f'{概率:.1%}' 会乘 100、留一位、加上 %")
def check_verdict(verdict):
    for probabilities, names in (
        ([0.008, 0.992], ["负向", "正向"]),
        ([0.7, 0.3], ["负向", "正向"]),
        ([0.2, 0.5, 0.3], ["差", "中", "好"]),
        ([1.0, 0.0], ["负向", "正向"]),
    ):
        best = max(probabilities)
        name = names[probabilities.index(best)]
        other = names[probabilities.index(min(probabilities))]
        ask(
            verdict,
            *(probabilities, names),
            want=f"{name} {best:.1%}",
            usual=[
                (f"{name} {best}", "要百分数：0.992 写成 99.2%"),
                (f"{name} {best:.1f}%", "乘了 100 才是百分数：:.1% 会替你乘"),
                (f"{name} {best:.0%}", "留一位小数：:.1%"),
                (f"{name} {best:.2%}", "留一位小数：:.1%"),
                (f"{name}{best:.1%}", "名字和百分数之间有一个空格"),
                (f"{other} {min(probabilities):.1%}", "取成了概率最小的那一类"),
                (f"{names[-1]} {probabilities[-1]:.1%}", "写死成最后一类了：取概率最大的那一类"),
                (f"{best:.1%}", "还要名字"),
            ],
        )


@exercise("predict_all", "一批，有空的", "先挑出不空的问一次；再走一遍 texts，不空的按顺序取答案")
def check_predict_all(predict_all):
    for texts in (["好", "", "差"], ["  ", "\n"], [], ["a", "b"], ["", "好", " ", "差", "中"]):
        questions: list[list[str]] = []

        def answer(batch: list[str], texts=texts, questions=questions) -> list[str]:
            questions.append(list(batch))
            if not batch or not all(text.strip() for text in batch):
                raise Wrong(
                    f"predict_all({texts}) 问了 {batch}"
                    "\n多半是：空评论也送去算了；分词之后只剩 [CLS] 和 [SEP]，答什么都是瞎猜"
                )
            return [f"<{text}>" for text in batch]

        answers = [f"<{text}>" for text in texts if text.strip()]
        ask(
            predict_all,
            *(list(texts), answer),
            want=[f"<{text}>" if text.strip() else None for text in texts],
            usual=[
                (answers, "空的那几条不见了，后面的就和原来的行对不上：给它 None"),
                ([f"<{text}>" if text.strip() else "" for text in texts], "空的给 None，不是 ''"),
                ([*answers, *[None] * (len(texts) - len(answers))], "None 要在原来的位置上"),
            ],
            shown=f"predict_all({texts}, ask)",
        )
        require(
            len(questions) <= 1,
            f"predict_all({texts}) 问了 {len(questions)} 次\n多半是：一条一条地问；凑成一批问",
        )
