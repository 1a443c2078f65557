"""What all tracks together tell: how far objects move, how well they are located, how often they are seen, how dense strays are.

Learned while linking, from few frames on; nothing depends on the unit of length.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError, cKDTree

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
MotionModel = Literal["still", "brownian", "directed"]
CLASSES = 4  # tracks of 1, 2, 3, and of more detections differ in how likely they are real
PRIOR = 20.0  # observations that what was assumed at first counts for
CLIP = 9.0  # squared steps above this many times the mean are taken for wrong links
STILL = 1e-3  # of the localisation variance: what a still object moves in a frame
SEEN_FIRST = (0.5, 0.7, 0.8, 0.9)  # chance to be seen in the next frame, by class, before anything is known
FAR, RAREST, MOST_RARE = 9.0, 0.001, 0.005  # steps of 9 times the variance happen, in this part of all
TAIL, TAIL_NORMAL, TAIL_FAR = 6.0, 0.004, 0.5  # of the steps this many variances long are this part of normal and of far ones
RENEW, RENEW_NEAR = 0.3, 0.03  # part of the tracks, and part of the squared spacing
FORGET = 0.99  # what a frame counts for less with each later one
SEEN_LEAST = 0.002  # a whole group can be hidden at once, which is not to be taken for the death of each
AREA_FRAMES = 10


class Population:
    """Running estimates.

    Attributes:
        moved: variance per axis of the displacement from frame to frame.
        noise: variance per axis of the localisation error.
        walk: variance per axis that own motion adds in a frame.
    """

    def __init__(self, memory: int, motion: MotionModel) -> None:
        self.motion: MotionModel = motion
        self.memory = memory
        self.moved = self.noise = self.walk = 0.0
        self._grid = 0.0
        self._steps = np.zeros(2)  # weight and sum of squares
        self._pairs = np.zeros(2)  # weight and sum of products of successive displacements
        self._errors = np.zeros((CLASSES, 2))  # of predictions, for directed motion
        self._tail = np.array([10 * PRIOR, 10 * PRIOR * TAIL_NORMAL])
        self._tried = np.zeros((CLASSES, memory + 2))
        self._met = np.zeros((CLASSES, memory + 2))
        self._born = self._frames = self._seen = 0.0
        self._area = np.zeros(2)

    @property
    def started(self) -> bool:
        """Whether a length is known at all."""
        return self.moved > 0

    def start(self, before: Array, after: Array, reach: float) -> None:
        """First guess of how far objects move, from two frames, (n, 2) and (m, 2); `reach` is the longest step."""
        distance = _mutual(before, after, reach)
        self._grid = max(_grid(np.concatenate([before, after])), 0.0)
        moved = float(np.median(distance**2)) / (2 * np.log(2)) if len(distance) else 0.0
        if not moved > 0 and (len(distance) or np.isfinite(reach)):  # nothing moved at all
            typical = reach / 100 if np.isfinite(reach) else 1e-6 * (1 + float(np.abs(after).max()))
            moved = max(typical, 1e-3 * _spacing(before)) ** 2
        if moved > 0:
            self._begin(moved)

    def renew(self, before: Array, after: Array, reach: float, tracks: int) -> bool:
        """Learn the range anew where most of the tracks lost their objects while as many objects came that no track leads to.

        Args:
            before: (n, 2) last places of the tracks that lost their objects in this frame.
            after: (m, 2) objects of this frame without a track.
            reach: longest step.
            tracks: how many tracks there were.

        Returns:
            Whether something was learned: it is not where the objects without a track are too far to be those that were lost.
        """
        if min(len(before), len(after)) < RENEW * tracks:
            return False
        distance = _mutual(before, after, reach)
        if len(distance) < max(RENEW * tracks, 1):
            return False
        moved = float(np.median(distance**2)) / (2 * np.log(2))
        near = tracks < 3 or moved < RENEW_NEAR * self.spacing**2
        if not near or moved <= self.moved:
            return False
        self._begin(moved)
        return True

    def _begin(self, moved: float) -> None:
        self._steps[:] = PRIOR, PRIOR * moved
        self._pairs[:] = PRIOR, -PRIOR * moved / 4
        self._errors[:] = PRIOR, PRIOR * moved
        self._settle()

    def _settle(self) -> None:
        self.moved = max(self._steps[1] / self._steps[0], self._grid**2 / 3)
        self.noise = float(np.clip(-self._pairs[1] / self._pairs[0], 0.02 * self.moved, 0.498 * self.moved))
        self.noise = max(self.noise, self._grid**2 / 12)
        self.walk = STILL * self.noise if self.motion == "still" else max(self.moved - 2 * self.noise, STILL * self.noise)

    def learn_steps(self, square: Array, product: Array) -> None:
        """Squares of displacements over one frame and products of two successive ones, both per axis (mean of x and y)."""
        self._steps *= FORGET
        self._pairs *= FORGET
        if len(square):
            self._steps += len(square), np.minimum(square, CLIP * self.moved).sum()
        if len(product):
            limit = CLIP * self.moved
            self._pairs += len(product), np.clip(product, -limit, limit).sum()
        self._settle()

    def learn_errors(self, kind: Ints, square: Array) -> None:
        """Squared errors of prediction per axis and frame of gap, by class of the track."""
        limited = np.minimum(square, CLIP * self.error(kind))
        self._errors[:, 0] += np.bincount(kind, minlength=CLASSES)
        self._errors[:, 1] += np.bincount(kind, limited, minlength=CLASSES)

    def learn_tail(self, square: Array) -> None:
        """Squared steps per axis (mean of x and y) over the variance that was expected of them."""
        self._tail += len(square), (square > TAIL).sum()

    @property
    def rare(self) -> float:
        """Part of the steps that are far ones, beyond what a normal distribution has."""
        share = self._tail[1] / self._tail[0]
        return float(np.clip((share - TAIL_NORMAL) / TAIL_FAR, RAREST, MOST_RARE))

    def error(self, kind: Ints) -> Array:
        """Variance of the prediction for tracks of each class."""
        return np.asarray((self._errors[:, 1] / self._errors[:, 0])[kind])

    def learn_sight(self, kind: Ints, missed: Ints, met: NDArray[np.bool_]) -> None:
        """Which tracks (class, frames missed so far) that might have been seen were."""
        size = self._tried.shape
        at = kind * size[1] + np.minimum(missed, size[1] - 1)
        self._tried += np.bincount(at, minlength=self._tried.size).reshape(size)
        self._met += np.bincount(at[met], minlength=self._met.size).reshape(size)

    def sight(self) -> Array:
        """Chance to be seen in the next frame, by class and by frames missed so far (CLASSES, memory + 2)."""
        chance = np.empty_like(self._met)
        before = np.array(SEEN_FIRST)
        for gap in range(chance.shape[1]):
            before = (self._met[:, gap] + PRIOR * before) / (self._tried[:, gap] + PRIOR)
            chance[:, gap] = before
        return np.clip(chance, SEEN_LEAST, 0.999)

    def learn_frame(self, places: Array, born: int) -> None:
        """The detections of a frame, (n, 2), and how many of them began a track."""
        if self._frames < AREA_FRAMES and len(places) > 1:
            self._area += 1, _area(places)
        if self._frames:
            self._born += born
        self._frames += 1
        self._seen += len(places)

    @property
    def stray(self) -> float:
        """Detections per frame and area that belong to no earlier track."""
        usual = 0.05 * self._seen / max(self._frames, 1.0)
        per_frame = (self._born + 5 * usual) / max(self._frames - 1 + 5, 1.0)
        return float(max(per_frame / self.area, 1e-300))

    @property
    def area(self) -> float:
        """Area the objects lie in."""
        return float(max(self._area[1] / max(self._area[0], 1.0), 100 * self.moved))

    @property
    def spacing(self) -> float:
        """Side of the square an object has for itself."""
        return float(np.sqrt(self.area * max(self._frames, 1.0) / max(self._seen, 1.0)))


def _mutual(before: Array, after: Array, reach: float) -> Array:
    """Distances of mutual nearest neighbours, nearer than `reach`."""
    distance, at = cKDTree(after).query(before, distance_upper_bound=reach)
    back = cKDTree(before).query(after)[1]
    near = np.isfinite(distance)
    near[near] = back[at[near]] == np.flatnonzero(near)
    return np.asarray(distance[near])


def _spacing(places: Array) -> float:
    return float(np.median(cKDTree(places).query(places, k=2)[0][:, 1])) if len(places) > 1 else 0.0


def _grid(places: Array) -> float:
    """Step of the grid that all coordinates lie on, such as whole px; 0 where they lie on none."""
    values = np.unique(places)
    if len(values) < 2:
        return 0.0
    step = float(np.diff(values).min())
    parts = (values - values[0]) / step
    return step if np.abs(parts - np.round(parts)).max() < 1e-6 and len(values) > 3 and parts[-1] < 1e6 else 0.0


def _area(places: Array) -> float:
    """Area of the hull; objects on a line have the squares of their spacing."""
    centred = places - places.mean(axis=0)
    length2 = 12 * float(np.linalg.eigvalsh(centred.T @ centred / len(places))[-1])
    try:
        hull = float(ConvexHull(places).volume) if len(places) > 2 else 0.0
    except QhullError:
        hull = 0.0
    return max(hull, length2 / len(places))
