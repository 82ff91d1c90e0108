"""第 3 课  自定义 Dataset：一份评论数据变成"第 i 条是什么"

教什么：PyTorch 的 Dataset 只要求三个方法：`__init__` 备好数据，`__len__` 说有几条，`__getitem__`
说第 i 条是什么。这里每条是 (评论文本, 标签)。不在这里分词：训练时由 DataLoader 一批一批地取（打乱、
凑齐一批，都是它的事），凑齐了由 collate_fn 分，一次分一批更快，怎么补齐也由用的人定。
06_features.py 首尾相接，不补齐；extra_finetune.py 补到一批里最长；只有 train.py --recompute 每条
都补到 500。train.py 默认把特征算一遍存下来（怎么算的：06_features.py），之后连分词都省了。

怎么运行：python demo02_sentiment/my_dataset.py

会看到：
    train      9600 条，负向 4800，正向 4800
      ('你们买的质量好吗？真是不可思议，我买了后，第一感觉就是包装太差了，光盘在纸盒里咣…', 0)  负向
      …
"""

from functools import cache

import torch
from torch.utils.data import Dataset

from course import reviews
from course.cli import Parser, run
from course.columns import DataSource, add_data_arguments
from course.errors import CourseError

# None = 下载好的 ChnSentiCorp，没有就是自带的评论；也可以是文件夹或表格文件的路径，见第 2 课
DATA = None
MAX_LENGTH = 500  # 一条评论编码后最多多少个 token，超出的截断；BERT 的上限是 512


@cache  # 三份一起读，只读一次：train、validation、test 各建一个 MyDataset
def read_reviews(source: DataSource):
    """哪一份数据（`find_reviews` 找到的）→ DatasetDict：train、validation、test，绝不联网

    列是 text（str）和 label（ClassLabel）。数据有毛病时抛 CourseError。
    怎么读文件是第 2 课讲的，这里可以跳过，先看 MyDataset。
    """
    # import datasets、pandas 要一两秒，用到才 import：08、09 用不到
    from datasets import disable_progress_bars, load_dataset, load_from_disk

    from course.own_data import check_folder, load_own

    disable_progress_bars()  # 库的英文进度条（Generating train split…）只闪一下
    if source.path == reviews.REVIEWS:  # 自带的三个 CSV，一份一个
        # cache_dir：CSV 转成的 Arrow 文件放哪里；keep_default_na=False：正好是 NA 的评论也是文字
        with reviews.shipped() as (files, cache):
            dataset = load_dataset("csv", data_files=files, cache_dir=cache, keep_default_na=False)
            return reviews.with_names(dataset)
    if source.path == reviews.CHNSENTICORP:  # save_to_disk 存的，照原样，好和别人公布的成绩比
        check_folder(source.path)
        return reviews.with_names(load_from_disk(str(source.path)))
    return load_own(source)  # 你自己的：认得的样子很多，读完打印一份报告


@cache
def content_sha256(source: DataSource) -> str:
    """三份全部内容的 SHA-256"""
    return reviews.sha256(read_reviews(source))


class MyDataset(Dataset):
    """一份（split）评论：`dataset[i]` → (text, label)，label 是 0 … num_labels - 1 的整数

    split：train、validation 或 test，写错时抛 CourseError 并列出能用的名字。
    data：文件夹或文件，None 同 DATA；要指定哪两列就给 DataSource。
    source 是实际用的路径，和指定过的两个列名（没有指定是 None）；sha256 是三份全部内容的
    SHA-256，要用时才算。
    """

    def __init__(self, split: str, data: str | DataSource | None = DATA):
        self.source = reviews.find_reviews(data)
        dataset = read_reviews(self.source)
        # 名字写错要当场说，否则要等到很久以后取数据时才冒出一个看不懂的 KeyError
        if split not in dataset:
            raise CourseError(
                f"没有叫 {split} 的这一份数据，能用的是 {'、'.join(dataset)}",
                'MyDataset("train")',
            )
        # ["text"] 是一列，[:] 一次取成列表；不写 [:]、直接 for，是一条一条地去文件里读，慢二十倍
        self.texts = dataset[split]["text"][:]
        self.labels = dataset[split]["label"][:]
        self.label_names = dataset[split].features["label"].names

    @property
    def sha256(self) -> str:
        return content_sha256(self.source)

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: int) -> tuple[str, int]:
        return self.texts[index], self.labels[index]


def collate_fn(batch: list[tuple[str, int]], tokenizer, padding: str) -> tuple:
    """一批 (评论, 标签) → input_ids、attention_mask、token_type_ids (批, 句长) 和标签 (批,)

    DataLoader 取齐一批就调用它。padding 见分词器："max_length" 全补到上限，"longest" 补到最长的。
    """
    texts = [text for text, _ in batch]
    labels = [label for _, label in batch]
    data = tokenizer(texts, truncation=True, padding=padding, return_tensors="pt")
    # torch.tensor(整数的列表) 就是旧教程里的 LongTensor：交叉熵要 64 位整数的标签
    names = ("input_ids", "attention_mask", "token_type_ids")
    # 最后一样有的模型（DistilBERT、ModernBERT）不要，它们的分词器也不给
    return *(data[name] for name in names if name in data), torch.tensor(labels)


def class_weights(dataset: MyDataset, how: str) -> torch.Tensor | None:
    """交叉熵里每一类的权重 (类别数,)；how 是 none 时不加权，返回 None

    balanced：全部条数 / (类别数 × 这一类的条数)，和 scikit-learn 的 class_weight="balanced"
    相同。条数少的类答错一条罚得更重，各类合起来一样重；不加权时，只顾条数多的类也能得高分。
    """
    if how == "none":
        return None
    counts = torch.bincount(torch.tensor(dataset.labels), minlength=len(dataset.label_names))
    return len(dataset) / (len(counts) * counts)


def main() -> None:
    parser = Parser(__doc__)
    add_data_arguments(parser)
    args = parser.parse_args()

    # 写完 Dataset 一定要先单独跑一遍，看看取出来的是不是想要的样子：
    # len(dataset) 调的是 __len__，dataset[i] 调的是 __getitem__
    for split in ("train", "validation", "test"):
        dataset = MyDataset(split, args.data or DATA)
        counts = [
            f"{name} {dataset.labels.count(label)}"
            for label, name in enumerate(dataset.label_names)
        ]
        print(f"\n{split:10} {len(dataset)} 条，{'，'.join(counts)}")
        for i in range(min(4, len(dataset))):
            text, label = dataset[i]
            shown = text if len(text) <= 40 else text[:40] + "…"
            print(f"  {(shown, label)}  {dataset.label_names[label]}")

    # 小结：Dataset 只回答"有几条""第 i 条是什么"；怎么凑批次是 DataLoader 的事
    #       为什么要自己写一遍：以后的训练框架只要填配置，数据读错了它照样训练；知道里面是什么，
    #       才看得出是哪一步错了
    # 练习：打印训练集里最长的一条评论，数一数它有多少个字，再看 MAX_LENGTH = 500 会截掉多少
    # 动手：python exercises/check.py demo02/my_dataset


if __name__ == "__main__":
    run(main)
