"""选学  新的词，LoRA：往字典里加词；只学插进去的一小块，学完并回去

教什么：两件常一起出现的事。一、字典里没有的词：tokenizer.add_tokens 加进去，词向量表也要跟着加长，
不然 IndexError；新的一行没有学过，拿什么起头要紧。二、LoRA（Hu 等 2021，arXiv:2106.09685）：原来的
权重 W 不动，旁边加一条窄路 B·A，只学 A 和 B；学完把 B·A 加进 W，又是普通的 BertModel。先自己写，再
和现成的包 peft 对一对。题目是 extra_many_classes 的十类：两到四个字，CPU 上也微调得动。

怎么运行：python demo02_sentiment/extra_lora.py              四十秒上下
          python demo02_sentiment/extra_lora.py --seeds 5    第 5 步各学五次，平均 ± 标准差

会看到：
    ── 1. 新的词：现在被切成几块
    绝绝子 → 绝 绝 子
    ── 2. add_tokens：字典长了，词向量表没有长
    加了 2 个，字典 21128 → 21130；词向量表 21128 行
    IndexError: index out of range in self
    ── 3. resize_token_embeddings：新的一行拿什么起头
    相似度 0.685  随机
    相似度 0.760  全部词的平均（默认）
    相似度 0.906  它那几块的平均
    相似度 0.776  两个词删掉，不加
    ── 4. LoRA：W 不动，旁边学一条窄路
    刚插进去，特征和原来的一样：True
    每层换两个，一共多了 32,768 个数
    ── 5. 三种学法，同样的循环
    要学     2,570 个数  … 秒  验证精度 % …  冻结
    要学    35,338 个数  … 秒  验证精度 % …  LoRA
    要学 8,702,474 个数  … 秒  验证精度 % …  全量微调
    ── 6. 并回去：又是普通的 BertModel
    并之前、之后的 logits 一样：True
    BertModel，权重的名字和没改过的一样：True
    ── 7. 同一件事，交给 peft
    自己写的要学 32,768 个数，fc 不算

看什么：LoRA 学的数是全量微调的二百五十分之一，要存的也是（0.14 MB 对 35 MB）；时间没有省这么多，
往前算、往回传都还要走完整个 BERT。精度一个种子说不准，五个种子的在 docs/results.md。
"""

import time
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cosine_similarity, cross_entropy
from torch.optim import AdamW
from transformers import BertModel

from backstage.probe import subset
from course.cli import run, step
from course.models import find_model, load_model, load_tokenizer
from course.paths import DATA
from my_dataset import MyDataset
from net import DEVICE

MODEL = "bert-base-chinese"  # models/ 里没有它时，自动用随仓库的 tiny-bert-chinese
WORDS = DATA / "words" / "words.csv"
NEW = ["绝绝子", "yyds"]
SENTENCE, WITHOUT = "这家店绝绝子，服务yyds", "这家店，服务"
ROWS = {"train": 2000, "validation": 1000}  # 各用多少条，各类的比例和全部的一样
EPOCHS, BATCH_SIZE = 4, 64
RANK = 8  # 窄路有多窄，论文里的 r
ALPHA = 16  # 窄路的结果乘 ALPHA / RANK 再加上去：换一个 RANK，学习率不用重新找
HEAD_LR = 2e-3
LEARNING_RATES = {"冻结": 0.0, "LoRA": 1e-3, "全量微调": 5e-4}  # BERT 里面的
SEEDS = 1


class LoraLinear(nn.Module):
    """冻结的 linear，旁边加一条只有 rank 宽的路：in → rank → out"""

    def __init__(self, linear: nn.Linear, rank: int = RANK, alpha: float = ALPHA):
        super().__init__()
        self.linear, self.scale = linear.requires_grad_(False), alpha / rank
        # A 随机、B 是 0：一开始 B·A = 0，和原来的模型一个数不差；两个都是 0，梯度也是 0，学不动
        self.A = nn.Parameter(torch.randn(rank, linear.in_features) * linear.in_features**-0.5)
        self.B = nn.Parameter(torch.zeros(linear.out_features, rank))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x) + self.scale * (x @ self.A.T @ self.B.T)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """W x + s B A x = (W + s B A) x：加进 W，就是一层普通的 Linear"""
        self.linear.weight += self.scale * self.B @ self.A
        return self.linear


