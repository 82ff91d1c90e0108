"""判题  第二个 demo 的第 1 课：和随仓库的小 BERT 的分词器比"""

from judging import ask, compare, exercise

from course.models import load_tokenizer
from course.paths import MODELS

TOKENIZER = load_tokenizer(MODELS / "tiny-bert-chinese")
VOCAB = TOKENIZER.get_vocab()
SENTENCES = ["白日依山尽，", "龘好", "黄河入海流，欲穷千里目，更上一层楼", "", "好"]
PAD, UNK, CLS, SEP = 0, 100, 101, 102


@exercise(
    "encode",
    "一句话 → 编号",
    "先截（给 [CLS] 和 [SEP] 留两个位置），再加记号，最后补齐；vocab.get(字, vocab['[UNK]'])",
)
def check_encode(encode):
    for text in SENTENCES:
        for length in (5, 10, 40):
            settings = {"truncation": True, "padding": "max_length", "max_length": length}
            out = TOKENIZER(text, **settings)
            want = {key: list(out[key]) for key in ("input_ids", "attention_mask")}

            def result(ids: list[int], length: int = length, mask: int = 0) -> dict:
                rest = length - len(ids)
                return {
                    "input_ids": ids + [PAD] * rest,
                    "attention_mask": [1] * len(ids) + [mask] * rest,
                }

            plain = [VOCAB.get(character, UNK) for character in text]
            whole = [CLS, *plain, SEP]
            cut = [CLS, *plain[: length - 2], SEP]
            ask(
                encode,
                *(text, VOCAB, length),
                want=want,
                usual=[
                    (result(plain[:length]), "忘了 [CLS] 和 [SEP]"),
                    (result(whole[:length]), "先加记号再截，把 [SEP] 截掉了：先截，留两个位置"),
                    (result([CLS, *plain][:length]), "忘了最后的 [SEP]"),
                    (result(whole), "太长的没有截断"),
                    (result(cut, len(cut)), "太短的没有补齐到 max_length"),
                    (result(cut, length, 1), "补的位置 attention_mask 要是 0，不然模型会去看它"),
                    (
                        result([CLS, *plain[:length], SEP]),
                        "截到 max_length 之后又加了 [CLS] 和 [SEP]，多出两个",
                    ),
                    (
                        {"input_ids": [*(cut[:-1] + [PAD] * length)[: length - 1], SEP]}
                        | {"attention_mask": want["attention_mask"]},
                        "[SEP] 跟在最后一个字后面，[PAD] 在 [SEP] 的后面",
                    ),
                ],
                errors={KeyError: "字典里没有这个字：没有的要变成 [UNK]，用 vocab.get"},
                shown=f"encode({text!r}, vocab, {length})",
            )


@exercise("decode", "编号 → 一句话", "先把 vocab 反过来：{编号: token}；''.join(…) 连起来")
def check_decode(decode):
    for text in SENTENCES:
        ids = TOKENIZER(text, padding="max_length", max_length=20)["input_ids"]
        tokens = TOKENIZER.convert_ids_to_tokens(ids)
        specials = ("[CLS]", "[SEP]", "[PAD]")
        kept = [token for token in tokens if token not in specials]
        ask(
            decode,
            *(ids, VOCAB),
            want="".join(kept),
            usual=[
                ("".join(tokens), "[CLS]、[SEP]、[PAD] 是给模型的记号，不是原文，要去掉"),
                (" ".join(kept), "中文的字之间不要空格：''.join"),
                (kept, "要的是一个字符串：''.join(…)"),
                ("".join(t for t in kept if t != "[UNK]"), "[UNK] 要留着，那里原来有一个字"),
                (
                    "".join(t for t in tokens if t != "[PAD]"),
                    "[CLS] 和 [SEP] 也是记号，也要去掉",
                ),
            ],
            errors={KeyError: "vocab 是 {token: 编号}，要反过来查"},
            shown=f"decode({ids[: len(kept) + 3]}…, vocab)",
        )


@exercise("MAX_LENGTH", "不截断要多长", "先自己数，再用 len(tokenizer(SENTENCE)['input_ids']) 核对")
def check_max_length(length):
    sentence = "iphone15很好用，unbelievable！"
    tokens = TOKENIZER.tokenize(sentence)
    compare(
        "MAX_LENGTH",
        length,
        len(tokens) + 2,
        [
            (len(tokens), f"切成了 {tokens}，还有 [CLS] 和 [SEP] 也占位置"),
            (len(sentence) + 2, "英文和数字不是一个字母一个 token，长词会切成几块"),
            (len(sentence), "这是字符数；要数 token，再加 [CLS] 和 [SEP]"),
            (512, "512 是上限，这里问的是最小要多少"),
        ],
    )
