"""A few features that stand for many."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
PROJECTED = 32  # dimensions in which features are compared


def coreset(features: Array, size: int, *, seed: int = 0) -> NDArray[np.int64]:
    """Which of the features (n, d) to keep so that none is far from a kept one: greedy k-centre.

    Each next one is the farthest from those kept so far, which leaves the greatest distance at most twice the least possible
    (Sener & Savarese, ICLR 2018, arXiv:1708.00489; PatchCore's algorithm 1). Distances are compared after a random projection,
    as there.

    Returns:
        indices (size,) in the order in which they were taken, so the first m are a coreset of m; all n where there are no more.
    """
    if len(features) <= size:
        return np.arange(len(features))
    rng = np.random.default_rng(seed)
    if features.shape[1] > PROJECTED:
        features = features @ rng.normal(0, PROJECTED**-0.5, (features.shape[1], PROJECTED)).astype(np.float32)
    squares = (features * features).sum(axis=1)
    taken = np.empty(size, np.int64)
    nearest, taken[0] = np.full(len(features), np.inf, np.float32), rng.integers(len(features))
    for k in range(1, size):
        last = taken[k - 1]
        np.minimum(nearest, squares - 2 * (features @ features[last]) + squares[last], out=nearest)
        nearest[last] = -np.inf
        taken[k] = nearest.argmax()
    return taken
