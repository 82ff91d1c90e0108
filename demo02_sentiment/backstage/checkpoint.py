"""不是一课  params/ 里的每一个文件，都在这里写、在这里读

train 和几课微调用 `Checkpoints` 存，别的脚本用 `load_trained` 读回来。
文件都是先写成临时名字、写完才换上正式的名字，中途断电、Ctrl-C 不会留下半个文件。
best.pth 和 run.json 是一对，换它们分三步：新的权重先写成 best.next.pth，再换 run.json（里面有新
权重的 SHA-256），最后把 best.next.pth 改名成 best.pth。停在哪一步，读的人都按 run.json 里的 SHA-256
挑出和它配对的那一个：不是旧的一对，就是新的一对。
"""

import hashlib
import io
import math
import time
import zipfile
from contextlib import ExitStack
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase

from course.columns import DataSource
from course.encoding import POOLINGS
from course.errors import CourseError
from course.files import atomic_write, only_one, read_json, remove, rename, write_json
from course.fonts import chinese_font
from course.models import find_model, fingerprint, load_tokenizer
from course.paths import PARAMS, command, portable
from my_dataset import MyDataset
from net import DEVICE, Model

WEIGHTS = PARAMS / "best.pth"  # 别的脚本默认读它
TRAIN = command("demo02_sentiment/train.py")  # 报错时告诉学员的下一步
PRINT_SECONDS = 0.5  # 一轮只要几十毫秒时，隔半秒打印一行，不刷屏
SAVE_SECONDS = 1.0  # 同样，隔一秒才存一次接着训练要的东西；一轮超过一秒就每轮存
RESUME = "resume.pth"  # 接着训练（--resume）要的东西，训练完就删掉


