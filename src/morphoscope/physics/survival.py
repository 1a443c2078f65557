"""Life times when many lives are not seen to their end, or not from their beginning."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from morphoscope.errors import InputError
from morphoscope.physics.density import poisson_interval

Array = NDArray[np.float64]


class MedianLife(NamedTuple):
    """Life that half of the objects outlive, in the unit of the durations; nan where the curve does not come to a half."""

    value: float
    low: float
    high: float


class DeathRate(NamedTuple):
    """Deaths per unit of time with its interval, the deaths, and the time they were seen in."""

    value: float
    low: float
    high: float
    deaths: int
    exposure: float


def kaplan_meier(
    duration: ArrayLike, observed: ArrayLike, *, entry: ArrayLike | None = None, confidence: float = 0.95
) -> pd.DataFrame:
    """Share of objects that outlive each duration (Kaplan & Meier 1958), with Greenwood's log-log interval.

    Args:
        duration: (n,) age at death or when last seen.
        observed: (n,) whether the death was seen; where not, the life is censored: it lasted at least that long.
        entry: (n,) age at which each object came into view, for objects that were there before (left truncation); none: 0.
        confidence: of the interval at each duration.

    Returns:
        A row per duration with deaths: `duration`, `survival`, `low`, `high`, `at_risk`, `deaths`. The interval is 1 to 1
        before the first death; where all at risk die `low` and `high` are null.

    Raises:
        InputError: lengths differ, or an object is not at risk for any time (a duration not above its entry).
    """
    age, seen, start = _checked(duration, observed, entry)
    times, deaths = np.unique(age[seen], return_counts=True)
    at_risk = np.searchsorted(np.sort(start), times, side="left") - np.searchsorted(np.sort(age), times, side="left")
    survival = np.cumprod(1 - deaths / at_risk) if len(times) else np.empty(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.cumsum(deaths / (at_risk * (at_risk - deaths)))
        width = float(norm.ppf(0.5 + confidence / 2)) * np.sqrt(variance) / np.abs(np.log(survival))
        low, high = survival ** np.exp(width), survival ** np.exp(-width)
    known = survival > 0
    return pd.DataFrame(
        {
            "duration": times,
            "survival": survival,
            "low": np.where(known, low, np.nan),
            "high": np.where(known, high, np.nan),
            "at_risk": at_risk,
            "deaths": deaths,
        }
    )


def median_life(table: pd.DataFrame) -> MedianLife:
    """Median of a `kaplan_meier` table, with the interval where its band crosses a half (Brookmeyer & Crowley 1982)."""
    age = table["duration"].to_numpy(float)

    def crossing(name: str) -> float:
        below = np.flatnonzero(table[name].to_numpy(float) <= 0.5)
        return float(age[below[0]]) if len(below) else math.nan

    return MedianLife(crossing("survival"), crossing("low"), crossing("high"))


def death_rate(
    duration: ArrayLike, observed: ArrayLike, *, entry: ArrayLike | None = None, confidence: float = 0.95
) -> DeathRate:
    """Deaths over the time at risk, with Garwood's interval of the number of deaths; right for a constant hazard.

    Args:
        duration: as for `kaplan_meier`.
        observed: as for `kaplan_meier`.
        entry: as for `kaplan_meier`.
        confidence: of the interval.

    Returns:
        nan for no objects.
    """
    age, seen, start = _checked(duration, observed, entry)
    exposure, deaths = float((age - start).sum()), int(seen.sum())
    if exposure <= 0:
        return DeathRate(math.nan, math.nan, math.nan, deaths, exposure)
    low, high = poisson_interval(deaths, confidence)
    return DeathRate(deaths / exposure, float(low) / exposure, float(high) / exposure, deaths, exposure)


def _checked(duration: ArrayLike, observed: ArrayLike, entry: ArrayLike | None) -> tuple[Array, NDArray[np.bool_], Array]:
    age, seen = np.asarray(duration, dtype=float), np.asarray(observed, dtype=bool)
    start = np.zeros(age.shape) if entry is None else np.asarray(entry, dtype=float)
    if age.ndim != 1 or not age.shape == seen.shape == start.shape:
        raise InputError(f"wanted duration, observed and entry of one length, got {age.shape}, {seen.shape}, {start.shape}")
    if len(age) and not (np.isfinite(age).all() and (age > start).all() and (start >= 0).all()):
        raise InputError("every duration must be a number above its entry, and no entry below 0; drop objects never at risk")
    return age, seen, start
