"""第 9 课  部署：自己的网页和 API

教什么：训练好的分类器怎么给别人用。一个进程，只听本机：网页给人用，API 给程序用，协议和第一个
demo 的 07_local_api.py 是同一份代码。同时来的请求凑成一批算，比一个一个排队快。

怎么运行：先训练（train.py），再
    python demo02_sentiment/serve.py            浏览器打开它打印的网址，Ctrl-C 停止
    python demo02_sentiment/serve.py --port 0   端口被占了，自动挑一个

会看到：
    网页  http://127.0.0.1:8000
    API   POST http://127.0.0.1:8000/models/sentiment   text-classification
    …

看什么：网页上点「美女你好，可以加个微信吗」和「不可以」，再点几个字看遮住它概率变成多少；
从别的程序里用，换成自己的网址就行：
    from huggingface_hub import InferenceClient
    InferenceClient(model="http://127.0.0.1:8000/models/sentiment").text_classification("很好")

网页没有用 Gradio：它要多装几十个包，打开时还会去国外的网站取字体、报告使用情况。这里是三个文件
（page/ 里的 HTML、CSS、JavaScript），一个外面的请求都没有，读完就懂。
"""

import queue
import threading
from concurrent.futures import Future
from pathlib import Path

import torch
from fastapi.responses import FileResponse, Response
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, ConfigDict, Field

from classifier import SentimentClassifier
from course.cli import Parser, number, run
from course.inference_api import make_app, serve_until_stopped
from course.paths import PARAMS, ROOT
from net import DEVICE

WEIGHTS = PARAMS / "best.pth"
PORT = 8000
NAME = "sentiment"  # API 里的模型名：POST /models/sentiment
PAGE = Path(__file__).parent / "page"
MAX_TEXTS = 64  # /classify 一次最多几条
MAX_BATCH = 128  # 凑一批最多等着几个请求

# 告诉浏览器：这个网页只许从本服务器取东西、只许连本服务器，也不许被别的网页嵌进去
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # 改了网页，刷新就能看到
}


class BatchingClassifier(SentimentClassifier):
    """和 SentimentClassifier 一样，只是几个线程同时来问时，凑成一批一起算

    只有一个线程在算，算的时候新来的请求在排队；算完一批，把排着的全部取出来，就是下一批。
    没有人排队时一条也不等。
    """

    def __init__(self, weights: Path):
        super().__init__(weights)
        self.waiting: queue.SimpleQueue[tuple[list[str], Future]] = queue.SimpleQueue()
        threading.Thread(target=self.work, daemon=True).start()

    def logits(self, texts: list[str]) -> torch.Tensor:
        answer: Future[torch.Tensor] = Future()
        self.waiting.put((texts, answer))
        return answer.result()

    def work(self) -> None:
        while True:
            batch = [self.waiting.get()]
            while len(batch) < MAX_BATCH and not self.waiting.empty():
                batch.append(self.waiting.get())  # 只有这个线程在取，非空就一定取得到
            texts = [text for texts, _ in batch for text in texts]
            try:
                parts = super().logits(texts).split([len(texts) for texts, _ in batch])
            except Exception as error:  # 交给等着的每一个请求，这个线程不能停
                for _, answer in batch:
                    answer.set_exception(error)
                continue
            for (_, answer), part in zip(batch, parts, strict=True):
                answer.set_result(part)


class PageFiles(StaticFiles):
    """page/ 里的文件，每个都带上 PAGE_HEADERS"""

    def file_response(self, *args, **options) -> Response:
        response = super().file_response(*args, **options)
        response.headers.update(PAGE_HEADERS)
        return response


class Texts(BaseModel):
    """/classify 的请求：几条评论，可以有空的"""

    model_config = ConfigDict(extra="forbid")
    texts: list[str] = Field(min_length=1, max_length=MAX_TEXTS)


class Text(BaseModel):
    """/explain 的请求：一条评论"""

    model_config = ConfigDict(extra="forbid")
    text: str


def make_sentiment_app(classifier: SentimentClassifier, weights: Path):
    """07 的 API，加上网页和网页要用的三个地址"""
    app = make_app({NAME: classifier})
    app.title = "评论情感"
    run_info = classifier.record

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(PAGE / "index.html", headers=PAGE_HEADERS)

    app.mount("/page", PageFiles(directory=PAGE))

    @app.get("/info", summary="哪个 BERT、哪份权重、验证精度多少")
    def info() -> dict:
        return {
            "encoder": run_info["model"],
            "weights": str(weights.relative_to(ROOT) if weights.is_relative_to(ROOT) else weights),
            "epoch": run_info["best"]["epoch"],
            "validation_accuracy": run_info["best"]["validation_accuracy"],
            "labels": classifier.labels,
            "max_length": classifier.max_length,
            "data": run_info["data"],
            "device": str(DEVICE),
        }

    @app.post("/classify", summary="一次几条，空的也占一条")
    def classify(question: Texts) -> list[dict]:
        """[{"label", "probabilities": {标签: 概率}, "note": 空 / 截断 / 什么都没有}, …]"""
        labels = classifier.labels
        answers = []
        for row, note in zip(*classifier.judge(question.texts), strict=True):
            if note == "空":
                answers.append({"label": None, "probabilities": None, "note": note})
            else:
                named = dict(zip(labels, row.tolist(), strict=True))
                label = labels[int(row.argmax())]
                answers.append({"label": label, "probabilities": named, "note": note})
        return answers

    @app.post("/explain", summary="每一段文字把结果推动了多少")
    def explain(question: Text) -> dict:
        return classifier.explain(question.text)

    return app


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="默认 params/best.pth")
    parser.add_argument("--port", type=number(int, 0), default=PORT, help=f"默认 {PORT}，0 自动挑")
    args = parser.parse_args()

    # 1. 读回训练好的模型，只在启动时做一次；先算一句热热身，第一个请求就不慢
    classifier = BatchingClassifier(args.weights)
    classifier.probabilities(["热身"])

    # 2. API 和网页
    app = make_sentiment_app(classifier, args.weights)

    # 3. 一直服务到 Ctrl-C
    def announce(url: str) -> None:
        best = classifier.record["best"]
        print(f"\n网页  {url}")
        print(f"API   POST {url}/models/{NAME}   {classifier.task}")
        print(f"      GET  {url}/health   活着吗    GET {url}/info   模型的介绍")
        print(f"      浏览器打开 {url}/docs   可以直接点着试的文档")
        print(f"模型 {classifier.record['model']}，权重 {args.weights}")
        print(f"验证精度 {best['validation_accuracy']:.4f}，Ctrl-C 停止", flush=True)

    serve_until_stopped(app, args.port, announce)

    # 小结：训练好的模型 + 一个协议 = 服务；同一条路算概率，网页、API、文件、命令行说的都一样
    # 练习：在 page/page.js 的 EXAMPLES 里加上你自己的句子，刷新网页


if __name__ == "__main__":
    run(main)
