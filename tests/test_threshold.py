"""Particles outlined without a model: drawn discs, scikit-image, and what must not change anything."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.filters import threshold_multiotsu
from skimage.segmentation import watershed

from morphoscope.errors import InputError, UsageError
from morphoscope.measure import watershed as watershed_module
from morphoscope.measure.shape import shapes
from morphoscope.measure.smooth import smoothed
from morphoscope.measure.threshold import METHODS, ThresholdSettings, cleaned, foreground, otsu_cuts, threshold_labels
from morphoscope.measure.watershed import connected, part_touching

PLAIN = ThresholdSettings(blur_px=0, smallest_px=1, holes_px=0)


def discs(places, shape=(120, 160), ground=60.0, level=160.0):
    """Discs (x, y, radius) drawn with soft edges, float32."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    inside = np.zeros(shape)
    for cx, cy, r in places:
        inside = np.maximum(inside, np.clip(r + 0.5 - np.hypot(x - cx, y - cy), 0, 1))
    return (ground + (level - ground) * inside).astype(np.float32)


APART = ((30, 40, 10), (70, 35, 7), (120, 60, 15), (40, 95, 12))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("polarity", ["auto", "bright", "dark"])
def test_discs_have_their_places_and_areas(method, polarity):
    dark = polarity == "dark"
    image = discs(APART, ground=160.0, level=60.0) if dark else discs(APART)
    image += np.random.default_rng(0).normal(0, 2, image.shape).astype(np.float32)
    labels = threshold_labels(image, method, ThresholdSettings(polarity=polarity, level=110.0))
    table = shapes(labels).sort_values("x_px")
    wanted = np.array(sorted(APART))
    assert len(table) == len(wanted)
    assert np.allclose(table[["ellipse_x_px", "ellipse_y_px"]], wanted[:, :2], atol=0.25)
    tolerance = 0.12 if method in ("multi-otsu", "local") else 0.04  # two of them put the threshold elsewhere on the soft edge
    assert np.allclose(table["equivalent_diameter_px"], 2 * wanted[:, 2], rtol=tolerance)


def test_auto_takes_the_rim_for_the_ground_even_where_particles_cover_most():
    image = discs([(80, 60, 55)], ground=200.0, level=90.0)
    assert (image < 150).mean() > 0.45
    labels = threshold_labels(image)
    assert labels[60, 80] == 1 and labels[0, 0] == 0


def test_multi_otsu_finds_both_sides_of_a_ground_in_the_middle():
    image = discs([(40, 60, 15)], ground=100.0, level=180.0)
    image += discs([(110, 60, 15)], ground=0.0, level=-80.0)
    image += np.random.default_rng(1).normal(0, 3, image.shape).astype(np.float32)
    found = {p: shapes(threshold_labels(image, "multi-otsu", ThresholdSettings(polarity=p))) for p in ("auto", "bright", "dark")}
    assert np.allclose(found["auto"]["ellipse_x_px"], [40, 110], atol=0.5)
    assert 40 in found["bright"]["x_px"].round().tolist() and 110 in found["dark"]["x_px"].round().tolist()


def test_local_ignores_a_slope_that_defeats_otsu():
    image = discs(APART, ground=60.0, level=90.0) + np.linspace(0, 70, 160, dtype=np.float32)[None]
    found = threshold_labels(image, "local", ThresholdSettings(window_px=81, polarity="bright"))
    assert np.allclose(np.sort(shapes(found)["ellipse_x_px"]), [30, 40, 70, 120], atol=0.5)
    assert shapes(threshold_labels(image, "otsu", ThresholdSettings(polarity="bright")))["area_px"].max() > 0.2 * image.size


@pytest.mark.parametrize("distance", [13, 16, 19])
def test_touching_discs_are_parted_where_they_touch(distance):
    image = discs([(50, 60, 10), (50 + distance, 60, 10)])
    labels = threshold_labels(image, settings=ThresholdSettings(blur_px=0))
    table = shapes(labels)
    assert len(table) == 2
    half = distance / 2
    area = math.pi * 100 - (100 * math.acos(half / 10) - half * math.sqrt(100 - half**2))  # disc less half of the lens
    assert np.allclose(table["area_px"], area, rtol=0.04)
    edge = np.flatnonzero(np.diff(labels[60, 50 : 50 + distance]))
    assert abs(50 + edge[0] + 0.5 - (50 + half)) <= 1


