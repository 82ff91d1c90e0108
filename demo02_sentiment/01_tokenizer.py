"""第 1 课  分词器：把文字变成数字

教什么：模型只会算矩阵，输入必须是数字。图片和声音本来就是数字，文字不是，所以要一本字典：
每个字在字典里的行号就是它的 id。分词器（tokenizer）做的事：切分 → 查字典 → 截断或补齐。

怎么运行：python demo02_sentiment/01_tokenizer.py

会看到：
    字典里有 21128 个 token
    白 → 4635  日 → 3189  依 → 898  山 → 2255  尽 → 2226  ， → 8024
    分词器给的：[101, 4635, 3189, 898, 2255, 2226, 8024, 102]
    …每一种编码结果是什么意思，两个句子、认不得的字、英文单词各是怎么编的
"""

from course.cli import Parser, run
from course.models import find_model, load_tokenizer
from course.paths import command

MODEL = "bert-base-chinese"  # 没下载也没关系：随仓库的小模型用的是同一本字典

SENTENCE = "白日依山尽，"
BATCH = ["白日依山尽，", "黄河入海流，欲穷千里目，更上一层楼"]

MEANINGS = {
    "input_ids": "每个 token 在字典里的行号，模型真正的输入",
    "token_type_ids": "这个 token 属于第一句（0）还是第二句（1）",
    "attention_mask": "1 是真的 token，0 是补齐用的，模型不看 0 的位置",
    "special_tokens_mask": "1 是特殊符号（[CLS]、[SEP]、[PAD]），0 是原文里的",
    "length": "编码后的长度；现在的版本给的是补齐之后的，真长度看 attention_mask 的和",
}


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--model", default=MODEL, help=f"模型名或文件夹，默认 {MODEL}")
    folder = find_model(parser.parse_args().model)

    # 1. 加载分词器。陷阱：文件夹里没有字典时 BertTokenizer.from_pretrained 不报错，悄悄给一本
    #    只有 5 个 token 的空字典，所有句子都变成 [UNK]；load_tokenizer 会核对大小，不对就报错
    token = load_tokenizer(folder)
    print(f"字典里有 {len(token)} 个 token，来自 {folder}\n")

    # 2. 五个特殊符号：不是文字，是给模型的记号
    print("特殊符号：")
    for name, use in (
        ("pad_token", "补齐：一批句子要一样长，短的在后面补它"),
        ("unk_token", "不认识：字典里没有的字都变成它"),
        ("cls_token", "句首：BERT 用这个位置的向量代表整句话"),
        ("sep_token", "句尾，也隔开两句话"),
        ("mask_token", "遮住：预训练时挖空让模型猜，也就是完形填空"),
    ):
        symbol = getattr(token, name)
        print(f"  {symbol:7} id {token.convert_tokens_to_ids(symbol):>3}  {use}")

    # 3. 自己当一回分词器：一个字一个字查字典。vocab.txt 里第 4636 行是"白"，行号从 0 数就是 4635
    vocabulary = token.get_vocab()  # {"白": 4635, …}
    by_hand = [vocabulary[character] for character in SENTENCE]
    print("\n自己查：", "  ".join(f"{c} → {vocabulary[c]}" for c in SENTENCE))

    # 4. 分词器查的一样，只是前后加了 [CLS]（101）和 [SEP]（102）
    ids = token(SENTENCE)["input_ids"]
    print("分词器：", ids)
    print("去掉首尾后和自己查的相同：", ids[1:-1] == by_hand)

    # 5. 一批两句，编成一样长。max_length 是编码之后的长度，[CLS] 和 [SEP] 也占位置
    #    旧教程的 token.batch_encode_plus(…) 已经删除，现在直接把列表交给 token(…)
    for max_length in (8, 15):
        out = token(
            BATCH,
            add_special_tokens=True,
            truncation=True,  # 太长就截断
            padding="max_length",  # 太短就用 [PAD] 补到 max_length
            max_length=max_length,
            return_tensors=None,  # None 给列表，"pt" 给 PyTorch 张量
            return_token_type_ids=True,
            return_attention_mask=True,
            return_special_tokens_mask=True,
            return_length=True,
        )
        print(f"\nmax_length = {max_length}")
        for key, value in out.items():
            print(f"  {key}：{MEANINGS[key]}")
            for row in value if isinstance(value[0], list) else [value]:
                print(f"    {row}")
        print("  真长度：", [sum(mask) for mask in out["attention_mask"]])
        # 6. decode 是反方向：id → 文字。看看 8 时第二句被截掉了什么，15 时第一句补了什么
        for row in out["input_ids"]:
            print("  还原：", token.decode(row))

    # 7. 两句话一起编：token_type_ids 不再全是 0，第二句的每个 token 都是 1
    pair = token("今天天气好", "出去玩吧")
    print("\n两句一起：", token.decode(pair["input_ids"]))
    print("token_type_ids：", pair["token_type_ids"])

    # 8. 字典里没有的字变成 [UNK]，意思就丢了：同一个 [UNK]，模型分不出原来是什么
    rare = "店名叫龘龘，菜很好吃"
    print("\n认不得的字：", rare, "→", token.tokenize(rare))

    # 9. 英文按词切，字典里没有的长词切成几块。## 表示"接在前一块后面"，中文正常用不到
    for text in ("i love bert", "unbelievable", "iphone15很好用"):
        print("英文和数字：", text, "→", token.tokenize(text))
    print("字典里的 ## 条目，如", sorted(t for t in vocabulary if t.startswith("##"))[:5])

    # 10. 陷阱：bert-base-chinese 的字典里没有大写字母，它的分词器又不会自动转小写
    #     （配置里 do_lower_case 是 false），所以大写的词整个变成 [UNK]；要用英文，先自己 lower()
    for text in ("I love BERT", "I love BERT".lower()):
        print("大小写：", text, "→", token.tokenize(text))

    # 11. 多余的空格编码时就没了，所以 decode 不一定能一字不差地还原
    print("还原：", token.decode(token("i  love   bert")["input_ids"], skip_special_tokens=True))

    # 12. 训练好之后，看这些 token 在模型的每一层里怎么互相看
    print(f"看图（注意力）：{command('demo02_sentiment/pictures.py', '--sentence 白日依山尽，')}")

    # 小结：分词器 = 字典 + 规则；id 只是行号，字的意思要到模型的 embedding 里才有
    # 练习：把你的名字加进 BATCH，看有没有字变成 [UNK]；把 max_length 改成 6 会怎样？


if __name__ == "__main__":
    run(main)
