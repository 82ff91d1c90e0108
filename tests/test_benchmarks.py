"""The benchmarks at their smallest, run as a user would: the figures are not judged, the rest is"""

from course.paths import DATA, ROOT

import re
from pathlib import Path

import numpy as np
import pytest
from conftest import environment, run_python, run_script
from loopback_tools import loopback_environment
from safetensors import safe_open

from bench_encode import pick_reviews
from serve_peers import PEERS


def run_benchmark(script: str, *args: object, environment=environment) -> str:
    """Its output. In place, not in the copy of the repo: it writes nothing and needs the data"""
    env = environment(ROOT) | {"OMP_NUM_THREADS": "1"}
    words = [str(ROOT / "benchmarks" / script), *map(str, args)]
    done = run_python(words, ROOT, env, warm=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def tables(out: str) -> list[list[dict[str, str]]]:
    """Every Markdown table of the output: a list of rows, each {header: cell}"""
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", out, re.MULTILINE):
        header, _, *rows = [line.strip("| ").split(" | ") for line in block.splitlines()]
        found.append([dict(zip(header, row, strict=False)) for row in rows])
    return found


def test_encode_compares_engines_and_checks_their_features(mini_bert):
    out = run_benchmark(
        "bench_encode.py",
        *("--model", mini_bert, "--reviews", 20, "--rounds", 1, "--threads", 1),
        *("--duplicates", 0.2, "--lengths", "chnsenticorp", "--accuracy"),
        *("--engines", "ours fp32", "ours bf16", "OpenVINO fp32", "static"),
    )
    assert "20 条评论，16 条不同" in out
    engines, one, accuracy = tables(out)
    rows = {row["engine"]: row for row in engines}
    assert list(rows)[:3] == ["lecture", "ours fp32", "ours bf16"]
    assert ("OpenVINO fp32" in rows) != ("跳过 OpenVINO fp32：没有安装 openvino" in out)
    assert rows["lecture"]["× lecture"] == "1.00 ×"
    assert float(rows["ours fp32"]["largest difference"]) < 5e-6
    assert 1e-5 < float(rows["ours bf16"]["largest difference"]) < 0.1
    assert float(rows["ours bf16"]["smallest cosine"]) > 0.999
    for row in rows.values():
        assert float(row["reviews/s"]) > 0
    assert [row["engine"] for row in one] == list(rows)
    found = {row["engine"]: row for row in accuracy}
    assert list(found) == [name for name in rows if name != "lecture"]
    unlike = {name: int(row["predictions unlike ours fp32"]) for name, row in found.items()}
    assert unlike["ours fp32"] == 0 < unlike["static"] and unlike["ours bf16"] < 60  # of 1,200
    best, near = (float(found[name]["accuracy %"]) for name in ("ours fp32", "ours bf16"))
    assert 50 < best < 90 and abs(best - near) <= 100 * unlike["ours bf16"] / 1200 + 0.11


def test_one_review_compares_with_the_runtimes(repo, trained, tmp_path):
    for name in ("onnxruntime", "onnxscript"):
        pytest.importorskip(name, reason=f"NOT INSTALLED: {name}")
    folder = tmp_path / "exported"
    weights = ("--weights", trained / "best.pth")
    done = run_script(repo, "demo02_sentiment/11_export.py", *weights, "--out", folder, "--onnx")
    assert done.returncode == 0, done.stderr
    arguments = ("--model", folder, "--rounds", 2, "--calls", 2, "--threads", 1)
    out = run_benchmark("bench_one_review.py", *arguments)
    (rows,) = tables(out)
    names = ["ours", "ONNX Runtime", *([] if "跳过 OpenVINO" in out else ["OpenVINO"])]
    assert [row["engine"] for row in rows] == 4 * names
    for row in rows:
        assert 0 < float(row["p50"]) <= float(row["p99"]) and float(row["CPU p50"]) > 0
        assert float(row["largest difference"]) < 1e-5
        assert row["engine"] != "ours" or row["ours ÷ it"] == row["ours ÷ it, CPU"] == "1.00 ×"


def test_train_gives_the_same_weights_by_every_way(mini_bert):
    out = run_benchmark(
        "bench_train.py",
        *("--reviews", 1000, "--rounds", 1, "--epochs", 3, "--run", 12, "--compare"),
        *("--rows", 500, 5000, "--lecture", 1),
    )
    ways, on_disk = tables(out)
    key = "weights after 3 epochs: largest difference to plain loop"
    differences = {row["way"]: float(row[key]) for row in ways}
    assert list(differences) == ["plain loop", "sliced", "our train.py", "by hand"]
    assert differences["sliced"] == 0 and max(differences.values()) < 1e-6
    assert float(re.search(r"两份权重最大差 (\S+)", out)[1]) < 1e-6
    assert [row["rows"] for row in on_disk] == ["500", "5,000"]


@pytest.mark.parametrize("median, mean, p99", [(76, 109, 543)])
def test_drawn_lengths_are_those_of_chnsenticorp(median, mean, p99):
    lengths = [len(text) for text in pick_reviews(2000, "chnsenticorp", 0)]
    drawn = [np.median(lengths), np.mean(lengths), np.quantile(lengths, 0.99)]
    assert drawn == pytest.approx([median, mean, p99], rel=0.03)


def test_explain_counts_what_it_asked_and_compares(trained):
    out = run_benchmark("bench_explain.py", "--weights", trained / "best.pth", "--rounds", 2)
    (rows,) = tables(out)
    assert [row["characters"] for row in rows] == ["4", "16", "77", "300"]
    for row in rows:
        assert int(row["sentences asked"]) > 1 and float(row["ms"]) > 0
        # every sentence has [CLS] and [SEP]
        assert int(row["tokens asked"].replace(",", "")) > 2 * int(row["sentences asked"])
        assert float(row["per token, explain ÷ one"].removesuffix(" ×")) > 0


def test_growth_trains_from_a_csv_and_leaves_nothing_behind():
    def features() -> set[Path]:
        return set((DATA / "features").glob("*.safetensors"))

    before = features()
    out = run_benchmark("bench_growth.py", "--small", "--reviews", 300, 900, "--epochs", 1)
    for path in features() - before:  # another test may compute features, but not 64 wide
        with safe_open(path, framework="pt") as file:
            assert file.get_slice("features").get_shape()[1] != 64
    (rows,) = tables(out)
    assert [row["reviews"] for row in rows] == ["300", "900"]
    for row in rows:
        assert 80 < float(row["mean characters"]) < 140 and float(row["CPU s"]) > 0
        assert 200 < float(row["peak memory"].removesuffix(" MB")) < 2000
    assert rows[0]["memory per further review"] == "—"
    assert rows[1]["memory per further review"].endswith(" KB")


def test_serve_compares_with_the_plain_pipeline(trained):
    out = run_benchmark(
        "bench_serve.py",
        *("--seconds", 2, "--clients", 1, 4, "--rounds", 1, "--weights", trained / "best.pth"),
        environment=loopback_environment,
    )
    one, four = tables(out)
    peers = [name for name in PEERS if f"跳过 {name}：没有安装" not in out]
    assert "pipeline" in peers
    for servers in (one, four):
        rows = {row["server"]: row for row in servers}
        onnx = [] if "跳过 09_serve.py --onnx" in out else ["09_serve.py --onnx"]
        assert list(rows) == ["09_serve.py", *onnx, *peers]
        for row in servers:
            assert row["errors"] == "0" and float(row["requests/s"]) > 1
        assert rows["pipeline"]["÷ pipeline"] == "1.00 ×"
