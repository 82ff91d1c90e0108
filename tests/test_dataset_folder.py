"""Data folders: what we saved is compared with its SHA-256, what others saved is validated"""

import pytest

from course.dataset_folder import SUMS, open_folder
from course.reviews import LABEL_NAMES, save, to_dataset, to_splits


@pytest.fixture
def folder(splits, tmp_path):
    save(
        to_dataset({name: rows[:50] for name, rows in splits.items()}, LABEL_NAMES), tmp_path / "d"
    )
    return tmp_path / "d"


def test_every_byte_of_a_folder_that_we_saved_counts(folder, splits):
    assert to_splits(open_folder(folder))["test"] == splits["test"][:50]
    for path in [*folder.rglob("*.arrow"), *folder.rglob("*.json")]:
        good = path.read_bytes()
        bad = bytearray(good)
        bad[len(bad) // 2] ^= 1
        path.write_bytes(bad)
        with pytest.raises(ValueError):
            open_folder(folder)
        path.unlink()
        if path.name != SUMS:  # without the list it is a folder of somebody else
            with pytest.raises((ValueError, FileNotFoundError)):
                open_folder(folder)
        path.write_bytes(good)


def test_an_arrow_file_that_would_kill_the_interpreter_is_refused(folder, splits):
    (folder / SUMS).unlink()
    (path,) = (folder / "train").glob("*.arrow")
    good = path.read_bytes()
    # the offsets of the texts: where the second starts, as Arrow stores it
    second = len(splits["train"][0][0].encode("utf-8"))
    at = good.index(b"\0\0\0\0" + second.to_bytes(4, "little")) + 4
    path.write_bytes(good[:at] + (2**31 - 9).to_bytes(4, "little") + good[at + 4 :])
    with pytest.raises(ValueError):
        open_folder(folder)
    first = splits["train"][0][0].encode("utf-8")
    path.write_bytes(good.replace(first[:3], b"\xff\xff\xff", 1))  # no UTF-8
    with pytest.raises(ValueError):
        open_folder(folder)
