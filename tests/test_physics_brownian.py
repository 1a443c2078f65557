from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import chi2, multivariate_normal

from morphoscope.calibration import Calibration
from morphoscope.errors import UsageError
from morphoscope.physics.brownian import fit_pooled, fit_tracks

SCALE = Calibration(pixel_size_nm=(2.0, 2.0), frame_interval_s=0.5)


def walks(rng, tracks=12, points=40, *, missed=0.1, D=1.0, sigma=0.7):
    D = np.broadcast_to(D, tracks)[:, None, None]
    place = np.cumsum(rng.normal(0, 1, (tracks, points, 2)) * np.sqrt(2 * D), axis=1) + rng.normal(0, sigma, (tracks, points, 2))
    frame = np.tile(np.arange(points), tracks)
    table = pd.DataFrame({"frame": frame, "track_id": pd.array(np.repeat(np.arange(tracks), points), dtype="Int64")})
    table["x_reg_px"], table["y_reg_px"] = place[..., 0].ravel(), place[..., 1].ravel()
    return table[rng.random(len(table)) >= missed].sample(frac=1, random_state=0)


def dense_likelihood(tables, D, variance, blur=0.0):
    """Straight from the covariance matrix of the displacements."""
    total = 0.0
    for rows in tables:
        rows = rows.sort_values("frame")
        gap, place = np.diff(rows["frame"]), rows[["x_reg_px", "y_reg_px"]].to_numpy(float)
        n = len(gap)
        noise = 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
        model = multivariate_normal(np.zeros(n), np.diag(2.0 * D * gap) + (variance - 2 * blur * D) * noise)
        total += sum(model.logpdf(np.diff(place, axis=0)[:, axis]) for axis in (0, 1))
    return total


def best(tables, blur=0.0):
    def cost(p):
        return -dense_likelihood(tables, np.exp(p[0]), p[1] ** 2, blur)

    found = minimize(cost, [0.0, 0.7], method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-8})
    return np.exp(found.x[0]), abs(found.x[1]), -found.fun


def profile(tables, D, blur=0.0):
    return max(dense_likelihood(tables, D, s**2, blur) for s in np.linspace(0, 3, 301))


@pytest.mark.parametrize("blur", [0.0, 1 / 6])
def test_against_the_dense_covariance_matrix(blur):
    table = walks(np.random.default_rng(2), tracks=3, points=30, missed=0.25)
    found = fit_tracks(table, SCALE, blur=blur)
    for row in found.itertuples():
        own = [table[table["track_id"] == row.track_id]]
        value, sigma, top = best(own, blur)
        assert row.D_px2_per_frame == pytest.approx(value, rel=2e-3)
        assert row.localisation_px == pytest.approx(sigma, abs=0.01)
        for end in (row.D_px2_per_frame_low, row.D_px2_per_frame_high):
            if end > 0:
                assert profile(own, end, blur) == pytest.approx(top - chi2.ppf(0.95, 1) / 2, abs=0.02)
            else:
                assert profile(own, 1e-5, blur) > top - chi2.ppf(0.95, 1) / 2
    pooled = fit_pooled(table, SCALE, blur=blur)
    value, sigma, top = best([rows for _, rows in table.groupby("track_id")], blur)
    assert pooled.D_px2_per_frame == pytest.approx(value, rel=2e-3) and pooled.localisation_px == pytest.approx(sigma, abs=0.01)


def test_units_and_unequal_pixels():
    table = walks(np.random.default_rng(3), tracks=5)
    px, nm = fit_tracks(table, Calibration()), fit_tracks(table, SCALE)
    assert px[["D_nm2_per_s", "localisation_nm"]].isna().all(axis=None)
    assert nm["D_nm2_per_s"].to_numpy() == pytest.approx(nm["D_px2_per_frame"] * 4 / 0.5)
    assert nm["D_nm2_per_s_high"].to_numpy() == pytest.approx(px["D_px2_per_frame_high"] * 8)
    stretched = table.assign(y_reg_px=table["y_reg_px"] / 4)
    both = fit_tracks(stretched, Calibration(pixel_size_nm=(8.0, 2.0), frame_interval_s=0.5))
    assert both["D_nm2_per_s"].to_numpy() == pytest.approx(nm["D_nm2_per_s"])
    assert both["D_px2_per_frame"].to_numpy() != pytest.approx(px["D_px2_per_frame"], rel=0.1)
    pooled = fit_pooled(stretched, Calibration(pixel_size_nm=(8.0, 2.0), frame_interval_s=0.5))
    assert pooled.D_nm2_per_s == pytest.approx(fit_pooled(table, SCALE).D_nm2_per_s)


