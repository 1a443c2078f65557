"""Pixels to nanometres against direct computation."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from morphoscope.calibration import Axis, Calibration
from morphoscope.errors import UsageError

lengths = st.floats(0.5, 300)
sizes = st.floats(0.01, 50)
angles = st.floats(-180, 180)


def filled_ellipse_axes(major: float, minor: float, angle: float, size_y: float, size_x: float) -> tuple[float, float]:
    """Full axes in nm from the second moments of points that fill the ellipse, scaled to nm one by one."""
    radius, turn = np.meshgrid(np.sqrt((np.arange(60) + 0.5) / 60), np.arange(72) * 2 * np.pi / 72)
    u, v = major / 2 * radius * np.cos(turn), minor / 2 * radius * np.sin(turn)
    a = math.radians(angle)
    x, y = u * math.cos(a) - v * math.sin(a), u * math.sin(a) + v * math.cos(a)
    points = np.stack([x.ravel() * size_x, y.ravel() * size_y])
    small, large = np.linalg.eigvalsh(points @ points.T / points.shape[1])
    return 4 * math.sqrt(large), 4 * math.sqrt(max(small, 0))


@settings(deadline=None, max_examples=60)
@given(major=lengths, ratio=st.floats(0.05, 1), angle=angles, size_y=sizes, size_x=sizes)
def test_ellipse_axes_are_those_of_the_scaled_points(major, ratio, angle, size_y, size_x):
    found = Calibration((size_y, size_x)).ellipse_nm(major, major * ratio, angle)
    wanted = filled_ellipse_axes(major, major * ratio, angle, size_y, size_x)
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6 * wanted[0])


@given(major=lengths, ratio=st.floats(0.05, 1), angle=angles, size=sizes)
def test_equal_pixels_only_scale(major, ratio, angle, size):
    found = Calibration((size, size)).ellipse_nm(major, major * ratio, angle)
    np.testing.assert_allclose(found, (major * size, major * ratio * size))


@given(diameter=lengths, angle=angles, size_y=sizes, size_x=sizes)
def test_a_circle_becomes_an_ellipse_along_the_pixel_axes(diameter, angle, size_y, size_x):
    major, minor = Calibration((size_y, size_x)).ellipse_nm(diameter, diameter, angle)
    np.testing.assert_allclose((major, minor), (diameter * max(size_y, size_x), diameter * min(size_y, size_x)), rtol=1e-6)


@given(major=lengths, ratio=st.floats(0.05, 1), angle=angles, size_y=sizes, size_x=sizes)
def test_area_and_axes_agree(major, ratio, angle, size_y, size_x):
    calibration = Calibration((size_y, size_x))
    a, b = calibration.ellipse_nm(major, major * ratio, angle)
    area_px = math.pi / 4 * major * major * ratio
    assert a * b * math.pi / 4 == pytest.approx(float(calibration.area_nm2(area_px)), rel=1e-5)


def test_table_gets_a_twin_of_each_length():
    table = pd.DataFrame({"x_px": [2.0], "y_px": [3.0], "width_px": [4.0], "height_px": [5.0], "area_px": [6.0]})
    table = table.assign(ellipse_x_px=7.0, ellipse_y_px=8.0, major_px=10.0, minor_px=5.0, angle_deg=90.0)
    before = table.copy()
    found = Calibration((0.5, 2.0)).with_nm(table).iloc[0]
    pd.testing.assert_frame_equal(table, before)
    wanted = {"x_nm": 4, "y_nm": 1.5, "width_nm": 8, "height_nm": 2.5, "area_nm2": 6, "ellipse_x_nm": 14, "ellipse_y_nm": 4}
    assert {name: found[name] for name in wanted} == pytest.approx(wanted)
    assert (found["major_nm"], found["minor_nm"]) == pytest.approx((10, 5))  # 5 px across at 2 nm, 10 px along y at 0.5 nm


def test_without_a_scale_there_are_columns_and_no_numbers():
    table = pd.DataFrame({"x_px": [2.0], "area_px": [6.0], "major_px": [10.0], "minor_px": [5.0], "angle_deg": [0.0]})
    found = Calibration().with_nm(table)
    assert not Calibration().has_scale
    assert found[["x_nm", "area_nm2", "major_nm", "minor_nm"]].isna().all(axis=None)


@pytest.mark.parametrize("size", [0.0, -1.0, math.nan, math.inf, 1e12])
def test_impossible_sizes_are_refused(size):
    with pytest.raises(UsageError, match="pixel size"):
        Calibration((1.0, size))


@pytest.mark.parametrize("interval", [0.0, -1.0, math.nan, math.inf])
def test_impossible_intervals_are_refused(interval):
    with pytest.raises(UsageError, match="frame interval"):
        Calibration(frame_interval_s=interval)


def test_axes():
    dose = Axis("dose", "dpa", 0.8534, 1.6466 / 1175)
    calibration = Calibration(frame_interval_s=1.75, axes=(dose,))
    assert calibration.axis("dose").at([0, 1175]) == pytest.approx([0.8534, 2.5])
    assert dose.label == "dose (dpa)"
    assert calibration.axis("time").at(4) == pytest.approx(7.0) == calibration.time_s(4)
    assert calibration.axis_names == ("frame", "time", "dose")
    assert calibration.main_axis == dose
    assert Calibration(frame_interval_s=1.0).main_axis.name == "time"
    assert Calibration().main_axis.name == "frame"
    assert np.isnan(Calibration().time_s([0, 1])).all()
    with pytest.raises(UsageError, match="known: frame, time, dose"):
        calibration.axis("temperature")


def test_updates_note_where_values_come_from():
    found = Calibration().updated("header", pixel_size_nm=(1.0, 1.0), frame_interval_s=2.0)
    ruled = found.updated("recipe", pixel_size_nm=(0.5, 0.5), frame_interval_s=None, axes=())
    assert ruled.pixel_size_nm == (0.5, 0.5)
    assert ruled.frame_interval_s == 2.0
    assert dict(ruled.provenance) == {"pixel_size_nm": "recipe", "frame_interval_s": "header"}
    with pytest.raises(TypeError):
        ruled.provenance["pixel_size_nm"] = "guess"
