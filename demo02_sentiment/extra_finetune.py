"""选学  微调：同一个循环，BERT 也跟着学

教什么：train.py 里 BERT 是冻结的；这里把它的最后几层、或全部（全量微调）也放开来学。循环还是那个
循环，新的几行都标着"新"：把两个文件放在一起比（diff），差别就是这一课。喂的、考的也跟着变，因为
BERT 每一步都在变，特征存不下来：训练时每批重算，验证时每轮重算。放开几层的模型（TunableModel）、
长短相近的一批（LengthBatches）和设置，另外两种写法也要用，所以在 backstage/tuning.py。
新的麻烦有三样：特征不能只算一次了，每轮慢几千倍；BERT 里已经学到的东西很值钱，所以步子要小
（另一个学习率）、学习率先升（热身，warm-up）后降、不让一批怪评论带偏（梯度裁剪）；权重文件从几 KB
变成几十 MB，因为学过的层都要存。

怎么运行（小 BERT 一刻钟上下，真的 bert-base-chinese 要有显卡）：
    python demo02_sentiment/extra_finetune.py                                       全部放开
    python demo02_sentiment/extra_finetune.py --params params/last1 --unfreeze 1    只放开最后一层
    python demo02_sentiment/07_evaluate.py --weights params/finetune/best.pth
存在 params/finetune/，不盖掉 train.py 的 params/best.pth，08、09、11 也要加上这个 --weights。
停在半路了（Ctrl-C、强行结束），同样的命令加上 --resume 就从停下的那一轮接着来；跑完了还想多跑几轮，
--resume --epochs 4。

会看到：
    ── 1. 数据
    设备 cpu，训练 9600 条，验证 1200 条，每轮 300 批
    ── 2. 模型：放开了一部分的 BERT + fc
    微调 BERT 的 8,699,904 个参数，学习率 5.2e-05，每轮存 35 MB
    ── 3. 训练循环
      轮次 0 批次 0 loss 0.5…
    …
    最好的一轮是 1，验证精度 0.8…

看什么：多学了八百多万个数，成绩和冻结的却差不多，为什么？见 docs/results.md 的消融。
"""

from functools import partial

import torch
from torch import nn
from torch.optim import AdamW
from torch.utils.data import DataLoader
from transformers import get_linear_schedule_with_warmup

from backstage.checkpoint import describe
from backstage.training import (
    TrainingLog,
    accuracy,
    class_weights,
    fit_batch,
)
from backstage.tuning import (
    BATCH_SIZE,
    EPOCH,
    LEARNING_RATE,
    MAX_NORM,
    PATIENCE,
    SEED,
    WARMUP,
    LengthBatches,
    TunableModel,
    encoder_lr,
    load_progress,
    save_progress,
)
from course.accumulation import Accumulation
from course.cli import run, step
from course.encoder import SentenceEncoder, has_bf16
from course.features import FeatureDataset
from course.models import find_model, load_tokenizer
from course.paths import PARAMS
from my_dataset import MAX_LENGTH, MyDataset, collate_fn
from net import DEVICE, MODEL


