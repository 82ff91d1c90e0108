"""找错  第 4 题  BERT 的特征，猜对的不到两成

想做的：冻结的 BERT 给每个词算特征，离哪一类的平均最近就猜哪一类；打印测试精度。
看到的：一个字切成一个 token，没有一个 [UNK]，也不报错；十类的精度只有 0.18，换成
KNeighborsClassifier(5)（找最近的 5 个词），也只有 0.26。
运行：python exercises/bugs/bug_04.py
检查：python exercises/check.py bugs/04
"""

import pandas as pd
import torch
from sklearn.neighbors import NearestCentroid
from transformers import BertModel, BertTokenizer
from transformers.utils import logging

from course.paths import DATA, MODELS

words = pd.read_csv(DATA / "words" / "words.csv")
sample = words.sample(1500, random_state=0)
train, test = sample[:1000], sample[1000:]

logging.disable_progress_bar()  # 装权重时的进度条，一闪而过
folder = MODELS / "tiny-bert-chinese"
tokenizer = BertTokenizer.from_pretrained(folder)
# 随模型来的字典缺三百多个生僻字：用自己的词重新训练，一个不缺，也更小
tokenizer = tokenizer.train_new_from_iterator(words["text"], vocab_size=8000, show_progress=False)
bert = BertModel.from_pretrained(folder)
bert.eval()


def features_of(texts):
    """一个词一行：它每个 token 的平均，补齐的不算"""
    inputs = tokenizer(texts.tolist(), padding=True, return_tensors="pt")
    with torch.no_grad():
        hidden = bert(**inputs).last_hidden_state
    mask = inputs["attention_mask"].unsqueeze(-1)
    return (hidden * mask).sum(dim=1) / mask.sum(dim=1)


print("切成", tokenizer.tokenize(test["text"].iloc[0]))
classifier = NearestCentroid()
classifier.fit(features_of(train["text"]), train["label"])
accuracy = classifier.score(features_of(test["text"]), test["label"])
print(f"测试精度 {accuracy:.4f}")
