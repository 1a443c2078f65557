"""Images with label images (`image/` + `instances/`) or class maps (`image/` + `mask/`) in a folder."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from morphoscope.errors import InputError
from morphoscope.io.open import open_frames

ONLY = "foreground"  # name of the class of a mask of black and white
MOST = 254
SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Pair:
    """An image's file and its labels (h, w): a label image or a class map, 0 background."""

    name: str
    path: Path
    labels: NDArray[np.int32]

    def image(self) -> NDArray[Any]:
        """The image (h, w) as stored.

        Raises:
            InputError: it cannot be read or is not as large as its labels.
        """
        with open_frames(self.path) as frames:
            image = np.asarray(frames[0])
        if image.shape != self.labels.shape:
            raise InputError(f"{self.path} is {image.shape} px, its label image {self.labels.shape} px; wanted the same")
        return image


def is_semantic(root: Path) -> bool:
    """Whether a folder holds class maps (mask/) and no label images (instances/)."""
    return (root / "mask").is_dir() and not (root / "instances").is_dir()


def read_pairs(root: Path, part: str = "instances") -> list[Pair]:
    """The images in `image/` and what lies under the same names in the folder `part` (grey, or grey as RGB), by name.

    Raises:
        InputError: a folder is missing or empty, an image has no partner, or that is no grey picture of integers.
    """
    images, partners = _files(root / "image", part), _files(root / part, part)
    lacking = sorted(set(images) - set(partners))
    if lacking:
        raise InputError(f"wanted a label image in {root / part} for each image, {', '.join(lacking[:3])} has none")
    pairs = []
    for name, path in images.items():
        labels = _grey(cv2.imread(str(partners[name]), cv2.IMREAD_UNCHANGED))
        if labels is None or labels.ndim != 2 or not np.issubdtype(labels.dtype, np.integer):
            raise InputError(f"wanted a grey label image of integers, {partners[name]} is none")
        pairs.append(Pair(name, path, labels.astype(np.int32)))
    return pairs


def _grey(picture: NDArray[Any] | None) -> NDArray[Any] | None:
    """One channel of a picture whose colour channels are equal; else the picture as it is."""
    if picture is None or picture.ndim == 2 or not (picture[..., :3] == picture[..., :1]).all():
        return picture
    return np.asarray(picture[..., 0])


def _files(folder: Path, part: str) -> dict[str, Path]:
    found = {p.stem: p for p in sorted(folder.glob("*")) if p.suffix.lower() in SUFFIXES} if folder.is_dir() else {}
    if not found:
        raise InputError(f"wanted a folder with image/ and {part}/ (label images of the same names), {folder} holds no image")
    return found


def read_classes(root: Path) -> tuple[list[Pair], tuple[str, ...]]:
    """The images in `image/` with their class maps in `mask/`, by name, and the names of the classes 1, 2, ...

    Grey values of a mask are classes, 0 is background; a mask of 0 and 255 has one class. A `labels.toml` in the folder may name
    them: `[classes]`, then lines such as `oxide = 1`.

    Raises:
        InputError: as `read_pairs`; grey values without a name, or no class at all.
    """
    pairs = read_pairs(root, "mask")
    values = sorted({int(v) for one in pairs for v in np.unique(one.labels)} - {0})
    if values == [255]:
        pairs = [replace(one, labels=(one.labels > 0).astype(np.int32)) for one in pairs]
        values = [1]
    if not values:
        raise InputError(f"wanted masks with grey values above 0 (classes) in {root / 'mask'}, all are 0")
    if values[-1] > MOST:
        raise InputError(f"wanted classes 1 to {MOST} as grey values, or 0 and 255 alone; {root / 'mask'} has {values[-1]}")
    return pairs, _names(root / "labels.toml", values)


def _names(path: Path, values: list[int]) -> tuple[str, ...]:
    """Names of the classes 1 to the highest that is there or named."""
    given = _table(path) if path.is_file() else {}
    named = {v: k for k, v in given.items()}
    unnamed = [v for v in values if v not in named]
    if named and unnamed:
        raise InputError(f"{path} names no class for the grey values {', '.join(map(str, unnamed))} of the masks")
    highest = max([*values, *named])
    return (ONLY,) if highest == 1 and not named else tuple(named.get(k, f"class {k}") for k in range(1, highest + 1))


def _table(path: Path) -> dict[str, int]:
    """The table `[classes]` of a TOML file, name and grey value."""
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8")).get("classes", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid TOML: {error}") from error
    right = isinstance(given, dict) and all(type(v) is int and 0 < v <= MOST for v in given.values())
    if not right or len(set(given.values())) < len(given):
        raise InputError(f"wanted a different grey value 1 to {MOST} for each of [classes] in {path}, got {given}")
    return {str(k): v for k, v in given.items()}
