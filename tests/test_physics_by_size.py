from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError, UsageError
from morphoscope.physics.by_size import chosen, d_eff_by_size, d_eff_per_track

SCALE = Calibration(pixel_size_nm=(0.5, 0.5), frame_interval_s=2.0)


def walks(rng, tracks=40, points=30, missed=0.1):
    size = np.repeat(rng.uniform(2, 40, tracks), points)
    frame = np.tile(np.arange(points), tracks)
    place = rng.uniform(0, 100, (tracks, 1, 2)) + np.cumsum(rng.normal(0, 1, (tracks, points, 2)), axis=1)
    table = pd.DataFrame({"frame": frame, "track_id": pd.array(np.repeat(np.arange(tracks), points), dtype="Int64")})
    table["x_reg_px"], table["y_reg_px"] = place[..., 0].ravel(), place[..., 1].ravel()
    table["x_px"], table["y_px"] = table["x_reg_px"] + 3, table["y_reg_px"]
    table["major_px"] = size * rng.normal(1, 0.05, len(table))
    return table[rng.random(len(table)) >= missed].sample(frac=1, random_state=0)


def by_hand(table, lag, edges):
    """Every value averaged per track, then over the tracks of a bin."""
    values = [[] for _ in edges[1:]]
    for _, rows in table.groupby("track_id"):
        place = {int(f): np.array(p) * 0.5 for f, *p in rows[["frame", "x_reg_px", "y_reg_px"]].to_numpy(float)}
        d = [((place[f + lag] - place[f]) ** 2).sum() / (4 * lag * 2.0) for f in place if f + lag in place]
        size = np.median(rows["major_px"]) * 0.5
        if d and edges[0] <= size <= edges[-1]:
            values[min(np.searchsorted(edges, size, side="right") - 1, len(values) - 1)].append(np.mean(d))
    return values


@pytest.mark.parametrize("lag", [1, 3])
def test_against_values_taken_one_by_one(lag):
    table = walks(np.random.default_rng(0))
    found = d_eff_by_size(table, SCALE, lag=lag)
    assert len(found) == 50 and found["size_low_nm"].iloc[0] == 2 and found["size_high_nm"].iloc[-1] == 18
    values = by_hand(table, lag, np.linspace(2, 18, 51))
    assert found["n_tracks"].tolist() == [len(v) for v in values] and {0, 1, 2} <= set(found["n_tracks"])
    for row, v in zip(found.itertuples(), values, strict=True):
        assert row.d_eff_nm2_per_s == pytest.approx(np.mean(v) if v else np.nan, nan_ok=True)
        error = np.std(v, ddof=1) / np.sqrt(len(v)) if len(v) > 1 else np.nan
        assert row.standard_error == pytest.approx(error, nan_ok=True)


def test_the_steady_window_and_the_inner_region():
    table = walks(np.random.default_rng(1))
    inner = (20.0, 10.0, 80.0, 90.0)
    kept = table[table["frame"].between(5, 19) & table["x_px"].between(20, 80) & table["y_px"].between(10, 90)]
    pd.testing.assert_frame_equal(chosen(table, steady=(5, 20), inner=inner), kept)
    pd.testing.assert_frame_equal(d_eff_by_size(table, SCALE, steady=(5, 20), inner=inner), d_eff_by_size(kept, SCALE))
    bare = table.drop(columns=["x_px", "y_px"])
    assert len(chosen(bare, inner=inner)) == (bare["x_reg_px"].between(20, 80) & bare["y_reg_px"].between(10, 90)).sum()


def test_tracks_and_missing_values():
    table = walks(np.random.default_rng(2), tracks=5)
    tracks = d_eff_per_track(table, SCALE)
    assert tracks["track_id"].tolist() == [0, 1, 2, 3, 4] and (tracks["n_steps"] > 15).all()
    unequal = Calibration(pixel_size_nm=(1.0, 0.5), frame_interval_s=2.0)
    turned = d_eff_per_track(table.assign(minor_px=1.0, angle_deg=90.0), unequal)
    assert turned["size_median_nm"].to_numpy() == pytest.approx(2 * tracks["size_median_nm"])
    assert d_eff_by_size(table, Calibration())["n_tracks"].sum() == 0
    assert len(d_eff_by_size(table.iloc[:0], SCALE)) == 50 and len(d_eff_per_track(table.iloc[:1], SCALE)) == 0
    with pytest.raises(InputError, match="major_px"):
        d_eff_per_track(table.drop(columns="major_px"), SCALE)
    for wrong in ({"lag": 0}, {"bins": 0}, {"smallest_nm": 20.0}, {"steady": (5, 5)}):
        with pytest.raises(UsageError):
            d_eff_by_size(table, SCALE, **wrong)
