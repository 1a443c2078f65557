"""Which images to label next: those a classifier is unsure of, far from each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from morphoscope.errors import UsageError

Array = NDArray[np.float64]


def unsureness(probability: ArrayLike) -> Array:
    """How unsure a classifier is of each of n images, 0 to 1: one minus the gap of the two most probable of k classes (n, k).

    The margin of Scheffer, Decomain & Wrobel (IDA 2001). A class alone leaves nothing to be unsure of.
    """
    p = np.atleast_2d(np.asarray(probability, float))
    if p.shape[1] < 2:
        return np.zeros(len(p))
    ordered = np.sort(p, axis=1)
    return np.asarray(np.clip(1 - (ordered[:, -1] - ordered[:, -2]), 0, 1))


def label_next(unsure: ArrayLike, features: ArrayLike, count: int) -> NDArray[np.int64]:
    """Numbers of the images to label next, the first the most wanted.

    The first is the most unsure one. Each next one has the largest product of its unsureness and its distance to the nearest one
    already taken (farthest-first traversal, Gonzalez, Theor. Comput. Sci. 38 (1985) 293, weighted), so that ten copies of one
    doubtful image count as one. Where that product is 0 for all, the rest follow by unsureness, then by their order.

    Args:
        unsure: (n,) from 0 up.
        features: (n, d), of which directions are compared (cosine distance).
        count: how many; all where there are not as many.

    Raises:
        UsageError: arrays of different length, or a negative count.
    """
    weight, vectors = np.asarray(unsure, float).ravel(), np.asarray(features, np.float32)
    if len(weight) != len(vectors) or count < 0:
        raise UsageError(f"wanted features for each image and a count from 0, got {len(weight)}, {len(vectors)} and {count}")
    if not len(weight) or not count:
        return np.zeros(0, np.int64)
    directions = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    chosen, free = [int(weight.argmax())], np.ones(len(weight), bool)
    nearest = np.full(len(weight), np.inf)
    while len(chosen) < min(count, len(weight)):
        free[chosen[-1]] = False
        nearest = np.minimum(nearest, np.clip(1 - directions @ directions[chosen[-1]], 0, None))
        gain = np.where(free, weight * np.where(nearest < 1e-6, 0, nearest), -1.0)
        best = int(gain.argmax())
        if gain[best] <= 0:
            best = int(np.where(free, weight, -1.0).argmax())
        chosen.append(best)
    return np.array(chosen, np.int64)
