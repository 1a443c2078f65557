"""Objects of one frame to those of the next: sparse global assignment with gaps.

Each track is followed by a filter: its place is known to a variance that grows with every frame it is not seen, by the
object's own mobility. A link is worth the log of how much likelier it is than a stray detection beside a missed object, with
the displacement, the chance to be seen after such a gap, the change of size and score, and the density of strays all learned
from the data. The assignment of greatest total worth is found exactly, frame by frame. An object whose place lies outside
the field of view is not missed.
"""

from __future__ import annotations

import math
from copy import deepcopy
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.errors import InputError, UsageError
from morphoscope.track.assign import assign
from morphoscope.track.features import MOST, RATE, Constancy, features
from morphoscope.track.live import Detections, Tracks, begin
from morphoscope.track.pairs import View, log_density, near, outside, reach_squared
from morphoscope.track.population import FAR, PRIOR, RENEW, MotionModel, Population

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Cost = Literal["likelihood", "distance"]
AWAY = 1000  # frames outside the field of view after which a track is given up
FORGET = 0.98  # what a step counts for less with each later one
LEARN_FRAMES, LEARN_OBJECTS = 30, 50_000  # what is linked once to learn from, and then again
POSITION_GAIN, VELOCITY_GAIN = 0.6, 0.3  # of the filter for directed motion


