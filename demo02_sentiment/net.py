"""第 4 课  增量模型：冻结的 BERT + 一层 Linear

教什么：预训练的 BERT 原样不动（冻结），只在后面接一层全连接 `fc`，把 [CLS] 的特征变成
两个分数（logits）。要学的只有 fc 这几百个数，所以数据少、没有显卡也学得动，这叫增量微调。
把 BERT 的最后几层、甚至全部也放开来学（unfreeze），叫微调和全量微调。

怎么运行：python demo02_sentiment/net.py
          python demo02_sentiment/net.py --unfreeze 1      放开最后一层
          python demo02_sentiment/net.py --unfreeze all    全部放开

会看到：模型的结构、冻结的和要训练的参数各有多少、两句话走一遍 forward 的形状

    BERT（冻结）      8,765,696 个参数
    BERT（要训练）            0 个参数
    fc（要训练）            514 个参数 = 256 × 2 + 2

    input_ids          (2, 10)
    last_hidden_state  (2, 10, 256)
    [CLS] 特征         (2, 256)
    logits             (2, 2)
"""

import hashlib
import io
import json
from pathlib import Path

import torch
from torch import nn
from transformers import AutoConfig, BertModel, BertTokenizer

from course.cli import Parser, number, run
from course.errors import CourseError
from course.files import atomic_write
from course.models import find_model, load_tokenizer
from course.paths import command

MODEL = "bert-base-chinese"  # models/ 里没有它时，自动用随仓库的 tiny-bert-chinese
TRAIN = command("demo02_sentiment/train.py")  # 报错时告诉学员的下一步
DOWNLOAD = command("demo01_hf_basics/05_download_bert.py")

# 有 NVIDIA 显卡用 cuda，苹果芯片用 mps，都没有就用 cpu；代码不用改
DEVICE = torch.device(
    "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
)


def load_encoder(folder: Path) -> BertModel:
    """读一个 BERT 文件夹，fp32，一个权重都不缺；缺了、坏了、不是 BERT 都抛 CourseError

    from_pretrained 遇到缺的权重会悄悄用随机数补上，所以这里要查 missing_keys。
    （读真的 bert-base-chinese 时会打印一张 LOAD REPORT，里面 UNEXPECTED 的 cls.* 是
    预训练时的完形填空层，我们不用，可以放心忽略。）
    """
    again = f"重新下载：{DOWNLOAD}，或换一个文件夹 --model"
    kind = AutoConfig.from_pretrained(folder, local_files_only=True).model_type
    if kind != "bert":
        raise CourseError(f"{folder} 是 {kind} 模型，本课要的是 BERT", "--model bert-base-chinese")
    try:
        encoder, info = BertModel.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, output_loading_info=True
        )
    except Exception as error:  # 权重文件坏法很多，各库的异常没有共同的类型
        raise CourseError(f"读不了 {folder} 里的权重，文件可能不完整：{error}", again) from error
    missing = sorted(key for key in info["missing_keys"] if not key.startswith("pooler."))
    if missing:
        raise CourseError(f"{folder} 缺少 {len(missing)} 个权重，如 {missing[0]}", again)
    return encoder


def layers_to_learn(text: str) -> int | str:
    """--unfreeze 的写法：不小于 0 的整数，或 all"""
    return "all" if text == "all" else number(int, 0)(text)


