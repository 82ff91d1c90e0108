"""选学  它到底懂什么：自己写一百来句话，一种本事一种本事地考

教什么：精度是一千多条评论的平均，不说它会什么、不会什么。CheckList（Ribeiro 等 2020，
arXiv:2005.04118）像测程序一样测模型，叫行为测试：一种本事写几句最简单的话，问法有三种：
    最起码的（minimum functionality）  谁都看得懂的一句，判对
    不该变的（invariance）             换个名字、换成繁体，判断不变
    该动的（direction）                加一个"不"要反过来；加一个"非常"，该更肯定
句子在 backstage/behaviour.csv，全部写好之后才第一次问模型，没有看着结果改过。最后用它说清楚全课
最有名的一个错：小 BERT 为什么说"这本书真好"是负向（08_predict.py）。测试集不看。

怎么运行：先训练（train.py），再 python demo02_sentiment/extra_behaviour.py
微调过的（extra_finetune.py）在 params/finetune/ 里的话，也一起考。

会看到：
    ── 1. 问什么：110 题，4 种期望
    判对　　　30 题  例：没有人不喜欢这本书
    …
    ── 2. 几个模型，同样的题
    TF-IDF、冻结的 BERT + Linear
    …
    ── 3. 每一组做到几题
    | 组 | 期望 | 共 | 全说负向 | TF-IDF | 冻结的 BERT + Linear |
    | 否定 | 反过来 | 10 | 0 | 4 | 3 |
    …
    | 三个字 | 判对 | 10 | 5 | 8 | 6 |
    …
    | 垫一句闲话 | 不变 | 10 | 10 | 8 | 5 |
    …
    ── 4. 没做到的，各看离得最远的一题
    否定（反过来）
    …
    ── 5. “这本书真好”：它学过的评论什么样
    最短的 20 个字；不到 40 个字的占 30%
    …
    ── 6. 只变长短：真评论只留头几个字
    验证集头 300 条，真是正向的 50%；只留头几个字，说正向的有几成：
    …
    ── 7. 只换训练集，再学一遍：哪一种治得好
    原来的 9600 条：“这本书真好”正向 1%；做到 三个字 6 题，垫一句闲话 5 题，…
    …
    ── 8. 画成一张图
    画好 …behaviour.png

看什么：第 3 步的"全说负向"什么也不懂，"不变"却满分：这一问单独看不算本事。"表情"满分也不是读懂了：
八种表情，字典里只有一种，别的都是 [UNK]。一组只有 10 题，差两题说明不了什么；看哪几组几乎全对，哪几
组连一半也做不到。第 7 步一次只换一样，看换了哪一样，错就没有了。
"""

import re

import numpy as np
from scipy.stats import binomtest

from backstage.behaviour import draw, read_sentences
from backstage.classifier import SentimentClassifier
from backstage.probe import linear_head
from course.baseline import tfidf_baseline
from course.cli import run, step
from course.errors import CourseError

NAMES = ["负向", "正向"]
# 期望 → (意思, 余量)。a、b 是两句话各给"第一句的真标签"多大概率；余量大于 0 就是做到了
RULES = {
    "判对": ("只有一句，判成它的标签", lambda a, b: a - 0.5),
    "反过来": ("第一句判对，第二句判成另一类", lambda a, b: min(a - 0.5, 0.5 - b)),
    "不变": ("两句判断相同，对不对不管", lambda a, b: (a - 0.5) * (b - 0.5)),
    "更肯定": ("第二句说得更重，概率要更大", lambda a, b: b - a),
}
FAMOUS = "这本书真好"
LONGER = ["", "，孩子很喜欢", "，孩子很喜欢，推荐给大家", "，我是在当当买的，昨天下午收到的"]
REVIEWS = 300  # 第 6 步：切短几条验证集的评论
KEPT = [3, 5, 10, 20, 40, None]  # 各留头几个字，None 是全文
ADDED = [200, 1000, 2000]  # 第 7 步：训练集里添几句短的


def asking(classifier: SentimentClassifier):
    """一个函数：N 句话 → 各是正向的概率 (N,)；不是正向、负向两类的抛 CourseError"""
    if sorted(classifier.labels) != sorted(NAMES):
        said = "、".join(classifier.labels)
        raise CourseError(f"{classifier.weights} 分的是 {said}", "--weights 换成分负向、正向的")
    column = classifier.labels.index("正向")
    return lambda texts: classifier.probabilities(texts)[:, column].numpy()


