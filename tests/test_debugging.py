"""extra_debugging.py: each fault is caught by the checks that the page says, on any classes"""

import math

import pytest
from conftest import TINY, run_script, write_csv

COLUMNS = ("classes", "apart", "first", "step", "memory", "train", "validation")
CAUGHT = {  # docs/13-debugging.md
    "没有毛病": [],
    "文字全成了 [UNK]": ["memory"],
    "每条取的都一样": ["apart", "memory"],
    "标签全成了一类": ["classes"],
    "标签没跟着打乱": [],
    "特征大了 100 倍": ["first"],
    "优化器管着别的头": ["step", "memory"],
    "zero_grad() 放晚了": ["step", "memory"],
    "学习率 1e-7": ["step", "memory"],
    "考的是没训练的头": [],
}


@pytest.mark.slow
def test_each_fault_is_caught_by_its_checks(repo, splits, tmp_path):
    rows = [(text, "甲乙丙"[i % 3]) for i, (text, _) in enumerate(splits["train"][:90])]
    data, params = write_csv(tmp_path / "three.csv", rows), tmp_path / "params"
    script = "demo02_sentiment/extra_debugging.py"
    done = run_script(repo, script, "--model", TINY, "--data", data, "--params", params)
    assert done.returncode == 0, done.stderr
    assert f"全靠瞎猜是 ln 3 = {math.log(3):.4f}" in done.stdout
    assert (params / "pictures" / "debugging.png").is_file()
    table = done.stdout.partition("第一条")[2].splitlines()
    for fault, caught in CAUGHT.items():
        line = next(line for line in table if line.startswith(fault))
        cells = dict(zip(COLUMNS, line.split()[-len(COLUMNS) :], strict=True))
        assert [name for name, cell in cells.items() if cell.endswith("*")] == caught, line
