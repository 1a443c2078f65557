"""Shapes of label images against scikit-image, plain hulls, analytic truth and what turns, mirrors and scales must do."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter
from scipy.spatial import ConvexHull
from skimage.measure import label, regionprops_table

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError, UsageError
from morphoscope.measure.outlines import ellipse_of_mask
from morphoscope.measure.shape import edge_weights, shapes
from morphoscope.schema import OBJECTS, SHAPES

images = arrays(np.int32, st.tuples(st.integers(1, 14), st.integers(1, 14)), elements=st.sampled_from([0, 0, 3, 7, 1000]))
SAME = ["area_px", "equivalent_diameter_px", "perimeter_px", "feret_max_px", "feret_min_px", "convex_area_px", "circularity"]
SAME += ["solidity", "convexity", "aspect_ratio", "major_px", "minor_px", "on_edge", "edge_weight"]
DIAMOND = ((0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5))


def blobs(seed: int, size: int = 160) -> np.ndarray:
    """Irregular pieces, some with holes, some at the edge, some of one pixel; labels far apart."""
    rng = np.random.default_rng(seed)
    inside = gaussian_filter(rng.normal(size=(size, size + 30)), 3) > 0.02
    inside ^= rng.random(inside.shape) < 0.002
    return (label(inside, connectivity=2) * 37 % 1009).astype(np.int32)


def ellipse_image(a: float, b: float, turn_deg: float, centre=(80.3, 79.6), size: int = 160, pixel=(1.0, 1.0)) -> np.ndarray:
    """An ellipse with half axes a, b, major axis counter-clockwise from x, in units of which a pixel is `pixel` (y, x)."""
    y, x = np.mgrid[:size, :size]
    x, y = (x - centre[0]) * pixel[1], -(y - centre[1]) * pixel[0]
    t = math.radians(turn_deg)
    u, v = x * math.cos(t) + y * math.sin(t), -x * math.sin(t) + y * math.cos(t)
    return ((u / a) ** 2 + (v / b) ** 2 <= 1).astype(np.int32)


def plain_feret(mask: np.ndarray, pixel=(1.0, 1.0)) -> tuple[float, float]:
    """Largest and smallest width of the middles of pixel edges, by every pair of corners and every edge."""
    points = np.concatenate([np.argwhere(mask) + offset for offset in DIAMOND]) * pixel
    corners = points[ConvexHull(points).vertices]
    far = np.linalg.norm(corners[:, None] - corners[None], axis=2).max()
    edges = np.roll(corners, -1, axis=0) - corners
    normals = np.stack([-edges[:, 1], edges[:, 0]], axis=1) / np.linalg.norm(edges, axis=1)[:, None]
    across = corners @ normals.T
    return float(far), float((across.max(axis=0) - across.min(axis=0)).min())


@pytest.mark.parametrize("seed", [0, 1])
def test_equal_to_scikit_image(seed):
    image = blobs(seed)
    ours = shapes(image)
    names = ("label", "area", "bbox", "centroid", "axis_major_length", "axis_minor_length", "orientation", "perimeter_crofton")
    names += ("area_convex", "solidity", "feret_diameter_max", "equivalent_diameter_area")
    theirs = pd.DataFrame(regionprops_table(image, properties=names))
    assert len(ours) == len(theirs) > 20
    for mine, other in {
        "mask_label": "label",
        "area_px": "area",
        "ellipse_x_px": "centroid-1",
        "ellipse_y_px": "centroid-0",
        "perimeter_px": "perimeter_crofton",
        "convex_area_px": "area_convex",
        "solidity": "solidity",
        "equivalent_diameter_px": "equivalent_diameter_area",
    }.items():
        np.testing.assert_allclose(ours[mine], theirs[other], rtol=1e-12, err_msg=mine)
    np.testing.assert_allclose(ours["x_px"], (theirs["bbox-1"] + theirs["bbox-3"] - 1) / 2)
    np.testing.assert_allclose(ours["height_px"], theirs["bbox-2"] - theirs["bbox-0"])
    for mine, other in (("major_px", "axis_major_length"), ("minor_px", "axis_minor_length")):
        np.testing.assert_allclose(ours[mine] ** 2, theirs[other] ** 2 + 4 / 3, rtol=1e-9, atol=1e-6)
    long = ours["aspect_ratio"] > 1.01
    turned = (np.degrees(theirs["orientation"]) + 90 - ours["angle_deg"])[long]
    np.testing.assert_allclose((turned + 90) % 180 - 90, 0, atol=1e-6)
    more = theirs["feret_diameter_max"] - ours["feret_max_px"]
    assert more.min() > -1e-9 and more.max() < 1


@pytest.mark.parametrize("seed", [2, 3])
def test_calipers_equal_a_plain_search(seed):
    image = blobs(seed, 90)
    found = shapes(image, calibration=Calibration((0.7, 2.2)))
    wanted = [(*plain_feret(image == i), *plain_feret(image == i, (0.7, 2.2))) for i in found["mask_label"]]
    np.testing.assert_allclose(found[["feret_max_px", "feret_min_px", "feret_max_nm", "feret_min_nm"]], wanted, rtol=1e-9)


@settings(deadline=None, max_examples=60)
@given(images)
def test_calipers_and_hulls_of_any_labels(image):
    found = shapes(image)
    for row in found.itertuples():
        mask = image == row.mask_label
        assert (row.feret_max_px, row.feret_min_px) == pytest.approx(plain_feret(mask))
        own = ellipse_of_mask(mask)
        assert (row.ellipse_x_px, row.ellipse_y_px, row.major_px) == pytest.approx((own.x, own.y, own.major))
        assert row.area_px == mask.sum() <= row.convex_area_px <= row.width_px * row.height_px
    assert ((found["convexity"] <= 1) & (found["convexity"] > 0) & (found["solidity"] <= 1)).all()
    assert (found["feret_min_px"] <= found["feret_max_px"] + 1e-12).all()


@settings(deadline=None, max_examples=40)
@given(images, st.integers(1, 3), st.booleans())
def test_turns_and_mirrors_change_places_and_angles_only(image, turns, mirror):
    other = np.rot90(image, turns)
    other = other[:, ::-1] if mirror else other
    before, after = shapes(image), shapes(other)
    pd.testing.assert_frame_equal(before[["mask_label", *SAME]], after[["mask_label", *SAME]], rtol=1e-9)
    angle = before["angle_deg"] + 90 * turns
    off = after["angle_deg"] - (-angle if mirror else angle)
    long = before["aspect_ratio"] > 1 + 1e-6
    np.testing.assert_allclose(((off + 90) % 180 - 90)[long], 0, atol=1e-4)


@settings(deadline=None, max_examples=30)
@given(images, st.permutations([3, 7, 1000]))
def test_other_labels_change_nothing(image, order):
    new = dict(zip([3, 7, 1000], order, strict=True))
    after = shapes(np.vectorize(lambda i: new.get(i, 0), otypes=[np.int64])(image)).set_index("mask_label")
    before = shapes(image).set_index("mask_label").rename(index=new).sort_index()
    pd.testing.assert_frame_equal(before, after)


@settings(deadline=None, max_examples=30)
@given(images)
def test_twice_the_pixels_double_lengths(image):
    before, after = shapes(image), shapes(image.repeat(2, axis=0).repeat(2, axis=1))
    assert after["area_px"].tolist() == (4 * before["area_px"]).tolist()
    assert (after["width_px"] == 2 * before["width_px"]).all() and (after["on_edge"] == before["on_edge"]).all()
    np.testing.assert_allclose(after["major_px"], 2 * before["major_px"])
    np.testing.assert_allclose(after["ellipse_x_px"], 2 * before["ellipse_x_px"] + 0.5)
    near = (after["feret_max_px"] - 2 * before["feret_max_px"]).abs()
    assert (near <= math.sqrt(2)).all()  # of pixel corners they would double; edge middles are half a px nearer


def test_half_the_pixel_size_is_the_same_shape():
    coarse, fine = ellipse_image(12, 7, 25, (40, 40), 80), ellipse_image(24, 14, 25, (80.5, 80.5), 160)
    a, b = shapes(coarse, calibration=Calibration((2.0, 2.0))), shapes(fine, calibration=Calibration((1.0, 1.0)))
    for name in ("equivalent_diameter_nm", "perimeter_nm", "feret_max_nm", "major_nm", "circularity", "solidity", "aspect_ratio"):
        assert a[name][0] == pytest.approx(b[name][0], rel=0.06), name


@pytest.mark.parametrize("turn", [5, 30, 77, 120])
def test_an_ellipse_has_its_analytic_shape(turn):
    from scipy.special import ellipe

    row = shapes(ellipse_image(60, 30, turn)).iloc[0]
    wanted = {"area_px": math.pi * 1800, "equivalent_diameter_px": math.sqrt(7200), "feret_max_px": 120, "feret_min_px": 60}
    wanted |= {
        "perimeter_px": 240 * ellipe(0.75),
        "major_px": 120,
        "minor_px": 60,
        "aspect_ratio": 2,
        "convexity": 1,
        "angle_deg": turn,
    }
    wanted |= {"circularity": 4 * math.pi**2 * 1800 / (240 * ellipe(0.75)) ** 2, "ellipse_x_px": 80.3, "ellipse_y_px": 79.6}
    assert row[list(wanted)].to_dict() == pytest.approx(wanted, rel=0.015, abs=0.3)


@pytest.mark.parametrize("turn", [0, 40, 90, 155])
def test_unequal_pixels_measure_the_true_shape(turn):
    pixel = (0.8, 1.2)
    row = shapes(ellipse_image(80, 48, turn, (120.2, 119.7), 240, pixel), calibration=Calibration(pixel)).iloc[0]
    true = shapes(ellipse_image(100, 60, turn, (130, 130), 260)).iloc[0]
    names = {"perimeter": 0.8, "feret_max": 0.8, "feret_min": 0.8, "equivalent_diameter": 0.8, "major": 0.8, "minor": 0.8}
    for name, share in names.items():
        assert row[f"{name}_nm"] == pytest.approx(share * true[f"{name}_px"], rel=0.025), name
    for name, within in (("circularity", 0.05), ("convexity", 0.01), ("aspect_ratio", 0.01), ("solidity", 0.01)):
        assert row[name] == pytest.approx(true[name], rel=within), name
    assert row["convex_area_nm2"] == pytest.approx(row["convex_area_px"] * 0.96)


def test_a_scale_added_later_keeps_what_was_measured_in_nm():
    image, pixel = blobs(1, 60), Calibration((0.5, 1.5))
    table = shapes(image, calibration=pixel)
    assert pixel.with_nm(table)["perimeter_nm"].tolist() == table["perimeter_nm"].tolist()
    assert pixel.with_nm(shapes(image).drop(columns="perimeter_nm"))["perimeter_nm"].isna().all()  # cannot be found from px
    assert Calibration().with_nm(table)["perimeter_nm"].isna().all()
    twice = Calibration((2.0, 2.0)).with_nm(shapes(image))
    assert twice["feret_min_nm"].tolist() == (2 * twice["feret_min_px"]).tolist()


def test_a_square_a_pixel_a_ring_and_two_pieces():
    image = np.zeros((30, 40), np.uint16)
    image[2:12, 2:12] = 5  # a square
    image[20, 20] = 9
    image[2:9, 20:27] = 6
    image[4:7, 22:25] = 0  # its hole
    image[15:18, 30] = image[15:18, 34] = 7
    found = shapes(image).set_index("mask_label")
    assert found.loc[5, ["convexity", "solidity", "aspect_ratio", "width_px"]].tolist() == [1, 1, 1, 10]
    assert found.loc[5, "feret_max_px"] == pytest.approx(math.hypot(10, 9)) and found.loc[5, "feret_min_px"] == 10
    assert (found.loc[9, "feret_max_px"], found.loc[9, "area_px"], found.loc[9, "aspect_ratio"]) == (1, 1, 1)
    assert (found.loc[6, "area_px"], found.loc[6, "convex_area_px"]) == (40, 49)
    assert found.loc[6, "convexity"] < 0.75  # the hole's border counts
    assert (found.loc[7, "area_px"], found.loc[7, "convex_area_px"]) == (6, 15)


def test_particles_at_the_edge_are_kept_flagged_or_left_out():
    image = np.zeros((20, 30), np.int32)
    image[0:4, 5:9], image[8:12, 8:14], image[5:7, 29] = 1, 2, 3
    kept, inside = shapes(image), shapes(image, edge="leave out")
    assert kept["on_edge"].tolist() == [True, False, True] and kept["edge_weight"].isna().tolist() == [True, False, True]
    assert inside["mask_label"].tolist() == [2] and inside.index.tolist() == [0]
    assert inside["edge_weight"][0] == pytest.approx(600 / ((30 - 6 - 1) * (20 - 4 - 1)))
    places = [(x, y) for x in range(30) for y in range(20) if 1 <= x and x + 6 <= 29 and 1 <= y and y + 4 <= 19]
    assert inside["edge_weight"][0] == 600 / len(places)
    with pytest.raises(UsageError, match="leave out"):
        shapes(image, edge="drop")


def test_edge_weights_take_out_the_bias_of_leaving_out():
    rng = np.random.default_rng(5)
    size = rng.choice([4, 40], 4000)
    x, y = rng.integers(-40, 100, 4000), rng.integers(-40, 100, 4000)  # first pixels, on a torus wider than the window
    seen = (x >= 1) & (y >= 1) & (x + size <= 99) & (y + size <= 99)
    weight = edge_weights(size[seen].astype(float), size[seen].astype(float), (100, 100))
    assert size[seen].mean() < 16
    assert np.average(size[seen], weights=weight) == pytest.approx(size.mean(), abs=2)
    assert weight.sum() / 100**2 == pytest.approx(4000 / 140**2, rel=0.1)
    assert np.isnan(edge_weights(np.array([99.0]), np.array([5.0]), (100, 100)))[0]


@pytest.mark.parametrize("shape", [(0, 0), (5, 0), (0, 5), (1, 1), (6, 7)])
def test_an_empty_image_gives_an_empty_table(shape):
    found = shapes(np.zeros(shape, np.int32), calibration=Calibration((1.0, 2.0)))
    assert len(found) == 0 and set(SHAPES) <= set(found.columns)


def test_columns_are_declared_and_typed():
    found = shapes(blobs(0, 50))
    declared = OBJECTS | SHAPES
    assert {name: str(found[name].dtype) for name in found} == {name: declared[name].dtype for name in found}
    assert set(SHAPES) <= set(found.columns)


@pytest.mark.parametrize(
    "image", [np.ones((3, 3)), np.ones(5, int), np.ones((2, 2, 2), int), -np.ones((2, 2), int), np.ones((3, 3), bool)]
)
def test_what_is_no_label_image_is_refused(image):
    with pytest.raises(InputError, match="label"):
        shapes(image)


def test_blocks_of_rows_meet_without_a_seam(monkeypatch):
    import morphoscope.measure.runs as module

    image = blobs(4, 60)
    before = shapes(image)
    monkeypatch.setattr(module, "BLOCK_PX", 1)
    pd.testing.assert_frame_equal(before, shapes(image))
