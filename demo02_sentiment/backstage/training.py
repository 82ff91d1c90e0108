"""不是一课  train 和几课微调共用的：params/ 里的文件、每轮的成绩和图，精度、批数和命令行参数"""

import argparse
import math
import re
import shutil
import time
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from backstage.checkpoint import WEIGHTS, describe, old_record
from course.encoder import SentenceEncoder
from course.errors import CourseError
from course.features import FeatureDataset, cached_features
from course.files import atomic_write, check_writable, only_one, remove, rename
from course.fonts import chinese_font
from course.models import load_tokenizer
from course.paths import command
from my_dataset import MyDataset
from net import DEVICE, Model

PRINT_SECONDS = 0.5  # 一轮只要几十毫秒时，隔半秒打印一行，不刷屏
NUMBERED = re.compile(r"(0|[1-9]\d*)bert\.pth")  # 每轮的权重
COLUMNS = "epoch,loss,train_accuracy,validation_accuracy,seconds"  # log.csv 的列名
RESUME = "resume.pth"  # 微调接着训练（--resume）要的东西，见 backstage/tuning.py


def check_params(folder: Path) -> None:
    """训练前看一遍：folder 写得进去，会盖掉的都是课程自己写的；不行就抛 CourseError"""
    check_writable(folder)
    last_run(folder)


def last_run(folder: Path) -> list[Path]:
    """上一次训练在 folder 里留下的文件，新的训练会清掉；有一个不是课程写的，抛 CourseError

    .pth 看里面有没有训练记录；旧版课程的没有，看旁边的 run.json 认不认 best.pth。
    """
    names = {"best.pth", "log.csv", "curve.png", RESUME}
    found = [
        path for path in folder.glob("*") if path.name in names or NUMBERED.fullmatch(path.name)
    ]
    old = bool(old_record(folder / "best.pth"))
    log = folder / "log.csv"
    ours = {path for path in found if path.suffix == ".pth" and (old or has_record(path))}
    if log.is_file() and COLUMNS.encode() in log.read_bytes()[:100]:  # Excel 另存过的，开头多个 BOM
        ours.add(log)
    if ours:  # 图没有地方写记录，跟着别的走
        ours.add(folder / "curve.png")
    if strange := sorted(path.name for path in found if path not in ours):
        raise CourseError(
            f"{folder} 里的 {'、'.join(strange[:5])} 认不出是课程的训练写的，会被盖掉",
            "--params 换一个文件夹，或先把它们移走",
        )
    return [*found, folder / "run.json"] if old else found


def has_record(path: Path) -> bool:
    """这个 .pth 里有没有训练记录；只在里面找字，不读权重，几千个文件也不慢"""
    try:
        with zipfile.ZipFile(path) as file:
            names = [name for name in file.namelist() if name.endswith("data.pkl")]
            return b"encoder_sha256" in file.read(names[0])
    except (OSError, zipfile.BadZipFile, IndexError):
        return False


