from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import theilslopes

from morphoscope.physics.growth import theil_sen


def test_theil_sen_against_scipy():
    rng = np.random.default_rng(1)
    x = np.sort(rng.uniform(0, 50, 60))
    y = 3 * x + rng.normal(0, 1, 60)
    y[::9] += 500
    found, reference = theil_sen(x, y), theilslopes(y, x)
    assert found.value == pytest.approx(reference.slope)
    assert found.low <= reference.low_slope + 0.02 and found.high >= reference.high_slope - 0.02
    assert theil_sen(np.arange(8), np.full(8, 2.0)) == (0, 0, 0)


@pytest.mark.parametrize("points", [25, 150, 420])
def test_the_interval_covers_the_truth(points):
    rng, inside = np.random.default_rng(points), 0
    for _ in range(200):
        found = theil_sen(np.arange(points), 0.05 * np.arange(points) + rng.normal(0, 1, points))
        inside += found.low <= 0.05 <= found.high
    assert 0.90 <= inside / 200 <= 1


def test_correlated_scatter_widens_the_interval():
    rng = np.random.default_rng(0)
    white = rng.normal(0, 1, 200)
    red = np.convolve(rng.normal(0, 1, 260), np.ones(20) / np.sqrt(20), mode="valid")[:200]
    x = np.arange(200)
    wide, narrow = theil_sen(x, red), theil_sen(x, white)
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)