class Checkpoints:
    """一次训练存下的全部东西；用法：

        with Checkpoints(folder, patience, settings) as checkpoints:
            for epoch in checkpoints.epochs(最多几轮, model, {"optimizer": optimizer, …}):
                …
                if checkpoints.save(model, loss, 训练精度, 验证精度):
                    break

    每轮存一个 {轮次}bert.pth，最好的一轮另存 best.pth，并在 run.json 里记下它和 settings
    （`describe` 的结果）。出 with 时写 log.csv 和 curve.png；按 Ctrl-C 也会走到那里。

    resume=True 接着上次停在半路的训练，结果和没有停过一样；settings 和那次不同时抛 CourseError。
    同一个 folder 同时只许有一次训练，第二次抛 CourseError。
    """

    def __init__(self, folder: Path, patience: int, settings: dict, resume: bool = False):
        self.folder, self.patience, self.settings = folder, patience, settings
        self.resume = resume
        self.history: list[dict] = []
        self.best = {"epoch": -1, "validation_accuracy": -1.0}
        self.printed = self.kept = 0.0

    def __enter__(self) -> "Checkpoints":
        self.alone = ExitStack()
        self.alone.enter_context(only_one(self.folder))
        self.started = time.perf_counter()
        return self

    @property
    def out_of_patience(self) -> bool:
        """连续 patience 轮没有进步了没有；0 = 永不"""
        waited = len(self.history) - 1 - self.best["epoch"]
        return bool(self.patience) and waited >= self.patience

    def epochs(self, count: int, model: Model, parts: dict) -> range:
        """还要跑哪几轮：从头来是 0 … count - 1，接着训练就从停下的那一轮之后开始

        parts 是权重之外还会变的东西 {名字: 优化器、学习率的安排、打乱顺序的随机数}。
        """
        self.parts = parts
        if self.resume:
            self.restore(model)
        self.started = time.perf_counter()
        return range(len(self.history), 0 if self.out_of_patience else count)

    def save(
        self, model: Model, loss: float, train_accuracy: float, validation_accuracy: float
    ) -> bool:
        """一轮结束：存权重，打印一行；返回该不该停（连续 patience 轮没有进步，0 = 永不）"""
        epoch = len(self.history)
        row = {
            "epoch": epoch,
            "loss": loss,
            "train_accuracy": train_accuracy,
            "validation_accuracy": validation_accuracy,
            "seconds": time.perf_counter() - self.started,
        }
        if epoch == 0:  # 真要写新权重了，才清
            self.clear()
        data = to_bytes(learned(model))
        if validation_accuracy > self.best["validation_accuracy"]:
            self.replace_best(row, data)
        with atomic_write(self.folder / f"{epoch}bert.pth", durable=False) as temporary:
            temporary.write_bytes(data)
        self.history.append(row)
        if epoch == 0 or time.perf_counter() - self.kept > SAVE_SECONDS:
            self.keep(model)
        stop = self.out_of_patience
        if stop or epoch in (0, self.settings["epochs"] - 1) or self.quiet_for_long():
            seconds = row["seconds"]
            spent = f"{seconds:.0f} 秒" if seconds >= 10 else f"{seconds * 1000:.0f} 毫秒"
            print(
                f"轮次 {epoch}  loss {loss:.4f}  训练精度 {train_accuracy:.3f}"
                f"  验证精度 {validation_accuracy:.3f}  {spent}"
            )
            self.printed = time.perf_counter()
        if stop:
            print(f"连续 {self.patience} 轮没有超过最好成绩，提前停止")
        self.started = time.perf_counter()
        return stop

    def quiet_for_long(self) -> bool:
        return time.perf_counter() - self.printed > PRINT_SECONDS

    def clear(self) -> None:
        """清掉上一次训练留下的，免得两次混在一起；best.pth 和 run.json 留着，等新的来换"""
        finish_pair(self.folder)
        for name in (RESUME, "log.csv", "curve.png"):
            remove(self.folder / name)
        for old in self.folder.glob("*bert.pth"):
            remove(old)

    def replace_best(self, row: dict, data: bytes) -> None:
        """换上新的 best.pth（内容是 data）和 run.json（最好的一轮是 row）；三步见文件开头"""
        with atomic_write(self.folder / "best.next.pth") as temporary:
            temporary.write_bytes(data)
        found = {"best": row, "best_sha256": hashlib.sha256(data).hexdigest()}
        write_json(self.folder / "run.json", self.settings | found)
        finish_pair(self.folder)
        self.best = row

    def keep(self, model: Model) -> None:
        """存接着训练要的全部东西：少一样，接出来的就不是同一次训练"""
        numbers = [torch.get_rng_state()]  # dropout 丢掉谁，由这串随机数定
        if DEVICE.type != "cpu":
            numbers.append(torch.get_device_module(DEVICE).get_rng_state())
        state = {
            "settings": self.settings | {"patience": self.patience},
            "history": self.history,
            "weights": learned(model),
            "parts": {
                name: part.get_state() if isinstance(part, torch.Generator) else part.state_dict()
                for name, part in self.parts.items()
            },
            "random": numbers,
        }
        with atomic_write(self.folder / RESUME) as temporary:
            temporary.write_bytes(to_bytes(state))
        self.kept = time.perf_counter()

    def restore(self, model: Model) -> None:
        """把 `keep` 存的读回来，回到那一轮刚结束的样子；没有、坏了、设置不同时抛 CourseError"""
        path = self.folder / RESUME
        restart = "去掉 --resume，从头训练"
        if not path.is_file():
            raise CourseError(f"{self.folder} 里没有停在半路的训练", restart)
        try:
            state = from_bytes(path.read_bytes())
            before, self.history = state["settings"], state["history"]
            now = self.settings | {"patience": self.patience}
            # 搬了地方不要紧，模型和数据的内容各有 SHA-256
            changed = [
                name
                for name in before | now
                if before.get(name) != now.get(name) and name not in ("model", "data")
            ]
            if not changed:
                best = max(self.history, key=lambda row: row["validation_accuracy"])
                data = (self.folder / f"{best['epoch']}bert.pth").read_bytes()
                from_bytes(data)
                model.load_state_dict(state["weights"], strict=False)
                for name, part in self.parts.items():
                    if isinstance(part, torch.Generator):
                        part.set_state(state["parts"][name])
                    else:
                        part.load_state_dict(state["parts"][name])
                torch.set_rng_state(state["random"][0])
                if DEVICE.type != "cpu":
                    torch.get_device_module(DEVICE).set_rng_state(state["random"][1])
        except Exception as error:  # 坏法很多，异常没有共同的类型
            raise CourseError(f"{path} 坏了，接不上", restart) from error
        if changed:
            raise CourseError(
                f"停在半路的训练，{'、'.join(changed)} 和现在的不一样，接不上",
                f"用那一次的参数加 --resume，或者{restart}",
            )
        for old in self.folder.glob("*bert.pth"):  # 存了之后又跑的几轮，会原样再跑出来
            number = old.name.removesuffix("bert.pth")
            if number.isdecimal() and int(number) >= len(self.history):
                remove(old)
        self.replace_best(best, data)
        print(f"接着训练：轮次 {len(self.history) - 1} 已经跑完")

    def __exit__(self, kind, error, trace) -> bool:
        with self.alone:  # 最后松开锁
            stopped = kind is KeyboardInterrupt and bool(self.history)
            if kind is not None and not stopped:
                return False  # 别的错误，或一轮都没跑完就 Ctrl-C：照常抛出
            if stopped:
                print(
                    f"\n收到 Ctrl-C，停在轮次 {self.history[-1]['epoch']}，它的权重已存好；"
                    "同样的命令加上 --resume 就接着训练"
                )
            self.report()
            if not stopped:
                remove(self.folder / RESUME)  # 训练完了，没有什么可接的
        return True

    def report(self) -> None:
        """写 log.csv，画 curve.png，打印最好的一轮"""
        rows = [",".join(map(str, row.values())) for row in self.history]
        with atomic_write(self.folder / "log.csv") as temporary:
            text = "\n".join([",".join(self.history[0]), *rows])
            temporary.write_text(text + "\n", encoding="utf-8")
        draw_curve(self.history, self.folder / "curve.png")
        best = self.folder / "best.pth"
        flags = "" if best.resolve() == WEIGHTS else f'--weights "{best}"'
        print(
            f"\n最好的一轮是 {self.best['epoch']}，"
            f"验证精度 {self.best['validation_accuracy']:.4f}"
            f"\n权重 {best}，曲线 {self.folder / 'curve.png'}"
            f"\n下一步：{command('demo02_sentiment/07_evaluate.py', flags)}，在测试集上考最后一次"
        )


