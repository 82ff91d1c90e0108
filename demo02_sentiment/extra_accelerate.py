"""选学  accelerate：同一个循环，几个进程、几张显卡、几台机器一起跑

教什么：循环还是自己写的，只有标着"新"的几行和 extra_finetune.py 不同。几个进程各有一份模型，
每一批切成几份、一人一份（数据并行）；backward 时大家的梯度取平均，所以每个进程更新出来的权重一样，
也和一个进程算整批的一样（没有 dropout 的话：dropout 丢掉谁，每个进程各抽各的）。
慢的是等：每一步都要等最慢的那一个，再把全部梯度传一遍。值不值得，见 docs/09-many-machines.md。

怎么运行（要多装一个包；同样的脚本，由启动它的命令决定几个进程）：
    python -m pip install accelerate
    python demo02_sentiment/extra_accelerate.py
    torchrun --standalone --nproc_per_node 2 demo02_sentiment/extra_accelerate.py
    python demo02_sentiment/07_evaluate.py --weights params/accelerate/best.pth

会看到：
    1 个进程，设备 cpu，训练 9600 条，验证 1200 条，每轮 300 批，每个进程一批 32 条
      轮次 0 批次 0 loss 0.5…
    …
    轮次 1 …
    最好的一轮是 1，验证精度 0.8…

看什么：一个进程、两个进程的 loss 一样；换成几张显卡也只换启动的命令。要 bf16，命令前面加一个
环境变量 ACCELERATE_MIXED_PRECISION=bf16（或 accelerate launch --mixed_precision bf16），代码不用改
"""

from contextlib import nullcontext
from functools import partial

import torch
from torch import nn
from torch.optim import AdamW
from torch.utils.data import DataLoader
from transformers import get_linear_schedule_with_warmup

from backstage.checkpoint import describe
from backstage.extras import together
from backstage.training import TrainingLog, fit_batch
from backstage.tuning import (
    BATCH_SIZE,
    EPOCH,
    LEARNING_RATE,
    MAX_NORM,
    SEED,
    WARMUP,
    LengthBatches,
    TunableModel,
    encoder_lr,
)
from course.cli import require, run
from course.errors import CourseError
from course.models import find_model, load_tokenizer
from course.paths import PARAMS
from my_dataset import MAX_LENGTH, MyDataset, collate_fn
from net import DEVICE, MODEL


