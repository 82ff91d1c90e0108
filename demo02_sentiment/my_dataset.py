"""第 3 课  自定义 Dataset：一份评论数据变成"第 i 条是什么"

教什么：PyTorch 的 Dataset 只要求三个方法：`__init__` 备好数据，`__len__` 说有几条，`__getitem__`
说第 i 条是什么。这里每条是 (评论文本, 标签)。不在这里分词：训练时由 DataLoader 一批一批地取（打乱、
凑齐一批，都是它的事），凑齐了由 collate_fn 分，一次分一批更快，怎么补齐也由用的人定。

怎么运行：python demo02_sentiment/my_dataset.py
          python demo02_sentiment/my_dataset.py --data 你的.csv

会看到：
    ── 1. 三份数据，各看头四条
    train      9600 条，负向 4800，正向 4800
      ('你们买的质量好吗？真是不可思议，我买了后，第一感觉就是包装太差了，光盘在纸盒里咣…', 0)  负向
      …
    validation 1200 条，负向 600，正向 600
      …
    ── 2. 名字写错了会怎样
    ValueError: 没有叫 training 的这一份，能用的是 train、validation、test
    ── 3. 从 DataLoader 里取一批
    标签             [0, 1, 0, 1]
    input_ids        (4, 188)
    attention_mask   (4, 188)
    token_type_ids   (4, 188)
    每条补了几个     [76, 0, 124, 155]
"""

from functools import cache, partial
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset
from transformers import BertTokenizer

from course.cli import run, step
from course.own_data import load_own
from course.reviews import find_reviews, shipped

# None = 下载好的 ChnSentiCorp，没有就是自带的评论；也可以是文件夹或表格文件的路径，见第 2 课
DATA = None
FOLDER = Path(__file__).resolve().parents[1] / "data"
MAX_LENGTH = 500  # 一条评论编码后最多多少个 token，超出的截断；BERT 的上限是 512
NAMES = ["负向", "正向"]  # 自带的评论里，标签 0 和 1 各叫什么


@cache  # 三份一起读，只读一次：train、validation、test 各建一个 MyDataset
def read_reviews(source):
    """哪一份数据（find_reviews 找到的）→ DatasetDict：train、validation、test，绝不联网

    列是 text（str）和 label（ClassLabel，编号带着名字）。数据有毛病时抛 CourseError。
    """
    # 这个库 import 要一两秒，用到才 import：08、09 用不到
    import datasets
    from datasets import ClassLabel, Features, Value, load_dataset, load_from_disk

    datasets.disable_progress_bars()  # 库的英文进度条（Generating train split…）只闪一下
    label = ClassLabel(names=NAMES)
    if source.path == FOLDER / "reviews":  # 自带的：data/reviews/ 里的三个 CSV，一份一个
        features = Features(text=Value("string"), label=label, label_text=Value("string"))
        # files 是 {"train": "…/train.csv", …}；cache_dir：CSV 转成的 Arrow 文件放哪里
        # keep_default_na=False：正好是 NA 的评论也是文字
        with shipped() as (files, folder):
            return load_dataset(
                "csv", data_files=files, features=features, cache_dir=folder, keep_default_na=False
            )
    if source.path == FOLDER / "ChnSentiCorp":  # save_to_disk 存的；照原样，好和别人公布的成绩比
        return load_from_disk(str(source.path)).cast_column("label", label)
    return load_own(source)  # 你自己的：认得的样子很多，读完打印一份报告


class MyDataset(Dataset):
    """一份（split）评论：`dataset[i]` → (text, label)，label 是 0 … num_labels - 1 的整数

    split：train、validation 或 test，写错时抛 ValueError，列出能用的名字。
    data：文件夹或文件，None 同 DATA；要指定哪两列，用 course/columns.py 的 DataSource。
    source 是实际用的路径，和指定过的两个列名（没有指定是 None）。
    """

    def __init__(self, split: str, data=DATA):
        self.split, self.source = split, find_reviews(data)
        dataset = read_reviews(self.source)
        # DatasetDict 里没有的名字是 KeyError: 'dev'，看得懂，可是它不说能用的是哪几份，所以先查
        if split not in dataset:
            raise ValueError(f"没有叫 {split} 的这一份，能用的是 {'、'.join(dataset)}")
        # ["text"] 是一列，[:] 一次取成列表；不写 [:]、直接 for，是一条一条地去文件里读，慢二十倍
        self.texts = dataset[split]["text"][:]
        self.labels = dataset[split]["label"][:]
        self.label_names = dataset[split].features["label"].names

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: int) -> tuple[str, int]:
        return self.texts[index], self.labels[index]