def describe(
    model: Model, tokenizer: PreTrainedTokenizerBase, dataset: MyDataset, **settings
) -> dict:
    """run.json 的内容：哪个 BERT、哪份数据（各带 SHA-256，用来认）、标签名字，和训练的设置"""
    return {
        "model": portable(Path(model.encoder.name_or_path)),
        "encoder_sha256": fingerprint(model.encoder, tokenizer),
        "data": portable(dataset.origin.source),
        "columns": dataset.origin.columns,
        "data_sha256": dataset.origin.sha256,
        "label_names": dataset.label_names,
        "max_length": tokenizer.model_max_length,
        "pooling": model.pooling,
        **settings,
    }


def check_writable(folder: Path) -> None:
    """训练前先确认权重写得进去，免得算了半天才发现；写不进去时抛 CourseError"""
    probe = folder / ".writable"
    with atomic_write(probe) as temporary:
        temporary.write_text("ok", encoding="utf-8")
    remove(probe)


def learned(model: Model) -> dict[str, torch.Tensor]:
    """要训练的那部分参数 {名字: 张量}，在 CPU 上：冻结时只有 fc；放开了哪些层，就连它们一起"""
    names = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    return {name: t.cpu() for name, t in model.state_dict().items() if name in names}


def to_bytes(state: dict) -> bytes:
    """.pth 文件的内容；它其实是个 zip，里面每个张量都带着校验码（CRC）"""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def from_bytes(data: bytes) -> dict:
    """`to_bytes` 的反方向；坏了抛的异常各式各样

    torch.load 不看校验码，坏了一个字节照样读出来，所以先用 zipfile 核对一遍。
    weights_only=True：只读张量，不执行文件里夹带的代码。
    """
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        if damaged := file.testzip():
            raise ValueError(damaged)
    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def save_weights(model: Model, path: Path) -> None:
    """把要训练的那部分参数存成 .pth：只有 fc 时几 KB"""
    with atomic_write(path) as temporary:
        temporary.write_bytes(to_bytes(learned(model)))


