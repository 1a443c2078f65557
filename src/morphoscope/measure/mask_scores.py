"""How well masks agree with true ones: particles paired one to one, and pixels of classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from morphoscope.measure.matching import match_labels

Counts = NDArray[np.int64]
IOU = 0.5


def count_matches(found: NDArray[Any], true: NDArray[Any], cutoff: float = IOU) -> Counts:
    """Right, wrong and missed particles (3,) of a label image (h, w), greedily paired one to one down to an IoU."""
    pairs = len(match_labels(found, true, cutoff))
    return np.array([pairs, _number(found) - pairs, _number(true) - pairs])


def _number(labels: NDArray[Any]) -> int:
    return len(np.unique(labels[labels != 0]))


def f1_of(counts: Counts) -> NDArray[np.float64]:
    """F1 of counts (..., 3)."""
    right, wrong, missed = np.moveaxis(counts, -1, 0)
    return np.asarray(2 * right / np.maximum(2 * right + wrong + missed, 1), float)


def iou_of(counts: Counts) -> NDArray[np.float64]:
    """Intersection over union (...) of counts (..., 3) of pixels."""
    return np.asarray(counts[..., 0] / np.maximum(counts.sum(axis=-1), 1), float)


def mean_iou(counts: Counts) -> NDArray[np.float64]:
    """Mean (...) over classes of the intersection over union of counts (..., classes, 3)."""
    return np.asarray(iou_of(counts).mean(axis=-1))


def count_pixels(found: NDArray[Any], true: NDArray[Any], classes: int) -> Counts:
    """Right, wrong and missed pixels (classes, 3) of a class map; background is not among the classes."""
    table = np.bincount((true.astype(np.int64) * (classes + 1) + found).ravel(), minlength=(classes + 1) ** 2)
    table = table.reshape(classes + 1, classes + 1)
    right = table.diagonal()
    return np.stack([right, table.sum(axis=0) - right, table.sum(axis=1) - right], axis=1)[1:]
