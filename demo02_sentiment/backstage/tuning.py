"""不是一课  微调的设置、放开了几层的模型、按长短凑批、停在半路的接着训练

extra_finetune、extra_trainer、extra_accelerate 和 12_label_curve.py --finetune 用同一份。
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import Sampler

from backstage.checkpoint import RECORD
from backstage.training import RESUME, TrainingLog
from course.errors import CourseError
from course.files import atomic_write
from course.models import encoder_layers
from net import DEVICE, Model

EPOCH = 2  # 两轮就够，再多就开始背训练集
BATCH_SIZE = 32
WARMUP = 0.1  # 热身：学习率用头 10 % 的步数从 0 升上来，再直线降回 0：一开始梯度乱，先别走大步
MAX_NORM = 1.0  # 梯度的总长度超过它就等比缩短：偶尔一批怪评论，不至于把 BERT 带偏
LEARNING_RATE = 1e-3  # fc 的学习率，和 train.py 的一样
PATIENCE = 30  # 轮数加得多时才用得上
SEED = 0


def encoder_lr(hidden: int) -> float:
    """BERT 的学习率，比 fc 的小得多；BERT 越窄可以越大，和宽度的平方根成反比

    768 维时是 3e-5（BERT 论文，Devlin 2019，附录 A.3 给的范围是 2e-5 到 5e-5）；256 维时 5.2e-5，
    在小 BERT 上量过，到 1e-4 分不出高下，2.7e-4 就低了，见 docs/results.md 的消融。
    """
    return 3e-5 * (768 / hidden) ** 0.5


class TunableModel(Model):
    """新：放开了一部分 BERT 的 Model；unfreeze 是放开最后几层，"all" 连词向量一起全部放开

    层数超过 BERT 的时抛 CourseError。
    """

    learning: Sequence[nn.Module] = ()  # 放开的部分

    def __init__(
        self, encoder_dir: str | Path, num_labels: int, unfreeze: int | str, pooling: str = "cls"
    ):
        super().__init__(encoder_dir, num_labels, pooling)
        layers = encoder_layers(self.encoder)
        if unfreeze != "all" and unfreeze > len(layers):  # ALBERT 各层共用一份权重，算 0 层
            raise CourseError(f"这个 BERT 只有 {len(layers)} 层", "--unfreeze all 全部放开")
        # 句子从下往上走，越往上越接近"这句话什么意思"，所以从最后一层开始放开
        self.learning = [self.encoder] if unfreeze == "all" else layers[-unfreeze:]
        for part in self.learning:
            part.requires_grad_(True)
        if pooler := getattr(self.encoder, "pooler", None):
            pooler.requires_grad_(False)  # 我们不用 pooler 的输出，它没有梯度可学
        self.train()

    def train(self, mode: bool = True) -> "TunableModel":
        super().train(mode)
        for part in self.learning:  # 放开的层要有 dropout，冻结的没有
            part.train(mode)
        return self

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        token_type_ids: torch.Tensor | None = None,
    ) -> torch.Tensor:
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        if token_type_ids is not None:
            inputs["token_type_ids"] = token_type_ids
        # 没有 torch.no_grad()：梯度要一直传回 BERT 里面；冻结的参数不要梯度，不为它们记账
        out = self.encoder(**inputs)
        return self.head(self.pool(out.last_hidden_state, attention_mask))


class LengthBatches(Sampler):
    """新：长短相近的评论凑成一批，少补齐；每轮的凑法和先后都重新打乱

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


# 停在半路的接着训练：光有权重不够，AdamW 为每个参数记着梯度的平均，学习率走到了哪一步，打乱顺序的
# 随机数走到了第几个，少存一样，接出来的就不是同一次训练


def save_progress(folder: Path, log: TrainingLog, model: Model, parts: dict) -> None:
    """一轮之后存 resume.pth；parts 是权重之外还会变的 {名字: 优化器、学习率的安排、随机数}"""
    numbers = [torch.get_rng_state()]  # dropout 丢掉谁，由这串随机数定
    if DEVICE.type != "cpu":
        numbers.append(torch.get_device_module(DEVICE).get_rng_state())
    state = {
        "record": model.record,
        "history": log.rows,
        "weights": model.state_dict(),
        "parts": {
            name: part.get_state() if isinstance(part, torch.Generator) else part.state_dict()
            for name, part in parts.items()
        },
        "random": numbers,
    }
    with atomic_write(folder / RESUME) as path:
        torch.save(state, path)


def load_progress(folder: Path, log: TrainingLog, model: Model, parts: dict) -> None:
    """`save_progress` 的反方向：回到那一轮刚结束的样子

    没有、坏了、设置不同时抛 CourseError。轮数可以不同：加长了，学习率就照新的轮数降下去。
    """
    path, restart = folder / RESUME, "去掉 --resume，从头训练"
    if not path.is_file():
        raise CourseError(f"{folder} 里没有停在半路的训练", restart)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        before, rows = state["record"], state["history"]
        best = max(rows, key=lambda row: row["validation_accuracy"])
    except Exception as error:  # 不是 .pth、不完整：各有各的异常
        raise CourseError(f"{path} 坏了，或者是旧版课程写的，接不上", restart) from error
    # 搬了地方不要紧，模型和数据的内容各有 SHA-256
    changed = [
        f"{name} 从前是 {' '.join(f'{before.get(name)}，现在是 {now}'.split())}"
        for name, now in model.record.items()
        if before.get(name) != now and name not in ("model", "data", "columns", "epochs")
    ]
    if changed:
        raise CourseError(
            f"停在半路的训练接不上：{'；'.join(changed)}",
            f"用那一次的参数加 --resume，或者{restart}",
        )
    if not (folder / f"{best['epoch']}bert.pth").is_file():
        raise CourseError(f"{folder} 里最好的一轮 {best['epoch']}bert.pth 不见了", restart)
    del state["weights"][RECORD]  # 记录用现在的，别的都一样，只有轮数可以不同
    model.load_state_dict(state["weights"], strict=False)
    for name, part in parts.items():
        if isinstance(part, torch.Generator):
            part.set_state(state["parts"][name])
        else:
            part.load_state_dict(state["parts"][name])
    torch.set_rng_state(state["random"][0])
    if DEVICE.type != "cpu":
        torch.get_device_module(DEVICE).set_rng_state(state["random"][1])
    log.rows, log.best, log.rank = rows, best, best["validation_accuracy"]
    log.keep_best()  # 也许被删了
    print(f"接着训练：轮次 {len(rows) - 1} 已经跑完")
    if before["epochs"] != model.record["epochs"]:
        print(
            f"注意：从前说跑 {before['epochs']} 轮，现在 {model.record['epochs']} 轮，学习率从这里"
            "照新的轮数走，和一开始就这么多轮的不完全一样"
        )
