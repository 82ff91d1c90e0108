"""不是一课：分类器的 OpenVINO 文件，由 ONNX 转来，在这里写，在这里读；11_export.py --openvino 用

OpenVINO 是英特尔的推理引擎。fp32 时它和 ONNX Runtime 差不多快，短句比课上的引擎快，见
benchmarks/tables.md。一个模型是两个文件：openvino_model.xml 是算式的图，openvino_model.bin 是
权重。optimum-intel 和 sentence-transformers 都到 FILE 这个位置找它。（optimum-onnx 0.1.0、
optimum-intel 2.2.0 要的 transformers 比课上的旧，和课上的装不到一起，所以这里直接用 OpenVINO。）

装它要加 --no-deps：它带着的 openvino-telemetry 一 import 就把用法统计发到国外，不装就不发。
"""

from pathlib import Path

import numpy as np
from transformers import BertTokenizer

from backstage.onnx_model import INPUTS, OUTPUT
from backstage.onnx_model import PACKAGES as ONNX_PACKAGES

FILE = Path("openvino") / "openvino_model.xml"  # 在模型文件夹里的位置
PACKAGES = ("openvino", *ONNX_PACKAGES)
INSTALL = (
    f"python -m pip install {' '.join(ONNX_PACKAGES)}，再 python -m pip install --no-deps openvino"
)


def write_openvino(onnx: Path, path: Path) -> None:
    """ONNX 文件 onnx 转成 path 和旁边的 .bin；权重存 fp32（默认存 fp16，小一半，是近似的）"""
    import openvino  # 可选的包，用到才读

    path.parent.mkdir(parents=True)
    openvino.save_model(openvino.Core().read_model(onnx), path, compress_to_fp16=False)


class OpenvinoModel:
    """读一个 OpenVINO 文件；folder 是导出的模型文件夹"""

    def __init__(self, folder: Path, tokenizer: BertTokenizer):
        import openvino

        # 不说明，它在有 bf16 单元的处理器上自己改用 bf16：快，但是近似的
        precision = {"INFERENCE_PRECISION_HINT": "f32"}
        self.model = openvino.compile_model(folder / FILE, "CPU", precision)
        self.tokenizer = tokenizer

    def logits(self, texts: list[str]) -> np.ndarray:
        """N 条评论 → logits (N, 类别数)"""
        batch = self.tokenizer(texts, padding=True, truncation=True, return_tensors="np")
        return self.model({name: batch[name] for name in INPUTS})[OUTPUT]
