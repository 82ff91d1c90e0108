"""选学  标签里有多少是错的：找出可疑的，自己读二十条

教什么：07_evaluate.py 里错得最自信的评论，读一读，有些是标签错了。到底有多少？不可能把一万条
重读一遍，可以让模型先挑。办法叫 confident learning（Northcutt 等 2021，arXiv:1911.00068），三步：
    1. 给每条评论一个没看过它的标签的判断：训练集分五份，轮流用四份学、判剩下的一份（交叉验证）
    2. 每一类一个门槛：标着这一类的评论，模型平均给这一类多少概率
    3. 标着甲、乙的概率却过了乙的门槛，就是可疑的；数一数，按各类的条数折算成比例
模型很有把握地不同意，不等于标签错了：也可能是它不懂。所以还有两步：故意改错一些标签，看这办法
灵不灵；再从可疑的里随机抽二十条，你自己读。

怎么运行：python demo02_sentiment/extra_label_noise.py                  训练集
          python demo02_sentiment/extra_label_noise.py --top            不随机抽，看最可疑的二十条
          python demo02_sentiment/extra_label_noise.py --split test     全部做完之后，才看测试集

会看到：
    ── 1. 每条一个没看过它的标签的判断
    特征：train (9600, 256)，…
    ── 2. 数一数：标着什么，像什么
    标着↓ 像→      负向      正向
    负向          3172       169
    正向           277      3272
    可疑的 446 条，折算成全部是 6.4%
    ── 3. 这办法灵不灵
    故意再改错 480 条（5.0%）：估计从 6.4% 变成 10.7%，涨了 4.3
    改错的找回 317 条（66%）；最可疑的 20 条里，18 条是改错的
    ── 4. 自己读二十条
    可疑的里随机抽 20 条，最可疑的在前：
      标着 …，模型说…（…%）
    …
    ── 5. 你数出来的，换算成全部
    读完数一数：你也认为标错了的有几条？每条代表全部的 0.35%

看什么：6.4 % 是模型说的，偏多，它不懂的也算在里面；你读完数出来的才算数。写这一课的人数出来的和
它说明什么，见 docs/results.md 的"标签本身错了多少"。
"""

import numpy as np
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from backstage.probe import frozen_features, linear_head
from course.cli import run, step
from course.errors import CourseError
from course.models import find_model
from my_dataset import MyDataset
from net import MODEL

FOLDS = 5  # 交叉验证分几份
PLANTED = 0.05  # 故意改错多少
SHOWN = 20  # 读几条
SEED = 0


