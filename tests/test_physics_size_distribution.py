"""Distributions by number and area, the log-normal fit and weights, against known distributions and plain sums."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import kstest, norm

from morphoscope.errors import InputError
from morphoscope.measure.shape import edge_weights
from morphoscope.physics.misfit import lognormal_misfit
from morphoscope.physics.size_distribution import fit_lognormal, size_distribution, weighted_quantile

sizes = st.lists(st.floats(0.1, 1e4), min_size=1, max_size=40)


def drawn(seed: int, n: int = 400, median: float = 20.0, spread: float = 1.5) -> np.ndarray:
    return np.random.default_rng(seed).lognormal(math.log(median), math.log(spread), n)


@settings(deadline=None, max_examples=60)
@given(sizes, st.floats(0.01, 100))
def test_shares_add_up_and_follow_the_unit(values, unit):
    table = size_distribution(values)
    for name in ("number", "area"):
        assert table[f"{name}_share"].sum() == pytest.approx(1) == table[f"{name}_below"].iloc[-1]
        width = table["size_high"] - table["size_low"]
        assert (table[f"{name}_density"] * width).sum() == pytest.approx(1)
    assert table["n"].sum() == len(values)
    other = size_distribution(np.multiply(values, unit), bins=np.append(table["size_low"], table["size_high"].iloc[-1]) * unit)
    assert other["size_low"].to_numpy() == pytest.approx(table["size_low"].to_numpy() * unit)


def test_histogram_equals_plain_sums():
    table = size_distribution([1.0, 2.0, 2.5, 9.0], weight=[1.0, 2.0, 1.0, np.nan], bins=[0.5, 1.5, 3.0])
    assert table["n"].tolist() == [1, 2]
    assert table["number_share"].tolist() == [0.25, 0.75]
    areas = [1, 2 * 4 + 6.25]
    assert table["area_share"].tolist() == pytest.approx([a / sum(areas) for a in areas])
    assert table["number_density"].tolist() == pytest.approx([0.25, 0.5])
    cut = size_distribution([1.0, 2.0, 4.0, 8.0], bins=[1.5, 3.0])
    assert (cut["number_share"][0], cut["number_below"][0]) == (0.25, 0.5)  # shares are of all sizes


def test_number_and_area_medians_follow_hatch_and_choate():
    x = drawn(1, 200_000)
    fit = fit_lognormal(x)
    assert fit.median == pytest.approx(20, rel=0.01) and fit.geometric_sd == pytest.approx(1.5, rel=0.01)
    assert fit.mean == pytest.approx(x.mean(), rel=0.01)
    assert fit.area_median == pytest.approx(float(weighted_quantile(x, 0.5, x**2)), rel=0.02)


@settings(deadline=None, max_examples=60)
@given(sizes)
def test_the_weighted_median_with_equal_weights_is_the_median(values):
    assert weighted_quantile(values, 0.5) == pytest.approx(np.median(values))
    assert weighted_quantile(np.repeat(values, 3), 0.5) == pytest.approx(np.median(values))
    assert np.isnan(weighted_quantile([], [0.1, 0.9])).all()


def test_whole_weights_are_repeated_sizes():
    x, times = drawn(2, 60), np.random.default_rng(2).integers(1, 5, 60)
    a, b = fit_lognormal(x, weight=times.astype(float)), fit_lognormal(np.repeat(x, times))
    assert a.median == pytest.approx(b.median)
    assert a.geometric_sd == pytest.approx(b.geometric_sd, rel=0.01)  # n against n - 1
    assert a.median_high / a.median_low > b.median_high / b.median_low  # 60 particles, not 150


def test_a_truncated_fit_is_the_maximum_found_by_a_plain_search():
    x = drawn(3, 500)
    fit = fit_lognormal(x, smallest=15.0)
    y = np.log(x[x >= 15])

    def minus(at: np.ndarray) -> float:
        z = (y - at[0]) / math.exp(at[1])
        return -float((norm.logpdf(z) - at[1] - norm.logsf((math.log(15) - at[0]) / math.exp(at[1]))).sum())

    found = minimize(minus, [math.log(20), math.log(0.4)], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10})
    assert fit.median == pytest.approx(math.exp(found.x[0]), rel=1e-4)
    assert math.log(fit.geometric_sd) == pytest.approx(math.exp(found.x[1]), rel=1e-4)
    assert fit.n == len(y) and fit.median_low < 20 < fit.median_high
    assert fit_lognormal(x[x >= 15]).median > 1.1 * fit.median  # the plain fit takes what is not seen for not there


def test_particles_at_the_edge_bias_a_fit_and_weights_mend_it():
    rng = np.random.default_rng(4)
    size = rng.lognormal(math.log(15), 0.4, 30_000)
    corner = rng.uniform(-200, 150, (30_000, 2))
    whole = ((corner >= 0.5) & (corner + size[:, None] <= 149.5)).all(axis=1)
    seen = size[whole]
    weight = edge_weights(seen, seen, (150, 150))
    assert fit_lognormal(seen).median_high < 15
    fit = fit_lognormal(seen, weight=weight)
    assert fit.median == pytest.approx(15, rel=0.02) and fit.geometric_sd == pytest.approx(math.exp(0.4), rel=0.02)
    assert fit.median_low < 15 < fit.median_high


def test_places_that_differ_widen_the_interval():
    rng = np.random.default_rng(5)
    place = np.repeat(np.arange(6), 200)
    x = np.exp(math.log(20) + rng.normal(0, 0.2, 6)[place] + rng.normal(0, 0.3, 1200))
    alone, apart = fit_lognormal(x), fit_lognormal(x, place=place)
    assert apart.median == pytest.approx(alone.median)
    assert math.log(apart.median_high / apart.median_low) > 4 * math.log(alone.median_high / alone.median_low)
    shuffled = fit_lognormal(x, place=rng.permutation(place))
    assert math.log(shuffled.median_high / shuffled.median_low) < 2.5 * math.log(alone.median_high / alone.median_low)
    one = fit_lognormal(x, place=np.zeros(1200))
    assert one.median == pytest.approx(alone.median) and math.isnan(one.median_low)


@settings(deadline=None, max_examples=40)
@given(st.floats(0.01, 100), st.integers(0, 5), st.booleans())
def test_another_unit_scales_the_fit(unit, seed, cut):
    x = drawn(seed, 50)
    a, b = fit_lognormal(x, smallest=10.0 * cut), fit_lognormal(x * unit, smallest=10.0 * unit * cut)
    for name in ("median", "median_low", "median_high", "mean", "area_median"):
        assert getattr(b, name) == pytest.approx(unit * getattr(a, name), rel=1e-4)
    assert b.geometric_sd == pytest.approx(a.geometric_sd, rel=1e-4)


@pytest.mark.parametrize("values", [[], [1.0, 2.0], [3.0] * 10])
def test_too_few_sizes_give_no_fit(values):
    fit = fit_lognormal(values)
    assert math.isnan(fit.median) and math.isnan(fit.geometric_sd_high) and fit.n == len(values)


def test_a_tail_alone_gives_no_fit():
    x = 10 + np.random.default_rng(0).exponential(1.0, 300) ** 3  # falls faster than any log-normal from the start
    fit = fit_lognormal(x, smallest=10.0)
    assert math.isnan(fit.median) or fit.geometric_sd_high / fit.geometric_sd_low > 1.2


def test_wrong_sizes_are_refused():
    for bad in ([1.0, -1.0], [1.0, np.nan], [0.0, 2.0]):
        with pytest.raises(InputError, match="positive"):
            size_distribution(bad)
    with pytest.raises(InputError, match="weight per size"):
        fit_lognormal([1.0, 2.0], weight=[1.0])
    with pytest.raises(InputError, match="rising"):
        size_distribution([1.0], bins=[2.0, 1.0])
    assert len(size_distribution([])) == 0 or size_distribution([])["n"].sum() == 0


def test_the_distance_from_a_log_normal_is_kolmogorovs_and_rarely_exceeds_its_limit() -> None:
    rng = np.random.default_rng(4)
    x = np.exp(rng.normal(2, 0.3, 80))
    fit = fit_lognormal(x)
    found = lognormal_misfit(x, fit)
    plain = kstest(np.log(x), "norm", args=(math.log(fit.median), math.log(fit.geometric_sd))).statistic
    assert found.difference == pytest.approx(plain) and found.difference < found.critical < 0.12
    beyond = 0
    for _ in range(300):
        own = np.exp(rng.normal(0, 0.5, 40))
        off = lognormal_misfit(own, fit_lognormal(own))
        beyond += off.difference > off.critical
    assert 4 <= beyond <= 30
    two = np.r_[x, 4 * x]
    off = lognormal_misfit(two, fit_lognormal(two))
    assert off.difference > 1.5 * off.critical
    cut = x[x > 7]
    off = lognormal_misfit(x, fit_lognormal(x, smallest=7), smallest=7)
    assert off.difference < off.critical and off == lognormal_misfit(cut, fit_lognormal(cut, smallest=7), smallest=7)
    doubled = lognormal_misfit(x, fit, weight=np.full(80, 2.0))
    assert doubled == pytest.approx(found) and math.isnan(lognormal_misfit(x[:3], fit).difference)
