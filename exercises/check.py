"""工具  检查练习：做得对不对，不对在哪里

怎么运行：
    python exercises/check.py                     全部题目一览，做错的说为什么
    python exercises/check.py demo02/01           检查一课
    python exercises/check.py demo02/01 --hint    没做对的题，给提示
    python exercises/check.py demo02/01 --answer  看答案
    python exercises/check.py bugs/01             找错的一题：改之前和现在的两个数

会看到：
    demo02/01  分词器：自己编码、自己还原   exercises/demo02/ex_01_tokenizer.py
      对    encode      一句话 → 编号
      不对  decode      编号 → 一句话
            decode([101, 4635, 3189, 898, 2255, 2226, 8024, 102, 0]…, vocab)
            应该是 '白日依山尽，'
            得到的是 '[CLS]白日依山尽，[SEP][PAD]…
            多半是：[CLS]、[SEP]、[PAD] 是给模型的记号，不是原文，要去掉
      没做  MAX_LENGTH  不截断要多长（第 … 行）
    对 1，不对 1，没做 1
"""

import ast
import multiprocessing
import re
import runpy
import signal
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path

from judging import Exercise, Unsolved, Wrong, silent

from course.cli import Parser, above, forgive_missing_characters, run
from course.errors import CourseError
from course.paths import command

HERE = Path(__file__).resolve().parent
SCRIPT = "exercises/check.py"
SECONDS = 20  # 一道题最多算几秒：再久多半是死循环
LESSONS = {  # 哪一课有练习，按课程的顺序
    "demo01": (
        "01_api_anonymous",
        "02_api_token",
        "03_download_gpt2",
        "04_generate_text",
        "05_download_bert",
        "06_classify_text",
        "07_local_api",
    ),
    "demo02": (
        "01_tokenizer",
        "02_load_dataset",
        "my_dataset",
        "net",
        "train",
        "06_features",
        "07_evaluate",
        "08_predict",
        "09_serve",
        "10_pictures",
        "11_export",
        "12_label_curve",
        "extra_finetune",
        "extra_ablation",
    ),
}
RIGHT, WRONG, UNSOLVED = "对", "不对", "没做"


@dataclass(frozen=True)
class Lesson:
    """一课的练习：题目、答案、判题各一个文件，名字相同"""

    demo: str
    name: str

    prefix = "ex"
    todo = "把 raise NotImplementedError 或 ... 换成你的代码"

    @property
    def key(self) -> str:
        """命令里的写法：demo02/01、demo02/train"""
        short = self.name.split("_")[0] if self.name[0].isdigit() else self.name
        return f"{self.demo}/{short}"

    @property
    def names(self) -> tuple[str, ...]:
        """学员会敲的几种写法：07、07_evaluate、evaluate"""
        bare = re.sub(r"^(\d\d|extra)_", "", self.name)
        return self.key.split("/")[1], self.name, bare

    @property
    def file(self) -> Path:
        return HERE / self.demo / f"{self.prefix}_{self.name}.py"

    @property
    def renamed(self) -> str:
        """0.4 以前的题目文件叫别的名字，还在的话（解压 ZIP 盖上去的）说一声；没有是空字符串"""
        old = self.file.with_name(f"ex_{self.names[-1]}.py")
        if old == self.file or not old.is_file():
            return ""
        return f"注意：{near(old)} 是旧版的名字，写过的就用它盖掉 {near(self.file)}，没写过就删掉"

    @property
    def answer(self) -> Path:
        return HERE / "answers" / self.demo / f"{self.prefix}_{self.name}.py"

    @property
    def answer_text(self) -> str:
        return self.answer.read_text(encoding="utf-8")

    @property
    def title(self) -> str:
        """答案文件第一行的最后一段；题目文件学员会改，不从那里取"""
        return ast.get_docstring(ast.parse(self.answer_text)).splitlines()[0].split("  ")[-1]

    def exercises(self) -> list[Exercise]:
        """判题文件里的题，按写的顺序"""
        found = runpy.run_path(str(HERE / "checks" / self.demo / f"ex_{self.name}.py"))
        return [value for value in found.values() if isinstance(value, Exercise)]

    def load(self, file: Path) -> dict:
        """学员的文件里的名字"""
        return load(file)

    def told(self) -> str:
        """--answer 打印的"""
        return f"{near(self.answer)}\n\n{self.answer_text}"


