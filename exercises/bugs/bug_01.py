"""找错  第 1 题  损失降到 0.32 就不动了

想做的：数一条评论里每个字出现多少（TF-IDF），两层 Linear 判断正向还是负向；学 10 轮，打印最后一轮
各批损失的平均。
看到的：学过的评论几乎全对，损失到了 0.32 却不再往下；学到 30 轮也只到 0.315。
运行：python exercises/bugs/bug_01.py
检查：python exercises/check.py bugs/01
"""

import pandas as pd
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from course.paths import DATA

torch.manual_seed(0)  # 固定随机数：每次运行结果一样
torch.set_num_threads(1)  # 模型很小：几个线程互相等的时间，比算的还长
reviews = pd.read_csv(DATA / "reviews" / "train.csv").head(1000)
# 最常见的 2,000 个字，一个字一列
tfidf = TfidfVectorizer(analyzer="char", max_features=2000)
features = torch.tensor(tfidf.fit_transform(reviews["text"]).toarray(), dtype=torch.float32)
labels = torch.tensor(reviews["label"].tolist())
loader = DataLoader(TensorDataset(features, labels), batch_size=50, shuffle=True)

model = nn.Sequential(
    nn.Linear(2000, 64),
    nn.ReLU(),
    nn.Linear(64, 2),  # 负向、正向各一个分数
    nn.Softmax(dim=1),  # 分数 → 概率，加起来是 1
)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
loss_fn = nn.CrossEntropyLoss()

for _ in range(10):
    loss_sum = 0
    for x, y in loader:
        batch_loss = loss_fn(model(x), y)
        optimizer.zero_grad()
        batch_loss.backward()
        optimizer.step()
        loss_sum += batch_loss.item()

loss = loss_sum / len(loader)  # 1,000 条正好 20 批，每批一样大
print(f"最后一轮的损失 {loss:.4f}")
