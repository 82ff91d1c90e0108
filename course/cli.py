"""不是一课  每一课共用的：run 运行 main 并读参数，step 打印一步的标题；出错是一句中文和下一步

def main(args):
    step("1. 找到模型")
    folder = find_model(args.model)

if __name__ == "__main__":
    run(main, "data", model=MODEL, then="demo02_sentiment/02_load_dataset.py")
"""

import argparse
import atexit
import errno
import gc
import math
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn, TextIO

from course.errors import CourseError, is_disk_full, is_out_of_memory, look_up
from course.paths import PARAMS, command, portable

# 可选的包，import 的名字：哪一课要用，见 pyproject.toml
OPTIONAL = {"accelerate", "gradio", "modelscope", "onnxruntime", "onnxscript", "peft", "ray"}
NO = ("", "0", "no", "false", "off")  # COURSE_PAUSE 写成这样，就是不等
MOST = 2**32 - 1  # 整数的参数最大多少：随机种子只有 32 位
# argparse 自带的英文报错里学员最常碰到的几句，换成中文
TRANSLATIONS = [
    (r"unrecognized arguments: (.*)", r"不认识的参数 \1"),
    (r"the following arguments are required: (.*)", r"缺少参数 \1"),
    (r"argument (\S+): expected (one|at least one) argument", r"\1 后面要跟一个值"),
    (r"argument (\S+): ignored explicit argument (.*)", r"\1 是开关，后面不能跟值 \2"),
    (r"argument (\S+): invalid choice: (\S+) \(choose from (.*)\)", r"\1 不能是 \2，可选 \3"),
    (r"argument ([^:]+): (.*)", r"\1 \2"),
]