class Linker:
    """Links frames as they come; memory is that of the live tracks, however long the video.

    Args:
        max_distance_px: farthest an object moves from one frame to the next; None: as far as what was learned of motion
            and density makes a link likelier than none.
        memory: frames an object may be missed while in view and still be the same track.
        motion: `brownian` (each object to its own mobility), `still` (places are not left; long gaps do not widen the
            search) or `directed` (each object goes on at its last velocity).
        cost: `likelihood`, or `distance`: the plain sum of squared distances from the last detection with one search range
            for all gaps (Crocker and Grier 1996, as trackpy has it), which needs `max_distance_px`. Either way a track may go on
            with one of the ten objects nearest to it.
        population: what an earlier linker learned of the same video, its `population`; None: learned as frames come.
    """

    def __init__(
        self,
        *,
        max_distance_px: float | None = None,
        memory: int = 0,
        motion: MotionModel = "brownian",
        cost: Cost = "likelihood",
        population: Population | None = None,
    ) -> None:
        if max_distance_px is not None and not (np.isfinite(max_distance_px) and max_distance_px > 0):
            raise UsageError(f"max_distance_px must be a positive number of px, got {max_distance_px}")
        if cost == "distance" and max_distance_px is None:
            raise UsageError("plain linking by distance wants a max_distance_px")
        if memory < 0:
            raise UsageError(f"memory must be 0 or more frames, got {memory}")
        if population is not None and (population.memory, population.motion) != (memory, motion):
            raise UsageError(
                f"the population was learned with memory {population.memory} and motion {population.motion}, "
                f"the linker has {memory} and {motion}; give both the same"
            )
        self.max_distance_px = math.inf if max_distance_px is None else float(max_distance_px)
        self.memory, self.motion, self.cost = int(memory), motion, cost
        self.population = Population(self.memory, motion) if population is None else deepcopy(population)
        self._constancy = Constancy(0)
        self._tracks = begin(Detections(0, np.empty((0, 2)), np.empty((0, 0))), np.empty(0, np.int64), 0.0)
        self._next_id = 0
        self._frame: int | None = None

    @property
    def alive(self) -> int:
        """How many tracks are kept in memory: those that may still go on."""
        return len(self._tracks.id)

    def step(self, table: pd.DataFrame, *, view: View | None = None) -> Ints:
        """Track number of each row of one frame, in the order of the rows; frames must come in rising order.

        Args:
            table: `frame` (one value), `x_reg_px`, `y_reg_px` and, where known, `major_px`, `score`.
            view: x0, y0, x1, y1 of what the frame shows, in registered px; None: everything.
        """
        if not len(table):
            return np.empty(0, np.int64)
        frames = frame_numbers(table)
        if frames.min() != frames.max() or (self._frame is not None and frames[0] <= self._frame):
            raise InputError(
                f"wanted one frame after {self._frame}, got {frames.min()} to {frames.max()}; sort the table by frame"
            )
        places = table[["x_reg_px", "y_reg_px"]].to_numpy(float)
        if not np.isfinite(places).all():
            raise InputError(f"frame {frames[0]}: a position is not a number; drop such rows before linking")
        return self._advance(Detections(int(frames[0]), places, features(table)), view)

    def _advance(self, frame: Detections, view: View | None) -> Ints:
        order = np.lexsort((*frame.features.T, frame.places[:, 0], frame.places[:, 1]))
        frame = frame.take(order)
        if self._frame is None:
            self._constancy = Constancy(frame.features.shape[1])
            self._tracks = begin(frame.take(np.empty(0, np.int64)), np.empty(0, np.int64), 0.0)
        elif len(self._tracks.id) and not self.population.started:
            self.population.start(self._tracks.seen, frame.places, self.max_distance_px)
        mate = self._mates(frame, view)
        result = np.empty(len(order), np.int64)
        result[order] = self._update(frame, mate)
        self._frame = frame.number
        return result

    def _mates(self, frame: Detections, view: View | None) -> Ints:
        """For each object the row of the track it belongs to, -1 for none; frames missed are counted."""
        elapsed = frame.number - (frame.number if self._frame is None else self._frame)
        tracks = self._tracks._replace(missed=self._tracks.missed + max(elapsed - 1, 0))
        away = self._away(tracks, frame.number, view)
        far = (frame.number - tracks.last > AWAY) | (self._variance(tracks, frame.number) > self.population.spacing**2 / 4)
        lost = (tracks.missed > self.memory) | (away & far)
        tracks, away = tracks.take(~lost), away[~lost]
        mate = self._best(tracks, frame)
        if self.cost == "likelihood" and self._renewed(tracks, ~away & (tracks.missed == 0), frame, mate):
            mate = self._best(tracks, frame)
        met = _met(mate, len(away))
        seeable = met | ~away
        self.population.learn_sight(tracks.kind[seeable], tracks.missed[seeable], met[seeable])
        self._tracks = tracks._replace(missed=tracks.missed + (seeable & ~met))
        return mate

    def _renewed(self, tracks: Tracks, recent: NDArray[np.bool_], frame: Detections, mate: Ints) -> bool:
        """Whether the range was found to be far too small for the tracks seen of late: see `Population.renew`."""
        free, count = frame.places[mate < 0], int(recent.sum())
        if not len(free) or len(free) < RENEW * count:
            return False
        lost = recent & ~_met(mate, len(recent))
        return self.population.renew(tracks.seen[lost], free, self.max_distance_px, count)

    def _best(self, tracks: Tracks, frame: Detections) -> Ints:
        rows, columns, gain = (self._by_distance if self.cost == "distance" else self._by_likelihood)(tracks, frame)
        return assign(rows, columns, gain, (len(tracks.id), len(frame.places)))

    def _expected(self, tracks: Tracks, number: int) -> Array:
        return np.asarray(tracks.place + tracks.velocity * (number - tracks.last)[:, None])

    def _variance(self, tracks: Tracks, number: int) -> Array:
        return np.asarray(tracks.variance + self._walk(tracks) * (number - tracks.last))

    def _away(self, tracks: Tracks, number: int, view: View | None) -> NDArray[np.bool_]:
        return np.zeros(len(tracks.id), bool) if view is None else outside(self._expected(tracks, number), view)

    def _walk(self, tracks: Tracks) -> Array:
        """Variance per axis that own motion adds to each track's place in a frame."""
        known = self.population
        if self.motion == "still" or not known.started:
            return np.full(len(tracks.id), known.walk)
        moved = (tracks.walked + PRIOR * known.moved) / (tracks.steps + PRIOR)
        return np.maximum(moved - 2 * known.noise, 0.1 * known.walk)

    def _by_distance(self, tracks: Tracks, frame: Detections) -> tuple[Ints, Ints, Array]:
        rows, columns, distance2 = near(tracks.seen, frame.places, np.full(len(tracks.id), self.max_distance_px))
        return rows, columns, self.max_distance_px**2 - distance2 + 1e-12 * self.max_distance_px**2

    def _by_likelihood(self, tracks: Tracks, frame: Detections) -> tuple[Ints, Ints, Array]:
        """Track and object numbers of pairs within reach, and what each is worth."""
        known = self.population
        if not known.started or not len(tracks.id) or not len(frame.places):
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
        gap = (frame.number - tracks.last).astype(float)
        chance = known.sight()[tracks.kind, np.minimum(tracks.missed, self.memory + 1)]
        worth = np.log(chance / (1 - chance)) - math.log(known.stray)
        directed = self.motion == "directed"
        spread = known.error(tracks.kind) * gap**2 if directed else self._variance(tracks, frame.number) + known.noise
        reach2 = reach_squared(worth + MOST * frame.features.shape[1], spread, known.rare)
        rows, columns, distance2 = near(self._expected(tracks, frame.number), frame.places, np.sqrt(reach2))
        gain = worth[rows] + log_density(distance2, spread[rows], known.rare)
        gain += self._constancy.gain(tracks.features[rows], frame.features[columns])
        if not math.isfinite(self.max_distance_px):
            return rows, columns, gain
        longest2 = self.max_distance_px**2 + FAR * self._walk(tracks) * (gap - 1)
        if directed:
            longest2 = (self.max_distance_px * gap) ** 2
        allowed = ((frame.places[columns] - tracks.seen[rows]) ** 2).sum(axis=1) <= longest2[rows]
        return rows[allowed], columns[allowed], gain[allowed]

    def _update(self, frame: Detections, mate: Ints) -> Ints:
        """Extend the tracks met (mate[j] is the track row of object j, -1 for a new one); the number of each object."""
        numbers = np.empty(len(mate), np.int64)
        old, new = np.flatnonzero(mate >= 0), np.flatnonzero(mate < 0)
        row, tracks = mate[old], self._tracks
        self._constancy.learn(frame.features, tracks.features[row], frame.features[old])
        numbers[old] = tracks.id[row]
        numbers[new] = self._next_id + np.arange(len(new))
        self._next_id += len(new)
        if len(row):
            self._extend(frame, row, old)
        self._tracks = self._tracks + begin(frame.take(new), numbers[new], self.population.noise)
        self.population.learn_frame(frame.places, len(new))
        return numbers

    def _extend(self, frame: Detections, row: Ints, old: Ints) -> None:
        """Write what was found into the rows of the tracks met, and learn from it."""
        tracks, known = self._tracks, self.population
        found, gap = frame.places[old], (frame.number - tracks.last[row]).astype(float)
        step = found - tracks.seen[row]
        single = gap == 1
        square = (step**2).mean(axis=1)
        product = (step * tracks.step[row]).mean(axis=1)
        error = found - (tracks.place[row] + tracks.velocity[row] * gap[:, None])
        if self.cost == "likelihood" and known.started:
            known.learn_errors(tracks.kind[row], (error**2).mean(axis=1) / gap**2)
            if self.motion != "directed":
                known.learn_tail((error**2).mean(axis=1) / (tracks.variance[row] + self._walk(tracks)[row] * gap + known.noise))
            known.learn_steps(square[single], product[single & np.isfinite(product)])
        before = tracks.variance[row] + self._walk(tracks)[row] * gap
        gain = before / np.maximum(before + known.noise, 1e-300)
        if self.motion == "directed":
            gain = np.full(len(row), POSITION_GAIN)
            first = tracks.hits[row] == 1
            change = np.where(first, 1.0, VELOCITY_GAIN)[:, None] * error / gap[:, None]
            tracks.velocity[row] += change
        own = np.minimum(np.maximum(square - 2 * known.noise, 0) / gap + 2 * known.noise, 25 * max(known.moved, 1e-300))
        tracks.place[row] = found - (1 - gain)[:, None] * error
        tracks.seen[row], tracks.last[row], tracks.missed[row] = found, frame.number, 0
        tracks.step[row] = np.where(single[:, None], step, np.nan)
        tracks.variance[row] = before * (1 - gain)
        tracks.steps[row] = FORGET * tracks.steps[row] + 1
        tracks.walked[row] = FORGET * tracks.walked[row] + own
        tracks.hits[row] += 1
        before_features = tracks.features[row]
        moved = before_features + RATE * (frame.features[old] - before_features)
        tracks.features[row] = np.where(np.isfinite(moved), moved, np.fmax(before_features, frame.features[old]))


