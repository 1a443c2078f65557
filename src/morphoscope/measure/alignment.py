"""What coherently aligned wires are, by geometry, and what follows from an orientation field: S2, histogram, coherence length.

A point on a wire is coherently aligned where the wires beside it run its way. Beside it is what lies within a radius R of the
point and further than R / 4 from the line through it along its own direction, so that a wire does not count as its own
neighbour. The local order there is

    s = sum of cos 2(theta_q - theta) over the wires' pixels q beside the point / max(pixels of wires, 5 % of all pixels there)

1 where all neighbours are parallel, 0 on average where they run anyhow or where hardly any are; from 0.75 on (for neighbours
spread evenly about its direction: within about 20 degrees, root mean square) the point is coherently aligned. Angles are in
degrees, counter-clockwise from the x axis as seen, 0 to 180.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

RADIUS_PX, ORDER = 32.0, 0.75  # of the neighbourhood; least local order
STRIP, FEWEST = 0.25, 0.05  # half width of what belongs to the wire itself, of the radius; least share of wires beside it
DIRECTIONS, CELLS = 12, 8  # the strip's directions; cells to a radius that neighbours are summed in

Float = NDArray[np.float32]


class Directions(NamedTuple):
    """A field of directions as doubled angles: `cos2`, `sin2` (h, w) float32; any length, 0 where there is none."""

    cos2: Float
    sin2: Float

    @property
    def angle_deg(self) -> Float:
        """The angle (h, w), 0 to 180 degrees."""
        return np.asarray(np.rad2deg(np.arctan2(self.sin2, self.cos2)) / 2 % 180, np.float32)


def directions(angle_deg: NDArray[Any]) -> Directions:
    """Unit doubled angles of angles (h, w); 0 where the angle is nan."""
    known = np.isfinite(angle_deg)
    twice = np.deg2rad(2 * np.where(known, angle_deg, 0)).astype(np.float32)
    return Directions(np.where(known, np.cos(twice), np.float32(0)), np.where(known, np.sin(twice), np.float32(0)))


def local_order(field: Directions, wire: NDArray[Any], *, radius_px: float = RADIUS_PX) -> Float:
    """The local order s (h, w), -1 to 1, of a point of each pixel's direction; see the module.

    Args:
        field: directions, of length 1 where there are wires.
        wire: (h, w) bool, or the share or probability of wires from 0 to 1.
        radius_px: R.
    """
    height, width = wire.shape
    cell = max(radius_px / CELLS, 1.0)
    rows, columns = max(round(height / cell), 1), max(round(width / cell), 1)
    weight = np.asarray(wire, np.float32)
    parts = np.dstack([weight * field.cos2, weight * field.sin2, weight, np.ones_like(weight)])
    coarse = cv2.resize(parts, (columns, rows), interpolation=cv2.INTER_AREA).reshape(rows, columns, 4)
    out = np.zeros((height, width), np.float32)
    own = np.floor(field.angle_deg / (180 / DIRECTIONS) + 0.5).astype(np.int16) % DIRECTIONS
    for k in range(DIRECTIONS):
        here = own == k
        if not here.any():
            continue
        kernel = _beside(k * 180 / DIRECTIONS, radius_px * rows / height, radius_px * columns / width)
        sums = cv2.filter2D(coarse, -1, kernel, borderType=cv2.BORDER_CONSTANT)
        sums = cv2.resize(sums, (width, height), interpolation=cv2.INTER_LINEAR)[here]
        along = sums[:, 0] * field.cos2[here] + sums[:, 1] * field.sin2[here]
        out[here] = along / np.maximum(np.maximum(sums[:, 2], FEWEST * sums[:, 3]), 1e-9)
    return np.asarray(np.clip(out, -1, 1), np.float32)


@functools.lru_cache(maxsize=64)
def _beside(angle_deg: float, radius_rows: float, radius_columns: float) -> Float:
    """Weights of the cells within a radius (in rows and columns) that lie beside a wire through the middle."""
    fine = 5
    high, wide = int(np.ceil(radius_rows)), int(np.ceil(radius_columns))
    y = (np.arange((2 * high + 1) * fine) + 0.5)[:, None] / fine - high - 0.5
    x = (np.arange((2 * wide + 1) * fine) + 0.5)[None, :] / fine - wide - 0.5
    y, x = -y / radius_rows, x / radius_columns
    cos, sin = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    inside = (np.hypot(x, y) <= 1) & (np.abs(y * cos - x * sin) > STRIP)
    return np.asarray(inside.reshape(2 * high + 1, fine, 2 * wide + 1, fine).mean((1, 3)), np.float32)


def coherently_aligned(
    field: Directions, wire: NDArray[np.bool_], *, radius_px: float = RADIUS_PX, order: float = ORDER
) -> NDArray[np.bool_]:
    """Which pixels (h, w) show coherently aligned wires; see the module and `local_order`."""
    return (local_order(field, wire, radius_px=radius_px) >= order) & wire


class Order(NamedTuple):
    """Order parameter S2 in the plane, 0 to 1, and the main direction (degrees); nan without wires."""

    s2: float
    director_deg: float


def order_parameter(field: Directions, weight: NDArray[Any]) -> Order:
    """S2 = <cos 2(theta - n)> over wires with weights (h, w): 1 where all run along the director n, 0 where no direction wins.

    The nematic order parameter in two dimensions, the length of the mean of exp(2 i theta).
    """
    total = float(np.asarray(weight, float).sum())
    if total <= 0:
        return Order(float("nan"), float("nan"))
    cos2, sin2 = (float((weight * part).sum()) / total for part in field)
    return Order(float(np.hypot(cos2, sin2)), float(np.rad2deg(np.arctan2(sin2, cos2)) / 2 % 180))
