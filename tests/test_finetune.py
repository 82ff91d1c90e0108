"""extra_finetune.py: the chosen layers learn and no other, 07_evaluate.py reads what it saved"""

import difflib
import itertools
import re
from pathlib import Path

import pytest
import torch
from conftest import (
    encode,
    load,
    read_log,
    record_of,
    rows_of,
    run_here,
    run_script,
    write_csv,
)
from safetensors.torch import load_file
from torch import nn

from backstage.training import TrainingLog
from backstage.tuning import LengthBatches, TunableModel
from course.paths import ROOT
from net import DEVICE

FINETUNE = "demo02_sentiment/extra_finetune.py"


@pytest.mark.parametrize("unfreeze", [1, 2, "all"])
def test_unfreezing_trains_the_chosen_layers_and_no_other(mini_bert, unfreeze):
    model = TunableModel(mini_bert, 2, unfreeze).to(DEVICE)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    model.train()
    modes = [layer.training for layer in model.encoder.encoder.layer]
    assert modes == [unfreeze != 1, True]  # dropout only where something is learnt
    assert model.encoder.embeddings.training == (unfreeze == "all")
    loss = nn.functional.cross_entropy(
        model(**encode(mini_bert)), torch.tensor([1, 0, 1], device=DEVICE)
    )
    loss.backward()
    optimizer.step()
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    groups = {
        1: ("fc.", "encoder.encoder.layer.1."),
        2: ("fc.", "encoder.encoder.layer."),
        "all": ("fc.", "encoder.encoder.layer.", "encoder.embeddings."),
    }
    assert changed == {name for name in before if name.startswith(groups[unfreeze])}
    assert not any(module.training for module in model.eval().modules())


@pytest.mark.slow
def test_fine_tuning_saves_what_it_trained_and_evaluate_reads_it(
    repo, mini_bert, mini_data, tmp_path
):
    done = run_script(
        repo,
        FINETUNE,
        *("--model", mini_bert, "--data", mini_data, "--params", tmp_path),
        *("--unfreeze", 1, "--epochs", 2, "--encoder-lr", 2e-3, "--max-length", 100),
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"微调 BERT 的 [\d,]+ 个参数，学习率 2.0e-03", done.stdout)
    assert "\n设备" in done.stdout and "每轮 12 批" in done.stdout
    losses = [row["loss"] for row in read_log(tmp_path)]
    assert losses[1] < losses[0]
    state, base = load(tmp_path / "best.pth"), load_file(mini_bert / "model.safetensors")
    assert {name.split(".")[0] for name in state} == {"fc", "encoder"}
    assert all(n.startswith(("fc.", "encoder.encoder.layer.1.")) for n in state)
    name = "encoder.layer.1.output.dense.weight"
    assert not torch.equal(state[f"encoder.{name}"], base[name])
    record = record_of(tmp_path / "best.pth")
    assert record["unfreeze"] == 1 and record["batch_size"] == 32

    # 07_evaluate.py is not told; on the validation reviews it must find train.py's accuracy
    splits = rows_of(mini_data)
    for name, split in (("train", "train"), ("validation", "test"), ("test", "validation")):
        rows = [(text, y, ("负向", "正向")[y]) for text, y in splits[split]]
        write_csv(tmp_path / "again" / f"{name}.csv", rows)
    score = run_script(
        repo,
        *("demo02_sentiment/07_evaluate.py", "--weights", tmp_path / "best.pth"),
        *("--data", tmp_path / "again"),
    )
    assert score.returncode == 0, score.stderr
    assert "不是训练时的" in score.stdout  # another paper: it says so
    correct = int(re.search(r"(\d+)/100 .*微调最后 1 层的 BERT", score.stdout)[1])
    assert correct / 100 == pytest.approx(record["validation_accuracy"])


