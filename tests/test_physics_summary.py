from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from morphoscope.calibration import Calibration
from morphoscope.physics.density import density, sizes
from morphoscope.physics.summary import median_interval, quantities, quantity
from morphoscope.physics.tracks import track_table
from morphoscope.schema import QUANTITIES


def made(calibration, tracks=30, points=40):
    rng = np.random.default_rng(0)
    frame, track = (i.ravel() for i in np.indices((points, tracks)))
    table = pd.DataFrame({"frame": frame, "track_id": pd.array(track, dtype="Int64"), "minor_px": 5.0, "angle_deg": 0.0})
    table["x_reg_px"], table["y_reg_px"] = rng.normal(0, 1, len(table)), rng.normal(0, 1, len(table))
    table["major_px"] = 10 + 0.1 * frame + rng.normal(0, 0.5, len(table))
    table = calibration.with_nm(table)
    frames = density(sizes(table, np.arange(points)), valid_area_px=1e6, calibration=calibration, thickness_nm=50)
    return table, frames, track_table(table, calibration)


def test_each_number_has_unit_interval_and_method():
    calibration = Calibration(pixel_size_nm=(0.5, 0.5), frame_interval_s=2.0)
    objects, frames, tracks = made(calibration)
    found = quantities(objects, frames, tracks, calibration)
    assert list(found.columns) == list(QUANTITIES) and not found["name"].duplicated().any()
    rows = found.set_index("name")
    assert rows.loc["tracks", "value"] == 30 and rows.loc["detections", "value"] == 1200
    assert (
        rows.loc["final density", "value"] == pytest.approx(30 / (1e6 * 0.25 * 50 / 1e21))
        and rows.loc["final density", "unit"] == "cm^-3"
    )
    assert rows.loc["median track length", "value"] == 40 and np.isnan(rows.loc["median track length", "low"])
    assert rows.loc["largest median size", "unit"] == "nm" and rows.loc["largest median size", "value"] == pytest.approx(
        6.9, abs=0.3
    )
    assert rows.loc["median growth rate", "value"] == pytest.approx(0.1 * 0.5 / 2, rel=0.05)
    known = found.dropna(subset=["low"])
    assert len(known) >= 7 and (known["low"] <= known["value"]).all() and (known["value"] <= known["high"]).all()
    assert (found["method"].str.len() > 0).all()


def test_without_scale_tracks_or_objects():
    objects, frames, tracks = made(Calibration())
    found = quantities(objects, frames, tracks, Calibration()).set_index("name")
    assert "final density" not in found.index and found.loc["final median size", "unit"] == "px"
    assert "median D_eff" not in found.index and "median growth rate (px)" in found.index
    none = density(sizes(objects.iloc[:0], [0, 1]), valid_area_px=1e6, calibration=Calibration())
    assert quantities(objects.iloc[:0], none, None, Calibration()).set_index("name").loc["detections", "value"] == 0


def test_lengths_of_tracks_are_no_lives_and_come_after_these():
    calibration = Calibration(pixel_size_nm=(0.5, 0.5), frame_interval_s=2.0)
    life = [quantity("median life (Kaplan-Meier)", 5.0, "s", 3, "seen", (4.0, 6.0))]
    found = quantities(*made(calibration), calibration, lag_frames=3, life=life)
    names = found["name"].tolist()
    assert names.index("tracks") < names.index("median life (Kaplan-Meier)") < names.index("median track length")
    rows = found.set_index("name")
    for name in ("median track length", "mean track length"):
        assert np.isnan(rows.loc[name, "low"]) and "not a life" in rows.loc[name, "method"]
    said = rows.loc["median D_eff", "method"]
    assert "tau = 6 s" in said and "holds the localisation error" in said and "below the mean" in said


def test_linked_share_counts_tracks_of_two_or_more():
    calibration = Calibration()
    objects, frames, tracks = made(calibration, tracks=4, points=10)
    lost = pd.concat([objects, objects.iloc[:10].assign(track_id=pd.array([pd.NA] * 10, dtype="Int64"))], ignore_index=True)
    single = pd.concat([tracks, tracks.iloc[:1].assign(track_id=99, n_points=1)], ignore_index=True)
    row = quantities(lost, frames, single, calibration).set_index("name").loc["linked share"]
    assert row["value"] == pytest.approx(40 / 50) and row["n"] == 50 and np.isnan(row["low"])


@pytest.mark.parametrize(
    ("calibration", "value", "unit"),
    [(Calibration(), 5.0, "px"), (Calibration(pixel_size_nm=(0.5, 2.0)), np.hypot(6.0, 2.0), "nm")],
)
def test_total_drift_uses_each_pixel_side(calibration, value, unit):
    objects, frames, tracks = made(calibration, tracks=4, points=3)
    moved = frames.assign(shift_x_px=[0.0, 9.0, 3.0], shift_y_px=[0.0, -9.0, -4.0])
    row = quantities(objects, moved, tracks, calibration).set_index("name").loc["total drift"]
    assert row["value"] == pytest.approx(value) and row["unit"] == unit and row["n"] == 3
    for still in (frames, moved.assign(shift_x_px=0.0, shift_y_px=0.0), moved.assign(shift_x_px=np.nan, shift_y_px=np.nan)):
        assert "total drift" not in set(quantities(objects, still, tracks, calibration)["name"])


def test_median_interval_is_distribution_free():
    value, low, high = median_interval(np.arange(1, 101))
    assert value == 50.5 and (low, high) == (40, 61)
    assert 1 - 2 * binom.cdf(39, 100, 0.5) >= 0.95
    assert np.isnan(median_interval([1.0, 2.0])[1]) and np.isnan(median_interval([])[0])
