"""Calibration: the only place where pixels become nanometres and frames become seconds or dose."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from morphoscope.errors import UsageError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Axis:
    """A quantity that runs linearly with the frame number, such as dose: value = start + step * frame."""

    name: str
    unit: str
    start: float
    step: float

    def at(self, frame: ArrayLike) -> Array:
        """Value at each frame number (any shape)."""
        return np.asarray(self.start + self.step * np.asarray(frame, dtype=float))

    @property
    def label(self) -> str:
        """Axis label for figures, such as `dose (dpa)`."""
        return f"{self.name} ({self.unit})" if self.unit else self.name


@dataclass(frozen=True)
class Calibration:
    """Scale and timing of frames, each with its provenance (`header`, `sidecar`, `recipe`, `scale bar`).

    `pixel_size_nm` is (y, x) in nm per px, `frame_interval_s` the true time between stored frames.
    None means unknown; nothing is ever guessed.
    """

    pixel_size_nm: tuple[float, float] | None = None
    frame_interval_s: float | None = None
    axes: tuple[Axis, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "provenance", MappingProxyType(dict(self.provenance)))
        sizes = () if self.pixel_size_nm is None else self.pixel_size_nm
        for value in sizes:
            if not (math.isfinite(value) and 1e-6 < value < 1e9):
                raise UsageError(f"a pixel size must be a positive number of nm per px, got {value}")
        if self.frame_interval_s is not None and not (math.isfinite(self.frame_interval_s) and self.frame_interval_s > 0):
            raise UsageError(f"a frame interval must be a positive number of seconds, got {self.frame_interval_s}")

    @property
    def has_scale(self) -> bool:
        """Whether lengths can be given in nm."""
        return self.pixel_size_nm is not None

    @property
    def mean_pixel_nm(self) -> float:
        """Geometric mean of the two pixel sizes (nm per px); nan without a scale."""
        return math.sqrt(self.pixel_size_nm[0] * self.pixel_size_nm[1]) if self.pixel_size_nm else math.nan

    def axis(self, name: str) -> Axis:
        """The axis of that name; `frame` always exists, `time` where the frame interval is known."""
        if name == "frame":
            return Axis("frame", "", 0.0, 1.0)
        for axis in self.axes:
            if axis.name == name:
                return axis
        if name == "time" and self.frame_interval_s is not None:
            return Axis("time", "s", 0.0, self.frame_interval_s)
        known = ", ".join(self.axis_names)
        raise UsageError(f"no axis {name!r} is calibrated here; known: {known}. Add it under [[calibration.axes]] of the recipe")

    @property
    def axis_names(self) -> tuple[str, ...]:
        """Names `axis` accepts, in order."""
        named = tuple(axis.name for axis in self.axes)
        time = ("time",) if self.frame_interval_s is not None and "time" not in named else ()
        return ("frame", *time, *named)

    @property
    def main_axis(self) -> Axis:
        """What results are drawn against: the first named axis, else time, else frame."""
        return self.axes[0] if self.axes else self.axis("time" if self.frame_interval_s is not None else "frame")

    def updated(self, source: str, **values: Any) -> Calibration:
        """A copy with those fields replaced that are not None, their provenance set to `source`."""
        given = {key: value for key, value in values.items() if value is not None and value != ()}
        return replace(self, **given, provenance={**self.provenance, **dict.fromkeys(given, source)})

    def time_s(self, frame: ArrayLike) -> Array:
        """Experiment time in s of each frame number (any shape); nan where the interval is unknown."""
        step = math.nan if self.frame_interval_s is None else self.frame_interval_s
        return np.asarray(np.asarray(frame, dtype=float) * step)

    def area_nm2(self, area_px: ArrayLike) -> Array:
        """Areas in nm2 from areas in px (any shape); nan without a scale."""
        return np.asarray(np.asarray(area_px, dtype=float) * self.mean_pixel_nm**2)

    def ellipse_nm(self, major_px: ArrayLike, minor_px: ArrayLike, angle_deg: ArrayLike) -> tuple[Array, Array]:
        """Full major and minor axes in nm of ellipses given in px (any equal shapes).

        With unequal pixels the second-moment tensor is transformed and diagonalised again; the px axes are not scaled.
        """
        major, minor = np.asarray(major_px, dtype=float), np.asarray(minor_px, dtype=float)
        if self.pixel_size_nm is None:
            return np.full_like(major, math.nan), np.full_like(minor, math.nan)
        size_y, size_x = self.pixel_size_nm
        if size_y == size_x:
            return major * size_x, minor * size_x
        angle = np.deg2rad(np.asarray(angle_deg, dtype=float))
        cos, sin = np.cos(angle), np.sin(angle)
        xx = (major**2 * cos**2 + minor**2 * sin**2) * size_x**2
        yy = (major**2 * sin**2 + minor**2 * cos**2) * size_y**2
        xy = (major**2 - minor**2) * sin * cos * size_x * size_y
        half = np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
        mean = (xx + yy) / 2
        return np.sqrt(mean + half), np.sqrt(np.maximum(mean - half, 0))

    def with_nm(self, table: pd.DataFrame) -> pd.DataFrame:
        """A copy of `table` with the `_nm` or `_nm2` twin of each length and area column; nan without a scale.

        Columns that start with `x_`, `width_` or `ellipse_x_` use the x pixel, `y_`, `height_` or `ellipse_y_` the y
        pixel, `major_px` and `minor_px` go through `ellipse_nm`, `area_px` and `convex_area_px` through `area_nm2`. A
        perimeter or caliper diameter cannot be scaled with unequal pixels: what was measured in nm (`measure.shape`) is
        kept, else the twin is nan.
        """
        size_y, size_x = self.pixel_size_nm or (math.nan, math.nan)
        new: dict[str, Any] = {}
        for column in (str(c) for c in table.columns if str(c).endswith("_px")):
            stem = column.removesuffix("_px")
            if stem in ("x", "x_reg", "width", "ellipse_x"):
                new[f"{stem}_nm"] = table[column].to_numpy(float) * size_x
            elif stem in ("y", "y_reg", "height", "ellipse_y"):
                new[f"{stem}_nm"] = table[column].to_numpy(float) * size_y
            elif stem in ("area", "convex_area"):
                new[f"{stem}_nm2"] = self.area_nm2(table[column].to_numpy(float))
            elif stem == "equivalent_diameter":
                new[f"{stem}_nm"] = table[column].to_numpy(float) * self.mean_pixel_nm
            elif stem in ("perimeter", "feret_max", "feret_min"):
                if size_x == size_y or not self.has_scale or f"{stem}_nm" not in table.columns:
                    new[f"{stem}_nm"] = table[column].to_numpy(float) * (size_x if size_x == size_y else math.nan)
        if {"major_px", "minor_px", "angle_deg"} <= set(table.columns):
            axes = (table[c].to_numpy(float) for c in ("major_px", "minor_px", "angle_deg"))
            new["major_nm"], new["minor_nm"] = self.ellipse_nm(*axes)
        return table.assign(**new)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `run.json`."""
        return {
            "pixel_size_nm": list(self.pixel_size_nm) if self.pixel_size_nm else None,
            "frame_interval_s": self.frame_interval_s,
            "axes": [{"name": a.name, "unit": a.unit, "start": a.start, "step": a.step} for a in self.axes],
            "provenance": dict(self.provenance),
        }
