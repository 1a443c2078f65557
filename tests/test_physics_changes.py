from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares
from scipy.signal import lfilter

from morphoscope.errors import InputError
from morphoscope.physics.changes import segments
from morphoscope.physics.growth import theil_sen


def red(rng, n, rho):
    return lfilter([1], [1, -rho], rng.normal(size=n + 100))[100:] * np.sqrt(1 - rho**2)


def bent(x, *knots_and_bends):
    return 0.1 * x + sum(b * np.maximum(x - k, 0) for k, b in knots_and_bends)


def test_one_change_is_found_as_free_least_squares_finds_it():
    x = np.arange(100.0)
    y = bent(x, (40.0, -0.15)) + np.random.default_rng(0).normal(0, 0.4, 100)
    found = segments(x, y)
    model = least_squares(lambda p: p[0] + p[1] * x + p[2] * np.maximum(x - p[3], 0) - y, [0, 0.1, -0.1, 50]).x
    assert len(found) == 2 and found["segment"].tolist() == [0, 1] and np.isnan(found["start_low"].iloc[0])
    assert found["start"].tolist() == pytest.approx([0, model[3]], abs=1.0) and found["end"].iloc[0] == found["start"].iloc[1]
    assert found["slope"].tolist() == pytest.approx([model[1], model[1] + model[2]], abs=0.01)
    assert found["start_low"].iloc[1] < 40 < found["start_high"].iloc[1]
    assert (found["low"] < [0.1, -0.05]).all() and (found["high"] > [0.1, -0.05]).all()


def test_two_changes_and_more_points_than_are_looked_at():
    x = np.arange(360.0)
    found = segments(x, bent(x, (100.0, 0.2), (250.0, -0.3)) + np.random.default_rng(1).normal(0, 1, 360))
    assert found["start"].tolist() == pytest.approx([0, 100, 250], abs=12) and found["end"].iloc[-1] == pytest.approx(359, abs=3)
    assert found["slope"].tolist() == pytest.approx([0.1, 0.3, 0.0], abs=0.03)


@pytest.mark.parametrize(("n", "rho"), [(30, 0.0), (60, 0.5), (100, 0.0), (100, 0.8)])
def test_straight_lines_have_no_change(n, rho):
    rng, x = np.random.default_rng(n), np.arange(n)
    false = [len(segments(x, 0.05 * x + red(rng, n, rho))) > 1 for _ in range(60)]
    assert np.mean(false) <= 0.1


def test_outliers_are_no_changes_and_do_not_move_one():
    rng, x = np.random.default_rng(3), np.arange(80.0)
    y = bent(x, (50.0, 0.3)) + rng.normal(0, 0.4, 80)
    y[rng.choice(80, 5, replace=False)] += 15
    found = segments(x, y)
    assert len(found) == 2 and found["start"].iloc[1] == pytest.approx(50, abs=5)


def test_the_interval_of_a_change_holds_it():
    inside, n = [], 90
    x = np.arange(n)
    for seed in range(60):
        found = segments(x, bent(x, (35.0, 0.15)) + np.random.default_rng(seed).normal(size=n))
        if len(found) == 2:
            inside.append(found["start_low"].iloc[1] <= 35 <= found["start_high"].iloc[1])
    assert len(inside) > 45 and np.mean(inside) > 0.85


def test_the_interval_holds_a_change_between_points_however_small_the_noise():
    x, inside, width = np.arange(100.0), [], []
    for seed in range(40):
        noise = (0.05, 0.002)[seed % 2]
        found = segments(x, bent(x, (40.4, -0.1)) + np.random.default_rng(seed).normal(0, noise, 100)).iloc[1]
        assert found["start_low"] <= found["start"] <= found["start_high"]
        inside.append(found["start_low"] <= 40.4 <= found["start_high"])
        width.append(found["start_high"] - found["start_low"])
    assert np.mean(inside) > 0.85 and np.median(width[::2]) / np.median(width[1::2]) > 8


def test_sizes_rounded_to_whole_numbers_are_no_stairs():
    x = np.arange(100.0)
    assert len(segments(x, np.round(10 + 0.02 * x))) == 1
    found = segments(x, np.round(10 + 0.3 * np.maximum(x - 40.4, 0))).iloc[1]
    assert found["start_low"] < 40.4 < found["start_high"] and found["start_high"] - found["start_low"] > 0.5
    exact = segments(x, bent(x, (40.4, -0.1))).iloc[1]
    assert exact["start_low"] <= exact["start"] <= exact["start_high"] and exact["start"] == pytest.approx(40.4, abs=1e-6)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.01, 100), st.floats(0.01, 100), st.floats(-100, 100))
def test_units_and_the_order_of_points_make_no_difference(seed, along, up, shift):
    rng, x = np.random.default_rng(seed), np.arange(50.0)
    y = bent(x, (20.0, 0.4)) + rng.normal(0, 0.5, 50)
    a, order = segments(x, y), rng.permutation(50)
    b = segments((along * x + shift)[order], (up * y - shift)[order])
    assert b["start"].to_numpy() == pytest.approx(along * a["start"].to_numpy() + shift, rel=1e-5, abs=1e-5)
    assert b["slope"].to_numpy() == pytest.approx(a["slope"] * up / along, rel=1e-5)
    assert b["high"].to_numpy() == pytest.approx(a["high"] * up / along, rel=1e-4)


def test_few_points_exact_lines_and_wrong_input():
    x = np.arange(12.0)
    short = segments(x, bent(x, (6.0, 5.0)) + np.random.default_rng(0).normal(0, 0.1, 12))
    assert len(short) == 1 and len(segments([1, 2, 3], [1, 2, 3])) == 0
    x = np.arange(40.0)
    exact = segments(x, 3 * x)
    assert exact[["slope", "low", "high"]].to_numpy().tolist() == [[3, 3, 3]] and len(segments(x, np.full(40, 2.0))) == 1
    y = np.where(x == 7, np.nan, 0.2 * x + np.random.default_rng(1).normal(size=40))
    whole = theil_sen(x, y)
    assert segments(x, y)[["slope", "low", "high"]].iloc[0].tolist() == list(whole)
    bend = segments(x, bent(x, (20.0, 1.0)))
    assert len(bend) == 2 and bend["start"].iloc[1] == pytest.approx(20, abs=0.5)
    with pytest.raises(InputError, match="one length"):
        segments([1, 2], [1])