class Model(nn.Module):
    """BERT + 分类头 `fc`，BERT 默认冻结

    encoder_dir：装着 config.json 和权重的 BERT 文件夹。num_labels：类别数，做十分类就写 10。
    unfreeze：0 全部冻结；N 放开最后 N 层；"all" 连词向量一起全部放开。N 超过层数时抛 CourseError。
    属性 encoder 是 BertModel；fc 是 Linear(hidden, num_labels)，bert-base-chinese 的
    hidden 是 768。
    """

    def __init__(self, encoder_dir: str | Path, num_labels: int = 2, unfreeze: int | str = 0):
        super().__init__()
        self.encoder = load_encoder(Path(encoder_dir))
        layers = list(self.encoder.encoder.layer)
        if unfreeze != "all" and unfreeze > len(layers):
            raise CourseError(f"这个 BERT 只有 {len(layers)} 层", "--unfreeze all 全部放开")
        self.encoder.requires_grad_(False)  # 冻结：不算梯度，优化器改不了它
        # 句子从下往上走，越往上越接近"这句话什么意思"，所以从最后一层开始放开
        self.learning = [self.encoder] if unfreeze == "all" else layers[len(layers) - unfreeze :]
        for part in self.learning:
            part.requires_grad_(True)
        self.encoder.pooler.requires_grad_(False)  # 我们不用 pooler 的输出，它没有梯度可学
        self.fc = nn.Linear(self.encoder.config.hidden_size, num_labels)
        self.train()

    def train(self, mode: bool = True) -> "Model":
        """和平常一样切换训练 / 评估，但冻结的那些层永远留在评估模式

        BERT 里有 dropout（bert-base-chinese 是 0.1，随仓库的小 BERT 是 0）：训练模式下同一句话
        每次算出来都不同，特征就不能只算一次了。
        """
        super().train(mode)
        self.encoder.eval()
        for part in self.learning:
            part.train(mode)
        return self

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        token_type_ids: torch.Tensor,
    ) -> torch.Tensor:
        """三个输入都是 (N, 句长) 的整数，返回 logits (N, num_labels)"""
        # 冻结的参数不要梯度，PyTorch 就不为它们记账，和课上写 with torch.no_grad() 一样省
        out = self.encoder(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        )
        # last_hidden_state 是 (N, 句长, hidden)；[:, 0] 取第一个位置，也就是 [CLS]
        # [CLS] 通过注意力看过整句话，BERT 就是用它代表一句话的
        return self.fc(out.last_hidden_state[:, 0])


