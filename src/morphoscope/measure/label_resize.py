"""Label images brought to another number of pixels with smooth outlines: nearest pixels would make stairs of them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int32]
EVEN_PX = 1.0  # standard deviation of the smoothing of depths: less leaves stairs, more makes corners round


def resized_labels(labels: Labels, shape: tuple[int, int]) -> Labels:
    """The same labels in an image of another shape, each with its share of the area.

    The depth below the outline is smoothed and interpolated, and a label is its deepest pixels.

    Args:
        labels: (h, w), 0 for the background.
        shape: (h', w') wanted of the same field.

    Returns:
        (h', w'): the same values. Only labels that are nearest to no pixel vanish.
    """
    if labels.shape == shape or not labels.any():
        return labels if labels.shape == shape else np.zeros(shape, np.int32)
    depth, owner = _depths(labels)
    y, x = (
        np.clip(np.rint((np.arange(n) + 0.5) * m / n - 0.5).astype(np.int64), 0, m - 1)
        for n, m in zip(shape, labels.shape, strict=True)
    )
    fine = cv2.resize(depth, shape[::-1], interpolation=cv2.INTER_LINEAR).ravel()
    whose = owner[y[:, None], x].ravel()
    area = np.bincount(labels.ravel()) * (shape[0] * shape[1] / labels.size)
    near = np.flatnonzero(fine > -2)
    order = near[np.lexsort((-fine[near], whose[near]))]
    first = np.searchsorted(whose[order], np.arange(len(area)))
    rank = np.arange(len(order)) - first[whose[order]]
    own = order[rank < np.maximum(np.rint(area), 1)[whose[order]]]
    out = np.zeros(shape[0] * shape[1], np.int32)
    out[own] = whose[own]
    return out.reshape(shape)


def _depths(labels: Labels) -> tuple[NDArray[np.float32], Labels]:
    """Smoothed px below (positive) or off (negative) the outline, and the label nearest to each pixel."""
    inside = labels > 0
    if inside.all():
        return np.ones(labels.shape, np.float32), labels
    below = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    outside = (~inside).astype(np.uint8)
    off, nearest = cv2.distanceTransformWithLabels(outside, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    whose = np.zeros(int(nearest.max()) + 1, np.int32)
    whose[nearest[inside]] = labels[inside]
    depth = cv2.GaussianBlur(np.where(inside, below - 0.5, 0.5 - off).astype(np.float32), (0, 0), EVEN_PX)
    return np.asarray(depth, np.float32), whose[nearest]
