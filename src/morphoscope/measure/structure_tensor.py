"""Directions of line-like structures by the structure tensor.

The direction along which grey values change least within a small window, and how much less than across it (Bigun and Granlund,
Proc. ICCV 1987, 433; for fibres Rezakhaniha et al., Biomech. Model. Mechanobiol. 11 (2012) 461, doi 10.1007/s10237-011-0325-z).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from morphoscope.measure.alignment import Directions

GRADIENT_PX, WINDOW_PX = 1.0, 2.0  # widths (standard deviation) of the derivatives and of the window, on wires 3 to 10 px wide
LEAST = 1e-6  # of the greatest grey value per px: what is less is rounding

Float = NDArray[np.float32]


class Tensor(NamedTuple):
    """Directions (h, w) whose length is the coherence, 0 to 1, and the strength of edges (h, w) in grey values per px."""

    field: Directions
    strength: Float


def gradients(image: NDArray[Any], *, sigma_px: float = GRADIENT_PX) -> tuple[Float, Float]:
    """Derivatives of a grey image (h, w) along x to the right and y upwards, smoothed by a Gaussian: grey values per px.

    0 where they are less than rounding makes them.
    """
    values: NDArray[Any] = image if image.dtype == np.float64 else image.astype(np.float32)
    least = np.float32(LEAST * float(np.abs(values).max(initial=0.0)))
    level = (values - float(np.median(values))).astype(np.float32)  # else a flat picture has gradients of rounding
    smooth = cv2.GaussianBlur(level, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT_101)
    half = np.array([[-0.5, 0.0, 0.5]], np.float32)
    along = cv2.filter2D(smooth, -1, half, borderType=cv2.BORDER_REFLECT_101)
    up = -cv2.filter2D(smooth, -1, half.T, borderType=cv2.BORDER_REFLECT_101)
    gx, gy = (np.asarray(np.where(np.abs(part) < least, 0, part), np.float32) for part in (along, up))
    return gx, gy


def structure_tensor(image: NDArray[Any], *, sigma_px: float = GRADIENT_PX, window_px: float = WINDOW_PX) -> Tensor:
    """How structures run at each pixel of a grey image (h, w).

    Args:
        image: grey values, finite.
        sigma_px: width (standard deviation) of the Gaussian that derivatives are taken with.
        window_px: width of the Gaussian window that the tensor is averaged over.
    """
    gx, gy = gradients(image, sigma_px=sigma_px)
    parts = np.dstack([gx * gx, gx * gy, gy * gy])
    xx, xy, yy = np.moveaxis(cv2.GaussianBlur(parts, (0, 0), window_px, borderType=cv2.BORDER_REFLECT_101), 2, 0)
    trace = xx + yy
    least = max(1e-7 * float(trace.max(initial=0.0)), 1e-30)
    cos2, sin2 = (yy - xx) / np.maximum(trace, least), -2 * xy / np.maximum(trace, least)
    return Tensor(Directions(cos2, sin2), np.sqrt(np.maximum(trace, 0)))


def edges(strength: Float) -> NDArray[np.bool_]:
    """Where edges are (h, w): above the level that splits their strengths best (Otsu, IEEE Trans. SMC 9 (1979) 62)."""
    top = float(np.percentile(strength, 99.5)) if strength.size else 0.0
    if top <= 0:
        return np.zeros(strength.shape, bool)
    scaled = np.clip(strength * (255 / top), 0, 255).astype(np.uint8)
    level, _ = cv2.threshold(scaled, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return np.asarray(scaled > level)
