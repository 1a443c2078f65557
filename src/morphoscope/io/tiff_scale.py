"""Scale and timing that ImageJ headers state, and the units headers use; what is not believed is said."""

from __future__ import annotations

import math
import re
from typing import Any

import tifffile

from morphoscope.calibration import Calibration

NM = {
    **{"pm": 1e-3, "å": 0.1, "Å": 0.1, "a": 0.1, "angstrom": 0.1, "angstroms": 0.1},
    **{"nm": 1.0, "nanometer": 1.0, "nanometers": 1.0, "nanometre": 1.0, "nanometres": 1.0},
    **{"um": 1e3, "micron": 1e3, "microns": 1e3, "micrometer": 1e3, "micrometers": 1e3, "micrometre": 1e3, "micrometres": 1e3},
    **{"mm": 1e6, "cm": 1e7, "m": 1e9},
}
SECONDS = {
    **{
        "ns": 1e-9,
        "us": 1e-6,
        "ms": 1e-3,
        "msec": 1e-3,
        "min": 60.0,
        "minute": 60.0,
        "minutes": 60.0,
        "h": 3600.0,
        "hour": 3600.0,
    },
    **{"s": 1.0, "sec": 1.0, "secs": 1.0, "second": 1.0, "seconds": 1.0, "hours": 3600.0, "d": 86400.0, "day": 86400.0},
}
FINEST_DPI = 20000
OF_RESOLUTION = "the resolution in the header"
PRINT_NOTE = f"{OF_RESOLUTION} is one for printing (dots per inch or cm), not a scale"
PRINT_UNITS = ("inch", "inches", "in", "cm")
SMALLEST_NM, LARGEST_NM = 1e-4, 1e7
Stated = tuple[float, str] | None


def read_calibration(tiff: tifffile.TiffFile) -> tuple[Calibration, list[str]]:
    """What the header of an open TIFF states, and notes on what it states but is not believed."""
    if tiff.is_imagej and tiff.imagej_metadata is not None:
        return _from_imagej(tiff.imagej_metadata, tiff.pages.first)
    dots = _dots(tiff.pages.first, "XResolution")
    if dots is not None and dots > 1:
        return Calibration(), [_of_resolution(dots, tiff.pages.first)]
    return Calibration(), []


def _of_resolution(dots: float, page: Any) -> str:
    """What is said of a resolution: printers have none finer than `FINEST_DPI`, but it is not stated to be a scale either."""
    unit = {2: 25.4e6, 3: 1e7}.get(int(page.tags.valueof("ResolutionUnit") or 2))
    if unit is None or dots * 25.4e6 / unit <= FINEST_DPI:
        return PRINT_NOTE
    name = "inch" if unit > 1e7 else "cm"
    return (
        f"{OF_RESOLUTION} is {dots:g} dots per {name}, finer than printers are: it may be {unit / dots:.6g} nm per px, "
        "but is not taken for a scale; if it is right, state it as calibration.pixel_size_nm"
    )


def plain_unit(text: str) -> str:
    """A unit in plain small letters: `um` for all ways to write the micrometre (µm, μm, and ImageJ's escape \\u00B5m)."""
    text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found.group(1), 16)), text).strip().strip('"')
    return text.replace("µ", "u").replace("μ", "u").lower()


def _from_imagej(metadata: dict[str, Any], page: Any) -> tuple[Calibration, list[str]]:
    unit_x = plain_unit(str(metadata.get("unit", "")))
    unit_y = plain_unit(str(metadata.get("yunit", ""))) or unit_x
    notes: list[str] = []
    size = None
    if unit_x in PRINT_UNITS:
        notes.append(f"the ImageJ scale is in {unit_x}, which comes from a resolution for printing; it is not taken for a scale")
    elif unit_x not in ("", "pixel", "pixels", "px"):
        per_px = [_inverse(_dots(page, tag)) for tag in ("YResolution", "XResolution")]
        size = stated_size((per_px[0], unit_y), (per_px[1], unit_x), "ImageJ", notes)
    interval = None
    if "finterval" in metadata:
        interval = stated_interval(
            (to_float(metadata["finterval"]), plain_unit(str(metadata.get("tunit", "s"))) or "s"), "ImageJ", notes
        )
    return Calibration().updated("header (ImageJ)", pixel_size_nm=size, frame_interval_s=interval), notes


def stated_size(y: Stated, x: Stated, who: str, notes: list[str]) -> tuple[float, float] | None:
    """(y, x) in nm per px of two stated (value, unit); None, and a note, where it cannot be."""
    if y is None or x is None:
        notes.append(f"the {who} header states a pixel size for one direction only; it is not used")
        return None
    for value, unit in (y, x):
        if unit not in NM:
            notes.append(f"the {who} header states the pixel size in {unit!r}, which is no known unit of length; it is not used")
            return None
        if not (math.isfinite(value) and SMALLEST_NM < value * NM[unit] < LARGEST_NM):
            notes.append(f"the {who} header states a pixel size of {value:g} {unit}, which cannot be; it is not used")
            return None
    return y[0] * NM[y[1]], x[0] * NM[x[1]]


def stated_interval(stated: tuple[float, str], who: str, notes: list[str]) -> float | None:
    """Seconds of a stated (value, unit); None where it cannot be, with a note unless it is 0."""
    value, unit = stated
    if unit not in SECONDS or not (math.isfinite(value) and value > 0):
        if value != 0:
            notes.append(f"the {who} header states a frame interval of {value:g} {unit}, which cannot be; it is not used")
        return None
    return value * SECONDS[unit]


def to_float(value: object) -> float:
    """A number from a header; nan where it is none."""
    try:
        return float(str(value))
    except ValueError:
        return math.nan


def _inverse(value: float | None) -> float:
    return 1 / value if value else math.nan if value is None else math.inf


def _dots(page: Any, tag: str) -> float | None:
    """Pixels per unit of a resolution tag."""
    value = page.tags.valueof(tag)
    try:
        over, under = value
        return float(over) / float(under)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
