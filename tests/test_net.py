"""The model: frozen encoder + Linear, equal to the reference implementation"""

import copy

import pytest
import torch
from conftest import make_bert
from torch import nn
from transformers import BertForSequenceClassification

from course.errors import CourseError
from course.models import load_tokenizer
from net import DEVICE, Model, fingerprint, load_encoder, load_weights, save_weights

TEXTS = ["房间很干净", "服务太差了，失望，再也不来了", "一般"]


def encode(folder, texts=TEXTS):
    return load_tokenizer(folder)(texts, padding=True, return_tensors="pt").to(DEVICE)


class FirstPosition(nn.Module):
    """Stands in for BertPooler: the very vector that our head sees"""

    def forward(self, hidden_states):
        return hidden_states[:, 0]


@pytest.mark.parametrize("num_labels", [2, 10])
def test_equal_to_transformers_own_classifier(mini_bert, num_labels):
    model = Model(mini_bert, num_labels).to(DEVICE).eval()
    reference = BertForSequenceClassification.from_pretrained(mini_bert, num_labels=num_labels)
    reference.bert.pooler = FirstPosition()
    reference.classifier.load_state_dict(model.fc.state_dict())
    reference = reference.to(DEVICE).eval()
    batch = encode(mini_bert)
    logits = model(batch["input_ids"], batch["attention_mask"], batch["token_type_ids"])
    assert logits.shape == (3, num_labels)
    torch.testing.assert_close(logits, reference(**batch).logits)


def test_encoder_is_bit_identical_after_training_and_never_in_train_mode(mini_bert):
    model = Model(mini_bert).to(DEVICE)
    before = copy.deepcopy(model.encoder.state_dict())
    head_before = model.fc.weight.detach().clone()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)  # all of them, as in the lecture
    for _ in range(3):
        model.train()
        assert (
            model.training and not model.encoder.training and not model.encoder.embeddings.training
        )
        loss = nn.functional.cross_entropy(
            model(**encode(mini_bert)), torch.tensor([1, 0, 1], device=DEVICE)
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert all(torch.equal(before[k], v) for k, v in model.encoder.state_dict().items())
    assert all(p.grad is None for p in model.encoder.parameters())
    assert not torch.equal(head_before, model.fc.weight)


def test_same_text_same_logits_in_train_mode(mini_bert):
    model = Model(mini_bert).to(DEVICE).train()
    batch = encode(mini_bert)
    assert torch.equal(model(**batch), model(**batch))


@pytest.mark.parametrize("unfreeze", [1, 2, "all"])
def test_unfreezing_trains_the_chosen_layers_and_no_other(mini_bert, unfreeze):
    model = Model(mini_bert, unfreeze=unfreeze).to(DEVICE)
    before = copy.deepcopy(model.state_dict())
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
    changed = {name for name, t in model.state_dict().items() if not torch.equal(t, before[name])}
    groups = {
        1: ("fc.", "encoder.encoder.layer.1."),
        2: ("fc.", "encoder.encoder.layer."),
        "all": ("fc.", "encoder.encoder.layer.", "encoder.embeddings."),
    }
    assert changed == {name for name in before if name.startswith(groups[unfreeze])}
    assert not any(module.training for module in model.eval().modules())


def test_saved_and_read_back_whatever_was_trained(mini_bert, tmp_path):
    for unfreeze in (0, 1, "all"):
        model = Model(mini_bert, unfreeze=unfreeze).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(0.01 * torch.randn_like(parameter))
        save_weights(model, tmp_path / "w.pth")
        other = Model(mini_bert).eval()  # is not told what was trained
        load_weights(other, tmp_path / "w.pth")
        batch = encode(mini_bert)
        assert torch.equal(other(**batch.to("cpu")), model(**batch.to("cpu")))


def test_full_size_bert_base_chinese_configuration(tmp_path):
    folder = make_bert(tmp_path / "base", vocab_size=21128)  # the other defaults are BERT-base's
    model = Model(folder).to(DEVICE)
    assert model.encoder.config.num_hidden_layers == 12
    assert model.fc.weight.shape == (2, 768)
    assert model(**encode(folder)).shape == (3, 2)
    learned = {n for n, p in model.named_parameters() if p.requires_grad}
    assert learned == {"fc.weight", "fc.bias"}


def test_fingerprint_sees_every_change_of_the_encoder(mini_bert):
    encoder, tokenizer = load_encoder(mini_bert), load_tokenizer(mini_bert)
    original = fingerprint(encoder, tokenizer)
    tokenizer(["很长的一句话"], truncation=True, max_length=3, padding="max_length")
    assert fingerprint(encoder, tokenizer) == original  # a call leaves no trace
    assert fingerprint(copy.deepcopy(encoder).bfloat16(), tokenizer) != original
    other = copy.deepcopy(encoder)
    other.config.layer_norm_eps = 1e-5
    assert fingerprint(other, tokenizer) != original
    other = copy.deepcopy(encoder)
    with torch.no_grad():
        other.encoder.layer[1].output.dense.bias[3] += 1e-6
    assert fingerprint(other, tokenizer) != original


def test_unusable_folders_are_refused(tmp_path, mini_bert):
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in mini_bert.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100_000])
    with pytest.raises(CourseError, match="文件可能不完整"):
        load_encoder(broken)

    config = broken / "config.json"
    text = config.read_text(encoding="utf-8")
    weights.write_bytes((mini_bert / "model.safetensors").read_bytes())
    config.write_text(
        text.replace('"num_hidden_layers": 2', '"num_hidden_layers": 3'), encoding="utf-8"
    )
    with pytest.raises(CourseError, match="缺少 16 个权重"):  # one whole layer
        load_encoder(broken)
    config.write_text(text.replace('"bert"', '"gpt2"'), encoding="utf-8")
    with pytest.raises(CourseError, match="是 gpt2 模型"):
        load_encoder(broken)
