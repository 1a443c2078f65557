"""Labelled images: boxes from a CSV file, with the region they are complete in."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from morphoscope.errors import InputError, RecipeError
from morphoscope.recipe import Region

CORNERS = ["x0", "y0", "x1", "y1"]


@dataclass(frozen=True)
class LabelledImages:
    """Images with boxes.

    `images` maps each name as the label file has it to its path; `boxes` has file, label, x0, y0, x1, y1 (px, pixel centres at
    integers); outside `complete_region` nothing is said about what is there (None: labels are complete everywhere).
    """

    root: Path
    images: dict[str, Path]
    boxes: pd.DataFrame
    complete_region: Region | None = None


def read_boxes(path: str | Path) -> LabelledImages:
    """Labels from a CSV `file,label,x0,y0,x1,y1` (paths relative to it), or from a folder with such a file.

    A `labels.toml` beside the CSV may name it (`file`) and give the `complete_region` (x0, y0, x1, y1). A row with a file
    and nothing else is an image without objects.

    Raises:
        InputError: nothing to read, a column or an image is missing, or a row's box is impossible; rows are named.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    settings = _settings(folder / "labels.toml")
    table = path if path.is_file() else folder / str(settings.get("file", "boxes.csv"))
    if not table.is_file():
        raise InputError(
            f"wanted a label file file,label,x0,y0,x1,y1, there is no {table}; labels.toml may name another (file = ...)"
        )
    boxes = _read_rows(table)
    images = {name: folder / name for name in dict.fromkeys(boxes["file"])}
    missing = [name for name, image in images.items() if not image.is_file()]
    if missing:
        raise InputError(
            f"{table} names {len(missing)} images that are not there: {', '.join(missing[:3])}; paths are relative to {folder}"
        )
    region = settings.get("complete_region")
    try:
        complete = Region.model_validate(region) if region else None
    except ValueError as error:
        raise RecipeError(f"complete_region in {folder / 'labels.toml'} must be x0, y0, x1, y1 in px, got {region}") from error
    return LabelledImages(folder, images, boxes.dropna(subset=CORNERS).reset_index(drop=True), complete)


def _settings(path: Path) -> dict[str, object]:
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid TOML: {error}") from error


def _read_rows(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype={"file": str, "label": str}, keep_default_na=True)
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"{path} cannot be read as CSV: {error}") from error
    missing = [c for c in ("file", "label", *CORNERS) if c not in table.columns]
    if missing:
        raise InputError(
            f"{path} lacks the columns {', '.join(missing)}; wanted file,label,x0,y0,x1,y1, got {','.join(table.columns)}"
        )
    numbers = table[CORNERS].apply(pd.to_numeric, errors="coerce")
    empty = table[CORNERS].isna().all(axis=1)
    wrong = ~empty & (numbers.isna().any(axis=1) | (numbers["x1"] <= numbers["x0"]) | (numbers["y1"] <= numbers["y0"]))
    wrong |= table["file"].isna() | (~empty & table["label"].isna())
    if wrong.any():
        rows = ", ".join(str(k + 2) for k in table.index[wrong][:5])
        raise InputError(
            f"{path}: {int(wrong.sum())} rows hold no usable box (wanted a file, a label, numbers with x0 < x1 and y0 < y1), "
            f"such as lines {rows}"
        )
    return table.assign(**{c: numbers[c] for c in CORNERS})[["file", "label", *CORNERS]]
