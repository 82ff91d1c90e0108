"""08_predict.py: sentences, a dialogue, files of every kind, interruption, refusals"""

import csv
import datetime
import json
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pyarrow
import pytest
from conftest import environment, lesson, rows_of, run_script
from pyarrow import parquet

from backstage.classifier import SentimentClassifier
from backstage.predict_file import predict_file
from course.errors import CourseError
from course.files import only_one
from course.tables import ROWS, read_path

PREDICT = "demo02_sentiment/08_predict.py"
EXAMPLE = lesson("08_predict").EXAMPLE
TRICKY = ['带"引号"，\n和换行的,评论', "", "  ", "null", "长" * 600, "=1+1", "emoji 😀 很好"]
ADDED = ["predicted_label", "p_负向", "p_正向", "note"]


@pytest.fixture(scope="module")
def weights(trained):
    return trained / "best.pth"


@pytest.fixture(scope="module")
def classifier(weights):
    return SentimentClassifier(weights)


@pytest.fixture(scope="module")
def texts(mini_data) -> list[str]:
    splits = rows_of(mini_data)
    return [text for text, _ in splits["validation"] + splits["test"]] + TRICKY


def write_table(path, rows, encoding="utf-8", delimiter=","):
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


def read_csv(path, delimiter=","):
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")  # Excel needs the BOM
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def check(rows, texts, classifier, column="text"):
    """Every text in its place, its probabilities those of the classifier, its note right"""
    assert [row[column] or "" for row in rows] == texts or [row[column] for row in rows] == [
        "'=1+1" if text == "=1+1" else text
        for text in texts  # in CSV and TSV: not a formula
    ]
    full = [text for text in texts if text.strip()]
    expected = iter(classifier.probabilities(full).tolist())
    for row, text in zip(rows, texts, strict=True):
        if not text.strip():
            assert not row["predicted_label"] and row["p_正向"] in ("", None)
            assert row["note"] == "空"
            continue
        p = next(expected)
        given = [float(row["p_负向"]), float(row["p_正向"])]
        assert given == pytest.approx(p, abs=1e-5)
        assert row["predicted_label"] == ["负向", "正向"][int(np.argmax(p))]
        tokens = len(classifier.tokenizer(text, verbose=False)["input_ids"])
        assert row["note"] == ("截断" if tokens > 500 else "")


def test_sentences_on_the_command_line(repo, weights, classifier):
    sentences = ["房间很干净", "服务太差，再也不来了", "长" * 600]
    done = run_script(repo, PREDICT, *sentences, "--weights", weights)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    for line, sentence, p in zip(
        lines, sentences, classifier.probabilities(sentences), strict=True
    ):
        assert line.startswith(classifier.labels[int(p.argmax())])
        assert f"{float(p.max()):6.1%}" in line and sentence in line
    assert "只看了前 500 个 token" in lines[2] and "只看了" not in lines[0]


def test_the_road_then_a_dialogue(repo, weights, classifier):
    done = run_script(repo, PREDICT, "--weights", weights)
    assert done.returncode == 0, done.stderr
    road = done.stdout
    assert (
        "input_ids (1, 17)" in road and "last_hidden_state (1, 17, 32) → [CLS] 特征 (1, 32)" in road
    )
    logits = classifier.logits([EXAMPLE])
    for label, z, p in zip(classifier.labels, logits[0], logits[0].softmax(0), strict=True):
        assert f"{label} {z:.2f}" in road and f"{label} {p:.1%}" in road
    assert "概率和上面一样：True" in road and "空行结束" in road
    assert f"09_serve.py --weights {weights}" in road.splitlines()[-1]


