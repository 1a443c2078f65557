"""The shape of each detected object: Otsu, opening, distance transform, watershed, ellipse.

Otsu's threshold depends on how much background the window holds, so the mean of the thresholds of three windows, 2, 3 and 4
px wider than the box on each side, is taken, and the object is looked for 2 px beyond the box. Measured on the 14 labelled
frames with at least 40 loops (1091 loops) of an in-situ STEM video, against the same frame with the labelled boxes:

- each side of each box moved by N(0, 1.5 px): the median size of a frame moves by 1.6 % on average over frames and draws (95 %
  of the draws below 4.4 %, worst of 224 draws 8.4 %, in the frame of 41 loops; no frame's mean is above 3.4 %), a single size
  by 3.6 % (median). Independent errors of 3.6 % without any bias would give 1.5 %, and 7.0 % at worst;
- boxes 10 % smaller: 5.5 % on average, 8.1 % at worst; 10 % larger: 5.8 % and 8.5 %, always in the direction of the change;
- the longer side of the box as the size instead: 3.1 % and 12.6 % when sides move, and the full 10 % when boxes change.

One window of 2 px gave 1.8 % and one of 3 px 1.6 %, both with worst draws of 9 % where these three had 6.5 %. Windows of 2, 3, 4
and 5 px or 2, 4 and 6 px, windows shifted to the sides, smoothing (sigma 0.7 to 1.5 px) and other shares for the cores changed
the average by at most 0.2 %, about as much as other seeds do; windows of 3, 4 and 5 px make the ellipses 6 % larger.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Image = NDArray[Any]
Mask = NDArray[np.uint8]
Array = NDArray[np.float64]
Polarity = Literal["dark", "bright"]

MARGINS_PX = (2, 3, 4)  # context on each side of a box for the thresholds; the first is where the object may reach
MARGIN_SHARE = (0.08, 0.12, 0.16)  # the same as a part of the box's mean side, where that is more
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

    def padded(self, margin: int, shape: tuple[int, ...]) -> _Window:
        """Wider by a margin on each side, as far as the frame goes."""
        return _Window(
            max(self.x0 - margin, 0), max(self.y0 - margin, 0), min(self.x1 + margin, shape[1]), min(self.y1 + margin, shape[0])
        )

    def within(self, outer: _Window) -> _Window:
        """The same pixels counted from the corner of `outer`, cut to it."""
        return _Window(
            max(self.x0 - outer.x0, 0),
            max(self.y0 - outer.y0, 0),
            min(self.x1, outer.x1) - outer.x0,
            min(self.y1, outer.y1) - outer.y0,
        )

    def of(self, image: Image) -> Image:
        """These pixels of an image (a view)."""
        return image[self.y0 : self.y1, self.x0 : self.x1]


def measure_ellipses(image: Image, detections: pd.DataFrame, *, polarity: Polarity = "dark") -> pd.DataFrame:
    """Detections with the ellipse of the object in each box.

    In a window a little larger than the box: Otsu's threshold, 3x3 opening, distance transform, watershed from its cores.
    Pixels nearer to the centre of another detection, in units of its box, are that one's: touching objects are separated.
    The object is the segment at the box centre, with the segments that lie mostly inside the box. Its ellipse has the
    same second moments, each pixel counted as a unit square (4 sqrt(eigenvalue) for a full axis).

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
    near = _neighbours(boxes)
    rows = [_measure(image, box, boxes[others], polarity) for box, others in zip(boxes.tolist(), near, strict=True)]
    found = np.array(rows, dtype=float).reshape(-1, len(COLUMNS))
    columns: dict[str, Any] = {name: found[:, i] for i, name in enumerate(COLUMNS)}
    columns["fitted"], columns["on_edge"] = found[:, 6] > 0, found[:, 7] > 0
    return detections.assign(**columns)


