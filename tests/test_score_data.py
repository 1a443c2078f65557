"""Layouts of labelled images: what is read, what is refused, what is skipped."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from morphoscope.errors import InputError, UsageError
from morphoscope.io.score_data import read_score_data


def _picture(path: Path, grey: int = 100, size: tuple[int, int] = (24, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full(size, grey, np.uint8))


def _table(folder: Path, text: str, files: int = 3) -> Path:
    for k in range(files):
        _picture(folder / f"{k}.png", 40 * k)
    (folder / "labels.csv").write_text(text, encoding="utf-8")
    return folder


def test_a_folder_per_class_names_the_class_of_each_image(tmp_path: Path) -> None:
    for name, number in (("smooth", 2), ("cracked", 3)):
        for k in range(number):
            _picture(tmp_path / name / ("deep" if k else "") / f"{k}.png")
    data = read_score_data(tmp_path)
    assert data.classes == ("cracked", "smooth") and data.answer == "exclusive" and not data.marked and not data.ready
    labels = {one.name: one.target.tolist() for one in data.examples}
    assert labels == {
        "cracked/0.png": [1, 0],
        "cracked/deep/1.png": [1, 0],
        "cracked/deep/2.png": [1, 0],
        "smooth/0.png": [0, 1],
        "smooth/deep/1.png": [0, 1],
    }
    assert data.examples[0].image().shape == (24, 30)
    assert read_score_data(tmp_path, answer="multi-label").answer == "multi-label"
    with pytest.raises(UsageError, match="exclusive or multi-label, not as 'ordinal'"):
        read_score_data(tmp_path, answer="ordinal")


def test_an_empty_class_folder_and_a_single_class_are_refused(tmp_path: Path) -> None:
    _picture(tmp_path / "cracked" / "0.png")
    with pytest.raises(InputError, match="only 'cracked'.*--good"):
        read_score_data(tmp_path)
    (tmp_path / "smooth").mkdir()
    with pytest.raises(InputError, match="class folder .*smooth holds no picture"):
        read_score_data(tmp_path)
    with pytest.raises(InputError, match="there is no file or folder"):
        read_score_data(tmp_path / "elsewhere")


def test_a_table_of_labels_keeps_its_groups_and_skips_files_that_are_not_there(tmp_path: Path) -> None:
    folder = _table(tmp_path / "film", "file,label,group\n0.png,a,one\n1.png, b ,two\n2.png,a,\n9.png,a,one\n")
    for path in (folder, folder / "labels.csv"):
        data = read_score_data(path)
        assert data.name == "film" and data.classes == ("a", "b")
        assert [one.group for one in data.examples] == ["one", "two", "2.png"]
        assert np.stack([one.target for one in data.examples]).tolist() == [[1, 0], [0, 1], [1, 0]]
        assert len(data.skipped) == 1 and "9.png" in data.skipped[0]


def test_scores_are_read_by_their_scale(tmp_path: Path) -> None:
    shares = read_score_data(_table(tmp_path / "a", "file,crack,dewet\n0.png,0,0.25\n1.png,1,0\n2.png,0,1\n"))
    assert shares.answer == "multi-label" and shares.classes == ("crack", "dewet") and shares.notes == ()
    assert shares.examples[0].target.tolist() == [0, 0.25]
    levels = read_score_data(_table(tmp_path / "b", "file,crack\n0.png,0\n1.png,10\n2.png,3\n"))
    assert levels.answer == "ordinal" and "0 to 10" in levels.notes[0]
    np.testing.assert_allclose([one.target[0] for one in levels.examples], [0, 1, 0.3])
    assert len(levels.notes) == 1
    low = read_score_data(_table(tmp_path / "d", "file,crack\n0.png,0\n1.png,1\n2.png,0\n"), answer="ordinal")
    assert low.answer == "ordinal" and low.examples[1].target[0] == pytest.approx(0.1)
    with pytest.raises(UsageError, match="scores of 0 to 1 such as 0.25, which are shares"):
        read_score_data(tmp_path / "a", answer="ordinal")


def test_a_half_level_is_a_level(tmp_path: Path) -> None:
    table = _table(tmp_path, "file,crack\n0.png,0\n1.png,10\n2.png,3.5\n")
    data = read_score_data(table)
    assert data.answer == "ordinal" and [one.target[0] for one in data.examples] == pytest.approx([0, 1, 0.35])
    assert "1 of 3 scores lie between two levels, such as 3.5" in data.notes[1]
    shares = read_score_data(table, answer="multi-label")
    assert shares.answer == "multi-label" and shares.examples[2].target[0] == pytest.approx(0.35) and len(shares.notes) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,crack\n0.png,3\n1.png,11\n", "'11' in line 3 in the column crack"),
        ("file,crack,wet\n0.png,3,1\n1.png,2,-1\n", "'-1' in line 3 in the column wet"),
        ("file,crack\n0.png,\n1.png,2\n2.png,much\n", r"'' in line 2 in the column crack \(and 1 more rows\)"),
        ("file,label\n0.png,a\n1.png,\n", "a label in each row.*line 3"),
        ("file,label\n0.png,a\n0.png,b\n", "more than once, the first 0.png"),
        ("file\n0.png\n", "column `label` or columns of scores"),
        ("file,label\n", "has no row"),
        ("file,label\n0.png,a\n1.png,a\n", "only 'a'"),
        ("file,crack\n0.png,0\n1.png,0\n", "same label for crack"),
        ("file,label\n8.png,a\n9.png,b\n", "no image that can be used"),
    ],
)
def test_tables_that_cannot_be_learnt_are_refused_with_the_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_score_data(_table(tmp_path, text))


def test_masks_say_where_each_class_is(tmp_path: Path) -> None:
    mask = np.zeros((24, 30), np.uint8)
    mask[:10, :5] = 255
    for k in range(2):
        _picture(tmp_path / "image" / f"{k}.png")
        _picture(tmp_path / "masks" / "hole" / f"{k}.png", 0)
    (tmp_path / "masks" / "crack").mkdir()
    cv2.imwrite(str(tmp_path / "masks" / "crack" / "1.png"), mask)
    data = read_score_data(tmp_path)
    assert data.classes == ("crack", "hole") and data.marked and data.answer == "multi-label"
    marks = data.examples[1].marks.read((24, 30))
    np.testing.assert_array_equal(marks, [mask > 0, mask < 0])
    assert not data.examples[0].marks.read((24, 30)).any()
    with pytest.raises(InputError, match="wanted the same"):
        data.examples[1].marks.read((30, 24))
    _picture(tmp_path / "masks" / "crack" / "7.png")
    with pytest.raises(InputError, match="crack/7 have none"):
        read_score_data(tmp_path)


def test_class_maps_and_boxes_become_the_same_marks(tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    _picture(maps / "image" / "0.png")
    mask = np.zeros((24, 30), np.uint8)
    mask[2:12, 4:9], mask[15:20, 10:30] = 1, 2
    (maps / "mask").mkdir()
    cv2.imwrite(str(maps / "mask" / "0.png"), mask)
    (maps / "labels.toml").write_text("[classes]\ncrack = 1\nhole = 2\n", encoding="utf-8")
    boxes = tmp_path / "boxes"
    _picture(boxes / "0.png")
    (boxes / "boxes.csv").write_text("file,label,x0,y0,x1,y1\n0.png,crack,4,2,9,12\n0.png,hole,10,15,30,20\n", encoding="utf-8")
    for folder in (maps, boxes):
        data = read_score_data(folder)
        assert data.classes == ("crack", "hole")
        np.testing.assert_array_equal(data.examples[0].marks.read((24, 30)), [mask == 1, mask == 2], err_msg=str(folder))


def test_ready_patches_come_from_arrays(tmp_path: Path) -> None:
    images = np.arange(4 * 8 * 8 * 3, dtype=np.uint8).reshape(4, 8, 8, 3)
    np.savez(tmp_path / "p.npz", images=images, labels=np.array([1, 0, 1, 1]), groups=np.array([5, 5, 6, 7]))
    data = read_score_data(tmp_path / "p.npz")
    assert data.ready and data.classes == ("0", "1") and [one.group for one in data.examples] == ["5", "5", "6", "7"]
    assert data.examples[1].target.tolist() == [1, 0]
    np.testing.assert_array_equal(data.examples[2].image(), images[2])
    np.savez(tmp_path / "named.npz", images=images, labels=np.array([1, 0, 1, 1]), classes=np.array(["fine", "crack"]))
    assert read_score_data(tmp_path / "named.npz").classes == ("fine", "crack")
    np.savez(tmp_path / "bad.npz", images=images, labels=np.array([1, 0]))
    with pytest.raises(InputError, match=r"labels \(n,\)"):
        read_score_data(tmp_path / "bad.npz")
    (tmp_path / "text.npz").write_text("no arrays", encoding="utf-8")
    with pytest.raises(InputError, match="cannot read the arrays"):
        read_score_data(tmp_path / "text.npz")


def test_zeros_and_ones_alone_are_the_full_scale_and_that_is_said(tmp_path: Path) -> None:
    data = read_score_data(_table(tmp_path, "file,crack\n0.png,0\n1.png,1\n2.png,0\n"))
    assert data.examples[1].target.tolist() == [1] and '"ordinal"' in data.notes[0]


def test_images_of_folders_have_groups_by_a_table_beside_them(tmp_path: Path) -> None:
    for name in ("a", "b"):
        for k in range(2):
            _picture(tmp_path / "classes" / name / f"{k}.png")
            _picture(tmp_path / "marked" / "image" / f"{name}{k}.png")
    _picture(tmp_path / "marked" / "masks" / "hole" / "a0.png")

    def groups(folder: str, text: str) -> list[str]:
        (tmp_path / folder / "groups.csv").write_text(text, encoding="utf-8")
        return [one.group for one in read_score_data(tmp_path / folder).examples]

    assert groups("classes", "file,group\na/0.png,one\nb/0.png, one\na/1.png,two\n") == ["one", "two", "one", "b/1.png"]
    assert "1 images are not in groups.csv" in read_score_data(tmp_path / "classes").notes[0]
    assert groups("marked", "file,group\na0.png,one\nimage/b0.png,one\na1.png,2\nb1.png,2\n") == ["one", "2", "one", "2"]
    for text, message in (
        ("file,group\na/7.png,one\n", "not among the labelled images, the first a/7.png"),
        ("file,sample\na/0.png,one\n", "columns file and group"),
        ("file,group\na/0.png,one\na/1.png,\n", "line 3"),
        ("file,group\na/0.png,one\na/0.png,two\n", "more than once"),
    ):
        with pytest.raises(InputError, match=message):
            groups("classes", text)
    table = _table(tmp_path / "table", "file,label,group\n0.png,a,one\n1.png,b,two\n2.png,a,one\n")
    (table / "groups.csv").write_text("file,group\n0.png,x\n", encoding="utf-8")
    with pytest.raises(InputError, match="keep one of the two"):
        read_score_data(table)
