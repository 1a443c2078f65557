"""Label files: what is read, and which line is to blame."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from morphoscope.errors import InputError, MorphoscopeError
from morphoscope.io.labels import read_boxes
from morphoscope.recipe import Region

HEAD = "file,label,x0,y0,x1,y1\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "img").mkdir()
    for name in ("img/b.png", "img/a.png", "empty.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((8, 8), np.uint8))
    return tmp_path


def write(folder, rows, name="boxes.csv"):
    (folder / name).write_text(HEAD + rows, encoding="utf-8")
    return folder / name


def test_boxes_images_without_objects_and_order(folder):
    path = write(folder, "img/b.png,loop,-1,2,3.5,4\nempty.png,,,,,\nimg/a.png,loop,0,0,1,1\nimg/b.png,line,1,1,2,2\n")
    for source in (folder, path, str(path)):
        labels = read_boxes(source)
        assert list(labels.images) == ["img/b.png", "empty.png", "img/a.png"]
        assert all(image.is_file() for image in labels.images.values())
        assert labels.boxes["file"].tolist() == ["img/b.png", "img/a.png", "img/b.png"]
        assert labels.boxes.loc[0, ["x0", "y0", "x1", "y1"]].tolist() == [-1.5, 1.5, 3, 3.5]
        assert labels.boxes["label"].tolist() == ["loop", "loop", "line"]
        assert labels.complete_region is None
        assert labels.root == folder


def test_labels_toml_names_the_file_and_the_region(folder):
    write(folder, "img/a.png,loop,0,0,1,1\n", "mine.csv")
    (folder / "labels.toml").write_text('file = "mine.csv"\ncomplete_region = { x0 = 0, y0 = 0, x1 = 5, y1 = 8 }\n')
    assert read_boxes(folder).complete_region == Region(x0=0, y0=0, x1=5, y1=8)
    assert len(read_boxes(folder).boxes) == 1


@pytest.mark.parametrize("corners", ["3,0,3,1", "0,4,1,2", "a,0,1,1", ",0,1,1"])
def test_the_line_of_a_bad_box_is_named(folder, corners):
    path = write(folder, f"img/a.png,loop,0,0,1,1\nimg/b.png,loop,{corners}\n")
    with pytest.raises(InputError, match=r"boxes\.csv.*\b3\b"):
        read_boxes(path)


def test_missing_things_are_named(folder):
    with pytest.raises(InputError, match=r"boxes\.csv"):
        read_boxes(folder)
    with pytest.raises(InputError, match=r"gone\.png"):
        read_boxes(write(folder, "gone.png,loop,0,0,1,1\n"))
    (folder / "boxes.csv").write_text("file,label,x0\na,b,1\n")
    with pytest.raises(InputError, match="y0, x1, y1"):
        read_boxes(folder)
    (folder / "boxes.csv").write_text("")
    with pytest.raises(InputError, match=r"boxes\.csv"):
        read_boxes(folder)


@pytest.mark.parametrize("text", ["file = ", "complete_region = { x0 = 5, y0 = 0, x1 = 5, y1 = 8 }"])
def test_a_bad_labels_toml_is_named(folder, text):
    write(folder, "img/a.png,loop,0,0,1,1\n")
    (folder / "labels.toml").write_text(text)
    with pytest.raises(MorphoscopeError, match=r"labels\.toml"):
        read_boxes(folder)


def test_real_labels(shared_data):
    labels = read_boxes(shared_data / "loops-stem")
    assert len(labels.images) == 16
    assert labels.complete_region == Region(x0=0, y0=0, x1=780, y1=710)
    assert (labels.boxes["x1"] > labels.boxes["x0"]).all()
