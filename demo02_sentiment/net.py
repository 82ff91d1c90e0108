"""第 4 课  增量模型：冻结的 BERT + 一层 Linear

教什么：预训练的 BERT 原样不动（冻结），只在后面接一层全连接 `fc`，把 [CLS] 的特征变成
两个分数（logits）。要学的只有 fc 这几百个数，所以数据少、没有显卡也学得动，这叫增量微调
（论文里叫线性探测，linear probing）；后面接的这一段按自己的业务来定，叫下游任务。
连 BERT 一起学叫全量微调，见 extra_finetune.py。参数、梯度、损失是什么：docs/11-learning.md。

怎么运行：python demo02_sentiment/net.py
          python demo02_sentiment/net.py --model 文件夹    换成 RoBERTa、ALBERT、英文的 BERT……

会看到：
    …
    ── 1. 搭模型，打印出来看
    设备 …
    FrozenBert(
      (encoder): BertModel(
        (embeddings): BertEmbeddings(
          (word_embeddings): Embedding(21128, 256, padding_idx=0)
          …
      (fc): Linear(in_features=256, out_features=2, bias=True)
    )
    ── 2. 数参数
    BERT（冻结）      8,765,696 个参数
    fc（要训练）            514 个参数 = 256 × 2 + 2
    ── 3. 两句话走一遍，看每一站的形状
    input_ids          (2, 10)
    last_hidden_state  (2, 10, 256)
    [CLS] 特征         (2, 256)
    logits             (2, 2)
    概率               [[…], […]]
    fc 还没训练，初值是随机的，所以概率没有意义，再运行一次就变了
    ── 4. 课程用的 Model：多了五样，算的一样
    logits 和上面一样：True
    state_dict 里只有：_extra_state、fc.weight、fc.bias
"""

import json
from pathlib import Path

import torch
from torch import nn
from transformers.utils import logging

from course.cli import run, step
from course.models import find_model, load_encoder, load_tokenizer

MODEL = "bert-base-chinese"  # models/ 里没有它时，自动用随仓库的 tiny-bert-chinese

# 有 NVIDIA 显卡用 cuda，苹果芯片用 mps，都没有就用 cpu；代码不用改
DEVICE = torch.device(
    "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
)


class FrozenBert(nn.Module):
    """课上的写法：pretrained 是读好的 BertModel；num_labels 是类别数，做十分类就写 10"""

    def __init__(self, pretrained: nn.Module, num_labels: int = 2):
        super().__init__()  # nn.Module 在这里备好登记参数的本子，下面写的每一层才会被记进去
        self.encoder = pretrained
        self.encoder.requires_grad_(False)  # 冻结：不算梯度，优化器改不了它
        hidden = pretrained.config.hidden_size  # bert-base-chinese 是 768
        # 为什么一层就够：BERT 已经把意思算进这几百个数，好评差评大致分在两边，中间切一刀就行
        # 层数多了，要学的数多，几千条评论反而容易背题。想试就换成
        # nn.Sequential(nn.Linear(hidden, 64), nn.ReLU(), nn.Linear(64, 2))，后面的课都认
        self.fc = nn.Linear(hidden, num_labels)

    def forward(self, input_ids, attention_mask, token_type_ids) -> torch.Tensor:
        """三个输入都是 (N, 句长) 的整数，返回 logits (N, num_labels)；写 model(…) 就是调用它"""
        with torch.no_grad():  # 冻结的部分只往前算，不为反向传播（第 5 课）记账，省时间也省内存
            out = self.encoder(
                input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
            )
        # last_hidden_state 里每个 token 一个向量；[:, 0] 取第一个位置，也就是 [CLS]
        # （"last" 说的是最后一层，不是最后一个位置）。[CLS] 通过注意力看过整句话，用它代表一句话
        return self.fc(out.last_hidden_state[:, 0])


