"""第 3 课  把 gpt2-chinese 下载到自己的机器上

教什么：模型就是一个文件夹。下载一次，以后断网也能用；文件夹里每个文件是做什么的。
国内连不上 Hub 是常事：换镜像站、换魔搭，都只改一个参数。

怎么运行：python demo01_hf_basics/03_download_gpt2.py                       从官方 Hub（约 420 MB）
          python demo01_hf_basics/03_download_gpt2.py --source hf-mirror    从国内的镜像站
          python demo01_hf_basics/03_download_gpt2.py --source modelscope   从魔搭 ModelScope
断了再运行一次同样的命令，会接着下。

会看到：下载的进度和速度，然后是文件夹的讲解；连不上时用随仓库的小模型讲解，退出码 1：
    来源：https://huggingface.co（先探一下，最多 5 秒）
    没有下载成：连不上 https://huggingface.co：连接失败（ConnectionError）
    下一步：换一个来源：--source hf-mirror、--source modelscope；或再运行一次，断了的会接着下
    …
    …/models/tiny-gpt2-chinese/   ← 加载模型时给的就是这个文件夹的路径
        config.json                   0.9 KB  结构：几层、多宽、字典多大；没有它就不知道怎么搭模型
        model.safetensors            17.4 MB  权重，新格式：只有数字，打开它不会执行任何代码
        vocab.txt                   109.5 KB  字典：一行一个 token，行号（从 0 数）就是 id
"""

import sys

from course.cli import Parser, run
from course.hub import add_arguments, obtain_model
from course.paths import command
from folder_tour import tour

# 这个仓库的权重有新旧两种格式，只下一种；分词器是 Bert 的（字典也是），不是 GPT-2 原来的
REPO = "uer/gpt2-chinese-cluecorpussmall"


def main() -> None:
    parser = Parser(__doc__)
    add_arguments(parser, REPO)
    args = parser.parse_args()

    # 1. 下载过了就不再联网；不然先探路，再一个文件一个文件地下
    got = obtain_model(args, REPO)

    # 2. 文件夹里每个文件是做什么的
    tour(got.folder)
    if got.failure:
        sys.exit(1)
    print(f"\n接着运行：{command('demo01_hf_basics/04_generate_text.py')}，它会自动用上这个模型")

    # 小结：模型 = 结构（config.json）+ 权重 + 字典；三样在同一个文件夹里，缺一不可
    # 练习：用记事本打开 vocab.txt，第 8025 行是什么？（提示：id 从 0 数）


if __name__ == "__main__":
    run(main)
