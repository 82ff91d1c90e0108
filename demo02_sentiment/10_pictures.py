"""第 10 课  看图：它错在哪里，有多肯定，看见了什么

教什么：精度只是一个数，图能看出数里没有的东西。四张图：混淆矩阵、概率的分布和校准、测试评论在
特征空间里的地图、一句话每一层的注意力；再看一眼 train.py 画过的训练曲线。

怎么运行：先训练（train.py），再
    python demo02_sentiment/10_pictures.py
    python demo02_sentiment/10_pictures.py --sentence 我自己的一句话

会看到：
    ── 1. 考一次测试集
    测试集 1200 条，特征 (1200, 256)，概率 (1200, 2)
    ── 2. 混淆矩阵：错在哪一类
    混淆矩阵  …/params/pictures/confusion.png
        对角线是答对的。最常见的错：真正向，说成负向，134 条
    ── 3. 校准：它说九成把握，真对九成吗
    校准  …/params/pictures/calibration.png
        说自己有九成以上把握的 638 条，真对了 93.9%
        …
    ── 4. 特征地图：两类分得开吗
    t-SNE 要算几秒到半分钟 …
    特征地图  …/params/pictures/map.png
        …
    ── 5. 注意力：每个 token 在看谁
    注意力  …/params/pictures/attention.png
        …
    ── 6. 训练曲线
    训练曲线  …/params/curve.png
        …
    下一步：python demo02_sentiment/11_export.py …

看什么：校准图的点落在对角线下面，就是嘴上说的比实际做到的多，叫过度自信。
"""

from pathlib import Path

import matplotlib
import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics import confusion_matrix

from backstage.class_tables import reliability
from backstage.classifier import SentimentClassifier
from course.cli import run, step
from course.files import atomic_write
from course.fonts import chinese_font

matplotlib.use("Agg")  # 只存文件，不开窗口，没有显示器也能画
from matplotlib import pyplot as plt

EXAMPLE = "房间很干净，服务也好，下次还来"  # 注意力图画哪句话
MAX_TOKENS = 40  # 注意力图最多画多少个 token，再多就看不清字了
COLOURS = ["#c2571a", "#0f766e", "#4f46e5", "#a21caf", "#65a30d", "#0369a1", "#b91c1c", "#525252"]


def save(figure: plt.Figure, path: Path, title: str, notes: list[str]) -> None:
    """存图，打印它在哪里、看什么"""
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
    plt.close(figure)
    print(f"{title}  {path}")
    for note in notes:
        print(f"    {note}")


def draw_confusion(labels: np.ndarray, predicted: np.ndarray, names: list[str], path: Path):
    """混淆矩阵：行是真标签，列是模型说的；深浅是占这一行的多少，条数少的类也看得清"""
    many = len(names) > 5  # 格子小，只写条数，0 不写
    counts = confusion_matrix(labels, predicted, labels=list(range(len(names))))
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    size = min(16.0, 0.7 * len(names) + 1.5) if many else max(4.0, 1.1 * len(names) + 2)
    figure, axes = plt.subplots(figsize=(size + 0.6, size), layout="constrained")
    axes.imshow(shares, cmap="Greens", vmin=0, vmax=1)
    for (i, j), count in np.ndenumerate(counts):
        text = f"{count}" if many and count else "" if many else f"{count}\n{shares[i, j]:.1%}"
        colour = "white" if shares[i, j] > 0.6 else "black"
        axes.text(j, i, text, ha="center", va="center", color=colour)
    axes.set(xlabel="模型说的", ylabel="真标签", title=f"混淆矩阵（测试集 {len(labels)} 条）")
    axes.set_xticks(range(len(names)), names, rotation=90 if max(map(len, names)) > 4 else 0)
    axes.set_yticks(range(len(names)), names)
    wrong = counts * (1 - np.eye(len(names), dtype=int))
    i, j = np.unravel_index(wrong.argmax(), wrong.shape)
    note = f"对角线是答对的。最常见的错：真{names[i]}，说成{names[j]}，{wrong[i, j]} 条"
    save(figure, path, "混淆矩阵", [note])


