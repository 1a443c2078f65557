"""Post-processing of a centre-heatmap network (version `centres-1`): peaks to boxes, overlapping boxes suppressed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

CENTRES = "centres-1"
Array = NDArray[np.float64]


def boxes_from_peaks(
    peaks: NDArray[np.float32], boxes: NDArray[np.float32], *, stride: int, threshold: float
) -> tuple[Array, Array, NDArray[np.int64]]:
    """Boxes of all peaks above a threshold.

    Args:
        peaks: (classes, rows, columns) scores, 0 where a cell is not the highest of its 3x3 neighbours.
        boxes: (4, rows, columns) offset x, y, log width, log height in units of the stride.
        stride: px per cell.
        threshold: lowest score.

    Returns:
        centres and sizes (n, 4) x, y, width, height in px (pixel centres at integers), scores (n,), classes (n,).
    """
    label, row, column = np.nonzero(peaks >= threshold)
    dx, dy, log_w, log_h = boxes[:, row, column].astype(float)
    x, y = (column + 0.5 + dx) * stride - 0.5, (row + 0.5 + dy) * stride - 0.5
    size = np.exp(np.clip([log_w, log_h], -4, 6)) * stride
    return np.stack([x, y, *size], axis=1), peaks[label, row, column].astype(float), label.astype(np.int64)


def suppress(boxes: Array, scores: Array, iou: float) -> NDArray[np.int64]:
    """Indices of the boxes (n, 4: x, y, width, height) kept by greedy non-maximum suppression, highest score first.

    Only neighbours found by a k-d tree are compared, so thousands of boxes cost milliseconds.
    """
    if len(boxes) < 2:
        return np.arange(len(boxes))
    order = np.lexsort((boxes[:, 0], boxes[:, 1], -scores))
    ranked = boxes[order]
    reach = ranked[:, 2:].max(axis=1)
    pairs = cKDTree(ranked[:, :2]).query_pairs(float(reach.max()), output_type="ndarray")
    first, second = np.sort(pairs, axis=1).T
    low = np.maximum(ranked[first, :2] - ranked[first, 2:] / 2, ranked[second, :2] - ranked[second, 2:] / 2)
    high = np.minimum(ranked[first, :2] + ranked[first, 2:] / 2, ranked[second, :2] + ranked[second, 2:] / 2)
    inner = np.clip(high - low, 0, None).prod(axis=1)
    union = ranked[first, 2:].prod(axis=1) + ranked[second, 2:].prod(axis=1) - inner
    clash = inner > iou * union
    keep = np.ones(len(boxes), bool)
    for winner, loser in sorted(zip(first[clash].tolist(), second[clash].tolist(), strict=True)):
        if keep[winner]:
            keep[loser] = False
    return order[keep]
