"""The tables of motion of a run, conformed to `schema`: survival, growth segments, displacement."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.calibration import Calibration
from morphoscope.physics.changes import segments
from morphoscope.physics.growth import shared_noise
from morphoscope.physics.survival import kaplan_meier
from morphoscope.schema import DISPLACEMENT, GROWTH_SEGMENTS, SURVIVAL, conform, empty

MOST_TRACKS = 200  # the longest ones are searched for change points: each takes some hundredths of a second


def survival_table(lived: pd.DataFrame, calibration: Calibration) -> pd.DataFrame:
    """Kaplan-Meier curve of lives (`schema.SURVIVAL`); empty where no appearance was seen.

    Args:
        lived: of `lives.lives`.
        calibration: gives the life in s.
    """
    if lived.empty:
        return empty(SURVIVAL)
    table = kaplan_meier(lived["age_frames"], lived["died"], entry=lived["entry_frames"])
    table = table.rename(columns={"duration": "duration_frames"})
    table["duration_s"] = calibration.time_s(table["duration_frames"])
    return conform(table, SURVIVAL)


def growth_segments(
    objects: pd.DataFrame, tracks: pd.DataFrame, calibration: Calibration, *, always: int | None = None
) -> pd.DataFrame:
    """Straight stretches of growth of the 200 longest tracks (`schema.GROWTH_SEGMENTS`).

    Args:
        objects: `frame`, `track_id`, `major_px`, `major_nm`.
        tracks: `schema.TRACKS`: which tracks.
        calibration: gives the rates in nm/s, by the median ratio of the two sizes where pixels are not square.
        always: a track that is looked at even if it is not among the longest.
    """
    longest = tracks.sort_values(["n_points", "track_id"], ascending=[False, True], kind="stable").head(MOST_TRACKS)
    wanted = {*longest["track_id"], always} & {*tracks["track_id"]}
    names = [name for name in ("frame", "track_id", "major_px", "major_nm") if name in objects.columns]
    rows = objects[names].reset_index(drop=True)  # an index may be named as a column
    rows = rows[rows["track_id"].isin(wanted) & rows["major_px"].notna()].sort_values("frame", kind="stable")
    each = [(int(number), own) for number, own in rows.groupby("track_id", sort=True)]
    noise = shared_noise((own["frame"], own["major_px"]) for _, own in each)
    alike = sorted(each, key=lambda one: len(one[1]))  # tracks of one length share what their noise is made white with
    known = [table for number, own in alike if len(table := _segments_of(number, own, calibration, noise))]
    if not known:
        return empty(GROWTH_SEGMENTS)
    return conform(pd.concat(known).sort_values(["track_id", "segment"], ignore_index=True), GROWTH_SEGMENTS)


def _segments_of(number: int, own: pd.DataFrame, calibration: Calibration, noise: NDArray[np.float64]) -> pd.DataFrame:
    table = segments(own["frame"], own["major_px"], noise=noise)
    factor = math.nan
    if calibration.frame_interval_s is not None and "major_nm" in own.columns:
        factor = float((own["major_nm"] / own["major_px"]).median()) / calibration.frame_interval_s
    rates = {}
    for end, column in (("", "slope"), ("_low", "low"), ("_high", "high")):
        rates[f"growth_px_per_frame{end}"] = table[column]
        rates[f"growth_nm_per_s{end}"] = table[column] * factor
    return pd.DataFrame(
        {"track_id": number, "segment": table["segment"], "first_frame": table["start"], "last_frame": table["end"], **rates}
    )


def displacement_table(frames: pd.DataFrame, calibration: Calibration) -> pd.DataFrame:
    """What was taken out of each frame (`schema.DISPLACEMENT`).

    Args:
        frames: `schema.FRAMES`.
        calibration: gives the shifts in nm.
    """
    size_y, size_x = calibration.pixel_size_nm or (np.nan, np.nan)
    table = frames.assign(shift_x_nm=frames["shift_x_px"] * size_x, shift_y_nm=frames["shift_y_px"] * size_y)
    return conform(table[list(DISPLACEMENT)], DISPLACEMENT)
