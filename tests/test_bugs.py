"""Find the bug: every file is its answer with one piece replaced, and only a repair passes"""

import math
import re

import pytest
from conftest import run_script

from course.paths import ROOT

EXERCISES = ROOT / "exercises"
NUMBERS = [path.stem[-2:] for path in sorted(EXERCISES.glob("bugs/bug_*.py"))]


def verdict(check, number: str, file):
    *_, (_, _, last, _) = check.steps([check.Job(check.find_lesson(f"bugs/{number}"), file)])
    return last


@pytest.mark.parametrize("number", NUMBERS)
def test_one_piece_is_wrong_and_as_it_stands_nothing_is_run(check, monkeypatch, number):
    bug = check.find_lesson(f"exercises\\bugs\\bug_{number}.py")
    assert bug.answer_text.count(bug.mistake.right) == 1
    assert bug.file.read_text(encoding="utf-8") == bug.mistake.put_into(bug.answer_text)
    page = (EXERCISES / "README.md").read_text(encoding="utf-8")
    assert f"| `bugs/{number}` | {bug.title} |" in page
    monkeypatch.setattr(check, "load", lambda file: pytest.fail("it was run"))
    untouched = verdict(check, number, bug.file)
    assert (untouched.state, untouched.why) == (check.UNSOLVED, "还没有改")


@pytest.mark.parametrize("number", NUMBERS)
def test_the_answer_passes_with_two_numbers_far_apart(check, number):
    bug = check.find_lesson(f"bugs/{number}")
    found = verdict(check, number, bug.answer)
    assert found.state == check.RIGHT and bug.mistake.why.strip() in found.why
    before, now = map(float, re.match(r"改之前 (\S+)，现在 (\S+)\n", found.why).groups())
    assert abs(before - now) > 3 * bug.mistake.close
    # the docstring tells the number that the learner sees
    told = re.findall(r"\d+\.\d+", bug.answer_text.split('"""')[1])
    assert any(math.isclose(float(text), before, rel_tol=0.05) for text in told), before


SAMPLED = "reviews = balanced(reviews)\n", ""
WEIGHED = "max_iter=1000", "max_iter=1000, class_weight='balanced'"
TEST_TOO = "\nmodel =", "\ntrain, test = balanced(train), balanced(test)\nmodel ="
LOG_SOFTMAX = ("nn.Softmax", "nn.LogSoftmax"), ("CrossEntropyLoss()", "NLLLoss()")
FROM_ZERO = ("[1 + KINDS", "[KINDS"), ("labels[batch] - 1", "labels[batch]")
PER_BATCH = "len(loader)", "len(loader.dataset)"
WITH_CONFIG = "BertModel(config)", "BertModel.from_pretrained(folder, config=config)"
PER_REVIEW = (
    "loss = model(**inputs, labels=labels).loss",
    "rows = zip(inputs['input_ids'], inputs['attention_mask'].sum(dim=1))\n"
    "    rows = [x[None, :n] for x, n in rows]\n"
    "    loss = torch.stack([model(x, labels=x).loss for x in rows]).mean()",
)
LAST_EPOCH = ("        if accuracy_of(test) > best:\n            best = ", "        ")


@pytest.mark.parametrize(
    ("number", "changes", "state", "said"),
    [
        ("01", [("固定随机数", "定住随机数")], "不对", "改之前 0.32.*，现在 0.32.*\n还没有修好"),
        ("01", [PER_BATCH], "不对", "对不上：看看提示 --hint"),
        ("01", LOG_SOFTMAX, "对", "改之前 0.3.*，现在 0.00"),
        ("02", FROM_ZERO, "对", "改之前 0.0.*，现在 0.[56]"),
        ("03", [("batch_size=500", "batch_size=400")], "不对", "对不上"),
        ("06", [WITH_CONFIG], "对", "改之前 0.5.*，现在 0.8"),
        ("07", [SAMPLED, WEIGHED], "对", "改之前 0.8.*，现在 0.[23]"),
        ("07", [SAMPLED, TEST_TOO], "不对", "现在 0.8.*\n漏题没有了"),
        ("08", [("range(40)", "range(10)")], "不对", "Dropout 还是没有打开"),
        ("09", [PER_REVIEW], "不对", "现在 34.*\n平均的是 16 条，不是每个字"),
        ("10", [LAST_EPOCH], "对", "改之前 0.6.*，现在 0.[45]"),
    ],
)
def test_any_repair_passes_and_nothing_else(check, tmp_path, number, changes, state, said):
    text = check.find_lesson(f"bugs/{number}").file.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    file = tmp_path / "mine.py"
    file.write_text(text, encoding="utf-8")
    found = verdict(check, number, file)
    assert found.state == state and re.search(said, found.why), found.why


@pytest.mark.parametrize(
    ("code", "seconds", "said"),
    [
        ("while True:\n    pass", 1, "1 秒还没有算完"),
        ("print('瞧')", 60, "文件里没有 precision 了"),
        ("precision = '很高'", 60, "用不了：ValueError"),
    ],
)
def test_whatever_the_learner_writes_it_is_one_sentence(repo, tmp_path, code, seconds, said):
    file = tmp_path / "mine.py"
    file.write_text(code, encoding="utf-8")
    done = run_script(repo, "exercises/check.py", "bugs/07", "--file", file, "--seconds", seconds)
    assert done.returncode == 1 and said in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
