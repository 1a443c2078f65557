"""The single numbers of motion, life and growth in time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from morphoscope.calibration import Axis
from morphoscope.physics.anomalous import Anomalous
from morphoscope.physics.brownian import PooledD
from morphoscope.physics.changes import segments
from morphoscope.physics.doubts import SHORTEST, not_one_d
from morphoscope.physics.summary import MIN_COUNT, quantity
from morphoscope.physics.survival import death_rate, kaplan_meier, median_life
from morphoscope.physics.van_hove import NonGaussian

Rows = list[dict[str, Any]]
LONGER = 3  # frames: the published analysis counts tracks from here on
BEGAN = {
    "start": "tracks there from the start",
    "edge": "tracks that came in over the edge",
    "appeared": "tracks that appeared",
    "split": "tracks that split off",
}
ENDED = {
    "end": "tracks there at the end",
    "edge": "tracks that left over the edge",
    "gap": "tracks that disappeared",
    "merge": "tracks that merged",
}


def reasons(tracks: pd.DataFrame) -> Rows:
    """Tracks by how they began and ended, and those longer than 3 frames with their mean life.

    Args:
        tracks: `schema.TRACKS`.
    """
    rows: Rows = []
    for column, names, how in (
        ("began", BEGAN, "among the tracks kept, by the field of each frame"),
        ("ended", ENDED, "among the tracks kept, by the field of each frame"),
    ):
        counted = tracks[column].value_counts()
        rows += [quantity(said, int(counted[key]), "", len(tracks), how) for key, said in names.items() if key in counted]
    life = tracks["life_frames"].to_numpy(float)
    long = life[life > LONGER]
    if not len(long):
        return rows
    how = "of them, last minus first frame plus one, cut by the ends of the video as they are: shorter than the lives"
    return [
        *rows,
        quantity(f"tracks longer than {LONGER} frames", len(long), "", len(tracks), "among the tracks kept"),
        quantity("mean life of those", float(long.mean()), "frames", len(long), how),
    ]


def survival_rows(lived: pd.DataFrame, frame_interval_s: float | None) -> Rows:
    """Median life by Kaplan-Meier and death rate of tracks whose appearance was seen; nothing where there are none.

    The median is null where more than half outlive what was watched; its lower end may be known nevertheless.

    Args:
        lived: of `lives.lives`.
        frame_interval_s: None: in frames.
    """
    if lived.empty:
        return []
    scale, unit, per = (1.0, "frames", "1/frame") if frame_interval_s is None else (frame_interval_s, "s", "1/s")
    age, entry = lived["age_frames"].to_numpy(float) * scale, lived["entry_frames"].to_numpy(float) * scale
    seen = (
        f"tracks whose appearance was seen and that outlived {entry[0]:.4g} {unit} (shorter ones are left out), watched up to "
        "the last frame in which an end can be told from a gap; lives cut there or by the field's edge are censored"
    )
    middle = median_life(kaplan_meier(age, lived["died"], entry=entry))
    rate = death_rate(age, lived["died"], entry=entry)
    how = f"Kaplan-Meier of {seen}; interval: where the log-log band crosses a half"
    if not math.isfinite(middle.value):
        how = f"not reached: more than half outlive {age.max():.4g} {unit}; {how}"
    rows = [quantity("median life (Kaplan-Meier)", middle.value, unit, len(lived), how, (middle.low, middle.high))]
    if math.isfinite(rate.value):
        how = f"{rate.deaths} disappearances over the time seen, of {seen}; right for a constant hazard; interval: Garwood"
        rows.append(quantity("death rate", rate.value, per, rate.deaths, how, (rate.low, rate.high)))
    return rows


def diffusion_rows(pooled: PooledD, exponent: Anomalous, alpha: NonGaussian, lag_frames: int) -> Rows:
    """Pooled D with the localisation error, the anomalous exponent and the non-Gaussian parameter.

    Args:
        pooled: of all tracks.
        exponent: of all tracks.
        alpha: at the lag.
        lag_frames: lag of `alpha`.
    """
    rows = pooled_rows(pooled, doubt=not_one_d(exponent, alpha))
    if math.isfinite(exponent.exponent):
        how = "fit of MSD = 4 D_alpha t^alpha + 4 sigma^2 to the ensemble MSD; interval: tracks drawn again"
        rows.append(quantity("anomalous exponent", exponent.exponent, "", exponent.n_tracks, how, (exponent.low, exponent.high)))
    if math.isfinite(alpha.value):
        how = f"<d^4> / (3 <d^2>^2) - 1 of displacements d along x and y in {lag_frames} frames; interval: tracks drawn again"
        rows.append(quantity("non-Gaussian parameter", alpha.value, "", alpha.n, how, (alpha.low, alpha.high)))
    return rows


def pooled_rows(pooled: PooledD, where: str = "", *, doubt: str = "") -> Rows:
    """D of all tracks together and the localisation error, in nm and s where those are known.

    Args:
        pooled: of all tracks.
        where: names a part of the run.
        doubt: of `doubts.not_one_d`, said with D.
    """
    nm = math.isfinite(pooled.D_nm2_per_s)
    if not math.isfinite(pooled.D_px2_per_frame):
        return []
    how = f"exact likelihood of displacements with localisation noise, all tracks together{where and ', ' + where}"
    d = "D_nm2_per_s" if nm else "D_px2_per_frame"
    low, high = getattr(pooled, f"{d}_low"), getattr(pooled, f"{d}_high")
    name = f"pooled D{where and ', ' + where}"
    interval = "; interval: profile likelihood, widened where tracks differ"
    if doubt:
        interval += f"; {SHORTEST}: {doubt}"
    rows = [quantity(name, getattr(pooled, d), "nm2/s" if nm else "px2/frame", pooled.n_tracks, how + interval, (low, high))]
    if where:
        return rows
    scaled = math.isfinite(pooled.localisation_nm)
    error = pooled.localisation_nm if scaled else pooled.localisation_px
    return [
        *rows,
        quantity("localisation error", error, "nm" if scaled else "px", pooled.n_points, f"per axis, fitted with D: {how}"),
    ]


def change_rows(frames: pd.DataFrame, along: Axis, unit: str) -> Rows:
    """Where the growth of the median size changes, on an axis; nothing where it does not.

    Args:
        frames: `schema.FRAMES`.
        along: axis of the report.
        unit: nm or px: which sizes are looked at.
    """
    column = f"size_median_{unit}"
    known = frames[frames[column].notna() & (frames["count"] >= MIN_COUNT)]
    found = segments(known["frame"], known[column])
    rows: Rows = []
    for i, row in enumerate(found.iloc[1:].itertuples(), start=1):
        low, high = sorted((float(along.at(row.start_low)), float(along.at(row.start_high))))
        slopes = [float(found["slope"].iloc[k]) / along.step for k in (i - 1, i)]
        said = " to ".join(f"{slope:.3g}" for slope in slopes)
        how = (
            f"continuous line of straight segments through the median size of frames with {MIN_COUNT} objects or more; growth "
            f"goes from {said} {unit} per {along.unit or along.name}; interval: F test with correlated errors"
        )
        name = "growth change point" + (f" {i}" if len(found) > 2 else "")
        rows.append(quantity(name, float(along.at(row.start)), along.unit, len(known), how, (low, high)))
    return rows if np.isfinite([r["value"] for r in rows]).all() else []
