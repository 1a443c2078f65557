"""Mean squared displacement: of each track, of all together, and its exponent."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from morphoscope.calibration import Calibration
from morphoscope.errors import UsageError
from morphoscope.physics.paths import Paths, every_nth, paths, slots, squared_pixels, steps

Array = NDArray[np.float64]
RESAMPLES = 1000
SEED = 0  # intervals are the same from run to run
MOST_GROUPS = 2000  # more tracks than this are resampled in groups, each from all lengths
Weights = Literal["pairs", "independent"]


class PowerLaw(NamedTuple):
    """MSD = amplitude * lag ** exponent."""

    amplitude: float
    exponent: float


class Sums(NamedTuple):
    """Of k tracks or groups at l lags: `pairs` (k, l), `squares` (k, l, 2) the summed squared displacements along x and y (px2).

    `tracks` (l,) is how many tracks have a pair.
    """

    pairs: Array
    squares: Array
    tracks: NDArray[np.int64]

    def msd(self, per_px2: ArrayLike = (1.0, 1.0)) -> Array:
        """Time-averaged MSD (k, l) with x and y each times a factor; nan without a pair."""
        total = self.squares @ np.asarray(per_px2, dtype=float)
        return np.asarray(np.divide(total, self.pairs, out=np.full(self.pairs.shape, np.nan), where=self.pairs > 0))


def msd_sums(made: Paths, max_lag: int, *, grouped: bool = False) -> Sums:
    """Pairs and summed squared displacements of every track, or of groups as `in_groups` makes them, at lags 1 to `max_lag`."""
    if max_lag < 1:
        raise UsageError(f"max_lag must be at least 1 frame, got {max_lag}")
    k, laid = len(made.track_id), slots(made)
    reach = min(max_lag, int(made.span.max())) if k else 0
    rows = min(k, MOST_GROUPS) if grouped else k
    pairs, squares, tracks = np.zeros((rows, reach)), np.zeros((rows, reach, 2)), np.zeros(reach, np.int64)
    for lag in range(1, reach + 1):
        number, moved = steps(laid, lag)
        tracks[lag - 1] = np.count_nonzero(np.bincount(number))
        row = number % rows
        pairs[:, lag - 1] = np.bincount(row, minlength=rows)
        for axis in (0, 1):
            squares[:, lag - 1, axis] = np.bincount(row, moved[:, axis] ** 2, minlength=rows)
    return Sums(pairs, squares, tracks)


def independent(n_slots: ArrayLike, lag: ArrayLike) -> Array:
    """Independent displacements in a track of `n_slots` positions at a lag (Qian, Sheetz & Elson 1991, eq. B4)."""
    n, t = (np.asarray(v, dtype=float) for v in np.broadcast_arrays(n_slots, lag))
    with np.errstate(divide="ignore", invalid="ignore"):
        late = 1 / (1 + ((n - t) ** 3 + 5 * t - 4 * (n - t) ** 2 * t - n) / (6 * (n - t) * t**2))
        early = 6 * (n - t) ** 2 * t / (2 * n - t + 4 * n * t**2 - 5 * t**3)
    return np.where(t >= n, 0.0, np.where(t > n / 2, late, early))


def _independent_pairs(made: Paths, sums: Sums) -> Array:
    """Independent displacements (k, l), for tracks with gaps as trackpy has it: in proportion to what was seen."""
    length, lag = made.span + 1, np.arange(1, sums.pairs.shape[1] + 1)
    n = independent(length[:, None], lag) * (made.n_points / length)[:, None]
    seen = np.where(sums.pairs > 0, n, 0.0)
    total = seen.sum(axis=1, keepdims=True)
    return np.asarray(seen * np.divide(n.sum(axis=1, keepdims=True), total, out=np.ones_like(total), where=total > 0))


def track_msd(objects: pd.DataFrame, calibration: Calibration, *, max_lag: int = 100) -> pd.DataFrame:
    """Time-averaged MSD of each track: the mean of |r(t + lag) - r(t)|^2 over all pairs of detections a lag apart.

    Localisation noise of sigma per axis adds 4 sigma^2 to every value.

    Args:
        objects: `frame`, `track_id`, `x_reg_px`, `y_reg_px`; frames may be missed.
        calibration: without a scale `msd_nm2`, without a frame interval `lag_s` are null.
        max_lag: in analysed frames: where every n-th frame was analysed, lags are multiples of n.

    Returns:
        A row per track and lag that has pairs: `track_id`, `lag_frames`, `lag_s`, `n` pairs, `n_independent`
        displacements they are worth (`independent`; trackpy's N), `msd_px2`, `msd_nm2`.
    """
    made, step = every_nth(paths(objects))
    sums = msd_sums(made, max_lag)
    row, column = np.nonzero(sums.pairs)
    table = pd.DataFrame(
        {
            "track_id": made.track_id[row],
            "lag_frames": step * (column + 1),
            "lag_s": calibration.time_s(step * (column + 1)),
            "n": sums.pairs[row, column].astype(np.int64),
            "n_independent": _independent_pairs(made, sums)[row, column],
            "msd_px2": sums.msd()[row, column],
            "msd_nm2": sums.msd(squared_pixels(calibration))[row, column],
        }
    )
    return table.sort_values(["track_id", "lag_frames"], ignore_index=True)


def ensemble_msd(
    objects: pd.DataFrame,
    calibration: Calibration,
    *,
    max_lag: int = 100,
    weights: Weights = "pairs",
    confidence: float = 0.95,
) -> pd.DataFrame:
    """MSD over all tracks, with its interval from a bootstrap over whole tracks.

    Args:
        objects: as for `track_msd`.
        calibration: as for `track_msd`.
        max_lag: as for `track_msd`.
        weights: `pairs` gives every displacement the same weight; `independent` gives each track that of the independent
            displacements in it, which is what `trackpy.emsd` has.
        confidence: of the percentile interval, which is null for fewer than 3 tracks.

    Returns:
        A row per lag: `lag_frames`, `lag_s`, `msd_px2`, `msd_nm2` each with `_low`, `_high`, `n` pairs, `n_tracks`.
    """
    made, step = every_nth(paths(objects))
    sums = msd_sums(made, max_lag, grouped=weights == "pairs")
    weight = sums.pairs if weights == "pairs" else _independent_pairs(made, sums)
    lag = step * np.arange(1, sums.pairs.shape[1] + 1)
    columns = {"lag_frames": lag, "lag_s": calibration.time_s(lag)}
    draws, grouped = resampled(len(made.track_id)), in_groups(weight)
    for unit, scale in (("px2", (1.0, 1.0)), ("nm2", squared_pixels(calibration))):
        total = np.nan_to_num(sums.msd(scale)) * weight if np.isfinite(scale).all() else np.full(weight.shape, np.nan)
        columns[f"msd_{unit}"] = _ratio(total.sum(axis=0), weight.sum(axis=0))
        spread = _ratio(draws @ in_groups(total), draws @ grouped)
        for end, q in (("low", (1 - confidence) / 2), ("high", (1 + confidence) / 2)):
            columns[f"msd_{unit}_{end}"] = np.where(sums.tracks >= 3, _quantile(spread, q), np.nan)
    table = pd.DataFrame(columns).assign(n=sums.pairs.sum(axis=0).astype(np.int64), n_tracks=sums.tracks)
    return table[table["n"] > 0].reset_index(drop=True)


def in_groups(values: Array) -> Array:
    """Rows (tracks, ...) summed into at most 2000 groups, which a bootstrap then draws from."""
    k = len(values)
    if k <= MOST_GROUPS:
        return values
    return np.asarray(np.stack([values[i::MOST_GROUPS].sum(axis=0) for i in range(MOST_GROUPS)]))


def resampled(tracks: int, count: int = RESAMPLES) -> Array:
    """How often each track (or group of `in_groups`) is drawn in each of `count` resamples (count, tracks)."""
    k = min(tracks, MOST_GROUPS)
    if k == 0:
        return np.zeros((count, 0))
    return np.random.default_rng(SEED).multinomial(k, np.full(k, 1 / k), size=count).astype(float)


def _ratio(total: Array, weight: Array) -> Array:
    return np.asarray(np.divide(total, weight, out=np.full(weight.shape, np.nan), where=weight > 0))


def _quantile(values: Array, q: float) -> Array:
    """Quantile of each column, of the values that are numbers; nan where there are none."""
    known = np.isfinite(values).any(axis=0)
    found = np.full(values.shape[1], np.nan)
    if known.any():
        found[known] = np.nanquantile(values[:, known], q, axis=0)
    return found


def power_law(lag: ArrayLike, msd: ArrayLike) -> PowerLaw:
    """Straight line through log MSD against log lag by plain least squares, as trackpy's `fit_powerlaw` does.

    Args:
        lag: (n,) in any unit of time.
        msd: (n,); pairs with a value that is not positive are left out.

    Returns:
        nan for fewer than two lags.
    """
    x, y = np.asarray(lag, dtype=float), np.asarray(msd, dtype=float)
    good = (x > 0) & (y > 0) & np.isfinite(x) & np.isfinite(y)
    if len(np.unique(x[good])) < 2:
        return PowerLaw(math.nan, math.nan)
    a, b = np.log(x[good]), np.log(y[good])
    exponent = float(((a - a.mean()) * (b - b.mean())).sum() / ((a - a.mean()) ** 2).sum())
    return PowerLaw(float(np.exp(b.mean() - exponent * a.mean())), exponent)
