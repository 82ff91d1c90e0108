"""第 8 课  预测：一句话、一问一答、一个文件

教什么：训练好的权重怎么用。一句话 → 分词 → BERT 的 [CLS] 特征 → fc → softmax → 每一类的概率，
一步一步走给你看；再用 SentimentClassifier 走一遍，它就是这条路，网页、API、文件用的也都是它。

怎么运行：先训练（train.py），再
    python demo02_sentiment/08_predict.py                      先走一遍全程，再一问一答，空行结束
    python demo02_sentiment/08_predict.py 房间很干净，服务也好，下次还来 又脏又吵，再也不来了
    python demo02_sentiment/08_predict.py --file 评论.csv --out 结果.csv
文件可以是 csv、tsv、txt（一行一条）、json、jsonl、xlsx、parquet；评论在哪一列，和训练时一样按列名
认，认不出就加 --column 列名。结果写成 csv、tsv、jsonl、xlsx、parquet 都行，顺序和列照原来的，
后面加上 predicted_label（预测的标签）、p_负向、p_正向（概率）、note（空 = 没有预测，截断 = 只看了
开头）；不写 --out 就是 原名_predicted.csv。文件多大都行，中断了再运行一次同样的命令就接着算（怎么
做到的：backstage/predict_file.py）。
写成 csv、tsv、xlsx 时，像公式的一格（以 = + - @ 开头，又不是数）前面加一个 '，免得 Excel 把陌生人
写的评论当公式运行。

会看到（第一条命令）：
    ── 1. 分词
    [CLS] 房 间 很 干 净 ， 服 务 也 好 ， 下 次 还 来 [SEP]
    input_ids (1, 17)
    ── 2. BERT
    last_hidden_state (1, 17, 256) → [CLS] 特征 (1, 256)
    ── 3. fc
    logits (1, 2)：负向 -1.84，正向 1.83
    ── 4. softmax
    负向 2.5%，正向 97.5%
    ── 5. 取概率最大的一类
    正向，97.5% 肯定
    ── 6. 同一条路包成一个类：SentimentClassifier
    给的概率和上面一样：True
    ── 7. 轮到你了
    输入一句话，按回车；空行结束
    …
    下一步：python demo02_sentiment/09_serve.py …
（第二条命令）：
    正向   97.5%  ████████████████████  房间很干净，服务也好，下次还来
    负向   99.1%  ████████████████████  又脏又吵，再也不来了

看什么：概率是模型有多肯定，不是有多对；它说 90 % 的时候真的对九成吗？见 10_pictures.py。
不到 10 个字的要当心：训练用的评论都在 20 个字以上，短句它没见过，小 BERT 会说“这本书真好”是负向
（为什么，怎么治：extra_behaviour.py）。
"""

import sys

import torch

from backstage.classifier import SentimentClassifier
from backstage.predict_file import check_asked, piped, predict_file
from course.cli import run, step
from course.errors import CourseError

EXAMPLE = "房间很干净，服务也好，下次还来"  # 拿它走一遍
BAR = 20  # 概率条有多长


