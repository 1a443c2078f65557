"""Runs of `classify`: any pictures in, a decision for each; bad files listed, broken runs resumed, people heard."""

from __future__ import annotations

import gc
import hashlib
import json
import weakref
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile
from matplotlib.figure import Figure

import morphoscope as ms
from class_doubles import CLASSES, GreyClassifier, flat, held_out, run_of
from morphoscope.cli.main import main
from morphoscope.errors import InputError, RunExistsError, UsageError
from morphoscope.io.tables import table_hash
from morphoscope.pipeline import classify_outputs, classifying
from morphoscope.pipeline.again import analyze_again, differences
from morphoscope.project import Project
from morphoscope.recipe import parse_recipe


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No figure (`test_class_report` is about it)."""
    monkeypatch.setattr(classify_outputs, "decisions", lambda *_, **__: Figure())
    monkeypatch.setattr(classify_outputs, "save_figure", lambda *_: None)


GREYS = {"a/x.png": 25, "a/y.png": 128, "b/x.png": 230, "b/z.png": 80, "c.png": 130}
TRUE = {"a/x.png": "dark", "a/y.png": "middle", "b/x.png": "bright", "c.png": "middle"}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three greys, one between two, one in colour, one of 16 bits, one damaged."""
    for name, value in GREYS.items():
        flat(tmp_path / "in" / name, value)
    folder = tmp_path / "in"
    (folder / "c.png").rename(folder / "b" / "c.png")
    cv2.imwrite(str(folder / "b" / "colour.png"), np.full((20, 24, 3), (10, 100, 240), np.uint8))
    tifffile.imwrite(folder / "b" / "deep.tif", np.full((30, 20), 58000, np.uint16), photometric="minisblack")
    (folder / "a" / "broken.png").write_bytes(b"\x89PNG no")
    return folder


def test_each_image_gets_a_category_and_a_decision(pictures: Path, tmp_path: Path) -> None:
    run = run_of(pictures, tmp_path / "run", {"next": 3})
    images = run.images.set_index("file")
    assert run.exit_code == 4 and [one["file"] for one in run.info["failed"]] == ["a/broken.png"]
    assert images["label"].to_dict() == {
        "a/x.png": "dark", "a/y.png": "middle", "b/c.png": "middle", "b/x.png": "bright", "b/z.png": "middle",
        "b/deep.tif": "bright", "b/colour.png": "middle",
    }  # fmt: skip
    assert images["decision"].to_dict() == {
        "a/x.png": "accept", "a/y.png": "accept", "b/c.png": "accept", "b/x.png": "accept", "b/z.png": "review",
        "b/deep.tif": "accept", "b/colour.png": "foreign",
    }  # fmt: skip
    assert images.loc["b/z.png", "labels"] == "middle|dark" and images.loc["a/x.png", "labels"] == "dark"
    chances = images[[f"prob_{name}" for name in CLASSES]].sum(axis=1)
    assert chances.to_numpy() == pytest.approx(1, abs=1e-6)
    assert list(run.images.columns[:7]) == ["file", "label", "probability", *(f"prob_{c}" for c in CLASSES), "decision"]
    assert (images.loc["b/deep.tif", "width_px"], images.loc["b/deep.tif", "height_px"]) == (20, 30)
    assert images["pixel_size_nm"].isna().all() and set(images["by"]) == {"model"}
    upcoming = pd.read_csv(run.path / "next.csv")
    assert upcoming["file"].tolist()[0] == "b/z.png" and len(upcoming) == 3
    assert upcoming["why"].tolist()[0] == "between middle and dark" and "far from what was learnt" in set(upcoming["why"])
    assert upcoming["label"].isna().all() and upcoming.loc[0, "second"] == "dark"
    shares = run.quantities.set_index("name")["value"]
    assert shares["decision accept"] == pytest.approx(5 / 7) and shares["share bright"] == pytest.approx(2 / 6)
    assert "report" in run.report.name and "1 are foreign" in run.info["findings"][0]


def test_the_threshold_is_that_of_the_named_accuracy(pictures: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(pictures / "odd.png"), np.full((20, 24, 3), (10, 60, 170), np.uint8))  # foreign, as dark as middle
    strict = run_of(pictures, tmp_path / "strict", {"accuracy": 0.99})
    lax = run_of(pictures, tmp_path / "lax", {"accuracy": 0.6, "coverage": 0.5})
    none = run_of(pictures, tmp_path / "none", {"accuracy": 0.9999})
    assert strict.info["promise"]["threshold"] > 0.79 > lax.info["promise"]["threshold"]
    assert lax.info["decisions"]["accept"] == 6 and strict.info["decisions"]["accept"] == 5
    assert none.info["decisions"]["accept"] == 0 and none.info["promise"]["possible"] is False
    assert any("Nothing is accepted" in line and "most that can be promised" in line for line in none.warnings)
    several = [run.images["labels"].str.contains("|", regex=False).sum() for run in (lax, strict)]
    assert several[0] < several[1]


