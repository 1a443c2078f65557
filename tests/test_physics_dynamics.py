"""Survival, growth segments, displacement and the single numbers of motion, against what was put in."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from morphoscope.calibration import Axis, Calibration
from morphoscope.physics.anomalous import anomalous
from morphoscope.physics.brownian import fit_pooled
from morphoscope.physics.dynamics import change_rows, diffusion_rows, pooled_rows, reasons, survival_rows
from morphoscope.physics.lives import Watch, lives
from morphoscope.physics.tables import MOST_TRACKS, displacement_table, growth_segments, survival_table
from morphoscope.physics.tracks import track_table
from morphoscope.physics.van_hove import non_gaussian
from morphoscope.schema import DISPLACEMENT, GROWTH_SEGMENTS, SURVIVAL, TRACKS, empty
from morphoscope.track.ends import ends

SCALE = Calibration(pixel_size_nm=(0.4, 0.4), frame_interval_s=2.0)


def walkers(tracks: int = 12, points: int = 60, *, step: float = 0.3, noise: float = 0.1, bend: float = 0.0) -> pd.DataFrame:
    """Brownian objects that grow by 0.05 px a frame, and by `bend` more from the middle on."""
    rng = np.random.default_rng(3)
    frame, track = np.tile(np.arange(points), tracks), np.repeat(np.arange(tracks), points)
    place = np.cumsum(rng.normal(0, step, (tracks, points, 2)), axis=1).reshape(-1, 2) + rng.normal(0, noise, (len(frame), 2))
    size = 15 + 0.05 * frame + bend * np.maximum(frame - points / 2, 0) + rng.normal(0, 0.1, len(frame))
    table = pd.DataFrame({"frame": frame, "track_id": pd.array(track, dtype="Int64"), "major_px": size, "minor_px": 8.0})
    return table.assign(angle_deg=0.0, x_reg_px=place[:, 0] + 40 * track, y_reg_px=place[:, 1])


def ended(*rows: tuple[str, str, int]) -> pd.DataFrame:
    """A table of tracks from (began, ended, life)."""
    began, gone, life = zip(*rows, strict=True)
    return pd.DataFrame(
        {"track_id": range(len(rows)), "began": began, "ended": gone, "life_frames": life, "n_points": life}
    ).assign(first_frame=0, last_frame=np.array(life) - 1)


def test_only_lives_seen_to_begin_count_and_only_ends_in_view_are_deaths() -> None:
    tracks = ended(("start", "gap", 9), ("edge", "gap", 9), ("appeared", "gap", 4), ("split", "merge", 6), ("appeared", "end", 8))
    tracks = pd.concat([tracks, ended(("appeared", "edge", 5))], ignore_index=True)
    lived = lives(tracks, Watch(last_frame=100))
    assert lived["age_frames"].tolist() == [4, 6, 8, 5] and lived["died"].tolist() == [True, True, False, False]
    table = survival_table(lived, SCALE)
    assert list(table.columns) == list(SURVIVAL)
    assert table["duration_s"].tolist() == [8.0, 12.0] and table["at_risk"].tolist() == [4, 2]
    assert table["survival"].tolist() == pytest.approx([3 / 4, 3 / 8])
    rows = {row["name"]: row for row in survival_rows(lived, 2.0)}
    assert rows["median life (Kaplan-Meier)"]["value"] == 12.0 and rows["median life (Kaplan-Meier)"]["unit"] == "s"
    assert rows["death rate"]["value"] == pytest.approx(2 / 46) and rows["death rate"]["unit"] == "1/s"
    assert {row["unit"] for row in survival_rows(lived, None)} == {"frames", "1/frame"}
    alive = lives(ended(*[("appeared", "end", 40)] * 9, *[("appeared", "gap", 7)] * 6), Watch(60))
    middle = {row["name"]: row for row in survival_rows(alive, 2.0)}["median life (Kaplan-Meier)"]
    assert np.isnan(middle["value"]) and middle["low"] == 14.0 and "not reached: more than half outlive 80 s" in middle["method"]
    nobody = lives(ended(("start", "end", 5)), Watch(100))
    assert survival_rows(nobody, 2.0) == [] and survival_table(nobody, SCALE).empty


def test_lives_are_cut_where_an_end_cannot_be_told_from_a_gap() -> None:
    tracks = ended(("appeared", "gap", 10), ("appeared", "gap", 40), ("appeared", "end", 60), ("appeared", "gap", 2))
    lived = lives(tracks, Watch(last_frame=49, memory=15, min_points=3))  # watched up to frame 33
    assert lived["age_frames"].tolist() == [10, 34, 34] and lived["died"].tolist() == [True, False, False]
    assert lived["entry_frames"].tolist() == [2, 2, 2]
    skipping = lives(tracks.assign(first_frame=0, last_frame=[90, 390, 590, 10]), Watch(490, step=10, memory=15, min_points=3))
    assert skipping["age_frames"].tolist() == [100, 340, 340]


@pytest.mark.parametrize(("memory", "min_points"), [(0, 1), (15, 1), (15, 3)])
def test_the_rate_that_objects_die_at_is_found_again_from_their_tracks(memory: int, min_points: int) -> None:
    rng, last, hazard = np.random.default_rng(5), 99, 0.05
    born, life = rng.integers(-60, last + 1, 6000), rng.geometric(hazard, 6000)
    seen = (born + life > 0) & (born <= last)
    first, end = np.maximum(born, 0)[seen], np.minimum(born + life - 1, last)[seen]
    pairs = [(f, i) for i, (a, b) in enumerate(zip(first, end, strict=True)) for f in sorted({a, b})]
    objects = pd.DataFrame(pairs, columns=["frame", "track_id"]).assign(x_reg_px=50.0, y_reg_px=50.0)
    stage = pd.DataFrame({"frame": range(last + 1), "shift_x_px": 0.0, "shift_y_px": 0.0})
    why = ends(objects, stage, field=(0, 0, 100, 100), memory=memory)
    tracks = why.assign(first_frame=first, last_frame=end, life_frames=end - first + 1)
    tracks = tracks[tracks["life_frames"] >= min_points]
    rows = {row["name"]: row for row in survival_rows(lives(tracks, Watch(last, 1, memory, min_points)), None)}
    assert rows["death rate"]["low"] < hazard < rows["death rate"]["high"]
    assert rows["death rate"]["value"] == pytest.approx(hazard, rel=0.08)
    assert rows["median life (Kaplan-Meier)"]["value"] == pytest.approx(np.log(2) / hazard + min_points - 1, abs=1.5)


def test_tracks_are_counted_by_reason_and_length() -> None:
    rows = {row["name"]: row for row in reasons(ended(("start", "gap", 3), ("start", "end", 10), ("edge", "end", 20)))}
    assert rows["tracks there from the start"]["value"] == 2 and rows["tracks that came in over the edge"]["value"] == 1
    assert rows["tracks there at the end"]["value"] == 2 and rows["tracks that disappeared"]["value"] == 1
    assert "tracks that merged" not in rows
    assert rows["tracks longer than 3 frames"]["value"] == 2 and rows["mean life of those"]["value"] == 15
    assert reasons(empty(TRACKS)) == []


def test_a_bend_of_growth_is_a_segment_with_its_rates() -> None:
    objects = walkers(3, bend=0.2)
    tracks = track_table(objects, SCALE)
    table = growth_segments(SCALE.with_nm(objects), tracks, SCALE)
    assert list(table.columns) == list(GROWTH_SEGMENTS) and set(table["track_id"]) == {0, 1, 2}
    own = table[table["track_id"] == 1]
    assert len(own) == 2 and own["last_frame"].iloc[0] == own["first_frame"].iloc[1] == pytest.approx(30, abs=2)
    assert own["growth_px_per_frame"].tolist() == pytest.approx([0.05, 0.25], abs=0.02)
    np.testing.assert_allclose(own["growth_nm_per_s"], own["growth_px_per_frame"] * 0.4 / 2.0)
    bare = growth_segments(objects, tracks, Calibration())
    assert bare["growth_nm_per_s"].isna().all() and bare["growth_px_per_frame"].notna().all()
    assert growth_segments(objects.assign(major_px=np.nan), tracks, SCALE).empty


def test_the_track_that_is_told_is_looked_at_among_many(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_TRACKS == 200
    monkeypatch.setattr("morphoscope.physics.tables.MOST_TRACKS", 2)
    objects = walkers(5, 25)
    tracks = track_table(objects, SCALE)
    assert set(growth_segments(objects, tracks, SCALE)["track_id"]) == {0, 1}
    assert set(growth_segments(objects, tracks, SCALE, always=4)["track_id"]) == {0, 1, 4}
    assert set(growth_segments(objects, tracks, SCALE, always=77)["track_id"]) == {0, 1}


def test_displacement_has_nm_by_each_pixel_side() -> None:
    frames = pd.DataFrame({"frame": [0, 1], "time_s": [0.0, 2.0], "shift_x_px": [0.0, 3.0], "shift_y_px": [0.0, -1.0]})
    frames = frames.assign(jump=[False, True], shift_quality=[1.0, 0.8], count=3)
    table = displacement_table(frames, Calibration(pixel_size_nm=(0.5, 2.0)))
    assert list(table.columns) == list(DISPLACEMENT)
    assert table["shift_x_nm"].tolist() == [0.0, 6.0] and table["shift_y_nm"].tolist() == [0.0, -0.5]
    assert displacement_table(frames, Calibration())["shift_x_nm"].isna().all()


def test_numbers_of_diffusion_hold_the_truth_in_their_units() -> None:
    objects = walkers(60, 80)
    for calibration, unit, true in ((SCALE, "nm2/s", 0.3**2 / 2 * 0.16 / 2), (Calibration(), "px2/frame", 0.3**2 / 2)):
        fits = fit_pooled(objects, calibration), anomalous(objects, calibration), non_gaussian(objects, calibration)
        rows = {row["name"]: row for row in diffusion_rows(*fits, 1)}
        assert rows["pooled D"]["unit"] == unit and rows["pooled D"]["low"] < true < rows["pooled D"]["high"]
        error = rows["localisation error"]
        assert error["unit"] == unit[:2] and error["value"] == pytest.approx(0.1 * (0.4 if unit[:2] == "nm" else 1), rel=0.25)
        assert rows["anomalous exponent"]["value"] == pytest.approx(1, abs=0.25)
        assert rows["non-Gaussian parameter"]["value"] == pytest.approx(0, abs=0.1)
        (steady,) = pooled_rows(fits[0], "steady frames")
        assert steady["name"] == "pooled D, steady frames" and steady["value"] == rows["pooled D"]["value"]


def test_a_scale_without_an_interval_gives_d_per_frame_and_the_error_in_nm() -> None:
    calibration = Calibration(pixel_size_nm=(0.4, 0.4))
    d, error = pooled_rows(fit_pooled(walkers(), calibration))
    assert d["unit"] == "px2/frame" and error["unit"] == "nm"


def test_the_change_point_of_the_median_size_is_told_on_the_axis() -> None:
    rng = np.random.default_rng(0)
    frame = np.arange(0, 300)
    size = 5 + 0.02 * np.minimum(frame, 180) + rng.normal(0, 0.05, len(frame))
    frames = pd.DataFrame({"frame": frame, "size_median_nm": size, "size_median_px": size / 0.4, "count": 40})
    dose = Axis("dose", "dpa", 1.0, 0.01)
    (row,) = change_rows(frames, dose, "nm")
    assert row["value"] == pytest.approx(2.8, abs=0.05) and row["low"] < 2.8 < row["high"] and row["unit"] == "dpa"
    rates = re.search(r"goes from (\S+) to (\S+) nm per dpa", row["method"])
    assert rates and [float(rate) for rate in rates.groups()] == pytest.approx([2, 0], abs=0.1)
    assert change_rows(frames.assign(count=3), dose, "nm") == []
    assert change_rows(frames.assign(size_median_nm=5 + 0.02 * frame), dose, "nm") == []
