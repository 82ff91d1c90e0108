"""答案  第一个 demo 的第 6 课  BERT 的里面：数参数，看形状，换成十类

练什么：每个参数从哪里来，一句话走过每一站是什么形状。会数了，看到任何模型都能估出大小。
"""

from transformers import BertConfig, BertForSequenceClassification


def linear_parameters(inputs: int, outputs: int) -> int:
    """一层 Linear(inputs, outputs) 有多少个参数：权重和偏置都算"""
    return inputs * outputs + outputs


def embedding_parameters(config: BertConfig) -> int:
    """BERT 的 embeddings 有多少个参数

    三张表，每行 hidden_size 个数：字（vocab_size 行）、位置（max_position_embeddings 行）、
    第几句（type_vocab_size 行）；三者相加之后的 LayerNorm 还有两个长 hidden_size 的向量。
    """
    rows = config.vocab_size + config.max_position_embeddings + config.type_vocab_size
    return (rows + 2) * config.hidden_size


def shapes(n: int, length: int, config: BertConfig) -> dict[str, tuple[int, ...]]:
    """n 句话，每句补齐到 length 个 token，走过每一站时的形状

    键：input_ids、last_hidden_state（编码器的输出）、pooler_output、logits。
    类别数是 config.num_labels。
    """
    hidden = config.hidden_size
    return {
        "input_ids": (n, length),
        "last_hidden_state": (n, length, hidden),
        "pooler_output": (n, hidden),
        "logits": (n, config.num_labels),
    }


def make_classifier(config: BertConfig, names: list[str]) -> BertForSequenceClassification:
    """按 config 造一个分类模型，有几个名字就分几类，config.id2label 里写上名字

    例：十个名字，分类头就是 Linear(hidden_size, 10)。
    """
    config.num_labels = len(names)
    config.id2label = dict(enumerate(names))
    config.label2id = {name: i for i, name in enumerate(names)}
    return BertForSequenceClassification(config)
