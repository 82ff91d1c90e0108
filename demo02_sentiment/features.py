"""第 5 课  特征只算一次：冻结的 BERT 对同一条评论，每一轮算出来都一样

教什么：训练循环要把全部评论看很多轮，但 BERT 是冻结的，第 1 轮和第 30000 轮对同一条评论
给出的 [CLS] 特征一个数都不差。所以先算一遍存下来，之后每一轮只训练 fc，快几万倍，结果不变。
算这一遍也有讲究：按长度排队，一批里的句子一样长，就没有一个补零的位置是白算的。

怎么运行：python demo02_sentiment/features.py

会看到：
    特征：validation (1200, 256)，存为 …/data/features/validation-5f42ba916ca143de.safetensors
    第二次再取：0.14 秒
    8 条评论补到 4000 个 token，其中只有 677 个是真的
    两种算法的特征最大相差 2.4e-06
"""

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
import transformers
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch.nn.functional import scaled_dot_product_attention
from tqdm import tqdm
from transformers import BertModel, BertTokenizer

from course.cli import Parser, run
from course.errors import CourseError
from course.files import atomic_write
from course.models import find_model, load_tokenizer
from course.paths import DATA, command
from my_dataset import MyDataset
from net import DEVICE, MODEL, Model, fingerprint, load_encoder

MAX_LENGTH = 500  # 编码后最多多少个 token，超出的截掉；bert-base-chinese 的上限是 512
BATCH_TOKENS = 2048  # 一批最多多少个 token：内存只由它决定，和评论多少、长短无关


def check_max_length(max_length: int, encoder: BertModel) -> None:
    """max_length 不能超过 BERT 的位置编码个数，超过时抛 CourseError"""
    limit = encoder.config.max_position_embeddings
    if max_length > limit:
        raise CourseError(
            f"max_length {max_length} 超过了这个 BERT 的上限 {limit}", f"--max-length {limit}"
        )


