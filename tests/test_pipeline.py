"""From files to a run folder, with a detector that needs no model."""

from __future__ import annotations

import json
import threading

import cv2
import numpy as np
import pandas as pd
import pytest

from doubles import BLOBS, RADIUS, SHAPE, BlobDetector, film, write_folder, write_stack
from morphoscope.calibration import Calibration
from morphoscope.errors import InputError, ModelError, RecipeError, RunExistsError, UsageError
from morphoscope.io.tables import table_hash
from morphoscope.pipeline import Run, analyse_frame, analyze, open_run, outputs, stages
from morphoscope.pipeline.again import analyze_again, differences
from morphoscope.pipeline.remarks import unplaced_warnings
from morphoscope.recipe import Recipe, parse_recipe
from morphoscope.schema import FRAMES, OBJECTS, QUANTITIES, TRACKS

SCALED = {"calibration": {"pixel_size_nm": 0.5, "frame_interval_s": 2.0}, "physics": {"thickness_nm": 50.0}}
PLAIN = {"report": {"overlay": False}}


def recipe(*parts: dict, **sections: dict) -> Recipe:
    values: dict = {}
    for part in (PLAIN, *parts, sections):
        for section, settings in part.items():
            values.setdefault(section, {}).update(settings)
    return parse_recipe(values)


@pytest.fixture(autouse=True)
def figures(monkeypatch):
    """Most tests do not look at figures, which take longest; call this to have them drawn."""
    draw = outputs._draw_figures
    monkeypatch.setattr(outputs, "_draw_figures", lambda *_: {})
    return lambda: monkeypatch.setattr(outputs, "_draw_figures", draw)


@pytest.fixture
def stack(tmp_path):
    return write_stack(tmp_path / "film.tif", film(12))


def hashes(run: Run) -> list[str]:
    return [table_hash(getattr(run, name)) for name in ("objects", "frames", "tracks", "quantities")]


def test_a_stack_becomes_a_run_folder(stack, tmp_path, figures):
    figures()
    run = analyze(
        stack, recipe(SCALED, report={"overlay": True, "csv": True, "svg": True}), tmp_path / "run", detector=BlobDetector()
    )
    names = {p.relative_to(run.path).as_posix() for p in run.path.rglob("*") if p.is_file()}
    figures = {"density_and_size", "size_boxes", "track_growth", "trajectory_map", "displacement"}
    tables = {f"{name}.{kind}" for name in ("objects", "frames", "tracks") for kind in ("parquet", "csv")}
    wanted = {"overlay.mp4", "figures/overlay.png", "report.html", "run.json", "recipe.toml", "quantities.csv", *tables}
    assert wanted | {f"figures/{name}.{kind}" for name in figures for kind in ("png", "svg")} <= names
    assert not any("part" in name for name in names)
    assert run.exit_code == 0 and run.warnings == []


def test_tables_follow_the_schema(stack, tmp_path):
    run = analyze(stack, recipe(SCALED), tmp_path / "run", detector=BlobDetector())
    for table, columns in ((run.objects, OBJECTS), (run.frames, FRAMES), (run.tracks, TRACKS)):
        assert list(table.columns) == list(columns)
        assert {name: str(table[name].dtype) for name in columns} == {name: column.dtype for name, column in columns.items()}
    assert {name: str(dtype) for name, dtype in run.quantities.dtypes.items()} == {k: c.dtype for k, c in QUANTITIES.items()}
    assert run.quantities.set_index("name").loc["frames", "unit"] == "" and run.quantities["value"].notna().all()
    assert run.objects["object_id"].tolist() == list(range(len(run.objects)))
    assert run.objects["file"].unique().tolist() == ["film.tif"]


def test_what_is_there_is_found(stack, tmp_path):
    run = analyze(stack, recipe(SCALED), tmp_path / "run", detector=BlobDetector())
    assert run.frames["count"].tolist() == [5] * 12
    first = run.objects[run.objects["frame"] == 0].sort_values(["y_px", "x_px"])
    assert np.allclose(first[["x_px", "y_px"]], sorted(BLOBS, key=lambda b: b[::-1]), atol=0.6)
    assert np.allclose(run.objects["major_px"], 2 * RADIUS + 1, atol=2.5)
    assert np.allclose(run.objects["major_nm"], run.objects["major_px"] * 0.5)
    assert len(run.tracks) == 5 and (run.tracks["life_frames"] == 12).all()
    volume_cm3 = SHAPE[0] * SHAPE[1] * 0.25 * 50 * 1e-21
    assert np.allclose(run.frames["density"], 5 / volume_cm3)