@pytest.mark.parametrize("hosted", [False, True])
def test_a_pipe_takes_away_the_results_alone(repo, weights, hosted):
    """To the empty line; where PyCharm sits at the other end, a learner does, and sees the road"""
    done = subprocess.run(
        [sys.executable, str(repo / PREDICT), "--weights", str(weights)],
        input="很好\n太差了\n\n不再看\n".encode(),
        env=environment(repo) | ({"PYCHARM_HOSTED": "1"} if hosted else {}),
        capture_output=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr.decode()
    lines = done.stdout.decode().splitlines()
    results = [line for line in lines if line.endswith(("很好", "太差了"))]
    assert len(results) == 2 and (lines == results) == (not hosted)
    assert ("input_ids (1, 17)" in lines) == hosted


def test_a_pipe_of_another_encoding_is_refused_not_guessed(repo, weights):
    done = subprocess.run(
        [sys.executable, str(repo / PREDICT), "--weights", str(weights)],
        input="房间很干净\n".encode("gbk"),
        env=environment(repo),
        capture_output=True,
        timeout=600,
    )
    assert done.returncode == 1 and done.stdout == b""
    said = done.stderr.decode()
    assert "不是这个窗口的编码" in said and "--file" in said and "Traceback" not in said


@pytest.mark.parametrize(
    ("encoding", "suffix", "delimiter"),
    [
        ("utf-8", ".csv", ","),
        ("utf-8-sig", ".csv", ","),
        ("gb18030", ".CSV", ","),
        ("utf-16", ".tsv", "\t"),
    ],
)
def test_tables(tmp_path, weights, classifier, texts, capsys, encoding, suffix, delimiter):
    rows = [("编号", "评论", "label"), *((str(i), text, "1") for i, text in enumerate(texts))]
    source = write_table(tmp_path / f"in{suffix}", rows, encoding, delimiter)
    out = tmp_path / "out.csv"
    predict_file(weights, source, "评论", out)
    written = read_csv(out)
    assert list(written[0]) == ["编号", "评论", "label", *ADDED]
    assert [row["编号"] for row in written] == [str(i) for i in range(len(texts))]
    check(written, texts, classifier, "评论")
    printed = capsys.readouterr().out
    assert f"{len(texts)} 条" in printed and "空的 2 条" in printed and "token 的 2 条" in printed
    assert [path.name for path in tmp_path.iterdir() if path not in (source, out)] == []


def test_a_text_file_has_one_review_a_line(tmp_path, weights, classifier, texts):
    lines = [text for text in texts if "\n" not in text]
    source = tmp_path / "in.txt"
    source.write_text("\n".join(lines) + "\n", encoding="gb18030")
    predict_file(weights, source, "text", tmp_path / "out.tsv")
    check(read_csv(tmp_path / "out.tsv", "\t"), lines, classifier)


def test_json_lines_keep_their_values(tmp_path, weights, classifier):
    rows = [
        {"text": "很好", "tags": ["a", "b"], "n": 1.5},
        {"n": 2, "text": None},
        {"text": "半个 emoji \ud83d"},
        {"text": 12345, "deep": {"x": None}},
    ]
    source = tmp_path / "in.jsonl"
    source.write_text("\n".join(map(json.dumps, rows)) + "\n\n", encoding="utf-8")
    predict_file(weights, source, "text", tmp_path / "out.jsonl")
    written = [
        json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()
    ]
    for row, given in zip([*rows, {}], written, strict=True):
        assert {name: given[name] for name in row} == row
    assert [row["note"] for row in written] == ["", "空", "", "", "空"]
    assert written[1]["p_正向"] is None
    expected = classifier.probabilities(["很好", "12345"])[:, 1].tolist()
    assert [written[0]["p_正向"], written[3]["p_正向"]] == pytest.approx(expected, abs=1e-5)
    predict_file(weights, source, "text", tmp_path / "out.parquet")
    table = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert table[0]["tags"] == '["a", "b"]' and table[1]["n"] == "2" and table[1]["tags"] is None


def test_parquet_keeps_its_types(tmp_path, weights, classifier, texts):
    texts = texts * 6  # more than one block
    n = len(texts)
    assert n > ROWS
    table = pyarrow.table(
        {
            "text": [None if text == "" else text for text in texts],
            "day": pyarrow.array([datetime.date(2024, 1, 1)] * n),
            "when": pyarrow.array([datetime.datetime(2024, 1, 1, 12)] * n, pyarrow.timestamp("ns")),
            "tags": [[i, i + 1] for i in range(n)],
            "small": pyarrow.array([1] * n, pyarrow.int8()),
        }
    )
    source, out = tmp_path / "in.parquet", tmp_path / "out.parquet"
    parquet.write_table(table, source, row_group_size=50)
    predict_file(weights, source, "text", out)
    written = parquet.read_table(out)
    assert written.select(table.column_names).equals(table)
    assert written.column_names == [*table.column_names, *ADDED]
    check(written.to_pylist(), texts, classifier)


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(repo, weights, texts, tmp_path):
    rows = [("text",), *((f"{texts[i % 200]}第{i}次",) for i in range(2 * ROWS + 100))]
    source = write_table(tmp_path / "in.csv", rows)
    out, features = tmp_path / "out.csv", repo / "data" / "features"
    command = [repo / PREDICT, "--file", source, "--out", out, "--weights", weights]
    before = set(features.rglob("*.safetensors"))
    killed = subprocess.Popen(
        [sys.executable, *map(str, command)],
        env=environment(repo),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not (kept := set(features.rglob("*.safetensors")) - before):
        assert killed.poll() is None
        time.sleep(0.002)
    killed.kill()
    killed.wait()
    assert not out.exists()
    times = {path: path.stat().st_mtime_ns for path in kept}

    for again in ("goes on", "finds everything"):
        done = run_script(repo, *command)
        assert done.returncode == 0, done.stderr
        stored = set(features.rglob("*.safetensors")) - before
        assert {path: path.stat().st_mtime_ns for path in kept} == times, again  # not once more
        assert len(stored) == 3  # one a thousand rows, none twice
        classifier = SentimentClassifier(weights)
        check(read_csv(out), [text for (text,) in rows[1:]], classifier)


def bad(tmp_path, name: str, content: bytes):
    (tmp_path / name).write_bytes(content)
    return tmp_path / name


@pytest.mark.parametrize(
    ("name", "content", "column", "out", "message"),
    [
        ("in.csv", b"a,b\n1,2\n", "text", "out.csv", "没有列 text，现有的列是 a、b"),
        ("in.doc", b"PK", "text", "out.csv", "不认识 in.doc 的扩展名"),
        ("in.csv", b"text\nx\n", "text", "out.doc", "不认识 out.doc 的扩展名"),
        ("in.csv", b"text\nx\n", "text", "in.csv", "是同一个文件"),
        ("in.json", b"[{}, {}]", "text", "out.csv", "没有列 text"),
        ("in.csv", b"", "text", "out.csv", "一条评论也没有"),
        ("in.csv", b"text\n", "text", "out.csv", "一条评论也没有"),
        ("in.csv", b'text\n"x\n', "text", "out.csv", "读不了"),
        ("in.csv", b"text,b\nx,y,z\n", "text", "out.csv", "第 2 行有 3 格"),
        ("in.csv", b"text,text\nx,y\n", "text", "out.csv", "列名有重复"),
        ("in.csv", b"text,note\nx,y\n", "text", "out.csv", "已经有列 note"),
        ("in.csv", b"text\n\xff\xff\xff\n", "text", "out.csv", "认不出"),
        ("in.jsonl", b'{"text": 1}\n[1]\n', "text", "out.csv", "第 2 条不是对象"),
        ("in.jsonl", b"{text}\n", "text", "out.csv", "第 1 行不是 JSON"),
        ("in.parquet", b"hello", "text", "out.csv", "不是 .parquet 文件"),
        ("in.csv", b"text\nx\n", "text", "in.csv/out.csv", "写不了"),
    ],
)
def test_a_bad_file_is_refused_before_the_work(
    tmp_path, weights, name, content, column, out, message
):
    source = bad(tmp_path, name, content)
    with pytest.raises(CourseError, match="下一步") as refusal:
        predict_file(weights, source, column, tmp_path / out)
    assert message in refusal.value.problem
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert source.read_bytes() == content


def test_the_column_is_found_as_in_the_training(tmp_path, weights, classifier, capsys):
    for name in ("评论", "用户说的"):
        source = write_table(tmp_path / "in.csv", [("编号", name), ("1", "很好"), ("2", "太差")])
        column = None if name == "评论" else name
        for suffix in (".csv", ".xlsx"):
            predict_file(weights, source, column, tmp_path / f"out{suffix}")
        check(read_csv(tmp_path / "out.csv"), ["很好", "太差"], classifier, name)
        excel = pd.read_excel(tmp_path / "out.xlsx", keep_default_na=False)
        check(excel.to_dict("records"), ["很好", "太差"], classifier, name)
    with pytest.raises(CourseError, match="认不出哪一列是评论") as refusal:
        predict_file(weights, source, None, tmp_path / "out.csv")
    assert '--column "用户说的"' in refusal.value.next_step
    source = write_table(tmp_path / "bare.csv", [("1", "很好"), ("2", "太差")])
    predict_file(weights, source, "第2列", tmp_path / "out.csv")
    check(read_csv(tmp_path / "out.csv"), ["很好", "太差"], classifier, "第2列")
    # one column: a name, or already the first review?
    source = write_table(tmp_path / "one.csv", [("很好",), ("太差",)])
    with pytest.raises(CourseError, match="不知道它是列名，还是第一条评论") as refusal:
        predict_file(weights, source, None, tmp_path / "out.csv")
    assert "--column 第1列" in refusal.value.next_step
    for content, real in (('[{"text": "好"}]', "里面是 JSON"), ("text,label\n好,1", "用 , 分列")):
        (tmp_path / "a.txt").write_text(content, encoding="utf-8")
        with pytest.raises(CourseError, match=real):
            predict_file(weights, tmp_path / "a.txt", None, tmp_path / "out.csv")


def test_what_excel_cannot_hold(tmp_path, weights):
    source = write_table(tmp_path / "in.csv", [("text",), ("好\x0b\x08",), ("=1+1",)])
    predict_file(weights, source, None, tmp_path / "out.xlsx")
    assert next(iter(read_path(tmp_path / "out.xlsx"))).text.tolist() == ["好\x0b\x08", "'=1+1"]
    source = write_table(tmp_path / "in.csv", [("text",), ("好" * 40_000,)])
    with pytest.raises(CourseError, match="32,767"):
        predict_file(weights, source, None, tmp_path / "long.xlsx")
    (tmp_path / "in.jsonl").write_text('{"text": ["房", "间"]}', encoding="utf-8")
    with pytest.raises(CourseError, match="一串词"):  # as in the training
        predict_file(weights, tmp_path / "in.jsonl", None, tmp_path / "out.csv")
    source = write_table(tmp_path / "in.txt", [("text", "label"), ("很好", "1")], delimiter="\t")
    with pytest.raises(CourseError, match="第一行是列名"):
        predict_file(weights, source, None, tmp_path / "out.csv")


def test_two_at_once_on_one_file(tmp_path, weights):
    source, out = write_table(tmp_path / "in.csv", [("text",), ("很好",)]), tmp_path / "out.csv"
    with (
        only_one(tmp_path / ".out.csv.lock", CourseError("busy", "wait")),
        pytest.raises(CourseError, match="另一个程序正在算"),
    ):
        predict_file(weights, source, "text", out)
    predict_file(weights, source, "text", out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]


def test_refusals_of_the_script(repo):
    done = run_script(repo, PREDICT, "很好", "--file", "nothing.csv")
    assert done.returncode == 1 and "只能给一样" in done.stderr and "下一步" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_file_is_named(tmp_path, weights):
    with pytest.raises(CourseError, match=r"打不开 .*nothing\.csv"):
        predict_file(weights, tmp_path / "nothing.csv", "text", tmp_path / "out.csv")
