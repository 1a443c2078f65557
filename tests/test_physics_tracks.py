"""The table of tracks against what was put in."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from morphoscope.calibration import Calibration
from morphoscope.physics import growth
from morphoscope.physics.by_size import d_eff_per_track
from morphoscope.physics.growth import line
from morphoscope.physics.tables import growth_segments
from morphoscope.physics.tracks import track_table
from morphoscope.schema import TRACKS

SCALE = Calibration(pixel_size_nm=(0.4, 0.4), frame_interval_s=1.75)


def objects(tracks, points, rng, growth=0.02, noise=0.5, step=0.2):
    rows = []
    for k in range(tracks):
        place = rng.uniform(0, 500, 2) + np.cumsum(rng.normal(0, step, (points, 2)), axis=0)
        size = 15 + growth * np.arange(points) + rng.normal(0, noise, points)
        frame = np.arange(points)
        rows.append(
            pd.DataFrame({"frame": frame, "x_reg_px": place[:, 0], "y_reg_px": place[:, 1], "major_px": size, "track_id": k})
        )
    return pd.concat(rows, ignore_index=True).assign(minor_px=8.0, angle_deg=0.0).astype({"track_id": "Int64"})


def test_track_table_by_hand():
    table = objects(3, 40, np.random.default_rng(0), noise=0.0)
    table.loc[5, "track_id"] = pd.NA
    tracks = track_table(table.sample(frac=1, random_state=0), SCALE)
    assert list(tracks.columns) == list(TRACKS) and tracks["track_id"].tolist() == [0, 1, 2]
    assert tracks["n_points"].tolist() == [39, 40, 40] and tracks["life_frames"].tolist() == [40, 40, 40]
    assert tracks["life_s"].tolist() == pytest.approx([70, 70, 70])
    assert tracks["growth_px_per_frame"].to_numpy() == pytest.approx(0.02)
    assert tracks["growth_nm_per_s"].to_numpy() == pytest.approx(0.02 * 0.4 / 1.75)
    assert tracks["D_eff_nm2_per_s"].to_numpy() == pytest.approx(0.2**2 * 0.4**2 / 2 / 1.75, rel=0.6)
    assert (tracks["D_eff_nm2_per_s_low"] < tracks["D_eff_nm2_per_s"]).all()
    own = table[table["track_id"] == 1]
    assert tracks["x_reg_px"].iloc[1] == pytest.approx(own["x_reg_px"].mean())
    assert tracks["size_median_nm"].iloc[1] == pytest.approx(own["major_px"].median() * 0.4)


def test_short_tracks_and_missing_calibration_are_null():
    table = objects(2, 4, np.random.default_rng(0))
    short = track_table(table, SCALE)
    assert short["growth_nm_per_s"].isna().all() and short["D_eff_nm2_per_s"].notna().all()
    bare = track_table(objects(2, 30, np.random.default_rng(0)), Calibration())
    assert bare["growth_px_per_frame"].notna().all()
    assert bare[["growth_nm_per_s", "D_eff_nm2_per_s", "life_s", "size_median_nm"]].isna().all(axis=None)
    assert len(track_table(table, SCALE, min_points=5)) == 0
    nothing = track_table(table.assign(track_id=pd.Series(pd.NA, table.index, dtype="Int64")), SCALE)
    assert len(nothing) == 0 and list(nothing.columns) == list(TRACKS)


def test_unequal_pixels_change_growth_by_direction():
    table = objects(1, 30, np.random.default_rng(0), noise=0.0).assign(minor_px=0.0)
    wide = Calibration(pixel_size_nm=(0.4, 0.8), frame_interval_s=1.0)
    along = track_table(table, wide)["growth_nm_per_s"].iloc[0]
    across = track_table(table.assign(angle_deg=90.0), wide)["growth_nm_per_s"].iloc[0]
    assert along == pytest.approx(0.02 * 0.8, rel=0.01) and across == pytest.approx(0.02 * 0.4, rel=0.01)


def test_reasons_of_beginning_and_end_go_with_their_track():
    table = objects(3, 8, np.random.default_rng(0))
    ends = pd.DataFrame({"track_id": [2, 0, 7], "began": ["start", "edge", "start"], "ended": ["gap", "end", "end"]})
    tracks = track_table(table, SCALE, ends=ends.astype({"track_id": "Int64"})).set_index("track_id")
    assert tracks.loc[[0, 2], ["began", "ended"]].to_numpy().tolist() == [["edge", "end"], ["start", "gap"]]
    assert tracks.loc[1, ["began", "ended"]].isna().all()
    assert track_table(table, SCALE)[["began", "ended"]].isna().all(axis=None)


def test_a_null_size_and_a_null_position_cost_no_more_than_themselves():
    table = objects(2, 30, np.random.default_rng(1)).astype({"major_px": float})
    table.loc[4, "major_px"], table.loc[7, "x_reg_px"] = np.nan, np.nan
    tracks, per_track = track_table(table, SCALE), d_eff_per_track(table, SCALE)
    own = table[table["track_id"] == 0]
    assert tracks["size_median_px"].iloc[0] == pytest.approx(own["major_px"].median())
    assert tracks["size_median_nm"].iloc[0] == pytest.approx(per_track["size_median_nm"].iloc[0])
    assert tracks["x_reg_px"].iloc[0] == pytest.approx(own["x_reg_px"].mean())
    assert tracks["D_eff_nm2_per_s"].to_numpy() == pytest.approx(per_track["d_eff_nm2_per_s"].to_numpy())
    none = track_table(table.assign(major_px=np.nan), SCALE)
    assert none["size_median_px"].isna().all() and none["D_eff_nm2_per_s"].notna().all()


def test_an_index_named_frame_as_trackpy_leaves_it():
    table = objects(3, 40, np.random.default_rng(2)).sort_values(["frame", "track_id"])
    table = table.assign(major_nm=table["major_px"] * 0.4)
    named = table.set_index(table["frame"])
    plain = track_table(table, SCALE)
    pd.testing.assert_frame_equal(track_table(named, SCALE), plain)
    pd.testing.assert_frame_equal(growth_segments(named, plain, SCALE), growth_segments(table, plain, SCALE))


def test_noise_is_learnt_from_some_of_many_tracks(monkeypatch):
    rng, asked = np.random.default_rng(3), []
    lines = [line(np.arange(20), rng.normal(size=20)) for _ in range(50)]
    monkeypatch.setattr(growth, "MOST_ASKED", 10)
    monkeypatch.setattr(growth, "learnt", lambda residuals: asked.extend(residuals))
    growth.noise_of([None, *lines])
    assert len(asked) == 10 and asked[0] is lines[0].residual and asked[-1] is lines[-1].residual
