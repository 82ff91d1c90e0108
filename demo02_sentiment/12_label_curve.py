"""第 12 课  标签曲线：要标多少条，预训练值多少

教什么：自己的项目里，评论好找，标签难得：要人一条一条地读。所以最该问的不是"全部标签能考几分"，
而是"标 200 条能考几分"。同一份验证集，标签从 20 条加到 9,600 条，三种做法各考一遍：
    TF-IDF      数每个字、每两个连着的字，什么意思都要从你的标签里现学
    随机的 BERT  结构一样，没有预训练：白纸一张的特征
    冻结的 BERT  预训练过的 [CLS] 特征 + 一层分类头，06_features.py、train.py 的增量微调
每个条数抽几次不同的评论，看平均和波动：标签少的时候，抽到哪几条差别很大。

怎么运行：python demo02_sentiment/12_label_curve.py            第一次几分钟，算过的不再算
          python demo02_sentiment/12_label_curve.py --finetune    加上全量微调，几十分钟
          python demo02_sentiment/12_label_curve.py --pooling mean    加上取平均的特征
          python demo02_sentiment/12_label_curve.py --data 你的.csv

会看到：
    ── 1. 数据：从多少条到多少条
    训练集 9600 条，验证集 1200 条；标签 20、50、100、200、500、1000、2000、5000、9600 条各考一遍
    ── 2. 两个 BERT 的特征，各算一遍
    特征：train (9600, 256)，…
    ── 3. 每种做法、每个条数，学一个分类头，考一次
    标签    TF-IDF              随机的 BERT         冻结的 BERT         冻结 - TF-IDF
    20      61.2 ± 3.6          57.0 ± 6.1          67.4 ± 2.9          +6.2 ± 1.7
    …
    200     74.2 ± 1.0          67.6 ± 2.4          80.9 ± 0.5          +6.7 ± 1.7
    …
    9600    86.3                77.8                85.7                -0.7 ± 1.7
    ── 4. 各类的条数一样多吗
    最多的一类是最少的 1.0 倍：精度说得清，不用看 macro-F1
    ── 5. 画成一张图
    画好 …label_curve.png

    下一步：先读 docs/07-next.md，再 python docs/tools/quiz.py 2

看什么：左边差得最多，右边挤在一起。预训练省的是标签：横着看，TF-IDF 要多标几倍才追得上。
老实说一句：随仓库的小 BERT 预训练时读过这 9,600 条评论的文字（没有看标签）。同样的曲线在它没读过
的新闻上再画一遍，200 条时领先只剩半个点，见 data/prepare_inews.py 和这里的 README.md；用 --data
换成你自己的数据，看到的才是你的曲线。
"""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from backstage.curves import Scores, finetuned
from backstage.probe import frozen_features, subset
from course.baseline import tfidf_baseline
from course.cli import run, step
from course.models import find_model
from my_dataset import MyDataset

MODEL = "bert-base-chinese"
SIZES = [20, 50, 100, 200, 500, 1000, 2000, 5000, 9600]  # 标签的条数，超过训练集的不画
SUBSETS = 5  # 每个条数抽几次
MEAN = "取平均的 BERT"  # --pooling mean 才有
TUNED = "微调的 BERT"  # --finetune 才有
TUNED_SIZES = [200, 1000]  # 微调一次要几分钟，只量这几个条数，每个抽 TUNED_SUBSETS 次
TUNED_SUBSETS = 2
LOPSIDED = 1.5  # 最多的一类是最少的几倍以上，就算不均匀
# 正则：不许权重太大，免得把碰巧的几条标签背下来。C 是正则强度，越小管得越紧，越不信少数几条标签
# 0.01 是交叉验证挑的：训练集分成几份，轮流留一份当考卷，看哪个 C 的平均分高，一眼也没看验证集
C = 0.01