@pytest.mark.parametrize("radius", [6, 14, 30])
def test_touching_particles_of_any_size_are_parted_by_default(radius):
    image = discs([(radius * x, 80, radius) for x in (2, 3.8, 5.6)], shape=(160, 260))
    assert len(shapes(threshold_labels(image))) == 3


def test_particles_that_do_not_touch_are_not_joined_and_parts_with_one_middle_not_cut():
    image = discs([(50, 60, 4), (61, 60, 4)])  # nearer than separate_px, but apart
    assert shapes(threshold_labels(image, settings=ThresholdSettings(blur_px=0, separate_px=30, smallest_px=5)))[
        "x_px"
    ].tolist() == [50, 61]
    inside = np.zeros((60, 120), bool)
    inside[20:40, 10:110] = True
    assert part_touching(inside, 120.0).max() == 1
    assert part_touching(inside, 0.0).max() == 1


def test_small_parts_go_and_small_holes_are_filled():
    inside = np.zeros((50, 50), bool)
    inside[5:25, 5:25] = True
    inside[10:12, 10:12] = False  # hole of 4
    inside[18:23, 18:23] = False  # hole of 25
    inside[40:42, 40:42] = True
    inside[0:3, 45:50] = inside[3, 45] = True
    mended = cleaned(inside, 5, 4)
    assert mended[10, 10] and not mended[20, 20] and not mended[40, 40] and mended[0, 47]
    assert mended.sum() == 400 - 25 + 16
    assert not cleaned(inside, 5, 0)[10, 10]
    ring = np.zeros((30, 30), bool)
    ring[0:12, 0:12] = True
    ring[0:10, 1:10] = False  # open to the rim: no hole
    assert not cleaned(ring, 1, 1000)[5, 5]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=12, max_size=40), st.integers(2, 4))
def test_cuts_are_those_of_an_exhaustive_search(counts, classes):
    counts = np.array(counts)
    if (counts > 0).sum() < classes:
        return
    cuts = otsu_cuts(counts, classes)
    values = np.arange(len(counts))

    def between(cut):
        parts = np.split(values, np.asarray(cut) + 1)
        mean = (counts * values).sum() / counts.sum()
        return sum(counts[p].sum() * ((counts[p] * p).sum() / counts[p].sum() - mean) ** 2 for p in parts if counts[p].sum())

    from itertools import combinations

    best = max(between(cut) for cut in combinations(range(len(counts) - 1), classes - 1))
    assert between(cuts) == pytest.approx(best, rel=1e-9)


def test_cuts_are_those_of_scikit_image():
    rng = np.random.default_rng(3)
    values = np.concatenate([rng.normal(m, 9, 4000) for m in (40, 110, 190)]).clip(0, 255).astype(np.uint8)
    counts = np.bincount(values, minlength=256)
    for classes in (2, 3, 4):
        assert otsu_cuts(counts, classes).tolist() == threshold_multiotsu(hist=(counts, np.arange(256)), classes=classes).tolist()


def test_the_watershed_is_that_of_scikit_image():
    rng = np.random.default_rng(5)
    shape, image = (400, 500), np.zeros((400, 500), np.uint8)
    for x, y, r in zip(rng.uniform(0, 500, 260), rng.uniform(0, 400, 260), rng.uniform(5, 14, 260), strict=True):
        cv2.circle(image, (int(x * 16), int(y * 16)), int(r * 16), 1, -1, shift=4)
    inside = image > 0
    ours = part_touching(inside, 10.0)
    depth = cv2.GaussianBlur(cv2.distanceTransform(image, cv2.DIST_L2, cv2.DIST_MASK_PRECISE), (0, 0), 2.0)
    top = ndimage.maximum_position(depth, ours, np.arange(1, ours.max() + 1))
    seeds = np.zeros(shape, np.int32)
    seeds[tuple(np.array(top).T)] = np.arange(1, ours.max() + 1)
    theirs = watershed(-depth, seeds, mask=inside, connectivity=2)
    assert ours.max() > 1.3 * connected(inside, 8)[1][1:].size  # many parts were cut
    assert (ours == theirs)[inside].mean() > 0.995
    assert np.array_equal(ours > 0, inside)


