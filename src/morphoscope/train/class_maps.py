"""What a network of classes learns: images with class maps, their crops, and the loss."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from morphoscope.io.label_images import read_classes
from morphoscope.models.class_maps import SMALLEST_PX
from morphoscope.train.label_images import LabelledImage, as_example, crop_matrix, turned

NEAR = 0.5  # share of crops about a pixel of a class
ABOUT = 0.15  # spread of the logarithm of the magnification
FARTHEST = 6.0  # scaled grey values are clipped to -6..6


def read_class_images(root: Path) -> tuple[list[LabelledImage], tuple[str, ...]]:
    """The images of a folder with their class maps, and the names of the classes; see `io.label_images.read_classes`."""
    pairs, classes = read_classes(root)
    return [as_example(one) for one in pairs], classes


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
    example: LabelledImage, size: int, rng: np.random.Generator, *, zoom: float | None = None, upright: bool = False
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """A random crop: input (1, s, s), class (1, s, s) of each pixel, valid (1, s, s).

    Grey values are scaled over the whole image, as they are when the network is used. Most crops lie about a pixel of a
    class, each class as often as the others, so that rare ones are learnt too. Magnified, stretched, turned, mirrored, changed in
    light, focus and noise; beyond the image nothing is learnt.

    Args:
        example: an image with its class map.
        size: s, px.
        rng: what chance decides.
        zoom: magnified about so much.
        upright: left and right are exchanged, but up stays up.
    """
    factor = (zoom or 1.0) * float(np.exp(rng.uniform(-ABOUT, ABOUT)))
    about = None
    if example.places and rng.random() < NEAR:
        pixels = example.places[int(rng.choice(list(example.places)))]
        about = tuple(pixels[rng.integers(len(pixels))].tolist())
    matrix = crop_matrix(example.image.shape, size, factor, rng, about=about)
    image = cv2.warpAffine(example.scaled, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    labels = cv2.warpAffine(example.labels.astype(np.float32), matrix, (size, size), flags=cv2.INTER_NEAREST, borderValue=-1)
    image, labels = turned(np.asarray(image), np.asarray(labels).astype(np.int32), rng, upright=upright)
    valid = labels >= 0
    return _relit(image, rng)[None], np.where(valid, labels, 0)[None].astype(np.float32), valid[None].astype(np.float32)


def _relit(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """A scaled crop in another light, now and then noisy or out of focus."""
    out = image * np.float32(np.exp(rng.normal(0, 0.15))) + np.float32(rng.normal(0, 0.2))
    if rng.random() < 0.3:
        out = out + rng.standard_normal(out.shape, dtype=np.float32) * np.float32(rng.uniform(0, 0.15))
    if rng.random() < 0.3:
        out = np.asarray(cv2.GaussianBlur(out, (0, 0), float(rng.uniform(0.3, 1.2))), np.float32)
    return np.asarray(np.clip(out, -FARTHEST, FARTHEST), np.float32)


def class_loss(output: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Loss of logits (n, 1 + classes, h / cell, w / cell) against classes (n, 1, h, w) where `valid` (n, 1, h, w) is 1.

    Cross entropy and Dice of each class, at full resolution: of coarser maps the outline between two pixels is learnt too.
    """
    fine = torch.nn.functional.interpolate(output.float(), size=target.shape[2:], mode="bilinear", align_corners=False)
    true = target[:, 0].long()
    cross = (torch.nn.functional.cross_entropy(fine, true, reduction="none")[:, None] * valid).sum() / valid.sum().clamp(min=1)
    chance = torch.softmax(fine, dim=1)[:, 1:] * valid
    wanted = torch.nn.functional.one_hot(true, fine.shape[1]).movedim(-1, 1)[:, 1:] * valid
    overlap = (chance * wanted).sum(dim=(0, 2, 3))
    size = chance.sum(dim=(0, 2, 3)) + wanted.sum(dim=(0, 2, 3))
    return 2 * cross + (1 - (2 * overlap + 1) / (size + 1)).mean()
