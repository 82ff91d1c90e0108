"""params/ 里的每一个文件，都在这里写、在这里读

不是一课。train.py、finetune.py 用 `Checkpoints` 存，别的脚本用 `load_trained` 读回来。
文件都是先写成临时名字、写完才换上正式的名字，中途断电、Ctrl-C 不会留下半个文件。
"""

import io
import json
import time
from pathlib import Path

import matplotlib
import torch
from transformers import BertTokenizer

from course.columns import DataSource
from course.errors import CourseError
from course.files import atomic_write, file_sha256, remove
from course.fonts import chinese_font
from course.models import find_model, fingerprint, load_tokenizer
from course.paths import PARAMS, command, portable
from my_dataset import MyDataset
from net import DEVICE, Model

WEIGHTS = PARAMS / "best.pth"  # 别的脚本默认读它
TRAIN = command("demo02_sentiment/train.py")  # 报错时告诉学员的下一步
PRINT_SECONDS = 0.5  # 一轮只要几十毫秒时，隔半秒打印一行，不刷屏


class Checkpoints:
    """一次训练存下的全部东西；用法：

        with Checkpoints(folder, patience, settings) as checkpoints:
            for epoch in …:
                …
                if checkpoints.save(model, loss, 训练精度, 验证精度):
                    break

    每轮存一个 {轮次}bert.pth，最好的一轮另存 best.pth，并在 run.json 里记下它和 settings
    （`describe` 的结果）。出 with 时写 log.csv 和 curve.png；按 Ctrl-C 也会走到那里。
    """

    def __init__(self, folder: Path, patience: int, settings: dict):
        self.folder, self.patience, self.settings = folder, patience, settings
        self.history: list[dict] = []
        self.best = {"epoch": -1, "validation_accuracy": -1.0}
        self.printed = 0.0

    def __enter__(self) -> "Checkpoints":
        self.started = time.perf_counter()
        return self

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
        if epoch == 0:  # 真要写新权重了，才清掉上一次训练留下的，免得两次混在一起
            for old in self.folder.glob("*bert.pth"):
                remove(old)
        save_weights(model, self.folder / f"{epoch}bert.pth")
        if validation_accuracy > self.best["validation_accuracy"]:
            self.best = row
            best = self.folder / "best.pth"
            save_weights(model, best)
            # 权重的指纹写在 run.json 里：两个文件不是一对（断电）、坏了一个字节，读的人都认得出
            record = self.settings | {"best": row, "best_sha256": file_sha256(best)}
            text = json.dumps(record, ensure_ascii=False, indent=2)
            with atomic_write(self.folder / "run.json") as temporary:
                temporary.write_text(text + "\n", encoding="utf-8")
        self.history.append(row)
        stop = bool(self.patience) and epoch - self.best["epoch"] >= self.patience
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

    def __exit__(self, kind, error, trace) -> bool:
        stopped = kind is KeyboardInterrupt and bool(self.history)
        if kind is not None and not stopped:
            return False  # 别的错误，或一轮都没跑完就 Ctrl-C：照常抛出
        if stopped:
            print(f"\n收到 Ctrl-C，停在轮次 {self.history[-1]['epoch']}，它的权重已存好")
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
            f"\n下一步：{command('demo02_sentiment/evaluate.py', flags)}，在测试集上考最后一次"
        )
        return True


def describe(model: Model, tokenizer: BertTokenizer, dataset: MyDataset, **settings) -> dict:
    """run.json 的内容：哪个 BERT、哪份数据（各带 SHA-256，用来认）、标签名字，和训练的设置"""
    return {
        "model": portable(Path(model.encoder.name_or_path)),
        "encoder_sha256": fingerprint(model.encoder, tokenizer),
        "data": portable(dataset.source),
        "columns": dataset.columns,
        "data_sha256": dataset.sha256,
        "label_names": dataset.label_names,
        "max_length": tokenizer.model_max_length,
        **settings,
    }


def check_writable(folder: Path) -> None:
    """训练前先确认权重写得进去，免得算了半天才发现；写不进去时抛 CourseError"""
    probe = folder / ".writable"
    with atomic_write(probe) as temporary:
        temporary.write_text("ok", encoding="utf-8")
    remove(probe)


def save_weights(model: Model, path: Path) -> None:
    """把要训练的那部分参数存成 .pth：冻结时只有 fc，几 KB；放开了哪些层，就连它们一起存"""
    learned = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    state = {name: t.cpu() for name, t in model.state_dict().items() if name in learned}
    buffer = io.BytesIO()
    torch.save(state, buffer)
    with atomic_write(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def load_weights(model: Model, path: Path) -> None:
    """把 .pth 读进 model；文件没有、坏了、和模型对不上时抛 CourseError"""
    retrain = f"{TRAIN} 重新训练，或用 --weights 换一个 .pth"
    if not path.is_file():
        raise CourseError(f"找不到权重 {path}", f"先训练：{TRAIN}")
    try:
        # weights_only=True：只读张量，不执行文件里夹带的代码
        state = torch.load(path, map_location="cpu", weights_only=True)
        wanted = model.state_dict()
        fits = {"fc.weight", "fc.bias"} <= set(state) <= set(wanted) and all(
            state[name].shape == wanted[name].shape for name in state
        )
    except Exception as error:  # 不是 .pth、不完整、夹带代码：各有各的异常
        raise CourseError(f"{path} 不是能用的权重文件", retrain) from error
    if not fits:
        shapes = "，".join(f"{name} {tuple(t.shape)}" for name, t in state.items())
        raise CourseError(
            f"{path} 和模型对不上：文件里是 {shapes}，模型的 fc.weight 是"
            f" {tuple(model.fc.weight.shape)}",
            retrain,
        )
    model.load_state_dict(state, strict=False)  # 文件里没有的（冻结的层）保持原样


def load_trained(weights: Path) -> tuple[Model, BertTokenizer, dict]:
    """读回训练好的分类器：(model, 分词器, run.json 的内容)，model 已在 DEVICE 上、评估模式

    冻结的、微调过的都一样读：.pth 里有哪些层，就换上哪些层。
    BERT 和训练时不是同一个时抛 CourseError，因为 .pth 只认得它训练时接着的那个。
    """
    path = weights.parent / "run.json"
    retrain = f"{TRAIN} 重新训练"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        folder = find_model(record["model"])
        model = Model(folder, len(record["label_names"]))
        tokenizer = load_tokenizer(folder, record["max_length"])
        encoder_sha256 = record["encoder_sha256"]
    except FileNotFoundError as error:
        if not any(weights.parent.glob("*.pth")):
            raise CourseError(f"还没有训练过：{weights.parent} 里没有权重", TRAIN) from error
        raise CourseError(f"找不到 {path}，不知道权重是怎么训练的", retrain) from error
    except (ValueError, KeyError, TypeError) as error:
        raise CourseError(f"{path} 已损坏", retrain) from error
    if fingerprint(model.encoder, tokenizer) != encoder_sha256:
        raise CourseError(f"{folder} 和训练 {weights} 时用的 BERT 不是同一个", retrain)
    load_weights(model, weights)
    written = record.get("best_sha256")
    if weights.name == "best.pth" and written and file_sha256(weights) != written:
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
    if dataset.sha256 != record["data_sha256"]:
        raise CourseError(
            f"{dataset.source} 的内容和训练时的不一样了，在它上面的成绩说明不了这份权重",
            f"{TRAIN} 用现在的数据重新训练，或换回训练时的数据",
        )
    return dataset


def draw_curve(history: list[dict], path: Path) -> None:
    """把每轮的 loss、训练精度、验证精度画成一张图"""
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
