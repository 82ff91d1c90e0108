"""选学  评论太长怎么办：截断、取头和尾、切成几段、换一张大表

教什么：BERT 的位置向量（docs/05-transformer.md）只有 512 行，第 513 个 token 没有位置可用，所以平常
都截断，后面的不读了。后面要紧怎么办？四种办法放在一起量：只读开头；开头加结尾（Sun 等 2019，
arXiv:1905.05583）；切成几段，[CLS] 特征照每段的 token 数加权平均；换一张大的位置表。最后一种最容易
写错：BertModel(config) 得到的是一个权重随机的 BERT，预训练悄悄没有了。BERT 都是冻结的，后面的分类头
都是逻辑回归，和第 12 课的一样。

怎么运行：python demo02_sentiment/extra_long_text.py             第一次要算几分钟特征，之后半分钟
          python demo02_sentiment/extra_long_text.py --seed 1    随机的 BERT 换一个种子

会看到：
    ── 1. 有多少条真的太长
                       64    128    256    512  超过这么多个 token 的
    train 9600 条     4312   2134    222     44
    validation 1200 条    517    268     30      9
    只用超过 64 的：训练 2000 条，验证 517 条
    ── 2. 不截断会怎样
    600 个 token：RuntimeError: The expanded size of the tensor (600) must match the existing …
    截断到 64：这些长评论的 token，57% 没有人读
    ── 3. 截断、取头尾、分段：都是切文字
    第一条长评论，110 个 token：
      开头  你们买的质量好吗？…下，共10个碟，竞
    …
    ── 4. 换一张大表：错的写法和对的写法
    BertModel(config)  71 个权重里和预训练一样的 1 个；短句的特征和原来的余弦相似度 0.002
    longer             71 个权重里和预训练一样的 70 个；短句的特征和原来的余弦相似度 1.000
    ── 5. 同一批长评论，各种读法
    特征：开头 (2517, 256)，…
    …
     token  精度 %（95 % 区间）  比开头
            57.4 [53.2, 61.7]   -26.1 [-31.1, -20.9]   全猜一类
            86.1 [83.0, 89.0]   +2.5 [-0.6, +5.6]      TF-IDF，读全文
        64  83.6 [80.1, 86.7]                          开头
        64  79.3 [75.8, 82.8]   -4.3 [-7.9, -0.6]      结尾
        64  82.6 [79.3, 85.9]   -1.0 [-4.4, +2.5]      开头加结尾
       150  86.5 [83.6, 89.4]   +2.9 [+0.6, +5.4]      分段取平均
       145  86.7 [83.8, 89.6]   +3.1 [+0.8, +5.6]      大表：64 行抄成 1024 行
       145  77.6 [73.7, 81.2]   -6.0 [-9.9, -1.9]      大表：BertModel(config)
       143  86.8 [83.9, 89.7]   +3.3 [+1.0, +5.8]      不假装：原来的 512 行

看什么：先看 TF-IDF 读全文的那一行：不用 BERT，也没有长度的上限。再看"比开头"的区间有没有跨过 0，
跨过了就分不出高下；多读一倍多的 token 值不值。错的大表和对的读得一样多，在几种 BERT 里考得最低，
一句错也不报。
"""

import copy

import numpy as np
import torch
from sklearn.dummy import DummyClassifier
from transformers import BertModel

from backstage.probe import linear_head
from course.baseline import tfidf_baseline
from course.cli import run, step
from course.encoder import SentenceEncoder
from course.features import cached_features
from course.models import find_model, load_model, load_tokenizer
from my_dataset import MyDataset
from net import DEVICE

MODEL = "bert-base-chinese"  # models/ 里没有它时，自动用随仓库的 tiny-bert-chinese
MAX_LENGTH = 64  # 假装 BERT 最多读这么多个 token，[CLS]、[SEP] 也算；为什么是假装，见第 1 步
HEAD = 0.25  # 取头和尾时，头占几成；Sun 等在英文影评上用的是 128 + 382，也是这个比例
BIGGER = 1024  # 大表有几行
ROWS = 2000  # 最多用多少条长的训练评论
FEWEST = 20  # 长评论少于这么多就不量了
DRAWS = 2000  # 区间：验证评论有放回地重抽几次
SEED = 0  # 随机的 BERT 用的
POSITIONS = "embeddings.position_embeddings.weight"


def spans(tokenizer, text: str) -> list[tuple[int, int]]:
    """每个 token 是 text 的第几个字到第几个字；不截断，不加 [CLS]、[SEP]"""
    found = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    return found["offset_mapping"]


def cut(text: str, part: list[tuple[int, int]]) -> str:
    """part 是连着的几个 token 的位置，切出它们那一段文字"""
    return text[part[0][0] : part[-1][1]] if part else ""


