"""找错  第 3 题  一批的大小一改，精度就变

想做的：冻结的 BERT 后面接一层 fc，猜一个词是十类里的哪一类；考没学过的 507 个词，打印精度。
看到的：模型没有变，考题没有变；考试时一批 500 个是 0.37，一批 400 个是 0.61。
改的时候一批留着 500 个：换一个数，毛病只是藏了起来，没有修好。
运行：python exercises/bugs/bug_03.py
检查：python exercises/check.py bugs/03
"""

import pandas as pd
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from transformers import BertModel, BertTokenizer
from transformers.utils import logging

from course.paths import DATA, MODELS

torch.manual_seed(0)
# 表里一类挨着一类，所以每 40 个取一个：十类都有，多少也照原来的比例
words = pd.read_csv(DATA / "words" / "words.csv")[::40]
kinds = words["label"].unique().tolist()
labels = torch.tensor([kinds.index(kind) for kind in words["label"]])

logging.disable_progress_bar()  # 装权重时的进度条，一闪而过
folder = MODELS / "tiny-bert-chinese"
tokenizer = BertTokenizer.from_pretrained(folder)
bert = BertModel.from_pretrained(folder)
bert.eval()
inputs = tokenizer(words["text"].tolist(), padding=True, return_tensors="pt")
with torch.no_grad():  # 冻结：每一轮算出来都一样，先算一遍
    features = bert(**inputs).last_hidden_state[:, 0]
train = TensorDataset(features[::2], labels[::2])  # 一个学，一个考，错开
test = TensorDataset(features[1::2], labels[1::2])

fc = nn.Linear(256, len(kinds))
optimizer = torch.optim.AdamW(fc.parameters(), lr=1e-2)
loss_fn = nn.CrossEntropyLoss()
for _ in range(10):
    for x, y in DataLoader(train, batch_size=50, shuffle=True):
        loss = loss_fn(fc(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

loader = DataLoader(test, batch_size=500)  # 考试不用算梯度，一批可以大
right = 0
for x, y in loader:
    right += (fc(x).argmax(dim=1) == y).sum().item()
accuracy = right / len(test)
print(f"测试精度 {accuracy:.4f}")
