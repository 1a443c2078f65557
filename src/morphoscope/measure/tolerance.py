"""Masks of thin things such as cracks, compared with true ones up to a tolerance."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

TOLERANCES_PX = (0.0, 2.0, 5.0)


def within(found: NDArray[Any], true: NDArray[Any], tolerance_px: float) -> tuple[float, float]:
    """Precision and recall of a mask up to a tolerance.

    A found pixel is right if a true one lies within the tolerance (distance of the pixels' centres), and a true pixel is found
    if a found one does, as is usual for cracks (Shi et al., doi 10.1109/TITS.2016.2552248; Zou et al., doi
    10.1016/j.patrec.2011.11.004). The mean over images of each, and their harmonic mean, are the published figures.

    Args:
        found: mask (h, w), true where something was found.
        true: mask (h, w).
        tolerance_px: 0 for the pixels themselves.

    Returns:
        precision (1 where nothing was found) and recall (1 where there is nothing to find).
    """
    found, true = np.asarray(found, bool), np.asarray(true, bool)
    right = (distance(true)[found] <= tolerance_px).mean() if found.any() else 1.0
    seen = (distance(found)[true] <= tolerance_px).mean() if true.any() else 1.0
    return float(right), float(seen)


def distance(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Distance (h, w) in px of each pixel to the nearest one of a mask, infinite where there is none."""
    if not mask.any():
        return np.full(mask.shape, np.inf, np.float32)
    return np.asarray(cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32)


def f1(precision: float, recall: float) -> float:
    """Harmonic mean; 0 where both are 0."""
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0
