"""找错  第 9 题  一条一条喂是几十，放成一批就上万

想做的：16 条评论一批喂给 GPT-2，看它猜下一个字猜得多准；打印困惑度（perplexity：每个字的
损失一起平均，再算 e 的这么多次方；就像平均每一步在多少个字里犹豫，越小越好）。
看到的：打印 38470.60；同样的 16 条一条一条喂，最大的一条也只有 85。
运行：python exercises/bugs/bug_09.py
检查：python exercises/check.py bugs/09
"""

import pandas as pd
import torch
from transformers import BertTokenizer, GPT2LMHeadModel
from transformers.utils import logging

from course.paths import DATA, MODELS

logging.set_verbosity_error()  # 不要库的英文提示
logging.disable_progress_bar()  # 装权重时的进度条，一闪而过
folder = MODELS / "tiny-gpt2-chinese"
tokenizer = BertTokenizer.from_pretrained(folder)  # 中文 GPT-2 用的是 BERT 的字典
model = GPT2LMHeadModel.from_pretrained(folder)
model.eval()

reviews = pd.read_csv(DATA / "reviews" / "train.csv").sample(16, random_state=0)
inputs = tokenizer(
    reviews["text"].tolist(),
    padding=True,  # 16 条要拼成一个矩阵，短的补 [PAD]
    truncation=True,
    max_length=128,
    return_token_type_ids=False,  # GPT-2 没有"第几句"
    return_tensors="pt",
)

# 每个位置的答案是它后面的那个字；错开一位是模型里面做的，标签给原文就行
labels = inputs["input_ids"].clone()
with torch.no_grad():
    loss = model(**inputs, labels=labels).loss  # 每个位置的损失，平均

perplexity = loss.exp().item()
print(f"困惑度 {perplexity:.2f}")
