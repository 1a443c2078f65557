"""What an object keeps from frame to frame beside its place: size, brightness, score."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]
COLUMNS = ("major_px", "score", "mass", "size")
TAIL = 4.0  # degrees of freedom: changes have heavier tails than a normal distribution
ENOUGH = 5
MOST = 1.5  # that one feature may speak for or against a link: overlap and contrast change all of a sudden
RATE = 0.3
SLOWEST = 0.1  # the weight of a new frame in what is learned never falls below


def features(table: pd.DataFrame) -> Array:
    """(rows, columns): logarithms of sizes and brightness, log odds of scores; nan where unknown or not to be used."""
    values = [_scaled(table[name].to_numpy(float), name) for name in COLUMNS if name in table.columns]
    return np.stack(values, axis=1) if values else np.empty((len(table), 0))


def _scaled(value: Array, name: str) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = np.log(value / (1 - np.minimum(value, 0.999))) if name == "score" else np.log(value)
    return np.where(np.isfinite(scaled), scaled, np.nan)


class Constancy:
    """How much features change from frame to frame beside how much they differ between objects, learned while linking."""

    def __init__(self, columns: int) -> None:
        self._change = np.full(columns, np.nan)
        self._centre = np.full(columns, np.nan)
        self._spread = np.full(columns, np.nan)
        self._frames = 0

    def gain(self, expected: Array, found: Array) -> Array:
        """Log likelihood ratio of (n, columns) features: the same object against any object; 0 where something is unknown."""
        if not expected.shape[1]:
            return np.zeros(len(expected))
        same = _log_t(found - expected, self._change)
        other = _log_t(found - self._centre, self._spread)
        return np.asarray(np.clip(np.nan_to_num(same - other), -MOST, MOST).sum(axis=1))

    def learn(self, found: Array, expected: Array, matched: Array) -> None:
        """The features of all objects of a frame, and of those linked what was expected and what came."""
        if not found.shape[1] or len(found) < ENOUGH:
            return
        rate = max(1 / (self._frames + 1), SLOWEST)
        centre, spread = _middle(found)
        self._centre, self._spread = _toward(self._centre, centre, rate), _toward(self._spread, spread, rate)
        if len(matched) >= ENOUGH:
            change = _middle(np.concatenate([matched - expected, expected - matched]))[1]
            self._change = _toward(self._change, np.maximum(change, 0.02 * spread), rate)
            self._frames += 1


def _middle(values: Array) -> tuple[Array, Array]:
    """Median and spread of each column; nan where there is too little."""
    known = np.isfinite(values).sum(axis=0) >= ENOUGH
    safe = np.where(known, values, 0.0)
    centre = np.nanmedian(safe, axis=0)
    spread = 1.4826 * np.nanmedian(np.abs(safe - centre), axis=0)
    usable = known & (spread > 0)
    return np.where(usable, centre, np.nan), np.where(usable, spread, np.nan)


def _toward(old: Array, new: Array, rate: float) -> Array:
    moved = np.where(np.isfinite(old), old + rate * (new - old), new)
    return np.where(np.isfinite(moved), moved, old)


def _log_t(difference: Array, spread: Array) -> Array:
    return np.asarray(-(TAIL + 1) / 2 * np.log1p((difference / spread) ** 2 / TAIL) - np.log(spread))
