"""The table of objects that a run leaves, as Parquet or CSV: upright boxes, and ellipses where a table was made from labels.

The columns are those of `schema.OBJECTS`: `x_px`, `y_px` have pixel centres at integers, so a label's x is x_px + 0.5. A
row without `width_px` and `height_px`, or with 0 in both, is a point, unless it has a size: where `major_px` is filled, as of
a table of positions with diameters, it is a disc of that diameter, or the ellipse where that is known. A run says in `fitted`
whether it found an ellipse in the box that was detected: the box is the label. A table without that column was made from
labels: where `major_px` is filled, the label is that ellipse.

A run numbers the pictures of a folder through; a label's frame counts inside one file, so it is 0 there. `run.json` and
`frames.parquet` beside the table, where they are, name the folder of the images, their size and the time between frames, and
the images without objects.

Written tables have these columns beyond the declared ones, as far as they are needed: `given_id`, the object ids, where these are
no distinct whole numbers, `pixel_size_x_nm`, `pixel_size_y_nm` and `frame_interval_s`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError, MorphoscopeError, UsageError
from morphoscope.io.label_formats.csv import columns_of
from morphoscope.io.label_formats.losses import losses
from morphoscope.io.label_formats.reading import Records, interval_of, number, score_of, text, whole
from morphoscope.io.label_formats.run_images import images_of_run, note_short_tracks, single_pictures
from morphoscope.io.label_formats.writing import BOXED
from morphoscope.io.label_set import ImageFacts, Label, LabelSet
from morphoscope.io.shapes import Box, Ellipse, Point, Shape
from morphoscope.io.tables import write_csv, write_table
from morphoscope.io.tiff_scale import LARGEST_NM, SMALLEST_NM
from morphoscope.schema import OBJECTS, conform

FOLDER = False
REQUIRED = ["file", "label", "x_px", "y_px"]
POSITION = ["x_px", "y_px"]
SIZE = ["width_px", "height_px"]
ELLIPSE = ["ellipse_x_px", "ellipse_y_px", "major_px", "minor_px", "angle_deg"]
SCALE = ["pixel_size_y_nm", "pixel_size_x_nm"]
SIZE_NM = ["height_nm", "width_nm"]
INTERVAL = "frame_interval_s"
OPTIONAL = ["frame", "object_id", "given_id", "score", "track_id", "fitted", *SIZE, *SIZE_NM, *ELLIPSE, *SCALE, INTERVAL]
TEXTS = ["file", "label", "given_id"]
MOST_ROWS = 50_000_000
DAMAGE = (OSError, ValueError, TypeError, KeyError, OverflowError, MemoryError, pa.ArrowException)
Row = dict[str, Any]


def recognises(path: Path) -> bool:
    """A Parquet file or a CSV file with a column x_px, or a run folder."""
    if path.is_dir():
        return (path / "objects.parquet").is_file()
    return path.suffix.lower() == ".parquet" or (path.suffix.lower() == ".csv" and "x_px" in columns_of(path))


def read(path: Path) -> LabelSet:
    """Objects of a table or run folder; rows to blame are named.

    Raises:
        InputError: there is no table, it lacks a column, or no row can be read.
    """
    path = path / "objects.parquet" if path.is_dir() else path
    table = _table(path)
    missing = [name for name in REQUIRED if name not in table.columns]
    if missing:
        raise InputError(f"{path} lacks the columns {', '.join(missing)}; it has {', '.join(map(str, table.columns))}")
    records = Records(path)
    root, of_image = images_of_run(path, records)
    of_run = "fitted" in table.columns
    single = single_pictures(table) if of_run else set()
    note_short_tracks(path, table, records)
    id_column = "given_id" if "given_id" in table.columns and not of_run else "object_id"
    for k, row in enumerate(table.to_dict("records"), 1):
        with records.record(f"row {k}"):
            given = {str(key): value for key, value in row.items() if not _missing(value)}
            label = _label(given, id_column=id_column, ellipses=not of_run, single=single)
            known = records.images.setdefault(label.file, of_image)
            records.labels.append(label)
            records.images[label.file] = _facts(given, known)
    return records.found(root=root)


def write(labels: LabelSet, path: Path) -> list[str]:
    """Write the table; returns what it cannot hold.

    Raises:
        UsageError: the file ends in neither .parquet nor .csv.
    """
    if path.suffix.lower() not in (".parquet", ".csv"):
        raise UsageError(f"a table of objects ends in .parquet or .csv, got {path}")
    own = _whole_ids(labels.labels)
    rows = [_row(label, own[k] if own else k) for k, label in enumerate(labels.labels)]
    columns = ["frame", "file", "object_id", "label", "score", "x_px", "y_px", *SIZE, *ELLIPSE, "area_px", "track_id"]
    table = pd.DataFrame(rows, columns=columns)
    if own is None:
        table["given_id"] = pd.Series([label.object_id for label in labels.labels], dtype="str")
    table = conform(_with_scale(table, labels.images), OBJECTS)
    (write_csv if path.suffix.lower() == ".csv" else write_table)(path, table)
    changes = dict.fromkeys(("turned box", "polygon", "polygon with holes", "mask"), BOXED)
    return losses(labels, changed_shapes=changes, holds=("frame", "object_id", "score", "track_id", "pixel_size_nm", INTERVAL))


def _table(path: Path) -> pd.DataFrame:
    """The columns of a table that labels are made of."""
    wanted = [*REQUIRED, *OPTIONAL]
    if not path.is_file():
        raise InputError(f"there is no table {path}")
    try:
        if path.suffix.lower() == ".csv":
            texts = dict.fromkeys(TEXTS, str)
            return pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=[""], usecols=lambda name: name in wanted)
        with pa.parquet.ParquetFile(path) as file:
            claimed = sum(file.metadata.row_group(k).num_rows for k in range(file.metadata.num_row_groups))
            if max(claimed, file.metadata.num_rows) > MOST_ROWS:
                raise InputError(f"{path} claims {claimed} rows; at most {MOST_ROWS} are read")
            found = file.read(columns=[name for name in wanted if name in file.schema_arrow.names])
            found.validate(full=True)
            return found.to_pandas(ignore_metadata=True)
    except MorphoscopeError:
        raise
    except DAMAGE as error:
        raise InputError(f"cannot read the table {path}, it may be damaged: {error}") from error


def _missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))


def _label(row: Row, *, id_column: str, ellipses: bool, single: set[str]) -> Label:
    file = text(row["file"], "a file name")
    own = row.get(id_column)
    track = row.get("track_id")
    return Label(
        file=file,
        label=text(row["label"], "a label"),
        shape=_shape(row, ellipses=ellipses),
        frame=0 if file in single else whole(_plain(row.get("frame", 0))),
        object_id=None if own is None else _id(own),
        score=score_of(_plain(row.get("score"))),
        track_id=None if track is None else whole(_plain(track), least=-(2**53), most=2**53),
    )


def _plain(value: Any) -> Any:
    """A plain number for one of numpy's."""
    return value.item() if hasattr(value, "item") else value


