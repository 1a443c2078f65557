"""Diffusion by size as the published analysis has it (doi 10.1016/j.commatsci.2021.110560)."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError, UsageError
from morphoscope.physics.paths import paths, slots, squared_pixels, steps

Array = NDArray[np.float64]
Window = tuple[int, int]
Box = tuple[float, float, float, float]


def chosen(objects: pd.DataFrame, *, steady: Window | None = None, inner: Box | None = None) -> pd.DataFrame:
    """The rows within the steady frames and the inner region.

    Args:
        objects: `frame` and, for `inner`, `x_px`, `y_px` (px of the stored frame; `x_reg_px`, `y_reg_px` where they are missing).
        steady: first and last + 1 frame.
        inner: x0, y0, x1, y1 in px of the stored frame.
    """
    kept = np.ones(len(objects), bool)
    if steady is not None:
        if not steady[0] < steady[1]:
            raise UsageError(f"steady must be the first and the last + 1 frame, got {steady}")
        frame = objects["frame"].to_numpy(np.int64)
        kept &= (frame >= steady[0]) & (frame < steady[1])
    if inner is not None:
        names = ("x_px", "y_px") if {"x_px", "y_px"} <= set(objects.columns) else ("x_reg_px", "y_reg_px")
        x, y = (objects[name].to_numpy(float) for name in names)
        kept &= (x >= inner[0]) & (x < inner[2]) & (y >= inner[1]) & (y < inner[3])
    return objects[kept]


def d_eff_per_track(objects: pd.DataFrame, calibration: Calibration, *, lag: int = 1) -> pd.DataFrame:
    """Mean of D_eff(tau) = |r(t + tau) - r(t)|^2 / (4 tau) over each track, and the track's median size.

    Args:
        objects: `frame`, `track_id`, `x_reg_px`, `y_reg_px`, `major_px` and, for unequal pixels, `minor_px`, `angle_deg`.
        calibration: without a scale or a frame interval the values are null.
        lag: tau in frames; steps that do not span exactly that are not used.

    Returns:
        A row per track with such a step: `track_id`, `size_median_nm`, `n_steps`, `d_eff_nm2_per_s`.
    """
    if lag < 1:
        raise UsageError(f"lag must be at least 1 frame, got {lag}")
    if "major_px" not in objects.columns:
        raise InputError("diffusion by size wants the column major_px, the size of each object; it is missing")
    made = paths(objects)
    k = len(made.track_id)
    number, moved = steps(slots(made), lag) if k else (made.number, made.px)
    tau = math.nan if calibration.frame_interval_s is None else lag * calibration.frame_interval_s
    values = (moved**2) @ squared_pixels(calibration) / (4 * tau)
    n = np.bincount(number, minlength=k)
    mean = np.bincount(number, values, minlength=k) / np.maximum(n, 1)
    linked = objects["track_id"].notna().to_numpy()  # a size counts although its position is not known
    ids = objects["track_id"][linked].to_numpy(np.int64)
    size = pd.Series(_size_nm(objects, calibration)[linked]).groupby(ids).median().reindex(made.track_id).to_numpy(float)
    table = pd.DataFrame({"track_id": made.track_id, "size_median_nm": size, "n_steps": n, "d_eff_nm2_per_s": mean})
    return table[table["n_steps"] > 0].sort_values("track_id", ignore_index=True)


def _size_nm(objects: pd.DataFrame, calibration: Calibration) -> Array:
    if "major_nm" in objects.columns:
        return np.asarray(objects["major_nm"].to_numpy(float))
    major = objects["major_px"].to_numpy(float)
    if {"minor_px", "angle_deg"} <= set(objects.columns):
        return calibration.ellipse_nm(major, objects["minor_px"].to_numpy(float), objects["angle_deg"].to_numpy(float))[0]
    return calibration.ellipse_nm(major, major, np.zeros(len(major)))[0]


def d_eff_by_size(
    objects: pd.DataFrame,
    calibration: Calibration,
    *,
    lag: int = 1,
    bins: int = 50,
    smallest_nm: float = 2.0,
    largest_nm: float = 18.0,
    steady: Window | None = None,
    inner: Box | None = None,
) -> pd.DataFrame:
    """D_eff(tau) in bins of the track's median size: mean and standard error over the tracks of a bin.

    It is the raw coefficient, which localisation noise raises by sigma^2 / tau; see `brownian.fit_tracks` for one without.

    Args:
        objects: as for `d_eff_per_track` and `chosen`.
        calibration: scale and frame interval.
        lag: tau in frames.
        bins: of equal width from `smallest_nm` to `largest_nm`; tracks outside are left out.
        smallest_nm: lower edge of the first bin.
        largest_nm: upper edge of the last bin.
        steady: see `chosen`.
        inner: see `chosen`.

    Returns:
        A row per bin: `size_low_nm`, `size_high_nm`, `n_tracks`, `d_eff_nm2_per_s` (null for none), `standard_error` (null for
        fewer than two tracks).
    """
    if bins < 1 or not 0 <= smallest_nm < largest_nm:
        raise UsageError(f"wanted at least 1 bin and smallest < largest in nm, got {bins}, {smallest_nm}, {largest_nm}")
    tracks = d_eff_per_track(chosen(objects, steady=steady, inner=inner), calibration, lag=lag)
    edges = np.linspace(smallest_nm, largest_nm, bins + 1)
    size, value = tracks["size_median_nm"].to_numpy(float), tracks["d_eff_nm2_per_s"].to_numpy(float)
    inside = (size >= smallest_nm) & (size <= largest_nm) & np.isfinite(value)
    place = np.minimum(np.searchsorted(edges, size[inside], side="right") - 1, bins - 1)
    n, value = np.bincount(place, minlength=bins), value[inside]
    mean = np.bincount(place, value, minlength=bins) / np.where(n > 0, n, np.nan)
    squares = np.bincount(place, (value - mean[place]) ** 2, minlength=bins)
    error = np.sqrt(squares / np.where(n > 1, (n - 1.0) * n, np.nan))
    return pd.DataFrame(
        {"size_low_nm": edges[:-1], "size_high_nm": edges[1:], "n_tracks": n, "d_eff_nm2_per_s": mean, "standard_error": error}
    )
