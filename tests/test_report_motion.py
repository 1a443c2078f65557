"""Figures of motion: what is drawn is what the tables say, with units, and little data draws a note instead."""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from morphoscope.calibration import Axis, Calibration
from morphoscope.physics.anomalous import anomalous
from morphoscope.physics.brownian import fit_pooled
from morphoscope.physics.by_size import d_eff_by_size
from morphoscope.physics.msd import ensemble_msd
from morphoscope.physics.tables import growth_segments, survival_table
from morphoscope.physics.tracks import track_table
from morphoscope.physics.van_hove import non_gaussian, van_hove
from morphoscope.report import figures
from morphoscope.report.stories import pictured, slowest_and_fastest, told_track

SCALE = Calibration(pixel_size_nm=(0.4, 0.4), frame_interval_s=2.0, axes=(Axis("dose", "dpa", 1.0, 0.01),))
NONE = Calibration()


def walkers(tracks: int = 8, points: int = 40) -> pd.DataFrame:
    """Brownian objects, each faster and larger than the one before."""
    rng = np.random.default_rng(1)
    frame, track = np.tile(np.arange(points), tracks), np.repeat(np.arange(tracks), points)
    step = 0.1 * (1 + track[:, None])
    place = np.cumsum((rng.normal(0, 1, (len(frame), 2)) * step).reshape(tracks, points, 2), axis=1).reshape(-1, 2)
    table = pd.DataFrame({"frame": frame, "track_id": pd.array(track, dtype="Int64"), "x_reg_px": place[:, 0] + 30})
    table = table.assign(y_reg_px=place[:, 1] + 25, major_px=12.0 + track // 2 * 2 + 0.05 * frame, minor_px=8.0, angle_deg=30.0)
    table = table.assign(x_px=table["x_reg_px"], y_px=table["y_reg_px"], width_px=14.0, height_px=10.0, on_edge=False)
    return table.assign(ellipse_x_px=table["x_px"], ellipse_y_px=table["y_px"])


def texts(figure: Figure) -> str:
    figure.canvas.draw()
    return " | ".join(t.get_text() for t in figure.findobj(matplotlib.text.Text))


def test_bars_are_the_table_and_a_bin_of_one_has_none() -> None:
    objects = SCALE.with_nm(walkers(7))  # bins of 2, 2, 2 and 1 tracks
    table, pooled = d_eff_by_size(objects, SCALE), fit_pooled(objects, SCALE)
    ax = figures.diffusion_by_size(table, pooled, SCALE, lag_frames=1, where="frames 0 to 39").axes[0]
    heights = [bar.get_height() for bar in ax.patches if bar.get_height() > 0 and bar.get_width() < 1]
    np.testing.assert_allclose(heights, table.loc[table["n_tracks"] > 1, "d_eff_nm2_per_s"])
    assert len(heights) == 3 and (table["n_tracks"] == 1).sum() == 1
    line = next(line for line in ax.lines if "pooled" in str(line.get_label()))
    assert line.get_ydata()[0] == pooled.D_nm2_per_s
    said = texts(ax.figure)
    assert "6 tracks, frames 0 to 39" in said and "= 2 s" in said and "(nm)" in said
    assert "wants a scale" in texts(figures.diffusion_by_size(table, pooled, NONE, lag_frames=1))
    assert "no bin" in texts(figures.diffusion_by_size(table.assign(n_tracks=1), pooled, SCALE, lag_frames=1))


@pytest.mark.parametrize(("calibration", "words"), [(SCALE, ("(nm$^2$)", "lag (s)")), (NONE, ("(px$^2$)", "lag (frames)"))])
def test_the_fit_lies_on_the_mean_squared_displacement(calibration: Calibration, words: tuple[str, str]) -> None:
    objects = walkers()
    table = ensemble_msd(objects, calibration)
    figure = figures.msd(objects, table, anomalous(objects, calibration), calibration)
    lines = {str(line.get_label()): line for line in figure.axes[0].lines}
    drawn, fit = lines["all tracks"], next(line for name, line in lines.items() if "alpha" in name)
    column = "msd_nm2" if calibration.has_scale else "msd_px2"
    np.testing.assert_allclose(drawn.get_ydata(), table[column])
    np.testing.assert_allclose(np.asarray(fit.get_ydata())[:8], table[column][:8], rtol=0.3)
    assert all(word in texts(figure) for word in words)
    ends = [end for line in figure.axes[0].collections if isinstance(line, LineCollection) for end in line.get_segments()]
    low, high = figure.axes[0].get_ylim()
    assert len(ends) == 8 and all(low < end[:, 1].min() and end[:, 1].max() < high for end in ends)
    assert "no track is long enough" in texts(figures.msd(objects[:0], table[:0], anomalous(objects[:0], NONE), NONE))


def test_single_tracks_are_plain_where_they_are_few_and_counted_where_they_leave_the_range() -> None:
    def thin(objects: pd.DataFrame) -> LineCollection:
        figure = figures.msd(objects, ensemble_msd(objects, NONE), anomalous(objects, NONE), NONE)
        return next(lines for lines in figure.axes[0].collections if isinstance(lines, LineCollection))

    few, many = thin(walkers(4)), thin(walkers(60))
    assert few.get_linewidths()[0] >= 0.8 and few.get_alpha() >= 0.8
    assert many.get_linewidths()[0] < 0.4 and many.get_alpha() < 0.4
    assert "leave" not in str(few.get_label())
    objects = walkers(4)
    still = objects["track_id"] == 0
    first = objects.groupby("track_id")["x_reg_px"].transform("first")
    quiet = np.where(still, first + 1e-4 * (objects["x_reg_px"] - first), objects["x_reg_px"])
    assert "1 leaves the range" in str(
        thin(objects.assign(x_reg_px=quiet, y_reg_px=objects["y_reg_px"].where(~still, 5.0))).get_label()
    )


def test_displacements_are_shown_beside_the_gaussian() -> None:
    objects = walkers()
    said = texts(figures.van_hove(van_hove(objects, SCALE), SCALE, lag_frames=1, alpha=non_gaussian(objects, SCALE)))
    assert "in 2 s (nm)" in said and "alpha_2" in said
    said = texts(figures.van_hove(van_hove(objects, NONE, lag=3), NONE, lag_frames=3))
    assert "in 3 frames (px)" in said and "nm" not in said
    assert "no track" in texts(figures.van_hove(van_hove(objects[:0], NONE), NONE, lag_frames=1))


def test_survival_falls_at_deaths_and_marks_lives_cut_off() -> None:
    lived = pd.DataFrame({"age_frames": [4.0, 6.0, 8.0, 9.0], "died": [True, True, False, False], "entry_frames": 0.0})
    figure = figures.survival(survival_table(lived, SCALE), lived, SCALE)
    curve, cut = figure.axes[0].lines[0], next(line for line in figure.axes[0].lines if "cut off" in str(line.get_label()))
    assert list(curve.get_xdata()) == [0, 8, 12, 18] and list(curve.get_ydata()) == pytest.approx([1, 0.75, 0.5, 0.5])
    assert sorted(cut.get_xdata()) == [16, 18] and list(cut.get_ydata()) == [0.5, 0.5]
    assert "4 tracks, 2 ends seen" in texts(figure)
    assert "no track was seen" in texts(figures.survival(survival_table(lived[:0], SCALE), lived[:0], SCALE))


def test_the_slowest_and_the_fastest_are_found_among_tracks_long_enough() -> None:
    objects = walkers()
    short = objects[(objects["track_id"] == 0) & (objects["frame"] < 12)].assign(track_id=99, x_reg_px=5.0, y_reg_px=5.0)
    mixed = pd.concat([objects, short], ignore_index=True)
    found = slowest_and_fastest(mixed, SCALE)
    assert found is not None and (found.slowest.track_id, found.fastest.track_id) == (0, 7) and "nm" in found.unit
    assert found.fastest.d_eff == pytest.approx(0.8**2 / 2 * 0.16 / 2, rel=0.5)
    bare = slowest_and_fastest(mixed, NONE)
    assert bare is not None and bare.fastest.track_id == 7 and "px" in bare.unit
    assert slowest_and_fastest(objects[objects["track_id"] == 1], SCALE) is None
    assert slowest_and_fastest(objects[:0], SCALE) is None


def test_both_tracks_lie_on_the_frame() -> None:
    objects = walkers()
    found = slowest_and_fastest(objects, SCALE)
    figure = figures.slowest_fastest(objects, found, np.zeros((60, 80)), SCALE, shift=(2.0, -1.0), stamp="frame 39")
    path = figure.axes[0].lines[1].get_xydata()  # the slowest is drawn first
    own = objects[objects["track_id"] == 7]
    np.testing.assert_allclose(path, own[["x_reg_px", "y_reg_px"]].to_numpy() + [2.0, -1.0])
    said = texts(figure)
    assert "slowest: track 0" in said and "fastest: track 7" in said and "frame 39" in said and "nm$^2$ s$^{-1}$" in said
    sides = {round(float(np.ptp(ax.get_xlim())), 6) for ax in figure.axes[1:]}
    assert len(sides) == 1  # one magnification
    assert "px$^2$/frame" in texts(figures.slowest_fastest(objects, slowest_and_fastest(objects, NONE), None, NONE))
    assert "fewer than two tracks" in texts(figures.slowest_fastest(objects, None, None, NONE))


def test_the_track_told_is_the_longest_off_the_edge_or_the_one_asked_for() -> None:
    objects = walkers(3)
    objects = objects[~((objects["track_id"] == 1) & (objects["frame"] > 30))]
    objects = objects.assign(on_edge=objects["track_id"].isin([0, 2]).to_numpy() & (objects["frame"] > 20).to_numpy())
    tracks = track_table(objects, SCALE)
    assert told_track(objects, tracks, None) == 1
    assert told_track(objects.assign(on_edge=True), tracks, None) == 0
    assert told_track(objects, tracks, 2) == 2 and told_track(objects, tracks, 9) is None
    assert told_track(objects.assign(major_px=np.nan), tracks, None) is None
    assert pictured(objects, 1) == [0, 10, 20, 30] and pictured(objects, 9) == []


def test_growth_is_told_with_pictures_and_their_ellipses() -> None:
    objects = SCALE.with_nm(walkers(2))
    segments = growth_segments(objects, track_table(objects, SCALE), SCALE)
    pictures = {number: np.random.default_rng(number).normal(size=(60, 80)) for number in pictured(objects, 1)}
    figure = figures.track_story(objects, 1, segments, pictures, SCALE)
    said = texts(figure)
    assert all(part in said for part in ("(a) 1.000 dpa", "(d) 1.390 dpa", "dose (dpa)", "major axis (nm)", "track 1"))
    ellipses = [patch for ax in figure.axes[1:] for patch in ax.patches if isinstance(patch, Ellipse)]
    assert len(ellipses) == 4 and {ellipse.angle for ellipse in ellipses} == {-30.0}
    first = objects[(objects["track_id"] == 1) & (objects["frame"] == 0)].iloc[0]
    assert ellipses[0].center == (first["x_px"], first["y_px"]) and ellipses[0].width == first["major_px"]
    line = next(line for line in figure.axes[0].lines if line.get_label() == "straight stretches")
    np.testing.assert_allclose(line.get_ydata(), np.array([12, 12 + 0.05 * 39]) * 0.4, rtol=1e-3)
    assert "no pictures" in texts(figures.track_story(objects, 1, segments, {}, SCALE))
    assert "not among those kept" in texts(figures.track_story(objects, None, segments, {}, SCALE))
    assert "size, major axis (px)" in texts(figures.track_story(objects, 1, segments, {}, NONE))


def test_a_crop_at_the_edge_stays_in_the_picture() -> None:
    objects = walkers(1).assign(ellipse_x_px=2.0, ellipse_y_px=57.0)
    figure = figures.track_story(
        objects, 0, growth_segments(objects, track_table(objects, NONE), NONE), {0: np.zeros((60, 80))}, NONE
    )
    low, high = sorted(figure.axes[1].get_xlim()), sorted(figure.axes[1].get_ylim())
    assert low[0] == -0.5 and high[1] == 59.5 and np.ptp(low) == np.ptp(high)


def test_displacement_shows_how_well_frames_matched() -> None:
    frames = pd.DataFrame({"frame": np.arange(20), "shift_x_px": np.arange(20.0), "shift_y_px": 0.0, "jump": np.arange(20) == 9})
    figure = figures.displacement(frames.assign(shift_quality=0.9), SCALE)
    assert len(figure.axes) == 2 and "match" in texts(figure)
    assert set(figure.axes[1].lines[-1].get_ydata()) == {0.9}
    np.testing.assert_allclose(next(li for li in figure.axes[0].lines if li.get_label() == "x").get_ydata(), 0.4 * np.arange(20))
    assert len(figures.displacement(frames.assign(shift_quality=np.nan), SCALE).axes) == 1
