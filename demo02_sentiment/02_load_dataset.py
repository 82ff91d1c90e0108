r"""第 2 课  数据集：从 CSV、从硬盘、从 Hub 读评论，再存成 CSV

教什么：datasets 库的 DatasetDict（三份数据）→ Dataset（一份）→ 一行；三种读法：
load_dataset("csv", …)、load_from_disk、load_dataset(名字)；存成 Excel 打得开的 CSV；
数据是怎么清洗、标注出来的；评论有多长，为什么 MAX_LENGTH = 500。

怎么运行：python demo02_sentiment/02_load_dataset.py
          python demo02_sentiment/02_load_dataset.py --data 你的.csv

会看到：
    ── 1. 读：load_dataset("csv", data_files=…)
    CSV 的列： ['text', 'label', 'label_text']
    ── 2. 存到硬盘再读回来：save_to_disk、load_from_disk
    DatasetDict({
        train: Dataset({
            features: ['text', 'label'],
            num_rows: 9600
    …
    ── 3. 三份，各有各的用处
    train 9600 条，validation 1200 条，test 1200 条
    列： {'text': Value('large_string'), 'label': ClassLabel(names=['负向', '正向'])}
    标签的名字： {0: '负向', 1: '正向'}
    ── 4. 取一行、取一列、遍历
    第 0 行： {'text': '你们买的质量好吗？真是不可思议…', 'label': 0}
    前 5 个标签： [0, 1, 0, 1, 0]
      负向  你们买的质量好吗？…
    …
    train      负向 4800 条，正向 4800 条
    …
    ── 5. 数据不是天生的：清洗、标注、查漏题
    清洗 4 条剩 1 条： [('很好用!', 1)]
    测试集里有 0 条也在训练集里
    ── 6. 存成 CSV，Excel 打得开的
    存成 …csv 里的三个 CSV，开头三个字节 b'\xef\xbb\xbf'
    ── 7. 从自己存的 CSV 读回来
    不写 split： DatasetDict({
    …
    split='train'： Dataset({
    …
    转成的 Arrow 缓存在 …
    读回来和原来一字不差： True
    ── 8. 联网读：load_dataset(名字)，这里只讲不跑
    load_dataset("lansinuote/ChnSentiCorp")                 → DatasetDict，三份都在
    …
    ── 9. 别的格式也能来回转
    列表： [{'text': '很好', 'label': 1}, {'text': '太差', 'label': 0}]
    pandas：
    …
    ── 10. 由长度决定 MAX_LENGTH
    长度：一半不超过 60，95 % 不超过 196，99 % 不超过 370，最长 2878
    MAX_LENGTH = 500：截断 48 条（0.5%）
    平均只有 88：要是每条都补齐到 500，82% 的计算都花在补齐上
    …
"""

import codecs
from collections import Counter
from itertools import pairwise
from pathlib import Path

from datasets import ClassLabel, Dataset, disable_progress_bars, load_dataset, load_from_disk

from course.cleaning import review_key
from course.cli import run, step
from course.reviews import find_reviews
from my_dataset import read_reviews

DATA = Path(__file__).resolve().parents[1] / "data"
ARROW_FOLDER = DATA / "arrow"  # 三份数据的 Arrow 文件，给程序读
CSV_FOLDER = DATA / "csv"  # 自己存一遍的 CSV，和 data/reviews/ 的比一比
CACHE = str(DATA / "cache")  # load_dataset 把 CSV 转成的 Arrow 文件
MAX_LENGTH = 500  # 一条评论最多多少个 token，第 10 步说为什么


