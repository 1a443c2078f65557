"""A folder of images per class, and ready patches in an .npz file."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morphoscope.errors import InputError
from morphoscope.io.images import SUFFIXES, find_pictures, natural_key
from morphoscope.io.score_data import ScoreData, ScoreExample, one_hot, settled

OTHERS = {"image", "images", "mask", "masks", "label", "labels", "instances", "annotations"}  # of other layouts, no classes


def has_class_folders(root: Path) -> bool:
    """Whether a folder holds folders that may be classes, and no labels of another layout."""
    folders = _folders(root)
    names = {folder.name.lower() for folder in folders}
    named = any((root / name).is_file() for name in ("labels.toml", "boxes.csv"))
    return bool(folders) and not named and not names & OTHERS


def read_class_folders(root: Path, answer: str) -> ScoreData:
    """See `read_score_data`; folders in a class's folder are searched, too.

    Raises:
        InputError: a class's folder holds no picture.
    """
    found = {folder.name: find_pictures(folder, deep=True) for folder in _folders(root)}
    empty = [name for name, files in found.items() if not files]
    if empty:
        raise InputError(
            f"the class folder {root / empty[0]} holds no picture; wanted {', '.join(SUFFIXES)} files in it"
            + (f" (also empty: {', '.join(empty[1:])})" if empty[1:] else "")
            + "; fill it, or remove it"
        )
    classes = tuple(found)
    pairs = [(name, path) for name, files in found.items() for path in files]
    targets = one_hot([name for name, _ in pairs], classes)
    examples = []
    for (_, path), target in zip(pairs, targets, strict=True):
        file = path.relative_to(root).as_posix()
        examples.append(ScoreExample(file, file, target, path))
    kind = settled(answer, "exclusive", ("exclusive", "multi-label"), "folders of classes")
    return ScoreData(root.name, classes, kind, tuple(examples))


def read_patches(path: Path, answer: str) -> ScoreData:
    """See `read_score_data`.

    Raises:
        InputError: it is no .npz file, or the arrays are not as they should be.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays: dict[str, NDArray[Any]] = {name: file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise InputError(f"cannot read the arrays in {path}: {error}") from error
    if not {"images", "labels"} <= set(arrays):
        raise InputError(f"wanted the arrays images and labels in {path}, got {', '.join(arrays) or 'none'}")
    images, labels = arrays["images"], arrays["labels"]
    if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] != 3) or labels.shape != images.shape[:1]:
        raise InputError(
            f"wanted images (n, h, w) or (n, h, w, 3) and labels (n,) in {path}, got {images.shape} and {labels.shape}"
        )
    groups = arrays.get("groups", np.arange(len(images)))
    if groups.shape != labels.shape:
        raise InputError(f"wanted a group for each of the {len(labels)} images of {path}, got an array {groups.shape}")
    numbers = sorted(set(labels.tolist()))
    names = [str(name) for name in arrays["classes"]] if "classes" in arrays else [str(number) for number in numbers]
    if len(names) != len(numbers):
        raise InputError(f"{path} names {len(names)} classes, its labels are {', '.join(map(str, numbers))}")
    classes = tuple(names)
    targets = one_hot([names[numbers.index(label)] for label in labels.tolist()], classes)
    kind = settled(answer, "exclusive", ("exclusive", "multi-label"), "labels of patches")
    examples = tuple(ScoreExample(f"{k}", str(groups[k]), targets[k], array=images[k]) for k in range(len(images)))
    return ScoreData(path.stem, classes, kind, examples, ready=True)


def _folders(root: Path) -> list[Path]:
    return sorted((p for p in root.iterdir() if p.is_dir() and not p.name.startswith(".")), key=lambda p: natural_key(p.name))
