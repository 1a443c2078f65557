"""Whole images as classifiers see them; the same code serves training and inference."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from morphoscope.errors import InputError
from morphoscope.measure.info_bar import find_info_bar
from morphoscope.models.preprocess import with_channels

STANDARD = "standard-rgb-1"
STEP = 32  # sides are brought to a multiple of this, the stride of the networks
LONGEST = 2  # times the shorter side that the longer one may have; of longer images the middle is seen
FARTHEST = 4.0  # values are clipped to -4..4
LEAST = 16  # px of an image


def standard_view(image: NDArray[Any], *, view_px: int) -> NDArray[np.float32]:
    """An image as a classifier sees it (version `standard-rgb-1`): (3, h, w), mean 0 and standard deviation 1.

    An info bar below is cut away, the shorter side is brought to `view_px` and both to a multiple of 32 px. All channels have one
    mean and one spread, so colours stay and brightness, contrast and bit depth do not matter.

    Args:
        image: (h, w), or (h, w, 3) in the order red, green, blue, of any real dtype.
        view_px: px of the shorter side.

    Raises:
        InputError: another shape, fewer than 16 px, or values that are not finite.
    """
    stored = with_channels(image, 3 if image.ndim == 3 and image.shape[2] == 3 else 1)
    if min(stored.shape[:2]) < LEAST:
        raise InputError(f"wanted an image of at least {LEAST} x {LEAST} px, got {stored.shape[1]} x {stored.shape[0]} px")
    bar = find_info_bar(with_channels(stored, 1)[:, :, 0])
    seen = _middle(stored if bar is None else stored[:bar])
    height, width = (max(round(n * view_px / min(seen.shape[:2]) / STEP), 1) * STEP for n in seen.shape[:2])
    how = cv2.INTER_AREA if min(seen.shape[:2]) > view_px else cv2.INTER_LINEAR
    values = cv2.resize(seen.astype(np.float32), (width, height), interpolation=how).reshape(height, width, -1)
    mean, spread = float(values.mean(dtype=float)), float(values.std(dtype=float))
    values = (values - np.float32(mean)) * np.float32(1 / max(spread, 1e-6 * max(abs(mean), 1e-6)))
    planes = np.clip(values, -FARTHEST, FARTHEST).transpose(2, 0, 1)
    return np.ascontiguousarray(np.broadcast_to(planes, (3, height, width)))


def _middle(image: NDArray[Any]) -> NDArray[Any]:
    """The middle part of an image (h, w, c) whose longer side is at most `LONGEST` times the shorter one."""
    height, width = image.shape[:2]
    most = LONGEST * min(height, width)
    top, left = max((height - most) // 2, 0), max((width - most) // 2, 0)
    return image[top : top + most, left : left + most]
