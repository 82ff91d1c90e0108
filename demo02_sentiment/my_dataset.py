"""第 3 课  自定义 Dataset：一份评论数据变成"第 i 条是什么"

教什么：PyTorch 的 Dataset 只要求两件事，`len(dataset)` 和 `dataset[i]`。这里每条返回
(评论文本, 标签)，不在这里做分词，分词等到 DataLoader 凑齐一批再做，一次做一批更快。

怎么运行：python demo02_sentiment/my_dataset.py

会看到：
    train      9600 条，负向 4800，正向 4800
      ('你们买的质量好吗？真是不可思议，我买了后，第一感觉就是包装太差了，光盘在纸盒里咣…', 0)  负向
      …
"""

from functools import cache

from torch.utils.data import Dataset

from course.cli import Parser, run
from course.errors import CourseError
from course.reviews import load_reviews

DATA = None  # None = 自带的评论；也可以是文件夹或 CSV 的路径，见 02_load_dataset.py
MAX_LENGTH = 500  # 编码后最多多少个 token，超出的截掉；bert-base-chinese 的上限是 512

read_once = cache(load_reviews)  # train、validation、test 各建一个 MyDataset，文件只读一次


class MyDataset(Dataset):
    """一份（split）评论：`dataset[i]` → (text, label)，label 是 0 … num_labels - 1 的整数

    split：train、validation 或 test，写错时抛 CourseError 并列出能用的名字。
    data：`load_reviews` 认得的文件夹或 CSV，None 表示自带的评论。
    """

    def __init__(self, split: str, data: str | None = DATA):
        dataset = read_once(data)
        # 名字写错要当场说，否则要等到很久以后取数据时才冒出一个看不懂的 KeyError
        if split not in dataset:
            raise CourseError(
                f"没有叫 {split} 的这一份数据，能用的是 {'、'.join(dataset)}",
                'MyDataset("train")',
            )
        self.label_names = dataset[split].features["label"].names
        self.texts = list(dataset[split]["text"])
        self.labels = list(dataset[split]["label"])

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: int) -> tuple[str, int]:
        return self.texts[index], self.labels[index]


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--data", default=DATA, help="文件夹或 CSV，默认自带的评论")
    args = parser.parse_args()

    # 写完 Dataset 一定要先单独跑一遍，看看取出来的是不是想要的样子
    for split in ("train", "validation", "test"):
        dataset = MyDataset(split, args.data)
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
    # 练习：打印训练集里最长的一条评论，数一数它有多少个字，再看 MAX_LENGTH = 500 会截掉多少


if __name__ == "__main__":
    run(main)
