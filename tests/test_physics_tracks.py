"""The table of tracks against what was put in."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from morphoscope.calibration import Calibration
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
