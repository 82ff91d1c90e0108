"""第 6 课  特征只算一次：冻结的 BERT 对同一条评论，每一轮算出来都一样

教什么：第 5 课的循环每一轮都用到全部评论的 [CLS] 特征，可它只在开头算了一遍。为什么可以？BERT 是
冻结的，第 0 轮和第 30000 轮对同一条评论给出的特征一个数都不差。先算一遍存下来，每一轮就只训练
fc：结果不变，小 BERT 快几千倍，bert-base-chinese 快九万倍。
这一遍怎么算也有讲究：三种算法，一种比一种快，给出的特征相同，差别全在补齐（padding）上：
    全部补齐  最朴素的写法，每条都补齐到 500 个 token
    长短排好  长短相近的放一批，只补齐到这一批里最长的
    首尾相接  一个补齐的位置也不要，见 course/packed_bert.py（别的模型、显卡上用第二种）

怎么运行：python demo02_sentiment/06_features.py
          python demo02_sentiment/06_features.py --int8    换成真的 BERT 之后用：快，但是近似的

会看到：
    ── 1. 找到模型，取 32 条评论
    模型 tiny-bert-chinese，一条评论的特征是 256 个数
    32 条评论一共 3065 个 token，最短的一条 21 个，最长的 252 个
    ── 2. 全部补齐：每条都补到 500 个 token
    一批的形状 (8, 500)，4 批一共算 16000 个 token，其中只有 3065 个是真的
    1.14 秒
    ── 3. 长短排好：补到这一批里最长的
    一批的形状：(8, 38)、(8, 68)、(8, 156)、(8, 252)，一共 4112 个 token
    0.22 秒
    ── 4. 课程用的算法：首尾相接
    一共 3065 个 token，一个也不白算
    0.16 秒
    ── 5. 三种算法的特征相同
    第 0 条的前 4 个数：
    全部补齐  [0.9334, -0.4498, -0.2938, -0.0428]
    长短排好  [0.9334, -0.4498, -0.2938, -0.0428]
    首尾相接  [0.9334, -0.4498, -0.2938, -0.0428]
    三种算法的特征最大相差 5.9e-06
    ── 6. 全部验证集：算一遍，存在硬盘上
    特征：validation (1200, 256)，…，在 data/features/…
    用了 4.5 秒
    ── 7. 再要一次：直接从硬盘读
    特征：validation (1200, 256)，都是存好的，在 data/features/…
    用了 0.1 秒
    ── 8. 算好的特征也是一个 Dataset
    第 0 条：特征 (256,)，标签 0

    下一步：python demo02_sentiment/07_evaluate.py

看什么：第 2 步的秒数和 token 数，八成是白算的。第 6 步再运行一次，就和第 7 步一样快：特征一条一条
地存在 data/features/ 里，按 token 编号的 SHA-256 来认。算到一半按 Ctrl-C，再运行一次，就只算剩下
的；数据里加了一百条，就只算那一百条。
"""

import time

import torch

from course.cli import run, step
from course.encoder import SentenceEncoder
from course.features import FeatureDataset, cached_features
from course.models import find_model, load_encoder, load_tokenizer
from my_dataset import MyDataset
from net import DEVICE

MODEL = "bert-base-chinese"
MAX_LENGTH = 500  # 一条评论最多多少个 token，和训练时一样
COMPARED = 32  # 三种算法各算多少条来比
BATCH_SIZE = 8  # 前两种算法一批几条


@torch.no_grad()  # 只往前算，不为反向传播记账
def cls_features(encoder, tokenizer, texts: list[str], padding) -> tuple[torch.Tensor, list]:
    """N 条评论 → [CLS] 特征 (N, hidden)，和每一批的形状 (条数, 句长)

    padding 见分词器："max_length" 全补到 500，True 补到这一批里最长的。
    """
    features, shapes = [], []
    for start in range(0, len(texts), BATCH_SIZE):
        few = texts[start : start + BATCH_SIZE]
        batch = tokenizer(few, truncation=True, padding=padding, return_tensors="pt").to(DEVICE)
        # batch 里的 attention_mask 让补齐的位置不影响结果，所以补多补少特征都一样
        hidden = encoder(**batch).last_hidden_state  # (条数, 句长, hidden)
        features.append(hidden[:, 0].cpu())
        shapes.append(tuple(batch["input_ids"].shape))
    return torch.cat(features), shapes


