"""动手  第二个 demo 的第 12 课  标签曲线：公平地抽几条，读出要标多少条

练什么：比较标 20 条和标 200 条，抽法要公平：各类一样多，小的包含在大的里；曲线画出来是为了横着读。

怎么做：把 raise NotImplementedError（或者 ...）换成你的代码，名字不要改，要用的库自己 import，然后
    python exercises/check.py demo02/12          对不对，为什么
    python exercises/check.py demo02/12 --hint   提示
    python exercises/check.py demo02/12 --answer 答案
"""


def take_balanced(labels: list[int], order: list[int], size: int) -> list[int]:
    """抽 size 条评论的编号，各类轮流拿

    labels 是每条评论的标签，order 是打乱了的全部编号。标签从小到大轮流，每次拿这一类在 order 里
    最靠前、还没有拿过的一条；一类拿完了就跳过它，接着轮别的类。所以各类一样多，而且抽 10 条的
    结果就是抽 20 条的前 10 个。size 不超过评论的条数。
    """
    raise NotImplementedError


def labels_needed(curve: dict[int, float], target: float) -> float | None:
    """曲线上，精度第一次达到 target 要多少条标签

    curve 是 {标签的条数: 平均精度}，条数从小到大。达到的那一点和它左边的一点之间连直线，横轴是
    条数的对数（和第 12 课的图一样），读出直线上精度正好是 target 的条数。
    最左边的一点就达到了，就是它的条数；到最右边也没有达到，是 None。
    """
    raise NotImplementedError
