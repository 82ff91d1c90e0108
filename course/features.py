"""不是一课  算过的特征存在 data/features/，下次直接读；中途停下也不白算

一行一行地存：token 相同的评论，特征就相同，不管它在哪一份数据里。所以一万条之后又来一百条，只算这
一百条；训练集、验证集、12_label_curve 抽的、08_predict --file 的，共用一份。

每个编码器（连同 max_length、pooling、算法的精度）一个文件夹，里面每个文件最多 SHARD 行，写好了才换
上正式的名字：Ctrl-C、断电，丢的只有正在算的那一个文件。存成 safetensors 而不是 pickle：打开它不会
执行任何代码。
"""

import hashlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch.utils.data import Dataset
from tqdm import tqdm

from course.encoder import SentenceEncoder
from course.errors import CourseError
from course.files import atomic_write, remove
from course.models import fingerprint, model_name
from course.packed_bert import why_not_int8
from course.paths import DATA, portable

SHARD = 1024  # 一个文件最多多少行
LONG = 180  # 还要这么多秒以上，先说一声
VERSION = 1  # 算法改了，特征差到 1e-5 以上时加一，从前存的就不再用


def content_sha256(*tensors: torch.Tensor) -> str:
    """几个张量内容的 SHA-256，用来发现存在硬盘上的文件有没有坏"""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.numpy())
    return digest.hexdigest()


