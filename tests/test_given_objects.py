"""Objects measured from labels and masks, without any model."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from morphoscope.cli.main import main
from morphoscope.errors import InputError
from morphoscope.io.label_set import ImageFacts, Label, LabelSet
from morphoscope.io.labels import write_labels
from morphoscope.io.shapes import Box, Ellipse, Mask, Point, Polygon, as_polygon, rasterize
from morphoscope.measure.outlines import ellipse_of_mask, ellipse_of_rings
from morphoscope.pipeline import analyze
from morphoscope.pipeline.given import larger_than_boxes
from morphoscope.recipe import parse_recipe


@given(st.floats(4, 60), st.floats(0.2, 1), st.floats(0, 179.9), st.floats(-50, 50))
def test_a_fine_polygon_of_an_ellipse_gives_the_ellipse(major: float, ratio: float, angle: float, x: float) -> None:
    t = np.arange(2000) * 2 * np.pi / 2000
    u, v = major / 2 * np.cos(t), major * ratio / 2 * np.sin(t)
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    ring = np.stack([x + u * cos + v * sin, 7 - u * sin + v * cos], axis=1)
    for corners in (ring, ring[::-1]):
        fit = ellipse_of_rings([corners], [1])
        assert fit is not None
        assert (fit.x, fit.y) == pytest.approx((x, 7), abs=1e-6)
        assert (fit.major, fit.minor) == pytest.approx((major, major * ratio), rel=1e-4)
        assert fit.area == pytest.approx(math.pi / 4 * major**2 * ratio, rel=1e-4)
        if ratio < 0.95:
            assert min(abs(fit.angle_deg - angle), 180 - abs(fit.angle_deg - angle)) < 0.1


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**31))
def test_a_mask_and_its_outline_have_the_same_ellipse(height: int, width: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).random((height, width)) < 0.6
    pixels[height // 2, width // 2] = True
    mask = Mask.from_pixels(pixels)
    outline = as_polygon(mask)
    signs = [1 if _clockwise(ring) else -1 for ring in outline.rings]
    by_outline = ellipse_of_rings([np.asarray(r) for r in outline.rings], signs)
    by_pixels = ellipse_of_mask(mask.pixels, mask.x0 + 0.5, mask.y0 + 0.5)
    assert by_outline is not None and by_pixels is not None
    assert by_outline[:4] == pytest.approx(by_pixels[:4], abs=1e-6)
    assert by_outline.area == pytest.approx(pixels.sum())


def _clockwise(ring: tuple) -> bool:
    """Rings of `as_polygon` have the inside on the right, so holes run the other way."""
    return sum(xa * yb - xb * ya for (xa, ya), (xb, yb) in zip(ring, (*ring[1:], ring[0]), strict=True)) > 0


def test_nothing_has_no_ellipse() -> None:
    assert ellipse_of_mask(np.zeros((3, 3))) is None
    assert ellipse_of_rings([np.array([[0, 0], [1, 1], [2, 2]])], [1]) is None


SHAPES = {
    "ellipse": Ellipse(40.5, 30.5, 20, 10, 30),
    "polygon": Polygon((((60, 10), (80, 10), (80, 20), (60, 20)),)),
    "turned": Box(30.5, 70.5, 24, 6, 45),
    "point": Point(90.5, 90.5),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures with dark discs, and labels of four shapes on the first, none on the second."""
    picture = np.full((100, 120), 200, np.uint8)
    picture[rasterize(Ellipse(90.5, 50.5, 16, 16), 100, 120)] = 60
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / name), picture)
    labels = [Label("a.png", name, shape, object_id=f"id-{name}") for name, shape in SHAPES.items()]
    labels.append(Label("a.png", "box", Box.from_corners(82, 42, 99, 59)))
    write_labels(
        LabelSet({"a.png": ImageFacts(120, 100), "b.png": ImageFacts(120, 100)}, tuple(labels)), tmp_path / "l.csv", "csv"
    )
    return tmp_path


RECIPE = {"frames": {"series": False}, "calibration": {"pixel_size_nm": 2.0}, "report": {"overlay": False}}


