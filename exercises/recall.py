"""工具  先回想：做一课的练习之前，问三个上一课的问题；题目在 recall.md 里"""

import re
from contextlib import suppress
from pathlib import Path

from course.errors import CourseError
from course.paths import command

PAGE = Path(__file__).with_name("recall.md")
QUESTION = re.compile(
    r"^\*\*\d\.\*\* (.+?)\n\n<details>\n<summary>答案</summary>\n\n"
    r"(.+?)\n\n在哪里：(.+?)\n\n</details>",
    re.MULTILINE | re.DOTALL,
)


def find(key: str) -> tuple[str, list[tuple[str, str, str]]] | None:
    """demo02/01 → (上一课是哪一课, 三个 (问题, 答案, 在哪里))；这一页没有这一课就是 None"""
    try:
        text = PAGE.read_text(encoding="utf-8")
        section = re.search(rf"^## {re.escape(key)}\n(.+?)(?=^## |\Z)", text, re.M | re.S)
        if not section:
            return None
        about = re.search(r"^上一课：(.+)$", section[1], re.M)
        questions = QUESTION.findall(section[1])
        if not about or len(questions) != 3:
            raise ValueError(f"「{key}」缺上一课、问题、答案或在哪里")
    except (OSError, ValueError) as error:
        file = command(str(PAGE)).removeprefix("python ")
        fix = f"git checkout -- {file}（下载的是 ZIP，就从里面再解压它）"
        raise CourseError(f"{PAGE} 读不了：{error}", fix) from error
    return about[1], questions


def ask(key: str) -> bool:
    """一个一个地问，按了回车才给答案；返回这一课有没有问题可问"""
    found = find(key)
    if not found:
        return False
    about, questions = found
    print(f"先回想三个问题（上一课：{about}）")
    for number, (question, answer, place) in enumerate(questions, start=1):
        print(f"\n{number}. {question}\n（想好了按回车看答案）", flush=True)
        with suppress(EOFError, RuntimeError):  # 输入已经到头了、没有地方输入：不等，往下走
            input()
        print(f"答案：{answer}\n在哪里：{place}", flush=True)
    return True
