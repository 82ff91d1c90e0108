"""第 1 课  分词器：把文字变成数字

教什么：模型只会算矩阵，输入必须是数字。图片本来就是数字（每个像素 0–255），声音也是（每秒采样
上万次，每次一个数），文字和数字却没有天生的对应，所以要一本字典（vocabulary）：每个 token
（字典里的一条：一个汉字、一个英文词、一个符号）在字典里的行号就是它的 id。
分词器（tokenizer）做的事：切分 → 查字典 → 截断或补齐。

怎么运行：python demo02_sentiment/01_tokenizer.py
          python demo02_sentiment/01_tokenizer.py --pause    每一步的标题之后等一个回车

会看到：
    ── 1. 加载：一个装着 vocab.txt 的文件夹
    …
    字典里有 21128 个 token，来自 …
    ── 2. 文件夹里没有字典，它也不报错
    只有 5 个 token： ['[UNK]', '[UNK]', '[UNK]', '[UNK]', '[UNK]', '[UNK]']
    ── 3. 把它打印出来
    BertTokenizer(name_or_path=…, vocab_size=21128, model_max_length=512, …
      [PAD]   id   0  补齐：一批句子要一样长，短的在后面补它
    …
    ── 4. 自己当一回分词器
    自己查： 白 → 4635  日 → 3189  依 → 898  山 → 2255  尽 → 2226  ， → 8024
    Unicode 编码表里： 白 → 30333  …
    ── 5. 切分：tokenize
    ['白', '日', '依', '山', '尽', '，']
    ── 6. 查字典：convert_tokens_to_ids
    [4635, 3189, 898, 2255, 2226, 8024]
    和自己查的相同： True
    ── 7. 两步并作一步：tokenizer(句子)
    [101, 4635, 3189, 898, 2255, 2226, 8024, 102]
    ── 8. 反方向：decode
    [CLS] 白 日 依 山 尽 ， [SEP]
    ── 9. 截断：max_length
    max_length 6： [CLS] 白 日 依 山 [SEP]
    max_length 7： [CLS] 白 日 依 山 尽 [SEP]
    max_length 8： [CLS] 白 日 依 山 尽 ， [SEP]
    ── 10. 一批两句：补齐
    max_length = 8
      input_ids：每个 token 在字典里的行号，模型真正的输入
        [101, 4635, 3189, 898, 2255, 2226, 8024, 102]
    …
    max_length = 15
      input_ids：每个 token 在字典里的行号，模型真正的输入
        [101, 4635, 3189, 898, 2255, 2226, 8024, 102, 0, 0, 0, 0, 0, 0, 0]
    …
    ── 11. 要什么类型的结果：return_tensors
    return_tensors="pt" → Tensor (2, 19)
    return_tensors="np" → ndarray (2, 19)
    return_tensors=None → list，每行 [8, 19] 个
    ── 12. 两句话一起编：token_type_ids
    [CLS] 今 天 天 气 好 [SEP] 出 去 玩 吧 [SEP]
    [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1]
    ── 13. 字典里没有的字
    店名叫龘龘，菜很好吃 → ['店', '名', '叫', '[UNK]', '[UNK]', '，', '菜', '很', '好', '吃']
    ── 14. 英文和数字：切成碎片
    i love bert → ['i', 'love', 'be', '##rt']
    unbelievable → ['u', '##n', '##bel', '##ie', '##va', '##ble']
    iphone15很好用 → ['iphone', '##15', '很', '好', '用']
    I love BERT → ['[UNK]', 'love', '[UNK]']
    还原： i love bert
    ── 15. 汉字也各有带 ## 的一份
    单个汉字 7321 个，每个都有带 ## 的一份： True
    白 → 4635，##白 → 17692
    不逐字切： ['白', '##日', …  平时： ['白', '日', …
    下一步：先读 docs/06-project.md，再 python …02_load_dataset.py
"""

from pathlib import Path

from transformers import BertTokenizer

from course.cli import run, step
from course.errors import CourseError
from course.models import find_model, load_tokenizer

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
SPECIAL = {
    "pad_token": "补齐：一批句子要一样长，短的在后面补它",
    "unk_token": "不认识：字典里没有的字都变成它",
    "cls_token": "句首：BERT 用这个位置的向量代表整句话",
    "sep_token": "句尾，也隔开两句话",
    "mask_token": "遮住：预训练时挖空让模型猜，也就是完形填空",
}


