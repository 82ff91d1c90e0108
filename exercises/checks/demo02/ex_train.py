"""判题  第二个 demo 的第 5 课：一步一步和真的训练比"""

import copy
from itertools import pairwise

import torch
from judging import Wrong, ask, compare, exercise
from torch import nn

from course.models import load_tokenizer
from course.paths import MODELS

TOKENIZER = load_tokenizer(MODELS / "tiny-bert-chinese")


@exercise(
    "collate",
    "凑一批",
    "tokenizer(评论的列表, truncation=True, max_length=…, padding=True, return_tensors='pt')",
)
def check_collate(collate):
    long, short = "黄河入海流，欲穷千里目，更上一层楼", "好"
    for batch, limit in (([(short, 1), ("很干净", 0)], 50), ([(long, 1), (short, 1)], 8)):
        texts, labels = [t for t, _ in batch], torch.tensor([n for _, n in batch])

        def encode(texts=texts, limit=limit, **changed) -> tuple:
            settings = {"truncation": True, "padding": True, "max_length": limit} | changed
            out = TOKENIZER(texts, return_tensors="pt", **settings)
            return out["input_ids"], out["attention_mask"]

        ids, mask = encode()
        lists = ids.tolist(), mask.tolist(), labels.tolist()
        ask(
            collate,
            *(list(batch), TOKENIZER, limit),
            want=(ids, mask, labels),
            usual=[
                ((*encode(padding="max_length"), labels), "补到了 max_length；补到最长的一条就够"),
                (
                    (*encode(truncation=False, max_length=None), labels),
                    "太长的没有截断：truncation=True",
                ),
                ((ids, mask, labels.float()), "标签要整数：CrossEntropyLoss 要的是类别的编号"),
                ((ids, mask, labels.tolist()), "标签也要变成张量：torch.tensor(标签的列表)"),
                (lists, "要张量：return_tensors='pt'"),
                ((ids, mask, labels[:, None]), "labels 的形状是 (批,)，不是 (批, 1)"),
                ((ids, labels), "漏了 attention_mask：没有它，补的位置也被看了"),
            ],
            errors={ValueError: "长短不一的句子变不成一个张量：padding=True"},
            shown=f"collate({batch}, tokenizer, {limit})",
        )


def one_step(
    model: nn.Linear,
    optimizer: torch.optim.Optimizer,
    inputs: torch.Tensor,
    labels: torch.Tensor,
    mistake: str = "",
) -> float:
    """一步训练；mistake 是故意犯的错"""
    loss_fn = nn.CrossEntropyLoss()
    out = model(inputs)
    loss = loss_fn(out.softmax(1) if mistake == "softmax" else out, labels)
    if mistake != "keep":
        optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


MISTAKES = {
    "softmax": "CrossEntropyLoss 前面又做了一次 softmax：它自带 softmax，把 logits 原样给它",
    "keep": "没有 zero_grad()：上一批的梯度还在，累加到这一批上了",
}


@exercise(
    "training_step",
    "学一步",
    "五行：loss = …；optimizer.zero_grad()；loss.backward()；optimizer.step()；return loss.item()",
)
def check_training_step(training_step):
    torch.manual_seed(0)
    start = nn.Linear(4, 3)
    batches = [(torch.randn(6, 4), torch.randint(0, 3, (6,))) for _ in range(3)]

    def learn(step) -> tuple[list, nn.Linear]:
        model = copy.deepcopy(start)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        return [step(model, optimizer, *batch) for batch in batches], model

    wants, want = learn(one_step)
    losses, model = learn(lambda m, o, x, y: training_step(m, nn.CrossEntropyLoss(), o, x, y))
    if any(isinstance(loss, torch.Tensor) for loss in losses):
        raise Wrong("返回的 loss 还是张量\n多半是：要 loss.item()，不然整张计算图都留在内存里")
    if torch.allclose(model.weight, want.weight, atol=1e-6):
        compare("连学三批，每批返回的 loss", losses, wants)
        return
    for mistake, why in MISTAKES.items():
        _, other = learn(lambda *a, mistake=mistake: one_step(*a, mistake))
        if torch.allclose(model.weight, other.weight, atol=1e-6):
            raise Wrong(f"连学三批之后，参数和正确的不一样\n多半是：{why}")
    why = "几行的顺序不对，或者用的不是传进来的 loss_fn 和 optimizer"
    if torch.equal(model.weight, start.weight):
        why = "没有 loss.backward()，或者在它之后才 zero_grad()，把刚算出来的梯度清掉了"
        if model.weight.grad is not None:
            why = "梯度算了，没有 optimizer.step()"
        why = f"参数一点也没有动：{why}"
    raise Wrong(f"连学三批之后，参数和正确的不一样\n多半是：{why}")