def test_drift_is_removed_before_linking(tmp_path):
    path = write_stack(tmp_path / "drifting.tif", film(10, shift_per_frame=(1.5, -0.75)))
    run = analyze(path, recipe(SCALED), tmp_path / "run", detector=BlobDetector())
    assert np.allclose(run.frames["shift_x_px"], 1.5 * np.arange(10), atol=0.6)
    assert np.allclose(run.frames["shift_y_px"], -0.75 * np.arange(10), atol=0.6)
    spread = run.objects.groupby("track_id")[["x_reg_px", "y_reg_px"]].std()
    assert (spread < 0.5).all(axis=None)


@pytest.mark.parametrize("chunk", [1, 5, 64])
def test_results_do_not_depend_on_the_chunk(tmp_path, chunk):
    path = write_stack(tmp_path / "drifting.tif", film(11, shift_per_frame=(0.8, 0.3)))
    whole = analyze(path, recipe(SCALED, run={"chunk": 4}), tmp_path / "whole", detector=BlobDetector())
    other = analyze(path, recipe(SCALED, run={"chunk": chunk}), tmp_path / "other", detector=BlobDetector())
    assert hashes(whole) == hashes(other)


def test_a_run_again_is_the_same_and_diff_says_so(stack, tmp_path):
    run = analyze(stack, recipe(SCALED), tmp_path / "a", detector=BlobDetector())
    again = analyze_again(run, tmp_path / "b", detector=BlobDetector())
    assert differences(run, again) == []
    other = analyze(stack, recipe(SCALED, frames={"stop": 11}), tmp_path / "c", detector=BlobDetector())
    assert any("132" in line or "rows" in line for line in differences(run, other))
    assert any(line.startswith("recipe.frames") for line in differences(run, other))


def test_region_and_excluded_parts(stack, tmp_path):
    settings = recipe(
        SCALED,
        frames={
            "region": {"x0": 8, "y0": 10, "x1": 90, "y1": 90},
            "exclude": [{"x0": 50, "y0": 0, "x1": 70, "y1": 40}, {"x0": 60, "y0": 0, "x1": 128, "y1": 40}],
        },
    )
    run = analyze(stack, settings, tmp_path / "run", detector=BlobDetector())
    first = run.objects[run.objects["frame"] == 0]
    assert np.allclose(sorted(zip(first["x_px"], first["y_px"], strict=True)), [(20, 30), (30, 70), (80, 72)], atol=0.6)
    assert np.allclose(first["ellipse_x_px"], first["x_px"], atol=1.5)
    assert (run.frames["valid_area_px"] == 82 * 80 - 40 * 30).all()


def test_only_what_lies_on_the_pixels_of_the_region_counts():
    image = film(1)[0]
    for x0, counted in ((20, True), (21, False)):  # the first blob's centre lies on the pixel of column 20
        settings = recipe(frames={"region": {"x0": x0, "y0": 20, "x1": 50, "y1": 40}})
        plan = stages.make_plan(settings, SHAPE, Calibration(), BlobDetector().card)

        class Fixed(BlobDetector):
            def detect(self, images, *, threshold=None, nms_iou=0.45, x0=x0):
                return [pd.DataFrame({"x_px": [19.6 - x0], "y_px": [10.0], "width_px": [12.0], "height_px": [12.0]})]

        assert len(stages.detect_frame(image, Fixed(), plan)) == counted


@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_damaged_pictures_among_independent_ones_are_listed_and_the_rest_is_kept(tmp_path, chunk):
    folder = write_folder(tmp_path / "pictures", film(8))
    for i in (0, 3, 7):
        (folder / f"frame{i}.png").write_bytes((folder / f"frame{i}.png").read_bytes()[:400])
    settings = recipe(frames={"series": False}, run={"chunk": chunk}, report={"overlay": True})
    run = analyze(folder, settings, tmp_path / "run", detector=BlobDetector())
    assert run.frames["frame"].tolist() == [1, 2, 4, 5, 6] and run.frames["count"].tolist() == [5] * 5
    assert run.exit_code == 4 and (run.path / "figures" / "overlay_1.png").is_file()
    assert not (run.path / "overlay.mp4").exists(), "pictures of different places are no video"
    left_out = [line for line in run.warnings if line.startswith("Left out")]
    assert len(left_out) == 3 and all(f"frame{i}.png" in line for i, line in zip((0, 3, 7), left_out, strict=True))
    stopped = BlobDetector(fail_at=3)
    with pytest.raises(KeyboardInterrupt):
        analyze(folder, settings, tmp_path / "again", detector=stopped)
    resumed = analyze(folder, settings, tmp_path / "again", detector=BlobDetector(), resume=True)
    assert hashes(resumed) == hashes(run) and resumed.warnings == run.warnings


