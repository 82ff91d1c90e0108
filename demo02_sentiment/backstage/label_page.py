"""不是一课  extra_label.py 的后厨：读没有标签的评论，记下每一个答案，给它一个 Gradio 网页

答案一行一个，在 params/labels/ 的 .jsonl 里；答一条、撤一条都整个重写，关在哪里就从哪里接着标。
"""

import json
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

import numpy as np
import pandas as pd
import torch
from fastapi import FastAPI
from starlette.middleware.trustedhost import TrustedHostMiddleware
from torch import nn

from backstage.checkpoint import data_sha256, describe
from backstage.classifier import readable
from backstage.predict_file import survey, write_frames
from backstage.probe import sentence_features
from backstage.stacked import folded
from course.api import HOST, serve_until_stopped
from course.columns import DataSource
from course.errors import CourseError
from course.files import atomic_write, only_one
from course.models import load_tokenizer
from course.paths import command, portable
from course.tables import cell, read_path
from my_dataset import MAX_LENGTH, MyDataset, read_reviews
from net import Model

FIRST, RANDOM, UNSURE = "开头几条，随机抽的", "随机抽查的", "模型最拿不准的"  # 为什么问这一条
EXAM = 30  # 考题少于这么多条，一条就差 3 个点以上
DRAWN = 10  # 随机抽查的少于这么多条，先不画猜对了几成
GUIDE = """## 自己标
读一条，按它是哪一类（按钮上的数字也是键盘上的键），说不准的跳过。答案一条一条地存好了，随时可以关掉，
下次接着标；{flat}随机抽查的够 {exam} 条（一共答 {total} 条左右），就可以停，导出。"""
SKIPPED = None  # 跳过的，标签是它
KEYS = """<script>
document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  const button = document.getElementById("key-" + event.key.toLowerCase().replace(" ", "s"));
  if (button) { event.preventDefault(); button.click(); }
});
</script>"""
CSS = "#review textarea { font-size: 1.25rem; line-height: 1.7; } footer { display: none; }"


def read_unlabelled(path: Path, column: str | None, most: int) -> list[str]:
    """一个表格里头 most 条不同的评论，空的不算；评论在 column 列，None 是按列名认"""
    source = DataSource(path, column)
    _, _, column = survey(source, Path("labels.csv"))
    texts: dict[str, None] = {}
    for table in read_path(path, bare=source.bare):
        cells = map(cell, table.reindex(columns=[column])[column])
        texts |= dict.fromkeys(readable(text) for text in cells if text.strip())
    if len(texts) > most:
        print(f"  注意  不同的有 {len(texts)} 条，只从头 {most} 条里挑")
    return list(texts)[:most]