def _id(value: Any) -> str:
    value = _plain(value)
    return str(int(value)) if isinstance(value, float) and value.is_integer() else text(value, "an object id")


def _shape(row: Row, *, ellipses: bool) -> Shape:
    x, y = (number(_plain(row[name])) + 0.5 for name in ("x_px", "y_px"))
    if not any(row.get(name) for name in SIZE):
        return _sized(row) or Point(x, y)
    if ellipses and "major_px" in row:
        at_x, at_y, major, minor, angle = (number(_plain(row[name])) for name in ELLIPSE)
        if not (major > 0 and minor > 0):
            raise ValueError(f"wanted an ellipse with positive axes, got {major:g} and {minor:g}")
        return Ellipse(at_x + 0.5, at_y + 0.5, major, minor, angle)
    width, height = (number(_plain(row[name])) for name in SIZE)
    if not (width > 0 and height > 0):
        raise ValueError(f"wanted a box with a width and height above 0, got {width:g} x {height:g}")
    return Box(x, y, width, height)


def _sized(row: Row) -> Ellipse | None:
    """The ellipse of an object that has no box, as far as it is known: a disc where only its size is; None without a size."""
    major, minor, angle = (number(_plain(row.get(name, 0.0))) for name in ELLIPSE[2:])
    if not major > 0:
        return None
    at_x, at_y = (number(_plain(row.get(name, row[centre]))) + 0.5 for name, centre in zip(ELLIPSE, POSITION, strict=False))
    return Ellipse(at_x, at_y, major, minor, angle % 180) if minor > 0 else Ellipse(at_x, at_y, major, major, 0.0)