def test_images_have_all_categories_they_lie_between_also_where_they_are_accepted(pictures: Path, tmp_path: Path) -> None:
    labels = run_of(pictures, tmp_path / "run", {"coverage": 0.05}).images.set_index("file")["labels"]
    assert labels["b/z.png"] == "middle|dark" and not labels.drop("b/z.png").str.contains("|", regex=False).any()
    lax = run_of(pictures, tmp_path / "lax", {"coverage": 0.05, "accuracy": 0.6})
    assert lax.images.set_index("file").loc["b/z.png", ["decision", "labels"]].tolist() == ["accept", "middle|dark"]
    assert "1 images lie between categories, 1 of them accepted, most often dark and middle (1 images)" in lax.info["findings"]


def test_a_model_without_held_out_images_promises_nothing(pictures: Path, tmp_path: Path) -> None:
    run = run_of(pictures, tmp_path / "run", classifier=GreyClassifier(held_out=None))
    assert run.info["decisions"]["accept"] == 0 and run.info["promise"] is None
    assert run.images["labels"].isna().all() and "no accuracy can be promised" in run.warnings[1]


def test_answers_of_a_class_that_was_not_held_out_are_left_to_a_person(pictures: Path, tmp_path: Path) -> None:
    held = held_out().model_copy(update={"by_class": (1200, 0, 1200)})
    run = run_of(pictures, tmp_path / "run", classifier=GreyClassifier(held_out=held))
    decided = run.images.set_index("file")["decision"]
    assert decided["a/x.png"] == "review" and decided["a/y.png"] == decided["b/x.png"] == "accept"
    assert any("No image of dark was held out" in line and "name it (1)" in line for line in run.warnings)


def test_a_broken_run_goes_on_and_gives_the_same(tmp_path: Path) -> None:
    for k in range(30):
        flat(tmp_path / "in" / f"{k}.png", 8 * k)
    recipe = parse_recipe({"report": {"overlay": False}, "run": {"chunk": 10}})
    with pytest.raises(KeyboardInterrupt):
        ms.classify(tmp_path / "in", recipe, tmp_path / "run", classifier=GreyClassifier(fail_at=3))
    assert len(list((tmp_path / "run" / "parts").glob("answers-*.parquet"))) == 1
    second = GreyClassifier()
    run = ms.classify(tmp_path / "in", recipe, tmp_path / "run", classifier=second, resume=True)
    whole = ms.classify(tmp_path / "in", recipe, tmp_path / "whole", classifier=GreyClassifier())
    assert table_hash(run.images) == table_hash(whole.images) and second.calls == 4
    assert (run.path / "next.csv").read_bytes() == (whole.path / "next.csv").read_bytes()
    assert not (run.path / "parts").exists()
    with pytest.raises(RunExistsError):
        ms.classify(tmp_path / "in", recipe, tmp_path / "run", classifier=second)
    again = ms.classify(tmp_path / "in", recipe, tmp_path / "run", classifier=second, resume=True)
    assert table_hash(again.images) == table_hash(whole.images) and second.calls == 4
    other = parse_recipe({"report": {"overlay": False}, "run": {"chunk": 10}, "classify": {"accuracy": 0.9}})
    with pytest.raises(UsageError, match="other settings under classify"):
        ms.classify(tmp_path / "in", other, tmp_path / "run", classifier=second, resume=True)


def test_stacks_have_a_row_per_frame_and_damage_ends_them(tmp_path: Path) -> None:
    frames = np.stack([np.full((20, 24), value, np.uint8) for value in (20, 128, 230, 20)])
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in" / "s.tif", frames, photometric="minisblack")
    flat(tmp_path / "in" / "z.png", 128)
    run = run_of(tmp_path / "in", tmp_path / "run")
    assert run.images["frame"].tolist() == [0, 1, 2, 3, 0]
    assert run.images["label"].tolist() == ["dark", "middle", "bright", "dark", "middle"]
    recipe = parse_recipe({"report": {"overlay": False}, "frames": {"start": 1, "step": 2}})
    some = ms.classify(tmp_path / "in", recipe, tmp_path / "some", classifier=GreyClassifier())
    assert some.images["frame"].tolist() == [1, 3, 0]