class Labelling:
    """标到哪里了：答一条，学一遍，写进文件，挑下一条

    texts 是要标的 N 条，features 是它们的 (N, hidden)；exam 是验证集的 (特征, 标签)，没有是 None；
    learn、least_sure、开头几条、每几条随机抽一条，都是课上的。属性 row 是现在问哪一条的编号，标完了
    是 -1；why 是为什么问它。
    """

    def __init__(self, path, texts, names, features, exam, learn, least_sure, start, every):
        self.path, self.csv = path, path.with_suffix(".csv")
        self.texts, self.names, self.features, self.exam = texts, names, features, exam
        self.learn, self.least_sure, self.start, self.every = learn, least_sure, start, every
        self.rows = {text: i for i, text in enumerate(texts)}
        self.total = start + every * EXAM  # 一共答到这么多条左右，随机抽查的才够 EXAM 条
        # 随机抽查的事先就抽好，模型挑不到它们：挑剩下的再抽，难的已经挑走了，考题就太容易
        order = np.random.default_rng(0).permutation(len(texts))
        fifth = np.arange(len(texts)) % every == 0
        self.drawn, self.rest = order[fifth], order[~fifth]
        self.go_on(read_answers(path, names))

    def go_on(self, records: list[dict]) -> None:
        """答案变成了 records：学、写、挑；写不了抛 CourseError，什么也没有变"""
        # 表格后来改过，不在里面的评论没有特征，不学，照样导出
        mine = [r for r in labelled(records) if r["text"] in self.rows]
        head = None
        if mine:
            labels = np.array([self.names.index(r["label"]) for r in mine])
            head = self.learn(self.features[[self.rows[r["text"]] for r in mine]], labels)
        if head and self.exam and records[-1]["label"] is not SKIPPED:
            records[-1]["accuracy"] = round(100 * head.score(*self.exam), 2)
        with atomic_write(self.path) as path:
            lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in records]
            path.write_text("".join(lines), encoding="utf-8", newline="\n")
        self.records, self.head = records, head

        done, count = {r["text"] for r in records}, len(labelled(records))
        left, drawn = (
            np.array([i for i in rows if self.texts[i] not in done])
            for rows in (self.rest, self.drawn)
        )
        if len(drawn) and (not len(left) or (count >= self.start and count % self.every == 0)):
            self.row, self.why = int(drawn[0]), RANDOM
        elif not len(left):
            self.row, self.why = -1, ""
        elif count < self.start:
            self.row, self.why = int(left[0]), FIRST
        else:
            self.row, self.why = int(self.least_sure(head, self.features, left)), UNSURE

    def answer(self, row: int, label: str | None) -> None:
        """评论 row 的标签。已经不在问它了，不算：按得快，第二下按的时候下一条还没有出来"""
        if row != self.row or row < 0:
            return
        guess = self.head and self.names[self.head.predict(self.features[[row]])[0]]
        drawn = self.why == RANDOM
        record = {"text": self.texts[row], "label": label, "guess": guess, "drawn": drawn}
        self.go_on([*self.records, record])

    def undo(self) -> None:
        """撤销最后一个答案，再问那一条"""
        self.go_on(self.records[:-1])

    def curve(self) -> list[tuple[int, float]]:
        """学习曲线 [(几条标签, %), …]：验证精度；没有验证集，是随机抽查的里模型先猜对了几成"""
        done = list(enumerate(labelled(self.records), 1))
        if self.exam:
            return [(i, r["accuracy"]) for i, r in done if "accuracy" in r]
        drawn = [(i, r["guess"] == r["label"]) for i, r in done if r["drawn"]]
        right = np.cumsum([hit for _, hit in drawn])
        return [(i, 100 * right[n] / (n + 1)) for n, (i, _) in enumerate(drawn)]

    def export(self) -> str:
        """写成 train.py --data 读的 CSV；随机抽的写成 test，别的写成 train。返回要说的话"""
        done = labelled(self.records)
        if not done:
            return "一条还没有标"
        splits = ["test" if r["drawn"] else "train" for r in done]
        rows = [(r["text"], r["label"], split) for r, split in zip(done, splits, strict=True)]
        with atomic_write(self.csv) as path:
            write_frames(path, ".csv", [pd.DataFrame(rows, columns=["text", "label", "split"])])
        return f"写好 `{portable(self.csv)}`。{self.exam_size()}"

    def exam_size(self) -> str:
        """考题有几条，够不够"""
        count = sum(record["drawn"] for record in labelled(self.records))
        said = f"随机抽查的 {count} 条是考题（test）"
        if count < EXAM:
            said += f"，太少：要 {EXAM} 条才稳一点，一共得答 {self.total} 条左右"
        if len(self.texts) < self.total:
            said += f"，这份只有 {len(self.texts)} 条，再找一些来"
        return said