def main(args) -> None:
    step("1. 加载：一个装着 vocab.txt 的文件夹")
    #    括号里是文件夹；写绝对路径，从哪里运行都找得到
    folder = find_model(args.model)
    load_tokenizer(folder)  # 后面几课都用它：同一个调用，多核对一遍字典大小，不对就报错
    tokenizer = BertTokenizer.from_pretrained(folder)
    print(f"字典里有 {len(tokenizer)} 个 token，来自 {folder}")

    step("2. 文件夹里没有字典，它也不报错")
    #    陷阱：路径写错、字典没下全，它悄悄给一本只有 5 个 token 的空字典，什么字都成了 [UNK]
    #    （不认识），训练照跑，精度上不去。拿 docs/ 试给你看，那里只有说明文字
    empty = BertTokenizer.from_pretrained(Path(__file__).resolve().parents[1] / "docs")
    print(f"只有 {len(empty)} 个 token：", empty.tokenize(SENTENCE))

    step("3. 把它打印出来")
    #    Python 里一切都是对象，想知道一个对象里有什么，先 print 它。从左到右：
    #    vocab_size 字典多大；model_max_length 模型最多认多少个位置；padding_side、truncation_side
    #    补齐和截断都在右边；special_tokens 五个特殊符号，added_tokens_decoder 是它们的 id
    print(tokenizer)
    for name, use in SPECIAL.items():
        symbol = getattr(tokenizer, name)
        print(f"  {symbol:7} id {tokenizer.convert_tokens_to_ids(symbol):>3}  {use}")

    step("4. 自己当一回分词器")
    #    计算机存文字靠编码表，"白"在 Unicode 表里是 30333 号；模型的字典是同一个想法，只是表换了：
    #    vocab.txt 第 4636 行是"白"，编辑器从 1 数、Python 从 0 数，所以是 4635
    vocabulary = tokenizer.get_vocab()  # {"白": 4635, …}
    if not set(SENTENCE) <= set(vocabulary):
        raise CourseError(f"{folder} 的字典里没有这几个汉字", "--model 换一个中文的，或去掉它")
    by_hand = [vocabulary[character] for character in SENTENCE]
    print("自己查：", "  ".join(f"{c} → {vocabulary[c]}" for c in SENTENCE))
    print("Unicode 编码表里：", "  ".join(f"{c} → {ord(c)}" for c in SENTENCE))

    step("5. 切分：tokenize")
    #    中文一个字一块
    tokens = tokenizer.tokenize(SENTENCE)
    print(tokens)

    step("6. 查字典：convert_tokens_to_ids")
    ids = tokenizer.convert_tokens_to_ids(tokens)
    print(ids)
    print("和自己查的相同：", ids == by_hand)

    step("7. 两步并作一步：tokenizer(句子)")
    #    只是前后多了 [CLS]（101）和 [SEP]（102）。这两个是给模型看的：从哪开始、到哪结束。会写字的
    #    模型更少不了结束的记号：没学过"到此为止"，它就一直写下去停不了
    ids = tokenizer(SENTENCE)["input_ids"]
    print(ids)

    step("8. 反方向：decode")
    #    decode 是反方向，id → 文字；[CLS] 这些记号也会还原出来
    print(tokenizer.decode(ids))

    step("9. 截断：max_length")
    #    它是编码之后的长度，[CLS] 和 [SEP] 也占位置：六个字要给 8，给 7 就丢了逗号
    #    BERT 最多 512；不写 truncation，超过时分词器只警告，到模型里才报错
    for max_length in (6, 7, 8):
        ids = tokenizer(SENTENCE, truncation=True, max_length=max_length)["input_ids"]
        print(f"max_length {max_length}：", tokenizer.decode(ids))

    step("10. 一批两句：补齐")
    #    几行数要叠成一个矩阵，每行就得一样长：长的截断，短的补 [PAD]，id 是 0
    #    看 8 时第二句被截掉了什么，15 时第一句补了什么：补在 [SEP] 后面，句子先结束再补齐
    #    旧教程的 tokenizer.batch_encode_plus(…) 已经删除，现在直接把列表交给 tokenizer(…)
    #    不写的参数用默认值，写在函数的签名里：PyCharm 里按住 Ctrl 点函数名，或
    #    help(tokenizer.__call__)
    #    默认只给前三样，后面的要自己开口：return_special_tokens_mask=True、return_length=True
    for max_length in (8, 15):
        out = tokenizer(
            BATCH,
            add_special_tokens=True,  # 默认就是 True
            truncation=True,  # 太长就截断
            padding="max_length",  # 太短就补到 max_length；True 是补到这一批里最长的
            max_length=max_length,
            return_tensors=None,
            return_token_type_ids=True,
            return_attention_mask=True,
            return_special_tokens_mask=True,
            return_length=True,
        )
        print(f"max_length = {max_length}")
        for key, value in out.items():
            print(f"  {key}：{MEANINGS[key]}")
            for row in value if isinstance(value[0], list) else [value]:
                print(f"    {row}")
        print("  真长度：", [sum(mask) for mask in out["attention_mask"]])
        for row in out["input_ids"]:
            print("  还原：", tokenizer.decode(row))

    step("11. 要什么类型的结果：return_tensors")
    #    张量（tensor）：多维的数字表，像 NumPy 数组，多了能上显卡、能算梯度
    #    模型要的是 "pt"；每行不一样长就叠不成矩阵，不写 padding 会报 ValueError
    #    讲 TensorFlow 的旧教程用 "tf"，transformers 5 已经去掉，写了也是 ValueError
    for kind in ("pt", "np"):  # PyTorch 张量，NumPy 数组
        matrix = tokenizer(BATCH, padding=True, return_tensors=kind)["input_ids"]
        print(f'return_tensors="{kind}" → {type(matrix).__name__} {tuple(matrix.shape)}')
    rows = tokenizer(BATCH, return_tensors=None)["input_ids"]  # 默认：列表，可以不一样长
    print(f"return_tensors=None → {type(rows).__name__}，每行 {[len(row) for row in rows]} 个")

    step("12. 两句话一起编：token_type_ids")
    #    不再全是 0，第二句的每个 token 都是 1
    #    BERT 做问答、比较两句话时靠它分清谁是谁，只是数据要一对一对地准备，不通用；后来的大模型
    #    把角色写进文字里（"用户：…助手：…"），不再要它。本课每次只给一句，它一直是 0
    pair = tokenizer("今天天气好", "出去玩吧")
    print(tokenizer.decode(pair["input_ids"]))
    print(pair["token_type_ids"])

    step("13. 字典里没有的字")
    #    变成 [UNK]，意思就丢了：同一个 [UNK]，模型分不出原来是什么
    rare = "店名叫龘龘，菜很好吃"
    print(rare, "→", tokenizer.tokenize(rare))

    step("14. 英文和数字：切成碎片")
    #    为什么中文按字不按词：词有几十万个，还天天出新词，字几千个就够用，什么句子都能编，扩展性强
    #    代价是哪几个字成词要模型自己学，训练更难。英文是同一个方法，换一本字典（如
    #    bert-base-uncased）：按词切，没有的长词切成几块，## 表示"接在前一块后面"
    for text in ("i love bert", "unbelievable", "iphone15很好用"):
        print(text, "→", tokenizer.tokenize(text))
    #    陷阱：这本字典里没有大写字母，分词器又不会自动转小写（配置里 do_lower_case 是 false），
    #    所以大写的词整个变成 [UNK]；要用英文，先自己 lower()。多余的空格编码时也没了
    print("I love BERT →", tokenizer.tokenize("I love BERT"))
    ids = tokenizer("i  love   bert")["input_ids"]
    print("还原：", tokenizer.decode(ids, skip_special_tokens=True))

    step("15. 汉字也各有带 ## 的一份")
    #    "白"和"##白"是两条，所以有人把 21128 除以 2 当作认得的字数。数一数：7321 个汉字，成对占去
    #    14642 条，其余是字母、数字、符号和外文。平时一字一块，不逐字切才用得到 ##
    han = [t for t in vocabulary if len(t) == 1 and "\u4e00" <= t <= "\u9fff"]
    twins = all("##" + character in vocabulary for character in han)
    print(f"单个汉字 {len(han)} 个，每个都有带 ## 的一份：", twins)
    print(f"白 → {vocabulary['白']}，##白 → {vocabulary['##白']}")
    whole = BertTokenizer.from_pretrained(folder, tokenize_chinese_chars=False)
    print("不逐字切：", whole.tokenize(SENTENCE), " 平时：", tokenizer.tokenize(SENTENCE))

    # 小结：分词器 = 字典 + 规则；id 只是行号，不是词向量：白 4635 和百 4636 挨着，意思不相干
    #       字的意思在模型的 embedding 里，是预训练时读大量文字学来的，demo01 第 6 课拆开看
    #       训练完之后看图（注意力）：10_pictures.py --sentence 白日依山尽，
    # 练习：把你的名字加进 BATCH，看有没有字变成 [UNK]；把第 10 步的 15 改成 12，第二句丢了哪几个字
    # 练习：在 MEANINGS 里挑一项，把它的 return_… 改成 False，先猜输出少了什么，再运行
    # 动手：python exercises/check.py demo02/01


if __name__ == "__main__":
    run(main, model=MODEL, then="docs/06-project.md demo02_sentiment/02_load_dataset.py")
