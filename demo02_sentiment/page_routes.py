"""不是一课：serve.py 的网页要用的地址，page/ 里的文件、/info、/table、/explain"""

import io
from pathlib import Path
from typing import Annotated, Literal

from fastapi import Body, FastAPI, Header
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, ConfigDict

from classifier import SentimentClassifier, readable
from course.errors import CourseError
from course.paths import portable
from course.table_files import cell, read_stream
from explain import explain

PAGE = Path(__file__).parent / "page"
MAX_FILE = 20 * 1024 * 1024  # 网页上选的文件最多多少字节；再大的用 predict.py --file
MAX_ROWS = 200_000  # 最多多少行
LIMITS = {"/table": MAX_FILE}  # 给 make_app：只有这个地址可以收这么大的请求

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


def read_upload(name: str, body: bytes) -> dict:
    """一个文件的内容 → {"columns": 列名, "rows": [[格, …], …], "column": 评论多半在第几列}

    每一格都是文字。文件读不了、没有评论、行数太多时抛 CourseError。
    """
    columns: dict[str, None] = {}  # 当有顺序的集合用
    rows, size = [], 0
    for row in read_stream(io.BytesIO(body), name):
        columns |= dict.fromkeys(row)
        rows.append({column: readable(cell(value) or "") for column, value in row.items()})
        # parquet 是压缩的，展开可能大得多，所以字数也要数
        size += sum(map(len, rows[-1].values()))
        if len(rows) > MAX_ROWS or size > MAX_FILE:
            raise CourseError(f"{name} 太大，网页上算太慢", "请用 predict.py --file")
    if not rows:
        raise CourseError(f"{name} 里一条评论也没有", "换一个文件")
    names = list(columns)
    # 评论在哪一列：叫 text 的，没有就猜开头 100 行里字最多的
    sizes = [sum(len(row.get(column, "")) for row in rows[:100]) for column in names]
    column = names.index("text") if "text" in names else sizes.index(max(sizes))
    cells = [[row.get(column, "") for column in names] for row in rows]
    return {"columns": names, "rows": cells, "column": column}


def add_page(app: FastAPI, classifier: SentimentClassifier, weights: Path) -> None:
    """给 app 加上网页，和网页要用的地址"""
    record = classifier.record

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(PAGE / "index.html", headers=PAGE_HEADERS)

    app.mount("/page", PageFiles(directory=PAGE))

    @app.get("/info", summary="哪个 BERT、哪份权重、验证精度多少")
    def info() -> dict:
        return {
            "encoder": record["model"],
            "weights": portable(weights),
            "epoch": record["best"]["epoch"],
            "validation_accuracy": record["best"]["validation_accuracy"],
            "labels": classifier.labels,
            "max_length": classifier.max_length,
            "data": record["data"],
            "device": str(classifier.model.fc.weight.device),
            "max_file": MAX_FILE,
        }

    @app.exception_handler(CourseError)
    async def bad_file(request, error):
        return JSONResponse({"error": f"{error.problem}。{error.next_step}"}, 422)

    # 请求体就是文件本身。只收 octet-stream：别的网站的表单和脚本不经本服务器同意，发不出这一种
    @app.post("/table", summary="读一个表格文件，格式见 course/table_files.py", response_model=None)
    def table(
        name: str,
        content_type: Annotated[Literal["application/octet-stream"], Header()],
        body: Annotated[bytes, Body(media_type="application/octet-stream")] = b"",
    ) -> JSONResponse:
        return JSONResponse(read_upload(name, body))

    @app.post("/explain", summary="每一段文字把结果推动了多少")
    def explain_one(question: Text) -> dict:
        return explain(classifier, question.text, question.words)
