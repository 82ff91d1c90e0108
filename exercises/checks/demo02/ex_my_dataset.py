"""判题  第二个 demo 的第 3 课：交给真的 DataLoader 用"""

from judging import Wrong, ask, compare, exercise, require
from torch.utils.data import DataLoader, Dataset


@exercise(
    "ReviewDataset",
    "自己的 Dataset",
    "__init__ 里 self.rows = rows；另外两个方法各一两行，int(…) 把文字变成整数",
)
def check_review_dataset(dataset_class):
    require(
        isinstance(dataset_class, type) and issubclass(dataset_class, Dataset),
        "ReviewDataset 要继承 torch.utils.data.Dataset",
    )
    rows = [{"text": f"评论 {i}", "label": str(i % 3)} for i in range(7)]
    rows[3]["label"] = 0
    dataset = dataset_class(rows)
    ask(lambda: len(dataset), want=7, shown="len(dataset)", errors={TypeError: "没有写 __len__"})
    for i in (0, 3, 6):
        text, label = rows[i]["text"], int(rows[i]["label"])
        ask(
            lambda i=i: dataset[i],
            want=(text, label),
            usual=[
                ((text, rows[i]["label"]), "标签还是文字：CSV 读出来的都是文字，要 int(…)"),
                ((label, text), "顺序反了：先评论，后标签"),
                (rows[i], "要的是一对 (评论, 标签)，不是整行字典"),
                ((rows[0]["text"], int(rows[0]["label"])), "不管问第几条，给的都是第 0 条"),
            ],
            shown=f"dataset[{i}]",
        )
    try:
        taken = [item for item, _ in zip(dataset, range(20), strict=False)]
    except KeyError as error:
        raise Wrong("用 for 走到头时抛了 KeyError：越界要抛 IndexError，列表会替你抛") from error
    require(len(taken) == 7, "for 走不到头：第 7 条并不存在，要抛 IndexError（列表会替你抛）")
    texts, labels = next(iter(DataLoader(dataset, batch_size=7)))
    compare("DataLoader 取出的评论", list(texts), [row["text"] for row in rows])
    compare("DataLoader 取出的标签", labels.tolist(), [int(row["label"]) for row in rows])


@exercise("number_labels", "给类别编号", "sorted(set(names)) 就是排好序、不重复的名字")
def check_number_labels(number_labels):
    for names in (
        ["体育", "财经", "体育"],
        ["财经", "体育", "房产", "财经"],
        ["neg", "pos", "neutral", "pos"],
        ["c", "b", "a"],
        ["只有一类"],
    ):
        ordered, seen = sorted(set(names)), list(dict.fromkeys(names))
        backwards = ordered[::-1]
        ids = [ordered.index(name) for name in names]
        ask(
            number_labels,
            list(names),
            want=(ids, ordered),
            usual=[
                (
                    ([seen.index(name) for name in names], seen),
                    "按出现的先后编的号：换一个顺序的文件，编号就变了，要按名字排序",
                ),
                (([i + 1 for i in ids], ordered), "编号从 0 开始，不是 1"),
                (([backwards.index(name) for name in names], backwards), "排反了"),
                ((ordered, ids), "顺序反了：先编号，后名字"),
                ((ids, dict(enumerate(ordered))), "名字给列表就行：第 i 个就是编号 i"),
                (ids, "要返回两样：编号，和编号对应的名字"),
            ],
        )
