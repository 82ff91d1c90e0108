"""第 12 课  标签曲线：要标多少条，预训练值多少

教什么：自己的项目里，评论好找，标签难得：要人一条一条地读。所以最该问的不是"全部标签能考几分"，
而是"标 200 条能考几分"。同一份验证集，标签从 20 条加到 9,600 条，三种做法各考一遍：
    TF-IDF      数每个字、每两个连着的字，什么意思都要从你的标签里现学
    随机的 BERT  结构一样，没有预训练：白纸一张的特征
    冻结的 BERT  预训练过的 [CLS] 特征 + 一层分类头，06_features.py、train.py 的增量微调
每个条数抽几次不同的评论，看平均和波动：标签少的时候，抽到哪几条差别很大。

怎么运行：python demo02_sentiment/12_label_curve.py            第一次几分钟，算过的不再算
          python demo02_sentiment/12_label_curve.py --finetune    加上全量微调，几十分钟
          python demo02_sentiment/12_label_curve.py --data 你的.csv

会看到：
    标签    TF-IDF          随机的 BERT        冻结的 BERT        冻结 - TF-IDF
    20      61.2 ± 3.6          57.0 ± 6.1          67.4 ± 2.9          +6.2
    …
    200     74.2 ± 1.0          67.6 ± 2.4          80.9 ± 0.5          +6.7
    …
    9600    86.3                77.8                85.7                -0.7

    画好 …label_curve.png

看什么：左边差得最多，右边挤在一起。预训练省的是标签：横着看，TF-IDF 要多标几倍才追得上。
老实说一句：随仓库的小 BERT 预训练时读过这 9,600 条评论的文字（没有看标签）。同样的曲线在它没读过
的新闻上再画一遍，200 条时领先只剩半个点，见 data/prepare_inews.py 和这里的 README.md；用 --data
换成你自己的数据，看到的才是你的曲线。
"""

import json
from pathlib import Path

import numpy as np
from sklearn.metrics import f1_score

from backstage.checkpoint import data_sha256
from backstage.curves import MIN_STEPS, cells, draw, finetuned, read_notes
from backstage.probe import C, frozen_features, linear_head, random_model, subset
from course import baseline
from course.cli import Parser, at_least, run
from course.columns import add_data_arguments
from course.files import atomic_write, check_writable
from course.models import find_model
from course.paths import PARAMS
from my_dataset import MyDataset
from net import MODEL

SIZES = [20, 50, 100, 200, 500, 1000, 2000, 5000, 9600]  # 标签的条数，超过训练集的不画
SUBSETS = 5  # 每个条数抽几次
WAYS = ["TF-IDF", "随机的 BERT", "冻结的 BERT"]
TUNED = "微调的 BERT"  # --finetune 才有
TUNED_SIZES = [200, 1000]  # 微调一次要几分钟，只量这几个条数，每个抽 TUNED_SUBSETS 次
TUNED_SUBSETS = 2
LOPSIDED = 1.5  # 最多的一类是最少的几倍以上，就算不均匀


def print_head(ways: list[str]) -> None:
    tuned = f"    {TUNED}" if TUNED in ways else ""
    print(f"\n{'标签':6}" + "".join(f"{way:16}" for way in WAYS) + "冻结 - TF-IDF" + tuned)