def _neighbours(boxes: Array) -> list[list[int]]:
    """For each box the others that overlap it once both are a little wider."""
    if len(boxes) < 2:
        return [[] for _ in boxes]
    half = boxes[:, 2:] / 2 + 2 * MARGINS_PX[0]
    tree = cKDTree(boxes[:, :2])
    found = tree.query_ball_point(boxes[:, :2], half.max(axis=1) + half.max(), p=np.inf, return_sorted=True)
    near = []
    for i, others in enumerate(found):
        j = np.array([k for k in others if k != i], dtype=np.int64)
        meets = (np.abs(boxes[j, :2] - boxes[i, :2]) < half[j] + half[i]).all(axis=1)
        near.append(j[meets].tolist())
    return near


def _own_zone(box: list[float], others: Array, window: _Window) -> NDArray[np.bool_]:
    """Pixels of the window nearer to the box's centre than to any other's, in units of each box's sides."""
    x, y = np.arange(window.x0, window.x1)[None, :], np.arange(window.y0, window.y1)[:, None]
    every = np.vstack([np.asarray(box)[None], others])
    parts_x = (2 * (x - every[:, :1]) / np.maximum(every[:, 2:3], 1)) ** 2
    parts_y = (2 * (y.T - every[:, 1:2]) / np.maximum(every[:, 3:4], 1)) ** 2
    distance = parts_y[:, :, None] + parts_x[:, None, :]
    return np.asarray(distance[0] <= distance[1:].min(axis=0))


def _measure(image: Image, box: list[float], others: Array, polarity: Polarity) -> tuple[float, ...]:
    x, y, width, height = box
    inner = _Window(
        math.floor(x - width / 2 + 0.5),
        math.floor(y - height / 2 + 0.5),
        math.floor(x + width / 2 + 0.5) + 1,
        math.floor(y + height / 2 + 0.5) + 1,
    )
    rows, columns = image.shape
    edge = inner.x0 <= 0 or inner.y0 <= 0 or inner.x1 >= columns or inner.y1 >= rows
    side = math.sqrt(width * height)
    windows = [
        inner.padded(max(px, round(share * side)), image.shape) for px, share in zip(MARGINS_PX, MARGIN_SHARE, strict=True)
    ]
    zone = _own_zone(box, others, windows[0]) if len(others) else None
    mask = _segment(image, inner, windows, (x, y), polarity, zone)
    if mask is None:
        long, short = max(width, height), min(width, height)
        return math.nan, math.nan, long, short, math.nan, math.pi / 4 * width * height, 0.0, float(edge)
    return _ellipse(mask, windows[0], (rows, columns), edge)


def _segment(
    image: Image,
    inner: _Window,
    windows: list[_Window],
    centre: tuple[float, float],
    polarity: Polarity,
    zone: NDArray[np.bool_] | None,
) -> Mask | None:
    """The object (1 on 0) in the first window, None where there is none."""
    first, widest = windows[0], windows[-1]
    if first.x1 - first.x0 < 3 or first.y1 - first.y0 < 3:
        return None
    patch = _to_bytes(widest.of(image))
    if patch is None:
        return None
    views = [window.within(widest).of(patch) for window in windows]
    levels = [cv2.threshold(view, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[0] for view in views]
    level = sum(levels) / len(levels)
    raw = views[0] <= level if polarity == "dark" else views[0] > level
    if zone is not None:
        raw = raw & zone
    mask = np.asarray(cv2.morphologyEx(raw.view(np.uint8), cv2.MORPH_OPEN, KERNEL), dtype=np.uint8)
    local = inner.within(first)
    own = _component(mask, (centre[0] - first.x0, centre[1] - first.y0), local)
    return None if own is None else _separate(own, local)


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
        part = inner.of(labels)
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
    within = inner.of(parts)
    inside = np.bincount(within[within > 0], minlength=count + 1)
    size = np.maximum(np.bincount(parts[parts > 0], minlength=count + 1), 1)
    inside[count] = 0
    keep = 2 * inside > size
    keep[int(inside.argmax())] = True
    own = np.asarray(keep[np.maximum(parts, 0)] & (parts > 0), dtype=np.uint8)
    return np.asarray(cv2.bitwise_and(cv2.morphologyEx(own, cv2.MORPH_CLOSE, KERNEL), mask), dtype=np.uint8)


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
