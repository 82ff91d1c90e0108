"""选学  torchrun：冻结的 BERT 算特征，分给几个进程、几张显卡、几台机器

教什么：每条评论的特征和别的评论无关，所以分开算时不用互相等（extra_accelerate.py 每一步都要平均
梯度，就要等）：每个进程算自己的一份，最后送到 0 号，由它一个人存盘。用的是 torch 自带的几个动作：
init_process_group（互相找到）、broadcast（0 号说，大家听）、send 和 recv（一个送，一个收）、barrier
（到齐了再走）。存下的文件就是 train.py 要找的那个：这里算过，train.py 开头的几分钟、几小时就省了。

怎么运行（同样的脚本，由启动它的命令决定几个进程；值不值得，见 docs/09-many-machines.md）：
    python demo02_sentiment/features_torchrun.py
    torchrun --standalone --nproc_per_node 2 demo02_sentiment/features_torchrun.py
    python demo02_sentiment/train.py

会看到：
    1 个进程，设备 cpu，训练 9600 条，验证 1200 条
    train：各不相同的 9600 条，每个进程分到的字数 …
    特征：train (9600, 256)，…
    validation：各不相同的 1200 条，每个进程分到的字数 …
    特征：validation (1200, 256)，…
两个进程时字数是两个差不多的数；再运行一次，或运行 train.py，说的是"用上次存下的"。

看什么：分得匀不匀。按顺序一人切一半，长评论可能都落在一个进程里，别的算完了干等；这里排好长短，像发牌
一样轮流发，字数只差几百
"""

from course.cli import Parser, run
from course.columns import add_data_arguments
from course.encoding import POOLINGS, encode
from course.errors import CourseError
from course.feature_cache import FeatureFile
from course.models import find_model, load_encoder, load_tokenizer

import os
from datetime import timedelta

import torch
import torch.distributed as dist

from backstage.extras import together
from my_dataset import MAX_LENGTH, MyDataset
from net import DEVICE, MODEL

WAIT = timedelta(hours=12)  # 快的等慢的最多多久；不写的话只等十分钟（显卡）、半小时


def join() -> torch.device:
    """和别的进程互相找到，返回自己用的设备；谁是几号、0 号在哪里，torchrun 写在环境变量里"""
    device = DEVICE
    if device.type == "cuda":  # 一个进程一张显卡
        local, cards = int(os.environ.get("LOCAL_RANK", 0)), torch.cuda.device_count()
        if local >= cards:
            raise CourseError(
                f"这台机器只有 {cards} 张显卡，一个进程要一张", f"--nproc_per_node {cards}"
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    # 没有 torchrun 就自己一个人一组；NCCL 在显卡之间送，gloo 在内存之间送
    alone = {} if "RANK" in os.environ else {"store": dist.HashStore(), "rank": 0, "world_size": 1}
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=WAIT, **alone)
    return device


def gather(mine: torch.Tensor, total: int, wire: torch.device) -> torch.Tensor | None:
    """各人的特征 (大约 total / 进程数, hidden) → 0 号手里的 (total, hidden)，别人得到 None

    rank 号的是第 rank、rank + count、rank + 2 × count …… 条。wire 是送的时候放在哪里：NCCL 只送显存
    里的，gloo 送内存里的。
    """
    rank, count = dist.get_rank(), dist.get_world_size()
    if rank:
        dist.send(mine.to(wire), dst=0)
        return None
    features = mine.new_empty(total, mine.shape[1])
    features[::count] = mine
    for other in range(1, count):  # 一个一个收，显存里只要放得下一份
        piece = torch.empty_like(features[other::count], device=wire)
        dist.recv(piece, src=other)
        features[other::count] = piece.cpu()
    return features


def main() -> None:
    parser = Parser(__doc__)
    add = parser.add_argument
    add("--model", default=MODEL, help=f"模型名或文件夹，默认 {MODEL}")
    add_data_arguments(parser)
    add("--pooling", choices=POOLINGS, default="cls", help="和 train.py 的一样，默认 cls")
    args = parser.parse_args()

    # 1. 我是几个进程里的第几个，用哪个设备
    device = join()
    wire = device if device.type == "cuda" else torch.device("cpu")
    rank, count = dist.get_rank(), dist.get_world_size()

    with together():
        # 2. 数据和模型每个进程都读；第一次要备数据，0 号备好，别的再读
        if rank:
            dist.barrier()
        datasets = {name: MyDataset(name, args.data) for name in ("train", "validation")}
        folder = find_model(args.model)
        if rank == 0:
            print(
                f"{count} 个进程，设备 {device}，训练 {len(datasets['train'])} 条，"
                f"验证 {len(datasets['validation'])} 条"
            )
            dist.barrier()
        tokenizer = load_tokenizer(folder, MAX_LENGTH)
        encoder = load_encoder(folder).to(device).eval()

        for name, dataset in datasets.items():
            # 3. 算过的不再算：0 号看硬盘上有没有，告诉大家。文件名里带着评论、模型、代码的指纹，
            #    和 0 号的不一样就是这台的东西不对，混进去谁也看不出来
            file = FeatureFile(encoder, tokenizer, dataset.texts, name, pooling=args.pooling)
            saved = file.read() if rank == 0 else None
            told = [None if saved is not None else file.path.name]
            dist.broadcast_object_list(told, src=0, device=wire)
            if told[0] is None:
                continue
            if told[0] != file.path.name:
                raise CourseError(
                    f"{rank} 号的评论、模型或代码和 0 号的不一样",
                    "让每台机器的课程、data/、models/ 一样，再运行一次",
                )

            # 4. 分：一样的评论只算一次；短的在前，轮流发，每人的字数（约等于 token 数）就差不多
            texts = sorted(set(dataset.texts), key=lambda text: (len(text), text))
            if rank == 0:
                sizes = [min(len(text), MAX_LENGTH) for text in texts]  # 太长的反正要截断
                shares = "、".join(str(sum(sizes[i::count])) for i in range(count))
                print(f"{name}：各不相同的 {len(texts)} 条，每个进程分到的字数 {shares}")

            # 5. 算自己的一份，和 train.py 用的是同一个 encode；进度条只要一个
            mine = encode(
                encoder, tokenizer, texts[rank::count], progress=rank == 0, pooling=args.pooling
            )

            # 6. 收齐，放回原来的顺序，只有 0 号存盘；写到一半断了，不留下半个文件
            features = gather(mine, len(texts), wire)
            if rank == 0:
                number = {text: i for i, text in enumerate(texts)}
                file.write(features[[number[text] for text in dataset.texts]])
        dist.barrier()  # 0 号存好了，大家才算做完
    dist.destroy_process_group()

    # 小结：互不相干的活 = 分匀 + 各算各的 + 送到一处 + 一个人写；只在开头、结尾等别人
    # 练习：把 shares 那一行换成前一半、后一半的字数，差多少？短的那个要等多久？


if __name__ == "__main__":
    run(main)
