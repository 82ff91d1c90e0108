"""判题  第二个 demo 的第 11 课：权重真的装进 BertForSequenceClassification，比 logits"""

import torch
from judging import Unsolved, Wrong, ask, exercise, require, show
from transformers import BertConfig, BertForSequenceClassification

CLOSE = 1e-3
KEYS = {
    "pooler_weight": "bert.pooler.dense.weight",
    "pooler_bias": "bert.pooler.dense.bias",
    "classifier_weight": "classifier.weight",
    "classifier_bias": "classifier.bias",
}


@exercise("label_maps", "标签的名字", "dict(enumerate(names)) 是 {编号: 名字}；另一个反过来")
def check_label_maps(label_maps):
    for names in (["负向", "正向"], ["体育", "财经", "房产"]):
        forward = dict(enumerate(names))
        backward = {name: i for i, name in enumerate(names)}
        strings = {str(i): name for i, name in enumerate(names)}
        ask(
            label_maps,
            list(names),
            want={"id2label": forward, "label2id": backward},
            usual=[
                (
                    {"id2label": strings, "label2id": backward},
                    "编号要整数：存成 JSON 时键才变成文字，那是库的事",
                ),
                ({"id2label": backward, "label2id": forward}, "两个反了：id2label 是 {编号: 名字}"),
                ({"id2label": names, "label2id": backward}, "id2label 要字典，不是列表"),
                ((forward, backward), "要一个字典，键是 id2label 和 label2id"),
                (
                    {
                        "id2label": {i + 1: name for i, name in enumerate(names)},
                        "label2id": {name: i + 1 for i, name in enumerate(names)},
                    },
                    "编号从 0 开始",
                ),
            ],
        )


@exercise(
    "transparent_pooler",
    "让 pooler 等于没有",
    "取一个很小的 s：pooler_weight = s * torch.eye(hidden)，分类头的权重再除以 s，偏置不动",
)
def check_transparent_pooler(transparent_pooler):
    for labels in (2, 5):
        torch.manual_seed(labels)
        config = BertConfig(
            vocab_size=60,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            num_labels=labels,
        )
        model = BertForSequenceClassification(config).eval()
        fc = torch.nn.Linear(16, labels)
        ids = torch.tensor([[2, 7, 9, 3], [2, 5, 8, 3]])
        weight, bias = fc.weight.detach(), fc.bias.detach()
        with torch.inference_mode():
            x = model.bert(ids).last_hidden_state[:, 0]
            want = fc(x)
        given = transparent_pooler(weight.clone(), bias.clone())
        if given is ...:
            raise Unsolved
        require(
            isinstance(given, dict) and given.keys() == KEYS.keys(),
            f"要一个字典，键是 {'、'.join(KEYS)}，得到的是 {show(given)}",
        )
        state = model.state_dict()
        for name, key in KEYS.items():
            require(
                isinstance(given[name], torch.Tensor) and given[name].shape == state[key].shape,
                f"{name} 要是形状 {tuple(state[key].shape)} 的张量，得到的是 {show(given[name])}",
            )
        model.load_state_dict(state | {key: given[name] for name, key in KEYS.items()})
        with torch.inference_mode():
            got = model(ids).logits
        difference = (got - want).abs().max().item()
        if difference < CLOSE:
            continue
        pooler, classifier = given["pooler_weight"], given["classifier_weight"]
        why = "四个权重里有一个不对：照上面两行公式，一项一项地对"
        if torch.equal(pooler, torch.eye(16)):
            why = "pooler 是单位矩阵，tanh 把大的数都压到 1 以内了：乘上一个很小的 s"
        elif torch.equal(pooler, pooler[0, 0] * torch.eye(16)):
            if torch.equal(classifier, weight):
                why = "pooler 缩小了，分类头没有放大回来：fc_weight 要除以同一个 s"
            elif torch.allclose(classifier * pooler[0, 0], weight):
                why = f"s = {pooler[0, 0].item():g} 还不够小，tanh 还是弯的"
                if not torch.equal(given["classifier_bias"], bias):
                    why = "分类头的偏置不经过 pooler，不用放大"
        raise Wrong(
            f"装进标准结构之后，logits 和 fc 的最多相差 {difference:.2g}，应该不到 {CLOSE}"
            f"\nfc 的 {show(want)}\n标准结构的 {show(got)}\n多半是：{why}"
        )
