"""第 5 课  训练：数据 → 模型 → 损失 → 梯度 → 更新，一轮又一轮

教什么：完整的训练循环。BERT 冻结，只训练最后一层 fc；每轮之后在验证集上考一次，
连续 PATIENCE 轮没有进步就停。每轮存一个 .pth，最好的一轮另存为 best.pth，都在 params/ 里。

怎么运行（不用联网，不用显卡，第一次几分钟，之后几秒）：
    python demo02_sentiment/train.py
    python demo02_sentiment/train.py --epochs 20 --batch-size 32 --params params/try
    python demo02_sentiment/train.py --recompute --epochs 1 --params params/slow
--params 另存一处，不盖掉第一行的成绩，后面的课要用它。--recompute 是最朴素的写法，每轮重算 BERT：
一轮要十来分钟到半个小时。

会看到：
    设备 cpu，训练 9600 条，验证 1200 条，每轮 106 批
    轮次 0  loss 0.4663  训练精度 0.800  验证精度 0.842  …
    轮次 6  loss 0.3218  训练精度 0.867  验证精度 0.863  …
    …
    连续 30 轮没有超过最好成绩，提前停止
    最好的一轮是 6，验证精度 0.8625

看什么：看趋势，不看某一个数。loss 往下走、精度往上走，说明在学；训练精度还在涨、验证精度不再涨，
就该停了。头一轮训练精度反而比验证低：它是边学边记的，一轮开头的批次用的还是没学好的 fc。
让 BERT 也跟着学，见 extra_finetune.py：同一个循环，多几行。
"""

from functools import partial

import torch
from torch import nn
from torch.optim import AdamW  # 旧教程里的 transformers.AdamW 已经删除，用 PyTorch 自己的
from torch.utils.data import DataLoader

from backstage.checkpoint import describe
from backstage.training import TrainingLog, accuracy, check_params, fit_batch, make_parser
from course.cli import run
from course.encoder import SentenceEncoder
from course.errors import CourseError
from course.features import FeatureDataset, cached_features, keep_batch
from course.files import atomic_write
from course.models import find_model, load_tokenizer
from course.paths import PARAMS
from my_dataset import MyDataset, class_weights, collate_fn
from net import DEVICE, Model

EPOCH = 30000  # 轮次：把全部训练数据看一遍是一轮；故意写得很大，由 PATIENCE 或 Ctrl-C 来停
# 批次大小：每次看几条再更新一次 fc。默认只训练 fc，一批只占几十 KB，不用管内存；--recompute 和
# extra_finetune.py 才要试：调到内存（显卡就是显存）用掉九成左右，报 out of memory 就改小；内存看
# 任务管理器的"性能"，显存看 nvidia-smi，上一次没退干净的进程也占着，先关掉。也不是越大越好：
# 批次越大，一轮更新的次数越少，精度可能反而低
BATCH_SIZE = 90
LEARNING_RATE = 1e-3  # 学习率：每次更新迈多大一步
PATIENCE = 30  # 验证精度连续多少轮没有超过最好成绩就停，0 = 永不提前停
SEED = 0  # 随机种子：fc 的初值和每轮的打乱顺序都由它定，相同种子得到相同结果


