"""找错  第 8 题  Dropout 写了和没写一样

想做的：冻结的 BERT 后面接两层的分类头，带 Dropout；学 40 轮，每轮看一眼验证集，打印最后一轮的
验证损失。
看到的：训练损失到了 0.00，验证损失却有 0.94。Dropout 从 0.5 改成 0，也是 0.95。
运行：python exercises/bugs/bug_08.py
检查：python exercises/check.py bugs/08
"""

import pandas as pd
import torch
from torch import nn
from transformers import BertModel, BertTokenizer
from transformers.utils import logging

from course.paths import DATA, MODELS

torch.manual_seed(0)
reviews = pd.read_csv(DATA / "reviews" / "train.csv")
reviews = reviews[reviews["text"].str.len() <= 40].sample(400, random_state=0)
labels = torch.tensor(reviews["label"].tolist())

logging.disable_progress_bar()  # 装权重时的进度条，一闪而过
folder = MODELS / "tiny-bert-chinese"
tokenizer = BertTokenizer.from_pretrained(folder)
bert = BertModel.from_pretrained(folder)
bert.eval()
inputs = tokenizer(reviews["text"].tolist(), padding=True, return_tensors="pt")
with torch.no_grad():  # 冻结：每一轮算出来都一样，先算一遍
    features = bert(**inputs).last_hidden_state[:, 0]
train_features, validation_features = features.split([250, 150])
train_labels, validation_labels = labels.split([250, 150])

torch.set_num_threads(1)  # 分类头很小：几个线程互相等的时间，比算的还长
# 六万多个数，250 条评论背得下来，所以要 Dropout
head = nn.Sequential(
    nn.Dropout(0.5),
    nn.Linear(256, 256),
    nn.ReLU(),
    nn.Dropout(0.5),
    nn.Linear(256, 2),
)
optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3)
loss_fn = nn.CrossEntropyLoss()

head.train()  # 训练时 Dropout 要打开
for _ in range(40):
    for batch in torch.randperm(250).split(25):
        batch_loss = loss_fn(head(train_features[batch]), train_labels[batch])
        optimizer.zero_grad()
        batch_loss.backward()
        optimizer.step()
    head.eval()  # 考试时不许丢
    with torch.no_grad():
        loss = loss_fn(head(validation_features), validation_labels).item()

print(f"最后一轮的验证损失 {loss:.4f}")
