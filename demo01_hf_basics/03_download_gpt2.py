"""第 3 课  把 gpt2-chinese 下载到自己的机器上

教什么：模型就是一个文件夹，下载一次，以后断网也能用。from_pretrained(名字, cache_dir=…) 怎么用；
下载为什么慢、为什么断、断了怎么办；文件夹里每个文件是做什么的。
从这一课起用 Hugging Face 的库，主要是两个：transformers 管模型和分词器（from_pretrained、
pipeline），datasets 管数据（load_dataset，第二个 demo 的第 2 课才用到）。

怎么运行：python demo01_hf_basics/03_download_gpt2.py                       从官方 Hub（约 420 MB）
          python demo01_hf_basics/03_download_gpt2.py --source hf-mirror    从国内的镜像站
断了再运行一次同样的命令，会接着下。

会看到：下载的进度和速度，然后是文件夹的讲解；连不上时用随仓库的小模型讲解，退出码 1：
    ── 1. 下载
    来源：https://huggingface.co（先探一下，最多 5 秒）
    没有下载成：连不上 https://huggingface.co：…
    下一步：换一个来源：--source hf-mirror（魔搭上没有查到它）；或再运行一次，断了的会接着下
    ── 2. 它在哪里
    …
    文件夹：…tiny-gpt2-chinese
    ── 3. 读模型和分词器
    from_pretrained("…tiny-gpt2-chinese", cache_dir="models", local_files_only=True)
    模型 GPT2LMHeadModel，8,699,392 个参数；分词器 BertTokenizer，字典 21128 项
    ── 4. 文件夹里每个文件是做什么的
    …tiny-gpt2-chinese/   ← 模型文件夹：装着 config.json 的那个
        config.json                   0.9 KB  结构：几层、多宽、字典多大；没有它就不知道怎么搭模型
        …
        vocab.txt                   109.5 KB  字典：一行一个 token，行号（从 0 数）就是 id
    用 cache_dir 下载的，外面还套着几层：
        .locks/          下载时占位用的空文件，防止两个程序同时写；不用管它
        …
    config.json：
        n_embd                  256                   每个 token 变成多少个数
        …
    字典：21128 项，你 是 872，好 是 1962
        [CLS]   id 101  一句话的开头，BERT 用它代表整句
        …
    ── 5. 别的下载办法
    snapshot_download("uer/gpt2-chinese-cluecorpussmall", cache_dir="models")
    hf download uer/gpt2-chinese-cluecorpussmall --cache-dir models
    git clone https://huggingface.co/uer/gpt2-chinese-cluecorpussmall models/…
    …
    没下载成不影响往下学（退出码 1 只表示没有下载成）
    下一步：先读 docs/05-transformer.md、docs/10-tensors.md，再 python …basics_tensors.py
"""

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from course.cli import run, step
from course.hub import fetch
from course.models import find_model
from folder_tour import tour

MODELS = Path(__file__).resolve().parents[1] / "models"  # 下到哪里
CORE = ["config.json", "vocab.txt"]  # 一个模型文件夹少不了的
# 名字要写全：组织/模型名。下载之前先读它的模型卡（网页 https://huggingface.co/名字 的第一页，
# 也就是文件夹里的 README.md）：谁做的、什么许可证、怎么调用、有什么毛病，案例代码也在那里
REPO = "uer/gpt2-chinese-cluecorpussmall"

# 这个仓库里只有旧格式的权重 pytorch_model.bin；大的模型会分成几个文件，在网页的 Files 一页里看得到

# 两个平台怎么选：Hugging Face 最全，但在国内慢，常常连不上；魔搭 ModelScope 在国内快，模型少一些，
# 以后下几 GB、几十 GB 的大模型，先去魔搭找。这个小模型在魔搭上没有查到；hf-mirror 是别人办的镜像，
# 有时只把请求转回 Hugging Face，那就和官方一样连不上。哪里都下不了，请下载好的人把整个文件夹拷给你
# 学完先读哪两页，再运行哪一个
NEXT = "docs/05-transformer.md docs/10-tensors.md demo01_hf_basics/basics_tensors.py"