@exercise("accuracy", "精度", "logits.argmax(dim=1) 是每句的答案；和 labels 比，相同的占几成")
def check_accuracy(accuracy):
    for logits, labels in (
        (torch.tensor([[2.0, 1.0], [0.1, 0.9], [3.0, -1.0], [0.2, 0.3]]), [0, 1, 1, 1]),
        (torch.tensor([[0.1, 0.7, 0.2], [5.0, 4.0, 4.5]]), [1, 2]),
        (torch.tensor([[-3.0, -1.0]]), [1]),
    ):
        target = torch.tensor(labels)
        right = logits.argmax(1) == target
        share = right.double().mean().item()
        largest = (logits.max(1).values == target).double().mean().item()
        ask(
            accuracy,
            *(logits, target),
            want=share,
            usual=[
                (int(right.sum()), "这是答对了几条，还要除以总条数"),
                (share * 100, "要 0 到 1 的小数，不是百分数"),
                (largest, "拿分数自己和标签比了：argmax 才是第几类"),
                (right.double().mean(), "还是张量，.item() 取成 Python 的小数"),
                (right.float().mean(), "还是张量，.item() 取成 Python 的小数"),
                (right.sum().item() / logits.numel(), "除以的是条数，不是条数乘类别数"),
            ],
            errors={RuntimeError: "形状对不上：先 argmax(dim=1)，(N, 类别数) 变成 (N,)"},
            shown=f"accuracy({logits.tolist()}, {labels})",
        )


@exercise("should_stop", "什么时候停", "先找最好的一轮是第几轮（并列取最早的），再看它之后过了几轮")
def check_should_stop(should_stop):
    cases = [
        ([0.8], 1),
        ([0.8, 0.7], 1),
        ([0.8, 0.8, 0.8], 2),
        ([0.8, 0.7, 0.75, 0.76], 3),
        ([0.8, 0.7, 0.75, 0.76], 4),
        ([0.5, 0.9, 0.6, 0.7], 3),
        ([0.5, 0.6, 0.7, 0.8], 2),
        ([0.9, 0.1, 0.1, 0.1, 0.1], 0),
        ([0.9, 0.5, 0.91], 2),
        ([0.7, 0.8, 0.8], 2),
    ]
    # 常见的错规则：since 是最好的一轮之后过了几轮
    rules = {
        "打平不算超过：并列时，最好的是最早的一轮": lambda h, p: 0 < p <= h[::-1].index(max(h)),
        "多等了一轮：正好 patience 轮没有超过就停": lambda h, p: 0 < p < since(h),
        "少等了一轮：最好的那一轮自己不算": lambda h, p: 0 < p <= since(h) + 1,
        "patience 是 0 表示永不提前停": lambda h, p: p <= since(h),
        "要和之前最好的比，不是和上一轮比": lambda h, p: (
            0 < p < len(h) and all(b <= a for a, b in pairwise(h[-p - 1 :]))
        ),
    }
    given = [should_stop(list(history), patience) for history, patience in cases]
    usual = [why for why, rule in rules.items() if given == [rule(*case) for case in cases]]
    for (history, patience), got in zip(cases, given, strict=True):
        want = 0 < patience <= since(history)
        compare(
            f"should_stop({history}, {patience})", got, want, [(not want, why) for why in usual]
        )


def since(history: list[float]) -> int:
    """最好的一轮（并列取最早的）之后过了几轮"""
    return len(history) - 1 - history.index(max(history))
