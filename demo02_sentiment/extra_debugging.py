"""选学  它不学，怎么办：从看一批数据起，一项一项地查

教什么：训练的代码错了，多半不报错，只是精度停在 50 % 上下。别急着换学习率、换模型，按次序查：看一批
数据，看第一个 loss，同一批学一步，把一批背下来，再看训练、验证两条曲线。前四项每项管几行，哪一项
不对，毛病就在那几行里。最后把九种毛病一个一个放进同一个训练，看哪一项抓得住哪一种。

怎么运行：python demo02_sentiment/extra_debugging.py              不到一分钟，不用先训练
          python demo02_sentiment/extra_debugging.py --data 你的.csv

会看到：
    ── 1. 看一批：读回文字，标签在旁边
    特征：train (1200, 256)，…
      负向  [CLS]…
    一批 32 条：负向 16，正向 16
    特征 (32, 256)，平均 -0.01，标准差 0.85；各条相差 0.61
    ── 2. 第一个 loss：该在 ln(类别数) 上下
    还没学的 loss 0.7075；全靠瞎猜是 ln 2 = 0.6931
    ── 3. 同一批学一步：loss 小一点了吗
    学之前 0.7075，学了一步 0.6758，小了 4.5%
    ── 4. 背下一批：loss 到 0，精度到 100 %
    学了   1 步  loss 0.6758  精度 56.2%
    学了 300 步  loss 0.0130  精度 100.0%
    ── 5. 训练：四种曲线
    正常  loss 0.69 → 0.25，验证 0.38（最低 0.37）；训练精度 0.896，验证精度 0.841
    …
    过拟合  loss 0.75 → 0.01，验证 0.64（最低 0.41）；训练精度 1.000，验证精度 0.801
    画好 …debugging.png
    ── 6. 九种毛病一个一个放进去，哪一项抓得住
                                 第一条 几类  各条差  首loss    学一步 背一批  训练  验证
    没有毛病            …   2    0.61    0.71   -0.0316   0.01   0.90  0.84
    …
    zero_grad() 放晚了  …   2    0.61    0.71   +0.0000*  0.71*  0.57  0.54

看什么：* 是不对劲的数，从左往右第一个 * 就是最早抓住它的检查。两种毛病一个 * 也没有：标签错了位，要
有人去读才看得出；考的不是训练的那个头，要看训练和验证差了多少。
"""

from math import log
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim import AdamW

from backstage.class_tables import print_table
from backstage.probe import subset
from backstage.training import draw_losses, features_of
from course.cli import run, step
from course.models import load_tokenizer
from my_dataset import MyDataset
from net import DEVICE, Model

MODEL = "bert-base-chinese"  # models/ 里没有它时，自动用随仓库的 tiny-bert-chinese
MAX_LENGTH = 500
ROWS = 1200  # 训练、验证各最多用这么多条：查毛病用不着全部
BATCH_SIZE = 32
LEARNING_RATE = 1e-3
EPOCHS = 20
STEPS = 300  # 背一批学几步
SEED = 0
CURVES = {  # 用几条，头的中间一层多宽（0 就是一层 Linear），学习率，怎么认
    "正常": (ROWS, 0, LEARNING_RATE, "两条一起往下，慢慢变平，离得不远"),
    "步子太大": (ROWS, 0, 0.1, "训练的上下跳，验证的高过瞎猜；精度倒不低：错的错得太肯定"),
    "步子太小": (ROWS, 0, 1e-5, "两条都快是平的，学完了还在瞎猜附近"),
    "过拟合": (200, 256, LEARNING_RATE, "训练的到 0，验证的先降后升：过了最低点，都是在背题"),
}


def new_head(hidden: int, classes: int, wide: int = 0) -> nn.Module:
    """新的分类头；初值、之后打乱的顺序每次都一样，两次训练就只差故意改的那一样"""
    torch.manual_seed(SEED)
    if not wide:
        return nn.Linear(hidden, classes).to(DEVICE)
    return nn.Sequential(nn.Linear(hidden, wide), nn.ReLU(), nn.Linear(wide, classes)).to(DEVICE)


@torch.no_grad()
def score(head: nn.Module, features: torch.Tensor, labels: torch.Tensor) -> tuple[float, float]:
    """只考不学：(loss, 精度)"""
    logits = head(features)
    right = (logits.argmax(dim=1) == labels).float().mean()
    return cross_entropy(logits, labels).item(), right.item()


