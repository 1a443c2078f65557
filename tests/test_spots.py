from __future__ import annotations

import math

import cv2
import numpy as np
import pandas as pd
import pytest
import trackpy
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, uniform_filter
from scipy.spatial import cKDTree

from morphoscope.errors import InputError, UsageError
from morphoscope.measure.spots import band_pass, margin, searched, spots

TRACKPY = pytest.mark.filterwarnings("ignore:The invert argument", "ignore::DeprecationWarning:trackpy")
LIKE = pytest.mark.parametrize("dtype", [np.uint8, np.uint16, float])
SIGMA = 2.0


def drawn(rng, n=40, shape=(160, 200), *, noise=1.0, height=40.0, apart=16.0, rim=9):
    """Gaussian spots on a slope with noise, and their true places."""
    places = []
    while len(places) < n:
        new = rng.uniform(rim, (shape[1] - 1 - rim, shape[0] - 1 - rim))
        if all(math.dist(new, old) > apart for old in places):
            places.append(new)
    y, x = np.mgrid[: shape[0], : shape[1]]
    image = 60 + 0.1 * x + rng.normal(0, noise, shape)
    for px, py in places:
        image += height * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * SIGMA**2))
    return image, np.array(places)


def paired(found, truth, within=1.5):
    """Distances of the spots that are nearest to each other."""
    there, back = cKDTree(truth), cKDTree(found[["x_px", "y_px"]].to_numpy())
    away, which = there.query(back.data)
    _, other = back.query(truth)
    return away[(other[which] == np.arange(len(found))) & (away < within)]


@pytest.mark.parametrize("polarity", ["bright", "dark"])
def test_drawn_spots_are_found_without_any_limit_given(polarity):
    image, truth = drawn(np.random.default_rng(0))
    found = spots(255 - image if polarity == "dark" else image, diameter_px=11, polarity=polarity)
    away = paired(found, truth)
    assert len(found) == len(truth) == len(away) and np.sqrt((away**2).mean()) < 0.1 and away.max() < 0.3
    assert found["eccentricity"].max() < 0.2 and found["signal"].median() == pytest.approx(20, rel=0.3)
    wrong = spots(image if polarity == "dark" else 255 - image, diameter_px=11, polarity=polarity)
    assert not len(paired(wrong, truth, within=3.0))


def test_noise_alone_has_no_spots():
    rng = np.random.default_rng(1)
    assert sum(len(spots(rng.normal(50, 3, (300, 300)), diameter_px=9)) for _ in range(5)) <= 2
    assert spots(np.full((50, 50), 7, np.uint8), diameter_px=9).empty and spots(np.zeros((8, 8)), diameter_px=9).empty
    assert spots(np.zeros((50, 50)), diameter_px=9, method="trackpy").empty


@TRACKPY
@LIKE
@pytest.mark.parametrize("dark", [False, True])
def test_method_trackpy_finds_what_trackpy_finds(dtype, dark):
    rng = np.random.default_rng(2)
    image, _ = drawn(rng, 70, noise=4, apart=8, rim=2)
    image = (image * 200).astype(dtype) if dtype == np.uint16 else image.astype(dtype) / (255 if dtype is float else 1)
    image = image.clip(0, 1) if dtype is float else image
    least = {np.uint8: 60.0, np.uint16: 12000.0, float: 0.25}[dtype]
    theirs = trackpy.locate(image, 9, minmass=least, invert=dark, engine="python").sort_values(["y", "x"])
    found = spots(image, diameter_px=9, polarity="dark" if dark else "bright", min_mass=least, method="trackpy")
    assert len(found) == len(theirs) > 40
    for mine, other in (("x_px", "x"), ("y_px", "y"), ("gyration_px", "size"), ("eccentricity", "ecc")):
        assert found[mine].to_numpy() == pytest.approx(theirs[other].to_numpy(), abs=2e-3)
    assert found["mass"].to_numpy() == pytest.approx(theirs["mass"].to_numpy(), rel=1e-3)
    assert found["signal"].to_numpy() == pytest.approx(theirs["signal"].to_numpy(), rel=1e-3, abs=5e-4)


@TRACKPY
def test_method_trackpy_with_other_sizes():
    image, _ = drawn(np.random.default_rng(3), 60, noise=3, apart=6)
    image = image.astype(np.uint8)
    theirs = trackpy.locate(image, 7, separation=5, noise_size=0.7, threshold=3, engine="python").sort_values(["y", "x"])
    found = spots(image, diameter_px=7, separation_px=5, smoothing_px=0.7, threshold=3, method="trackpy")
    assert len(found) == len(theirs) >= 60 and found["x_px"].to_numpy() == pytest.approx(theirs["x"].to_numpy(), abs=2e-3)


