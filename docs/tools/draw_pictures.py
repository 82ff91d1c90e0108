"""工具  画 docs/ 里的图：五个阶段、一句话走过 BERT、模型文件夹、谁看得见谁、温度、三页基础

怎么运行：python docs/tools/draw_pictures.py                  画进 docs/pictures/
          python docs/tools/draw_pictures.py --out 别的文件夹

会看到：每张图存在哪里。同样的包版本画出来逐字节相同；温度那张的概率是随仓库的小 GPT-2 现算的。
"""

from itertools import pairwise
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from transformers import AutoModelForCausalLM

from course.cli import Parser, run
from course.files import atomic_write
from course.fonts import chinese_font
from course.models import load_model, load_tokenizer
from course.paths import ROOT

matplotlib.use("Agg")  # 只存文件，不开窗口
from matplotlib import pyplot as plt

PICTURES = ROOT / "docs" / "pictures"
DPI = 110
INK, GREY, PALE = "#1f2937", "#6b7280", "#f3f4f6"
TEAL, ORANGE, INDIGO, PINK, GREEN = "#0f766e", "#c2571a", "#4f46e5", "#a21caf", "#4d7c0f"

# 「白日依山尽，」前后各加一个记号，和 bert-base-chinese 字典里的行号
TOKENS = ["[CLS]", "白", "日", "依", "山", "尽", "，", "[SEP]"]
IDS = [101, 4635, 3189, 898, 2255, 2226, 8024, 102]

PROMPT = "你好，我是一款语言模型，"
TEMPERATURES = (0.3, 1.0, 1.5)
SHOWN = 12  # 温度图每一栏画几个最可能的 token
TOP_K, TOP_P = 5, 0.5


def canvas(width: float, height: float) -> tuple[plt.Figure, Axes]:
    """一张白纸：宽 width、高 height，单位既是英寸，也是图里的坐标"""
    figure = plt.figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    return figure, axes


def box(axes: Axes, x: float, y: float, width: float, height: float, colour: str, fill=None):
    """圆角方框，(x, y) 是左下角"""
    style = f"round,pad=0,rounding_size={min(0.12, height / 3)}"
    face = fill or colour + "18"  # 末尾两位是透明度
    axes.add_patch(
        FancyBboxPatch(
            (x, y), width, height, boxstyle=style, facecolor=face, edgecolor=colour, linewidth=1.3
        )
    )


def arrow(axes: Axes, start: tuple, end: tuple, colour: str = GREY, style: str = "arc3") -> None:
    axes.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            mutation_scale=11,
            color=colour,
            linewidth=1.3,
            connectionstyle=style,
        )
    )


def draw_stages() -> plt.Figure:
    """AI 项目的五个阶段，和这个仓库里各是哪几个文件"""
    figure, axes = canvas(10.4, 3.3)
    stages = (
        (
            "1  需求和数据",
            TEAL,
            "要解决什么\n收集、清洗、标注",
            "02_load_dataset\nmy_dataset\nbuild_reviews",
        ),
        (
            "2  选模型",
            INDIGO,
            "选现成的底座\n设计接在后面的头",
            "05_download_bert\n01_tokenizer\nnet",
        ),
        ("3  训练", ORANGE, "一批一批地学\n存下权重", "train\n06_features\nextra_finetune"),
        ("4  评估", PINK, "没见过的数据上\n考一次", "07_evaluate\n10_pictures\nextra_ablation"),
        ("5  部署", GREEN, "给人用、给程序用\n看真实的反馈", "08_predict\n09_serve\n11_export"),
    )
    width, gap = 1.76, 0.28
    for i, (title, colour, what, files) in enumerate(stages):
        x = 0.24 + i * (width + gap)
        box(axes, x, 0.72, width, 2.3, colour)
        axes.text(x + width / 2, 2.74, title, ha="center", va="center", fontsize=13, color=colour)
        axes.text(x + width / 2, 2.22, what, ha="center", va="center", fontsize=10, linespacing=1.5)
        axes.text(
            x + width / 2, 1.26, files, ha="center", va="center", fontsize=9, color=GREY,
            linespacing=1.5,
        )  # fmt: skip
        if i:
            arrow(axes, (x - gap + 0.02, 1.87), (x - 0.02, 1.87), INK)
    arrow(axes, (7.24, 0.68), (1.1, 0.68), GREY, "arc3,rad=-0.08")
    axes.text(4.17, 0.16, "成绩不够就回头：多半是回到数据", ha="center", va="center", fontsize=10,
              color=GREY)  # fmt: skip
    return figure