def main(args) -> None:
    hint = "；同样的命令加上 --resume 就接着训练"
    log = TrainingLog(args.params, args.patience, args.epochs, hint)

    step("1. 数据")
    train_set, validation_set = MyDataset("train", args.data), MyDataset("validation", args.data)
    args.batch_size = fit_batch(train_set, args.batch_size)
    batches = len(train_set) // args.batch_size
    classes = len(train_set.label_names)
    weight = class_weights(train_set.labels, classes, args.class_weight)
    print(
        f"设备 {DEVICE}，训练 {len(train_set)} 条，验证 {len(validation_set)} 条，每轮 {batches} 批"
    )

    step("2. 模型：放开了一部分的 BERT + fc")
    folder = find_model(args.model)
    tokenizer = load_tokenizer(folder, args.max_length)
    torch.manual_seed(args.seed)
    model = TunableModel(folder, classes, args.unfreeze, args.pooling).to(DEVICE)  # 新
    body = [p for p in model.encoder.parameters() if p.requires_grad]  # 新
    body_lr = args.encoder_lr or encoder_lr(model.encoder.config.hidden_size)  # 新
    size = sum(p.numel() for p in body)
    print(f"微调 BERT 的 {size:,} 个参数，学习率 {body_lr:.1e}，每轮存 {size * 4 / 1e6:.0f} MB")
    bf16 = has_bf16(DEVICE)
    model.record = describe(
        model, tokenizer, train_set, arithmetic=str(torch.bfloat16 if bf16 else torch.float32),
        epochs=args.epochs, batch_size=args.batch_size, learning_rate=args.lr, seed=args.seed,
        class_weight=args.class_weight, unfreeze=args.unfreeze, encoder_lr=body_lr,
    )  # fmt: skip

    # 每一批喂 token，每一轮都走一遍 BERT；新：一批里最长多少就补到多少
    order = torch.Generator().manual_seed(args.seed)
    lengths = [len(text) for text in train_set.texts]
    train_loader = DataLoader(
        train_set,
        batch_sampler=LengthBatches(lengths, args.batch_size, order),  # 新
        collate_fn=partial(collate_fn, tokenizer=tokenizer, padding="longest"),
    )

    # 新：两组参数，两个学习率；学习率先升后降
    groups = [{"params": model.head.parameters()}, {"params": body, "lr": body_lr}]
    optimizer = AdamW(groups, lr=args.lr, fused=True)
    steps = args.epochs * batches
    schedule = get_linear_schedule_with_warmup(optimizer, round(WARMUP * steps), steps)  # 新
    loss_fn = nn.CrossEntropyLoss(None if weight is None else weight.to(DEVICE))
    mixed = torch.autocast(DEVICE.type, torch.bfloat16, enabled=bf16)  # 新：快一倍
    in_parts = Accumulation(optimizer, args.accumulate, loss_fn.weight)  # 新

    def learn(inputs: list[torch.Tensor], labels: torch.Tensor, share: float) -> tuple:
        with mixed:  # 新：乘法用 bf16，权重还是 fp32
            out = model(*inputs)
        loss = loss_fn(out.float(), labels) * share  # 新：损失用 fp32；占一批的几成就乘几成
        loss.backward()
        return out.detach(), loss.detach()

    step("3. 训练循环")
    # 新：一轮要很久，停在半路的要能接着来（--resume），权重之外会变的都要存
    parts = {"optimizer": optimizer, "order": order, "schedule": schedule}
    with log:
        if args.resume:
            load_progress(args.params, log, model, parts)
        for epoch in log.left():  # 新：接着训练就不从 0 开始
            model.train()
            loss_sum = correct = 0
            for i, (*inputs, labels) in enumerate(train_loader):  # 新：一批是 token，不是特征
                inputs, labels = [x.to(DEVICE) for x in inputs], labels.to(DEVICE)  # 新
                optimizer.zero_grad()
                # 装得下就是 learn(inputs, labels, 1)；装不下才把一批分成几份，梯度攒在一起
                logits, loss = in_parts(learn, inputs, labels)  # 新
                nn.utils.clip_grad_norm_(body, MAX_NORM)  # 新
                optimizer.step()
                schedule.step()  # 新
                loss_sum += loss.item()
                correct += (logits.argmax(dim=1) == labels).sum().item()
                if i % 20 == 0:  # 新：一轮要很久，隔二十批报一次
                    print(f"  轮次 {epoch} 批次 {i} loss {loss.item():.4f}")

            # 每轮之后；新：BERT 变了，验证集的特征也要重算
            model.eval()
            sentences = SentenceEncoder(model.encoder, tokenizer, args.pooling)
            features = sentences.encode(validation_set.texts, progress=True)
            validation_loader = DataLoader(
                FeatureDataset(features, validation_set.labels, DEVICE),
                args.batch_size,
                collate_fn=tuple,
            )
            score = accuracy(model.head, validation_loader)
            model.record |= {"epoch": epoch, "validation_accuracy": score}
            torch.save(model.state_dict(), log.new)
            train_accuracy = correct / (batches * args.batch_size)
            log.add(loss_sum / batches, train_accuracy, score)
            save_progress(args.params, log, model, parts)  # 新
            if log.done():
                break

    # 小结：微调 = 同一个循环 + 放开的层 + 两个学习率 + 热身 + 裁剪；特征不能再只算一次
    # 练习：BERT 的学习率换成和 fc 一样的 1e-3，看验证精度掉到多少，为什么？
    #           extra_finetune.py --encoder-lr 1e-3 --epochs 1 --params params/too-fast
    # 动手：python exercises/check.py demo02/extra_finetune


if __name__ == "__main__":
    run(
        main, "data", params=PARAMS / "finetune", model=MODEL, epochs=EPOCH, batch_size=BATCH_SIZE,
        max_length=MAX_LENGTH, lr=LEARNING_RATE, patience=PATIENCE, seed=SEED, pooling="cls",
        class_weight="none", accumulate=1, unfreeze="all", encoder_lr=None, resume=False,
    )  # fmt: skip
