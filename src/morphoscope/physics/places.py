"""Figures of samples that were seen in several places (fields of view), and how samples differ.

Particles of one place are more alike than those of one sample, so the number of places, not of particles, says how well a
sample is known. Intervals come from leaving out one place at a time, with t of the places less one; one place gives none.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t

from morphoscope.errors import InputError
from morphoscope.physics.size_distribution import weighted_quantile

Array = NDArray[np.float64]
SAME = 1e-7  # of the largest value: sizes that differ by less are the same but for rounding


class _Sample(NamedTuple):
    """Values (n,), their weights and places (numbers from 0)."""

    x: Array
    w: Array
    place: NDArray[np.int64]


def sample_statistics(
    table: pd.DataFrame,
    value: str,
    *,
    sample: str = "sample",
    place: str = "file",
    weight: str | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Mean and median of each sample, over all its particles, with intervals that hold the variance between places.

    Args:
        table: a row per particle.
        value: the column, such as `equivalent_diameter_nm`; null values are left out.
        sample: the column of samples.
        place: the column of fields of view; names may be used again in other samples.
        weight: the column of weights, such as `edge_weight`; null leaves a particle out. None: all alike.
        confidence: of the intervals.

    Returns:
        A row per sample: `sample`, `n`, `n_places`, `mean`, `mean_low`, `mean_high`, `median`, `median_low`, `median_high`,
        `sd` (of particles), `sd_within`, `sd_between` (of the means of places, without what particles alone do; null for one
        place), `share_between` (of the variance). The median's interval is that of the share below it (Woodruff 1952); an
        end on a value that comes more than once, as sizes of whole pixels do, lies half-way to the next one.

    Raises:
        InputError: a column is missing, or a weight is not positive.
    """
    rows = []
    for name, one in _samples(table, value, sample, place, weight):
        mean, se, freedom = _mean(one.x, one.w, one.place)
        half = _t(confidence, freedom) * se
        median = float(weighted_quantile(one.x, 0.5, one.w))
        low, high = _median_interval(one, median, confidence)
        within, between = _components(one)
        rows.append(
            {
                "sample": name,
                "n": len(one.x),
                "n_places": freedom + 1,
                "mean": mean,
                "mean_low": mean - half,
                "mean_high": mean + half,
                "median": median,
                "median_low": low,
                "median_high": high,
                "sd": _sd(one),
                "sd_within": within,
                "sd_between": between,
                "share_between": between**2 / (between**2 + within**2) if between**2 + within**2 > 0 else math.nan,
            }
        )
    return pd.DataFrame(rows, columns=STATISTICS)


STATISTICS = ["sample", "n", "n_places", "mean", "mean_low", "mean_high", "median", "median_low", "median_high", "sd"]
STATISTICS += ["sd_within", "sd_between", "share_between"]
COMPARISON = [
    "sample_a",
    "sample_b",
    "difference",
    "difference_low",
    "difference_high",
    "ratio",
    "effect_size",
    "effect_size_low",
]
COMPARISON += ["effect_size_high", "superiority", "p_value", "p_holm", "degrees_of_freedom"]


