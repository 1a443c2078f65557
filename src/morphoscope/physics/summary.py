"""The single numbers of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom

from morphoscope.calibration import Calibration
from morphoscope.schema import QUANTITIES, conform

Array = NDArray[np.float64]
END = 0.05  # the last part of the frames that `final` quantities are taken from
MIN_COUNT = 10  # frames with fewer objects do not set the largest median size


def median_interval(values: ArrayLike, confidence: float = 0.95) -> tuple[float, float, float]:
    """Median and its distribution-free interval from order statistics; the interval is nan where n is too small for one."""
    x = np.sort(np.asarray(values, dtype=float))
    x = x[np.isfinite(x)]
    n = len(x)
    if n == 0:
        return math.nan, math.nan, math.nan
    k = int(binom.ppf((1 - confidence) / 2, n, 0.5))
    if k < 1:
        return float(np.median(x)), math.nan, math.nan
    return float(np.median(x)), float(x[k - 1]), float(x[n - k])


def quantities(
    objects: pd.DataFrame,
    frames: pd.DataFrame,
    tracks: pd.DataFrame | None,
    calibration: Calibration,
    *,
    lag_frames: int = 1,
    life: Sequence[dict[str, Any]] = (),
) -> pd.DataFrame:
    """Rows of `schema.QUANTITIES`: what a run found, each with interval, number of observations and method.

    Args:
        objects: per-object table: `frame`, `major_px`, `major_nm`; gives the intervals of the median sizes.
        frames: per-frame table (`schema.FRAMES`).
        tracks: per-track table (`schema.TRACKS`); None or empty where nothing was tracked.
        calibration: whether sizes are in nm or px.
        lag_frames: lag of the tracks' D_eff in frame numbers.
        life: rows of how long objects live, put before the lengths of the tracks.
    """
    rows = [*_counts(frames), *_densities(frames), *_sizes(frames, calibration, objects)]
    if tracks is not None and len(tracks):
        rows += [quantity("tracks", len(tracks), "", len(tracks), "tracks kept"), *life]
        rows += _lengths(tracks) + _rates(tracks, calibration, lag_frames) + _linked(tracks, len(objects))
    rows += _drift(frames, calibration)
    return conform(pd.DataFrame(rows, columns=list(QUANTITIES)), QUANTITIES)


def quantity(
    name: str, value: float, unit: str, n: int, method: str, interval: tuple[float, float] | None = None
) -> dict[str, Any]:
    """A row of `schema.QUANTITIES`."""
    low, high = interval or (math.nan, math.nan)
    return {"name": name, "value": value, "low": low, "high": high, "unit": unit, "n": n, "method": method}


def in_frame_numbers(rows: pd.DataFrame, step: int) -> pd.DataFrame:
    """Rows of `schema.QUANTITIES` that say what their frames are where only every `step`-th frame was analysed."""
    if step == 1:
        return rows
    said = rows["unit"].str.contains("frame") | (rows["name"] + " " + rows["method"]).str.contains(r"\d frames\b")
    which = f"; frames are frame numbers of the input, of which one in {step} was analysed"
    return rows.assign(method=rows["method"].mask(said, rows["method"] + which))


def _counts(frames: pd.DataFrame) -> list[dict[str, Any]]:
    count = frames["count"].to_numpy(float)
    return [
        quantity("frames", len(frames), "", len(frames), "frames analysed"),
        quantity("detections", float(count.sum()), "", len(frames), "objects in all frames together"),
    ]


def _densities(frames: pd.DataFrame) -> list[dict[str, Any]]:
    known = frames[frames["density"].notna()]
    if not len(known):
        return []
    unit = str(known["density_unit"].iloc[-1])
    last = known.tail(max(1, round(END * len(known))))
    middle = last.iloc[[int(np.argsort(last["density"].to_numpy(), kind="stable")[(len(last) - 1) // 2])]]
    peak = known.iloc[[int(known["density"].to_numpy().argmax())]]
    how = "; interval: Poisson (Garwood) of one frame's count, since successive frames show the same objects"
    rows = []
    for name, row, method in (
        ("final density", middle, f"median frame of the last {len(last)}"),
        ("highest density", peak, "frame with the highest density"),
    ):
        interval = (float(row["density_low"].iloc[0]), float(row["density_high"].iloc[0]))
        value, n = float(row["density"].iloc[0]), int(row["count"].iloc[0])
        rows.append(quantity(name, value, unit, n, f"{method} (frame {int(row['frame'].iloc[0])}){how}", interval))
    return rows


def _sizes(frames: pd.DataFrame, calibration: Calibration, objects: pd.DataFrame) -> list[dict[str, Any]]:
    unit = "nm" if calibration.has_scale else "px"
    column = f"size_median_{unit}"
    known = frames[frames[column].notna()]
    if not len(known):
        return []
    enough = known[known["count"] >= MIN_COUNT]
    enough = enough if len(enough) else known
    peak = enough.iloc[int(enough[column].to_numpy().argmax())]
    last = known.tail(max(1, round(END * len(known))))
    end = last.iloc[int(np.argsort(last[column].to_numpy(), kind="stable")[(len(last) - 1) // 2])]
    rows = []
    for name, row, method in (
        ("largest median size", peak, f"largest per-frame median major axis, frames of {MIN_COUNT} objects or more"),
        ("final median size", end, f"median frame of the last {len(last)}, major axis"),
    ):
        frame = int(row["frame"])
        own = objects.loc[objects["frame"] == frame, f"major_{unit}"].to_numpy(float)
        interval = median_interval(own)[1:]
        how = f"{method} (frame {frame}); interval: order statistics"
        rows.append(quantity(name, float(row[column]), unit, int(row["count"]), how, interval))
    return rows


def _lengths(tracks: pd.DataFrame) -> list[dict[str, Any]]:
    """No intervals: one would look as if it were that of a life."""
    length, n = tracks["life_frames"].to_numpy(float), len(tracks)
    how = "last minus first frame plus one of the tracks kept, cut by the ends of the video as they are: not a life"
    return [
        quantity("median track length", float(np.median(length)), "frames", n, how),
        quantity("mean track length", float(length.mean()), "frames", n, how),
    ]


def _rates(tracks: pd.DataFrame, calibration: Calibration, lag_frames: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    growth = "median over tracks of the Theil-Sen slope"
    tau = f"{lag_frames * (calibration.frame_interval_s or math.nan):.4g} s"
    raw = (
        f"median over tracks of the mean of |r(t+tau)-r(t)|^2/(4 tau) at tau = {tau}; it holds the localisation error; "
        "where few tracks are much faster than most it lies below the mean"
    )
    for name, column, unit, method in (
        ("median growth rate", "growth_nm_per_s", "nm/s", growth),
        ("median growth rate (px)", "growth_px_per_frame", "px/frame", growth),
        ("median D_eff", "D_eff_nm2_per_s", "nm2/s", raw),
    ):
        values = tracks[column].to_numpy(float)
        values = values[np.isfinite(values)]
        if len(values):
            value, low, high = median_interval(values)
            rows.append(quantity(name, value, unit, len(values), method + "; interval: order statistics", (low, high)))
    return rows


def _linked(tracks: pd.DataFrame, detections: int) -> list[dict[str, Any]]:
    points = tracks["n_points"].to_numpy(np.int64)
    how = "detections in tracks kept, of two detections or more, among all; no interval: detections of one object stand together"
    return [quantity("linked share", float(points[points > 1].sum()) / detections, "", detections, how)] if detections else []


def _drift(frames: pd.DataFrame, calibration: Calibration) -> list[dict[str, Any]]:
    """Nothing where the frames were not registered (every shift null, or exactly 0)."""
    if not {"shift_x_px", "shift_y_px"} <= set(frames.columns):
        return []
    shift = frames[["shift_x_px", "shift_y_px"]].to_numpy(float)
    shift = shift[np.isfinite(shift).all(axis=1)]
    if not shift.any():
        return []
    size_y, size_x = calibration.pixel_size_nm or (1.0, 1.0)
    distance = math.hypot((shift[-1, 0] - shift[0, 0]) * size_x, (shift[-1, 1] - shift[0, 1]) * size_y)
    how = "distance of the content of the last frame from its place in the first, jumps included"
    return [quantity("total drift", distance, "nm" if calibration.has_scale else "px", len(shift), how)]
