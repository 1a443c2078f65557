"""Labels into a project and out of it again, from the command line and as training input."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

import morphoscope as ms
from morphoscope.cli.main import main
from morphoscope.errors import InputError
from morphoscope.io.label_set import ImageFacts, Label, LabelSet
from morphoscope.io.labels import read_labels, recognise_labels, write_labels
from morphoscope.io.shapes import Box, Ellipse, Mask, Point, Polygon

SHAPES = [
    Box(4, 5, 3, 2),
    Box(4, 5, 3, 2, 30),
    Ellipse(9, 9.25, 4, 3, 20),
    Polygon((((1, 1), (5, 1), (5, 5)),)),
    Mask.from_pixels(np.eye(4), 2, 3),
    Point(3.5, 3.5),
]


@pytest.fixture
def labels(tmp_path: Path) -> LabelSet:
    for k, name in enumerate(("a b.png", "sub/é.png")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / name), np.full((20, 30), 10 * k, np.uint8))
    found = [Label("a b.png", "loop", shape, object_id=f"o{k}", score=0.5, track_id=k) for k, shape in enumerate(SHAPES)]
    images = {"a b.png": ImageFacts(30, 20, 1, (0.5, 0.25)), "sub/é.png": ImageFacts(30, 20)}
    return LabelSet(images, tuple(found), ("loop",), root=tmp_path)


def test_labels_survive_a_project(labels: LabelSet) -> None:
    path = labels.root / "lab.morphoscope"
    assert write_labels(labels, path, "project") == []
    assert recognise_labels(path) == "project"
    assert read_labels(path) == labels


def test_what_the_project_has_stays_and_rejected_objects_are_not_given(labels: LabelSet) -> None:
    path = labels.root / "lab.morphoscope"
    write_labels(labels, path, "project")
    with ms.Project.open(path, author="ann") as project:
        project.correct("o0", label="line")
        project.delete("o1")
    write_labels(labels, path, "project")
    found = {label.object_id: label.label for label in read_labels(path).labels}
    assert found == {"o0": "line", "o2": "loop", "o3": "loop", "o4": "loop", "o5": "loop"}


def test_one_picture_under_two_names_is_said(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((5, 5), np.uint8))
    twice = LabelSet({"a.png": ImageFacts(), "b.png": ImageFacts()}, (Label("b.png", "x", Box(2, 2, 2, 2)),), root=tmp_path)
    (said,) = write_labels(twice, tmp_path / "p.morphoscope", "project")
    assert "a.png, b.png are one picture" in said


def test_images_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"1 are not there, such as .*gone\.png"):
        write_labels(LabelSet({"gone.png": ImageFacts()}, root=tmp_path), tmp_path / "p.morphoscope", "project")
    assert not (tmp_path / "p.morphoscope").exists()


def test_from_the_command_line_and_for_training(labels: LabelSet, capsys: pytest.CaptureFixture[str]) -> None:
    source, project = labels.root / "l.csv", labels.root / "lab.morphoscope"
    boxes = LabelSet(labels.images, labels.labels[:1], root=labels.root)
    write_labels(boxes, source, "csv")
    for command in (
        ["labels", "convert", str(source), str(project), "--to", "project"],
        ["labels", "convert", str(source), str(project), "--to", "project"],
        ["labels", "convert", str(project), str(labels.root / "out.json"), "--to", "coco"],
    ):
        with pytest.raises(SystemExit) as ended:
            main(command)
        assert ended.value.code == 0, capsys.readouterr()
    exported = json.loads((labels.root / "out.json").read_text(encoding="utf-8"))
    assert exported["annotations"][0]["bbox"] == [2.5, 4, 3, 2]
    assert len(exported["annotations"]) == 1  # an id the project has is not added again
    found = ms.read_boxes(project)
    assert found.boxes[["file", "x0", "y0", "x1", "y1"]].values.tolist() == [["a b.png", 2.0, 3.5, 5.0, 5.5]]
