"""选学  两个模型一起判：TF-IDF 和 BERT 叠起来（stacking）

教什么：TF-IDF 认得每一个字，BERT 懂意思，错的不是同一批评论。把两个的 logits 交给第三个很小的
逻辑回归（叫它裁判），由它学"什么时候信谁"，这叫 stacking。关键只有一处：教裁判的 logits，要由没学
过那一条的模型给出（交叉验证）；用学过的，它们条条都对，裁判就学成了"信记性最好的那个"。

怎么运行：
    python demo02_sentiment/extra_stacking.py          半分钟上下，慢在 TF-IDF；学好的存下来
    python demo02_sentiment/extra_stacking.py 房间很干净，服务也好，下次还来 又脏又吵，再也不来了
    python demo02_sentiment/extra_stacking.py --file 评论.csv --out 结果.csv    存下了就能用
自己的数据：--data 你的.csv，几类都行。文件能是什么样、结果怎么写，和 08_predict.py 一样。

会看到（第一条命令）：
    ── 1. 两个模型，同样的评论
    训练集 9600 条，验证集 1200 条；…
    ── 2. 教材：要没学过这一条的模型来判
    抽 200 条标签来学    TF-IDF    冻结的 BERT
    判自己学过的　　　　 100.0     95.0
    判自己没学过的　　　 75.0      83.0
    ── 3. 每个条数学几遍，在验证集上考
    标签    TF-IDF         冻结的 BERT     叠起来           叠起来 - 较好的    信 BERT 几成
    200     74.4 ± 1.2       81.0 ± 0.6       81.7 ± 0.3       …
    …
    9600    86.3             85.7             87.2             …
    ── 4. 高出来的，是不是碰巧
    …
     1047/1200  87.2%  [85.2%, 89.0%]  叠起来
    只有叠起来答对的 41 条，…
    ── 5. 存下来，读回来，判两句
    存好 …stacking.npz
    …
（第二条命令）：
    正向  99.1%（TF-IDF 99.3%，冻结的 BERT 96.7%）  房间很干净，服务也好，下次还来
    负向  99.5%（TF-IDF 99.2%，冻结的 BERT 98.6%）  又脏又吵，再也不来了

看什么：叠起来每一行都比较好的那个高一点，高出来的都在误差之内；它的好处是不用事先知道哪个较好。
最后一列：200、1,000 条时它多信 BERT，9,600 条时 TF-IDF 的分量才上来。
"""

import sys

import numpy as np
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from backstage import probe, stacked
from backstage.curves import mean_and_spread
from course.baseline import tfidf_baseline
from course.cli import run, step
from course.errors import CourseError
from course.models import find_model
from my_dataset import MyDataset
from net import MODEL

SIZES = [200, 1000, 9600]  # 标签的条数，超过训练集的不算
SEEDS = 3  # 每个条数抽几次；全部都用时只有一种抽法，学一遍
FOLDS = 3  # 交叉验证分几份
ASKED = ["房间很干净，服务也好，下次还来", "又脏又吵，再也不来了"]


def columns(logits: np.ndarray) -> np.ndarray:
    """sklearn 给的 logits → (N, 列)：两类时只有一列，正数是第 1 类；多类时一类一列"""
    return logits.reshape(len(logits), -1)


def unseen(model: Pipeline, inputs, labels: np.ndarray, seed: int) -> np.ndarray:
    """每一条的 logits (N, 列)，由没学过它的那一份模型给出：分成几份，轮流留一份，一份学一遍"""
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    return columns(cross_val_predict(model, inputs, labels, cv=folds, method="decision_function"))


def learn(
    texts: list[str], features: np.ndarray, labels: np.ndarray, seed: int
) -> tuple[tuple[Pipeline, Pipeline, Pipeline], float]:
    """用几条标签学三个模型：((TF-IDF, 分类头, 裁判), 裁判信 BERT 几成)

    texts 和 features 是同样的评论，各是 N 条和 (N, hidden)。
    """
    words, head = tfidf_baseline(texts, labels), probe.linear_head().fit(features, labels)
    lessons = [unseen(words, texts, labels, seed), unseen(head, features, labels, seed)]
    # 两边的 logits 大小不同（200 条时标准差是 0.7 和 1.2），先标准化，正则才管得一样紧
    judge = make_pipeline(StandardScaler(), LogisticRegression())
    judge.fit(np.hstack(lessons), labels)
    strength = np.abs(judge[-1].coef_).sum(axis=0)  # 每一列的分量
    return (words, head, judge), strength[lessons[0].shape[1] :].sum() / strength.sum()


def guesses(models: tuple, texts: list[str], features: np.ndarray) -> dict[str, np.ndarray]:
    """三个各判一遍：{做法: 标签 (M,)}；裁判只看另外两个的 logits"""
    words, head, judge = models
    both = [columns(words.decision_function(texts)), columns(head.decision_function(features))]
    found = (words.predict(texts), head.predict(features), judge.predict(np.hstack(both)))
    return dict(zip(stacked.WAYS, found, strict=True))