def draw_text_to_logits() -> plt.Figure:
    """「白日依山尽，」从文字到两个分数，每一站的形状（bert-base-chinese：768 维、12 层）"""
    figure, axes = canvas(10.4, 6.5)
    left, step, width = 1.55, 0.84, 0.72
    columns = [left + i * step for i in range(len(TOKENS))]
    right = columns[-1] + width
    rows = (  # 下边、高、左边的名字、右边的形状
        (5.72, 0.46, "文字", "6 个字，前后\n各加一个记号"),
        (4.86, 0.46, "id", "input_ids\n(1, 8)"),
        (3.50, 0.92, "向量", "embeddings\n(1, 8, 768)"),
        (1.56, 0.92, "特征", "last_hidden_state\n(1, 8, 768)"),
    )
    for y, height, name, shape in rows:
        axes.text(0.28, y + height / 2, name, va="center", fontsize=13)
        axes.text(right + 0.3, y + height / 2, shape, va="center", fontsize=10, color=GREY,
                  linespacing=1.5)  # fmt: skip
    shades = np.random.default_rng(0).uniform(0.08, 0.85, (2, len(TOKENS), 12))  # 只是示意有许多数
    for i, (token, number, x) in enumerate(zip(TOKENS, IDS, columns, strict=True)):
        colour = ORANGE if token == "[CLS]" else GREY if token == "[SEP]" else TEAL
        middle = x + width / 2
        box(axes, x, rows[0][0], width, rows[0][1], colour)
        axes.text(middle, rows[0][0] + 0.22, token, ha="center", va="center", fontsize=12)
        box(axes, x, rows[1][0], width, rows[1][1], colour, "white")
        axes.text(middle, rows[1][0] + 0.22, number, ha="center", va="center", fontsize=11)
        for row, cells in zip(rows[2:], shades[:, i], strict=True):
            for j, shade in enumerate(cells):
                cell = (x + 0.16, row[0] + j * row[1] / 12)
                axes.add_patch(
                    Rectangle(cell, width - 0.32, row[1] / 12, facecolor=colour, alpha=shade)
                )
        for above, below in ((rows[0], rows[1]), (rows[1], rows[2])):
            arrow(axes, (middle, above[0] - 0.02), (middle, below[0] + below[1] + 0.02))
        arrow(axes, (middle, 3.47), (middle, 3.19))
        arrow(axes, (middle, 2.76), (middle, 2.53))
    axes.text(0.28, 5.52, "查字典", va="center", fontsize=9, color=GREY)
    axes.text(0.28, 4.64, "每个 id 取一行", va="center", fontsize=9, color=GREY)
    box(axes, left - 0.1, 2.77, right - left + 0.2, 0.4, INDIGO)
    axes.text((left + right) / 2, 2.97, "编码器 12 层：每个位置都看一遍整句话", ha="center",
              va="center", fontsize=11, color=INDIGO)  # fmt: skip

    box(axes, columns[0] - 0.05, 1.46, width + 0.1, 1.06, ORANGE, "none")
    arrow(axes, (columns[0] + width / 2, 1.42), (columns[0] + width / 2, 0.87), ORANGE)
    axes.text(columns[0] - 0.12, 1.2, "只取第 0 个位置 [CLS]", ha="right", va="center", fontsize=9,
              color=ORANGE)  # fmt: skip
    stations = (
        (1.3, 1.22, "[CLS] 的特征\n(1, 768)", ORANGE),
        (3.45, 1.7, "fc = Linear(768, 2)\n要训练的只有它", INDIGO),
        (6.1, 1.4, "logits  (1, 2)\n每一类一个分数", PINK),
        (8.45, 1.6, "softmax → 概率\n负向 ?   正向 ?", GREEN),
    )
    for x, wide, text, colour in stations:
        box(axes, x, 0.2, wide, 0.64, colour)
        axes.text(x + wide / 2, 0.52, text, ha="center", va="center", fontsize=9.5, linespacing=1.5)
    for (x, wide, *_), (following, *_) in pairwise(stations):
        arrow(axes, (x + wide + 0.05, 0.52), (following - 0.05, 0.52), INK)
    return figure


