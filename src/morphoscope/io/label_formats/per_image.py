"""Formats with a file per image: where each goes, and which image a label file is of."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from morphoscope.errors import InputError, UsageError
from morphoscope.io.images import natural_key
from morphoscope.io.label_formats.reading import inner_paths
from morphoscope.io.label_set import ImageFacts, Label, LabelSet
from morphoscope.io.pictures import FLAT, TIFF

IMAGE_FOLDERS = (".", "..", "../image", "../images", "image", "images")
PICTURES = (*TIFF, *FLAT)


def targets(labels: LabelSet, path: Path, suffix: str) -> Iterator[tuple[Path, str, ImageFacts, list[Label]]]:
    """The file to write for each image, its name, facts and labels: `path` if it has the suffix, else files in that folder.

    Raises:
        UsageError: several images for one file.
        InputError: two images would have the same file.
    """
    if path.suffix.lower() == suffix:
        if len(labels.images) > 1:
            raise UsageError(f"{path} can hold one image, there are {len(labels.images)}; give a folder")
        yield from ((path, file, facts, found) for file, facts, found in labels.by_image())
        return
    taken: set[PurePosixPath] = set()
    places = inner_paths(labels.images)
    for file, facts, found in labels.by_image():
        target = places[file].with_suffix(suffix)
        if target in taken:
            target = places[file].with_name(f"{places[file].name}{suffix}")
        if target in taken:
            raise InputError(f"two images would have one file, {path / target}; rename {file}")
        taken.add(target)
        yield path / target, file, facts, found


def series_of(labels: LabelSet) -> list[str]:
    """Names of several single pictures of one size, in natural order: the frames of a series. None where they are not that."""
    single = all(facts.frames == 1 for facts in labels.images.values()) and not any(label.frame for label in labels.labels)
    alike = len({(facts.width, facts.height) for facts in labels.images.values()}) == 1
    return sorted(labels.images, key=natural_key) if single and alike and len(labels.images) > 1 else []


def as_stack(labels: LabelSet, series: list[str]) -> LabelSet:
    """The labels of a series as those of one stack, which bears the name of the first picture."""
    number = {file: k for k, file in enumerate(series)}
    moved = tuple(replace(label, file=series[0], frame=number[label.file]) for label in labels.labels)
    return replace(labels, images={series[0]: replace(labels.images[series[0]], frames=len(series))}, labels=moved)


def image_of(label_file: Path, root: Path, suffixes: Iterable[str] = PICTURES) -> str | None:
    """The picture a label file is of, as seen from `root`: one of its stem beside it or in image(s); None without one."""
    here = label_file.parent
    for folder in IMAGE_FOLDERS:
        for suffix in suffixes:
            found = here / folder / f"{label_file.stem}{suffix}"
            if found.is_file() and found != label_file:
                return Path(os.path.relpath(found.resolve(), root.resolve())).as_posix()
    return None