class Bug(Lesson):
    """找错的一题：文件跑得通，打印的数不对；错在哪里都写在 checks/bugs.py"""

    prefix = "bug"
    todo = "找出那一处错，改好它"

    @property
    def mistake(self):
        return runpy.run_path(str(HERE / "checks" / "bugs.py"))["MISTAKES"][self.name]

    def exercises(self) -> list[Exercise]:
        # 大库在这里装载：第一次要十几秒，不算在学员的时限里
        for module in ("pandas", "sklearn.neighbors", "transformers.models.bert.modeling_bert"):
            import_module(module)
        import_module("torch").set_num_threads(1)  # 别的程序也忙的时候，几个线程互相等更慢
        return [self.mistake.exercise(self.answer_text)]

    def load(self, file: Path) -> dict:
        """一个字也没有改的不用运行，一览才快"""
        set_as = self.mistake.put_into(self.answer_text)
        if file.read_text(encoding="utf-8", errors="replace") == set_as:
            return {self.mistake.name: None}
        with silent():
            return load(file)

    def told(self) -> str:
        return f"{self.mistake.told()}\n{super().told()}"


ALL = [Lesson(demo, name) for demo, names in LESSONS.items() for name in names]
ALL += [Bug("bugs", path.stem[-2:]) for path in sorted(HERE.glob("answers/bugs/bug_*.py"))]


@dataclass(frozen=True)
class Job:
    """判一课：file 是学员写的文件，从第 start 题判起"""

    lesson: Lesson
    file: Path
    start: int = 0


@dataclass(frozen=True)
class Verdict:
    """一道题的结果：state 是 对、不对 或 没做，why 是给学员看的几行中文"""

    name: str
    title: str
    state: str
    why: str = ""
    hint: str = ""


def find_lesson(text: str) -> Lesson:
    """demo02/07、demo02/evaluate、题目文件的路径…… → Lesson；没有就抛 CourseError"""
    parts = text.replace("\\", "/").removesuffix(".py").split("/")[-2:]
    if len(parts) == 2:
        demo, name = parts[0][:6], re.sub("^(ex|bug)_", "", parts[1])
        for lesson in ALL:
            if lesson.demo == demo and name in lesson.names:
                return lesson
    keys = [lesson.key for lesson in ALL]
    # demo01/4 的意思是 demo01/04；别的（demo02/trian）挑写法最像的
    short = re.sub(r"/(\d)$", r"/0\1", "/".join(parts))
    written = {f"{lesson.demo}/{name}": lesson.key for lesson in ALL for name in lesson.names}
    alike = get_close_matches(short, written, n=1, cutoff=0.7)
    raise CourseError(
        f"没有叫 {text} 的练习，有的是 {'、'.join(keys)}",
        command(SCRIPT, written[alike[0]] if alike else "demo02/01"),
    )


def line_of(file: Path, name: str) -> str:
    """name 在文件的第几行定义"""
    for node in ast.parse(file.read_bytes()).body:
        targets = [t.id for t in getattr(node, "targets", []) if isinstance(t, ast.Name)]
        if getattr(node, "name", None) == name or name in targets:
            return f"第 {node.lineno} 行"
    return "找不到"


def explain(error: BaseException, file: Path) -> str:
    """学员的代码抛出的异常 → 一句中文，带行号；不打印判题程序自己的 traceback"""
    what = f"{type(error).__name__}：{error}" if str(error) else type(error).__name__
    if isinstance(error, SyntaxError) and error.filename == str(file):
        line = (error.text or "").strip()
        return f"第 {error.lineno} 行的语法不对（{error.msg}）：{line}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(file)]
    if frames:
        return f"运行到第 {frames[-1].lineno} 行出错：{what}\n    {frames[-1].line}"
    return f"用不了：{what}\n多半是：参数的个数、名字，或返回的类型和题目说的不一样"


def unsolved(error: BaseException, file: Path) -> bool:
    """是题目里原来的 raise NotImplementedError 抛出来的吗（torch 也会抛它，那不算）"""
    if isinstance(error, Unsolved):
        return True
    frames = traceback.extract_tb(error.__traceback__)
    return isinstance(error, NotImplementedError) and frames[-1].filename == str(file)


