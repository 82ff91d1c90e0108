"""选学  消融：一样一样地换，看预训练和微调各值几分

教什么：一个成绩是好几样东西合起来的。要知道哪一样值几分，就一次只换一样，别的不动；每样换几个
随机种子，平均分的差别比种子之间的差别大，也比考题带来的误差大（1,200 条是 ±2 个点），才算数。

怎么运行（全部跑完要几小时；中断了再运行一次，跑完的不重跑）：
    python demo02_sentiment/extra_ablation.py                    全部的行
    python demo02_sentiment/extra_ablation.py frozen last1       只跑这两行
    python demo02_sentiment/extra_ablation.py --test             再加一列测试集：只看一次

会看到：一张表，每行一种做法：验证精度（平均 ± 标准差）、训练用时、权重多大

看什么：先看比"全猜一类"和 TF-IDF 高多少，再看相邻两行差多少、差得比 ± 大不大。
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from backstage.classifier import SentimentClassifier
from backstage.probe import ABLATION, random_model
from course.baseline import tfidf_baseline
from course.cli import run
from course.columns import DataSource
from course.errors import CourseError
from course.models import find_model, fingerprint, load_encoder, load_tokenizer
from my_dataset import MyDataset
from net import MODEL

SEEDS = 3
ROWS = {  # 名字: (做法, 脚本和参数)
    "random": ("随机权重的 BERT，冻结", ["train.py"]),
    "frozen": ("预训练的 BERT，冻结", ["train.py"]),
    # 放开的层少，步子可以比默认的大些
    "last1": ("微调最后一层", ["extra_finetune.py", "--unfreeze", "1", "--encoder-lr", "9e-5"]),
    "last2": ("微调最后两层", ["extra_finetune.py", "--unfreeze", "2", "--encoder-lr", "9e-5"]),
    "all": ("全量微调", ["extra_finetune.py"]),
}


def train(
    row: str, seed: int, model: str, sha256: str, data: DataSource | None
) -> tuple[Path, float]:
    """跑一次 train.py 或 extra_finetune.py：(权重所在的文件夹, 用了几分钟)

    同样的命令、同样的 model（指纹 sha256）跑完过就不重跑。
    """
    folder = ABLATION / f"{row}-{seed}"
    if row == "random":
        model = str(random_model(find_model(model), seed))
    script, *flags = ROWS[row][1]
    flags = ["--model", model, *flags, "--seed", str(seed)]
    flags += data.flags() if data else []
    record = folder / "finished.json"  # 跑完才写
    if record.is_file():
        finished = json.loads(record.read_text(encoding="utf-8"))
        if finished["flags"] == flags and finished.get("model") == sha256:
            return folder, finished["minutes"]
    print(f"\n—— {ROWS[row][0]}，种子 {seed}：{script} {' '.join(flags)}", flush=True)
    started = time.perf_counter()
    path = Path(__file__).with_name(script)
    if subprocess.run([sys.executable, str(path), *flags, "--params", str(folder)]).returncode:
        raise CourseError(f"{row} 没有跑完", "看上面的报错，改好再运行一次同样的命令")
    minutes = (time.perf_counter() - started) / 60
    finished = {"flags": flags, "model": sha256, "minutes": minutes}
    text = json.dumps(finished, ensure_ascii=False)
    record.write_text(text, encoding="utf-8")
    return folder, minutes


def percent(scores: list[float]) -> str:
    """[0.85, 0.86, 0.84] → 85.00 ± 1.00"""
    mean = f"{100 * statistics.mean(scores):.2f}"
    return mean if len(scores) == 1 else f"{mean} ± {100 * statistics.stdev(scores):.2f}"


def main(args) -> None:
    if unknown := set(args.rows) - set(ROWS):
        raise CourseError(f"没有叫 {'、'.join(sorted(unknown))} 的行", " ".join(ROWS))

    splits = {"验证": "validation"} | ({"测试": "test"} if args.test else {})
    train_set = MyDataset("train", args.data)
    datasets = [MyDataset(split, args.data) for split in splits.values()]

    # 两条基线，不用种子，几秒
    majority = np.bincount(train_set.labels).argmax()
    words = tfidf_baseline(train_set.texts, train_set.labels)
    table = [
        ("全猜一类", [[np.mean(np.array(s.labels) == majority)] for s in datasets], ""),
        ("字的 TF-IDF + 逻辑回归", [[words.score(s.texts, s.labels)] for s in datasets], ""),
    ]

    # 每一行、每个种子训练一次，最好的一轮拿来考
    folder = find_model(args.model)
    sha256 = fingerprint(load_encoder(folder), load_tokenizer(folder))
    for row in args.rows or ROWS:
        seeds = range(args.seeds)
        trained = [train(row, seed, args.model, sha256, args.data) for seed in seeds]
        classifiers = [SentimentClassifier(folder / "best.pth") for folder, _ in trained]
        scores = [[one.exam(split).accuracy for one in classifiers] for split in splits.values()]
        minutes = statistics.mean(minutes for _, minutes in trained)
        size = (trained[0][0] / "best.pth").stat().st_size / 1e6
        table.append((ROWS[row][0], scores, f"{minutes:.1f} 分钟，{size:.2f} MB"))

    # 打印成 Markdown 的表
    print("\n| 做法 |" + "".join(f" {name}精度 % |" for name in splits) + " 用时，权重 |")
    print("|---|" + "---|" * (len(splits) + 1))
    for name, scores, cost in table:
        print(f"| {name} | {' | '.join(map(percent, scores))} | {cost} |")

    # 小结：预训练值多少 = 冻结 − 随机；微调值多少 = 全量 − 冻结。± 只是种子（训练的运气）；考题的
    #       运气另算，1,200 条是 ±2 个点：两样都超过了，差别才算数
    # 练习：不用 [CLS]，用 encoder(…).last_hidden_state 里每个字的平均代表一句话（去掉首尾的
    # [CLS] 和 [SEP]），冻结那一行变成多少？
    # 动手：python exercises/check.py demo02/extra_ablation


if __name__ == "__main__":
    run(main, "rows", "data", model=MODEL, seeds=SEEDS, test=False)