def test_the_band_pass_is_a_gaussian_less_a_mean():
    image = np.random.default_rng(4).normal(1e6, 20, (60, 70))
    slow = gaussian_filter(image, 1.2, truncate=4, mode="reflect") - uniform_filter(image, 9, mode="reflect")
    assert band_pass(image, 9, 1.2) == pytest.approx(slow, abs=1e-3)
    assert band_pass((image - 999_900).astype(np.uint8), 9, 0).mean() == pytest.approx(0, abs=0.05)


def test_figures_of_one_spot_by_hand():
    y, x = np.mgrid[:41, :41]
    image = 100 * np.exp(-((x - 20.3) ** 2 + (y - 19.6) ** 2) / (2 * SIGMA**2))
    row = spots(image, diameter_px=11, threshold=0, min_mass=1, smoothing_px=0).iloc[0]
    clean = np.maximum(image - uniform_filter(image, 11, mode="reflect"), 0)
    mask = (x - 20) ** 2 + (y - 20) ** 2 <= 25
    mass = clean[mask].sum()
    cx, cy = (clean * x)[mask].sum() / mass, (clean * y)[mask].sum() / mass
    square = (clean * ((x - 20) ** 2 + (y - 20) ** 2))[mask].sum() / mass
    turned = clean * np.exp(2j * np.arctan2(y - 20, x - 20))
    assert (row["x_px"], row["y_px"], row["mass"]) == pytest.approx((cx, cy, mass), rel=1e-4)
    assert (row["gyration_px"], row["signal"]) == pytest.approx((math.sqrt(square), clean.max()), rel=1e-4)
    assert row["eccentricity"] == pytest.approx(
        abs(turned[mask & ((x != 20) | (y != 20))].sum()) / (mass - clean[20, 20]), rel=1e-3
    )


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 999), turns=st.integers(0, 3), flip=st.booleans(), gain=st.sampled_from([0.25, 16.0]))
def test_turning_mirroring_and_other_grey_levels_change_only_what_they_should(seed, turns, flip, gain):
    image, _ = drawn(np.random.default_rng(seed), 12, (80, 100))
    one = spots(image, diameter_px=11)
    new = np.rot90(image[:, ::-1] if flip else image, turns)
    two = spots(new * gain + 300, diameter_px=11)
    x, y = (99 - one["x_px"] if flip else one["x_px"]), one["y_px"]
    width, height = 100, 80
    for _ in range(turns):
        x, y, width, height = y, width - 1 - x, height, width
    away, which = cKDTree(np.stack([x, y], axis=1)).query(two[["x_px", "y_px"]].to_numpy())
    assert len(one) == len(two) and sorted(which) == list(range(len(one))) and away.max() < 1e-3
    assert two["mass"].to_numpy() == pytest.approx(one["mass"].to_numpy()[which] * gain, rel=1e-3)


def test_of_two_close_spots_the_stronger_stays():
    y, x = np.mgrid[:60, :60]
    image = sum(h * np.exp(-((x - a) ** 2 + (y - 30) ** 2) / 4) for h, a in ((50, 25.0), (40, 33.0)))
    assert spots(image, diameter_px=7, min_mass=20, threshold=0.5)["x_px"].sort_values().tolist() == pytest.approx(
        [25, 33], abs=0.2
    )
    assert spots(image, diameter_px=7, min_mass=20, threshold=0.5, separation_px=9)["x_px"].tolist() == pytest.approx(
        [25], abs=0.2
    )


def test_the_rim_is_told():
    assert margin(11) == 5 and margin(11, 20) == 9 and searched((100, 200), diameter_px=11) == (4.5, 4.5, 194.5, 94.5)
    image = np.zeros((40, 40))
    image[5, 20] = image[4, 30] = 100
    assert len(spots(image, diameter_px=11, min_mass=1, threshold=0)) == 1


def test_beads_in_water(shared_data):
    features = pd.read_csv(shared_data / "bulk-water" / "features.csv.gz", nrows=3000)
    for frame in (0, 3):
        image = cv2.imread(str(shared_data / "bulk-water" / "frames" / f"bulk_water_{frame:03d}.png"), cv2.IMREAD_COLOR)[..., 1]
        truth = features.loc[features["frame"] == frame, ["x", "y"]].to_numpy()
        found = spots(image, diameter_px=11, polarity="dark", min_mass=20, method="trackpy")
        away = paired(found, truth)
        assert len(found) == pytest.approx(len(truth), rel=0.005) and len(away) > 0.99 * len(truth)
        assert (away < 0.3).mean() > 0.99 and np.median(away) < 1e-3


def test_wrong_requests():
    good = np.zeros((40, 40))
    for wrong in ({"diameter_px": 10}, {"diameter_px": 1}, {"separation_px": 0}, {"smoothing_px": 12}, {"method": "best"}):
        with pytest.raises(UsageError):
            spots(good, **{"diameter_px": 11} | wrong)
    for wrong in (np.zeros((40, 40, 3)), np.full((40, 40), np.nan), np.zeros((40, 40), complex)):
        with pytest.raises(InputError):
            spots(wrong, diameter_px=11)
