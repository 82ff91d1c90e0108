"""找错  第 2 题  十类词，比瞎猜还差

想做的：看一个词的几个字，猜它是十类里的哪一类；用没学过的 1,000 个词考一次，打印精度。
看到的：训练的损失一路往下，精度只有 0.06；十类，闭着眼睛猜也有一成。
运行：python exercises/bugs/bug_02.py
检查：python exercises/check.py bugs/02
"""

import pandas as pd
import torch
from torch import nn

from course.paths import DATA

# 标注的人手里的表，类别从 1 数：1 名词，2 动词 …… 10 简称
KINDS = ["名词", "动词", "形容词", "副词", "成语", "地名", "人名", "数词", "时间", "简称"]

torch.manual_seed(0)
torch.set_num_threads(1)  # 模型很小：几个线程互相等的时间，比算的还长
words = pd.read_csv(DATA / "words" / "words.csv").sample(6000, random_state=0)
labels = torch.tensor([1 + KINDS.index(kind) for kind in words["label"]])
# 字典：出现过的字，一个字一个编号；最长的词四个字，短的补空格，空格也占一个
chars = {char: i for i, char in enumerate(sorted({" ", *"".join(words["text"])}))}
ids = torch.tensor([[chars[char] for char in word.ljust(4)] for word in words["text"]])
train_ids, test_ids = ids.split([5000, 1000])
train_labels, test_labels = labels.split([5000, 1000])

model = nn.Sequential(
    nn.Embedding(len(chars), 16),  # 一个字一个向量
    nn.Flatten(),  # 四个向量接成一个，第几个字也就分得清
    nn.Linear(4 * 16, len(KINDS)),
)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
loss_fn = nn.CrossEntropyLoss()

for _ in range(5):
    for batch in torch.randperm(5000).split(100):
        loss = loss_fn(model(train_ids[batch]), train_labels[batch] - 1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

with torch.no_grad():
    predicted = model(test_ids).argmax(dim=1) + 1
accuracy = (predicted == test_labels).float().mean().item()
print(f"测试精度 {accuracy:.4f}")
