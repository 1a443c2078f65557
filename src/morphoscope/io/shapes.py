"""The shapes labels have: point, box, ellipse, polygon, mask.

Coordinates are px measured from the outer corner of the first pixel, so pixel (row, column) covers column..column + 1 by
row..row + 1; a table's `x_px`, whose pixel centres lie at integers, is x - 0.5. Angles run counter-clockwise from the x axis as
seen, in degrees.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from morphoscope.errors import InputError

Bounds = tuple[float, float, float, float]
Ring = tuple[tuple[float, float], ...]
MOST_PIXELS = 2**30  # of a mask that is read


@dataclass(frozen=True, slots=True)
class Point:
    """A place without extent."""

    kind: ClassVar[str] = "point"
    x: float
    y: float

    @property
    def bounds(self) -> Bounds:
        """x0, y0, x1, y1 in px; no extent."""
        return self.x, self.y, self.x, self.y

    @property
    def area_px(self) -> float:
        """Area in px."""
        return 0.0


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle, turned about its centre (x, y) by `angle_deg`: 0 for the upright box."""

    kind: ClassVar[str] = "box"
    x: float
    y: float
    width: float
    height: float
    angle_deg: float = 0.0

    @classmethod
    def from_corners(cls, x0: float, y0: float, x1: float, y1: float) -> Box:
        """The upright box between two corners."""
        return cls((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0)

    @property
    def bounds(self) -> Bounds:
        """The upright box around it: x0, y0, x1, y1 in px."""
        if self.angle_deg == 0:
            return self.x - self.width / 2, self.y - self.height / 2, self.x + self.width / 2, self.y + self.height / 2
        return _bounds_of(self.ring)

    @property
    def area_px(self) -> float:
        """Area in px."""
        return self.width * self.height

    @property
    def ring(self) -> Ring:
        """Its four corners: top left, top right, bottom right, bottom left before the turn."""
        half = ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5))
        return _turned(self.x, self.y, self.angle_deg, [(u * self.width, v * self.height) for u, v in half])


@dataclass(frozen=True, slots=True)
class Ellipse:
    """An ellipse by its centre and full axes; `angle_deg` is the direction of `major`."""

    kind: ClassVar[str] = "ellipse"
    x: float
    y: float
    major: float
    minor: float
    angle_deg: float = 0.0

    @property
    def bounds(self) -> Bounds:
        """The upright box around it: x0, y0, x1, y1 in px."""
        cos, sin = math.cos(math.radians(self.angle_deg)), math.sin(math.radians(self.angle_deg))
        half_x = math.hypot(self.major * cos, self.minor * sin) / 2
        half_y = math.hypot(self.major * sin, self.minor * cos) / 2
        return self.x - half_x, self.y - half_y, self.x + half_x, self.y + half_y

    @property
    def area_px(self) -> float:
        """Area in px."""
        return math.pi * self.major * self.minor / 4

    @property
    def ring(self) -> Ring:
        """A polygon of 64 corners with the same area."""
        step = 2 * math.pi / 64
        swell = math.sqrt(step / math.sin(step)) / 2
        around = [(swell * self.major * math.cos(k * step), swell * self.minor * math.sin(k * step)) for k in range(64)]
        return _turned(self.x, self.y, self.angle_deg, around)


@dataclass(frozen=True, slots=True)
class Polygon:
    """One or more closed rings of corners (x, y), the first not repeated; what lies in an odd number of rings is inside."""

    kind: ClassVar[str] = "polygon"
    rings: tuple[Ring, ...]

    @property
    def bounds(self) -> Bounds:
        """The upright box around it: x0, y0, x1, y1 in px."""
        return _bounds_of(tuple(corner for ring in self.rings for corner in ring))

    @property
    def area_px(self) -> float:
        """Area in px: a ring inside another is a hole, rings side by side add up.

        Exact for rings that do not cross each other or themselves.
        """
        return sum(sign * abs(_shoelace(ring)) for sign, ring in zip(ring_signs(self), self.rings, strict=True))