def swap(bert: BertModel, change: Callable) -> None:
    """每一层注意力的 query、value 各换成 change(它)；论文里只换这两个就够了"""
    for layer in bert.encoder.layer:
        attention = layer.attention.self
        attention.query, attention.value = change(attention.query), change(attention.value)


def load_bert(folder) -> BertModel:
    """不要 pooler：我们用 [CLS]，留着它，数参数时要多算一层"""
    return load_model(BertModel, folder, dtype=torch.float32, add_pooling_layer=False)


def cls(bert: BertModel, tokens: dict[str, torch.Tensor]) -> torch.Tensor:
    return bert(**tokens).last_hidden_state[:, 0]


def count(*modules: nn.Module) -> int:
    return sum(p.numel() for m in modules for p in m.parameters() if p.requires_grad)


def alike(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-4, atol=1e-4)  # fp32 换个次序加，差到 1e-5，几层就放大


def fit(bert: BertModel, fc: nn.Linear, lr: float, epochs: int, tokens: dict, labels) -> None:
    """第 5 课的循环；三种学法的差别，只在 bert 里哪些参数要学、学习率多大"""
    groups = [{"params": fc.parameters(), "lr": HEAD_LR}, {"params": bert.parameters(), "lr": lr}]
    optimizer = AdamW(groups, fused=True)  # 冻结的没有梯度，优化器跳过
    for _ in range(epochs):
        for rows in torch.randperm(len(labels)).split(BATCH_SIZE):
            logits = fc(cls(bert, {name: part[rows] for name, part in tokens.items()}))
            loss = cross_entropy(logits, labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def main(args) -> None:
    folder = find_model(args.model)
    tokenizer, bert = load_tokenizer(folder), load_bert(folder)

    step("1. 新的词：现在被切成几块")
    #    字典里没有整个的词，就拆成字、拆成碎片：意思要靠注意力再拼回来，句子也变长了
    pieces = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in NEW]
    for word, ids in zip(NEW, pieces, strict=True):
        print(f"{word} → {' '.join(tokenizer.convert_ids_to_tokens(ids))}")
    with torch.no_grad():
        before = cls(bert, tokenizer(SENTENCE, return_tensors="pt"))[0]
        dropped = cls(bert, tokenizer(WITHOUT, return_tensors="pt"))[0]

    step("2. add_tokens：字典长了，词向量表没有长")
    known = len(tokenizer)
    added = tokenizer.add_tokens(NEW)  # 字典里已经有的不算，返回真的加了几个
    new = tokenizer(SENTENCE, return_tensors="pt")
    print(f"加了 {added} 个，字典 {known} → {len(tokenizer)}；词向量表 {bert.config.vocab_size} 行")
    print(f"{SENTENCE} 的 id：{new['input_ids'][0].tolist()}")
    try:
        bert(**new)
    except IndexError as error:  # 显卡上是一句看不懂的 device-side assert
        print(f"IndexError: {error}")

    step("3. resize_token_embeddings：新的一行拿什么起头")
    #    表长了就不报错了，可是新的一行没有学过。看这一句的 [CLS] 特征和加词之前还像不像（余弦
    #    相似度，1 是同一个方向）。默认的新行是全部词的平均，等于什么也没说，和把词删掉差不多；随机
    #    的是乱说；它那几块的平均最像。要学出真的意思，还得接着训练，而且词向量那张表不能冻结
    for name in ("随机", "全部词的平均（默认）", "它那几块的平均"):
        torch.manual_seed(0)
        larger = load_bert(folder)
        larger.resize_token_embeddings(len(tokenizer), mean_resizing=name != "随机")
        with torch.no_grad():
            if name == "它那几块的平均":
                table = larger.get_input_embeddings().weight
                table[known:] = torch.stack([table[ids].mean(dim=0) for ids in pieces])
            print(f"相似度 {cosine_similarity(before, cls(larger, new)[0], dim=0):.3f}  {name}")
    print(f"相似度 {cosine_similarity(before, dropped, dim=0):.3f}  两个词删掉，不加")

    step("4. LoRA：W 不动，旁边学一条窄路")
    #    256 × 256 的 W 有 65,536 个数，A 和 B 合起来只有 2 × 8 × 256 = 4,096 个
    tokenizer, parts = load_tokenizer(folder), []
    for split, size in ROWS.items():
        data = MyDataset(split, WORDS)
        rows = subset(np.array(data.labels), size, 0)
        tokens = tokenizer([data.texts[i] for i in rows], padding=True, return_tensors="pt")
        parts.append((dict(tokens.to(DEVICE)), torch.tensor(data.labels)[rows].to(DEVICE)))
    (learned, (asked, answers)), classes = parts, len(data.label_names)
    with torch.no_grad():
        plain = cls(bert.requires_grad_(False).to(DEVICE), asked)
        swap(bert, LoraLinear)
        print(f"刚插进去，特征和原来的一样：{torch.equal(cls(bert.to(DEVICE), asked), plain)}")
    print(f"每层换两个，一共多了 {count(bert):,} 个数")
    if DEVICE.type == "cpu":
        torch.set_num_threads(1)  # 一条才几个 token：几个线程互相等，比算的时间还长

    step("5. 三种学法，同样的循环")
    #    学习率各找各的，找的时候从训练集另切了 1,000 个词来考，验证集没有看
    #    冻结的也每轮走一遍 BERT，用时才比得了；第 6 课只算一遍，快得多
    models = {}
    for name, lr in LEARNING_RATES.items():
        scores, started = [], time.perf_counter()
        for seed in range(args.seeds):  # fc 和 A 的初值、打乱的次序
            torch.manual_seed(seed)
            bert = load_bert(folder)
            bert.requires_grad_(name == "全量微调")
            if name == "LoRA":
                swap(bert, LoraLinear)
            bert, fc = bert.to(DEVICE), nn.Linear(bert.config.hidden_size, classes).to(DEVICE)
            fit(bert, fc, lr, args.epochs, *learned)
            with torch.no_grad():
                scores.append((fc(cls(bert, asked)).argmax(dim=1) == answers).float().mean().item())
        seconds = (time.perf_counter() - started) / args.seeds
        models[name] = bert, fc
        spread = f" ± {100 * np.std(scores, ddof=1):.1f}" if args.seeds > 1 else ""
        score = f"{100 * np.mean(scores):.1f}{spread}"
        print(f"要学 {count(bert, fc):>9,} 个数  {seconds:5.1f} 秒  验证精度 % {score}  {name}")

    step("6. 并回去：又是普通的 BertModel")
    #    用的时候不要那条旁路了：少两次乘法，代码也不用带着 LoraLinear。不并也行：一个大模型配许多份
    #    A、B，一份一个任务，换着用
    bert, fc = models["LoRA"]
    adapters = [m for m in bert.modules() if isinstance(m, LoraLinear)]
    with torch.no_grad():
        logits = fc(cls(bert, asked))
        swap(bert, LoraLinear.merged)
        print(f"并之前、之后的 logits 一样：{alike(fc(cls(bert, asked)), logits)}")
    same = bert.state_dict().keys() == load_bert(folder).state_dict().keys()
    print(f"{type(bert).__name__}，权重的名字和没改过的一样：{same}")

    step("7. 同一件事，交给 peft")
    print(f"自己写的要学 {count(*adapters):,} 个数，fc 不算")
    if not find_spec("peft"):
        print("没有装 peft，这一步跳过；要看就先 python -m pip install peft")
        return
    from peft import LoraConfig, get_peft_model

    settings = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=["query", "value"])
    wrapped = get_peft_model(load_bert(folder), settings).to(DEVICE)
    print(f"peft 要学 {count(wrapped):,} 个数")
    theirs = [m for m in wrapped.modules() if hasattr(m, "lora_A")]
    with torch.no_grad():
        for mine, other in zip(adapters, theirs, strict=True):
            other.lora_A["default"].weight.copy_(mine.A)
            other.lora_B["default"].weight.copy_(mine.B)
        print(f"A、B 抄过去，logits 一样：{alike(fc(cls(wrapped, asked)), logits)}")

    # 小结：新词要加长词向量表，拿旧的几块起头；LoRA 不改 W，学的少、存的少，学完可以并回去
    # 练习：RANK 改成 1 和 64，要学的数（不算 fc）差 64 倍，精度差多少？
    # 练习：B 也改成随机的，第 4 步打印什么？两个都改成 0 呢，学得动吗？


if __name__ == "__main__":
    run(main, model=MODEL, epochs=EPOCHS, seeds=SEEDS)
