"""找模型和分词器：只看本地文件夹，从不联网"""

import hashlib
import json
from pathlib import Path

import torch
from transformers import AutoConfig, BertModel, BertTokenizer

from course.errors import CourseError
from course.paths import MODELS, ROOT, command

# 真模型的名字 → 没下载时顶替它的小模型（随仓库一起到手）
SHIPPED = {
    "bert-base-chinese": "tiny-bert-chinese",
    "uer/gpt2-chinese-cluecorpussmall": "tiny-gpt2-chinese",
}
DOWNLOADERS = {  # 真模型的名字 → 下载它的脚本
    "bert-base-chinese": "demo01_hf_basics/05_download_bert.py",
    "uer/gpt2-chinese-cluecorpussmall": "demo01_hf_basics/03_download_gpt2.py",
}


def has_weights(folder: Path) -> bool:
    """文件夹里有没有权重文件：新格式 .safetensors，或旧格式 .bin"""
    return any(folder.glob("*.safetensors")) or any(folder.glob("pytorch_model*.bin"))


def downloaded(name: str) -> list[Path]:
    """名为 name 的模型下载后可能在的文件夹：models/名字，或 cache_dir 的 snapshots 结构"""
    name = name.removeprefix("google-bert/")
    ids = [name, f"google-bert/{name}"]  # 官方把 bert-base-chinese 挪进了 google-bert
    folders = [MODELS / model_id for model_id in ids]
    for model_id in ids:
        cache = MODELS / f"models--{model_id.replace('/', '--')}" / "snapshots"
        folders += sorted(cache.glob("*"))
    return [folder for folder in folders if (folder / "config.json").is_file()]


def find_model(name: str) -> Path:
    """名字或路径 → 装着 config.json 和权重的文件夹，绝不联网

    顺序：你给的文件夹 → models/ 里下载好的 → 随仓库的小模型（会打印一行说明）。
    找不到、文件夹不对时抛 CourseError。
    """
    name = name.removeprefix("google-bert/")
    for folder in (Path(name), ROOT / name):
        if folder.is_dir():
            return check_folder(folder.resolve())
    for folder in downloaded(name):
        if has_weights(folder):
            return folder
        print(f"注意：{folder} 里没有权重文件，下载可能中断了，先跳过它")
    if name in SHIPPED:
        print(
            f"模型：models/ 里还没有 {name}，先用随仓库的小模型 {SHIPPED[name]}"
            f"（换成真的：{command(DOWNLOADERS[name])}）"
        )
        return check_folder(MODELS / SHIPPED[name])
    if (MODELS / name / "config.json").is_file():
        return check_folder(MODELS / name)
    raise CourseError(
        f"找不到模型 {name}：它既不是文件夹，也不在 models/ 里",
        "--model bert-base-chinese（没下载也能用），或给出装着 config.json 的文件夹",
    )


def check_folder(folder: Path) -> Path:
    """确认 folder 真是一个完整的模型文件夹，原样返回；不是就抛 CourseError"""
    if not (folder / "config.json").is_file():
        inside = sorted(folder.rglob("config.json"))
        raise CourseError(
            f"{folder} 里没有 config.json，不是模型文件夹",
            f"--model {inside[0].parent}" if inside else "--model 换成装着 config.json 的文件夹",
        )
    if not has_weights(folder):
        raise CourseError(
            f"{folder} 里没有权重（model.safetensors 或 pytorch_model.bin），下载可能中断了",
            "重新下载这个模型（见 models/README.md）",
        )
    return folder


def load_tokenizer(folder: Path, max_length: int | None = None) -> BertTokenizer:
    tokenizer = BertTokenizer.from_pretrained(folder, local_files_only=True)
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    if len(tokenizer) != config.vocab_size:
        raise CourseError(
            f"{folder} 的字典只有 {len(tokenizer)} 个 token，config.json 说应有 {config.vocab_size} 个，"
            "多半是 vocab.txt 缺失或不完整",
            f"补上 {folder / 'vocab.txt'}，或重新下载这个模型（见 models/README.md）",
        )
    limit = config.max_position_embeddings
    if max_length and max_length > limit:
        raise CourseError(
            f"max_length {max_length} 超过了这个 BERT 的上限 {limit}", f"--max-length {limit}"
        )
    tokenizer.model_max_length = max_length or min(tokenizer.model_max_length, limit)
    return tokenizer


def load_bert(folder: Path) -> BertModel:
    again = "重新下载这个模型，或换一个文件夹 --model"
    kind = AutoConfig.from_pretrained(folder, local_files_only=True).model_type
    if kind != "bert":
        raise CourseError(f"{folder} 是 {kind} 模型，本课要的是 BERT", "--model bert-base-chinese")
    try:
        encoder, info = BertModel.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, output_loading_info=True
        )
    except Exception as error:
        raise CourseError(f"读不了 {folder} 里的权重，文件可能不完整：{error}", again) from error
    missing = sorted(key for key in info["missing_keys"] if not key.startswith("pooler."))
    if missing:
        raise CourseError(f"{folder} 缺少 {len(missing)} 个权重，如 {missing[0]}", again)
    return encoder


def licence_of(name):
    return {"bert-base-chinese": "apache-2.0", "tiny-bert-chinese": "mit"}.get(name)


def fingerprint(encoder: BertModel, tokenizer: BertTokenizer) -> str:
    digest = hashlib.sha256()
    digest.update(encoder.config.to_json_string().encode("utf-8"))
    digest.update(str(encoder.dtype).encode("utf-8"))
    rules = json.loads(tokenizer.backend_tokenizer.to_str())
    rules["truncation"] = rules["padding"] = None
    digest.update(json.dumps(rules).encode("utf-8"))
    for name, tensor in encoder.state_dict().items():
        digest.update(name.encode("utf-8"))
        digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