@torch.no_grad()  # 只用不学：不记梯度的账，省内存
def walk_the_road(classifier: SentimentClassifier, text: str) -> None:
    """一句话从文字到概率，每一步打印形状；N = 1 条，L 个 token"""
    model, tokenizer, labels = classifier.model, classifier.tokenizer, classifier.labels

    step("1. 分词")
    #    和训练时同一个分词器、同样的 max_length。分词器不同，同一个字换了编号；max_length 不同，
    #    截断的地方不同
    batch = tokenizer(text, truncation=True, return_tensors="pt").to(model.encoder.device)
    tokens = tokenizer.convert_ids_to_tokens(batch["input_ids"][0].tolist())
    print(" ".join(tokens))
    print(f"input_ids {tuple(batch['input_ids'].shape)}")

    step("2. BERT")
    #    每个 token 一个向量，取第 0 个位置 [CLS]，它代表整句话；--pooling mean 训练的，取平均
    hidden = model.encoder(**batch).last_hidden_state  # (1, L, hidden)
    mean = model.pooling == "mean"
    feature = hidden.mean(dim=1) if mean else hidden[:, 0]  # (1, hidden)
    name = "平均" if mean else "[CLS]"
    print(f"last_hidden_state {tuple(hidden.shape)} → {name} 特征 {tuple(feature.shape)}")

    step("3. fc")
    #    head 就是它，训练出来的就是这一层：每一类一个分数；分数可正可负，只有相对大小有意义
    logits = model.head(feature)  # (1, 类别数)
    row = [f"{label} {z:.2f}" for label, z in zip(labels, logits[0].tolist(), strict=True)]
    print(f"logits {tuple(logits.shape)}：{'，'.join(row)}")

    step("4. softmax")
    #    分数变概率：每个分数取 exp（e 的多少次方），再除以它们的和。都在 0 和 1 之间，加起来是 1，
    #    谁大谁小不变
    probabilities = logits.softmax(dim=1)
    row = [f"{label} {p:.1%}" for label, p in zip(labels, probabilities[0].tolist(), strict=True)]
    print("，".join(row))

    step("5. 取概率最大的一类")
    best = int(probabilities[0].argmax())
    print(f"{labels[best]}，{probabilities[0, best]:.1%} 肯定")

    step("6. 同一条路包成一个类：SentimentClassifier")
    #    网页、API、文件用的都是它。它的矩阵乘法另有快的排法，最后几位会不同
    #    （训练时用了 --int8 的，它也用 int8 算，是近似的，和上面的差到百分之几）
    close = 0.1 if classifier.sentences.int8 else 1e-4
    same = torch.allclose(classifier.probabilities([text]), probabilities.cpu(), atol=close)
    print(f"给的概率和上面一样：{same}")


def print_predictions(classifier: SentimentClassifier, texts: list[str]) -> None:
    """每句话一行：标签、概率、概率条"""
    cuts = classifier.cut(texts)
    for text, row, cut in zip(texts, classifier.probabilities(texts), cuts, strict=True):
        best = int(row.argmax())
        bar = "█" * round(BAR * float(row[best]))
        note = f"（太长，只看了前 {classifier.max_length} 个 token）" if cut else ""
        print(f"{classifier.labels[best]}  {row[best]:6.1%}  {bar:{BAR}}  {text}{note}", flush=True)


def ask_and_answer(classifier: SentimentClassifier) -> None:
    """一行一句，直到空行或文件结尾"""
    while True:
        try:
            line = input().strip()
        except UnicodeDecodeError:
            said = "送进来的文字不是这个窗口的编码，认错了就答错"
            raise CourseError(said, "存成 .txt，一行一句，用 --file：它自己认编码") from None
        except (EOFError, RuntimeError):  # 读完了；pythonw、有的 Jupyter 没有地方输入
            return
        if not line:
            return
        print_predictions(classifier, [line])


def main(args) -> None:
    check_asked(args)
    # 四种用法，同一条路：SentimentClassifier
    if args.file:
        predict_file(args.weights, args.file, args.column, args.out, args.labels)
        return
    classifier = SentimentClassifier(args.weights, args.labels)
    if args.texts or piped():  # 只打印结果，用 > 或 | 接走的文件里才没有别的
        if args.texts:
            print_predictions(classifier, args.texts)
        else:
            ask_and_answer(classifier)
        sys.exit(0)  # 也不说下一步
    walk_the_road(classifier, EXAMPLE)
    step("7. 轮到你了")
    print("输入一句话，按回车；空行结束")
    ask_and_answer(classifier)

    # 小结：预测 = 训练时的前半截（分词、BERT、fc），再加 softmax；没有 loss，没有 backward
    # 分词、max_length、BERT 要和训练时一样，.pth 里的训练记录写着这三样，换了 BERT 会报错而不是乱答
    #
    # 练习 1：把一句好评一个字一个字地加长，看概率在哪个字上跳得最多；再和 09_serve.py 网页上的
    #         颜色比：那里每个词换着顺序写上去，取平均，所以不一定是同一处
    # 练习 2：第 2 步的 hidden[:, 0] 换成 hidden.mean(dim=1)，第 6 步变成 False：
    #         fc 是照着 [CLS] 学的，给它别的特征，形状对也没有意义
    # 动手：python exercises/check.py demo02/08


if __name__ == "__main__":
    then = "demo02_sentiment/09_serve.py --weights --labels"
    run(main, "texts", "weights", "labels", "file", "column", "out", then=then)
