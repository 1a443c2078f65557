from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import trackpy
from hypothesis import given, settings
from hypothesis import strategies as st

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError, UsageError
from morphoscope.physics import msd
from morphoscope.physics.anomalous import anomalous
from morphoscope.physics.ensemble_drift import ensemble_drift, subtract_drift
from morphoscope.physics.msd import ensemble_msd, power_law, track_msd
from morphoscope.physics.paths import paths
from morphoscope.track.link import link

SCALE = Calibration(pixel_size_nm=(2.0, 2.0), frame_interval_s=0.5)
OLD_PANDAS = pytest.mark.filterwarnings("ignore::DeprecationWarning:trackpy", "ignore:The inplace keyword")


def walks(rng, tracks=12, points=40, *, missed=0.1, D=1.0, sigma=0.0):
    place = np.cumsum(rng.normal(0, np.sqrt(2 * D), (tracks, points, 2)), axis=1) + rng.normal(0, 1, (tracks, points, 2)) * sigma
    frame = np.tile(np.arange(points), tracks)
    table = pd.DataFrame({"frame": frame, "track_id": pd.array(np.repeat(np.arange(tracks), points), dtype="Int64")})
    table["x_reg_px"], table["y_reg_px"] = place[..., 0].ravel(), place[..., 1].ravel()
    return table[rng.random(len(table)) >= missed].sample(frac=1, random_state=0)


def one_by_one(table, lag):
    """Squared displacements of every pair a lag apart, by track."""
    found = {}
    for track, rows in table.groupby("track_id"):
        place = {int(f): np.array(p) for f, *p in rows[["frame", "x_reg_px", "y_reg_px"]].to_numpy(float)}
        found[track] = [((place[f + lag] - place[f]) ** 2).sum() for f in place if f + lag in place]
    return found


def test_against_pairs_taken_one_by_one():
    table = walks(np.random.default_rng(0), tracks=4, points=15, missed=0.3)
    found = track_msd(table, SCALE, max_lag=20).set_index(["track_id", "lag_frames"])
    pooled = ensemble_msd(table, SCALE, max_lag=20).set_index("lag_frames")
    rows = 0
    for lag in range(1, 21):
        pairs = one_by_one(table, lag)
        for track, squares in pairs.items():
            if squares:
                rows += 1
                assert found.loc[(track, lag), "msd_px2"] == pytest.approx(np.mean(squares))
                assert found.loc[(track, lag), "n"] == len(squares)
                assert found.loc[(track, lag), "msd_nm2"] == pytest.approx(4 * np.mean(squares))
        all_squares = [v for squares in pairs.values() for v in squares]
        if all_squares:
            assert pooled.loc[lag, "msd_px2"] == pytest.approx(np.mean(all_squares))
            assert pooled.loc[lag, "n_tracks"] == sum(map(bool, pairs.values()))
        else:
            assert lag not in pooled.index
    assert rows == len(found) and found["lag_s"].iloc[0] == 0.5


@OLD_PANDAS
@pytest.mark.parametrize("missed", [0.0, 0.15])
def test_against_trackpy(missed):
    table = walks(np.random.default_rng(1), missed=missed)
    theirs = table.rename(columns={"track_id": "particle", "x_reg_px": "x", "y_reg_px": "y"}).astype({"particle": int})
    theirs = theirs.sort_values(["particle", "frame"])
    each = trackpy.imsd(theirs, 1.0, 1.0, max_lagtime=30)
    ours = track_msd(table, SCALE, max_lag=30).pivot(index="lag_frames", columns="track_id", values="msd_px2")
    assert ours.to_numpy(float) == pytest.approx(each.to_numpy(float), nan_ok=True)
    both = trackpy.emsd(theirs, 1.0, 1.0, max_lagtime=30, detail=True)
    weighted = ensemble_msd(table, SCALE, max_lag=30, weights="independent")
    assert weighted["msd_px2"].to_numpy() == pytest.approx(both["msd"].to_numpy())
    n = track_msd(table, SCALE, max_lag=30).groupby("lag_frames")["n_independent"].sum()
    assert n.to_numpy() == pytest.approx(both["N"].to_numpy())
    reference = trackpy.utils.fit_powerlaw(both.set_index("lagt")["msd"], plot=False)
    mine = power_law(weighted["lag_frames"], weighted["msd_px2"])
    assert tuple(mine) == pytest.approx((reference["A"].iloc[0], reference["n"].iloc[0]))


