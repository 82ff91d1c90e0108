"""选学  十类：同样的脚本，换一份数据，换几个参数

教什么：正负两类、十类，训练循环一行不改：数据里有几种标签，fc 就输出几个 logits。变的是数据，和看
成绩的眼光：六类各有六千条，四类只有它们的八分之一到三分之一，精度由大类说了算，要看每一类都一样重的
macro-F1；混淆矩阵看的是谁和谁分不开。
数据是真的：分词工具 jieba 带着一本词典，每个词都标了词性。一个词（不给上下文）是名词、动词、
人名、地名还是成语？标签十种，一条只有两到四个字，和评论完全是两回事。小 BERT 预训练时读过的评论和
报纸里出现过的词都去掉，所以这一份它没有读过。

怎么运行：python demo02_sentiment/extra_many_classes.py    看一遍数据，再照它打印的命令训练

会看到：
    ── 1. 数据：先看报告
    数据：…words.csv
      列    评论在「text」，标签在「label」
      读到  40599 行，留下 40599 行，丢掉 0 行
      类别  10 类：
            0 人名  6000 条，如：曹军寨
    …
      注意  人名 的条数是 简称 的 8 倍…
      分成  train 32479 条，validation 4060 条，test 4060 条…
    ── 2. 训练、评估、看图、部署：还是那几个脚本
    接着依次运行：
    …

看什么：07_evaluate.py 在 4,060 个测试词上的成绩
                                精度     macro-F1   recall 的平均
    全猜一类（人名）            14.8 %    0.026       0.100
    TF-IDF + 逻辑回归           72.8 %    0.684
    冻结的小 BERT               71.3 %    0.649       0.638
    同上，按类加权              68.2 %    0.619       0.677
按类加权（--class-weight balanced）是一笔
交换：小类漏得少了（recall 的平均升了），误报也多了，精度和 macro-F1 都降了。漏一个和错一个哪个
更贵，由用的人定；诊断、风控怕漏，推荐怕错。
"""

from course.cli import Parser, run, step
from course.paths import DATA, PARAMS, command
from my_dataset import MyDataset

WORDS = DATA / "words" / "words.csv"


def main() -> None:
    Parser(__doc__).parse_args()

    step("1. 数据：先看报告")
    #    数据（怎么做的：data/build_words.py）就是一个两列的 CSV，和你自己的数据没有两样；读进来，
    #    先看报告：几类，各有多少，丢了什么
    #    自带的评论两类各半，猜一类就是 50 分；这里猜一类不到 15 分，四个小类全认错却只丢一成的分
    MyDataset("train", WORDS)

    step("2. 训练、评估、看图、部署：还是那几个脚本")
    #    只是参数里多了 --data 和 --params
    params = PARAMS / "words"
    weights = ("--weights", params / "best.pth")
    print("接着依次运行：")
    for script, flags in (
        ("train.py", ("--data", WORDS, "--params", params)),
        ("07_evaluate.py", weights),
        ("10_pictures.py", (*weights, "--sentence", "一心一意")),
        ("09_serve.py", weights),
    ):
        print(f"    {command('demo02_sentiment/' + script, *flags)}")

    # 小结：类别多了，改的是参数和眼光，不是代码
    # 练习：加上 --class-weight balanced 再训练一次（--params params/words-balanced），比一比每一类
    #       的 precision 和 recall：哪几类的漏报变少了，误报又多在哪里？
    # 练习：在网页上输入词典里没有的词，比如"网购""外卖"，看十个概率怎么分


if __name__ == "__main__":
    run(main)
