"""Objects of one frame to those of the next: sparse global assignment with gaps.

Each track is followed by a filter with a still or Brownian object in mind: its place is known to a variance that grows with
every frame it is not seen, by a mobility estimated from the track itself and from all tracks. Candidates lie
within a radius that grows likewise; among them the assignment of least total cost is found exactly, frame by frame.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from scipy.spatial import cKDTree

from morphoscope.errors import InputError, UsageError

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Cost = Literal["likelihood", "distance"]
TAIL = 4.0  # degrees of freedom of the heavy-tailed distance cost
MISS = 0.3  # cost of each missed frame
PRIOR = 20.0  # steps the mobility of all tracks counts for in that of one
SIZE_SPREAD = 0.35  # typical relative change of measured size between frames


class _Tracks(NamedTuple):
    """The tracks that may still go on, one row each."""

    id: Ints
    x: Array
    y: Array
    size: Array
    last: Ints
    variance: Array
    steps: Array
    walked: Array

    def take(self, rows: NDArray[np.bool_]) -> _Tracks:
        """Some of the tracks."""
        return _Tracks(*(column[rows] for column in self))  # type: ignore[arg-type]


def _none() -> _Tracks:
    floats, ints = np.empty(0), np.empty(0, np.int64)
    return _Tracks(ints, floats, floats, floats, ints, floats, floats, floats)


class Linker:
    """Links frames as they come; memory is that of the live tracks, however long the video.

    Args:
        max_distance_px: farthest an object moves from one frame to the next.
        memory: frames an object may be missed and still be the same track.
        cost: `likelihood` weighs distance by each track's own uncertainty, gap and size; `distance` is the plain sum
            of squared distances with one search range for all gaps, as trackpy has it.
    """

    def __init__(self, *, max_distance_px: float, memory: int = 0, cost: Cost = "likelihood") -> None:
        if not (np.isfinite(max_distance_px) and max_distance_px > 0):
            raise UsageError(f"max_distance_px must be a positive number of px, got {max_distance_px}")
        if memory < 0:
            raise UsageError(f"memory must be 0 or more frames, got {memory}")
        self.max_distance_px, self.memory, self.cost = float(max_distance_px), int(memory), cost
        self._tracks = _none()
        self._next_id = 0
        self._frame: int | None = None
        self._steps = PRIOR
        self._walked = PRIOR * (max_distance_px / 4) ** 2

    @property
    def alive(self) -> int:
        """How many tracks are kept in memory: those that may still go on."""
        return len(self._tracks.id)

    def step(self, table: pd.DataFrame) -> Ints:
        """Track number of each row of one frame, in the order of the rows; frames must come in rising order.

        Args:
            table: `frame` (one value), `x_reg_px`, `y_reg_px` and, where known, `major_px`.
        """
        if not len(table):
            return np.empty(0, np.int64)
        frames = table["frame"].to_numpy(np.int64)
        if frames.min() != frames.max() or (self._frame is not None and frames[0] <= self._frame):
            raise InputError(
                f"wanted one frame after {self._frame}, got {frames.min()} to {frames.max()}; sort the table by frame"
            )
        places = table[["x_reg_px", "y_reg_px"]].to_numpy(float)
        if not np.isfinite(places).all():
            raise InputError(f"frame {frames[0]}: a position is not a number; drop such rows before linking")
        size = table["major_px"].to_numpy(float) if "major_px" in table.columns else np.full(len(table), np.nan)
        return self._advance(int(frames[0]), places, size)

    def _advance(self, frame: int, places: Array, size: Array) -> Ints:
        order = np.lexsort((size, places[:, 0], places[:, 1]))
        x, y, size = places[order, 0], places[order, 1], size[order]
        self._forget(frame)
        rows, columns, cost, limit = self._candidates(frame, x, y, size)
        mate = _assign(rows, columns, cost, (len(self._tracks.id), len(x)), limit)
        numbers = self._update(frame, x, y, size, mate)
        self._frame = frame
        result = np.empty(len(order), np.int64)
        result[order] = numbers
        return result

    def _forget(self, frame: int) -> None:
        alive = frame - self._tracks.last <= self.memory + 1
        if not alive.all():
            self._tracks = self._tracks.take(alive)

    def _mobility(self) -> Array:
        """Variance a frame adds to each track's place (px2 per axis)."""
        own = (self._tracks.walked + PRIOR * self._walked / self._steps) / (self._tracks.steps + PRIOR)
        return np.asarray(own / 2)

    def _candidates(self, frame: int, x: Array, y: Array, size: Array) -> tuple[Ints, Ints, Array, float]:
        """Track and object numbers of pairs within reach, their costs, and the cost of leaving a pair apart."""
        tracks = self._tracks
        gap = (frame - tracks.last).astype(float)
        mobility = self._mobility()
        plain = self.cost == "distance"
        reach2 = np.full(len(gap), self.max_distance_px**2)
        if not plain:
            reach2 = reach2 + 9 * mobility * (gap - 1)
        if not len(gap) or not len(x):
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), 1.0
        rows, columns = _near(np.stack([tracks.x, tracks.y], 1), np.stack([x, y], 1), np.sqrt(reach2))
        distance2 = (tracks.x[rows] - x[columns]) ** 2 + (tracks.y[rows] - y[columns]) ** 2
        if plain:
            return rows, columns, distance2, self.max_distance_px**2
        own = tracks.variance + mobility * gap
        floor = self._walked / self._steps / 4
        spread = own + floor
        base = float(np.median(spread))
        cost = (TAIL + 2) / 2 * np.log1p(distance2 / (TAIL * spread[rows])) + np.log(spread / base)[rows]
        cost = cost + MISS * (gap[rows] - 1)
        change = np.log(size[columns] / np.where(tracks.size[rows] > 0, tracks.size[rows], np.nan)) / SIZE_SPREAD
        cost = cost + np.nan_to_num(np.log1p(change**2 / TAIL))
        limit = (TAIL + 2) / 2 * float(np.log1p(self.max_distance_px**2 / (TAIL * base))) + MISS * self.memory + 3
        return rows, columns, cost, limit

    def _update(self, frame: int, x: Array, y: Array, size: Array, mate: Ints) -> Ints:
        """Extend the tracks met (mate[j] is the track row of object j, -1 for a new one); the number of each object."""
        tracks, numbers = self._tracks, np.empty(len(x), np.int64)
        old, new = np.flatnonzero(mate >= 0), np.flatnonzero(mate < 0)
        row = mate[old]
        numbers[old] = tracks.id[row]
        numbers[new] = self._next_id + np.arange(len(new))
        self._next_id += len(new)
        gap = (frame - tracks.last[row]).astype(float)
        walked = ((tracks.x[row] - x[old]) ** 2 + (tracks.y[row] - y[old]) ** 2) / gap
        noise = self._walked / self._steps / 4
        before = tracks.variance[row] + self._mobility()[row] * gap
        gain = before / (before + noise) if self.cost == "likelihood" else np.ones(len(row))
        self._steps, self._walked = 0.98 * self._steps + len(old), 0.98 * self._walked + float(walked.sum())
        met = _Tracks(
            tracks.id[row],
            tracks.x[row] + gain * (x[old] - tracks.x[row]),
            tracks.y[row] + gain * (y[old] - tracks.y[row]),
            np.where(np.isfinite(tracks.size[row]), tracks.size[row] + 0.3 * (size[old] - tracks.size[row]), size[old]),
            np.full(len(old), frame, np.int64),
            before * (1 - gain),
            0.98 * tracks.steps[row] + 1,
            0.98 * tracks.walked[row] + walked,
        )
        born = _Tracks(
            numbers[new],
            x[new],
            y[new],
            size[new],
            np.full(len(new), frame, np.int64),
            np.full(len(new), noise),
            np.zeros(len(new)),
            np.zeros(len(new)),
        )
        kept = np.ones(len(tracks.id), bool)
        kept[row] = False
        self._tracks = _Tracks(*(np.concatenate(parts) for parts in zip(tracks.take(kept), met, born, strict=True)))
        return numbers


