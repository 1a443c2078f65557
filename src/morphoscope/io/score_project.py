"""Categories that people gave images in a project, as data to learn from, alone or over other labelled images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.errors import InputError, UsageError
from morphoscope.io.films import Film
from morphoscope.io.score_data import ScoreData, ScoreExample, one_hot, settled

NOT_LEARNT = ("foreign", "reject")  # decisions of a person that take an image out of what is learnt


def read_project_classes(path: Path, answer: str = "auto") -> ScoreData:
    """Images whose category a person gave; what a model proposed is not learnt. Groups are those of the project.

    Images that a person called foreign or rejected are left out. Those that are no longer where they were are skipped, with the
    reason. A frame of a stack is an image.

    Raises:
        InputError: no project, of a newer version, or without a person's category.
        UsageError: as `read_score_data`.
    """
    return _read(path, answer, {})


def _read(path: Path, answer: str, groups: Mapping[str, str]) -> ScoreData:
    """The same; `groups` of images, by SHA-256, hold where the project states none."""
    from morphoscope.project import Project

    kind = settled(answer, "exclusive", ("exclusive", "multi-label"), "categories of a project")
    with Project.open(path, create=False, readonly=True) as project:
        table = project.image_labels("person")
        named = table[table["label"].notna()]
        used = named[~named["decision"].isin(NOT_LEARNT)]
        frames = dict(zip(project.images()["sha256"], project.images()["n_frames"], strict=True))
        found, skipped = list[tuple[dict[str, Any], Path]](), list[str]()
        for row in used.to_dict("records"):
            try:
                found.append((row, project.locate(str(row["sha256"]))))
            except InputError as error:
                skipped.append(f"{row['file']}: {error}")
    if used.empty:
        waiting = f"; {len(table) - len(used)} were called foreign or rejected" if len(table) > len(used) else ""
        raise InputError(
            f"no person has given an image of the project {path} a category{waiting}; `morphoscope labels take` puts categories "
            "of a folder or CSV into it"
        )
    classes = tuple(sorted(set(used["label"])))
    targets = one_hot([str(row["label"]) for row, _ in found], classes) if found else np.empty((0, len(classes)), np.float32)
    examples = []
    for (row, place), target in zip(found, targets, strict=True):
        sha256 = str(row["sha256"])
        group = groups.get(sha256, str(row["file"])) if pd.isna(row["group"]) else str(row["group"])
        examples.append(_example(row, group, place, target, several=frames.get(sha256, 1) > 1))
    left = len(named) - len(used)
    notes = (f"{left} images are not learnt: a person called them foreign or rejected them",) if left else ()
    return ScoreData(path.stem, classes, kind, tuple(examples), tuple(skipped), notes)


def _example(row: dict[str, Any], group: str, path: Path, target: Any, *, several: bool) -> ScoreExample:
    """An image; of a stack one frame, read when it is asked for: its frames belong together."""
    file, frame = str(row["file"]), int(row["frame"])
    if not several:
        return ScoreExample(file, group, target, path)
    return ScoreExample(f"{file}, frame {frame}", group, target, read=partial(_frame, path, frame))


def _frame(path: Path, number: int) -> NDArray[Any]:
    with Film(path) as film:
        return film.image(number)


def with_project(data: ScoreData, path: Path) -> ScoreData:
    """Labelled images and those of a project together: where both have an image, by its content, the word of a person holds.

    An image that a person called foreign or rejected is not learnt, wherever it lies. Where the project states no group, an image
    stays in the one that the labelled images give it.

    Raises:
        InputError: no project, or of a newer version.
        UsageError: the images are not labelled by one class each.
    """
    if data.answer != "exclusive" or data.marked or data.ready:
        raise UsageError("corrections of a project go with images of one class each; give a folder per class or a CSV file,label")
    named, dropped = _words(path)
    known = {*named, *dropped}
    digests = [content_of(one.path) if known and one.path is not None else "" for one in data.examples]
    kept = tuple(one for one, digest in zip(data.examples, digests, strict=True) if digest not in known)
    groups = {digest: one.group for one, digest in zip(data.examples, digests, strict=True) if digest in known}
    gone = len(data.examples) - len(kept)
    notes = (
        [f"{gone} of the {len(data.examples)} labelled images are taken as people said in the project {path.name}"]
        if gone
        else []
    )
    left = replace(data, examples=kept, notes=(*data.notes, *notes))
    return _without_empty(_joined(left, _read(path, "exclusive", groups)) if named else left)


def named_images(data: ScoreData, path: Path | None) -> set[str]:
    """SHA-256 of the files of labelled images, and of all that people said something of in a project.

    Raises:
        InputError: no project, or of a newer version.
    """
    people = set[str]() if path is None else set[str]().union(*_words(path))
    return (people | {content_of(one.path) for one in data.examples if one.path is not None}) - {""}


def _words(path: Path) -> tuple[set[str], set[str]]:
    """SHA-256 of images that people gave a category, and of those they took out."""
    from morphoscope.project import Project

    with Project.open(path, create=False, readonly=True) as project:
        table = project.image_labels("person")
    out = table["decision"].isin(NOT_LEARNT)
    return set(table.loc[table["label"].notna() & ~out, "sha256"]), set(table.loc[out, "sha256"])


def _joined(data: ScoreData, corrections: ScoreData) -> ScoreData:
    classes = tuple(sorted({*data.classes, *corrections.classes}))
    examples = tuple(
        replace(one, target=_widened(one, part.classes, classes)) for part in (data, corrections) for one in part.examples
    )
    note = f"{len(corrections.examples)} images are from the project {corrections.name}"
    return replace(
        data,
        classes=classes,
        examples=examples,
        skipped=(*data.skipped, *corrections.skipped),
        notes=(*data.notes, *corrections.notes, note),
    )


def _without_empty(data: ScoreData) -> ScoreData:
    """The data without classes of which no image is left."""
    if not data.examples:
        return data
    used = np.asarray(np.stack([one.target for one in data.examples if one.target is not None]).any(axis=0))
    if used.all():
        return data
    classes = tuple(name for name, there in zip(data.classes, used, strict=True) if there)
    gone = ", ".join(name for name, there in zip(data.classes, used, strict=True) if not there)
    examples = tuple(replace(one, target=one.target[used]) for one in data.examples if one.target is not None)
    notes = (*data.notes, f"no image is left of {gone}: it is no class any more")
    return replace(data, classes=classes, examples=examples, notes=notes)


def content_of(path: Path) -> str:
    """SHA-256 of a file, nothing where it cannot be read: that is said when it is to be."""
    from morphoscope.project.places import sha256_of

    try:
        return sha256_of(path)
    except InputError:
        return ""


def _widened(one: ScoreExample, old: tuple[str, ...], new: tuple[str, ...]) -> Any:
    target = np.zeros(len(new), np.float32)
    if one.target is not None:
        target[[new.index(name) for name in old]] = one.target
    return target
