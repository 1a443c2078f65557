"""Label shapes: areas, bounds, rasterisation and outlines against analytic truth and a plain oracle."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from morphoscope.errors import InputError
from morphoscope.io.shapes import Box, Ellipse, Mask, Point, Polygon, as_polygon, rasterize, shape_from_dict, shape_to_dict

pixel_arrays = arrays(bool, st.tuples(st.integers(1, 7), st.integers(1, 7))).filter(lambda a: a.any())
numbers = st.floats(-50, 50).map(lambda v: round(v, 3))
sizes = st.floats(0.5, 30).map(lambda v: round(v, 3))
angles = st.floats(0, 180)


def in_rings(rings: tuple, x: float, y: float) -> bool:
    """The oracle: the winding angle of each ring around the point, in turns, added up odd or even."""
    turns = 0
    for ring in rings:
        total = 0.0
        for (xa, ya), (xb, yb) in zip(ring, (*ring[1:], ring[0]), strict=True):
            total += (math.atan2(yb - y, xb - x) - math.atan2(ya - y, xa - x) + math.pi) % (2 * math.pi) - math.pi
        turns += round(total / (2 * math.pi))
    return turns % 2 == 1


def distances_to_edges(ring: tuple, x: float, y: float) -> list[float]:
    found = []
    for (xa, ya), (xb, yb) in zip(ring, (*ring[1:], ring[0]), strict=True):
        length = (xb - xa) ** 2 + (yb - ya) ** 2
        along = min(max(((x - xa) * (xb - xa) + (y - ya) * (yb - ya)) / length, 0), 1) if length else 0
        found.append(math.hypot(xa + along * (xb - xa) - x, ya + along * (yb - ya) - y))
    return found


def test_an_upright_box_covers_the_pixels_between_its_corners() -> None:
    box = Box.from_corners(2, 1, 6, 3)
    assert box.bounds == (2, 1, 6, 3)
    assert box.area_px == 8
    pixels = rasterize(box, 5, 8)
    assert np.argwhere(pixels).min(axis=0).tolist() == [1, 2]
    assert np.argwhere(pixels).max(axis=0).tolist() == [2, 5]
    assert pixels.sum() == 8


def test_angles_run_counter_clockwise_as_seen() -> None:
    """A long box turned by 45 degrees points to the upper right, where y is small."""
    pixels = rasterize(Box(10, 10, 18, 2, 45), 20, 20)
    assert pixels[5, 14] and not pixels[14, 14]
    pixels = rasterize(Ellipse(10, 10, 18, 2, 45), 20, 20)
    assert pixels[5, 14] and not pixels[14, 14]


@given(numbers, numbers, sizes, sizes, angles)
def test_bounds_of_a_turned_ellipse_touch_it(x: float, y: float, a: float, b: float, angle: float) -> None:
    ellipse = Ellipse(x, y, max(a, b), min(a, b), angle)
    t = np.linspace(0, 2 * np.pi, 20001)
    u, v = ellipse.major / 2 * np.cos(t), ellipse.minor / 2 * np.sin(t)
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    xs, ys = x + u * cos + v * sin, y - u * sin + v * cos
    np.testing.assert_allclose(ellipse.bounds, (xs.min(), ys.min(), xs.max(), ys.max()), atol=1e-4)
    assert as_polygon(ellipse).area_px == pytest.approx(ellipse.area_px)


@given(pixel_arrays, st.integers(-5, 5), st.integers(-5, 5))
def test_a_mask_keeps_its_pixels_and_place(pixels: np.ndarray, x0: int, y0: int) -> None:
    mask = Mask.from_pixels(pixels, x0, y0)
    rows, columns = np.nonzero(pixels)
    found_rows, found_columns = np.nonzero(mask.pixels)
    assert (found_rows + mask.y0).tolist() == (rows + y0).tolist()
    assert (found_columns + mask.x0).tolist() == (columns + x0).tolist()
    assert mask.area_px == pixels.sum()
    assert mask.bounds == (columns.min() + x0, rows.min() + y0, columns.max() + x0 + 1, rows.max() + y0 + 1)


@given(pixel_arrays)
def test_the_outline_of_a_mask_gives_the_mask_again(pixels: np.ndarray) -> None:
    mask = Mask.from_pixels(pixels)
    outline = as_polygon(mask)
    assert outline.area_px == mask.area_px
    assert outline.bounds == mask.bounds
    np.testing.assert_array_equal(rasterize(outline, *pixels.shape), pixels)
    np.testing.assert_array_equal(rasterize(mask, *pixels.shape), pixels)


def test_a_hole_is_outside_and_an_island_in_it_inside() -> None:
    rings = tuple(tuple(Box.from_corners(k, k, 20 - k, 20 - k).ring) for k in (0, 4, 8))
    polygon = Polygon(rings)
    assert polygon.area_px == 400 - 144 + 16
    assert rasterize(polygon, 20, 20).sum() == 400 - 144 + 16


@given(st.lists(st.tuples(st.floats(0, 12), st.floats(0, 12)), min_size=3, max_size=7))
def test_pixels_of_any_polygon_match_the_winding_oracle(corners: list[tuple[float, float]]) -> None:
    ring = tuple((round(x, 2), round(y, 2)) for x, y in corners)
    found = rasterize(Polygon((ring,)), 12, 12)
    for row, column in ((2, 3), (5, 5), (6, 8), (9, 4), (11, 11)):
        if min(distances_to_edges(ring, column + 0.5, row + 0.5)) < 1e-6:
            continue  # on an edge either answer is right
        assert found[row, column] == in_rings((ring,), column + 0.5, row + 0.5)


@given(numbers, numbers, sizes, sizes, angles)
def test_areas_agree_with_counted_pixels(x: float, y: float, a: float, b: float, angle: float) -> None:
    ellipse = Ellipse(20 + x / 25, 20 + y / 25, 4 + max(a, b), 4 + min(a, b), angle)
    box = Box(ellipse.x, ellipse.y, ellipse.major / 2, ellipse.minor / 2, angle)
    for shape in (ellipse, box):
        perimeter = 2 * (ellipse.major + ellipse.minor)
        assert abs(rasterize(shape, 60, 60).sum() - rasterize(as_polygon(shape), 60, 60).sum()) <= 2 + perimeter / 20
    grid = rasterize(ellipse, 60, 60).sum()
    assert abs(grid - ellipse.area_px) <= perimeter / 4 + 3 or min(ellipse.bounds) < 0


def test_what_leaves_the_image_is_cut_off_and_a_point_has_no_pixels() -> None:
    assert rasterize(Box.from_corners(-2, -2, 2, 1), 4, 4).sum() == 2
    assert not rasterize(Box.from_corners(9, 9, 12, 12), 4, 4).any()
    assert not rasterize(Point(1, 1), 4, 4).any()


@pytest.mark.parametrize(
    "shape",
    [
        Point(1.25, -3),
        Box(0.1, 0.2, 3, 4, 30),
        Ellipse(1 / 3, 2, 5, 4, 179.9),
        Polygon((((0, 0), (1, 0), (0.5, 2)),)),
        Mask.from_pixels(np.eye(3)),
    ],
)
def test_shapes_survive_json(shape: object) -> None:
    assert shape_from_dict(json.loads(json.dumps(shape_to_dict(shape)))) == shape


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"kind": "star"},
        {"kind": "box", "x": 1},
        {"kind": "polygon", "rings": [1]},
        {"kind": "polygon", "rings": []},
        {"kind": "point", "x": "a", "y": 1},
        {"kind": "point", "x": math.nan, "y": 1},
        {"kind": "mask", "x0": 0, "y0": 0, "width": 2, "height": 1, "runs": [0, 3]},
        {"kind": "mask", "x0": 0, "y0": 0, "width": 2, "height": 1, "runs": [math.inf]},
        {"kind": "mask", "x0": 0, "y0": 0, "width": 10**9, "height": 10**9, "runs": [0, 10**18]},
    ],
)
def test_what_is_no_shape_is_refused(values: dict) -> None:
    with pytest.raises(InputError, match="wanted a shape with a kind of"):
        shape_from_dict(values)


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(InputError, match="at least one pixel"):
        Mask.from_pixels(np.zeros((2, 2)))
