"""选学  自己标：模型最拿不准的先标，标一条学一遍

教什么：你自己的项目里只有评论，没有标签，要一条一条地读、一条一条地标。先标哪几条？随机地拿，
是老办法；另一个办法是让模型挑它最拿不准的，想着这样的答案告诉它的最多（uncertainty sampling，
Lewis & Gale 1994，arXiv:cmp-lg/9407020；边标边学、由模型挑，统称主动学习，active learning）。先用
有真标签的评论量一量，这样挑到底省不省；再打开一个网页，你来标。

怎么运行：python -m pip install gradio      网页要用；不装也行，加上 --experiment
          python demo02_sentiment/extra_label.py                 实验，再打开网页，标自带的评论
          python demo02_sentiment/extra_label.py --experiment    只做实验
          python demo02_sentiment/extra_label.py --file 评论.csv --labels 差 一般 好
--file 是没有标签的评论：.txt 一行一条，表格的第一行是列名（没有列名的加 --column 第1列）；--labels
是各类叫什么。浏览器打开它打印的网址；每答一条都立刻写进 params/labels/，按 Ctrl-C 停，同样的命令再
运行一次就接着标。

会看到：
    ── 1. 要标的评论，特征先算好
    要标的 2000 条，分成 负向、正向
    特征：要标的 (2000, 256)，…
    特征：validation (1200, 256)，…
    ── 2. 先量一量：最拿不准的先标，省不省
    标签  最拿不准的先标  随机地标      差（95% 区间）
    20    64.3 ± 5.6      61.1 ± 7.8    …
    50    75.7 ± 2.8      73.8 ± 5.0    …
    100   80.2 ± 0.7      78.2 ± 2.6    …
    同样的 100 条自己考自己：最拿不准的 55.9，随机的 79.0
    ── 3. 你来标
    从前标过 0 条，都在 …
    网页  http://127.0.0.1:8000
    Ctrl-C 停止…

看什么：第 2 步先看区间，跨过 0 的，这几次说不出谁好。再看最后一行：挑出来的都是难题，拿它们自己
考自己，比真的成绩低得多；所以网页上每 5 条有一条是随机抽的，只拿它们当考题。
"""

import numpy as np
from scipy.stats import ttest_rel
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import KFold
from threadpoolctl import threadpool_limits

from backstage.curves import mean_and_spread
from backstage.label_page import answers_file, open_page, read_unlabelled
from backstage.probe import linear_head, sentence_features
from course.cli import require, run, step
from course.errors import CourseError
from course.models import find_model
from my_dataset import MyDataset

MODEL = "bert-base-chinese"  # models/ 里没有它时，自动用随仓库的 tiny-bert-chinese
POOL = 2000  # 从头几条里挑；多了余地大，算特征也更久
SIZES = [20, 50, 100]  # 标到这几个条数，各考一次
SEEDS = 10  # 实验做几次，每次开头的几条不同
START = 10  # 开头的几条随机地标：模型还什么都不知道，它的"拿不准"不作数
EVERY = 5  # 网页上每几条随机抽一条
PORT = 8000


def learn(features: np.ndarray, labels: np.ndarray):
    """(N, hidden) 的特征和 N 个标签 → 学好的分类头；还只见过一类，就每条都猜它"""
    head = linear_head() if len(set(labels)) > 1 else DummyClassifier()
    return head.fit(features, labels)


def least_sure(head, features: np.ndarray, left: np.ndarray) -> int:
    """left 这些编号里，模型最拿不准的一个：最大的概率最小

    两类时就是离 50% 最近的。几类时还有别的量法：前两名差多少（margin）、概率有多散（entropy）。
    """
    sure = head.predict_proba(features[left]).max(axis=1)
    return left[sure.argmin()]


def label_least_sure(features: np.ndarray, truth: np.ndarray, order: np.ndarray, size: int):
    """模型挑、真标签答，标 size 条：编号，先标的在前；开头 START 条照 order 的次序"""
    rows = list(order[:START])
    while len(rows) < size:
        left = order[~np.isin(order, rows)]
        head = learn(features[rows], truth[rows])
        rows.append(least_sure(head, features, left))
    return np.array(rows)


