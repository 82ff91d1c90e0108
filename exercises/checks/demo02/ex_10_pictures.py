"""判题  第二个 demo 的第 10 课"""

import numpy as np
import torch
from judging import ask, exercise
from sklearn.metrics import confusion_matrix, recall_score
from transformers import BertConfig, BertModel


@exercise(
    "ece",
    "校准误差",
    "第几档：min(int(把握 * bins), bins - 1)；每档的相差乘条数，加起来再除以总条数",
)
def check_ece(ece):
    random = np.random.default_rng(0)
    many = random.uniform(0.5, 1.0, 60).round(3)
    for confidence, right, bins in (
        ([0.95, 0.95, 0.95, 0.95], [True, True, True, False], 10),
        ([0.55, 0.95, 0.92, 0.91, 0.98], [True, False, True, True, True], 10),
        ([1.0, 0.6], [True, False], 5),
        (many.tolist(), (random.random(60) < many - 0.1).tolist(), 10),
    ):
        sure, hit = np.array(confidence), np.array(right, float)
        which = np.minimum((sure * bins).astype(int), bins - 1)
        used = [which == b for b in range(bins) if (which == b).any()]
        gaps = np.array([sure[rows].mean() - hit[rows].mean() for rows in used])
        weights = np.array([rows.mean() for rows in used])
        ask(
            ece,
            *(confidence, right, bins),
            want=float((weights * abs(gaps)).sum()),
            usual=[
                (float(abs(gaps).mean()), "每一档要按条数加权：只有一条的档不该和一百条的一样重"),
                (float(abs(gaps).sum() / bins), "空的档也算进去平均了；要按条数加权"),
                (float((weights * gaps).sum()), "没有取绝对值：高估和低估互相抵消了"),
                (
                    float(abs(sure.mean() - hit.mean())),
                    "没有分档：总的对上了，不等于每一档都对",
                ),
                (float(abs(sure - hit).mean()), "没有分档：一条一条地比，对的也算有误差"),
                (float((weights * abs(gaps)).sum()) * len(sure), "最后要除以总条数"),
            ],
            errors={
                IndexError: "把握是 1.0 时，1.0 * bins 超出了最后一档：min(…, bins - 1)",
                ZeroDivisionError: "空的档不能算平均，跳过它",
            },
        )


@exercise("recalls", "每一类的 recall", "第 i 类：对角线上的 row[i] 除以这一行的和")
def check_recalls(recalls):
    for labels, predicted, classes in (
        ([0, 0, 0, 1, 1], [0, 1, 0, 1, 1], 2),
        ([0, 1, 2, 2, 1, 0, 0], [2, 1, 2, 2, 0, 0, 1], 3),
        ([0, 0, 2], [0, 1, 2], 3),
    ):
        table = confusion_matrix(labels, predicted, labels=range(classes))
        want = recall_score(
            labels, predicted, labels=range(classes), average=None, zero_division=0
        ).tolist()
        diagonal = np.diag(table)
        columns = (diagonal / np.maximum(1, table.sum(0))).tolist()
        ask(
            recalls,
            table.tolist(),
            want=want,
            usual=[
                (columns, "除以了列的和：那是 precision，说是这一类的有几成真是"),
                ((diagonal / table.sum()).tolist(), "除以了总条数；要除以这一类的条数（行的和）"),
                (diagonal.tolist(), "这是条数，还要除以这一行的和"),
            ],
            errors={ZeroDivisionError: "一条也没有的类，行的和是 0：直接给 0.0"},
        )


@exercise("mean_attention", "注意力的平均", "layer[0] 去掉第一维，剩下 (头数, L, L)，再对头取平均")
def check_mean_attention(mean_attention):
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=60,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=32,
        initializer_range=0.5,
        attn_implementation="eager",  # 平时的算法不留下注意力，eager 一步一步算，才拿得到
    )
    model = BertModel(config).eval()
    for ids in ([2, 7, 9, 11, 3], [2, 8, 9, 3]):
        with torch.inference_mode():
            layers = model(torch.tensor([ids]), output_attentions=True).attentions
        for layer in layers:
            ask(
                mean_attention,
                layer,
                want=layer[0].mean(0),
                usual=[
                    (layer.mean(1), "第一维（一批里有几句）还在：先取 [0]"),
                    (layer[0], "头还没有平均"),
                    (layer[0][0], "只取了第一个头"),
                    (layer[0].mean(1), "平均错了一维：要平均的是头，不是 token"),
                    (layer[0].mean(-1), "平均错了一维：要平均的是头，不是 token"),
                    (layer[0].sum(0), "求和之后每行加起来是头数；要平均"),
                    (layer[0].mean(0).T, "转置了：第 i 行才是第 i 个 token 在看谁"),
                    (layer[0].max(0).values, "要平均，不是取最大的"),
                ],
                shown=f"mean_attention(注意力，形状 {tuple(layer.shape)})",
            )