def main(args) -> None:
    if args.file or args.texts or args.out:  # 用存下的：只打印结果
        stacked.predict(args)
        sys.exit(0)

    path = stacked.place(args.params)
    step("1. 两个模型，同样的评论")
    train, validation = MyDataset("train", args.data), MyDataset("validation", args.data)
    labels, answers = np.array(train.labels), np.array(validation.labels)
    classes = len(train.label_names)

    def too_few(rows: np.ndarray | slice) -> bool:
        """有没有一类不到 FOLDS 条：轮到留下它的那一份，学的里面可能一条也没有，就没有它的 logits"""
        return min(np.bincount(labels[rows], minlength=classes)) < FOLDS

    if too_few(slice(None)):
        raise CourseError(f"训练集里有一类不到 {FOLDS} 条", "补几条，或删掉这一类")
    folder = find_model(args.model)
    learned, asked, sha256 = probe.frozen_features(folder, train, validation)
    sizes = [size for size in SIZES if size < len(train)] + [len(train)]
    print(
        f"训练集 {len(train)} 条，验证集 {len(validation)} 条；"
        f"标签 {'、'.join(map(str, sizes))} 条各学一遍"
    )
    draws = {}
    for size in sizes:
        seeds = 1 if size == len(train) else args.seeds
        drawn = [probe.subset(labels, size, seed) for seed in range(seeds)]
        if any(map(too_few, drawn)):
            print(f"标签 {size} 条：抽到的里有一类不到 {FOLDS} 条，没法交叉验证，跳过")
        else:
            draws[size] = drawn

    step("2. 教材：要没学过这一条的模型来判")
    #    判自己学过的，几乎条条都对，看不出它什么时候靠不住；判没学过的，才是它真的本事
    size, (rows, *_) = next(iter(draws.items()))
    texts, features, truth = [train.texts[i] for i in rows], learned[rows], labels[rows]
    seen, honest = [], []
    for model, inputs in ((tfidf_baseline(texts, truth), texts), (probe.linear_head(), features)):
        seen.append(model.fit(inputs, truth).score(inputs, truth))
        logits = unseen(model, inputs, truth, seed=0)
        guess = logits.argmax(axis=1) if classes > 2 else logits[:, 0] > 0
        honest.append((guess == truth).mean())
    print(f"抽 {size} 条标签来学    TF-IDF    冻结的 BERT")
    for name, scores in (("判自己学过的", seen), ("判自己没学过的", honest)):
        print(f"{name:　<10} {100 * scores[0]:<10.1f}{100 * scores[1]:.1f}")

    step("3. 每个条数学几遍，在验证集上考")
    heads = f"{'标签':6}{'TF-IDF':15}{'冻结的 BERT':13}{'叠起来':14}{'叠起来 - 较好的':13}"
    print(f"{heads}信 BERT 几成")
    final = []
    for size, drawn in draws.items():
        right, trust = [], []
        for seed, rows in enumerate(drawn):
            texts = [train.texts[i] for i in rows]
            models, share = learn(texts, learned[rows], labels[rows], seed)
            found = guesses(models, validation.texts, asked)
            right.append({way: guess == answers for way, guess in found.items()})
            trust.append(share)
            final = final or ([models, right[0]] if size == len(train) else [])
        scores = [[100 * one[way].mean() for one in right] for way in stacked.WAYS]
        gain = np.mean(scores[2]) - max(map(np.mean, scores[:2]))
        row = f"{size:<8}" + "".join(f"{mean_and_spread(one):17}" for one in scores)
        print(f"{row}{gain:<+20.1f}{10 * np.mean(trust):.1f}", flush=True)

    step("4. 高出来的，是不是碰巧")
    #    最后一行：换一批差不多的评论来考会差多少（置信区间），只有一边答对的差多少
    #    （p 值，07_evaluate.py 的第 3、4 步）
    models, right = final
    for way, one in right.items():
        test = binomtest(int(one.sum()), len(one))
        low, high = test.proportion_ci(0.95, method="wilson")
        print(f"{one.sum():>5}/{len(one)}  {one.mean():.1%}  [{low:.1%}, {high:.1%}]  {way}")
    best = max(stacked.WAYS[:2], key=lambda way: right[way].mean())
    ours = int((right["叠起来"] & ~right[best]).sum())
    theirs = int((right[best] & ~right["叠起来"]).sum())
    p = binomtest(ours, ours + theirs).pvalue if ours + theirs else 1.0
    print(f"只有叠起来答对的 {ours} 条，只有 {best} 答对的 {theirs} 条，p 值 {p:.1%}")

    step("5. 存下来，读回来，判两句")
    #    存的就是考上面那几分的三个：全部标签学的，一个也没有再学。存成什么、为什么不用 joblib，
    #    在 backstage/stacked.py 的开头
    stacked.save(path, models, train.label_names, folder, sha256)
    print(f"存好 {path}")
    shown = [text[:30] for text in validation.texts[:2]] if args.data else ASKED
    stacked.print_opinions(stacked.Stacked(path), shown)

    # 小结：错得不一样的模型才值得叠；叠的时候，教材必须是没学过的判断
    #       sklearn.ensemble.StackingClassifier 是现成的，只是两个模型要吃同样的输入
    # 练习：learn 里的 lessons 换成学过的判断，columns(words.decision_function(texts)) 和
    #       columns(head.decision_function(features))，信 BERT 几成变成多少？验证精度呢？


if __name__ == "__main__":
    run(main, "texts", "data", "params", "file", "column", "out", model=MODEL, seeds=SEEDS)
