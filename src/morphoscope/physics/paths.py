"""Linked objects as sorted arrays: what every estimator of motion starts from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


class Paths(NamedTuple):
    """n detections of k tracks, the longest track (in frames) first, each in order of time.

    `track_id` (k,), `first` (k + 1,) the row each track begins at, `number` (n,) the track's row of each detection, `frame`
    (n,), `px` (n, 2) x and y in px, `row` (n,) the position in the table it came from.
    """

    track_id: Ints
    first: Ints
    number: Ints
    frame: Ints
    px: Array
    row: Ints

    @property
    def n_points(self) -> Ints:
        """(k,) detections of each track."""
        return np.diff(self.first)

    @property
    def span(self) -> Ints:
        """(k,) last minus first frame of each track."""
        return np.asarray(self.frame[self.first[1:] - 1] - self.frame[self.first[:-1]])


def paths(objects: pd.DataFrame) -> Paths:
    """The tracks of a table; rows without a track or with a position that is not a number are left out.

    Args:
        objects: `frame`, `track_id` (null: none), `x_reg_px`, `y_reg_px`, rows in any order.

    Raises:
        InputError: a column is missing, or a track has two objects in one frame.
    """
    missing = {"frame", "track_id", "x_reg_px", "y_reg_px"} - set(map(str, objects.columns))
    if missing:
        raise InputError(f"motion wants the columns frame, track_id, x_reg_px, y_reg_px; {', '.join(sorted(missing))} missing")
    px = objects[["x_reg_px", "y_reg_px"]].to_numpy(float)
    rows = np.flatnonzero(objects["track_id"].notna().to_numpy() & np.isfinite(px).all(axis=1))
    ids = objects["track_id"].iloc[rows].to_numpy(np.int64)
    frame = objects["frame"].iloc[rows].to_numpy(np.int64)
    order = np.lexsort((frame, ids))
    rows, ids, frame = rows[order], ids[order], frame[order]
    begin = np.flatnonzero(np.r_[True, np.diff(ids) != 0]) if len(ids) else np.empty(0, np.int64)
    count = np.diff(np.r_[begin, len(ids)])
    twice = np.flatnonzero((np.diff(ids) == 0) & (np.diff(frame) == 0))
    if len(twice):
        at = twice[0]
        raise InputError(f"track {ids[at]} has two objects in frame {frame[at]}; a track takes one object a frame: link again")
    longest = np.argsort(-(frame[begin + count - 1] - frame[begin]), kind="stable") if len(ids) else begin
    first = np.r_[0, np.cumsum(count[longest])].astype(np.int64)
    number = np.repeat(np.arange(len(longest)), count[longest])
    take = np.arange(len(ids)) - first[number] + begin[longest][number] if len(ids) else begin
    return Paths(ids[begin[longest]], first, number, frame[take], px[rows[take]], rows[take])


def every_nth(made: Paths) -> tuple[Paths, int]:
    """The same with frame numbers in units of the step all tracks were analysed at, and that step in frames.

    The step is the greatest common divisor of the frames between detections of a track.
    """
    same = np.diff(made.number) == 0
    step = max(int(np.gcd.reduce(np.diff(made.frame)[same])), 1) if same.any() else 1
    return (made, 1) if step == 1 else (made._replace(frame=made.frame // step), step)


def squared_pixels(calibration: Calibration) -> Array:
    """nm2 per px2 along x and y (2,); nan without a scale."""
    size_y, size_x = calibration.pixel_size_nm or (np.nan, np.nan)
    return np.array([size_x**2, size_y**2])


class Slots(NamedTuple):
    """The same detections laid out with a slot for every frame of a track, nan where it was missed.

    `px` (m, 2), `number` (m,) the track's row, `end` (k + 1,) the slot each track begins at.
    """

    px: Array
    number: Ints
    end: Ints


def slots(made: Paths) -> Slots:
    """Lay tracks out frame by frame, the longest first."""
    length = made.span + 1
    begin = np.r_[0, np.cumsum(length)].astype(np.int64)
    px = np.full((int(begin[-1]), 2), np.nan)
    px[begin[made.number] + made.frame - made.frame[made.first[:-1]][made.number]] = made.px
    return Slots(px, np.repeat(np.arange(len(length)), length), begin)


def steps(laid: Slots, lag: int) -> tuple[Ints, Array]:
    """Track row (m,) and displacement (m, 2) in px of every pair of detections exactly `lag` frames apart."""
    length = np.diff(laid.end)
    stop = int(laid.end[np.searchsorted(-length, -lag)])  # tracks are sorted by length: only the first are long enough
    start = np.flatnonzero(laid.number[: max(stop - lag, 0)] == laid.number[lag:stop])
    moved = laid.px[start + lag] - laid.px[start]
    seen = np.isfinite(moved[:, 0])
    return laid.number[start[seen]], moved[seen]