def test_frame_range_and_step_keep_stored_numbers(stack, tmp_path):
    run = analyze(stack, recipe(SCALED, frames={"start": 2, "stop": 11, "step": 3}), tmp_path / "run", detector=BlobDetector())
    assert run.frames["frame"].tolist() == [2, 5, 8]
    assert run.frames["time_s"].tolist() == [4.0, 10.0, 16.0]


def test_analyse_frame_gives_the_rows_of_the_run_and_changes_nothing(stack, tmp_path):
    settings = recipe(SCALED, frames={"region": {"x0": 4, "y0": 4, "x1": 120, "y1": 90}})
    run = analyze(stack, settings, tmp_path / "run", detector=BlobDetector())
    image = film(12)[7]
    before = image.copy()
    rows = analyse_frame(image, BlobDetector(), settings)
    assert (image == before).all()
    same = run.objects[run.objects["frame"] == 7].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows[["x_px", "major_px", "major_nm"]], same[["x_px", "major_px", "major_nm"]])


def test_sixteen_bits_and_a_folder_give_what_eight_bits_in_a_stack_do(stack, tmp_path):
    eight = analyze(stack, recipe(SCALED), tmp_path / "8", detector=BlobDetector())
    sixteen_path = write_stack(tmp_path / "film16.tif", film(12, dtype=np.uint16))
    sixteen = analyze(sixteen_path, recipe(SCALED, report={"overlay": True}), tmp_path / "16", detector=BlobDetector())
    folder = analyze(write_folder(tmp_path / "pngs", film(12)), recipe(SCALED), tmp_path / "f", detector=BlobDetector())
    for other in (sixteen, folder):
        assert np.allclose(eight.objects["major_px"], other.objects["major_px"], atol=0.2)
        assert eight.objects["track_id"].equals(other.objects["track_id"])
    assert folder.objects["file"].unique().tolist()[:3] == ["frame0.png", "frame1.png", "frame2.png"]
    assert folder.objects["file"].unique().tolist()[-1] == "frame11.png"


def test_a_broken_off_run_is_readable_and_resumes_to_the_same_result(stack, tmp_path):
    settings = recipe(SCALED, run={"chunk": 3})
    whole = analyze(stack, settings, tmp_path / "whole", detector=BlobDetector())
    with pytest.raises(KeyboardInterrupt):
        analyze(stack, settings, tmp_path / "run", detector=BlobDetector(fail_at=10))
    broken = Run(tmp_path / "run")
    assert 0 < broken.frames["frame"].nunique() < 12 and len(broken.objects) > 0
    with pytest.raises(InputError, match="--resume"):
        open_run(tmp_path / "run")
    with pytest.raises(RunExistsError, match="--resume"):
        analyze(stack, settings, tmp_path / "run", detector=BlobDetector())
    rest = BlobDetector()
    resumed = analyze(stack, settings, tmp_path / "run", detector=rest, resume=True)
    assert rest.calls < 12
    assert hashes(resumed) == hashes(whole)
    assert not (tmp_path / "run" / "parts").exists()