def _near(tracks: Array, objects: Array, reach: Array) -> tuple[Ints, Ints]:
    """Row numbers of the pairs closer than each track's reach, sorted."""
    found = cKDTree(objects).query_ball_point(tracks, reach, return_sorted=True)
    count = np.fromiter((len(f) for f in found), np.int64, len(found))
    rows = np.repeat(np.arange(len(tracks)), count)
    columns = np.concatenate([np.asarray(f, np.int64) for f in found]) if count.sum() else np.empty(0, np.int64)
    return rows, columns


def _assign(rows: Ints, columns: Ints, cost: Array, shape: tuple[int, int], limit: float) -> Ints:
    """For each object the track of the assignment of least total cost, -1 for none; a pair left apart costs `limit`."""
    mate = np.full(shape[1], -1, np.int64)
    useful = cost < limit
    rows, columns, cost = rows[useful], columns[useful], cost[useful]
    alone = (np.bincount(rows, minlength=shape[0])[rows] == 1) & (np.bincount(columns, minlength=shape[1])[columns] == 1)
    mate[columns[alone]] = rows[alone]
    rows, columns, cost = rows[~alone], columns[~alone], cost[~alone]
    if len(rows):
        track, rows = np.unique(rows, return_inverse=True)
        thing, columns = np.unique(columns, return_inverse=True)
        for i, j in _solve(rows, columns, cost, (len(track), len(thing)), limit):
            mate[thing[j]] = track[i]
    return mate