def test_given_shapes_are_measured_as_they_are(folder: Path) -> None:
    recipe = parse_recipe({**RECIPE, "detect": {"objects": str(folder / "l.csv")}})
    run = analyze(folder, recipe, folder / "run")
    objects = run.objects.set_index("label")
    assert objects.loc["ellipse", ["ellipse_x_px", "ellipse_y_px", "major_px", "minor_px", "angle_deg"]].tolist() == [
        40,
        30,
        20,
        10,
        30,
    ]
    assert objects.loc["ellipse", "major_nm"] == 40
    assert objects.loc["polygon", ["x_px", "y_px", "area_px"]].tolist() == [69.5, 14.5, 200]
    assert objects.loc["polygon", "major_px"] == pytest.approx(4 * 20 / math.sqrt(12))
    assert objects.loc["turned", ["area_px", "angle_deg"]].tolist() == pytest.approx([144, 45])
    assert objects.loc["box", "major_px"] == pytest.approx(16, abs=1.5)
    assert not objects.loc["point", "fitted"] and math.isnan(objects.loc["point", "major_px"])
    assert objects.loc["turned", "given_id"] == "id-turned"
    assert run.frames["count"].tolist() == [5, 0]
    assert run.info["model"]["name"] == "objects given"
    page = (folder / "run" / "report.html").read_text(encoding="utf-8")
    assert "not detected but given" in page


def test_masks_are_matched_by_name_and_tracks_are_kept(tmp_path: Path) -> None:
    frames = [np.full((60, 80), 180, np.uint8) for _ in range(4)]
    labels = []
    for k, frame in enumerate(frames):
        disc = rasterize(Ellipse(30.5 + 2 * k, 30.5, 12, 12), 60, 80)
        frame[disc] = 50
        cv2.imwrite(str(tmp_path / f"f{k}.png"), frame)
        labels.append(Label(f"masks/f{k}.tif", "disc", Mask.from_pixels(disc), track_id=7))
    files = {label.file: ImageFacts(80, 60) for label in labels}
    write_labels(LabelSet(files, tuple(labels)), tmp_path / "labels" / "l.csv", "csv")
    recipe = parse_recipe({"detect": {"objects": str(tmp_path / "labels" / "l.csv")}, "track": {"register_frames": False}})
    run = analyze(tmp_path, recipe, tmp_path.with_name("out"))
    assert run.objects["track_id"].tolist() == [7] * 4
    assert run.objects["x_px"].tolist() == [30, 32, 34, 36]
    assert run.tracks["track_id"].tolist() == [7]


def test_labels_of_other_files_are_refused(folder: Path) -> None:
    cv2.imwrite(str(folder / "other.png"), np.zeros((50, 50), np.uint8))
    (folder / "x.csv").write_text("file,label,x0,y0,x1,y1\nq.png,a,0,0,5,5\nr.png,a,0,0,5,5\n")
    with pytest.raises(InputError, match=r"none of the files labelled .* is in the input"):
        analyze(folder / "other.png", parse_recipe({"detect": {"objects": str(folder / "x.csv")}}), folder / "run")


def test_from_the_command_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "r.toml").write_text("[frames]\nseries = false\n")
    command = ["analyze", str(folder), "--objects", str(folder / "l.csv"), "--recipe", str(folder / "r.toml"), "--no-overlay"]
    with pytest.raises(SystemExit) as ended:
        main([*command, "--scale", "2", "-o", str(folder / "run"), "--json"])
    assert ended.value.code == 0
    assert json.loads(capsys.readouterr().out)
    assert len(pd.read_parquet(folder / "run" / "objects.parquet")) == 5


@settings(max_examples=10, deadline=None)
@given(st.floats(0.5, 4), st.floats(0.5, 4))
def test_unequal_pixels_change_nm_only(size_y: float, size_x: float) -> None:
    from morphoscope.calibration import Calibration

    fit = ellipse_of_rings([np.asarray(Ellipse(0, 0, 20, 10, 0).ring)], [1])
    assert fit is not None
    known = Calibration().updated("test", pixel_size_nm=(size_y, size_x))
    major, minor = known.ellipse_nm(fit.major, fit.minor, fit.angle_deg)
    assert float(major * minor) == pytest.approx(fit.major * fit.minor * size_x * size_y)