class Model(FrozenBert):
    """课程用的：还是上面那个，多了五样，各有各的缘故；第一遍可以跳过，先看 main

    encoder_dir：BERT 的名字或文件夹。pooling：一句话用哪个向量代表，"cls" 是 [CLS] 的，"mean" 是
    每个 token 的平均。属性 encoder 是 BertModel；fc 是 Linear(hidden, num_labels)；record 是训练
    记录，train.py 填，跟着权重存进 .pth。
    """

    # 一、load_encoder 就是 BertModel.from_pretrained，再查一遍权重缺不缺：缺了，from_pretrained 会
    # 悄悄用随机数补上。RoBERTa、ALBERT、英文的 BERT 也读得了：里面是 AutoModel，看 config.json 挑类
    def __init__(self, encoder_dir: str | Path, num_labels: int = 2, pooling: str = "cls"):
        super().__init__(load_encoder(find_model(str(encoder_dir))), num_labels)
        self.pooling = pooling
        self.record: dict = {}
        # hook（钩子）：存、读 state_dict 时 PyTorch 各来叫一次，见第五样
        self.register_state_dict_post_hook(leave_out_frozen)
        self.register_load_state_dict_post_hook(expect_no_frozen)
        self.train()

    # 二、冻结的 BERT 永远留在评估模式。BERT 里有 dropout（训练时随机丢掉一些数，防过拟合；
    # bert-base-chinese 丢 10 %，随仓库的小 BERT 不丢）：训练模式下同一句话每次算出来都不同
    def train(self, mode: bool = True) -> "Model":
        super().train(mode)
        self.encoder.train(False)
        return self

    # 三、有的模型（DistilBERT、ModernBERT）没有 token_type_ids，所以有什么就给什么
    def forward(self, input_ids, attention_mask, token_type_ids=None) -> torch.Tensor:
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        if token_type_ids is not None:
            inputs["token_type_ids"] = token_type_ids
        with torch.no_grad():
            out = self.encoder(**inputs)
        return self.fc(self.pool(out.last_hidden_state, attention_mask))

    # 四、pooling="mean"：e5 这类句向量模型，一句话用每个 token 的平均代表，补齐的不算
    def pool(self, hidden: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """last_hidden_state (N, 句长, hidden) → 一句话一个向量 (N, hidden)"""
        if self.pooling == "cls":
            return hidden[:, 0]
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)  # (N, 句长, 1)
        return (hidden * mask).sum(dim=1) / mask.sum(dim=1)

    # 五、.pth 自己带着训练记录，不带冻结的 BERT（几百 MB，它的文件夹里就有）：
    # torch.save(model.state_dict(), 路径) 存下学过的层和记录，
    # model.load_state_dict(torch.load(路径, weights_only=True)) 就读得回来
    def get_extra_state(self) -> str:
        """PyTorch 留的口子：state_dict() 会来叫它，返回的放进 _extra_state 这一项，和权重一起存

        光有权重不够，还要知道两个分数哪个是正向、接的是哪个 BERT；另记一个文件，一拷贝就走散了。
        """
        return json.dumps(self.record, ensure_ascii=False)

    def set_extra_state(self, state: str) -> None:
        """load_state_dict 读到 _extra_state 时来叫它"""
        self.record = json.loads(state)

    @property
    def head(self) -> nn.Module:
        """分类头，特征 (N, hidden) → logits (N, num_labels)

        别的脚本都用这个名字，所以 fc 在这个文件里改名、换成几层，别处不用动。
        """
        return self.fc


def frozen(model: Model) -> list[str]:
    """BERT 里冻结的层的名字"""
    return [
        f"encoder.{name}" for name, p in model.encoder.named_parameters() if not p.requires_grad
    ]


def leave_out_frozen(model: Model, state: dict, prefix: str, metadata: dict) -> None:
    """state_dict 做好之后来叫它（post hook）：去掉冻结的层"""
    for name in frozen(model):
        del state[prefix + name]


def expect_no_frozen(model: Model, keys) -> None:
    """load_state_dict 读完来叫它：冻结的层本来就不在文件里，从缺的名字（missing_keys）里去掉"""
    left_out = set(frozen(model))
    keys.missing_keys[:] = [name for name in keys.missing_keys if name not in left_out]