def test_labels_are_numbered_without_gaps_in_the_order_of_rows():
    labels = threshold_labels(discs(APART))
    first = [np.flatnonzero(labels.ravel() == k)[0] for k in range(1, labels.max() + 1)]
    assert first == sorted(first) and labels.dtype == np.int32


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from(METHODS),
    st.integers(0, 3),
    st.booleans(),
    st.floats(0.2, 5),
    st.floats(-100, 100),
)
def test_turning_mirroring_and_grey_levels_change_nothing(method, turns, mirrored, gain, offset):
    image = discs([*APART, (55, 45, 9)])
    plain = threshold_labels(image, method, ThresholdSettings(level=110.0))

    def moved(array):
        array = np.rot90(array, turns)
        return np.ascontiguousarray(array[:, ::-1] if mirrored else array)

    grey = (moved(image) * gain + offset).astype(np.float64)
    other = threshold_labels(grey, method, ThresholdSettings(level=110.0 * gain + offset))
    assert other.max() == plain.max()
    assert np.mean((other > 0) == (moved(plain) > 0)) > 0.999
    joint = np.unique(np.stack([other.ravel(), moved(plain).ravel()]), axis=1, return_counts=True)
    pairs = joint[0][:, joint[1] > 12]
    assert len(pairs[0]) == plain.max() + 1  # labels correspond one to one


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("width", [0, 3, 7])
def test_a_level_is_compared_with_the_median_about_each_pixel(dtype, width):
    image = np.random.default_rng(2).integers(0, 40, (31, 43)).astype(dtype)
    reach = width // 2
    padded = np.pad(image, reach, mode="edge")
    calm = [[np.median(padded[y : y + width, x : x + width]) for x in range(43)] for y in range(31)] if width else image
    for level in (18, 19, 19.5):
        settings = ThresholdSettings(polarity="dark", median_px=width, blur_px=0, level=level)
        assert np.array_equal(foreground(image, "level", settings), np.array(calm) <= level)
        assert np.array_equal(foreground(image, "level", settings._replace(polarity="bright")), np.array(calm) > level)


def test_a_level_is_the_same_for_all_pictures():
    faint = discs(APART, level=100.0)
    wanted = ThresholdSettings(level=110.0)
    assert threshold_labels(faint).max() == 4 and not threshold_labels(faint, "level", wanted).any()
    dark = discs(APART, ground=100.0, level=20.0)  # all of it below the level: nothing to tell apart
    assert not threshold_labels(dark, "level", wanted).any()
    assert threshold_labels(dark, "level", wanted._replace(polarity="dark")).all()


def test_a_median_takes_away_specks_and_keeps_outlines():
    image = discs(APART, ground=160.0, level=60.0)
    speckled = image.copy()
    speckled[5:-5:9, 4:-4:11] = 60.0
    plain = PLAIN._replace(level=110.0, polarity="dark")
    clean = threshold_labels(image, "level", plain) > 0
    assert threshold_labels(speckled, "level", plain).max() > 100
    mended = threshold_labels(speckled, "level", plain._replace(median_px=3))
    assert mended.max() == 4 and np.mean((mended > 0) == clean) > 0.997


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64, bool])
def test_any_dtype(dtype):
    image = discs(APART) > 110 if dtype is bool else discs(APART).astype(dtype)
    assert threshold_labels(image).max() == 4


def test_nothing_in_a_picture_without_contrast():
    for image in (np.zeros((20, 30), np.uint8), np.full((1, 1), 7.0)):
        assert not threshold_labels(image).any()


