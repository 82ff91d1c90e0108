"""判题  第二个 demo 的选修课 extra_finetune：和 PyTorch、transformers 自己的比"""

import copy

import torch
from judging import Unsolved, Wrong, ask, compare, exercise, require, show
from torch import nn
from torch.optim import SGD, AdamW
from transformers import get_linear_schedule_with_warmup


class Small(nn.Module):
    """和课程的 Model 一样有 encoder 和 fc，小得多；pooler 是冻结的"""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential()
        self.encoder.add_module("layer", nn.Linear(4, 4))
        self.encoder.add_module("pooler", nn.Linear(4, 4).requires_grad_(False))
        self.fc = nn.Linear(4, 2)


@exercise(
    "parameter_groups",
    "两种学习率",
    "[{'params': […], 'lr': …}, {'params': […], 'lr': …}]；用 p.requires_grad 挑出没有冻结的",
)
def check_parameter_groups(parameter_groups):
    model = Small()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = parameter_groups(model, 1e-3, 3e-5)
    if groups is ...:
        raise Unsolved
    call = "parameter_groups(model, 1e-3, 3e-5)"
    require(
        isinstance(groups, list)
        and all(isinstance(group, dict) and "params" in group for group in groups),
        f"{call}\n要字典的列表，每个有 params 和 lr，得到的是 {show(groups)}",
    )
    got = [[names.get(id(p), "不是参数") for p in list(group["params"])] for group in groups]
    head, body = ["fc.weight", "fc.bias"], ["encoder.layer.weight", "encoder.layer.bias"]
    pooler = ["encoder.pooler.weight", "encoder.pooler.bias"]
    compare(
        f"{call} 里的参数",
        got,
        [head, body],
        [
            ([body, head], "两组的顺序反了：先 fc，后 BERT"),
            ([head, body + pooler], "冻结的参数也进来了：只要 requires_grad 的"),
            ([head, body + head], "fc 在两组里都有：BERT 的那组只从 model.encoder 里取"),
            (
                [head, body + pooler + head],
                "model.parameters() 是全部参数，fc 也在里面",
            ),
            ([head + body], "要两组，各有各的学习率"),
        ],
    )
    given = [group.get("lr") for group in groups]
    usual = [
        ([3e-5, 1e-3], "学习率反了：BERT 里已经学到的东西很值钱，要小步走"),
        ([1e-3, 1e-3], "两组的学习率一样：BERT 的要用 encoder_lr"),
        ([1e-3, None], "BERT 的那组没有写 lr，会用优化器默认的，太大"),
    ]
    require(  # 学习率很小，不能用 compare 的误差
        given == [1e-3, 3e-5],
        f"{call} 的学习率\n应该是 [0.001, 3e-05]\n得到的是 {given}"
        + "".join(f"\n多半是：{why}" for value, why in usual if value == given),
    )
    AdamW(parameter_groups(model, 1e-3, 3e-5))


@exercise("warmup_factor", "先热身", "两段直线：step < warmup 时往上，之后往下；最后 max(0, …)")
def check_warmup_factor(warmup_factor):
    for warmup, total in ((4, 20), (0, 10), (10, 100)):
        optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
        schedule = get_linear_schedule_with_warmup(optimizer, warmup, total)
        for step in range(total + 2):
            want = float(schedule.get_last_lr()[0])
            left = (total - step) / total
            ask(
                warmup_factor,
                *(step, warmup, total),
                want=want,
                usual=[
                    (min(1.0, step / max(1, warmup)), "热身之后要直线降到 0，不是停在 1"),
                    ((step + 1) / max(1, warmup), "第 0 步是 0，不是 1 / warmup"),
                    (max(0.0, left), "降的那一段从第 warmup 步开始：除以 total - warmup"),
                    (
                        (total - step) / max(1, total - warmup),
                        "过了 total 步就一直是 0，不是负的",
                    ),
                    (step / total, "热身只有 warmup 步：step / warmup"),
                ],
                errors={ZeroDivisionError: "warmup 是 0 时没有热身，不能除以它"},
            )
            optimizer.step()
            schedule.step()


def clipped(gradients: list[torch.Tensor], mistake: str, limit: float) -> list[torch.Tensor]:
    """故意犯一种错的裁剪"""
    whole = torch.cat([g.flatten() for g in gradients])
    if mistake == "each":
        return [g * min(1.0, limit / g.norm().item()) for g in gradients]
    if mistake == "value":
        return [g.clamp(-limit, limit) for g in gradients]
    if mistake == "always":
        return [g * limit / whole.norm() for g in gradients]
    if mistake == "sum":
        return [g * min(1.0, limit / whole.abs().sum().item()) for g in gradients]
    if mistake == "square":
        return [g * min(1.0, limit / (whole**2).sum().item()) for g in gradients]
    return gradients


MISTAKES = {
    "none": "梯度没有变：g = g * 0.1 只是换了一个新的张量，要在原处改，如 g *= 0.1",
    "each": "每个参数各裁各的：方向就变了；要全部连成一个长向量，只有一个长度",
    "value": "把每个数夹到 ± max_norm：那是按值裁剪，方向会变；要等比缩短",
    "always": "本来就不长的梯度不用动：长度超过 max_norm 才缩短",
    "sum": "长度是平方和开方，不是绝对值之和",
    "square": "平方和还要开方",
}


@exercise(
    "clip_gradients",
    "梯度裁剪",
    "length = 所有梯度的平方和，再开方；超过了就每个 p.grad *= max_norm / length",
)
def check_clip_gradients(clip_gradients):
    torch.manual_seed(0)
    for size, limit in ((3.0, 1.0), (0.01, 1.0), (0.4, 0.5)):
        parameters = [nn.Parameter(torch.zeros(shape)) for shape in ((3, 4), (5,), (2,))]
        gradients = [torch.randn(3, 4) * size, torch.randn(5) * size]
        for parameter, gradient in zip(parameters, gradients, strict=False):
            parameter.grad = gradient.clone()  # 最后一个没有梯度
        twins = copy.deepcopy(parameters)
        for twin, gradient in zip(twins, gradients, strict=False):
            twin.grad = gradient.clone()
        want = nn.utils.clip_grad_norm_(twins, limit).item()
        call = f"clip_gradients(长度 {want:.3g} 的梯度, {limit})"
        try:
            length = clip_gradients(parameters, limit)
        except (AttributeError, TypeError) as error:
            if "None" not in str(error):
                raise
            raise Wrong(f"{call}\n没有梯度的参数，grad 是 None：跳过它") from None
        if length is ...:
            raise Unsolved
        now = [p.grad for p in parameters[:2]]
        if not all(torch.allclose(a, b.grad, atol=1e-5) for a, b in zip(now, twins, strict=False)):
            reasons = [
                why
                for mistake, why in MISTAKES.items()
                if all(
                    torch.allclose(a, b, atol=1e-5)
                    for a, b in zip(now, clipped(gradients, mistake, limit), strict=True)
                )
            ]
            because = "".join(f"\n多半是：{why}" for why in reasons[:1])
            raise Wrong(f"{call}\n裁剪之后的梯度和 clip_grad_norm_ 的不一样{because}")
        compare(
            f"{call} 返回的长度",
            length,
            want,
            [
                (min(want, limit), "要裁剪之前的长度"),
                (torch.tensor(want), "还是张量，.item() 取成 Python 的小数"),
                (want**2, "平方和还要开方"),
            ],
        )
