"""Prediction sets: as many classes as it takes for the true one to be among them in the share of images that was named."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from morphoscope.errors import UsageError
from morphoscope.measure.classification import group_quantile
from morphoscope.measure.honest_held import HeldOut

Bools = NDArray[np.bool_]


def set_limit(held_out: HeldOut, *, coverage: float) -> float:
    """From which probability on a class belongs to the set; minus infinity (all do) where too few groups are held out.

    Split conformal prediction with one minus the probability of the true class as the score (Sadinle, Lei & Wasserman, J. Am.
    Stat. Assoc. 114 (2019) 223), the calibration images in groups: the next image is one of a new group, each group counts as one
    draw, its images with equal shares of it (Dunn, Wasserman & Ramdas, J. Am. Stat. Assoc. 118 (2023) 2491; Lee, Barber &
    Willett, arXiv:2306.06342). At least coverage / (1 - coverage) groups are needed: 9 for 90 %, 19 for 95 %.

    Args:
        held_out: answers to images that were not learnt.
        coverage: the share of images whose true class shall be in the set, between 0 and 1.

    Raises:
        UsageError: coverage of another size.
    """
    if not 0 < coverage < 1:
        raise UsageError(f"coverage is the share of images whose set shall hold the true class, such as 0.9; got {coverage:g}")
    return -group_quantile(-held_out.truth_probability, held_out.group, coverage)


def sets_from(probability: ArrayLike, limit: float) -> Bools:
    """The classes (n, k) whose probability reaches the limit, and the most probable one always, with all that equal it."""
    p = np.asarray(probability, float)
    return np.asarray(p >= np.minimum(limit, p.max(axis=1, keepdims=True)))


def prediction_sets(probability: ArrayLike, held_out: HeldOut, *, coverage: float) -> Bools:
    """Sets of classes (n, k) that hold the true one in at least the named share of images, on average over such models.

    The promise is for images that come as those held out did (same categories in the same shares, one image of each new group).
    It is exact where the network that judges is the one that judged the held-out images; a network that has learnt those too
    is, as a rule, no worse. No set is empty: the most probable class is always in it, which can only add to the coverage.

    Args:
        probability: calibrated probabilities (n, k), as those of `held_out`.
        held_out: answers to images that were not learnt.
        coverage: see `set_limit`.
    """
    return sets_from(probability, set_limit(held_out, coverage=coverage))
