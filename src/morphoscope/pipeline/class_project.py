"""Decisions in the project store: what people said of images, and what a run proposes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from morphoscope.errors import InputError
from morphoscope.project import Project
from morphoscope.project.rows import Model

AT_ONCE = 200  # images of a step to undo: other writers wait while they are written


class Said(NamedTuple):
    """A person's word on an image: a category, a decision, or both; and the version of that entry."""

    label: str | None
    decision: str | None
    version: int


Key = tuple[str, int]


def said_by_people(path: Path | None) -> dict[Key, Said]:
    """What people said, by SHA-256 of the file and frame; nothing without a project, or before it is made.

    Raises:
        InputError: it is no project, or of a newer version.
    """
    if path is None or not path.exists():
        return {}
    with Project.open(path, create=False, readonly=True) as project:
        return words_in(project)


def words_in(project: Project) -> dict[Key, Said]:
    """The same of an open project."""
    table = project.image_labels("person")
    return {
        (str(row["sha256"]), int(row["frame"])): Said(_text(row["label"]), _text(row["decision"]), int(row["version"]))
        for row in table.to_dict("records")
    }


def propose(path: Path, images: pd.DataFrame, files: Mapping[str, Path], model: Model) -> tuple[int, list[str]]:
    """Write the model's category, probability and decision of each image (`schema.IMAGES`) beside what people said of it.

    Args:
        path: the project, made where it is missing.
        images: rows of a run, with the model's own categories.
        files: where each file lies.
        model: name, or name and SHA-256.

    Returns:
        How many images the project knows the proposal of, and why others not. What a model of that name said before is not
        written again.

    Raises:
        InputError: it is no project, or of a newer version.
        UsageError: it can only be read here, or another program kept it locked.
    """
    written, left_out = 0, list[str]()
    called = model if isinstance(model, str) else model[0]
    with Project.open(path) as project:
        known, images_of = _proposals(project), dict[str, str]()
        for first in range(0, len(images), AT_ONCE):
            with project.batch(model=model):
                for row in images.iloc[first : first + AT_ONCE].to_dict("records"):
                    try:
                        name = str(row["file"])
                        image = images_of[name] = images_of.get(name) or project.add_image(files[name], sha256=str(row["sha256"]))
                    except InputError as error:
                        left_out.append(f"{row['file']}: {error}")
                        continue
                    frame = int(row["frame"]) if "frame" in row else 0
                    label, chance, decision = str(row["label"]), float(row["probability"]), str(row["decision"])
                    if known.get((image, frame)) != (label, chance, decision, called):
                        project.set_label(image, label, frame=frame, probability=chance, decision=decision)
                    written += 1
    return written, left_out


def _proposals(project: Project) -> dict[Key, tuple[object, ...]]:
    """What models said so far: category, probability, decision, name of the model."""
    rows = project.image_labels("model").to_dict("records")
    return {
        (str(row["sha256"]), int(row["frame"])): tuple(row[name] for name in ("label", "probability", "decision", "model"))
        for row in rows
    }


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
