"""docs/errors.md: real errors find the row that helps; a lesson prints it under its traceback

And the checkout that a script belongs to is noticed however it is started.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import requests
import torch
from conftest import environment, run_python
from datasets import Dataset, DatasetDict, load_dataset, load_from_disk
from huggingface_hub import HfFileSystem
from torch import nn
from torch.utils.data import DataLoader
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    BertForSequenceClassification,
    BertModel,
    BertTokenizer,
    Trainer,
    TrainingArguments,
)

from course import errors
from course.errors import look_up
from course.paths import ROOT

BERT, GPT = ROOT / "models" / "tiny-bert-chinese", ROOT / "models" / "tiny-gpt2-chinese"
ROWS = [
    line.strip("| ").split(" | ")
    for line in (ROOT / "docs" / "errors.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("|") and not re.match(r"\| 看到 \||\|-", line)
]


def test_every_row_has_three_cells_and_most_show_what_is_seen():
    assert [row[0] for row in ROWS if len(row) != 3 or not all(map(str.strip, row))] == []
    for seen, _, cure in ROWS:
        assert seen.count("`") % 2 == 0 and cure.count("`") % 2 == 0, seen
    shown = [row for row in ROWS if "`" in row[0]]
    assert len(ROWS) > 60 and len(shown) > 0.8 * len(ROWS)
    seen = [text for row in ROWS for text in re.findall(r"`([^`]+)`", row[0])]
    assert len(seen) == len(set(seen))


def tokenizer() -> BertTokenizer:
    return BertTokenizer.from_pretrained(BERT)


def old_import() -> None:
    from transformers import AdamW  # noqa: F401


def added_token() -> None:
    words = tokenizer()
    words.add_tokens(["阳光"])
    BertModel.from_pretrained(BERT)(**words("阳光好", return_tensors="pt"))


def greedy(**settings: object) -> None:
    model = AutoModelForCausalLM.from_pretrained(GPT)
    model.generate(torch.tensor([[101, 872]]), max_new_tokens=2, **settings)


def gbk_csv(folder: Path) -> Path:
    path = folder / "gbk.csv"
    path.write_bytes("text,label\n很好,1\n".encode("gbk"))
    return path


def lfs_pointer(folder: Path) -> Path:
    shutil.copytree(BERT, folder / "bert")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    (folder / "bert" / "model.safetensors").write_text(pointer, encoding="utf-8")
    return folder / "bert"


def parts() -> DatasetDict:
    return DatasetDict(train=Dataset.from_dict({"text": ["好"]}))


def head(classes: int) -> dict:
    return nn.Linear(256, classes).state_dict()


def no_such_module() -> None:
    import no_such_module  # noqa: F401


PROVOKED = {  # what a learner writes → what the cure must say
    "a package is missing": (lambda _: no_such_module(), "requirements.txt"),
    "batch_encode_plus": (lambda _: tokenizer().batch_encode_plus(["好"]), "直接调用"),
    "encode_plus": (lambda _: tokenizer().encode_plus("好"), "直接调用"),
    "AdamW": (lambda _: old_import(), "from torch.optim import AdamW"),
    "evaluation_strategy": (
        lambda _: TrainingArguments("x", evaluation_strategy="epoch"),
        "eval_strategy",
    ),
    "no_cuda": (lambda _: TrainingArguments("x", no_cuda=True), "use_cpu=True"),
    "Trainer(tokenizer=)": (
        lambda _: Trainer(BertForSequenceClassification.from_pretrained(BERT), tokenizer=1),
        "processing_class",
    ),
    "tf": (lambda _: tokenizer()("好", return_tensors="tf"), 'return_tensors="pt"'),
    "temperature=0": (lambda _: greedy(do_sample=True, temperature=0.0), "do_sample=False"),
    "two greedy texts": (lambda _: greedy(num_return_sequences=2), "do_sample=True"),
    "no padding": (lambda _: tokenizer()(["好", "很好"], return_tensors="pt"), "padding=True"),
    "600 tokens": (
        lambda _: BertModel.from_pretrained(BERT)(torch.ones(1, 600, dtype=torch.long)),
        "max_length=512",
    ),
    "602 tokens": (
        lambda _: BertModel.from_pretrained(BERT)(**tokenizer()("好" * 600, return_tensors="pt")),
        "max_length=512",
    ),
    "add_tokens": (lambda _: added_token(), "resize_token_embeddings"),
    "AutoModel, outer folder": (lambda _: AutoModel.from_pretrained(ROOT / "docs"), "config.json"),
    "BertModel, outer folder": (lambda _: BertModel.from_pretrained(ROOT / "docs"), "config.json"),
    "LFS pointer": (lambda tmp: BertModel.from_pretrained(lfs_pointer(tmp)), "git lfs pull"),
    "no cuda": (lambda _: torch.zeros(1).to("cuda"), "04-gpu.md"),
    "label 2 of 2": (
        lambda _: nn.CrossEntropyLoss()(torch.zeros(1, 2), torch.tensor([2])),
        "num_labels",
    ),
    "float label": (
        lambda _: nn.CrossEntropyLoss()(torch.zeros(1, 2), torch.tensor([1.0])),
        ".long()",
    ),
    "768 written out": (lambda _: nn.Linear(768, 2)(torch.zeros(1, 256)), "hidden_size"),
    "six-class head": (lambda _: nn.Linear(256, 2).load_state_dict(head(6)), "类别数"),
    "DataParallel": (
        lambda _: nn.Linear(256, 2).load_state_dict({f"module.{k}": v for k, v in head(2).items()}),
        "removeprefix",
    ),
    "all frozen": (lambda _: torch.zeros(1).sum().backward(), "no_grad"),
    "no folder": (lambda tmp: torch.save({}, tmp / "params" / "0bert.pth"), "mkdir"),
    "batch of unequal rows": (
        lambda _: next(iter(DataLoader([torch.zeros(2), torch.zeros(3)], batch_size=2))),
        "collate_fn",
    ),
    "GBK": (
        lambda tmp: load_dataset("csv", data_files=str(gbk_csv(tmp)), cache_dir=str(tmp)),
        'encoding="gbk"',
    ),
    "GBK, pandas": (lambda tmp: pd.read_csv(gbk_csv(tmp)), 'encoding="gbk"'),
    "no validation": (lambda _: parts()["validation"], "train_test_split"),
    "row of a DatasetDict": (lambda _: parts()[0], '["train"][0]'),
    "to_csv of a DatasetDict": (lambda _: parts().to_csv("x"), "train.csv"),
    "no such column": (lambda _: parts()["train"]["review"], "column_names"),
    "not saved by save_to_disk": (lambda tmp: load_from_disk(str(tmp)), "save_to_disk"),
    "imdb": (lambda _: HfFileSystem().resolve_path("datasets/imdb@1/x"), "stanfordnlp/imdb"),
    "full-width comma": (
        lambda _: requests.get("http://127.0.0.1:9", headers={"Authorization": "Bearer x，"}),
        "hf_",
    ),
    "web page": (lambda _: requests.models.complexjson.loads("<html>"), "status_code"),
    "a folder that is not there": (
        lambda tmp: BertModel.from_pretrained(tmp / "no" / "such" / "folder"),
        "在不在",
    ),
    "a Windows path without r": (lambda _: BertModel.from_pretrained("D:\test"), 'r"D:'),
}


@pytest.mark.parametrize("case", PROVOKED)
@pytest.mark.filterwarnings("ignore")
def test_a_real_error_finds_the_row_that_helps(tmp_path, case):
    provoke, cure = PROVOKED[case]
    with pytest.raises(Exception) as caught:
        provoke(tmp_path)
    row = look_up(caught.value)
    assert row, f"{type(caught.value).__name__}: {caught.value}"
    assert cure in row.partition("怎么办：")[2], f"{caught.value}\n{row}"
    assert row.count("\n") == 2 and "](" not in row


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("a bug"),
        KeyError("course"),
        ValueError(""),
        TypeError("'NoneType' object is not subscriptable"),
        AttributeError("'Model' object has no attribute 'head'"),
        requests.ReadTimeout("Read timed out"),
    ],
)
def test_another_error_finds_none(error):
    assert look_up(error) is None


LESSON = """
import torch
from course.cli import run