def fingerprint(encoder: BertModel, tokenizer: BertTokenizer) -> str:
    """encoder 的权重、结构、精度（dtype）和分词器合起来的 SHA-256：哪个变了，特征就会变"""
    digest = hashlib.sha256()
    digest.update(encoder.config.to_json_string().encode("utf-8"))
    digest.update(str(encoder.dtype).encode("utf-8"))
    rules = json.loads(tokenizer.backend_tokenizer.to_str())
    # 这两项是上一次调用留下的状态，每次调用都会重设，不算分词器本身的规则
    rules["truncation"] = rules["padding"] = None
    digest.update(json.dumps(rules).encode("utf-8"))
    for name, tensor in encoder.state_dict().items():
        digest.update(name.encode("utf-8"))
        digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def save_weights(model: Model, path: Path) -> None:
    """把训练过的那部分参数存成 .pth：冻结时只有 fc，几 KB；放开了哪些层，就连它们一起存"""
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    state = {name: t.cpu() for name, t in model.state_dict().items() if name in trained}
    buffer = io.BytesIO()
    torch.save(state, buffer)
    with atomic_write(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def load_weights(model: Model, path: Path) -> None:
    """把 .pth 读进 model；文件没有、坏了、和模型对不上时抛 CourseError"""
    retrain = f"{TRAIN} 重新训练，或用 --weights 换一个 .pth"
    if not path.is_file():
        raise CourseError(f"找不到权重 {path}", f"先训练：{TRAIN}")
    try:
        # weights_only=True：只读张量，不执行文件里夹带的代码
        state = torch.load(path, map_location="cpu", weights_only=True)
        wanted = model.state_dict()
        fits = {"fc.weight", "fc.bias"} <= set(state) <= set(wanted) and all(
            state[name].shape == wanted[name].shape for name in state
        )
    except Exception as error:  # 不是 .pth、不完整、夹带代码：各有各的异常
        raise CourseError(f"{path} 不是能用的权重文件", retrain) from error
    if not fits:
        shapes = "，".join(f"{name} {tuple(t.shape)}" for name, t in state.items())
        raise CourseError(
            f"{path} 和模型对不上：文件里是 {shapes}，模型的 fc.weight 是"
            f" {tuple(model.fc.weight.shape)}",
            retrain,
        )
    model.load_state_dict(state, strict=False)  # 文件里没有的（冻结的层）保持原样


def load_trained(weights: Path) -> tuple[Model, BertTokenizer, dict]:
    """读回训练好的分类器：(model, 分词器, 训练时的设置 run)，model 已在 DEVICE 上、评估模式

    设置来自权重旁边的 run.json（train.py 写的）：用的哪个 BERT、max_length、标签名字、验证精度。
    冻结的、微调过的都一样读：.pth 里有哪些层，就换上哪些层。
    BERT 和训练时不是同一个时抛 CourseError，因为 .pth 只认得它训练时接着的那个。
    """
    record = weights.parent / "run.json"
    retrain = f"{TRAIN} 重新训练"
    try:
        run_info = json.loads(record.read_text(encoding="utf-8"))
        folder = find_model(run_info["model"])
        num_labels = len(run_info["label_names"])
    except FileNotFoundError as error:
        raise CourseError(f"找不到 {record}，不知道权重是怎么训练的", retrain) from error
    except (ValueError, KeyError, TypeError) as error:
        raise CourseError(f"{record} 已损坏", retrain) from error
    model = Model(folder, num_labels)
    tokenizer = load_tokenizer(folder)
    if fingerprint(model.encoder, tokenizer) != run_info["encoder_sha256"]:
        raise CourseError(f"{folder} 和训练 {weights} 时用的 BERT 不是同一个", retrain)
    load_weights(model, weights)
    return model.to(DEVICE).eval(), tokenizer, run_info


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--model", default=MODEL, help=f"模型名或文件夹，默认 {MODEL}")
    parser.add_argument("--unfreeze", type=layers_to_learn, default=0, help="层数或 all，默认 0")
    args = parser.parse_args()

    # 1. 搭模型：print 出来从上往下读，embeddings（字变向量）→ encoder（提特征）→ fc（分类）
    folder = find_model(args.model)
    model = Model(folder, unfreeze=args.unfreeze).to(DEVICE)
    print(f"设备 {DEVICE}\n{model}\n")

    # 2. 数参数：冻结的部分再大也不用学
    frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    learned = sum(p.numel() for p in model.encoder.parameters() if p.requires_grad)
    hidden = model.encoder.config.hidden_size
    print(f"BERT（冻结）   {frozen:>12,} 个参数")
    print(f"BERT（要训练） {learned:>12,} 个参数")
    head = sum(p.numel() for p in model.fc.parameters())
    print(f"fc（要训练）   {head:>12,} 个参数 = {hidden} × 2 + 2\n")

    # 3. 两句话走一遍，看每一站的形状
    tokenizer = load_tokenizer(folder)
    batch = tokenizer(["房间很干净", "服务太差了，失望"], padding=True, return_tensors="pt")
    batch = batch.to(DEVICE)
    hidden_state = model.encoder(**batch).last_hidden_state
    logits = model(**batch)
    print(f"input_ids          {tuple(batch['input_ids'].shape)}")
    print(f"last_hidden_state  {tuple(hidden_state.shape)}")
    print(f"[CLS] 特征         {tuple(hidden_state[:, 0].shape)}")
    print(f"logits             {tuple(logits.shape)}")
    print(f"概率               {logits.softmax(dim=1)}")
    print("fc 还没训练，初值是随机的，所以概率没有意义，再运行一次就变了")

    # 小结：BERT 负责看懂，fc 负责下结论；训练只改 fc
    # 练习：把 Model 的 num_labels 改成 10，看看 fc 的参数变成多少


if __name__ == "__main__":
    run(main)
