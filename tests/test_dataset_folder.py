"""Folders of save_to_disk are checked before Arrow maps them into memory"""

import pytest
from conftest import rows_of
from datasets import load_from_disk

from course.dataset_folder import check_folder
from course.errors import CourseError
from course.reviews import LABEL_NAMES, save, to_dataset, to_splits


@pytest.fixture
def folder(splits, tmp_path):
    few = {name: rows[:50] for name, rows in splits.items()}
    save(to_dataset(few, LABEL_NAMES), tmp_path / "d")
    return tmp_path / "d"


def test_a_sound_folder_is_read(folder, splits):
    check_folder(folder)
    assert to_splits(load_from_disk(str(folder)))["test"] == splits["test"][:50]


@pytest.mark.parametrize("damage", ["cut", "lost"])
def test_every_file_is_needed(folder, damage):
    for path in [*folder.rglob("*.arrow"), *folder.rglob("*.json")]:
        good = path.read_bytes()
        path.write_bytes(good[: len(good) // 2]) if damage == "cut" else path.unlink()
        with pytest.raises(CourseError, match="没有拷全"):
            rows_of(folder) if path.name == "dataset_info.json" else check_folder(folder)
        path.write_bytes(good)


def test_an_arrow_file_that_would_kill_the_interpreter_is_refused(folder, splits):
    (path,) = (folder / "train").glob("*.arrow")
    good = path.read_bytes()
    # the offsets of the texts: where the second starts, as Arrow stores it
    second = len(splits["train"][0][0].encode("utf-8"))
    at = good.index(b"\0\0\0\0" + second.to_bytes(4, "little")) + 4
    path.write_bytes(good[:at] + (2**31 - 9).to_bytes(4, "little") + good[at + 4 :])
    with pytest.raises(CourseError):
        check_folder(folder)
    first = splits["train"][0][0].encode("utf-8")
    path.write_bytes(good.replace(first[:3], b"\xff\xff\xff", 1))  # no UTF-8
    with pytest.raises(CourseError):
        check_folder(folder)
