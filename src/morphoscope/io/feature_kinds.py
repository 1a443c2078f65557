"""Whose table of features it is: trackpy's, TrackMate's or one of objects; and what it states of scale and time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError, UsageError
from morphoscope.io.tiff_scale import LARGEST_NM, SECONDS, SMALLEST_NM, plain_unit
from morphoscope.io.units import length_nm

HEADER_LINES = 3  # that TrackMate writes below the names: names again, short names, units
PIXELS = ("px", "pixel", "pixels")
EXACT = 1e-5  # relative scatter of a ratio of two columns that is one number
Array = NDArray[np.float64]


class Kind(NamedTuple):
    """Names of the columns of one origin."""

    name: str
    x: str
    y: str
    frame: str
    z: str


KINDS = (
    Kind("objects", "x_px", "y_px", "frame", "z_px"),
    Kind("trackpy", "x", "y", "frame", "z"),
    Kind("TrackMate", "POSITION_X", "POSITION_Y", "FRAME", "POSITION_Z"),
)
TRACKS = ("track_id", "particle", "TRACK_ID")


def kind_of_table(columns: list[str], source: str) -> Kind:
    """The origin a table's columns tell.

    Raises:
        InputError: none that is known here, or several at once.
    """
    wanted = "; or ".join(f"{k.x},{k.y},{k.frame} ({k.name})" for k in KINDS)
    came = ", ".join(columns[:20]) + (f" and {len(columns) - 20} more" if len(columns) > 20 else "")
    if len(set(columns)) < len(columns):
        twice = next(name for name in columns if columns.count(name) > 1)
        raise InputError(f"{source} has two columns {twice}; give each a name of its own")
    found = [kind for kind in KINDS if {kind.x, kind.y} <= set(columns)]
    if len(found) > 1:
        said = " and ".join(f"{kind.x},{kind.y}" for kind in found)
        raise InputError(f"{source} holds positions twice, as {said}; leave out those that are not to be used")
    if found and found[0].name == "trackpy" and "frame" not in columns and {"t", "track_id"} <= set(columns):
        found = [Kind("napari", "x", "y", "t", "z")]
    if {"file", "label", "x0"} <= set(columns) and not found:
        raise InputError(f"{source} holds labels of pictures: analyse these and give it with --objects (detect.objects)")
    if not found or found[0].frame not in columns:
        raise InputError(f"{source}: wanted a table of features with the columns {wanted}; got {came or 'none'}")
    tracks = [name for name in TRACKS if name in columns]
    if len(tracks) > 1:
        raise InputError(
            f"{source} holds track numbers twice, as {' and '.join(tracks)}; leave out those that are not to be used"
        )
    return found[0]


def without_header_lines(table: pd.DataFrame, kind: Kind) -> tuple[pd.DataFrame, dict[str, str], int]:
    """The table without the lines of names and units that TrackMate writes below the first, the units, and their number."""
    if kind.name != "TrackMate" or table.empty:
        return table, {}, 0
    head = table[[kind.x, kind.frame]].head(HEADER_LINES)
    texts = head[kind.x].notna() & head.apply(pd.to_numeric, errors="coerce").isna().all(axis=1)
    lines = int(texts.cummin().sum())
    if not lines:
        return table, {}, 0
    units = {str(name): str(unit).strip() for name, unit in table.iloc[lines - 1].items()}
    units = {name: unit[1:-1] for name, unit in units.items() if unit.startswith("(") and unit.endswith(")")}
    rest = table.iloc[lines:].reset_index(drop=True)
    return rest.apply(_numbers), units, lines


def _numbers(column: pd.Series) -> pd.Series:
    """The column as numbers, where each value is one or missing."""
    numbers = pd.to_numeric(column, errors="coerce")
    return numbers if not (numbers.isna() & column.notna()).any() else column


def px_per_unit(
    kind: Kind, units: dict[str, str], lines: int, pixel_size_nm: tuple[float, float] | None, source: str
) -> tuple[float, float]:
    """Px (y, x) per unit of the positions: 1 except for TrackMate's, which may be in a physical unit.

    Raises:
        InputError: a TrackMate table that does not say its unit.
        UsageError: a physical unit, and no pixel size is known.
    """
    if kind.name != "TrackMate":
        return 1.0, 1.0
    unit = units.get(kind.x)
    if not lines or unit is None:
        raise InputError(
            f"{source} does not say the unit of POSITION_X: wanted TrackMate's three lines below the column names, the last with "
            "units such as (pixel) or (micron). Export it again, or name the columns x,y,frame if the positions are in px"
        )
    if plain_unit(unit) in PIXELS:
        return 1.0, 1.0
    nm = length_nm(1, unit)
    if nm is None:
        raise InputError(f"{source} gives positions in {unit!r}, which is neither a length nor px; wanted px, nm, um, mm ...")
    if pixel_size_nm is None:
        raise UsageError(
            f"{source} gives positions in {unit}, and results are kept in px and nm: state the pixel size of its images, "
            "calibration.pixel_size_nm in the recipe or --scale (nm per px)"
        )
    return nm / pixel_size_nm[0], nm / pixel_size_nm[1]


def stated_calibration(table: pd.DataFrame, kind: Kind, units: dict[str, str]) -> tuple[Calibration, tuple[str, ...]]:
    """Pixel size and frame interval, where columns in nm and s stand beside those in px and frames and agree; and what to say.

    An interval of exactly 1 s in a TrackMate table is what TrackMate puts where it knows none: it is not used.
    """
    found = Calibration()
    if kind.name == "objects" and {"x_nm", "y_nm"} <= set(table.columns):
        size = tuple(_ratio(table[f"{axis}_nm"], table[f"{axis}_px"]) for axis in "yx")
        if all(one is not None and SMALLEST_NM < one < LARGEST_NM for one in size):
            found = found.updated("table", pixel_size_nm=size)
    time, second = "time_s", 1.0 if kind.name == "objects" else 0.0
    if kind.name == "TrackMate":
        time, second = "POSITION_T", SECONDS.get(plain_unit(units.get("POSITION_T", "")), 0.0)
    step = _ratio(table[time], table[kind.frame]) if second and time in table.columns else None
    if step is None or step <= 0:
        return found, ()
    if kind.name == "TrackMate" and abs(step * second - 1) < EXACT:
        said = "The table has 1 s between frames, which TrackMate also puts where it knows none: state --interval 1 if it is."
        return found, (said,)
    return found.updated("table", frame_interval_s=step * second), ()


def _ratio(above: pd.Series, below: pd.Series) -> float | None:
    """The one factor between two columns; None where it is not one."""
    a, b = (np.asarray(pd.to_numeric(column, errors="coerce"), dtype=float) for column in (above, below))
    known = np.isfinite(a) & np.isfinite(b)
    a, b = a[known], b[known]
    if not b.any():
        return None
    factor = float(a @ b / (b @ b))
    return factor if np.abs(a - factor * b).max() <= EXACT * np.abs(a).max() else None
