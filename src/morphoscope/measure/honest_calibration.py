"""Whether probabilities are what they say: calibration error, reliability, and the temperature that mends it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from morphoscope.errors import InputError
from morphoscope.measure.classification import bootstrap, share_interval
from morphoscope.measure.honest_held import group_weights

Array = NDArray[np.float64]
BINS = 15
WIDEST = 5.0  # natural logarithm of the largest temperature that is tried, and of the inverse of the smallest


def expected_calibration_error(top: ArrayLike, right: ArrayLike, *, bins: int = BINS) -> float:
    """How far confidence is from accuracy: mean over images of the gap in their bin of confidence.

    Bins of equal width, each with its upper end (Guo et al., ICML 2017; Naeini, Cooper & Hauskrecht, AAAI 2015). It is never
    negative, so that a finite number of images shows an error even of a perfect model: see `calibrated_error`.

    Args:
        top: probability (n,) of the most probable class.
        right: whether (n,) it is the true one.
        bins: how many.
    """
    return _error_of_weights(top, right, bins)(np.ones(np.size(top)))


def calibration_interval(
    top: ArrayLike, right: ArrayLike, group: ArrayLike, *, bins: int = BINS, draws: int = 1000
) -> tuple[float, float]:
    """Bounds in 95 % of `expected_calibration_error`, drawing whole groups (n,) again; nan with fewer than two groups.

    Drawing again adds noise, and noise adds to an error that is never negative; the mean of what it adds is taken off again
    (bias-corrected percentiles), so that the bounds lie about the error that was found. They are of what so many images show;
    what these would show of true probabilities is `calibrated_error`.
    """
    _, number = np.unique(np.asarray(group), return_inverse=True)
    error = _error_of_weights(top, right, bins)
    values = list[float]()

    def remembered(weights: Array) -> float:
        values.append(error(weights))
        return values[-1]

    low, high = bootstrap(remembered, number.astype(np.int64), draws=draws)
    shift = float(np.mean(values)) - error(np.ones(np.size(top)))
    return max(float(low) - shift, 0.0), max(float(high) - shift, 0.0)


def calibrated_error(top: ArrayLike, *, bins: int = BINS, draws: int = 300, seed: int = 0) -> tuple[float, float]:
    """The calibration error that probabilities (n,) would show if they were true: its mean and what 95 % do not exceed.

    Answers are drawn from the probabilities, image by image (Broecker & Smith, Weather and Forecasting 22 (2007) 651).
    """
    p, rng = np.asarray(top, float), np.random.default_rng(seed)
    errors = [expected_calibration_error(p, rng.random(len(p)) < p, bins=bins) for _ in range(draws)]
    return float(np.mean(errors)), float(np.quantile(errors, 0.95))


def reliability(top: ArrayLike, right: ArrayLike, *, bins: int = BINS) -> pd.DataFrame:
    """A row per bin with images: ends `low`, `high`, `n`, mean `confidence`, `accuracy` with its 95 % interval (Wilson)."""
    p, hit = np.asarray(top, float), np.asarray(right, bool)
    place, rows = _bins(p, bins), []
    for k in np.unique(place):
        inside = place == k
        accuracy, n = float(hit[inside].mean()), int(inside.sum())
        low, high = share_interval(accuracy, n)
        rows.append([k / bins, (k + 1) / bins, n, float(p[inside].mean()), accuracy, low, high])
    return pd.DataFrame(rows, columns=["low", "high", "n", "confidence", "accuracy", "accuracy_low", "accuracy_high"])


def best_temperature(logits: ArrayLike, truth: ArrayLike, group: ArrayLike | None = None) -> float:
    """The temperature by which logits are to be divided for their softmax to be calibrated (Guo et al., ICML 2017).

    It has the least cross-entropy over images that were not learnt, each group counting as one; to these n comes the worth of one
    more with all classes alike (a prior as Perks has it, J. Inst. Actuar. 73 (1947) 285), so that answers which are all right do
    not make the model certain of everything.

    Args:
        logits: (n, k) of images that were not learnt.
        truth: numbers (n,) of the true classes.
        group: of each image (n,); none: each for itself.

    Raises:
        InputError: no images, or not as many labels.
    """
    z, true = np.atleast_2d(np.asarray(logits, float)), np.asarray(truth, int)
    if not len(z) or len(z) != len(true):
        raise InputError(f"a temperature wants logits of labelled images, got {len(z)} with {len(true)} labels")
    weight = group_weights(np.arange(len(z)) if group is None else group)
    n, k = float(weight.sum()), z.shape[1]
    target = np.full(z.shape, 1 / k / (n + 1))
    target[np.arange(len(z)), true] += n / (n + 1)

    def cost(log_temperature: float) -> float:
        return float(-(weight[:, None] * target * log_softmax(z * np.exp(-log_temperature), axis=1)).sum())

    return float(np.exp(minimize_scalar(cost, bounds=(-WIDEST, WIDEST), method="bounded", options={"xatol": 1e-4}).x))


def _bins(top: Array, bins: int) -> NDArray[np.int64]:
    """The bin of each probability, its upper end belonging to it."""
    return np.clip(np.ceil(top * bins - 1e-9).astype(np.int64) - 1, 0, bins - 1)


def _error_of_weights(top: ArrayLike, right: ArrayLike, bins: int) -> Callable[[Array], float]:
    """The calibration error as a function of weights (n,), for a bootstrap."""
    p = np.asarray(top, float)
    place, gap = _bins(p, bins), np.asarray(right, float) - p
    return lambda weights: float(np.abs(np.bincount(place, weights * gap, bins)).sum() / weights.sum())
