from __future__ import annotations

import cv2
import numpy as np
import pytest

from morphoscope.measure.extents import block_interval


def test_independent_patches_have_the_interval_of_a_mean():
    values = np.random.default_rng(0).random((2, 40, 60)).astype(np.float32)
    low, high = block_interval(values, side=1)
    error = 1.96 * values.std(axis=(1, 2)) / np.sqrt(2400)
    assert (high - low) / 2 == pytest.approx(error, rel=0.2)
    assert (low + high) / 2 == pytest.approx(values.mean(axis=(1, 2)), abs=3e-3)


@pytest.mark.parametrize(("shape", "reach"), [((24, 24), 2.0), ((12, 16), 0.0), ((9, 9), 1.0)])
def test_it_holds_the_mean_of_the_film(shape, reach):
    """Extents of places cut from one large film: its own mean lies inside nearly 19 times in 20."""
    rng = np.random.default_rng(1)
    film = rng.normal(0, 1, (1500, 1500))
    film = cv2.GaussianBlur(film, (0, 0), reach) if reach else film
    film = (film > np.quantile(film, 0.7)).astype(float)
    inside = []
    for y, x in zip(rng.integers(0, 1400, 300), rng.integers(0, 1400, 300), strict=True):
        low, high = block_interval(film[None, y : y + shape[0], x : x + shape[1]], side=1)
        inside.append(low[0] <= film.mean() <= high[0])
    assert 0.83 <= np.mean(inside) <= 0.99


def test_a_dense_map_is_as_sure_as_a_coarse_one():
    coarse = (np.random.default_rng(3).random((1, 30, 40)) < 0.3).astype(np.float32)
    dense = np.kron(coarse, np.ones((1, 20, 20), np.float32))
    one, other = block_interval(coarse, side=1), block_interval(dense, side=20)
    assert (other[1] - other[0])[0] == pytest.approx((one[1] - one[0])[0], rel=0.3)


def test_few_blocks_and_patches_left_out():
    values = np.random.default_rng(2).random((1, 6, 6))
    assert np.isnan(block_interval(values, side=4)[0]) == [False] and np.isnan(block_interval(values, side=6)[1]).all()
    values[:, :, 3:] = np.nan
    one, other = (block_interval(part, side=2) for part in (values, values[:, :, :4]))
    assert one == other and np.isfinite(one).all()
    assert np.isnan(block_interval(np.full((1, 9, 9), np.nan), side=1)[0]).all()


def test_it_stays_within_0_and_1_and_is_the_same_again():
    values = np.zeros((1, 8, 8))
    values[0, 0, 0] = 1
    low, high = block_interval(values, side=2)
    assert low[0] >= 0 and 0 < high[0] < 0.2 and block_interval(values, side=2) == (low, high)
