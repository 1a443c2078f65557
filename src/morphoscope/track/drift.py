"""How the picture moved: drift and sudden stage jumps, measured from image content.

What is burnt into a frame (text, a scale bar, a cursor) has sharper edges than any picture a lens makes, or
is the whitest or blackest there is: it is masked. A coarse phase correlation on reduced frames proposes shifts; each is
judged by the median correlation of many blocks. The best is refined to a fraction of a pixel by least squares on
grey-value gradients (Lucas and Kanade 1981), first per block, then over all blocks that agree, so that objects that
appear or move by themselves have no say. From shifts to the place of each frame leads `displacement`.
"""

from __future__ import annotations

import math
import threading
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2

from morphoscope.errors import InputError
from morphoscope.track.displacement import JUMP_PX
from morphoscope.track.subpixel import Plane, Reduced, agreement, refine

Array = NDArray[np.float64]
SHARP = 6.0  # an edge this many times steeper than the median is burnt in
EXTREME = 0.02  # and so are patches this near to the darkest or brightest grey value, as a part of the range
MOST_MASKED = 0.25  # if more than this part of a frame seems burnt in, it is noise, and nothing is masked
WIDE = (31, 31)  # of the mean that is taken off, in px of the reduced frame
MIN_QUALITY = 0.1
CLIP = 3.0  # grey values are cut at this many standard deviations
SAME = 0.6  # agreement at shift 0 from which a frame is taken for hardly moved
PROPOSALS = 3


class Shift(NamedTuple):
    """Content moved by (dx, dy) px from one frame to the next.

    `quality` is the correlation of the frames after the shift, over the blocks that agree, from 0.1 to 1; where it is 0, nothing
    was recognised and the shift is 0. `jump` marks a shift longer than the registrar's `jump_px`.
    """

    dx: float
    dy: float
    quality: float
    jump: bool


class View:
    """A frame on its way to being compared with others: reduced once, when first needed, whichever thread needs it."""

    def __init__(self, registrar: Registrar, frame: NDArray[Any]) -> None:
        self._registrar, self._frame = registrar, frame
        self._made: Reduced | None = None
        self._lock = threading.Lock()

    @property
    def reduced(self) -> Reduced:
        """The reduced frame; the frame itself is then let go."""
        with self._lock:
            if self._made is None:
                self._made = self._registrar._reduce(self._frame)
                del self._frame
            return self._made