def test_impossible_input_is_refused():
    with pytest.raises(UsageError, match="otsu"):
        threshold_labels(np.zeros((5, 5)), "watershed")
    with pytest.raises(UsageError, match="segment.level"):
        threshold_labels(np.zeros((5, 5)), "level")
    with pytest.raises(UsageError, match="median_px = 4"):
        threshold_labels(np.zeros((5, 5)), settings=ThresholdSettings(median_px=4))
    with pytest.raises(InputError, match="grey picture"):
        threshold_labels(np.zeros((5, 5, 3)))
    with pytest.raises(InputError, match="not numbers"):
        threshold_labels(np.array([[1.0, np.nan]]))


@pytest.mark.parametrize(("polarity", "grey"), [("bright", 200), ("dark", 50)])
@pytest.mark.parametrize("rough", [0, 20])
def test_a_particle_that_covers_everything_is_one(polarity, grey, rough):
    image = np.full((100, 100), grey, np.uint8)
    image[40:60, 40:60] += rough
    assert (threshold_labels(image, "level", ThresholdSettings(level=100.0, polarity=polarity)) == 1).all()
    other = "dark" if polarity == "bright" else "bright"
    assert not threshold_labels(image, "level", ThresholdSettings(level=100.0, polarity=other)).any()


@pytest.mark.parametrize("separate", [None, 0, 30.0])
def test_foreground_without_background_is_not_parted(separate):
    assert (part_touching(np.ones((50, 70), bool), separate) == 1).all()


def test_many_small_particles_beside_a_large_one_are_no_pairs(monkeypatch):
    """Pairs of middles are sought within parts; among all of them the reach of the large one would hold millions."""
    inside = np.zeros((600, 600), bool)
    inside[306::6, 1::6] = inside[307::6, 1::6] = True
    y, x = np.mgrid[:600, :600]
    inside[np.hypot(y - 150, x - 300) < 140] = True
    sought = []
    monkeypatch.setattr(watershed_module, "cKDTree", lambda points: sought.append(len(points)) or cKDTree(points))
    assert part_touching(inside).max() == 1 + 49 * 100
    assert max(sought) < 100


@pytest.mark.parametrize("seed", range(8))
def test_parts_beside_deeper_ones_are_parted_too(seed):
    inside = np.random.default_rng(seed).random((60, 60)) < 0.45
    labels = part_touching(inside, 4.0)
    assert ((labels > 0) == inside).all()
    assert labels.max() == len(np.unique(labels)) - 1


@pytest.mark.parametrize("sigma", [3.0, 15.9, 16.0, 25.0, 47.0])
@pytest.mark.parametrize("shape", [(300, 400), (257, 311)])
def test_wide_blurs_are_gaussian(sigma, shape):
    image = cv2.resize(np.random.default_rng(3).random((20, 20)).astype(np.float32), shape[::-1])
    exact = ndimage.gaussian_filter(image.astype(float), sigma, mode="reflect", truncate=6)
    assert np.abs(smoothed(image, sigma) - exact).max() < 0.03 * np.ptp(exact)


@pytest.mark.parametrize("angle", [30, 45, 60])
def test_wide_blurs_have_no_false_maxima_on_a_slanted_ridge(angle):
    y, x = np.mgrid[:600, :600] - 300.0
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    ridge = (0.01 * (x * c + y * s) - np.abs(y * c - x * s)).astype(np.float32)
    smooth = smoothed(ridge, 24.0)
    top = (smooth >= cv2.dilate(smooth, np.ones((3, 3))))[150:-150, 150:-150]
    assert not top.any()


def test_the_depth_of_a_large_disc_is_not_blurred_in_the_full_picture(monkeypatch):
    y, x = np.ogrid[:500, :500]
    widths = []
    blur = cv2.GaussianBlur
    monkeypatch.setattr(
        cv2, "GaussianBlur", lambda image, size, sigma, **k: widths.append(sigma) or blur(image, size, sigma, **k)
    )
    assert part_touching((y - 250) ** 2 + (x - 250) ** 2 < 200**2).max() == 1
    assert widths and max(widths) < 16
