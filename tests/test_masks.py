"""Objects with masks from files to a run folder, as users type it."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile

from doubles import BLOBS, RADIUS, SHAPE, BlobDetector, film, write_folder, write_stack
from morphoscope.calibration import Calibration
from morphoscope.cli.main import main
from morphoscope.errors import UsageError
from morphoscope.io.tables import table_hash
from morphoscope.measure.shape import shapes
from morphoscope.pipeline import Run, analyse_frame, analyze, outputs, overlays, segment
from morphoscope.pipeline.again import differences
from morphoscope.pipeline.masks import ThresholdSegmenter
from morphoscope.pipeline.overlays import Overlays
from morphoscope.recipe import Recipe, parse_recipe
from morphoscope.schema import OBJECTS, SHAPES


@pytest.fixture(autouse=True)
def no_figures(monkeypatch):
    """They take longest, and few tests here look at them."""
    draw = outputs._draw_figures
    monkeypatch.setattr(outputs, "_draw_figures", lambda *_: {})
    return lambda: monkeypatch.setattr(outputs, "_draw_figures", draw)


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Run a command in a fresh folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(a) for a in arguments])
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return call


def recipe(**sections: dict) -> Recipe:
    values: dict = {"report": {"overlay": False}, "detect": {"model": "otsu"}, "segment": {"smallest_px": 30}}
    for section, settings in sections.items():
        values.setdefault(section, {}).update(settings)
    return parse_recipe(values)


def test_a_folder_becomes_masks_and_objects(command, tmp_path):
    write_folder(tmp_path / "images", film(3))
    code, printed, _ = command("segment", "images", "--model", "otsu", "--scale", 0.5, "-o", "run", "--no-overlay")
    run = Run(tmp_path / "run")
    assert code == 0 and "15 objects" in printed
    assert run.frames["count"].tolist() == [5, 5, 5] and run.tracks.empty
    assert {*OBJECTS, *SHAPES} <= set(run.objects.columns) and run.objects["track_id"].isna().all()
    assert run.objects["fitted"].all() and run.objects["score"].isna().all() and set(run.objects["label"]) == {"particle"}
    for name in ("frame0", "frame1", "frame2"):
        labels = tifffile.imread(tmp_path / "run" / "masks" / f"{name}.tif")
        rows = run.objects[run.objects["file"] == f"{name}.png"]
        assert labels.shape == SHAPE and labels.dtype == np.uint16
        again = shapes(labels, calibration=Calibration((0.5, 0.5)))
        assert rows["mask_label"].tolist() == again["mask_label"].tolist() == [1, 2, 3, 4, 5]
        for column in ("area_px", "major_nm", "perimeter_nm", "feret_min_px", "circularity", "x_nm"):
            assert np.allclose(rows[column], again[column])
    assert np.allclose(run.objects["equivalent_diameter_px"], 2 * RADIUS + 1, atol=1.5)
    assert not list((tmp_path / "run").rglob("*.part"))


def test_a_stack_gets_a_page_per_frame_and_empty_ones_where_nothing_was_analysed(tmp_path):
    path = write_stack(tmp_path / "film.tif", film(7))
    run = segment(path, recipe(frames={"start": 2, "step": 2}), tmp_path / "run")
    with tifffile.TiffFile(tmp_path / "run" / "masks" / "film.tif") as file:
        pages = [page.asarray() for page in file.pages]
    assert [int(page.max()) for page in pages] == [0, 0, 5, 0, 5, 0, 5]
    assert run.info["masks"] == ["masks/film.tif"]


@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_results_do_not_depend_on_the_chunk_and_two_runs_are_the_same(tmp_path, chunk):
    path = write_stack(tmp_path / "film.tif", film(7, shift_per_frame=(0.6, 0.2)))
    wanted = {"report": {"masks": True}, "track": {"register_frames": True}}
    one = analyze(path, recipe(**wanted), tmp_path / "one")
    other = analyze(path, recipe(run={"chunk": chunk}, **wanted), tmp_path / "other")
    assert differences(one, other) == [] and len(one.tracks) == 5
    assert (one.path / "masks/film.tif").read_bytes() == (other.path / "masks/film.tif").read_bytes()


class Interrupted(ThresholdSegmenter):
    """Stops after some images, as Ctrl-C does."""

    def __init__(self, recipe, after):
        super().__init__("otsu", recipe)
        self.left = after

    def segment(self, images, *, threshold=None):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().segment(images, threshold=threshold)


def test_resumed_is_the_same_as_in_one_go(tmp_path):
    path = write_stack(tmp_path / "film.tif", film(9))
    wanted = recipe(run={"chunk": 2})
    whole = segment(path, wanted, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        segment(path, wanted, tmp_path / "run", segmenter=Interrupted(wanted.segment, 5))
    assert list((tmp_path / "run" / "parts").glob("mask-*.tif")) and not (tmp_path / "run" / "masks").exists()
    run = segment(path, wanted, tmp_path / "run", resume=True)
    assert differences(whole, run) == []
    assert (whole.path / "masks/film.tif").read_bytes() == (run.path / "masks/film.tif").read_bytes()
    assert not (run.path / "parts").exists()


def test_overwriting_removes_masks_of_the_run_and_nothing_else(tmp_path):
    write_folder(tmp_path / "images", film(2))
    segment(tmp_path / "images", recipe(), tmp_path / "run")
    (tmp_path / "run/masks/corrected.tif").write_bytes(b"mine")
    analyze(tmp_path / "images", recipe(), tmp_path / "run", overwrite=True)
    assert [path.name for path in (tmp_path / "run/masks").iterdir()] == ["corrected.tif"]


def test_masks_that_no_run_wrote_are_not_replaced(command, tmp_path):
    write_folder(tmp_path / "images", film(1))
    (tmp_path / "run/masks").mkdir(parents=True)
    (tmp_path / "run/masks/frame0.tif").write_bytes(b"mine")
    code, _, error = command("segment", "images", "--model", "otsu", "-o", "run", "--overwrite")
    assert code == 2 and "masks/frame0.tif" in error


def test_region_and_excluded_parts(tmp_path):
    path = write_stack(tmp_path / "film.tif", film(1))
    frames = {"region": {"x0": 25, "y0": 10, "x1": 120, "y1": 90}, "exclude": [{"x0": 50, "y0": 15, "x1": 70, "y1": 40}]}
    run = segment(path, recipe(frames=frames), tmp_path / "run")
    labels = tifffile.imread(tmp_path / "run/masks/film.tif")
    assert labels.shape == SHAPE and not labels[:10].any() and not labels[:, :25].any() and labels[70, 30] and not labels[25, 60]
    places = run.objects.sort_values("x_px")[["x_px", "y_px"]].to_numpy()
    assert np.allclose(places[1:], [(80, 72), (100, 40)], atol=1) and abs(places[0, 1] - 70) < 1
    assert run.objects.sort_values("x_px")["on_edge"].tolist() == [True, False, False]
    left = segment(path, recipe(frames=frames, segment={"edge": "leave out"}), tmp_path / "left")
    assert len(left.objects) == 2 and set(np.unique(tifffile.imread(left.path / "masks/film.tif"))) == {0, 1, 2}


def test_unequal_pixels_are_measured_in_nm(tmp_path):
    path = write_stack(tmp_path / "film.tif", film(1))
    run = segment(path, recipe(calibration={"pixel_size_nm": [1.0, 2.0]}), tmp_path / "run")
    rows = run.objects
    assert np.allclose(rows["feret_max_nm"], 2 * rows["width_px"], rtol=0.1)
    assert np.allclose(rows["aspect_ratio"], 2, rtol=0.12) and np.allclose(
        rows["major_nm"] / rows["minor_nm"], rows["aspect_ratio"]
    )
    assert rows["perimeter_nm"].notna().all()


def test_masks_that_are_given_are_measured_like_those_found(tmp_path):
    path = write_stack(tmp_path / "film.tif", film(3))
    found = segment(path, recipe(), tmp_path / "found")
    given = analyze(path, recipe(detect={"objects": str(found.path / "masks")}), tmp_path / "given")
    columns = [c for c in SHAPES if c in found.objects]
    pd.testing.assert_frame_equal(given.objects[columns], found.objects[columns])
    assert len(given.tracks) == 5


def test_mended_masks_are_measured_again_as_the_guide_says(command, tmp_path):
    write_folder(tmp_path / "images", film(2))
    command("segment", "images", "--model", "otsu", "-o", "masks-run", "--no-overlay")
    labels = tifffile.imread(tmp_path / "masks-run/masks/frame1.tif")
    labels[labels == 3] = 0
    tifffile.imwrite(tmp_path / "masks-run/masks/frame1.tif", labels)
    code, _, _ = command("segment", "images", "--objects", "masks-run/masks", "-o", "mended", "--no-overlay")
    assert code == 0 and Run(tmp_path / "mended").frames["count"].tolist() == [5, 4]
    assert command("segment", "images", "--objects", "masks-run/masks", "--model", "otsu", "-o", "x")[0] == 2


def test_analyse_frame_gives_the_rows_of_the_run(tmp_path):
    image = film(1)[0]
    rows = analyse_frame(image, ThresholdSegmenter("otsu", recipe().segment), recipe())
    run = segment(write_stack(tmp_path / "film.tif", image[None]), recipe(), tmp_path / "run")
    assert np.allclose(rows[["x_px", "perimeter_px"]], run.objects[["x_px", "perimeter_px"]])


def test_a_grey_level_of_the_recipe_is_that_of_all_frames(command, tmp_path):
    write_folder(tmp_path / "images", film(2))
    (tmp_path / "r.toml").write_text(
        "[segment]\nlevel = 90.0\nmedian_px = 3\nblur_px = 0.0\npolarity = 'dark'\nsmallest_px = 1\n"
    )
    code, _, _ = command("segment", "images", "--model", "level", "--recipe", "r.toml", "-o", "run", "--no-overlay")
    run = Run(tmp_path / "run")
    wanted = [int((cv2.medianBlur(image.astype(np.uint8), 3) <= 90).sum()) for image in film(2)]
    assert code == 0 and run.objects.groupby("frame")["area_px"].sum().tolist() == wanted and min(wanted) > 100
    assert Run(tmp_path / "run").info["model"]["name"] == "level"
    code, _, error = command("segment", "images", "--model", "level", "-o", "other")
    assert code == 2 and "segment.level" in error


def test_boxes_and_spots_have_no_masks(command, tmp_path):
    path = write_stack(tmp_path / "film.tif", film(1))
    code, _, error = command("segment", path, "--model", "spots", "-o", "run")
    assert code == 2 and "otsu" in error
    with pytest.raises(UsageError, match="blobs"):
        segment(path, recipe(), tmp_path / "other", segmenter=BlobDetector())


@pytest.mark.parametrize("polarity", ["dark", "auto"])
def test_spots_are_found_and_followed(command, tmp_path, polarity):
    write_stack(tmp_path / "film.tif", film(5, shift_per_frame=(0.5, 0.0)))
    (tmp_path / "r.toml").write_text(f'[segment]\npolarity = "{polarity}"\nspot_px = 17\n[track]\nregister_frames = false\n')
    code, printed, _ = command(
        "analyze", "film.tif", "--model", "spots", "--recipe", "r.toml", "--json", "-o", "run", "--no-overlay"
    )
    run = Run(tmp_path / "run")
    assert code == 0 and json.loads(printed)["counts"] == {"frames": 5, "objects": 25, "tracks": 5}
    first = run.objects[run.objects["frame"] == 0]
    assert np.allclose(first[["x_px", "y_px"]], sorted(BLOBS, key=lambda b: b[::-1]), atol=0.5)
    assert not run.objects["fitted"].any() and {"mass", "signal"} <= set(run.objects.columns)
    assert run.frames["valid_area_px"].unique() == (SHAPE[0] - 16) * (SHAPE[1] - 16)  # spots are not looked for in a rim of 8


def test_names_that_differ_in_the_suffix_only_keep_it(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for name, image in zip(("a.png", "a.bmp", "b.png"), film(3), strict=True):
        cv2.imwrite(str(folder / name), image)
    run = segment(folder, recipe(), tmp_path / "run")
    assert sorted(run.info["masks"]) == ["masks/a.bmp.tif", "masks/a.png.tif", "masks/b.tif"]
    assert sorted(path.name for path in (run.path / "masks").iterdir()) == ["a.bmp.tif", "a.png.tif", "b.tif"]


def test_the_tables_hash_the_same_from_python_and_the_command_line(command, tmp_path):
    write_folder(tmp_path / "images", film(2))
    command("segment", "images", "--model", "local", "--scale", 2, "-o", "one", "--no-overlay")
    other = segment(
        tmp_path / "images", parse_recipe({"detect": {"model": "local"}, "calibration": {"pixel_size_nm": 2.0}}), tmp_path / "two"
    )
    assert table_hash(Run(tmp_path / "one").objects) == table_hash(other.objects)


def mixed_folder(folder):
    """Images of three sizes and two scales (nm per px in their headers) of the same sample, and two that are bad."""
    folder.mkdir()
    image = film(1)[0]
    large = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    for name, picture, nm in (("a.tif", image, 4.0), ("b.tif", large, 2.0), ("c.tif", image[:60, :90], 4.0)):
        tifffile.imwrite(folder / name, picture, imagej=True, resolution=(1000 / nm, 1000 / nm), metadata={"unit": "um"})
    (folder / "d.tif").write_bytes(b"II*\0broken")
    (folder / "e.png").write_bytes(b"no picture")
    return folder


def test_images_of_different_sizes_and_scales_are_each_measured_by_their_own(command, tmp_path):
    mixed_folder(tmp_path / "images")
    code, _, error = command("segment", "images", "--model", "otsu", "-o", "run", "--no-overlay")
    run = Run(tmp_path / "run")
    assert code == 4 and "d.tif" in error and "e.png" in error and "different scales, 2 to 4 nm" in error
    assert run.frames["file"].tolist() == ["a.tif", "b.tif", "c.tif"] and run.frames["count"].tolist() == [5, 5, 2]
    shapes_px = [tifffile.imread(run.path / "masks" / name).shape for name in run.frames["file"]]
    assert shapes_px == [(96, 128), (192, 256), (60, 90)]
    assert run.frames["valid_area_px"].tolist() == [96 * 128, 192 * 256, 60 * 90]
    assert np.allclose(run.frames["valid_area_nm2"], [96 * 128 * 16, 96 * 128 * 16, 60 * 90 * 16])
    assert np.allclose(run.frames["density"], run.frames["count"] / run.frames["valid_area_nm2"] * 1e6)
    size = run.objects.groupby("file")["equivalent_diameter_nm"].median()
    assert np.allclose(size, size["a.tif"], rtol=0.05)
    assert np.allclose(size["a.tif"], 4 * run.objects.groupby("file")["equivalent_diameter_px"].median()["a.tif"])
    told = run.quantities.set_index("name")["value"]
    assert np.isclose(told.filter(like="median").iloc[0], size["a.tif"], rtol=0.05)
    particles = pd.read_csv(run.path / "particles.csv")
    assert np.allclose(particles["diameter_median_nm"], size["a.tif"], rtol=0.05)
    assert not (run.path / "structure.csv").exists()


def test_a_folder_of_one_scale_and_size_is_as_before(tmp_path):
    write_folder(tmp_path / "images", film(2))
    run = segment(tmp_path / "images", recipe(calibration={"pixel_size_nm": 0.5}), tmp_path / "run")
    stack = segment(write_stack(tmp_path / "film.tif", film(2)), recipe(calibration={"pixel_size_nm": 0.5}), tmp_path / "stack")
    same = [c for c in stack.objects if c != "file"]
    pd.testing.assert_frame_equal(run.objects[same], stack.objects[same])
    assert (run.path / "structure.csv").exists()


def test_mixed_images_are_resumed_and_remeasured_from_their_masks(tmp_path):
    folder = mixed_folder(tmp_path / "images")
    wanted = recipe(run={"chunk": 2})
    whole = segment(folder, wanted, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        segment(folder, wanted, tmp_path / "run", segmenter=Interrupted(wanted.segment, 2))
    assert differences(whole, segment(folder, wanted, tmp_path / "run", resume=True)) == []
    given = segment(folder, recipe(detect={"objects": str(whole.path / "masks")}), tmp_path / "given")
    assert np.allclose(given.objects["perimeter_nm"], whole.objects["perimeter_nm"])


def test_a_region_that_only_some_images_hold_leaves_out_the_others(tmp_path):
    folder = mixed_folder(tmp_path / "images")
    run = segment(folder, recipe(frames={"region": {"x0": 0, "y0": 0, "x1": 128, "y1": 96}}), tmp_path / "run")
    assert run.exit_code == 4 and run.frames["file"].tolist() == ["a.tif", "b.tif"]
    assert any("c.tif" in warning and "128" in warning for warning in run.warnings)


def test_first_images_are_drawn_with_outlines(tmp_path, no_figures, monkeypatch):
    no_figures()
    drawn_numbers = []
    draw = Overlays.draw
    monkeypatch.setattr(Overlays, "draw", lambda self, number, limits: drawn_numbers.append(number) or draw(self, number, limits))
    folder = mixed_folder(tmp_path / "images")
    run = segment(folder, recipe(report={"overlay": True}), tmp_path / "run")
    for k, name in enumerate(("a.tif", "b.tif", "c.tif"), 1):
        drawn = cv2.imread(str(run.path / f"figures/overlay_{k}.png"))
        labels = tifffile.imread(run.path / "masks" / name)
        yellow = (drawn[..., 0] < 60) & (drawn[..., 1] > 150) & (drawn[..., 2] > 200)
        assert drawn.shape[:2] == labels.shape
        rim = (labels > 0) & (cv2.erode((labels > 0).astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))) == 0)
        free = np.ones_like(rim)
        free[:25, :60] = free[-30:, -60:] = False  # stamp and scale bar
        assert yellow[rim & free].all() and not yellow[(labels == 0) & free].any()
    assert "Objects found in b.tif" in run.report.read_text() and not (run.path / "overlay.mp4").exists()
    assert drawn_numbers[1:] == [0, 1, 2], "images of several sizes are no video, nothing is drawn for one"


def test_overlays_of_dark_pictures_are_stretched_and_bear_the_name_of_the_file(tmp_path, no_figures, monkeypatch):
    no_figures()
    seen = []
    monkeypatch.setattr(
        overlays, "draw_overlay", lambda *a, **k: seen.append((a[3], k["limits"])) or np.zeros((9, 9, 3), np.uint8)
    )
    image = film(1)[0]
    dark = (10 + image / 255 * 18).astype(np.uint8)
    folder = write_folder(tmp_path / "images", np.stack([dark]))
    run = segment(folder, recipe(report={"overlay": True}), tmp_path / "run")
    name, limits = seen[-1]
    assert name == run.frames["file"][0] and dark.min() <= limits[0] < limits[1] <= dark.max()
    assert not any("foil" in note for note in run.info["notes"])
    segment(write_folder(tmp_path / "plain", film(1)), recipe(report={"overlay": True}), tmp_path / "run2")
    assert seen[-1][1] is None