def draw_calibration(probabilities: np.ndarray, labels: np.ndarray, names: list[str], path: Path):
    """左：最后一类的概率的分布，按真标签上色（多于两类时是把握的分布，对错分开）；右：校准图

    校准误差（ECE）：按把握分成十档，看每一档"平均说几成"和"真对了几成"差多少，各档按条数平均。
    """
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    right = predicted == labels
    bins, error = reliability(confidence, right)
    figure, (left, axes) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    groups = [probabilities[labels == i, -1] for i in range(len(names))]
    legend, title = names, f"模型说“{names[-1]}”的概率，按真标签分"
    if len(names) > 2:
        groups, legend, title = [confidence[~right], confidence[right]], ["错", "对"], "模型的把握"
    left.hist(groups, np.linspace(0, 1, 21), stacked=True, color=colours(legend), label=legend)
    left.set(title=title, xlabel="概率", ylabel="条数")
    left.legend()
    axes.plot([0, 1], [0, 1], color="gray", linestyle=":", label="说几成就对几成")
    sure, hit, count = (np.array(column) for column in zip(*bins, strict=True))
    axes.plot(sure, hit, color=COLOURS[1], alpha=0.5)
    axes.scatter(
        sure, hit, s=20 + 300 * count / count.max(), color=COLOURS[1], label="这一档的评论"
    )
    low = min(1 / len(names), sure.min(), hit.min()) - 0.05
    axes.set(xlim=(low, 1.02), ylim=(low, 1.02), xlabel="模型的把握", ylabel="真对的比例")
    axes.set(title=f"校准图，ECE {error:.3f}（点越大条数越多）")
    axes.legend(loc="upper left")
    axes.grid(alpha=0.3)
    sure_ones = right[confidence >= 0.9]
    hit_rate = f"，真对了 {sure_ones.mean():.1%}" if len(sure_ones) else ""
    notes = [
        f"说自己有九成以上把握的 {len(sure_ones)} 条{hit_rate}",
        f"校准误差 ECE {error:.3f}：把握和真对的比例平均相差多少，0 最好",
        "点在对角线上：说几成就对几成；在下面：过度自信；在上面：太谦虚",
    ]
    save(figure, path, "校准", notes)


def colours(names: list[str]) -> list[str]:
    usual = COLOURS if len(names) <= len(COLOURS) else plt.get_cmap("tab20").colors
    return [usual[i % len(usual)] for i in range(len(names))]


