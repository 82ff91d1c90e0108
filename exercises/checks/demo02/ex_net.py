"""判题  第二个 demo 的第 4 课：用随机权重的小 BERT"""

import torch
from judging import Unsolved, ask, compare, exercise, require
from torch import nn
from transformers import BertConfig, BertModel


def small_bert(hidden: int = 16) -> BertModel:
    torch.manual_seed(hidden)
    return BertModel(
        BertConfig(
            vocab_size=60,
            hidden_size=hidden,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=16,
        )
    ).train()


@exercise("freeze", "冻结", "for parameter in encoder.parameters(): …；最后 encoder.eval()")
def check_freeze(freeze):
    encoder = small_bert()
    result = freeze(encoder)
    if result is ...:
        raise Unsolved
    learning = [name for name, p in encoder.named_parameters() if p.requires_grad]
    why = ""
    if len(learning) == len(list(encoder.parameters())):
        why = "只写了 encoder.eval()，或者 encoder.requires_grad = False：参数一个一个地关才有用"
        if not encoder.training and "requires_grad" not in vars(encoder):
            why = "eval() 只关 dropout，不关梯度：冻结还要 requires_grad = False"
    require(
        not learning,
        f"还有 {len(learning)} 组参数要梯度，如 {learning[:1]}\n多半是：{why or '漏了几层'}",
    )
    require(
        not encoder.training,
        "还在训练模式\n多半是：没有 encoder.eval()。dropout 还开着，同一句话每次算出来都不同",
    )
    require(result is encoder, f"要返回 encoder 自己，得到的是 {type(result).__name__}")


@exercise(
    "Classifier",
    "十类的分类器",
    "super().__init__() 在最前面；out.last_hidden_state 是 (N, 句长, hidden)，[:, 0] 是 [CLS]",
)
def check_classifier(classifier_class):
    ids = torch.tensor([[2, 7, 9, 3], [2, 5, 3, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    for hidden, labels in ((16, 10), (8, 2)):
        encoder = small_bert(hidden).eval().requires_grad_(False)
        model = classifier_class(encoder, labels)
        fc = getattr(model, "fc", None)
        require(isinstance(fc, nn.Linear), "模型里没有叫 fc 的 nn.Linear：self.fc = nn.Linear(…)")
        compare(
            f"Classifier(宽度 {hidden} 的 BERT, {labels}) 的 fc（进, 出）",
            (fc.in_features, fc.out_features),
            (hidden, labels),
            [
                ((768, labels), "768 是 bert-base 的宽度；这里的不一样，看 config.hidden_size"),
                ((hidden, 2), "类别数写死成 2 了，用 num_labels"),
                ((labels, hidden), "进和出写反了"),
            ],
        )
        out = encoder(input_ids=ids, attention_mask=mask)
        states = out.last_hidden_state
        blind = encoder(input_ids=ids).last_hidden_state
        with torch.no_grad():
            logits = fc(states[:, 0])
            usual = [
                (
                    logits.softmax(1),
                    "forward 里不要 softmax：CrossEntropyLoss 自己会做",
                ),
                (logits.log_softmax(1), "forward 里不要 log_softmax：CrossEntropyLoss 自己会做"),
                (fc(states[:, -1]), "[:, -1] 是最后一个位置，[CLS] 在第 0 个"),
                (fc(states[0]), "states[0] 是第 0 句话；要每句话的第 0 个位置：[:, 0]"),
                (fc(states), "没有取 [CLS]：每个 token 都分了一次类"),
                (fc(states.mean(1)), "取了全部位置的平均，补的位置也算进去了；取 [:, 0]"),
                (fc(out.pooler_output), "pooler_output 多过了一层；本课用 last_hidden_state[:, 0]"),
                (fc(blind[:, 0]), "attention_mask 没有交给 encoder：补的位置也被看了"),
            ]
        model.eval()
        ask(
            model.forward,
            ids,
            mask,
            want=logits,
            usual=usual,
            shown=f"model(ids, mask)，{labels} 类",
        )


@exercise("count_trained", "要学的有几个数", "p.numel() 是几个数，p.requires_grad 是要不要梯度")
def check_count_trained(count_trained):
    encoder = small_bert().requires_grad_(False)
    model = nn.ModuleDict({"encoder": encoder, "fc": nn.Linear(16, 10)})
    for frozen in (True, False):
        encoder.encoder.layer[-1].requires_grad_(not frozen)
        learning = [p for p in model.parameters() if p.requires_grad]
        total = sum(p.numel() for p in model.parameters())
        want = sum(p.numel() for p in learning)
        ask(
            count_trained,
            model,
            want=want,
            usual=[
                (total, "冻结的也数进去了：只数 requires_grad 的"),
                (total - want, "数成冻结的了"),
                (len(learning), "这是有几组参数；每组里有很多个数：numel()"),
                (sum(len(p) for p in learning), "len() 只数了行；numel() 才是一共几个数"),
                (16 * 10, "漏了偏置"),
                (16 * 10 + 10, "只数了 fc：这次 BERT 的最后一层也放开了"),
            ],
            shown=f"count_trained({'冻结' if frozen else '放开最后一层'}的模型)",
        )
