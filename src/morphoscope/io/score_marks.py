"""Classes marked in images: class maps, a mask per class, or boxes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.errors import InputError
from morphoscope.io.images import SUFFIXES, find_pictures, natural_key
from morphoscope.io.label_images import read_classes
from morphoscope.io.labels import CORNERS, read_boxes
from morphoscope.io.score_data import Answer, Marks, ScoreData, ScoreExample, settled

KINDS: tuple[Answer, ...] = ("multi-label",)


def read_masks(root: Path, answer: str) -> ScoreData:
    """`image/` with `mask/` or `masks/<class>/`; see `read_score_data`. Images are not looked into.

    An image without a mask in a class's folder has nothing of that class.

    Raises:
        InputError: a class's folder is empty, a mask has no image, or as `io.label_images.read_classes`.
    """
    kind = settled(answer, "multi-label", KINDS, "marked images")
    if not (root / "masks").is_dir():
        pairs, classes = read_classes(root)
        maps = [ScoreExample(one.path.name, one.path.name, None, one.path, marks=_of_map(one.labels, classes)) for one in pairs]
        return ScoreData(root.name, classes, kind, tuple(maps))
    images = _by_name(root / "image")
    folders = sorted((p for p in (root / "masks").iterdir() if p.is_dir()), key=lambda p: natural_key(p.name))
    masks = {folder.name: _by_name(folder) for folder in folders}
    if not masks:
        raise InputError(f"wanted a folder of masks per class in {root / 'masks'}, there is none")
    strange = [f"{name}/{stem}" for name, files in masks.items() for stem in files if stem not in images]
    if strange:
        raise InputError(f"wanted an image in {root / 'image'} for each mask; {', '.join(strange[:3])} have none")
    examples = []
    for stem, path in images.items():
        files = tuple(files.get(stem) for files in masks.values())
        examples.append(ScoreExample(path.name, path.name, None, path, marks=Marks(partial(_binary, files))))
    bare = sum(all(stem not in files for files in masks.values()) for stem in images)
    notes = (f"{bare} images have no mask of any class: taken as free of all",) if bare else ()
    return ScoreData(root.name, tuple(masks), kind, tuple(examples), notes=notes)


def read_marked_boxes(path: Path, answer: str) -> ScoreData:
    """Boxes in any format of `read_boxes`; inside a box is its class, and elsewhere none.

    Raises:
        InputError: as `read_boxes`.
    """
    kind = settled(answer, "multi-label", KINDS, "boxes")
    found = read_boxes(path)
    classes = tuple(sorted(set(found.boxes["label"])))
    if not classes:
        raise InputError(f"{path} holds no box; wanted at least one of each class")
    notes = () if found.complete_region is None else ("the complete region of the labels is not heeded: whole images are learnt",)
    by_file = dict(tuple(found.boxes.groupby("file")))
    examples = []
    for name, image in found.images.items():
        boxes = by_file.get(name, found.boxes.iloc[:0])
        examples.append(ScoreExample(name, name, None, image, marks=Marks(partial(_inside, boxes, classes))))
    return ScoreData(path.stem, classes, kind, tuple(examples), notes=notes)


def _by_name(folder: Path) -> dict[str, Path]:
    found = find_pictures(folder)
    if not found:
        raise InputError(f"the folder {folder} holds no picture; wanted {', '.join(SUFFIXES)} files in it")
    return {p.stem: p for p in found}


def _of_map(labels: NDArray[np.int32], classes: tuple[str, ...]) -> Marks:
    small = labels.astype(np.uint8)
    return Marks(lambda shape: _as_large(np.stack([small == k for k in range(1, len(classes) + 1)]), shape))


def _binary(files: tuple[Path | None, ...], shape: tuple[int, int]) -> NDArray[np.bool_]:
    masks = np.zeros((len(files), *shape), bool)
    for k, path in enumerate(files):
        if path is None:
            continue
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if mask is None:
            raise InputError(f"the mask {path} cannot be read")
        masks[k] = _as_large((mask if mask.ndim == 2 else mask[..., :3].max(axis=2))[None] > 0, shape)[0]
    return masks


def _as_large(masks: NDArray[np.bool_], shape: tuple[int, int]) -> NDArray[np.bool_]:
    if masks.shape[1:] != shape:
        raise InputError(
            f"the image is {shape[1]} x {shape[0]} px, its mask {masks.shape[2]} x {masks.shape[1]} px; wanted the same"
        )
    return masks


def _inside(boxes: pd.DataFrame, classes: tuple[str, ...], shape: tuple[int, int]) -> NDArray[np.bool_]:
    masks = np.zeros((len(classes), *shape), bool)
    corners = np.clip(np.rint(boxes[list(CORNERS)].to_numpy(float) + 0.5).astype(int), 0, None)
    for label, (x0, y0, x1, y1) in zip(boxes["label"], corners, strict=True):
        masks[classes.index(label), y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)] = True
    return masks
