"""The shape of each detected object: Otsu, opening, distance transform, watershed, ellipse.

The window around a box is taken twice: the first segment found fixes a second window of constant margin around itself,
so that the size hardly depends on where exactly the detector drew its box.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

Image = NDArray[Any]
Mask = NDArray[np.uint8]
Polarity = Literal["dark", "bright"]

MARGIN = 0.35  # context on each side of a box, as a part of its side
MIN_MARGIN_PX = 3
SMOOTH_PX = 0.8  # Gaussian smoothing before the threshold
CORE = 0.7  # markers are where the distance to the background exceeds this part of its highest value
MIN_AREA_PX = 4
KERNEL = np.ones((3, 3), np.uint8)
COLUMNS = ("ellipse_x_px", "ellipse_y_px", "major_px", "minor_px", "angle_deg", "area_px", "fitted", "on_edge")


class _Window(NamedTuple):
    """Pixels x0 <= x < x1, y0 <= y < y1."""

    x0: int
    y0: int
    x1: int
    y1: int

    def clip(self, shape: tuple[int, ...]) -> _Window:
        return _Window(max(self.x0, 0), max(self.y0, 0), min(self.x1, shape[1]), min(self.y1, shape[0]))

    def pad(self, margin: float) -> _Window:
        dx = max(MIN_MARGIN_PX, round(margin * (self.x1 - self.x0)))
        dy = max(MIN_MARGIN_PX, round(margin * (self.y1 - self.y0)))
        return _Window(self.x0 - dx, self.y0 - dy, self.x1 + dx, self.y1 + dy)


def measure_ellipses(image: Image, detections: pd.DataFrame, *, polarity: Polarity = "dark") -> pd.DataFrame:
    """Detections with the ellipse of the object in each box.

    In a window a little larger than the box: smoothing, Otsu's threshold, 3x3 opening, distance transform, watershed
    from its cores. The object is the segment at the box centre, with the segments that lie mostly inside the box. Its
    ellipse has the same second moments, each pixel counted as a unit square (4 sqrt(eigenvalue) for a full axis).

    Args:
        image: (h, w), grey, any real dtype.
        detections: columns `x_px`, `y_px`, `width_px`, `height_px`; any index.
        polarity: objects are `dark` on bright, or `bright` on dark.

    Returns:
        A copy with `ellipse_x_px`, `ellipse_y_px`, `major_px`, `minor_px` (full axes), `angle_deg` (counter-clockwise from
        the x axis as seen, 0 to 180), `area_px`, `fitted` and `on_edge` (box or object touches the frame's edge). Where the
        patch is flat or holds nothing dark at its centre, `fitted` is False, the ellipse's centre and angle are nan,
        and the sizes come from the box: `major_px` and `minor_px` are its sides, `area_px` that of the ellipse in it.
    """
    boxes = detections[["x_px", "y_px", "width_px", "height_px"]].to_numpy(float).reshape(-1, 4)
    rows = [_measure(image, box, polarity) for box in boxes.tolist()]
    found = np.array(rows, dtype=float).reshape(-1, len(COLUMNS))
    columns: dict[str, Any] = {name: found[:, i] for i, name in enumerate(COLUMNS)}
    columns["fitted"], columns["on_edge"] = found[:, 6] > 0, found[:, 7] > 0
    return detections.assign(**columns)


def _measure(image: Image, box: list[float], polarity: Polarity) -> tuple[float, ...]:
    x, y, width, height = box
    height_px, width_px = image.shape
    inner = _Window(
        math.floor(x - width / 2 + 0.5),
        math.floor(y - height / 2 + 0.5),
        math.floor(x + width / 2 + 0.5) + 1,
        math.floor(y + height / 2 + 0.5) + 1,
    )
    edge = inner.x0 <= 0 or inner.y0 <= 0 or inner.x1 >= width_px or inner.y1 >= height_px
    window, mask = _segment(image, inner, (x, y), polarity)
    if mask is not None:
        left, top, wide, high = cv2.boundingRect(mask)
        own = _Window(window.x0 + left, window.y0 + top, window.x0 + left + wide, window.y0 + top + high)
        window, again = _segment(image, own, (x, y), polarity)
        mask = again
    if mask is None:
        long, short = max(width, height), min(width, height)
        return math.nan, math.nan, long, short, math.nan, math.pi / 4 * width * height, 0.0, float(edge)
    return _ellipse(mask, window, (height_px, width_px), edge)


def _segment(image: Image, inner: _Window, centre: tuple[float, float], polarity: Polarity) -> tuple[_Window, Mask | None]:
    """The window looked at and the object in it (1 on 0), None where there is none."""
    window = inner.pad(MARGIN).clip(image.shape)
    if window.x1 - window.x0 < 3 or window.y1 - window.y0 < 3:
        return window, None
    patch = _to_bytes(image[window.y0 : window.y1, window.x0 : window.x1])
    if patch is None:
        return window, None
    patch = cv2.GaussianBlur(patch, (0, 0), SMOOTH_PX)
    kind = cv2.THRESH_BINARY_INV if polarity == "dark" else cv2.THRESH_BINARY
    _, mask = cv2.threshold(patch, 0, 1, kind | cv2.THRESH_OTSU)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, KERNEL)
    local = _Window(inner.x0 - window.x0, inner.y0 - window.y0, inner.x1 - window.x0, inner.y1 - window.y0)
    mask = _component(mask, (centre[0] - window.x0, centre[1] - window.y0), local)
    return window, None if mask is None else _separate(mask, local)


def _to_bytes(patch: Image) -> Mask | None:
    """The patch stretched to 0..255; None where it is flat or holds no number."""
    low, high = float(np.min(patch)), float(np.max(patch))
    if not high > low:
        return None
    if patch.dtype == np.uint8:
        return np.ascontiguousarray(patch)
    return np.asarray((patch.astype(np.float32) - low) * (255 / (high - low)), dtype=np.uint8)


def _component(mask: Mask, centre: tuple[float, float], inner: _Window) -> Mask | None:
    """The connected part under the centre; else the one with most pixels inside the box. Holes are filled."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    if count < 2:
        return None
    x = min(max(round(centre[0]), 0), mask.shape[1] - 1)
    y = min(max(round(centre[1]), 0), mask.shape[0] - 1)
    chosen = int(labels[y, x])
    if chosen == 0:
        part = labels[max(inner.y0, 0) : inner.y1, max(inner.x0, 0) : inner.x1]
        inside = np.bincount(part.ravel(), minlength=count)
        inside[0] = 0
        chosen = int(inside.argmax())
        if inside[chosen] == 0:
            return None
    if stats[chosen, cv2.CC_STAT_AREA] < MIN_AREA_PX:
        return None
    own = np.asarray(labels == chosen, dtype=np.uint8)
    outlines, _ = cv2.findContours(own, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(own, outlines, -1, 1, cv2.FILLED), dtype=np.uint8)


def _separate(mask: Mask, inner: _Window) -> Mask:
    """The part of a connected mask that belongs to the box, cut off from what touches it."""
    padded = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 5)
    core = np.asarray(depth > CORE * depth.max(), dtype=np.uint8)
    count, cores = cv2.connectedComponents(core)
    if count < 3:
        return mask
    cores[padded == 0] = count
    relief = cv2.cvtColor(np.asarray(255 - depth * (255 / depth.max()), dtype=np.uint8), cv2.COLOR_GRAY2BGR)
    parts = cv2.watershed(relief, cores)[1:-1, 1:-1]
    parts[mask == 0] = 0
    within = parts[max(inner.y0, 0) : inner.y1, max(inner.x0, 0) : inner.x1]
    inside = np.bincount(within[within > 0], minlength=count + 1)
    size = np.maximum(np.bincount(parts[parts > 0], minlength=count + 1), 1)
    inside[count] = 0
    keep = 2 * inside > size
    keep[int(inside.argmax())] = True
    own = np.asarray(keep[np.maximum(parts, 0)] & (parts > 0), dtype=np.uint8)
    return np.asarray(cv2.morphologyEx(own, cv2.MORPH_CLOSE, KERNEL) & mask, dtype=np.uint8)


def _ellipse(mask: Mask, window: _Window, shape: tuple[int, int], edge: bool) -> tuple[float, ...]:
    m = cv2.moments(mask, binaryImage=True)
    area = m["m00"]
    xx, yy, xy = m["mu20"] / area + 1 / 12, m["mu02"] / area + 1 / 12, m["mu11"] / area
    half = math.hypot((xx - yy) / 2, xy)
    mean = (xx + yy) / 2
    angle = math.degrees(-0.5 * math.atan2(2 * xy, xx - yy)) % 180
    left, top, wide, high = cv2.boundingRect(mask)
    touches = (
        window.x0 + left <= 0 or window.y0 + top <= 0 or window.x0 + left + wide >= shape[1] or window.y0 + top + high >= shape[0]
    )
    x, y = window.x0 + m["m10"] / area, window.y0 + m["m01"] / area
    return x, y, 4 * math.sqrt(mean + half), 4 * math.sqrt(max(mean - half, 0)), angle, area, 1.0, float(edge or touches)
