"""The lessons, run from the repo root and from their own folder, with no arguments needed"""

import csv
import re
import shutil

import pytest
from conftest import TINY, run_here, run_script

from course.errors import CourseError
from course.reviews import load_reviews, to_splits
from my_dataset import MyDataset


def demo02(repo, script, *args, own_folder=False):
    cwd = repo / "demo02_sentiment" if own_folder else repo
    done = run_script(repo, f"demo02_sentiment/{script}", *args, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("own_folder", [False, True])
def test_01_tokenizer(repo, own_folder):
    out = demo02(repo, "01_tokenizer.py", own_folder=own_folder)
    assert "字典里有 21128 个 token" in out
    for symbol, number in (("PAD", 0), ("UNK", 100), ("CLS", 101), ("SEP", 102), ("MASK", 103)):
        assert re.search(rf"\[{symbol}\] +id +{number} ", out)
    assert "白 → 4635  日 → 3189  依 → 898  山 → 2255  尽 → 2226  ， → 8024" in out
    assert "分词器： [101, 4635, 3189, 898, 2255, 2226, 8024, 102]" in out
    assert "相同： True" in out
    # max_length 15: the first sentence is padded, its mask says so, its true length is 8
    assert "[101, 4635, 3189, 898, 2255, 2226, 8024, 102, 0, 0, 0, 0, 0, 0, 0]" in out
    assert "[1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0]" in out
    assert "[1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1]" in out
    assert "真长度： [8, 8]" in out and "真长度： [8, 15]" in out
    assert "token_type_ids： [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1]" in out
    assert "[CLS] 白 日 依 山 尽 ， [SEP] [PAD]" in out
    assert "认不得的字： 店名叫龘龘，菜很好吃 → ['店', '名', '叫', '[UNK]', '[UNK]'" in out
    assert "英文和数字： i love bert → ['i', 'love', 'be', '##rt']" in out
    assert "大小写： I love BERT → ['[UNK]', 'love', '[UNK]']" in out
    assert "还原： i love bert\n" in out


def test_01_fails_loudly_on_the_silent_five_token_vocabulary(monkeypatch, capsys, tmp_path):
    for name in ("config.json", "model.safetensors"):
        shutil.copy(TINY / name, tmp_path)
    path = "demo02_sentiment/01_tokenizer.py"
    code, text = run_here(monkeypatch, capsys, path, "--model", tmp_path)
    assert "字典只有 5 个 token" in str(code)
    assert "Traceback" not in text and "[UNK]" not in text


def test_02_load_dataset(repo, splits):
    out = demo02(repo, "02_load_dataset.py", own_folder=True)
    assert "train 9600 条，validation 1200 条，test 1200 条" in out
    assert "ClassLabel(names=['负向', '正向'])" in out
    assert "测试集里有 0 条也在训练集里" in out
    assert "读回来和原来一字不差： True" in out
    for name, rows in splits.items():
        with (repo / "data/csv" / f"{name}.csv").open(encoding="utf-8-sig", newline="") as file:
            written = [(row["text"], int(row["label"])) for row in csv.DictReader(file)]
        assert written == rows


def test_02_reads_the_learners_own_csv(repo, mini_data):
    out = demo02(repo, "02_load_dataset.py", "--data", mini_data)
    assert "train 400 条，validation 100 条，test 100 条" in out


def test_my_dataset(repo, mini_data):
    out = demo02(repo, "my_dataset.py", "--data", mini_data)
    text, label = to_splits(load_reviews(mini_data))["validation"][0]
    for split, size in (("train", 400), ("validation", 100), ("test", 100)):
        assert re.search(rf"{split} +{size} 条，负向 {size // 2}，正向 {size // 2}", out)
    assert str((text[:40], label))[:30] in out


def test_my_dataset_items_and_the_wrong_split(mini_data):
    dataset = MyDataset("train", str(mini_data))
    rows = to_splits(load_reviews(mini_data))["train"]
    assert len(dataset) == 400 and [dataset[i] for i in range(400)] == rows
    with pytest.raises(CourseError, match=r"没有叫 training 的.*train、validation、test"):
        MyDataset("training", str(mini_data))


def test_net_and_features_print_what_they_teach(repo, mini_bert, mini_data):
    out = demo02(repo, "net.py", "--model", mini_bert)
    assert re.search(r"fc（要训练） +66 个参数 = 32 × 2 \+ 2", out)
    assert "logits             (2, 2)" in out
    out = demo02(repo, "features.py", "--model", mini_bert, "--data", mini_data)
    assert out.count("特征：validation (100, 32)，") == 2  # computed or found, then found
    assert float(re.search(r"最大相差 (\S+)", out)[1]) < 5e-6


@pytest.mark.parametrize("script", ["01_tokenizer", "my_dataset", "evaluate"])
def test_a_wrong_flag(monkeypatch, capsys, script):
    path = f"demo02_sentiment/{script}.py"
    code, text = run_here(monkeypatch, capsys, path, "--no-such-flag")
    assert "不认识的参数 --no-such-flag" in str(code)
    assert f"{path} --help" in str(code) and "Traceback" not in text
