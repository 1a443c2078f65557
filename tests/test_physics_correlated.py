from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter

from morphoscope.physics.changes import segments
from morphoscope.physics.correlated import DECAYS, NOISES, SHARES, _models, _near, learnt, widening
from morphoscope.physics.growth import shared_noise, theil_sen


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


def slow(rng, n):
    return np.sqrt(0.65) * red(rng, n, 0.9) + np.sqrt(0.35) * rng.normal(size=n)


def test_many_tracks_tell_what_one_cannot():
    rng, x, alone, together = np.random.default_rng(7), np.arange(30), 0, 0
    curves = [(x, 0.3 * x + slow(rng, 30)) for _ in range(120)]
    noise = shared_noise([*curves, ([1, 2], [1, 2])])
    for x, y in curves:
        one, all_of_them = theil_sen(x, y), theil_sen(x, y, noise=noise)
        assert one.value == all_of_them.value
        alone += one.low <= 0.3 <= one.high
        together += all_of_them.low <= 0.3 <= all_of_them.high
    assert alone < 0.9 * 120 < 0.91 * 120 <= together
    false = [[len(segments(*curve, noise=n)) > 1 for curve in curves[:50]] for n in (None, noise)]
    assert np.mean(false[1]) <= 0.12


def test_what_is_learnt():
    rng = np.random.default_rng(8)
    white, mixed = (learnt([draw(rng, 40) for _ in range(80)]) for draw in (lambda r, n: r.normal(size=n), slow))
    assert len(white) == len(NOISES) and white.sum() == pytest.approx(1) and white[-1] > 0.6 > 0.2 > mixed[-1]
    shares, decays = np.array(NOISES).T
    assert mixed @ (shares * decays**5) == pytest.approx(0.65 * 0.9**5, abs=0.12)
    assert learnt([]) == pytest.approx(learnt([np.zeros(9)])) and learnt([]).sum() == pytest.approx(1)


def test_nothing_to_tell():
    assert widening(np.zeros(30)) == 1 and widening(np.empty(0)) == 1 and widening(np.array([1.0, 2.0, 1.0])) == 1
    sizes = [_near(n) for n in range(1, 400)]
    assert all(0.94 * n <= m <= n for n, m in enumerate(sizes, 1)) and len(set(sizes)) < 100