def main(args) -> int | None:
    step("1. 下载")
    #    平时是一行：snapshot_download(名字, cache_dir="models")，或者第 3 步的 from_pretrained
    #    fetch 里调用的也是它，只多三样：先探路 5 秒（官方的客户端遇到不答话的服务器，几分钟也不
    #    放弃）；权重断了接着下（官方的从头再来）；下完核对 SHA（内容的指纹），不对就删掉
    #    下成了，或者早就下过，返回 None；没下成，返回原因。名字、来源在命令行上换，见开头
    #    进度条从左到右：文件名、百分之几、下了多少 / 一共多少、[已用时间 < 还要多久，速度]
    #    进度条写在 stderr 上，PyCharm 把它显示成红色：红字不等于出错，最后一行说什么才算数
    #    下载会断：几百 MB 要走几分钟到几小时，无线、代理、跨国线路，哪一段闪一下，连接就没了
    problem = fetch(args)

    step("2. 它在哪里")
    #    local_files_only=True：只在本地找，不下载、不联网；找到了就返回装着 config.json 的文件夹，
    #    models/models--组织--名字/snapshots/一长串版本号：名字对应哪个文件夹，它替你记着
    #    allow_patterns：只问这两个在不在。不写，它拿整个仓库的清单来对，说缺了我们没要的那些
    #    找不到时抛 LocalEntryNotFoundError；except 是"抛了这一种，就走这条路"，别的错误照样报出来
    name = args.repo
    try:
        path = snapshot_download(name, cache_dir=MODELS, allow_patterns=CORE, local_files_only=True)
    except LocalEntryNotFoundError:
        # 没下载成，就用随仓库的小模型看一遍，里面的东西是一样的
        # 自己拷来的、从魔搭下的，不是 cache_dir 的样子，只能写路径：find_model 在 models/ 里找
        path = name = find_model(REPO if problem else args.repo)
    print(f"文件夹：{path}")

    step("3. 读模型和分词器")
    #    最常见的两行：名字 + cache_dir。模型和分词器是一对，要用同一个名字读：id 是字典里的行号，
    #    换一本字典就全乱了。AutoModelForCausalLM：看 config.json 决定用哪个类；CausalLM 就是续写
    #    cache_dir 是放下载的东西的地方；不写就放在用户文件夹的 .cache/huggingface 里，C 盘会满
    #    只写名字和 cache_dir，每次都先去 Hub 问有没有新版本，没有才用本地的：文件全在，断网时也要
    #    等几十秒到两分多钟。加上 local_files_only=True，或者不写名字、写模型文件夹的路径，就不联网
    #    所以没下载成时，name 是小模型的路径（给了路径，cache_dir 就用不上了）
    logging.set_verbosity_error()
    logging.disable_progress_bar()  # 装权重时的进度条，一闪而过
    print(f'from_pretrained("{name}", cache_dir="models", local_files_only=True)')
    model = AutoModelForCausalLM.from_pretrained(name, cache_dir=MODELS, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(name, cache_dir=MODELS, local_files_only=True)
    print(f"模型 {type(model).__name__}，{model.num_parameters():,} 个参数；", end="")
    print(f"分词器 {type(tokenizer).__name__}，字典 {len(tokenizer)} 项")
    #    1 亿个参数，每个是一个 4 字节的数（fp32），所以真模型的权重是 400 MB 上下；小模型的参数
    #    少得多，存成 2 字节的数（fp16），只有 17 MB
    #    分词器是 BertTokenizer：中文 GPT-2 借用了 BERT 的字典，一字一项，所以也用它的分词器

    step("4. 文件夹里每个文件是做什么的")
    #    注意力头、位置向量是下一页（Transformer）的词，先放着
    #    讲解就在打印出来的每一行里；先看三样：config.json、权重、vocab.txt，少一样都读不起来
    tour(path)

    step("5. 别的下载办法")
    #    在仓库根目录运行，下到 models/ 里的，课程的脚本都认得（见 models/README.md）
    #    from_pretrained：最省事，第 3 步去掉 local_files_only=True，先下再读
    #    snapshot_download：整个仓库都下，连别的框架的权重也下，allow_patterns=[…] 可以挑
    #    hf download：同上，在命令行里
    #    git clone：Hub 上的仓库就是 git 的仓库。权重归 git-lfs 管：要先装好它，运行过
    #    git lfs install，不然下来的权重只是一百多字节的指针；连 .git 里的一份，占两倍的地方
    #    modelscope download 组织/名字 --local-dir models/组织/名字：从魔搭，要先
    #    python -m pip install modelscope；它也有同名的函数 snapshot_download，05 用得上
    print(f'snapshot_download("{REPO}", cache_dir="models")')
    print(f"hf download {REPO} --cache-dir models")
    print(f"git clone https://huggingface.co/{REPO} models/{REPO}")
    #    在 PyCharm 里运行 from_pretrained，看不到下载的进度条：huggingface_hub 只在真的终端里画它
    #    想知道还在不在下，看 models/ 里 blobs/ 那个 .incomplete 文件是不是越来越大；要看进度条，
    #    在 Run → Edit Configurations 里勾上 Emulate terminal in output console，或者到终端里运行
    #    （第 1 步的进度条是课程自己画的，哪里都看得到）

    if problem:
        print("\n没下载成不影响往下学（退出码 1 只表示没有下载成）")
        return 1
    print("\n以后的课会自动用上这个模型")

    # 小结：模型 = 结构（config.json）+ 权重 + 字典；三样在同一个文件夹里，缺一不可
    #       名字 + cache_dir 会先问 Hub；模型文件夹的路径，或 local_files_only=True，不会
    # 练习：用记事本打开 vocab.txt，第 8025 行是什么？（提示：id 从 0 数）
    # 练习：断网运行它，再把 --source 换一个：两次各等了几秒？说的原因一样吗？
    # 动手：python exercises/check.py demo01/03


if __name__ == "__main__":
    run(main, "endpoint", repo=REPO, source="hf", timeout=20, then=NEXT)
