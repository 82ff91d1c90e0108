"""工具  在终端里做测验，每讲二十来题，答一题讲一题

怎么运行：python docs/tools/quiz.py 1                  第一讲（demo01）；2 是第二讲（demo02）
          python docs/tools/quiz.py 1 --question 3     只做第 3 题
          python docs/tools/quiz.py 1 --list           列出全部题目

题目在 docs/quiz1.md、docs/quiz2.md 里，同一份，也可以在网页上直接读。
"""

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from course.cli import Parser, at_least, run
from course.errors import CourseError
from course.paths import command

FOLDER = Path(__file__).resolve().parent.parent
SCRIPT = "docs/tools/quiz.py"
LECTURES = (1, 2)
OPTION = re.compile(r"^- \*\*([A-D])\*\* +(.+(?:\n  .+)*)$", re.MULTILINE)


@dataclass
class Question:
    """一道题：选项和讲解都是 {字母: 文字}，讲解每个选项都有"""

    number: int
    title: str
    body: str
    options: dict[str, str]
    answer: str
    explanations: dict[str, str]


def page(lecture: int) -> Path:
    return FOLDER / f"quiz{lecture}.md"


def parse(text: str) -> list[Question]:
    """一页 Markdown → 题目；格式见 quiz1.md。哪道题写坏了就抛 ValueError，说是第几题"""
    questions = []
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        heading, _, rest = section.partition("\n")
        asked, _, answered = rest.partition("<details>")
        found = re.fullmatch(r"(\d+)\. (.+)", heading)
        letter = re.search(r"^答案：\*\*([A-D])\*\*$", answered, re.MULTILINE)
        if not found or not letter or "</details>" not in answered:
            raise ValueError(f"「{heading}」缺题号、答案或 <details>")
        options, explanations = dict(OPTION.findall(asked)), dict(OPTION.findall(answered))
        question = Question(
            int(found[1]),
            found[2],
            OPTION.sub("", asked).strip(),
            options,
            letter[1],
            explanations,
        )
        if question.number != len(questions) + 1:
            raise ValueError(f"第 {question.number} 题的题号应该是 {len(questions) + 1}")
        if list(options) != list("ABCD")[: len(options)] or len(options) < 3:
            raise ValueError(f"第 {question.number} 题要有 A、B、C（、D）这几个选项")
        if question.answer not in options or list(explanations) != list(options):
            raise ValueError(f"第 {question.number} 题的答案或讲解和选项对不上")
        questions.append(question)
    return questions


def load(lecture: int) -> list[Question]:
    try:
        return parse(page(lecture).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CourseError(
            f"{page(lecture)} 读不了：{error}", f"git checkout -- docs/quiz{lecture}.md"
        ) from error


def ask(question: Question) -> str:
    """打印题目，读到一个认得的字母为止；输入结束时抛 EOFError"""
    print(f"\n{question.number}. {question.title}")
    if question.body:
        print(f"\n{question.body}")
    print()
    for letter, text in question.options.items():
        print(f"  {letter}  {text}")
    while True:
        answer = unicodedata.normalize("NFKC", input("你的答案：")).strip().upper()
        if answer in question.options:
            return answer
        print(f"请输入 {'、'.join(question.options)} 里的一个字母")


def explain(question: Question, answer: str) -> None:
    """对不对，每个选项为什么"""
    right = answer == question.answer
    print("对" if right else f"不对，答案是 {question.answer}")
    for letter, text in question.explanations.items():
        mark = "√" if letter == question.answer else "×"
        chosen = "（你选的）" if letter == answer else ""
        print(f"  {mark} {letter}{chosen} {text}")


def main() -> None:
    parser = Parser(__doc__)
    add = parser.add_argument
    add("lecture", nargs="?", type=int, choices=LECTURES, default=1, help="第几讲，默认 1")
    add("--question", type=at_least(1), help="只做这一题")
    add("--list", action="store_true", help="列出全部题目，不做")
    args = parser.parse_args()

    questions = load(args.lecture)
    if args.question:
        if args.question > len(questions):
            raise CourseError(
                f"第 {args.lecture} 讲只有 {len(questions)} 题",
                command(SCRIPT, f"{args.lecture} --list"),
            )
        questions = [questions[args.question - 1]]
    if args.list:
        for question in questions:
            print(f"{question.number:>3}. {question.title}")
        return

    print(f"第 {args.lecture} 讲，{len(questions)} 题。输入字母，按回车；Ctrl-C 随时结束")
    answered, wrong = 0, []
    try:
        for question in questions:
            answer = ask(question)
            explain(question, answer)
            answered += 1
            if answer != question.answer:
                wrong.append(question.number)
    except (EOFError, KeyboardInterrupt):
        print("\n\n先到这里")

    if answered:
        right = answered - len(wrong)
        print(f"\n答了 {answered} 题，对 {right} 题（{right / answered:.0%}）")
    for n in wrong:
        print(f"再做一次第 {n} 题：{command(SCRIPT, f'{args.lecture} --question {n}')}")


if __name__ == "__main__":
    run(main)
