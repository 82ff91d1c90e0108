"""选学  Trainer：同一次微调，循环交给 transformers

教什么：extra_finetune.py 的循环，transformers 里有一个现成的，叫 Trainer。同样的模型、数据、种子、
批次的先后，每一步的 loss 和它一样（fp32、没有 dropout 时差不到 1e-5）：里面就是那个循环。
我们的哪一行变成了它的哪个参数：
    extra_finetune.py                         Trainer
    BATCH_SIZE、EPOCH、args.seed              per_device_train_batch_size、num_train_epochs、seed
    AdamW(两组参数，两个学习率)               optimizers=(optimizer, …)，不给就是全部参数一个学习率
    get_linear_schedule_with_warmup           lr_scheduler_type="linear"、warmup_steps
    torch.autocast(bf16)                      bf16=True
    --accumulate 4，一批 32 条分 4 份         per_device_train_batch_size=8、
                                              gradient_accumulation_steps=4，它是把 4 批攒成一批
    clip_grad_norm_(body, 1.0)                max_grad_norm=1.0，但它连 fc 一起裁，所以下面用回调
    每轮之后考一次                            eval_strategy="epoch"、compute_metrics
    每轮存、留最好的、--resume                save_strategy、load_best_model_at_end、
                                              train(resume_from_checkpoint=True)
    LengthBatches                             自己写 get_train_dataloader，默认是 RandomSampler
    zero_grad、backward、step、.to(DEVICE)    看不见了

怎么运行（要多装一个包；有显卡才快，CPU 上一刻钟上下）：
    python -m pip install accelerate
    python demo02_sentiment/extra_trainer.py
    python demo02_sentiment/07_evaluate.py --weights params/trainer/best.pth

会看到：
    训练 9600 条，验证 1200 条，每轮 300 批
    …'loss': …'learning_rate': …
    …'eval_accuracy': …
    最好的一轮是 1，验证精度 0.8…

看什么：Trainer 打印的 loss 是最近 20 批的平均，extra_finetune.py 打印的是那一批的，所以两边的数不同
"""

from functools import partial

import torch
from torch import nn
from torch.optim import AdamW
from torch.utils.data import DataLoader
from transformers import EvalPrediction, Trainer, TrainerCallback, TrainingArguments

from backstage.checkpoint import describe
from backstage.extras import save_best
from backstage.training import check_params, fit_batch
from backstage.tuning import (
    BATCH_SIZE,
    EPOCH,
    LEARNING_RATE,
    MAX_NORM,
    SEED,
    WARMUP,
    LengthBatches,
    TunableModel,
    encoder_lr,
)
from course.cli import require, run
from course.encoder import has_bf16
from course.models import find_model, load_tokenizer
from course.paths import PARAMS
from my_dataset import MAX_LENGTH, MyDataset
from net import DEVICE, MODEL


class LossModel(TunableModel):
    """Trainer 只要求模型一件事：model(**一批) 给出的字典里有 loss；损失搬进了 forward"""

    # Trainer 自己存的是 safetensors，里面只能有张量，装不下训练记录
    get_extra_state, set_extra_state = nn.Module.get_extra_state, nn.Module.set_extra_state

    def forward(self, input_ids, attention_mask, token_type_ids=None, labels=None) -> dict:
        logits = super().forward(input_ids, attention_mask, token_type_ids).float()
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


class SortedTrainer(Trainer):
    """换掉一批怎么凑：它的每一步都是一个方法，要改哪一步，就在子类里重写哪一个"""

    def get_train_dataloader(self) -> DataLoader:
        order = torch.Generator().manual_seed(self.args.seed)
        lengths = [len(text) for text in self.train_dataset.texts]
        batches = LengthBatches(lengths, self.args.train_batch_size, order)
        loader = DataLoader(
            self.train_dataset, batch_sampler=batches, collate_fn=self.data_collator
        )
        return self.accelerator.prepare(loader)  # 有几个进程时，各拿各的


class ClipEncoder(TrainerCallback):
    """回调：循环走到某一处就来叫一声；这里是算完梯度、更新之前"""

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs) -> None:
        nn.utils.clip_grad_norm_(model.encoder.parameters(), MAX_NORM)