def load_weights(model: Model, path: Path, data: bytes | None = None) -> None:
    """把 .pth 读进 model；文件没有、坏了、和模型对不上时抛 CourseError

    data 是已经读出来的内容，不给就读 path。
    """
    retrain = f"{TRAIN} 重新训练，或用 --weights 换一个 .pth"
    if data is None and not path.is_file():
        raise CourseError(f"找不到权重 {path}", f"先训练：{TRAIN}")
    try:
        state = from_bytes(path.read_bytes() if data is None else data)
        wanted = model.state_dict()
        fits = {"fc.weight", "fc.bias"} <= set(state) <= set(wanted) and all(
            state[name].shape == wanted[name].shape for name in state
        )
        finite = all(bool(t.isfinite().all()) for t in state.values())
    except Exception as error:  # 不是 .pth、不完整、夹带代码：各有各的异常
        raise CourseError(f"{path} 坏了，或者不是能用的权重文件", retrain) from error
    if not fits:
        shapes = "，".join(f"{name} {tuple(t.shape)}" for name, t in state.items())
        raise CourseError(
            f"{path} 和模型对不上：文件里是 {shapes}，模型的 fc.weight 是"
            f" {tuple(model.fc.weight.shape)}",
            retrain,
        )
    if not finite:
        raise CourseError(f"{path} 里有 nan 或 inf，多半是学习率太大，训练坏了", retrain)
    model.load_state_dict(state, strict=False)  # 文件里没有的（冻结的层）保持原样


def read_record(folder: Path) -> dict:
    """run.json 的内容；没有、坏了、少了该有的时抛 CourseError"""
    path = folder / "run.json"
    retrain = f"{TRAIN} 重新训练"
    # 先看权重：run.json 总比它们先写好，正在训练时才不会看岔
    trained = any(old.name != "best.next.pth" for old in folder.glob("*.pth"))
    try:
        record = read_json(path)
        names, best = record["label_names"], record["best"]
        columns = record.get("columns", [None, None])  # 指定过的两列
        sound = (
            all(isinstance(record[name], str) for name in ("model", "encoder_sha256"))
            and isinstance(record["data"], str | None)
            and all(
                isinstance(record.get(name, ""), str) for name in ("data_sha256", "best_sha256")
            )
            and isinstance(names, list)
            and all(isinstance(name, str) for name in names)
            and len(set(names)) == len(names) > 0
            and all(type(number) is int for number in (record["max_length"], record["seed"]))
            and record["max_length"] >= 3
            and type(best["epoch"]) is int
            and math.isfinite(best["validation_accuracy"])
            and isinstance(record.get("unfreeze", 0), int | str)
            and record.get("pooling", "cls") in POOLINGS
            and all(isinstance(column, str | None) for column in columns)
            and len(columns) == 2
        )
        if not sound:
            raise ValueError("类型不对")
    except FileNotFoundError as error:
        if not trained:
            raise CourseError(f"还没有训练过：{folder} 里没有权重", TRAIN) from error
        raise CourseError(f"找不到 {path}，不知道权重是怎么训练的", retrain) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CourseError(f"{path} 已损坏", retrain) from error
    return record


def read_pair(weights: Path) -> tuple[dict, bytes | None]:
    """run.json 的内容，和与它配对的权重文件的内容；没有配得上的，后一个是 None

    正在训练时两个文件随时会换，所以没有配上就再读一遍 run.json，看它是不是刚刚换了。
    """
    while True:
        record = read_record(weights.parent)
        written = record.get("best_sha256")
        if weights.name != "best.pth" or not written:  # 别的 .pth 靠自己的校验码
            found = weights.read_bytes() if weights.is_file() else None
        else:
            found = None
            # 先看 best.next.pth：它不在了，就是已经换成了 best.pth；反过来会两头落空
            for path in (weights.with_name("best.next.pth"), weights):
                try:
                    data = path.read_bytes()
                except FileNotFoundError:
                    continue
                if hashlib.sha256(data).hexdigest() == written:
                    return record, data
        if read_record(weights.parent) == record:
            return record, found


