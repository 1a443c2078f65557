"""Precision and recall of thin masks up to a tolerance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from morphoscope.measure.tolerance import distance, f1, within

MASK = arrays.arrays(bool, (9, 11))


def _slowly(found: np.ndarray, true: np.ndarray, tolerance: float) -> tuple[float, float]:
    def share(these: np.ndarray, those: np.ndarray) -> float:
        at, near = np.argwhere(these), np.argwhere(those)
        close = [any(np.hypot(*(a - b)) <= tolerance for b in near) for a in at]
        return float(np.mean(close)) if close else 1.0

    return share(found, true), share(true, found)


def test_a_line_beside_the_true_one_is_right_from_its_distance_on():
    true, found = np.zeros((40, 40), bool), np.zeros((40, 40), bool)
    true[:, 20] = True
    found[:20, 22] = True
    assert within(found, true, 0) == (0.0, 0.0)
    assert within(found, true, 1.9) == (0.0, 0.0)
    precision, recall = within(found, true, 2)
    assert (precision, recall) == (1.0, 0.5)
    assert f1(precision, recall) == pytest.approx(2 / 3)


def test_without_anything_found_or_true():
    empty, some = np.zeros((5, 5), bool), np.eye(5, dtype=bool)
    assert within(empty, empty, 2) == (1.0, 1.0)
    assert within(empty, some, 2) == (1.0, 0.0)
    assert within(some, empty, 2) == (0.0, 1.0)
    assert f1(0.0, 0.0) == 0.0
    assert np.isinf(distance(empty)).all()


@settings(max_examples=40, deadline=None)
@given(MASK, MASK, st.sampled_from([0.0, 1.0, 1.5, 2.0, 5.0]))
def test_as_every_pair_of_pixels_says(found, true, tolerance):
    assert within(found, true, tolerance) == pytest.approx(_slowly(found, true, tolerance))
    assert within(true, found, tolerance) == pytest.approx(within(found, true, tolerance)[::-1])
