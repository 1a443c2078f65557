"""Tracks with several objects in one frame, as where they split or merge, cut into ones that have one a frame."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from morphoscope.errors import InputError

Ints = NDArray[np.int64]
MOST = 100  # objects of a track in one frame; more are no branches of anything


def cut_at_branches(objects: pd.DataFrame, source: str) -> tuple[pd.Series, Ints]:
    """Track numbers (n,) Int64 of one object a frame, and the numbers of the tracks that had to be cut.

    A track is cut where the number of its objects changes from one of its frames to the next. Between cuts, objects go on
    as those nearest to them, with the least sum of squared distances. The first piece keeps the number, the others get new
    ones above all that are given. Where a track splits in the very frame in which it merges elsewhere, nothing shows it.

    Args:
        objects: `frame`, `x_px`, `y_px`, `track_id` (Int64, null: none).
        source: what messages call the table.

    Raises:
        InputError: a track has more objects in one frame than branches make.
    """
    linked = objects[objects["track_id"].notna()]
    branching = linked.loc[linked.duplicated(["track_id", "frame"]), "track_id"].drop_duplicates().sort_values()
    track = objects["track_id"].copy()
    free = int(linked["track_id"].max()) + 1 if len(linked) else 0
    for number in branching:
        rows = linked.index[linked["track_id"] == number].to_numpy()
        sizes = linked.loc[rows].groupby("frame").size()
        if sizes.max() > MOST:
            raise InputError(
                f"{source}: track {number} has {sizes.max()} objects in frame {sizes.idxmax()}, wanted one a frame; drop the "
                "column of track numbers to have the objects linked"
            )
        piece = _pieces(linked.loc[rows, "frame"].to_numpy(np.int64), linked.loc[rows, ["x_px", "y_px"]].to_numpy(float))
        track.loc[rows] = np.where(piece == 0, int(number), free + piece - 1)
        free += int(piece.max())
    return track, branching.to_numpy(np.int64)


def _pieces(frame: Ints, xy: NDArray[np.float64]) -> Ints:
    """The piece (n,) of each object of a track, from 0 in order of time."""
    piece = np.zeros(len(frame), np.int64)
    before, free = np.empty(0, np.int64), 0
    for number in np.unique(frame):
        now = np.flatnonzero(frame == number)
        if len(now) == len(before):
            first, second = linear_sum_assignment(cdist(xy[before], xy[now], "sqeuclidean"))
            piece[now[second]] = piece[before[first]]
        else:
            piece[now] = np.arange(free, free + len(now))
            free += len(now)
        before = now
    return piece
