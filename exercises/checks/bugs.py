"""判题  找错的十题：题目就是答案里对的一段（right）换成错的一段（wrong）

修好没有，看文件最后算出来的那个数。改之前是多少、修好是多少，都在学员的机器上当场算，所以换一种写法
也行，只要算出来一样。
"""

import runpy
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from judging import Exercise, Unsolved, Wrong, silent


@dataclass(frozen=True)
class Mistake:
    """name 是文件最后算的那个数，和修好的差不到 close 就算一样；why 修好了才给学员看

    usual 是常见的、没修对的改法：改成那样是多少，说什么
    """

    name: str
    title: str
    right: str
    wrong: str
    close: float
    hint: str
    why: str
    usual: tuple[tuple[float, str], ...] = ()

    def put_into(self, answer: str) -> str:
        """答案 → 题目"""
        return answer.replace(self.right, self.wrong)

    def exercise(self, answer: str) -> Exercise:
        """答案的全文 → 这一题；check 收到学员的那个数，None 是一个字也没有改"""

        def check(found: float | None) -> str:
            if found is None:
                raise Unsolved("还没有改")
            now = float(found)
            before, right = self.run(self.put_into(answer)), self.run(answer)
            numbers = f"改之前 {before:.4f}，现在 {now:.4f}"
            if abs(now - right) <= self.close:
                return f"{numbers}\n{self.why}"
            known = ((before, "还没有修好"), *self.usual)
            nearest, said = min(known, key=lambda one: abs(now - one[0]))
            if abs(now - nearest) > self.close:
                said = "数变了，可是和修好的对不上：看看提示 --hint"
            raise Wrong(f"{numbers}\n{said}")

        return Exercise(self.name, self.title, self.hint, check)

    def run(self, code: str) -> float:
        with TemporaryDirectory() as folder, silent():
            file = Path(folder) / "bug.py"
            file.write_text(code, encoding="utf-8")
            return float(runpy.run_path(str(file))[self.name])

    def told(self) -> str:
        """错的一段、对的一段、为什么，打印在答案前面"""
        return f"错的：\n\n{self.wrong}\n对的：\n\n{self.right}\n{self.why}"


FEWER = "学得少了，Dropout 还是没有打开：改回 40 轮"

