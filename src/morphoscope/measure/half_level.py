"""Outlines moved to where the picture says that particles end: half-way between their grey level and their surroundings'.

Masks that a network has learnt from people's outlines are as wide or tight as people draw. Where blur alone softens the edge, the
half level is where the edge is.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int32]
Grey = NDArray[np.float32]
Array = NDArray[np.float64]
STEPS = 4  # bins a px in which the grey level across an outline is averaged
SMOOTH_PX = 0.7
EVEN_PX = 1.0  # smoothing of depths, so that outlines can move by less than a pixel
CLEAR = 1.0  # of the spreads of the levels inside and outside together: a lower step moves nothing


def at_half_level(image: NDArray[Any], labels: Labels, *, reach_px: float) -> Labels:
    """The same particles, each grown or shrunk evenly until its edge towards the background lies at half level.

    The levels inside and outside are those from `reach_px` to twice that from the outline. Lines between touching particles stay,
    and a particle stays as it is where there is no clear step, or no background beside it.

    Args:
        image: (h, w), grey.
        labels: (h, w), 0 background.
        reach_px: farthest an outline is moved.

    Returns:
        (h, w), the same labels; none vanishes.
    """
    if not labels.any() or labels.all():
        return labels
    depth, owner = _depths(labels, 2 * reach_px)
    near = np.flatnonzero(owner)
    depth, owner = depth.ravel()[near], owner.ravel()[near]
    grey = np.asarray(cv2.GaussianBlur(image.astype(np.float32), (0, 0), SMOOTH_PX), np.float32).ravel()[near]
    edge, clear = _half(grey, depth, owner, reach_px)
    out = labels.ravel().copy()
    within = clear[owner] & (np.abs(depth) <= reach_px)
    out[near[within]] = np.where(depth > edge[owner], np.where(out[near] > 0, out[near], owner), 0)[within]
    return out.reshape(labels.shape)


def _depths(labels: Labels, reach: float) -> tuple[Grey, Labels]:
    """Px below (positive) or off (negative) the line between particles and background, and whose pixel it is, 0 beyond reach."""
    inside = labels > 0
    below = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 5)
    off, nearest = cv2.distanceTransformWithLabels((~inside).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    whose = np.zeros(int(nearest.max()) + 1, np.int32)
    whose[nearest[inside]] = labels[inside]
    depth = np.asarray(cv2.GaussianBlur(np.where(inside, below - 0.5, 0.5 - off), (0, 0), EVEN_PX), np.float32)
    owner = np.where(np.abs(depth) <= reach, whose[nearest], 0)
    return depth, owner.astype(np.int32)


def _half(grey: NDArray[np.float32], depth: NDArray[np.float32], owner: Labels, reach: float) -> tuple[Array, NDArray[np.bool_]]:
    """The depth (n,) at which each particle's mean level is half-way, and whether that is clear.

    Of all depths it is the one that parts pixels best: those below look more like the inside, those above more like the outside.
    """
    count, half_bins = int(owner.max()) + 1, int(np.ceil(2 * reach * STEPS))
    place = owner.astype(np.int64) * 2 * half_bins + np.clip(
        np.floor(depth * STEPS).astype(np.int64) + half_bins, 0, 2 * half_bins - 1
    )
    shape = (count, 2 * half_bins)
    number, total, square = (
        np.bincount(place, weights, minlength=count * 2 * half_bins).reshape(shape)
        for weights in (None, grey, grey.astype(np.float64) ** 2)
    )
    middle, far = half_bins, half_bins // 2
    outside, inside = (slice(0, middle - far), slice(middle + far, None))
    outer, inner = ([part[:, side].sum(axis=1) for part in (number, total, square)] for side in (outside, inside))
    with np.errstate(invalid="ignore", divide="ignore"):
        low, high = outer[1] / outer[0], inner[1] / inner[0]
        spread = sum(np.sqrt(np.maximum(part[2] / part[0] - (part[1] / part[0]) ** 2, 0)) for part in (outer, inner))
        clear = np.abs(high - low) > CLEAR * spread
    level, sign = np.where(clear, (low + high) / 2, 0.0), np.where(clear, np.sign(high - low), 0.0)
    gain = np.cumsum((sign[:, None] * (total - level[:, None] * number))[:, ::-1], axis=1)[:, ::-1]
    first, end = middle - far, middle + far + 1
    best = (gain[:, first:end].argmax(axis=1) + first - middle) / STEPS
    return best, clear