def load(file: Path) -> dict:
    """运行学员的文件，返回里面的名字；读不了、语法不对、运行出错时抛 Wrong"""
    try:
        return runpy.run_path(str(file))
    except (Exception, SystemExit) as error:
        raise Wrong(explain(error, file)) from None


def judge(task: Exercise, names: dict, file: Path) -> Verdict:
    """判一道题；学员的代码怎么出错，这里都不崩"""

    def verdict(state: str, why: str = "") -> Verdict:
        return Verdict(task.name, task.title, state, why, task.hint)

    if task.name not in names:
        return verdict(WRONG, f"文件里没有 {task.name} 了：题目里的名字不要改")
    try:
        if names[task.name] is ...:
            raise Unsolved
        said = task.check(names[task.name])
    except Wrong as wrong:
        return verdict(WRONG, str(wrong))
    except (Exception, SystemExit) as error:
        if unsolved(error, file):
            told = str(error) if isinstance(error, Unsolved) else ""
            return verdict(UNSOLVED, told or line_of(file, task.name))
        return verdict(WRONG, explain(error, file))
    return verdict(RIGHT, said or "")


def steps(jobs: list[Job]) -> Iterator[tuple[int, int, Verdict | None, bool]]:
    """依次判每一课，一步一步地给：(第几个 job, 第几题, 结果, 判完了没有)

    动手之前先给一次"没判完"的结果：学员的代码要是不回来了，等着的一方就知道停在哪一题。
    第 -1 题是读文件本身，读得了就没有结果（None）。
    """
    for number_of_job, job in enumerate(jobs):
        whole = Verdict(job.file.name, "整个文件", WRONG)
        try:
            tasks = job.lesson.exercises()
        except ImportError as error:
            why = f"没有装 {error.name}：python -m pip install -r requirements.txt"
            yield number_of_job, -1, replace(whole, why=why), True
            continue
        yield number_of_job, -1, whole, False
        try:
            names = job.lesson.load(job.file)
        except Wrong as wrong:
            yield number_of_job, -1, replace(whole, why=str(wrong)), True
            continue
        yield number_of_job, -1, None, True
        for i, task in enumerate(tasks[job.start :], job.start):
            yield number_of_job, i, Verdict(task.name, task.title, WRONG, hint=task.hint), False
            yield number_of_job, i, judge(task, names, job.file), True


def work(send: Connection, jobs: list[Job]) -> None:
    """另一个进程里做的事：判题，每一步都告诉父进程"""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C 由父进程来管
    forgive_missing_characters(sys.stdout)
    for step in steps(jobs):
        sys.stdout.flush()
        send.send(step)


def judge_all(jobs: list[Job], seconds: float) -> Iterator[tuple[Job, list[Verdict]]]:
    """在另一个进程里判：学员的代码死循环、让 Python 崩溃，都只算那一题不对，接着判下一题"""
    spawn = multiprocessing.get_context("spawn")
    verdicts: list[Verdict] = []
    while jobs:
        receive, send = spawn.Pipe(duplex=False)
        process = spawn.Process(target=work, args=(send, jobs), daemon=True)
        process.start()
        send.close()  # 这一头只留给子进程：它一退出，下面的 recv 就知道
        at, task, doing, finished, why = 0, -1, None, True, ""
        try:
            while receive.poll(None if finished else seconds):
                number_of_job, task, doing, finished = receive.recv()
                if number_of_job > at:  # 开始判下一课，这一课就判完了
                    yield jobs[at], verdicts
                    verdicts, at = [], number_of_job
                if finished and doing:
                    verdicts.append(doing)
            why = f"{seconds:g} 秒还没有算完：多半是死循环，看看循环什么时候结束"
            process.kill()
        except EOFError:
            why = "Python 自己退出了：是不是用了 os._exit，或者内存不够"
        process.join()
        if finished:
            if process.exitcode:
                raise CourseError("判题的进程出错了，原因在上面", command(SCRIPT))
            yield jobs[at], verdicts
            return
        verdicts.append(replace(doing, why=why))
        rest = [replace(jobs[at], start=task + 1)] if task >= 0 else []
        if not rest:  # 文件都读不完，后面的题不用试了
            yield jobs[at], verdicts
            verdicts = []
        jobs = rest + jobs[at + 1 :]


