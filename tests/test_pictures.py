"""10_pictures.py: five pictures, no empty boxes, and the calibration figures"""

import importlib.util
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import run_script
from matplotlib import image
from matplotlib.ft2font import FT2Font

from backstage.class_tables import reliability
from course.fonts import chinese_font
from course.paths import ROOT


@pytest.fixture(scope="module")
def weights(trained, tmp_path_factory) -> Path:
    """The pictures go beside the weights: our own copy, other tests count the files in `trained`"""
    return Path(shutil.copytree(trained, tmp_path_factory.mktemp("drawn") / "params"))


@pytest.fixture(scope="module")
def drawn(repo, weights):
    sentence = "这本书不好看，龘 WiFi 也慢"
    done = run_script(
        repo, "demo02_sentiment/10_pictures.py", "--weights", weights / "best.pth",
        "--sentence", sentence,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


def test_every_picture_is_there_and_not_blank(drawn, weights):
    for name in ("confusion", "calibration", "map", "attention"):
        path = weights / "pictures" / f"{name}.png"
        assert str(path) in drawn.stdout
        pixels = image.imread(path)[..., :3]
        assert min(pixels.shape[:2]) > 300
        assert 0.001 < (pixels < 0.5).any(axis=2).mean() < 0.9
    assert str(weights / "curve.png") in drawn.stdout
    assert "ECE" in drawn.stdout and "最常见的错" in drawn.stdout


def test_no_character_is_an_empty_box(drawn):
    # matplotlib says "Glyph … missing from font(s)" for each one that it cannot draw
    assert "missing from" not in drawn.stderr and "findfont" not in drawn.stderr
    spec = importlib.util.find_spec("zhplot")
    font = FT2Font(str(Path(spec.origin).parent / "fonts" / "NotoSansSC-Regular.ttf"))
    drawable = font.get_charmap()
    source = (ROOT / "demo02_sentiment" / "10_pictures.py").read_text(encoding="utf-8")
    rows = range(0xB0, 0xF8)  # where GB 2312 has its 6,763 simplified characters
    usual = {bytes([a, b]).decode("gb2312", "ignore") for a in rows for b in range(0xA1, 0xFF)}
    usual.discard("")
    assert len(usual) == 6763
    assert [c for c in {*source, *usual} if c >= "一" and ord(c) not in drawable] == []


def test_the_font_is_found_without_importing_zhplot():
    assert chinese_font() == "Noto Sans SC"
    assert "zhplot" not in sys.modules  # importing it changes matplotlib's settings


def test_reliability_by_hand():
    confidence = np.array([0.55, 0.58, 0.95, 0.97, 0.99, 1.0])
    right = np.array([True, False, True, True, False, True])
    bins, error = reliability(confidence, right)
    assert [(round(sure, 4), hit, count) for sure, hit, count in bins] == [
        (0.565, 0.5, 2),
        (0.9775, 0.75, 4),
    ]
    assert error == pytest.approx((2 * 0.065 + 4 * 0.2275) / 6)
    assert reliability(np.ones(5), np.ones(5, bool))[1] == 0