def collate_fn(batch: list[tuple[str, int]], tokenizer, padding: str) -> tuple:
    """一批 (评论, 标签) → input_ids、attention_mask、token_type_ids (批, 句长) 和标签 (批,)

    DataLoader 凑齐一批就调用它。padding 见分词器："max_length" 全补到上限，"longest" 补到最长的。
    """
    texts = [text for text, _ in batch]
    labels = [label for _, label in batch]
    data = tokenizer(texts, truncation=True, padding=padding, return_tensors="pt")
    # torch.tensor(整数的列表) 就是旧教程里的 LongTensor：交叉熵要 64 位整数的标签
    names = ("input_ids", "attention_mask", "token_type_ids")
    # 最后一样有的模型（DistilBERT、ModernBERT）不要，它们的分词器也不给
    return *(data[name] for name in names if name in data), torch.tensor(labels)


def main(args) -> None:
    # 写完 Dataset 一定要先单独跑一遍，看看取出来的是不是想要的样子：
    # len(dataset) 调的是 __len__，dataset[i] 调的是 __getitem__
    step("1. 三份数据，各看头四条")
    for split in ("train", "validation", "test"):
        dataset = MyDataset(split, args.data or DATA)
        names = dataset.label_names
        counts = [f"{name} {dataset.labels.count(i)}" for i, name in enumerate(names)]
        print(f"{split:10} {len(dataset)} 条，{'，'.join(counts)}")
        for i in range(min(4, len(dataset))):
            text, label = dataset[i]
            shown = text if len(text) <= 40 else text[:40] + "…"
            print(f"  {(shown, label)}  {names[label]}")

    step("2. 名字写错了会怎样")
    #    当场报错，列出能用的名字。旧教程打印一句"名字错了"就往下走，错要到取数据时才冒出来；
    #    DatasetDict 自己也会报 KeyError: 'training'，看得懂，只是不说有哪几个名字
    try:
        MyDataset("training", args.data or DATA)
    except ValueError as error:
        print(f"ValueError: {error}")

    step("3. 从 DataLoader 里取一批")
    #    DataLoader 拿编号 0、1、2、3 各叫一次 __getitem__，凑齐四条，交给 collate_fn：
    #    文字 → 一个矩阵，一条一行，短的补齐到这一批里最长的。collate_fn 只能收一个参数 batch，
    #    另外两个用 partial 先填好；只写函数名，不加括号：由 DataLoader 来调用
    tokenizer = BertTokenizer.from_pretrained(FOLDER.parent / "models" / "tiny-bert-chinese")
    tokenizer.model_max_length = MAX_LENGTH
    collate = partial(collate_fn, tokenizer=tokenizer, padding="longest")
    loader = DataLoader(MyDataset("train", args.data or DATA), batch_size=4, collate_fn=collate)
    *inputs, labels = next(iter(loader))
    print(f"标签             {labels.tolist()}")
    for name, tensor in zip(("input_ids", "attention_mask", "token_type_ids"), inputs, strict=True):
        print(f"{name:16} {tuple(tensor.shape)}")
    print(f"每条补了几个     {(inputs[1] == 0).sum(dim=1).tolist()}")

    if args.data:
        print(f"训练的时候也要写上：{' '.join(args.data.flags())}")

    # 小结：Dataset 只回答"有几条""第 i 条是什么"；怎么凑批次是 DataLoader 的事
    #       为什么要自己写一遍：以后的训练框架只要填配置，数据读错了它照样训练；知道里面是什么，
    #       才看得出是哪一步错了
    # 练习：打印训练集里最长的一条评论，数一数它有多少个字，再看 MAX_LENGTH = 500 会截掉多少
    # 动手：python exercises/check.py demo02/my_dataset


if __name__ == "__main__":
    run(main, "data", then="docs/11-learning.md demo02_sentiment/basics_learning.py")