class TrainingLog:
    """一次训练的成绩单，每轮一行；用法：

        log = TrainingLog(folder, patience, 最多几轮)
        …                                        # 数据、模型、特征
        with log:
            for epoch in range(最多几轮):
                …
                torch.save(model.state_dict(), log.new)
                log.add(loss, 训练精度, 验证精度)  # 改名成 {epoch}bert.pth，记一行
                if log.done():
                    break

    最好的一轮拷成 best.pth。出 with 时写 log.csv 和 curve.png；按 Ctrl-C 也会走到那里，多说一句
    hint。folder 写不了、会盖掉的不是课程自己写的，一开始就抛 CourseError；同一个 folder 同时只许有
    一次训练，第二次在 with 那里抛。
    """

    def __init__(self, folder: Path, patience: int, epochs: int, hint: str = ""):
        self.folder, self.patience, self.epochs, self.hint = folder, patience, epochs, hint
        self.new = folder / "new.pth"  # 正在写的；写完才改名，强行结束也不会有半个 .pth
        self.rows: list[dict] = []
        self.best, self.rank = {"epoch": -1}, -math.inf  # 最好的一轮；几轮一样好，是头一个
        check_params(folder)

    def __enter__(self) -> "TrainingLog":
        self.old = last_run(self.folder)
        self.alone = ExitStack()
        busy = CourseError(
            f"另一个训练正在往 {self.folder} 里写，两次训练的文件会混在一起",
            "等它结束再运行，或者加上 --params 换一个文件夹",
        )
        self.alone.enter_context(only_one(self.folder / ".lock", busy))
        self.started = self.printed = time.perf_counter()
        return self

    @property
    def out_of_patience(self) -> bool:
        """连续 patience 轮没有进步了没有；0 = 永不"""
        waited = len(self.rows) - 1 - self.best["epoch"]
        return bool(self.patience) and waited >= self.patience

    def left(self) -> range:
        """还要跑哪几轮：从头来是 0 … epochs - 1，接着训练就从停下的那一轮之后开始"""
        return range(len(self.rows), 0 if self.out_of_patience else self.epochs)

    def add(
        self,
        loss: float,
        train_accuracy: float,
        validation_accuracy: float,
        rank: float | None = None,
    ) -> None:
        """一轮结束，它的权重在 new.pth 里：改成正式的名字，记一行，最好的拷成 best.pth

        rank 是挑最好的一轮看的数，越大越好；不给就是验证精度。
        """
        rank = validation_accuracy if rank is None else rank
        now = time.perf_counter()
        epoch = len(self.rows)
        if not math.isfinite(loss):
            raise CourseError(
                f"轮次 {epoch} 的 loss 成了 {loss}：步子太大", "--lr 改小，再训练一次"
            )
        rename(self.new, self.folder / f"{epoch}bert.pth")
        values = (epoch, loss, train_accuracy, validation_accuracy, now - self.started)
        row = dict(zip(COLUMNS.split(","), values, strict=True))
        self.rows.append(row)
        if rank > self.rank:
            self.best, self.rank = row, rank
            self.keep_best()
        if epoch == 0:  # 新权重真写出来了，才清上一次的
            for path in self.old:
                if path.name not in ("0bert.pth", "best.pth"):
                    remove(path)
        self.started = time.perf_counter()

    def done(self) -> bool:
        """一轮都存好了：打印它（最好的一轮总会打印），返回该不该停"""
        row, stop = self.rows[-1], self.out_of_patience
        ends = row is self.rows[0] or row["epoch"] == self.epochs - 1
        # 验证精度难得再高一点；验证 loss 几百轮都在降，最好的一轮等到最后再打印
        best = row is self.best and self.rank == row["validation_accuracy"]
        if ends or best or stop or time.perf_counter() - self.printed > PRINT_SECONDS:
            self.show(row)
            self.printed = time.perf_counter()
        if stop:
            print(f"连续 {self.patience} 轮没有超过最好成绩，提前停止")
        return stop

    def show(self, row: dict) -> None:
        seconds = row["seconds"]
        spent = f"{seconds:.0f} 秒" if seconds >= 10 else f"{seconds * 1000:.0f} 毫秒"
        print(
            f"轮次 {row['epoch']}  loss {row['loss']:.4f}"
            f"  训练精度 {row['train_accuracy']:.3f}"
            f"  验证精度 {row['validation_accuracy']:.3f}  {spent}"
        )

    def keep_best(self) -> None:
        with atomic_write(self.folder / "best.pth") as temporary:
            shutil.copyfile(self.folder / f"{self.best['epoch']}bert.pth", temporary)

    def __exit__(self, kind, error, trace) -> bool:
        with self.alone:  # 最后松开锁
            stopped = kind is KeyboardInterrupt and bool(self.rows)
            if kind is not None and not stopped:
                remove(self.new)
                return False  # 别的错误，或一轮都没跑完就 Ctrl-C：照常抛出
            if stopped:
                hint = self.hint if (self.folder / RESUME).is_file() else ""
                print(f"\n收到 Ctrl-C，停在轮次 {self.rows[-1]['epoch']}，它的权重已存好{hint}")
                for path in (self.new, self.folder / f"{len(self.rows)}bert.pth"):
                    remove(path)  # 成绩还没有记的一轮
                self.keep_best()  # 也许正拷到一半
            self.finish()
        return True

    def finish(self) -> None:
        """写 log.csv，画 curve.png，打印最好的一轮"""
        if self.rank != self.best["validation_accuracy"]:
            self.show(self.best)
        lines = [COLUMNS, *(",".join(map(str, row.values())) for row in self.rows)]
        with atomic_write(self.folder / "log.csv") as temporary:
            temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
        draw_curve(self.rows, self.best["epoch"], self.folder / "curve.png")
        best = self.folder / "best.pth"
        flags = [] if best.resolve() == WEIGHTS else ["--weights", best]
        print(
            f"\n最好的一轮是 {self.best['epoch']}，"
            f"验证精度 {self.best['validation_accuracy']:.4f}"
            f"\n权重 {best}，曲线 {self.folder / 'curve.png'}"
            f"\n下一步：{command('demo02_sentiment/07_evaluate.py', *flags)}，在测试集上考最后一次"
        )


