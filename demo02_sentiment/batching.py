"""不是一课：同时来的请求凑成一批一起算，serve.py 用"""

import queue
import threading
from concurrent.futures import Future
from pathlib import Path

import torch

from classifier import SentimentClassifier

MAX_BATCH = 128  # 凑一批最多等着几个请求


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
