"""工具  判题：题目怎么登记，答案怎么比，不对时怎么说

checks/ 里的每个文件都用它。一道题是一个 `Exercise`，它的 check 收到学员写的东西：对就平安返回，
不对抛 `Wrong`，还没做抛 `Unsolved`。
"""

import math
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

CLOSE = 1e-4  # 两个小数差不到它就算一样：写法不同，舍入就不同
LONGEST = 160  # 一个值最多打印多少个字符


class Wrong(Exception):
    """答案不对；内容是给学员看的几行中文：怎么问的，应该是什么，得到的是什么，多半为什么"""


class Unsolved(Exception):
    """还没有做"""


@dataclass(frozen=True)
class Exercise:
    """一道题：name 是学员文件里的函数、类或设置，check 收到它；返回的话，做对了给学员看"""

    name: str
    title: str
    hint: str
    check: Callable[[Any], str | None]


@dataclass(frozen=True)
class Failure:
    """问错的一次：told 是给学员看的，reasons 是这一次说得通的原因"""

    told: str
    reasons: list[str]


failures: list[Failure] = []  # 正在判的这道题，`ask` 问错了的


def exercise(name: str, title: str, hint: str) -> Callable[[Callable], Exercise]:
    """写在 check 函数上面，把它登记成一道题"""

    def register(check: Callable[[Any], None]) -> Exercise:
        def judge(thing: Any) -> None:
            failures.clear()
            try:
                check(thing)
            except Unsolved:
                raise
            except Exception:
                if not failures:
                    raise
            if failures:
                raise diagnosis(failures) from None

        return Exercise(name, title, hint, judge)

    return register


def diagnosis(wrongs: list[Failure]) -> Wrong:
    """几次问错合成一句：挑最多次都说得通的原因，给出有它的第一次

    同一个错的答案，可能碰巧和好几种错想法都对得上；多问几次，碰巧的就对不上了。
    """
    counts = Counter(reason for failure in wrongs for reason in failure.reasons)
    if not counts:
        return Wrong(wrongs[0].told)
    reason = counts.most_common(1)[0][0]
    failure = next(failure for failure in wrongs if reason in failure.reasons)
    return Wrong(f"{failure.told}\n多半是：{reason}")


def ask(
    function: Callable,
    *arguments: Any,
    want: Any,
    usual: list[tuple[Any, str]] | None = None,
    errors: dict[type[Exception], str] | None = None,
    shown: str | None = None,
) -> None:
    """用 arguments 调用学员的函数，和 want 比；不一样先记下，判完这道题再说

    usual 是 [(某个常见的错想法会得到的值, 这说明什么), …]，errors 是 {会抛出的异常: 这说明什么}。
    参数太长、不好打印时，用 shown 给出这次调用的写法。
    """
    name = getattr(function, "__name__", "你的函数")
    call = shown or f"{name}({', '.join(map(show, arguments))})"
    errors = errors or {}
    try:
        got = function(*arguments)
    except NotImplementedError:  # 还没做；它是 RuntimeError 的一种，别让下面接走
        raise
    except tuple(errors) as error:
        frames = traceback.extract_tb(error.__traceback__)[1:]
        if not frames:  # 还没有进到函数里，是参数个数之类的错
            raise
        told = (
            f"{call}\n运行到第 {frames[0].lineno} 行抛出了 {type(error).__name__}：{error}"
            f"\n    {frames[0].line}"
        )
        reasons = [why for kind, why in errors.items() if isinstance(error, kind)]
        failures.append(Failure(told, reasons[:1]))
        return
    if failure := difference(call, got, want, usual):
        failures.append(failure)


def compare(call: str, got: Any, want: Any, usual: list[tuple[Any, str]] | None = None) -> None:
    """got 和 want 一样就返回，不一样马上抛 Wrong；usual 见 `ask`"""
    if failure := difference(call, got, want, usual):
        raise diagnosis([failure])


def difference(
    call: str, got: Any, want: Any, usual: list[tuple[Any, str]] | None
) -> Failure | None:
    """got 和 want 差在哪里；一样就是 None"""
    if got is ...:
        raise Unsolved
    if equal(got, want):
        return None
    reasons = [why for value, why in usual or [] if equal(got, value)]
    if not reasons and (kind_problem := different_kind(got, want)):
        reasons = [kind_problem]
    return Failure(f"{call}\n应该是 {show(want)}\n得到的是 {show(got)}", reasons)