def test_what_the_header_says_of_frames_goes_into_the_table(tmp_path: Path) -> None:
    """An OME stack with uneven times and a moving stage: both are in frames.parquet, the times in objects.parquet too."""
    planes = {"DeltaT": [0.0, 1.0, 5.0], "PositionX": [10.0, 11.0, 12.0], "PositionXUnit": ["µm"] * 3}
    stack = np.full((3, 40, 50), 100, np.uint8)
    tifffile.imwrite(
        tmp_path / "s.ome.tif", stack, metadata={"axes": "TYX", "Plane": planes, "PhysicalSizeX": 2, "PhysicalSizeY": 2}
    )
    rows = "".join(f"s.ome.tif,disc,10,10,20,20,{frame}\n" for frame in range(3))
    (tmp_path / "l.csv").write_text("file,label,x0,y0,x1,y1,frame\n" + rows)
    recipe = parse_recipe({"detect": {"objects": str(tmp_path / "l.csv")}, "report": {"overlay": False}})
    run = analyze(tmp_path / "s.ome.tif", recipe, tmp_path / "run")
    assert run.frames["time_s"].tolist() == [0, 1, 5]
    assert run.frames["stage_x_um"].tolist() == [10, 11, 12]
    assert run.objects["time_s"].tolist() == [0, 1, 5]
    assert any("steps" in note or "even" in note for note in run.info["notes"])


@pytest.mark.parametrize("polarity", ["dark", "bright"])
def test_boxes_of_bright_objects_are_measured_where_the_recipe_says_so(tmp_path: Path, polarity: str) -> None:
    disc = rasterize(Ellipse(30.5, 30.5, 14, 14), 60, 60)
    picture = np.where(disc, 200, 60).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "p.png"), picture if polarity == "bright" else 255 - picture)
    (tmp_path / "l.csv").write_text("file,label,x0,y0,x1,y1\np.png,disc,23,23,38,38\n")
    values = {"objects": str(tmp_path / "l.csv"), "polarity": polarity}
    run = analyze(tmp_path / "p.png", parse_recipe({"detect": values, "report": {"overlay": False}}), tmp_path / "run")
    assert run.objects["area_px"].tolist() == pytest.approx([disc.sum()], rel=0.06)
    assert run.objects["major_px"].tolist() == pytest.approx([14], abs=0.8)


def measured(folder: Path, labels: str, **frames: object) -> dict:
    """run.json of p.png measured with labels."""
    (folder / "l.csv").write_text("file,label,x0,y0,x1,y1\n" + labels)
    values = {"detect": {"objects": str(folder / "l.csv")}, "report": {"overlay": False}, "frames": frames}
    return analyze(folder / "p.png", parse_recipe(values), folder / "run", overwrite=True).info


@pytest.fixture
def bright(tmp_path: Path) -> Path:
    """p.png with a bright disc at (30, 30)."""
    picture = np.where(rasterize(Ellipse(30.5, 30.5, 14, 14), 60, 80), 200, 60).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "p.png"), picture)
    return tmp_path


def test_masks_of_another_picture_are_refused(bright: Path) -> None:
    write_labels(
        LabelSet({"q.png": ImageFacts(50, 40)}, (Label("q.png", "a", Box(5, 5, 4, 4)),), root=bright), bright / "l.json", "coco"
    )
    recipe = parse_recipe({"detect": {"objects": str(bright / "l.json")}})
    with pytest.raises(InputError, match="labels of another picture"):
        analyze(bright / "p.png", recipe, bright / "run")


def test_objects_larger_than_their_boxes_are_warned_of() -> None:
    boxes = pd.DataFrame({"width_px": [20.0] * 4, "height_px": 20.0, "major_px": 20.0, "minor_px": 18.0, "fitted": True})
    assert larger_than_boxes(boxes, "dark") == []
    assert larger_than_boxes(boxes.assign(major_px=[30, 31, 20, 20], minor_px=[26, 26, 18, 18]), "dark")[0].startswith(
        "2 of 4 objects are larger"
    )
    needles = boxes.assign(major_px=28.2, minor_px=2.0)  # along the diagonal of a square box
    assert larger_than_boxes(needles, "bright") == []


