"""The project store: images, objects, labels and decisions in and out."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError, ProjectConflictError, UsageError
from morphoscope.io.open import open_frames
from morphoscope.io.shapes import Box, Ellipse, Mask, Point, Polygon, shape_from_dict, shape_to_dict
from morphoscope.project import STATES, Project
from morphoscope.project.rows import shape as checked_shape

BOX = {"kind": "box", "x0": 0.1, "y0": 2, "x1": 1 / 3, "y1": 4.0}


def picture(path: Path, seed: int = 0, frames: int = 1, size: tuple[int, int] = (20, 30)) -> Path:
    """A small TIFF stack."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stack = np.random.default_rng(seed).integers(0, 255, (frames, *size)).astype(np.uint16)
    tifffile.imwrite(path, stack, photometric="minisblack", metadata={"axes": "TYX"})
    return path


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with Project.open(tmp_path / "lab.morphoscope", "ann") as opened:
        yield opened


@pytest.fixture
def image(project: Project, tmp_path: Path) -> str:
    return project.add_image(picture(tmp_path / "a.tif", frames=3))


def test_an_image_is_its_bytes(project: Project, tmp_path: Path) -> None:
    path = picture(tmp_path / "plates" / "a.tif", frames=3)
    sha256 = project.add_image(path, group="g", calibration=Calibration((2.0, 1.5), provenance={"pixel_size_nm": "header (FEI)"}))
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    copy = tmp_path / "copy.tif"
    shutil.copy(path, copy)
    assert project.add_image(copy, sample="s") == sha256
    (row,) = project.images().to_dict("records")
    assert row["file"] == "copy.tif" and (row["width"], row["height"], row["n_frames"]) == (30, 20, 3)
    assert (row["pixel_nm_y"], row["pixel_nm_x"], row["pixel_source"]) == (2.0, 1.5, "header (FEI)")
    assert (row["group"], row["sample"], row["author"], row["n_objects"]) == ("g", "s", "ann", 0)
    project.add_image(path)
    assert project.images()["file"].tolist() == ["plates/a.tif"]
    assert project.locate(sha256) == path and project.locate(copy) == path


