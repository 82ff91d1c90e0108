"""动手  第二个 demo 的第 3 课  自己的 Dataset，自己的类别

练什么：Dataset 只回答两个问题，有几条、第 i 条是什么；模型只认 0、1、2…，名字要先编号。

怎么做：把 raise NotImplementedError（或者 ...）换成你的代码，名字不要改，要用的库自己 import，然后
    python exercises/check.py demo02/my_dataset          对不对，为什么
    python exercises/check.py demo02/my_dataset --hint   提示
    python exercises/check.py demo02/my_dataset --answer 答案
"""

from torch.utils.data import Dataset


class ReviewDataset(Dataset):
    """一份评论，rows 是 [{"text": 评论, "label": 整数或者写成文字的整数}, …]，像 CSV 读出来的"""

    def __init__(self, rows: list[dict]):
        """把 rows 存下来，等着取"""
        raise NotImplementedError

    def __len__(self) -> int:
        """有几条"""
        raise NotImplementedError

    def __getitem__(self, index: int) -> tuple[str, int]:
        """第 index 条：(评论, 标签)，标签一定是整数"""
        raise NotImplementedError


def number_labels(names: list[str]) -> tuple[list[int], list[str]]:
    """每条数据的类别名 → (每条的编号, 编号对应的名字)

    编号从 0 开始；哪个名字是几号，按名字排序定，这样训练和预测各跑一次，编号都一样。
    例：number_labels(["体育", "财经", "体育"]) → ([0, 1, 0], ["体育", "财经"])
    """
    raise NotImplementedError
