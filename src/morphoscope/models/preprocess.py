"""Input scaling, versioned: the same code serves training and inference."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

ROBUST = "robust-1"


def robust_scale(image: NDArray[Any]) -> NDArray[np.float32]:
    """The image (h, w) as float32 with median 0 and unit spread, clipped to -6..6 (version `robust-1`).

    Median and spread (half the distance between the 10th and the 90th percentile) are taken from 8x8 px means, so
    pixel noise hardly changes them.
    """
    scaled = image.astype(np.float32)
    small = cv2.resize(scaled, (max(image.shape[1] // 8, 1), max(image.shape[0] // 8, 1)), interpolation=cv2.INTER_AREA)
    low, middle, high = np.percentile(small, (10, 50, 90))
    spread = max((high - low) / 2, 1e-3 * max(abs(float(middle)), 1e-6), 1e-6)
    scaled -= np.float32(middle)
    scaled /= np.float32(spread)
    return np.clip(scaled, -6, 6, out=scaled)