def make_batches(sequences: list[list[int]]) -> list[list[int]]:
    """把 token 序列的编号分批：一批里长度全相同（不用补零），总 token 数不超过 BATCH_TOKENS"""
    by_length: dict[int, list[int]] = {}
    for i, sequence in enumerate(sequences):
        by_length.setdefault(len(sequence), []).append(i)
    batches = []
    for length in sorted(by_length, reverse=True):  # 最长的先来：内存不够的话马上就知道
        rows = max(1, BATCH_TOKENS // length)
        members = by_length[length]
        batches += [members[i : i + rows] for i in range(0, len(members), rows)]
    return batches


@torch.inference_mode()
def cls_features(encoder: BertModel, input_ids: torch.Tensor) -> torch.Tensor:
    """一批等长的句子 (N, 句长) → [CLS] 特征 (N, hidden)

    和 `encoder(input_ids).last_hidden_state[:, 0]` 相等（只差浮点误差），但最后一层省着算：
    它的输出只有 [CLS] 一个位置有人用，所以 query 和后面的全连接只算这一个位置，
    key 和 value 仍要整句话的，因为 [CLS] 要"看"整句话。
    """
    hidden = encoder.embeddings(input_ids=input_ids)
    *layers, last = encoder.encoder.layer
    for layer in layers:
        hidden = layer(hidden)  # 没有补零，不需要 attention_mask

    attention = last.attention.self

    def split_heads(x: torch.Tensor) -> torch.Tensor:  # (N, L, hidden) → (N, 头数, L, 每头维数)
        return x.unflatten(-1, (attention.num_attention_heads, -1)).transpose(1, 2)

    cls = hidden[:, :1]
    context = scaled_dot_product_attention(
        split_heads(attention.query(cls)),
        split_heads(attention.key(hidden)),
        split_heads(attention.value(hidden)),
    )
    out = last.attention.output(context.transpose(1, 2).flatten(2), cls)
    return last.feed_forward_chunk(out)[:, 0]


def encode(
    encoder: BertModel,
    tokenizer: BertTokenizer,
    texts: list[str],
    max_length: int = MAX_LENGTH,
    progress: bool = True,
) -> torch.Tensor:
    """N 条评论 → [CLS] 特征 (N, hidden)，在 CPU 上，行的顺序与 texts 相同

    与"全部补到 max_length 再算"的结果只差浮点误差（fp32 约 1e-6）：补零的位置本来就被
    attention_mask 挡住，不影响 [CLS]。encoder 必须在评估模式，否则 dropout 让结果每次不同。
    """
    if encoder.training:
        raise RuntimeError("encoder must be in eval mode: with dropout a feature is random")
    check_max_length(max_length, encoder)
    encoded = tokenizer(texts, truncation=True, max_length=max_length)["input_ids"]
    # token 完全相同的评论只算一次：dict 保持先来后到，number 是它们的新编号
    number = {sequence: i for i, sequence in enumerate(dict.fromkeys(map(tuple, encoded)))}
    unique = list(number)
    features = torch.empty(len(unique), encoder.config.hidden_size, dtype=encoder.dtype)

    def work(batch: list[int]) -> int:
        input_ids = torch.tensor([unique[i] for i in batch], device=encoder.device)
        features[batch] = cls_features(encoder, input_ids).cpu()
        return input_ids.numel()

    # CPU 上每个核各算各的批次，谁也不等谁；若让几个核合算一批，有一个核被别的程序占着，
    # 大家都要等它，实测慢几倍。显卡只要一个线程喂它就够
    threads = torch.get_num_threads()
    workers = threads if encoder.device.type == "cpu" else 1
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
    bar = tqdm(total=sum(map(len, unique)), desc="BERT 算特征", unit="token", disable=not progress)
    try:
        for tokens in pool.map(work, make_batches(unique)):
            bar.update(tokens)
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C 时不再算剩下的批次
        bar.close()
        torch.set_num_threads(threads)
    return features[[number[tuple(sequence)] for sequence in encoded]]


def cache_key(encoder: BertModel, tokenizer: BertTokenizer, texts: list[str], max_length: int):
    """凡是会改变特征的东西都算进来的 SHA-256：BERT、分词器、评论、max_length、精度、这份代码"""
    digest = hashlib.sha256(fingerprint(encoder, tokenizer).encode("utf-8"))
    digest.update(f"{max_length} {transformers.__version__} {len(texts)}".encode())
    for text in texts:
        digest.update(hashlib.sha256(text.encode("utf-8")).digest())
    digest.update(Path(__file__).read_bytes())  # 改了上面的算法，旧特征也就作废
    return digest.hexdigest()


def sha256(features: torch.Tensor) -> str:
    """特征内容的 SHA-256，用来发现存在硬盘上的文件有没有坏"""
    return hashlib.sha256(features.contiguous().view(torch.uint8).numpy()).hexdigest()


def read_cache(path: Path) -> torch.Tensor | None:
    """读存下来的特征；没有、残缺、内容对不上时返回 None"""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            features = file.get_tensor("features")
            if file.metadata()["sha256"] == sha256(features):
                return features
    except (SafetensorError, OSError, KeyError, TypeError):
        pass  # 和内容对不上一样处理：下面说一声，重新算
    print(f"特征：{path.name} 已损坏，重新算")
    return None


def cached_features(
    encoder: BertModel, tokenizer: BertTokenizer, texts: list[str], max_length: int, name: str
) -> torch.Tensor:
    """和 `encode` 一样，但算过的存在 data/features/，下次直接读；name 只用在文件名和提示里"""
    key = cache_key(encoder, tokenizer, texts, max_length)
    path = DATA / "features" / f"{name}-{key[:16]}.safetensors"
    features = read_cache(path)
    if features is not None:
        print(f"特征：{name} {tuple(features.shape)}，用上次存下的 {path.name}")
        return features
    features = encode(encoder, tokenizer, texts, max_length)
    with atomic_write(path) as temporary:
        save_file({"features": features}, temporary, metadata={"sha256": sha256(features)})
    print(f"特征：{name} {tuple(features.shape)}，存为 {path}")
    return features


def exam(
    model: Model, tokenizer: BertTokenizer, run_info: dict, data: str | None
) -> tuple[MyDataset, torch.Tensor]:
    """考训练好的分类器：(测试集, 它的特征 (N, hidden))；前三个参数来自 net.load_trained

    data 是文件夹或 CSV，None 表示训练时的那份；标签和训练时不同时抛 CourseError。
    """
    dataset, names = MyDataset("test", data or run_info["data"]), run_info["label_names"]
    if dataset.label_names != names:
        raise CourseError(
            f"训练时的标签是 {'、'.join(names)}，这份数据的标签是 {'、'.join(dataset.label_names)}",
            command("demo02_sentiment/train.py", "--data 同一份数据"),
        )
    limit = run_info["max_length"]
    return dataset, cached_features(model.encoder, tokenizer, dataset.texts, limit, "test")


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--model", default=MODEL, help=f"模型名或文件夹，默认 {MODEL}")
    parser.add_argument("--data", default=None, help="文件夹或 CSV，默认自带的评论")
    args = parser.parse_args()

    folder = find_model(args.model)
    encoder, tokenizer = load_encoder(folder).to(DEVICE).eval(), load_tokenizer(folder)
    dataset = MyDataset("validation", args.data)

    # 1. 第一次：BERT 真的算一遍；再运行一次这个脚本，就是直接读
    features = cached_features(encoder, tokenizer, dataset.texts, MAX_LENGTH, "validation")
    print(features[:2, :6])  # 前两条评论的前 6 个特征

    # 2. 第二次：从硬盘读
    start = time.perf_counter()
    cached_features(encoder, tokenizer, dataset.texts, MAX_LENGTH, "validation")
    print(f"第二次再取：{time.perf_counter() - start:.2f} 秒")

    # 3. 和课上"全部补到 max_length"的算法比：挡住的补零不影响结果，只是白白多算
    few = dataset.texts[:8]
    padded = tokenizer(
        few, truncation=True, max_length=MAX_LENGTH, padding="max_length", return_tensors="pt"
    )
    with torch.inference_mode():
        slow = encoder(**padded.to(DEVICE)).last_hidden_state[:, 0].cpu()
    real = int(padded["attention_mask"].sum())
    print(f"8 条评论补到 {padded['input_ids'].numel()} 个 token，其中只有 {real} 个是真的")
    print(f"两种算法的特征最大相差 {(slow - features[:8]).abs().max():.1e}")

    # 小结：冻结 + 评估模式 → 特征不变 → 只算一次
    # 练习：把 BATCH_TOKENS 改成 500 和 50000，看看时间和内存怎么变，特征变不变


if __name__ == "__main__":
    run(main)