@dataclass(frozen=True, slots=True)
class Mask:
    """Pixels of the box with top left pixel (x0, y0): lengths of runs, row by row, outside and inside in turns."""

    kind: ClassVar[str] = "mask"
    x0: int
    y0: int
    width: int
    height: int
    runs: tuple[int, ...]

    @classmethod
    def from_pixels(cls, pixels: NDArray[Any], x0: int = 0, y0: int = 0) -> Mask:
        """The mask of a boolean array (height, width) whose first pixel lies at (x0, y0), cut to what is inside.

        Raises:
            InputError: no pixel is inside.
        """
        inside = np.asarray(pixels, dtype=bool)
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        if rows.size == 0:
            raise InputError("a mask needs at least one pixel inside, got none")
        cut = inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        flat = np.concatenate(([False], cut.ravel(), [not cut[-1, -1]]))
        edges = np.flatnonzero(flat[1:] != flat[:-1])
        runs = np.diff(np.concatenate(([0], edges)))
        return cls(x0 + int(columns[0]), y0 + int(rows[0]), cut.shape[1], cut.shape[0], tuple(int(n) for n in runs))

    @property
    def pixels(self) -> NDArray[np.bool_]:
        """The boolean array (height, width) of the box."""
        inside = np.arange(len(self.runs)) % 2 == 1
        flat = np.repeat(inside, self.runs)
        return flat.reshape(self.height, self.width)

    @property
    def bounds(self) -> Bounds:
        """The box of its pixels: x0, y0, x1, y1 in px."""
        return float(self.x0), float(self.y0), float(self.x0 + self.width), float(self.y0 + self.height)

    @property
    def area_px(self) -> float:
        """Number of pixels."""
        return float(sum(self.runs[1::2]))


Shape = Point | Box | Ellipse | Polygon | Mask
KINDS: dict[str, type[Shape]] = {kind.kind: kind for kind in (Point, Box, Ellipse, Polygon, Mask)}


def shape_to_dict(shape: Shape) -> dict[str, Any]:
    """Plain values with the key `kind`, for JSON."""
    return {"kind": shape.kind, **asdict(shape)}


def shape_from_dict(values: dict[str, Any]) -> Shape:
    """The shape of `shape_to_dict`'s values, also after JSON made lists of the tuples; a box may have x0, y0, x1, y1 instead.

    Raises:
        InputError: an unknown kind, a missing value, or one that is no finite number; a mask of more than 2^30 px.
    """
    given = dict(values)
    kind = KINDS.get(str(given.pop("kind", "")))
    try:
        if kind is None:
            raise TypeError("unknown kind")
        if kind is Box and "x0" in given:
            x0, y0, x1, y1 = (float(given.pop(name)) for name in ("x0", "y0", "x1", "y1"))
            if given or not (math.isfinite(x1 - x0) and math.isfinite(y1 - y0) and x0 < x1 and y0 < y1):
                raise ValueError("corners that are none")
            return Box.from_corners(x0, y0, x1, y1)
        if kind is Polygon:
            given["rings"] = tuple(tuple((float(x), float(y)) for x, y in ring) for ring in given["rings"])
        elif kind is Mask:
            given = {key: tuple(int(n) for n in value) if key == "runs" else int(value) for key, value in given.items()}
            if min(given["runs"]) < 0 or not 0 < sum(given["runs"]) == given["width"] * given["height"] <= MOST_PIXELS:
                raise ValueError("runs that do not fill the box")
        else:
            given = {key: float(value) for key, value in given.items()}
        shape = kind(**given)
        if not all(math.isfinite(edge) for edge in shape.bounds):
            raise ValueError("not finite")
        return shape
    except (TypeError, KeyError, ValueError, OverflowError) as error:
        raise InputError(f"wanted a shape with a kind of {', '.join(KINDS)} and its values, got {values!r:.200}") from error


def ring_signs(polygon: Polygon) -> list[int]:
    """1 for each ring that adds area, -1 for one that lies inside an odd number of others, a hole."""
    rings = polygon.rings
    return [(-1) ** sum(_holds(other, ring[0]) for j, other in enumerate(rings) if j != k) for k, ring in enumerate(rings)]


def rasterize(shape: Shape, height: int, width: int) -> NDArray[np.bool_]:
    """Which pixels of an image (height, width) belong to a shape: those whose centre lies inside; none for a point.

    Pixels outside the image are cut off.
    """
    found = np.zeros((height, width), dtype=bool)
    x0, y0, x1, y1 = (int(v) for v in (*np.floor(shape.bounds[:2]), *np.ceil(shape.bounds[2:])))
    left, top, right, bottom = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    if left >= right or top >= bottom or isinstance(shape, Point):
        return found
    if isinstance(shape, Mask):
        inside = shape.pixels
    else:
        rows, columns = np.arange(y0, y1) + 0.5, np.arange(x0, x1) + 0.5
        inside = _inside(shape, rows, columns)
    found[top:bottom, left:right] = inside[top - y0 : bottom - y0, left - x0 : right - x0]
    return found


def as_polygon(shape: Box | Ellipse | Polygon | Mask) -> Polygon:
    """Its outline: exact for boxes and masks (along pixel edges), 64 corners for an ellipse."""
    if isinstance(shape, Polygon):
        return shape
    if isinstance(shape, Mask):
        return Polygon(_pixel_outlines(shape))
    return Polygon((shape.ring,))