def print_lesson(job: Job, verdicts: list[Verdict], with_hints: bool) -> None:
    """一课的每一题：对不对，为什么"""
    print(f"\n{job.lesson.key}  {job.lesson.title}   {near(job.file)}")
    width = max(len(verdict.name) for verdict in verdicts)
    for verdict in verdicts:
        mark = verdict.state + "  " * (2 - len(verdict.state))  # 一个汉字占两格
        where = f"（{verdict.why}）" if verdict.state == UNSOLVED else ""
        print(f"  {mark}  {verdict.name:{width}}  {verdict.title}{where}")
        lines = verdict.why.splitlines() if verdict.state != UNSOLVED else []
        if with_hints and verdict.hint and verdict.state != RIGHT:
            lines += f"提示：{verdict.hint}".splitlines()
        for line in lines:
            print(f"        {line}")


def near(path: Path) -> str:
    """路径的短写法：从学员现在所在的目录数起，照抄就能打开"""
    return command(str(path)).removeprefix("python ")


def count(verdicts: list[Verdict], state: str) -> int:
    return sum(verdict.state == state for verdict in verdicts)


def overview(seconds: float) -> bool:
    """全部课一课一行，做错的说为什么；返回是不是全对"""
    print("正在检查全部练习 …", flush=True)
    right = total = 0
    wrong = []
    for job, verdicts in judge_all([Job(lesson, lesson.file) for lesson in ALL], seconds):
        done = count(verdicts, RIGHT)
        bar = "".join({RIGHT: "█", WRONG: "×", UNSOLVED: "·"}[v.state] for v in verdicts)
        print(
            f"  {job.lesson.key:22}{bar:6}对 {done}/{len(verdicts)}  {job.lesson.title}", flush=True
        )
        if job.lesson.renamed:
            print(f"        {job.lesson.renamed}")
        right, total = right + done, total + len(verdicts)
        if mistakes := [verdict for verdict in verdicts if verdict.state == WRONG]:
            wrong.append((job, mistakes))
    for job, mistakes in wrong:
        print_lesson(job, mistakes, with_hints=False)
    print(f"\n一共做对 {right}/{total} 题（█ 对，× 不对，· 没做）")
    return right == total


def one_lesson(lesson: Lesson, file: Path, seconds: float, with_hints: bool) -> bool:
    """检查一课，返回是不是全对"""
    for job, verdicts in judge_all([Job(lesson, file)], seconds):
        print_lesson(job, verdicts, with_hints)
        right, wrong, todo = (count(verdicts, state) for state in (RIGHT, WRONG, UNSOLVED))
        print(f"对 {right}，不对 {wrong}，没做 {todo}")
        if lesson.renamed:
            print(lesson.renamed)
        if right == len(verdicts):
            return True
        if todo:
            print(f"没做的题：打开 {near(file)}，{lesson.todo}")
        if not with_hints:
            print(f"提示：{command(SCRIPT, lesson.key, '--hint')}")
        print(f"答案：{command(SCRIPT, lesson.key, '--answer')}")
    return False


def main() -> None:
    parser = Parser(__doc__)
    add = parser.add_argument
    add("lesson", nargs="?", metavar="课", help="demo02/01、demo02/train …；不写就是全部")
    add("--hint", action="store_true", help="没做对的题，给提示")
    add("--answer", action="store_true", help="打印答案")
    add("--file", type=Path, help="检查这个文件，而不是题目文件")
    seconds = above(0.0)
    add("--seconds", type=seconds, default=SECONDS, help=f"一道题最多算几秒，默认 {SECONDS}")
    args = parser.parse_args()
    if not args.lesson:
        if args.hint or args.answer or args.file:
            raise CourseError("--hint、--answer、--file 要说是哪一课", command(SCRIPT, "demo02/01"))
        sys.exit(not overview(args.seconds))
    lesson = find_lesson(args.lesson)
    if args.answer:
        print(lesson.told())
        return
    file = (args.file or lesson.file).resolve()
    if not file.is_file():
        raise CourseError(
            f"找不到 {file}",
            f"git checkout -- {near(lesson.file)}（下载的是 ZIP，就从里面再解压它）",
        )
    sys.exit(not one_lesson(lesson, file, args.seconds, args.hint))


if __name__ == "__main__":
    run(main)
