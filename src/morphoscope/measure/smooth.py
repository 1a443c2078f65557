"""Gaussian smoothing whose cost does not grow with its width."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.float32]
FINE = 8  # a wide blur is made of a picture of this many px per standard deviation


def smoothed(grey: Grey, sigma_px: float) -> Grey:
    """A picture (h, w) blurred by a Gaussian of this standard deviation, 0 for none, mirrored at its rim.

    Wide blurs are made of a picture of fewer px. It is enlarged with cubic B-splines (linear interpolation and two means), since
    linear interpolation alone has false maxima on ridges; their variance and that of the reduction count as part of the blur's.
    """
    if sigma_px == 0:
        return grey
    step = int(sigma_px / FINE)
    if step < 2:
        return np.asarray(cv2.GaussianBlur(grey, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT))
    height, width = grey.shape
    small = cv2.resize(grey, (max(width // step, 1), max(height // step, 1)), interpolation=cv2.INTER_AREA)
    rest = float(np.sqrt((sigma_px / step) ** 2 - 5 / 12))
    small = cv2.GaussianBlur(small, (0, 0), rest, borderType=cv2.BORDER_REFLECT)
    large = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    for _ in range(2):
        large = cv2.blur(large, (step | 1, step | 1), borderType=cv2.BORDER_REFLECT)
    return np.asarray(large)
