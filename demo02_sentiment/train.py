"""第 5 课  训练：数据 → 模型 → 损失 → 梯度 → 更新，一轮又一轮

教什么：完整的训练循环。BERT 冻结，只训练最后一层 fc；每轮之后在验证集上考一次，
连续 PATIENCE 轮没有进步就停。每轮存一个 .pth，最好的一轮另存为 best.pth，都在 params/ 里。
最朴素的写法，每一步都走一遍 BERT，是 00_one_file.py；这里 BERT 只走一遍，循环是同一个循环。

怎么运行（不用联网，不用显卡，第一次几分钟，之后几秒）：
    python demo02_sentiment/train.py
    python demo02_sentiment/train.py --epochs 20 --batch-size 32 --params params/try
--params 另存一处，不盖掉第一行的成绩，后面的课要用它。

会看到：
    ── 1. 数据
    训练 9600 条，验证 1200 条；一批 90 条，每轮 106 批
    ── 2. 模型
    设备 cpu；要学的只有 fc，514 个数
    ── 3. BERT 冻结，每一轮算出来都一样：先算一遍
    特征：train (9600, 256)，…
    特征：validation (1200, 256)，…
    ── 4. 优化器和损失，先看一批
    一批：特征 (90, 256)，标签 (90,) → logits (90, 2)
    还没学的损失 0.6676；全靠瞎猜是 ln 2 = 0.6931
    ── 5. 训练循环
    轮次 0  loss 0.4663  训练精度 0.800  验证精度 0.842  …
    轮次 6  loss 0.3218  训练精度 0.867  验证精度 0.863  …
    …
    连续 30 轮没有超过最好成绩，提前停止
    最好的一轮是 6，验证精度 0.8625
    下一步：python …07_evaluate.py…，在测试集上考最后一次

看什么：看趋势，不看某一个数。loss 往下走、精度往上走，说明在学；训练精度还在涨、验证精度不再涨，
就该停了。头一轮训练精度反而比验证低：它是边学边记的，一轮开头的批次用的还是没学好的 fc。
特征第一次是"新算 9600 条"，以后"都是存好的"。一轮只要几十毫秒，所以隔半秒才打印一行（最好的一轮
总会打印），每一轮都在 params/log.csv 里。
"""

import math

import torch
from torch import nn
from torch.optim import AdamW  # 旧教程里的 transformers.AdamW 已经删除，用 PyTorch 自己的
from torch.utils.data import DataLoader

from backstage.training import TrainingLog, features_of
from course.cli import run, step
from my_dataset import MyDataset
from net import DEVICE, Model

MODEL = "bert-base-chinese"  # models/ 里没有它时，自动用随仓库的 tiny-bert-chinese
EPOCH = 30000  # 轮次：把全部训练数据看一遍是一轮；故意写得很大，由 PATIENCE 或 Ctrl-C 来停
# 批次大小：每次看几条再更新一次 fc。也不是越大越好：批次越大，一轮更新的次数越少，精度可能反而低
# 只训练 fc，一批才几十 KB；BERT 也跟着学的（extra_finetune.py）才要照着内存试，见 docs/04-gpu.md
BATCH_SIZE = 90
MAX_LENGTH = 500  # 一条评论最多多少个 token，由第 2 课的长度分布定
LEARNING_RATE = 1e-3  # 学习率：每次更新迈多大一步
FEW = 100  # 验证集比这还少，最好的一轮就看 loss，不看精度
PATIENCE = 30  # 验证精度连续多少轮没有超过最好成绩就停，0 = 永不提前停
SEED = 0  # 随机种子：fc 的初值和每轮的打乱顺序都由它定，相同种子得到相同结果


