"""The tracks that may still go on, as arrays with a row each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from morphoscope.track.population import CLASSES

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


class Detections(NamedTuple):
    """The objects of one frame."""

    number: int
    places: Array  # (n, 2)
    features: Array  # (n, columns)

    def take(self, rows: Ints) -> Detections:
        """Some of them."""
        return Detections(self.number, self.places[rows], self.features[rows])


class Tracks(NamedTuple):
    """The tracks that may still go on, one row each."""

    id: Ints
    place: Array  # (n, 2) filtered
    velocity: Array  # (n, 2) px per frame
    seen: Array  # (n, 2) last detection as it came
    step: Array  # (n, 2) last displacement over one frame, nan where there was a gap
    features: Array
    last: Ints
    missed: Ints  # frames in view since then
    hits: Ints
    variance: Array
    steps: Array
    walked: Array

    def take(self, rows: NDArray[np.bool_]) -> Tracks:
        """Some of the tracks."""
        return Tracks(*(column[rows] for column in self))  # type: ignore[arg-type]

    @property
    def kind(self) -> Ints:
        """Class of each track by its number of detections."""
        return np.minimum(self.hits, CLASSES) - 1

    def __add__(self, other: Tracks) -> Tracks:  # type: ignore[override]
        """These and others."""
        return Tracks(*(np.concatenate(parts) for parts in zip(self, other, strict=True)))


def begin(frame: Detections, numbers: Ints, variance: float) -> Tracks:
    """Tracks that begin with these detections.

    Args:
        frame: of the first detections.
        numbers: (n,) of the tracks.
        variance: of their places, per axis.
    """
    n = len(numbers)
    return Tracks(
        id=numbers,
        place=frame.places.copy(),
        velocity=np.zeros((n, 2)),
        seen=frame.places.copy(),
        step=np.full((n, 2), np.nan),
        features=frame.features.copy(),
        last=np.full(n, frame.number, np.int64),
        missed=np.zeros(n, np.int64),
        hits=np.ones(n, np.int64),
        variance=np.full(n, variance),
        steps=np.zeros(n),
        walked=np.zeros(n),
    )
