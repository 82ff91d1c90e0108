"""第 7 课  评估：在没见过的测试集上考一次，再问三个问题

教什么：精度 90 % 是好是坏，要看三样东西才知道。一、这么多条里误差有多大（置信区间）；
二、最笨的办法和不用神经网络的办法能考多少（基线）；三、错在哪里（混淆矩阵、错得最自信的评论）。

怎么运行：先训练，再
    python demo02_sentiment/evaluate.py
    python demo02_sentiment/evaluate.py --weights params/3bert.pth

会看到：
    测试集 1200 条
         答对      精度   95 % 置信区间      方法
        600/1200   50.0%   [47.2%, 52.8%]   全猜一类（负向）
        993/1200   82.8%   [80.5%, 84.8%]   TF-IDF + 逻辑回归
        997/1200   83.1%   [80.9%, 85.1%]   冻结的 BERT + Linear（models/tiny-bert-chinese）
    …每一类的 precision、recall、F1，混淆矩阵，错得最自信的 10 条

看什么：三行的区间重叠，就不能说谁一定更好；只超过"全猜一类"不算本事，超过 TF-IDF 才算。
测试集只在最后考：看着它的成绩回去改设置，再考多少分都不算数。
"""

from pathlib import Path

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import classification_report, confusion_matrix
from sklearn.pipeline import make_pipeline

from course.cleaning import normalize
from course.cli import Parser, run
from course.paths import PARAMS, command
from features import exam
from my_dataset import MyDataset
from net import load_trained

WEIGHTS = PARAMS / "best.pth"
Z = 1.96  # 标准正态分布 95 % 的分位数
MISTAKES = 10  # 列出几条错得最自信的评论


def wilson(correct: int, total: int) -> tuple[float, float]:
    """精度 correct / total 的 95 % 置信区间（Wilson 1927 的公式，接近 0 和 1 时也靠得住）"""
    p, n = correct / total, total
    center = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * np.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
    return center - half, center + half


def tfidf_baseline(texts: list[str], labels: list[int]):
    """字的 1、2 连写 TF-IDF + 逻辑回归：不懂语义，只数字，几秒训练好，却很难超过"""
    pipeline = make_pipeline(
        TfidfVectorizer(analyzer="char", ngram_range=(1, 2), sublinear_tf=True),
        LogisticRegression(max_iter=1000),
    )
    return pipeline.fit(texts, labels)


def print_row(name: str, predicted: np.ndarray, labels: np.ndarray) -> None:
    """成绩表的一行：答对几条、精度、95 % 置信区间"""
    correct, total = int((predicted == labels).sum()), len(labels)
    low, high = wilson(correct, total)
    print(f"  {correct:>5}/{total:<5} {correct / total:6.1%}   [{low:.1%}, {high:.1%}]   {name}")


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="默认 params/best.pth")
    parser.add_argument("--data", default=None, help="文件夹或 CSV，默认用训练时的那份")
    args = parser.parse_args()

    # 1. 读回训练好的模型，和训练时的设置
    model, tokenizer, run_info = load_trained(args.weights)
    names = run_info["label_names"]

    # 2. 测试集的概率：特征 → fc → softmax，形状 (条数, 类别数)
    test_set, features = exam(model, tokenizer, run_info, args.data)
    labels = np.array(test_set.labels)
    with torch.inference_mode():
        probabilities = model.fc(features.to(model.fc.weight.device)).softmax(dim=1).cpu().numpy()
    predicted = probabilities.argmax(axis=1)

    unfreeze = run_info["unfreeze"]
    kind = {0: "冻结的 BERT + Linear", "all": "全量微调的 BERT"}.get(
        unfreeze, f"微调最后 {unfreeze} 层的 BERT"
    )

    # 3. 两个基线，用同样的训练集，考同样的测试集
    train_set = MyDataset("train", args.data or run_info["data"])
    majority = np.bincount(train_set.labels).argmax()
    guesses = {
        f"全猜一类（{names[majority]}）": np.full(len(labels), majority),
        "TF-IDF + 逻辑回归": tfidf_baseline(train_set.texts, train_set.labels).predict(
            test_set.texts
        ),
        f"{kind}（{run_info['model']}）": predicted,
    }
    print(f"\n测试集 {len(labels)} 条\n     答对      精度   95 % 置信区间      方法")
    for name, guess in guesses.items():
        print_row(name, guess, labels)

    # 4. 有没有漏题：测试集里原样出现在训练集里的评论，分开算
    train_keys = set(map(normalize, train_set.texts))
    seen = np.array([normalize(text) in train_keys for text in test_set.texts])
    if seen.any():
        print(f"\n其中 {seen.sum()} 条（{seen.mean():.1%}）也在训练集里，分开看：")
        for title, rows in (("没见过的", ~seen), ("训练时见过的", seen)):
            for name, guess in guesses.items():
                if rows.any():
                    print_row(f"{title}，{name}", guess[rows], labels[rows])
    else:
        print("\n没有一条也在训练集里，成绩没有水分")

    # 5. 每一类分开看。precision：说是这一类的，有多少真是；recall：真是这一类的，找回了多少
    print()
    classes = list(range(len(names)))
    print(
        classification_report(
            labels, predicted, labels=classes, target_names=names, digits=3, zero_division=0
        )
    )
    print("混淆矩阵（行是真标签，列是模型说的）：")
    print("        " + "".join(f"{name:>8}" for name in names))
    for name, counts in zip(
        names, confusion_matrix(labels, predicted, labels=classes), strict=True
    ):
        print(f"  {name:6}" + "".join(f"{n:>10}" for n in counts))

    # 6. 错得最自信的：是模型不懂，还是标签本来就标错了？自己读一读
    wrong = np.flatnonzero(predicted != labels)
    confidence = probabilities[wrong, predicted[wrong]]
    print(f"\n答错 {len(wrong)} 条，最自信的 {min(MISTAKES, len(wrong))} 条：")
    for i in wrong[np.argsort(-confidence, kind="stable")][:MISTAKES]:
        sure = probabilities[i, predicted[i]]
        print(f"  真 {names[labels[i]]}，模型说{names[predicted[i]]}（{sure:.1%}）")
        text = test_set.texts[i]
        print(f"    {text if len(text) <= 120 else text[:120] + '…'}")

    print(f"\n看图（混淆矩阵、校准、特征地图）：{command('demo02_sentiment/pictures.py')}")

    # 小结：精度要带区间、带基线、带错题一起看
    # 练习：数一数上面十条里，你同意模型、不同意标签的有几条


if __name__ == "__main__":
    run(main)
