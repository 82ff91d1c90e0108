"""第 5 课  把 bert-base-chinese 下载到自己的机器上

教什么：和第一个 demo 的第 3 课一样的下载，换一个模型；两个文件夹的字典相同，结构不同。
BertTokenizer 的陷阱：它读不到字典也不报错。

要知道：下载好之后，第二个 demo 的训练不用改一个字，就从随仓库的小 BERT 换成它：慢二十七倍，没有显卡
时第一次要几十分钟到几小时，看到的数也和讲义里的不同。想先用小 BERT 学，命令后面加 --model
models/tiny-bert-chinese。

怎么运行：python demo01_hf_basics/05_download_bert.py                       从官方 Hub（约 410 MB）
          python demo01_hf_basics/05_download_bert.py --source modelscope   从魔搭 ModelScope，
                                                     先 python -m pip install modelscope
          python demo01_hf_basics/05_download_bert.py --source hf-mirror    从国内的镜像站
断了再运行一次同样的命令，会接着下。

会看到：下载的进度和速度，然后是文件夹的讲解；连不上时用随仓库的小模型讲解，退出码 1：
    ── 1. 下载
    来源：https://huggingface.co（先探一下，最多 5 秒）
    没有下载成：连不上 https://huggingface.co：…
    下一步：换一个来源：--source modelscope、--source hf-mirror；或再运行一次，断了的会接着下
    ── 2. 它在哪里
    …
    文件夹：…tiny-bert-chinese
    ── 3. 读模型和分词器
    from_pretrained("…tiny-bert-chinese", cache_dir="models", local_files_only=True)
    模型 BertForSequenceClassification，8,766,210 个参数；分词器 BertTokenizer，字典 21128 项
    ── 4. 分词器的陷阱
    字典 21128 项  房间很干净 → [101, 2791, 7313, 2523, 2397, 1112, 102]
    字典     5 项  房间很干净 → [2, 1, 1, 1, 1, 1, 3]   没有字典，却不报错：每个字都成了 [UNK]
    ── 5. 文件夹里每个文件是做什么的
    …tiny-bert-chinese/   ← 模型文件夹：装着 config.json 的那个
        config.json                   0.7 KB  结构：几层、多宽、字典多大；没有它就不知道怎么搭模型
        …
    config.json：
        hidden_size             256                   每个 token 变成多少个数
        …
    没下载成不影响往下学（退出码 1 只表示没有下载成）
    下一步：先读 docs/12-attention.md，再 python …basics_attention.py
"""

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError
from transformers import BertForSequenceClassification, BertTokenizer
from transformers.utils import logging

from course.cli import run, step
from course.hub import fetch
from course.models import find_model
from folder_tour import tour

MODELS = Path(__file__).resolve().parents[1] / "models"  # 下到哪里
CORE = ["config.json", "vocab.txt"]  # 一个模型文件夹少不了的
# 直接搜 bert-base-chinese 会出来一大串改过的：认准组织名。它原来没有组织，后来官方把它挪到了
# google-bert 名下，两个名字是同一个模型；--repo 写哪个都行。魔搭上也有它，名字一样
REPO = "google-bert/bert-base-chinese"
TEXT = "房间很干净"
NEXT = "docs/12-attention.md demo01_hf_basics/basics_attention.py"  # 学完运行哪一个


def main(args) -> int | None:
    step("1. 下载")
    #    下载过了就不再联网；不然先探路，再下载（进度条、断线、SHA，都和 03 一样）
    #    --source modelscope 用的是魔搭自己的 snapshot_download，名字、用法几乎一样：
    #    from modelscope import snapshot_download
    #    snapshot_download(名字, local_dir="models/名字")
    problem = fetch(args)

    step("2. 它在哪里")
    #    从 Hub、镜像站下的，放成 cache_dir 的样子，snapshot_download 按名字找得到；从魔搭下的、自己
    #    拷来的在 models/名字 里，find_model 找得到；没下载成，它给的是随仓库的小模型
    name = args.repo
    try:
        path = snapshot_download(name, cache_dir=MODELS, allow_patterns=CORE, local_files_only=True)
    except LocalEntryNotFoundError:
        path = name = find_model(REPO if problem else args.repo)
    print(f"文件夹：{path}")

    step("3. 读模型和分词器")
    #    名字 + cache_dir + local_files_only=True：去 models/ 里找，不联网
    #    同样的两行，和 03 相比只换了类：BERT 是分类用的，ForSequenceClassification = 给一句话分类
    #    03 写 AutoTokenizer，这里写 BertTokenizer，得到的是同一个类：前者看配置挑，后者直接点名
    #    set_verbosity_error：不然会打印一张 LOAD REPORT：文件里没有分类头，随机造了一个（06 细讲）
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    print(f'from_pretrained("{name}", cache_dir="models", local_files_only=True)')
    tokenizer = BertTokenizer.from_pretrained(name, cache_dir=MODELS, local_files_only=True)
    model = BertForSequenceClassification.from_pretrained(
        name, cache_dir=MODELS, local_files_only=True
    )
    print(f"模型 {type(model).__name__}，{model.num_parameters():,} 个参数；", end="")
    print(f"分词器 {type(tokenizer).__name__}，字典 {len(tokenizer)} 项")

    step("4. 分词器的陷阱")
    #    写错文件夹、断网、字典没下全，模型会报错，BertTokenizer 不会：它给一个只有 5 个符号的
    #    字典，什么字都变成 [UNK]（不认识），训练照跑，精度上不去。所以读完就看一眼 len(tokenizer)
    #    课程的 load_tokenizer 替你看：和 config.json 的 vocab_size 不一样就停下
    empty = BertTokenizer.from_pretrained(MODELS, local_files_only=True)  # models/ 里没有 vocab.txt
    print(f"字典 {len(tokenizer):>5} 项  {TEXT} → {tokenizer(TEXT)['input_ids']}")
    print(f"字典 {len(empty):>5} 项  {TEXT} → {empty(TEXT)['input_ids']}", end="   ")
    print("没有字典，却不报错：每个字都成了 [UNK]")

    step("5. 文件夹里每个文件是做什么的")
    #    不是每个模型都有 vocab.txt：新的大模型多半把字典收进
    #    tokenizer.json，或者二进制的 tokenizer.model 里，记事本打不开，用法不变：from_pretrained
    tour(path)

    # 换一台机器、换一个项目，不用再下一次：在资源管理器（macOS 的访达）里把整个文件夹拷过去，
    # 放在 models/ 下面。别在 PyCharm 里复制粘贴：它要给每个文件建索引，几百 MB 会卡很久
    if problem:
        print("\n没下载成不影响往下学（退出码 1 只表示没有下载成）")
        return 1
    print("\n以后的课会自动用上这个模型")
    print("没有显卡，第二个 demo 先用小 BERT 学：后面加 --model models/tiny-bert-chinese")

    # 小结：hidden_size 768、12 层、最多 512 个 token：以后见到的数字都从真模型的 config.json 来
    #       文件夹里必须有 config.json、权重、字典；字典读没读对，要自己看 len(tokenizer)
    # 练习：和 03 的 config.json 比，哪几行不同？n_embd 和 hidden_size 是不是一回事？
    # 练习：把模型文件夹拷一份，删掉 vocab.txt 和 tokenizer.json，06 --model 读它，会说什么？
    # 动手：python exercises/check.py demo01/05


if __name__ == "__main__":
    run(main, "endpoint", repo=REPO, source="hf", timeout=20, then=NEXT)
