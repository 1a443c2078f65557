"""Whether sizes are log-normal at all: the largest difference between their distribution and the fitted one."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from morphoscope.physics.size_distribution import LogNormal, checked

LEAST = 4  # particles without which there is nothing to compare


class Misfit(NamedTuple):
    """Largest difference of the shares below any size, and the one that 5 % of log-normal samples exceed; nan where unknown."""

    difference: float
    critical: float


def lognormal_misfit(size: ArrayLike, fit: LogNormal, *, weight: ArrayLike | None = None, smallest: float = 0.0) -> Misfit:
    """Kolmogorov's distance of sizes from the log-normal distribution fitted to them.

    The critical value is that for a mean and a variance found from the same sizes (Lilliefors 1967, by Stephens' formula 1974,
    doi 10.1080/01621459.1974.10480196), with as many particles as the weights leave. Particles of one place that are alike
    exceed it more often.

    Args:
        size: (n,) diameters.
        fit: `fit_lognormal` of them.
        weight: (n,) of each, null to leave it out.
        smallest: sizes below it are left out, and the fit is that of the rest.
    """
    x, w = checked(size, weight)
    x, w = x[x >= smallest], w[x >= smallest]
    if len(x) < LEAST or not math.isfinite(fit.median):
        return Misfit(math.nan, math.nan)
    order = np.argsort(x, kind="stable")
    value, first = np.unique(x[order], return_index=True)
    share = np.r_[0.0, np.cumsum(np.add.reduceat(w[order], first)) / w.sum()]
    sigma = math.log(fit.geometric_sd)
    below = norm.cdf(np.log(value / fit.median) / sigma)
    if smallest > 0:
        hidden = float(norm.cdf(math.log(smallest / fit.median) / sigma))
        below = (below - hidden) / (1 - hidden)
    difference = max(float(np.abs(share[1:] - below).max()), float(np.abs(share[:-1] - below).max()))
    root = math.sqrt(w.sum() ** 2 / (w**2).sum())
    return Misfit(difference, 0.895 / (root - 0.01 + 0.85 / root))
