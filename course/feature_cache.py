"""不是一课  算过的特征存在 data/features/，下次直接读；凡是会改变特征的东西变了，就重新算

存成 safetensors 而不是 pickle：打开它不会执行任何代码。
"""

import ast
import hashlib
import json
from pathlib import Path

import torch
import transformers
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from course import packed_bert, sorted_batches
from course.encoding import encode, way
from course.errors import CourseError
from course.files import atomic_write
from course.models import fingerprint
from course.paths import DATA


def meaning(path: Path) -> bytes:
    """一份 Python 代码去掉注释、空行和文档字符串之后剩下的：只有它变了，算出来的才可能变"""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value.value = None
    return ast.dump(tree).encode("utf-8")


def cache_key(
    encoder: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    texts: list[str],
    dtype: torch.dtype,
    pooling: str,
) -> str:
    """会改变特征的全部东西的 SHA-256：编码器、分词器、最长多少 token、评论、数值类型、算法"""
    digest = hashlib.sha256(fingerprint(encoder, tokenizer).encode("utf-8"))
    limit, version = tokenizer.model_max_length, transformers.__version__
    digest.update(f"{limit} {dtype} {pooling} {version} {len(texts)}".encode())
    for text in texts:
        digest.update(hashlib.sha256(text.encode("utf-8")).digest())
    for module in (packed_bert, sorted_batches):
        digest.update(meaning(Path(module.__file__)))
    return digest.hexdigest()


def sha256(features: torch.Tensor) -> str:
    """特征内容的 SHA-256，用来发现存在硬盘上的文件有没有坏"""
    return hashlib.sha256(features.contiguous().view(torch.uint8).numpy()).hexdigest()


def read_cache(path: Path, shape: tuple[int, int], dtype: torch.dtype) -> torch.Tensor | None:
    """读存下来的特征，应该是 shape、dtype；没有、残缺、内容或形状对不上时返回 None"""
    if not path.is_file():
        return None
    try:
        # safe_open 先看文件头：各张量的形状、类型、位置和文件大小对不上，不占内存就拒绝
        with safe_open(path, framework="pt") as file:
            written = json.loads(file.metadata()["about"])["sha256"]
            features = (
                file.get_tensor("features")
                if tuple(file.get_slice("features").get_shape()) == shape
                else None
            )
        sound = features is not None and features.dtype == dtype and sha256(features) == written
    except Exception:  # 坏法很多，异常没有共同的类型
        sound = False
    if sound:
        return features
    print(f"特征：{path.name} 已损坏，重新算")
    return None


class FeatureFile:
    """一份评论的特征在 data/features/ 里的那个文件；参数见 `cached_features`

    属性 path 的名字里有 `cache_key` 的开头：会改变特征的东西有一样不同，名字就不同。
    """

    def __init__(
        self,
        encoder: nn.Module,
        tokenizer: PreTrainedTokenizerBase,
        texts: list[str],
        name: str,
        dtype: torch.dtype = torch.float32,
        pooling: str = "cls",
    ):
        key = cache_key(encoder, tokenizer, texts, dtype, pooling)
        self.path = DATA / "features" / f"{name}-{key[:16]}.safetensors"
        self.name, self.way = name, way(encoder)
        self.shape, self.dtype = (len(texts), encoder.config.hidden_size), encoder.dtype

    def read(self) -> torch.Tensor | None:
        """算过的特征；没有、坏了时返回 None"""
        features = read_cache(self.path, self.shape, self.dtype)
        if features is not None:
            print(f"特征：{self.name} {self.shape}，用上次存下的 {self.path.name}")
            with safe_open(self.path, framework="pt") as file:
                for note in json.loads(file.metadata()["about"])["notes"]:
                    print(f"注意：{note}")
        return features

    def write(self, features: torch.Tensor, notes: list[str]) -> None:
        """存下来，连同要说的话；写不了时抛 CourseError，不留下半个文件"""
        content = {"features": features}
        about = json.dumps({"sha256": sha256(features), "notes": notes})
        try:
            with atomic_write(self.path) as temporary:
                save_file(content, temporary, metadata={"about": about})
        except SafetensorError as error:  # 磁盘满了，它抛的不是 OSError
            raise CourseError(
                f"写不了 {self.path}：{error}", "腾出磁盘，再运行一次同样的命令"
            ) from error
        print(f"特征：{self.name} {self.shape}，{self.way}，存为 {self.path}")


def cached_features(
    encoder: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    texts: list[str],
    name: str,
    dtype: torch.dtype = torch.float32,
    pooling: str = "cls",
) -> torch.Tensor:
    """和 `encode` 一样返回 (N, hidden)，但算过的直接读；name 只用在文件名和提示里"""
    if dtype != torch.float32:
        short = {torch.bfloat16: "bf16", torch.float16: "fp16"}[dtype]
        print(f"特征：{name} 用 {short} 算，是近似的，和 fp32 的差到百分之几")
    file = FeatureFile(encoder, tokenizer, texts, name, dtype, pooling)
    features = file.read()
    if features is None:
        notes: list[str] = []
        features = encode(encoder, tokenizer, texts, dtype, pooling=pooling, notes=notes)
        for note in notes:
            print(f"注意：{note}")
        try:
            file.write(features, notes)
        except CourseError as error:  # 算了几分钟的，存不下也不能白算
            print(f"注意：{error.problem}。特征 {name} 这次照样用，下次要重新算")
    return features


class FeatureDataset(Dataset):
    """算好的特征也是一个 Dataset：第 i 条是 (特征 (hidden,), 标签)，都在 device 上"""

    def __init__(
        self, features: torch.Tensor, labels: list[int], device: torch.device | str = "cpu"
    ):
        self.features = features.to(device)
        self.labels = torch.tensor(labels, device=device)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.features[index], self.labels[index]

    def __getitems__(self, indices: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """DataLoader 一次要一整批时用它：一次切好 (批, hidden) 和 (批,)，不用一条条拼"""
        return self.features[indices], self.labels[indices]


def keep_batch(batch: tuple) -> tuple:
    """FeatureDataset 给的已经是一整批，DataLoader 不用再拼；当 collate_fn 用"""
    return batch
