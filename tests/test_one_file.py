"""00_one_file.py: the lecture in one file, taken away; the course's own model agrees with it"""

import importlib.util
import re
import shutil
from functools import partial
from pathlib import Path

import pytest
import torch
from conftest import environment, run_python
from torch import nn
from torch.utils.data import DataLoader

from course.models import load_tokenizer
from course.paths import ROOT
from my_dataset import collate_fn
from net import Model

SCRIPT = ROOT / "demo02_sentiment" / "00_one_file.py"
HERE = "Path(__file__).resolve().parent"
CHANGED = {"MODEL": f'{HERE} / "bert"', "DATA": f'{HERE} / "my.csv"', "ROWS": "200"}


@pytest.fixture(scope="module")
def copy(mini_bert, mini_data, tmp_path_factory) -> Path:
    """Alone in an empty project with a BERT and a CSV, its paths changed as a learner would"""
    folder = tmp_path_factory.mktemp("一个 新项目")
    shutil.copytree(mini_bert, folder / "bert")
    shutil.copy(mini_data / "train.csv", folder / "my.csv")
    text = SCRIPT.read_text(encoding="utf-8")
    for name, value in CHANGED.items():
        text, changed = re.subn(rf"^{name} = .*$", f"{name} = {value}", text, flags=re.MULTILINE)
        assert changed == 1, name
    path = folder / "one.py"
    path.write_text(text, encoding="utf-8")
    return path


def test_it_runs_alone_and_the_course_gives_its_logits_and_losses(copy, tmp_path):
    for module in ("course", "net", "my_dataset", "backstage"):  # it must do without them
        (tmp_path / f"{module}.py").write_text("raise ImportError('not here')", encoding="utf-8")
    done = run_python([str(copy)], copy.parent, environment(tmp_path))
    assert done.returncode == 0, done.stderr
    printed = dict(re.findall(r"^轮次 0 批次 (\d+) loss (\d\.\d+)", done.stdout, re.MULTILINE))
    assert list(printed) == ["0", "5"]
    saved = torch.load(copy.parent / "one_file" / "0bert.pth", weights_only=True)

    spec = importlib.util.spec_from_file_location("one", copy)
    one = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(one)
    torch.manual_seed(0)
    dataset, theirs = one.MyDataset(), one.Model()
    ours = Model(copy.parent / "bert")
    ours.fc.load_state_dict(theirs.fc.state_dict())
    tokenizer = load_tokenizer(copy.parent / "bert", 500)
    collate = partial(collate_fn, tokenizer=tokenizer, padding="max_length")
    torch.manual_seed(0)  # the script's own order: its Model has drawn before its loader
    one.Model()
    loader = DataLoader(dataset, one.BATCH_SIZE, shuffle=True, collate_fn=collate)
    optimizer = torch.optim.AdamW(ours.parameters(), lr=1e-3)
    for i, (*inputs, labels) in enumerate(loader):
        logits = ours(*inputs)
        if i == 0:
            torch.testing.assert_close(logits, theirs(*inputs), atol=1e-6, rtol=0)
        loss = nn.functional.cross_entropy(logits, labels)
        if str(i) in printed:
            assert loss.item() == pytest.approx(float(printed[str(i)]), abs=1e-4)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.testing.assert_close(saved["fc.weight"], ours.fc.weight.detach(), atol=1e-5, rtol=0)


def test_it_stays_short():
    assert len(SCRIPT.read_text(encoding="utf-8").splitlines()) <= 90
