"""Learning from a project: what people said, and nothing else."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from morphoscope.errors import InputError, UsageError
from morphoscope.io.score_data import read_score_data
from morphoscope.io.score_project import read_project_classes, with_project
from morphoscope.project import Project


def drawn(path: Path, value: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((16, 20), value, np.uint8))
    return path


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Six images: two classes by people, one foreign, one rejected, one that only a model named."""
    path = tmp_path / "own.project"
    with Project.open(path, "ann") as project:
        for k, (label, decision) in enumerate(
            [("wires", "accept"), ("powder", None), ("wires", None), (None, "foreign"), ("powder", "reject"), (None, None)]
        ):
            image = project.add_image(drawn(tmp_path / "images" / f"{k}.png", 10 * k), group="s1" if k < 3 else None)
            project.set_label(image, "powder", probability=0.6, model="net")
            if label or decision:
                project.set_label(image, label, decision=decision)
    return path


def test_only_the_words_of_people_are_learnt(store: Path) -> None:
    data = read_project_classes(store)
    found = {one.name: data.classes[int(one.target.argmax())] for one in data.examples}
    assert found == {"images/0.png": "wires", "images/1.png": "powder", "images/2.png": "wires"}
    assert {one.group for one in data.examples} == {"s1"}
    assert data.examples[1].image().max() == 10
    assert "1 images are not learnt" in data.notes[0]  # the foreign one has no category at all
    assert [one.name for one in read_score_data(store).examples] == list(found)


def test_frames_of_a_stack_are_images_of_one_group(tmp_path: Path) -> None:
    frames = np.stack([np.full((16, 20), value, np.uint8) for value in (5, 90, 200)])
    tifffile.imwrite(tmp_path / "s.tif", frames, photometric="minisblack")
    with Project.open(tmp_path / "p") as project:
        image = project.add_image(tmp_path / "s.tif")
        project.set_label(image, "a", frame=0)
        project.set_label(image, "b", frame=2)
    data = read_project_classes(tmp_path / "p")
    assert [int(one.image()[0, 0]) for one in data.examples] == [5, 200]
    assert {one.group for one in data.examples} == {"s.tif"}
    assert [one.name for one in data.examples] == ["s.tif, frame 0", "s.tif, frame 2"]


def test_a_damaged_frame_costs_no_other_image(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "s.tif") as stack:
        for value in (5, 90):
            stack.write(np.full((16, 20), value, np.uint8), photometric="minisblack", compression="zlib", metadata=None)
    with Project.open(tmp_path / "p") as project:
        image = project.add_image(tmp_path / "s.tif")
        project.set_label(image, "a", frame=0)
        project.set_label(image, "b", frame=1)
    with tifffile.TiffFile(tmp_path / "s.tif") as stack:
        start = stack.pages[1].dataoffsets[0]
    broken = bytearray((tmp_path / "s.tif").read_bytes())
    broken[start : start + 6] = b"broken"
    (tmp_path / "s.tif").write_bytes(broken)
    first, second = read_project_classes(tmp_path / "p").examples  # nothing of the stack is read yet
    assert int(first.image()[0, 0]) == 5
    with pytest.raises(InputError, match=r"s\.tif"):
        second.image()


def test_a_corrected_image_stays_in_its_group(tmp_path: Path) -> None:
    for k in range(4):
        drawn(tmp_path / "first" / f"{k}.png", 50 * k)
    (tmp_path / "first" / "labels.csv").write_text("file,label,group\n0.png,a,g0\n1.png,b,g0\n2.png,a,g1\n3.png,b,g1\n")
    with Project.open(tmp_path / "p") as project:
        project.set_label(project.add_image(tmp_path / "first" / "1.png"), "a")
        project.set_label(project.add_image(tmp_path / "first" / "3.png", group="s3"), "a")
        project.set_label(project.add_image(drawn(tmp_path / "new.png", 7)), "b")
    data = with_project(read_score_data(tmp_path / "first" / "labels.csv"), tmp_path / "p")
    found = {Path(one.name).name: one.group for one in data.examples}
    assert found == {"0.png": "g0", "1.png": "g0", "2.png": "g1", "3.png": "s3", "new.png": "new.png"}


def test_an_image_that_is_gone_is_skipped_and_said(store: Path) -> None:
    (store.parent / "images" / "2.png").unlink()
    data = read_project_classes(store)
    assert len(data.examples) == 2 and "2.png" in data.skipped[0] and "no longer" in data.skipped[0]


def test_without_a_persons_word_there_is_nothing_to_learn(tmp_path: Path) -> None:
    with Project.open(tmp_path / "p") as project:
        project.set_label(project.add_image(drawn(tmp_path / "a.png", 3)), "wires", model="net")
    with pytest.raises(InputError, match="no person"):
        read_score_data(tmp_path / "p")


def test_the_project_wins_over_the_first_labels(store: Path, tmp_path: Path) -> None:
    """Of those here 0 is what people called wires, 30 is foreign, 40 rejected; 70 and 80 the project does not know."""
    for k, (label, value) in enumerate((("powder", 0), ("powder", 70), ("fibres", 80), ("fibres", 30), ("powder", 40))):
        drawn(tmp_path / "first" / label / f"c{k}.png", value)
    data = with_project(read_score_data(tmp_path / "first"), store)
    said = {one.name: data.classes[int(one.target.argmax())] for one in data.examples}
    assert data.classes == ("fibres", "powder", "wires")
    assert said == {
        "powder/c1.png": "powder",
        "fibres/c2.png": "fibres",
        "images/0.png": "wires",
        "images/1.png": "powder",
        "images/2.png": "wires",
    }
    assert any("3 of the 5 labelled images" in note for note in data.notes)
    assert data.notes[-1] == "3 images are from the project own"


def test_a_project_of_rejected_images_only_takes_them_out(tmp_path: Path) -> None:
    for k, label in enumerate(("a", "a", "b", "b", "b")):
        drawn(tmp_path / "first" / label / f"{k}.png", 50 * k)
    with Project.open(tmp_path / "p") as project:
        project.set_label(project.add_image(tmp_path / "first" / "b" / "4.png"), None, decision="reject")
    data = with_project(read_score_data(tmp_path / "first"), tmp_path / "p")
    assert [one.name for one in data.examples] == ["a/0.png", "a/1.png", "b/2.png", "b/3.png"] and data.classes == ("a", "b")


def test_a_class_without_an_image_left_is_none(tmp_path: Path) -> None:
    for k, label in enumerate(("a", "b", "c", "c")):
        drawn(tmp_path / "first" / label / f"{k}.png", 50 * k)
    with Project.open(tmp_path / "p") as project:
        project.set_label(project.add_image(tmp_path / "first" / "b" / "1.png"), "a")
    data = with_project(read_score_data(tmp_path / "first"), tmp_path / "p")
    assert data.classes == ("a", "c") and [len(one.target) for one in data.examples] == [2, 2, 2, 2]
    assert [data.classes[int(one.target.argmax())] for one in data.examples] == ["a", "c", "c", "a"]
    assert any("no image is left of b" in note for note in data.notes)


def test_a_project_goes_with_one_class_each(store: Path, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("file,crack\nimages/0.png,0.2\nimages/1.png,0.7\n")
    with pytest.raises(UsageError, match="one class each"):
        with_project(read_score_data(tmp_path / "t.csv"), store)
