"""不是一课  分类器的 ONNX 文件，在这里写，在这里读；11_export.py --onnx、09_serve.py --onnx 用

ONNX 是一张算式的图加上权重，不要 Python、不要 PyTorch 也能算：ONNX Runtime（C++、C#、Java、手机）、
浏览器里的 transformers.js 都读它。optimum 和 transformers.js 都到 FILE 这个位置找它。
"""

import logging
import warnings
from pathlib import Path

import numpy as np
import torch
from transformers import BertForSequenceClassification, BertTokenizer

FILE = Path("onnx") / "model.onnx"  # 在模型文件夹里的位置
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OUTPUT = "logits"


def write_onnx(model: BertForSequenceClassification, tokenizer: BertTokenizer, path: Path) -> None:
    """model 写成 path 这一个文件：三个输入 (N, 句长) 的 int64，输出 logits (N, 类别数)

    torch.export 拿一批例子走一遍 forward，把走过的算子记成图。哪些尺寸会变要告诉它，没说的
    都当成常数：条数 N 和句长都说了，所以一条也行、一批也行，长短都行。
    """
    batch = tokenizer(["很好", "房间很干净"], padding=True, return_tensors="pt")
    changing = {
        0: torch.export.Dim("batch"),
        1: torch.export.Dim("length", max=model.config.max_position_embeddings),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    # 它会说起没有装的 torchvision 和自己内部要改的写法，与我们无关
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            torch.onnx.export(
                model.cpu().eval(),
                kwargs={name: batch[name] for name in INPUTS},
                f=path,
                dynamo=True,
                input_names=INPUTS,
                output_names=[OUTPUT],
                dynamic_shapes={name: changing for name in INPUTS},
                external_data=False,  # 权重也放在这一个文件里
                verbose=False,
            )
    finally:
        logger.setLevel(level)


class OnnxModel:
    """读一个 ONNX 文件；folder 是导出的模型文件夹，threads 是用几个线程（0：全部核）"""

    def __init__(self, folder: Path, tokenizer: BertTokenizer, threads: int = 0):
        import onnxruntime  # 可选的包，用到才读

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # 它的线程干完活不睡，空转着等下一句：自己快一点，同一台机器上别的程序就慢了
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        path = str(folder / FILE)
        self.session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
        self.tokenizer = tokenizer

    def logits(self, texts: list[str]) -> np.ndarray:
        """N 条评论 → logits (N, 类别数)"""
        batch = self.tokenizer(texts, padding=True, truncation=True, return_tensors="np")
        return self.session.run([OUTPUT], {name: batch[name] for name in INPUTS})[0]
