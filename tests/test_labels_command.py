"""`morphoscope labels`: what it prints, writes, refuses and ends with."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from morphoscope.cli.main import main
from morphoscope.errors import InputError
from morphoscope.io.label_set import ImageFacts, Label, LabelSet
from morphoscope.io.labels import read_boxes, read_labels, relocated, write_labels
from morphoscope.io.shapes import Box, Ellipse

BOX = Box.from_corners(0, 0, 1, 1)


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(a) for a in arguments])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return call


@pytest.fixture
def source(tmp_path):
    """Labels of two images, one of them in a subfolder, as CSV in the folder `in`."""
    for name in ("in/a.png", "in/sub dir/b.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / name), np.zeros((6, 8), np.uint8))
    found = (Label("a.png", "loop", BOX), Label("a.png", "line", Ellipse(3, 3, 4, 2, 30), score=0.5))
    labels = LabelSet(dict.fromkeys(("a.png", "sub dir/b.png"), ImageFacts()), found)
    write_labels(labels, tmp_path / "in" / "boxes.csv", "csv")
    return tmp_path / "in"


def test_convert_says_what_is_written_and_lost(command, source, tmp_path):
    code, out, err = command("labels", "convert", source, "out/set", "--to", "voc")
    assert code == 0 and err == ""
    assert "objects   2: 1 loop, 1 line" in out and "images    2, 1 of them without objects" in out
    assert "changed   1 ellipse: polygons of 64 corners are written" in out
    found = read_labels(tmp_path / "out/set")
    assert list(found.images) == ["../../in/a.png", "../../in/sub dir/b.png"]
    assert all((found.root / file).is_file() for file in found.images)


@pytest.mark.parametrize(
    ("kind", "target"), [("coco", "o.json"), ("yolo", "o"), ("cvat", "o.xml"), ("keras-yolo3", "o.txt"), ("csv", "x/o.csv")]
)
def test_convert_there_and_back(command, source, tmp_path, kind, target):
    assert command("labels", "convert", source, target, "--to", kind)[0] == 0
    assert command("labels", "convert", target, "in/back.csv", "--to", "csv", "--from", kind)[0] == 0
    back = read_labels(tmp_path / "in/back.csv")
    assert list(back.images) == ["a.png", "sub dir/b.png"] and back.counts() == {"loop": 1, "line": 1}
    assert back.labels[0].shape.bounds == pytest.approx(BOX.bounds)


def test_json_for_programs(command, source):
    code, out, _ = command("labels", "convert", source, "o.txt", "--to", "keras-yolo3", "--json")
    facts = json.loads(out)
    assert code == 0 and facts["objects"] == {"loop": 1, "line": 1} and facts["shapes"] == {"box": 1, "ellipse": 1}
    assert facts["format"] == "csv" and facts["written_as"] == "keras-yolo3" and len(facts["lost"]) == 4
    code, out, _ = command("labels", "info", "o.txt", "--json")
    assert code == 0 and json.loads(out)["format"] == "keras-yolo3"


def test_info_says_what_is_there(command, tmp_path):
    labels = LabelSet(
        {"gone.png": ImageFacts(8, 6)}, (Label("gone.png", "x", BOX, track_id=3), Label("gone.png", "x", BOX)), ("y",)
    )
    write_labels(labels, tmp_path / "l.json", "coco")
    code, out, _ = command("labels", "info", "l.json")
    assert code == 0
    assert out.splitlines()[:5] == [
        "read      l.json (coco)",
        "images    1",
        "objects   2: 0 y, 2 x",
        "shapes    2 box",
        "tracks    1",
    ]
    assert "1 of 1 images are not there" in out


def test_nothing_is_replaced_without_being_asked(command, source, tmp_path):
    def convert(*more):
        return command("labels", "convert", source, *more)

    (tmp_path / "o.json").write_text("mine")
    code, _, err = convert("o.json", "--to", "coco")
    assert code == 2 and "--overwrite" in err and (tmp_path / "o.json").read_text() == "mine"
    assert convert("o.json", "--to", "coco", "--overwrite")[0] == 0
    assert convert("in", "--to", "voc")[0] == 2
    assert convert("in", "--to", "coco", "--overwrite")[0] == 2  # a folder
    assert convert("o.json", "--to", "voc", "--overwrite")[0] == 2  # a file
    (tmp_path / "t_classes.txt").write_text("mine")
    code, _, err = convert("t.txt", "--to", "keras-yolo3")
    assert code == 2 and "t_classes.txt" in err and (tmp_path / "t_classes.txt").read_text() == "mine"


def test_wrong_use_and_bad_input(command, source, tmp_path):
    assert command("labels", "convert", source, "o", "--to", "nonsense")[0] == 2
    assert command("labels", "info", source, "--from", "nonsense")[0] == 2
    assert command("labels", "info", "nothing.json")[0] == 3
    (tmp_path / "c.json").write_text('{"images": [\n{"id": 1,')
    code, _, err = command("labels", "convert", "c.json", "o.csv", "--to", "csv")
    assert code == 3 and "c.json: line 2" in err and not (tmp_path / "o.csv").exists()
    (tmp_path / "odd.bin").write_bytes(b"\0\1\2")
    code, _, err = command("labels", "info", "odd.bin")
    assert code == 3 and "--from" in err
    write_labels(LabelSet({"gone.png": ImageFacts()}), tmp_path / "gone.csv", "csv")
    code, _, err = command("labels", "convert", "gone.csv", "o", "--to", "yolo")
    assert code == 3 and "gone.png" in err and not (tmp_path / "o").exists()


def test_damaged_records_are_listed_and_the_others_written(command, tmp_path):
    labels = LabelSet({"a.png": ImageFacts(8, 6)}, (Label("a.png", "x", BOX), Label("a.png", "x", BOX)))
    write_labels(labels, tmp_path / "l.json", "coco")
    content = json.loads((tmp_path / "l.json").read_text())
    content["annotations"][1]["bbox"] = [0, 0, "wide", 1]
    (tmp_path / "l.json").write_text(json.dumps(content))
    code, out, err = command("labels", "convert", "l.json", "o.csv", "--to", "csv")
    assert code == 4 and "objects   1: 1 x" in out
    assert "l.json: annotation 2 (id 2): wanted a number, got 'wide'" in err
    assert len(read_labels(tmp_path / "o.csv").labels) == 1
    code, out, _ = command("labels", "info", "l.json", "--json")
    assert code == 4 and len(json.loads(out)["skipped"]) == 1
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((6, 8), np.uint8))
    with pytest.raises(InputError, match="annotation 2"):  # training on labels with holes is refused
        read_boxes(tmp_path / "l.json")


def test_two_names_of_one_image_are_refused(source):
    labels = LabelSet(dict.fromkeys(("a.png", "./a.png"), ImageFacts()), root=source)
    with pytest.raises(InputError, match="two ways"):
        relocated(labels, source.parent)


def test_a_label_beside_nothing_keeps_its_name(tmp_path):
    labels = LabelSet({"x/gone.png": ImageFacts()}, root=tmp_path / "a")
    assert list(relocated(labels, tmp_path / "b").images) == ["x/gone.png"]


def test_the_file_that_labels_toml_names_is_taken(command, source):
    (source / "boxes.csv").rename(source / "mine.csv")
    (source / "labels.toml").write_text('file = "mine.csv"\ncomplete_region = { x0 = 0, y0 = 0, x1 = 5, y1 = 6 }\n')
    assert json.loads(command("labels", "info", source, "--json")[1])["format"] == "csv"
    code, out, _ = command("labels", "convert", source, "o", "--to", "voc")
    assert code == 0 and "the region in which labels are complete" in out


def test_names_that_are_no_text_are_refused(tmp_path):
    for kind, target in (("coco", "o.json"), ("cvat", "o.xml"), ("keras-yolo3", "o.txt")):
        with pytest.raises(InputError):
            write_labels(LabelSet({"a\udcff.png": ImageFacts(8, 6)}), tmp_path / target, kind)


def test_a_linked_image_keeps_its_name(source, tmp_path):
    (source / "link.png").symlink_to(source / "a.png")
    labels = LabelSet(dict.fromkeys(("a.png", "link.png"), ImageFacts()), root=source)
    assert list(relocated(labels, source / "x").images) == ["../a.png", "../link.png"]
    assert relocated(labels, source) is labels
