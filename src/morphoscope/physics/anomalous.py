"""The anomalous exponent, with the localisation error fitted."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.calibration import Calibration
from morphoscope.physics.msd import msd_sums, resampled
from morphoscope.physics.parabola import vertex
from morphoscope.physics.paths import every_nth, paths, squared_pixels

Array = NDArray[np.float64]
EXPONENTS = np.linspace(0.02, 2.2, 219)
MIN_LAGS = 4
MOST_LAGS = 24
RESAMPLES = 400


class Anomalous(NamedTuple):
    """MSD = 4 D_alpha t^alpha + 4 sigma^2; nan where it could not be fitted.

    `D_alpha_px2` is per frame^alpha, `D_alpha_nm2` per s^alpha; sigma is per axis.
    """

    exponent: float
    low: float
    high: float
    D_alpha_px2: float
    D_alpha_nm2: float
    localisation_px: float
    localisation_nm: float
    n_tracks: int


def anomalous(
    objects: pd.DataFrame, calibration: Calibration, *, max_lag: int | None = None, confidence: float = 0.95
) -> Anomalous:
    """Exponent of the ensemble MSD with a constant 4 sigma^2 for the localisation error.

    A plain power law takes that constant for slow motion and finds too small an exponent.

    Weighted least squares at lags evenly spread in log (weights 1 / MSD^2 and the number of pairs over the lag), sigma^2 and
    D not below 0; the interval is the percentile interval of a bootstrap over whole tracks.

    Args:
        objects: `frame`, `track_id`, `x_reg_px`, `y_reg_px`.
        calibration: without a scale or interval the nm values are nan.
        max_lag: in analysed frames; none: a third of the mean span of the tracks, from 8 to 100.
        confidence: of the interval, nan for fewer than 3 tracks.
    """
    made, step = every_nth(paths(objects))
    k = len(made.track_id)
    reach = max_lag if max_lag is not None else int(np.clip(made.span.mean() / 3, 8, 100)) if k else 1
    sums = msd_sums(made, reach, grouped=True)
    known = np.flatnonzero(sums.tracks) + 1
    if len(known) < MIN_LAGS:
        return Anomalous(*(math.nan,) * 7, n_tracks=k)
    chosen = _spread(known)
    pairs, squares, lags = sums.pairs[:, chosen - 1], sums.squares[:, chosen - 1], step * chosen
    draws = np.vstack([np.ones(len(pairs)), resampled(k, RESAMPLES)])
    exponent, _, _ = _fit(lags, draws @ squares.sum(axis=2), draws @ pairs)
    spread = exponent[1:][np.isfinite(exponent[1:])]
    tail = (1 - confidence) / 2
    low, high = np.quantile(spread, [tail, 1 - tail]) if k >= 3 and len(spread) else (math.nan, math.nan)
    interval = math.nan if calibration.frame_interval_s is None else calibration.frame_interval_s
    (slope, floor), (slope_nm, floor_nm) = (
        _fit(lags, (squares @ scale).sum(axis=0)[None], pairs.sum(axis=0)[None], exponent[:1])[1:]
        for scale in (np.ones(2), squared_pixels(calibration))
    )
    return Anomalous(
        float(exponent[0]),
        float(low),
        float(high),
        float(slope[0]) / 4,
        float(slope_nm[0] / 4 / interval ** exponent[0]),
        math.sqrt(floor[0] / 4),
        math.sqrt(floor_nm[0] / 4),
        k,
    )


def _spread(lags: NDArray[np.int64]) -> NDArray[np.int64]:
    """At most 24 of rising lags, about evenly spread in log."""
    wanted = np.geomspace(lags[0], lags[-1], MOST_LAGS)
    return np.asarray(lags[np.unique(np.abs(np.log(lags)[:, None] - np.log(wanted)).argmin(axis=0))])


def _fit(lags: NDArray[np.int64], total: Array, pairs: Array, exponents: Array = EXPONENTS) -> tuple[Array, Array, Array]:
    """Exponent, slope and floor of MSD = slope * lag^exponent + floor for each row of `total` / `pairs` (b, l)."""
    msd = np.divide(total, pairs, out=np.full(total.shape, np.nan), where=pairs > 0)
    known = np.isfinite(msd) & (msd > 0)
    y = np.where(known, msd, 0.0)
    weight = np.where(known, pairs / lags / np.where(known, msd, 1.0) ** 2, 0.0)
    power = lags[None, :] ** exponents[:, None]  # (e, l)
    w, wp, wpp = weight.sum(axis=1)[:, None], weight @ power.T, weight @ (power**2).T
    wy, wpy, wyy = (weight * y).sum(axis=1)[:, None], (weight * y) @ power.T, (weight * y * y).sum(axis=1)[:, None]
    determinant = np.maximum(w * wpp - wp**2, 1e-300)
    slope, floor = (w * wpy - wp * wy) / determinant, (wpp * wy - wp * wpy) / determinant
    slope = np.where(floor < 0, wpy / np.maximum(wpp, 1e-300), slope)
    floor = np.maximum(floor, 0.0)
    floor = np.where(slope < 0, wy / np.maximum(w, 1e-300), floor)
    slope = np.maximum(slope, 0.0)
    rss = wyy - 2 * slope * wpy - 2 * floor * wy + slope**2 * wpp + 2 * slope * floor * wp + floor**2 * w
    best = rss.argmin(axis=1)
    rows = np.arange(len(total))
    between = exponents[best]
    if len(exponents) > 2:
        middle, shift = vertex(rss, best)
        between = exponents[middle] + shift * (exponents[1] - exponents[0])
    dead = known.sum(axis=1) < min(MIN_LAGS, len(lags))
    found = [np.where(dead, np.nan, v) for v in (between, slope[rows, best], floor[rows, best])]
    return found[0], found[1], found[2]