def collate(batch: list[tuple[str, int]], tokenizer) -> dict[str, torch.Tensor]:
    """一批 (评论, 标签) → {input_ids、…、labels}：Trainer 认的是名字，不是先后"""
    data = tokenizer([text for text, _ in batch], truncation=True, padding=True)
    data["labels"] = [label for _, label in batch]
    return data.convert_to_tensors("pt")


def accuracy(answers: EvalPrediction) -> dict[str, float]:
    """整个验证集的 logits (N, 类别数) 和标签 (N,) → 要打印的成绩"""
    return {"accuracy": float((answers.predictions.argmax(1) == answers.label_ids).mean())}


def main(args) -> None:
    require("accelerate")  # Trainer 的底下是它，见 extra_accelerate.py
    check_params(args.params)

    # 数据和模型：和 extra_finetune.py 一样；搬到显卡上，Trainer 会做
    train_set, validation_set = MyDataset("train", args.data), MyDataset("validation", args.data)
    args.batch_size = fit_batch(train_set, args.batch_size)
    batches = len(train_set) // args.batch_size
    print(f"训练 {len(train_set)} 条，验证 {len(validation_set)} 条，每轮 {batches} 批")
    folder = find_model(args.model)
    tokenizer = load_tokenizer(folder, args.max_length)
    torch.manual_seed(args.seed)
    model = LossModel(folder, len(train_set.label_names), "all")
    bf16 = has_bf16(DEVICE)
    model.record = describe(
        model, tokenizer, train_set, arithmetic=str(torch.bfloat16 if bf16 else torch.float32),
        seed=args.seed, unfreeze="all",
    )  # fmt: skip

    # 两组参数，两个学习率
    body = [p for p in model.encoder.parameters() if p.requires_grad]
    groups = [
        {"params": model.head.parameters(), "lr": LEARNING_RATE},
        {"params": body, "lr": encoder_lr(model.encoder.config.hidden_size)},
    ]

    # 循环里的每一个决定，都是一个参数；没有写的也都有默认值，它替你定了
    settings = TrainingArguments(
        output_dir=args.params / "checkpoints",
        num_train_epochs=args.epochs,
        per_device_train_batch_size=args.batch_size,
        seed=args.seed,
        lr_scheduler_type="linear",
        warmup_steps=round(WARMUP * args.epochs * batches),
        max_grad_norm=0,  # 它不裁，让 ClipEncoder 裁
        bf16=bf16,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=1,  # 一份带着优化器的，是权重的三倍大
        metric_for_best_model="accuracy",
        load_best_model_at_end=True,
        logging_steps=20,
        report_to="none",  # 不传给 wandb 之类的网站
        use_cpu=DEVICE.type == "cpu",
    )
    trainer = SortedTrainer(
        model,
        settings,
        train_dataset=train_set,
        eval_dataset=validation_set,
        data_collator=partial(collate, tokenizer=tokenizer),
        processing_class=tokenizer,  # 从前叫 tokenizer=；和权重存在一起
        compute_metrics=accuracy,
        optimizers=(AdamW(groups, fused=True), None),  # None：学习率怎么升降由 settings 定
        callbacks=[ClipEncoder()],
    )

    # 整个循环
    trainer.train()

    # 最好的一轮已经读回 model 里；另存成 extra_finetune.py 的样子，07、08 才认得
    scores = [row for row in trainer.state.log_history if "eval_accuracy" in row]
    best = max(scores, key=lambda row: row["eval_accuracy"])
    model.record |= {
        "epoch": round(best["epoch"]) - 1,
        "validation_accuracy": best["eval_accuracy"],
    }
    save_best(args.params, model)

    # 小结：Trainer 省下循环、存取、多显卡、混合数值类型；藏起来的是它替你定的几十个参数
    #       （print(settings) 看全部）。写过一遍循环的人，才知道该查哪一个
    # 练习：去掉 callbacks，max_grad_norm 改成 1.0；再去掉 optimizers，learning_rate 用 5e-5。哪一样
    #       让验证精度变得多？


if __name__ == "__main__":
    run(
        main, "data", params=PARAMS / "trainer", model=MODEL, epochs=EPOCH,
        batch_size=BATCH_SIZE, max_length=MAX_LENGTH, seed=SEED,
    )  # fmt: skip