def test_only_the_region_in_which_labels_are_complete_counts(bright: Path) -> None:
    (bright / "labels.toml").write_text('file = "l.csv"\ncomplete_region = { x0 = 0, y0 = 0, x1 = 40, y1 = 60 }\n')
    info = measured(bright, "p.png,disc,23,23,38,38\np.png,disc,60,20,70,30\n")
    assert info["counts"]["objects"] == 1
    assert any("x 0 to 40" in note for note in info["notes"])
    named = measured(bright, "p.png,disc,23,23,38,38\n", region={"x0": 0, "y0": 0, "x1": 80, "y1": 60})
    assert not any("complete" in note for note in named["notes"])


def test_a_scale_that_overrules_the_file_is_warned_of(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "p.tif", np.zeros((60, 80), np.uint8), imagej=True, resolution=(2, 2), metadata={"unit": "nm"})
    (tmp_path / "l.csv").write_text("file,label,x0,y0,x1,y1\np.tif,a,10,10,20,20\n")
    for scale, warned in ((3.0, True), (0.5, False)):
        values = {
            "detect": {"objects": str(tmp_path / "l.csv")},
            "calibration": {"pixel_size_nm": scale},
            "report": {"overlay": False},
        }
        run = analyze(tmp_path / "p.tif", parse_recipe(values), tmp_path / "run", overwrite=True)
        assert any("Two scales disagree" in warning for warning in run.warnings) == warned


def test_a_model_and_objects_exclude_each_other(bright: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["analyze", str(bright / "p.png"), "--objects", "l.csv", "--model", "loops", "-o", str(bright / "run")])
    assert ended.value.code == 2 and "give one of them" in capsys.readouterr().err


def test_a_corrected_table_of_a_run_is_taken_over(folder: Path) -> None:
    """A row deleted, one resized and one moved by hand: the others stay as they are to the last bit."""
    recipe = parse_recipe({**RECIPE, "detect": {"objects": str(folder / "l.csv")}})
    first = analyze(folder, recipe, folder / "run").objects
    first.to_parquet(folder / "same.parquet")
    again = parse_recipe({**RECIPE, "detect": {"objects": str(folder / "same.parquet")}})
    columns = ["x_px", "ellipse_x_px", "major_px", "minor_px", "angle_deg", "area_px", "major_nm", "fitted"]
    pd.testing.assert_frame_equal(analyze(folder, again, folder / "run2").objects[columns], first[columns])
    corrected = first[first["label"] != "turned"].copy()
    corrected.loc[corrected["label"] == "polygon", "major_px"] = 50.0
    corrected.loc[corrected["label"] == "ellipse", ["x_px", "y_px"]] = [20.0, 80.0]
    corrected.to_parquet(folder / "corrected.parquet")
    last = parse_recipe({**RECIPE, "detect": {"objects": str(folder / "corrected.parquet")}})
    found = analyze(folder, last, folder / "run3").objects.set_index("label")
    assert "turned" not in found.index
    assert found.loc["polygon", ["major_px", "major_nm"]].tolist() == [50, 100]
    assert found.loc["ellipse", "x_px"] == 20 and not found.loc["ellipse", "fitted"]  # nothing is there
    assert found.loc["box", "major_px"] == first.set_index("label").loc["box", "major_px"]


def test_a_run_can_be_repeated_from_another_folder(bright: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory) -> None:
    (bright / "l.csv").write_text("file,label,x0,y0,x1,y1\np.png,disc,23,23,38,38\n")
    monkeypatch.chdir(bright)
    with pytest.raises(SystemExit) as ended:
        main(["analyze", "p.png", "--objects", "l.csv", "--no-overlay", "-o", "run"])
    assert ended.value.code == 0
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    for command in (["rerun", str(bright / "run"), "-o", "again"], ["diff", str(bright / "run"), "again"]):
        with pytest.raises(SystemExit) as ended:
            main(command)
        assert ended.value.code == 0