def longer(bert: BertModel, limit: int, rows: int) -> BertModel:
    """位置表换成 rows 行：头 limit 行照旧，后面的从头抄起；别的权重原样搬过去"""
    config = copy.deepcopy(bert.config)
    config.max_position_embeddings = rows
    state = bert.state_dict()
    state[POSITIONS] = state[POSITIONS][torch.arange(rows) % limit]
    model = BertModel(config)
    model.load_state_dict(state)  # 少一个、多一个、形状不对都会报错，不会悄悄用随机的
    return model.eval()


def interval(values: np.ndarray, sign: str = "") -> str:
    """values (N,) 的平均和 95 % 区间，单位是百分点；sign 写 "+"，正数也带符号

    换一批评论，平均会变多少？没有第二批，就从手里这批有放回地抽 N 条，有的抽到两次，有的没有抽到；
    抽几千次，平均上下多少，就当作换一批会上下多少。种子固定，各行抽到的评论就一样。
    """
    draws = np.random.default_rng(0).integers(0, len(values), (DRAWS, len(values)))
    low, high = np.percentile(values[draws].mean(axis=1), [2.5, 97.5])
    mean, low, high = (f"{100 * value:{sign}.1f}" for value in (values.mean(), low, high))
    return f"{mean} [{low}, {high}]"


