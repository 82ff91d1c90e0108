"""第 12 课  标签曲线：要标多少条，预训练值多少

教什么：自己的项目里，评论好找，标签难得：要人一条一条地读。所以最该问的不是"全部标签能考几分"，
而是"标 200 条能考几分"。同一份验证集，标签从 20 条加到 9,600 条，三种做法各考一遍：
    TF-IDF      不懂语义，只数字，每个字的意思都要从你的标签里现学
    随机的 BERT  结构一样，没有预训练：白纸一张的特征
    冻结的 BERT  预训练过的 [CLS] 特征 + 一层分类头，features.py、train.py 的增量微调
每个条数抽几次不同的评论，看平均和波动：标签少的时候，抽到哪几条差别很大。

怎么运行：python demo02_sentiment/label_curve.py            第一次几分钟，算过的不再算
          python demo02_sentiment/label_curve.py --data 你的.csv

会看到：
    标签    TF-IDF          随机的 BERT        冻结的 BERT        冻结 - TF-IDF
    20      61.1 ± 3.1          57.0 ± 5.4          66.3 ± 2.2          +5.3
    …
    200     73.7 ± 0.8          67.6 ± 2.2          81.3 ± 0.4          +7.6
    …
    9600    86.4 ± 0.0          77.8 ± 0.0          85.5 ± 0.0          -0.9

    画好 …label_curve.png

看什么：左边差得最多，右边挤在一起。预训练省的是标签：横着看，TF-IDF 要多标几倍才追得上。
老实说一句：随仓库的小 BERT 预训练时读过这 9,600 条评论的文字（没有看标签），所以在别的领域它领先
得少一些，见 README.md 的消融；用 --data 换成你自己的数据，看到的才是你的曲线。
"""

import json
from pathlib import Path

import matplotlib
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ablation import random_model
from checkpoint import check_writable
from course.baseline import tfidf_baseline
from course.cli import Parser, at_least, run
from course.feature_cache import cached_features
from course.files import atomic_write
from course.fonts import chinese_font
from course.models import find_model, fingerprint, load_bert, load_tokenizer
from course.paths import PARAMS
from my_dataset import MAX_LENGTH, MyDataset
from net import DEVICE, MODEL

matplotlib.use("Agg")  # 只存文件，不开窗口
from matplotlib import pyplot as plt

SIZES = [20, 50, 100, 200, 500, 1000, 2000, 5000, 9600]  # 标签的条数，超过训练集的不画
SUBSETS = 5  # 每个条数抽几次
C = 0.01  # 逻辑回归的正则强度：越小越不信少数几条标签；特征先标准化
WAYS = {"TF-IDF": "#6b7280", "随机的 BERT": "#c2571a", "冻结的 BERT": "#0f766e"}  # 做法: 颜色


def subset(labels: np.ndarray, size: int, seed: int) -> np.ndarray:
    """抽 size 条的编号 (size,)，各类一样多（不够的类有几条拿几条）；同一个种子，小的包含在大的里"""
    order = np.random.default_rng(seed).permutation(len(labels))
    # 每条是它那一类里的第几个：先把每一类的第 0 个排在前面，再排每一类的第 1 个……
    rank = np.empty(len(labels), int)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        rank[members] = np.arange(len(members))
    return order[np.argsort(rank[order], kind="stable")][:size]


def frozen_features(
    folder: Path, train: MyDataset, validation: MyDataset
) -> tuple[np.ndarray, np.ndarray, str]:
    """冻结的 BERT 在两份评论上的 [CLS] 特征 (N, hidden)，和它的 SHA-256；算过的直接读"""
    encoder, tokenizer = load_bert(folder).to(DEVICE), load_tokenizer(folder, MAX_LENGTH)
    learned = cached_features(encoder, tokenizer, train.texts, "train").numpy()
    asked = cached_features(encoder, tokenizer, validation.texts, "validation").numpy()
    return learned, asked, fingerprint(encoder, tokenizer)


