"""不是一课  同时来的请求凑成一批一起算，09_serve.py 用"""

import itertools
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import torch

from backstage.classifier import EXPORTED, TOLERANCE, SentimentClassifier, readable
from backstage.onnx_model import FILE, OnnxModel
from course.errors import CourseError, InputError
from course.paths import command
from course.text_models import LEFT

CORE_TOKENS = 512  # 一批给每个核大约多少个 token：多了省时间，新来的短句却要多等
CHECKED = ["很好", "等了一个小时才上菜，鱼还是凉的。" * 5]  # 换引擎之前，两个引擎都算一遍


class BatchingClassifier(SentimentClassifier):
    """和 SentimentClassifier 一样，只是几个线程同时来问时，凑成一批一起算

    只有一个线程在算，算的时候新来的在排队；算完一批，从队里再取一批。没有人排队时一条也不等。

    谁先谁后：一个请求拆成一条一条地排，每条的号码是"来的时候轮到的号 + 这个请求里到它为止有几个
    字"，号码小的先算。所以几个请求一起排着，就各算一样多的字：短的插得到长的前面，长的也不会
    永远等下去。这个办法叫 self-clocked fair queueing（Golestani 1994），路由器里分带宽用的。
    一批也不能太大：新来的短句至少要等正在算的那一批。
    提问的人走了（网页关了、又问了下一句），他还排着的就不算了，免得后面的人白等。

    onnx：改由 ONNX Runtime 算权重旁边导出的文件夹里的 onnx/model.onnx。没有、坏了、是另一份权重的，
    抛 CourseError。
    """

    def __init__(self, weights: Path, labels: list[str] | None = None, *, onnx: bool = False):
        super().__init__(weights, labels, exact=onnx)
        again = command("demo02_sentiment/11_export.py", "--onnx", "--weights", weights)
        self.onnx = self.open_onnx(weights.parent / EXPORTED, again) if onnx else None
        # （号码，第几个放进来的，评论，答案，人走了没有）；号码一样时比第二项，先来的先算
        self.waiting: queue.PriorityQueue[tuple[int, int, str, Future, threading.Event]]
        self.waiting = queue.PriorityQueue()
        self.counter = itertools.count()
        self.serving = 0  # 轮到了几号
        # 一个字大约一个 token：每个核正好分到装满的一批；ONNX 一条一条地算，所以一批就是一条
        self.batch_chars = 1 if self.onnx else CORE_TOKENS * torch.get_num_threads()
        threading.Thread(target=self.work, daemon=True).start()

    def open_onnx(self, folder: Path, again: str) -> Callable[[list[str]], torch.Tensor]:
        """导出的 ONNX 文件，当作算 logits 的函数；先和自己的概率对一遍。again 是重新导出的命令"""
        if not (folder / FILE).is_file():
            raise CourseError(f"没有 {folder / FILE}", again)
        try:
            model = OnnxModel(folder, self.tokenizer)
        except Exception as error:  # onnxruntime 的几种错误，共同的只有 Exception
            raise CourseError(f"{folder / FILE} 读不了：{error}", again) from error

        def compute(texts: list[str]) -> torch.Tensor:
            # 一条一条地算，不用补齐，也就不凑批
            rows = [model.logits([readable(text)]) for text in texts]
            return torch.from_numpy(np.concatenate(rows))

        ours, theirs = (f(CHECKED).softmax(dim=1) for f in (super().logits, compute))
        same = ours.shape == theirs.shape and (ours - theirs).abs().max() <= TOLERANCE
        if not same:  # nan 也算不同
            raise CourseError(f"{folder} 是用另一份权重导出的", again)
        return compute

    def cost(self, text: str) -> int:
        """大约要算几个 token：太长的会被截断，空的也有 [CLS] 和 [SEP]"""
        return min(len(text), self.max_length - 2) + 2

    def logits(self, texts: list[str]) -> torch.Tensor:
        number, answers, left = self.serving, [], LEFT.get()
        for text in texts:
            number += self.cost(text)
            answers.append(Future())
            self.waiting.put((number, next(self.counter), text, answers[-1], left))
        return torch.stack([answer.result() for answer in answers])

    def work(self) -> None:
        while True:
            batch, room = [], self.batch_chars
            while room > 0 and not (batch and self.waiting.empty()):
                # 只有这个线程在取，非空就一定取得到
                number, _, text, answer, left = self.waiting.get()
                if left.is_set():
                    answer.set_exception(InputError("提问的人已经走了，不算了"))
                    continue
                self.serving = number
                batch.append((text, answer))
                room -= self.cost(text)
            try:
                texts = [text for text, _ in batch]
                rows = self.onnx(texts) if self.onnx else super().logits(texts)
            except Exception as error:  # 交给等着的每一个，这个线程不能停
                for _, answer in batch:
                    answer.set_exception(error)
                continue
            for (_, answer), row in zip(batch, rows, strict=True):
                answer.set_result(row)
