"""Labelled images dealt to parts: those of one group stay together, each part has its share of all labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from morphoscope.errors import UsageError

VALIDATION = 5  # one in so many groups that are not in the test part is for early stopping and thresholds


@dataclass(frozen=True)
class Split:
    """Numbers of what is learnt, of what stops the training and sets thresholds, and of what is tested."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]


def deal(groups: Sequence[str], targets: NDArray[np.float32], parts: int, *, seed: int = 0) -> NDArray[np.int64]:
    """The part (n,) of each of n things, 0 to `parts` - 1; a group is never split.

    Groups are ordered by their labels and dealt in rows of `parts`, each row in a random order: so every part gets nearly the
    same number of groups of each class, or of each height of a score.

    Args:
        groups: of each thing.
        targets: labels (n, k).
        parts: how many.
        seed: of the random orders.
    """
    rng = np.random.default_rng(seed)
    names = sorted(set(groups))
    number = np.searchsorted(names, groups)
    mean = np.stack([targets[number == g].mean(axis=0) for g in range(len(names))])
    order = np.lexsort((rng.random(len(names)), *mean.T[::-1]))
    part = np.empty(len(names), np.int64)
    for first in range(0, len(order), parts):
        row = order[first : first + parts]
        part[row] = rng.permutation(parts)[: len(row)]
    return part[number]


def split(groups: Sequence[str], targets: NDArray[np.float32], *, parts: int, fold: int, seed: int = 0) -> Split:
    """Part `fold` of `parts` for testing; of the rest one group in `VALIDATION` for validation.

    Raises:
        UsageError: there are too few groups.
    """
    if len(set(groups)) < max(parts, 3):
        raise UsageError(
            f"wanted at least {max(parts, 3)} images or groups, to learn some and hold some out, got {len(set(groups))}; add "
            "images, lower train.bands, or set train.folds = 0 to learn all without validation"
        )
    test = deal(groups, targets, parts, seed=seed) == fold
    rest = np.flatnonzero(~test)
    names = [groups[int(k)] for k in rest]
    held = deal(names, targets[rest], min(VALIDATION, len(set(names))), seed=seed + 1) == 0
    return Split(rest[~held], rest[held], np.flatnonzero(test))