def draw_map(features: np.ndarray, labels: np.ndarray, names: list[str], path: Path):
    """[CLS] 特征 (N, hidden) 压成二维的两种办法：PCA 和 t-SNE"""
    # PCA：像给一团点找一个角度拍照，挑散得最开的两个方向，直直地照下来；方差就是散开的程度
    pca = PCA(2, random_state=0).fit(features)
    kept = pca.explained_variance_ratio_.sum()
    # t-SNE：原来挨着的，在平面上也尽量挨着，别的不管。perplexity 是每个点大约照顾几个邻居
    neighbours = min(30, (len(features) - 1) // 3)
    print("t-SNE 要算几秒到半分钟 …", flush=True)
    spread = TSNE(2, perplexity=neighbours, init="pca", random_state=0).fit_transform(features)
    figure, panels = plt.subplots(1, 2, figsize=(11, 5.2), layout="constrained")
    for axes, points, title in (
        (panels[0], pca.transform(features), f"PCA（两个方向留下 {kept:.0%} 的方差）"),
        (panels[1], spread, f"t-SNE（perplexity {neighbours}）"),
    ):
        for i, (name, colour) in enumerate(zip(names, colours(names), strict=True)):
            x, y = points[labels == i].T
            axes.scatter(x, y, s=9, alpha=0.6, color=colour, label=name)
        axes.set(title=title, xticks=[], yticks=[])
    panels[0].legend(title="真标签")
    notes = [
        "一个点是一条测试评论。不同的颜色越分得开，一层 Linear 就越容易把它们切开",
        "t-SNE 只看谁挨着谁：团的大小、团与团的距离都不说明什么（Wattenberg et al. 2016）",
        "两张图都把几百维压成了两维，图上混在一起的，在原来的维数里也许分得开",
    ]
    save(figure, path, "特征地图", notes)


def draw_attention(classifier: SentimentClassifier, sentence: str, path: Path):
    """一句话每一层的注意力，各个头取平均：第 i 行是第 i 个 token 在看谁

    每行各用各的深浅：[CLS] 看得散，一行里没有大数，和别的行共用就几乎是白的。
    """
    encoder, tokenizer = classifier.model.encoder, classifier.tokenizer
    # 平时用的 sdpa 算得快，但不留下注意力；eager 一步一步算，才拿得到
    encoder.set_attn_implementation("eager")
    batch = tokenizer(sentence, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
    with torch.inference_mode():
        layers = encoder(**batch.to(encoder.device), output_attentions=True).attentions
    tokens = tokenizer.convert_ids_to_tokens(batch["input_ids"][0].tolist())
    columns = min(4, len(layers))
    rows = -(-len(layers) // columns)
    side = max(3.0, 0.2 * len(tokens))
    size = (side * columns, side * rows + 0.4)
    figure, panels = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    for axes in panels.flat[len(layers) :]:
        axes.axis("off")
    for number, (axes, layer) in enumerate(zip(panels.flat, layers, strict=False), start=1):
        weights = layer[0].mean(dim=0).cpu().numpy()  # (头数, L, L) → (L, L)
        axes.imshow(weights / weights.max(axis=1, keepdims=True), cmap="Greens", vmin=0)
        axes.set_title(f"第 {number} 层")
        axes.set_xticks(range(len(tokens)), tokens, fontsize=8)
        axes.set_yticks(range(len(tokens)), tokens, fontsize=8)
        axes.tick_params(length=0)
        for label, token in zip(axes.get_xticklabels(), tokens, strict=True):
            label.set_rotation(90 if len(token) > 1 else 0)
    notes = [
        f"「{sentence}」：第 i 行是第 i 个 token 在看谁，一行里越深看得越多，行与行不比",
        "竖着的深条是 [CLS]、[SEP] 和标点：没有要紧的可看时就看它们（Clark et al. 2019）",
        "分类用的是 [CLS]，所以先看第一行。注意力说的是信息从哪里流过来，不等于结果的原因；",
        "哪个词推动了结果，看 09_serve.py 的网页",
    ]
    save(figure, path, "注意力", notes)


def main(args) -> None:
    folder = args.weights.parent / "pictures"
    plt.rcParams["font.family"] = [chinese_font(), "DejaVu Sans"]  # 不设，汉字就是一个个方框
    plt.rcParams["axes.unicode_minus"] = False

    step("1. 考一次测试集")
    #    和 07_evaluate.py 用的特征相同，算过就直接读
    classifier = SentimentClassifier(args.weights, args.labels)
    exam = classifier.exam("test", args.data)
    labels, names = exam.labels, classifier.labels
    print(f"测试集 {len(labels)} 条，特征 {exam.features.shape}，概率 {exam.probabilities.shape}")

    step("2. 混淆矩阵：错在哪一类")
    #    行是真标签，列是模型说的，深浅是占这一行的多少；对角线以外的都是错的
    draw_confusion(labels, exam.predicted, names, folder / "confusion.png")

    step("3. 校准：它说九成把握，真对九成吗")
    #    把评论按模型的把握分档，看每一档真对了多少；怎么算的在 draw_calibration 里
    draw_calibration(exam.probabilities, labels, names, folder / "calibration.png")

    step("4. 特征地图：两类分得开吗")
    #    几百维的特征画不出来，压成二维就能看；压扁了总要丢东西，所以用两种办法
    draw_map(exam.features, labels, names, folder / "map.png")

    step("5. 注意力：每个 token 在看谁")
    #    一层一张图，一行是一个 token 把多少注意力分给了谁；各个头取了平均
    draw_attention(classifier, args.sentence, folder / "attention.png")

    step("6. 训练曲线")
    #    train.py 画的，这里只说它在哪里
    curve = args.weights.parent / "curve.png"
    if curve.is_file():
        print(f"训练曲线  {curve}")
        print("    train.py 画的：训练精度还在涨、验证精度不再涨，就到头了")
    else:
        print(f"没有 {curve.name}：这份权重不是在这里训练的")

    # 小结：混淆矩阵看错在哪一类，校准图看能不能信它的概率，地图看特征够不够好
    # 练习：用 --sentence 画一句有否定的话，看「不」被谁看着
    # 动手：python exercises/check.py demo02/10


if __name__ == "__main__":
    then = "demo02_sentiment/11_export.py --weights --labels"
    run(main, "weights", "labels", "data", sentence=EXAMPLE, then=then)