class FeatureStore:
    """一个编码器算过的全部特征；encoder 见 `SentenceEncoder`

    属性 folder 是存在哪里，名字里有会改变特征的全部东西的 SHA-256；computed 是这个对象算了几行。
    """

    def __init__(self, encoder: SentenceEncoder):
        self.encoder, self.hidden = encoder, encoder.encoder.config.hidden_size
        sha256 = fingerprint(encoder.encoder, encoder.tokenizer)
        limit = encoder.tokenizer.model_max_length
        about = f"{VERSION} {sha256} {limit} {encoder.pooling} {encoder.arithmetic}"
        key = hashlib.sha256(about.encode("utf-8")).hexdigest()[:16]
        name = model_name(encoder.encoder.name_or_path).replace("/", "--")
        self.folder = DATA / "features" / f"{name}-{key}"
        self.files: list[Path] = []
        self.places: dict[bytes, int] = {}  # 一行的 SHA-256 → 第几个文件 × SHARD + 文件的第几行
        self.computed, self.full = 0, False

    def features(
        self, texts: list[str], notes: list[str] | None = None, progress: bool = True
    ) -> torch.Tensor:
        """N 条评论 → 特征 (N, hidden)，没有的才算；notes 见 `SentenceEncoder.tokenize`

        两个程序同时来，同时只有一个在算，算过的不会再算。
        """
        rows, where = self.encoder.tokenize(texts, notes)
        keys = [hashlib.sha256(row).digest() for row in rows]
        out = torch.empty(len(rows), self.hidden)
        missing = self.read(keys, range(len(rows)), out)
        total = sum(len(rows[i]) for i in missing)
        with tqdm(
            total=total, desc="算特征", unit="token", disable=not (progress and total)
        ) as bar:
            done = self.announcing(bar)
            for start in range(0, len(missing), SHARD):
                with self.my_turn():
                    part = self.read(keys, missing[start : start + SHARD], out)
                    out[part] = self.encoder.encode_rows([rows[i] for i in part], done)
                    self.computed += len(part)
                    self.write([keys[i] for i in part], out[part])
        return out if len(out) == len(where) else out[where]  # 没有重复的，就不用再抄一份

    def read(self, keys: list[bytes], wanted: Iterable[int], out: torch.Tensor) -> list[int]:
        """wanted 这几行，存着的写进 out (N, hidden)，返回没有的"""
        for path in sorted(set(self.folder.glob("*.safetensors")).difference(self.files)):
            if there := self.sound(path):
                self.add(path, there)
            else:
                print(f"特征：{portable(path)} 已损坏，里面的重新算")
                remove(path)
        found, missing = defaultdict(list), []
        for i in wanted:
            if keys[i] in self.places:
                found[self.places[keys[i]] // SHARD].append(i)
            else:
                missing.append(i)
        for number, mine in found.items():
            try:
                with safe_open(self.files[number], "pt") as file:
                    there = [self.places[keys[i]] % SHARD for i in mine]
                    out[mine] = file.get_tensor("features")[there]
            except (OSError, SafetensorError):  # 读过之后，有人删了它
                for i in mine:
                    del self.places[keys[i]]
                missing += mine
        return sorted(missing)

    def sound(self, path: Path) -> list[bytes]:
        """path 里有哪几行；残缺、内容或形状对不上时是空的"""
        try:
            with safe_open(path, "pt") as file:  # 文件头和文件大小对不上，不占内存就拒绝
                keys, features = file.get_tensor("keys"), file.get_tensor("features")
                written = file.metadata()
        except SafetensorError:
            return []
        fits = features.dtype == torch.float32 and features.shape == (len(keys), self.hidden)
        same = fits and written == {"sha256": content_sha256(keys, features)}
        return [key.tobytes() for key in keys.numpy()] if same else []

    def add(self, path: Path, keys: list[bytes]) -> None:
        """记下 path 里有哪几行"""
        start = len(self.files) * SHARD
        self.files.append(path)
        self.places |= {key: start + i for i, key in enumerate(keys)}

    def write(self, keys: list[bytes], features: torch.Tensor) -> None:
        """存成一个文件，名字由里面有哪几行定；存不下说一声，算好的这次照样用"""
        if not keys or self.full:
            return
        path = self.folder / f"{hashlib.sha256(b''.join(keys)).hexdigest()[:16]}.safetensors"
        table = torch.frombuffer(bytearray(b"".join(keys)), dtype=torch.uint8).view(len(keys), -1)
        try:
            with atomic_write(path) as temporary:
                about = {"sha256": content_sha256(table, features)}
                temporary.write_bytes(save({"keys": table, "features": features}, about))
        except CourseError as error:
            self.full = True
            print(f"注意：{error.problem}。算好的这次照样用，下次要重新算")
        else:
            self.add(path, keys)

    def announcing(self, bar: tqdm) -> Callable[[int], None]:
        """→ 每算完一批叫它一次：推进进度条；算了几秒，看出还要很久，说一声要多久、怎么快些"""
        started, said = time.monotonic(), []

        def done(tokens: int) -> None:
            bar.update(tokens)
            spent = time.monotonic() - started
            left = spent * (bar.total / bar.n - 1) if bar.n else 0
            if not said and spent > 3 and left > LONG:
                said.append(f"算这一遍大约还要 {left / 60:.0f} 分钟，只算这一次。{self.ways_out()}")
                bar.write(said[0])

        return done

    def ways_out(self) -> str:
        """嫌久怎么办，一句话"""
        ways = []
        if not self.encoder.int8 and not why_not_int8(self.encoder.encoder):
            ways.append("--int8（近似的）")
        if self.encoder.tokenizer.model_max_length > 128:
            ways.append("--max-length 128")
        if self.hidden > 256:
            ways.append("--model tiny-bert-chinese（小 BERT）")
        faster = f"嫌久，train.py 可以加上 {'、'.join(ways)}；" if ways else ""
        return f"{faster}中途停下（Ctrl-C）不白算，再运行一次就接着算"

    @contextmanager
    def my_turn(self) -> Iterator[None]:
        """同一个编码器的特征，同时只有一个程序在算"""
        lock = FileLock(self.folder / ".lock")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=0.1)
            except Timeout:
                print("另一个程序也在算同一个编码器的特征：等它让出来，它算过的这里直接用")
                lock.acquire()
            for left in self.folder.glob(".*.tmp"):  # 强行结束的程序没有写完的
                remove(left)
        except OSError:  # 写不了的文件夹，存不下，也就不用轮流
            pass
        try:
            yield
        finally:
            lock.release()


def cached_features(encoder: SentenceEncoder, texts: list[str], name: str) -> torch.Tensor:
    """N 条评论 → 特征 (N, hidden)，算过的直接读；name 只用在提示里"""
    store, notes = FeatureStore(encoder), []
    features = store.features(texts, notes)
    for note in notes:
        print(f"注意：{note}")
    how = f"{encoder.way}算的，新算 {store.computed} 条" if store.computed else "都是存好的"
    print(f"特征：{name} {tuple(features.shape)}，{how}，在 {portable(store.folder)}/")
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
        rows = torch.tensor(indices)  # 转一次，两处用
        return self.features[rows], self.labels[rows]
