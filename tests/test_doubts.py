"""What a run says of its own results: each remark where it is due, and not where it is not."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from morphoscope.calibration import Calibration
from morphoscope.errors import RecipeError
from morphoscope.io.features import read_features
from morphoscope.physics.doubts import greatest_movers, share_near_limit
from morphoscope.pipeline import analyze
from morphoscope.pipeline.doubts import result_notes, result_warnings
from morphoscope.pipeline.results import Results, compute_results
from morphoscope.pipeline.selection import check_selection
from morphoscope.recipe import Recipe, parse_recipe
from morphoscope.report import figures
from morphoscope.report.captions import caption_of

SCALE = Calibration(pixel_size_nm=(0.5, 0.5), frame_interval_s=2.0)
FIELD = (-0.5, -0.5, 399.5, 399.5)


def moving(tracks: int = 25, points: int = 40, *, step: float = 0.4, drift: float = 0.0, size: float = 10.0) -> pd.DataFrame:
    """Brownian objects far from each other, which come with their tracks; the first ones may drift besides."""
    rng = np.random.default_rng(5)
    moved = rng.normal(0, step, (points, tracks, 2)) + drift
    place = np.cumsum(moved, axis=0) + np.stack(np.divmod(np.arange(tracks), 5), axis=1) * 60 + 50
    frame, track = np.indices((points, tracks)).reshape(2, -1)
    table = pd.DataFrame({"frame": frame, "x_px": place[..., 0].ravel(), "y_px": place[..., 1].ravel(), "track_id": track})
    return table.assign(major_px=size, minor_px=size, angle_deg=0.0)


def settings(**sections: dict[str, object]) -> Recipe:
    return parse_recipe({"track": {"register_frames": False}, **sections})


def results_of(table: pd.DataFrame, recipe: Recipe, calibration: Calibration = SCALE) -> Results:
    numbers = np.arange(0, table["frame"].max() + 1, recipe.frames.step)
    frames = pd.DataFrame({"frame": numbers, "file": "t"})
    objects = read_features(table[table["frame"].isin(numbers)]).objects
    return compute_results(objects, frames, recipe=recipe, calibration=calibration, valid_px=160_000.0, track=True, field=FIELD)


def said(table: pd.DataFrame, **sections: dict[str, object]) -> tuple[str, str]:
    recipe = settings(**sections)
    results = results_of(table, recipe)
    return " ".join(result_warnings(results, recipe)), " ".join(result_notes(results, recipe))


def test_plain_diffusion_in_the_bins_needs_no_remark() -> None:
    assert said(moving()) == ("", "")


def test_a_pooled_d_of_directed_motion_is_none_in_the_strict_sense() -> None:
    table, recipe = moving(drift=0.5), settings()
    results = results_of(table, recipe)
    (warning,) = result_warnings(results, recipe)
    assert "not free diffusion with one D" in warning and "t^1." in warning
    rows = results.quantities.set_index("name")["method"]
    assert "not a diffusion coefficient in the strict sense" in rows["pooled D"]
    assert "strict sense" not in results_of(moving(), recipe).quantities.set_index("name")["method"]["pooled D"]
    assert results.motion is not None
    drawn = figures.diffusion_by_size(results.motion.diffusion_by_size, results.motion.pooled, SCALE, lag_frames=1, one_d=False)
    assert "pooled D of the shortest steps" in {str(line.get_label()) for line in drawn.axes[0].lines}
    assert "in the strict sense" in caption_of("diffusion_by_size", {"many D"})
    assert "strict" not in caption_of("diffusion_by_size") and "is the diffusion coefficient" in caption_of("diffusion_by_size")


def test_the_exponent_of_a_handful_of_tracks_raises_no_doubt() -> None:
    assert "t^" in said(moving(8, drift=0.5))[0] and "t^" not in said(moving(7, drift=0.5))[0]


def test_rare_far_jumps_are_told_by_the_non_gaussian_parameter() -> None:
    table = moving(40, 60, step=0.05)
    rng = np.random.default_rng(0)
    jumps = np.where(rng.random(len(table)) < 0.02, rng.normal(0, 2, len(table)), 0)
    table["x_px"] += pd.Series(jumps).groupby(table["track_id"]).cumsum()
    warning, _ = said(table)
    assert "far from Gaussian" in warning


def test_few_tracks_that_make_most_of_the_msd_are_named_with_their_place() -> None:
    table = moving(25)
    for track, factor in ((3, 12.0), (8, 8.0)):
        own = table["track_id"] == track
        for column in ("x_px", "y_px"):
            middle = table.loc[own, column].iloc[0]
            table.loc[own, column] = middle + factor * (table.loc[own, column] - middle)
    first = table[(table["track_id"] == 3) & (table["frame"] == 0)].iloc[0]
    _, note = said(table)
    squares = sum(table.groupby("track_id")[column].diff() ** 2 for column in ("x_px", "y_px")).groupby(table["track_id"]).sum()
    share = squares / squares.sum()
    assert f"track 3 {share[3]:.0%}" in note and f"track 8 {share[8]:.0%}" in note and note.count("px in frame") == 2
    assert f"x {first['x_px']:.0f}, y {first['y_px']:.0f} px in frame 0" in note
    rows = table.rename(columns={"x_px": "x_reg_px", "y_px": "y_reg_px"})
    found = greatest_movers(rows, SCALE, lag=1)
    assert found["share"].tolist() == pytest.approx(share[found["track_id"]]) and found["share"].is_monotonic_decreasing
    assert greatest_movers(rows[rows["track_id"] < 3], SCALE, lag=1).empty, "few tracks, each with its own share"
    assert greatest_movers(rows[:0], SCALE, lag=1).empty


def test_a_search_range_that_cuts_the_steps_is_warned_of() -> None:
    table = moving(step=1.0).drop(columns="track_id")
    cut = {"track": {"register_frames": False, "max_distance_px": 2.0}}
    assert "max_distance_px = 2 cuts the steps" in said(table, **cut)[0]
    assert "cuts" not in said(table, track={"register_frames": False, "max_distance_px": 6.0})[0]
    assert "cuts" not in said(moving(step=1.0), **cut)[0], "nothing was linked"
    rows = moving(step=1.0).rename(columns={"x_px": "x_reg_px", "y_px": "y_reg_px"})
    share, n = share_near_limit(rows, 2.0)
    assert n == 25 * 39 and share == pytest.approx(np.exp(-(1.7**2) / 2), abs=0.04)
    assert np.isnan(share_near_limit(rows[:0], 2.0)[0])


def test_tracks_outside_the_bins_of_size_are_counted() -> None:
    large, inside = moving(size=80.0), moving(size=10.0)
    assert "25 of 25 tracks have no median size from 2 to 18 nm" in said(large)[1]
    mixed = large.assign(major_px=np.where(large["track_id"] < 5, 10.0, 80.0), minor_px=10.0)
    assert "20 of 25" in said(mixed)[1] and "tells of the other 5" in said(mixed)[1]
    texts = []
    for table in (large, mixed, inside):
        motion = results_of(table, settings()).motion
        assert motion is not None and motion.with_d_eff == 25
        drawn = figures.diffusion_by_size(motion.diffusion_by_size, motion.pooled, SCALE, lag_frames=1, tracks=motion.with_d_eff)
        texts.append(" ".join(t.get_text() for t in [*drawn.texts, *(t for ax in drawn.axes for t in ax.texts)]))
    assert "none of 25 tracks" in texts[0] and "20 outside 2 to 18 nm" in texts[1] and "outside" not in texts[2]


def test_settings_that_have_no_effect_are_named() -> None:
    table = moving()
    gone, note = said(table, report={"track": 77, "box_plots_at": [10.0, 500.0]})
    assert "Track 77 (report.track) is none of the tracks" in gone
    assert "500 lie outside" in note and "time (s) from 0 to 78" in note and "10," not in note
    none, _ = said(table, track={"register_frames": False, "min_points": 200})
    assert "longest of 25 has 40 detections, and track.min_points is 200" in none
    short = table[(table["track_id"] != 4) | (table["frame"] < 2)]
    assert "Track 4 (report.track) is shorter than track.min_points" in said(short, report={"track": 4})[0]
    events = {"track": {"register_frames": False, "events": True}}
    assert "no object has minor_px" in said(table.drop(columns="minor_px"), **events)[1]
    assert "minor_px" not in said(table, **events)[1]
    empty, _ = said(table[table["frame"] != 20], physics={"steady": [20, 21]})
    assert "No track moves within physics.steady" in empty


def test_drift_found_from_few_objects_is_told_of() -> None:
    recipe = settings(track={"register_frames": True})
    for tracks, due in ((6, True), (25, False)):
        table = moving(tracks)
        numbers = np.arange(40)
        frames = pd.DataFrame({"frame": numbers, "file": "t", "shift_x_px": 0.0, "shift_y_px": 0.0, "jump": False})
        objects = read_features(table).objects
        results = compute_results(
            objects, frames.assign(shift_quality=1.0), recipe=recipe, calibration=SCALE, valid_px=1.6e5, track=True, field=FIELD
        )
        notes = " ".join(result_notes(results, recipe, from_objects=True))
        assert ("too small by about 1/6" in notes) == due
        assert "counts as drift" not in " ".join(result_notes(results, recipe))


def test_frames_of_a_run_with_a_step_are_frame_numbers() -> None:
    table = moving(points=60)
    rows = results_of(table, settings(frames={"step": 3})).quantities.set_index("name")["method"]
    numbers = "frame numbers of the input, of which one in 3 was analysed"
    for name in ("median track length", "mean track length", "tracks longer than 3 frames", "non-Gaussian parameter"):
        assert numbers in rows[name]
    assert numbers not in rows["tracks"] and numbers not in rows["pooled D"]
    assert not results_of(table, settings()).quantities["method"].str.contains("frame numbers").any()


def test_what_a_recipe_picks_out_must_be_there() -> None:
    def check(*, numbers: range = range(100), tracks: set[int] | None = None, **sections: dict[str, object]) -> None:
        check_selection(parse_recipe(sections), numbers, FIELD, tracks=tracks or set())

    inside, outside = ({"x0": x, "y0": 0, "x1": x + 50, "y1": 50} for x in (380, 400))
    check(physics={"steady": [99, 200], "inner": inside}, report={"track": 7}, tracks={7})
    check(physics={"steady": [100, 200]})
    with pytest.raises(RecipeError, match="physics.inner, x 400 to 450"):
        check(physics={"inner": outside})
    with pytest.raises(RecipeError, match="report.track = 8"):
        check(report={"track": 8}, tracks={7})
    check(physics={"steady": [100, 200], "inner": outside}, track={"enabled": False})


def test_a_run_tells_its_remarks_in_run_json_and_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "save_figure", partial(figures.save_figure, dpi=30))
    table = moving(9, 30)
    table["x_px"] += table["frame"] * (table["track_id"] % 3 - 1.0)
    recipe = settings(calibration={"pixel_size_nm": 0.5, "frame_interval_s": 2.0}, track={"register_frames": True})
    run = analyze(table, recipe, tmp_path / "run")
    page = run.report.read_text(encoding="utf-8")
    assert any("not free diffusion" in line for line in run.warnings) and "too small by about 1/9" in " ".join(run.info["notes"])
    assert "a D of the shortest steps and not a diffusion coefficient in the strict sense" in page


def test_a_recipe_that_selects_nothing_stops_before_anything_is_written(tmp_path: Path) -> None:
    outside = {"x0": 4000, "y0": 4000, "x1": 4100, "y1": 4100}
    with pytest.raises(RecipeError, match="physics.inner"):
        analyze(moving(), settings(physics={"inner": outside}), tmp_path / "run")
    assert not (tmp_path / "run").exists()