def compare_samples(
    table: pd.DataFrame,
    value: str,
    *,
    sample: str = "sample",
    place: str = "file",
    weight: str | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Difference of the means of each two samples, its size and whether places alone explain it.

    Welch's test on the means with the variance between places (Satterthwaite's degrees of freedom). A test of particles against
    particles would take alike particles of one place for independent ones and find differences that are none.

    Args:
        table: as for `sample_statistics`, and so the others.
        value: the column compared.
        sample: the column of samples.
        place: the column of fields of view.
        weight: the column of weights.
        confidence: of the intervals.

    Returns:
        A row per pair: `sample_a`, `sample_b`, `difference` (b less a) with `_low`, `_high`, `ratio` (b / a), `effect_size`
        (difference over the standard deviation of particles, both samples pooled; Cohen's d) with the interval of the
        difference, `superiority` (chance that a particle of b is larger than one of a), `p_value`, `p_holm` (for all pairs
        together; Holm 1979), `degrees_of_freedom`. Test and intervals are null where a sample has one place.

    Raises:
        InputError: as `sample_statistics`.
    """
    rows = []
    for (name_a, a), (name_b, b) in itertools.combinations(_samples(table, value, sample, place, weight), 2):
        (mean_a, se_a, free_a), (mean_b, se_b, free_b) = _mean(*a), _mean(*b)
        difference, se = mean_b - mean_a, math.hypot(se_a, se_b)
        freedom = se**4 / (se_a**4 / free_a + se_b**4 / free_b) if se > 0 else math.nan
        half = _t(confidence, freedom) * se
        n_a, n_b = len(a.x) - 1, len(b.x) - 1
        sd = math.sqrt((n_a * _sd(a) ** 2 + n_b * _sd(b) ** 2) / (n_a + n_b)) if min(n_a, n_b) > 0 else math.nan
        known = [difference, difference - half, difference + half]
        effect = [v / sd if sd > 0 else math.nan for v in known]
        p_value = 2 * float(t.sf(abs(difference) / se, freedom)) if se > 0 else math.nan
        ratio = mean_b / mean_a if mean_a else math.nan
        rows.append([name_a, name_b, *known, ratio, *effect, _superiority(a, b), p_value, math.nan, freedom])
    found = pd.DataFrame(rows, columns=COMPARISON)
    return found.assign(p_holm=holm(found["p_value"].to_numpy(float)))


def _samples(table: pd.DataFrame, value: str, sample: str, place: str, weight: str | None) -> list[tuple[str, _Sample]]:
    wanted = [value, sample, place, *([weight] if weight else [])]
    missing = [name for name in wanted if name not in table.columns]
    if missing:
        raise InputError(f"the table lacks the columns {', '.join(missing)}; it has {', '.join(map(str, table.columns))}")
    used = table[wanted].dropna()
    if weight and not ((used[weight] > 0) & np.isfinite(used[weight].to_numpy(float))).all():
        raise InputError(f"weights in {weight} must be positive numbers; a null weight leaves a particle out")
    found = []
    for name, rows in used.groupby(sample, sort=True, observed=True):
        w = rows[weight].to_numpy(float) if weight else np.ones(len(rows))
        found.append((name, _Sample(rows[value].to_numpy(float), w, pd.factorize(rows[place])[0].astype(np.int64))))
    return found


def _mean(x: Array, w: Array, place: NDArray[np.int64]) -> tuple[float, float, int]:
    """Mean over particles, its standard error by leaving out each place in turn (nan for one), and places less one."""
    weights, sums = np.bincount(place, weights=w), np.bincount(place, weights=w * x)
    mean, places = float(sums.sum() / weights.sum()), len(weights)
    if places < 2:
        return mean, math.nan, 0
    without = (sums.sum() - sums) / (weights.sum() - weights)
    return mean, math.sqrt((places - 1) / places * float(((without - mean) ** 2).sum())), places - 1


def _median_interval(one: _Sample, median: float, confidence: float) -> tuple[float, float]:
    below = (one.x < median) + 0.5 * (one.x == median)
    share, se, freedom = _mean(below, one.w, one.place)
    if freedom < 1:
        return math.nan, math.nan
    half = _t(confidence, freedom) * se
    low, high = weighted_quantile(one.x, np.clip([share - half, share + half], 0, 1), one.w)
    return _beyond_steps(one.x, float(low), float(high))


def _beyond_steps(x: Array, low: float, high: float) -> tuple[float, float]:
    """An end on a value that came more than once, half-way out to the next one: areas of whole pixels come in steps."""
    unit = SAME * max(float(np.abs(x).max()), SAME)
    value, times = np.unique(np.rint(x / unit), return_counts=True)
    first, last = (round(end / unit) for end in (low, high))
    i, j = (min(int(np.searchsorted(value, end)), len(value) - 1) for end in (first, last))
    if value[i] == first and times[i] > 1 and i > 0:
        low = (float(value[i - 1]) * unit + low) / 2
    if value[j] == last and times[j] > 1 and j + 1 < len(value):
        high = (float(value[j + 1]) * unit + high) / 2
    return low, high


def _components(one: _Sample) -> tuple[float, float]:
    """Standard deviations within and between places, from the mean squares of the analysis of variance, without weights."""
    n = np.bincount(one.place)
    means = np.bincount(one.place, weights=one.x) / n
    total, places = len(one.x), len(n)
    if total == places:
        return math.nan, math.nan
    within = float(((one.x - means[one.place]) ** 2).sum()) / (total - places)
    if places < 2:
        return math.sqrt(within), math.nan
    between = float((n * (means - one.x.mean()) ** 2).sum()) / (places - 1)
    typical = (total - float((n**2).sum()) / total) / (places - 1)
    return math.sqrt(within), math.sqrt(max((between - within) / typical, 0.0))


def _sd(one: _Sample) -> float:
    if len(one.x) < 2:
        return math.nan
    mean = np.average(one.x, weights=one.w)
    return math.sqrt(float(np.average((one.x - mean) ** 2, weights=one.w)) * len(one.x) / (len(one.x) - 1))


def _superiority(a: _Sample, b: _Sample) -> float:
    """Share of pairs, by weight, in which b is larger; equal ones count half."""
    order = np.argsort(a.x, kind="stable")
    sums = np.concatenate(([0.0], np.cumsum(a.w[order])))
    below = (sums[np.searchsorted(a.x[order], b.x, "left")] + sums[np.searchsorted(a.x[order], b.x, "right")]) / 2
    return float((b.w * below).sum() / (b.w.sum() * sums[-1]))


def _t(confidence: float, freedom: float) -> float:
    return float(t.ppf(0.5 + confidence / 2, freedom)) if freedom > 0 else math.nan


def holm(p: Array) -> Array:
    """Each p-value for all tests together (Holm 1979); nan stays and does not count."""
    adjusted, known = np.full(len(p), np.nan), np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1.0)
    return adjusted
