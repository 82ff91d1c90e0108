"""选学  哪种解释说得准：把它指出来的词删掉，概率掉多少

教什么：网页上"哪几个词说了算"是一种解释，解释的做法有好几种，画出来都像那么回事。怎么知道哪种说得准？
解释说某几个词最要紧，那就删掉它们再算一遍：真要紧的话，概率该大跌；跌得和随便删几个词差不多，就是
瞎说。在验证集的评论上比六种（词由 snownlp 切，每种都解释同样的词）：
    随便挑      底线
    遮一段      每次把一个词换成 [MASK]，看结果掉多少
    删一段      每次删掉一个词
    只写一段    只写这一个词，看结果从起点升多少
    积分梯度    从整句 [MASK] 一点一点变成原文，一路上每个词的梯度加起来
    沙普利值    backstage/explain.py，网页用的

怎么运行：先训练（train.py），再
    python -m pip install snownlp==0.12.3
    python demo02_sentiment/extra_explain.py                200 条，十来分钟
    python demo02_sentiment/extra_explain.py --reviews 20   先看个大概

会看到（删掉之后，概率平均掉了几个百分点）：
    | 做法 | 删最要紧的 10% | 删最要紧的 20% | 删最要紧的 50% | CPU 秒 / 条 |
    | --- | --- | --- | --- | --- |
    | 随便挑 | 0.6 | 2.4 | 6.0 | 0.00 |
    | 遮一段 | 19.8 | 35.6 | 61.7 | 0.85 |
    | 删一段 | 21.3 | 39.2 | 66.9 | 0.81 |
    | 只写一段 | 14.9 | 26.4 | 50.1 | 0.03 |
    | 积分梯度 | 12.9 | 24.3 | 49.8 | 0.48 |
    | 沙普利值 | 17.3 | 32.4 | 63.1 | 1.14 |

看什么：每一行的数越大，这种解释指得越准；哪一种都比随便挑准得多。考的就是"删掉"，所以"删一段"
占便宜，删得越少越占；删掉一半时，沙普利值离它就不远了。网页选沙普利值，为的是这张表看不见的两样：全部
推动加起来正好是结果，重复的好话不会一分功劳都没有。
"""

import itertools
import random
import time
from collections.abc import Callable

import numpy as np
import torch

from backstage.classifier import SentimentClassifier, add_weights_arguments
from backstage.explain import explain
from course.cli import Parser, at_least, require, run
from course.errors import CourseError

REVIEWS = 200
LONGEST = 300  # 一条最多多少字：太长的评论每种做法都慢
SHARES = (0.1, 0.2, 0.5)  # 删掉多少
STEPS = 20  # 积分梯度：从 [MASK] 到原文走几步
Spans = list[tuple[int, int]]


def words_of(text: str) -> Spans:
    """评论切成的词：[(从第几个字, 到第几个字), …]，没有标点"""
    from snownlp import seg  # 可选的包

    spans, at = [], 0
    for word in seg.seg(text):
        start = text.index(word, at)
        at = start + len(word)
        if any(char.isalnum() for char in word):
            spans.append((start, at))
    return spans


def without(text: str, spans: Spans, put: str = " ") -> str:
    """删掉（换成 put）这些词之后的评论"""
    for start, end in sorted(spans, reverse=True):
        text = f"{text[:start]}{put * (1 if put == ' ' else end - start)}{text[end:]}"
    return text


