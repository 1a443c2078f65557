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
    return np.array([pairs, len(areas(found)[0]) - pairs, len(areas(true)[0]) - pairs])


def areas(labels: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Labels (n,) in a label image (h, w), 0 background, and their areas (n,) in px."""
    names, area = np.unique(labels[labels > 0], return_counts=True)
    return names.astype(np.int64), area.astype(np.int64)


def diameters(labels: NDArray[Any]) -> NDArray[np.float64]:
    """Area-equivalent diameters (n,) in px of a label image (h, w), in order of the labels."""
    return np.asarray(np.sqrt(4 * areas(labels)[1] / np.pi))


def f1_of(counts: Counts) -> NDArray[np.float64]:
    """F1 of counts (..., 3)."""
    right, wrong, missed = np.moveaxis(counts, -1, 0)
    return np.asarray(2 * right / np.maximum(2 * right + wrong + missed, 1), float)


def iou_of(counts: Counts) -> NDArray[np.float64]:
    """Intersection over union (...) of counts (..., 3) of pixels; nan where a class is neither in the truth nor found."""
    union = counts.sum(axis=-1)
    return np.asarray(np.where(union > 0, counts[..., 0] / np.maximum(union, 1), np.nan), float)


def mean_iou(counts: Counts) -> NDArray[np.float64]:
    """Mean (...) over classes of the intersection over union of counts (..., classes, 3), of those true or found; else nan."""
    iou = iou_of(counts)
    known = np.isfinite(iou)
    number = known.sum(axis=-1)
    mean = np.where(known, iou, 0.0).sum(axis=-1) / np.maximum(number, 1)
    return np.asarray(np.where(number > 0, mean, np.nan), float)


def count_pixels(found: NDArray[Any], true: NDArray[Any], classes: int) -> Counts:
    """Right, wrong and missed pixels (classes, 3) of a class map; background is not among the classes."""
    table = np.bincount((true.astype(np.int64) * (classes + 1) + found).ravel(), minlength=(classes + 1) ** 2)
    table = table.reshape(classes + 1, classes + 1)
    right = table.diagonal()
    return np.stack([right, table.sum(axis=0) - right, table.sum(axis=1) - right], axis=1)[1:]
