"""The quizzes: every question is complete, every predicted output is what Python prints"""

import contextlib
import io
import re
import runpy
import signal
import subprocess
import sys

import pytest
from conftest import environment, run_here

from course.paths import ROOT

SCRIPT = "docs/tools/quiz.py"
QUIZ = runpy.run_path(str(ROOT / SCRIPT), run_name="quiz")
QUESTIONS = {lecture: QUIZ["load"](lecture) for lecture in QUIZ["LECTURES"]}
ALL = [(n, q) for n, questions in QUESTIONS.items() for q in questions]


def snippet(question) -> str | None:
    found = re.search(r"^```python\n(.*?)^```", question.body, re.MULTILINE | re.DOTALL)
    return found[1] if found else None


def play(monkeypatch, capsys, lines: list[str], *args: object) -> tuple[object, str]:
    typed = io.TextIOWrapper(io.BytesIO("".join(f"{x}\n" for x in lines).encode()), "utf-8")
    monkeypatch.setattr(sys, "stdin", typed)
    return run_here(monkeypatch, capsys, SCRIPT, *args)


CODE = [(n, q) for n, q in ALL if snippet(q)]


@pytest.mark.parametrize(("lecture", "question"), CODE, ids=[f"{n}-{q.number}" for n, q in CODE])
def test_the_right_option_is_what_the_code_prints(monkeypatch, lecture, question):
    monkeypatch.chdir(ROOT)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(snippet(question), f"quiz{lecture}.{question.number}", "exec"), {})
    offered = {letter: text.strip("`") for letter, text in question.options.items()}
    assert all(text.startswith("`") for text in question.options.values())
    right = [letter for letter, text in offered.items() if text == printed.getvalue().strip()]
    assert right == [question.answer], printed.getvalue()


@pytest.mark.parametrize("lecture", QUESTIONS)
def test_all_right_gives_full_marks(monkeypatch, capsys, lecture):
    answers = [question.answer for question in QUESTIONS[lecture]]
    code, text = play(monkeypatch, capsys, answers, lecture)
    assert code == 0
    assert f"答了 {len(answers)} 题，对 {len(answers)} 题（100%）" in text
    assert "不对" not in re.sub(r"^  [√×].*$", "", text, flags=re.M) and "再做一次" not in text


def test_a_wrong_answer_is_explained_and_bad_input_asked_again(monkeypatch, capsys):
    question = QUESTIONS[1][0]
    wrong = next(letter for letter in question.options if letter != question.answer)
    # a full-width small letter counts, an unknown one and an empty line are asked again
    typed = ["", "x", "对", chr(ord(wrong.lower()) + 0xFEE0)]
    code, text = play(monkeypatch, capsys, typed, 1, "--question", 1)
    assert code == 0 and text.count("你的答案：") == 4
    assert text.count(f"请输入 {'、'.join(question.options)} 里的一个字母") == 3
    assert f"不对，答案是 {question.answer}" in text
    assert f"× {wrong}（你选的） {question.explanations[wrong]}" in text
    assert f"√ {question.answer} {question.explanations[question.answer]}" in text
    assert "答了 1 题，对 0 题（0%）" in text and "1 --question 1" in text


def test_the_end_of_the_input_is_no_error(monkeypatch, capsys):
    code, text = play(monkeypatch, capsys, [QUESTIONS[2][0].answer], 2)
    assert code == 0 and "先到这里" in text and "答了 1 题，对 1 题（100%）" in text
    code, text = play(monkeypatch, capsys, [], 2)
    assert code == 0 and "先到这里" in text and "答了" not in text


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_shows_what_was_answered():
    running = subprocess.Popen(
        [sys.executable, str(ROOT / SCRIPT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(ROOT),
        encoding="utf-8",
    )
    running.stdin.write(f"{QUESTIONS[1][0].answer}\n")
    running.stdin.flush()
    seen = ""
    while not seen.endswith(QUESTIONS[1][1].title):
        seen += running.stdout.read(1)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=30)
    assert running.returncode == 0 and err == ""
    assert "先到这里" in out and "答了 1 题，对 1 题（100%）" in out


def test_the_list_and_wrong_arguments(monkeypatch, capsys):
    code, text = play(monkeypatch, capsys, [], 2, "--list")
    assert code == 0 and "你的答案" not in text
    assert [line.strip() for line in text.splitlines()[:-1]] == [
        f"{question.number}. {question.title}" for question in QUESTIONS[2]
    ]
    code, text = play(monkeypatch, capsys, [], 1, "--question", 99)
    assert f"第 1 讲只有 {len(QUESTIONS[1])} 题" in str(code) and "--list" in str(code)
    code, text = play(monkeypatch, capsys, [], 3)
    assert "参数有误" in str(code)
