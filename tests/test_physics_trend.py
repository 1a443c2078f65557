from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from morphoscope.physics.trend import mann_kendall, variance

levels = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=4, max_size=40)


def test_small_cases_by_hand():
    up = mann_kendall([0, 1, 2, 3], [1, 2, 5, 9])
    assert up == (6, 1.0, pytest.approx(2 / 24), 4, 4) and up.direction == "no trend"  # four values cannot do better
    down = mann_kendall(range(5), [9, 7, 5, 3, 1])
    assert down.s == -10 and down.p == pytest.approx(2 / 120) and down.direction == "falls"
    one_wrong = mann_kendall(range(5), [1, 2, 3, 5, 4])
    assert one_wrong.s == 8 and one_wrong.tau == pytest.approx(0.8) and one_wrong.p == pytest.approx(10 / 120)


def test_ties_count_as_neither():
    found = mann_kendall([0, 0, 1, 1, 2], [1, 3, 2, 3, 5])
    # pairs with different x: 1-2, 1-3, 1-5, 3-2 (falls), 3-3 (tie), 3-5, 2-5, 3-5
    assert found.s == 6 - 1 and found.n == 5


def test_the_variance_with_ties_is_that_of_all_orders():
    x, y = np.array([0, 0, 1, 2, 2, 2, 3]), np.array([5, 5, 5, 1, 1, 2, 3])
    signs = np.sign(x[:, None] - x)

    def s(order: np.ndarray) -> float:
        return float((signs * np.sign(order[:, None] - order)).sum() / 2)

    every = np.array([s(np.array(order)) for order in permutations(y)])
    assert every.mean() == pytest.approx(0)
    assert variance(7, np.array([2.0, 3.0]), np.array([3.0, 2.0])) == pytest.approx(every.var())


@given(levels)
def test_tau_is_that_of_scipy(pairs):
    x, y = np.array(pairs, float).T
    found = mann_kendall(x, y)
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert np.isnan(found.p) and found.direction == "too few"
        return
    assert found.tau == pytest.approx(kendalltau(x, y, method="asymptotic").statistic)
    turned = mann_kendall(-x, y)
    assert turned.s == -found.s and turned.p == found.p
    assert mann_kendall(x, np.exp(y)) == found  # ranks alone count


@pytest.mark.parametrize("n", [3, 8, 50])
def test_p_without_ties_is_the_exact_one(n):
    y = np.random.default_rng(n).permutation(n)
    assert mann_kendall(range(n), y).p == pytest.approx(kendalltau(range(n), y, method="exact").pvalue, abs=1e-12)


def test_p_of_many_is_the_normal_one():
    rng = np.random.default_rng(3)
    x, y = np.arange(200), np.round(rng.normal(0, 2, 200) + 0.005 * np.arange(200))
    assert mann_kendall(x, y).p == pytest.approx(kendalltau(x, y, method="asymptotic").pvalue, rel=0.01)


def test_one_in_twenty_without_a_trend():
    rng = np.random.default_rng(5)
    for n, ties in ((12, False), (30, True)):
        found = [mann_kendall(range(n), np.round(rng.normal(0, 1, n), 1 if ties else 9)).p < 0.05 for _ in range(1000)]
        assert 0.03 <= np.mean(found) <= 0.06


def test_what_cannot_be_tested():
    assert np.isnan(mann_kendall([1, 2], [3, 4]).p)
    assert np.isnan(mann_kendall([1, 1, 1], [3, 4, 5]).tau)
    assert mann_kendall([0, 1, 2, 3, np.nan], [1, 2, np.nan, 4, 5]).n == 3
