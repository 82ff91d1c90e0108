"""判题  第一个 demo 的第 6 课：真的造出小 BERT，数它的参数，让它走一遍"""

import copy

import torch
from judging import ask, compare, exercise, require
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, BertModel


def config(hidden: int, words: int, positions: int, labels: int = 2, types: int = 2):
    return BertConfig(
        vocab_size=words,
        hidden_size=hidden,
        max_position_embeddings=positions,
        type_vocab_size=types,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=2 * hidden,
        num_labels=labels,
    )


def size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def shown(name: str, *arguments: int, c: BertConfig) -> str:
    numbers = "".join(f"{n}, " for n in arguments)
    return (
        f"{name}({numbers}hidden_size={c.hidden_size}，vocab_size={c.vocab_size}，"
        f"max_position_embeddings={c.max_position_embeddings}，num_labels={c.num_labels})"
    )


@exercise("linear_parameters", "一层 Linear 的参数", "权重是一张 outputs × inputs 的表，还有偏置")
def check_linear_parameters(linear_parameters):
    for inputs, outputs in ((768, 2), (256, 10), (3, 5), (1, 1)):
        ask(
            linear_parameters,
            *(inputs, outputs),
            want=size(nn.Linear(inputs, outputs)),
            usual=[
                (inputs * outputs, "漏了偏置：每个输出还要加一个数"),
                (inputs * outputs + inputs, "偏置是每个输出一个，不是每个输入一个"),
                (inputs * outputs + 1, "偏置不止一个：每个输出各有一个"),
                (inputs + outputs, "权重是一张表，行数乘列数"),
            ],
        )


@exercise("embedding_parameters", "embeddings 的参数", "三张表，加上 LayerNorm 的两个向量")
def check_embedding_parameters(embedding_parameters):
    for c in (config(16, 100, 32), config(8, 21, 512, types=1), config(32, 50, 50, types=4)):
        want = size(BertModel(c).embeddings)
        hidden = c.hidden_size
        ask(
            embedding_parameters,
            c,
            want=want,
            usual=[
                (c.vocab_size * hidden, "只数了字的那张表"),
                (want - 2 * hidden, "漏了 LayerNorm：它有一个放大的向量和一个平移的向量"),
                (want - hidden, "LayerNorm 有两个向量，少数了一个"),
                (want - c.type_vocab_size * hidden, "漏了第几句的那张表"),
                (
                    (c.vocab_size + c.max_position_embeddings) * hidden,
                    "漏了第几句的那张表和 LayerNorm",
                ),
            ],
            shown=shown("embedding_parameters", c=c),
        )


@exercise("shapes", "每一站的形状", "input_ids 是一张整数的表；pooler 只取第 0 个位置 [CLS]")
def check_shapes(shapes):
    for n, length, c in ((2, 10, config(16, 100, 32)), (5, 3, config(8, 50, 16, labels=10))):
        model = BertForSequenceClassification(c).eval()
        ids = torch.ones(n, length, dtype=torch.long)
        with torch.inference_mode():
            out = model.bert(ids)
            logits = model(ids).logits
        want = {
            "input_ids": tuple(ids.shape),
            "last_hidden_state": tuple(out.last_hidden_state.shape),
            "pooler_output": tuple(out.pooler_output.shape),
            "logits": tuple(logits.shape),
        }
        hidden, labels = c.hidden_size, c.num_labels
        ask(
            shapes,
            *(n, length, c),
            want=want,
            usual=[
                (
                    want | {"input_ids": (n, length, hidden)},
                    "还不是向量：一个 token 一个整数",
                ),
                (want | {"logits": (n, length, labels)}, "一句话一组分数，不是一个 token 一组"),
                (want | {"pooler_output": (n, length, hidden)}, "pooler 只取 [CLS] 一个位置"),
                (want | {"logits": (n, 2)}, "类别数看 config.num_labels，不一定是 2"),
                (want | {"last_hidden_state": (n, hidden)}, "编码器给每个 token 都算一个向量"),
            ],
            shown=shown("shapes", n, length, c=c),
        )


@exercise(
    "make_classifier",
    "换成十类",
    "先改 config 的 num_labels 和 id2label，再 BertForSequenceClassification(config)",
)
def check_make_classifier(make_classifier):
    for names in ([f"第{i}类" for i in range(10)], ["差", "中", "好"]):
        base = config(16, 100, 32)
        model = make_classifier(copy.deepcopy(base), list(names))
        call = f"make_classifier(config, {len(names)} 个名字)"
        require(
            isinstance(model, BertForSequenceClassification),
            f"{call} 要返回 BertForSequenceClassification，得到的是 {type(model).__name__}",
        )
        head = model.classifier
        compare(
            f"{call} 的分类头",
            (head.in_features, head.out_features),
            (base.hidden_size, len(names)),
            [((base.hidden_size, 2), "还是两类：造模型之前，先改 config.num_labels")],
        )
        why = "只换了 model.classifier，config 还是老样子：存下来再读，又变回两类"
        compare(f"{call} 的 config.num_labels", model.config.num_labels, len(names), [(2, why)])
        default = {i: f"LABEL_{i}" for i in range(len(names))}
        compare(
            f"{call} 的 config.id2label",
            dict(model.config.id2label),
            dict(enumerate(names)),
            [(default, "名字没有写进去：config.id2label = {0: 名字, 1: 名字, …}")],
        )
        with torch.inference_mode():
            logits = model(torch.ones(1, 4, dtype=torch.long)).logits
        compare(f"{call} 给出的 logits 的形状", tuple(logits.shape), (1, len(names)))