def test_still_stepping_and_unequal_pixels():
    frame = np.arange(10)
    table = pd.DataFrame({"frame": frame, "track_id": 0, "x_reg_px": 3.0 * frame, "y_reg_px": 4.0 * frame})
    found = track_msd(table, Calibration(pixel_size_nm=(2.0, 1.0)), max_lag=3)
    assert found["msd_px2"].tolist() == pytest.approx([25, 100, 225]) and found["lag_s"].isna().all()
    assert found["msd_nm2"].tolist() == pytest.approx([73, 292, 657])
    still = ensemble_msd(table.assign(x_reg_px=7.3, y_reg_px=1.1), Calibration())
    assert (still["msd_px2"] == 0).all() and still["msd_nm2"].isna().all()


def test_the_bootstrap_interval_covers_the_truth():
    inside = []
    for seed in range(80):
        found = ensemble_msd(walks(np.random.default_rng(seed), tracks=30, points=20), SCALE, max_lag=5).set_index("lag_frames")
        inside.append((found["msd_px2_low"] <= 4 * found.index) & (found["msd_px2_high"] >= 4 * found.index))
    assert 0.85 <= np.mean(inside) <= 0.99


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 360), st.floats(-1e3, 1e3), st.integers(-50, 50))
def test_rotation_shift_and_the_order_of_rows_make_no_difference(seed, angle, shift, first):
    table = walks(np.random.default_rng(seed), tracks=5, points=12)
    c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    x, y = table["x_reg_px"], table["y_reg_px"]
    turned = table.assign(x_reg_px=c * x - s * y + shift, y_reg_px=s * x + c * y - shift, frame=table["frame"] + first)
    turned = turned.sample(frac=1, random_state=seed % 7)
    pd.testing.assert_frame_equal(track_msd(table, SCALE), track_msd(turned, SCALE), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("alpha", [0.6, 1.0, 1.5])
def test_the_anomalous_exponent_is_found_under_localisation_noise(alpha):
    rng, points, tracks, sigma = np.random.default_rng(3), 100, 150, 0.7
    t = np.arange(1, points + 1, dtype=float)
    covariance = t[:, None] ** alpha + t[None] ** alpha - np.abs(t[:, None] - t[None]) ** alpha  # fractional Brownian motion
    place = np.einsum("ij,kjm->kim", np.linalg.cholesky(covariance), rng.normal(size=(tracks, points, 2)))
    place += rng.normal(0, sigma, place.shape)
    table = pd.DataFrame({"frame": np.tile(t.astype(int), tracks), "track_id": np.repeat(np.arange(tracks), points)})
    table["x_reg_px"], table["y_reg_px"] = place[..., 0].ravel(), place[..., 1].ravel()
    found = anomalous(table, SCALE)
    assert found.exponent == pytest.approx(alpha, abs=0.08) and found.low < found.exponent < found.high
    assert found.low - 0.03 <= alpha <= found.high + 0.03
    assert found.localisation_px == pytest.approx(sigma, abs=0.15)
    assert found.D_alpha_nm2 == pytest.approx(found.D_alpha_px2 * 4 / 0.5**found.exponent)
    unequal = anomalous(table, Calibration(pixel_size_nm=(1.0, 3.0), frame_interval_s=1.0))
    assert unequal.D_alpha_nm2 == pytest.approx(5 * unequal.D_alpha_px2, rel=0.1)
    naive = power_law(*ensemble_msd(table, SCALE, max_lag=30)[["lag_frames", "msd_px2"]].to_numpy().T)
    assert abs(naive.exponent - alpha) > abs(found.exponent - alpha)


def test_only_every_tenth_frame_analysed_gives_as_many_lags():
    table = walks(np.random.default_rng(8), tracks=40, points=60, sigma=0.5)
    sparse = table.assign(frame=10 * table["frame"] + 10 * (table["track_id"].astype(int) % 3) + 4)
    fast = Calibration(pixel_size_nm=(2.0, 2.0), frame_interval_s=0.05)
    for made in (track_msd, ensemble_msd):
        a, b = made(table, SCALE, max_lag=12), made(sparse, fast, max_lag=12)
        assert b["lag_frames"].tolist() == (10 * a["lag_frames"]).tolist()
        pd.testing.assert_frame_equal(a.drop(columns="lag_frames"), b.drop(columns="lag_frames"))
    a, b = anomalous(table, SCALE), anomalous(sparse, fast)
    assert (b.exponent, b.low, b.D_alpha_nm2) == pytest.approx((a.exponent, a.low, a.D_alpha_nm2), rel=1e-6)


def test_many_tracks_are_summed_into_groups(monkeypatch):
    table = walks(np.random.default_rng(9), tracks=30, points=20)
    whole = ensemble_msd(table, SCALE)
    monkeypatch.setattr(msd, "MOST_GROUPS", 7)
    sums = msd.msd_sums(paths(table), 5, grouped=True)
    assert np.allclose(sums.pairs, msd.in_groups(msd.msd_sums(paths(table), 5).pairs)) and len(sums.squares) == 7
    few = ensemble_msd(table, SCALE)
    columns = ["lag_frames", "msd_px2", "msd_nm2", "n", "n_tracks"]
    pd.testing.assert_frame_equal(few[columns], whole[columns])


def test_drift_is_held_and_filled_in_where_it_is_not_known():
    table = pd.DataFrame({"frame": [0, 2, 3, 4, 9], "x_reg_px": 0.0, "y_reg_px": 0.0})
    drift = pd.DataFrame({"frame": [4, 2], "shift_x_px": [3.0, 1.0], "shift_y_px": [0.0, 5.0]})
    moved = subtract_drift(table, drift)
    assert moved["x_reg_px"].tolist() == [-1, -1, -2, -3, -3] and moved["y_reg_px"].tolist() == [-5, -5, -2.5, 0, 0]
    assert subtract_drift(table, drift.iloc[:0]).equals(table)


@OLD_PANDAS
def test_drift_is_that_of_trackpy():
    table = walks(np.random.default_rng(5), tracks=8, points=25)
    table = table[~table["frame"].isin([0]) | (table["track_id"] < 3)]
    table["x_reg_px"] += 0.8 * table["frame"]
    theirs = table.rename(columns={"track_id": "particle", "x_reg_px": "x", "y_reg_px": "y"}).astype({"particle": int})
    theirs = theirs.reset_index(drop=True)
    reference = trackpy.compute_drift(theirs)
    drift = ensemble_drift(table)
    assert drift["frame"].tolist() == list(range(25)) and drift[["shift_x_px", "shift_y_px"]].iloc[0].tolist() == [0, 0]
    assert drift["shift_x_px"].to_numpy()[1:] == pytest.approx(reference["x"].to_numpy())
    mine = subtract_drift(table, drift).sort_values(["frame", "track_id"])
    other = trackpy.subtract_drift(theirs, reference).reset_index(drop=True).sort_values(["frame", "particle"])
    assert mine["y_reg_px"].to_numpy() == pytest.approx(other["y"].to_numpy())
    assert len(ensemble_drift(table.iloc[:0])) == 0


def test_beads_in_water_give_the_published_power_law(shared_data):
    table = pd.read_csv(shared_data / "bulk-water" / "features.csv.gz").rename(columns={"x": "x_reg_px", "y": "y_reg_px"})
    table["track_id"] = link(table[["frame", "x_reg_px", "y_reg_px"]], max_distance_px=5, memory=3, cost="distance")
    long = table[table.groupby("track_id")["frame"].transform("size") >= 25]
    assert long["track_id"].nunique() == pytest.approx(1505, rel=0.01)
    beads = long[(long["mass"] > 50) & (long["size"] < 2.6) & (long["ecc"] < 0.3)]
    still = subtract_drift(beads, ensemble_drift(beads))
    water = Calibration(pixel_size_nm=(1e5 / 285, 1e5 / 285), frame_interval_s=1 / 24)
    msd = ensemble_msd(still, water, weights="independent")
    law = power_law(msd["lag_s"], msd["msd_nm2"] / 1e6)
    assert law.exponent == pytest.approx(1.080, rel=0.02) and law.amplitude == pytest.approx(1.602, rel=0.02)


def test_nothing_and_wrong_input():
    table = walks(np.random.default_rng(0), tracks=2, points=5)
    assert len(track_msd(table.iloc[:0], SCALE)) == 0 and len(ensemble_msd(table.iloc[:0], SCALE)) == 0
    assert len(track_msd(table.assign(track_id=pd.array([pd.NA] * len(table), dtype="Int64")), SCALE)) == 0
    assert np.isnan(anomalous(table.iloc[:0], SCALE).exponent) and np.isnan(anomalous(table.iloc[:2], SCALE).exponent)
    assert np.isnan(power_law([1], [2]).exponent)
    with pytest.raises(UsageError, match="max_lag"):
        track_msd(table, SCALE, max_lag=0)
    with pytest.raises(InputError, match="x_reg_px"):
        track_msd(table.drop(columns="x_reg_px"), SCALE)
    with pytest.raises(InputError, match="two objects in frame"):
        track_msd(pd.concat([table, table.iloc[:1]]), SCALE)
