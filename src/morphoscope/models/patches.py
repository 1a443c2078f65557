"""Images as networks of patches see them, and where the patches lie; the same code serves training and inference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from morphoscope.errors import InputError, ModelError
from morphoscope.models.preprocess import ROBUST_RGB, UNIT, robust_rgb_scaling, unit_scaling, with_channels

FARTHEST = 6.0  # values of robust-rgb-1 are clipped to -6..6


class PatchImage:
    """An image resized for a network of patches, read in parts as it sees them.

    Args:
        image: (h, w) or (h, w, 3) in the order red, green, blue, of any real dtype.
        channels: 1 or 3 that the network takes.
        preprocess: the input scaling, `unit-1` or `robust-rgb-1`, over the whole image.
        zoom: the image is resized by this.

    Raises:
        InputError: another shape, or values that the scaling has no place for.
        ModelError: an unknown input scaling.
    """

    def __init__(self, image: NDArray[Any], *, channels: int, preprocess: str, zoom: float = 1.0) -> None:
        if preprocess not in (UNIT, ROBUST_RGB):
            raise ModelError(f"this version knows the input scaling {UNIT!r} and {ROBUST_RGB!r}, not {preprocess!r}")
        stored = with_channels(image, channels)
        self.zoom = zoom
        self._middle, spread = (unit_scaling if preprocess == UNIT else robust_rgb_scaling)(stored)
        self._values = stored if zoom == 1 else _resized(stored, zoom)
        self._factor, self._clip = np.float32(1 / spread), preprocess == ROBUST_RGB

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the resized image."""
        return self._values.shape[0], self._values.shape[1]

    def read(self, y: int = 0, x: int = 0, height: int | None = None, width: int | None = None) -> NDArray[np.float32]:
        """A part (channels, height, width) as the network sees it; all of the image from (y, x) on where no size is given."""
        part = self._values[y : None if height is None else y + height, x : None if width is None else x + width]
        seen = np.ascontiguousarray(part.transpose(2, 0, 1)).astype(np.float32)
        if self._clip:
            seen -= self._middle[:, None, None]
        seen *= self._factor
        return np.clip(seen, -FARTHEST, FARTHEST, out=seen) if self._clip else seen


@dataclass(frozen=True)
class PatchGrid:
    """Where patches begin in a resized image: `rows` x `columns` from (y, x) on, `stride` px apart, each `side` px wide."""

    rows: int
    columns: int
    y: int
    x: int
    stride: int
    side: int

    @property
    def corners(self) -> NDArray[np.int64]:
        """First px (y, x) of each patch, row by row: (rows * columns, 2)."""
        ys, xs = self.y + self.stride * np.arange(self.rows), self.x + self.stride * np.arange(self.columns)
        return np.stack(np.meshgrid(ys, xs, indexing="ij"), axis=-1).reshape(-1, 2)


def patch_grid(shape: tuple[int, int], side: int, stride: int) -> PatchGrid:
    """The most patches that fit an image (h, w), all within it; what is left over is shared by its two sides.

    Raises:
        InputError: the image is smaller than a patch.
    """
    height, width = shape
    if min(shape) < side:
        raise InputError(f"the image is smaller than a patch: {width} x {height} px, a patch is {side} px wide at that size")
    rows, columns = ((n - side) // stride + 1 for n in shape)
    y, x = ((n - side) % stride // 2 for n in shape)
    return PatchGrid(rows, columns, y, x, stride, side)


def _resized(image: NDArray[Any], zoom: float) -> NDArray[np.float32]:
    height, width = (max(round(n * zoom), 1) for n in image.shape[:2])
    how = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
    resized = cv2.resize(image.astype(np.float32), (width, height), interpolation=how)
    return np.asarray(resized, np.float32).reshape(height, width, image.shape[2])