class Parser(argparse.ArgumentParser):
    """和 argparse 一样用，只是报错是中文；脚本开头的 docstring 就是 --help 的说明"""

    def __init__(self, description: str):
        super().__init__(
            prog=f"python {sys.argv[0]}",
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        about = "每一步的标题之后等一个回车，看清了再往下走"
        self.add_argument("--pause", action="store_true", help=about)

    def parse_args(self, *args, **options) -> argparse.Namespace:
        """默认值也照 type 检查：学员改的多半是脚本开头的 EPOCH = 0，不是命令行"""
        for action in self._actions:
            name = "/".join(action.option_strings) or action.dest
            if callable(action.type) and isinstance(action.default, int | float):
                try:
                    action.type(str(action.default))
                except argparse.ArgumentTypeError as error:
                    self.error(f"argument {name}: {error}")
            choices = action.choices or [action.default]
            if isinstance(action.default, str) and action.default not in choices:
                listed = ", ".join(map(repr, choices))
                self.error(
                    f"argument {name}: invalid choice: {action.default!r} (choose from {listed})"
                )
        parsed = super().parse_args(*args, **options)
        step.pause = parsed.pause or os.environ.get("COURSE_PAUSE", "").lower() not in NO
        return parsed

    def error(self, message: str) -> NoReturn:
        dashed = re.search(r"(?<=unrecognized arguments: ).*|(?<=-h/--help: ignored ).*", message)
        next_step = f"{self.prog} --help 看全部参数"
        if dashed and self._get_positional_actions():
            next_step += f"；句子以 - 开头的，写在最后，前面加上 -- 和一个空格：{self.prog} -- -1分"
        for pattern, chinese in TRANSLATIONS:
            if re.fullmatch(pattern, message):
                message = re.sub(pattern, chinese, message)
                break
        raise CourseError(f"参数有误：{message}", next_step)


def at_least(minimum: int | float) -> Callable[[str], int | float]:
    """做一个 argparse 的 type：不小于 minimum 的数；minimum 写成 1 就只收整数，写成 1.0 小数也收"""
    return bounded(type(minimum), f"不小于 {minimum:g}", lambda value: value >= minimum)


def above(minimum: float) -> Callable[[str], float]:
    """做一个 argparse 的 type：大于 minimum 的数"""
    return bounded(type(minimum), f"大于 {minimum:g}", lambda value: value > minimum)


def bounded(kind: type, bound: str, fits: Callable) -> Callable[[str], int | float]:
    name = "整数" if kind is int else "数字"

    def parse(text: str) -> int | float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if kind is int and value > MOST:
            raise argparse.ArgumentTypeError(f"最大 {MOST}，不能是 {text}")
        # nan 和任何数比较都是 False，正好也被挡住
        if not fits(value) or value == math.inf:
            raise argparse.ArgumentTypeError(f"要是{bound} 的{name}，不能是 {text}")
        return value

    return parse


def require(*packages: str) -> None:
    """可选的包都装了没有；缺哪个就抛 CourseError；要哪个版本写 "jieba==0.42.1"，只说不查"""
    absent = [name for name in packages if find_spec(name.split("==")[0]) is None]
    if absent:
        raise missing(absent, packages)


def missing(absent: Sequence[str], packages: Sequence[str]) -> CourseError:
    return CourseError(
        f"这里要用的 {'、'.join(absent)} 没有装（可选的，别的课不用等它）",
        f"python -m pip install {' '.join(packages)}",
    )


def forgive_missing_characters(stream: TextIO | None) -> None:
    """Windows 的 cmd 可能是 GBK：遇到它没有的字符就打问号，而不是崩溃

    IDLE、Jupyter、Spyder 的不是真的终端，没有 reconfigure，也没有这个毛病。
    """
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace")


def weights_file(text: str) -> Path:
    """--weights 的写法：一个 .pth；给的是文件夹，就是里面的 best.pth"""
    path = Path(text)
    return path / "best.pth" if path.is_dir() else path


def layers(text: str) -> int | str:
    """--unfreeze 的写法：不小于 1 的整数，或 all"""
    return "all" if text == "all" else at_least(1)(text)


POSITIONAL = {"texts", "rows"}  # 不用写名字的参数
# 全课程的参数：同一个名字，在哪一课都是同一个意思、同一个范围
FLAGS: dict[str, dict] = {
    "model": {"help": "模型名或文件夹"},
    "params": {"type": Path, "default": PARAMS, "help": "存到哪个文件夹"},
    # 训练
    "epochs": {"type": at_least(1), "help": "最多几轮"},
    "batch_size": {"type": at_least(1), "help": "一批几条"},
    "lr": {
        "type": bounded(float, "大于 0、小于 1000", lambda rate: 0 < rate < 1000),
        "help": "fc 的学习率",
    },
    "patience": {"type": at_least(0), "help": "几轮没有进步就停，0 = 永不"},
    "seed": {"type": at_least(0), "help": "随机种子"},
    "max_length": {"type": at_least(3), "help": "一条评论最多多少个 token"},
    "pooling": {"choices": ("cls", "mean"), "help": "一句话用 [CLS] 还是平均"},
    "class_weight": {"choices": ("none", "balanced"), "help": "各类条数悬殊时用 balanced"},
    "int8": {"help": "特征用 int8 算：快，但是近似的"},
    "subsets": {"type": at_least(1), "help": "每个条数抽几次"},
    "seeds": {"type": at_least(1), "help": "几个随机种子"},
    "rows": {"nargs": "*", "metavar": "行", "help": "只跑这几行，不写就是全部"},
    "test": {"help": "再加一列测试集"},
    "split": {"choices": ("train", "validation", "test"), "help": "查哪一份"},
    "top": {"help": "看最可疑的，不随机抽"},
    # 微调
    "accumulate": {"type": at_least(1), "help": "一批分几份算，省内存，结果不变"},
    "unfreeze": {"type": layers, "help": "放开最后几层，all 是全部放开"},
    "encoder_lr": {"type": above(0.0), "help": "BERT 的学习率，不写就按宽度定"},
    "resume": {"help": "接着停在半路的训练，设置要和那次一样，--epochs 可以改大"},
    "finetune": {"help": "加上全量微调，几十分钟"},
    "experiment": {"help": "只做实验，不打开网页"},
    # 用训练好的
    "weights": {
        "type": weights_file,
        "default": PARAMS / "best.pth",
        "help": "训练好的权重，给文件夹就是里面的 best.pth",
    },
    "labels": {
        "nargs": "+",
        "metavar": "标签",
        "help": "各类叫什么，第 0 类在前，写在命令最后；.pth 里有训练记录的不用写",
    },
    "texts": {"nargs": "*", "metavar": "句子", "help": "一句或几句话；不写就一问一答"},
    "sentence": {"help": "画哪一句"},
    "file": {"type": Path, "help": "没有标签的评论：csv、tsv、txt、json、jsonl、xlsx、parquet"},
    "column": {"help": "评论在哪一列，不写就按列名认；没有列名的写 第1列"},
    "out": {"type": Path, "help": "写到哪里"},
    "onnx": {"help": "用 onnx/model.onnx"},
    # 续写，服务器，下载
    "prompt": {"help": "开头的话"},
    "length": {"type": at_least(1), "help": "续写多少个 token"},
    "device": {"choices": ("auto", "cpu", "cuda"), "help": "在哪里算"},
    "port": {"type": at_least(0), "help": "端口，0 自动挑"},
    "public_url": {"help": "放在 nginx 后面时，别人敲的地址，如 https://example.com/nlp"},
    "gpt": {"help": "续写模型的名字或文件夹"},
    "bert": {"help": "分类模型的名字或文件夹"},
    "full": {"help": "要访问 token、边写边给……的那一个"},
    "token_env": {"help": "环境变量的名字，里面是要求的访问 token（就是 --full）"},
    "endpoint": {"help": "只用这个地址，http:// 或 https:// 开头"},
    "chat_model": {"help": "问 Hub 时的对话模型"},
    "timeout": {"type": above(0.0), "help": "多少秒没有动静就不等了"},
    "repo": {"help": "仓库的全名，组织/名字"},
    "source": {"choices": ("hf", "modelscope", "hf-mirror"), "help": "从哪里下载"},
}


def parse_flags(names: tuple[str, ...], defaults: dict[str, object]) -> argparse.Namespace:
    """run 收到的参数名和默认值 → 命令行上写的；脚本开头的设置改了，--help 里的默认值跟着变"""
    parser = Parser(sys.modules["__main__"].__doc__ or "")
    for name in (*names, *defaults):
        if name == "data":
            from course.columns import add_data_arguments  # 不读数据的课不用等它

            trained = ["默认用训练时的那份"] if "weights" in names else []
            add_data_arguments(parser, *trained)
            continue
        options = FLAGS[name] | ({"default": defaults[name]} if name in defaults else {})
        default = options.get("default")
        if default is False:
            options["action"] = "store_true"
        elif default not in (None, ""):
            shown = portable(default) if isinstance(default, Path) else default
            options["help"] += f"，默认 {shown}"
        flag = name if name in POSITIONAL else f"--{name.replace('_', '-')}"
        parser.add_argument(flag, **options)
    return parser.parse_args()


def step(title: str) -> None:
    """打印一步的标题，例如 step("4. 优化器和损失")；--pause 或 COURSE_PAUSE=1 时先等一个回车"""
    print(f"\n── {title}", flush=True)
    if step.pause:
        print("（按回车）", flush=True)
        with suppress(EOFError, RuntimeError):  # 输入已经到头了、没有地方输入：不等，往下走
            input()


step.pause = False  # 读参数时定：同一个 Python 里接着运行别的脚本（Jupyter、IDLE），各是各的


def say_next(then: str, args: argparse.Namespace, defaults: dict[str, object]) -> None:
    """then 是 "页.md 脚本 --weights --data"：下一步先读哪一页、再运行哪个、带上这次的哪几个参数"""
    pages = re.findall(r"\S+\.md", then)
    script, *carried = [word for word in then.split() if word not in pages]
    words: list[object] = []
    for flag in carried:
        if not flag.startswith("--"):  # 脚本自己的参数，原样
            words.append(flag)
            continue
        name = flag.strip("-").replace("-", "_")
        value = getattr(args, name)
        if value in (None, defaults.get(name, FLAGS.get(name, {}).get("default"))):
            continue
        if flag == "--data":
            words += value.flags()
        else:
            words += [flag, *(value if isinstance(value, list) else [value])]
    first = f"先读 {'、'.join(pages)}，再 " if pages else ""
    print(f"\n下一步：{first}{command(script, *words)}")


def run(
    main: Callable[..., int | None], *names: str, then: str | None = None, **defaults: object
) -> None:
    """运行一课的 main(args)：读命令行的参数，出错时只打印一句话，退出码 1；Ctrl-C 退出码 130

    names、defaults 是这一课有哪些参数（见 FLAGS），后者带着默认值；then 是下一步读哪一页、运行
    哪个脚本，见 say_next。三样都没有，就是 main()，自己读。main 返回的整数是退出码。
    学员能改好的（CourseError、磁盘满、没有权限、缺可选的包……）不甩 traceback；别的错误照常抛出，
    docs/errors.md 里有的，再在下面打印那一行。
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # pythonw 没有控制台，可是进度条总要有个地方写
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):  # 输入不算：认不得的字换成问号，就答错了
        forgive_missing_characters(stream)
    torch = sys.modules.get("torch")
    threads = torch and torch.get_num_threads()  # train.py 会改成 1
    # Python 退出前要把几十万个对象查一遍，看哪些该回收：反正都要还了，省一两秒
    atexit.register(gc.freeze)
    try:
        lesson = names or defaults or then
        args = parse_flags(names, defaults) if lesson else argparse.Namespace()
        code = main(args) if lesson else main()
        if then:
            say_next(then, args, defaults)
        sys.stdout.flush()
    except BrokenPipeError:  # 命令后面接着 | head，它看够就走了
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # 退出时还要写一次
        sys.exit(1)
    except CourseError as error:
        sys.exit(f"\n出错了：{error}")
    except KeyboardInterrupt:
        print("\n已停止（Ctrl-C）", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if said := in_a_sentence(error):
            sys.exit(f"\n出错了：{said}")
        row = look_up(error)
        if not row:
            raise
        traceback.print_exc()
        sys.exit(f"\n{row}")
    finally:
        if threads:
            torch.set_num_threads(threads)
    if code:
        sys.exit(code)


def in_a_sentence(error: Exception) -> str | None:
    """不是 CourseError、可是谁遇到都知道怎么办的几种：一句话和下一步；别的是 None"""
    again = "，再运行一次同样的命令"
    if is_disk_full(error):
        return f"磁盘满了（{error}）\n下一步：腾出空间{again}"
    if is_out_of_memory(error):
        return f"内存（显存）不够\n下一步：关掉占内存的程序，或把 --batch-size 改小一半{again}"
    denied = (errno.EACCES, errno.EPERM, errno.EROFS)
    if isinstance(error, OSError) and error.errno in denied and error.filename:
        said = f"打不开 {error.filename}：{error.strerror}"
        if error.errno == errno.EROFS:
            return f"{said}\n下一步：这个文件夹只能读，把整个仓库拷到写得了的地方{again}"
        return f"{said}\n下一步：关掉正用着它的程序（比如 Excel），看看有没有写权限{again}"
    if isinstance(error, ModuleNotFoundError) and error.name in OPTIONAL:
        both = ["onnxruntime", "onnxscript"]
        return str(missing([error.name], both if error.name in both else [error.name]))
    return None