def experiment(features: np.ndarray, truth: np.ndarray, asked: np.ndarray, answers: np.ndarray):
    """两种次序各标 100 条，SEEDS 次，打印在验证集（asked、answers）上的精度"""
    sizes = [size for size in SIZES if size < len(truth)]
    scores = np.empty((2, len(sizes), SEEDS))
    themselves = np.empty((2, SEEDS))
    for seed in range(SEEDS):
        order = np.random.default_rng(seed).permutation(len(truth))
        picked = label_least_sure(features, truth, order, sizes[-1])
        for way, rows in enumerate((picked, order[: sizes[-1]])):
            for i, size in enumerate(sizes):
                head = learn(features[rows[:size]], truth[rows[:size]])
                scores[way, i, seed] = 100 * head.score(asked, answers)
            folds = KFold(5, shuffle=True, random_state=seed)
            parts = [
                learn(features[rows[taught]], truth[rows[taught]]).score(
                    features[rows[left]], truth[rows[left]]
                )
                for taught, left in folds.split(rows)
            ]
            themselves[way, seed] = 100 * np.mean(parts)
    print("标签  最拿不准的先标  随机地标      差（95% 区间）")
    for size, picked, drawn in zip(sizes, *scores, strict=True):
        low, high = ttest_rel(picked, drawn).confidence_interval()
        gain = f"{(picked - drawn).mean():+.1f}（{low:+.1f} 到 {high:+.1f}）"
        print(f"{size:<6}{mean_and_spread(picked):16}{mean_and_spread(drawn):14}{gain}")
    means = "最拿不准的 {:.1f}，随机的 {:.1f}".format(*themselves.mean(axis=1))
    print(f"同样的 {sizes[-1]} 条自己考自己：{means}")


def main(args) -> None:
    classes = len(set(args.labels or []))
    example = "例如 --file 评论.csv --labels 差 一般 好"
    if args.file and (classes < 2 or args.data):
        raise CourseError(
            "--file 要和 --labels（至少两类）一起写，不写 --data；评论在哪一列用 --column", example
        )
    if args.labels and not args.file:
        raise CourseError("--labels 要和 --file（没有标签的评论）一起写", example)
    if not args.experiment:
        require("gradio")

    step("1. 要标的评论，特征先算好")
    #    BERT 冻结，特征只算一遍（第 6 课）；之后只重学分类头，百分之几秒，所以能答一条学一遍
    #    自带的评论也当它没有标签：第 2 步用真标签替你答题，第 3 步不看它们的，曲线用的是验证集的
    if args.file:
        texts, names = read_unlabelled(args.file, args.column, POOL), args.labels
        parts = {"要标的": texts}
    else:
        train, validation = MyDataset("train", args.data), MyDataset("validation", args.data)
        texts, names = train.texts[:POOL], train.label_names
        parts = {"要标的": texts, "validation": validation.texts}
    print(f"要标的 {len(texts)} 条，分成 {'、'.join(names)}")
    folder = find_model(args.model)
    features, *asked, _ = sentence_features(folder, parts.items())
    exam = None if args.file else (asked[0], np.array(validation.labels))

    step("2. 先量一量：最拿不准的先标，省不省")
    #    同样的开头十条，往后一边由模型挑，一边照随机的次序；在同一份验证集上考，两边相减
    #    区间来自配对的 t 检验：同一个种子的两个精度相减，得十个差；看它们的平均，和它们自己有多散。
    #    换一个种子，最拿不准的只换开头十条，随机的每一条都换；验证集换一份，还要再上下一点
    #    这里开头之后条条都挑，网页上五条里有一条随机：网页上的差有多大，这里没有量
    #    自己考自己：交叉验证，分五份，轮流拿一份当考题。随机标的，和验证集上差不多；挑出来的全是
    #    难题，低得多，说明不了模型好不好
    path = answers_file(args.params, args.file or (args.data and args.data.path))
    if path.is_file() and not args.experiment:
        print("从前打开过网页，不再量，直接接着标；想再看一遍，加上 --experiment")
    elif exam:
        with threadpool_limits(1):  # 分类头很小：几个线程互相等的时间，比算的时间还长
            experiment(features, np.array(train.labels[:POOL]), *exam)
    else:
        print("这份评论没有真标签，量不了；自带的评论上是多少，不写 --file 运行一次")
    if args.experiment:
        return

    step("3. 你来标")
    #    网页不告诉你模型怎么猜：看过别人的答案，你的答案就不算数了
    #    每 EVERY 条有一条是随机抽的，开标之前就抽好，模型挑不到；导出时写成 test，07_evaluate.py 拿
    #    来考。用 --file 时没有验证集，曲线画的是：这些随机抽的，模型在你答之前猜对了几成
    page = path, args.port, folder
    open_page(*page, texts, names, features, exam, learn, least_sure, START, EVERY)

    # 小结：先用冻结的特征，标一条学一遍；挑题能省多少，先量再信；考题永远随机抽，
    #       要 30 道考题，一共得答一百六十条左右。导出的 CSV，别的脚本 --data 也读；可是一百来条、
    #       挑出来的又都是难题，train.py 靠切出来的十几条挑不准轮次，用旁边存好的 .pth
    # 练习 1：把 POOL 改成 9600 再做一次实验：差变大了吗？是挑的那边高了，还是随机的那边低了？
    # 练习 2：把 least_sure 里的 argmin 换成 argmax，最有把握的先标，会怎样？先猜再运行


if __name__ == "__main__":
    run(
        main, "data", "params", "file", "column", "labels", model=MODEL, port=PORT,
        experiment=False,
    )  # fmt: skip