def unseen_probabilities(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """每条评论的概率 (N, 类别数)，都由没看过这一条的分类头给出"""
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    return cross_val_predict(linear_head(), features, labels, cv=folds, method="predict_proba")


def looks_like(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """每条评论很像哪一类 (N,)；哪一类的门槛都没有过，是 -1；过了几类的，取概率最大的"""
    classes = range(probabilities.shape[1])
    thresholds = np.array([probabilities[labels == k, k].mean() for k in classes])
    passed = np.where(probabilities >= thresholds, probabilities, -1.0)
    return np.where(passed.max(axis=1) >= 0, passed.argmax(axis=1), -1)


def count_table(labels: np.ndarray, like: np.ndarray, classes: int) -> np.ndarray:
    """(类别数, 类别数)：第 i 行第 j 列是标着 i、很像 j 的有几条；哪一类都不像的不算"""
    table = np.zeros((classes, classes), int)
    sure = like >= 0
    np.add.at(table, (labels[sure], like[sure]), 1)
    return table


def wrong_share(labels: np.ndarray, table: np.ndarray) -> float:
    """标错的占几分之几：每一行按这一类真有几条折算，对角线以外的加起来"""
    weights = np.bincount(labels, minlength=len(table)) / len(labels)
    right = table.diagonal() / table.sum(axis=1)
    return float((weights * (1 - right)).sum())


def plant_errors(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """故意改错一些：(改过的标签 (N,), 改的是哪几条的编号)"""
    rng = np.random.default_rng(SEED)
    rows = rng.choice(len(labels), round(PLANTED * len(labels)), replace=False)
    classes = len(np.unique(labels))
    changed = labels.copy()
    changed[rows] = (labels[rows] + rng.integers(1, classes, len(rows))) % classes
    return changed, rows


def most_suspicious_first(
    probabilities: np.ndarray, labels: np.ndarray, like: np.ndarray
) -> np.ndarray:
    """可疑的编号：概率给了 like、没给 labels 的差得越多，越在前面"""
    rows = np.flatnonzero((like >= 0) & (like != labels))
    margin = probabilities[rows, like[rows]] - probabilities[rows, labels[rows]]
    return rows[np.argsort(-margin, kind="stable")]


def main(args) -> None:
    train, dataset = MyDataset("train", args.data), MyDataset(args.split, args.data)
    labels, names = np.array(dataset.labels), dataset.label_names
    if min(np.bincount(labels, minlength=len(names))) < FOLDS:
        raise CourseError(
            f"{args.split} 里有一类不到 {FOLDS} 条，分不成 {FOLDS} 份", "补几条，或删掉这一类"
        )

    step("1. 每条一个没看过它的标签的判断")
    #    训练集用交叉验证；验证集、测试集没有拿来学，用整个训练集学的头判一遍就行
    learned, asked, _ = frozen_features(find_model(args.model), train, dataset, args.split)
    if args.split != "train":
        fixed = linear_head().fit(learned, train.labels).predict_proba(asked)
        print(f"{args.split} 没有拿来学：用全部训练集学好的分类头判一遍")

    def judge(labels: np.ndarray) -> np.ndarray:
        return unseen_probabilities(learned, labels) if args.split == "train" else fixed

    step("2. 数一数：标着什么，像什么")
    #    对角线以外的可疑
    probabilities = judge(labels)
    like = looks_like(probabilities, labels)
    table = count_table(labels, like, len(names))
    share, suspects = wrong_share(labels, table), most_suspicious_first(probabilities, labels, like)
    print("标着↓ 像→" + "".join(f"{name:>8}" for name in names))
    for name, counts in zip(names, table, strict=True):
        print(f"{name:6}" + "".join(f"{n:>10}" for n in counts))
    print(f"可疑的 {len(suspects)} 条，折算成全部是 {share:.1%}")

    step("3. 这办法灵不灵")
    #    改错几条自己知道的，重来一遍：估计该涨这么多，改错的该被找回来
    changed, planted = plant_errors(labels)
    again = judge(changed)
    like_again = looks_like(again, changed)
    raised = wrong_share(changed, count_table(changed, like_again, len(names)))
    found = most_suspicious_first(again, changed, like_again)
    recall = np.isin(planted, found).mean()
    print(
        f"故意再改错 {len(planted)} 条（{PLANTED:.1%}）：估计从 {share:.1%} 变成 {raised:.1%}，"
        f"涨了 {100 * (raised - share):.1f}"
        f"\n改错的找回 {np.isin(planted, found).sum()} 条（{recall:.0%}）；"
        f"最可疑的 {SHOWN} 条里，{np.isin(found[:SHOWN], planted).sum()} 条是改错的"
    )

    step("4. 自己读二十条")
    #    随机抽的二十条代表全部可疑的；最可疑的二十条不代表，只是更像标错的
    shown = suspects[:SHOWN]
    if not args.top and len(suspects) > SHOWN:
        picked = np.random.default_rng(SEED).choice(len(suspects), SHOWN, replace=False)
        shown = suspects[np.sort(picked)]
    print(f"可疑的里{'最可疑的' if args.top else '随机抽'} {len(shown)} 条，最可疑的在前：")
    for row in shown:
        sure, text = probabilities[row, like[row]], dataset.texts[row]
        print(f"  标着 {names[labels[row]]}，模型说{names[like[row]]}（{sure:.1%}）")
        print(f"    {text if len(text) <= 150 else text[:150] + '…'}")

    step("5. 你数出来的，换算成全部")
    #    可疑的占多少 × 里面真错的占几成 ÷ 这办法找得回几成
    if not args.top and len(shown) and recall:
        each = len(suspects) / len(labels) / len(shown) / recall
        print(f"读完数一数：你也认为标错了的有几条？每条代表全部的 {each:.2%}")
        print("100 % 减去它们，是全看懂了的人在这份标签上大约能考几分")

    # 小结：模型挑，人来读；标签有错，就有考不过去的天花板，可是错题大多不是标签的错
    #       真要改标签，改训练集的；测试集的标签看着模型的意见去改，等于让考生改卷子
    #       现成的包叫 cleanlab，算的是同一件事，还有别的办法
    # 练习：加上 --top 再读二十条，你认为标错的变成几条？为什么不能拿它去换算？
    #       PLANTED 改成 0.2，涨的还接近 20 吗？


if __name__ == "__main__":
    run(main, "data", model=MODEL, split="train", top=False)
