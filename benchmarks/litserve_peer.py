"""不是一课  serve_peers.py 的 LitServe 那一个：它的每个进程装好模型，收几句，回几句"""

from pathlib import Path

import litserve
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from serve_peers import ranked


class Sentiment(litserve.LitAPI):
    """folder 是导出的文件夹；别的参数见 litserve.LitAPI"""

    def __init__(self, folder: Path, **options):
        super().__init__(**options)
        self.folder = folder

    def setup(self, device: str) -> None:
        torch.set_num_threads(1)
        self.tokenizer = AutoTokenizer.from_pretrained(self.folder)
        self.model = AutoModelForSequenceClassification.from_pretrained(self.folder).eval()
        self.labels = [self.model.config.id2label[i] for i in range(self.model.num_labels)]

    def decode_request(self, request: dict) -> str:
        return request["inputs"]

    @torch.inference_mode()
    def predict(self, texts: list[str]) -> torch.Tensor:
        batch = self.tokenizer(texts, truncation=True, padding=True, return_tensors="pt")
        return self.model(**batch).logits.softmax(dim=-1)

    def encode_response(self, row: torch.Tensor) -> list:
        return ranked(self.labels, row)
