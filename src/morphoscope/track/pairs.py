"""Which objects a track may go on with: those near, and how likely a step of that length is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from morphoscope.track.population import FAR

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
View = tuple[float, float, float, float]
NEIGHBOURS = 10  # nearest objects that a track may go on with


def outside(place: Array, view: View) -> NDArray[np.bool_]:
    """Whether each place (n, 2) lies outside of what is seen."""
    x, y = place.T
    return np.asarray((x < view[0]) | (x > view[2]) | (y < view[1]) | (y > view[3]))


def log_density(distance2: Array, spread: Array, rare: float) -> Array:
    """Log of the probability per area of a displacement: normal of variance `spread` per axis, with rare far steps."""
    near = np.log((1 - rare) / (2 * np.pi * spread)) - distance2 / (2 * spread)
    far = np.log(rare / (2 * np.pi * FAR * spread)) - distance2 / (2 * FAR * spread)
    return np.asarray(np.logaddexp(near, far))


def reach_squared(worth: Array, spread: Array, rare: float) -> Array:
    """Squared distance beyond which a link is worth nothing."""
    near = 2 * spread * (worth + np.log(1 / (np.pi * spread)))
    far = 2 * FAR * spread * (worth + np.log(rare / (np.pi * FAR * spread)))
    return np.maximum(np.maximum(near, far), 0.0)


def near(tracks: Array, objects: Array, reach: Array) -> tuple[Ints, Ints, Array]:
    """Row numbers of the pairs closer than each track's reach, and their squared distances."""
    if not len(tracks) or not len(objects):
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    tree = cKDTree(objects, balanced_tree=False, compact_nodes=False)
    count = min(NEIGHBOURS, len(objects))
    farthest = float(reach.max())
    distance, at = tree.query(tracks, k=range(1, count + 1), distance_upper_bound=farthest * (1 + 1e-9))
    close = distance <= reach[:, None]
    rows, place = np.nonzero(close)
    return rows, at[rows, place].astype(np.int64), distance[rows, place] ** 2
