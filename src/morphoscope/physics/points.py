"""The points of each frame inside a rectangular field, in one true geometry: what every measure of structure starts from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError, UsageError

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Field = tuple[float, float, float, float]


class Points(NamedTuple):
    """The n points of a frame.

    `frame`; `row` (n,) their rows in the table, from 0; `xy` (n, 2) from the corner of the field; `size` the field's width and
    height. Lengths are px; with unequal pixels they are true lengths divided by the mean pixel, so areas in px stay what
    they are.
    """

    frame: int
    row: Ints
    xy: Array
    size: Array

    @property
    def area(self) -> float:
        """Area of the field (px)."""
        return float(self.size.prod())

    @property
    def to_edge(self) -> Array:
        """(n,) distance of each point to the nearest side of the field (px)."""
        return np.asarray(np.minimum(self.xy, self.size - self.xy).min(axis=1))


def points(objects: pd.DataFrame, calibration: Calibration, *, field: Field) -> Iterator[Points]:
    """The points of each frame in order; frames without an object in the field do not come.

    Args:
        objects: `x_px`, `y_px` and, for more than one frame, `frame`; rows with a position that is not a number or that lies
            outside of the field are left out.
        calibration: its two pixel sizes set the geometry.
        field: x0, y0, x1, y1 of all that was searched, in px of the stored frame. A whole frame of w x h px is
            (-0.5, -0.5, w - 0.5, h - 0.5), as pixel centres are at integers.

    Raises:
        InputError: a column is missing.
        UsageError: the field has no area.
    """
    missing = {"x_px", "y_px"} - set(map(str, objects.columns))
    if missing:
        raise InputError(f"structure wants the columns x_px and y_px; {', '.join(sorted(missing))} missing")
    corner, far = np.array(field[:2], dtype=float), np.array(field[2:], dtype=float)
    if not (np.isfinite(far - corner).all() and (far > corner).all()):
        raise UsageError(f"wanted a field x0, y0, x1, y1 with x0 < x1 and y0 < y1, got {field}")
    scale = aspect(calibration)
    xy = objects[["x_px", "y_px"]].to_numpy(float)
    inside = np.flatnonzero(((xy >= corner) & (xy <= far)).all(axis=1))
    frame = objects["frame"].to_numpy(np.int64)[inside] if "frame" in objects.columns else np.zeros(len(inside), np.int64)
    order = np.argsort(frame, kind="stable")
    number, begin = np.unique(frame[order], return_index=True)
    for which, rows in zip(number, np.split(inside[order], begin[1:]), strict=False):
        yield Points(int(which), rows, (xy[rows] - corner) * scale, (far - corner) * scale)


def aspect(calibration: Calibration) -> Array:
    """Width and height of a pixel divided by the mean pixel (2,); 1 without a scale."""
    if calibration.pixel_size_nm is None:
        return np.ones(2)
    return np.array(calibration.pixel_size_nm[::-1]) / calibration.mean_pixel_nm


def one_length(calibration: Calibration, px: float | None, nm: float | None, name: str) -> float:
    """A length given as `name`_px or `name`_nm, in px.

    Raises:
        UsageError: neither or both are given, it is not positive, or nm are given without a scale.
    """
    if (px is None) == (nm is None):
        raise UsageError(f"wanted one of {name}_px and {name}_nm, got {px} and {nm}")
    if nm is not None and not calibration.has_scale:
        raise UsageError(f"{name}_nm = {nm} needs a scale, and there is none; give {name}_px")
    value = float(px) if px is not None else float(nm or 0) / calibration.mean_pixel_nm
    if not (value > 0 and math.isfinite(value)):
        raise UsageError(f"{name} must be a positive length, got {value}")
    return value
