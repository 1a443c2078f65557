from __future__ import annotations

import re
import tracemalloc

import matplotlib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnchoredOffsetbox

from morphoscope.calibration import Axis, Calibration
from morphoscope.report import figures
from morphoscope.report.growth import Rate, rate_text
from morphoscope.report.style import STYLE, length_label, math_unit, new_figure, nice_length, power_of_ten, scale_bar, show_image
from morphoscope.report.trajectories import _busiest

DOSE = Calibration(pixel_size_nm=(0.4, 0.4), frame_interval_s=2.0, axes=(Axis("dose", "dpa", 1.0, 0.01),))
NONE = Calibration()


def _frames(n: int = 40, *, density: bool = True) -> pd.DataFrame:
    count = np.arange(n) + 3
    table = pd.DataFrame({"frame": np.arange(n), "count": count})
    for unit, scale in (("px", 1.0), ("nm", 0.4)):
        for name, size in (("q1", 12.0), ("median", 15.0), ("q3", 19.0)):
            table[f"size_{name}_{unit}"] = size * scale
    per = 2e14 if density else np.nan
    table = table.assign(density_raw=count * per, density=count * per * 1.75, density_unit="cm^-3" if density else None)
    table = table.assign(density_low=table["density"] * 0.8, density_high=table["density"] * 1.25)
    return table.assign(shift_x_px=np.linspace(0, 5, n), shift_y_px=np.linspace(0, -3, n), jump=np.arange(n) == 20)


