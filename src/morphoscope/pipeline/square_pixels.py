"""Square pixels: pictures whose pixels are higher than wide, or wider, are resampled before angles are told."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from morphoscope.calibration import Calibration
from morphoscope.measure.alignment import Directions

UNEQUAL = 0.005  # of a px, which turns directions by less than 0.15 degrees


def are_square(calibration: Calibration) -> bool:
    """Whether pixels are about as high as wide; they are taken to be without a scale."""
    if calibration.pixel_size_nm is None:
        return True
    high, wide = calibration.pixel_size_nm
    return abs(high / wide - 1) <= UNEQUAL


def square_shape(shape: tuple[int, ...], calibration: Calibration) -> tuple[int, int]:
    """Rows and columns of a picture (h, w) in square pixels of the same area."""
    height, width = shape[:2]
    if calibration.pixel_size_nm is None or are_square(calibration):
        return height, width
    high, wide = (size / calibration.mean_pixel_nm for size in calibration.pixel_size_nm)
    return max(round(height * high), 1), max(round(width * wide), 1)


def resampled(image: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """A map or picture (h, w) at another size: means of what becomes one px, lines between px that become several."""
    if image.shape == shape:
        return image
    values = image.astype(np.float32)
    for height, width in ((shape[0], image.shape[1]), shape):
        less = height < values.shape[0] or width < values.shape[1]
        values = np.asarray(cv2.resize(values, (width, height), interpolation=cv2.INTER_AREA if less else cv2.INTER_LINEAR))
    return values


def resampled_field(field: Directions, shape: tuple[int, int]) -> Directions:
    """Directions (h, w) at another size; the angles stay what they are."""
    return Directions(*(resampled(part, shape) for part in field))