def _met(mate: Ints, count: int) -> NDArray[np.bool_]:
    """Which of the tracks have an object."""
    met = np.zeros(count, bool)
    met[mate[mate >= 0]] = True
    return met


def link(
    objects: pd.DataFrame,
    *,
    max_distance_px: float | None = None,
    memory: int = 15,
    motion: MotionModel = "brownian",
    cost: Cost = "likelihood",
    field: View | None = None,
) -> pd.Series[Any]:
    """Track number (Int64, from 0) of each row of `objects`, same index; null where a position is not a number.

    The rows may come in any order, and the order of rows within a frame makes no difference.

    Args:
        objects: `frame`, `x_reg_px`, `y_reg_px` and, where known, `major_px` and `score`; or a table of trackpy as it is
            (`frame`, `x`, `y`, ...).
        max_distance_px, memory, motion, cost: see `Linker`.
        field: x0, y0, x1, y1 of the frames in stored px. With it, and `x_px`, `y_px` beside the registered positions, an object
            whose place lies outside the frame is not missed, and is known again when the stage brings it back.

    Raises:
        InputError: a column is missing.
        UsageError: an impossible range or memory.
    """
    named = _position_columns(objects)
    frame = frame_numbers(objects)
    places, values = objects[list(named)].to_numpy(float), features(objects)
    usable = np.flatnonzero(np.isfinite(places).all(axis=1))
    order = usable[np.argsort(frame[usable], kind="stable")]
    groups = np.split(order, np.flatnonzero(np.diff(frame[order])) + 1) if len(order) else []
    shift = _shifts(objects) if field is not None else None

    def run(linker: Linker, groups: list[Ints]) -> None:
        for rows in groups:
            view = None if field is None or shift is None else _view(field, shift[rows])
            numbers[rows] = linker._advance(Detections(int(frame[rows[0]]), places[rows], values[rows]), view)

    numbers = np.full(len(objects), -1, np.int64)
    make = partial(Linker, max_distance_px=max_distance_px, memory=memory, motion=motion, cost=cost)
    linker = make()
    if cost == "likelihood":
        seen = np.cumsum([len(group) for group in groups])
        run(linker, groups[: max(4, min(LEARN_FRAMES, int(np.searchsorted(seen, LEARN_OBJECTS)) + 1))])
        linker = make(population=linker.population)
    run(linker, groups)
    return pd.Series(numbers, index=objects.index, dtype="Int64", name="track_id").mask(numbers < 0)


