"""Input scaling, versioned: the same code serves training and inference."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from morphoscope.errors import InputError

ROBUST, UNIT, ROBUST_RGB = "robust-1", "unit-1", "robust-rgb-1"
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


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


def with_channels(image: NDArray[Any], channels: int) -> NDArray[Any]:
    """An image (h, w) or (h, w, 3) as (h, w, channels) in its dtype: grey is repeated, colour becomes its luma.

    Raises:
        InputError: another shape, or values that are not finite.
    """
    if image.ndim not in (2, 3) or 0 in image.shape or (image.ndim == 3 and image.shape[2] not in (1, 3)):
        raise InputError(f"wanted an image (h, w) or (h, w, 3), got an array of shape {image.shape}")
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise InputError("wanted finite values, the image holds nan or infinity; set them to the background first")
    image = image[..., None] if image.ndim == 2 else image
    if image.shape[2] == channels:
        return image
    if channels == 3:
        return np.repeat(image, 3, axis=2)
    luma = image.astype(np.float32) @ LUMA
    return np.asarray(np.rint(luma).astype(image.dtype) if image.dtype.kind in "ui" else luma)[..., None]


def unit_scaling(image: NDArray[Any]) -> tuple[NDArray[np.float32], float]:
    """What to subtract of each channel, and what to divide by, so that the full range of the dtype is 0..1 (version `unit-1`).

    Raises:
        InputError: floats beyond 0..1, or another dtype than bool, integers and floats.
    """
    none = np.zeros(image.shape[2], np.float32)
    if image.dtype.kind == "b":
        return none, 1.0
    if image.dtype.kind in "ui":
        return none, float(np.iinfo(image.dtype).max)
    if image.dtype.kind != "f":
        raise InputError(f"wanted an image of integers or floats, got {image.dtype}")
    low, high = float(image.min()), float(image.max())
    if low < 0 or high > 1:
        raise InputError(
            f"this model wants the full range of an image as 0..1; the image holds floats from {low:.4g} to {high:.4g}, whose "
            "range is not known: divide them by the greatest value that the camera gives"
        )
    return none, 1.0


def robust_rgb_scaling(image: NDArray[Any]) -> tuple[NDArray[np.float32], float]:
    """The same so that each channel has median 0 and all have one unit spread (version `robust-rgb-1`); see `robust_scale`."""
    shape = (max(image.shape[1] // 8, 1), max(image.shape[0] // 8, 1))
    kept = image if image.dtype in (np.uint8, np.uint16, np.float32) else image.astype(np.float32)
    small = cv2.resize(kept, shape, interpolation=cv2.INTER_AREA).astype(np.float32).reshape(-1, image.shape[2])
    middle = np.median(small, axis=0)
    low, high = np.percentile(small - middle, (10, 90))
    spread = max((high - low) / 2, 1e-3 * float(np.abs(middle).max()), 1e-6)
    return middle.astype(np.float32), float(spread)
