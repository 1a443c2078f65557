"""Label files in and out, whatever their format; and boxes of labelled images for training and evaluation."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from morphoscope.errors import InputError, RecipeError, UsageError
from morphoscope.io.label_set import LabelSet
from morphoscope.recipe import Region

CORNERS = ["x0", "y0", "x1", "y1"]
# name on the command line: module of label_formats
FORMATS = {
    "csv": "csv",
    "objects": "objects",
    "coco": "coco",
    "yolo": "yolo",
    "voc": "voc",
    "imagej": "imagej",
    "label-image": "label_image",
    "label-studio": "label_studio",
    "cvat": "cvat",
    "trackmate": "trackmate",
    "napari": "napari",
    "trackpy": "trackpy",
    "keras-yolo3": "keras_yolo3",
    "project": "project",
}


class LabelFormat(NamedTuple):
    """The three functions each module of `label_formats` has."""

    recognises: Callable[[Path], bool]
    read: Callable[[Path], LabelSet]
    write: Callable[[LabelSet, Path], list[str]]


def label_format(name: str) -> LabelFormat:
    """The functions of a format.

    Raises:
        UsageError: there is no format of that name.
    """
    if name not in FORMATS:
        raise UsageError(f"wanted a label format of {', '.join(FORMATS)}, got {name!r}")
    module = import_module(f"morphoscope.io.label_formats.{FORMATS[name]}")
    return LabelFormat(module.recognises, module.read, module.write)


def recognise_labels(path: Path) -> str:
    """The name of the format a label file or folder is in.

    Raises:
        InputError: there is nothing, or nothing that looks like labels.
    """
    if not path.exists():
        raise InputError(f"there is no label file or folder {path}; check the path")
    for name in FORMATS:
        if label_format(name).recognises(path):
            return name
    wanted = "a folder with boxes.csv, or with a labels.toml that names the label file," if path.is_dir() else "a label file"
    raise InputError(f"wanted {wanted} in a format known here ({', '.join(FORMATS)}), got {path}; say which with --from")


def label_source(path: str | Path) -> Path:
    """The label file or folder itself: in a folder with a `labels.toml` that names a file, that one."""
    path = Path(path)
    settings = _settings(path / "labels.toml") if path.is_dir() else {}
    return path / str(settings["file"]) if "file" in settings else path


def read_labels(path: str | Path, *, kind: str | None = None) -> LabelSet:
    """Labels of a file or folder; a `labels.toml` beside it may name the label file and give the complete region.

    Args:
        path: a label file, or a folder of them.
        kind: a name of `FORMATS`; None to find out from the content.

    Raises:
        InputError: nothing there, of an unknown format, or damaged; the place in the file is named.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    source = label_source(path)
    found = label_format(kind or recognise_labels(source)).read(source)
    region = _settings(folder / "labels.toml").get("complete_region")
    return replace(found, complete_region=_region(region, folder)) if region else found


def write_labels(labels: LabelSet, path: str | Path, kind: str) -> list[str]:
    """Write labels in a format; returns what it cannot hold and was therefore lost or changed, a sentence each.

    Raises:
        UsageError: there is no format of that name.
        InputError: the format needs image sizes, and an image is not there.
    """
    return label_format(kind).write(labels, Path(path))


def label_targets(path: str | Path, kind: str) -> tuple[Path, list[Path]]:
    """The folder that image names are relative to when a format is written to `path`, and the files or folders that come to be.

    Raises:
        UsageError: there is no format of that name.
    """
    path = Path(path)
    label_format(kind)
    module = import_module(f"morphoscope.io.label_formats.{FORMATS[kind]}")
    into_folder = getattr(module, "FOLDER", not path.suffix)
    more = module.companions(path) if hasattr(module, "companions") else []
    return (path if into_folder else path.parent), [path, *more]


def relocated(labels: LabelSet, root: str | Path) -> LabelSet:
    """The labels with image names relative to another folder; names of images that are not there stay as they are.

    A name is an absolute path where there is no relative one, as between drives.

    Raises:
        InputError: two names turn out to be those of one image.
    """
    root = Path(root)
    if root.resolve() == labels.root.resolve():
        return labels
    names = {file: _seen_from(root, labels.root / file) or file for file in labels.images}
    if len(set(names.values())) < len(names):
        seen: dict[str, str] = {}
        twice = next((seen[new], old) for old, new in names.items() if seen.setdefault(new, old) != old)
        raise InputError(f"the labels name one image in two ways, {twice[0]} and {twice[1]}; make the names equal")
    images = {names[file]: facts for file, facts in labels.images.items()}
    return replace(
        labels, root=root, images=images, labels=tuple(replace(label, file=names[label.file]) for label in labels.labels)
    )


def _seen_from(folder: Path, image: Path) -> str | None:
    if not image.exists():
        return None
    place = image.parent.resolve() / image.name  # a linked image keeps its name
    try:
        return Path(os.path.relpath(place, folder.resolve())).as_posix()
    except ValueError:
        return place.as_posix()


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
    """Boxes around the labelled objects of a label file or folder in any format, for training and evaluation.

    Corners are turned from label px (edges of the first pixel at 0) to table px (its centre at 0). Points have no box and are
    refused.

    Raises:
        InputError: nothing to read, an image is missing, or an object without extent.
    """
    found = read_labels(path)
    if found.skipped:
        raise InputError(
            f"{path} holds {len(found.skipped)} damaged records, so that objects would be missing: {'; '.join(found.skipped[:3])}"
        )
    images = {name: found.root / name for name in found.images}
    missing = [name for name, image in images.items() if not image.is_file()]
    if missing:
        raise InputError(
            f"{path} names {len(missing)} images that are not there: {', '.join(missing[:3])}; paths are relative to {found.root}"
        )
    rows = [(label.file, label.label, *(edge - 0.5 for edge in label.shape.bounds)) for label in found.labels]
    boxes = pd.DataFrame(rows, columns=["file", "label", *CORNERS]).astype(
        {"file": str, "label": str, **dict.fromkeys(CORNERS, float)}
    )
    flat = boxes[(boxes["x1"] <= boxes["x0"]) | (boxes["y1"] <= boxes["y0"])]
    if len(flat):
        raise InputError(
            f"{path}: {len(flat)} objects have no extent, the first in {flat['file'].iloc[0]}; boxes need a width and height"
        )
    return LabelledImages(found.root, images, boxes, found.complete_region)


def _settings(path: Path) -> dict[str, object]:
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid TOML: {error}") from error


def _region(values: object, folder: Path) -> Region:
    try:
        return Region.model_validate(values)
    except ValueError as error:
        raise RecipeError(f"complete_region in {folder / 'labels.toml'} must be x0, y0, x1, y1 in px, got {values}") from error