def take(rows: list[dict[str, str]], ask) -> tuple[np.ndarray, np.ndarray]:
    """每一题的余量 (N,)，大于 0 是做到了；两句话各给正向多大概率 (N, 2)，没有第二句的不用看"""
    p = np.stack([ask([row[name] or " " for row in rows]) for name in ("text", "other")], axis=1)
    positive = np.array([[row["label"] == "正向"] for row in rows])
    truth = np.where(positive, p, 1 - p)
    margins = [RULES[row["expect"]][1](*pair) for row, pair in zip(rows, truth, strict=True)]
    return np.array(margins), p


def balanced(lengths: np.ndarray, labels: np.ndarray) -> list[int]:
    """每一种长短的好评、差评留一样多：留下的编号"""
    bins, kept = np.digitize(lengths, [25, 30, 40, 60, 80, 110, 150, 220]), []
    for one in np.unique(bins):
        sides = [np.flatnonzero((bins == one) & (labels == label)) for label in (0, 1)]
        kept += [i for side in sides for i in side[: min(map(len, sides))]]
    return kept


def main(args) -> None:
    rows = read_sentences(RULES, NAMES)
    groups: dict[str, list[int]] = {}  # 组 → 第几题
    for i, row in enumerate(rows):
        groups.setdefault(row["group"], []).append(i)

    step(f"1. 问什么：{len(rows)} 题，{len(RULES)} 种期望")
    for expect, (meaning, _) in RULES.items():
        some = [row for row in rows if row["expect"] == expect]
        example = " → ".join(filter(None, (some[0]["text"], some[0]["other"])))
        print(f"{expect:　<5}{len(some)} 题  例：{example}\n　　　　　（{meaning}）")

    step("2. 几个模型，同样的题")
    #    TF-IDF 用权重学过的那份训练集来学，才公平
    classifier = SentimentClassifier(args.weights, args.labels)
    ours = asking(classifier)
    train, validation = classifier.exam("train"), classifier.exam("validation")
    column = classifier.labels.index("正向")
    words = tfidf_baseline(train.texts, train.labels)
    models = {"TF-IDF": lambda texts: words.predict_proba(texts)[:, column], classifier.kind: ours}
    tuned = args.weights.parent / "finetune" / "best.pth"
    if tuned.is_file():
        models["微调的 BERT"] = asking(SentimentClassifier(tuned))
    else:
        print("想加上微调的：python demo02_sentiment/extra_finetune.py，十几分钟，再来")
    print("、".join(models))

    step("3. 每一组做到几题")
    results = {name: take(rows, ask) for name, ask in models.items()}
    done = {name: margins > 0 for name, (margins, _) in results.items()}
    never = take(rows, lambda texts: np.zeros(len(texts)))[0] > 0  # 什么都说负向
    print(f"| 组 | 期望 | 共 | 全说负向 | {' | '.join(models)} |")
    for group, at in groups.items():
        counts = [int(passed[at].sum()) for passed in (never, *done.values())]
        print(f"| {group} | {rows[at[0]]['expect']} | {len(at)} | {' | '.join(map(str, counts))} |")
    low, high = binomtest(8, 10).proportion_ci(0.95, method="wilson")
    print(f"10 题做到 8 题，95% 置信区间是 {low:.0%} 到 {high:.0%}：差两题说明不了什么")
    #    考的是同样的题，就只数只有一边做到的（p 值，07_evaluate.py 的第 4 步）
    print(f"只有一边做到的是 5 比 0，p 值 {binomtest(0, 5).pvalue:.1%}：要 6 比 0 才小于 5%")
    same = np.array([row["expect"] == "不变" for row in rows])
    positive = np.array([[row["label"] == "正向"] for row in rows])
    for name, (_, p) in results.items():
        both = same & ((p > 0.5) != positive).all(axis=1)
        count = f"{same.sum()} 题“不变”做到 {done[name][same].sum()}"
        print(f"{name}：{count}，里面有 {both.sum()} 题两句都判错，错得一样")

    step("4. 没做到的，各看离得最远的一题")
    #    挑哪一题也有规矩：小 BERT 的余量最小的。后面是各给正向多大概率
    for group, at in groups.items():
        worst = min(at, key=results[classifier.kind][0].__getitem__)
        if done[classifier.kind][worst]:
            print(f"{group}：全做到了")
            continue
        print(f"{group}（{rows[worst]['expect']}）")
        for i, text in enumerate(filter(None, (rows[worst]["text"], rows[worst]["other"]))):
            said = "，".join(f"{name} {p[worst, i]:.0%}" for name, (_, p) in results.items())
            print(f"    {text}  正向：{said}")

    step(f"5. “{FAMOUS}”：它学过的评论什么样")
    #    有没有这么短的；又短、又有"书"字的，多半是好评还是差评；特征离学过的有多远
    lengths = np.array([len(text) for text in train.texts])
    books = np.array(["书" in text for text in train.texts])
    print(f"最短的 {lengths.min()} 个字；不到 40 个字的占 {(lengths < 40).mean():.0%}")
    for name, size in (("不到 40 个字", lengths < 40), ("150 个字以上", lengths >= 150)):
        found = train.labels[size & books] == column
        print(f"{name}、有“书”字的 {len(found)} 条，{found.sum()} 条是正向")
    #    特征的每一列减平均、除以标准差，再看离训练集的中心多远（平方加起来再开方）
    short = [row["text"] for row in rows if len(row["text"]) < 6] + [FAMOUS]
    new = classifier.sentences.encode(short).numpy()
    middle, spread = train.features.mean(axis=0), train.features.std(axis=0) + 1e-9
    seen, far = (np.linalg.norm((x - middle) / spread, axis=1) for x in (train.features, new))
    print(
        f"特征离中心多远：训练集 99% 在 {np.quantile(seen, 0.99):.1f} 以内；不到 6 个字的 "
        f"{len(short)} 句，最近的也有 {far.min():.1f}，“{FAMOUS}” {far[-1]:.1f}"
    )

    step("6. 只变长短：真评论只留头几个字")
    #    好评差评各半；只留三个字多半看不出好坏，该一半一半地猜，可是越短越往一边倒
    texts, actual = validation.texts[:REVIEWS], validation.labels[:REVIEWS] == column
    kept = [str(n or "全文") for n in KEPT]
    print(
        f"验证集头 {len(texts)} 条，真是正向的 {actual.mean():.0%}；"
        f"只留头几个字，说正向的有几成：\n    {'  '.join(kept)}"
    )
    cuts = {}
    for name, ask in models.items():
        cuts[name] = [(ask([text[:n] for text in texts]) > 0.5).mean() for n in KEPT]
        print(f"    {'  '.join(f'{share:.0%}' for share in cuts[name])}  {name}")
    for text in (FAMOUS + tail for tail in LONGER):
        said = "，".join(f"{name} {ask([text])[0]:.0%}" for name, ask in models.items())
        print(f"    {text}  正向：{said}")

    step("7. 只换训练集，再学一遍：哪一种治得好")

    #    BERT 不动，还是那些特征，只有分类头重学（逻辑回归，第 12 课的那一个）
    def learn(name: str, features: np.ndarray, labels: np.ndarray) -> None:
        head = linear_head().fit(features, labels)

        def ask(texts: list[str]) -> np.ndarray:
            return head.predict_proba(classifier.sentences.encode(texts).numpy())[:, column]

        passed, score = take(rows, ask)[0] > 0, head.score(validation.features, validation.labels)
        counts = [f"{group} {passed[groups[group]].sum()} 题" for group in ("三个字", "垫一句闲话")]
        print(
            f"{name}：“{FAMOUS}”正向 {ask([FAMOUS])[0]:.0%}；做到 {'，'.join(counts)}，"
            f"一共 {passed.sum()} 题；验证精度 {score:.3f}"
        )

    learn(f"原来的 {len(train.texts)} 条", train.features, train.labels)
    #    是不是因为长的多半是好评？让每一种长短的好评、差评一样多
    fair = balanced(lengths, train.labels)
    learn(f"长短配平的 {len(fair)} 条", train.features[fair], train.labels[fair])
    #    是不是因为没有短的？从训练集里切出 3 到 12 个字的半句，标签照整条的：有的看不出好坏，可是短
    rng = np.random.default_rng(0)
    pieces, labels = [], []
    for i in rng.permutation(len(train.texts)):
        if some := [part for part in re.split(r"\W+", train.texts[i]) if 3 <= len(part) <= 12]:
            pieces.append(some[rng.integers(len(some))])
            labels.append(train.labels[i])
    more = classifier.sentences.encode(pieces[: max(ADDED)]).numpy()
    for n in (n for n in ADDED if n <= len(more)):
        both = np.vstack([train.features, more[:n]]), np.append(train.labels, labels[:n])
        learn(f"添上 {n} 句短的", *both)

    step("8. 画成一张图")
    picture = args.weights.parent / "pictures" / "behaviour.png"
    places = {f"{group}（{rows[at[0]]['expect']}）": at for group, at in groups.items()}
    draw(picture, places, done, kept, cuts)
    print(f"画好 {picture}")

    # 小结：精度是一个数，行为测试是一张清单；清单要自己一题一题写，写好再问
    #       "这本书真好"不是它不懂"好"，是训练集里没有这么短的话：没学过的地方，多肯定都不算数
    # 练习：在 behaviour.csv 里添一组你那一行的话（先写好，再运行），做到几题？
    #       第 7 步的 3 到 12 个字改成 20 到 40，还治得好吗？为什么？


if __name__ == "__main__":
    run(main, "weights", "labels")
