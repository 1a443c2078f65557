"""Pairing of found and true boxes or masks, and the scores that follow."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

Array = NDArray[np.float64]


def iou_matrix(a: Array, b: Array) -> Array:
    """Intersection over union (n, m) of boxes (n, 4) and (m, 4), each x0, y0, x1, y1."""
    a, b = np.asarray(a, float).reshape(-1, 4), np.asarray(b, float).reshape(-1, 4)
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    inner = np.clip(high - low, 0, None).prod(axis=2)
    union = (a[:, 2:] - a[:, :2]).prod(axis=1)[:, None] + (b[:, 2:] - b[:, :2]).prod(axis=1)[None] - inner
    return np.asarray(np.divide(inner, union, out=np.zeros_like(inner), where=union > 0))


def match_greedy(iou: Array, threshold: float) -> NDArray[np.int64]:
    """Row and column numbers (k, 2) of a one-to-one pairing: the highest IoU of the whole matrix first, down to `threshold`.

    Equal values are taken in row, then column order (doi 10.1016/j.commatsci.2021.110560).
    """
    rows, columns = np.nonzero(iou >= max(threshold, np.finfo(float).tiny))
    return _take_highest(rows, columns, iou[rows, columns], iou.shape)


def _take_highest(
    rows: NDArray[np.int64], columns: NDArray[np.int64], values: Array, shape: tuple[int, ...]
) -> NDArray[np.int64]:
    """Pairs taken from the highest value down, each row and each column once."""
    order = np.lexsort((columns, rows, -values))
    free_row, free_column = np.ones(shape[0], bool), np.ones(shape[1], bool)
    pairs = []
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if free_row[row] and free_column[column]:
            free_row[row] = free_column[column] = False
            pairs.append((row, column))
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def precision_recall_f1(tp: int, fp: int, fn: int) -> tuple[float, float, float]:
    """Precision, recall and F1 from counts; 0 where a denominator is 0."""
    precision = tp / (tp + fp) if tp + fp else 0.0
    recall = tp / (tp + fn) if tp + fn else 0.0
    f1 = 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0
    return precision, recall, f1


def iou_pairs(a: Array, b: Array) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
    """Rows, columns and values of all entries of `iou_matrix(a, b)` above 0, without the matrix."""
    a, b = np.asarray(a, float).reshape(-1, 4), np.asarray(b, float).reshape(-1, 4)
    rows, columns = _near(a, b)
    low, high = np.maximum(a[rows, :2], b[columns, :2]), np.minimum(a[rows, 2:], b[columns, 2:])
    inner = np.clip(high - low, 0, None).prod(axis=1)
    area_a, area_b = (a[:, 2:] - a[:, :2]).prod(axis=1), (b[:, 2:] - b[:, :2]).prod(axis=1)
    some = inner > 0
    rows, columns, inner = rows[some], columns[some], inner[some]
    return rows, columns, np.asarray(inner / (area_a[rows] + area_b[columns] - inner))


def _near(a: Array, b: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs whose centres are close enough to overlap."""
    if not len(a) or not len(b):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    centre_a, centre_b = (a[:, :2] + a[:, 2:]) / 2, (b[:, :2] + b[:, 2:]) / 2
    reach = ((a[:, 2:] - a[:, :2]).max(axis=1) + float((b[:, 2:] - b[:, :2]).max())) / 2
    found = cKDTree(centre_b).query_ball_point(centre_a, reach, p=np.inf, return_sorted=True)
    count = np.fromiter((len(f) for f in found), np.int64, len(found))
    columns = np.concatenate([np.asarray(f, np.int64) for f in found])
    return np.repeat(np.arange(len(a)), count), columns


def match_boxes(a: Array, b: Array, threshold: float, *, classes: tuple[ArrayLike, ArrayLike] | None = None) -> NDArray[np.int64]:
    """`match_greedy(iou_matrix(a, b), threshold)` for thousands of boxes (n, 4) and (m, 4), without the matrix.

    Args:
        a: boxes, each x0, y0, x1, y1.
        b: boxes likewise.
        threshold: lowest IoU of a pair.
        classes: of the boxes, (n,) and (m,); only boxes of the same class are paired. None: all may be.
    """
    rows, columns, values = iou_pairs(a, b)
    some = values >= threshold
    if classes is not None:
        some &= np.asarray(classes[0])[rows] == np.asarray(classes[1])[columns]
    return _take_highest(rows[some], columns[some], values[some], (len(a), len(b)))


def label_pairs(a: NDArray[Any], b: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
    """Labels of `a`, labels of `b` and IoU of all pairs of overlapping masks in two label images (h, w), 0 background.

    The ways to overlap are counted in one pass, so thousands of masks cost no more than a few.
    """
    if a.shape != b.shape:
        raise ValueError(f"wanted two label images of one shape, got {a.shape} and {b.shape}")
    names_a, flat_a = np.unique(a, return_inverse=True)
    names_b, flat_b = np.unique(b, return_inverse=True)
    code, inner = np.unique(flat_a.ravel() * len(names_b) + flat_b.ravel(), return_counts=True)
    rows, columns = np.divmod(code, len(names_b))
    union = np.bincount(flat_a.ravel())[rows] + np.bincount(flat_b.ravel())[columns] - inner
    some = (names_a[rows] != 0) & (names_b[columns] != 0)
    found, true = names_a[rows[some]].astype(np.int64), names_b[columns[some]].astype(np.int64)
    return found, true, np.asarray(inner[some] / union[some], float)


def match_labels(a: NDArray[Any], b: NDArray[Any], threshold: float) -> NDArray[np.int64]:
    """Labels (k, 2) of a one-to-one pairing of the masks of two label images (h, w), highest IoU first, down to `threshold`."""
    rows, columns, values = label_pairs(a, b)
    some = values >= threshold
    shape = (int(rows.max(initial=0)) + 1, int(columns.max(initial=0)) + 1)
    return _take_highest(rows[some], columns[some], values[some], shape)
