"""第 6 课  文本分类，和 BERT 的里面是什么样

教什么：BertForSequenceClassification = BERT + 一层分类头。BERT 是预训练好的，分类头是随机的，
所以刚下载的模型给的分数没有意义，换一个随机种子就变；要让它有用，得用自己的数据训练这个头
（第二个 demo）。然后打开 BERT，看一句话怎么一站一站变成两个分数。

先读 docs/05-transformer.md：编码器、词向量这些词，那一页从头讲；注意力在
docs/12-attention.md，四个字从头算一遍。

怎么运行：python demo01_hf_basics/06_classify_text.py

会看到（用随仓库的小模型；下载了真的，字和数不同）：
    ── 1. 没有训练过的分类头
    …
    种子 0  房间很干净，服务也好，下次还来  → LABEL_0 0.495   LABEL_1 0.505
    种子 0  又脏又吵，服务太差，再也不来了  → LABEL_0 0.485   LABEL_1 0.515
    种子 1  房间很干净，服务也好，下次还来  → LABEL_0 0.488   LABEL_1 0.512
    种子 1  又脏又吵，服务太差，再也不来了  → …
    LABEL_0、LABEL_1 只是编号：哪个是好评，要训练时自己定
    ── 2. 打印模型
    BertForSequenceClassification(
      (bert): BertModel(
        (embeddings): BertEmbeddings(
    …
        (encoder): BertEncoder(
    …
                (query): Linear(in_features=256, out_features=256, bias=True)
                (key): Linear(in_features=256, out_features=256, bias=True)
                (value): Linear(in_features=256, out_features=256, bias=True)
    …
        (pooler): BertPooler(
    …
      (classifier): Linear(in_features=256, out_features=2, bias=True)
    ── 3. 参数都在哪里
    bert.embeddings    5,540,864   63.2%  字变向量：字 + 位置 + 第几句，三个向量加起来
    bert.encoder       3,159,040   36.0%  提取特征：每个字看一遍整句话，一层一层往上
    …
    一共               8,766,210
    字典 21,128 项 × 每项 256 个数 = 5,408,768
    编码器 4 层 × 每层 789,760 = 3,159,040
    分类头 256 × 2 + 2 = 514
    hidden_size = 256 = 4 个注意力头 × 每个头 64 维
    bert-base-chinese 是 12 个头 × 每个头 64 维 = 768
    ── 4. 跟着一句话走一遍
    input_ids…(1, 17)          [CLS] + 15 个 token + [SEP]
    字向量…(1, 17, 256)     每个 id 到 21,128 行的表里取一行
    …
    pooler…(1, 256)         只取第 0 个位置 [CLS]，代表整句话
    classifier…(1, 2)           两个分数（logits），softmax 之后是概率
    自己加的三个向量和模型里的一样：True
    概率 …
    训练好分类头之后，看图（每一层的注意力、特征地图）：demo02_sentiment/10_pictures.py
    下一步：python …07_local_api.py
"""

import torch
from transformers import BertForSequenceClassification, pipeline
from transformers.utils import logging

from course.cli import run, step
from course.models import find_model, load_tokenizer

MODEL = "bert-base-chinese"  # 没下载时用随仓库的 tiny-bert-chinese，结构相同，小一些
GOOD = "房间很干净，服务也好，下次还来"
BAD = "又脏又吵，服务太差，再也不来了"
SEEDS = (0, 1)  # 分类头是随机的：换一个种子就换一个头

NEXT = "demo01_hf_basics/07_local_api.py"  # 学完运行哪一个