def save_head(csv: Path, folder: Path, learn: Callable) -> str:
    """导出的 CSV 里 train 那几条，照网页上的办法学一遍，存成旁边的 .pth；返回怎么用它

    train.py 也读得了这个 CSV，可是验证集是从挑出来的难题里切的，靠它挑不准哪一轮好。
    """
    read_reviews.cache_clear()  # 上次导出时读过的，变了
    data_sha256.cache_clear()
    parts = {name: MyDataset(name, DataSource(csv)) for name in ("train", "validation")}
    features = sentence_features(folder, [(name, part.texts) for name, part in parts.items()])
    head = learn(features[0], np.array(parts["train"].labels))
    score = head.score(features[1], parts["validation"].labels)
    layer = {name: torch.tensor(x, dtype=torch.float32) for name, x in folded(head).items()}
    if len(layer["bias"]) == 1:  # 两类时只有第 1 类的分数，第 0 类的是 0
        layer = {name: torch.cat([0 * x, x]) for name, x in layer.items()}
    model = Model(folder, len(layer["bias"]))
    if not isinstance(model.head, nn.Linear):
        raise CourseError("net.py 的分类头改过了，网页学的是一层 Linear，存不进去", "改回去")
    model.head.load_state_dict(layer)
    tokenizer = load_tokenizer(folder, MAX_LENGTH)
    model.record = describe(
        model, tokenizer, parts["train"], epoch=0, validation_accuracy=score, seed=0
    )  # fmt: skip
    path = csv.with_suffix(".pth")
    with atomic_write(path) as temporary:
        torch.save(model.state_dict(), temporary)
    evaluate, predict = (
        command(f"demo02_sentiment/{name}.py", "--weights", portable(path))
        for name in ("07_evaluate", "08_predict")
    )
    return f"。没有见过考题的分类头也存好了，考它：`{evaluate}`，用它：`{predict} 一句话`"


def labelled(records: list[dict]) -> list[dict]:
    return [record for record in records if record["label"] is not SKIPPED]


def read_answers(path: Path, names: list[str]) -> list[dict]:
    """从前的答案；没有标过是空的"""
    if not path.is_file():
        return []
    try:
        records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        others = {record["label"] for record in records} - {*names, SKIPPED}
    except (ValueError, KeyError, TypeError) as error:
        raise CourseError(f"{path} 坏了（{error}）", "改好它，或者挪走它") from error
    if others:
        raise CourseError(
            f"{path} 里从前的标签是 {'、'.join(sorted(others))}，现在没有",
            "--labels 写成从前的，或者 --params 换一个文件夹",
        )
    return records


def picture(points: list[tuple[int, float]], exam: bool) -> str:
    """学习曲线画成 SVG：横轴是几条标签，纵轴 0 到 100；颜色跟着网页走，深色的也看得清"""
    title = "验证精度，%" if exam else f"随机抽查的 {len(points)} 条里，模型先猜对了百分之几"
    if not exam and len(points) < DRAWN:
        return f"<p>随机抽查满 {DRAWN} 条，才画模型先猜对了百分之几；现在 {len(points)} 条</p>"
    last, now = points[-1] if points else (1, 0)
    places = [(40 + 780 * i / last, 150 - 1.3 * y) for i, y in points]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    rules = "".join(
        f'<path d="M40 {150 - 1.3 * y}H820" stroke="currentColor" opacity="0.2"/>'
        f'<text x="32" y="{154 - 1.3 * y}" text-anchor="end">{y}</text>'
        for y in (0, 50, 100)
    )
    end = f'<text x="828" y="{154 - 1.3 * now}">{now:.1f}</text>' if points else ""
    return (
        f'<p>{title}</p><svg viewBox="0 0 880 175" fill="currentColor" font-size="13">{rules}{end}'
        f'<polyline points="{line}" fill="none" stroke="#0f766e" stroke-width="2"/>'
        f'<text x="820" y="172" text-anchor="end">{last if points else 0} 条标签</text></svg>'
    )


