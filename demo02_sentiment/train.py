"""第 6 课  训练：数据 → 模型 → 损失 → 梯度 → 更新，一轮又一轮

教什么：完整的训练循环。BERT 冻结，只训练最后一层 fc；每轮之后在验证集上考一次，
连续 PATIENCE 轮没有进步就停，每轮的权重都存进 params/。

怎么运行（不用联网，不用显卡，第一次几分钟，之后几秒）：
    python demo02_sentiment/train.py
    python demo02_sentiment/train.py --epochs 20 --batch-size 32
    python demo02_sentiment/train.py --recompute --epochs 1    课上的原样：每轮都让 BERT 重算，很慢
    python demo02_sentiment/train.py --unfreeze all            全量微调：BERT 也跟着学，几十分钟
    python demo02_sentiment/train.py --unfreeze 1              只放开 BERT 的最后一层

会看到：
    设备 cpu，训练 9600 条，验证 1200 条，每轮 106 批
    轮次 0  loss 0.4550  训练精度 0.792  验证精度 0.838  324 毫秒
    轮次 3  loss 0.3249  训练精度 0.865  验证精度 0.861  238 毫秒
    …
    连续 30 轮没有超过最好成绩，提前停止
    最好的一轮是 4，验证精度 0.8625

看什么：loss 往下走、精度往上走，说明在学；训练精度还在涨、验证精度不再涨，就该停了。
"""

import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import matplotlib
import torch
from torch import nn
from torch.optim import AdamW  # 旧教程里的 transformers.AdamW 已经删除，用 PyTorch 自己的
from torch.utils.data import DataLoader, Dataset, Sampler
from transformers import BertTokenizer, get_linear_schedule_with_warmup

from course.cli import Parser, number, run
from course.errors import CourseError
from course.files import atomic_write, remove
from course.models import find_model, load_tokenizer
from course.paths import PARAMS, ROOT, command
from features import MAX_LENGTH, cached_features, check_max_length, encode
from my_dataset import MyDataset
from net import DEVICE, MODEL, Model, fingerprint, layers_to_learn, save_weights

EPOCH = 30000  # 轮次：把全部训练数据看一遍是一轮；故意写得很大，由 PATIENCE 或 Ctrl-C 来停
BATCH_SIZE = 90  # 批次大小：每次看几条再更新一次 fc；内存不够就改小
LEARNING_RATE = 1e-3  # 学习率：每次更新迈多大一步
PATIENCE = 30  # 验证精度连续多少轮没有超过最好成绩就停，0 = 永不提前停
SEED = 0  # 随机种子：fc 的初值和每轮的打乱顺序都由它定，相同种子得到相同结果

# 微调（--unfreeze）时的设置：BERT 里已经学到的东西很值钱，要小步走、少走几轮
UNFREEZE_EPOCH = 2  # 两轮就够，再多就开始背训练集
UNFREEZE_BATCH_SIZE = 32
WARMUP = 0.1  # 学习率用头 10 % 的步数从 0 升上来，再直线降回 0：一开始梯度乱，先别走大步
MAX_NORM = 1.0  # 梯度的总长度超过它就等比缩短：偶尔一批怪评论，不至于把 BERT 带偏


def encoder_lr(hidden: int) -> float:
    """BERT 的学习率，比 fc 的小得多；BERT 越窄可以越大，和宽度的平方根成反比

    768 维时是 3e-5（BERT 论文，Devlin 2019，附录 A.3 给的范围是 2e-5 到 5e-5）；256 维时 5.2e-5，
    在小 BERT 上量过，比 9e-5、2.7e-4 都好，见 README.md 的消融。
    """
    return 3e-5 * (768 / hidden) ** 0.5


