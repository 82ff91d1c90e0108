"""判题  第二个 demo 的第 12 课：抽样和 pandas 的比，读曲线和 numpy 的插值比"""

import numpy as np
import pandas as pd
from judging import ask, exercise


@exercise(
    "take_balanced",
    "各类轮流地抽",
    "先把 order 按标签分成几队；第 0 轮每队出第 0 个，第 1 轮每队出第 1 个……最后取前 size 个",
)
def check_take_balanced(take_balanced):
    rng = np.random.default_rng(0)
    for labels, size in (
        ([0, 1] * 6, 4),
        ([0] * 8 + [1] * 4, 6),
        ([1, 0, 0, 0, 0, 1, 0, 0], 7),  # 第 1 类不够
        ([2, 0, 1, 2, 2, 1, 0, 2, 1, 0], 5),
        ([0, 1, 1, 0, 1], 1),
    ):
        order = rng.permutation(len(labels)).tolist()

        def turns(first: list[int], labels=labels) -> list[int]:
            """每条是它那一类里的第几个，先排第几个，再排标签"""
            table = pd.DataFrame({"label": labels}).loc[first]
            table["turn"] = table.groupby("label").cumcount()
            return table.sort_values(["turn", "label"]).index.tolist()

        classes = sorted(set(labels))
        share = size // len(classes)
        blocks = [i for c in classes for i in [j for j in order if labels[j] == c][:share]]
        ask(
            take_balanced,
            *(list(labels), list(order), size),
            want=turns(order)[:size],
            usual=[
                (order[:size], "只按 order 拿了前几条：碰上哪类就是哪类，各类不一样多"),
                (turns(sorted(order))[:size], "没有用 order：每次抽到的都是文件开头那几条"),
                (blocks, "一类拿完再拿下一类：没有轮流，不够分时会少几条，小的也不在大的里"),
                (turns(order), "没有在 size 条停下"),
                ([labels[i] for i in turns(order)[:size]], "这是标签；要评论的编号"),
            ],
            errors={IndexError: "一类拿完了还在拿：先看这一队还有没有"},
        )


@exercise(
    "labels_needed",
    "要标多少条",
    "一对一对地看相邻的两点；占的比例 = (target - 低) / (高 - 低)，再用它在 log(条数) 之间取",
)
def check_labels_needed(labels_needed):
    for curve, target in (
        ({20: 0.60, 200: 0.70, 2000: 0.80}, 0.75),
        ({20: 0.60, 200: 0.70, 2000: 0.80}, 0.70),
        ({20: 0.60, 200: 0.70, 2000: 0.80}, 0.85),
        ({50: 0.72, 500: 0.81}, 0.70),
        ({20: 0.55, 50: 0.66, 100: 0.64, 500: 0.76}, 0.65),  # 曲线会往下折一下
        ({20: 0.58, 100: 0.69, 1000: 0.77, 9600: 0.83}, 0.80),
    ):
        sizes, scores = np.array(list(curve)), np.array(list(curve.values()))
        reached = np.flatnonzero(scores >= target)
        at = int(reached[0]) if len(reached) else None
        want = None
        usual = [(float(sizes[-1]), "到最右边也没有达到，是 None：曲线外面的不能猜")]
        if at is not None:
            left = max(at - 1, 0)
            both = [left, at] if left < at else [at]
            log = np.interp(target, scores[both], np.log(sizes[both]))
            want = float(np.exp(log))
            linear = float(np.interp(target, scores[both], sizes[both]))
            usual = [
                (float(sizes[at]), "给的是达到的那一点；还要在它和左边一点之间连直线"),
                (linear, "按条数连的直线；横轴是对数，要在 log(条数) 之间取，再 exp 回来"),
                (float(log), "这是条数的对数，还要 exp 回来"),
            ]
        ask(
            labels_needed,
            *(dict(curve), target),
            want=want,
            usual=usual,
            errors={
                IndexError: "最左边的一点没有更左边的，到最右边也没有更右边的：这两种先看",
                StopIteration: "到最右边也没有达到时 next 会抛 StopIteration：给它第二个参数 None",
            },
        )
