from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from morphoscope.errors import InputError
from morphoscope.physics.survival import death_rate, kaplan_meier, median_life

# Remission in weeks of 21 patients on 6-mercaptopurine (Freireich et al. 1963), the worked example of textbooks
WEEKS = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
RELAPSED = [1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]


def test_the_textbook_example():
    table = kaplan_meier(WEEKS, RELAPSED)
    assert table["duration"].tolist() == [6, 7, 10, 13, 16, 22, 23]
    assert table["at_risk"].tolist() == [21, 17, 15, 12, 11, 7, 6] and table["deaths"].tolist() == [3, 1, 1, 1, 1, 1, 1]
    assert table["survival"].tolist() == pytest.approx([0.8571, 0.8067, 0.7529, 0.6902, 0.6275, 0.5378, 0.4482], abs=1e-4)
    assert table["low"].tolist() == pytest.approx([0.6197, 0.5631, 0.5032, 0.4316, 0.3675, 0.2678, 0.1881], abs=1e-4)
    assert table["high"].tolist() == pytest.approx([0.9516, 0.9228, 0.8894, 0.8491, 0.8049, 0.7468, 0.6801], abs=1e-4)
    median = median_life(table)
    assert median[:2] == (23, 13) and np.isnan(median.high)
    rate = death_rate(WEEKS, RELAPSED)
    assert rate.deaths == 9 and rate.exposure == 359 and rate.value == pytest.approx(9 / 359)
    assert rate.low * 359 == pytest.approx(4.115, abs=1e-3) and rate.high * 359 == pytest.approx(17.085, abs=1e-3)


def test_left_truncation_by_hand():
    table = kaplan_meier([3, 5, 6, 8], [True, True, False, True], entry=[0, 4, 3, 0])
    assert table["at_risk"].tolist() == [2, 3, 1]  # who comes in at 3 or 4 was not at risk at 3
    assert table["survival"].tolist() == pytest.approx([1 / 2, 1 / 3, 0])
    assert np.isnan(table["low"].iloc[-1]) and death_rate([3, 5], [1, 0], entry=[1, 1]).exposure == 6


def test_all_seen_is_the_share_that_outlives():
    ages = np.random.default_rng(0).integers(1, 20, 50)
    table = kaplan_meier(ages, np.ones(50, bool))
    assert table["survival"].tolist() == pytest.approx([(ages > t).mean() for t in table["duration"]])
    assert median_life(table).value == np.sort(ages)[24]


def test_exponential_lives_with_censoring():
    rng, inside, at_two = np.random.default_rng(1), 0, 0
    for _ in range(300):
        life, leaves, entry = rng.exponential(4, 80), rng.uniform(1, 9, 80), rng.uniform(0, 3, 80) * (rng.random(80) < 0.5)
        there = np.minimum(life, leaves) > entry
        age, seen = np.minimum(life, leaves)[there], (life <= leaves)[there]
        rate = death_rate(age, seen, entry=entry[there])
        inside += rate.low <= 0.25 <= rate.high
        row = kaplan_meier(age, seen, entry=entry[there]).query("duration <= 2").iloc[-1]
        at_two += row["low"] <= np.exp(-2 / 4) <= row["high"]
    assert 0.93 <= inside / 300 <= 0.995 and 0.90 <= at_two / 300 <= 0.99


@given(st.lists(st.tuples(st.integers(1, 30), st.booleans()), min_size=1, max_size=40))
def test_the_curve_falls_within_its_band(lives):
    table = kaplan_meier(*zip(*lives, strict=True))
    assert (np.diff(table["survival"]) < 0).all() and table["deaths"].sum() == sum(seen for _, seen in lives)
    known = table.dropna()
    assert (known["low"] <= known["survival"]).all() and (known["survival"] <= known["high"]).all()


def test_nothing_and_wrong_input():
    assert len(kaplan_meier([], [])) == 0 and np.isnan(median_life(kaplan_meier([], [])).value)
    assert len(kaplan_meier([3, 4], [0, 0])) == 0 and death_rate([3, 4], [0, 0]).value == 0
    assert np.isnan(death_rate([], []).value)
    for wrong in (([1, 2], [1], None), ([1, np.nan], [1, 1], None), ([1, 2], [1, 1], [1, 0]), ([1, 2], [1, 1], [-1, 0])):
        with pytest.raises(InputError):
            kaplan_meier(wrong[0], wrong[1], entry=wrong[2])