def main() -> None:
    args = parse_args()

    # 1. 数据
    train_set, validation_set = MyDataset("train", args.data), MyDataset("validation", args.data)
    args.batch_size = fit_batch(train_set, args.batch_size)
    batches = len(train_set) // args.batch_size
    weight = class_weights(train_set, args.class_weight)  # 默认 None，各类的每一条一样重
    print(
        f"设备 {DEVICE}，训练 {len(train_set)} 条，验证 {len(validation_set)} 条，每轮 {batches} 批"
    )

    # 2. 模型：冻结的 BERT + fc，有几类就输出几个 logits
    folder = find_model(args.model)
    tokenizer = load_tokenizer(folder, args.max_length)
    torch.manual_seed(args.seed)  # fc 的初值从这里来
    model = Model(folder, len(train_set.label_names), args.pooling).to(DEVICE)
    sentences = SentenceEncoder(model.encoder, tokenizer, args.pooling, args.int8)
    # 训练记录，存权重时跟着走：标签的名字、哪个 BERT、哪份数据、怎么训练的
    model.record = describe(
        model, tokenizer, train_set, arithmetic=sentences.arithmetic,
        epochs=args.epochs, batch_size=args.batch_size, learning_rate=args.lr, seed=args.seed,
        class_weight=args.class_weight, recompute=args.recompute,
    )  # fmt: skip

    # 3. 每一批喂什么
    if args.recompute:  # 最朴素的写法：喂 token，每一轮都走一遍 BERT
        forward = model  # forward：从一批输入到 logits 的函数
        collate = partial(collate_fn, tokenizer=tokenizer, padding="max_length")
    else:  # BERT 冻结，特征每一轮都一样，只算一次（06_features.py）：喂特征，只走 fc
        forward, collate = model.head, keep_batch  # head：分类头，就是 fc
        train_set = compute_once(sentences, train_set, "train")
        validation_set = compute_once(sentences, validation_set, "validation")
        # 从这里起 train_set 的第 i 条是 (特征, 标签)
        if DEVICE.type == "cpu":
            torch.set_num_threads(1)  # fc 很小：几个线程互相等的时间，比算的时间还长
    order = torch.Generator().manual_seed(args.seed)  # 打乱的顺序只由种子定
    train_loader = DataLoader(
        train_set,
        batch_size=args.batch_size,
        shuffle=True,  # 每轮换一个顺序，免得学到顺序里去
        drop_last=True,  # 最后凑不满的一批舍去，每批都一样大；打乱过，下一轮会轮到它们
        collate_fn=collate,  # 只写函数名，不加括号：由 DataLoader 凑齐一批时来调用
        generator=order,
    )
    # 验证集不用打乱，一条也不能丢
    validation_loader = DataLoader(validation_set, args.batch_size, collate_fn=collate)

    # 4. 优化器：拿着梯度去改参数的那个人，冻结的参数没有梯度，它自动跳过
    #    损失：交叉熵，正确那一类的概率越小罚得越重；它自带 softmax，forward 里不要再写一遍
    optimizer = AdamW(model.parameters(), lr=args.lr, fused=True)  # fused：一次更新全部，结果一样
    loss_fn = nn.CrossEntropyLoss(None if weight is None else weight.to(DEVICE))

    # 5. 训练循环
    with TrainingLog(
        args.params, args.patience, args.epochs
    ) as log:  # 记成绩、留最好的、接住 Ctrl-C
        for epoch in range(args.epochs):
            model.train()  # 只有一层 Linear 时和 eval() 没有区别；有 Dropout 就要紧了
            loss_sum = correct = 0
            # 一批是 (输入…, 标签)：喂特征时输入有 1 个，喂 token 时有 3 个，*inputs 把它们都收下
            for i, (*inputs, labels) in enumerate(train_loader):
                # 数据和模型要在同一个设备上，一边在显卡、一边在内存就会报错
                inputs, labels = [x.to(DEVICE) for x in inputs], labels.to(DEVICE)
                out = forward(*inputs)  # logits，形状 (批, 类别数)
                loss = loss_fn(out, labels)
                optimizer.zero_grad()  # 清掉上一批的梯度，否则会累加
                loss.backward()  # 反向传播，算出梯度
                optimizer.step()  # 按梯度更新 fc

                # argmax 取分数最高的那一类；True 当 1 加起来：[对, 错, 对, 对, 错] → 3，精度 3/5
                right = (out.argmax(dim=1) == labels).sum().item()
                loss_sum, correct = loss_sum + loss.item(), correct + right
                if args.recompute and i % 5 == 0:  # 一轮要很久，每隔五批报一次
                    spot = right / len(labels)
                    print(f"  轮次 {epoch} 批次 {i} loss {loss.item():.4f} 精度 {spot:.3f}")

            # 6. 每轮之后：在验证集上考一次，存权重；没有进步好多轮了就停
            model.eval()
            score = accuracy(forward, validation_loader)
            model.record |= {"epoch": epoch, "validation_accuracy": score}
            # torch.save 自己不会建文件夹，写到一半被打断还留下半个文件；atomic_write 先建文件夹，给
            # 一个临时的名字，写完才换上。state_dict 里是要训练的那部分和训练记录（见 net.py）
            with atomic_write(args.params / f"{epoch}bert.pth") as path:
                torch.save(model.state_dict(), path)
            train_accuracy = correct / (batches * args.batch_size)
            log.add(loss_sum / batches, train_accuracy, score)
            if log.done():
                break

    # 小结：冻结的 BERT 只算一次特征，训练的只有 fc；用验证集决定什么时候停
    #       大模型的训练也是这几步：数据、模型、损失、梯度、更新，只是更大；八类、十类、英文评论，
    #       改的是数据和模型文件夹，循环一行不改
    # 练习：学习率大了、小了会怎样？另存在别的文件夹里，不盖掉 params/best.pth：
    #           train.py --lr 1e-1 --params params/lr-big
    #           train.py --lr 1e-5 --params params/lr-small
    #       各看一眼那里的 curve.png，哪条学不稳、哪条学不动？
    # 动手：python exercises/check.py demo02/train


# main 用到的两个小函数


def compute_once(sentences: SentenceEncoder, dataset: MyDataset, name: str) -> FeatureDataset:
    """一份评论 → 它的特征的 Dataset；算过的直接读"""
    return FeatureDataset(cached_features(sentences, dataset.texts, name), dataset.labels, DEVICE)


def parse_args():
    parser = make_parser(__doc__, PARAMS, EPOCH, BATCH_SIZE, LEARNING_RATE, PATIENCE, SEED)
    parser.add_argument("--int8", action="store_true", help="特征用 int8 算：快，但是近似的")
    parser.add_argument("--recompute", action="store_true", help="最朴素的写法：每轮重算 BERT")
    args = parser.parse_args()
    if args.int8 and args.recompute:
        raise CourseError("--int8 只管提前算好的特征，每轮重算 BERT 时用不上", "去掉 --int8")
    check_params(args.params)
    return args


if __name__ == "__main__":
    run(main)
