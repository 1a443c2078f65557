from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from morphoscope.calibration import Calibration
from morphoscope.errors import UsageError
from morphoscope.physics.van_hove import non_gaussian, van_hove

SCALE = Calibration(pixel_size_nm=(2.0, 2.0), frame_interval_s=0.5)


def tracks(steps):
    k, n, _ = steps.shape
    place = np.cumsum(steps, axis=1)
    table = pd.DataFrame({"frame": np.tile(np.arange(n), k), "track_id": np.repeat(np.arange(k), n)})
    return table.assign(x_reg_px=place[..., 0].ravel(), y_reg_px=place[..., 1].ravel())


def test_free_diffusion_is_gaussian():
    rng = np.random.default_rng(0)
    table = tracks(rng.normal(0, 1.5, (200, 60, 2)))
    found = van_hove(table, SCALE, lag=4)
    width = found["displacement_px"].diff().iloc[1]
    assert (found["density"] * width).sum() == pytest.approx(1, abs=1e-3)
    assert (found["density_nm"] * width * 2).sum() == pytest.approx(1, abs=1e-3)
    truth = np.exp(-(found["displacement_px"] ** 2) / (2 * 9)) / np.sqrt(2 * np.pi * 9)
    assert found["gaussian"].to_numpy() == pytest.approx(truth, abs=0.005)
    assert found["density"].to_numpy() == pytest.approx(truth, abs=0.01)
    assert found["displacement_nm"].to_numpy() == pytest.approx(2 * found["displacement_px"])
    alpha = non_gaussian(table, SCALE)
    assert alpha.low < 0.01 and alpha.high > -0.01 and alpha.n == 200 * 59 * 2


def test_two_populations_and_fixed_steps():
    rng = np.random.default_rng(1)
    speed = np.where(np.arange(300) % 2, 1.0, 3.0)[:, None, None]
    mixed = non_gaussian(tracks(rng.normal(0, 1, (300, 80, 2)) * speed), Calibration())
    truth = ((1 + 81) / 2) / ((1 + 9) / 2) ** 2 - 1
    assert mixed.low < truth < mixed.high and mixed.value == pytest.approx(truth, rel=0.1)
    fixed = non_gaussian(tracks(rng.choice([-1.0, 1.0], (5, 50, 2))), Calibration())
    assert fixed.value == pytest.approx(-2 / 3)


def test_unequal_pixels_gaps_and_nothing():
    steps = np.ones((3, 10, 2)) * [1.0, 3.0]
    table = tracks(steps)
    same = van_hove(table, Calibration(pixel_size_nm=(1.0, 3.0)), bins=7)
    assert same["n"].max() == 3 * 9 * 2 and same["displacement_nm"].iloc[same["n"].argmax()] == pytest.approx(3, abs=2.2)
    assert van_hove(table[table["frame"] % 2 == 0], SCALE, lag=1).empty and len(van_hove(table.iloc[:0], SCALE)) == 0
    assert van_hove(table, Calibration())["displacement_nm"].isna().all()
    assert np.isnan(non_gaussian(table.iloc[:1], SCALE).value) and np.isnan(non_gaussian(table[:20], SCALE).low)
    for wrong in ({"lag": 0}, {"bins": 0}):
        with pytest.raises(UsageError):
            van_hove(table, SCALE, **wrong)
