"""Files as other people and other programs write them: read exactly, or refused in a true sentence

Each is small and in the shape of a public report or data set; all sentences are invented. What is
read must give every review its own label, under the name that the file itself gives it.
"""

import json
from pathlib import Path

import openpyxl
import pandas as pd
import pytest
from conftest import run_script
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from course.columns import DataSource
from course.errors import CourseError
from course.own_data import load_exam, load_own

TEXTS = [f"第{i}家店的服务{('很差', '很好')[i % 2]}，说说原因" for i in range(60)]
WORDS = {text: ("差评", "好评")[i % 2] for i, text in enumerate(TEXTS)}
NUMBERS = {text: str(i % 2) for i, text in enumerate(TEXTS)}
THREE = {text: ("体育", "财经", "天气")[i % 3] for i, text in enumerate(TEXTS)}
STARS = {text: f"{i % 5 + 1}星" for i, text in enumerate(TEXTS)}


def write(path: Path, lines: list[str], encoding: str = "utf-8", newline: str = "\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((newline.join(lines) + newline).encode(encoding))
    return path


def lines_of(labels: dict, form: str, header: str = "") -> list[str]:
    rows = [form.format(t=t, y=y, i=i) for i, (t, y) in enumerate(labels.items(), 1)]
    return [header, *rows] if header else rows


def read(source: DataSource) -> dict[str, str]:
    """Every review that was kept, and the name of its class"""
    out = {}
    for split in load_own(source).values():
        names = split.features["label"].names
        out |= {text: names[y] for text, y in zip(split["text"][:], split["label"][:], strict=True)}
    return out


# 1. What is read: (how it is written, the labels it must give, words of the report)


def mysql_batch(f):  # mysql -B: no quoting; a review may begin with a quote
    odd = {f'"{t}' if i == 10 else t: y for i, (t, y) in enumerate(NUMBERS.items())}
    return write(f / "a.tsv", lines_of(odd, "{y}\t{t}", "label\ttext")), odd, []


def mysql_outfile(f):  # INTO OUTFILE … ENCLOSED BY '"' ESCAPED BY '\\'
    odd = {f'说"好", {t}': y for t, y in WORDS.items()}
    rows = [r'"{}","{}"'.format(t.replace('"', r"\""), y) for t, y in odd.items()]
    return write(f / "a.csv", ["text,label", *rows]), odd, []


def spark(f):
    odd = {f'{t}"真的"': y for t, y in NUMBERS.items()}
    rows = [f'"{t}",{y}'.replace('"真的"', r"\"真的\"") for t, y in odd.items()]
    return write(f / "a.csv", ["text,label", *rows]), odd, []


def r_write_table(f):
    rows = lines_of(WORDS, '"{i}","{t}","{y}"', '"text","label"')
    return write(f / "a.csv", rows), WORDS, ["没有用 Unnamed: 0"]


def r_missing(f):
    rows = [*lines_of(WORDS, "{t},{y}", "text,label"), "没有标签,NA", "也没有,NA"]
    return (
        write(f / "a.csv", rows),
        WORDS,
        ["标签是空的（写着 NA 的算空的） 2 行：第 62 行、第 63 行"],
    )


def nothing(word):
    def build(f):
        rows = [*lines_of(WORDS, "{t},{y}", "text,label"), f"没有标签,{word}"]
        return write(f / "a.csv", rows), WORDS, [f"（写着 {word} 的算空的） 1 行：第 62 行"]

    return build


def codes(f):
    labels = {t: ("0111", "0112", "111")[i % 3] for i, t in enumerate(TEXTS)}
    return write(f / "a.csv", lines_of(labels, "{t},{y}", "text,label")), labels, ["0 0111  20 条"]


def parquet_names(f):
    features = Features(
        {"text": Value("string"), "label": ClassLabel(names=["positive", "negative"])}
    )
    table = {"text": TEXTS, "label": [i % 2 for i in range(60)]}
    Dataset.from_dict(table, features=features).to_parquet(f / "train-00000-of-00001.parquet")
    labels = {t: ("positive", "negative")[i % 2] for i, t in enumerate(TEXTS)}
    return f / "train-00000-of-00001.parquet", labels, ["标签的名字照", "0 positive，1 negative"]


def readme_names(f):
    card = "dataset_info:\n  features:\n  - name: label\n    dtype:\n      class_label:\n"
    card += "        names:\n"
    card = f"---\n{card}          '0': 不推荐\n          '1': 推荐\n---\n# 说明\n"
    (f / "README.md").write_text(card, encoding="utf-8")
    for split, part in (("train", slice(0, 40)), ("test", slice(40, 60))):
        rows = dict(list(NUMBERS.items())[part])
        write(f / "data" / f"{split}-00000-of-00001.csv", lines_of(rows, "{t},{y}", "text,label"))
    labels = {t: ("不推荐", "推荐")[int(y)] for t, y in NUMBERS.items()}
    return f, labels, ["标签的名字照", "0 不推荐，1 推荐"]


def label_text(f):  # SetFit, MTEB, CLUE
    rows = [f"{t},{y},{('bad', 'good')[int(y)]}" for t, y in NUMBERS.items()]
    labels = {t: ("bad", "good")[int(y)] for t, y in NUMBERS.items()}
    return write(f / "a.csv", ["text,label,label_desc", *rows]), labels, ["列 label_desc"]


def a_guess(f):  # only the column's own name says what 0 and 1 are
    path = write(f / "a.csv", lines_of(NUMBERS, "{t},{y}", "review,sentiment"))
    return path, {t: ("负向", "正向")[int(y)] for t, y in NUMBERS.items()}, ["猜是负向和正向"]


def no_guess(f):
    return write(f / "a.csv", lines_of(NUMBERS, "{y},{t}", "label,review")), NUMBERS, ["0 0  30 条"]


def doccano(f):
    rows = [json.dumps({"id": i, "text": t, "label": [y], "Comments": []}, ensure_ascii=False)
            for i, (t, y) in enumerate(WORDS.items())]  # fmt: skip
    return write(f / "all.jsonl", rows), WORDS, ["没有用 id、Comments"]


def doccano_csv(f):
    return write(f / "a.csv", lines_of(WORDS, "{i},{t},{y}", "id,data,label")), WORDS, []


def label_studio_min(f):
    rows = [{"id": i, "text": t, "sentiment": y, "annotator": 1} for i, (t, y) in
            enumerate(WORDS.items())]  # fmt: skip
    (f / "min.json").write_text(json.dumps(rows), encoding="utf-8")
    return f / "min.json", WORDS, ["没有用 id、annotator"]


def navicat(f):
    rows = [{"内容": t, "类别": y} for t, y in THREE.items()]
    (f / "a.json").write_text(json.dumps({"RECORDS": rows}, ensure_ascii=False), encoding="gbk")
    return f / "a.json", THREE, ["编码 GBK"]


def pandas_split(f):
    pd.Series(THREE).rename_axis("text").reset_index(name="label").to_json(
        f / "a.json", orient="split", force_ascii=False
    )
    return f / "a.json", THREE, []


def pandas_index(f):
    pd.Series(THREE).rename_axis("text").reset_index(name="label").to_csv(f / "a.csv")
    return f / "a.csv", THREE, ["没有用 Unnamed: 0"]


def excel_unicode_text(f):  # Excel: save as "Unicode 文本"
    rows = lines_of(STARS, "{t}\t{y}", "评论\t星级")
    return write(f / "a.txt.tsv", rows, "utf-16", "\r\n"), STARS, ["编码 UTF-16", "4 5星  12 条"]


def excel_gbk(f):
    rows = lines_of(STARS, "{i},{t},{y},,", "序号,评价内容,星级,,")
    return write(f / "a.csv", rows, "gb18030", "\r\n"), STARS, ["编码 GBK"]


def excel_semicolons(f):
    return write(f / "a.csv", ["sep=;", *lines_of(WORDS, "{t};{y}", "text;label")]), WORDS, []


def workbook(f, merged=False):
    book = openpyxl.Workbook()
    book.active.title = "2023年"
    for row in [("用户评论", "标签"), *WORDS.items()]:
        book.active.append(row)
    other = book.create_sheet("2024年")
    for row in [("用户评论", "标签"), ("别的", "好评")]:
        other.append(row)
    book.save(f / "a.xlsx")
    return DataSource(f / "a.xlsx", "用户评论"), WORDS, ["没有读 「2024年」2 行"]


def crawled(f):  # line breaks, commas, emoji, a formula, full-width letters inside the reviews
    odd = {f'{t}，"ＯＫ"😊\n第二行, 1.5 分': y for t, y in STARS.items()}
    frame = pd.DataFrame({"time": "2024-01-01 10:00", "content": odd.keys(), "star": odd.values()})
    frame.to_csv(f / "a.csv", index=False, encoding="utf-8-sig")
    return f / "a.csv", odd, ["没有用 time"]


def pipes(f):
    return write(f / "a.csv", lines_of(NUMBERS, "{y}|{t}", "label|text")), NUMBERS, []


def toutiao(suffix):
    def build(f):
        form = "65514326_!_102_!_{y}_!_{t}_!_关键词一,关键词二"
        path = write(f / f"a.{suffix}", lines_of(THREE, form))
        return DataSource(path, "第4列", "第3列"), THREE, ["没有用 第1列、第2列、第5列"]

    return build


def thucnews(f):
    for split, part in (("train", slice(0, 40)), ("dev", slice(40, 50)), ("test", slice(50, 60))):
        write(f / "data" / f"{split}.txt", lines_of(dict(list(THREE.items())[part]), "{t}\t{y}"))
    write(f / "data" / "class.txt", ["体育", "财经", "天气"])
    return (
        DataSource(f, "第1列", "第2列"),
        THREE,
        ["没有用的文件 1 个：data/class.txt", "train 40 条"],
    )


def invisible(mark):
    def build(f):
        odd = {t: y + mark * (i % 2) for i, (t, y) in enumerate(THREE.items())}
        return write(f / "a.csv", lines_of(odd, "{t},{y}", "text,label")), THREE, ["3 类"]

    return build


def only_the_emoji(f):
    odd = {f"第{i}次来这家店{'😡😊'[y]}": str(y) for i in range(30) for y in (0, 1)}
    return write(f / "a.csv", lines_of(odd, "{t},{y}", "text,label")), odd, ["丢掉 0 行"]


def only_emoji(f):
    odd = {
        "😡" * (i + 1) if y else "😀" * (i + 1): "怒喜"[1 - y] for i in range(30) for y in (0, 1)
    }
    return write(f / "a.csv", lines_of(odd, "{t},{y}", "text,label")), odd, ["丢掉 0 行"]


def split_column(f):
    parts = ["train"] * 40 + ["dev"] * 10 + ["test"] * 10
    rows = [
        f"{i},{p},{y},{t}" for i, (p, (t, y)) in enumerate(zip(parts, THREE.items(), strict=True))
    ]
    return (
        write(f / "a.csv", [",split,label,TEXT", *rows]),
        THREE,
        ["train 40 条，validation 10 条"],
    )


def aclimdb(f):
    labels = {}
    for i, t in enumerate(TEXTS):
        split, label = ("train", "test")[i >= 40], ("neg", "pos")[i % 2]
        write(f / split / label / f"{i}_1.txt", [t])
        labels[f"{t}\n"] = label
    write(f / "train" / "unsup" / "0_0.txt", ["没有标注的"])
    write(f / "train" / "urls_pos.txt", ["http://example.com"])
    said = [
        "写着 unsup 的算空的） 1 行：train/unsup/0_0.txt",
        "没有用的文件 1 个：train/urls_pos.txt",
    ]
    return f, {t.strip(): y for t, y in labels.items()}, said


def saved(f):  # glue/sst2 and imdb by save_to_disk: -1, None, an unnamed part
    features = Features({"text": Value("string"), "label": ClassLabel(names=["neg", "pos"])})

    def make(rows):
        columns = {"text": [t for t, _ in rows], "label": [y for _, y in rows]}
        return Dataset.from_dict(columns, features=features)

    rows = [(t, i % 2) for i, t in enumerate(TEXTS)]
    unlabelled = make([("没有标签", -1), (None, 1)])
    parts = {"train": make(rows), "test": unlabelled, "unsupervised": unlabelled}
    DatasetDict(parts).save_to_disk(str(f / "saved"))
    said = [
        "写着 -1 的算空的） 1 行：test 第 1 行",
        "评论是空的 1 行：test 第 2 行",
        "unsupervised 这一份没有用（2 行）",
    ]
    return f / "saved", {t: ("neg", "pos")[i % 2] for i, t in enumerate(TEXTS)}, said


def ten_classes(f):
    labels = {f"{i}-{j}的说明": f"类{j}" for i in range(12) for j in range(10)}
    return write(f / "a.tsv", lines_of(labels, "{t}\t{y}", "正文\t类目")), labels, ["10 类"]


def minus_one_has_a_name(f):  # -1 is a class where the file says what it is called
    words = {str(i - 1): w for i, w in enumerate(("负", "中", "正"))}
    rows = [f"{t},{i % 3 - 1},{words[str(i % 3 - 1)]}" for i, t in enumerate(TEXTS)]
    labels = {t: words[str(i % 3 - 1)] for i, t in enumerate(TEXTS)}
    return write(f / "a.csv", ["text,label,label_text", *rows]), labels, ["丢掉 0 行", "0 负"]


def minus_one_has_none(f):  # Hub: the test part is unlabelled
    for split, part in (("train", slice(0, 50)), ("test", slice(50, 60))):
        rows = [{"text": t, "label": i % 2, "label_text": ("bad", "good")[i % 2]}
                if split == "train" else {"text": t, "label": -1, "label_text": ""}
                for i, t in list(enumerate(TEXTS))[part]]  # fmt: skip
        write(f / f"{split}.jsonl", [json.dumps(row) for row in rows])
    labels = {t: ("bad", "good")[i % 2] for i, t in enumerate(TEXTS[:50])}
    return f, labels, ["写着 -1 的算空的） 10 行：test.jsonl 第 1 行"]


def a_column_that_only_begins_like_the_label(f):
    rows = [f"{t},{y},{int(y) + 1}" for t, y in NUMBERS.items()]
    return write(f / "a.csv", ["text,label,label_id", *rows]), NUMBERS, ["没有用 label_id"]


def two_columns_like_split(f):
    rows = [f"{t},{y},{'train' if i < 50 else 'test'},hotel" for i, (t, y) in
            enumerate(NUMBERS.items())]  # fmt: skip
    path = write(f / "a.csv", ["text,label,split,subset", *rows])
    return path, NUMBERS, ["没有用 subset", "test 10 条"]


def outfile_null(f):
    rows = [f'"说\\"好\\", {t}","{y}"' for t, y in WORDS.items()] + ['"没有标签",\\N']
    labels = {f'说"好", {t}': y for t, y in WORDS.items()}
    return write(f / "a.csv", ["text,label", *rows]), labels, ["写着 \\N 的算空的） 1 行"]


def a_space_after_the_comma(f):
    rows = [f'{y}, "{t}，好"' for t, y in WORDS.items()]
    return write(f / "a.csv", ["label, text", *rows]), {f"{t}，好": y for t, y in WORDS.items()}, []


def saved_twice_with_its_index(f):
    rows = [f"{i},{i},{t},{y}" for i, (t, y) in enumerate(WORDS.items())]
    return write(f / "a.csv", [",Unnamed: 0,text,label", *rows]), WORDS, []


def titles_that_begin_with_a_quote(f):
    odd = {f'"吃鸡"{t}': y for t, y in THREE.items()}
    return DataSource(write(f / "a.txt", lines_of(odd, "{y}_!_{t}")), "第2列", "第1列"), odd, []


def bare_workbook(f):
    book = openpyxl.Workbook()
    for row in WORDS.items():
        book.active.append(row)
    book.save(f / "a.xlsx")
    return DataSource(f / "a.xlsx", "第1列", "第2列"), WORDS, []


def names_that_differ_in_case(f):
    rows = [f"{i},{t},{y}" for i, (t, y) in enumerate(WORDS.items())]
    return DataSource(write(f / "a.csv", ["text,Text,label", *rows]), "Text"), WORDS, []


def a_folder_with_other_things(f):
    write(f / "train.csv", lines_of(WORDS, "{t},{y}", "text,label"))
    (f / "test.xls").write_bytes(b"\xd0\xcf\x11\xe0")
    return f, WORDS, ["没有用的文件 1 个：test.xls"]


def two_quotes_of_a_tsv(f):  # and one row with a Tab too many
    rows = [*lines_of(WORDS, "{y}\t{t}", "label\ttext"), "好评\t多一格\t"]
    odd = {'"质量不行': "差评", '他说"': "好评"}
    labels = WORDS | {"多一格": "好评"} | odd
    return write(f / "a.tsv", [*rows, *lines_of(odd, "{y}\t{t}")]), labels, ["丢掉 0 行"]


def mysql_batch_of_a_windows_page(f):  # MySQL writes \n as two letters, \r as it is
    odd = {f"{t}\r\\n第二行": y for t, y in WORDS.items()}
    return write(f / "a.tsv", lines_of(odd, "{t}\t{y}", "text\tlabel")), odd, ["丢掉 0 行"]


def r_by_default(f):  # write.table(frame, "a.csv"): blanks between the columns, row names
    rows = lines_of(WORDS, '"{i}" "{t}, 说" "{y}"', '"text" "label"')
    return write(f / "a.csv", rows), {f"{t}, 说": y for t, y in WORDS.items()}, []


def hive(f):
    odd = {f'"{t}" 说': y for t, y in WORDS.items()}
    path = write(f / "a.txt", lines_of(odd, "{y}\x01{t}"))
    return DataSource(path, "第2列", "第1列"), odd, []


def quoted_where_excel_has_to(f):  # "Unicode text": only a cell with an English comma
    ends = ("", ", 真的", ', 好\\"吃')
    odd = {f"{t}{ends[i % 3]}": y for i, (t, y) in enumerate(WORDS.items())}
    rows = [f"{y}\t" + ('"{}"'.format(t.replace('"', '""')) if "," in t else t)
            for t, y in odd.items()]  # fmt: skip
    return write(f / "a.tsv", ["label\ttext", *rows], "utf-16"), odd, []


def lines_in_a_review_and_a_row_without_label(f):
    odd = {f"{t},\n还行" if i % 3 else t: y for i, (t, y) in enumerate(WORDS.items())}
    frame = pd.DataFrame({"text": [*odd, "没有标签"], "label": [*odd.values(), None]})
    frame.to_csv(f / "a.csv", index=False)
    return f / "a.csv", odd, ["标签是空的 1 行：第 62 行"]


def list_of_one_class(f):  # go_emotions
    from datasets import List

    names = ClassLabel(names=["anger", "joy"])
    features = Features({"text": Value("string"), "labels": List(names)})
    table = {"text": TEXTS, "labels": [[i % 2] for i in range(60)]}
    Dataset.from_dict(table, features=features).to_parquet(f / "a.parquet")
    return f / "a.parquet", {t: ("anger", "joy")[i % 2] for i, t in enumerate(TEXTS)}, ["0 anger"]


def concatenated(f):  # the header again in the middle; one name was not written
    rows = [f"{t},{y},{('bad', 'good')[int(y)] if i else ''},北京" for i, (t, y) in
            enumerate(NUMBERS.items())]  # fmt: skip
    labels = {t: ("bad", "good")[int(y)] for t, y in NUMBERS.items()}
    header = "text,label,label_text,place"
    return write(f / "a.csv", [header, *rows, header]), labels, ["又是一行列名 1 行：第 62 行"]


def an_empty_first_sheet(f):
    book = openpyxl.Workbook()
    sheet = book.create_sheet("数据")
    for row in [("评论", "标签"), *WORDS.items()]:
        sheet.append(row)
    book.save(f / "a.xlsx")
    return f / "a.xlsx", WORDS, []


def ids_as_keys(f):
    rows = {f"k{i}": {"text": t, "label": y} for i, (t, y) in enumerate(WORDS.items())}
    (f / "a.json").write_text(json.dumps(rows), encoding="utf-8")
    return f / "a.json", WORDS, []


def files_of_one_part(f):  # one of them has no labels; one lies deeper
    some = list(WORDS.items())
    write(f / "train.csv", lines_of(dict(some[:40]), "{t},{y}", "text,label"))
    write(f / "test_a.csv", lines_of(dict(some[40:]), "{y},{t}", "标签,评论"))
    write(f / "test_b.csv", ["id,text", "1,不知道"])
    write(f / "a" / "b" / "c" / "notes.txt", ["?"])
    said = ["test_b.csv 没有用", "test_a.csv 里评论在「评论」", "没有用的文件 2 个"]
    return f, WORDS, said


def half_an_emoji(f):
    rows = [json.dumps({"text": t, "label": y}) for t, y in WORDS.items()]
    rows.append('{"text": "好\\ud83d", "label": "好评"}')
    return write(f / "a.jsonl", rows), WORDS | {"好\\ud83d": "好评"}, []


def floats(f):  # a pandas column that had a hole once
    labels = {t: str(i % 3) for i, t in enumerate(TEXTS)}
    return write(f / "a.csv", lines_of(labels, "{t},{y}.0", "text,label")), labels, ["0 0  20 条"]


READ = {
    **{b.__name__: b for b in (
        mysql_batch, mysql_outfile, spark, r_write_table, r_missing, codes, parquet_names,
        readme_names, label_text, a_guess, no_guess, doccano, doccano_csv, label_studio_min,
        navicat,
        pandas_split, pandas_index, excel_unicode_text, excel_gbk, excel_semicolons, workbook,
        crawled, pipes, thucnews, only_the_emoji, only_emoji, split_column, aclimdb, saved,
        ten_classes, floats, minus_one_has_a_name, minus_one_has_none,
        a_column_that_only_begins_like_the_label, two_columns_like_split, outfile_null,
        a_space_after_the_comma, saved_twice_with_its_index, titles_that_begin_with_a_quote,
        bare_workbook, names_that_differ_in_case, a_folder_with_other_things, half_an_emoji,
        mysql_batch_of_a_windows_page, r_by_default, hive, two_quotes_of_a_tsv,
        quoted_where_excel_has_to, lines_in_a_review_and_a_row_without_label,
        list_of_one_class, concatenated, an_empty_first_sheet, ids_as_keys, files_of_one_part,
    )},
    **{f"nothing {word}": nothing(word) for word in ("\\N", "#N/A", "nan", "NULL", "None")},
    **{f"toutiao {suffix}": toutiao(suffix) for suffix in ("txt", "csv")},
    **{f"invisible {ord(m):x}": invisible(m) for m in "\u200b\ufeff\u00a0"},
}  # fmt: skip


@pytest.mark.parametrize("case", READ)
def test_a_file_is_read_exactly(tmp_path, capsys, case):
    source, labels, said = READ[case](tmp_path)
    source = DataSource.of(source)
    if case == "doccano_csv":
        source = source._replace(text_column="data")
    got = read(source)
    out = capsys.readouterr().out
    assert got == labels
    for words in said:
        assert words in out, words


# 2. What is refused: one true sentence, and a way out that works

LFS = ["version https://git-lfs.github.com/spec/v1", "oid sha256:abab", "size 57013972"]
REFUSED = {
    "two labels, jsonl": (
        "a.jsonl", ['{"text": "好", "label": ["服务", "环境"]}'], "第 1 行有 2 个标签"
    ),
    "two labels, csv": (
        "a.csv",
        ["text,label", *(f'第{i}条,"{("服务", "环境", "服务,环境")[i % 3]}"' for i in range(30))],
        "第 4 行有 2 个标签",
    ),
    "two labels, label studio's csv": (
        "a.csv",
        lines_of(WORDS, '{t},"{{""choices"":[""服务"",""{y}""]}}"', "text,sentiment"),
        "第 2 行有 2 个标签",
    ),
    "objects": (
        "a.jsonl", ['{"review": {"title": "无", "body": "很好"}, "label": 1}'], "套着 title、body"
    ),
    "label studio": (
        "a.json",
        [json.dumps([{"id": 1, "data": {"text": "好"}, "annotations": [{"result": []}]}])],
        "套着 text",
    ),
    "fasttext": ("a.txt", lines_of(WORDS, "__label__{y} {t}"), "开头是标签，空一格"),
    "thucnews file": ("train.txt", lines_of(THREE, "{t}\t{y}"), "每行用 Tab 分成 2 段"),
    "toutiao": ("a.txt", lines_of(THREE, "655_!_{y}_!_{t}"), "每行用 _!_ 分成 3 段"),
    "no header": ("a.csv", lines_of(THREE, "{t},{y}"), "没有列名，第一行就是数据"),
    "commas in the reviews": ("a.csv", ["text,label", "好,吃,1"], "第 2 行有 3 格"),
    "lfs csv": ("a.csv", LFS, "Git LFS 的指针"),
    "lfs parquet": ("train-00000-of-00001.parquet", LFS, "Git LFS 的指针"),
    "two columns alike": (
        "a.csv", ["review,cat,sentiment", "好,书,1"], "2 列都像标签：cat、sentiment"
    ),
    "a quote that swallows two rows": (
        "a.csv",
        [*lines_of(NUMBERS, "{t},{y}", "text,label"), '"质量不行,0', "下一条也好,1", '再一条",1'],
        "引号不成对",
    ),
    "a quote that swallows rows, the label in the middle": (
        "a.csv",
        [*lines_of(NUMBERS, "{i},{y},{t}", "id,label,review"), '61,0,"质量', "62,1,好", '63,0,差"'],
        "引号不成对",
    ),
    "a comma too many, and no row numbers of R": (
        "a.csv",
        ['"id","text","label","likes"', *lines_of(NUMBERS, '{i},"{t}",{y},2'), '61,"好",吃,1,3'],
        "第 62 行有 5 格，列名只有 4 个",
    ),
    "columns of counts": (
        "a.csv", lines_of(WORDS, "{t},{i},{y}", "微博正文,评论,情感"), "认不出哪一列是评论"
    ),
    "pairs of sentences": (
        "a.tsv", lines_of(NUMBERS, "{t}\t和{t}\t{y}", "text_a\ttext_b\tlabel"), "哪一列是评论"
    ),
    "json in a txt": ("a.txt", [json.dumps([{"text": "好", "label": 1}])], "里面是 JSON"),
    "a csv in a txt": ("a.txt", lines_of(WORDS, "{t},{y}", "text,label"), "用 , 分列"),
    "an uneven row": (
        "a.txt", [*lines_of(THREE, "{i}\t{y}\t{t}"), "多\t一\t个\t格"], "每行用 Tab 分成 3 段"
    ),
    "half a json": ("a.json", ['[{"text": "好", "label": 1},', '{"text": "坏'], "不是完整的 JSON"),
    "commas in every review, and a number first": (
        "a.csv", ["label,text", *(f"{i},好,推荐{i}" for i in range(1, 30))], "第 2 行有 3 格"
    ),
    "excel's unicode text": ("a.txt", lines_of(WORDS, "{t}\t{y}", "text\tlabel"), "第一行是列名"),
    "chinese commas": ("a.csv", lines_of(WORDS, "{t}，{y}", "text,label"), "英文逗号"),
    "words for a text": ("a.jsonl", ['{"text": ["房", "间"], "label": "好评"}'], "一串词"),
    "spans": ("a.jsonl", ['{"text": "好", "label": [[0, 1, "好评"]]}'], "一段一段的标注"),
    "several labels, fasttext": ("a.txt", ["__label__a __label__b 好"] * 20, "几个 __label__"),
    "doccano's several": (
        "a.csv",
        ["text,label", *(f"第{i}条,{('好', '坏', '好#坏')[i % 3]}" for i in range(30))],
        "第 4 行有 2 个标签",
    ),
    "sentences": ("a.txt", ["The food was good", "The room was bad"] * 9, "认不出哪里是标签"),
    "a number each": ("a.csv", lines_of(WORDS, "{t},{i}", "text,label"), "不像标签"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_is_refused_in_one_true_sentence(tmp_path, case):
    name, lines, message = REFUSED[case]
    with pytest.raises(CourseError) as refusal:
        read(DataSource(write(tmp_path / name, lines)))
    assert message in refusal.value.problem and refusal.value.next_step


def test_merged_cells_are_named(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(("评论", "标签"))
    for i, text in enumerate(TEXTS):
        book.active.append((text, "好评" if i == 0 else "差评" if i == 30 else None))
    book.active.merge_cells("B2:B31")
    book.active.merge_cells("B32:B61")
    book.save(tmp_path / "a.xlsx")
    with pytest.raises(CourseError, match="有 2 处合并的单元格"):
        read(DataSource(tmp_path / "a.xlsx"))


def test_formulas_that_excel_has_not_computed_are_named(tmp_path):
    book = openpyxl.Workbook()
    for i, text in enumerate(["评论", *TEXTS], 1):
        book.active.append((text, "标签" if i == 1 else f'=IF(C{i}>3,"好评","差评")'))
    book.save(tmp_path / "a.xlsx")
    with pytest.raises(CourseError, match="有 60 格公式没有算好的结果"):
        read(DataSource(tmp_path / "a.xlsx"))


def test_damaged_utf8_and_other_encodings_are_not_taken_for_gbk(tmp_path):
    good = "\n".join(lines_of(WORDS, "{t},{y}", "text,label")).encode()
    path = tmp_path / "a.csv"
    path.write_bytes(good.replace("第30家".encode(), "第30家".encode()[:-1]))
    with pytest.raises(CourseError, match="是 UTF-8，可是有 1 处坏了的字，第一处在第 32 行"):
        read(DataSource(path))
    big5 = ["酒店的房間很髒，服務很差", "味道不錯，下次還會再來", "東西收到了，包裝完好"]
    path.write_bytes("\n".join(["text,label", *(f"{t},1" for t in big5)]).encode("big5"))
    with pytest.raises(CourseError, match="认不出编码"):
        read(DataSource(path))


@pytest.mark.parametrize("case", ["fasttext", "objects", "thucnews file", "toutiao", "no header"])
def test_the_way_out_works(repo, tmp_path, case):
    """The printed flags, the printed line of pandas: run as they stand, they lead to the data"""
    name, lines, _ = REFUSED[case]
    if case == "objects":
        form = '{{"review": {{"title": "无", "body": "{t}"}}, "label": "{y}"}}'
        lines = lines_of(WORDS, form)
    path = write(tmp_path / name, lines)
    with pytest.raises(CourseError) as refusal:
        read(DataSource(path))
    advice = refusal.value.next_step
    if 'python -c "' in advice:
        script = advice.split('python -c "')[1].split('"')[0]
        exec(script, {})  # what the learner pastes
        path = path.with_suffix(".csv")
    words = advice.replace("，", " ").replace("（", " ").split()
    flags = {
        k: words[words.index(k) + 1] for k in ("--text-column", "--label-column") if k in words
    }
    source = DataSource(path, flags.get("--text-column"), flags.get("--label-column"))
    got = {t.replace(" ", ""): y for t, y in read(source).items()}
    assert got == (THREE if case in ("thucnews file", "toutiao", "no header") else WORDS)


# 3. A file as an exam


def test_the_whole_file_is_the_exam_and_leaks_are_those_of_the_training_data(
    repo, mini_bert, tmp_path
):
    learned = {f"{t}，第一批": y for t, y in WORDS.items()}
    new = {f"{t}，第二批": y for t, y in WORDS.items()}
    train = write(tmp_path / "train.csv", lines_of(learned, "{t},{y}", "text,label"))
    some = dict(list(learned.items())[:30])
    exam = write(tmp_path / "new.csv", lines_of(some | new, "{t},{y}", "text,label"))
    params = tmp_path / "params"
    flags = ("--data", train, "--params", params, "--model", mini_bert, "--epochs", 2)
    assert run_script(repo, "demo02_sentiment/train.py", *flags).returncode == 0
    weights = ("--weights", params / "best.pth", "--data", exam)
    done = run_script(repo, "demo02_sentiment/07_evaluate.py", *weights)
    assert done.returncode == 0, done.stderr
    assert "测试集 90 条" in done.stdout
    with_train = load_own(DataSource(train))["train"]["text"][:]
    assert f"其中 {len(set(with_train) & some.keys())} 条" in done.stdout
    assert f"08_predict.py --weights {params / 'best.pth'}" in done.stdout.splitlines()[-1]
    # the training data is gone: said, and the score is still told
    train.unlink()
    done = run_script(repo, "demo02_sentiment/07_evaluate.py", *weights)
    assert done.returncode == 0 and "查不了漏题" in done.stdout and "/90" in done.stdout


def test_a_folder_with_a_test_part_alone_is_an_exam(tmp_path):
    write(tmp_path / "test.csv", lines_of(WORDS, "{t},{y}", "text,label"))
    texts, _ = load_exam(DataSource(tmp_path), ["差评", "好评"])
    assert texts == TEXTS


def test_an_exam_in_a_column_called_sentiment_keeps_the_names_that_were_learned(tmp_path):
    path = write(tmp_path / "a.csv", lines_of(NUMBERS, "{t},{y}", "review,sentiment"))
    assert load_exam(DataSource(path), ["0", "1"])[1] == [i % 2 for i in range(60)]
    assert load_exam(DataSource(path), ["负向", "正向"])[1] == [i % 2 for i in range(60)]


def test_rows_that_cannot_be_examined_are_counted(tmp_path, capsys):
    rows = [*lines_of(WORDS, "{t},{y}", "text,label"), "没学过的,中评", ",好评"]
    texts, labels = load_exam(DataSource(write(tmp_path / "a.csv", rows)), ["差评", "好评"])
    assert len(texts) == 60 and labels == [i % 2 for i in range(60)]
    out = capsys.readouterr().out
    assert (
        "读到  62 行，留下 60 行，丢掉 2 行" in out
        and "不是学过的 差评、好评 1 行：第 62 行" in out
    )
    with pytest.raises(CourseError, match="没有一条能考"):
        load_exam(DataSource(write(tmp_path / "b.csv", rows)), ["1", "0"])


# 4. Arguments and machines


def test_texts_that_the_tokenizer_cannot_read_are_said(repo, mini_bert, tmp_path):
    model = tmp_path / "english"
    model.mkdir()
    for name in ("config.json", "model.safetensors"):
        (model / name).write_bytes((mini_bert / name).read_bytes())
    words = (mini_bert / "vocab.txt").read_text("utf-8").split("\n")
    odd = [
        f"word{i}" if any("\u4e00" <= c <= "\u9fff" for c in w) else w for i, w in enumerate(words)
    ]
    (model / "vocab.txt").write_text("\n".join(odd), encoding="utf-8")
    data = write(tmp_path / "a.csv", lines_of(WORDS, "{t},{y}", "text,label"))
    flags = ("--data", data, "--params", tmp_path / "p", "--model", model, "--epochs", 1)
    done = run_script(repo, "demo02_sentiment/train.py", *flags)
    assert done.returncode == 0, done.stderr
    assert "的 token 是 [UNK]" in done.stdout
    again = run_script(repo, "demo02_sentiment/train.py", *flags)  # from the stored features
    assert "的 token 是 [UNK]" in again.stdout and "都是存好的" in again.stdout
    done = run_script(repo, "demo02_sentiment/train.py", *flags, "--max-length", 5)
    assert "100% 的评论超过 5 个 token" in done.stdout
