"""exercises/recall.md: three questions that check.py asks before a lesson is begun"""

import re
import shutil
import subprocess
import sys
from difflib import SequenceMatcher

import pytest
from conftest import environment

from course.errors import CourseError
from course.paths import ROOT

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(ROOT / "exercises")
    import check
    import recall

QUIZ = "".join((ROOT / f"docs/quiz{n}.md").read_text(encoding="utf-8") for n in (1, 2))
TITLES = re.findall(r"^## \d+\. (.+)$", QUIZ, re.M)


@pytest.mark.parametrize("key", [one.key for one in check.ALL if one.demo.startswith("demo")])
def test_a_lesson_has_three_questions_taught_where_they_say(key):
    for question, answer, place in recall.find(key)[1]:
        assert "\n" not in question + answer + place  # a missing line joins two questions
        assert all(SequenceMatcher(None, title, question).ratio() < 0.6 for title in TITLES)
        for part in place.split("；"):
            wanted = [rf"step\(f?['\"]{n}\. " for n in re.findall(r"第 (\d+) 步", part)]
            wanted += [rf"^## {re.escape(said)}$" for said in re.findall(r"「(.+?)」", part)]
            wanted += [rf"^(def |class )?{name}\b" for name in re.findall(r"`(\w+)`", part)]
            text = (ROOT / part.split("`")[1]).read_text(encoding="utf-8")
            assert all(re.search(one, text, re.M) for one in wanted), part


def test_a_broken_page_is_one_sentence(monkeypatch, tmp_path):
    page = tmp_path / "recall.md"
    page.write_text(recall.PAGE.read_text(encoding="utf-8").replace("在哪里：", "", 1), "utf-8")
    monkeypatch.setattr(recall, "PAGE", page)
    with pytest.raises(CourseError, match=r"读不了：「demo01/01」缺"):
        recall.find("demo01/01")


def test_the_answer_waits_for_enter(monkeypatch, capsys):
    monkeypatch.setattr("builtins.input", lambda: print("⏎"))
    recall.ask("demo01/03")
    order = re.findall(r"^(先回想|\d\.|⏎|答案|在哪里)", capsys.readouterr().out, re.M)
    assert order == ["先回想", *(x for n in "123" for x in (f"{n}.", "⏎", "答案", "在哪里"))]


def learner(folder, *args: object, typed: str = "") -> str:
    command = [sys.executable, str(folder / "exercises/check.py"), "demo01/03", *map(str, args)]
    options = {"env": environment(ROOT), "capture_output": True, "encoding": "utf-8"}
    return subprocess.run(command, input=typed, check=False, **options).stdout


@pytest.mark.parametrize("typed", ["\n记得\n\n", ""])  # "": the input is at its end
def test_an_untouched_lesson_asks_first(typed):
    asked, _, judged = learner(ROOT, typed=typed).partition("\ndemo01/03  ")
    assert asked.count("答案：") == 3 and judged.count("没做  ") == 2


def test_with_flags_or_in_progress_it_does_not_ask(tmp_path):
    shutil.copytree(ROOT / "exercises", tmp_path / "exercises")
    ours = tmp_path / "exercises/demo01/ex_03_download_gpt2.py"
    for flags in (["--file", ours], ["--hint"], ["--answer"]):  # not begun
        assert "（想好" not in learner(ROOT, *flags)
    text = ours.read_text(encoding="utf-8")
    ours.write_text(text.replace("    raise NotImplementedError", "    return {}", 1), "utf-8")
    assert "（想好" not in learner(tmp_path)
    only = learner(tmp_path, "--recall")
    assert only.count("（想好") == 3 and "没做" not in only