def _inside(shape: Box | Ellipse | Polygon, rows: NDArray[Any], columns: NDArray[Any]) -> NDArray[np.bool_]:
    if isinstance(shape, Polygon):
        return _even_odd(shape.rings, rows, columns)
    angle = math.radians(shape.angle_deg)
    dx, dy = columns[None, :] - shape.x, rows[:, None] - shape.y
    along, across = dx * math.cos(angle) - dy * math.sin(angle), dx * math.sin(angle) + dy * math.cos(angle)
    if isinstance(shape, Ellipse):
        return np.asarray((2 * along / max(shape.major, 1e-12)) ** 2 + (2 * across / max(shape.minor, 1e-12)) ** 2 <= 1)
    half_w, half_h = shape.width / 2, shape.height / 2
    return np.asarray((along >= -half_w) & (along < half_w) & (across >= -half_h) & (across < half_h))


def _even_odd(rings: tuple[Ring, ...], rows: NDArray[Any], columns: NDArray[Any]) -> NDArray[np.bool_]:
    """Crossings of each row's line left of each pixel centre, counted odd or even."""
    flips = np.zeros((len(rows), len(columns) + 1), dtype=np.int64)
    for ring in rings:
        corners = np.asarray(ring, dtype=float)
        for (xa, ya), (xb, yb) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            hit = np.flatnonzero((np.minimum(ya, yb) <= rows) & (rows < np.maximum(ya, yb)))
            if hit.size:
                crossing = xa + (rows[hit] - ya) * (xb - xa) / (yb - ya)
                np.add.at(flips, (hit, np.searchsorted(columns, crossing)), 1)
    return np.asarray(np.cumsum(flips[:, :-1], axis=1) % 2 == 1)


def _pixel_outlines(mask: Mask) -> tuple[Ring, ...]:
    """Rings along pixel edges with the inside on the right; pixels that touch at a corner only stay apart."""
    inside = np.pad(mask.pixels, 1).astype(np.int8)
    following: dict[tuple[int, int], list[tuple[int, int]]] = {}
    down, right = np.diff(inside, axis=0), np.diff(inside, axis=1)
    for row, column in zip(*np.nonzero(down), strict=True):
        ends = ((column - 1, row), (column, row))
        start, end = ends if down[row, column] > 0 else ends[::-1]
        following.setdefault(start, []).append(end)
    for row, column in zip(*np.nonzero(right), strict=True):
        ends = ((column, row), (column, row - 1))
        start, end = ends if right[row, column] > 0 else ends[::-1]
        following.setdefault(start, []).append(end)
    rings = []
    while following:
        rings.append(_follow(following))
    return tuple(tuple((float(mask.x0 + x), float(mask.y0 + y)) for x, y in ring) for ring in rings)


def _follow(following: dict[tuple[int, int], list[tuple[int, int]]]) -> list[tuple[int, int]]:
    """Take one closed ring out of the edges, keeping its corners only; at a fork it turns right."""
    start = min(following)
    path = [start]
    heading = (0, 0)
    while True:
        here = path[-1]
        ends = following[here]
        right_turn = (here[0] - heading[1], here[1] + heading[0])
        end = right_turn if right_turn in ends else ends[0]
        ends.remove(end)
        if not ends:
            del following[here]
        heading = (end[0] - here[0], end[1] - here[1])
        if end == start:
            break
        path.append(end)
    around = zip(path[-1:] + path[:-1], path, path[1:] + path[:1], strict=True)
    return [b for a, b, c in around if (b[0] - a[0]) * (c[1] - b[1]) != (b[1] - a[1]) * (c[0] - b[0])]


def _turned(x: float, y: float, angle_deg: float, corners: list[tuple[float, float]]) -> Ring:
    cos, sin = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    return tuple((x + u * cos + v * sin, y - u * sin + v * cos) for u, v in corners)


def _bounds_of(ring: Ring) -> Bounds:
    xs, ys = [x for x, _ in ring], [y for _, y in ring]
    return min(xs), min(ys), max(xs), max(ys)


def _shoelace(ring: Ring) -> float:
    return sum(xa * yb - xb * ya for (xa, ya), (xb, yb) in zip(ring, (*ring[1:], ring[0]), strict=True)) / 2


def _holds(ring: Ring, point: tuple[float, float]) -> bool:
    x, y = point
    crossings = [
        xa + (y - ya) * (xb - xa) / (yb - ya) < x
        for (xa, ya), (xb, yb) in zip(ring, (*ring[1:], ring[0]), strict=True)
        if min(ya, yb) <= y < max(ya, yb)
    ]
    return sum(crossings) % 2 == 1