def draw(scores: dict[str, dict[int, list[float]]], path: Path) -> None:
    """横轴是标签条数（对数），纵轴是验证精度；线是平均，带子是最低到最高"""
    font = chinese_font()
    with plt.rc_context({"font.family": [font, "DejaVu Sans"], "axes.unicode_minus": False}):
        figure, axes = plt.subplots(figsize=(8, 4.6), layout="constrained")
        for way, by_size in scores.items():
            sizes, values = list(by_size), [100 * np.array(one) for one in by_size.values()]
            means = [one.mean() for one in values]
            lowest, highest = [one.min() for one in values], [one.max() for one in values]
            axes.plot(sizes, means, marker="o", color=WAYS[way], label=way)
            axes.fill_between(sizes, lowest, highest, color=WAYS[way], alpha=0.15, lw=0)
        axes.set(xscale="log", xlabel="标签的条数", ylabel="验证精度 %")
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.minorticks_off()
        axes.set_title("要标多少条：平均和最低到最高")
        axes.grid(alpha=0.3)
        axes.legend()
        with atomic_write(path) as temporary:
            figure.savefig(temporary, format="png", dpi=110)
        plt.close(figure)


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--model", default=MODEL, help=f"模型名或文件夹，默认 {MODEL}")
    parser.add_argument("--data", default=None, help="文件夹或文件，默认自带的评论")
    parser.add_argument("--params", type=Path, default=PARAMS, help="图存到哪里，默认 params/")
    parser.add_argument(
        "--subsets", type=at_least(1), default=SUBSETS, help=f"抽几次，默认 {SUBSETS}"
    )
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
    #    分类头是逻辑回归：和 fc + 交叉熵是同一件事，特征先标准化，一次解到头，不用验证集挑轮次，
    #    所以最右边的数和 train.py 的略有出入；三种做法都这样算，比的是它们的差
    def score(way: str, size: int, seed: int) -> float:
        rows = subset(labels, size, seed)
        if way == "TF-IDF":
            words = tfidf_baseline([train.texts[i] for i in rows], labels[rows])
            return words.score(validation.texts, answers)
        learned, asked, _ = features[way]
        head = make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=2000))
        return head.fit(learned[rows], labels[rows]).score(asked, answers)

    # 3. 算过的记在文件里，中断了再运行接着算；数据、BERT 变了，记录就不算数
    notes = args.params / "label_curve.json"
    done = json.loads(notes.read_text(encoding="utf-8")) if notes.is_file() else {}
    scores = {way: {size: [] for size in sizes} for way in WAYS}
    print(f"\n{'标签':6}" + "".join(f"{way:16}" for way in WAYS) + "冻结 - TF-IDF")
    for size in sizes:
        # 全部都用时没有什么可抽的，一次就够
        for seed in range(args.subsets if size < len(train) else 1):
            for way in WAYS:
                bert = features[way][2] if way in features else ""
                key = f"{train.sha256[:16]} {bert[:16]} {way} {size} {seed} C={C}"
                if key not in done:
                    done[key] = score(way, size, seed)
                scores[way][size].append(done[key])
        with atomic_write(notes) as temporary:
            temporary.write_text(json.dumps(done, ensure_ascii=False, indent=1), encoding="utf-8")
        means = {way: 100 * np.mean(scores[way][size]) for way in WAYS}
        cells = [f"{means[way]:.1f} ± {100 * np.std(scores[way][size]):.1f}" for way in WAYS]
        lead = means["冻结的 BERT"] - means["TF-IDF"]
        print(f"{size:<8}" + "".join(f"{cell:20}" for cell in cells) + f"{lead:+.1f}", flush=True)

    # 4. 画成一张图
    path = args.params / "label_curve.png"
    draw(scores, path)
    print(f"\n画好 {path}")

    # 小结：标签少，用冻结的 BERT；标签多到几千，先试 TF-IDF，几秒钟的事；再往上才轮到微调
    # 练习：找到"冻结的 BERT 用 200 条"的分数，TF-IDF 要多少条才追得上？差的那些条，标一遍要几小时？
    # 动手：python exercises/check.py demo02/label_curve


if __name__ == "__main__":
    run(main)
