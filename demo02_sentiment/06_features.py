"""第 6 课  特征只算一次：冻结的 BERT 对同一条评论，每一轮算出来都一样

教什么：训练循环要把全部评论看很多轮，但 BERT 是冻结的，第 1 轮和第 30000 轮对同一条评论
给出的 [CLS] 特征一个数都不差。所以先算一遍存下来，之后每一轮只训练 fc，结果不变，
小 BERT 快几千倍，bert-base-chinese 快九万倍。
算这一遍有三种算法，一种比一种快，给出的特征相同：
    全部补齐  最朴素的写法，每条都补齐到 500 个 token
    长短排好  长短相近的放一批，只补齐到这一批里最长的
    首尾相接  一个补齐的位置也不要，见 course/packed_bert.py

怎么运行：python demo02_sentiment/06_features.py
          python demo02_sentiment/06_features.py --int8    换成真的 BERT 之后用：快，但是近似的

会看到：
    全部补齐  32 条评论，5.15 秒
    长短排好  32 条评论，1.28 秒
    首尾相接  32 条评论，0.27 秒
    补齐到 500 一共 16000 个 token，其中只有 3065 个是真的
    …
    三种算法的特征最大相差 6.2e-06

    特征：validation (1200, 256)，首尾相接算的，新算 … 条，在 data/features/…
    特征：validation (1200, 256)，都是存好的，在 data/features/…
    第二次再取：0.… 秒
    第 0 条：特征 (256,)，标签 …

看什么：特征一条一条地存在 data/features/ 里，按 token 编号的 SHA-256 来认。算到一半按 Ctrl-C，再
运行一次，就只算剩下的；数据里加了一百条，就只算那一百条。
"""

import time

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from course.cli import Parser, run
from course.columns import add_data_arguments
from course.encoder import SentenceEncoder
from course.features import FeatureDataset, cached_features
from course.models import find_model, load_encoder, load_tokenizer
from my_dataset import MAX_LENGTH, MyDataset
from net import DEVICE, MODEL

COMPARED = 32  # 三种算法各算多少条来比
BATCH_SIZE = 8  # 前两种算法一批几条


@torch.no_grad()  # 只往前算，不为反向传播记账
def cls_features(
    encoder: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: list[str],
    padding: str | bool,
) -> torch.Tensor:
    """N 条评论 → [CLS] 特征 (N, hidden)；padding 见分词器：True 补到这一批里最长的"""
    # 长短相近的排在一起，补齐得就少；sorted 给的是编号，算完放回原来的位置
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    features = torch.empty(len(texts), encoder.config.hidden_size)
    for start in range(0, len(order), BATCH_SIZE):
        rows = order[start : start + BATCH_SIZE]
        batch = tokenizer(
            [texts[i] for i in rows], truncation=True, padding=padding, return_tensors="pt"
        )
        # batch 里的 attention_mask 让补齐的位置不影响结果，所以补多补少特征都一样
        features[rows] = encoder(**batch.to(DEVICE)).last_hidden_state[:, 0].cpu()
    return features


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--model", default=MODEL, help=f"模型名或文件夹，默认 {MODEL}")
    add_data_arguments(parser)
    parser.add_argument("--int8", action="store_true", help="矩阵乘法用 int8：快，但是近似的")
    args = parser.parse_args()

    folder = find_model(args.model)
    tokenizer = load_tokenizer(folder, MAX_LENGTH)
    encoder = load_encoder(folder).to(DEVICE).eval()  # 评估模式：没有 dropout，特征才每次相同
    dataset = MyDataset("validation", args.data)
    texts = dataset.texts
    few = texts[:COMPARED]

    # 1. 三种算法各算一遍同样的评论：真的 token 一样多，差别全在补齐
    #    会看到：全部补齐时一条也要算 500 个 token，八成白算；首尾相接一个也不白算
    real = sum(map(len, tokenizer(few, truncation=True)["input_ids"]))
    ways = {
        "全部补齐": lambda: cls_features(encoder, tokenizer, few, padding="max_length"),
        "长短排好": lambda: cls_features(encoder, tokenizer, few, padding=True),
        "首尾相接": lambda: sentences.encode(few),
    }
    sentences = SentenceEncoder(encoder, tokenizer, int8=args.int8)
    if not sentences.packs:  # 别的模型用第二种，见 course/encoder.py
        del ways["首尾相接"]
        print("首尾相接的写法只认 BERT 的结构，也不用在显卡上；下面两种什么编码器都行")
    features = {}
    for name, compute in ways.items():
        started = time.perf_counter()
        features[name] = compute()
        print(f"{name}  {len(few)} 条评论，{time.perf_counter() - started:.2f} 秒")
    print(f"补齐到 {MAX_LENGTH} 一共 {len(few) * MAX_LENGTH} 个 token，其中只有 {real} 个是真的")
    print(features["全部补齐"][:2, :6])  # 前两条评论的前 6 个特征
    first, *others = features.values()
    difference = max(float((other - first).abs().max()) for other in others)
    # 不是 0：浮点数加法换了先后，最后几位会不同
    print(f"{'三' if sentences.packs else '两'}种算法的特征最大相差 {difference:.1e}\n")

    # 2. 全部验证集：第一次真的算一遍，存在硬盘上；再运行一次这个脚本，就是直接读
    cached_features(sentences, texts, "validation")

    # 3. 第二次：从硬盘读
    started = time.perf_counter()
    saved = cached_features(sentences, texts, "validation")
    print(f"第二次再取：{time.perf_counter() - started:.2f} 秒")

    # 4. 算好的特征也是一个 Dataset：第 i 条是 (特征, 标签)，train.py 一批一批地取它，不再碰 BERT
    vector, label = FeatureDataset(saved, dataset.labels)[0]
    print(f"第 0 条：特征 {tuple(vector.shape)}，标签 {label.item()}")

    # 小结：冻结 + 评估模式 → 特征不变 → 只算一次
    # 练习：把 BATCH_SIZE 改成 1 和 32，三种算法的秒数怎么变？加上 --int8，最大相差变成多少？
    # 动手：python exercises/check.py demo02/06


if __name__ == "__main__":
    run(main)