def main(args) -> None:
    log = TrainingLog(args.params, args.patience, args.epochs)  # 先看 params/ 写不写得进去

    step("1. 数据")
    train_set, validation_set = MyDataset("train", args.data), MyDataset("validation", args.data)
    classes, rows, asked = len(train_set.label_names), len(train_set), len(validation_set)
    if rows < args.batch_size:  # 自己的几十条数据，一批都凑不满
        fewer = max(2, rows // 10)
        print(f"注意：训练集只有 {rows} 条，一批从 {args.batch_size} 条改成 {fewer} 条")
        args.batch_size = fewer
    by_loss = asked < FEW
    if by_loss:
        print(f"注意：验证集只有 {asked} 条，精度错一条差 {100 / asked:.1f} 个点，挑不准哪一轮好，")
        print("      改看验证集上的 loss：它连有多肯定也算进去，一点一点地变")
    # 一轮几批 = 条数 ÷ 批次大小，9,600 ÷ 90 = 106；前几批用了几秒，就估得出一轮要多久
    batches = rows // args.batch_size
    print(f"训练 {rows} 条，验证 {asked} 条；一批 {args.batch_size} 条，每轮 {batches} 批")

    step("2. 模型")
    torch.manual_seed(args.seed)  # fc 的初值从这里来
    model = Model(args.model, classes, args.pooling).to(DEVICE)
    learned = sum(p.numel() for p in model.parameters() if p.requires_grad)
    print(f"设备 {DEVICE}；要学的只有 fc，{learned} 个数")

    step("3. BERT 冻结，每一轮算出来都一样：先算一遍")
    #    从这里起 train_set 的第 i 条是 ([CLS] 特征, 标签)，不再是文字；怎么算的，见第 6 课
    train_set, validation_set = features_of(model, args, train_set, validation_set)
    if DEVICE.type == "cpu":
        torch.set_num_threads(1)  # fc 很小：几个线程互相等的时间，比算的时间还长
    order = torch.Generator().manual_seed(args.seed)  # 打乱的顺序只由种子定
    train_loader = DataLoader(
        train_set,
        args.batch_size,
        shuffle=True,  # 每轮换一个顺序，免得学到顺序里去
        drop_last=True,  # 最后凑不满的一批舍去，每批都一样大（少几条也不会错）
        # 特征的 Dataset 多一个 __getitems__：一次给一整批，不用再拼；喂文字时，这里是第 3 课的
        # collate_fn
        collate_fn=tuple,
        generator=order,
    )
    #    验证集不用打乱，一条也不能丢
    validation_loader = DataLoader(validation_set, args.batch_size, collate_fn=tuple)

    step("4. 优化器和损失，先看一批")
    #    优化器：拿着梯度去改参数的那个人，冻结的参数没有梯度，它自动跳过
    #    损失：交叉熵，-ln(正确那一类的概率)，概率越小罚得越重；它自带 softmax，forward 里不要再写
    optimizer = AdamW(model.parameters(), lr=args.lr)
    weight = None  # 各类的每一条一样重
    if args.class_weight == "balanced":  # 条数少的类，答错一条罚得更重，各类合起来一样重
        counts = torch.bincount(train_set.labels, minlength=classes)
        weight = len(train_set) / (classes * counts)
    loss_fn = nn.CrossEntropyLoss(weight)
    #    动手训练之前先看一批：形状对不对，损失是不是在 ln(类别数) 上下。高出好几倍，多半是特征的
    #    数太大、头的初值太大，或者头的类别数写错了（docs/13-debugging.md）
    features, labels = next(iter(train_loader))
    logits = model.head(features)  # head：分类头，就是 fc
    shapes = [tuple(x.shape) for x in (features, labels, logits)]
    print("一批：特征 {}，标签 {} → logits {}".format(*shapes))
    loss = loss_fn(logits, labels).item()
    print(f"还没学的损失 {loss:.4f}；全靠瞎猜是 ln {classes} = {math.log(classes):.4f}")
    order.manual_seed(args.seed)  # 看过的这一批放回去，从头打乱

    step("5. 训练循环")
    #    训练记录，跟着权重存进 .pth：features_of 写了标签叫什么、哪个 BERT、哪份数据，这里添上设置
    model.record |= {
        "epochs": args.epochs, "batch_size": args.batch_size, "learning_rate": args.lr,
        "seed": args.seed, "class_weight": args.class_weight,
    }  # fmt: skip
    with log:  # 记成绩、留最好的；按 Ctrl-C 随时能停，跑完的都在
        for epoch in range(args.epochs):
            model.train()  # 只有一层 Linear 时和 eval() 没有区别；有 Dropout 就要紧了
            loss_sum = correct = 0
            for features, labels in train_loader:
                logits = model.head(features)  # 形状 (批, 类别数)
                loss = loss_fn(logits, labels)
                optimizer.zero_grad()  # 清掉上一批的梯度，否则会累加
                loss.backward()  # 反向传播，算出梯度：每个参数往哪边挪、挪一点损失变多少
                optimizer.step()  # 按梯度更新 fc
                loss_sum += loss.item()
                # argmax 取分数最高的那一类；True 当 1 加起来：[对, 错, 对, 对, 错] → 3，精度 3/5
                correct += (logits.argmax(dim=1) == labels).sum().item()

            model.eval()  # 考试时 Dropout 要关掉
            right = asked_loss = 0
            with torch.no_grad():  # 只考不学，不记梯度的账
                for features, labels in validation_loader:
                    logits = model.head(features)
                    right += (logits.argmax(dim=1) == labels).sum().item()
                    asked_loss += loss_fn(logits, labels).item() * len(labels)
            score = right / asked

            # state_dict 里是要训练的那部分和训练记录（见 net.py）。torch.save 自己不会建文件夹，写
            # 到一半断电还留下半个文件：所以先写成 params/new.pth，log.add 再改名成 0bert.pth、
            # 1bert.pth…
            model.record |= {"epoch": epoch, "validation_accuracy": score}
            torch.save(model.state_dict(), log.new)
            train_accuracy = correct / (batches * args.batch_size)
            log.add(loss_sum / batches, train_accuracy, score, -asked_loss if by_loss else score)
            if log.done():  # 连续 PATIENCE 轮没有进步
                break

    # 小结：冻结的 BERT 只算一次特征，训练的只有 fc；用验证集决定什么时候停
    #       大模型的训练也是这几步：数据、模型、损失、梯度、更新，只是更大；八类、十类、英文评论，
    #       改的是数据和模型文件夹，循环一行不改。让 BERT 也跟着学：extra_finetune.py，多几行
    # 练习：学习率大了、小了会怎样？另存在别的文件夹里，不盖掉 params/best.pth：
    #           train.py --lr 1e-1 --params params/lr-big
    #           train.py --lr 1e-5 --params params/lr-small
    #       各看一眼那里的 curve.png，哪条学不稳、哪条学得慢？
    # 动手：python exercises/check.py demo02/train


if __name__ == "__main__":
    run(
        main, "data", "params", model=MODEL, epochs=EPOCH, batch_size=BATCH_SIZE,
        max_length=MAX_LENGTH, lr=LEARNING_RATE, patience=PATIENCE, seed=SEED, pooling="cls",
        class_weight="none", int8=False,
    )  # fmt: skip