def print_row(scores: dict[str, dict[int, list]], size: int, column: int) -> None:
    """表的一行，平均 ± 标准差；column 0 是精度，1 是 macro-F1"""
    shown = cells(scores, size, column)
    means = {way: 100 * np.mean([pair[column] for pair in scores[way][size]]) for way in WAYS}
    lead = f"{means['冻结的 BERT'] - means['TF-IDF']:+.1f}"
    row = f"{size:<8}" + "".join(f"{shown[way]:20}" for way in WAYS) + f"{lead:17}"
    print((row + shown.get(TUNED, "")).rstrip(), flush=True)


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--model", default=MODEL, help=f"模型名或文件夹，默认 {MODEL}")
    add_data_arguments(parser)
    parser.add_argument("--params", type=Path, default=PARAMS, help="图存到哪里，默认 params/")
    parser.add_argument(
        "--subsets", type=at_least(1), default=SUBSETS, help=f"抽几次，默认 {SUBSETS}"
    )
    parser.add_argument("--finetune", action="store_true", help="加上全量微调，几十分钟")
    args = parser.parse_args()
    check_writable(args.params)
    train, validation = MyDataset("train", args.data), MyDataset("validation", args.data)
    labels, answers = np.array(train.labels), np.array(validation.labels)
    sizes = [size for size in SIZES if size < len(train)] + [len(train)]

    # 1. 两个 BERT 的特征，各算一遍，冻结的不会变；随机的那个和它结构、字典都一样，只是没有预训练
    folder = find_model(args.model)
    features = {
        "随机的 BERT": frozen_features(random_model(folder, 0), train, validation),
        "冻结的 BERT": frozen_features(folder, train, validation),
    }

    # 2. 每种做法、每个条数、每次抽样：只用抽到的标签学一个分类头，在整个验证集上考
    #    分类头是逻辑回归：和 fc + 交叉熵是同一件事，一次解到头，不用验证集挑轮次，所以最右边的数和
    #    train.py 的略有出入
    def predict(way: str, rows: np.ndarray, seed: int) -> np.ndarray:
        if way == "TF-IDF":
            words = baseline.tfidf_baseline([train.texts[i] for i in rows], labels[rows])
            return words.predict(validation.texts)
        if way == TUNED:
            return finetuned(folder, train, rows, validation.texts, seed)
        learned, asked, _ = features[way]
        return linear_head().fit(learned[rows], labels[rows]).predict(asked)

    # 3. 算过的记在文件里，中断了再运行接着算；数据、BERT 变了，记录就不算数
    notes = args.params / "label_curve.json"
    done = read_notes(notes)

    def scores_of(way: str, size: int) -> list[list[float]]:
        """每次抽样的 [精度, macro-F1]；全部都用时没有什么可抽的，一次就够"""
        subsets = TUNED_SUBSETS if way == TUNED else args.subsets
        bert = "" if way == "TF-IDF" else features.get(way, features["冻结的 BERT"])[2]
        settings = {TUNED: f"steps={MIN_STEPS}", "TF-IDF": f"C={baseline.C}"}
        setting = settings.get(way, f"C={C}")
        found = []
        for seed in range(subsets if size < len(train) else 1):
            key = f"{data_sha256(train.source)[:16]} {bert[:16]} {way} {size} {seed} {setting}"
            if key not in done:
                guess = predict(way, subset(labels, size, seed), seed)
                macro = f1_score(answers, guess, average="macro")
                done[key] = [float((guess == answers).mean()), float(macro)]
                with atomic_write(notes) as path:
                    path.write_text(json.dumps(done, ensure_ascii=False), encoding="utf-8")
            found.append(done[key])
        return found

    ways = [*WAYS, TUNED] if args.finetune else WAYS
    scores: dict[str, dict[int, list]] = {way: {} for way in ways}
    print_head(ways)
    for size in sizes:
        for way in ways:
            if way != TUNED or size in TUNED_SIZES:
                scores[way][size] = scores_of(way, size)
        print_row(scores, size, 0)

    # 4. 各类的条数差得多时，精度会骗人：全猜最多的那一类也不低。macro-F1 把各类看得一样重
    counts = np.bincount(labels)
    if counts.max() > LOPSIDED * counts.min():
        names = "，".join(map("{} {} 条".format, train.label_names, counts))
        print(f"\n各类不一样多（{names}），再看 macro-F1：")
        print_head(ways)
        for size in sizes:
            print_row(scores, size, 1)

    # 5. 画成一张图
    path = args.params / "label_curve.png"
    draw(scores, path)
    print(f"\n画好 {path}")

    # 小结：标签少，用冻结的 BERT；标签多到几千，先试 TF-IDF，几秒钟的事；再往上才轮到微调
    # 练习：找到"冻结的 BERT 用 200 条"的分数，TF-IDF 要多少条才追得上？差的那些条，标一遍要几小时？
    # 动手：python exercises/check.py demo02/12


if __name__ == "__main__":
    run(main)
