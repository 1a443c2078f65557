"""Clusters: objects that hang together by steps no longer than a given distance."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from morphoscope.calibration import Calibration
from morphoscope.physics.pair_correlation import close_pairs
from morphoscope.physics.points import Field, one_length, points

Ints = NDArray[np.int64]


def clusters(
    objects: pd.DataFrame,
    calibration: Calibration,
    *,
    field: Field,
    distance_px: float | None = None,
    distance_nm: float | None = None,
) -> pd.DataFrame:
    """The cluster of each object: two objects are in one where centres at most a distance apart lead from one to the other.

    A natural distance is the first minimum of g(r).

    Args:
        objects: see `points.points`.
        calibration: needed for `distance_nm`.
        field: see `points.points`.
        distance_px: between centres; give this or `distance_nm`.
        distance_nm: the same in nm.

    Returns:
        The index of `objects`, null outside of the field: `cluster_id` from 0 in each frame, in the order of first members;
        `cluster_size` its members in the field; `cluster_on_edge`: a member lies within the distance of the field's edge, so
        that the cluster may go on outside.

    Raises:
        UsageError: not exactly one positive distance.
    """
    reach = one_length(calibration, distance_px, distance_nm, "distance")
    number, size, edge = np.zeros(len(objects), np.int64), np.zeros(len(objects), np.int64), np.zeros(len(objects), bool)
    for made in points(objects, calibration, field=field):
        label = connected(made.xy, reach)
        number[made.row], size[made.row] = label, np.bincount(label)[label]
        edge[made.row] = (np.bincount(label, made.to_edge < reach) > 0)[label]
    table = pd.DataFrame({"cluster_id": number, "cluster_size": size}, index=objects.index, dtype="Int64")
    return table.mask(table["cluster_size"] == 0).assign(cluster_on_edge=edge)


def connected(xy: NDArray[np.float64], reach: float) -> Ints:
    """Number of the cluster of each point (n, 2), from 0 in the order of first members."""
    n = len(xy)
    i, j = close_pairs(xy, reach)
    label = connected_components(coo_array((np.ones(len(i), bool), (i, j)), shape=(n, n)), directed=False)[1]
    _, first, where = np.unique(label, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return np.asarray(rank[where])