class FeatureDataset(Dataset):
    """算好的特征也是一个 Dataset：第 i 条是 (特征 (hidden,), 标签)"""

    def __init__(self, features: torch.Tensor, labels: torch.Tensor):
        self.features = features
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitems__(self, indices: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """DataLoader 一次要一整批时用它：一次切好 (批, hidden) 和 (批,)，不用一条条拼"""
        return self.features[indices], self.labels[indices]


def keep_batch(batch: tuple) -> tuple:
    """FeatureDataset 给的已经是一整批，DataLoader 不用再拼"""
    return batch


class LengthBatches(Sampler):
    """长短相近的评论凑成一批，少补零；每轮的凑法和先后都重新打乱

    批与批的先后一定要打乱：只按长短排，一连几十批都是长评论，接着几十批短的，而长短和标签有关，
    fc 就会跟着来回摇摆。凑不满的一批舍去。
    """

    def __init__(self, lengths: list[int], batch_size: int, generator: torch.Generator):
        self.lengths = torch.tensor(lengths)
        self.batch_size, self.generator = batch_size, generator

    def __len__(self) -> int:
        return len(self.lengths) // self.batch_size

    def __iter__(self) -> Iterator[list[int]]:
        order = torch.randperm(len(self.lengths), generator=self.generator)
        order = order[: len(self) * self.batch_size]
        batches: list[torch.Tensor] = []
        for part in order.split(50 * self.batch_size):  # 每次从随机的 50 批里凑，不会每轮都一样
            batches += part[self.lengths[part].argsort()].split(self.batch_size)
        for i in torch.randperm(len(batches), generator=self.generator).tolist():
            yield batches[i].tolist()


def collate_fn(batch: list[tuple[str, int]], tokenizer, max_length: int, padding: str) -> tuple:
    """一批 (评论, 标签) → input_ids、attention_mask、token_type_ids、labels

    前三个都是 (批, 句长)，不够长的补 0；labels 是 (批,)。padding 是 "max_length"（课上的写法）
    时句长都是 max_length，是 "longest" 时补到这一批里最长的一条，补得少，算得快，结果一样。
    """
    texts = [text for text, _ in batch]
    labels = [label for _, label in batch]
    data = tokenizer(
        texts, truncation=True, padding=padding, max_length=max_length, return_tensors="pt"
    )
    return (
        data["input_ids"],
        data["attention_mask"],
        data["token_type_ids"],
        torch.tensor(labels),
    )


@torch.no_grad()
def accuracy(forward, loader: DataLoader) -> float:
    """在 loader 的全部数据上的精度：答对的条数 / 总条数"""
    correct = total = 0
    for *inputs, labels in loader:
        out = forward(*(x.to(DEVICE) for x in inputs))
        correct += (out.argmax(dim=1) == labels.to(DEVICE)).sum().item()
        total += len(labels)
    return correct / total


def draw_curve(history: list[dict], path: Path) -> None:
    """把每轮的 loss、训练精度、验证精度画成一张图"""
    matplotlib.use("Agg")  # 只存文件，不开窗口，没有显示器也能画
    from matplotlib import pyplot as plt

    epochs = [row["epoch"] for row in history]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    left.plot(epochs, [row["loss"] for row in history], color="tab:red")
    left.set(title="train loss", xlabel="epoch", ylabel="cross entropy")
    right.plot(epochs, [row["train_accuracy"] for row in history], label="train")
    right.plot(epochs, [row["validation_accuracy"] for row in history], label="validation")
    best = max(history, key=lambda row: row["validation_accuracy"])
    right.axvline(best["epoch"], color="gray", linestyle=":", label=f"best: epoch {best['epoch']}")
    right.set(title="accuracy", xlabel="epoch", ylabel="accuracy")
    right.legend()
    for axes in (left, right):
        axes.grid(alpha=0.3)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
    plt.close(figure)


def prepare_folder(folder: Path) -> None:
    """训练前先确认 params/ 写得进去，免得算了半天才发现；写不进去时抛 CourseError"""
    probe = folder / ".writable"
    with atomic_write(probe) as temporary:
        temporary.write_text("ok", encoding="utf-8")
    remove(probe)


def has_bf16() -> bool:
    """处理器（显卡）有没有 bf16 的乘法单元；没有的话用 bf16 反而更慢"""
    if DEVICE.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return DEVICE.type == "cpu" and torch.cpu.get_capabilities().get("avx512_bf16", False)


def make_loaders(
    model: Model, tokenizer: BertTokenizer, train_set: MyDataset, validation_set: MyDataset, args
) -> tuple[nn.Module, DataLoader, Callable[[], float]]:
    """每一批喂什么：(forward, 训练的 DataLoader, validate)

    `forward(*inputs)` 给出一批的 logits，`validate()` 给出现在的验证精度。冻结时的两种喂法打乱的
    顺序、每批的条数都一样，所以学出来的 fc 也一样，只差浮点误差。
    """
    order = torch.Generator().manual_seed(args.seed)  # 打乱的顺序只由种子定
    collate_tokens = partial(collate_fn, tokenizer=tokenizer, max_length=args.max_length)

    def feature_dataset(features: torch.Tensor, dataset: MyDataset) -> FeatureDataset:
        return FeatureDataset(features.to(DEVICE), torch.tensor(dataset.labels).to(DEVICE))

    def score(forward: nn.Module, dataset: Dataset, collate: Callable) -> float:
        """验证精度；验证集不用打乱，一条也不能丢"""
        return accuracy(forward, DataLoader(dataset, args.batch_size, collate_fn=collate))

    if args.unfreeze:  # BERT 也在学，每批都要重算
        lengths = [len(text) for text in train_set.texts]
        loader = DataLoader(
            train_set,
            batch_sampler=LengthBatches(lengths, args.batch_size, order),
            collate_fn=partial(collate_tokens, padding="longest"),
        )

        def validate() -> float:
            texts, limit = validation_set.texts, args.max_length
            features = encode(model.encoder, tokenizer, texts, limit, progress=False)
            return score(model.fc, feature_dataset(features, validation_set), keep_batch)

        return model, loader, validate

    if args.recompute:  # 课上的原样：喂 token，每轮都走一遍 BERT
        forward, collate = model, partial(collate_tokens, padding="max_length")
    else:  # BERT 冻结，特征每轮都一样，只算一次：喂特征，只走 fc
        forward, collate = model.fc, keep_batch
        dtype, limit = torch.bfloat16 if args.bf16 else torch.float32, args.max_length
        train_set, validation_set = (
            feature_dataset(
                cached_features(model.encoder, tokenizer, dataset.texts, limit, name, dtype),
                dataset,
            )
            for name, dataset in (("train", train_set), ("validation", validation_set))
        )
        if DEVICE.type == "cpu":
            # fc 很小，一个线程几毫秒就算完；多个线程互相等的时间比算的时间还长
            torch.set_num_threads(1)
    loader = DataLoader(
        train_set,
        batch_size=args.batch_size,
        shuffle=True,  # 每轮换一个顺序，免得学到顺序里去
        drop_last=True,  # 最后凑不满的一批舍去，每批都一样大；打乱过，下一轮会轮到它们
        collate_fn=collate,
        generator=order,
    )
    return forward, loader, partial(score, forward, validation_set, collate)


def save_epoch(model: Model, folder: Path, row: dict, is_best: bool, run_info: dict) -> None:
    """存一轮的权重；是最好的一轮就再存一份 best.pth，并在 run.json 里记下它和这次的设置"""
    if row["epoch"] == 0:  # 真要写新权重了，才清掉上一次训练留下的，免得两次混在一起
        for old in folder.glob("*bert.pth"):
            remove(old)
    save_weights(model, folder / f"{row['epoch']}bert.pth")
    if is_best:
        save_weights(model, folder / "best.pth")
        text = json.dumps(run_info | {"best": row}, ensure_ascii=False, indent=2)
        with atomic_write(folder / "run.json") as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")


def save_history(history: list[dict], folder: Path) -> None:
    """每轮一行的 log.csv，和画成的 curve.png"""
    lines = [",".join(history[0])] + [",".join(map(str, row.values())) for row in history]
    with atomic_write(folder / "log.csv") as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    draw_curve(history, folder / "curve.png")


def parse_args():
    parser = Parser(__doc__)
    add = parser.add_argument
    add("--model", default=MODEL, help=f"模型名或文件夹，默认 {MODEL}")
    add("--data", default=None, help="文件夹或 CSV，默认自带的评论")
    add("--params", type=Path, default=PARAMS, help="权重存到哪个文件夹，默认 params/")
    add("--unfreeze", type=layers_to_learn, default=0, help="微调最后几层，或 all，默认 0")
    few = f"默认 {EPOCH}，微调时 {UNFREEZE_EPOCH}"
    add("--epochs", type=number(int, 1), default=None, help=f"最多几轮，{few}")
    small = f"默认 {BATCH_SIZE}，微调时 {UNFREEZE_BATCH_SIZE}"
    add("--batch-size", type=number(int, 1), default=None, help=small)
    add("--max-length", type=number(int, 3), default=MAX_LENGTH, help=f"默认 {MAX_LENGTH}")
    rate = number(float, 0, exclusive=True)
    add("--lr", type=rate, default=LEARNING_RATE, help=f"fc 的学习率，默认 {LEARNING_RATE}")
    add("--encoder-lr", type=rate, default=None, help="微调时 BERT 的学习率，默认按宽度定")
    add("--patience", type=number(int, 0), default=PATIENCE, help="几轮没进步就停，0 = 永不")
    add("--seed", type=number(int, 0), default=SEED, help=f"随机种子，默认 {SEED}")
    add("--bf16", action="store_true", help="特征用 bf16 算：快，但是近似的")
    add("--recompute", action="store_true", help="课上的原样：每轮都让 BERT 重算一遍")
    args = parser.parse_args()
    if args.unfreeze and args.recompute:
        raise CourseError("--unfreeze 本来就每轮重算 BERT", "去掉 --recompute")
    if args.bf16 and (args.unfreeze or args.recompute):
        raise CourseError("--bf16 只管提前算好的特征，每轮重算 BERT 时用不上", "去掉 --bf16")
    args.epochs = args.epochs or (UNFREEZE_EPOCH if args.unfreeze else EPOCH)
    args.batch_size = args.batch_size or (UNFREEZE_BATCH_SIZE if args.unfreeze else BATCH_SIZE)
    return args


def main() -> None:
    args = parse_args()
    prepare_folder(args.params)

    # 1. 数据
    train_set, validation_set = MyDataset("train", args.data), MyDataset("validation", args.data)
    batches = len(train_set) // args.batch_size
    if batches == 0:
        raise CourseError(
            f"--batch-size {args.batch_size} 比训练集的 {len(train_set)} 条还大，一批都凑不出来",
            f"--batch-size {max(1, len(train_set) // 10)}",
        )
    print(
        f"设备 {DEVICE}，训练 {len(train_set)} 条，验证 {len(validation_set)} 条，每轮 {batches} 批"
    )

    # 2. 模型：BERT（默认冻结）+ fc，有几类就输出几个 logits
    folder = find_model(args.model)
    tokenizer = load_tokenizer(folder)
    torch.manual_seed(args.seed)  # fc 的初值从这里来
    model = Model(folder, len(train_set.label_names), args.unfreeze).to(DEVICE)
    check_max_length(args.max_length, model.encoder)
    body = [p for p in model.encoder.parameters() if p.requires_grad]  # 冻结时是空的
    body_lr = args.encoder_lr or encoder_lr(model.encoder.config.hidden_size)
    if args.unfreeze:
        size = sum(p.numel() for p in body)
        print(f"微调 BERT 的 {size:,} 个参数，学习率 {body_lr:.1e}，每轮存 {size * 4 / 1e6:.0f} MB")
    run_info = {
        "model": folder.relative_to(ROOT).as_posix()
        if folder.is_relative_to(ROOT)
        else str(folder),
        "encoder_sha256": fingerprint(model.encoder, tokenizer),
        "data": args.data and str(Path(args.data).resolve()),
        "label_names": train_set.label_names,
        "max_length": args.max_length,
        "batch_size": args.batch_size,
        "learning_rate": args.lr,
        "seed": args.seed,
        "unfreeze": args.unfreeze,
    }
    if args.unfreeze:
        run_info["encoder_lr"] = body_lr

    # 3. DataLoader：一批一批地取
    forward, train_loader, validate = make_loaders(
        model, tokenizer, train_set, validation_set, args
    )

    # 4. 优化器只管要训练的参数：fc，和放开的那些层；交叉熵自带 softmax，forward 里不要再写一遍
    # fused=True：一次更新全部参数，结果一样，快一些
    groups = [{"params": model.fc.parameters()}, {"params": body, "lr": body_lr}]
    optimizer = AdamW(groups, lr=args.lr, fused=True)
    loss_fn = nn.CrossEntropyLoss()
    steps, schedule = args.epochs * batches, None
    if args.unfreeze:
        schedule = get_linear_schedule_with_warmup(optimizer, round(WARMUP * steps), steps)
    half = torch.autocast(DEVICE.type, torch.bfloat16, enabled=bool(args.unfreeze) and has_bf16())
    report_every = 5 if args.recompute else 20  # 一轮要很久时，每几批报一次

    # 5. 训练循环
    history: list[dict] = []
    best = {"epoch": -1, "validation_accuracy": -1.0}
    printed = 0.0  # 上一次打印的时刻：一轮只要几十毫秒时，隔半秒打印一行，不刷屏
    try:
        for epoch in range(args.epochs):
            model.train()
            started = time.perf_counter()
            loss_sum = correct = 0
            for i, (*inputs, labels) in enumerate(train_loader):
                inputs, labels = [x.to(DEVICE) for x in inputs], labels.to(DEVICE)
                with half:  # 只有微调、又有 bf16 的机器上才起作用，快一倍
                    out = forward(*inputs)  # logits，形状 (批, 类别数)
                loss = loss_fn(out.float(), labels)
                optimizer.zero_grad()  # 清掉上一批的梯度，否则会累加
                loss.backward()  # 反向传播，算出梯度
                if body:
                    nn.utils.clip_grad_norm_(body, MAX_NORM)
                optimizer.step()  # 按梯度更新 fc（和放开的层）
                if schedule:
                    schedule.step()

                loss_sum += loss.item()
                batch_correct = (out.argmax(dim=1) == labels).sum().item()
                correct += batch_correct
                if (args.recompute or args.unfreeze) and i % report_every == 0:
                    accuracy_now = batch_correct / len(labels)
                    print(f"  轮次 {epoch} 批次 {i} loss {loss.item():.4f} 精度 {accuracy_now:.3f}")
            seconds = time.perf_counter() - started

            # 6. 每轮之后：在验证集上考一次，存权重
            model.eval()
            row = {
                "epoch": epoch,
                "loss": loss_sum / batches,
                "train_accuracy": correct / (batches * args.batch_size),
                "validation_accuracy": validate(),
                "seconds": seconds,
            }
            is_best = row["validation_accuracy"] > best["validation_accuracy"]
            if is_best:
                best = row
            save_epoch(model, args.params, row, is_best, run_info)
            history.append(row)

            stop = args.patience and epoch - best["epoch"] >= args.patience
            if stop or epoch in (0, args.epochs - 1) or time.perf_counter() - printed > 0.5:
                spent = f"{seconds:.0f} 秒" if seconds >= 10 else f"{seconds * 1000:.0f} 毫秒"
                print(
                    f"轮次 {epoch}  loss {row['loss']:.4f}  训练精度 {row['train_accuracy']:.3f}"
                    f"  验证精度 {row['validation_accuracy']:.3f}  {spent}"
                )
                printed = time.perf_counter()
            if stop:
                print(f"连续 {args.patience} 轮没有超过最好成绩，提前停止")
                break
    except KeyboardInterrupt:
        if not history:
            raise
        print(f"\n收到 Ctrl-C，停在轮次 {history[-1]['epoch']}，它的权重已存好")

    # 7. 收尾：记录和曲线
    save_history(history, args.params)
    print(
        f"\n最好的一轮是 {best['epoch']}，验证精度 {best['validation_accuracy']:.4f}"
        f"\n权重 {args.params / 'best.pth'}，曲线 {args.params / 'curve.png'}"
        f"\n下一步：{command('demo02_sentiment/evaluate.py')} 在测试集上考最后一次试"
    )

    # 小结：冻结的 BERT 只算一次特征，训练的只有 fc；用验证集决定什么时候停
    # 练习：把 LEARNING_RATE 改成 1e-1 和 1e-5，各看一眼 params/curve.png，哪条学不稳、哪条学不动？


if __name__ == "__main__":
    run(main)
