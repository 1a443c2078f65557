"""The shift between two reduced frames to a fraction of a pixel: least squares on grey values, by blocks."""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Plane = NDArray[np.float32]
BLOCK = 32  # side of a block in px
STEPS = 4
BY_CHANCE, SURE = 4.0, 0.7


class Reduced(NamedTuple):
    """A reduced frame and where it may be looked at (1, else 0; None for everywhere)."""

    plane: Plane
    valid: Plane | None


def overlap(before: Plane, after: Plane, dx: int, dy: int) -> tuple[Plane, Plane]:
    """The parts of both frames that show the same content when it moved by (dx, dy)."""
    height, width = before.shape
    rows, columns = max(height - abs(dy), 0), max(width - abs(dx), 0)
    y, x = max(-dy, 0), max(-dx, 0)
    return before[y : y + rows, x : x + columns], after[y + dy : y + dy + rows, x + dx : x + dx + columns]


def agreement(a: Plane, b: Plane, dx: int, dy: int) -> float:
    """Median over the blocks of the correlation after moving back by (dx, dy), times the root of the overlap."""
    first, second = overlap(a, b, dx, dy)
    share = first.size / a.size
    return -1.0 if share < 0.2 else float(np.median(_correlation(first, second, BLOCK // 2))) * math.sqrt(share)


def refine(before: Reduced, after: Reduced, dx: float, dy: float) -> tuple[float, float, float]:
    """The shift to a fraction of a px, and the correlation after it over the blocks that agree.

    The correlation is 0 where frames that have nothing in common would come to it: what is alike over some px makes for
    few independent ones, and `BY_CHANCE` times the error of a correlation over so many is not surpassed; `SURE` is enough.
    """
    base_x, base_y = round(dx), round(dy)
    a, b = overlap(before.plane, after.plane, base_x, base_y)
    if min(a.shape) < 8:
        return 0.0, 0.0, 0.0
    valid = _both_valid(before, after, base_x, base_y)
    x = y = 0.0
    for _ in range(2):  # by blocks, of which those that disagree are then left out
        moved = _moved(b, x, y)
        gx, gy = _slopes(a + moved)
        if valid is not None:
            gx, gy = gx * valid, gy * valid
        change, weight = _block_step(gx, gy, moved - a)
        x, y = x + change[0], y + change[1]
        if math.hypot(*change) < 0.3:
            break
    mask = _spread(weight, a.shape) if valid is None else _spread(weight, a.shape) * valid
    weighted_x, weighted_y = gx * mask, gy * mask
    across = _dot(weighted_x, gy)
    matrix = np.array([[_dot(weighted_x, gx), across], [across, _dot(weighted_y, gy)]])
    moved = _moved(b, x, y)
    if np.linalg.det(matrix) > 1e-9 * np.trace(matrix) ** 2:
        for _ in range(STEPS):
            difference = moved - a
            step = -np.linalg.solve(matrix, [_dot(weighted_x, difference), _dot(weighted_y, difference)])
            x, y = x + float(np.clip(step[0], -1, 1)), y + float(np.clip(step[1], -1, 1))
            moved = _moved(b, x, y)
            if np.abs(step).max() < 0.002:
                break
    own, other, slope = _dot(mask * a, a), _dot(mask * moved, moved), matrix[0, 0] + matrix[1, 1]
    if own * other <= 0 or slope <= 0:
        return base_x + x, base_y + y, 0.0
    correlation = _dot(mask * a, moved) / math.sqrt(own * other)
    alike = 2 * math.pi * own / slope  # px^2: the area over which grey values of a smooth random picture go together
    chance = min(BY_CHANCE * math.sqrt(alike / float(mask.sum())), SURE)
    return base_x + x, base_y + y, correlation if correlation > chance else 0.0


def _both_valid(before: Reduced, after: Reduced, dx: int, dy: int) -> Plane | None:
    if before.valid is None and after.valid is None:
        return None
    everywhere = np.ones_like(before.plane)
    first = everywhere if before.valid is None else before.valid
    second = everywhere if after.valid is None else after.valid
    a, b = overlap(first, second, dx, dy)
    return a * b


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
    """Weights of six pixels that read a row at 0 <= part < 1 beyond the third (Lagrange: exact for polynomials).

    A windowed sinc of this length is no good here: it does not carry a ramp, and shifts came out 6 % too long.
    """
    at = np.arange(-2, 4)
    others = ~np.eye(6, dtype=bool)
    return np.array([np.prod((part - at[o]) / (at[k] - at[o])) for k, o in enumerate(others)], dtype=np.float32)


def _moved(plane: Plane, x: float, y: float) -> Plane:
    """The plane read at (x, y) beyond each pixel."""
    if x == 0 and y == 0:
        return plane
    whole_x, whole_y = math.floor(x), math.floor(y)
    if not (-3 <= whole_x <= 2 and -3 <= whole_y <= 2):
        rows = np.clip(np.arange(plane.shape[0]) + whole_y, 0, plane.shape[0] - 1)
        columns = np.clip(np.arange(plane.shape[1]) + whole_x, 0, plane.shape[1] - 1)
        return _moved(plane[rows[:, None], columns], x - whole_x, y - whole_y)
    kernels, anchor = (_taps(x - whole_x), _taps(y - whole_y)), (2 - whole_x, 2 - whole_y)
    return np.asarray(cv2.sepFilter2D(plane, cv2.CV_32F, *kernels, anchor=anchor, borderType=cv2.BORDER_REPLICATE), np.float32)


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