def main(args) -> None:
    step(f"1. 找到模型，取 {COMPARED} 条评论")
    folder = find_model(args.model)
    tokenizer = load_tokenizer(folder, args.max_length)
    # load_encoder 给的已经在评估模式：没有 dropout 随机丢数，同一句话的特征才每次都相同
    encoder = load_encoder(folder).to(DEVICE)
    dataset = MyDataset("validation", args.data)
    few = dataset.texts[:COMPARED]
    lengths = [len(ids) for ids in tokenizer(few, truncation=True)["input_ids"]]
    print(f"模型 {folder.name}，一条评论的特征是 {encoder.config.hidden_size} 个数")
    print(
        f"{len(few)} 条评论一共 {sum(lengths)} 个 token，"
        f"最短的一条 {min(lengths)} 个，最长的 {max(lengths)} 个"
    )

    step(f"2. 全部补齐：每条都补到 {args.max_length} 个 token")
    #    一批要拼成一个长方形的张量，短的后面补 [PAD]。补的位置也要从第一层算到最后一层，算完扔掉
    started = time.perf_counter()
    padded, shapes = cls_features(encoder, tokenizer, few, padding="max_length")
    seconds = time.perf_counter() - started
    print(
        f"一批的形状 {shapes[0]}，{len(shapes)} 批一共算 {sum(n * long for n, long in shapes)} 个"
        f" token，其中只有 {sum(lengths)} 个是真的"
    )
    print(f"{seconds:.2f} 秒")

    step("3. 长短排好：补到这一批里最长的")
    #    长短相近的排在一起，补得就少。sorted 给的是编号；算完按编号放回去，第 i 行才是第 i 条
    started = time.perf_counter()
    order = sorted(range(len(few)), key=lambda i: lengths[i])
    in_order, shapes = cls_features(encoder, tokenizer, [few[i] for i in order], padding=True)
    by_length = torch.empty_like(in_order)
    by_length[order] = in_order
    seconds = time.perf_counter() - started
    total = sum(n * long for n, long in shapes)
    print(f"一批的形状：{'、'.join(map(str, shapes))}，一共 {total} 个 token")
    print(f"{seconds:.2f} 秒")

    sentences = SentenceEncoder(encoder, tokenizer, int8=args.int8)
    step(f"4. 课程用的算法：{sentences.way}")
    #    几条评论接成长长的一条，算注意力时各看各的，一个 [PAD] 也没有；再让每个核各算各的一批
    #    这种写法只认 BERT 的结构，也不用在显卡上，别的模型就是第 3 步的写法，每个核各算一批
    started = time.perf_counter()
    ours = sentences.encode(few)
    seconds = time.perf_counter() - started
    if sentences.packs:
        print(f"一共 {sum(lengths)} 个 token，一个也不白算")
    print(f"{seconds:.2f} 秒")

    step("5. 三种算法的特征相同")
    #    不是一位不差：浮点数的加法换了先后，最后几位会不同，fc 感觉不到（加了 --int8 的差得多些）
    print("第 0 条的前 4 个数：")
    for name, features in (("全部补齐", padded), ("长短排好", by_length), (sentences.way, ours)):
        print(f"{name}  {[round(x, 4) for x in features[0, :4].tolist()]}")
    difference = max(float((other - padded).abs().max()) for other in (by_length, ours))
    print(f"三种算法的特征最大相差 {difference:.1e}")

    step("6. 全部验证集：算一遍，存在硬盘上")
    #    train.py 的第一步就是它；训练过了，这里就是读出来，一条也不用新算
    started = time.perf_counter()
    cached_features(sentences, dataset.texts, "validation")
    print(f"用了 {time.perf_counter() - started:.1f} 秒")

    step("7. 再要一次：直接从硬盘读")
    started = time.perf_counter()
    saved = cached_features(sentences, dataset.texts, "validation")
    print(f"用了 {time.perf_counter() - started:.1f} 秒")

    step("8. 算好的特征也是一个 Dataset")
    #    第 i 条从 (评论, 标签) 换成了 (特征, 标签)，循环一批一批地取它，不再碰 BERT
    vector, label = FeatureDataset(saved, dataset.labels)[0]
    print(f"第 0 条：特征 {tuple(vector.shape)}，标签 {label.item()}")

    # 小结：冻结 + 评估模式 → 特征不变 → 只算一次
    # 练习：把 BATCH_SIZE 改成 1 和 32，前两种算法的秒数怎么变？加上 --int8，最大相差变成多少？
    # 动手：python exercises/check.py demo02/06


if __name__ == "__main__":
    run(
        main,
        "data",
        model=MODEL,
        max_length=MAX_LENGTH,
        int8=False,
        then="demo02_sentiment/07_evaluate.py",
    )
