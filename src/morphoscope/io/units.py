"""Values with units as headers state them, turned to nm and s; what cannot be is not used, and that is said."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from morphoscope.io.tiff_scale import NM, SECONDS, plain_unit

SMALLEST_NM, LARGEST_NM = 1e-4, 1e7
LENGTHS = {**NM, "meter": 1e9, "meters": 1e9, "metre": 1e9, "metres": 1e9, "fm": 1e-6, "~m": 1e3}
NOTHING = ("", "px", "pixel", "pixels", "none", "<undefined>", "undefined", "unitless")


def length_nm(value: object, unit: str) -> float | None:
    """A length in nm; None where the unit is none of length or the value no finite number."""
    factor = LENGTHS.get(plain_unit(unit))
    number = to_number(value)
    return None if factor is None or not math.isfinite(number) else number * factor


def time_s(value: object, unit: str) -> float | None:
    """A time in s; None where the unit is none of time or the value no finite number."""
    factor = SECONDS.get(plain_unit(unit))
    number = to_number(value)
    return None if factor is None or not math.isfinite(number) else number * factor


def to_number(value: object) -> float:
    """A number from what a header holds; nan where it is none."""
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    try:
        return float(str(value).strip().strip("\0"))
    except ValueError:
        return math.nan


def pixel_size(y: tuple[object, str], x: tuple[object, str], who: str, notes: list[str]) -> tuple[float, float] | None:
    """(y, x) in nm per px from (value, unit) of each direction; None, and a note, where one of them cannot be.

    A header that states no unit, or pixels, states no scale, and nothing is noted.
    """
    sizes = []
    for value, unit in (y, x):
        if plain_unit(unit) in NOTHING:
            return None
        if (size := length_nm(value, unit)) is None:
            notes.append(f"the {who} header states the pixel size as {value} {unit}, which is no length; it is not used")
            return None
        if not SMALLEST_NM < size < LARGEST_NM:
            notes.append(f"the {who} header states a pixel size of {to_number(value):g} {unit}, which cannot be; it is not used")
            return None
        sizes.append(size)
    return sizes[0], sizes[1]


def frame_interval(value: object, unit: str, who: str, notes: list[str]) -> float | None:
    """Seconds between frames; None where the unit is none of time or nothing is stated (0), with a note where it cannot be."""
    seconds = time_s(value, unit)
    if seconds is None or seconds == 0:
        return None
    if seconds < 0:
        notes.append(f"the {who} header states a frame interval of {to_number(value):g} {unit}, which cannot be; it is not used")
        return None
    return seconds


def even_interval(times_s: ArrayLike, notes: list[str]) -> float | None:
    """The median step of frame times (n,) in s where all lie within 1 % of it; otherwise None, with a note of the range."""
    steps = np.diff(np.asarray(times_s, dtype=float))
    if not len(steps) or not np.isfinite(steps).all() or not steps.any():
        return None
    step = float(np.median(steps))
    if step > 0 and np.abs(steps - step).max() <= 0.01 * step:
        return step
    notes.append(f"the steps between frames run from {steps.min():g} to {steps.max():g} s; no frame interval is used")
    return None


def evenly_spaced(values: ArrayLike) -> float | None:
    """The step of coordinates (n,) that run evenly (to 0.1 %), else None."""
    steps = np.diff(np.asarray(values, dtype=float))
    if not len(steps) or not np.isfinite(steps).all():
        return None
    step = float(steps.mean())
    return step if step and float(np.abs(steps - step).max()) <= 1e-3 * abs(step) else None