def finish_pair(folder: Path) -> None:
    """换 best.pth 和 run.json 停在了半路的，换完它；没有停在半路的，什么也不做"""
    following = folder / "best.next.pth"
    if not following.is_file():
        return
    try:
        written = read_json(folder / "run.json").get("best_sha256")
    except (OSError, ValueError):
        written = None
    if hashlib.sha256(following.read_bytes()).hexdigest() == written:
        rename(following, folder / "best.pth")
    else:  # run.json 还没有换，旧的一对是好的
        remove(following)


def load_trained(weights: Path) -> tuple[Model, PreTrainedTokenizerBase, dict]:
    """读回训练好的分类器：(model, 分词器, run.json 的内容)，model 已在 DEVICE 上、评估模式

    冻结的、微调过的都一样读：.pth 里有哪些层，就换上哪些层。
    BERT 和训练时不是同一个时抛 CourseError，因为 .pth 只认得它训练时接着的那个。
    """
    retrain = f"{TRAIN} 重新训练"
    record, data = read_pair(weights)
    folder = find_model(record["model"])
    # 从前训练的没有记 pooling，都是 [CLS]
    model = Model(folder, len(record["label_names"]), record.get("pooling", "cls"))
    tokenizer = load_tokenizer(folder, record["max_length"])
    if fingerprint(model.encoder, tokenizer) != record["encoder_sha256"]:
        raise CourseError(f"{folder} 和训练 {weights} 时用的 BERT 不是同一个", retrain)
    load_weights(model, weights, data)
    if data is None:
        raise CourseError(f"{weights} 坏了，或者和 run.json 不是同一次训练的", retrain)
    return model.to(DEVICE).eval(), tokenizer, record


def recorded_data(record: dict) -> DataSource:
    """训练时用的那份数据，和指定过的两列"""
    return DataSource(record["data"], *record.get("columns", (None, None)))


def same_data(record: dict, split: str) -> MyDataset:
    """训练时那份数据的一份；内容变了、记录里没有写，都抛 CourseError，免得考错了卷子"""
    if "data_sha256" not in record:
        raise CourseError(
            "run.json 里没有记数据的 SHA-256，是旧版课程训练的，认不出是哪份数据",
            f"{TRAIN} 重新训练（只要几秒），或用 --data 指明",
        )
    dataset = MyDataset(split, recorded_data(record))
    if dataset.origin.sha256 != record["data_sha256"]:
        raise CourseError(
            f"{dataset.origin.source} 的内容和训练时的不一样了，在它上面的成绩说明不了这份权重",
            f"{TRAIN} 用现在的数据重新训练，或换回训练时的数据",
        )
    return dataset


def draw_curve(history: list[dict], path: Path) -> None:
    """把每轮的 loss、训练精度、验证精度画成一张图"""
    import matplotlib  # 画图时才要，08_predict.py、09_serve.py 不为它等

    matplotlib.use("Agg")  # 只存文件，不开窗口，没有显示器也能画
    from matplotlib import pyplot as plt

    epochs = [row["epoch"] for row in history]
    best = max(history, key=lambda row: row["validation_accuracy"])["epoch"]
    with plt.rc_context({"font.family": [chinese_font(), "DejaVu Sans"]}):
        figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
        left.plot(epochs, [row["loss"] for row in history], color="tab:red")
        left.set(title="训练 loss", xlabel="轮次", ylabel="交叉熵")
        right.plot(epochs, [row["train_accuracy"] for row in history], label="训练")
        right.plot(epochs, [row["validation_accuracy"] for row in history], label="验证")
        right.axvline(best, color="gray", linestyle=":", label=f"最好的一轮 {best}")
        right.set(title="精度", xlabel="轮次", ylabel="精度")
        right.legend()
        for axes in (left, right):
            axes.grid(alpha=0.3)
        with atomic_write(path) as temporary:
            figure.savefig(temporary, format="png", dpi=120)
        plt.close(figure)