def main(args) -> None:
    require("accelerate")
    from accelerate import Accelerator, DataLoaderConfiguration  # 新：可选的包，装了才有

    # 新：问清楚我是几个进程里的第几个，用哪个设备；split_batches：一批由大家分，不是每人一批
    accelerator = Accelerator(
        cpu=DEVICE.type == "cpu",
        dataloader_config=DataLoaderConfiguration(split_batches=True),
    )
    main_process, count = accelerator.is_main_process, accelerator.num_processes
    if args.batch_size % count:
        raise CourseError(
            f"一批 {args.batch_size} 条，{count} 个进程分不匀", f"--batch-size {16 * count}"
        )
    # 新：写文件的只有 0 号
    log = TrainingLog(args.params, 0, args.epochs) if main_process else nullcontext()
    with accelerator.main_process_first():  # 新：第一次要备数据，0 号备好，别的再读
        train_set = MyDataset("train", args.data)
        validation_set = MyDataset("validation", args.data)
    args.batch_size = fit_batch(train_set, args.batch_size)
    batches = len(train_set) // args.batch_size
    accelerator.print(  # 新：只有 0 号打印
        f"{count} 个进程，设备 {accelerator.device}，训练 {len(train_set)} 条，"
        f"验证 {len(validation_set)} 条，每轮 {batches} 批，"
        f"每个进程一批 {args.batch_size // count} 条"
    )

    # 模型：每个进程读一份；种子一样，fc 的初值就一样
    folder = find_model(args.model)
    tokenizer = load_tokenizer(folder, args.max_length)
    torch.manual_seed(args.seed)
    model = TunableModel(folder, len(train_set.label_names), "all")
    body = [p for p in model.encoder.parameters() if p.requires_grad]
    body_lr = encoder_lr(model.encoder.config.hidden_size)
    mixed = accelerator.mixed_precision == "bf16"
    arithmetic = str(torch.bfloat16 if mixed else torch.float32)
    model.record = describe(
        model, tokenizer, train_set, arithmetic=arithmetic,
        epochs=args.epochs, batch_size=args.batch_size, learning_rate=LEARNING_RATE,
        seed=args.seed, unfreeze="all", encoder_lr=body_lr,
    )  # fmt: skip

    # 数据：打乱的种子也一样，所以每个进程排出来的批次一样，再各取各的那一份
    order = torch.Generator().manual_seed(args.seed)
    lengths = [len(text) for text in train_set.texts]
    collate = partial(collate_fn, tokenizer=tokenizer, padding="longest")
    sampler = LengthBatches(lengths, args.batch_size, order)
    train_loader = DataLoader(train_set, batch_sampler=sampler, collate_fn=collate)
    validation_loader = DataLoader(validation_set, args.batch_size, collate_fn=collate)

    # 优化器、学习率和 extra_finetune.py 一样；新：都交给 prepare 包一层，数据自己会到设备上
    groups = [{"params": model.head.parameters()}, {"params": body, "lr": body_lr}]
    optimizer = AdamW(groups, lr=LEARNING_RATE, fused=True)
    steps = args.epochs * batches
    schedule = get_linear_schedule_with_warmup(optimizer, round(WARMUP * steps), steps)
    loss_fn = nn.CrossEntropyLoss()
    wrapped, optimizer, train_loader, validation_loader, schedule = accelerator.prepare(
        model, optimizer, train_loader, validation_loader, schedule
    )  # 新：wrapped 里面就是 model，多的是 backward 时和别的进程平均梯度

    # 训练循环
    with together(), log:
        for epoch in range(args.epochs):
            wrapped.train()
            sums = torch.zeros(2, device=accelerator.device)  # loss 的和，答对的条数
            for i, (*inputs, labels) in enumerate(train_loader):
                out = wrapped(*inputs)
                loss = loss_fn(out.float(), labels)
                optimizer.zero_grad()
                accelerator.backward(loss)  # 新：代替 loss.backward()
                accelerator.clip_grad_norm_(body, MAX_NORM)  # 新：代替 nn.utils 的
                optimizer.step()
                schedule.step()

                right = (out.argmax(dim=1) == labels).sum()
                sums += torch.stack([loss.detach() / count, right])
                if i % 20 == 0:  # 新：我的 loss 只是我那一份的，平均起来才是整批的
                    spot = accelerator.reduce(loss.detach(), "mean")
                    accelerator.print(f"  轮次 {epoch} 批次 {i} loss {spot.item():.4f}")

            # 每轮之后：验证集也由大家分着考；新：收齐答案，最后一批凑数的重复几条会去掉
            wrapped.eval()
            correct = 0
            with torch.no_grad():
                for *inputs, labels in validation_loader:
                    answers = wrapped(*inputs).argmax(dim=1)
                    answers, labels = accelerator.gather_for_metrics((answers, labels))  # 新
                    correct += (answers == labels).sum().item()
            loss_sum, train_correct = accelerator.reduce(sums, "sum").tolist()  # 新
            if main_process:  # 新：只有 0 号存
                score = correct / len(validation_set)
                model.record |= {"epoch": epoch, "validation_accuracy": score}
                torch.save(model.state_dict(), log.new)
                log.add(loss_sum / batches, train_correct / (batches * args.batch_size), score)
                log.done()
    accelerator.end_training()  # 新：和别的进程道别

    # 小结：几个进程 = 同一份代码跑几遍 + 各算一份数据 + 每一步平均梯度；打印和存盘只留一个
    # 练习：split_batches 改成 False，两个进程时每一步实际看了几条？学习率为什么常常要跟着放大？


if __name__ == "__main__":
    run(
        main, "data", params=PARAMS / "accelerate", model=MODEL, epochs=EPOCH,
        batch_size=BATCH_SIZE, max_length=MAX_LENGTH, seed=SEED,
    )  # fmt: skip