class Judge:
    """对一条评论的结果 label，各种写法的对数几率"""

    def __init__(self, classifier: SentimentClassifier, text: str):
        self.classifier, self.text = classifier, text
        self.best = int(classifier.logits([text])[0].argmax())
        self.whole = self.odds([text])[0]

    def odds(self, texts: list[str]) -> np.ndarray:
        logits = self.classifier.logits(texts)
        return (logits[:, self.best] - logits[:, 1 - self.best]).numpy()

    def random(self, spans: Spans) -> np.ndarray:
        return np.random.default_rng(len(self.text)).random(len(spans))

    def mask(self, spans: Spans) -> np.ndarray:
        return self.whole - self.odds(
            [without(self.text, [one], self.classifier.tokenizer.mask_token) for one in spans]
        )

    def delete(self, spans: Spans) -> np.ndarray:
        return self.whole - self.odds([without(self.text, [one]) for one in spans])

    def alone(self, spans: Spans) -> np.ndarray:
        return self.odds([self.text[start:end] for start, end in spans]) - self.odds([""])

    def shapley(self, spans: Spans) -> np.ndarray:
        # 词和词之间的标点也要切出来：words 连起来必须是原文
        cuts = sorted({0, len(self.text), *(at for span in spans for at in span)})
        words = [self.text[a:b] for a, b in itertools.pairwise(cuts)]
        effects, at = np.zeros(len(self.text)), 0
        for piece in explain(self.classifier, self.text, words)["pieces"]:
            size = len(piece["text"])
            effects[at : at + size] = (piece["effect"] or 0) / size
            at += size
        return np.array([effects[start:end].sum() for start, end in spans])

    def gradients(self, spans: Spans) -> np.ndarray:
        """积分梯度（Sundararajan 2017）：每个 token 的（原文 − 起点）× 一路上梯度的平均"""
        tokenizer, model = self.classifier.tokenizer, self.classifier.model
        data = tokenizer(
            self.text, truncation=True, return_offsets_mapping=True, return_tensors="pt"
        )
        device = model.encoder.device
        ids, offsets = data["input_ids"].to(device), data["offset_mapping"][0].tolist()
        masked = torch.full_like(ids, tokenizer.mask_token_id)
        masked[0, [0, -1]] = ids[0, [0, -1]]  # [CLS] 和 [SEP] 照旧
        with torch.no_grad():
            words = model.encoder.get_input_embeddings()
            start, end = words(masked), words(ids)
        steps = (torch.arange(STEPS, device=device) + 0.5) / STEPS
        path = (start + steps[:, None, None] * (end - start)).requires_grad_()
        hidden = model.encoder(inputs_embeds=path).last_hidden_state
        logits = model.head(model.pool(hidden, torch.ones(hidden.shape[:2], device=device)))
        odds = logits[:, self.best] - logits[:, 1 - self.best]
        (slope,) = torch.autograd.grad(odds.sum(), path)
        found = ((end - start)[0] * slope.mean(0)).sum(-1).tolist()
        return np.array(
            [
                sum(v for v, (a, b) in zip(found, offsets, strict=True) if first <= a < b <= last)
                for first, last in spans
            ]
        )


WAYS: dict[str, Callable[[Judge, Spans], np.ndarray]] = {
    "随便挑": Judge.random,
    "遮一段": Judge.mask,
    "删一段": Judge.delete,
    "只写一段": Judge.alone,
    "积分梯度": Judge.gradients,
    "沙普利值": Judge.shapley,
}


def sigmoid(odds: np.ndarray | float) -> np.ndarray | float:
    """对数几率 → 概率"""
    return 1 / (1 + np.exp(-odds))


def most(spans: Spans, effects: np.ndarray, share: float) -> Spans:
    """最支持结果的那些词，一共不多于全部字数的 share，至少一个"""
    room = share * sum(end - start for start, end in spans)
    taken: Spans = []
    for i in np.argsort(-effects):
        size = spans[i][1] - spans[i][0]
        if not taken or size <= room:
            taken.append(spans[i])
            room -= size
    return taken


def main() -> None:
    parser = Parser(__doc__)
    add_weights_arguments(parser)
    parser.add_argument(
        "--reviews", type=at_least(1), default=REVIEWS, help=f"几条，默认 {REVIEWS}"
    )
    args = parser.parse_args()
    require("snownlp==0.12.3")
    classifier = SentimentClassifier(args.weights, args.labels)
    if len(classifier.labels) != 2:
        raise CourseError("这一课只比两类的模型", "--weights 换成两类的 .pth")
    texts = classifier.exam("validation").texts
    texts = random.Random(0).sample(texts, min(args.reviews, len(texts)))
    texts = [text[:LONGEST] for text in texts]
    rows = []
    for name, way in WAYS.items():
        drops, seconds = [], 0.0
        for text in texts:
            judge, spans = Judge(classifier, text), words_of(text)
            started = time.process_time()
            effects = way(judge, spans)
            seconds += time.process_time() - started
            after = judge.odds([without(text, most(spans, effects, share)) for share in SHARES])
            drops.append(sigmoid(judge.whole) - sigmoid(after))
        cells = [f"{100 * drop:.1f}" for drop in np.mean(drops, axis=0)]
        rows.append([name, *cells, f"{seconds / len(texts):.2f}"])
    print(f"\n验证集的 {len(texts)} 条评论，删掉之后概率平均掉几个百分点：\n")
    header = ["做法", *(f"删最要紧的 {share:.0%}" for share in SHARES), "CPU 秒 / 条"]
    for row in [header, ["---"] * len(header), *rows]:
        print(f"| {' | '.join(row)} |")

    # 小结：解释也要考试；考法是动手删，不是看着顺眼
    # 练习：把 STEPS 改成 2 和 100，积分梯度准了多少？把 put 的 " " 换成 "，"，名次变了吗？


if __name__ == "__main__":
    run(main)