def test_what_the_open_file_states_is_taken(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "imagej.tif"
    stack = np.zeros((4, 20, 30), np.uint16)
    tifffile.imwrite(path, stack, imagej=True, resolution=(2, 2), metadata={"unit": "nm", "axes": "TYX"})
    with open_frames(path) as frames:
        project.add_image(path, frames=frames)
    (row,) = project.images().to_dict("records")
    assert (row["pixel_nm_y"], row["n_frames"]) == (0.5, 4) and row["pixel_source"]


def test_group_sample_and_scale_can_be_set_and_taken_away(project: Project, image: str) -> None:
    project.set_image(image, group="g", sample="s", calibration=Calibration((3.0, 3.0)))
    (row,) = project.images().to_dict("records")
    assert (row["group"], row["sample"], row["pixel_nm_x"], row["pixel_source"]) == ("g", "s", 3.0, "not stated")
    project.set_image(image, group="")
    assert project.images()["group"].isna().all() and project.images()["sample"].tolist() == ["s"]
    events = len(project.history())
    project.set_image(image, sample="s")
    assert len(project.history()) == events


def test_a_moved_file_is_found_again(project: Project, image: str, tmp_path: Path) -> None:
    other = project.add_image(picture(tmp_path / "b.tif", 1, frames=3))
    target = tmp_path / "deep" / "er" / "c.tif"
    target.parent.mkdir(parents=True)
    shutil.move(tmp_path / "a.tif", target)
    picture(tmp_path / "deep" / "same_size.tif", 7, frames=3)
    with pytest.raises(InputError, match="find_files"):
        project.locate(image)
    assert project.find_files(tmp_path / "deep") == {image: target}
    assert project.locate(image) == target
    assert project.images().set_index("sha256")["file"].to_dict() == {image: "deep/er/c.tif", other: "b.tif"}
    assert project.find_files(tmp_path) == {}
    with pytest.raises(InputError, match="no folder"):
        project.find_files(tmp_path / "nowhere")


def test_a_path_whose_contents_changed_is_the_new_images(project: Project, image: str, tmp_path: Path) -> None:
    new = project.add_image(picture(tmp_path / "a.tif", 5, size=(9, 9)))
    files = project.images().set_index("sha256")["file"]
    assert files[new] == "a.tif" and pd.isna(files[image])
    with pytest.raises(InputError, match="nowhere yet"):
        project.locate(image)


def test_project_and_images_move_together(tmp_path: Path) -> None:
    path = picture(tmp_path / "old" / "a.tif")
    with Project.open(tmp_path / "old" / "lab.db", "ann") as one:
        sha256 = one.add_image(path)
    shutil.move(tmp_path / "old", tmp_path / "new")
    with Project.open(tmp_path / "new" / "lab.db", "ann") as two:
        assert two.locate(sha256) == tmp_path / "new" / "a.tif"


def test_objects_come_back_as_they_went_in(project: Project, image: str) -> None:
    given = pd.DataFrame(
        {
            "label": ["loop", "line"],
            "shape": [BOX, {"kind": "polygon", "rings": (((0.1, 0.2), (1e-300, 5.0), (3, 4)),)}],
            "score": [0.1 + 0.2, None],
            "track_id": pd.array([7, None], dtype="Int64"),
            "frame": [2, 0],
            "object_id": ["run:1", None],
        }
    )
    ids = project.add_objects(image, given, model=("net", "a" * 64))
    assert ids[0] == "run:1" and len(ids[1]) == 32
    table = project.labels()
    assert table["object_id"].tolist() == ids and table["frame"].tolist() == [2, 0]
    assert table["shape"].tolist() == [BOX, {"kind": "polygon", "rings": [[[0.1, 0.2], [1e-300, 5.0], [3, 4]]]}]
    assert table["score"][0] == 0.1 + 0.2 and pd.isna(table["score"][1])
    assert table["track_id"].tolist()[0] == 7 and table["track_id"].isna().tolist() == [False, True]
    assert set(table["state"]) == {"proposed"} and set(table["model"]) == {"net"} and set(table["file"]) == {"a.tif"}
    event = project.history(object_id="run:1").iloc[0]
    assert (event["model_sha256"], event["kind"], event["before"], event["after"]["label"]) == ("a" * 64, "add", None, "loop")
    assert event["after"]["model"] == "net"
    assert pd.Timestamp(event["time"]).tz is not None and "." in event["time"]


@pytest.mark.parametrize(
    "shape",
    [
        Point(0.5, 1.25),
        Box(0.1, 0.2, 3.0, 4.0, 12.5),
        Ellipse(1.0, 2.0, 3.0, 0.7, 33.3),
        Polygon((((0.0, 0.0), (3.0, 0.1), (0.2, 3.0)),)),
        Mask.from_pixels(np.eye(4, dtype=bool), 2, 3),
    ],
)
def test_each_kind_of_shape_is_kept(project: Project, image: str, shape: object) -> None:
    project.add_objects(image, [{"label": "a", "shape": shape_to_dict(shape)}])
    assert shape_from_dict(project.labels()["shape"][0]) == shape


FINITE = st.floats(-1e6, 1e6)


@given(FINITE, FINITE, FINITE, FINITE, FINITE)
def test_floats_are_kept_to_the_last_bit(x: float, y: float, width: float, height: float, angle: float) -> None:
    shape = {"kind": "box", "x": x, "y": y, "width": width, "height": height, "angle_deg": angle}
    assert json.dumps(checked_shape(json.loads(json.dumps(checked_shape(shape))))) == json.dumps(shape)


def test_numpy_values_become_plain(project: Project, image: str) -> None:
    shape = {"kind": "mask", "x0": np.int64(1), "y0": np.float32(2), "width": 3, "height": 1, "runs": np.arange(3)}
    project.add_objects(image, [{"label": "a", "shape": shape, "frame": np.int64(1), "score": np.float32(0.5)}])
    assert project.labels()["shape"][0] == {"kind": "mask", "x0": 1, "y0": 2.0, "width": 3, "height": 1, "runs": [0, 1, 2]}


def test_states_follow_what_people_do(project: Project, image: str) -> None:
    a, b, c = project.add_objects(image, [{"label": "x", "shape": BOX}] * 3, model="net")
    (d,) = project.add_objects(image, [{"label": "x", "shape": BOX}])
    project.accept([a, d])
    project.correct(b, label="y")
    project.correct(d, shape=BOX | {"x1": 1})
    project.delete(c)
    table = project.labels(state=STATES).set_index("object_id")
    assert table["state"].to_dict() == {a: "accepted", b: "corrected", c: "rejected", d: "added"}
    assert set(project.labels()["object_id"]) == {a, b, d} and project.labels(state="rejected")["object_id"].tolist() == [c]
    assert pd.isna(table["model"][d]) and table["model"][b] == "net"
    with pytest.raises(UsageError, match=r"rejected by ann at 2.*accept it"):
        project.correct(c, label="z")
    project.accept(c)
    assert project.object(c)["state"] == "accepted"
    assert project.accept(c) == {c: project.object(c)["version"]}
    assert project.summary() == {
        "images": 1,
        "objects": 4,
        "events": len(project.history()),
        "states": {"proposed": 0, "accepted": 2, "corrected": 1, "added": 1, "rejected": 0},
        "labels": {"x": 3, "y": 1},
        "image_labels": {},
        "decisions": {},
        "authors": {"ann": 8},
        "models": {"net": 3},
    }


def test_labels_are_found_by_image_frame_and_page(project: Project, image: str, tmp_path: Path) -> None:
    other = project.add_image(picture(tmp_path / "b.tif", 1))
    ids = project.add_objects(image, [{"label": "x", "shape": BOX, "frame": k % 3} for k in range(30)])
    project.add_objects(tmp_path / "b.tif", [{"label": "y", "shape": BOX}])
    assert project.labels(image)["object_id"].tolist() == ids and len(project.labels()) == 31
    assert project.labels(image, 1)["object_id"].tolist() == ids[1::3]
    assert project.labels(other)["label"].tolist() == ["y"]
    pages = list(project.stream_labels(size=7))
    assert [len(p) for p in pages] == [7, 7, 7, 7, 3]
    pd.testing.assert_frame_equal(pd.concat(pages, ignore_index=True), project.labels())


def test_a_page_holds_no_lock_while_it_is_looked_at(project: Project, image: str, tmp_path: Path) -> None:
    ids = project.add_objects(image, [{"label": "x", "shape": BOX}] * 6)
    pages = project.stream_labels(size=2)
    next(pages)
    with Project.open(tmp_path / "lab.morphoscope", "bob") as other:
        other.delete(ids[2])
    assert pd.concat(list(pages))["object_id"].tolist() == ids[3:]


def test_empty_tables_have_their_columns(project: Project) -> None:
    assert list(project.labels().columns)[:5] == ["file", "sha256", "frame", "object_id", "label"]
    assert str(project.labels()["track_id"].dtype) == "Int64" and len(project.labels()) == 0
    for table in (project.image_labels(), project.images(), project.history()):
        assert len(table) == 0 and "author" in table.columns
    assert project.verify() == [] and list(project.stream_labels()) == []


def test_a_model_never_overwrites_a_person(project: Project, image: str) -> None:
    project.set_label(image, "fibre", probability=0.6, decision="review", model="net")
    project.set_label(image, "wire", decision="accept")
    project.set_label(image, "film", probability=0.9, model="net2")
    (row,) = project.image_labels().to_dict("records")
    assert (row["label"], row["source"], row["decision"], row["author"]) == ("wire", "person", "accept", "ann")
    (model,) = project.image_labels("model").to_dict("records")
    assert (model["label"], model["probability"], model["model"]) == ("film", 0.9, "net2") and pd.isna(model["decision"])
    assert len(project.image_labels("person")) == 1
    project.set_label(image, None, frame=1, decision="foreign")
    assert project.image_labels()["frame"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        ([{"shape": BOX}], "object 0: label"),
        ([{"label": "a"}], "a shape must be a dict"),
        ([{"label": "a", "shape": {"x": 1}}], "kind"),
        ([{"label": "a", "shape": {"kind": "star"}}], "wanted a shape with a kind of"),
        ([{"label": "a", "shape": {"kind": "box", "x0": 5, "y0": 0, "x1": 1, "y1": 2}}], "a box wants"),
        ([{"label": "a", "shape": {"kind": "box", 1: 2}}], "text keys"),
        ([{"label": "a", "shape": {"kind": "box", "x": float("nan")}}], "finite"),
        ([{"label": "a", "shape": {"kind": "box", "x": np.array([np.inf])}}], "finite"),
        ([{"label": "a", "shape": {"kind": "box", "x": {1, 2}}}], "plain"),
        ([{"label": "a", "shape": BOX}, {"label": "a", "shape": BOX, "score": 1.5}], "object 1: score"),
        ([{"label": "a", "shape": BOX, "score": "high"}], "score"),
        ([{"label": "a", "shape": BOX, "track_id": 1.5}], "track_id"),
        ([{"label": "a", "shape": BOX, "track_id": float("inf")}], "track_id"),
        ([{"label": "a", "shape": BOX, "frame": 3}], "frames 0 to 2"),
        ([{"label": "a", "shape": BOX, "frame": -1}], "frame"),
        ([{"label": "a", "shape": BOX, "object_id": 5}], "object_id"),
        ([{"label": "a", "shape": BOX, "object_id": "k"}] * 2, "comes several times"),
    ],
)
def test_bad_objects_are_refused_and_nothing_kept(project: Project, image: str, objects: list, words: str) -> None:
    before = len(project.history())
    with pytest.raises(UsageError, match=words):
        project.add_objects(image, objects)
    assert len(project.history()) == before and len(project.labels()) == 0