def learn(head: nn.Module, optimizer: AdamW, features: torch.Tensor, labels: torch.Tensor) -> None:
    """学一步，和第 5 课的一样"""
    loss = cross_entropy(head(features), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def learn_nothing(head, optimizer, features, labels) -> None:
    """同样四行，第二、三行换了位置：刚算出来的梯度，没有用就清掉了"""
    loss = cross_entropy(head(features), labels)
    loss.backward()
    optimizer.zero_grad()
    optimizer.step()


def fit(head, learned, asked, lr=LEARNING_RATE, epochs=EPOCHS, learn=learn, owner=None) -> list:
    """用 learned 学，返回一轮一行：learned 的 loss、精度，asked 的 loss、精度；第 0 行还没学

    learned、asked 是 (特征, 标签)；owner：优化器管着谁，不写就是 head，本来就该是它。
    """
    features, labels = learned
    optimizer = AdamW((owner or head).parameters(), lr)
    curve = [(*score(head, *learned), *score(head, *asked))]
    for _ in range(epochs):
        for rows in torch.randperm(len(labels)).split(BATCH_SIZE):
            learn(head, optimizer, features[rows], labels[rows])
        curve.append((*score(head, *learned), *score(head, *asked)))
    return curve


def examine(text, names, learned, asked, judged=None, **how) -> dict[str, str]:
    """表的一行：每项检查量到的数，不对劲的带 *；judged：考哪一个头，不写就是训练的那个"""
    features, labels = batch = [part[:BATCH_SIZE] for part in learned]
    sizes = features.shape[1], len(names)
    apart = features.std(dim=0).mean().item()
    memory = [row[0] for row in fit(new_head(*sizes), batch, batch, epochs=STEPS, **how)]
    head = new_head(*sizes)
    trained = fit(head, learned, asked, **how)[-1][1]

    def star(value: str, wrong: bool) -> str:
        return value + ("*" if wrong else " ")

    return {
        "第一条": f"{text[:5]} {names[labels[0]]}",
        "几类": star(f"{len(labels.unique())}", len(labels.unique()) < 2),
        "各条差": star(f"{apart:.2f}", apart < 0.01),
        "首loss": star(f"{memory[0]:.2f}", memory[0] > 1.5 * log(len(names))),
        "学一步": star(f"{memory[1] - memory[0]:+.4f}", memory[0] - memory[1] < 0.001),
        "背一批": star(f"{memory[-1]:.2f}", memory[-1] > 0.1),
        "训练": f"{trained:.2f}",
        "验证": f"{score(judged or head, *asked)[1]:.2f}",
    }


def main(args) -> None:
    step("1. 看一批：读回文字，标签在旁边")
    #    数据错了，后面几项照样可能通过，所以先看。从要喂进去的 id 读回来：像不像话？
    #    标签对不对（多读几条）？该有的类都有吗？特征一条和一条不一样吗？个别 [UNK] 是正常的，字典
    #    里没有大写的英文
    parts = MyDataset("train", args.data), MyDataset("validation", args.data)
    for part in parts:
        rows = subset(np.array(part.labels), ROWS, SEED)  # 各类的比例和全部的一样
        part.texts, part.labels = [part.texts[i] for i in rows], [part.labels[i] for i in rows]
    texts, names = parts[0].texts, parts[0].label_names
    model = Model(args.model, len(names)).to(DEVICE)
    train, validation = ((p.features, p.labels) for p in features_of(model, args, *parts))
    batch = features, labels = [part[:BATCH_SIZE] for part in train]
    tokenizer = load_tokenizer(Path(model.encoder.name_or_path), args.max_length)
    for text, label in zip(texts[:5], labels, strict=False):
        ids = tokenizer(text, truncation=True)["input_ids"]
        print(f"  {names[label]}  {tokenizer.decode(ids).replace(' ', '')[:150]}…")
    counts = torch.bincount(labels, minlength=len(names)).tolist()
    print(f"一批 {len(labels)} 条：{'，'.join(map('{} {}'.format, names, counts))}")
    #    各条相差：每一列在各条之间的标准差，再取平均；是 0，每一条就都一样
    print(
        f"特征 {tuple(features.shape)}，平均 {features.mean():.2f}，标准差 {features.std():.2f}；"
        f"各条相差 {features.std(dim=0).mean():.2f}"
    )

    step("2. 第一个 loss：该在 ln(类别数) 上下")
    #    还没学，每一类大约都给 1 / 类别数，-ln(1 / 类别数) 就是 ln(类别数)。高出好几倍，不是学得
    #    不好，是特征的数太大、头的初值太大，或者头的类别数写错了
    sizes = features.shape[1], len(names)
    head, more = new_head(*sizes), 10 * len(names)
    first, _ = score(head, *batch)
    print(f"还没学的 loss {first:.4f}；全靠瞎猜是 ln {len(names)} = {log(len(names)):.4f}")
    print(f"特征大了 100 倍：{score(head, 100 * features, labels)[0]:.2f}")
    wrong, _ = score(new_head(sizes[0], more), *batch)
    print(f"头写成了 {more} 类：{wrong:.2f}，在 ln {more} = {log(more):.2f} 上下")

    step("3. 同一批学一步：loss 小一点了吗")
    #    一定要同一批：换一批，loss 本来就有高有低。一点没变，是梯度没有走到参数；变大，是步子太大
    learn(head, AdamW(head.parameters(), LEARNING_RATE), *batch)
    after, _ = score(head, *batch)
    print(f"学之前 {first:.4f}，学了一步 {after:.4f}，小了 {1 - after / first:.1%}")

    step("4. 背下一批：loss 到 0，精度到 100 %")
    #    几十条，几百个参数，背得下来。背题在别处是毛病，在这里是检查：背都背不下来，加数据也没有用
    if DEVICE.type == "cpu":
        torch.set_num_threads(1)  # 头很小：几个线程互相等，比算的时间还长
    memory = fit(new_head(*sizes), batch, batch, epochs=STEPS)  # 一轮就是这一批
    for n in (1, STEPS // 10, STEPS):
        print("学了 {:3} 步  loss {:.4f}  精度 {:.1%}".format(n, *memory[n]))

    step("5. 训练：四种曲线")
    #    前四项都对了，才值得训练。只看训练的那条，分不出正常和过拟合，所以每轮也算验证集的 loss
    #    后三种是故意调出来的；自己的评论少，就不一定这么典型
    curves = {}
    for name, (size, wide, lr, sign) in CURVES.items():
        curve = fit(new_head(*sizes, wide), [part[:size] for part in train], validation, lr)
        curves[name], (loss, right, asked, asked_right) = curve, curve[-1]
        print(f"{name}  loss {curve[0][0]:.2f} → {loss:.2f}，验证 {asked:.2f}", end="")
        print(f"（最低 {min(row[2] for row in curve):.2f}）；", end="")
        print(f"训练精度 {right:.3f}，验证精度 {asked_right:.3f}\n    怎么认：{sign}")
    path = args.params / "pictures" / "debugging.png"
    draw_losses(curves, log(len(names)), path)
    print(f"画好 {path}")

    step("6. 九种毛病一个一个放进去，哪一项抓得住")
    #    一行一种，别的都和"没有毛病"一样。[UNK] 的特征真的算一遍，课程自己也看出来了
    unk = tokenizer.unk_token
    for part in parts:
        part.texts = [unk * len(text) for text in part.texts]
    unread, unread_v = (part.features for part in features_of(model, args, *parts))
    (x, y), (v, w) = train, validation
    same, same_v = x[:1].expand_as(x), x[:1].expand_as(v)  # 像是取了第 0 层的 [CLS]，没看过上下文
    mixed = y[torch.randperm(len(y), generator=torch.Generator().manual_seed(1))]  # 1：头一条就错
    usual = {"text": texts[0], "names": names, "learned": train, "asked": validation}
    bugs = {
        "没有毛病": {},
        "文字全成了 [UNK]": {"learned": (unread, y), "asked": (unread_v, w), "text": unk},
        "每条取的都一样": {"learned": (same, y), "asked": (same_v, w)},
        "标签全成了一类": {"learned": (x, 0 * y), "asked": (v, 0 * w)},
        "标签没跟着打乱": {"learned": (x, mixed)},
        "特征大了 100 倍": {"learned": (100 * x, y), "asked": (100 * v, w)},
        "优化器管着别的头": {"owner": new_head(*sizes)},
        "zero_grad() 放晚了": {"learn": learn_nothing},
        "学习率 1e-7": {"lr": 1e-7},
        "考的是没训练的头": {"judged": new_head(*sizes)},
    }
    print_table(pd.DataFrame({bug: examine(**usual | change) for bug, change in bugs.items()}).T)
    print("* 不对劲。第一条要自己读：像不像话，标签对不对")

    # 小结：便宜的先查；数据自己读，代码用"背下一批"查，步子和过拟合看两条曲线
    # 练习：在 bugs 里加一种你犯过的毛病，先猜哪一栏会带 *，再运行
    # 动手：python exercises/check.py demo02/extra_debugging


if __name__ == "__main__":
    then = "docs/13-debugging.md exercises/check.py demo02/extra_debugging"
    run(main, "data", "params", model=MODEL, max_length=MAX_LENGTH, int8=False, then=then)
