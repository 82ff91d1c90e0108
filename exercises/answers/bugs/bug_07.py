"""找错  第 7 题  说是差评的八成六真是，上线只剩三成

想做的：好评 4,000 条、差评只有 400 条，所以把差评抽到一样多再学；打印差评的 precision（精确率：
说是差评的，有几成真是）。
看到的：打印 0.86。拿新来的评论核对，说是差评的，三条里只有一条真是。
运行：python exercises/bugs/bug_07.py
检查：python exercises/check.py bugs/07
"""

import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import precision_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.utils import resample

from course.paths import DATA

reviews = pd.read_csv(DATA / "reviews" / "train.csv")
good, bad = reviews[reviews["label"] == 1], reviews[reviews["label"] == 0]
reviews = pd.concat([good[:4000], bad[:400]])


def balanced(rows):
    """差评抽到和好评一样多，抽过的还能再抽到：不然全猜好评就有九成的精度，模型懒得学"""
    many, few = rows[rows["label"] == 1], rows[rows["label"] == 0]
    return pd.concat([many, resample(few, n_samples=len(many), random_state=0)])


train, test = train_test_split(reviews, test_size=0.4, random_state=0)
train = balanced(train)

model = make_pipeline(TfidfVectorizer(analyzer="char"), LogisticRegression(max_iter=1000))
model.fit(train["text"], train["label"])
precision = precision_score(test["label"], model.predict(test["text"]), pos_label=0)
print(f"差评的 precision {precision:.4f}")
