"""How often the intervals of sizes hold the truth, and how often a difference is found where there is none.

`python -m benchmarks.size_statistics` prints, from simulated samples: coverage of 95 % intervals of the mean and median of a
sample seen in several places, beside the interval of particles taken for independent; bias and coverage of log-normal fits of
particles left out at the edge and of small ones not seen; false and true differences found between samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t, ttest_ind

from morphoscope.measure.shape import edge_weights
from morphoscope.physics.places import compare_samples, sample_statistics
from morphoscope.physics.size_distribution import LogNormal, fit_lognormal

SETS = 1000
MEDIAN, WITHIN, BETWEEN = 20.0, 0.3, 0.15  # standard deviations of ln size


def sample(rng: np.random.Generator, places: int, *, uneven: bool, between: float = BETWEEN, larger: float = 1.0) -> pd.DataFrame:
    """60 particles a place, or numbers that differ from place to place by a factor of 2."""
    counts = np.maximum(rng.poisson(60 * rng.lognormal(0, 0.7, places)), 2) if uneven else np.full(places, 60)
    place = np.repeat(np.arange(places), counts)
    ln = math.log(MEDIAN * larger) + between * rng.normal(size=places)[place] + WITHIN * rng.normal(size=len(place))
    return pd.DataFrame({"sample": "a", "file": place, "d_nm": np.exp(ln)})


def intervals() -> pd.DataFrame:
    """Coverage of the mean and the median."""
    rows = []
    for places in (2, 3, 5, 10):
        for uneven in (False, True):
            held = np.zeros(4)
            for seed in range(SETS):
                table = sample(np.random.default_rng(seed), places, uneven=uneven)
                row, x = sample_statistics(table, "d_nm").iloc[0], table["d_nm"]
                fit = fit_lognormal(x, place=table["file"])
                mean = MEDIAN * math.exp((WITHIN**2 + BETWEEN**2) / 2)
                half = t.ppf(0.975, len(x) - 1) * x.std() / math.sqrt(len(x))
                held += [
                    row["mean_low"] <= mean <= row["mean_high"],
                    row["median_low"] <= MEDIAN <= row["median_high"],
                    fit.median_low <= MEDIAN <= fit.median_high,
                    abs(x.mean() - mean) <= half,
                ]
            rows.append([places, "uneven" if uneven else "even", *(100 * held / SETS).round(1)])
    names = ["places", "particles a place", "mean", "median", "log-normal median", "mean, particles as independent"]
    return pd.DataFrame(rows, columns=names)


def fits() -> pd.DataFrame:
    """Bias of the median and the geometric standard deviation, coverage of their intervals, without and with the cure."""
    rows = []
    for median, spread, n in ((15.0, 0.4, 3000), (15.0, 0.4, 300), (30.0, 0.5, 2000)):
        name = f"{n} of median {median:g} px, sigma {spread}, in a field of 150 px"
        rows.append([name, "plain", *_fits(_cut_off(median, spread, n, False), median, spread)])
        rows.append([name, "edge weights", *_fits(_cut_off(median, spread, n, True), median, spread)])
    for n, share in ((1000, 0.8), (1000, 1.0), (100, 0.8)):
        name = f"{n}, not seen below {share:g} of the median"
        rows.append([name, "plain", *_fits(_unseen(n, share, False), MEDIAN, 0.4)])
        rows.append([name, "truncated", *_fits(_unseen(n, share, True), MEDIAN, 0.4)])
    names = ["particles", "fit", "n", "bias of median %", "covers %", "bias of sigma %", "covers % ", "no fit %"]
    return pd.DataFrame(rows, columns=names)


def _cut_off(median: float, spread: float, n: int, weigh: bool) -> Callable[[np.random.Generator], LogNormal]:
    def fit(rng: np.random.Generator) -> LogNormal:
        size, corner = rng.lognormal(math.log(median), spread, n), rng.uniform(-200, 150, (n, 2))
        seen: NDArray[np.float64] = size[((corner >= 0.5) & (corner + size[:, None] <= 149.5)).all(axis=1)]
        return fit_lognormal(seen, weight=edge_weights(seen, seen, (150, 150)) if weigh else None)

    return fit


def _unseen(n: int, share: float, told: bool) -> Callable[[np.random.Generator], LogNormal]:
    def fit(rng: np.random.Generator) -> LogNormal:
        size = rng.lognormal(math.log(MEDIAN), 0.4, n)
        return fit_lognormal(size[size >= share * MEDIAN], smallest=share * MEDIAN if told else 0.0)

    return fit


def _fits(fit: Callable[[np.random.Generator], LogNormal], median: float, spread: float) -> list[float]:
    found = [fit(np.random.default_rng(seed)) for seed in range(SETS)]
    good = [f for f in found if math.isfinite(f.median)]
    held = np.mean([f.median_low <= median <= f.median_high for f in good])
    wide = np.mean([math.log(f.geometric_sd_low) <= spread <= math.log(f.geometric_sd_high) for f in good])
    bias = np.mean([f.median for f in good]) / median - 1
    broad = np.mean([math.log(f.geometric_sd) for f in good]) / spread - 1
    shares = [100 * float(v) for v in (bias, held, broad, wide, 1 - len(good) / SETS)]
    return [round(float(np.mean([f.n for f in found]))), *(round(v, 1) for v in shares)]


def differences() -> pd.DataFrame:
    """Share of sets with p < 0.05, of our test and of one of particles against particles."""
    rows = []
    for larger in (1.0, 1.2, 1.5):
        for places in (2, 3, 5, 10):
            found = np.zeros(2)
            for seed in range(SETS):
                rng = np.random.default_rng(seed)
                a = sample(rng, places, uneven=True)
                b = sample(rng, places, uneven=True, larger=larger).assign(sample="b")
                found[0] += compare_samples(pd.concat([a, b]), "d_nm")["p_value"][0] < 0.05
                found[1] += ttest_ind(a["d_nm"], b["d_nm"], equal_var=False).pvalue < 0.05
            rows.append([larger, places, *(100 * found / SETS).round(1)])
    return pd.DataFrame(rows, columns=["ratio of sizes", "places each", "found %", "found %, particles as independent"])


def main() -> None:
    """Print all figures."""
    print("coverage of 95 % intervals, %:")
    print(intervals().to_string(index=False), "\n")
    print("log-normal fits:")
    print(fits().to_string(index=False), "\n")
    print("differences found at p < 0.05:")
    print(differences().to_string(index=False))


if __name__ == "__main__":
    main()