def draw_model_folder() -> plt.Figure:
    """from_pretrained(名字, cache_dir="models") 下载之后，文件夹里有什么"""
    figure, axes = canvas(10.4, 6.0)
    lines = (  # 缩进、名字、说明、颜色
        (0, "models/", "cache_dir 给的文件夹", INK),
        (1, ".locks/", "下载时占位用的锁，里面没有模型，不用管", GREY),
        (
            1,
            "models--google-bert--bert-base-chinese/",
            "一个仓库一个文件夹：models--组织--名字",
            INK,
        ),
        (2, "refs/main", "一行字：main 分支现在是哪个版本", INDIGO),
        (2, "blobs/", "内容本身，名字是内容的编号（哈希），同样的内容只存一份", INDIGO),
        (2, "snapshots/", "一个版本一个文件夹", INDIGO),
        (3, "一长串版本号/", "模型文件夹：装着 config.json 的这一层，加载时给它的路径", ORANGE),
        (4, "config.json", "结构：几层、多宽、字典多大", TEAL),
        (4, "model.safetensors", "权重：学到的那些数，约 410 MB", TEAL),
        (4, "vocab.txt", "字典：21,128 行，一行一个 token", TEAL),
        (4, "tokenizer.json", "分词器的规则和字典，读起来快的格式", TEAL),
        (4, "tokenizer_config.json", "分词器的设置：最长 512、分不分大小写", TEAL),
    )
    top, step, indent = 5.62, 0.45, 0.42
    rows = [top - i * step for i in range(len(lines))]
    box(
        axes,
        0.14 + 3 * indent,
        rows[-1] - 0.24,
        10.1 - 3 * indent,
        rows[6] - rows[-1] + 0.48,
        ORANGE,
    )
    for i, ((depth, name, note, colour), y) in enumerate(zip(lines, rows, strict=True)):
        x = 0.3 + depth * indent
        if depth:
            parent = max(j for j in range(i) if lines[j][0] == depth - 1)
            trunk = x - indent + 0.12
            axes.plot([trunk, trunk], [rows[parent] - 0.16, y], color="#9ca3af", linewidth=1)
            axes.plot([trunk, x - 0.06], [y, y], color="#9ca3af", linewidth=1)
        axes.text(x, y, name, va="center", fontsize=11.5, color=colour)
        axes.text(5.35, y, note, va="center", fontsize=10.5, color=GREY if colour == GREY else INK)
    note = "snapshots 里的文件是指向 blobs 的链接；Windows 上没有建链接的权限时，是实实在在的一份"
    axes.text(0.3, 0.2, note, va="center", fontsize=9.5, color=GREY)
    return figure


def draw_attention() -> plt.Figure:
    """编码器和解码器的差别：每个位置看得见哪些位置"""
    figure, axes = canvas(10.4, 5.0)
    titles = (
        ("编码器（BERT）：前后都看得见", "读完整句再下结论：分类、打分", TEAL),
        ("解码器（GPT）：只看得见自己和前面", "不能偷看答案：一个字一个字往下写", ORANGE),
    )
    words, cell = TOKENS[1:7], 0.52
    for panel, (title, use, colour) in enumerate(titles):
        left, bottom = 1.35 + panel * 5.1, 0.72
        size = cell * len(words)
        axes.text(left + size / 2, 4.62, title, ha="center", va="center", fontsize=13, color=colour)
        axes.text(left + size / 2, 0.34, use, ha="center", va="center", fontsize=10.5, color=GREY)
        for i, word in enumerate(words):  # 第 i 行：这个字在看
            y = bottom + (len(words) - 1 - i) * cell
            axes.text(left - 0.26, y + cell / 2, word, ha="center", va="center", fontsize=12)
            axes.text(left + (i + 0.5) * cell, bottom + size + 0.22, word, ha="center", va="center",
                      fontsize=12)  # fmt: skip
            for j in range(len(words)):
                sees = panel == 0 or j <= i
                axes.add_patch(
                    Rectangle(
                        (left + j * cell, y),
                        cell,
                        cell,
                        facecolor=colour if sees else PALE,
                        alpha=0.62 if sees else 1,
                        edgecolor="white",
                        linewidth=2,
                    )
                )
        axes.text(left - 0.62, bottom + size / 2, "这个字在看", ha="center", va="center",
                  fontsize=9.5, color=GREY, rotation=90)  # fmt: skip
        axes.text(left + size + 0.16, bottom + size + 0.22, "← 被看的", va="center", fontsize=9.5,
                  color=GREY)  # fmt: skip
    return figure


