"""A project file: its objects as labels, and labels added to it.

Reading gives all objects that are not rejected. Writing adds to what is there: images by their content, so that the same picture
under two names is one image, and objects by their ids, those the project has staying as they are. The author is the login name.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError
from morphoscope.io.label_formats.losses import losses
from morphoscope.io.label_formats.reading import Records
from morphoscope.io.label_set import ImageFacts, Label, LabelSet
from morphoscope.io.shapes import shape_from_dict, shape_to_dict

FOLDER = False
MAGIC = b"SQLite format 3\x00"


def recognises(path: Path) -> bool:
    """An SQLite file."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def holds_objects(path: Path) -> bool:
    """Whether a project holds objects and no person's categories of images.

    Raises:
        InputError: it is no project, or of a newer version.
    """
    from morphoscope.project import Project

    with Project.open(path, create=False, readonly=True) as project:
        counts = project.summary()
    return bool(counts["objects"]) and not counts["image_labels"].get("person")


def read(path: Path) -> LabelSet:
    """Objects of a project that are not rejected.

    Raises:
        InputError: it is no project, or of a newer version.
    """
    from morphoscope.project import Project

    with Project.open(path, create=False, readonly=True) as project:
        images, table = project.images(), project.labels()
    records = Records(path)
    names = {row["sha256"]: str(row["file"]) for row in images.to_dict("records")}
    records.images = {names[row["sha256"]]: _facts(row) for row in images.to_dict("records")}
    waiting = int((table["state"] == "proposed").sum())
    if waiting:
        records.note(f"{waiting} objects are proposals of a model that nobody has accepted yet")
    for row in table.to_dict("records"):
        with records.record(f"object {row['object_id']}"):
            records.labels.append(_label(row, names[row["sha256"]]))
    return records.found(root=path.parent)


def write(labels: LabelSet, path: Path) -> list[str]:
    """Add images and labels to a project, made where it is missing; returns what it cannot hold.

    Raises:
        InputError: an image is not there.
    """
    from morphoscope.project import Project

    missing = [file for file in labels.images if not (labels.root / file).is_file()]
    if missing:
        raise InputError(
            f"a project knows images by their content: {len(missing)} are not there, such as {labels.root / missing[0]}"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    content: dict[str, list[str]] = {}
    with Project.open(path) as project, project.batch():
        for file, facts, found in labels.by_image():
            image = project.add_image(labels.root / file, calibration=_calibration(facts))
            content.setdefault(image, []).append(file)
            project.add_objects(image, [_row(label) for label in found], existing="keep")
    twice = [files for files in content.values() if len(files) > 1]
    said = [f"{', '.join(files)} are one picture: their objects are put together" for files in twice]
    changed = losses(
        labels, changed_shapes={}, holds=("frame", "object_id", "score", "track_id", "empty images", "pixel_size_nm")
    )
    return said + changed


def _facts(row: dict[str, Any]) -> ImageFacts:
    scale = row["pixel_nm_y"], row["pixel_nm_x"]
    return ImageFacts(
        width=None if pd.isna(row["width"]) else int(row["width"]),
        height=None if pd.isna(row["height"]) else int(row["height"]),
        frames=1 if pd.isna(row["n_frames"]) else int(row["n_frames"]),
        pixel_size_nm=None if any(pd.isna(v) for v in scale) else (float(scale[0]), float(scale[1])),
    )


def _label(row: dict[str, Any], file: str) -> Label:
    shape = row["shape"] if isinstance(row["shape"], dict) else json.loads(row["shape"])
    return Label(
        file=file,
        label=str(row["label"]),
        shape=shape_from_dict(shape),
        frame=int(row["frame"]),
        object_id=str(row["object_id"]),
        score=None if pd.isna(row["score"]) else float(row["score"]),
        track_id=None if pd.isna(row["track_id"]) else int(row["track_id"]),
    )


def _row(label: Label) -> dict[str, Any]:
    values = {"object_id": label.object_id, "score": label.score, "track_id": label.track_id}
    known = {
        name: value
        for name, value in values.items()
        if value is not None and not (isinstance(value, float) and math.isnan(value))
    }
    return {"label": label.label, "shape": shape_to_dict(label.shape), "frame": label.frame, **known}


def _calibration(facts: ImageFacts) -> Calibration | None:
    return None if facts.pixel_size_nm is None else Calibration().updated("label file", pixel_size_nm=facts.pixel_size_nm)
