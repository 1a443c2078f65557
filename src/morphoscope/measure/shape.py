"""The shape of each particle of a label image, all particles at once.

Of scikit-image's `regionprops_table`, `area`, `bbox`, `centroid`, `orientation`, `area_convex`, `solidity` and
`perimeter_crofton` (4 directions) are the same up to rounding. Its `feret_diameter_max` is that of the pixels of the hull
instead of the hull, up to a pixel more; its axes leave out that a pixel is a unit square (ours is the root of axis^2 + 4/3).
Its `perimeter` (steps along the pixel border) is 4 to 5 % too long for large smooth particles and 20 to 50 % too short for small
flat ones, so it is not used (`python -m benchmarks.shapes`).
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.calibration import Calibration
from morphoscope.errors import UsageError
from morphoscope.measure.hulls import convex_hulls, feret_diameters
from morphoscope.measure.runs import Runs, label_runs

Array = NDArray[np.float64]
Edge = Literal["keep", "leave out"]


def shapes(labels: NDArray[Any], *, edge: Edge = "keep", calibration: Calibration | None = None) -> pd.DataFrame:
    """A row of shape per particle of a label image.

    Lengths in nm are measured in nm: with unequal pixels coordinates are scaled before anything is measured, and the numbers
    without a unit (`circularity`, `convexity`, `aspect_ratio`) are those of the true shape too. `angle_deg` is of the stored px.

    Args:
        labels: (h, w) integers, 0 for the background; labels need not be consecutive, and each is one particle even if
            it is in several pieces.
        edge: `keep` particles that touch the edge of the image (flagged, but their sizes are too small), or `leave out`.
            Large particles touch it more often, so then weigh each by its `edge_weight`.
        calibration: none: the nm columns are null.

    Returns:
        By ascending label: `mask_label`, the upright box (`x_px`, `y_px`, `width_px`, `height_px`), the ellipse of the same
        second moments (`ellipse_x_px`, `ellipse_y_px`, full axes `major_px`, `minor_px`, `angle_deg` counter-clockwise from x
        as seen), `area_px`, `equivalent_diameter_px` (of the disc of equal area), `perimeter_px` (Crofton, 4 directions; holes
        count), `feret_max_px`, `feret_min_px` (calipers around the hull), `convex_area_px`, `circularity` (4 pi area /
        perimeter^2; above 1 for particles of a few px), `solidity` (area / convex area), `convexity` (perimeter of the hull /
        perimeter, both by Crofton, at most 1), `aspect_ratio` (major / minor axis), `on_edge`, `edge_weight`; nm twins.

    Raises:
        InputError: not a label image.
        UsageError: another `edge`.
    """
    if edge not in ("keep", "leave out"):
        raise UsageError(f"edge is 'keep' or 'leave out', got {edge!r}")
    scale = calibration or Calibration()
    runs = label_runs(labels)
    hulls = convex_hulls(runs)
    box = _boxes(runs, labels.shape)
    ellipse = _ellipses(runs)
    lines = _hull_lines(runs)
    area = ellipse["area_px"]
    columns: dict[str, Any] = {"mask_label": runs.labels, **{name: box[name] for name in BOX}, **ellipse}
    columns["equivalent_diameter_px"] = 2 * np.sqrt(area / math.pi)
    columns["perimeter_px"] = _crofton(runs.entries, (1.0, 1.0))
    columns["feret_max_px"], columns["feret_min_px"] = feret_diameters(hulls, len(area))
    columns["convex_area_px"] = hulls.area_px.astype(float)
    pixel = scale.pixel_size_nm or (1.0, 1.0)
    perimeter, convex_perimeter = _crofton(runs.entries, pixel), _crofton(lines, pixel)
    major, minor = Calibration(pixel).ellipse_nm(ellipse["major_px"], ellipse["minor_px"], ellipse["angle_deg"])
    columns["circularity"] = 4 * math.pi * area * pixel[0] * pixel[1] / perimeter**2
    columns["solidity"] = area / hulls.area_px
    columns["convexity"] = convex_perimeter / perimeter
    columns["aspect_ratio"] = major / minor
    columns["on_edge"], columns["edge_weight"] = box["on_edge"], box["edge_weight"]
    if scale.has_scale:
        columns["perimeter_nm"] = perimeter
        columns["feret_max_nm"], columns["feret_min_nm"] = feret_diameters(hulls, len(area), pixel)
    table = scale.with_nm(pd.DataFrame(columns))
    return table if edge == "keep" else table[~table["on_edge"]].reset_index(drop=True)


BOX = ("x_px", "y_px", "width_px", "height_px")


def edge_weights(width_px: Array, height_px: Array, shape: tuple[int, ...]) -> Array:
    """How many particles of the plane stand behind one that was seen whole (Miles 1974; Lantuejoul 1980).

    A particle with a box of w x h px touches no edge of an image of W x H px in (W - w - 1) (H - h - 1) of the W H places its
    first pixel can have; the weight is the inverse. Sums of weights per area of the image are unbiased numbers per area,
    and means with these weights unbiased means, of particles of all sizes that fit in.

    Args:
        width_px: (n,) widths of the boxes.
        height_px: (n,) their heights.
        shape: (h, w) of the image.

    Returns:
        (n,), nan where such a particle always touches the edge.
    """
    free = np.maximum(shape[1] - width_px - 1, 0) * np.maximum(shape[0] - height_px - 1, 0)
    return np.asarray(np.divide(float(shape[0] * shape[1]), free, out=np.full(len(free), np.nan), where=free > 0))


def _boxes(runs: Runs, shape: tuple[int, ...]) -> dict[str, Any]:
    if len(runs.labels) == 0:
        return dict.fromkeys((*BOX, "edge_weight"), np.empty(0)) | {"on_edge": np.empty(0, bool)}
    x0, x1 = np.minimum.reduceat(runs.first, runs.start), np.maximum.reduceat(runs.last, runs.start)
    y0, y1 = np.minimum.reduceat(runs.row, runs.start), np.maximum.reduceat(runs.row, runs.start)
    width, height = x1 - x0 + 1.0, y1 - y0 + 1.0
    on_edge = (x0 == 0) | (y0 == 0) | (x1 == shape[1] - 1) | (y1 == shape[0] - 1)
    weight = np.where(on_edge, np.nan, edge_weights(width, height, shape))
    values = ((x0 + x1) / 2, (y0 + y1) / 2, width, height)
    return dict(zip(BOX, values, strict=True)) | {"on_edge": on_edge, "edge_weight": weight}


def _ellipses(runs: Runs) -> dict[str, Array]:
    """Area and the ellipse of the same second moments, each pixel a unit square, summed in closed form over runs."""
    i, count = runs.whose, len(runs.labels)
    length, middle = runs.last - runs.first + 1.0, (runs.first + runs.last) / 2

    def total(values: NDArray[Any]) -> Array:
        return np.bincount(i, weights=values, minlength=count).astype(float)

    area = total(length)
    x, y = total(length * middle) / area, total(length * runs.row) / area
    dx, dy = middle - x[i], runs.row - y[i]
    xx = total(length * dx**2 + length * (length**2 - 1) / 12) / area + 1 / 12
    yy = total(length * dy**2) / area + 1 / 12
    xy = total(length * dx * dy) / area
    half, mean = np.hypot((xx - yy) / 2, xy), (xx + yy) / 2
    minor = 4 * np.sqrt(np.maximum(mean - half, 0))
    angle = np.degrees(-0.5 * np.arctan2(2 * xy, xx - yy)) % 180
    names = ("ellipse_x_px", "ellipse_y_px", "major_px", "minor_px", "angle_deg", "area_px")
    return dict(zip(names, (x, y, 4 * np.sqrt(mean + half), minor, angle, area), strict=True))


def _hull_lines(runs: Runs) -> NDArray[np.int64]:
    """(4, n) how many scan lines in each direction of `Runs.entries` meet the hull, at most as many as enter the label."""
    if len(runs.labels) == 0:
        return runs.entries
    ends = (
        (runs.row, runs.row),
        (runs.first, runs.last),
        (runs.row - runs.last, runs.row - runs.first),
        (runs.row + runs.first, runs.row + runs.last),
    )
    lines = [np.maximum.reduceat(high, runs.start) - np.minimum.reduceat(low, runs.start) + 1 for low, high in ends]
    return np.asarray(np.minimum(np.array(lines), runs.entries))


def _crofton(entries: NDArray[np.int64], pixel_size: tuple[float, float]) -> Array:
    """Perimeter from how often lines in four directions enter (Crofton's formula).

    Each direction counts by the distance of its lines and by the angles that are nearer to it than to the others (Legland,
    Kieu & Devaux, Image Anal. Stereol. 26 (2007) 83).
    """
    size_y, size_x = pixel_size
    tilt = math.atan2(size_y, size_x)  # of the diagonals
    apart = size_x * size_y / math.hypot(size_x, size_y)
    weights = (size_y * tilt, size_x * (math.pi / 2 - tilt), apart * math.pi / 4, apart * math.pi / 4)
    return np.asarray(np.array(weights) @ entries.astype(float))
