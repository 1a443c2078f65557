"""The shift between two sets of points, many of which are the same objects a little moved.

Differences between points of one set and of the other pile up at the shift, on an even background of differences
between unlike objects. The centre of the pile is found by expectation maximisation for a Gaussian on an even
background, which weighs each pair by the chance that it is one object; that there is a pile, by a Poisson test. Last,
the pairs of a point compete, as in coherent point drift (Myronenko and Song 2010, doi 10.1109/TPAMI.2010.46).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import pdtrc

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Place = tuple[float, float]
REACH = 0.75  # mean spacings around a guess in which a pile is looked for
WIDEST, NARROWEST = 0.45, 1e-4  # standard deviation of a pile, as a part of that reach
STARTS = (0.45, 0.09, 0.018)  # spreads to begin with, likewise: many objects want the first, few ones the others
CHANCE = 1e-6  # a pile that chance makes more often is none
FEWEST = 3
ROUNDS = 40
COUPLING = 6
ALONE = 0.03  # at least this share of points has no partner
FIRST_LOOK = 4000  # points of the first set that are enough to find a pile; all are used to find its centre
VOTES, VOTERS = 4_000_000, 300
BINS = 8  # bins per mean spacing
MOST_BINS = 40_000_000


class Points(NamedTuple):
    """Places (n, 2) in px and their search tree; `area` px^2 of the field they lie in."""

    xy: Array
    tree: cKDTree
    area: float

    @property
    def spacing(self) -> float:
        """Side of the square that an object has for itself."""
        return math.sqrt(self.area / max(len(self.xy), 1))


class Pile(NamedTuple):
    """The shift (dx, dy) in px, the variance of either, the spread of single objects, and the share of them that was found."""

    dx: float
    dy: float
    variance: float
    spread: float
    share: float


class _State(NamedTuple):
    x: float
    y: float
    spread: float
    share: float  # of the pairs


def find_pile(before: Points, after: Points, guess: Place, *, looked: float = 1.0, widest: float = WIDEST) -> Pile | None:
    """The pile near a guessed shift; None where there is none that chance would not make.

    Args:
        before: the earlier points.
        after: the later points.
        guess: px.
        looked: number of places that were looked at to find this guess.
        widest: spread from which on a pile is none, as a part of the reach.
    """
    smaller = min(len(before.xy), len(after.xy))
    if smaller < FEWEST:
        return None
    reach = REACH * max(before.spacing, after.spacing)
    some = before.xy[:: -(-len(before.xy) // FIRST_LOOK)]
    x, y, _, _ = _differences(some, after, guess, reach)
    even, looked = len(some) * len(after.xy) / before.area, looked * len(STARTS)
    for start in STARTS:
        state = _centre(x, y, _State(0.0, 0.0, start * reach, 0.5), reach)
        if state.spread <= widest * reach and _is_pile(x, y, state, reach, looked=looked, even=even):
            break
    else:
        return None
    guess = guess[0] + state.x, guess[1] + state.y
    reach = min(reach, 6 * state.spread)
    pairs = _differences(before.xy, after, guess, reach)
    state = _centre(pairs.x, pairs.y, _State(0.0, 0.0, state.spread, state.share), reach)
    share = min(float(_belief(pairs.x, pairs.y, state, reach).sum()) / smaller, 1.0)
    *centre, variance = _centre_of_couples(pairs, state, max(1 - share, ALONE) * len(after.xy) / after.area)
    return Pile(guess[0] + centre[0], guess[1] + centre[1], variance, state.spread, share)


class _Pairs(NamedTuple):
    """Differences of pairs of points less the guess, and the row of each in its set."""

    x: Array
    y: Array
    first: Ints
    second: Ints


def _differences(before: Array, after: Points, guess: Place, reach: float) -> _Pairs:
    """Those within reach of the guess."""
    moved = before + np.array(guess)
    pairs = cKDTree(moved, balanced_tree=False).sparse_distance_matrix(after.tree, reach, output_type="ndarray")
    left = after.xy[pairs["j"]] - moved[pairs["i"]]
    return _Pairs(left[:, 0], left[:, 1], pairs["i"], pairs["j"])


def _centre_of_couples(pairs: _Pairs, state: _State, alone: float) -> tuple[float, float, float]:
    """Centre of a pile, and its variance per axis, when a point has one partner at most, or none at all.

    Partners of each other leave no room for chance pairs of theirs, which so add less noise. `alone` is the number of
    points per px^2 that have no partner.
    """
    x, y, spread2 = state.x, state.y, state.spread**2
    for _ in range(COUPLING):
        distance2 = (pairs.x - x) ** 2 + (pairs.y - y) ** 2
        near = np.exp(distance2 / (-2 * spread2))
        rivals = np.bincount(pairs.first, near)[pairs.first] + np.bincount(pairs.second, near)[pairs.second] - near
        weight = near / (rivals + alone * 2 * math.pi * spread2)
        total = float(weight.sum())
        x, y = float(weight @ pairs.x) / total, float(weight @ pairs.y) / total
    information = float((weight**2) @ distance2) / (2 * spread2**2)  # Fisher's, per axis
    return x, y, 1 / max(information, FEWEST / 4 / spread2)


def _belief(x: Array, y: Array, state: _State, reach: float) -> Array:
    """Chance of each pair to belong to the pile."""
    distance2 = (x - state.x) ** 2 + (y - state.y) ** 2
    peak = state.share / (2 * math.pi * state.spread**2) * np.exp(distance2 / (-2 * state.spread**2))
    return np.asarray(peak / (peak + (1 - state.share) / (math.pi * reach**2)))


def _centre(x: Array, y: Array, state: _State, reach: float) -> _State:
    """Centre, spread and share by expectation maximisation."""
    for _ in range(ROUNDS):
        weight = _belief(x, y, state, reach)
        total = float(weight.sum())
        if total < 1e-6:
            break
        before, cx, cy = state, float(weight @ x) / total, float(weight @ y) / total
        spread = math.sqrt(float(weight @ ((x - cx) ** 2 + (y - cy) ** 2)) / total / 2)
        state = _State(cx, cy, max(spread, NARROWEST * reach), min(total / len(x), 1 - 1e-9))
        if max(abs(cx - before.x), abs(cy - before.y), abs(spread - before.spread)) < 1e-4 * state.spread:
            break
    return state


def _is_pile(x: Array, y: Array, state: _State, reach: float, *, looked: float, even: float) -> bool:
    """Whether so many pairs come together by chance once in a million; `even` is what to expect of them per px^2."""
    radius = 2.5 * state.spread
    inside = int(((x - state.x) ** 2 + (y - state.y) ** 2 <= radius**2).sum())
    around = (len(x) - inside) / (math.pi * (reach**2 - radius**2)) if radius < 0.7 * reach else 0.0
    expected = max(around, even) * math.pi * radius**2
    places = looked * max((reach / radius) ** 2, 1.0)
    return inside >= FEWEST and places * float(pdtrc(inside - 1, expected)) < CHANCE


def vote(before: Points, after: Points, max_step: Place) -> tuple[Place, float]:
    """The shift, up to max_step px in x and y, at which differences pile up most, and the number of places looked at."""
    least = math.sqrt(4 * (max_step[0] + 1) * (max_step[1] + 1) / MOST_BINS)  # objects on a line have no area for themselves
    bin_px = max(min(before.spacing, after.spacing) / BINS, least)
    half = math.ceil(max_step[0] / bin_px), math.ceil(max_step[1] / bin_px)
    votes = _votes(before, after, bin_px, half)
    even = cv2.blur(votes, (4 * BINS + 1, 4 * BINS + 1), borderType=cv2.BORDER_REFLECT)
    best, found = -1.0, (0.0, 0.0)
    for side in (3, 5, 9):
        expected = even * side**2
        sums = cv2.boxFilter(votes, -1, (side, side), normalize=False, borderType=cv2.BORDER_CONSTANT)
        excess = (sums - expected) / np.sqrt(expected + 1)
        row, column = divmod(int(excess.argmax()), votes.shape[1])
        if float(excess[row, column]) > best:
            best = float(excess[row, column])
            found = (column - half[0]) * bin_px, (row - half[1]) * bin_px
    return found, float(votes.size)


def _votes(before: Points, after: Points, bin_px: float, half: tuple[int, int]) -> NDArray[np.float32]:
    """How many differences lie in each bin, up to `half` bins from the middle in x and y."""
    width, height = 2 * half[0] + 1, 2 * half[1] + 1
    voters = before.xy[:: -(-len(before.xy) // max(VOTERS, VOTES // len(after.xy)))]
    counts = np.zeros(width * height)
    for part in np.array_split(voters, -(-len(voters) * len(after.xy) // VOTES)):
        bins = np.rint((after.xy[None] - part[:, None]).reshape(-1, 2) / bin_px).astype(np.int64) + np.array(half)
        bins = bins[((bins >= 0) & (bins < (width, height))).all(axis=1)]
        counts += np.bincount(bins[:, 1] * width + bins[:, 0], minlength=len(counts))
    return counts.reshape(height, width).astype(np.float32)