def _solve(rows: Ints, columns: Ints, cost: Array, shape: tuple[int, int], limit: float) -> list[tuple[int, int]]:
    """Least cost with births and deaths: real pairs, a way out for each row and column, and the transposed pairs."""
    n, m = shape
    shift = 1.0 + max(0.0, -float(cost.min()))
    all_rows = np.concatenate([rows, np.arange(n), n + np.arange(m), n + columns])
    all_columns = np.concatenate([columns, m + np.arange(n), np.arange(m), m + rows])
    weights = np.concatenate([cost + shift, np.full(n + m, limit / 2 + shift), np.full(len(rows), shift)])
    graph: csr_matrix = coo_matrix((weights, (all_rows, all_columns)), shape=(n + m, n + m)).tocsr()
    chosen_row, chosen_column = min_weight_full_bipartite_matching(graph)
    real = (chosen_row < n) & (chosen_column < m)
    return list(zip(chosen_row[real].tolist(), chosen_column[real].tolist(), strict=True))


def link(objects: pd.DataFrame, *, max_distance_px: float, memory: int = 0, cost: Cost = "likelihood") -> pd.Series[Any]:
    """Track number (Int64, from 0) of each row of `objects`, same index; null where a position is not a number.

    The rows may come in any order, and the order of rows within a frame makes no difference.

    Args:
        objects: `frame`, `x_reg_px`, `y_reg_px` and, where known, `major_px`.
        max_distance_px: farthest an object moves from one frame to the next.
        memory: frames an object may be missed and still be the same track.
        cost: see `Linker`.

    Raises:
        InputError: a column is missing.
        UsageError: an impossible range or memory.
    """
    missing = {"frame", "x_reg_px", "y_reg_px"} - set(objects.columns)
    if missing:
        raise InputError(f"linking wants the columns frame, x_reg_px, y_reg_px; {', '.join(sorted(missing))} missing")
    linker = Linker(max_distance_px=max_distance_px, memory=memory, cost=cost)
    frame = objects["frame"].to_numpy(np.int64)
    places = objects[["x_reg_px", "y_reg_px"]].to_numpy(float)
    size = objects["major_px"].to_numpy(float) if "major_px" in objects.columns else np.full(len(objects), np.nan)
    usable = np.flatnonzero(np.isfinite(places).all(axis=1))
    order = usable[np.argsort(frame[usable], kind="stable")]
    numbers = np.full(len(objects), -1, np.int64)
    for rows in np.split(order, np.flatnonzero(np.diff(frame[order])) + 1) if len(order) else []:
        numbers[rows] = linker._advance(int(frame[rows[0]]), places[rows], size[rows])
    return pd.Series(numbers, index=objects.index, dtype="Int64", name="track_id").mask(numbers < 0)