def _facts(row: Row, known: ImageFacts) -> ImageFacts:
    """What a row adds to what is known of its image: interval and pixel size, stated or by the nm twins of the box."""
    if known.frame_interval_s is None and INTERVAL in row:
        known = replace(known, frame_interval_s=interval_of(_plain(row[INTERVAL])))
    if known.pixel_size_nm is not None:
        return known
    if all(name in row for name in SCALE):
        sizes = [_plain(row[name]) for name in SCALE]
    elif all(row.get(name) for name in (*SIZE, *SIZE_NM)):
        sizes = [number(_plain(row[nm])) / number(_plain(row[px])) for nm, px in zip(SIZE_NM, reversed(SIZE), strict=True)]
    else:
        return known
    size_y, size_x = (number(size, least=SMALLEST_NM, most=LARGEST_NM) for size in sizes)
    return replace(known, pixel_size_nm=(size_y, size_x))


def _whole_ids(labels: Iterable[Label]) -> list[int] | None:
    """The object ids as numbers; None where they are no distinct whole numbers."""
    found = [label.object_id for label in labels]
    if any(one is None or not one.isdecimal() or str(int(one)) != one or len(one) > 18 for one in found):
        return None
    return [int(one or 0) for one in found] if len(set(found)) == len(found) else None


def _row(label: Label, own: int) -> Row:
    x0, y0, x1, y1 = label.shape.bounds
    flat = isinstance(label.shape, Point)
    row: Row = {
        "frame": label.frame,
        "file": label.file,
        "object_id": own,
        "label": label.label,
        "score": label.score,
        "x_px": (x0 + x1) / 2 - 0.5,
        "y_px": (y0 + y1) / 2 - 0.5,
        "width_px": None if flat else x1 - x0,
        "height_px": None if flat else y1 - y0,
        "area_px": None if flat else label.shape.area_px,
        "track_id": label.track_id,
    }
    return row | (_ellipse(label.shape) if isinstance(label.shape, Ellipse) else {})


def _ellipse(shape: Ellipse) -> Row:
    """The columns of an ellipse, its longer axis as the major one."""
    long, short, angle = shape.major, shape.minor, shape.angle_deg
    if short > long:
        long, short, angle = short, long, angle + 90
    return dict(zip(ELLIPSE, (shape.x - 0.5, shape.y - 0.5, long, short, angle % 180), strict=True))


def _with_scale(table: pd.DataFrame, images: dict[str, ImageFacts]) -> pd.DataFrame:
    """The table with nm twins, pixel sizes and intervals, where an image has them."""
    intervals = {file: facts.frame_interval_s for file, facts in images.items() if facts.frame_interval_s is not None}
    if intervals:
        table = table.assign(**{INTERVAL: table["file"].map(intervals).astype(float)})
    sizes = {file: facts.pixel_size_nm for file, facts in images.items() if facts.pixel_size_nm is not None}
    if not sizes or table.empty:
        return table
    parts = []
    for file, part in table.groupby("file", sort=False):
        size = sizes.get(str(file))
        scaled = Calibration(pixel_size_nm=size).with_nm(part.astype(dict.fromkeys([*SIZE, *ELLIPSE, "area_px"], float)))
        parts.append(scaled.assign(**dict(zip(SCALE, size or (math.nan, math.nan), strict=True))))
    return pd.concat(parts).sort_index()
