"""How often Mann and Kendall's test calls noise a trend, and finds one that is there: `python -m benchmarks.trends`.

Noise with a correlation r of neighbours, without a trend: one series in twenty should be called one. Then trends of several
shapes in white noise. Each as for independent values, and corrected for serial correlation as runs of `score` do it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from morphoscope.physics.trend import mann_kendall

Array = NDArray[np.float64]
SERIES = 600  # a line
LENGTHS = (8, 15, 30, 60, 120)
CURVES: dict[str, Callable[[Array], Array]] = {
    "straight": lambda x: x,
    "sigmoid": lambda x: 1 / (1 + np.exp(-12 * (x - 0.5))),
    "saturating": lambda x: 1 - np.exp(-5 * x),
    "step": lambda x: (x > 0.5).astype(float),
}


def shares(series: Iterable[Array]) -> tuple[float, float]:
    """The share of series with p < 0.05: for independent values, and corrected."""
    found = [[mann_kendall(range(len(y)), y, serial=serial).p < 0.05 for serial in (False, True)] for y in series]
    plain, corrected = np.mean(found, axis=0)
    return float(plain), float(corrected)


def noise() -> None:
    """A line per length and correlation."""
    print(f"noise without a trend, {SERIES} series a line: share with p < 0.05")
    print(f"{'n':<6}{'r':<6}{'independent':>14}{'corrected':>12}")
    rng = np.random.default_rng(1)
    for n in LENGTHS:
        for r in (0.0, 0.3, 0.5, 0.7, 0.85):
            drawn = (np.asarray(lfilter([1], [1, -r], rng.normal(size=n + 100))[100:]) for _ in range(SERIES))
            plain, corrected = shares(drawn)
            print(f"{n:<6}{r:<6}{plain:>14.3f}{corrected:>12.3f}", flush=True)


def trends() -> None:
    """A line per shape, length and scatter."""
    print(f"\ntrends from 0 to 1 in white noise, {SERIES} series a line: share with p < 0.05")
    print(f"{'shape':<14}{'n':<6}{'noise':<8}{'independent':>14}{'corrected':>12}")
    rng = np.random.default_rng(2)
    for name, curve in CURVES.items():
        for n in (8, 12, 20):
            for sd in (0.02, 0.3):
                plain, corrected = shares(curve(np.linspace(0, 1, n)) + rng.normal(0, sd, n) for _ in range(SERIES))
                print(f"{name:<14}{n:<6}{sd:<8}{plain:>14.3f}{corrected:>12.3f}", flush=True)


if __name__ == "__main__":
    noise()
    trends()