def main(args) -> None:
    step("1. 数据：从多少条到多少条")
    train, validation = MyDataset("train", args.data), MyDataset("validation", args.data)
    labels, answers = np.array(train.labels), np.array(validation.labels)
    sizes = [size for size in SIZES if size < len(train)] + [len(train)]
    print(
        f"训练集 {len(train)} 条，验证集 {len(validation)} 条；"
        f"标签 {'、'.join(map(str, sizes))} 条各考一遍"
    )

    step("2. 两个 BERT 的特征，各算一遍")
    #    冻结的不会变，所以抽几次、抽多少条，都用这一遍；随机的那个和它结构、字典都一样，没有预训练
    folder = find_model(args.model)
    features = {
        "随机的 BERT": frozen_features(folder, train, validation, pretrained=False),
        "冻结的 BERT": frozen_features(folder, train, validation),
    }
    if args.pooling == "mean":  # 一句话取每个 token 的平均，不是 [CLS]
        features[MEAN] = frozen_features(folder, train, validation, pooling="mean")

    step("3. 每种做法、每个条数，学一个分类头，考一次")
    #    只用抽到的标签学，在整个验证集上考。分类头是逻辑回归：和 fc + 交叉熵是同一件事，一次解到
    #    头，不用验证集挑轮次，所以最右边的数和 train.py 的略有出入
    #    标准化（StandardScaler）：每一列特征减平均、除以标准差，大小相近了，正则才管得一样紧
    #    算过的记在 label_curve.json 里，中断了再运行接着算；数据、BERT 变了，记录就不算数
    #    最后一列的 ± 是 95 % 置信区间的一半：比领先还大，就说不准谁高；别的 ± 是几次抽样的标准差
    ways = ["TF-IDF", *features, *[TUNED] * args.finetune]
    scores = Scores(args.params, train, answers, f"{features['冻结的 BERT'][2]} {C}")
    scores.print_head(ways)
    for size in sizes:
        for way in ways:
            if way == TUNED and size not in TUNED_SIZES:
                continue
            draws = TUNED_SUBSETS if way == TUNED else args.subsets
            for seed in range(draws if size < len(train) else 1):  # 全部都用，没有什么可抽的
                if scores.known(way, size, seed):
                    continue
                rows = subset(labels, size, seed)  # 抽到的编号，各类的比例和全部的一样
                if way == "TF-IDF":
                    words = tfidf_baseline([train.texts[i] for i in rows], labels[rows])
                    guess = words.predict(validation.texts)
                elif way == TUNED:
                    guess = finetuned(folder, train, rows, validation.texts, seed)
                else:
                    learned, asked, _ = features[way]
                    head = make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=2000))
                    guess = head.fit(learned[rows], labels[rows]).predict(asked)
                scores.add(way, size, seed, guess)
        scores.print_row(size)

    step("4. 各类的条数一样多吗")
    #    差得多时，精度会骗人：全猜最多的那一类也不低。macro-F1 把各类看得一样重
    counts = np.bincount(labels)
    times = counts.max() / counts.min()
    if times > LOPSIDED:
        names = "，".join(map("{} {} 条".format, train.label_names, counts))
        print(f"最多的一类是最少的 {times:.1f} 倍（{names}），再看 macro-F1：")
        scores.print_head(ways)
        for size in sizes:
            scores.print_row(size, column=1)
    else:
        print(f"最多的一类是最少的 {times:.1f} 倍：精度说得清，不用看 macro-F1")

    step("5. 画成一张图")
    print(f"画好 {scores.draw()}")

    # 小结：标签少，先用冻结的 BERT；标签多到几千，先试 TF-IDF，几秒钟的事；领先说不说得准，看 ±
    # 练习：找到"冻结的 BERT 用 200 条"的分数，TF-IDF 要多少条才追得上？差的那些条，标一遍要几小时？
    # 动手：python exercises/check.py demo02/12


if __name__ == "__main__":
    then = "docs/07-next.md docs/tools/quiz.py 2"
    run(
        main,
        "data",
        "params",
        model=MODEL,
        subsets=SUBSETS,
        pooling="cls",
        finetune=False,
        then=then,
    )
