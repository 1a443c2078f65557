"""How displacements are distributed: the self part of the van Hove function, and how far from Gaussian it is."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.calibration import Calibration
from morphoscope.errors import UsageError
from morphoscope.physics.msd import in_groups, resampled
from morphoscope.physics.paths import paths, slots, steps

Array = NDArray[np.float64]
REACH = 5.0  # the histogram goes to this many standard deviations


class NonGaussian(NamedTuple):
    """alpha_2 with its interval (nan for fewer than 3 tracks), and the number of displacements (two per pair)."""

    value: float
    low: float
    high: float
    n: int


def van_hove(objects: pd.DataFrame, calibration: Calibration, *, lag: int = 1, bins: int = 51) -> pd.DataFrame:
    """Histogram of the displacements along x and y over `lag` frames, and the Gaussian of the same variance about 0.

    Args:
        objects: `frame`, `track_id`, `x_reg_px`, `y_reg_px`.
        calibration: without a scale the nm columns are null. With unequal pixels displacements are those in nm,
            divided by the mean pixel where px are given.
        lag: in frames.
        bins: of equal width, out to 5 standard deviations on both sides; what lies beyond counts in the density only.

    Returns:
        A row per bin: `displacement_px`, `displacement_nm` its centre, `n`, `density` and `gaussian` per px,
        `density_nm` and `gaussian_nm` per nm. Empty without displacements that differ from 0.
    """
    if bins < 1:
        raise UsageError(f"bins must be at least 1, got {bins}")
    _, moved, unit = _displacements(objects, calibration, lag)
    spread = math.sqrt(float((moved**2).mean())) if len(moved) else 0.0
    if spread == 0:
        edges, count, total = np.zeros(1), np.zeros(0), 1
    else:
        total = moved.size
        count, edges = np.histogram(moved.ravel(), bins=bins, range=(-REACH * spread, REACH * spread))
    centre = (edges[1:] + edges[:-1]) / 2
    density = count / (np.diff(edges) * total)
    gaussian = np.exp(-(centre**2) / (2 * spread**2)) / (math.sqrt(2 * math.pi) * spread) if spread else centre
    return pd.DataFrame(
        {
            "displacement_px": centre,
            "displacement_nm": centre * unit,
            "n": count.astype(np.int64),
            "density": density,
            "gaussian": gaussian,
            "density_nm": density / unit,
            "gaussian_nm": gaussian / unit,
        }
    )


def non_gaussian(objects: pd.DataFrame, calibration: Calibration, *, lag: int = 1, confidence: float = 0.95) -> NonGaussian:
    """alpha_2 = <d^4> / (3 <d^2>^2) - 1 of the displacements d along x and y: 0 for a Gaussian (Rahman 1964).

    The interval is the percentile interval of a bootstrap over whole tracks.

    Args:
        objects: as for `van_hove`.
        calibration: as for `van_hove`.
        lag: in frames.
        confidence: of the interval.
    """
    number, moved, _ = _displacements(objects, calibration, lag)
    if not len(moved) or not moved.any():
        return NonGaussian(math.nan, math.nan, math.nan, moved.size)
    tracks, number = np.unique(number, return_inverse=True)
    sums = np.stack([np.bincount(number, (moved**p).sum(axis=1)) for p in (0, 2, 4)], axis=1).astype(float)
    value = float(_alpha(np.asarray(sums.sum(axis=0))))
    if len(tracks) < 3:
        return NonGaussian(value, math.nan, math.nan, moved.size)
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(_alpha(resampled(len(tracks)) @ in_groups(sums)), [tail, 1 - tail])
    return NonGaussian(value, float(low), float(high), moved.size)


def _alpha(sums: Array) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(sums[..., 0] * sums[..., 2] / (3 * sums[..., 1] ** 2) - 1)


def _displacements(objects: pd.DataFrame, calibration: Calibration, lag: int) -> tuple[NDArray[np.int64], Array, float]:
    """Track row (m,), displacement (m, 2) in px (of the mean pixel), and nm per px."""
    if lag < 1:
        raise UsageError(f"lag must be at least 1 frame, got {lag}")
    made = paths(objects)
    number, moved = steps(slots(made), lag) if len(made.track_id) else (made.number, made.px)
    if calibration.pixel_size_nm is not None:
        moved = moved * (np.array(calibration.pixel_size_nm[::-1]) / calibration.mean_pixel_nm)
    return number, moved, calibration.mean_pixel_nm
