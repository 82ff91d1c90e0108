"""选学  两个模型一起判：TF-IDF 和 BERT 叠起来（stacking）

教什么：TF-IDF 认得每一个字，BERT 懂意思，错的不是同一批评论。把两个的 logits 交给第三个很小的
逻辑回归，由它学"什么时候信谁"，这叫 stacking。关键只有一处：教第三个模型的 logits，要由没学过
那一条的模型给出（交叉验证）；用学过的，它们条条都对，第三个就学成了"信记性最好的那个"。

怎么运行：python demo02_sentiment/extra_stacking.py          几分钟，慢在 TF-IDF 要学好多遍
          python demo02_sentiment/extra_stacking.py --data data/inews

会看到：
    标签    TF-IDF         冻结的 BERT     叠起来           叠起来 - 较好的    信 BERT 几成
    200     74.4 ± 1.2       81.0 ± 0.6       81.6 ± 0.3       …
    …
    9600    86.3 ± 0.0       85.7 ± 0.0       87.2 ± 0.1       …

看什么：叠起来不比较好的那个差，也好不了多少，差别都在 ±2 的误差之内；可是事先并不知道哪个较好，
它不用你挑。最后一列：标签少它信 BERT，标签多了 TF-IDF 的分量就上来了。
"""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from backstage.curves import mean_and_spread
from backstage.probe import frozen_features, linear_head, subset
from course.baseline import tfidf_baseline
from course.cli import run
from course.errors import CourseError
from course.models import find_model
from my_dataset import MyDataset
from net import MODEL

SIZES = [200, 1000, 9600]  # 标签的条数，超过训练集的不算
SEEDS = 3  # 每个条数几次：抽到的评论不同；全部都用时，交叉验证的分法不同
FOLDS = 5


def columns(logits: np.ndarray) -> np.ndarray:
    """sklearn 给的 logits → (N, 列)：两类时只有一列，正数是第 1 类；多类时一类一列"""
    return logits.reshape(len(logits), -1)


def stack(
    texts: list[str],
    features: np.ndarray,
    labels: np.ndarray,
    asked_texts: list[str],
    asked: np.ndarray,
    seed: int,
) -> tuple[dict[str, np.ndarray], float]:
    """用几条标签学三个模型，判 asked：({做法: 标签 (M,)}, 第三个模型信 BERT 几成)

    texts 和 features 是同样的评论，各是 N 条和 (N, hidden)。
    """
    # 两个模型，用全部标签学好，判要考的评论
    words, head = tfidf_baseline(texts, labels), linear_head().fit(features, labels)
    exam = [columns(words.decision_function(asked_texts)), columns(head.decision_function(asked))]

    # 教材：每一条的 logits 由没学过它的那一份模型给出，cross_val_predict 会另学五遍
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    lessons = [
        columns(cross_val_predict(model, inputs, labels, cv=folds, method="decision_function"))
        for model, inputs in ((words, texts), (head, features))
    ]

    # 第三个模型：输入只有两个模型的 logits
    judge = LogisticRegression().fit(np.hstack(lessons), labels)
    guesses = {
        "TF-IDF": words.predict(asked_texts),
        "冻结的 BERT": head.predict(asked),
        "叠起来": judge.predict(np.hstack(exam)),
    }
    # 一列的分量：系数 × 这一列的波动
    strength = np.abs(judge.coef_ * np.hstack(lessons).std(axis=0)).sum(axis=0)
    return guesses, strength[lessons[0].shape[1] :].sum() / strength.sum()


def main(args) -> None:
    train, validation = MyDataset("train", args.data), MyDataset("validation", args.data)
    labels, answers = np.array(train.labels), np.array(validation.labels)
    if min(np.bincount(labels)) < FOLDS:
        raise CourseError(f"训练集里有一类不到 {FOLDS} 条", "补几条，或删掉这一类")
    learned, asked, _ = frozen_features(find_model(args.model), train, validation)
    sizes = [size for size in SIZES if size < len(train)] + [len(train)]

    heads = f"{'标签':6}{'TF-IDF':15}{'冻结的 BERT':13}{'叠起来':14}{'叠起来 - 较好的':13}"
    print(f"\n{heads}信 BERT 几成")
    for size in sizes:
        scores: dict[str, list[float]] = {}
        trust = []
        for seed in range(args.seeds):
            rows = subset(labels, size, seed)
            texts = [train.texts[i] for i in rows]
            guesses, share = stack(
                texts, learned[rows], labels[rows], validation.texts, asked, seed
            )
            trust.append(share)
            for way, guess in guesses.items():
                scores.setdefault(way, []).append(100 * (guess == answers).mean())
        means = {way: np.mean(found) for way, found in scores.items()}
        cells = [mean_and_spread(found) for found in scores.values()]
        gain = means["叠起来"] - max(means["TF-IDF"], means["冻结的 BERT"])
        row = f"{size:<8}" + "".join(f"{cell:17}" for cell in cells)
        print(f"{row}{gain:<+20.1f}{10 * np.mean(trust):.1f}", flush=True)

    # 小结：错得不一样的模型才值得叠；叠的时候，教材必须是没学过的判断
    #       sklearn.ensemble.StackingClassifier 是现成的，只是两个模型要吃同样的输入
    # 练习：把"教材"那一步换成 words.decision_function(texts) 和 head.decision_function(features)，
    #       信 BERT 几成变成多少？验证精度呢？


if __name__ == "__main__":
    run(main, "data", model=MODEL, seeds=SEEDS)
