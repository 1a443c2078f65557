"""How well scores tell classes apart: counts, ROC, confusion matrix, thresholds, and bootstrap over groups of images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
DRAWS, LEVEL = 1000, 0.95
NORMAL_95, ENOUGH_GROUPS = 1.959964, 19


def counts(truth: Bools, found: Bools, weights: ArrayLike = 1.0) -> Array:
    """True positives, false positives, true negatives and false negatives (4, k) of decisions (n, k), weighted (n,)."""
    weight = np.broadcast_to(np.asarray(weights, float), truth.shape[:1])
    table = (truth & found, ~truth & found, ~truth & ~found, truth & ~found)
    return np.stack([weight @ cell for cell in table])


def rates(cells: Array) -> dict[str, Array]:
    """Accuracy, precision, recall and F1 of counts (4, ...); nan where there is nothing to divide by."""
    tp, fp, tn, fn = np.asarray(cells, float)
    return {
        "accuracy": _share(tp + tn, tp + fp + tn + fn),
        "precision": _share(tp, tp + fp),
        "recall": _share(tp, tp + fn),
        "f1": _share(2 * tp, 2 * tp + fp + fn),
    }


def _share(part: Array, whole: Array) -> Array:
    return np.asarray(np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=np.asarray(whole) > 0))


def confusion(truth: NDArray[np.int64], found: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """How many of each true class (rows) were taken for each class (columns): (k, k) of class numbers (n,)."""
    return np.bincount(truth * classes + found, minlength=classes * classes).reshape(classes, classes)


def roc_curve(truth: Bools, scores: ArrayLike) -> tuple[Array, Array, Array]:
    """The receiver operating characteristic of scores (n,): false and true positive rates and the thresholds, from strict to lax.

    A point per different score, so that ties are a slanted line; the first point is (0, 0) at infinity. Rates are nan without
    a positive or without a negative.
    """
    values, right, last = _ranked(truth, scores)
    hits, alarms = np.cumsum(right)[last], np.cumsum(~right)[last]
    false, true = (np.r_[0.0, sums] / (sums[-1] if sums[-1] else np.nan) for sums in (alarms, hits))
    return false, true, np.r_[np.inf, values[last]]


def _ranked(truth: Bools, scores: ArrayLike) -> tuple[Array, Bools, NDArray[np.int64]]:
    """Scores from high to low, the truth in that order, and where the last of each group of equal scores is."""
    values = np.asarray(scores, float)
    order = np.argsort(-values, kind="stable")
    values = values[order]
    return values, truth[order], np.r_[np.flatnonzero(np.diff(values)), len(values) - 1]


def auc(truth: Bools, scores: ArrayLike) -> float:
    """Area under the ROC curve: how often a positive has the higher score than a negative, ties counting half.

    nan where one of the two is missing.
    """
    return auc_of_weights(truth, scores)(np.ones(len(truth)))


def auc_of_weights(truth: Bools, scores: ArrayLike) -> Callable[[Array], float]:
    """`auc` as a function of weights (n,); the scores are sorted once, for a bootstrap."""
    order = np.argsort(-np.asarray(scores, float), kind="stable")
    _, right, last = _ranked(truth, scores)

    def weighted(weights: Array) -> float:
        weight = weights[order]
        hits, alarms = np.cumsum(weight * right)[last], np.cumsum(weight * ~right)[last]
        whole = hits[-1] * alarms[-1]
        return float(np.trapezoid(np.r_[0.0, hits], np.r_[0.0, alarms]) / whole) if whole > 0 else float("nan")

    return weighted


def best_threshold(truth: Bools, scores: ArrayLike) -> float:
    """The threshold of scores (n,) with the highest F1, midway between the scores beside it; 0.5 where one side is missing."""
    if truth.all() or not truth.any():
        return 0.5
    values, right, last = _ranked(truth, scores)
    hits = np.cumsum(right)[last]
    f1 = 2 * hits / (last + 1 + right.sum())
    best = int(f1.argmax())
    below = values[last[best + 1]] if best + 1 < len(last) else 0.0
    return float(np.clip((values[last[best]] + below) / 2, 0.01, 0.99))


def bootstrap(
    statistic: Callable[[Array], ArrayLike], groups: NDArray[np.int64], *, draws: int = DRAWS, seed: int = 0
) -> tuple[Array, Array]:
    """Bounds of what a statistic of weights (n,) is in 95 % of draws of whole groups (percentile bootstrap).

    Draws in which it is nan do not count; nan where none is left, or with fewer than two groups.

    Args:
        statistic: of how often each of n things counts, one number or an array.
        groups: the group (n,) of each, numbered from 0; as many groups as there are get drawn with replacement.
        draws: how many.
        seed: of the random numbers.
    """
    number = int(groups.max()) + 1
    if number < 2:
        empty = np.full(np.shape(statistic(np.ones(len(groups)))), np.nan)
        return empty, empty
    even, rng = np.full(number, 1 / number), np.random.default_rng(seed)
    values = np.array([statistic(rng.multinomial(number, even)[groups].astype(float)) for _ in range(draws)], float)
    known = np.isfinite(values).any(axis=0)
    bounds = np.full((2, *values.shape[1:]), np.nan)
    bounds[:, known] = np.nanquantile(values[:, known], ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=0)
    return bounds[0], bounds[1]


def share_interval(share: float, number: int) -> tuple[float, float]:
    """Bounds in 95 % of a share found in so many independent trials (Wilson, J. Am. Stat. Assoc. 22 (1927) 209)."""
    z = NORMAL_95**2 / number
    middle, half = share + z / 2, float(np.sqrt(z * (share * (1 - share) + z / 4)))
    return min(max((middle - half) / (1 + z), 0.0), share), max(min((middle + half) / (1 + z), 1.0), share)


def group_quantile(values: ArrayLike, groups: ArrayLike, level: float) -> float:
    """The least bound that the next value, one of another group, keeps below with that probability; infinity if none is known.

    It is the smallest value with a share of at least level (k + 1) / k of k groups not above it, each group counting as one, its
    values with equal shares of it (Lee, Barber & Willett, arXiv:2306.06342).

    Args:
        values: (n,).
        groups: of each (n,); at least level / (1 - level) of them give a bound.
        level: the probability, below 1.
    """
    array, (_, group) = np.asarray(values, float), np.unique(np.asarray(groups), return_inverse=True)
    number = np.bincount(group)
    order = np.argsort(array, kind="stable")
    counted = np.cumsum(1 / number[group[order]])
    enough = np.flatnonzero(counted >= level * (len(number) + 1) - 1e-9)
    return float(array[order[enough[0]]]) if len(enough) else float("inf")


def half_width(errors: ArrayLike, groups: ArrayLike | None = None) -> float:
    """Half the width of an interval that holds the next of errors like these (n,) in 95 %: a quantile of their sizes.

    It is the smallest size with at least 0.95 (n + 1) sizes not above it (split conformal prediction, Lei et al., JASA 113 (2018)
    1094); of fewer than 19 errors, for which there is none, the largest. Of errors in groups the next is one of another group,
    and each group counts as one, see `group_quantile`.
    """
    sizes = np.abs(np.asarray(errors, float))
    bound = group_quantile(sizes, np.arange(len(sizes)) if groups is None else groups, LEVEL)
    return min(bound, float(sizes.max()))


def shared_half_width(errors: ArrayLike, groups: ArrayLike) -> float:
    """Half the width of an interval that holds, in 95 %, what the errors of one group have in common; nan if that is not known.

    It is `half_width` of the means of groups, less (in quadrature) what scatter within groups leaves in these means: the
    components of variance of a one-way layout (Searle, Casella and McCulloch, Variance Components, 1992, ch. 3), the one between
    groups as a quantile, since errors of models have long tails. The mean error of all is part of it.

    Args:
        errors: (n,).
        groups: (n,) of each; known from `ENOUGH_GROUPS` groups on, most of them of two or more.
    """
    wrong, (_, group) = np.asarray(errors, float), np.unique(np.asarray(groups), return_inverse=True)
    sizes = np.bincount(group)
    freedom = len(wrong) - len(sizes)
    if len(sizes) < ENOUGH_GROUPS or 2 * (sizes > 1).sum() < len(sizes):
        return float("nan")
    means = np.bincount(group, wrong) / sizes
    within = float(np.square(wrong - means[group]).sum()) / freedom
    return float(np.sqrt(max(half_width(means) ** 2 - NORMAL_95**2 * within * float((1 / sizes).mean()), 0)))
