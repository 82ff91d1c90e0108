"""判题  第二个 demo 的第 2 课"""

import csv
import io
import tempfile
import unicodedata
from pathlib import Path

from judging import ask, exercise

ROWS = [
    ("房间很干净，下次还来", 1),
    ("又脏又吵", 0),
    ("说“好”的，都是托", 0),
    ("第一行\n第二行", 1),
    ("so-so, 一般般", 0),
]


@exercise(
    "read_reviews",
    "读 CSV",
    "先 path.read_bytes()，试 utf-8-sig，UnicodeDecodeError 再用 gbk；"
    "csv.DictReader(io.StringIO(文字)) 一行一个字典",
)
def check_read_reviews(read_reviews):
    out = io.StringIO(newline="")
    csv.writer(out).writerows([("text", "label"), *ROWS])
    with tempfile.TemporaryDirectory() as folder:
        for encoding in ("utf-8", "utf-8-sig", "gbk"):
            path = Path(folder) / f"{encoding}.csv"
            content = out.getvalue().encode(encoding)
            path.write_bytes(content)
            strings = [(text, str(label)) for text, label in ROWS]
            usual = [
                (strings, "标签还是文字：int(…)"),
                ([[*row] for row in strings], "标签还是文字：int(…)"),
                ([(text.replace("\n", ""), label) for text, label in ROWS], "评论里的换行丢了"),
                ([(text.replace("\n", "\r\n"), label) for text, label in ROWS], "换行被改了"),
            ]
            if encoding != "gbk":  # 顺序错了：GBK 几乎什么字节都认，认出来的是乱码
                garbled = content.decode("gbk", errors="ignore")
                rows = list(csv.reader(io.StringIO(garbled)))[1:]
                wrong = [(row[0], int(row[-1])) for row in rows if row and row[-1].isdigit()]
                usual.append((wrong, "GBK 几乎什么字节都认，认出来是乱码：要先试 UTF-8"))
            ask(
                read_reviews,
                path,
                want=ROWS,
                usual=usual,
                errors={
                    UnicodeDecodeError: f"这个文件的编码是 {encoding}，你用的编码读不了它",
                    KeyError: "带 BOM 的文件，第一个列名前面会多一个看不见的字符：用 utf-8-sig",
                    ValueError: "标签那一格不是数字：是不是把评论里的逗号、换行也当成了分隔",
                    IndexError: "有一行少了一格：是不是把评论里的换行当成了下一行",
                },
                shown=f"read_reviews({encoding} 的文件)",
            )


@exercise(
    "choose_max_length",
    "max_length 定多少",
    "从短到长排好，找第一个能盖住 share × 条数 的长度；最后 min(长度 + 2, 512)",
)
def check_choose_max_length(choose_max_length):
    for lengths, share in (
        ([10, 20, 30, 40], 0.5),
        ([40, 10, 30, 20], 0.75),
        ([5] * 95 + [100] * 5, 0.95),
        ([5] * 94 + [100] * 6, 0.95),
        ([7, 9, 600], 1.0),
        ([8], 0.9),
        (list(range(1, 201)), 0.99),
        (list(range(200, 0, -1)), 0.985),
    ):
        n = len(lengths)

        def covers(length: int, lengths=lengths, share=share, n=n) -> bool:
            return sum(other <= length for other in lengths) / n >= share - 1e-12

        need = min(length for length in lengths if covers(length))
        ordered = sorted(lengths)
        after = ordered[min(n - 1, int(n * share))]
        ask(
            choose_max_length,
            *(list(lengths), share),
            want=min(need + 2, 512),
            usual=[
                (need + 2, "BERT 最多 512 个位置：min(…, 512)"),
                (min(need, 512), "[CLS] 和 [SEP] 也占两个位置，要加 2"),
                (max(lengths) + 2, "最长的一条说了不算：只要盖住 share 就够"),
                (int(sum(lengths) / n) + 2, "这是平均长度，大约一半的评论会被截断"),
                (lengths[min(n - 1, int(n * share))] + 2, "要先排序"),
                (after + 2, "多取了一格：下标从 0 数，第 k 小的是 [k - 1]"),
            ],
        )


def spaceless(text: str) -> str:
    return "".join(text.split())


@exercise("leaked", "有没有漏题", "写一个小函数 key(评论)；训练集的 key 放进一个 set")
def check_leaked(leaked):
    train = ["房间 很干净", "Good 酒店！", "一般般", "ＡＢＣ１２３", "又脏又吵"]
    test = ["没见过", "房间很干净", "good酒店!", "一般般", "一般般", "abc123", "又脏又吵\n", "房间"]
    want = ["房间很干净", "good酒店!", "一般般", "一般般", "abc123", "又脏又吵\n"]

    def only(key) -> list[str]:
        seen = set(map(key, train))
        return [text for text in test if key(text) in seen]

    def wide(text: str) -> str:
        return spaceless(unicodedata.normalize("NFKC", text))

    def ends(text: str) -> str:
        return unicodedata.normalize("NFKC", text).lower().strip()

    ask(
        leaked,
        *(list(train), list(test)),
        want=want,
        usual=[
            (only(str), "一字不差才算：空白、大小写、全角半角不同的漏掉了"),
            (only(lambda text: spaceless(text).lower()), "全角的 ＡＢＣ 和 ！ 没有变成半角：NFKC"),
            (only(wide), "大小写没有统一：.lower()"),
            (only(ends), "中间的空白也要去掉，不只两头"),
            (list(dict.fromkeys(want)), "测试集里重复的两条都要算"),
            (sorted(want), "按测试集的顺序"),
            (len(want), "要的是评论的列表，不是条数"),
            ([wide(text).lower() for text in want], "返回测试集里原来的样子，不是规范化之后的"),
        ],
        shown=f"leaked({train}, {test})",
    )
    ask(leaked, [], ["好"], want=[])