class Registrar:
    """Measures shifts between frames (h, w) of one shape; results depend on the two frames alone."""

    def __init__(self, shape: tuple[int, int], *, jump_px: float = JUMP_PX) -> None:
        self.shape = (int(shape[0]), int(shape[1]))
        self.jump_px = jump_px
        step = 2 if min(self.shape) >= 200 else 1
        self._size = (max(self.shape[1] // step, 1), max(self.shape[0] // step, 1))
        self._coarse = (_even_size(self._size[0] / 2), _even_size(self._size[1] / 2))
        self._scale = (self.shape[1] / self._size[0], self.shape[0] / self._size[1])
        self._window = np.outer(np.hanning(self._coarse[1]), np.hanning(self._coarse[0])).astype(np.float32)

    def view(self, frame: NDArray[Any]) -> View:
        """A frame (h, w) of any real dtype, to be passed to `between` as often as wanted. It must not change until then.

        Raises:
            InputError: the frame has another shape.
        """
        if frame.shape != self.shape:
            raise InputError(f"wanted frames of {self.shape} px (h, w), got {frame.shape}; pass frames of one size")
        return View(self, frame)

    def shift(self, previous: NDArray[Any], current: NDArray[Any]) -> Shift:
        """The shift of the content from `previous` to `current`, both (h, w), any real dtype.

        Raises:
            InputError: a frame has another shape.
        """
        return self.between(self.view(previous), self.view(current))

    def between(self, earlier: View, later: View) -> Shift:
        """The shift of the content from one frame to another."""
        before, after = earlier.reduced, later.reduced
        dx, dy, quality = refine(before, after, *self._start(before.plane, after.plane))
        if quality < MIN_QUALITY:
            return Shift(0.0, 0.0, 0.0, False)
        dx, dy = dx * self._scale[0], dy * self._scale[1]
        return Shift(dx, dy, min(quality, 1.0), math.hypot(dx, dy) > self.jump_px)

    def _reduce(self, frame: NDArray[Any]) -> Reduced:
        """Reduced, freed from shading, noise and what is burnt in, outliers clipped, unit spread."""
        image = frame if frame.dtype in (np.uint8, np.uint16) else frame.astype(np.float32)
        small = np.asarray(cv2.resize(image, self._size, interpolation=cv2.INTER_AREA), dtype=np.float32)
        burnt = _burnt_in(image, self._size)
        valid = None
        if burnt is None:
            mean = cv2.blur(small, WIDE, borderType=cv2.BORDER_REFLECT)
        else:
            valid = np.asarray(burnt == 0, dtype=np.float32)
            weight = cv2.blur(valid, WIDE, borderType=cv2.BORDER_REFLECT)
            mean = cv2.blur(small * valid, WIDE, borderType=cv2.BORDER_REFLECT) / np.maximum(weight, 1e-3)
            small = np.where(valid > 0, small, mean)
        plane = cv2.GaussianBlur(small, (5, 5), 1.0) - mean
        if valid is not None:
            plane *= valid
        spread = 1.4826 * float(np.median(np.abs(plane[::5, ::5]))) or float(plane.std())
        if not spread > 0:
            return Reduced(np.zeros_like(small), valid)
        return Reduced(np.asarray(np.clip(plane / spread, -CLIP, CLIP), dtype=np.float32), valid)

    def _start(self, before: Plane, after: Plane) -> tuple[float, float]:
        """The proposed shift (reduced px) on which most blocks agree."""
        a, b = (np.asarray(cv2.resize(p, self._coarse, interpolation=cv2.INTER_AREA), np.float32) for p in (before, after))
        if agreement(a, b, 0, 0) > SAME:
            return 0.0, 0.0
        product = rfft2(b * self._window) * np.conj(rfft2(a * self._window))
        plane = irfft2(product / (np.abs(product) + 1e-9), s=a.shape)
        plane = np.asarray(cv2.GaussianBlur(plane, (3, 3), 0.7, borderType=cv2.BORDER_REFLECT), dtype=np.float32)
        width, height = self._coarse
        proposals = [(0, 0)]
        for _ in range(PROPOSALS):
            y, x = divmod(int(plane.argmax()), width)
            proposals.append((x - width * (2 * x > width), y - height * (2 * y > height)))
            plane[np.ix_(np.arange(y - 2, y + 3) % height, np.arange(x - 2, x + 3) % width)] = -1
        x, y = max(proposals, key=lambda p: agreement(a, b, *p))
        return x * self._size[0] / width, y * self._size[1] / height


def shift_variance(quality: Array) -> Array:
    """What to expect of the squared error (px^2, per axis) of a shift with that quality, as drawn videos show it."""
    odds = (1 - quality) / np.maximum(quality, 1e-3)
    return np.asarray(0.04 * (odds + odds**2) + 1e-4)


def _even_size(length: float) -> int:
    """A near length that transforms fast."""
    return max(int(next_fast_len(max(round(length), 2), real=True)), 2)


def _burnt_in(image: NDArray[Any], size: tuple[int, int]) -> NDArray[np.uint8] | None:
    """1 where something is burnt in, with a margin, in a plane of that (width, height); None where nothing is."""
    kernel = np.ones((3, 3), np.uint8)
    edge = cv2.subtract(cv2.dilate(image, kernel), cv2.erode(image, kernel))
    steep = np.asarray(edge > SHARP * float(np.median(edge[::5, ::5])), dtype=np.uint8)
    low, high = float(image.min()), float(image.max())
    margin = EXTREME * (high - low)
    steep |= cv2.inRange(image, low + margin, high - margin) == 0
    steep = np.asarray(cv2.morphologyEx(steep, cv2.MORPH_OPEN, kernel), dtype=np.uint8)
    share = cv2.countNonZero(steep) / image.size
    if share == 0 or share > MOST_MASKED:
        return None
    small = np.asarray(cv2.resize(steep * 255, size, interpolation=cv2.INTER_AREA) > 0, dtype=np.uint8)
    burnt = np.asarray(cv2.dilate(small, np.ones((9, 9), np.uint8)), dtype=np.uint8)
    return None if cv2.countNonZero(burnt) > MOST_MASKED * burnt.size else burnt