def show_lengths(texts: list[str]) -> None:
    """评论有多长：一个字大约一个 token，再加 [CLS] 和 [SEP]

    数的是 token，不是字节："很好"在文件里占 6 个字节，编码后是 2 个 token。
    """
    lengths = sorted(len(text) + 2 for text in texts)
    half, most, nearly_all = (lengths[len(lengths) * p // 100] for p in (50, 95, 99))
    print(f"长度：一半不超过 {half}，95 % 不超过 {most}，99 % 不超过 {nearly_all}，", end="")
    print(f"最长 {lengths[-1]}")
    cut = sum(length > MAX_LENGTH for length in lengths)
    print(f"MAX_LENGTH = {MAX_LENGTH}：截断 {cut} 条（{cut / len(lengths):.1%}）")
    average = sum(min(length, MAX_LENGTH) for length in lengths) / len(lengths)
    print(f"平均只有 {average:.0f}：要是每条都补齐到 {MAX_LENGTH}，", end="")
    print(f"{1 - average / MAX_LENGTH:.0%} 的计算都花在补齐上")
    print("长度分布（每个 █ 约占 1 %）：")
    edges = [edge for edge in (0, 50, 100, 150, 200, 300) if edge < MAX_LENGTH]
    edges += [MAX_LENGTH, max(lengths[-1], MAX_LENGTH + 1)]
    for low, high in pairwise(edges):
        share = sum(low < length <= high for length in lengths) / len(lengths)
        print(f"  {low + 1:>4} – {high:<4} {'█' * round(share * 100)} {share:.1%}")


def main(args) -> None:
    disable_progress_bars()  # 库的英文进度条（Saving the dataset…）只闪一下，这里关掉

    step('1. 读：load_dataset("csv", data_files=…)')
    #    自带的评论是 data/reviews/ 里的三个 CSV，三份各一个，用 Excel、PyCharm 打开看看
    #    data_files 写哪个文件是哪一份；cache_dir 是转成的 Arrow 文件放哪里，不写就在 C 盘的用户
    #    文件夹里；评论正好是 NA、null 会被当成空的，加 keep_default_na=False
    source = find_reviews(args.data)  # --data 给的 → 下载好的 data/ChnSentiCorp → 自带的
    if source.path == DATA / "reviews":
        files = {name: f"{source}/{name}.csv" for name in ("train", "validation", "test")}
        reviews = load_dataset("csv", data_files=files, cache_dir=CACHE, keep_default_na=False)
        print("CSV 的列：", reviews["train"].column_names)
        #    label 一列只有 0 和 1，叫什么写在 label_text 一列。ClassLabel 把名字记进 label 的类型
        #    里，以后就不会弄反，也不用再带着那一列
        label = ClassLabel(names=["负向", "正向"])
        reviews = reviews.remove_columns("label_text").cast_column("label", label)
    else:
        #    你自己的（下载好的 ChnSentiCorp 也走这里）：认得的样子很多，见 data/README.md；读完先打
        #    印一份报告：认的是哪两列、标签怎么编号、丢了哪几行、怎么切的；列名认不出就用
        #    --text-column、--label-column 指定。训练之前先在这里读一遍报告
        reviews = read_reviews(source)

    step("2. 存到硬盘再读回来：save_to_disk、load_from_disk")
    #    Arrow 是公开的格式，没有加密，pandas 也读得了；一列一列紧挨着存，读的时候按需取，几百 G 的
    #    数据也不占满内存。路径是装着 dataset_dict.json 的那个文件夹，相对路径从运行命令的目录算起
    #    load_from_disk 只读 save_to_disk 存的文件夹，读不了 load_dataset 的缓存
    reviews.save_to_disk(ARROW_FOLDER)
    dataset = load_from_disk(ARROW_FOLDER)
    print(dataset)

    step("3. 三份，各有各的用处")
    #    train 用来学，validation 用来决定何时停、选设置，test 只在最后考一次；反复看 test 的成绩来
    #    改设置，等于漏题。名字写错，dataset["tset"] 报 KeyError: 'tset'
    print("，".join(f"{name} {len(split)} 条" for name, split in dataset.items()))
    train = dataset["train"]
    print("列：", train.features)
    names = train.features["label"].names
    print("标签的名字：", dict(enumerate(names)))

    step("4. 取一行、取一列、遍历")
    #    一行是字典，一列像列表。整列都要时写 [:]，一次取成列表；直接 for 是一条一条地去文件里读，
    #    慢二十倍
    print("第 0 行：", train[0])
    print("前 5 个标签：", train["label"][:5])
    for row in train.select(range(3)):
        print(f"  {names[row['label']]}  {row['text'][:40]}")
    for name, split in dataset.items():
        counts = Counter(split["label"][:])
        print(f"{name:10}", "，".join(f"{names[k]} {n} 条" for k, n in sorted(counts.items())))

    step("5. 数据不是天生的：清洗、标注、查漏题")
    #    清洗：去掉错的、缺的、跑题的、重复的、一句话两种标签的
    raw = [("很好用！", 1), ("很 好用!", 1), ("还行", 1), ("还行", 0)]
    labels: dict[str, set[int]] = {}  # 评论（空白、全角半角、大小写不算）→ 见过的标签
    for text, label in raw:
        labels.setdefault(review_key(text), set()).add(label)
    cleaned = [(text, *seen) for text, seen in labels.items() if len(seen) == 1]
    print(f"清洗 {len(raw)} 条剩 {len(cleaned)} 条：", cleaned)
    #    标注：一张两列的表，人一条一条地读，负向填 0，正向填 1。10 秒一条，12000 条就要 33 小时，
    #    还得有第二个人复核：AI 项目的钱，一大半花在人（数据）和机器（显卡）上
    #    同一条评论不能既在训练集又在测试集：那样考的是记性。用规范化后的文本对一遍
    train_keys = set(map(review_key, train["text"][:]))
    leaked = sum(review_key(text) in train_keys for text in dataset["test"]["text"][:])
    print(f"测试集里有 {leaked} 条也在训练集里")

    step("6. 存成 CSV，Excel 打得开的")
    #    一份一份地存，DatasetDict 没有 to_csv
    #    名字要带 .csv：Windows 靠它找打开的程序，Linux 不看后缀，也照样写，人还是靠它认
    #    to_csv 写的是没有记号的 UTF-8，中文 Excel 当成 GBK，打开是乱码；写 encoding="utf-8-sig"
    #    也没用，datasets 5 照样不写（pandas 的 to_csv 会写），所以自己在开头补上这三个字节（BOM）
    CSV_FOLDER.mkdir(exist_ok=True)
    for name, split in dataset.items():
        path = CSV_FOLDER / f"{name}.csv"
        split.to_csv(path, index=False)
        path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())
    start = (CSV_FOLDER / "train.csv").read_bytes()[:3]
    print(f"存成 {CSV_FOLDER} 里的三个 CSV，开头三个字节 {start}")

    step("7. 从自己存的 CSV 读回来")
    #    不写 split 得到 DatasetDict，CSV 不分份，全归在 train 名下；写了就直接是那一份
    #    Excel 另存的 CSV 可能是 GBK，加 encoding="gbk"。这次没有存 label_text，标签只剩编号
    csv_file = str(CSV_FOLDER / "train.csv")  # data_files 要字符串，不能是 Path
    whole = load_dataset("csv", data_files=csv_file, cache_dir=CACHE)
    table = load_dataset("csv", data_files=csv_file, split="train", cache_dir=CACHE)
    print("不写 split：", whole)
    print("split='train'：", table)
    print("转成的 Arrow 缓存在", table.cache_files[0]["filename"])  # 可以删，下次重新转
    files = {name: str(CSV_FOLDER / f"{name}.csv") for name in dataset}  # 三个文件，三份
    again = load_dataset("csv", data_files=files, cache_dir=CACHE, keep_default_na=False)
    same = all(again[name]["text"][:] == dataset[name]["text"][:] for name in dataset)
    print("读回来和原来一字不差：", same)

    step("8. 联网读：load_dataset(名字)，这里只讲不跑")
    #    它怎么知道去 Hugging Face 找？这个包就是他们写的：名字是 csv、json 等格式就读文件，是存在
    #    的文件夹就读文件夹，都不是才去 huggingface.co（环境变量 HF_ENDPOINT 可以换成镜像）
    #    写不写 split 都是三份全下载，只是交给你几份不同
    #    下载到 C:\Users\你\.cache\huggingface（macOS、Linux 是 ~/.cache/huggingface）；C 盘满了，
    #    先设环境变量 HF_HOME=D:\hf 再运行；只写 cache_dir="D:/hf"，原始文件仍留在老地方
    #    再次运行还是先联网核对；断网时重试五次、等二十多秒才退回缓存，没有缓存就报
    #    ConnectionError（国内最常见的一种错）
    #    靠 .py 脚本装数据的老仓库已不支持，报 Dataset scripts are no longer supported，另找一个
    #    存 parquet 文件的；怎么在网站的 Datasets 页上按任务、语言、格式挑，见 docs/02-platform.md
    print('load_dataset("lansinuote/ChnSentiCorp")                 → DatasetDict，三份都在')
    print('load_dataset("lansinuote/ChnSentiCorp", split="train")  → Dataset，一份：train')
    print("能上网的：python data/download_dataset.py，下好了，上面几步读的就是它")

    step("9. 别的格式也能来回转")
    #    列表、pandas、json（写文件用 to_json("x.jsonl", force_ascii=False)）
    few = Dataset.from_list([{"text": "很好", "label": 1}, {"text": "太差", "label": 0}])
    print("列表：", few.to_list())
    print("pandas：", Dataset.from_pandas(few.to_pandas()).to_pandas(), sep="\n")

    step("10. 由长度决定 MAX_LENGTH")
    #    定得太长，补齐浪费时间和显存；定得太短，句子没有一句完整。BERT 最多 512；有人按平均长度定，
    #    那样约三成的评论会被截断；要看 95 %、99 % 在哪里
    show_lengths(train["text"][:])

    # 小结：DatasetDict 分三份，各有各的用处；CSV 是和 Excel 打交道的格式，Arrow 是训练用的格式
    # 练习：自己写一个两列的 CSV，用 --data 读进来；再故意写错列名、留一个空格子、同一句写两种标签，
    #       看看报告怎么说
    # 练习：删掉 path.write_bytes 那一行再运行，用 Excel 打开 data/csv/train.csv，看看乱码长什么样
    # 动手：python exercises/check.py demo02/02


if __name__ == "__main__":
    run(main, "data", then="demo02_sentiment/my_dataset.py --data")
