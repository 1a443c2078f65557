"""CSV tables with a row per object and its track, as napari and trackpy have them; their modules say which columns.

`x`, `y` are px with pixel centres at whole numbers, so a label's x is x + 0.5. What else is known follows in columns that both
pass over: `label`, `score`, `object_id`, `width_px` and `height_px` of the upright box (without them a row is a point), and
`file`, the image. One table holds the frames of one stack or video, or the pictures of a series, numbered through in natural
order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from morphoscope.errors import InputError
from morphoscope.io.images import natural_key
from morphoscope.io.label_formats.csv import columns_of
from morphoscope.io.label_formats.losses import losses
from morphoscope.io.label_formats.per_image import image_of, series_of, targets
from morphoscope.io.label_formats.reading import LARGEST, Records, number, score_of, text, whole
from morphoscope.io.label_formats.writing import BOXED
from morphoscope.io.label_set import ImageFacts, Label, LabelSet
from morphoscope.io.shapes import Box, Point, Shape
from morphoscope.io.tables import write_csv

MORE = ["label", "score", "object_id", "width_px", "height_px", "file"]
TEXTS = ["label", "object_id", "file"]
TRACKED = 2**53
Row = dict[str, Any]


class Names(NamedTuple):
    """What a table calls track and frame, and its columns in order."""

    track: str
    frame: str
    columns: tuple[str, ...]


def recognises_tracks(path: Path, names: Names, needed: Sequence[str]) -> bool:
    """A CSV file with these columns, or a folder with such files."""
    first = next(iter(sorted(path.rglob("*.csv"))), None) if path.is_dir() else path if path.suffix.lower() == ".csv" else None
    return first is not None and set(needed) <= set(columns_of(first)) and "x0" not in columns_of(first)


def read_tracks(path: Path, names: Names, needed: Sequence[str]) -> LabelSet:
    """Objects of one table or of all in a folder; rows to blame are named.

    Raises:
        InputError: there is no table, it lacks a column, or no row can be read.
    """
    root = path if path.is_dir() else path.parent
    files = sorted(path.rglob("*.csv"), key=lambda p: natural_key(p.relative_to(root).as_posix())) if path.is_dir() else [path]
    if not files or not path.exists():
        raise InputError(f"there is no CSV file in {path}; wanted a table with the columns {','.join(needed)}")
    records = Records(path)
    for file in files:
        _read_table(file, root, records, names, needed)
    return records.found(root=root)


def write_tracks(labels: LabelSet, path: Path, names: Names, *, tracked_only: bool) -> list[str]:
    """Write a table per image: `path` where it ends in .csv, else into that folder; returns what it cannot hold."""
    said = []
    if tracked_only:
        kept = tuple(label for label in labels.labels if label.track_id is not None)
        alone = len(labels.labels) - len(kept)
        labels = replace(labels, labels=kept)
        said += [f"{alone} object{'s' * (alone > 1)} without a track: left out, as only tracks can be held"] if alone else []
    series = series_of(labels) if path.suffix.lower() == ".csv" else []
    if series:
        said.append(f"{len(series)} pictures are numbered through as the frames of one series, in natural order")
        _write_table(path, list(labels.labels), {file: k for k, file in enumerate(series)}, names)
    else:
        for target, _, _, found in targets(labels, path, ".csv"):
            _write_table(target, found, {}, names)
    changes = dict.fromkeys(("turned box", "ellipse", "polygon", "polygon with holes", "mask"), BOXED)
    return said + losses(labels, changed_shapes=changes, holds=("frame", "object_id", "score", "track_id"))


def _write_table(path: Path, labels: list[Label], number_of: dict[str, int], names: Names) -> None:
    rows = [_row(label, number_of.get(label.file, 0) + label.frame, names) for label in labels]
    table = pd.DataFrame(rows, columns=[*names.columns, *MORE]).astype({names.track: "Int64", names.frame: "int64"})
    unused = [name for name in MORE if name != "file" and table[name].isna().all()]
    order = table.sort_values([names.track, names.frame], kind="stable")
    write_csv(path, order.drop(columns=unused))


def _row(label: Label, frame: int, names: Names) -> Row:
    x0, y0, x1, y1 = label.shape.bounds
    point = isinstance(label.shape, Point)
    return {
        names.track: label.track_id,
        names.frame: frame,
        "x": (x0 + x1) / 2 - 0.5,
        "y": (y0 + y1) / 2 - 0.5,
        "label": label.label,
        "score": label.score,
        "object_id": label.object_id,
        "width_px": None if point else x1 - x0,
        "height_px": None if point else y1 - y0,
        "file": label.file,
    }


def _read_table(path: Path, root: Path, records: Records, names: Names, needed: Sequence[str]) -> None:
    try:
        table = pd.read_csv(path, dtype=dict.fromkeys(TEXTS, str), keep_default_na=False, na_values=["", "nan", "NaN"])
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as CSV: {error}") from error
    missing = [name for name in needed if name not in table.columns]
    if missing:
        raise InputError(f"{path} lacks the columns {', '.join(missing)}; it has {', '.join(map(str, table.columns))}")
    unnamed = image_of(path, root) or path.relative_to(root).with_suffix("").as_posix()
    series = _is_series(table, names)
    for k, row in enumerate(table.to_dict("records"), 1):
        with records.record(f"{path.relative_to(root).as_posix()}: row {k}"):
            given = {str(key): value for key, value in row.items() if not pd.isna(value)}
            label = _label(given, unnamed, names)
            label = replace(label, frame=0) if series else label
            records.images.setdefault(label.file, ImageFacts())
            records.labels.append(label)


def _is_series(table: pd.DataFrame, names: Names) -> bool:
    """Whether each of several files has a frame number of its own."""
    if "file" not in table.columns or table["file"].nunique() < 2:
        return False
    return bool((table.groupby("file")[names.frame].nunique() == 1).all())


def _label(row: Row, unnamed: str, names: Names) -> Label:
    track = row.get(names.track)
    own = row.get("object_id")
    return Label(
        file=text(row.get("file", unnamed), "a file name"),
        label=text(row.get("label", "object"), "a label"),
        shape=_shape(row),
        frame=whole(row[names.frame]),
        object_id=None if own is None else text(own, "an object id"),
        score=score_of(row.get("score")),
        track_id=None if track is None else whole(track, least=-TRACKED, most=TRACKED),
    )


def _shape(row: Row) -> Shape:
    x, y = number(row["x"]) + 0.5, number(row["y"]) + 0.5
    if "width_px" not in row and "height_px" not in row:
        return Point(x, y)
    width, height = (number(row[name], least=0, most=LARGEST) for name in ("width_px", "height_px"))
    if not (width > 0 and height > 0):
        raise ValueError(f"wanted a box with a width and height above 0, got {width:g} x {height:g}")
    return Box(x, y, width, height)
