"""不是一课  09_serve.py 的地址和函数，/classify，和网页要用的 page/、/info、/table、/explain"""

import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Literal

from fastapi import Body, FastAPI, Header
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, ConfigDict, Field

from backstage.classifier import SentimentClassifier, readable, recorded_data
from backstage.explain import explain
from course.api import make_app
from course.columns import NAMES, SAMPLED, check_header, guess, plain
from course.errors import CourseError
from course.paths import portable
from course.reviews import CHNSENTICORP, REVIEWS, find_reviews
from course.tables import cell, read_frames
from my_dataset import read_reviews

PAGE = Path(__file__).resolve().parent.parent / "page"
NAME = "sentiment"  # API 里的模型名：POST /models/sentiment
MAX_TEXTS = 64  # /classify 一次最多几条
MAX_FILE = 20 * 1024 * 1024  # 网页上选的文件最多多少字节；再大的用 08_predict.py --file
MAX_ROWS = 200_000  # 最多多少行
# 不到这么多个字，网页上说一声"太短"，README 也是这个数；自己的数据本来就短时，看它们有多短
# 自带的评论都在 20 个字以上；拿没有收进来的短评论考过，10 到 19 个字的和 20 多个字的一样准，
# 再短就差了
SHORT = 10
EXAMPLES = 5  # 自己的数据，网页上最多几个例子
EXAMPLE = 60  # 例子最多多少个字

# 告诉浏览器：这个网页只许从本服务器取东西、只许连本服务器，也不许被别的网页嵌进去
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # 改了网页，刷新就能看到
}


class PageFiles(StaticFiles):
    """page/ 里的文件，每个都带上 PAGE_HEADERS"""

    def file_response(self, *args, **options) -> Response:
        response = super().file_response(*args, **options)
        response.headers.update(PAGE_HEADERS)
        return response


class Text(BaseModel):
    """/explain 的请求：一条评论；words 是浏览器切好的词（Intl.Segmenter），不给就一个字一段"""

    model_config = ConfigDict(extra="forbid")
    text: str
    words: list[str] | None = None


class Table(BaseModel):
    """一个表格：列名，每一行的格子，评论多半在第几列"""

    columns: list[str]
    rows: list[list[str]]
    column: int


class Piece(BaseModel):
    """一句话的一段；模型没看的部分，后两项是 null"""

    text: str
    effect: float | None
    without: float | None


class Explanation(BaseModel):
    """见 explain.py 的 explain"""

    label: str
    probabilities: dict[str, float]
    empty: dict[str, float]
    cut: bool
    pieces: list[Piece]


class Info(BaseModel):
    """examples 是自己的数据里的例子；自带的评论没有，网页上有讲课的。short：短于它就说太短"""

    encoder: str
    weights: str
    epoch: int | None
    validation_accuracy: float | None
    labels: list[str]
    max_length: int
    data: str | None
    built_in: bool
    examples: list[str]
    short: int
    device: str
    max_file: int