PARTS = {  # 模型的四个部分，自下而上
    "bert.embeddings": "字变向量：字 + 位置 + 第几句，三个向量加起来",
    "bert.encoder": "提取特征：每个字看一遍整句话，一层一层往上",
    "bert.pooler": "汇总：取 [CLS] 的向量，再过一层全连接和 tanh",
    "classifier": "分类头：特征 → 每一类一个分数，没有训练过",
}


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def main(args) -> None:
    step("1. 没有训练过的分类头")
    #    没训练过的头：好评差评分不开，换一个种子答案就变，所以它什么也没说。真模型也一样，有一次它
    #    给两句话的 LABEL_0 是 0.67 和 0.75：不是"有 67% 的把握"，换一次随机数又是别的数
    #    set_verbosity_error：不打印 LOAD REPORT。那张表里 MISSING classifier.* 是说文件里没有
    #    分类头，随机造了一个；UNEXPECTED cls.* 是说文件里的完形填空层（预训练用的）用不到：都是
    #    应该的，不是出错
    #    任务名 "text-classification" 从哪来：模型的网页上写着（pipeline_tag），Hub 左边的 Tasks 里
    #    全都有；写错了，报错信息会把 pipeline 认得的名字全列出来
    folder = find_model(args.model)
    tokenizer = load_tokenizer(folder)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    for seed in SEEDS:
        torch.manual_seed(seed)
        model = BertForSequenceClassification.from_pretrained(
            folder, num_labels=2, local_files_only=True
        )
        # top_k=None 要全部类别；旧的 return_all_scores=True 现在会被悄悄忽略
        classify = pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")
        for text in (GOOD, BAD):
            scores = {row["label"]: row["score"] for row in classify(text, top_k=None)}
            pair = "  ".join(f" {label} {score:.3f}" for label, score in sorted(scores.items()))
            print(f"种子 {seed}  {text}  →{pair}")
    # 两个概率加起来是 1，所以说一个就够：比如正向的概率是 0.79，负向就是 0.21。超过门槛（一般 0.5）
    # 算正向；0.31 不是"有点正向"，是负向。要放上首页的好评宁可少几条，也不能混进差评，就把门槛调高
    print("LABEL_0、LABEL_1 只是编号：哪个是好评，要训练时自己定")

    step("2. 打印模型")
    #    从上往下读，三大块 embeddings → encoder → pooler，最后是 classifier。先只看"会看到"里的那
    #    几行，缩进是谁装着谁：encoder 里是几层 BertLayer，每层先 attention，后 intermediate、output
    #    query、key、value 是并排的三个 Linear，吃的是同一个字的同一个向量，各乘出一个新的向量：
    #      query  这个字想找什么。每个字拿它去和所有字的 key 一一相乘，得到一排分数，softmax 成比例
    #      key    这个字能被怎样找到。query 和它越像，分数越高
    #      value  这个字要给出去的内容。按上面的比例把所有字的 value 加起来，就是这个字的新向量：
    #             "很干净"就这样知道说的是"房间"
    #      每层有几个"头"，各有各的 query、key、value，有的看近，有的看远
    #    LayerNorm：把每个字的向量减去平均、除以波动，免得一层一层越加越大
    #    Dropout：训练时随机把一部分数变成 0，逼模型别只靠几个数，防止过拟合（只会背训练题）；
    #      用的时候不起作用：from_pretrained 给的就是"用"的状态（eval），要训练时再 model.train()
    #      真模型的 p 是 0.1，随仓库的小模型是 0
    #    pooler：预训练时有一道题是"两句话是不是连着的"，它为那道题把 [CLS] 再加工一层。小模型没做
    #      那道题，它的 pooler 也是随机的；第二个 demo 直接用 [CLS]，不用 pooler
    #    classifier：out_features=2 就是两类
    print(model)

    step("3. 参数都在哪里")
    #    一层 Linear(256, 2) 有 256 × 2 个权重，再加每一类一个偏置，所以分类头是 256 × 2 + 2
    config = model.config
    hidden, layers = config.hidden_size, config.num_hidden_layers
    for name, use in PARTS.items():
        number = count(model.get_submodule(name))
        print(f"{name:16}{number:>12,}  {number / count(model):6.1%}  {use}")
    print(f"一共{count(model):>24,}")
    word = model.bert.embeddings.word_embeddings.weight
    print(f"字典 {word.shape[0]:,} 项 × 每项 {word.shape[1]} 个数 = {word.numel():,}")
    one_layer = count(model.bert.encoder.layer[0])
    print(f"编码器 {layers} 层 × 每层 {one_layer:,} = {layers * one_layer:,}")
    head = f"{hidden} × {config.num_labels} + {config.num_labels}"
    print(f"分类头 {head} = {count(model.classifier)}")
    heads = config.num_attention_heads
    print(f"hidden_size = {hidden} = {heads} 个注意力头 × 每个头 {hidden // heads} 维")
    print("bert-base-chinese 是 12 个头 × 每个头 64 维 = 768")
    # 一个字为什么要几百个数：一个数只能排一条线，近义、反义、褒贬、词性各要一个方向才放得下；
    # 维数越多，能记的差别越多，也越慢。768 是做 BERT 的人试出来的折中，没有公式

    step("4. 跟着一句话走一遍")
    #    看每一站的形状：1 句话，17 个 token，每个 256 个数
    #    为什么要加位置：注意力是两两相比，和先后无关，"我打他"和"他打我"在它看来是同一堆字；
    #    给每个位置也学一个向量，加进去，字就带上了第几个的消息
    batch = tokenizer(GOOD, return_tensors="pt")
    ids = batch["input_ids"]
    embeddings = model.bert.embeddings
    with torch.inference_mode():
        words = embeddings.word_embeddings(ids)
        positions = embeddings.position_embeddings(torch.arange(ids.shape[1]))[None]
        types = embeddings.token_type_embeddings(batch["token_type_ids"])
        total = embeddings.LayerNorm(words + positions + types)
        states = model.bert(**batch, output_hidden_states=True)
        logits = model.classifier(states.pooler_output)
    for name, tensor, note in (
        ("input_ids", ids, f"[CLS] + {ids.shape[1] - 2} 个 token + [SEP]"),
        ("字向量", words, "每个 id 到 21,128 行的表里取一行"),
        ("位置向量", positions, f"第 0、1、2… 个位置各一行，最多 {config.max_position_embeddings}"),
        ("句子向量", types, "第一句还是第二句，只有两行"),
        ("三者相加", total, "再做 LayerNorm，就是编码器的输入"),
        *(
            (f"编码器第 {i} 层", state, "形状不变，意思越来越多")
            for i, state in enumerate(states.hidden_states[1:], start=1)
        ),
        ("pooler", states.pooler_output, "只取第 0 个位置 [CLS]，代表整句话"),
        ("classifier", logits, "两个分数（logits），softmax 之后是概率"),
    ):
        print(f"{name:10}\t{tuple(tensor.shape)!s:16} {note}")
    same = torch.allclose(total, states.hidden_states[0], atol=1e-5)
    print(f"自己加的三个向量和模型里的一样：{same}")
    print(f"概率 {[round(p, 3) for p in logits.softmax(-1)[0].tolist()]}")

    print("训练好分类头之后，看图（每一层的注意力、特征地图）：demo02_sentiment/10_pictures.py")

    # 小结：BERT 负责看懂，分类头负责下结论；头没训练，结论就是瞎猜
    # 练习：把 num_labels 改成 10，分类头变成多少个参数？每一类的分数大约是多少？
    # 练习：SEEDS 改成 range(10)：有没有哪个种子正好把好评差评分对了？它是学会了，还是碰巧？
    # 动手：python exercises/check.py demo01/06


if __name__ == "__main__":
    run(main, model=MODEL, then=NEXT)