def main(args) -> int | None:
    limit, room = args.max_length, args.max_length - 2  # 减去 [CLS]、[SEP]
    folder = find_model(args.model)
    tokenizer = load_tokenizer(folder, limit)
    bert = load_model(BertModel, folder, dtype=torch.float32)
    whole = bert.config.max_position_embeddings

    step("1. 有多少条真的太长")
    #    评论多半不到 200 个字：验证集里真的超过 512 个 token 的只有 9 条，错一条就差 11 个点，什么
    #    也量不出来。所以假装上限是 64：长的有五百多条，而且 BERT 其实读得完，读完能考几分也知道
    texts, labels = [], []
    print(" " * 14 + "".join(f"{n:>7}" for n in (64, 128, 256, 512)) + "  超过这么多个 token 的")
    for split, most in (("train", ROWS), ("validation", None)):
        data = MyDataset(split, args.data)
        places = [spans(tokenizer, text) for text in data.texts]
        sizes = np.array([len(part) for part in places]) + 2
        over = "".join(f"{(sizes > n).sum():>7}" for n in (64, 128, 256, 512))
        print(f"{split} {len(data)} 条".ljust(14) + over)
        rows = np.flatnonzero(sizes > limit)[:most]
        texts.append([(data.texts[i], places[i]) for i in rows])
        labels.append(np.array(data.labels)[rows])
    learned, asked = map(len, texts)
    both = [*texts[0], *texts[1]]
    print(f"只用超过 {limit} 的：训练 {learned} 条，验证 {asked} 条")
    if min(learned, asked) < FEWEST or len(set(labels[0])) < 2:
        print(f"太少了，量不出什么；--max-length 写小一点，比如 {max(8, limit // 2)}")
        return 1

    step("2. 不截断会怎样")
    #    第 513 个 token 没有位置向量可加。平常不报错，是因为 truncation=True 悄悄截掉了后面的
    try:
        bert(torch.full((1, whole + 88), tokenizer.unk_token_id))
    except RuntimeError as error:
        print(f"{whole + 88} 个 token：RuntimeError: {error}")
    lost = 1 - room * len(both) / sum(len(part) for _, part in both)
    print(f"截断到 {limit}：这些长评论的 token，{lost:.0%} 没有人读")

    step("3. 截断、取头尾、分段：都是切文字")
    #    分词器知道每个 token 是原文的第几个字到第几个字（offset_mapping），照着切，切出来的还是文字
    #    直接要 id 的话，tokenizer(…, return_overflowing_tokens=True) 一次就切成几段
    head = round(HEAD * room)
    ways = {
        "开头": [[cut(text, part[:room])] for text, part in both],
        "结尾": [[cut(text, part[-room:])] for text, part in both],
        "开头加结尾": [
            [cut(text, part[:head]) + cut(text, part[head - room :])] for text, part in both
        ],
        "分段取平均": [
            [cut(text, part[i : i + room]) for i in range(0, len(part), room)]
            for text, part in both
        ],
    }
    print(f"第一条长评论，{len(both[0][1])} 个 token：")
    for name, pieces in ways.items():
        shown = " | ".join(f"{piece[:9]}…{piece[-9:]}" for piece in pieces[0])
        print(f"  {name}  {shown}")

    step("4. 换一张大表：错的写法和对的写法")
    #    只改 config，BertModel(config) 建的是新模型：大小对了，权重都是新的、随机的，也不报错
    #    （一样的那 1 个是 pooler 的偏置，本来就全是 0）
    #    from_pretrained(folder, max_position_embeddings=1024) 会报错，说形状对不上；照网上的办法加
    #    ignore_mismatched_sizes=True 就不报了，可是整张位置表，连头 512 行，都成了随机的
    #    余弦相似度：两串数的方向有多一样，1 是同一个方向，0 是不相干
    #    对的写法是 longer：权重全搬过去，只有位置表加长。假装预训练只有 64 行，所以从第 65 行抄起
    config = copy.deepcopy(bert.config)
    config.max_position_embeddings = BIGGER
    torch.manual_seed(args.seed)
    random, copied = BertModel(config).eval(), longer(bert, limit, BIGGER)
    short = tokenizer("房间很干净，服务也好，下次还来", return_tensors="pt")
    for name, model in (("BertModel(config)", random), ("longer", copied)):
        kept = sum(torch.equal(model.state_dict()[k], w) for k, w in bert.state_dict().items())
        with torch.no_grad():
            before, after = (m(**short).last_hidden_state[0, 0] for m in (bert, model))
        alike = torch.cosine_similarity(before, after, dim=0).item()
        print(f"{name:17}  {len(bert.state_dict())} 个权重里和预训练一样的 {kept} 个", end="")
        print(f"；短句的特征和原来的余弦相似度 {alike:.3f}")

    step("5. 同一批长评论，各种读法")
    #    头两行不用 BERT：全猜一类，和字的 TF-IDF（第 7 课的基线）读全文。评论长，先看这两行
    #    几段的特征照每段的 token 数加权：最后一段可能只剩几个字，不该和读满的一段一样算数
    #    表有几行就最多读几个，超过的还是截断；分段什么也不丢，只是每段多一对 [CLS]、[SEP]
    #    "比开头"是成对的：同一条评论，对 1 错 0，减去只读开头的，再求平均和区间。题难不难两边一样，
    #    减掉了，所以比两个精度的区间摆在一起看要灵
    uncut = [[text] for text, _ in both]
    plans = {name: (bert, limit, pieces) for name, pieces in ways.items()} | {
        f"大表：{limit} 行抄成 {BIGGER} 行": (copied, BIGGER, uncut),
        "大表：BertModel(config)": (random, BIGGER, uncut),
        f"不假装：原来的 {whole} 行": (bert, whole, uncut),
    }
    right = {}  # 怎么读 → (平均读几个 token, 每条验证评论对 1 错 0)
    words = [[text for text, _ in split] for split in texts]
    one_class = DummyClassifier().fit(words[0], labels[0])
    for name, model in (
        ("全猜一类", one_class),
        ("TF-IDF，读全文", tfidf_baseline(words[0], labels[0])),
    ):
        right[name] = ("", model.predict(words[1]) == labels[1])
    for name, (model, most, pieces) in plans.items():
        reader = copy.copy(tokenizer)
        reader.model_max_length = most
        sentences = SentenceEncoder(model.to(DEVICE), reader)
        flat = [piece for each in pieces for piece in each]
        vectors = cached_features(sentences, flat, name).numpy()
        sizes = np.array([len(spans(tokenizer, piece)) for piece in flat])
        features, start = [], 0
        for each in pieces:  # 只有一段的，平均就是它自己
            rows = slice(start, start + len(each))
            features.append(np.average(vectors[rows], axis=0, weights=sizes[rows]))
            start += len(each)
        fitted = linear_head().fit(features[:learned], labels[0])
        tokens = np.minimum(sizes + 2, most).sum() / len(both)
        right[name] = (f"{tokens:.0f}", fitted.predict(features[learned:]) == labels[1])
    print("\n token  精度 %（95 % 区间）  比开头")
    base = right["开头"][1].astype(float)
    for name, (tokens, hits) in right.items():
        gain = "" if name == "开头" else interval(hits - base, "+")
        print(f"{tokens:>6}  {interval(hits):20}{gain:23}{name}")

    # 小结：先数有多少条真的太长，不多就截断；多的话，先看 TF-IDF 读全文是多少，它没有长度的上限。
    #       再试分段照 token 数加权平均，不改模型，哪种 BERT 都能用；换大表要把预训练的权重搬过去，
    #       真用时是 longer(bert, 512, 1024)，换完先拿短句核对：特征应该一个数也没有变
    # 练习：HEAD 改成 0.75、0.5，头和尾怎么分好？看过了验证集再挑的，还能拿验证集的成绩去说吗？
    # 练习：longer 里抄来的新行换成随机的（torch.randn × 0.02，和表里的数差不多大；头 limit 行
    #       照旧），会掉吗？为什么？不乘 0.02 呢？


if __name__ == "__main__":
    run(main, "data", model=MODEL, max_length=MAX_LENGTH, seed=SEED)