def main(args) -> None:
    from transformers import BertModel  # import 它要一秒：写在开头，import net 的脚本就都要等

    folder = find_model(args.model)
    ours = Model(folder).to(DEVICE)  # 第 4 步才用；不是编码器、文件不全，在这里就说
    logging.disable_progress_bar()

    step("1. 搭模型，打印出来看")
    #    从上往下读：embeddings（字变向量）→ encoder（提特征，一层一个 BertLayer）→ fc（分类）
    #    外层的 encoder 是我们起的名字，装着整个 BERT；里层的 encoder 才是那几层。pooler 也在里面
    #    （参数算在内），我们不用它，直接取 [CLS]
    #    词向量（word_embeddings）是预训练时读了大量文字学来的，跟着 BERT 一起到手，自己这点数据
    #    学不出来；位置向量（position_embeddings）最多 512 行，所以 BERT 最多读 512 个 token
    #    .to(DEVICE)：参数搬到显卡上。数据也要搬，只搬一边就会报
    #    Expected all tensors to be on the same device, but found at least two devices
    print(f"设备 {DEVICE}")
    if ours.encoder.config.model_type == "bert":
        pretrained = BertModel.from_pretrained(folder)
        model = FrozenBert(pretrained).to(DEVICE)
    else:  # RoBERTa、ALBERT……各有各的类，BertModel 读不了，用下面那一个写法
        model = ours
    print(model)

    step("2. 数参数")
    #    冻结的部分再大也不用学；一层 Linear(进, 出) 有 进 × 出 个权重，出 个偏置
    kept = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    learned = sum(p.numel() for p in model.parameters() if p.requires_grad)
    shapes = [p.shape for p in model.parameters() if p.requires_grad]
    sizes = " + ".join(" × ".join(map(str, reversed(shape))) for shape in shapes)
    print(f"BERT（冻结）   {kept:>12,} 个参数")
    print(f"fc（要训练）   {learned:>12,} 个参数 = {sizes}")

    step("3. 两句话走一遍，看每一站的形状")
    tokenizer = load_tokenizer(folder)  # BertTokenizer.from_pretrained，再核对字典，见第 1 课
    batch = tokenizer(["房间很干净", "服务太差了，失望"], padding=True, return_tensors="pt")
    batch = batch.to(DEVICE)
    model.train(False)
    ours.train(False)
    hidden_state = model.encoder(**batch).last_hidden_state
    #    train(False) 就是 eval()：分类头里要是有 Dropout，这时不随机丢
    #    ** 是按名字给：batch 里的三样各归各位
    #    不写名字就要按 forward 的顺序；后两样写反了不报错，attention_mask 却全是 0
    logits = model(**batch)
    print(f"input_ids          {tuple(batch['input_ids'].shape)}")
    print(f"last_hidden_state  {tuple(hidden_state.shape)}")
    print(f"[CLS] 特征         {tuple(hidden_state[:, 0].shape)}")
    print(f"logits             {tuple(logits.shape)}")
    print(f"概率               {logits.softmax(dim=1).tolist()}")
    print("fc 还没训练，初值是随机的，所以概率没有意义，再运行一次就变了")

    step("4. 课程用的 Model：多了五样，算的一样")
    #    _extra_state 就是第五样：训练记录
    head = {n: t for n, t in model.state_dict().items() if not n.startswith("encoder.")}
    ours.load_state_dict(head, strict=False)  # 换上同一个 fc
    print(f"logits 和上面一样：{torch.allclose(ours(**batch), logits)}")
    print(f"state_dict 里只有：{'、'.join(ours.state_dict())}")

    # 小结：BERT 负责看懂，fc 负责下结论；训练只改 fc
    # 练习：把 num_labels 改成 10，看看 fc 的参数变成多少
    # 动手：python exercises/check.py demo02/net


if __name__ == "__main__":
    run(main, model=MODEL, then="demo02_sentiment/train.py --model")