def draw_curve(rows: list[dict], best: int, path: Path) -> None:
    """把每轮的 loss、训练精度、验证精度画成一张图；best 是最好的一轮"""
    import matplotlib  # 画图时才要

    matplotlib.use("Agg")  # 只存文件，不开窗口，没有显示器也能画
    from matplotlib import pyplot as plt

    epochs = [row["epoch"] for row in rows]
    with plt.rc_context({"font.family": [chinese_font(), "DejaVu Sans"]}):
        figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
        figure.subplots_adjust(left=0.07, right=0.98, bottom=0.13)
        left.plot(epochs, [row["loss"] for row in rows], color="tab:red")
        left.set(title="训练 loss", xlabel="轮次", ylabel="交叉熵")
        right.plot(epochs, [row["train_accuracy"] for row in rows], label="训练")
        right.plot(epochs, [row["validation_accuracy"] for row in rows], label="验证")
        right.axvline(best, color="gray", linestyle=":", label=f"最好的一轮 {best}")
        right.set(title="精度", xlabel="轮次", ylabel="精度")
        right.legend()
        for axes in (left, right):
            axes.grid(alpha=0.3)
        with atomic_write(path) as temporary:
            figure.savefig(temporary, format="png", dpi=120)
        plt.close(figure)


def draw_losses(curves: dict[str, list], chance: float, path: Path) -> None:
    """extra_debugging 的几次训练，一次一张小图，同样的轴才比得出来；chance 是瞎猜的 loss

    curves：名字 → 一轮一行 (训练 loss, 训练精度, 验证 loss, 验证精度)，第 0 行还没学。
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    with plt.rc_context({"font.family": [chinese_font(), "DejaVu Sans"]}):
        size = {"figsize": (8, 5.6), "layout": "constrained"}
        figure, panels = plt.subplots(2, 2, sharex=True, sharey=True, **size)
        for axes, (name, curve) in zip(panels.flat, curves.items(), strict=True):
            loss, right, asked, asked_right = zip(*curve, strict=True)
            lowest = [asked.index(min(asked))]
            axes.plot(loss, label="训练 loss")
            axes.plot(asked, marker="o", markevery=lowest, label="验证 loss，圆点是最低的一轮")
            axes.axhline(chance, color="gray", linestyle=":", label="瞎猜")
            axes.set_title(f"{name}（精度：训练 {right[-1]:.2f}，验证 {asked_right[-1]:.2f}）")
            axes.grid(alpha=0.3)
        panels[0, 0].legend()
        panels[0, 0].set_ylim(bottom=0)
        panels[0, 0].xaxis.get_major_locator().set_params(integer=True)
        figure.supxlabel("学了几轮")
        with atomic_write(path) as temporary:
            figure.savefig(temporary, format="png", dpi=110)
        plt.close(figure)


def features_of(model: Model, args: argparse.Namespace, *datasets: MyDataset) -> list:
    """几份评论 → 一样多的 FeatureDataset：BERT 只走一遍，算过的直接从 data/features/ 读

    args 里用到 max_length 和 int8。第一份是训练集，model.record 从它填起：标签的名字、哪个 BERT、
    哪份数据。
    """
    tokenizer = load_tokenizer(Path(model.encoder.name_or_path), args.max_length)
    sentences = SentenceEncoder(model.encoder, tokenizer, model.pooling, args.int8)
    model.record = describe(model, tokenizer, datasets[0], arithmetic=sentences.arithmetic)
    return [
        FeatureDataset(cached_features(sentences, part.texts, part.split), part.labels, DEVICE)
        for part in datasets
    ]


@torch.no_grad()
def accuracy(forward: Callable[..., torch.Tensor], loader: DataLoader) -> float:
    """在 loader 的全部数据上的精度：答对的条数 / 总条数；forward(*inputs) 给出一批的 logits"""
    correct = total = 0
    for *inputs, labels in loader:
        out = forward(*(x.to(DEVICE) for x in inputs))
        correct += (out.argmax(dim=1) == labels.to(DEVICE)).sum().item()
        total += len(labels)
    return correct / total


def fit_batch(dataset: MyDataset, batch_size: int) -> int:
    """一批几条：训练集比一批还少时（自己的几十条），改成十分之一，说一声"""
    if len(dataset) >= batch_size:
        return batch_size
    smaller = max(2, len(dataset) // 10)
    print(f"注意：训练集只有 {len(dataset)} 条，一批从 {batch_size} 条改成 {smaller} 条")
    return smaller


def class_weights(labels: list[int], classes: int, how: str) -> torch.Tensor | None:
    """交叉熵里每一类的权重 (类别数,)；how 是 none 时不加权，返回 None

    balanced：全部条数 / (类别数 × 这一类的条数)，和 scikit-learn 的 class_weight="balanced"
    相同。条数少的类答错一条罚得更重，各类合起来一样重；不加权时，只顾条数多的类也能得高分。
    """
    if how == "none":
        return None
    return len(labels) / (classes * torch.bincount(torch.tensor(labels), minlength=classes))
