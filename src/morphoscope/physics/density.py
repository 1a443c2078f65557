"""Number density and size statistics of each frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2

from morphoscope.calibration import Calibration
from morphoscope.errors import UsageError

Array = NDArray[np.float64]
NM3_PER_CM3 = 1e21
NM2_PER_UM2 = 1e6


def poisson_interval(count: ArrayLike, confidence: float = 0.95) -> tuple[Array, Array]:
    """Exact (Garwood 1936) interval of the mean of a Poisson count, any shape."""
    n = np.asarray(count, dtype=float)
    tail = (1 - confidence) / 2
    low = np.where(n > 0, chi2.ppf(tail, 2 * np.maximum(n, 0.5)) / 2, 0.0)
    return np.asarray(low), np.asarray(chi2.ppf(1 - tail, 2 * n + 2) / 2)


def density(
    frames: pd.DataFrame,
    *,
    valid_area_px: ArrayLike,
    calibration: Calibration,
    thickness_nm: float | None = None,
    visibility_factor: float = 1.0,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Density of each frame: count x visibility factor / (valid area x thickness), with its counting interval.

    Args:
        frames: a row per frame with `count`, the objects in the valid area.
        valid_area_px: analysed area less excluded parts, a number or (n,).
        calibration: without a scale the densities are null.
        thickness_nm: of the foil; the density is in cm^-3 with it, in um^-2 without.
        visibility_factor: all loops / loops visible in this diffraction condition (7/4 for g = 011 and <100> with
            1/2<111> loops in bcc).
        confidence: of the Poisson interval, which holds the counting error alone.

    Returns:
        A copy of `frames` with `count_corrected`, `valid_area_px`, `valid_area_nm2`, `density`, `density_raw`, `density_low`,
        `density_high`, `density_unit` (see `schema.FRAMES`).

    Raises:
        UsageError: a thickness or visibility factor that is not positive.
    """
    if thickness_nm is not None and not (np.isfinite(thickness_nm) and thickness_nm > 0):
        raise UsageError(f"thickness_nm must be a positive number of nm or None, got {thickness_nm}")
    if not (np.isfinite(visibility_factor) and visibility_factor > 0):
        raise UsageError(f"visibility_factor must be a positive number, got {visibility_factor}")
    counts = frames["count"].to_numpy(np.int64)
    area_px = np.broadcast_to(np.asarray(valid_area_px, dtype=float), counts.shape)
    area_nm2 = calibration.area_nm2(area_px)
    volume = area_nm2 / NM2_PER_UM2 if thickness_nm is None else area_nm2 * thickness_nm / NM3_PER_CM3
    per = np.divide(1.0, volume, out=np.full(counts.shape, np.nan), where=volume > 0)
    low, high = poisson_interval(counts, confidence)
    known = calibration.has_scale and bool(np.isfinite(area_px).any())
    unit = None if not known else "um^-2" if thickness_nm is None else "cm^-3"
    return frames.assign(
        count_corrected=counts * visibility_factor,
        valid_area_px=area_px.copy(),
        valid_area_nm2=area_nm2,
        density=counts * visibility_factor * per,
        density_raw=counts * per,
        density_low=low * visibility_factor * per,
        density_high=high * visibility_factor * per,
        density_unit=pd.Series([unit] * len(counts), index=frames.index, dtype="str"),
    )


def sizes(objects: pd.DataFrame, frames: ArrayLike) -> pd.DataFrame:
    """Count and quartiles of the size (major axis) in each frame.

    Args:
        objects: `frame`, `major_px` and, where there is a scale, `major_nm`.
        frames: (n,) frame numbers; those without objects get count 0 and null sizes.

    Returns:
        n rows: `frame`, `count`, `size_median_px`, `size_q1_px`, `size_q3_px` and the `_nm` twins.
    """
    numbers = np.asarray(frames, dtype=np.int64)
    groups = objects.groupby("frame")
    columns: dict[str, Any] = {"frame": numbers, "count": groups.size().reindex(numbers, fill_value=0).to_numpy(np.int64)}
    for unit in ("px", "nm"):
        name = f"major_{unit}"
        for stat, q in (("median", 0.5), ("q1", 0.25), ("q3", 0.75)):
            values = groups[name].quantile(q).reindex(numbers) if name in objects.columns else pd.Series(np.nan, numbers)
            columns[f"size_{stat}_{unit}"] = values.to_numpy(float)
    return pd.DataFrame(columns)