def frame_numbers(objects: pd.DataFrame) -> Ints:
    """Frame numbers, also where they are stored as floats.

    Raises:
        InputError: one is missing or no whole number.
    """
    values = objects["frame"].to_numpy(float, na_value=np.nan)
    whole = np.isfinite(values) & (values == np.round(values))
    if not whole.all():
        row = int(np.argmin(whole))
        raise InputError(f"wanted whole frame numbers, got {values[row]} in row {row}; drop or mend such rows")
    return np.asarray(values.astype(np.int64))


def _position_columns(objects: pd.DataFrame) -> tuple[str, str]:
    for named in (("x_reg_px", "y_reg_px"), ("x", "y")):
        if {"frame", *named} <= set(objects.columns):
            return named
    raise InputError(
        "linking wants the columns frame, x_reg_px, y_reg_px (or frame, x, y, as trackpy has them); "
        f"got {', '.join(map(str, objects.columns))}"
    )


def _shifts(objects: pd.DataFrame) -> Array | None:
    """Displacement of each object's frame (n, 2), where both positions are there."""
    if not {"x_px", "y_px", "x_reg_px", "y_reg_px"} <= set(objects.columns):
        return None
    return np.asarray(objects[["x_px", "y_px"]].to_numpy(float) - objects[["x_reg_px", "y_reg_px"]].to_numpy(float))


def _view(field: View, shift: Array) -> View:
    x, y = np.median(shift, axis=0)
    return field[0] - x, field[1] - y, field[2] - x, field[3] - y
