"""How the picture moved: drift and sudden stage jumps, measured from image content.

A coarse phase correlation on reduced frames proposes shifts; each is judged by the median correlation of many blocks, so
that text burnt into the frame, a cursor or a scale bar (which never move) can win a few blocks but not the vote. The best
one is refined to a fraction of a pixel by iterated least squares on grey-value gradients (Lucas and Kanade 1981) per
block, again with a robust mean over blocks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2

from morphoscope.errors import InputError

Array = NDArray[np.float64]
Plane = NDArray[np.float32]
JUMP_PX = 8.0
MIN_QUALITY = 0.1
CLIP = 3.0  # grey values are cut at this many standard deviations
BLOCK = 32  # side of a block in px of the reduced frame
SAME = 0.6  # agreement at shift 0 from which a frame is taken for hardly moved
PROPOSALS = 3
STEPS = 4


class Shift(NamedTuple):
    """Content moved by (dx, dy) px from one frame to the next.

    `quality` is the median correlation of the blocks after the shift, 0 to 1; below 0.1 nothing was recognised and the
    shift is 0. `jump` marks a shift longer than the registrar's `jump_px`.
    """

    dx: float
    dy: float
    quality: float
    jump: bool


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

    def shift(self, previous: NDArray[Any], current: NDArray[Any]) -> Shift:
        """The shift of the content from `previous` to `current`, both (h, w), any real dtype.

        Raises:
            InputError: a frame has another shape.
        """
        for frame in (previous, current):
            if frame.shape != self.shape:
                raise InputError(f"wanted frames of {self.shape} px (h, w), got {frame.shape}; pass frames of one size")
        before, after = self._reduce(previous), self._reduce(current)
        dx, dy, quality = _refine(before, after, *self._start(before, after))
        if quality < MIN_QUALITY:
            return Shift(0.0, 0.0, max(quality, 0.0), False)
        dx, dy = dx * self._scale[0], dy * self._scale[1]
        return Shift(dx, dy, min(quality, 1.0), math.hypot(dx, dy) > self.jump_px)

    def _reduce(self, frame: NDArray[Any]) -> Plane:
        """Reduced, freed from shading and noise, outliers such as text clipped, unit spread."""
        plane = frame if frame.dtype in (np.uint8, np.uint16) else frame.astype(np.float32)
        small = np.asarray(cv2.resize(plane, self._size, interpolation=cv2.INTER_AREA), dtype=np.float32)
        small = cv2.GaussianBlur(small, (5, 5), 1.0) - cv2.blur(small, (31, 31), borderType=cv2.BORDER_REFLECT)
        spread = 1.4826 * float(np.median(np.abs(small[::3, ::3]))) or float(small.std())
        if not spread > 0:
            return np.zeros_like(small)
        return np.asarray(np.clip(small / spread, -CLIP, CLIP), dtype=np.float32)

    def _start(self, before: Plane, after: Plane) -> tuple[float, float]:
        """The proposed shift (reduced px) on which most blocks agree."""
        a, b = (np.asarray(cv2.resize(p, self._coarse, interpolation=cv2.INTER_AREA), np.float32) for p in (before, after))
        if _agreement(a, b, 0, 0) > SAME:
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
        x, y = max(proposals, key=lambda p: _agreement(a, b, *p))
        return x * self._size[0] / width, y * self._size[1] / height


def _even_size(length: float) -> int:
    """A near length that transforms fast."""
    return max(int(next_fast_len(max(round(length), 2), real=True)), 2)


def _overlap(before: Plane, after: Plane, dx: int, dy: int) -> tuple[Plane, Plane]:
    """The parts of both frames that show the same content when it moved by (dx, dy)."""
    height, width = before.shape
    rows, columns = max(height - abs(dy), 0), max(width - abs(dx), 0)
    y, x = max(-dy, 0), max(-dx, 0)
    return before[y : y + rows, x : x + columns], after[y + dy : y + dy + rows, x + dx : x + dx + columns]


def _agreement(a: Plane, b: Plane, dx: int, dy: int) -> float:
    """Median over the blocks of the correlation after moving back by (dx, dy), times the root of the overlap."""
    first, second = _overlap(a, b, dx, dy)
    share = first.size / a.size
    return -1.0 if share < 0.2 else float(np.median(_correlation(first, second, BLOCK // 2))) * math.sqrt(share)


def _refine(before: Plane, after: Plane, dx: float, dy: float) -> tuple[float, float, float]:
    """The shift to a fraction of a px, and the median correlation of the blocks after it."""
    base_x, base_y = round(dx), round(dy)
    a, b = _overlap(before, after, base_x, base_y)
    if min(a.shape) < 8:
        return 0.0, 0.0, 0.0
    x = y = 0.0
    weight = np.ones(1)
    for _ in range(2):  # by blocks, of which those that disagree are then left out
        moved = _moved(b, x, y)
        gx, gy = _slopes(a + moved)
        change, weight = _block_step(gx, gy, moved - a)
        x, y = x + change[0], y + change[1]
    mask = _spread(weight, a.shape)
    gx, gy = gx * mask, gy * mask
    matrix = np.array([[_dot(gx, p) for p in _slopes(a + moved)], [0.0, 0.0]])
    matrix[1] = [matrix[0, 1], _dot(gy, _slopes(a + moved)[1])]
    if np.linalg.det(matrix) > 1e-9 * np.trace(matrix) ** 2:
        for _ in range(STEPS):
            difference = _moved(b, x, y) - a
            step = -np.linalg.solve(matrix, [_dot(gx, difference), _dot(gy, difference)])
            x, y = x + float(np.clip(step[0], -1, 1)), y + float(np.clip(step[1], -1, 1))
            if np.abs(step).max() < 0.002:
                break
    return base_x + x, base_y + y, float(np.median(_correlation(a, _moved(b, x, y), BLOCK)))


def _dot(a: Plane, b: Plane) -> float:
    return float(np.vdot(a, b))


def _slopes(doubled: Plane) -> tuple[Plane, Plane]:
    """Grey-value gradients in x and y of half the given plane."""
    one = np.array([[-0.25, 0, 0.25]], dtype=np.float32)
    return (
        np.asarray(cv2.filter2D(doubled, cv2.CV_32F, one), dtype=np.float32),
        np.asarray(cv2.filter2D(doubled, cv2.CV_32F, one.T), dtype=np.float32),
    )


def _taps(part: float) -> Plane:
    """Six-tap windowed-sinc weights that read a row at 0 <= part < 1 beyond a pixel."""
    at = np.arange(-2, 4) - part
    weights = np.sinc(at) * np.sinc(at / 3)
    return np.asarray(weights / weights.sum(), dtype=np.float32)


def _moved(plane: Plane, x: float, y: float) -> Plane:
    """The plane read at (x, y) beyond each pixel, for any x and y of a few px."""
    whole_x, whole_y = math.floor(x), math.floor(y)
    if whole_x or whole_y:
        rows = np.clip(np.arange(plane.shape[0]) + whole_y, 0, plane.shape[0] - 1)
        columns = np.clip(np.arange(plane.shape[1]) + whole_x, 0, plane.shape[1] - 1)
        plane = plane[rows[:, None], columns]
    kernel_x, kernel_y = _taps(x - whole_x), _taps(y - whole_y)
    result = cv2.sepFilter2D(plane, cv2.CV_32F, kernel_x, kernel_y, anchor=(2, 2), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(result, dtype=np.float32)


def _blocks(plane: Plane, side: int) -> Array:
    """Mean of each block of side x side px, (rows, columns); what is left over at the right and the bottom is not used."""
    rows, columns = max(plane.shape[0] // side, 1), max(plane.shape[1] // side, 1)
    inner = plane[: rows * side, : columns * side]
    return np.asarray(cv2.resize(inner, (columns, rows), interpolation=cv2.INTER_AREA), dtype=np.float64)


def _spread(weight: Array, shape: tuple[int, ...]) -> Plane:
    """Block weights as pixel weights of a plane; 0 where there is no whole block."""
    rows, columns = min(weight.shape[0] * BLOCK, shape[0]), min(weight.shape[1] * BLOCK, shape[1])
    mask = np.zeros(shape, dtype=np.float32)
    mask[:rows, :columns] = cv2.resize(weight.astype(np.float32), (columns, rows), interpolation=cv2.INTER_NEAREST)
    return mask


def _correlation(a: Plane, b: Plane, side: int) -> Array:
    mean_a, mean_b = _blocks(a, side), _blocks(b, side)
    power = (_blocks(a * a, side) - mean_a**2) * (_blocks(b * b, side) - mean_b**2)
    return np.asarray((_blocks(a * b, side) - mean_a * mean_b) / np.sqrt(np.maximum(power, 1e-12)))


def _block_step(gx: Plane, gy: Plane, difference: Plane) -> tuple[tuple[float, float], Array]:
    """The mean shift of the blocks about their median, and how far each block is to be believed (Tukey's weights)."""
    xx, xy, yy = _blocks(gx * gx, BLOCK), _blocks(gx * gy, BLOCK), _blocks(gy * gy, BLOCK)
    ex, ey = _blocks(gx * difference, BLOCK), _blocks(gy * difference, BLOCK)
    determinant = xx * yy - xy * xy
    trace = xx + yy
    good = determinant > 1e-4 * trace**2 + 1e-12
    if not good.any():
        return (0.0, 0.0), np.ones_like(xx)
    safe = np.where(good, determinant, 1)
    x, y = -(yy * ex - xy * ey) / safe, -(xx * ey - xy * ex) / safe
    trust = np.where(good, safe / np.maximum(trace, 1e-12), 0)
    centre_x, centre_y = float(np.median(x[good])), float(np.median(y[good]))
    weight = np.ones_like(xx)
    for _ in range(4):
        distance = np.hypot(x - centre_x, y - centre_y)
        reach = 5 * max(float(np.median(distance[good])), 0.004)
        weight = np.where(good, np.maximum(1 - (distance / reach) ** 2, 0) ** 2, 0)
        total = float((weight * trust).sum())
        if total <= 0:
            return (0.0, 0.0), np.ones_like(xx)
        centre_x, centre_y = (float((weight * trust * v).sum()) / total for v in (x, y))
    return (float(np.clip(centre_x, -2, 2)), float(np.clip(centre_y, -2, 2))), weight


def accumulate(shifts: Iterable[Shift] | pd.DataFrame) -> Array:
    """Displacement (n, 2) in px, x and y, of each frame's content against the first.

    Args:
        shifts: one per frame, the shift that led to it from the frame before (0 for the first frame); `Shift`s or a
            table with columns `dx`, `dy`.
    """
    if isinstance(shifts, pd.DataFrame):
        steps = shifts[["dx", "dy"]].to_numpy(float)
    else:
        steps = np.array([(s.dx, s.dy) for s in shifts], dtype=float).reshape(-1, 2)
    return np.asarray(np.cumsum(steps, axis=0))


def refine_with_objects(
    objects: pd.DataFrame, displacement: Array, *, frames: NDArray[np.int64] | None = None, min_points: int = 10, rounds: int = 20
) -> Array:
    """The displacement (n, 2) without the slow error that accumulates, from objects that hardly move.

    Alternates the place of each track (mean of its registered positions less the correction) and the correction of each
    frame (median over tracks of what is left), which keeps the first frame at 0. Frames with fewer than three
    tracks take the correction of their neighbours in time.

    Args:
        objects: `frame`, `x_px`, `y_px`, `track_id` (null: not used).
        displacement: (n, 2) px, x and y, such as from `accumulate`.
        frames: (n,) frame numbers of its rows; None for 0..n-1.
        min_points: shorter tracks are not used.
        rounds: of alternation.
    """
    numbers = np.arange(len(displacement)) if frames is None else np.asarray(frames)
    linked = objects[objects["track_id"].notna()]
    tracks, number = np.unique(linked["track_id"].to_numpy(np.int64), return_inverse=True)
    long = np.bincount(number, minlength=len(tracks))[number] >= min_points
    row = np.searchsorted(numbers, linked["frame"].to_numpy(np.int64))[long]
    number = number[long]
    if not len(row):
        return np.array(displacement, dtype=float)
    place = linked[["x_px", "y_px"]].to_numpy(float)[long] - displacement[row]
    points = np.maximum(np.bincount(number, minlength=len(tracks)), 1)
    groups = np.split(np.argsort(row, kind="stable"), np.cumsum(np.bincount(row, minlength=len(numbers)))[:-1])
    used = np.array([i for i, group in enumerate(groups) if len(group) >= 3])
    if not len(used):
        return np.array(displacement, dtype=float)
    correction = np.zeros((len(numbers), 2))
    for _ in range(rounds):
        left = place - correction[row]
        mean = np.stack([np.bincount(number, left[:, k], minlength=len(tracks)) / points for k in (0, 1)], axis=1)
        error = place - mean[number]
        median = np.array([np.median(error[groups[i]], axis=0) for i in used])
        correction = np.stack([np.interp(np.arange(len(numbers)), used, median[:, k]) for k in (0, 1)], axis=1)
    return np.asarray(displacement + correction - correction[0])
