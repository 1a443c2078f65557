"""What a network of classes learns: images with class maps, their crops, and the loss."""

from __future__ import annotations

import tomllib
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from morphoscope.errors import InputError
from morphoscope.models.class_maps import SMALLEST_PX
from morphoscope.train.label_images import LabelledImage, moved, read_pairs

ONLY = "foreground"  # name of the class of a mask of black and white
MOST = 254


def read_class_images(root: Path) -> tuple[list[LabelledImage], tuple[str, ...]]:
    """The pairs of `image/<name>.*` and `mask/<name>.*` in a folder, by name, and the names of the classes 1, 2, ...

    Grey values of a mask are classes, 0 is background; a mask of 0 and 255 has one class. A `labels.toml` in the folder may name
    them: `[classes]`, then lines such as `oxide = 1`.

    Raises:
        InputError: as `label_images.read_pairs`; grey values without a name, or no class at all.
    """
    pairs = read_pairs(root, "mask")
    values = sorted({int(v) for one in pairs for v in np.unique(one.labels)} - {0})
    if values == [255]:
        pairs = [LabelledImage(one.name, one.image, (one.labels > 0).astype(np.int32)) for one in pairs]
        values = [1]
    if not values:
        raise InputError(f"wanted masks with grey values above 0 (classes) in {root / 'mask'}, all are 0")
    if values[-1] > MOST:
        raise InputError(
            f"wanted masks whose grey values are classes 1 to {MOST}, or 0 and 255 alone; {root / 'mask'} has {values[-1]}"
        )
    return pairs, _names(root / "labels.toml", values)


def _names(path: Path, values: list[int]) -> tuple[str, ...]:
    """Names of the classes 1 to the highest that is there or named."""
    given: dict[str, int] = {}
    if path.is_file():
        try:
            given = tomllib.loads(path.read_text(encoding="utf-8")).get("classes", {})
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{path} is not valid TOML: {error}") from error
        if not all(isinstance(v, int) and 0 < v <= MOST for v in given.values()) or len(set(given.values())) < len(given):
            raise InputError(f"wanted a different grey value 1 to {MOST} for each of [classes] in {path}, got {given}")
    named = {v: k for k, v in given.items()}
    unnamed = [v for v in values if v not in named]
    if named and unnamed:
        raise InputError(f"{path} names no class for the grey values {', '.join(map(str, unnamed))} of the masks")
    highest = max([*values, *named])
    return (ONLY,) if highest == 1 and not named else tuple(named.get(k, f"class {k}") for k in range(1, highest + 1))


def typical_px(examples: list[LabelledImage]) -> float:
    """Median area-equivalent diameter (px) of the connected parts of class maps; nan where there are none."""
    area: list[int] = []
    for one in examples:
        for name in np.unique(one.labels[one.labels > 0]):
            _, _, stats, _ = cv2.connectedComponentsWithStats((one.labels == name).astype(np.uint8))
            area += stats[1:, cv2.CC_STAT_AREA].tolist()
    kept = np.array([a for a in area if a >= SMALLEST_PX], float)
    return float(np.sqrt(4 * np.median(kept) / np.pi)) if len(kept) else float("nan")


def class_crop(
    example: LabelledImage, size: int, rng: np.random.Generator, *, zoom: float | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """A random crop: input (1, s, s), class (1, s, s) of each pixel, valid (1, s, s); see `label_images.crop`."""
    image, labels = moved(example, size, rng, zoom=zoom or 1.0, cell=1)
    valid = labels >= 0
    return image[None], np.where(valid, labels, 0)[None].astype(np.float32), valid[None].astype(np.float32)


def class_loss(output: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Loss of logits (n, 1 + classes, h / 2, w / 2) against classes (n, 1, h, w) where `valid` (n, 1, h, w) is 1.

    Cross entropy and Dice of each class, at full resolution: the outline between two pixels of the maps is learnt too.
    """
    fine = torch.nn.functional.interpolate(output.float(), size=target.shape[2:], mode="bilinear", align_corners=False)
    true = target[:, 0].long()
    cross = (torch.nn.functional.cross_entropy(fine, true, reduction="none")[:, None] * valid).sum() / valid.sum().clamp(min=1)
    chance = torch.softmax(fine, dim=1)[:, 1:] * valid
    wanted = torch.nn.functional.one_hot(true, fine.shape[1]).movedim(-1, 1)[:, 1:] * valid
    overlap = (chance * wanted).sum(dim=(0, 2, 3))
    size = chance.sum(dim=(0, 2, 3)) + wanted.sum(dim=(0, 2, 3))
    return 2 * cross + (1 - (2 * overlap + 1) / (size + 1)).mean()