def test_an_id_the_project_has(project: Project, image: str, tmp_path: Path) -> None:
    other = project.add_image(picture(tmp_path / "b.tif", 1))
    project.add_objects(image, [{"label": "a", "shape": BOX, "object_id": "k"}], model="net")
    project.correct("k", label="b")
    again = [{"label": "a", "shape": BOX, "object_id": "k"}, {"label": "a", "shape": BOX, "object_id": "new"}]
    with pytest.raises(UsageError, match="already holds 1 of these objects, such as 'k'"):
        project.add_objects(image, again, model="net")
    assert project.add_objects(image, again, model="net", existing="keep") == ["k", "new"]
    assert project.labels()["label"].tolist() == ["b", "a"]
    with pytest.raises(UsageError, match="belong to another image"):
        project.add_objects(other, again, existing="keep")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda p, i: p.add_objects("b" * 64, []), "holds no image"),
        (lambda p, i: p.labels("nowhere.tif"), "add_image"),
        (lambda p, i: p.labels(state="good"), "a state is one of"),
        (lambda p, i: p.correct("nothing", label="a"), "holds no object 'nothing'"),
        (lambda p, i: p.object("nothing"), "holds no object"),
        (lambda p, i: p.correct("k"), "needs a label or a shape"),
        (lambda p, i: p.correct("k", label=" "), "not empty"),
        (lambda p, i: p.accept(["k", "nothing"]), "holds no object"),
        (lambda p, i: p.accept(["k", "l"], seen=3), "one version"),
        (lambda p, i: p.set_label(i, None), "needs a label or a decision"),
        (lambda p, i: p.set_label(i, "a", decision="maybe"), "accept, review, foreign, reject"),
        (lambda p, i: p.set_label(i, "a", probability=-0.1), "probability"),
        (lambda p, i: p.set_label(i, "a", frame=3), "frames 0 to 2"),
        (lambda p, i: p.set_label(i, "a", model=("net", "abc")), "64 hex"),
        (lambda p, i: p.set_label(i, "a", model=""), "name of a model"),
        (lambda p, i: p.add_objects(i, [], existing="replace"), "existing is"),
        (lambda p, i: p.image_labels("robot"), "'person' or 'model'"),
        (lambda p, i: p.stream_labels(size=0), "at least one row"),
        (lambda p, i: p.undo(author="eve"), "0 steps by eve"),
        (lambda p, i: p.undo(99), "99 were wanted"),
        (lambda p, i: p.undo(0), "at least one"),
        (lambda p, i: p.redo(), "to redo"),
    ],
)
def test_wrong_use_is_said(project: Project, image: str, call: object, words: str) -> None:
    project.add_objects(image, [{"label": "a", "shape": BOX, "object_id": k} for k in "kl"])
    before = project.history()
    with pytest.raises(UsageError, match=words):
        call(project, image)
    pd.testing.assert_frame_equal(project.history(), before)


