"""docs/pictures: what the script draws, every character in it; small"""

import warnings

import matplotlib
import numpy as np
import pytest
from conftest import run_here
from matplotlib import image

from course.paths import ROOT

DOCS = ROOT / "docs"
PICTURES = sorted((DOCS / "pictures").glob("*.png"))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Everything docs/tools/draw_pictures.py draws, and the warnings of matplotlib"""
    folder = tmp_path_factory.mktemp("pictures")
    with pytest.MonkeyPatch.context() as patch, matplotlib.rc_context():
        capture = type("Nothing", (), {"readouterr": lambda self: self, "out": "", "err": ""})()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            code, printed = run_here(patch, capture, "docs/tools/draw_pictures.py", "--out", folder)
    assert code == 0, printed
    return folder, [str(warning.message) for warning in said]


def test_no_character_is_an_empty_box(drawn):
    assert [text for text in drawn[1] if "missing from" in text or "findfont" in text] == []


def blocks(picture: np.ndarray, n: int = 16) -> np.ndarray:
    """The mean brightness of every n × n pixels"""
    height, width = (size // n * n for size in picture.shape[:2])
    return picture[:height, :width].reshape(height // n, n, width // n, n, 3).mean((1, 3, 4))


def test_the_pictures_in_the_repo_are_the_ones_the_script_draws(drawn):
    fresh = sorted(drawn[0].glob("*.png"))
    assert [picture.name for picture in fresh] == [picture.name for picture in PICTURES]
    for new, old in zip(fresh, PICTURES, strict=True):
        assert old.stat().st_size < 150_000, old.name
        a, b = image.imread(new)[..., :3], image.imread(old)[..., :3]
        assert a.shape == b.shape, f"{old.name}: python docs/tools/draw_pictures.py"
        # not bit for bit: another system rounds the edges of letters in its own way
        worst = np.abs(blocks(a) - blocks(b)).max()  # one changed word is seen
        assert worst < 0.05, f"{old.name}: python docs/tools/draw_pictures.py"