def test_noise_alone_is_no_motion():
    table = walks(np.random.default_rng(1), tracks=40, points=60, D=0.0)
    found = fit_tracks(table, SCALE)
    at_zero = found["D_px2_per_frame"] == 0
    assert at_zero.mean() > 0.4 and (found["D_px2_per_frame_low"] == 0).mean() > 0.9
    assert (found["D_px2_per_frame_high"] > 0).all() and (found["D_px2_per_frame_high"] < 0.02).all()
    assert found["localisation_px"].mean() == pytest.approx(0.7, rel=0.02)
    pooled = fit_pooled(table, SCALE)
    assert pooled.D_px2_per_frame < 5e-4 and pooled.D_px2_per_frame_low <= 1e-5 < pooled.D_px2_per_frame_high
    still = fit_tracks(table.assign(x_reg_px=3.0, y_reg_px=2.0), SCALE)
    assert (still["D_px2_per_frame_high"] == 0).all() and (still["localisation_px"] == 0).all()
    assert fit_pooled(table.assign(x_reg_px=3.0, y_reg_px=2.0), SCALE).D_px2_per_frame == 0


def test_tracks_that_never_move_count():
    table = walks(np.random.default_rng(6), tracks=60, D=0.5, sigma=0.0)
    resting = table["track_id"] % 2 == 0
    mixed = table.assign(x_reg_px=table["x_reg_px"].where(~resting, 3.0), y_reg_px=table["y_reg_px"].where(~resting, 2.0))
    found = fit_pooled(mixed, SCALE)
    assert found.n_tracks == 60 and found.D_px2_per_frame == pytest.approx(0.25, rel=0.12)
    assert found.D_px2_per_frame_low < 0.25 < found.D_px2_per_frame_high and found.robust > 2


def test_intervals_cover_the_truth_and_there_is_no_bias():
    found = fit_tracks(walks(np.random.default_rng(4), tracks=600, points=150), SCALE)
    inside = (found["D_px2_per_frame_low"] <= 1) & (found["D_px2_per_frame_high"] >= 1)
    assert 0.92 <= inside.mean() <= 0.98 and found["D_px2_per_frame"].mean() == pytest.approx(1, abs=0.03)
    assert found["localisation_px"].median() == pytest.approx(0.7, rel=0.03)


@pytest.mark.parametrize("spread", [0.0, 0.6])
def test_the_pooled_interval_covers_the_mean_also_where_tracks_differ(spread):
    inside, values, robust = 0, [], []
    for seed in range(120):
        rng = np.random.default_rng(seed)
        table = walks(rng, tracks=25, points=40, D=np.exp(rng.normal(0, spread, 25) - spread**2 / 2))
        found = fit_pooled(table, SCALE)
        inside += found.D_px2_per_frame_low <= 1 <= found.D_px2_per_frame_high
        values.append(found.D_px2_per_frame)
        robust.append(found.robust)
    assert inside >= 0.88 * 120 and np.mean(values) == pytest.approx(1, abs=0.05)
    assert min(robust) >= 1 and (np.median(robust) > 1.5) == (spread > 0)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 360), st.floats(0.01, 100))
def test_rotation_scale_and_the_order_of_rows(seed, angle, factor):
    table = walks(np.random.default_rng(seed), tracks=3, points=15)
    c, s = factor * np.cos(np.deg2rad(angle)), factor * np.sin(np.deg2rad(angle))
    x, y = table["x_reg_px"], table["y_reg_px"]
    turned = table.assign(x_reg_px=c * x - s * y + 5, y_reg_px=s * x + c * y, frame=table["frame"] + 7)
    a, b = fit_tracks(table, Calibration()), fit_tracks(turned.sample(frac=1, random_state=1), Calibration())
    for end in ("", "_low", "_high"):
        name = f"D_px2_per_frame{end}"
        assert b[name].to_numpy() == pytest.approx(a[name] * factor**2, rel=1e-4, abs=1e-9 * factor**2)
    assert b["localisation_px"].to_numpy() == pytest.approx(a["localisation_px"] * factor, rel=1e-4)


def test_short_tracks_and_wrong_use():
    table = walks(np.random.default_rng(0), tracks=3, points=4, missed=0)
    short = table[(table["track_id"] != 1) | (table["frame"] < 3)]
    found = fit_tracks(short, SCALE)
    assert found["track_id"].tolist() == [0, 1, 2] and found["D_px2_per_frame"].isna().tolist() == [False, True, False]
    assert len(fit_tracks(table.iloc[:0], SCALE)) == 0
    assert np.isnan(fit_pooled(table.iloc[:0], SCALE).D_px2_per_frame)
    assert fit_pooled(short, SCALE).n_points == 11
    for wrong in ({"confidence": 1.0}, {"blur": 0.5}):
        with pytest.raises(UsageError):
            fit_tracks(table, SCALE, **wrong)
