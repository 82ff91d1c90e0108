"""第 0 课  一个文件：第二讲的全部代码，从评论到训练好的权重

教什么：先看全貌。数据、模型、凑批、循环、存权重，课上讲的调用都在这里，没有用课程别的文件：拷进一个
空项目，改两个路径就能跑。后面的课一段一段拆开讲，看不懂的先放过。
怎么运行（不用显卡，一两分钟）：python demo02_sentiment/00_one_file.py
会看到：
    设备 cpu，评论 900 条，每轮 30 批
    轮次 0 批次 0 loss 0.6714 精度 0.600
    …
    存好 …0bert.pth
    房间很干净，服务也好，下次还来 → 正向的概率 0.83
"""

from pathlib import Path

import torch
from datasets import load_dataset
from torch import nn
from torch.optim import AdamW
from torch.utils.data import DataLoader, Dataset
from transformers import BertModel, BertTokenizer

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT / "models" / "tiny-bert-chinese"  # 拷走的，这两行改成你的：BERT 的文件夹
DATA = ROOT / "data" / "reviews" / "train.csv"  # 和一个 CSV，两列叫 text、label（0 和 1）
OUT = Path(__file__).resolve().parent / "one_file"  # 权重存在哪里
ROWS = 900  # 只用头 900 条；改成 None 就是全部 9600 条，一轮要十几分钟
EPOCH = 1  # 把数据看几遍
BATCH_SIZE = 30  # 一批几条
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
tokenizer = BertTokenizer.from_pretrained(MODEL)


class MyDataset(Dataset):  # 第 3 课：第 i 条是 (评论, 标签)
    def __init__(self):
        rows = load_dataset("csv", data_files=str(DATA), split="train", cache_dir=str(OUT))
        self.rows = list(rows)[:ROWS]

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return self.rows[i]["text"], self.rows[i]["label"]


class Model(nn.Module):  # 第 4 课：冻结的 BERT + 一层 Linear
    def __init__(self):
        super().__init__()
        self.encoder = BertModel.from_pretrained(MODEL).requires_grad_(False)
        self.fc = nn.Linear(self.encoder.config.hidden_size, 2)

    def forward(self, input_ids, attention_mask, token_type_ids):
        with torch.no_grad():  # BERT 只往前算，不学
            out = self.encoder(input_ids, attention_mask, token_type_ids)
        return self.fc(out.last_hidden_state[:, 0])  # [CLS] 的特征 → 两个分数


def collate_fn(batch):  # 一批文字 → 一个矩阵，每条都补齐到 500（第 1、3 课）
    texts, labels = zip(*batch, strict=True)
    x = tokenizer(texts, truncation=True, padding="max_length", max_length=500, return_tensors="pt")
    return x["input_ids"], x["attention_mask"], x["token_type_ids"], torch.tensor(labels)


def main():
    torch.manual_seed(0)  # 固定随机数：每次运行结果一样
    dataset, model = MyDataset(), Model().to(DEVICE)
    loader = DataLoader(dataset, BATCH_SIZE, shuffle=True, collate_fn=collate_fn)
    optimizer = AdamW(model.parameters(), lr=1e-3)  # 冻结的没有梯度，它自动跳过
    loss_fn = nn.CrossEntropyLoss()
    print(f"设备 {DEVICE}，评论 {len(dataset)} 条，每轮 {len(loader)} 批")
    for epoch in range(EPOCH):  # 第 5 课：训练循环
        for i, (*inputs, labels) in enumerate(loader):
            inputs, labels = [x.to(DEVICE) for x in inputs], labels.to(DEVICE)
            out = model(*inputs)  # 前向：分数
            loss = loss_fn(out, labels)  # 错得多厉害
            optimizer.zero_grad()
            loss.backward()  # 每个参数该往哪边挪
            optimizer.step()  # 挪一小步
            if i % 5 == 0:  # 一轮要很久，每隔五批报一次
                acc = (out.argmax(dim=1) == labels).sum().item() / len(labels)
                print(f"轮次 {epoch} 批次 {i} loss {loss.item():.4f} 精度 {acc:.3f}")
        torch.save(model.state_dict(), OUT / f"{epoch}bert.pth")  # 连 BERT 一起；第 4 课只存学过的
        print(f"存好 {OUT / str(epoch)}bert.pth")
    *inputs, _ = collate_fn([("房间很干净，服务也好，下次还来", 1)])
    chance = model(*(x.to(DEVICE) for x in inputs)).softmax(dim=1)[0, 1].item()
    print(f"房间很干净，服务也好，下次还来 → 正向的概率 {chance:.2f}")


if __name__ == "__main__":
    main()