def next_token_scores() -> tuple[list[str], torch.Tensor]:
    """小 GPT-2 对 PROMPT 下一个 token 的打分：(字典的每一项, 分数 (21128,))"""
    folder = ROOT / "models" / "tiny-gpt2-chinese"
    tokenizer = load_tokenizer(folder)
    model = load_model(AutoModelForCausalLM, folder, dtype=torch.float32)
    ids = tokenizer(PROMPT, add_special_tokens=False, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        logits = model(ids).logits[0, -1]
    return tokenizer.convert_ids_to_tokens(list(range(len(logits)))), logits


def draw_temperature() -> plt.Figure:
    """同一组分数，三个温度：下一个 token 的概率，和 top_k、top_p 各留下多少"""
    words, logits = next_token_scores()
    figure, panels = plt.subplots(1, 3, figsize=(10.4, 5.4), sharex=True)
    figure.subplots_adjust(left=0.055, right=0.985, top=0.74, bottom=0.11, wspace=0.16)
    figure.text(0.5, 0.955, f"「{PROMPT}」的下一个字", ha="center", va="center", fontsize=14)
    best = logits.topk(SHOWN).indices.tolist()
    for axes, temperature in zip(panels, TEMPERATURES, strict=True):
        chance = (logits / temperature).softmax(-1)
        shares = [float(chance[i]) for i in best]
        running = chance.sort(descending=True).values.cumsum(0)
        kept = int((running < TOP_P).sum()) + 1  # 概率加起来够 TOP_P 的最少几个
        colours = [TEAL if i < TOP_K else "#9ca3af" for i in range(SHOWN)]
        axes.barh(range(SHOWN), shares, color=colours, height=0.72)
        for i, share in enumerate(shares):
            axes.text(share + 0.008, i, f"{share:.1%}", va="center", fontsize=9.5)
        note = {0.3: "保守", 1.0: "原样", 1.5: "放飞"}[temperature]
        axes.set_title(
            f"temperature {temperature:g}（{note}）\n前 {SHOWN} 个一共占 {sum(shares):.0%}\n"
            f"top_p = {TOP_P} 留下 {kept:,} 个候选",
            fontsize=11,
            linespacing=1.5,
        )
        axes.set_yticks(range(SHOWN), [words[i] for i in best], fontsize=12)
        axes.invert_yaxis()
        axes.tick_params(length=0)
        axes.set_xticks([])
        axes.spines[["top", "right", "bottom"]].set_visible(False)
        axes.axhline(TOP_K - 0.5, color=ORANGE, linestyle="--", linewidth=1.1)
    panels[0].set_xlim(0, float((logits / TEMPERATURES[0]).softmax(-1).max()) * 1.25)
    panels[1].text(panels[1].get_xlim()[1], TOP_K - 0.62, f"top_k = {TOP_K} 只留线上面的",
                   ha="right", va="bottom", fontsize=9.5, color=ORANGE)  # fmt: skip
    note = f"随仓库的小 GPT-2 算的：字典里 {len(words):,} 项都有概率，只画最可能的 {SHOWN} 个"
    figure.text(0.5, 0.05, note, ha="center", va="center", fontsize=9.5, color=GREY)
    return figure


def grid(axes: Axes, x: float, y: float, rows: list, colour: str, chosen: set = frozenset()):
    """一张数字表，(x, y) 是左上角；chosen 里的格子 (行, 列) 涂深"""
    for i, row in enumerate(rows):
        for j, value in enumerate(row):
            corner = (x + j * CELL, y - (i + 1) * CELL)
            fill = colour + ("55" if (i, j) in chosen else "14")
            axes.add_patch(Rectangle(corner, CELL, CELL, facecolor=fill, edgecolor="white", lw=2))
            axes.text(corner[0] + CELL / 2, corner[1] + CELL / 2, value, ha="center", va="center",
                      fontsize=12)  # fmt: skip


CELL = 0.52  # 数字表的一格有多大
BOTTOM = {"ha": "center", "va": "center", "fontsize": 10, "linespacing": 1.5}


def draw_tensors() -> plt.Figure:
    """取一行、取一列，和广播；数和 basics_tensors.py 的一样"""
    figure, axes = canvas(10.4, 4.2)
    scores = [[1, 3, 2], [0, 1, 5]]
    pieces = (
        ("scores  (1, 2, 3)", set(), TEAL, "1 句话\n2 个位置，字典 3 项"),
        (
            "scores[0, -1]  (3,)",
            {(1, 0), (1, 1), (1, 2)},
            ORANGE,
            "第 0 句，最后一个位置\n续写看它",
        ),
        (
            "scores[:, 0]  (1, 3)",
            {(0, 0), (0, 1), (0, 2)},
            INDIGO,
            "每句话的第 0 个位置\n分类看它，[CLS]",
        ),
        ("scores[0, :, 2]  (2,)", {(0, 2), (1, 2)}, PINK, "字典的第 2 项\n在每个位置的分数"),
    )
    for i, (title, chosen, colour, note) in enumerate(pieces):
        x = 0.5 + i * 2.5
        axes.text(x + 0.78, 3.92, title, ha="center", va="center", fontsize=11, color=colour)
        grid(axes, x, 3.64, scores, colour, chosen)
        axes.text(x + 0.78, 2.24, note, color=GREY, **BOTTOM)
    axes.text(0.5, 1.2, "广播", va="center", fontsize=13)
    axes.text(0.5, 0.84, "短的照抄", va="center", fontsize=10, color=GREY)
    for x, rows, colour, copied, sign in (
        (2.0, [[2, 0], [1, 3], [0, 4]], TEAL, set(), "-"),
        (3.7, [[1, 2], [1, 2], [1, 2]], ORANGE, {(0, 0), (0, 1)}, "="),
        (5.4, [[1, -2], [0, 1], [-1, 2]], INDIGO, set(), ""),
    ):
        grid(axes, x, 1.62, rows, colour, copied)
        axes.text(x + 1.37, 0.84, sign, ha="center", va="center", fontsize=16)
    axes.text(6.9, 0.84, "(3, 2) - (2,)：从右往左对齐，\n缺的那一维照抄 3 份", va="center",
              fontsize=10.5, color=GREY, linespacing=1.6)  # fmt: skip
    return figure


def draw_learning_rate() -> plt.Figure:
    """同一只碗，三个学习率各走几步；数和 basics_learning.py 第 5 步的一样"""
    figure, panels = plt.subplots(1, 3, figsize=(10.4, 3.7))
    figure.subplots_adjust(left=0.06, right=0.99, top=0.88, bottom=0.15, wspace=0.14)
    rates = (
        (0.001, "太小：五步几乎没动", GREY),
        (0.05, "正好：每步差的少一半", TEAL),
        (0.25, "太大：越跳越高", ORANGE),
    )
    for axes, (lr, name, colour) in zip(panels, rates, strict=True):
        steps = np.array([-3 * (1 - 10 * lr) ** n for n in range(6 if lr < 0.2 else 4)])
        widest = max(4.2, abs(steps).max() * 1.08)
        curve = np.linspace(-widest, widest, 200)
        axes.plot(curve, curve**2, color="#d1d5db", linewidth=2)
        axes.plot(steps, steps**2, color=colour, linewidth=1.4, marker="o", markersize=5)
        shift = (10, 8) if lr != 0.25 else (-46, -4)
        axes.annotate("起点 9", (steps[0], 9), shift, textcoords="offset points", fontsize=10)
        axes.annotate(f"{len(steps) - 1} 步后 {steps[-1] ** 2:.2f}", (steps[-1], steps[-1] ** 2),
                      (10, -4) if lr != 0.25 else (-84, -4), textcoords="offset points",
                      fontsize=10)  # fmt: skip
        axes.set_title(f"学习率 {lr:g}  {name}", fontsize=12, color=INK)
        axes.set_xlabel("预测 - 答案", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        axes.locator_params(nbins=6, integer=True)
        axes.tick_params(labelsize=9)
    panels[0].set_ylabel("损失", fontsize=10, labelpad=2)
    return figure


def draw_attention_by_hand() -> plt.Figure:
    """「果」看四个字：分数、轻重、加权和；数和 basics_attention.py 的一样"""
    figure, axes = canvas(10.4, 4.3)
    x = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 0.0], [0.0, 2.0]])
    query = x[1].flip(0)
    value = x * torch.tensor([1.0, 2.0])
    scores = x @ query / 2**0.5
    weights = scores.softmax(-1)
    new = weights @ value

    def pair(vector: torch.Tensor) -> str:
        return f"({vector[0]:.4g}, {vector[1]:.4g})"

    tops = {"字": 0.95, "key": 2.35, "分数": 4.1, "轻重": 5.75, "value": 7.6}
    for name, column in tops.items():
        axes.text(column, 4.02, name, ha="center", va="center", fontsize=11, color=GREY)
    axes.text(4.1, 3.72, "query · key ÷ √2", ha="center", va="center", fontsize=9, color=GREY)
    axes.text(5.75, 3.72, "softmax", ha="center", va="center", fontsize=9, color=GREY)
    for i, word in enumerate("苹果很甜"):
        y = 3.28 - i * 0.66
        share = float(weights[i])
        axes.text(0.95, y, word, ha="center", va="center", fontsize=15)
        box(axes, 1.75, y - 0.22, 1.2, 0.44, INDIGO)
        axes.text(2.35, y, pair(x[i]), ha="center", va="center", fontsize=11)
        arrow(axes, (3.05, y), (3.7, y))
        axes.text(4.1, y, f"{scores[i]:.2f}", ha="center", va="center", fontsize=12)
        arrow(axes, (4.5, y), (5.0, y))
        axes.add_patch(Rectangle((5.15, y - 0.22), 1.2 * share, 0.44, facecolor=ORANGE + "88"))
        axes.text(5.2 + 1.2 * share if share < 0.5 else 5.75, y, f"{share:.2f}", va="center",
                  ha="left" if share < 0.5 else "center", fontsize=12)  # fmt: skip
        axes.text(6.68, y, "×", ha="center", va="center", fontsize=13)
        box(axes, 7.0, y - 0.22, 1.2, 0.44, TEAL)
        axes.text(7.6, y, pair(value[i]), ha="center", va="center", fontsize=11)
        arrow(axes, (8.28, y), (8.86, 2.4 + (y - 2.29) * 0.2))
    box(axes, 8.95, 1.96, 1.25, 0.72, PINK)
    axes.text(9.57, 2.32, f"({new[0]:.2f}, {new[1]:.2f})", ha="center", va="center", fontsize=12)
    axes.text(9.57, 2.9, "加起来", ha="center", va="center", fontsize=10, color=GREY)
    axes.text(9.57, 1.7, "果的新向量", ha="center", va="center", fontsize=11, color=PINK)
    axes.text(0.5, 0.72, f"果的 query {pair(query)}：它自己是 {pair(x[1])}，想找有味道的",
              va="center", fontsize=11, color=INDIGO)  # fmt: skip
    axes.text(0.5, 0.32, "另外三个字也各做一遍，四个字同时算", va="center", fontsize=10,
              color=GREY)  # fmt: skip
    return figure


DRAWINGS = {
    "stages": draw_stages,
    "text-to-logits": draw_text_to_logits,
    "model-folder": draw_model_folder,
    "attention": draw_attention,
    "temperature": draw_temperature,
    "tensors": draw_tensors,
    "learning-rate": draw_learning_rate,
    "attention-by-hand": draw_attention_by_hand,
}


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--out", type=Path, default=PICTURES, help=f"存到哪里，默认 {PICTURES}")
    args = parser.parse_args()
    plt.rcParams |= {"font.family": chinese_font(), "text.color": INK}
    for name, draw in DRAWINGS.items():
        figure = draw()
        path = args.out / f"{name}.png"
        with atomic_write(path) as temporary:
            # Software 一栏写着 matplotlib 的版本：去掉它，升级之后没有变的图就还是原来的字节
            figure.savefig(temporary, format="png", dpi=DPI, metadata={"Software": None})
        plt.close(figure)
        print(path)


if __name__ == "__main__":
    run(main)
