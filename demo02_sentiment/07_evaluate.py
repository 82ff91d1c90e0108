"""第 7 课  评估：在没见过的测试集上考一次，再问三个问题

教什么：精度 90 % 是好是坏，要看三样东西才知道。一、这么多条里误差有多大（置信区间）；
二、最笨的办法和不用神经网络的办法能考多少（基线）；三、错在哪里（混淆矩阵、错得最自信的评论）。

怎么运行：先训练，再
    python demo02_sentiment/07_evaluate.py
    python demo02_sentiment/07_evaluate.py --weights params/3bert.pth
    python demo02_sentiment/07_evaluate.py --data 新来的.csv      整个文件都是考卷

会看到：
    测试集 1200 条
         答对      精度   95 % 置信区间      方法
        600/1200   50.0%   [47.2%, 52.8%]   全猜一类（负向）
       1002/1200   83.5%   [81.3%, 85.5%]   TF-IDF + 逻辑回归
        986/1200   82.2%   [79.9%, 84.2%]   冻结的 BERT + Linear（models/tiny-bert-chinese）
    同样的题，只有 TF-IDF 答对的 71 条，只有 BERT 答对的 55 条：本来不分高下时，也有 18% 的机会…
    …
    混淆矩阵（行是真标签，列是模型说的）：
    …
    验证集上答错 165 条，最自信的 10 条：
    …

看什么：只超过"全猜一类"不算本事，超过 TF-IDF 才算。谁更好，看"只有一边答对的"两个数差得够不够多；
区间不重叠，差别多半是真的，重叠却不等于没有差别。
测试集只在最后考，只看成绩：看着它的错题回去改设置，再考多少分都不算数，所以错题从验证集里读。
"""

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import f1_score

from backstage.class_tables import is_uneven, print_confusion, print_pair, print_report
from backstage.classifier import Exam, SentimentClassifier, add_weights_arguments, same_flags
from course.baseline import tfidf_baseline
from course.cleaning import review_key
from course.cli import Parser, run
from course.columns import add_data_arguments
from course.errors import CourseError
from course.paths import command
from my_dataset import MyDataset

MISTAKES = 10  # 列出几条错得最自信的评论


def print_row(name: str, predicted: np.ndarray, labels: np.ndarray, macro: bool = False) -> None:
    """成绩表的一行：答对几条、精度、95 % 置信区间，要的话加上 macro-F1"""
    correct, total = int((predicted == labels).sum()), len(labels)
    # Wilson 的公式：接近 0 和 1 时也靠得住
    low, high = binomtest(correct, total).proportion_ci(0.95, method="wilson")
    f1 = f1_score(labels, predicted, average="macro", zero_division=0)
    print(
        f"  {correct:>5}/{total:<5} {correct / total:6.1%}   [{low:.1%}, {high:.1%}]   "
        + (f"{f1:.3f}     " if macro else "")
        + name
    )


def print_leak(seen: np.ndarray, guesses: dict[str, np.ndarray], labels: np.ndarray) -> None:
    """seen (N,)：这条测试评论训练时见过没有；见过的和没见过的分开打分"""
    if not seen.any():
        print("\n没有一条也在训练集里，成绩没有水分")
        return
    print(f"\n其中 {seen.sum()} 条（{seen.mean():.1%}）也在训练集里，分开看：")
    for title, rows in (("没见过的", ~seen), ("训练时见过的", seen)):
        for name, guess in guesses.items():
            if rows.any():
                print_row(f"{title}，{name}", guess[rows], labels[rows])


def print_mistakes(exam: Exam, names: list[str]) -> None:
    """验证集里答错的，最自信的 MISTAKES 条"""
    predicted, labels = exam.predicted, exam.labels
    wrong = np.flatnonzero(predicted != labels)
    confidence = exam.probabilities[wrong, predicted[wrong]]
    print(f"\n验证集上答错 {len(wrong)} 条，最自信的 {min(MISTAKES, len(wrong))} 条：")
    for i in wrong[np.argsort(-confidence, kind="stable")][:MISTAKES]:
        sure = exam.probabilities[i, predicted[i]]
        print(f"  真 {names[labels[i]]}，模型说{names[predicted[i]]}（{sure:.1%}）")
        text = exam.texts[i]
        print(f"    {text if len(text) <= 120 else text[:120] + '…'}")


