"""Tracks: life, size, growth and motion of each object."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from morphoscope.calibration import Calibration
from morphoscope.physics.diffusion import d_eff
from morphoscope.schema import TRACKS, conform, empty

Array = NDArray[np.float64]
MIN_POINTS = 6
MOST_POINTS = 200


class Slope(NamedTuple):
    """A slope with its interval; nan for too few points."""

    value: float
    low: float
    high: float


def theil_sen(x: ArrayLike, y: ArrayLike, *, confidence: float = 0.95) -> Slope:
    """Median of the slopes of all pairs (Theil 1950, Sen 1968), with Sen's interval widened for correlated scatter.

    Of more than 200 points, neighbours are averaged first. The half-width is scaled by sqrt((1 + r) / (1 - r)), r the
    correlation of successive residuals, because measurements of one object in successive frames share their errors.

    Args:
        x: (n,), such as time.
        y: (n,), such as size; pairs with a nan are left out.
        confidence: of the interval.

    Returns:
        nan for fewer than 6 points.
    """
    a, b = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    good = np.isfinite(a) & np.isfinite(b)
    a, b = a[good], b[good]
    if len(a) < MIN_POINTS or a.min() == a.max():
        return Slope(math.nan, math.nan, math.nan)
    order = np.argsort(a, kind="stable")
    a, b = _thin(a[order], b[order])
    n = len(a)
    first, second = np.triu_indices(n, 1)
    run = a[second] - a[first]
    slopes = np.sort((b[second] - b[first])[run > 0] / run[run > 0])
    middle = float(np.median(slopes))
    z = float(norm.ppf(0.5 + confidence / 2))
    reach = z * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    low = slopes[max(round((len(slopes) - reach) / 2), 0)]
    high = slopes[min(round((len(slopes) + reach) / 2), len(slopes) - 1)]
    widen = _widening(b - middle * a)
    return Slope(middle, middle - widen * (middle - float(low)), middle + widen * (float(high) - middle))


def _thin(a: Array, b: Array) -> tuple[Array, Array]:
    if len(a) <= MOST_POINTS:
        return a, b
    edges = np.linspace(0, len(a), MOST_POINTS + 1).astype(int)
    count = np.diff(edges)
    return np.add.reduceat(a, edges[:-1]) / count, np.add.reduceat(b, edges[:-1]) / count


def _widening(residual: Array) -> float:
    residual = residual - residual.mean()
    power = float((residual**2).sum())
    if power <= 0:
        return 1.0
    n = len(residual)
    rho = float((residual[1:] * residual[:-1]).sum()) / power + 2 / n
    rho = min(max(rho, 0.0), 0.95)
    return math.sqrt((1 + rho) / (1 - rho))


def track_table(objects: pd.DataFrame, calibration: Calibration, *, lag_frames: int = 1, min_points: int = 1) -> pd.DataFrame:
    """A row per track as `schema.TRACKS` declares.

    Growth is null for tracks of fewer than 6 points, D_eff for fewer than three steps of the lag, both in nm and s
    without a scale or a frame interval.

    Args:
        objects: `frame`, `track_id` (null: left out), `major_px`, `minor_px`, `angle_deg`, `x_reg_px`, `y_reg_px`.
        calibration: scale and frame interval.
        lag_frames: lag of D_eff in frame numbers.
        min_points: tracks of fewer detections are left out.
    """
    linked = objects[objects["track_id"].notna()]
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
    rows = [_row(int(ids[g[0]]), frame[g], {k: v[g] for k, v in columns.items()}, interval, lag_frames) for g in groups]
    return conform(pd.DataFrame(rows), TRACKS)


def _row(number: int, frame: NDArray[np.int64], c: dict[str, Array], interval: float, lag: int) -> dict[str, float]:
    life = int(frame[-1] - frame[0] + 1)
    growth_px = theil_sen(frame, c["major_px"])
    growth = _growth_nm(frame, c, growth_px, interval)
    moved = d_eff(np.stack([c["x_reg_nm"], c["y_reg_nm"]], axis=1), frame, frame_interval_s=interval, lag=lag)
    return {
        "track_id": number,
        "first_frame": int(frame[0]),
        "last_frame": int(frame[-1]),
        "life_frames": life,
        "life_s": life * interval,
        "n_points": len(frame),
        **{name: float(c[name].mean()) for name in ("x_reg_px", "y_reg_px", "x_reg_nm", "y_reg_nm")},
        "size_median_px": float(np.median(c["major_px"])),
        "size_median_nm": float(np.median(c["major_nm"])),
        "growth_px_per_frame": growth_px.value,
        "growth_nm_per_s": growth.value,
        "growth_nm_per_s_low": growth.low,
        "growth_nm_per_s_high": growth.high,
        "D_eff_nm2_per_s": moved.value,
        "D_eff_nm2_per_s_low": moved.low,
        "D_eff_nm2_per_s_high": moved.high,
    }


def _growth_nm(frame: NDArray[np.int64], c: dict[str, Array], growth_px: Slope, interval: float) -> Slope:
    """The slope in nm/s; the px slope rescaled where both are proportional (equal pixels)."""
    nm, px = c["major_nm"], c["major_px"]
    if not (math.isfinite(interval) and np.isfinite(nm).any()):
        return Slope(math.nan, math.nan, math.nan)
    ratio = float(np.nanmedian(nm / px))
    if np.allclose(nm, ratio * px, equal_nan=True):
        return Slope(*(value * ratio / interval for value in growth_px))
    return Slope(*(value / interval for value in theil_sen(frame, nm)))
