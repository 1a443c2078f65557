from __future__ import annotations

import numpy as np
import pytest

from morphoscope.errors import UsageError
from morphoscope.physics.diffusion import d_eff


def test_a_stepping_object_by_hand():
    found = d_eff([[0, 0], [3, 4], [6, 8], [9, 12]], [0, 1, 2, 3], frame_interval_s=2.0)
    assert found.value == pytest.approx(25 / 8) and found.n == 3
    assert d_eff(np.zeros((5, 2)), np.arange(5), frame_interval_s=1)[:3] == (0, 0, 0)


def test_gaps_and_lags():
    place, frames = np.array([[0.0, 0], [1, 0], [2, 0], [4, 0], [5, 0], [6, 0]]), [0, 1, 2, 4, 5, 6]
    found = d_eff(place, frames, frame_interval_s=1.0, lag=2)
    assert found.n == 3 and found.value == pytest.approx(4 / 8)
    assert d_eff(place, frames, frame_interval_s=1.0).n == 4


@pytest.mark.parametrize("lag", [1, 4])
def test_free_diffusion_is_found_and_the_interval_covers_it(lag):
    rng, true, tau, inside, values = np.random.default_rng(0), 0.7, 1.75, 0, []
    for _ in range(400):
        place = np.cumsum(rng.normal(0, np.sqrt(2 * true * tau), (120, 2)), axis=0)
        found = d_eff(place, np.arange(120), frame_interval_s=tau, lag=lag)
        inside += found.low <= true <= found.high
        values.append(found.value)
    assert np.mean(values) == pytest.approx(true, rel=0.03)
    assert 0.91 <= inside / 400 <= 0.995


def test_too_short_or_without_an_interval_is_null():
    place = np.random.default_rng(0).normal(size=(9, 2))
    assert np.isnan(d_eff(place[:3], [0, 1, 2], frame_interval_s=1).value)
    assert np.isnan(d_eff(place, np.arange(9), frame_interval_s=np.nan).value)
    assert np.isnan(d_eff(place * np.nan, np.arange(9), frame_interval_s=1).value)
    assert np.isnan(d_eff(np.empty((0, 2)), [], frame_interval_s=1).value)
    with pytest.raises(UsageError, match="lag"):
        d_eff(place, np.arange(9), frame_interval_s=1, lag=0)
