"""第 6 课  文本分类，和 BERT 的里面是什么样

教什么：BertForSequenceClassification = BERT + 一层分类头。BERT 是预训练好的，分类头是随机的，
所以刚下载的模型对什么话都答"一半一半"；要让它有用，得用自己的数据训练这个头（第二个 demo）。

怎么运行：python demo01_hf_basics/06_classify_text.py

会看到：
    种子 0  房间很干净，服务也好，下次还来  → LABEL_0 0.504   LABEL_1 0.496
    种子 0  又脏又吵，服务太差，再也不来了  → LABEL_0 0.499   LABEL_1 0.501
    种子 1  房间很干净，服务也好，下次还来  → LABEL_0 0.516   LABEL_1 0.484
    …
    bert.embeddings    5,540,864   63.2%  字变向量：字 + 位置 + 第几句，三个向量加起来
    bert.encoder       3,159,040   36.0%  提取特征：每个字看一遍整句话，一层一层往上
    …
    input_ids   (1, 17)       → 字向量 (1, 17, 256) → … → pooler (1, 256) → classifier (1, 2)
"""

import torch
from transformers import BertForSequenceClassification, pipeline
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from course.cli import Parser, run
from course.models import find_model, load_tokenizer
from course.paths import command

MODEL = "bert-base-chinese"  # 没下载时用随仓库的 tiny-bert-chinese，结构相同，小一些
GOOD = "房间很干净，服务也好，下次还来"
BAD = "又脏又吵，服务太差，再也不来了"
SEEDS = (0, 1)  # 分类头是随机的：换一个种子就换一个头

PARTS = {  # 模型的四个部分，自下而上
    "bert.embeddings": "字变向量：字 + 位置 + 第几句，三个向量加起来",
    "bert.encoder": "提取特征：每个字看一遍整句话，一层一层往上",
    "bert.pooler": "取 [CLS] 的向量，再过一层全连接和 tanh",
    "classifier": "分类头：特征 → 每一类一个分数，没有训练过",
}


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--model", default=MODEL, help=f"模型名或文件夹，默认 {MODEL}")
    folder = find_model(parser.parse_args().model)
    tokenizer = load_tokenizer(folder)
    disable_progress_bar()
    # 读模型时会打印一张 LOAD REPORT：MISSING classifier.* 是说文件里没有分类头，随机造了一个；
    # UNEXPECTED cls.* 是说文件里的完形填空层这里用不到。都是应该的，所以关掉它
    set_verbosity_error()

    # 1. 没训练过的头：好评差评都在 0.5 上下，换一个种子答案就变，所以它什么也没说
    print("没有训练过的分类头：")
    for seed in SEEDS:
        torch.manual_seed(seed)
        model = BertForSequenceClassification.from_pretrained(
            folder, num_labels=2, local_files_only=True
        )
        # top_k=None 要全部类别；旧的 return_all_scores=True 现在会被悄悄忽略
        classify = pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")
        for text in (GOOD, BAD):
            scores = {row["label"]: row["score"] for row in classify(text, top_k=None)}
            print(f"  种子 {seed}  {text}  →", end="")
            print("  ".join(f" {label} {score:.3f}" for label, score in sorted(scores.items())))
    print("  LABEL_0、LABEL_1 只是编号：哪个是好评，要训练时自己定\n")

    # 2. 打印模型，从上往下读
    print(model)

    # 3. 数一数参数都在哪里
    config = model.config
    hidden, layers = config.hidden_size, config.num_hidden_layers
    print("\n参数都在哪里：")
    for name, use in PARTS.items():
        number = count(model.get_submodule(name))
        print(f"  {name:16}{number:>12,}  {number / count(model):6.1%}  {use}")
    print(f"  一共{count(model):>24,}")
    word = model.bert.embeddings.word_embeddings.weight
    print(f"  字典 {word.shape[0]:,} 项 × 每项 {word.shape[1]} 个数 = {word.numel():,}")
    one_layer = count(model.bert.encoder.layer[0])
    print(f"  编码器 {layers} 层 × 每层 {one_layer:,} = {layers * one_layer:,}")
    head = f"{hidden} × {config.num_labels} + {config.num_labels}"
    print(f"  分类头 {head} = {count(model.classifier)}")
    heads = config.num_attention_heads
    print(f"  hidden_size = {hidden} = {heads} 个注意力头 × 每个头 {hidden // heads} 维；", end="")
    print("bert-base-chinese 是 12 × 64 = 768，这就是 768 的来历")

    # 4. 跟着一句话走一遍，看每一站的形状
    model.eval()
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
    print(f"\n跟着「{GOOD}」走一遍：")
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
        print(f"  {name:10}\t{tuple(tensor.shape)!s:16} {note}")
    same = torch.allclose(total, states.hidden_states[0], atol=1e-5)
    print(f"  自己加的三个向量和模型里的一样：{same}")
    print(f"  概率 {[round(p, 3) for p in logits.softmax(-1)[0].tolist()]}")

    print("训练好分类头之后，看图（每一层的注意力、特征地图）：", end="")
    print(command("demo02_sentiment/pictures.py"))

    # 小结：BERT 负责看懂，分类头负责下结论；头没训练，结论就是瞎猜
    # 练习：把 num_labels 改成 10，分类头变成多少个参数？每一类的分数大约是多少？


if __name__ == "__main__":
    run(main)