@contextmanager
def silent() -> Iterator[None]:
    """里面打印的不给人看：只要里面算出来的那个数"""
    from course.models import quiet  # 要装载 transformers，不用它的课不必等

    with quiet(), redirect_stdout(StringIO()):
        yield


def require(condition: bool, problem: str) -> None:
    """condition 不成立就抛 Wrong(problem)"""
    if not condition:
        raise Wrong(problem)


def is_tensor(value: Any) -> bool:
    """是不是 torch.Tensor；这里不 import torch，不用它的课就不必等它装载"""
    return type(value).__module__.split(".")[0] == "torch" and hasattr(value, "detach")


def to_array(value: Any) -> np.ndarray:
    return value.detach().cpu().numpy() if is_tensor(value) else value


def equal(got: Any, want: Any) -> bool:
    """一样吗：小数差一点算一样，列表和元组算一样；张量还要形状相同，同是整数或同是小数"""
    if is_tensor(want) or isinstance(want, np.ndarray):
        if is_tensor(got) != is_tensor(want) or not hasattr(got, "shape"):
            return False
        left, right = to_array(got), to_array(want)
        if left.shape != right.shape or left.dtype.kind != right.dtype.kind:
            return False
        return np.allclose(left, right, rtol=CLOSE, atol=CLOSE, equal_nan=True)
    if isinstance(want, dict):
        same_keys = isinstance(got, dict) and got.keys() == want.keys()
        return same_keys and all(equal(got[key], want[key]) for key in want)
    if isinstance(want, (list, tuple)):
        same_size = isinstance(got, (list, tuple)) and len(got) == len(want)
        return same_size and all(map(equal, got, want))
    if isinstance(want, (bool, np.bool_)) or isinstance(got, (bool, np.bool_)):
        return isinstance(got, (bool, np.bool_)) and got == want
    if isinstance(want, Integral):
        return isinstance(got, Integral) and got == want
    if isinstance(want, Real):
        return isinstance(got, Real) and math.isclose(got, want, rel_tol=CLOSE, abs_tol=CLOSE)
    return type(got) is type(want) and got == want


def kind_of(value: Any) -> str:
    """一个值的类型，张量连形状一起说"""
    if is_tensor(value):
        numbers = "小数" if value.is_floating_point() else "整数"
        return f"张量，形状 {tuple(value.shape)}，{numbers}"
    return "Path" if isinstance(value, Path) else type(value).__name__


def different_kind(got: Any, want: Any) -> str:
    """类型、形状、长度上的不同，一句话；都相同时是空的"""
    if got is None:
        return "函数没有 return，得到的就是 None"
    if is_tensor(got) and isinstance(want, Real):
        return "张量里只有一个数时，用 .item() 把它取成 Python 的数"
    pairs = {"list", "tuple"}, {"float", "int"}
    kinds = {kind_of(got), kind_of(want)}
    if len(kinds) == 2 and not any(kinds <= pair for pair in pairs):
        return f"要的是 {kind_of(want)}，给的是 {kind_of(got)}"
    if isinstance(want, dict) and got.keys() != want.keys():
        return f"要的键是 {'、'.join(map(str, want))}，给的是 {'、'.join(map(str, got))}"
    if isinstance(want, (list, tuple)) and len(got) != len(want):
        return f"要 {len(want)} 个，给了 {len(got)} 个"
    return ""


def show(value: Any) -> str:
    """一个值，打印出来的样子：小数四位，张量带形状，太长就截断"""

    def rounded(part: Any) -> Any:
        if isinstance(part, (bool, np.bool_, Integral)):
            return part
        if isinstance(part, Real):
            return float(f"{float(part):.4g}")
        if isinstance(part, (list, tuple)):
            return type(part)(map(rounded, part)) if type(part) in (list, tuple) else part
        return part

    if is_tensor(value):
        text = f"{rounded(to_array(value).tolist())}（形状 {tuple(value.shape)}）"
    elif isinstance(value, Path):
        text = str(value)
    else:
        text = repr(rounded(value))
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
