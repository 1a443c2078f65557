"""Local gradient orientation: histograms of the gradient's direction in windows, and how sharp they are.

After the analysis of directions by local gradients (Liu, Appl. Opt. 30 (1991) 1369, as in ImageJ's Directionality) that Modarres
et al. (Sci. Rep. 7 (2017) 13282, doi 10.1038/s41598-017-13565-z) find the share of coherently aligned nanowires with: a window
belongs to aligned wires where its histogram is narrow.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from morphoscope.measure.alignment import Directions
from morphoscope.measure.structure_tensor import GRADIENT_PX, edges, gradients

BINS = 36  # of the histogram, 5 degrees each
COHERENT = 0.75  # least coherence of a window of aligned wires (benchmarks.wires)

Float = NDArray[np.float32]


class Windows(NamedTuple):
    """Windows of a picture in rows and columns.

    Attributes:
        histogram: (rows, columns, bins) strength of gradients whose edge runs in each direction, 0 to 180 degrees.
        field: main direction (rows, columns) of the edges; its length is the coherence, 0 (even histogram) to 1 (one direction).
        share: (rows, columns) share of the window's pixels that are edges.
        side_px: side of a window.
    """

    histogram: Float
    field: Directions
    share: Float
    side_px: int


def gradient_orientation(
    image: NDArray[Any],
    *,
    side_px: int,
    sigma_px: float = GRADIENT_PX,
    bins: int = BINS,
    kept: NDArray[np.bool_] | None = None,
) -> Windows:
    """Histograms of gradient orientation in windows of a grey image (h, w).

    Each edge pixel (`structure_tensor.edges`) counts with its gradient. Windows cut by the right or lower border count with what
    there is of them if that is half a window or more.

    Args:
        image: grey values, finite.
        side_px: side of the windows.
        sigma_px: width (standard deviation) of the Gaussian that derivatives are taken with.
        bins: of the histogram over 180 degrees.
        kept: which pixels (h, w) count; None for all.
    """
    gx, gy = gradients(image, sigma_px=sigma_px)
    strength = np.hypot(gx, gy)
    edge = edges(strength) if kept is None else edges(strength) & kept
    along = (np.rad2deg(np.arctan2(gy, gx)) + 90) % 180
    height, width = image.shape
    rows, columns = (max(int(n / side_px + 0.5), 1) for n in (height, width))
    y, x = np.nonzero(edge)
    at = np.minimum(y // side_px, rows - 1) * columns + np.minimum(x // side_px, columns - 1)
    place = np.minimum((along[edge] * (bins / 180)).astype(np.int64), bins - 1)
    counts = np.bincount(at * bins + place, weights=strength[edge], minlength=rows * columns * bins)
    histogram = counts.reshape(rows, columns, bins).astype(np.float32)
    total = np.maximum(histogram.sum(2), 1e-30)
    twice = np.deg2rad(2 * along[edge])
    cos2, sin2 = (
        np.bincount(at, weights=strength[edge] * f(twice), minlength=rows * columns).reshape(rows, columns) / total
        for f in (np.cos, np.sin)
    )
    field = Directions(cos2.astype(np.float32), sin2.astype(np.float32))
    share = np.bincount(at, minlength=rows * columns).reshape(rows, columns) / _areas(height, width, rows, columns, side_px)
    return Windows(histogram, field, share.astype(np.float32), side_px)


def _areas(height: int, width: int, rows: int, columns: int, side_px: int) -> NDArray[np.int64]:
    """Pixels of each window."""
    high, wide = (np.diff(np.append(np.arange(count) * side_px, length)) for count, length in ((rows, height), (columns, width)))
    return np.asarray(high[:, None] * wide[None, :])
