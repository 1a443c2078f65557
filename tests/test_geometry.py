from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label, regionprops

from morphoscope.measure.geometry import measure_ellipses


def draw(shape, ellipses, *, dark=60, bright=180, oversample=8):
    """Dark ellipses (x, y, major, minor, angle counter-clockwise in degrees) on bright, edges by area."""
    y, x = np.mgrid[0 : shape[0] * oversample, 0 : shape[1] * oversample] / oversample - 0.5 + 0.5 / oversample
    inside = np.zeros(x.shape, bool)
    for cx, cy, major, minor, angle in ellipses:
        t = np.deg2rad(angle)
        along, across = (x - cx) * np.cos(t) - (y - cy) * np.sin(t), (x - cx) * np.sin(t) + (y - cy) * np.cos(t)
        inside |= (2 * along / major) ** 2 + (2 * across / minor) ** 2 <= 1
    share = inside.reshape(shape[0], oversample, shape[1], oversample).mean(axis=(1, 3))
    return np.rint(bright + (dark - bright) * share).astype(np.uint8)


def box(cx, cy, major, minor, angle):
    t = np.deg2rad(angle)
    return (
        cx,
        cy,
        np.hypot(major * np.cos(t), minor * np.sin(t)),
        np.hypot(major * np.sin(t), minor * np.cos(t)),
    )


def table(*boxes):
    return pd.DataFrame(list(boxes), columns=["x_px", "y_px", "width_px", "height_px"], dtype=float)


@pytest.mark.parametrize("angle", [0.0, 30.0, 90.0, 135.0])
def test_an_ellipse_is_measured_as_drawn(angle):
    truth = (31.3, 24.6, 24.0, 14.0, angle)
    found = measure_ellipses(draw((50, 60), [truth]), table(box(*truth))).iloc[0]
    assert found.fitted and not found.on_edge
    assert found.major_px == pytest.approx(24, abs=0.6) and found.minor_px == pytest.approx(14, abs=0.6)
    assert found.ellipse_x_px == pytest.approx(31.3, abs=0.2) and found.ellipse_y_px == pytest.approx(24.6, abs=0.2)
    assert abs((found.angle_deg - angle + 90) % 180 - 90) < 2
    assert found.area_px == pytest.approx(np.pi / 4 * 24 * 14, rel=0.05)