def test_files_that_are_no_images(project: Project, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the image"):
        project.add_image(tmp_path / "nothing.tif")
    with pytest.raises(InputError, match="cannot read the image"):
        project.add_image(tmp_path)
    (tmp_path / "text.tif").write_text("no picture")
    with pytest.raises(InputError):
        project.add_image(tmp_path / "text.tif")
    assert len(project.images()) == 0


def test_what_changed_since_it_was_read_is_not_overwritten(project: Project, image: str, tmp_path: Path) -> None:
    project.add_objects(image, [{"label": "a", "shape": BOX, "object_id": "k"}], model="net")
    seen = int(project.labels()["version"][0])
    with Project.open(tmp_path / "lab.morphoscope", "bob") as other:
        mine = other.correct("k", label="b", seen=seen)
        assert other.correct("k", label="c", seen=mine) == project.object("k")["version"]
        label = other.set_label(image, "fibre", seen=0)
    for call in (
        lambda: project.correct("k", label="z", seen=seen),
        lambda: project.accept("k", seen=seen),
        lambda: project.delete(["k"], seen={"k": mine}),
        lambda: project.set_label(image, "wire", seen=0),
    ):
        with pytest.raises(ProjectConflictError, match=r"changed since it was read .*by bob at 20\d\d-.*read it again"):
            call()
    assert project.labels()["label"].tolist() == ["c"]
    assert project.set_label(image, "wire", seen=label) > label


def test_a_batch_is_one_step_and_all_or_nothing(project: Project, image: str) -> None:
    with project.batch(author="bob", model=("net", "b" * 64)):
        project.add_objects(image, [{"label": "a", "shape": BOX, "object_id": "k"}])
        project.set_label(image, "fibre", probability=0.5)
        with pytest.raises(UsageError, match="inside a batch"):
            project.undo()
    assert project.labels()[["author", "model", "state"]].values.tolist() == [["bob", "net", "proposed"]]
    assert project.image_labels()["source"].tolist() == ["model"]
    before = project.history()
    with pytest.raises(ZeroDivisionError), project.batch():
        project.correct("k", label="b")
        _ = 1 / 0
    pd.testing.assert_frame_equal(project.history(), before)
    assert project.labels()["label"].tolist() == ["a"]
    project.undo(author="bob")
    assert len(project.labels()) == 0 and len(project.image_labels()) == 0


def test_a_failure_caught_inside_a_batch_takes_back_its_own_part(project: Project, image: str) -> None:
    with project.batch():
        project.add_objects(image, [{"label": "a", "shape": BOX, "object_id": "k"}])
        with pytest.raises(UsageError), project.batch(model="net"):
            project.correct("k", label="b")
            project.add_objects(image, [{"label": "a", "shape": BOX, "object_id": "k"}])
        project.add_objects(image, [{"label": "c", "shape": BOX, "object_id": "l"}])
    assert project.labels()[["label", "state"]].values.tolist() == [["a", "added"], ["c", "added"]]
    assert project.verify() == [] and project.history()["step"].tolist()[-2:] == [2, 2]


def test_the_author_is_the_login_name_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "grace")
    with Project.open(tmp_path / "x.db") as project:
        assert project.author == "grace"
    with pytest.raises(UsageError, match="author"):
        Project.open(tmp_path / "x.db", " ")