def make_app(work: Labelling, folder: Path) -> FastAPI:
    """网页：一条评论，一类一个按钮，跳过，撤销，导出，曲线；folder 是算特征的 BERT"""
    import gradio

    def shown(message: str | None = None) -> list:
        counts = Counter(record["label"] for record in work.records)
        done = "，".join(f"{name} {counts[name]}" for name in work.names)
        total = len(labelled(work.records))
        title = (
            f"第 {total + 1} 条：{work.why}" if work.row >= 0 else f"都标完了，{work.exam_size()}"
        )
        return [
            work.row,
            f"标了 **{total}** 条：{done}；跳过 {counts[SKIPPED]}",
            gradio.Textbox(
                work.texts[work.row] if work.row >= 0 else "",
                label=title,
            ),
            picture(work.curve(), bool(work.exam)),
            message,
        ]

    def act(change: Callable[[int], str | None], row: float) -> list:
        try:
            return shown(change(int(row)))
        except CourseError as error:  # 写不了文件
            raise gradio.Error(str(error)) from error

    def export(row: int) -> str:
        said = work.export()
        if not labelled(work.records):
            return said
        try:
            return said + save_head(work.csv, folder, work.learn)
        except CourseError as error:  # 还只有一类
            return f"{said}。模型还存不下：{error}"

    with gradio.Blocks(title="自己标", analytics_enabled=False) as page:
        flat = "曲线平了，" if work.exam else ""  # 没有验证集，它是一路的平均，总会平
        gradio.Markdown(GUIDE.format(exam=EXAM, total=work.total, flat=flat))
        row = gradio.Number(visible="hidden")  # 答的是屏幕上的哪一条，跟着每一下按键送回来
        said = gradio.Markdown(elem_id="said")
        # 长短都一样高，按钮不跳
        review = gradio.Textbox(
            interactive=False, lines=6, max_lines=6, autoscroll=False, elem_id="review"
        )
        with gradio.Row():
            keys = {
                gradio.Button(f"{name}（{i}）", variant="primary", elem_id=f"key-{i}"): partial(
                    work.answer, label=name
                )
                for i, name in enumerate(work.names, 1)
            }
        with gradio.Row():
            keys |= {
                gradio.Button("跳过（空格）", elem_id="key-s"): partial(work.answer, label=SKIPPED),
                gradio.Button("撤销（U）", elem_id="key-u"): lambda row: work.undo(),
                gradio.Button("导出（E）", elem_id="key-e"): export,
            }
        message = gradio.Markdown()
        curve = gradio.HTML(elem_id="curve")
        outputs, one = [row, said, review, curve, message], {"concurrency_id": "one"}  # 一次一件
        page.load(shown, None, outputs, show_progress="hidden", **one)
        for button, change in keys.items():
            button.click(partial(act, change), row, outputs, show_progress="hidden", **one)
    app = gradio.mount_gradio_app(
        FastAPI(),
        page,
        path="/",
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        head=KEYS,
        css=CSS,
        # 字体用系统的，不去 Google 下载
        theme=gradio.themes.Default(font="system-ui", font_mono="monospace"),
    )
    # 别的网站借浏览器之手来访问，Host 是它自己的名字
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    return app


def answers_file(params: Path, source: Path | str | None) -> Path:
    """source 这份评论的答案写在哪里；None 是自带的"""
    return params / "labels" / f"{Path(source or 'shipped').stem}.jsonl"


def open_page(path: Path, port: int, folder: Path, *about) -> NoReturn:
    """网页，一直服务到 Ctrl-C；答案写在 path，folder 是算特征的 BERT，about 是 Labelling 还要的"""
    busy = CourseError(f"另一个程序正在标，答案也写在 {path}", "用那一个，或者先停掉它")
    with only_one(path.with_suffix(".lock"), busy):
        work = Labelling(path, *about)
        print(f"从前标过 {len(labelled(work.records))} 条，都在 {portable(path)}")

        def announce(url: str) -> None:
            print(f"网页  {url}\nCtrl-C 停止，再运行一次同样的命令接着标", flush=True)

        serve_until_stopped(make_app(work, folder), port, announce)
