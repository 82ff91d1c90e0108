"""The model: frozen encoder + Linear, equal to the reference implementation"""

import copy

import pytest
import torch
from conftest import encode, make_bert
from torch import nn
from transformers import BertForSequenceClassification

from net import DEVICE, Model


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


def test_full_size_bert_base_chinese_configuration(tmp_path):
    folder = make_bert(tmp_path / "base", vocab_size=21128)  # the other defaults are BERT-base's
    model = Model(folder).to(DEVICE)
    assert model.encoder.config.num_hidden_layers == 12
    assert model.fc.weight.shape == (2, 768)
    assert model(**encode(folder)).shape == (3, 2)
    learned = {n for n, p in model.named_parameters() if p.requires_grad}
    assert learned == {"fc.weight", "fc.bias"}