def learned_from(classifier: SentimentClassifier) -> MyDataset | None:
    """权重学过的训练集；不在手边、改过了，就没有基线，也查不了漏题"""
    try:
        return classifier.learned("train")
    except CourseError as error:
        print(f"注意：{error.problem}；没有基线，查不了漏题，也没有错题")
        return None


def main() -> None:
    parser = Parser(__doc__)
    add_weights_arguments(parser)
    add_data_arguments(parser, "默认用训练时的那份")
    args = parser.parse_args()

    # 1. 读回训练好的分类器，考一次：特征 → fc → softmax → 概率 (条数, 类别数)
    classifier = SentimentClassifier(args.weights, args.labels)
    names = classifier.labels
    exam = classifier.exam("test", args.data)
    texts, labels, predicted = exam.texts, exam.labels, exam.predicted

    # 2. 两个基线，用权重学过的那份训练集，考同样的考卷
    train_set, guesses = learned_from(classifier), {}
    if train_set:
        majority = np.bincount(train_set.labels).argmax()
        words = tfidf_baseline(train_set.texts, train_set.labels)
        guesses = {
            f"全猜一类（{names[majority]}）": np.full(len(labels), majority),
            "TF-IDF + 逻辑回归": words.predict(texts),
        }
    guesses[f"{classifier.kind}（{classifier.record['model']}）"] = predicted

    # 3. 成绩表：答对几条，精度，精度的误差范围
    #    类别多于两种、或者条数悬殊时，再加 macro-F1：每一类的 f1 一样重地平均，小类认不出就低
    macro = is_uneven(labels, len(names))
    title = "macro-F1  方法" if macro else "方法"
    print(f"\n测试集 {len(labels)} 条\n     答对      精度   95 % 置信区间      {title}")
    for name, guess in guesses.items():
        print_row(name, guess, labels, macro)

    # 4. 有没有漏题：考卷里也在训练集里的评论（怎样算同一条，见 course/cleaning.py），分开算
    if train_set:
        print_pair(predicted == labels, guesses["TF-IDF + 逻辑回归"] == labels)
        train_keys = set(map(review_key, train_set.texts))
        seen = np.array([review_key(text) in train_keys for text in texts])
        print_leak(seen, guesses, labels)

    # 5. 每一类分开看。precision：说是这一类的，有多少真是；recall：真是这一类的，找回了多少
    #    f1-score：两者的调和平均，一个低它就低；support：这一类真有几条；accuracy：全部的精度
    #    macro avg：各类一样重地取平均，条数少的类也算数；weighted avg：按条数加权
    print_report(labels, predicted, names)
    print_confusion(labels, predicted, names)

    # 6. 错得最自信的：是模型不懂，还是标签本来就标错了？自己读一读。读了就会想改，改了就不再是
    #    "没见过的"，所以读验证集的，不读测试集的
    if train_set:
        print_mistakes(classifier.exam("validation"), names)
    pictures = command("demo02_sentiment/10_pictures.py", *same_flags(args))
    print(f"\n看图（混淆矩阵、校准、特征地图）：{pictures}")

    # 小结：精度要带区间、带基线、带错题一起看
    #       验证 86 %，测试怎么只有 82 %？挑轮次让验证偏高一点，但不是主因：TF-IDF 没看过验证集，
    #       也从 86.3 降到 83.5，这 1,200 条碰巧难一些（两边各有约 ±2 个点的误差）
    #       82 % 算好吗？赢不了只数字、数两个连着的字的 TF-IDF，比瞎猜多 32 个点；标签本身有错，
    #       谁也到不了 100 %
    # 练习：数一数上面十条里，你同意模型、不同意标签的有几条
    # 动手：python exercises/check.py demo02/07


if __name__ == "__main__":
    run(main)
