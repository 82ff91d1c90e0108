"""选学  一个 Gradio 网页：25 行，在自己的机器上、Hugging Face Space、魔搭创空间里都能跑

教什么：09_serve.py 的网页是自己写的；Gradio 把一个函数变成网页，输入、输出是什么控件说一声就行。
别人点开一个网址就能试你的模型，是最快的展示办法。

怎么运行：先导出（11_export.py），再
    python -m pip install gradio
    python demo02_sentiment/space/app.py
浏览器打开它打印的网址；按 Ctrl-C 停止。放到网上的办法见旁边的 README.md。

会看到：
    * Running on local URL:  http://127.0.0.1:7860
"""

import sys
from pathlib import Path

import gradio
from transformers import pipeline

# 在 Space 里，模型和 app.py 放在一起；在课程的仓库里，用 11_export.py 导出的
HERE = Path(__file__).resolve().parent
FOLDERS = [HERE, HERE.parents[1] / "params" / "review-sentiment-zh"]
EXAMPLES = ["房间很干净，服务也好，下次还来", "等了一个小时才上菜，鱼还是凉的", "不可以"]

model = next((folder for folder in FOLDERS if (folder / "config.json").is_file()), None)
if model is None:
    sys.exit("出错了：没有导出的模型\n下一步：python demo02_sentiment/11_export.py")
classify = pipeline("text-classification", str(model), truncation=True)


def judge(text: str) -> dict[str, float]:
    """一条评论 → {标签: 概率}；空的不判断"""
    rows = classify(text, top_k=None) if text.strip() else []
    return {row["label"]: row["score"] for row in rows}


# 一个函数、它的输入和输出各是什么控件，就是一个网页
page = gradio.Interface(
    judge,
    gradio.Textbox(label="评论", lines=4),
    gradio.Label(label="概率"),
    examples=EXAMPLES,
    title="评论情感",
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