MISTAKES = {
    "01": Mistake(
        "loss",
        "最后一轮的损失",
        right="""\
    nn.Linear(64, 2),  # 负向、正向各一个分数
)
""",
        wrong="""\
    nn.Linear(64, 2),  # 负向、正向各一个分数
    nn.Softmax(dim=1),  # 分数 → 概率，加起来是 1
)
""",
        close=0.003,
        hint="这个损失最小能到多少？拿模型给得出的最好的一行，交给 loss_fn 算算看",
        why="CrossEntropyLoss 自带 softmax，前面不要再做一次：分数压在了 0 和 1 之间，\n"
        "一条也没有错，损失还有 -ln(e / (e + 1)) = 0.3133。\n"
        "怎么看出来：学过的几乎全对，损失却停在一个不是 0 的数上，就看模型的最后一层。\n"
        "课里：demo02_sentiment/train.py 第 4 步\n",
    ),
    "02": Mistake(
        "accuracy",
        "没学过的 1,000 个词",
        right="    predicted = model(test_ids).argmax(dim=1) + 1\n",
        wrong="    predicted = model(test_ids).argmax(dim=1)\n",
        close=0.03,
        hint="打印 predicted 和 test_labels，各自最小是几、最大是几",
        why="标签从 1 数，训练时减了 1，考试时忘了加回来：答对的全判成错，碰巧差一类的才算对。\n"
        "最好一读进来就改成从 0 数，往后只有一种编号。\n"
        "怎么看出来：比瞎猜还差，多半不是模型不会，是答案和题错开了。\n"
        "课里：demo02_sentiment/my_dataset.py，练习 demo02/my_dataset 的 number_labels\n",
    ),
    "03": Mistake(
        "accuracy",
        "没学过的 507 个词",
        right="""\
right = 0
for x, y in loader:
    right += (fc(x).argmax(dim=1) == y).sum().item()
accuracy = right / len(test)
""",
        wrong="""\
accuracy = 0
for x, y in loader:
    accuracy += (fc(x).argmax(dim=1) == y).float().mean().item()
accuracy = accuracy / len(loader)
""",
        close=1e-4,
        hint="各批的精度放在一起看：最后一批和第一批一样大吗？",
        why="各批的精度加起来除以批数，最后一批的 7 个词就和前面的 500 个一样重；\n"
        "表里一类挨着一类，这 7 个都是时间，只对一个。数答对了几个，最后除以总数。\n"
        "怎么看出来：换一个 batch_size 再考，精度应当一位也不变。\n"
        "课里：demo02_sentiment/train.py 第 5 步的 right\n",
    ),
    "04": Mistake(
        "accuracy",
        "没学过的 500 个词",
        right="""\
tokenizer = BertTokenizer.from_pretrained(folder)
""",
        wrong="""\
tokenizer = BertTokenizer.from_pretrained(folder)
# 随模型来的字典缺三百多个生僻字：用自己的词重新训练，一个不缺，也更小
tokenizer = tokenizer.train_new_from_iterator(words["text"], vocab_size=8000, show_progress=False)
""",
        close=0.01,
        hint="打印一个词的 input_ids，到 models/tiny-bert-chinese/vocab.txt 里查是哪几个字，\n"
        "第一行的编号是 0",
        why="重新训练的分词器给每个字换了编号，BERT 的词向量还照原来的字典排：它读到的是别的字。\n"
        "字典和模型是配套的，整本换掉，BERT 就要重新预训练。只是缺字，用 add_tokens 加在后面：\n"
        "旧的编号不动，只是新字的向量还没有学过（demo02_sentiment/extra_lora.py）。\n"
        "怎么看出来：切得对不对，只看 tokenize 不够，要看编号；[CLS] 不再是 101，就不是原来那本。\n"
        "课里：docs/05-transformer.md，“字典和模型配套”\n",
    ),
    "05": Mistake(
        "accuracy",
        "没学过的 200 条",
        right="    return torch.cat(rows)[torch.tensor(order).argsort()]\n",
        wrong="    return torch.cat(rows)\n",
        close=0.01,
        hint="features_of 返回的第 0 行，是 texts 的哪一条？",
        why="特征照长短排了队，标签还是原来的次序：学的是张冠李戴的题，硬背得下来，考起来就是瞎猜。\n"
        "torch.tensor(order).argsort() 把每一行放回原处。\n"
        "怎么看出来：学得好、考得正好一半，就单独算一条的特征，和它那一行比。\n"
        "课里：demo02_sentiment/06_features.py，练习 demo02/06 的 put_back\n",
    ),
    "06": Mistake(
        "accuracy",
        "没学过的 150 条",
        right="""\
bert = BertModel.from_pretrained(folder)
""",
        wrong="""\
bert = BertModel(config)
""",
        close=0.005,
        hint="bert 里的几百万个数是从哪里来的？换一个 torch.manual_seed，精度变不变？",
        why="BertModel(config) 只照图纸搭一个，里面的数全是随机的；读权重的是 from_pretrained。\n"
        "别人的代码里多半是为了读长文：config.max_position_embeddings = 1024，再\n"
        "BertModel(config)，预训练就悄悄没有了。改用 from_pretrained，加上\n"
        "ignore_mismatched_sizes=True，别的层读得进来，整张位置表还是随机的。太长的评论怎么办，\n"
        "demo02_sentiment/extra_long_text.py 几种办法都量过。\n"
        "怎么看出来：说是预训练的，换一个随机种子，结果却变了。\n"
        "课里：docs/errors.md，“位置表只有 512 行”\n",
    ),
    "07": Mistake(
        "precision",
        "说是差评的，几成真是",
        right="""\
train, test = train_test_split(reviews, test_size=0.4, random_state=0)
train = balanced(train)
""",
        wrong="""\
reviews = balanced(reviews)
train, test = train_test_split(reviews, test_size=0.4, random_state=0)
""",
        close=0.05,
        hint="test 里的差评占几成，上线时呢？test['text'].isin(train['text']).sum() 又是多少？",
        why="主要是 test 里的差评从 9 % 变成了一半，和上线时不一样：差评多了，说是差评的多半\n"
        "就真是，光这一样就从 0.30 到 0.82。漏题只是再从 0.82 到 0.86：先抽再分，同一条差评的几份\n"
        "拷贝分到了两边，考的是背过的题。先分，再只在训练的那一份里抽。\n"
        "先分，再把 train 和 test 都抽成一样多，只修了一半：漏题没有了，还是 0.82。\n"
        "怎么看出来：先看 (test['label'] == 0).mean()，应当和上线时一样；再查 test 里有几条也在\n"
        "train 里，应当是 0。\n"
        "课里：demo02_sentiment/07_evaluate.py 第 5 步、第 6 步，02_load_dataset.py 第 5 步，\n"
        "练习 demo02/02 的 leaked\n",
        usual=((0.8229, "漏题没有了，可 test 里的差评还是一半，上线时不到一成：test 不要抽"),),
    ),
    "08": Mistake(
        "loss",
        "最后一轮的验证损失",
        right="""\
for _ in range(40):
    head.train()
""",
        wrong="""\
head.train()  # 训练时 Dropout 要打开
for _ in range(40):
""",
        close=0.005,
        hint="学每一批之前打印 head.training：第 0 轮是什么，第 1 轮是什么？",
        why="eval() 一直管到下一次 train()：第 0 轮考完，Dropout 再也没有打开，250 条全背了下来。\n"
        "每一轮开头写 train()，考试前写 eval()。\n"
        "早停（学 5 轮是 0.42）也能让数变小，可 Dropout 还是没有打开。\n"
        "怎么看出来：一个设置改来改去，结果都差不多，多半是它没有生效。\n"
        "课里：demo02_sentiment/train.py 第 5 步\n",
        # 学 5、10、20、30 轮
        usual=tuple((number, FEWER) for number in (0.4224, 0.5374, 0.7645, 0.8655)),
    ),
    "09": Mistake(
        "perplexity",
        "16 条评论的困惑度",
        right="""\
labels = inputs["input_ids"].clone()
labels[inputs["attention_mask"] == 0] = -100
""",
        wrong="""\
labels = inputs["input_ids"].clone()
""",
        close=0.05,
        hint="labels 里有几成是 0？字典的第 0 项是什么，该不该要模型猜它？\n"
        "标签里写 -100 的位置，不算损失",
        why="补的 [PAD] 也当成了要猜的字，占了将近一半；模型没学过猜它，每个都错得离谱。\n"
        "标签写成 -100 的位置，交叉熵不算。attention_mask 只管看不看得见，不管算不算损失。\n"
        "怎么看出来：一批的损失，应当等于一条一条算、按 token 数加权的平均。\n"
        "课里：docs/05-transformer.md 的 GPT，demo02_sentiment/01_tokenizer.py 的 attention_mask\n",
        usual=(
            (34.29, "平均的是 16 条，不是每个字：长的一条字多，要多算"),
            (38.39, "平均的是 16 条的困惑度：先平均每个字的损失，再算 e 的次方"),
        ),
    ),
    "10": Mistake(
        "accuracy",
        "50 次的平均",
        right="""\
        if accuracy_of(validation) > best:
            best, score = accuracy_of(validation), accuracy_of(test)
""",
        wrong="""\
        if accuracy_of(test) > best:
            best = score = accuracy_of(test)
""",
        close=0.045,
        hint="只学 1 轮（range(1)），平均的测试精度是多少？学 60 轮，多出来的又是从哪里来的？",
        why="在测试集上挑最好的一轮，挑中的是运气：什么也没学到，60 轮里总有一轮碰巧高。\n"
        "用验证集挑，测试集只考挑中的那一轮。\n"
        "怎么看出来：把标签换成抛硬币，整个程序再跑一遍，回不到瞎猜就有毛病。\n"
        "课里：demo02_sentiment/train.py 第 5 步用验证集挑，07_evaluate.py 只考一次\n",
    ),
}
