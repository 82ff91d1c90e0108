"""不是一课  bench_serve.py 的对手：同一个导出的文件夹，别人的部署办法

说同样的话：POST /models/sentiment，{"inputs": 一句话} → [[{label, score}, …]]。
除了 pipeline 都凑批：同时来的请求一起算，最多 BATCH 条。
"""

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import requests
import torch
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import AutoModelForSequenceClassification, pipeline

from course.api import free_port, make_app, serve_until_stopped

BATCH = 32  # 一批最多几条
PATH = "/models/sentiment"


class Question(BaseModel):
    inputs: str


def ranked(labels: list[str], row: torch.Tensor) -> list[list[dict]]:
    """一条的概率 (类别数,) → 推理 API 的回答"""
    pairs = zip(labels, row.tolist(), strict=True)
    return [[{"label": label, "score": p} for label, p in sorted(pairs, key=lambda x: -x[1])]]


class PlainPipeline:
    """大多数人的部署：导出的文件夹放进 pipeline，一次一条"""

    task = "text-classification"

    def __init__(self, folder: Path):
        self.classify = pipeline("text-classification", str(folder), device="cpu")
        self.labels = list(self.classify.model.config.id2label.values())
        self.logits(["热身"])

    def logits(self, texts: list[str]) -> torch.Tensor:
        options = {"top_k": None, "truncation": True, "function_to_apply": "none"}
        named = [{row["label"]: row["score"] for row in self.classify(t, **options)} for t in texts]
        return torch.tensor([[scores[label] for label in self.labels] for scores in named])


def serve_pipeline(folder: Path) -> None:
    app = make_app({"sentiment": PlainPipeline(folder)})
    serve_until_stopped(app, 0, lambda url: print(url, flush=True))


def announce(port: int) -> None:
    """服务答得了一句话之后打印地址"""
    url = f"http://127.0.0.1:{port}"

    def watch() -> None:
        while True:
            try:
                requests.post(url + PATH, json={"inputs": "热身"}, timeout=60).raise_for_status()
            except requests.RequestException:
                time.sleep(0.1)
            else:
                print(url, flush=True)
                return

    threading.Thread(target=watch, daemon=True).start()


def sentence_features(folder: Path) -> Callable:
    """texts → 概率 (N, 类别数)：sentence-transformers 算特征，接上导出的分类头"""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    bert = Transformer(str(folder))
    pooling = Pooling(bert.get_embedding_dimension(), pooling_mode="cls")
    encoder = SentenceTransformer(modules=[bert, pooling], device="cpu")
    whole = AutoModelForSequenceClassification.from_pretrained(folder).eval()

    @torch.inference_mode()
    def probabilities(texts: list[str]) -> torch.Tensor:
        cls = encoder.encode(texts, batch_size=BATCH, convert_to_tensor=True)
        return whole.classifier(whole.bert.pooler(cls[:, None])).softmax(dim=-1)

    return probabilities


def serve_sentences(folder: Path) -> None:
    """FastAPI + sentence-transformers，动态凑批：算着一批的时候来的，凑成下一批"""
    import uvicorn

    probabilities = sentence_features(folder)
    config = AutoModelForSequenceClassification.from_pretrained(folder).config
    labels = [config.id2label[i] for i in range(config.num_labels)]
    waiting: asyncio.Queue = asyncio.Queue()

    async def work() -> None:
        while True:
            batch = [await waiting.get()]
            while len(batch) < BATCH and not waiting.empty():
                batch.append(waiting.get_nowait())
            rows = await asyncio.to_thread(probabilities, [text for text, _ in batch])
            for (_, answer), row in zip(batch, rows, strict=True):
                answer.set_result(row)

    working = []
    app = FastAPI()

    @app.post(PATH)
    async def infer(question: Question):
        if not working:
            working.append(asyncio.create_task(work()))
        answer = asyncio.get_running_loop().create_future()
        waiting.put_nowait((question.inputs, answer))
        return ranked(labels, await answer)

    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    announce(listener.getsockname()[1])
    uvicorn.Server(uvicorn.Config(app, log_level="error")).run([listener])


def serve_litserve(folder: Path, wait: float) -> None:
    """LitServe：一个核一个进程，各自凑批，最多等 wait 秒"""
    import litserve

    from litserve_peer import Sentiment  # 它的进程要能按名字找到这个类，所以单独一个文件

    api = Sentiment(folder, max_batch_size=BATCH, batch_timeout=wait, api_path=PATH)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=os.cpu_count())
    # 它的子进程不跟着它停：自成一组，要停就一组一起停
    os.setsid()
    signal.signal(signal.SIGTERM, lambda *_: os.killpg(0, signal.SIGKILL))
    port = free_port(0)
    announce(port)
    server.run("127.0.0.1", port, num_api_servers=1, log_level="error", generate_client_file=False)


PEERS = {  # 名字 → (服务, 要装的包)
    "pipeline": (serve_pipeline, None),
    "sentence-transformers": (serve_sentences, "sentence_transformers"),
    "LitServe": (serve_litserve, "litserve"),
}