def test_axes_are_those_of_second_moments_with_the_pixel_term():
    image = draw((40, 40), [(20, 19, 21, 11, 20)])
    found = measure_ellipses(image, table(box(20, 19, 21, 11, 20))).iloc[0]
    level = cv2.threshold(image[8:31, 6:35].copy(), 0, 255, cv2.THRESH_OTSU)[0]
    mask = cv2.morphologyEx((image <= level).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    y, x = np.nonzero(mask)
    moments = np.cov(np.stack([x, y]), bias=True) + np.eye(2) / 12
    minor, major = 4 * np.sqrt(np.linalg.eigvalsh(moments))
    assert (found.major_px, found.minor_px) == pytest.approx((major, minor), rel=1e-9)
    assert found.major_px == pytest.approx(regionprops(label(mask))[0].axis_major_length, rel=0.01)


@pytest.mark.parametrize("gap", [-2.0, 0.0])
def test_touching_ellipses_are_separated(gap):
    first, second = (25.0, 25.0, 18.0, 14.0, 90.0), (25 + 14 + gap, 25.0, 18.0, 14.0, 90.0)
    found = measure_ellipses(draw((50, 64), [first, second]), table(box(*first), box(*second)))
    assert found.major_px.to_numpy() == pytest.approx([18, 18], abs=1.5)
    assert found.minor_px.to_numpy() == pytest.approx([14, 14], abs=2.0)
    assert found.ellipse_x_px.to_numpy() == pytest.approx([first[0], second[0]], abs=1.0)


def test_a_ring_counts_as_its_outline():
    outer, inner = (30.0, 30.0, 22.0, 22.0, 0.0), (30.0, 30.0, 8.0, 8.0, 0.0)
    image = np.maximum(draw((60, 60), [outer]), 240 - draw((60, 60), [inner]))
    assert image[30, 30] == 180 and image[30, 38] == 60
    found = measure_ellipses(image, table(box(*outer))).iloc[0]
    assert found.major_px == pytest.approx(22, abs=1) and found.area_px == pytest.approx(np.pi / 4 * 22**2, rel=0.08)


@pytest.mark.parametrize("image", [np.full((30, 40), 90, np.uint8), np.full((30, 40), np.nan), np.zeros((30, 40), np.uint16)])
def test_a_flat_patch_takes_its_sizes_from_the_box(image):
    found = measure_ellipses(image, table((20, 15, 8, 12))).iloc[0]
    assert not found.fitted and np.isnan([found.ellipse_x_px, found.ellipse_y_px, found.angle_deg]).all()
    assert (found.major_px, found.minor_px) == (12, 8) and found.area_px == pytest.approx(np.pi / 4 * 96)


def test_boxes_over_the_edge_and_outside():
    image = draw((40, 40), [(0, 20, 16, 12, 0), (20, 20, 10, 10, 0)])
    found = measure_ellipses(image, table((0, 20, 16, 12), (20, 20, 10, 10), (-40, -40, 5, 5), (39.5, 39.5, 2, 2)))
    assert found.on_edge.tolist() == [True, False, True, True]
    assert found.fitted.tolist()[:3] == [True, True, False]
    assert np.isfinite(found[["major_px", "minor_px", "area_px"]].to_numpy()).all()
    assert measure_ellipses(image, table((20, 20, 500, 500))).on_edge.all()


def test_sixteen_bits_floats_and_brightness_change_nothing_much():
    truth = (30.0, 25.0, 20.0, 12.0, 40.0)
    image = draw((50, 60), [truth])
    plain = measure_ellipses(image, table(box(*truth))).iloc[0]
    for other in (image.astype(np.uint16) * 200 + 1000, image / 255.0 - 3):
        assert measure_ellipses(other, table(box(*truth))).iloc[0].major_px == pytest.approx(plain.major_px, rel=0.03)
    inverse = measure_ellipses(255 - image, table(box(*truth)), polarity="bright").iloc[0]
    assert inverse.major_px == pytest.approx(plain.major_px, rel=0.03)


def test_index_columns_and_input_are_kept():
    detections = table((20, 20, 10, 10), (30, 20, 10, 10)).assign(score=[0.5, 0.6]).set_axis([7, 3])
    before = detections.copy()
    found = measure_ellipses(draw((40, 50), [(20, 20, 10, 10, 0)]), detections)
    assert found.index.tolist() == [7, 3] and "score" in found
    pd.testing.assert_frame_equal(detections, before)
    nothing = measure_ellipses(np.zeros((9, 9), np.uint8), detections.iloc[:0])
    assert len(nothing) == 0 and {"major_px", "fitted", "on_edge"} <= set(nothing.columns)
    assert nothing.fitted.dtype == bool and found.on_edge.dtype == bool


@settings(max_examples=25, deadline=None)
@given(st.floats(8, 30), st.floats(0.4, 1), st.floats(0, 180), st.integers(0, 3), st.booleans())
def test_turning_the_picture_turns_the_ellipse(major, ratio, angle, turns, mirror):
    truth = (32.0, 32.0, major, max(major * ratio, 5), angle)
    image = draw((65, 65), [truth], oversample=4)
    x, y, width, height = box(*truth)
    plain = measure_ellipses(image, table((x, y, width, height))).iloc[0]
    assert plain.fitted and 0 <= plain.angle_deg < 180
    turned = np.rot90(image, turns)
    turned = np.ascontiguousarray(turned[:, ::-1] if mirror else turned)
    sides = (height, width) if turns % 2 else (width, height)
    found = measure_ellipses(turned, table((x, y, *sides))).iloc[0]
    assert found.major_px == pytest.approx(plain.major_px, rel=0.06)
    if plain.minor_px < 0.8 * plain.major_px:
        expected = plain.angle_deg + 90 * turns
        expected = 180 - expected if mirror else expected
        assert abs((found.angle_deg - expected + 90) % 180 - 90) < 8


def test_a_mirrored_picture_keeps_area_and_mirrors_the_centre():
    truth = (29.3, 32.6, 22.0, 12.0, 25.0)
    image, (x, y, width, height) = draw((65, 65), [truth]), box(*truth)
    plain = measure_ellipses(image, table((x, y, width, height))).iloc[0]
    found = measure_ellipses(np.ascontiguousarray(image[:, ::-1]), table((64 - x, y, width, height))).iloc[0]
    assert found.area_px == plain.area_px
    assert (found.major_px, found.minor_px) == pytest.approx((plain.major_px, plain.minor_px))
    assert (found.ellipse_x_px, found.ellipse_y_px) == pytest.approx((64 - plain.ellipse_x_px, plain.ellipse_y_px))
    assert found.angle_deg == pytest.approx(180 - plain.angle_deg)


def test_the_order_of_the_detections_does_not_matter():
    truths = [(20.0, 25.0, 18.0, 14.0, 90.0), (33.0, 25.0, 18.0, 14.0, 90.0), (52.0, 30.0, 12.0, 8.0, 0.0)]
    image, detections = draw((50, 64), truths), table(*(box(*truth) for truth in truths))
    found = measure_ellipses(image, detections.iloc[[2, 0, 1]]).sort_index()
    pd.testing.assert_frame_equal(found, measure_ellipses(image, detections))


@pytest.mark.parametrize("share", [0.9, 1.1])
def test_a_box_10_percent_off_moves_a_clear_object_by_less_than_5_percent(share):
    truth = (31.3, 24.6, 24.0, 14.0, 30.0)
    x, y, width, height = box(*truth)
    found = measure_ellipses(draw((50, 60), [truth]), table((x, y, width * share, height * share))).iloc[0]
    assert found.major_px == pytest.approx(24, rel=0.05)