def _objects(tracks: int = 6, n: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    frame, track = np.tile(np.arange(n), tracks), np.repeat(np.arange(tracks), n)
    x, y = 20.0 + 15 * track + rng.normal(0, 0.5, frame.size), 40.0 + rng.normal(0, 0.5, frame.size)
    major = 10 + 0.1 * frame + rng.normal(0, 0.2, frame.size)
    table = pd.DataFrame({"frame": frame, "track_id": pd.array(track, dtype="Int64"), "x_reg_px": x, "y_reg_px": y})
    return table.assign(x_px=x, y_px=y, width_px=12.0, height_px=10.0, major_px=major, major_nm=major * 0.4)


def _tracks(objects: pd.DataFrame) -> pd.DataFrame:
    grouped = objects.groupby("track_id")["frame"].agg(["min", "max", "size"]).reset_index()
    return grouped.rename(columns={"min": "first_frame", "max": "last_frame", "size": "n_points"})


def _texts(figure: Figure) -> str:
    figure.canvas.draw()
    found = [t.get_text() for t in figure.findobj(matplotlib.text.Text)]
    return " | ".join(found)


def test_density_axes_carry_units() -> None:
    figure = figures.density_and_size(_frames(), DOSE)
    said = _texts(figure)
    assert "density (10$^{16}$ cm$^{-3}$)" in said and "major axis (nm)" in said and "dose (dpa)" in said
    assert "as counted" in said and "corrected for visibility" in said
    top = figure.axes[0]
    corrected = next(line for line in top.lines if line.get_label() == "corrected for visibility")
    np.testing.assert_allclose(corrected.get_ydata(), _frames()["density"] / 1e16)
    np.testing.assert_allclose(corrected.get_xdata(), 1.0 + 0.01 * np.arange(40))


def test_without_scale_counts_and_px() -> None:
    said = _texts(figures.density_and_size(_frames(density=False), NONE))
    assert "objects per frame" in said and "major axis (px)" in said and "nm" not in said and "as counted" not in said
    assert "frame" in said


def test_hand_counts_go_through_the_same_conversion() -> None:
    table = _frames()
    truth = pd.DataFrame({"frame": [10, 30], "count": table["count"].iloc[[10, 30]].to_numpy()})
    top = figures.density_and_size(table, DOSE, truth=truth).axes[0]
    points = next(line for line in top.lines if line.get_label() == "given count")
    np.testing.assert_allclose(points.get_ydata(), table["density"].iloc[[10, 30]] / 1e16)


def test_zero_counts_have_an_interval_from_zero() -> None:
    table = _frames(5, density=False).assign(count=0)
    bands = figures.density_and_size(table, NONE).axes[0].collections
    low = min(path.vertices[:, 1].min() for band in bands for path in band.get_paths())
    high = max(path.vertices[:, 1].max() for band in bands for path in band.get_paths())
    assert low == 0 and high == pytest.approx(3.689, abs=0.01)  # -ln(0.025)


def test_size_boxes_take_the_nearest_frames() -> None:
    figure = figures.size_boxes(_objects(), DOSE, values=(1.0, 1.201, 1.39))
    said = _texts(figure)
    assert said.count("n = 6") == 3 and "1.000" in said and "1.200" in said and "1.390" in said
    assert "n = 6" in _texts(figures.size_boxes(_objects(n=1), NONE))


def test_growth_line_has_the_true_slope() -> None:
    objects = _objects()
    figure = figures.track_growth(objects, _tracks(objects), DOSE, axis="time", most=3)
    shown = [ax for ax in figure.axes if ax.get_visible()]
    assert len(shown) == 3
    x, y = shown[0].lines[1].get_data()
    assert (y[1] - y[0]) / (x[1] - x[0]) == pytest.approx(0.1 * 0.4 / 2.0, rel=0.1)
    assert "pm s$^{-1}$" in _texts(figure)
    assert "px/frame" in _texts(figures.track_growth(objects, _tracks(objects), NONE, most=1))
    three = figures.track_growth(objects[objects["frame"] < 3], _tracks(objects), DOSE, most=1)
    assert len(three.axes[0].lines) == 1  # the points alone


def test_rates_are_those_of_the_table_in_plain_numbers() -> None:
    objects = _objects(tracks=2)
    rates = {"growth_nm_per_s": [0.1, 0.0904], "growth_nm_per_s_low": [0.09, -0.02], "growth_nm_per_s_high": [0.11, 0.2]}
    said = _texts(figures.track_growth(objects, _tracks(objects).assign(**rates), DOSE))
    assert "100 (90 to 110) pm s$^{-1}$" in said and "90 (\u221220 to 200) pm s$^{-1}$" in said
    assert rate_text(Rate(5.612, 4.9, 6.3)) == "5.61 (4.90 to 6.30)" and rate_text(Rate(2.0, np.nan, np.nan)) == "2.00"
    assert rate_text(Rate(0.0, 0.0, 0.0)) == "0.000 (0.000 to 0.000)"
    assert rate_text(Rate(444.4, 444.4, 444.4 + 1e-12)) == "444 (444 to 444)"


@given(st.floats(-1e3, 1e3), st.floats(1e-4, 1e3))
def test_rates_are_read_back_within_a_tenth_of_their_interval(value: float, half: float) -> None:
    said = rate_text(Rate(value, value - half, value + half)).replace("\u2212", "-")
    assert "e" not in said
    numbers = [float(part) for part in re.findall(r"-?[\d.]+", said)]
    np.testing.assert_allclose(numbers, [value, value - half, value + half], atol=half / 10)


def test_growth_in_several_stretches_is_drawn_bent() -> None:
    objects = _objects(tracks=2)
    bent = objects["track_id"] == 1
    size = np.where(bent, 10 + 0.5 * np.clip(objects["frame"] - 20, 0, None), objects["major_px"])
    objects = objects.assign(major_px=size, major_nm=size * 0.4)
    names = ["track_id", "segment", "first_frame", "last_frame", "growth_px_per_frame"]
    table = pd.DataFrame([(0, 0, 0.0, 39.0, 9.0), (1, 0, 0.0, 20.0, 0.0), (1, 1, 20.0, 39.0, 0.5)], columns=names)
    low, high = table["growth_px_per_frame"] - 0.1, table["growth_px_per_frame"] + 0.1
    segments = table.assign(growth_px_per_frame_low=low, growth_px_per_frame_high=high)
    straight, two = figures.track_growth(objects, _tracks(objects), DOSE, axis="time", segments=segments).axes[:2]
    np.testing.assert_allclose(two.lines[1].get_xdata(), [0, 40, 78])
    np.testing.assert_allclose(two.lines[1].get_ydata(), [4.0, 4.0, 4.0 + 0.5 * 19 * 0.4], rtol=1e-6)
    assert list(two.lines[2].get_xdata()) == [40, 40]  # the change point
    assert two.texts[0].get_text() == "0 (\u221220 to 20)\n100 (80 to 120) pm s$^{-1}$"
    assert len(straight.lines[1].get_xdata()) == 2 and "900" not in straight.texts[0].get_text()


def test_trajectories_lie_on_the_frame_shown() -> None:
    objects = _objects()
    figure = figures.trajectory_map(objects, _tracks(objects), np.zeros((80, 120)), DOSE, shift=(3.0, -2.0))
    segments = figure.axes[0].collections[0].get_segments()
    first = objects[objects["track_id"] == 0].iloc[0]
    np.testing.assert_allclose(segments[0][0], [first["x_reg_px"] + 3, first["y_reg_px"] - 2])
    said = _texts(figure)
    assert "6 trajectories" in said and "10 nm" in said and "moved in x (nm)" in said
    said = _texts(figures.trajectory_map(objects, _tracks(objects), np.zeros((120, 60)), NONE))
    assert "nm" not in said and "moved in x (px)" in said


@pytest.mark.parametrize("tall", [1.0, 0.0, 40.0])
def test_a_map_without_a_picture_holds_all_paths(tall: float) -> None:
    """Whatever their spread, also on a line; the colours begin with the first frame, also where the axis ends at 0."""
    objects = _objects().assign(y_reg_px=lambda t: t["y_reg_px"] * tall)
    ending = Calibration(axes=(Axis("bias", "V", -39.0, 1.0),))
    left = figures.trajectory_map(objects, _tracks(objects), None, ending).axes[0]
    (x0, x1), (y1, y0) = left.get_xlim(), left.get_ylim()
    ends = np.concatenate(left.collections[0].get_segments())
    assert x0 <= ends[:, 0].min() and ends[:, 0].max() <= x1 and y0 <= ends[:, 1].min() and ends[:, 1].max() <= y1
    assert max((x1 - x0) / (y1 - y0), (y1 - y0) / (x1 - x0)) < 3.2 and not left.images
    assert len(left.collections[0].get_segments()) == 6 * 39  # a colour each
    ours = left.collections[0].get_segments()[0][0] - objects[["x_reg_px", "y_reg_px"]].iloc[0]
    np.testing.assert_allclose(ours, left.collections[0].get_segments()[-1][-1] - objects[["x_reg_px", "y_reg_px"]].iloc[-1])


def test_a_map_of_many_tracks_needs_little_memory() -> None:
    n = 6000
    place = np.random.default_rng(0).uniform(0, 100, (n, 2))
    paths = [np.stack([p, p + 1 + 5 * (p[0] > 60)]) for p in place]
    tracemalloc.start()
    x, _, width, height = _busiest(paths, (100, 100))
    assert tracemalloc.get_traced_memory()[1] < 150e6
    tracemalloc.stop()
    assert x > 50 and (width, height) == (25, 25)


def test_the_scale_bar_is_legible_on_writing_of_its_own_colour() -> None:
    """A white bar of the right length on a black plate, on a picture that is white."""
    figure = new_figure(4, 4, placed=True)
    ax = figure.add_axes((0, 0, 1, 1))
    show_image(ax, np.full((100, 100), 255.0) - np.eye(100))
    ax.set(xlim=(-0.5, 99.5), ylim=(99.5, -0.5))
    scale_bar(ax, (0.0, 0.0, 100.0, 100.0), DOSE)
    figure.canvas.draw()
    (plate,) = (artist for artist in ax.artists if isinstance(artist, AnchoredOffsetbox))
    assert plate.patch.get_facecolor() == (0, 0, 0, 1)
    (bar,) = (patch for patch in plate.findobj(matplotlib.patches.Rectangle) if patch.get_facecolor() == (1, 1, 1, 1))
    within = plate.patch.get_window_extent(), bar.get_window_extent()
    assert within[1].width == pytest.approx(12.5 * 4, abs=0.5)  # 5 nm at 0.4 nm per px, 4 dots a px
    assert within[0].x0 < within[1].x0 < within[1].x1 < within[0].x1 and within[0].y0 < within[1].y0


def test_drift_shows_jumps() -> None:
    figure = figures.displacement(_frames(), DOSE)
    said = _texts(figure)
    assert "stage jump" in said and "displacement (nm)" in said
    assert "not registered" in _texts(figures.displacement(_frames().drop(columns="shift_x_px"), DOSE))


def test_nothing_to_draw_is_said() -> None:
    nothing = _objects().head(0)
    none = figures.density_and_size(_frames().head(0), DOSE)
    assert "no frames" in _texts(none) and figures.nothing_drawn(none) == "no frames"
    assert figures.nothing_drawn(figures.density_and_size(_frames(), DOSE)) == ""
    assert "no object" in _texts(figures.size_boxes(nothing, DOSE))
    assert "no track" in _texts(figures.track_growth(nothing, _tracks(nothing), DOSE))
    assert "no track" in _texts(figures.trajectory_map(nothing, _tracks(nothing), np.zeros((50, 60)), DOSE))


def test_matched_boxes_count_each_kind() -> None:
    boxes = pd.DataFrame({"x_px": [10.0, 30.0, 50.0], "y_px": 20.0, "width_px": 8.0, "height_px": 6.0})
    figure = figures.matched_boxes(np.zeros((60, 80)), boxes, boxes.iloc[:2], [(0, 1)], title="a.png", calibration=DOSE)
    legend = figure.legends[0]
    assert [t.get_text() for t in legend.get_texts()] == ["detected (1 matched)", "its truth", "false (2)", "missed (1)"]
    figures.matched_boxes(np.zeros((60, 80)), boxes.head(0), boxes.head(0), np.empty((0, 2)))


def test_evaluation_figures() -> None:
    iou = np.array([0.15, 0.5])
    scores = pd.DataFrame({"iou": iou, "precision": [0.9, 0.7], "recall": [0.8, 0.6], "f1": [0.85, 0.65]})
    said = _texts(figures.f1_vs_iou(scores, per_frame=scores[["iou", "f1"]], reference=(0.15, 0.89, "published")))
    assert "IoU cut-off" in said and "published" in said
    bins = pd.DataFrame({"size_low": [4, 8.0], "size_high": [8, 12.0], "n": [0, 20], "recall": [np.nan, 0.9]})
    said = _texts(figures.recall_by_size(bins, unit="nm", smallest_reliable=8.2, smallest_labelled=6.0))
    assert "found reliably from: 8.2 nm" in said and "true size (nm)" in said
    noise = pd.DataFrame({"noise": ["none", "Gaussian"], "level": [None, 0.01], "f1": [0.9, 0.81]})
    assert "(-10.0 %)" in _texts(figures.noise_robustness(noise))


def test_save_is_repeatable_and_global_state_is_left_alone(tmp_path) -> None:
    before = dict(matplotlib.rcParams)
    paths = [figures.save_figure(figures.displacement(_frames(), DOSE), tmp_path / d, "drift", svg=True) for d in ("a", "b")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    svg = (tmp_path / "a" / "drift.svg").read_text()
    assert svg == (tmp_path / "b" / "drift.svg").read_text() and "dose (dpa)" in svg
    assert dict(matplotlib.rcParams) == before
    assert set(STYLE) <= set(before)


@given(st.floats(1e-3, 1e7))
def test_nice_length_is_round_and_fits(limit: float) -> None:
    length = nice_length(limit)
    assert limit / 2.5 - 1e-9 <= length <= limit * (1 + 1e-9)
    assert float(f"{length:.0e}"[0]) in (1, 2, 5)


def test_small_words() -> None:
    assert math_unit("cm^-3") == "cm$^{-3}$" and math_unit("um^-2") == "\u00b5m$^{-2}$"
    assert power_of_ten([3e16]) == 16 and power_of_ten([12.0]) == 0 and power_of_ten([np.nan]) == 0
    assert length_label(50) == "50 nm" and length_label(2000) == "2 \u00b5m"
