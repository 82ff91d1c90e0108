"""找错  第 6 题  预训练的 BERT，不如数数字

想做的：BERT 把评论变成向量；考一条，就找学过的里面最像的 5 条，看它们多半是正是负；打印测试精度。
看到的：不报错，精度只有 0.55；不用 BERT，只数每个字出现多少（TF-IDF），同样找 5 条，有 0.69。
运行：python exercises/bugs/bug_06.py
检查：python exercises/check.py bugs/06
"""

import pandas as pd
import torch
from sklearn.neighbors import KNeighborsClassifier
from transformers import BertConfig, BertModel, BertTokenizer
from transformers.utils import logging

from course.paths import DATA, MODELS

torch.manual_seed(0)
reviews = pd.read_csv(DATA / "reviews" / "train.csv")
reviews = reviews[reviews["text"].str.len() <= 40].sample(400, random_state=0)  # 短的算得快
train, test = reviews[:250], reviews[250:]

logging.disable_progress_bar()  # 装权重时的进度条，一闪而过
folder = MODELS / "tiny-bert-chinese"
tokenizer = BertTokenizer.from_pretrained(folder)
config = BertConfig.from_pretrained(folder)  # 几层、多宽、最多几个位置：都写在 config.json 里
bert = BertModel(config)
bert.eval()


def vectors_of(texts):
    """一条评论一个向量：每个 token 的平均，补齐的不算"""
    inputs = tokenizer(
        texts.tolist(),
        padding=True,
        truncation=True,
        max_length=config.max_position_embeddings,
        return_tensors="pt",
    )
    with torch.no_grad():
        hidden = bert(**inputs).last_hidden_state
    mask = inputs["attention_mask"].unsqueeze(-1)
    return (hidden * mask).sum(dim=1) / mask.sum(dim=1)


neighbors = KNeighborsClassifier(5, metric="cosine")  # 像不像看夹角，不看长短
neighbors.fit(vectors_of(train["text"]), train["label"])
accuracy = neighbors.score(vectors_of(test["text"]), test["label"])
print(f"测试精度 {accuracy:.4f}")