def main():
    print("── 1. 存")
    torch.save({}, "no such folder/0bert.pth")

run(main)
"""


def test_a_lesson_that_dies_prints_the_row_under_its_traceback(repo, tmp_path):
    (tmp_path / "lesson.py").write_text(LESSON, encoding="utf-8")
    done = run_python([str(tmp_path / "lesson.py")], tmp_path, environment(repo))
    assert done.returncode == 1 and "── 1. 存" in done.stdout
    traceback, _, row = done.stderr.partition("RuntimeError: Parent directory")
    assert traceback.startswith("Traceback") and "line 7, in main" in traceback
    assert "为什么：`torch.save` 不会自己建文件夹" in row and "怎么办：先" in row


PATH = os.pathsep.join([str(ROOT / "tests" / "offline"), str(ROOT)])  # the other checkout's course
STARTS = {  # how a lesson is started → arguments of Python, where
    "from elsewhere, as PyCharm may": (["{repo}/demo02_sentiment/my_dataset.py"], "{tmp}"),
    "by a relative path": (["my_dataset.py"], "{repo}/demo02_sentiment"),
    "-m": (["-m", "my_dataset"], "{repo}/demo02_sentiment"),
    "IDLE, %run": (
        [
            "-c",
            "import runpy, sys; sys.path[0] = '{repo}/demo02_sentiment';"
            "sys.argv = [sys.path[0] + '/my_dataset.py'];"
            "runpy.run_path(sys.argv[0], run_name='__main__')",
        ],
        "{tmp}",
    ),
    "a REPL in the folder of the lessons": (
        ["-c", "import sys; sys.argv = ['']; import my_dataset"],
        "{repo}/demo02_sentiment",
    ),
}


@pytest.mark.parametrize("start", STARTS)
def test_another_checkout_is_noticed_however_a_lesson_is_started(repo, tmp_path, start):
    def put(text: str) -> str:
        return text.replace("{repo}", str(repo)).replace("{tmp}", str(tmp_path))

    argv, cwd = STARTS[start]
    env = environment(repo) | {"PYTHONPATH": PATH}
    done = run_python([put(word) for word in argv], Path(put(cwd)), env, warm=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr and done.stdout == ""
    assert f"运行的脚本是 {repo} 的，import 到的 course 却是 {ROOT} 的" in done.stderr
    assert f'pip install -e "{repo}"' in done.stderr


def test_a_course_without_a_checkout_says_so_and_finds_the_one_of_the_folder(tmp_path):
    """`pip install .`: course lies in site-packages; a REPL must not write models and data there"""
    site = tmp_path / "site-packages"
    shutil.copytree(ROOT / "course", site / "course")
    env = os.environ | {"PYTHONPATH": str(site), "PYTHONIOENCODING": "utf-8"}
    argv = [sys.executable, "-c", "from course.paths import DATA; print(DATA)"]

    def start(cwd: Path) -> subprocess.CompletedProcess:
        return subprocess.run(argv, cwd=cwd, env=env, capture_output=True, encoding="utf-8")

    nowhere = start(tmp_path)
    assert nowhere.returncode == 1 and nowhere.stdout == ""
    assert "从这里找不到仓库" in nowhere.stderr and "Traceback" not in nowhere.stderr
    (tmp_path / "我的课程" / "demo02_sentiment" / "params").mkdir(parents=True)
    inside = start(tmp_path / "我的课程" / "demo02_sentiment")
    assert inside.stdout == f"{tmp_path / '我的课程' / 'data'}\n", inside.stderr


@pytest.mark.parametrize("page", [b"\xff\xfe\x00", "| `KeyError: 'x'` | 少一栏 |\n".encode(), None])
def test_a_damaged_page_never_takes_the_place_of_the_error(monkeypatch, tmp_path, page):
    (tmp_path / "docs").mkdir()
    if page is not None:
        (tmp_path / "docs" / "errors.md").write_bytes(page)
    monkeypatch.setattr(errors, "ROOT", tmp_path)
    assert errors.look_up(KeyError("x")) is None
