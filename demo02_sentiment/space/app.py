"""选学  一个 Gradio 网页：五十行，在自己的机器上、Hugging Face Space、魔搭创空间里都能跑

教什么：09_serve.py 的网页是自己写的；Gradio 把一个函数变成网页，输入、输出是什么控件说一声就行。
别人点开一个网址就能试你的模型，是最快的展示办法；哪几个词说了算，也给看。

怎么运行：先导出（11_export.py），再
    python -m pip install gradio jieba
    python demo02_sentiment/space/app.py
浏览器打开它打印的网址；按 Ctrl-C 停止。放到网上的办法、装它的时候要知道的事，见旁边的 README.md。

会看到：
    * Running on local URL:  http://127.0.0.1:7860
"""

import sys
from pathlib import Path

import gradio
import jieba
from transformers import pipeline

# 换成你自己的模型，改这两行
TITLE = "评论情感"
EXAMPLES = ["房间很干净，服务也好，下次还来", "等了一个小时才上菜，鱼还是凉的", "不可以"]

# 在 Space 里，模型和 app.py 放在一起；在课程的仓库里，用 11_export.py 导出的
HERE = Path(__file__).resolve().parent
FOLDERS = [HERE, HERE.parents[1] / "params" / "review-sentiment-zh"]
PIECES = 64  # 一句话最多分成几段：删一段要多算一次，长评论几个词合成一段
FLOOR = 0.05  # 影响最大的一段不到它，就不画成最深：免得把噪声画成大事

model = next((folder for folder in FOLDERS if (folder / "config.json").is_file()), None)
if model is None:
    sys.exit("出错了：没有导出的模型\n下一步：python demo02_sentiment/11_export.py")
jieba.setLogLevel("WARNING")  # 不说它在读词典
classify = pipeline("text-classification", str(model), truncation=True, top_k=None)


def judge(text: str) -> tuple[gradio.Label, list[tuple[str, float]]]:
    """一段文字 → 每一类的概率，和 [(词, 影响), …]；影响在 -1 到 1 之间，给颜色用

    删掉一个词再问一遍，结论的概率少了多少，就是它的影响。09_serve.py 的网页用的是沙普利值：换许多
    种顺序把词写上去，取平均，加起来正好是整句的结果。这里一个词只删一次，算得快，加起来不是整句的
    结果：两句好话说的是一件事，删哪一句结论都不变，两句就都没有颜色。
    """
    if not text.strip():
        return gradio.Label({}, label="还没有写呢"), []
    # 1. 模型只读前 model_max_length 个 token，读到第几个字；后面的看不到，要说
    tokenizer = classify.tokenizer
    tokens = tokenizer(text, truncation=True, return_offsets_mapping=True)
    seen = max(end for _, end in tokens["offset_mapping"])
    cut = f"（太长，只看了开头 {tokenizer.model_max_length} 个 token）"
    note = cut if tokens.encodings[0].overflowing else ""
    # 2. 切词，太多就几个词合成一段
    words = jieba.lcut(text[:seen])
    size = -(-len(words) // PIECES) or 1
    words = ["".join(words[i : i + size]) for i in range(0, len(words), size)]
    # 3. 整句，和每次少一个词的句子，一批问完
    without = ["".join([*words[:i], " ", *words[i + 1 :]]) for i in range(len(words))]
    answers = classify([text, *without], batch_size=16)
    scores, *others = [{row["label"]: row["score"] for row in answer} for answer in answers]
    best = max(scores, key=scores.get)
    # 4. 少了多少；影响最大的 0.6 那么深，再深，字就看不清了
    effects = [scores[best] - one[best] for one in others]
    deepest = max([FLOOR, *map(abs, effects)])
    shown = [(word, 0.6 * effect / deepest) for word, effect in zip(words, effects, strict=True)]
    return gradio.Label(scores, label=f"概率{note}"), shown


# 一个函数、它的输入和输出各是什么控件，就是一个网页
page = gradio.Interface(
    judge,
    gradio.Textbox(label="写一句", lines=4),
    [
        gradio.Label(label="概率"),
        gradio.HighlightedText(label="红的词删掉，结论的概率变小；紫的删掉，变大"),
    ],
    examples=EXAMPLES,
    title=TITLE,
    submit_btn="判断",
    clear_btn="清空",
    flagging_mode="never",
    analytics_enabled=False,  # 不向 Gradio 报告谁在用
)

if __name__ == "__main__":
    # 只听 127.0.0.1；在 Space 里，平台用环境变量 GRADIO_SERVER_NAME 改成对外。
    # 字体用系统的：默认的主题有的字体要从 Google 下载，国内打不开
    page.launch(theme=gradio.themes.Default(font="system-ui", font_mono="monospace"))

# 小结：训练、导出、包成网页，三步各是一个脚本；网页里没有训练的代码，换一个模型不用改它
# 练习：给 judge 加一个门槛的滑块（gradio.Slider），正向的概率过了它才算好评