def test_resume_keeps_the_parts_chunk_and_refuses_those_of_another_recipe(stack, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        analyze(stack, recipe(SCALED, run={"chunk": 3}), tmp_path / "run", detector=BlobDetector(fail_at=11))
    with pytest.raises(UsageError, match="another recipe"):
        analyze(stack, recipe(SCALED, detect={"threshold": 0.7}), tmp_path / "run", detector=BlobDetector(), resume=True)
    with pytest.raises(UsageError, match="another model"):
        analyze(stack, recipe(SCALED), tmp_path / "run", detector=BlobDetector(name="other"), resume=True)
    rest = BlobDetector()
    analyze(stack, recipe(SCALED, run={"chunk": 64}), tmp_path / "run", detector=rest, resume=True)
    assert rest.calls < 12


def test_resuming_a_complete_run_computes_nothing(stack, tmp_path):
    run = analyze(stack, recipe(SCALED), tmp_path / "run", detector=BlobDetector())
    unused = BlobDetector(fail_at=0)
    assert hashes(analyze(stack, recipe(SCALED), tmp_path / "run", detector=unused, resume=True)) == hashes(run)
    with pytest.raises(UsageError, match="complete run with other settings under physics"):
        analyze(stack, recipe(SCALED, physics={"thickness_nm": 60.0}), tmp_path / "run", detector=unused, resume=True)


def test_overwrite_replaces_a_run_and_leaves_other_files(stack, tmp_path, figures):
    figures()
    folder = tmp_path / "run"
    analyze(stack, recipe(SCALED, report={"csv": True}), folder, detector=BlobDetector())
    (folder / "notes.txt").write_text("mine")
    (folder / "figures" / "mine.png").write_bytes(b"mine")
    with pytest.raises(RunExistsError, match="--overwrite"):
        analyze(stack, recipe(SCALED), folder, detector=BlobDetector())
    analyze(stack, recipe(SCALED), folder, detector=BlobDetector(), overwrite=True)
    assert (folder / "notes.txt").read_text() == "mine" and (folder / "figures" / "mine.png").exists()
    assert not (folder / "objects.csv").exists()


def test_a_folder_with_other_files_is_refused(stack, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.doc").write_text("x")
    with pytest.raises(RunExistsError, match="other files"):
        analyze(stack, recipe(SCALED), tmp_path / "full", detector=BlobDetector())


def test_an_error_in_the_middle_reaches_the_caller_and_ends_the_threads(stack, tmp_path):
    with pytest.raises(ZeroDivisionError):
        analyze(stack, recipe(SCALED), tmp_path / "run", detector=BlobDetector(fail_at=4, error=ZeroDivisionError))
    assert not any(t.name.startswith("ThreadPool") for t in threading.enumerate())


def test_several_inputs_get_a_subfolder_each_and_bad_ones_are_listed(stack, tmp_path):
    bad = tmp_path / "bad.tif"
    bad.write_bytes(b"II*\x00 no tiff")
    second = write_stack(tmp_path / "second.tif", film(5, seed=1))
    run = analyze([stack, bad, second], recipe(SCALED), tmp_path / "runs", detector=BlobDetector())
    assert run.exit_code == 4 and any("bad.tif" in warning for warning in run.warnings)
    assert [r.path.name for r in run.runs] == ["film", "second"]
    assert run.frames["run"].value_counts().to_dict() == {"film": 12, "second": 5}
    assert "film/report.html" in run.report.read_text() and "bad.tif" in run.report.read_text()


def test_all_inputs_bad_is_an_error_that_lists_them(tmp_path):
    paths = [tmp_path / "no1.tif", tmp_path / "no2.mp4"]
    with pytest.raises(InputError, match=r"(?s)no1\.tif.*no2\.mp4"):
        analyze(paths, recipe(SCALED), tmp_path / "runs", detector=BlobDetector())


def test_a_pixel_size_far_from_the_models_is_resampled_and_said(stack, tmp_path):
    detector = BlobDetector(pixel_size_nm=1.0)
    run = analyze(stack, recipe(SCALED), tmp_path / "run", detector=detector)
    assert detector.shapes == {(48, 64)}
    assert any("resampled" in warning for warning in run.warnings)
    assert run.info["model"]["resampled_by"] == 0.5
    first = run.objects[run.objects["frame"] == 0].sort_values(["y_px", "x_px"])
    assert np.allclose(first[["x_px", "y_px"]], sorted(BLOBS, key=lambda b: b[::-1]), atol=1.1)
    with pytest.raises(ModelError, match="resample"):
        analyze(stack, recipe(SCALED, detect={"resample": False}), tmp_path / "no", detector=BlobDetector(pixel_size_nm=1.0))
    near = BlobDetector(pixel_size_nm=0.6)
    analyze(stack, recipe(SCALED), tmp_path / "near", detector=near)
    assert near.shapes == {SHAPE}


def test_settings_that_do_not_fit_the_frames_are_refused_before_anything_is_written(stack, tmp_path):
    outside = {"region": {"x0": 0, "y0": 0, "x1": 500, "y1": 90}}
    hidden = {"exclude": [{"x0": 0, "y0": 0, "x1": 128, "y1": 96}]}
    for frames, said in ((outside, "128 x 96"), (hidden, "nothing is left"), ({"start": 40}, "12")):
        with pytest.raises(RecipeError, match=said):
            analyze(stack, recipe(frames=frames), tmp_path / "run", detector=BlobDetector())
    with pytest.raises(UsageError, match="dose"):
        analyze(stack, recipe(report={"axis": "dose"}), tmp_path / "run", detector=BlobDetector())
    assert not (tmp_path / "run").exists()


def test_run_json_says_what_was_done(stack, tmp_path):
    run = analyze(stack, recipe(SCALED), tmp_path / "run", detector=BlobDetector())
    info = json.loads((run.path / "run.json").read_text())
    assert len(info["inputs"][0]["sha256"]) == 64 and info["inputs"][0]["frames"] == 12
    assert info["calibration"]["provenance"] == {"pixel_size_nm": "recipe", "frame_interval_s": "recipe"}
    assert info["recipe"]["physics"]["thickness_nm"] == 50.0
    assert info["model"]["name"] == "blobs" and info["provider"] == "cpu"
    assert {"read", "detect", "measure", "register", "figures", "report"} <= set(info["timings_s"])
    assert info["frames_per_s"] > 0 and info["peak_memory_mb"] > 0
    assert {"morphoscope", "python", "numpy"} <= set(info["versions"])


def test_hand_counts_are_read_relative_to_the_recipe(stack, tmp_path, figures):
    figures()
    (tmp_path / "counts.csv").write_text("frame,count,size_median_nm\n0,5,6.5\n6,4,6.5\n")
    (tmp_path / "r.toml").write_text('[physics]\ntruth = "counts.csv"\n[report]\noverlay = false\n')
    run = analyze(stack, tmp_path / "r.toml", tmp_path / "run", detector=BlobDetector())
    assert run.report.is_file()
    (tmp_path / "counts.csv").write_text("frame;count\n0;5\n")
    with pytest.raises(InputError, match="frame,count"):
        analyze(stack, tmp_path / "r.toml", tmp_path / "run2", detector=BlobDetector())


def test_nothing_found_is_a_run_with_a_warning(tmp_path, figures):
    figures()
    path = write_stack(tmp_path / "bright.tif", np.full((4, *SHAPE), 200, np.uint8))
    run = analyze(path, recipe(SCALED), tmp_path / "run", detector=BlobDetector())
    assert run.objects.empty and run.frames["count"].tolist() == [0] * 4
    assert any("No object" in warning for warning in run.warnings)


def test_one_image_is_a_run_without_tracks(tmp_path, figures):
    figures()
    path = write_folder(tmp_path / "one", film(1)) / "frame0.png"
    run = analyze(path, recipe(SCALED), tmp_path / "run", detector=BlobDetector())
    assert run.frames["count"].tolist() == [5] and run.tracks.empty
    assert run.objects["track_id"].isna().all()


def test_images_that_are_no_series_are_not_tracked(tmp_path):
    folder = write_folder(tmp_path / "images", film(4))
    run = analyze(folder, recipe(SCALED, frames={"series": False}), tmp_path / "run", detector=BlobDetector())
    assert run.tracks.empty and run.frames["shift_x_px"].isna().all()
    assert any("independent" in note for note in run.info["notes"])


def test_without_a_scale_results_are_in_px_and_the_run_says_so(stack, tmp_path):
    run = analyze(stack, recipe(physics={"thickness_nm": 50.0}), tmp_path / "run", detector=BlobDetector())
    assert run.objects["major_nm"].isna().all() and run.objects["major_px"].notna().all()
    assert any("No scale" in warning for warning in run.warnings)
    assert any("thickness" in warning for warning in run.warnings)
    assert "No scale" in run.report.read_text()
    assert Calibration().has_scale is False


def test_pictures_that_show_nothing_are_named(tmp_path):
    folder = write_folder(tmp_path / "pictures", film(2))
    cv2.imwrite(str(folder / "grey.png"), np.full(SHAPE, 90, np.uint8))
    cv2.imwrite(str(folder / "tiny.png"), film(1)[0][:8, :8])
    run = analyze(folder, recipe(frames={"series": False}), tmp_path / "run", detector=BlobDetector())
    assert any("grey.png" in line and "one grey value" in line for line in run.warnings)
    assert any("tiny.png" in line and "8 x 8 px" in line for line in run.warnings)
    assert not any("frame0" in line for line in run.warnings)


def test_pictures_of_different_places_are_no_series():
    frames = pd.DataFrame({"frame": range(6), "count": 3, "shift_quality": [1.0, 0.9, 0.0, 0.0, 0.8, 0.7]})
    (some,) = unplaced_warnings(frames)
    (most,) = unplaced_warnings(frames.assign(shift_quality=[1.0] + [0.0] * 5))
    assert "different places" in most and "frames.series = false" in most and "segment" in most
    assert "frame 2, 3" in some and "different places" not in some
