"""Tracks: life, size, growth and motion of each object, a row per track."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.calibration import Calibration
from morphoscope.physics.brownian import fit_tracks
from morphoscope.physics.diffusion import d_eff
from morphoscope.physics.growth import Slope, line, noise_of, theil_sen, widened
from morphoscope.schema import TRACKS, conform, empty

Array = NDArray[np.float64]


def track_table(
    objects: pd.DataFrame,
    calibration: Calibration,
    *,
    lag_frames: int = 1,
    min_points: int = 1,
    ends: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """A row per track as `schema.TRACKS` declares.

    Growth is null for tracks of fewer than 6 points, D_eff for fewer than three steps of the lag, D and the
    localisation error for fewer than 4 detections; those in nm and s are null without a scale or a frame interval. How slowly
    errors of size change, on which the intervals of growth rest, is learnt from all tracks together.

    Args:
        objects: `frame`, `track_id` (null: left out), `major_px`, `minor_px`, `angle_deg`, `x_reg_px`, `y_reg_px`;
            sizes and positions that are null are left out of what is made of them.
        calibration: scale and frame interval.
        lag_frames: lag of D_eff in frame numbers.
        min_points: tracks of fewer detections are left out.
        ends: `track_id`, `began`, `ended` (`track.ends`); None: those columns are null.
    """
    linked = objects[objects["track_id"].notna().to_numpy()].reset_index(drop=True)
    if not len(linked):
        return empty(TRACKS)
    linked = calibration.with_nm(linked)
    ids = linked["track_id"].to_numpy(np.int64)
    frame = linked["frame"].to_numpy(np.int64)
    order = np.lexsort((frame, ids))
    starts = np.flatnonzero(np.r_[True, np.diff(ids[order]) != 0])
    groups = [g for g in np.split(order, starts[1:]) if len(g) >= min_points]
    if not groups:
        return empty(TRACKS)
    names = ("x_reg_px", "y_reg_px", "x_reg_nm", "y_reg_nm", "major_px", "major_nm")
    columns = {name: linked[name].to_numpy(float) if name in linked.columns else np.full(len(linked), np.nan) for name in names}
    interval = math.nan if calibration.frame_interval_s is None else calibration.frame_interval_s
    lines = [line(frame[g], columns["major_px"][g]) for g in groups]
    noise = noise_of(lines)
    grown = [widened(found, noise=noise) for found in lines]
    rows = [
        _row(frame[g], {k: v[g] for k, v in columns.items()}, slope, interval=interval, lag=lag_frames, noise=noise)
        | {"track_id": int(ids[g[0]])}
        for g, slope in zip(groups, grown, strict=True)
    ]
    table = _with_ends(pd.DataFrame(rows), ends)
    known = linked[linked["track_id"].isin(table["track_id"])]
    table = table.merge(fit_tracks(known, calibration).drop(columns="n_points"), on="track_id", how="left", validate="one_to_one")
    return conform(table.reindex(columns=list(TRACKS)), TRACKS)


def _with_ends(table: pd.DataFrame, ends: pd.DataFrame | None) -> pd.DataFrame:
    if ends is None:
        return table.assign(began=None, ended=None)
    known = ends.set_index(ends["track_id"].astype("int64"))
    return table.assign(**{name: table["track_id"].map(known[name]) for name in ("began", "ended")})


def _row(
    frame: NDArray[np.int64], c: dict[str, Array], growth_px: Slope, *, interval: float, lag: int, noise: Array
) -> dict[str, float]:
    life = int(frame[-1] - frame[0] + 1)
    growth = _growth_nm(frame, c, growth_px, interval, noise)
    moved = d_eff(np.stack([c["x_reg_nm"], c["y_reg_nm"]], axis=1), frame, frame_interval_s=interval, lag=lag)
    return {
        "first_frame": int(frame[0]),
        "last_frame": int(frame[-1]),
        "life_frames": life,
        "life_s": life * interval,
        "n_points": len(frame),
        **{name: _of_known(np.mean, c[name]) for name in ("x_reg_px", "y_reg_px", "x_reg_nm", "y_reg_nm")},
        "size_median_px": _of_known(np.median, c["major_px"]),
        "size_median_nm": _of_known(np.median, c["major_nm"]),
        "growth_px_per_frame": growth_px.value,
        "growth_nm_per_s": growth.value,
        "growth_nm_per_s_low": growth.low,
        "growth_nm_per_s_high": growth.high,
        "D_eff_nm2_per_s": moved.value,
        "D_eff_nm2_per_s_low": moved.low,
        "D_eff_nm2_per_s_high": moved.high,
    }


def _of_known(what: Callable[[Array], np.floating], values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(what(known)) if len(known) else math.nan


def _growth_nm(frame: NDArray[np.int64], c: dict[str, Array], growth_px: Slope, interval: float, noise: Array) -> Slope:
    """The slope in nm/s; the px slope rescaled where both are proportional (equal pixels)."""
    nm, px = c["major_nm"], c["major_px"]
    if not (math.isfinite(interval) and np.isfinite(nm).any()):
        return Slope(math.nan, math.nan, math.nan)
    ratio = float(np.nanmedian(nm / px))
    if np.allclose(nm, ratio * px, equal_nan=True):
        return Slope(*(value * ratio / interval for value in growth_px))
    return Slope(*(value / interval for value in theil_sen(frame, nm, noise=noise)))
