from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter

from morphoscope.physics.correlated import DECAYS, SHARES, _models, _near, widening
from morphoscope.physics.growth import theil_sen


def red(rng, n, rho):
    return lfilter([1], [1, -rho], rng.normal(size=n + 100))[100:] * np.sqrt(1 - rho**2)


def covered(n, *, rho, outliers, sets=300):
    rng, inside = np.random.default_rng(n), 0
    for _ in range(sets):
        noise = red(rng, n, rho)
        noise = np.where(rng.random(n) < outliers, noise + rng.choice([-10.0, 10.0], n), noise)
        found = theil_sen(np.arange(n), 0.05 * np.arange(n) + noise)
        inside += found.low <= 0.05 <= found.high
    return inside / sets


@pytest.mark.parametrize("n", [20, 60, 300])
@pytest.mark.parametrize(("rho", "outliers"), [(0.0, 0.0), (0.5, 0.0), (0.0, 0.05), (0.5, 0.05)])
def test_intervals_of_slopes_cover_the_truth(n, rho, outliers):
    assert 0.89 <= covered(n, rho=rho, outliers=outliers) <= 0.995


def test_the_variance_of_a_slope_is_that_of_the_covariance_matrix():
    n = 25
    line = np.stack([np.ones(n), np.arange(n)], axis=1)
    gain = np.linalg.solve(line.T @ line, line.T)[1]
    models = _models(n)
    for s, share in enumerate(SHARES):
        for p, decay in enumerate(DECAYS):
            covariance = share * decay ** np.abs(np.subtract.outer(np.arange(n), np.arange(n))) + (1 - share) * np.eye(n)
            assert models.slope[s, p] == pytest.approx(gain @ covariance @ gain / (gain @ gain))
            turn = models.turn[p].astype(float)
            assert turn @ covariance @ turn.T == pytest.approx(np.diag(models.power[s, p]), abs=1e-4)
            assert turn @ line == pytest.approx(np.zeros((n - 2, 2)), abs=1e-4)
            assert models.logdet[s, p] == pytest.approx(np.linalg.slogdet(turn @ covariance @ turn.T)[1], abs=1e-3)


def test_it_grows_with_the_correlation():
    rng = np.random.default_rng(0)
    wide = [np.mean([widening(red(rng, 150, rho)) for _ in range(30)]) for rho in (0.0, 0.4, 0.8)]
    assert wide[0] < 1.15 and wide[1] == pytest.approx(np.sqrt(1.4 / 0.6), rel=0.25) and wide[2] > 2.2
    assert widening(rng.normal(size=60), 0.99) >= 1


@given(st.integers(0, 10**6), st.integers(4, 40))
def test_outliers_scale_and_direction_of_time_make_no_difference(seed, n):
    noise = np.random.default_rng(seed).normal(size=n)
    factor = widening(noise)
    assert factor >= 1
    assert widening(7 * noise) == pytest.approx(factor) and widening(noise[::-1]) == pytest.approx(factor, rel=1e-3)
    wild = noise.copy()
    wild[wild.argmax()] = 1e6
    assert widening(wild) == pytest.approx(factor)


def test_nothing_to_tell():
    assert widening(np.zeros(30)) == 1 and widening(np.empty(0)) == 1 and widening(np.array([1.0, 2.0, 1.0])) == 1
    sizes = [_near(n) for n in range(1, 400)]
    assert all(0.94 * n <= m <= n for n, m in enumerate(sizes, 1)) and len(set(sizes)) < 100