def examples_of(classifier: SentimentClassifier) -> tuple[bool, list[str], int]:
    """(是不是自带的、下载的评论，例子，短于多少个字就说太短)

    自己的数据：例子是验证集（没有拿来学的）里每一类的第一条不太长的；数据不在了、变了，就没有例子。
    """
    record = classifier.record
    if record["data"] is None:  # 别处来的权重，不知道学的是什么
        return False, [], 0
    try:
        if find_reviews(recorded_data(record)).path in (REVIEWS, CHNSENTICORP):
            return True, [], SHORT
        with redirect_stdout(io.StringIO()):  # 读数据时的报告，训练的时候看过了
            validation = classifier.learned("validation")
    except CourseError:
        return False, [], 0
    read_reviews.cache_clear()  # 只要几条，整份不留在内存里
    chosen: dict[int, str] = {}
    for text, label in zip(validation.texts, validation.labels, strict=True):
        if len(text) <= EXAMPLE:
            chosen.setdefault(label, text)
    lengths = sorted(map(len, validation.texts))
    return False, list(chosen.values())[:EXAMPLES], min(SHORT, lengths[len(lengths) // 20])


def read_upload(name: str, body: bytes) -> dict:
    """一个文件的内容 → {"columns": 列名, "rows": [[格, …], …], "column": 评论多半在第几列}

    每一格都是文字。文件读不了、没有列名、没有评论、行数太多时抛 CourseError。
    """
    import pandas as pd

    tables, size, total = [], 0, 0
    for table in read_frames(io.BytesIO(body), name):
        tables.append(table.map(lambda value: readable(cell(value))))
        # parquet 是压缩的，展开可能大得多，所以字数也要数
        size += int(tables[-1].map(len).to_numpy().sum())
        total += len(table)
        if total > MAX_ROWS or size > MAX_FILE:
            raise CourseError(f"{name} 太大，网页上算太慢", "请用 08_predict.py --file")
    if not total:
        raise CourseError(f"{name} 里一条评论也没有", "换一个文件")
    table = pd.concat(tables, ignore_index=True).fillna("")
    head, columns = table.head(SAMPLED), list(table.columns)
    check_header(head, Path(name))
    # 评论在哪一列：名字认得的，没有就猜字最多的；网页上可以换
    known = [column for column in columns if plain(column) in NAMES["text"]]
    known.sort(key=lambda column: plain(column) != "text")  # 正好叫 text 的优先
    column = known[0] if known else guess(head)["text"]
    return {
        "columns": columns,
        "rows": table.to_numpy().tolist(),
        "column": columns.index(column),
    }


def add_page(app: FastAPI, classifier: SentimentClassifier, weights: Path) -> None:
    """给 app 加上网页，和网页要用的地址"""
    record = classifier.record
    built_in, examples, short = examples_of(classifier)

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(PAGE / "index.html", headers=PAGE_HEADERS)

    app.mount("/page", PageFiles(directory=PAGE))

    @app.get("/info", summary="哪个 BERT、哪份权重、验证精度多少")
    def info() -> Info:
        return {
            "encoder": record["model"],
            "weights": portable(weights),
            "epoch": record["epoch"],
            "validation_accuracy": record["validation_accuracy"],
            "labels": classifier.labels,
            "max_length": classifier.max_length,
            "data": record["data"],
            "built_in": built_in,
            "examples": examples,
            "short": short,
            "device": str(classifier.model.encoder.device),
            "max_file": MAX_FILE,
        }

    @app.exception_handler(CourseError)
    async def bad_file(request, error):
        return JSONResponse({"error": f"{error.problem}。{error.next_step}"}, 422)

    # 请求体就是文件本身。只收 octet-stream：别的网站的表单和脚本不经本服务器同意，发不出这一种
    # 回答不经过 response_model：几十万格，再查一遍要好几秒
    @app.post(
        "/table",
        summary="读一个表格文件，格式见 course/tables.py",
        response_model=None,
        responses={200: {"model": Table}},
        max_body_size=MAX_FILE,  # 只有这个地址可以收这么大的请求
    )
    def table(
        name: str,
        content_type: Annotated[Literal["application/octet-stream"], Header()],
        body: Annotated[bytes, Body(media_type="application/octet-stream")] = b"",
    ) -> JSONResponse:
        return JSONResponse(read_upload(name, body))

    @app.post("/explain", summary="每一段文字把结果推动了多少")
    def explain_one(question: Text) -> Explanation:
        return explain(classifier, question.text, question.words)


class Judged(BaseModel):
    """/classify 的一条回答；note：空 / 截断 / 什么都没有，空的没有预测"""

    label: str | None
    probabilities: dict[str, float] | None
    note: str


class Texts(BaseModel):
    """/classify 的请求：几条评论，可以有空的"""

    model_config = ConfigDict(extra="forbid")
    texts: list[str] = Field(min_length=1, max_length=MAX_TEXTS)


def make_sentiment_app(classifier: SentimentClassifier, weights: Path, public: str = "") -> FastAPI:
    """第一个 demo 07 --full 的 API，加上一次问几条的 /classify，和网页；public 见 make_app"""
    app = make_app({NAME: classifier}, public=public)  # 已经有 /models/sentiment 和 /health
    app.title = "评论情感"

    # 一个地址配一个函数：POST /classify 来了，FastAPI 按 Texts 检查请求（多一个字段、多一条都
    # 拒绝），把 JSON 变成 question；函数返回什么，按 Judged 检查过，变回 JSON 送出去
    @app.post("/classify", summary="一次几条，空的也占一条")
    def classify(question: Texts) -> list[Judged]:
        answers = []
        for row, note in zip(*classifier.judge(question.texts), strict=True):
            if note == "空":
                answers.append({"label": None, "probabilities": None, "note": note})
            else:
                named = dict(zip(classifier.labels, row.tolist(), strict=True))
                label = max(named, key=named.get)
                answers.append({"label": label, "probabilities": named, "note": note})
        return answers

    add_page(app, classifier, weights)
    return app
