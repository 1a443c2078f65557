"""Plain CSV: `file,label,x0,y0,x1,y1`, and `frame,object_id,score,track_id,shape` where there is something to put there.

A row with a file and nothing else is an image without objects. `shape` holds the shape's values as JSON where it is no upright
box; the corners are then those of the box around it.
"""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pandas as pd

from morphoscope.errors import InputError
from morphoscope.io.label_formats.losses import losses
from morphoscope.io.label_set import ImageFacts, Label, LabelSet
from morphoscope.io.shapes import Box, Shape, shape_from_dict, shape_to_dict
from morphoscope.io.tables import write_csv

FOLDER = False
CORNERS = ["x0", "y0", "x1", "y1"]
REQUIRED = ["file", "label", *CORNERS]
TEXTS = ["file", "label", "object_id", "shape"]
OPTIONAL = ["frame", "object_id", "score", "track_id", "shape"]


def recognises(path: Path) -> bool:
    """A .csv file that is no table of objects or tracks, or a folder with a boxes.csv."""
    path = path / "boxes.csv" if path.is_dir() else path
    if not path.is_file() or path.suffix.lower() != ".csv":
        return False
    columns = set(columns_of(path))
    return set(REQUIRED) <= columns or not ("x_px" in columns or {"x", "y"} <= columns)


def columns_of(path: Path) -> list[str]:
    """The names in the first line of a CSV file; none where it cannot be read."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return next(csv.reader([file.readline(65536)]), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def read(path: Path) -> LabelSet:
    """Labels of a CSV file, or of boxes.csv in a folder; lines to blame are named in errors."""
    path = path / "boxes.csv" if path.is_dir() else path
    if not path.is_file():
        raise InputError(
            f"wanted a label file {','.join(REQUIRED)}, there is no {path}; labels.toml may name another (file = ...)"
        )
    table = _checked(_rows(path), path)
    labels = [_label(row, path) for row in table[table["x0"].notna()].to_dict("records")]
    return LabelSet({file: ImageFacts() for file in dict.fromkeys(table["file"])}, tuple(labels), root=path.parent)


def write(labels: LabelSet, path: Path) -> list[str]:
    """Write the CSV file; returns what it cannot hold."""
    rows = []
    for file, _, found in labels.by_image():
        rows += [_row(label) for label in found] or [{"file": file}]
    table = pd.DataFrame(rows, columns=REQUIRED + OPTIONAL).astype({"frame": "Int64", "track_id": "Int64"})
    unused = [c for c in OPTIONAL if table[c].isna().all() or (c == "frame" and (table[c].fillna(0) == 0).all())]
    write_csv(path, table.drop(columns=unused))
    return losses(labels, changed_shapes={}, holds=("frame", "object_id", "score", "track_id", "empty images"))


def _row(label: Label) -> dict[str, Any]:
    upright = isinstance(label.shape, Box) and label.shape.angle_deg == 0
    return {
        "file": label.file,
        "label": label.label,
        **dict(zip(CORNERS, label.shape.bounds, strict=True)),
        "frame": label.frame,
        "object_id": label.object_id,
        "score": label.score,
        "track_id": label.track_id,
        "shape": None if upright else json.dumps(shape_to_dict(label.shape)),
    }


def _label(row: dict[str, Any], path: Path) -> Label:
    given = {key: row[key] for key in OPTIONAL if key in row and not pd.isna(row[key])}
    return Label(
        file=row["file"],
        label=row["label"],
        shape=_shape(row, given.get("shape"), path),
        frame=int(given.get("frame", 0)),
        object_id=given.get("object_id"),
        score=float(given["score"]) if "score" in given else None,
        track_id=int(given["track_id"]) if "track_id" in given else None,
    )


def _shape(row: dict[str, Any], text: str | None, path: Path) -> Shape:
    if text is None:
        return Box.from_corners(*(float(row[c]) for c in CORNERS))
    try:
        return shape_from_dict(json.loads(text))
    except (json.JSONDecodeError, AttributeError, TypeError, InputError) as error:
        raise InputError(f"{path}: line {row['line']} holds no usable shape: {error}") from error


def _rows(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=dict.fromkeys(TEXTS, str), keep_default_na=False, na_values=[""])
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"{path} cannot be read as CSV: {error}") from error
    missing = [c for c in REQUIRED if c not in table.columns]
    if missing:
        raise InputError(
            f"{path} lacks the columns {', '.join(missing)}; wanted {','.join(REQUIRED)}, got {','.join(map(str, table.columns))}"
        )
    return table.assign(line=range(2, len(table) + 2))


def _checked(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    empty = table[CORNERS].isna().all(axis=1)
    numeric = [*CORNERS, *(c for c in ("frame", "score", "track_id") if c in table.columns)]
    numbers = table[numeric].apply(pd.to_numeric, errors="coerce").replace([math.inf, -math.inf], math.nan)
    points = table["shape"].fillna("").str.contains('"point"') if "shape" in table.columns else False
    flat = ((numbers["x1"] <= numbers["x0"]) | (numbers["y1"] <= numbers["y0"])) & ~points
    wrong = ~empty & (numbers[CORNERS].isna().any(axis=1) | flat | table["label"].isna())
    wrong |= table["file"].isna() | (numbers.isna() & table[numeric].notna()).any(axis=1)
    if wrong.any():
        lines = ", ".join(str(k) for k in table["line"][wrong][:5])
        raise InputError(
            f"{path}: {int(wrong.sum())} rows hold no usable box (wanted a file, a label, numbers with x0 < x1 and y0 < y1), "
            f"such as lines {lines}"
        )
    return table.assign(**{c: numbers[c] for c in numeric})