def test_resume_ends_as_if_nothing_had_happened_shows_values_and_goes_further(
    monkeypatch, capsys, mini_bert, mini_data, tmp_path
):
    whole, params = tmp_path / "whole", tmp_path / "params"
    flags = ["--model", mini_bert, "--data", mini_data, "--max-length", 30, "--lr", 0.01]

    def finetune(folder: Path, *more: object) -> tuple[object, str]:
        flags_ = (*flags, "--params", folder, *more)
        return run_here(monkeypatch, capsys, FINETUNE, *flags_)

    def stopped(self, *scores):
        if len(self.rows) == 2:
            raise KeyboardInterrupt
        return add(self, *scores)

    add = TrainingLog.add
    code, _ = finetune(params, "--resume")
    assert "没有停在半路的训练" in str(code) and not list(params.glob("*"))
    assert finetune(whole, "--epochs", 3)[0] == 0
    with monkeypatch.context() as ctrl_c:
        ctrl_c.setattr(TrainingLog, "add", stopped)  # in the third epoch
        code, text = finetune(params, "--epochs", 3)
    assert code == 0 and "停在轮次 1" in text and "--resume" in text and len(read_log(params)) == 2
    code, _ = finetune(params, "--epochs", 3, "--resume", "--lr", 0.02, "--seed", 1)
    assert "learning_rate 从前是 0.01，现在是 0.02；seed 从前是 0，现在是 1" in str(code)
    half = (params / "resume.pth").read_bytes()
    state = torch.load(params / "resume.pth", weights_only=True)
    state["record"]["head"] = "Sequential(\n  (0): Dropout(p=0.1)\n)"  # net.py was another
    torch.save(state, params / "resume.pth")
    code, _ = finetune(params, "--epochs", 3, "--resume")
    assert "head 从前是 Sequential( (0): Dropout(p=0.1) )，现在是 Linear(" in str(code)
    (params / "resume.pth").write_bytes(half[:3000])
    assert "resume.pth 认不出" in str(finetune(params, "--epochs", 3, "--resume")[0])
    (params / "resume.pth").write_bytes(half)

    (params / "best.pth").unlink()
    code, text = finetune(params, "--epochs", 3, "--resume")
    assert code == 0 and "接着训练：轮次 1 已经跑完" in text and "注意" not in text
    for path in [*whole.glob("*bert.pth"), whole / "best.pth"]:
        theirs, ours = load(path), load(params / path.name)
        assert theirs.keys() == ours.keys()
        assert all(torch.equal(theirs[name], ours[name]) for name in theirs), path.name
    logs = [[{**row, "seconds": 0} for row in read_log(folder)] for folder in (params, whole)]
    assert logs[0] == logs[1]

    code, text = finetune(params, "--epochs", 4, "--resume")  # longer: said, and done
    assert code == 0 and "从前说跑 3 轮，现在 4 轮" in text and len(read_log(params)) == 4
    assert record_of(params / "3bert.pth")["epochs"] == 4
    # a training from the start clears it all, and leaves nothing to resume by mistake
    assert finetune(params, "--epochs", 1)[0] == 0
    assert len(list(params.glob("*bert.pth"))) == 1 and len(read_log(params)) == 1


def test_batches_of_similar_lengths_come_in_any_order():
    lengths = torch.randint(10, 500, (3210,), generator=torch.Generator().manual_seed(1)).tolist()
    batches = LengthBatches(lengths, 32, torch.Generator().manual_seed(0))
    first, second = list(batches), list(batches)
    for epoch in (first, second):
        assert len(epoch) == len(batches) == 100 and all(len(batch) == 32 for batch in epoch)
        assert len({i for batch in epoch for i in batch}) == 3200  # no review twice
    assert first != second
    again = LengthBatches(lengths, 32, torch.Generator().manual_seed(0))
    assert list(again) == first
    means = [sum(lengths[i] for i in batch) / 32 for batch in first]
    spread = max(max(lengths[i] for i in b) - min(lengths[i] for i in b) for b in first)
    assert spread < 60 and max(means) - min(means) > 350
    # not sorted from one batch to the next: as often up as down, more or less
    ups = sum(a < b for a, b in itertools.pairwise(means))
    assert 35 <= ups <= 65


def test_the_loop_is_that_of_train_py_and_every_new_line_of_it_is_marked():
    def loop(name: str) -> list[str]:
        text = (ROOT / "demo02_sentiment" / name).read_text(encoding="utf-8")
        lines = text[
            text.index("        for epoch in") : text.index("            model.eval()")
        ].splitlines()
        code = [re.sub(r"  # (?!新).*", "", line) for line in lines]
        return [line for line in code if line.strip() and not line.strip().startswith("#")]

    added = [
        line[2:]
        for line in difflib.ndiff(loop("train.py"), loop("extra_finetune.py"))
        if line.startswith("+ ")
    ]
    unmarked = [line.strip() for line in added if "# 新" not in line]
    # the line that is printed now and then; above it stands why
    assert [line[:12] for line in unmarked] == ['print(f"  轮次']
    assert sum("# 新" in line for line in added) == 7


BAD_INPUT = {
    "more layers than there are": (["--unfreeze", "9", "--data", "{data}"], "这个 BERT 只有 4 层"),
    "unfreeze what": (["--unfreeze", "last"], "--unfreeze"),
    "nothing to learn": (["--unfreeze", "0"], "--unfreeze 要是不小于 1 的整数"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_one_sentence_and_the_next_step(
    monkeypatch, capsys, mini_data, tmp_path, case
):
    flags, message = BAD_INPUT[case]
    flags = [flag.format(data=mini_data) for flag in flags]
    params = tmp_path / "params"
    code, text = run_here(monkeypatch, capsys, FINETUNE, *flags, "--params", params)
    assert isinstance(code, str) and message in code and "下一步：" in code
    assert "Traceback" not in text
    assert not params.exists() or not list(params.iterdir())
