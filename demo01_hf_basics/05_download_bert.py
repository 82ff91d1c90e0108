"""第 5 课  把 bert-base-chinese 下载到自己的机器上

教什么：和第 3 课一样的下载，换一个模型；对比两个文件夹：字典相同，结构不同。
下载好之后，第二个 demo 的训练不用改一个字，就从随仓库的小 BERT 换成它。

怎么运行：python demo01_hf_basics/05_download_bert.py                       从官方 Hub（约 410 MB）
          python demo01_hf_basics/05_download_bert.py --source hf-mirror    从国内的镜像站
          python demo01_hf_basics/05_download_bert.py --source modelscope   从魔搭 ModelScope
断了再运行一次同样的命令，会接着下。

会看到：下载的进度和速度，然后是文件夹的讲解；连不上时用随仓库的小模型讲解，退出码 1：
    来源：https://huggingface.co（先探一下，最多 5 秒）
    没有下载成：连不上 https://huggingface.co：连接失败（ConnectionError）
    下一步：换一个来源：--source hf-mirror、--source modelscope；或再运行一次，断了的会接着下
    …
    …/models/tiny-bert-chinese/   ← 加载模型时给的就是这个文件夹的路径
        config.json                   0.7 KB  结构：几层、多宽、字典多大；没有它就不知道怎么搭模型
        model.safetensors            35.1 MB  权重，新格式：只有数字，打开它不会执行任何代码
        vocab.txt                   109.5 KB  字典：一行一个 token，行号（从 0 数）就是 id
"""

import sys

from course.cli import Parser, run
from course.hub import add_arguments, obtain_model
from course.paths import command
from folder_tour import tour

# 课上的名字是 bert-base-chinese；官方后来把它挪到了 google-bert 名下，两个名字是同一个模型
REPO = "google-bert/bert-base-chinese"


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
    print(f"\n接着运行：{command('demo01_hf_basics/06_classify_text.py')}，它会自动用上这个模型")

    # 小结：hidden_size 768、12 层、最多 512 个 token：第二课里的数字都从这个 config.json 来
    # 练习：和 03 的 config.json 比，哪几行不同？max_position_embeddings 谁大？


if __name__ == "__main__":
    run(main)
