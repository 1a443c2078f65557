"""Tables of features read to objects: positions in frames, as trackpy, TrackMate or a run leave them.

trackpy's `x`, `y` are px with pixel centres at whole numbers, as here. Its `size` is a radius of gyration of brightness and its
`mass` a sum of brightness: neither is the major axis of an object, so sizes stay null and these columns are kept by their names.
TrackMate's positions are in the unit its table states, pixel centres at whole numbers times the pixel size.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError
from morphoscope.io.branches import cut_at_branches
from morphoscope.io.feature_kinds import (
    TRACKS,
    Kind,
    kind_of_table,
    px_per_unit,
    stated_calibration,
    without_header_lines,
)
from morphoscope.schema import NM_TWINS, OBJECTS, conform

READERS: dict[str, Callable[..., pd.DataFrame]] = {
    ".csv": pd.read_csv,
    ".csv.gz": pd.read_csv,
    ".tsv": pd.read_csv,
    ".tsv.gz": pd.read_csv,
    ".parquet": pd.read_parquet,
}
FARTHEST_PX = 1e7
MOST_FRAMES = 10_000_000
COMPUTED = ("x_reg_px", "y_reg_px", "time_s", *NM_TWINS)  # found anew from positions and calibration
LISTED = 5
NO_TRACK = ("", "None", "nan", "NaN")  # None is TrackMate's
MOST_TRACK = 2**53


@dataclass(frozen=True)
class Features:
    """A table of features as objects.

    `objects` has the columns of `schema.OBJECTS` except those that a run computes (registered positions, time, nm), sizes null
    where unknown, and the table's own further columns after them; rows by frame. `kind` is the origin (`trackpy`, `TrackMate`,
    `objects`), `calibration` what the table states, `left_out` names rows that cannot be used. Where tracks had several objects
    in one frame they are cut, `warnings` say so, and `given_track_id` has the numbers as they were. Rows that repeat a frame,
    place and track are dropped, with a warning.
    """

    objects: pd.DataFrame
    kind: str
    calibration: Calibration
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def is_feature_table(path: str | Path) -> bool:
    """Whether a path is that of a table by its suffix, and not of pictures."""
    return _suffix(Path(path)) in READERS and not Path(path).is_dir()


def read_features(source: str | Path | pd.DataFrame, *, pixel_size_nm: tuple[float, float] | None = None) -> Features:
    """Objects of a table of features: CSV, TSV (both also .gz) or Parquet, or a DataFrame as trackpy gives it.

    Args:
        source: with the columns `x,y,frame` (trackpy: px), `x_px,y_px,frame` (objects) or `POSITION_X,POSITION_Y,FRAME` (spots of
            TrackMate with its lines of units). Track numbers in `particle`, `track_id` or `TRACK_ID` are kept.
        pixel_size_nm: (y, x) of the images; needed where positions are in a physical unit.

    Raises:
        InputError: it cannot be read, columns are missing or there twice, track numbers are none, or no row can be used.
        UsageError: positions in a physical unit, and no pixel size.
    """
    if isinstance(source, pd.DataFrame):
        return _features(source, "the table", pixel_size_nm)
    return _features(_read(Path(source)), str(source), pixel_size_nm)


def _suffix(path: Path) -> str:
    name = path.name.lower()
    return next((suffix for suffix in READERS if name.endswith(suffix)), "")


def _read(path: Path) -> pd.DataFrame:
    suffix = _suffix(path)
    if not suffix:
        raise InputError(f"{path}: wanted a table of features in {', '.join(READERS)}")
    if not path.is_file():
        raise InputError(f"there is no table {path}; check the path")
    options = {} if suffix == ".parquet" else {"sep": "\t" if ".tsv" in suffix else ",", "low_memory": False}
    try:
        try:
            return READERS[suffix](path, **options)
        except UnicodeDecodeError:  # a micrometre in the letters of Windows
            return READERS[suffix](path, **options, encoding="latin-1")
    except (OSError, EOFError, zlib.error, ValueError, OverflowError, MemoryError, pa.ArrowException) as error:
        raise InputError(f"cannot read the table {path}, it may be damaged: {error}") from error


def _features(table: pd.DataFrame, source: str, pixel_size_nm: tuple[float, float] | None) -> Features:
    table = table.set_axis([str(name).strip().removeprefix("\ufeff") for name in table.columns], axis=1).reset_index(drop=True)
    kind = kind_of_table(list(table.columns), source)
    table, units, lines = without_header_lines(table, kind)
    places, usable = _places(table, kind, source)
    left_out = _left_out(usable, source)
    if not usable.any():
        raise InputError(f"{source} holds no row with a position and a frame number; it has {len(usable)} rows")
    stated, said = stated_calibration(table, kind, units)
    per_y, per_x = px_per_unit(kind, units, lines, pixel_size_nm or stated.pixel_size_nm, source)
    track = next((name for name in TRACKS if name in table.columns), None)
    renamed = {kind.frame: "frame", kind.x: "x_px", kind.y: "y_px"} | ({track: "track_id"} if track else {})
    found = table.drop(columns=[c for c in COMPUTED if c in table.columns and kind.name == "objects"])
    found = found.rename(columns=renamed).assign(
        frame=_frames(places["frame"], usable, source), x_px=places["x"] * per_x, y_px=places["y"] * per_y
    )
    found = _completed(found[usable], source).sort_values("frame", kind="stable").reset_index(drop=True)
    found, twice = _once(found, source)
    found, cut = _cut(found, track, source)
    return Features(found, kind.name, stated, left_out, said + _notes(table, kind), twice + cut)


def _places(table: pd.DataFrame, kind: Kind, source: str) -> tuple[pd.DataFrame, pd.Series]:
    """Positions and frames as numbers, and which rows have all three."""
    named = {"x": kind.x, "y": kind.y, "frame": kind.frame}
    for column in named.values():
        if table[column].dtype.kind in "bcmM":
            raise InputError(f"{source}: wanted numbers in the column {column}, it holds values of type {table[column].dtype}")
    places = pd.DataFrame({key: pd.to_numeric(table[column], errors="coerce") for key, column in named.items()}).astype(float)
    usable = np.isfinite(places).all(axis=1) & (places[["x", "y"]].abs() < FARTHEST_PX).all(axis=1)
    return places, usable


def _left_out(usable: pd.Series, source: str) -> tuple[str, ...]:
    rows = np.flatnonzero(~usable) + 1
    if not len(rows):
        return ()
    listed = ", ".join(map(str, rows[:LISTED])) + (" and so on" if len(rows) > LISTED else "")
    many = "1 row" if len(rows) == 1 else f"{len(rows)} rows"
    return (f"{many} of {len(usable)} in {source} without a finite position and frame number (row {listed}).",)


def _frames(frame: pd.Series, usable: pd.Series, source: str) -> pd.Series:
    """Frame numbers as they are.

    Raises:
        InputError: some are no whole numbers from 0, or so large that they cannot be frame numbers.
    """
    wrong = usable & ((frame < 0) | (frame != np.floor(frame)) | (frame >= MOST_FRAMES))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"{source}: frame numbers are whole and count from 0, to {MOST_FRAMES} at most; row {row + 1} has {frame[row]:g}"
        )
    return frame.where(usable, 0).astype(np.int64)


def _completed(found: pd.DataFrame, source: str) -> pd.DataFrame:
    """All declared columns but the computed ones; what is unknown is null, or false for flags."""
    declared = {name: column for name, column in OBJECTS.items() if name not in COMPUTED and name != "object_id"}
    if "object_id" in found.columns and "given_id" not in found.columns:
        found = found.rename(columns={"object_id": "given_id"})
    new: dict[str, object] = {}
    for name, column in declared.items():
        if column.dtype == "float64":
            new[name] = pd.to_numeric(found[name], errors="coerce") if name in found.columns else np.nan
        elif column.dtype == "bool":
            known = found[name].isin([True, "True", "true", 1]) if name in found.columns else None
            new[name] = (_sized(found) if name == "fitted" else False) if known is None else known
    new["track_id"] = _track_numbers(found, source)
    new["label"] = found["label"].fillna("object").astype(str) if "label" in found.columns else "object"
    new["file"] = found["file"].fillna("").astype(str) if "file" in found.columns else ""
    return conform(found.assign(**new), declared)


def _sized(found: pd.DataFrame) -> pd.Series | bool:
    return pd.to_numeric(found["major_px"], errors="coerce").notna() if "major_px" in found.columns else False


def _track_numbers(found: pd.DataFrame, source: str) -> pd.Series:
    """Whole numbers, null for none (TrackMate writes None)."""
    if "track_id" not in found.columns:
        return pd.Series(pd.NA, found.index, dtype="Int64")
    numbers = pd.to_numeric(found["track_id"], errors="coerce").astype(float)
    named = found["track_id"].notna() & ~found["track_id"].astype(str).str.strip().isin(NO_TRACK)
    wrong = named & ~(numbers.abs() < MOST_TRACK) | (numbers != np.floor(numbers)) & numbers.notna()
    if wrong.any():
        raise InputError(f"{source}: track numbers are whole, got {found['track_id'][wrong].iloc[0]}")
    return numbers.astype("Int64")


def _once(found: pd.DataFrame, source: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The objects without those that are there already: in the same frame and track at exactly the same place."""
    again = found.duplicated(["frame", "x_px", "y_px", "track_id"])
    n = int(again.sum())
    if not n:
        return found, ()
    first = found.loc[again.idxmax(), ["frame", "x_px", "y_px"]]
    where = f"frame {first['frame']:.0f}, x {first['x_px']:.4g}, y {first['y_px']:.4g} px"
    many = "1 row was" if n == 1 else f"{n} rows were"
    said = (
        f"{many} dropped: another one of {source} has an object in the same frame at exactly the same place (the first: {where})."
    )
    return found[~again].reset_index(drop=True), (said,)


def _cut(found: pd.DataFrame, column: str | None, source: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The objects with tracks of one object a frame, and a warning where they were not so."""
    track, branching = cut_at_branches(found, source)
    if not len(branching):
        return found, ()
    listed = ", ".join(map(str, branching[:LISTED])) + (" and so on" if len(branching) > LISTED else "")
    pieces = track[found["track_id"].isin(branching)].nunique()
    said = (
        f"{len(branching)} tracks of the table had several objects in one frame, as where tracks split or merge ({listed}). "
        f"They were cut there into {pieces} tracks; given_track_id has the numbers as they were. Drop the column {column} to "
        "have all objects linked instead."
    )
    return found.assign(given_track_id=found["track_id"], track_id=track), (said,)


def _notes(table: pd.DataFrame, kind: Kind) -> tuple[str, ...]:
    if kind.z in table.columns and pd.to_numeric(table[kind.z], errors="coerce").nunique() > 1:
        return (f"The column {kind.z} is not used: objects are followed in x and y.",)
    return ()
