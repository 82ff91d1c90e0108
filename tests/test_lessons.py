"""The lessons, run from the repo root and from their own folder, with no arguments needed"""

import csv
import re
import shutil

import pytest
from conftest import TINY, reviews_of, rows_of, run_here, run_script
from datasets import load_dataset, load_from_disk
from shown import assert_shown, promised

from course.models import load_tokenizer
from course.reviews import to_splits
from my_dataset import MyDataset


def demo02(repo, script, *args, own_folder=False):
    cwd = repo / "demo02_sentiment" if own_folder else repo
    done = run_script(repo, f"demo02_sentiment/{script}", *args, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def assert_shows(repo, script, out):
    """What the lesson promises is what it prints: the block 会看到, in this order"""
    path = repo / "demo02_sentiment" / script
    assert len(promised(path)) >= 5
    assert_shown(path, out)


@pytest.mark.parametrize("own_folder", [False, True])
def test_01_tokenizer(repo, own_folder):
    out = demo02(repo, "01_tokenizer.py", own_folder=own_folder)
    assert_shows(repo, "01_tokenizer.py", out)  # most of it stands there
    # max_length 15: the first sentence is padded, its mask says so, its true length is 8
    assert "[1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0]" in out
    assert "[1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1]" in out
    assert "真长度： [8, 8]" in out and "真长度： [8, 15]" in out
    # What is printed in step 3 is the object itself
    assert "padding_side='right', truncation_side='right', special_tokens={" in out


def test_01_what_the_comments_say_of_wrong_calls():
    tokenizer = load_tokenizer(TINY)
    with pytest.raises(ValueError, match="tf is not a valid TensorType"):
        tokenizer("白日", return_tensors="tf")
    with pytest.raises(ValueError, match="Unable to create tensor"):  # rows of different lengths
        tokenizer(["白日", "依山尽"], return_tensors="pt")
    assert not hasattr(tokenizer, "batch_encode_plus")
    assert len(tokenizer("好" * 600)["input_ids"]) == 602  # past 512 it only warns
    lines = (TINY / "vocab.txt").read_text(encoding="utf-8").split("\n")
    assert lines[4635:4637] == ["白", "百"]


def test_01_fails_loudly_on_the_silent_five_token_vocabulary(monkeypatch, capsys, tmp_path):
    for name in ("config.json", "model.safetensors"):
        shutil.copy(TINY / name, tmp_path)
    path = "demo02_sentiment/01_tokenizer.py"
    code, text = run_here(monkeypatch, capsys, path, "--model", tmp_path)
    assert "字典只有 5 个 token" in str(code)
    assert "Traceback" not in text and "[UNK]" not in text


def test_02_load_dataset(repo, splits):
    done = run_script(repo, "demo02_sentiment/02_load_dataset.py", cwd=repo / "demo02_sentiment")
    assert done.returncode == 0, done.stderr
    out = done.stdout
    for english in ("Saving the dataset", "Creating CSV", "Creating json", "Generating"):
        assert english not in out + done.stderr
    assert_shows(repo, "02_load_dataset.py", out)
    assert "train 9600 条，validation 1200 条，test 1200 条" in out
    assert "ClassLabel(names=['负向', '正向'])" in out
    assert "测试集里有 0 条也在训练集里" in out
    assert "读回来和原来一字不差： True" in out
    for name, rows in splits.items():
        path = repo / "data/csv" / f"{name}.csv"
        with path.open(encoding="utf-8-sig", newline="") as file:
            written = [(row["text"], int(row["label"])) for row in csv.DictReader(file)]
        assert written == rows
        # Chinese Excel takes a CSV without this mark for GBK
        assert path.read_bytes().startswith(b"\xef\xbb\xbftext,label")
    assert to_splits(load_from_disk(repo / "data/arrow")) == splits
    # The cache is where cache_dir says, not in the home folder, and the script names the file
    cached = re.search(r"转成的 Arrow 缓存在 (.+)", out)[1]
    assert cached.startswith(str(repo / "data" / "cache")) and cached.endswith(".arrow")


def test_02_what_the_comments_say_of_csv(tmp_path, mini_data):
    dataset = reviews_of(mini_data)
    assert not hasattr(dataset, "to_csv")
    path = tmp_path / "说明.csv"
    dataset["test"].to_csv(path, encoding="utf-8-sig")
    assert path.read_bytes().startswith(b"text,label")  # no mark: step 6 adds it for this reason
    dataset["test"].to_pandas().to_csv(path, index=False, encoding="utf-8-sig")
    assert path.read_bytes().startswith(b"\xef\xbb\xbftext,label")

    def read(**options):
        return load_dataset("csv", data_files=str(path), cache_dir=str(tmp_path), **options)

    path.write_text("text,label\nNA,1\n很好,1\n", encoding="utf-8")
    assert list(read()) == ["train"]
    assert read(split="train")["text"][:] == [None, "很好"]
    assert read(split="train", keep_default_na=False)["text"][:] == ["NA", "很好"]
    path.write_text("text,label\n好,1\n", encoding="gbk")
    assert read(split="train", encoding="gbk")["text"][:] == ["好"]


def test_02_reads_the_learners_own_csv(repo, mini_data):
    out = demo02(repo, "02_load_dataset.py", "--data", mini_data)
    assert "train 400 条，validation 100 条，test 100 条" in out


def test_my_dataset(repo, mini_data):
    out = demo02(repo, "my_dataset.py", "--data", mini_data)
    text, label = rows_of(mini_data)["validation"][0]
    for split, size in (("train", 400), ("validation", 100), ("test", 100)):
        assert re.search(rf"{split} +{size} 条，负向 {size // 2}，正向 {size // 2}", out)
    assert str((text[:40], label))[:30] in out


def test_my_dataset_items_and_the_wrong_split(mini_data):
    dataset = MyDataset("train", str(mini_data))
    rows = rows_of(mini_data)["train"]
    assert len(dataset) == 400 and [dataset[i] for i in range(400)] == rows
    with pytest.raises(ValueError, match=r"没有叫 training 的.*train、validation、test"):
        MyDataset("training", str(mini_data))


def test_net_and_features_print_what_they_teach(repo, mini_bert, mini_data):
    out = demo02(repo, "net.py", "--model", mini_bert)
    assert re.search(r"fc（要训练） +66 个参数 = 32 × 2 \+ 2", out)
    assert "logits             (2, 2)" in out
    out = demo02(repo, "06_features.py", "--model", mini_bert, "--data", mini_data)
    assert out.count("特征：validation (100, 32)，") == 2  # computed or found, then found
    assert float(re.search(r"最大相差 (\S+)", out)[1]) < 5e-6


@pytest.mark.parametrize("script", ["01_tokenizer", "my_dataset", "07_evaluate"])
def test_a_wrong_flag(monkeypatch, capsys, script):
    path = f"demo02_sentiment/{script}.py"
    code, text = run_here(monkeypatch, capsys, path, "--no-such-flag")
    assert "不认识的参数 --no-such-flag" in str(code)
    assert f"{path} --help" in str(code) and "Traceback" not in text
