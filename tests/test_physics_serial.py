"""Mann and Kendall's test where successive values share their errors."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from morphoscope.physics.serial import inflation, neighbour_correlation
from morphoscope.physics.trend import mann_kendall, variance


def shared(rng: np.random.Generator, n: int, r: float) -> np.ndarray:
    """(n,) noise whose values i apart have the correlation r^i."""
    return lfilter([1], [1, -r], rng.normal(size=n + 100))[100:]


def slow_inflation(y: np.ndarray, *, rising: bool) -> float:
    """The same, word by word: the best monotone curve is at each place the largest of the least means around it."""
    n, upright = len(y), y if rising else -y
    curve = [max(min(upright[a : b + 1].mean() for b in range(i, n)) for a in range(i + 1)) for i in range(n)]
    scatter = np.round((upright - curve) * (1 if rising else -1) / np.ptp(y), 9)
    ranks = [(scatter < one).sum() + ((scatter == one).sum() + 1) / 2 for one in scatter]
    middle = sum(ranks) / n
    square = sum((rank - middle) ** 2 for rank in ranks)
    if square == 0:
        return 1.0
    found = sum((ranks[i] - middle) * (ranks[i + 1] - middle) for i in range(n - 1)) / square
    steps = sum(1 / k for k in range(1, n + 1))
    r = min(max((n * found + steps) / (n - steps - 3), 0), 0.95)
    return 1 + 2 / (n * (n - 1) * (n - 2)) * sum((n - i) * (n - i - 1) * (n - i - 2) * r**i for i in range(1, n - 2))


@pytest.mark.parametrize("n", [7, 12, 25])
@pytest.mark.parametrize("slope", [-0.3, 0.0, 0.1])
def test_the_factor_is_that_of_the_formula(n: int, slope: float) -> None:
    for seed in range(4):
        y = np.round(slope * np.arange(n) + shared(np.random.default_rng(seed), n, 0.7), 1)
        rising = slope >= 0
        assert inflation(np.arange(n), y, rising=rising) == pytest.approx(slow_inflation(y, rising=rising))


def test_the_variance_of_s_is_that_of_noise_with_this_correlation() -> None:
    """Hamed and Rao's formula, which the factor takes, against series drawn with a known correlation."""
    rng, n, r = np.random.default_rng(1), 30, 0.5
    drawn = np.array([mann_kendall(range(n), shared(rng, n, r)).s for _ in range(2000)])
    between = np.array([6 / np.pi * np.arcsin(r**i / 2) for i in range(1, n - 2)])  # of ranks, where r^i is that of values
    lags = np.arange(1, n - 2)
    factor = 1 + 2 * ((n - lags) * (n - lags - 1) * (n - lags - 2) * between).sum() / (n * (n - 1) * (n - 2))
    none = np.array([])
    assert drawn.var() == pytest.approx(factor * variance(n, none, none), rel=0.1)


@pytest.mark.parametrize("r", [0.0, 0.5])
def test_what_the_curve_takes_away_is_made_up_for(r: float) -> None:
    rng, n, lags = np.random.default_rng(2), 40, np.arange(1, 38)
    noise = [shared(rng, n, r) for _ in range(300)]
    truth = 1 + 2 * float(((n - lags) * (n - lags - 1) * (n - lags - 2) * r**lags).sum()) / (n * (n - 1) * (n - 2))
    found = [inflation(np.arange(n), y, rising=mann_kendall(range(n), y).s >= 0) for y in noise]
    assert np.median(found) == pytest.approx(truth, rel=0.15)
    assert np.median([neighbour_correlation(y, n) for y in noise]) > r + 0.05  # too much, as no curve was taken away


@pytest.mark.parametrize(("r", "least"), [(0.0, 0.02), (0.5, 0.17)])
def test_noise_that_lasts_is_rarely_a_trend(r: float, least: float) -> None:
    """One in twenty is right; without the correction noise of r = 0.5 is a trend in one of five series."""
    rng, n = np.random.default_rng(3), 80
    drawn = [shared(rng, n, r) for _ in range(500)]
    plain, corrected = (np.mean([mann_kendall(range(n), y, serial=s).p < 0.05 for y in drawn]) for s in (False, True))
    assert plain >= least and 0.02 <= corrected <= 0.08 and corrected <= plain


@pytest.mark.parametrize("curve", [lambda x: x, lambda x: 1 / (1 + np.exp(-12 * (x - 0.5))), lambda x: -np.exp(-5 * x)])
def test_a_trend_need_not_be_straight(curve) -> None:
    x, rng = np.linspace(0, 1, 14), np.random.default_rng(4)
    assert mann_kendall(x, curve(x), serial=True) == mann_kendall(x, curve(x))  # nothing scatters about a monotone curve
    noisy = [mann_kendall(x, curve(x) + rng.normal(0, 0.05, 14), serial=True) for _ in range(50)]
    assert np.mean([one.direction == "rises" for one in noisy]) > 0.9


def test_values_at_equal_times_share_errors_too() -> None:
    """Five images of each of eight films, whose differences are not those of time."""
    rng = np.random.default_rng(5)
    time, found = np.repeat(np.arange(8), 5), []
    for _ in range(200):
        y = np.repeat(rng.normal(size=8), 5) + rng.normal(0, 0.3, 40)
        found.append([mann_kendall(time, y).p < 0.05, mann_kendall(time, y, serial=True).p < 0.05])
    plain, corrected = np.mean(found, axis=0)
    assert plain > 0.3 and corrected < 0.5 * plain


def test_images_of_two_times_keep_their_say() -> None:
    """A curve through two times has a step or none, however many images are at each: little is to be made up for."""
    rng, time = np.random.default_rng(6), np.repeat([0.0, 1.0], 4)
    found = [mann_kendall(time, 3 * time + rng.normal(size=8), serial=True) for _ in range(200)]
    assert np.mean([one.p < 0.05 for one in found]) > 0.5
    assert np.median([one.n_eff for one in found]) == 8


def test_what_cannot_be_corrected() -> None:
    y = [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]
    assert mann_kendall(range(6), y, serial=True) == mann_kendall(range(6), y)
    assert np.isnan(mann_kendall([1, 2], [3, 4], serial=True).n_eff)
    long = mann_kendall(range(20), np.repeat([0.0, 5.0, 1.0, 6.0], 5), serial=True)
    assert long.n_eff < long.n == 20 and long.p > mann_kendall(range(20), np.repeat([0.0, 5.0, 1.0, 6.0], 5)).p