def test_what_people_said_holds_and_proposals_stand_beside_it(pictures: Path, tmp_path: Path) -> None:
    store = tmp_path / "own.project"
    with Project.open(store, "ann") as project:
        project.set_label(project.add_image(pictures / "b" / "z.png"), "fog")
        project.set_label(project.add_image(pictures / "a" / "x.png"), None, decision="foreign")
        project.set_label(project.add_image(pictures / "a" / "y.png"), "dark")
    run = run_of(pictures, tmp_path / "run", {"project": str(store), "next": 7})
    images = run.images.set_index("file")
    assert images.loc["b/z.png", ["label", "decision", "by"]].tolist() == ["fog", "accept", "person"]
    assert np.isnan(images.loc["b/z.png", "probability"]) and images.loc["b/z.png", "prob_middle"] > 0.4
    assert images.loc["a/x.png", ["label", "decision"]].tolist() == ["dark", "foreign"]
    assert images.loc["a/y.png", "label"] == "dark" and images.loc["a/y.png", "probability"] < 0.1
    assert not {"b/z.png", "a/x.png", "a/y.png"} & set(pd.read_csv(run.path / "next.csv")["file"])
    assert any("fog" in line and "does not know" in line for line in run.info["notes"])
    with Project.open(store, create=False, readonly=True) as project:
        own = project.image_labels("model").set_index("file")
        assert own.loc["in/b/z.png", ["label", "decision", "model"]].tolist() == ["middle", "review", "greys"]
        assert len(own) == 7 and project.image_labels("person")["author"].tolist() == ["ann"] * 3
        assert project.verify() == []
    with pytest.raises(InputError, match="newer|version"):
        _make_newer(store)
        run_of(pictures, tmp_path / "later", {"project": str(store)})
    assert not (tmp_path / "later").exists()


def _make_newer(path: Path) -> None:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
        connection.commit()


def test_each_file_is_hashed_once(tmp_path: Path, monkeypatch) -> None:
    for k in range(3):
        flat(tmp_path / "in" / f"{k}.png", 25 + k)
    hashed, real = list[str](), hashlib.file_digest

    def counted(file, name):
        hashed.append(Path(file.name).name)
        return real(file, name)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    run_of(tmp_path / "in", tmp_path / "run", {"project": str(tmp_path / "p"), "sort": "copy"})
    assert sorted(hashed) == ["0.png", "1.png", "2.png"]


def test_all_folders_are_searched_but_runs(tmp_path: Path) -> None:
    for name in ("top.png", "one/a.png", "one/two/b.png"):
        flat(tmp_path / "in" / name, 20 + len(name))
    first = run_of(tmp_path / "in", tmp_path / "in" / "run", {"sort": "copy"})
    assert first.images["file"].tolist() == ["top.png", "one/a.png", "one/two/b.png"]
    assert run_of(tmp_path / "in", tmp_path / "again").images["file"].tolist() == first.images["file"].tolist()


def test_bad_input_is_said(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"nothing")
    with pytest.raises(InputError, match="none of the 1 files could be classified") as said:
        run_of(tmp_path / "in", tmp_path / "run")
    assert "a.png" in str(said.value) and not (tmp_path / "run").exists()
    flat(tmp_path / "in" / "b.png", 3)
    with pytest.raises(UsageError, match="has no effect"):
        ms.classify(tmp_path / "in", parse_recipe({"frames": {"invert": True}}), tmp_path / "run", classifier=GreyClassifier())
    with pytest.raises(UsageError, match="wanted a model"):
        ms.classify(tmp_path / "in", None, tmp_path / "run")
    with pytest.raises(InputError, match="there is no file"):
        run_of(tmp_path / "nowhere", tmp_path / "run")


def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    """Only as many images are read and prepared ahead as fit, and all are let go."""
    alive: set[int] = set()
    most = 0

    class Counting(GreyClassifier):
        def prepare(self, image):
            nonlocal most
            made = super().prepare(image)
            for part in (image, made):
                alive.add(id(part))
                weakref.finalize(part, alive.discard, id(part))
            most = max(most, len(alive))
            return made

    for k in range(120):
        flat(tmp_path / "in" / f"{k}.png", k)
    run_of(tmp_path / "in", tmp_path / "run", classifier=Counting())
    gc.collect()
    assert not alive and most <= 48


def test_the_command(pictures: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(classifying, "_load", lambda recipe: GreyClassifier())
    with pytest.raises(SystemExit) as ended:
        main(["classify", str(pictures), "-o", str(tmp_path / "run"), "--model", "m.onnx", "--accuracy", "0.9", "--json"])
    said = capsys.readouterr()
    facts = json.loads(said.out)
    assert ended.value.code == 4 and facts["counts"]["images"] == 7 and "broken.png" in said.err
    assert facts["decisions"]["foreign"] == 1 and facts["promise"]["accuracy"] == 0.9
    with pytest.raises(SystemExit) as ended:
        main(["classify", str(pictures), "-o", str(tmp_path / "run2"), "--model", "m.onnx", "--accuracy", "1.5"])
    assert ended.value.code == 2 and "accuracy" in capsys.readouterr().err


def test_a_run_again_is_the_same_and_writes_nothing_new(pictures: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(classifying, "_load", lambda recipe: GreyClassifier())
    run = run_of(pictures, tmp_path / "run", {"project": str(tmp_path / "p")})
    with Project.open(tmp_path / "p") as project:
        before = len(project.history())
    again = analyze_again(run, tmp_path / "again")
    assert differences(run, again) == []
    with Project.open(tmp_path / "p") as project:
        assert len(project.history()) == before
    other = run_of(pictures, tmp_path / "other", {"accuracy": 0.6})
    assert any("decision differs" in line for line in differences(run, other))
