"""不是一课  找模型、读模型和分词器：只看本地文件夹，从不联网"""

import hashlib
import inspect
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from huggingface_hub.utils.sha import git_hash
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import (
    MODEL_MAPPING,
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    BertTokenizer,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from course.errors import CourseError
from course.files import file_sha256
from course.paths import MODELS, ROOT, command

MODEL_TYPE = '"model_type": "bert",'  # 老的 config.json 里没有这一行
AGAIN = "换一个文件夹，或重新下载这个模型（见 models/README.md）"
M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class RealModel:
    """一个真模型，和没下载它时顶替它的小模型

    name 是 Hub 上的全名；aliases 是还在用的别的名字；stand_in 是 models/ 里顶替它的文件夹；
    download 是下载它的脚本；licence 是模型卡上的许可证，没写就是 None；
    on_modelscope 是魔搭上有没有同名的仓库。
    """

    name: str
    aliases: tuple[str, ...]
    stand_in: str
    download: str
    licence: str | None
    on_modelscope: bool

    @property
    def names(self) -> tuple[str, ...]:
        """所有的名字，从短到长"""
        return (*self.aliases, self.name)


REAL_MODELS = (
    RealModel(
        "google-bert/bert-base-chinese",
        ("bert-base-chinese",),  # 从前的名字，官方后来把它挪到了 google-bert 名下
        "tiny-bert-chinese",
        "demo01_hf_basics/05_download_bert.py",
        "apache-2.0",
        on_modelscope=True,
    ),
    RealModel(
        "uer/gpt2-chinese-cluecorpussmall",
        (),
        "tiny-gpt2-chinese",
        "demo01_hf_basics/03_download_gpt2.py",
        None,
        on_modelscope=False,  # 没有查到
    ),
)
STAND_IN_LICENCE = "mit"  # 随仓库的小模型都是


def real_model(name: str) -> RealModel | None:
    """名字（全名或别名）→ 表里的那一行，不在表里就是 None"""
    return next((model for model in REAL_MODELS if name in model.names), None)


def model_name(folder: str | Path) -> str:
    """模型文件夹 → 给人看的名字，如 models/models--组织--名字/snapshots/版本号 → 组织/名字

    别的文件夹就是它自己的名字；给一个模型名，原样返回它的最后一段。
    """
    path = Path(folder)
    if path.parent.name == "snapshots":
        return path.parent.parent.name.removeprefix("models--").replace("--", "/", 1)
    return path.name


def licence_of(folder: str | Path) -> str | None:
    """模型文件夹（或名字）→ 许可证，如 "apache-2.0"；不认识的、模型卡没写的是 None"""
    name = model_name(folder).split("/")[-1]
    for model in REAL_MODELS:
        if name == model.stand_in:
            return STAND_IN_LICENCE
        if name == model.name.split("/")[-1]:
            return model.licence
    return None


# 1. 找文件夹


def cache_folder(name: str) -> Path:
    """from_pretrained(name, cache_dir="models") 把模型放在哪：models/models--组织--名字"""
    return MODELS / f"models--{name.replace('/', '--')}"


def has_weights(folder: Path) -> bool:
    """文件夹里有没有权重文件：新格式 .safetensors，或旧格式 .bin"""
    return any(folder.glob("*.safetensors")) or any(folder.glob("pytorch_model*.bin"))


def downloaded(name: str) -> list[Path]:
    """名为 name 的模型下载后可能在的文件夹：models/名字，或 cache_dir 的 snapshots 结构"""
    model = real_model(name)
    names = model.names if model else (name,)
    folders = [MODELS / each for each in names]
    for each in names:
        folders += sorted((cache_folder(each) / "snapshots").glob("*"))
    return [folder for folder in folders if (folder / "config.json").is_file()]


def find_model(name: str) -> Path:
    """名字或路径 → 装着 config.json 和权重的文件夹，绝不联网

    顺序：你给的文件夹 → models/ 里下载好的 → 随仓库的小模型（会打印一行说明）。
    找不到、文件夹不对时抛 CourseError。
    """
    for folder in (Path(name), ROOT / name):
        if folder.is_dir():
            return check_folder(folder.resolve())
    for folder in downloaded(name):
        if has_weights(folder):
            return folder
        print(f"注意：{folder} 里没有权重文件，下载可能中断了，先跳过它")
    if model := real_model(name):
        print(
            f"模型：models/ 里还没有 {model.names[0]}，先用随仓库的小模型 {model.stand_in}"
            f"（换成真的：{command(model.download)}）"
        )
        return check_folder(MODELS / model.stand_in)
    if (MODELS / name / "config.json").is_file():
        return check_folder(MODELS / name)
    raise CourseError(
        f"找不到模型 {name}：它既不是文件夹，也不在 models/ 里",
        "去掉 --model 用默认的（没下载也能用），或给出装着 config.json 的文件夹",
    )


def check_folder(folder: Path) -> Path:
    """确认 folder 真是一个完整的模型文件夹，原样返回；不是就抛 CourseError"""
    if not (folder / "config.json").is_file():
        if any(folder.glob("*.ckpt*")):
            raise CourseError(
                f"{folder} 里是 TensorFlow 的 BERT（.ckpt），PyTorch 读不了",
                command("demo01_hf_basics/05_download_bert.py") + "，下载 PyTorch 的",
            )
        if (folder / "bert_config.json").is_file():  # 2019 年前后的教程这样放
            raise CourseError(
                f"{folder} 的设置叫 bert_config.json，现在叫 config.json",
                f"改名，再在开头的 {{ 后面加一行 {MODEL_TYPE}",
            )
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
    for file in [*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin")]:
        with file.open("rb") as weights:
            if weights.read(30).startswith(b"version https://git-lfs"):
                raise CourseError(
                    f"{file} 只是 Git LFS 的指针，权重还没有下载", "git lfs pull，或重新下载"
                )
    return folder


def damaged(folder: Path) -> list[Path]:
    """文件夹里缺了、坏了的文件：链接指着的文件名就是指纹；没有链接的，只看权重打得开打不开"""
    bad = []
    for path in folder.iterdir():
        blob = path.resolve()
        try:
            if blob.parent.name == "blobs":
                large = len(blob.name) == 64  # 小文件的指纹是 git 的 SHA-1，40 位
                found = file_sha256(blob) if large else git_hash(blob.read_bytes())
                bad += [path] * (found != blob.name)
            elif path.suffix == ".safetensors":
                with safe_open(path, "pt"):
                    pass
        except (OSError, SafetensorError):
            bad.append(path)
    return bad


# 2. 读分词器和权重

# 这些的位置编号从 padding 的 id + 1 数起（RoBERTa 的 514 个位置只够 512 个 token），别的从 0 数起
FROM_PADDING = ("camembert", "mpnet", "roberta", "xlm-roberta")
# 能当编码器的模型，名字是 config.json 里的 model_type：句子的两头都看得见，第 0 个位置是 [CLS]
# （RoBERTa 叫 <s>），补齐多少不影响结果。chinese-roberta-wwm-ext 和 MacBERT 就是 bert，
# multilingual-e5 的 small 是 bert，base、large 是 xlm-roberta
ENCODERS = (
    *("albert", "bert", "deberta-v2", "distilbert", "electra", "ernie", "megatron-bert"),
    *("modernbert", *FROM_PADDING),
)


def read_config(folder: Path) -> PreTrainedConfig:
    """读 config.json；transformers 不认识里面的 model_type、文件坏了，都抛 CourseError"""
    try:
        with quiet():
            return AutoConfig.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
    except Exception as error:  # 和权重文件一样，坏法很多
        if b'"model_type"' not in (folder / "config.json").read_bytes():
            raise CourseError(
                f"{folder / 'config.json'} 没有写 model_type，不知道是什么模型",
                f"是 BERT 的话，在开头的 {{ 后面加一行 {MODEL_TYPE}",
            ) from error
        raise CourseError(f"读不懂 {folder / 'config.json'}，不知道是什么模型", AGAIN) from error


def first_position(config: PreTrainedConfig) -> int:
    """第一个 token 的位置编号：BERT 是 0，RoBERTa 一家是 padding 的 id + 1，也就是 2"""
    return config.pad_token_id + 1 if config.model_type in FROM_PADDING else 0


def tokenizer_class(folder: Path, kind: str) -> type:
    """文件夹里是哪一种分词器；kind 是 model_type

    中文的 GPT-2、ALBERT、DeBERTa 多半用 BERT 的 vocab.txt，又不写分词器是哪一类；AutoTokenizer 这时
    只看模型的种类，会选错。MPNet 也有 vocab.txt，开头却是 <s>；PhoBERT 的还要配 bpe.codes。
    """
    if kind not in ENCODERS:
        return BertTokenizer
    wordpiece = (folder / "vocab.txt").is_file() and not (folder / "bpe.codes").is_file()
    return BertTokenizer if wordpiece and kind != "mpnet" else AutoTokenizer


def load_tokenizer(folder: Path, max_length: int | None = None) -> PreTrainedTokenizerBase:
    """读分词器，并核对字典大小；max_length 是 truncation=True 时最多留几个 token

    max_length 记在 tokenizer.model_max_length 里，跟着分词器走；不给就用文件夹里写的，但不超过
    模型的位置个数（文件夹里没写时，transformers 填的是一个天文数字）。

    `BertTokenizer.from_pretrained` 有个陷阱：文件夹里没有字典时它不报错，悄悄给一个只有
    5 个 token 的空字典，句子全变成 [UNK]。所以和 config.json 的 vocab_size 对一遍，
    不一致就抛 CourseError；max_length 超过模型的位置编码个数时也抛。
    """
    config = read_config(folder)
    kind = config.model_type
    reader = tokenizer_class(folder, kind)
    try:
        with quiet():
            tokenizer = reader.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
    except Exception as error:  # 分词器的文件坏法很多，各库的异常没有共同的类型
        raise CourseError(
            f"读不了 {folder} 里的分词器，文件可能不全（{type(error).__name__}）", AGAIN
        ) from error
    if not tokenizer.is_fast:
        raise CourseError(
            f"{folder} 的分词器没有 tokenizer.json 这样的快写法，课程用不了", "--model 换一个模型"
        )
    # BERT 和中文 GPT-2 的 vocab_size 就是字典的行数；别的模型会往上凑一个整数，多出几行没有人用
    exact = reader is BertTokenizer and kind in ("bert", "gpt2")
    spare = 0 if exact else config.vocab_size // 100
    if not 0 <= config.vocab_size - len(tokenizer) <= spare:
        raise CourseError(
            f"{folder} 的字典只有 {len(tokenizer)} 个 token，config.json 说应有"
            f" {config.vocab_size} 个，多半是 vocab.txt 缺失或不完整",
            f"补上 {folder / 'vocab.txt'}，或重新下载这个模型（见 models/README.md）",
        )
    limit = config.max_position_embeddings - first_position(config)
    if max_length is not None and max_length > limit:
        raise CourseError(
            f"max_length {max_length} 超过了这个 BERT 的上限 {limit}", f"--max-length {limit}"
        )
    tokenizer.model_max_length = max_length or min(tokenizer.model_max_length, limit)
    if kind in ENCODERS:
        fit_to_encoder(tokenizer, config)
    return tokenizer


def fit_to_encoder(tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig) -> None:
    """分词器和模型说好：给模型要的那几样，补齐在右边，没有补齐用的 token 就借一个

    DistilBERT、ModernBERT 没有 token_type_ids，BERT 的分词器却会给。补齐的位置有 attention_mask
    挡着，填的是哪个 token 都不影响结果。
    """
    wanted = inspect.signature(MODEL_MAPPING[type(config)].forward).parameters
    tokenizer.model_input_names = [name for name in tokenizer.model_input_names if name in wanted]
    tokenizer.padding_side = "right"  # [CLS] 要在第 0 个位置
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.sep_token or tokenizer.eos_token or tokenizer.unk_token


@contextmanager
def quiet() -> Iterator[None]:
    """with quiet(): 里面读模型时，transformers 不打印进度条（Loading weights）、警告和 LOAD REPORT

    LOAD REPORT 是一张表：MISSING 是文件里没有、随机造的权重，UNEXPECTED 是文件里有、这里用不到
    的权重，比如真的 bert-base-chinese 里预训练时的完形填空层 cls.*。出了 with 就恢复原样。
    """
    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def read_weights(
    kind: type[M], folder: Path, may_miss: tuple[str, ...], **options: object
) -> tuple[M, set[str]]:
    """`load_model`，另外给出缺了（所以是随机的）哪些权重"""
    try:
        with quiet():
            model, info = kind.from_pretrained(
                folder,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
                **options,
            )
    except Exception as error:  # 权重文件坏法很多，各库的异常没有共同的类型
        raise CourseError(
            f"读不了 {folder} 里的权重，文件可能不完整（{type(error).__name__}）", AGAIN
        ) from error
    missing = sorted(key for key in info["missing_keys"] if not key.startswith(may_miss))
    if missing:
        raise CourseError(f"{folder} 缺少 {len(missing)} 个权重，如 {missing[0]}", AGAIN)
    return model.eval(), set(info["missing_keys"])


def load_model(kind: type[M], folder: Path, may_miss: tuple[str, ...] = (), **options: object) -> M:
    """kind.from_pretrained(folder, **options)，安静地，一个权重都不缺，评估模式

    from_pretrained 遇到缺的权重会悄悄用随机数补上。这里除了名字以 may_miss 里某一项开头的，
    缺一个就抛 CourseError；文件坏了也抛。
    """
    return read_weights(kind, folder, may_miss, **options)[0]


def load_encoder(folder: Path) -> nn.Module:
    """读一个编码器（ENCODERS 之一）的文件夹，fp32；不是编码器、缺了权重、坏了都抛 CourseError

    AutoModel 看 config.json 的 model_type 选类：bert 就是 BertModel，roberta 就是 RobertaModel……
    只有 pooler.* 可以缺：有的模型不存它，而我们用每个 token 的向量，不用它的输出；缺了就不要它，
    免得随机补上的数让同一个模型每次读出来都不一样。
    """
    config = read_config(folder)
    if config.model_type not in ENCODERS or getattr(config, "is_decoder", False):
        raise CourseError(
            f"{folder} 是 {config.model_type} 模型，本课要的是 BERT 这样的编码器："
            f"{'、'.join(ENCODERS)}",
            "--model bert-base-chinese",
        )
    model, missing = read_weights(AutoModel, folder, ("pooler.",), dtype=torch.float32)
    if missing:
        model.pooler = None
    return model


def encoder_layers(encoder: nn.Module) -> list[nn.Module]:
    """编码器的各层，从下到上；ALBERT 各层共用一份权重，没有各层可言，是空的"""
    for part in encoder.modules():
        if isinstance(part, nn.ModuleList) and len(part) == encoder.config.num_hidden_layers:
            return list(part)
    return []


def fingerprint(encoder: nn.Module, tokenizer: PreTrainedTokenizerBase, old: bool = False) -> str:
    """encoder 的权重、结构、数值类型（dtype）和分词器合起来的 SHA-256：哪个变了，特征就会变

    max_length（model_max_length）不算在内：它只管截到哪里，由用特征的人自己记。old：0.4 以前的
    算法，连 transformers 的版本也算在内，升级一次就变了。
    """
    digest = hashlib.sha256()
    settings = json.loads(encoder.config.to_json_string())
    if not old:
        del settings["transformers_version"]
    digest.update((json.dumps(settings, indent=2, sort_keys=True) + "\n").encode("utf-8"))
    digest.update(str(encoder.dtype).encode("utf-8"))
    rules = json.loads(tokenizer.backend_tokenizer.to_str())
    # 这两项是上一次调用留下的状态，每次调用都会重设，不算分词器本身的规则
    rules["truncation"] = rules["padding"] = None
    digest.update(json.dumps(rules).encode("utf-8"))
    for name, tensor in encoder.state_dict().items():
        digest.update(name.encode("utf-8"))
        digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
