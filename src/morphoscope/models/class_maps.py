"""Post-processing of a network that names the class of each pixel (version `classes-1`): logits to a class map and its parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

CLASSES = "classes-1"
SMALLEST_PX = 3  # px of the image that a part has at least
ClassMap = NDArray[np.uint8]


def class_outputs(classes: Sequence[str]) -> tuple[str, ...]:
    """Names of a network's maps: that of the background has none."""
    return ("", *classes)


def shown(maps: NDArray[np.float32], shape: tuple[int, int]) -> tuple[NDArray[np.float32], ClassMap]:
    """What the network's maps (1 + classes, h', w') show in an image of `shape`, logits interpolated.

    Returns:
        the probability (h, w) of anything but background (the softmax of all maps, the first is the background's), and the
        likeliest class (h, w) beside it, from 1.
    """
    fine = [cv2.resize(one, shape[::-1], interpolation=cv2.INTER_LINEAR) for one in maps]
    best, highest = np.ones(shape, np.uint8), fine[1].copy()
    for k in range(2, len(fine)):
        best[fine[k] > highest] = k
        np.maximum(highest, fine[k], out=highest)
    others = highest + np.log(np.sum([np.exp(one - highest) for one in fine[1:]], axis=0))
    return np.asarray(1 / (1 + np.exp(np.clip(fine[0] - others, -40, 40))), np.float32), best


def class_map(maps: NDArray[np.float32], shape: tuple[int, int], threshold: float) -> ClassMap:
    """Class of each pixel (h, w), 0 for background.

    Args:
        maps: the network's logits (1 + classes, h', w').
        shape: of the image.
        threshold: least probability of anything but background.
    """
    probability, best = shown(maps, shape)
    return np.where(probability > threshold, best, 0).astype(np.uint8)


def parts(classes: NDArray[Any]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The connected parts (side by side or corner to corner) of each class of a class map (h, w).

    Returns:
        a label image (h, w), class by class, without parts of fewer than `SMALLEST_PX`, and the class (n,) of labels 1, 2, ...
    """
    labels, number, owner = np.zeros(classes.shape, np.int32), 0, []
    for name in np.unique(classes[classes > 0]).tolist():
        _, found = cv2.connectedComponents((classes == name).astype(np.uint8), connectivity=8)
        kept = np.bincount(found.ravel()) >= SMALLEST_PX
        kept[0] = False
        labels += np.where(kept, np.cumsum(kept) + number, 0)[found].astype(np.int32)
        number += int(kept.sum())
        owner += [name] * int(kept.sum())
    return labels, np.array(owner, np.int64)
