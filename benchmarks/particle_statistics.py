"""Statistics of a run's particles: their time for one frame of 20 000, and figures of drawn samples against what was drawn.

`python -m benchmarks.particle_statistics`
"""

from __future__ import annotations

import math
import time

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.calibration import Calibration
from morphoscope.measure.shape import shapes
from morphoscope.pipeline.results import Results, compute_results
from morphoscope.recipe import parse_recipe

CELL, MEDIAN, SPREAD = 40, 16.0, 1.25
SIDE, PLACES, SAMPLES = 400, 4, 200
NM = Calibration((0.5, 0.5))


def labels(rng: np.random.Generator, side: int, cell: int = CELL, median: float = MEDIAN) -> NDArray[np.int32]:
    """(side, side) discs of log-normal diameters, one in each cell of a shifted grid, also across the edge."""
    image = np.zeros((side, side), np.int32)
    shift = rng.uniform(-cell, 0, 2)
    for k, corner in enumerate(np.argwhere(np.ones((side // cell + 2,) * 2)) * cell + shift):
        d = min(median * math.exp(math.log(SPREAD) * rng.normal()), cell - 1)
        middle = corner + d / 2 + rng.uniform(0, cell - d, 2)
        low = np.maximum(np.floor(middle - d / 2).astype(int), 0)
        high = np.minimum(np.ceil(middle + d / 2).astype(int) + 1, side)
        if (high <= low).any():
            continue
        y, x = np.ogrid[low[0] : high[0], low[1] : high[1]]
        image[low[0] : high[0], low[1] : high[1]][(y - middle[0]) ** 2 + (x - middle[1]) ** 2 < d**2 / 4] = k + 1
    return image


def run(images: list[NDArray[np.int32]], physics: dict[str, object]) -> Results:
    """The results of independent label images."""
    parts = [shapes(image, calibration=NM).assign(frame=k, file=f"{k}.tif") for k, image in enumerate(images)]
    objects = pd.concat(parts, ignore_index=True).assign(label="particle", score=np.nan, fitted=True)
    frames = pd.DataFrame({"frame": range(len(images)), "file": [f"{k}.tif" for k in range(len(images))]})
    side = images[0].shape[0]
    recipe = parse_recipe({"frames": {"series": False}, "physics": physics})
    box = (-0.5, -0.5, side - 0.5, side - 0.5)
    return compute_results(objects, frames, recipe=recipe, calibration=NM, valid_px=float(side**2), track=False, field=box)


def against_truth() -> pd.DataFrame:
    """Bias (%) and coverage (%) of 95 % intervals over many samples of four fields of view, edge left out and kept."""
    mean = MEDIAN * math.exp(math.log(SPREAD) ** 2 / 2) / 2
    true = {
        "number density": 1e6 / (CELL / 2) ** 2,
        "covered share of the area": math.pi / 4 * MEDIAN**2 * math.exp(2 * math.log(SPREAD) ** 2) / CELL**2,
        "median diameter": MEDIAN / 2,
        "mean diameter": mean,
        "log-normal median diameter": MEDIAN / 2,
        "geometric standard deviation": SPREAD,
    }
    rows = []
    for edge in ("leave out", "keep"):
        rng = np.random.default_rng(0)
        found = []
        for _ in range(SAMPLES):
            images = [labels(rng, SIDE) for _ in range(PLACES)]
            found.append(run(images, {"edge": edge, "structure": False}).quantities.set_index("name"))
        for name, value in true.items():
            ends = np.array([one.loc[name, ["value", "low", "high"]].to_numpy(float) for one in found])
            bias = 100 * (ends[:, 0].mean() / value - 1)
            covered = 100 * ((ends[:, 1] <= value) & (value <= ends[:, 2])).mean()
            rows.append({"edge": edge, "quantity": name, "bias_%": round(bias, 2), "coverage_%": round(covered, 1)})
    return pd.DataFrame(rows)


def timed() -> tuple[int, float, float]:
    """Particles in one frame, seconds for their shapes, and seconds for all statistics and structure."""
    image = labels(np.random.default_rng(1), 4096, cell=29, median=14.0)
    start = time.perf_counter()
    count = len(shapes(image, calibration=NM))
    middle = time.perf_counter()
    run([image], {})
    return count, middle - start, time.perf_counter() - middle - (middle - start)


def main() -> None:
    """Print both."""
    count, shape, statistics = timed()
    print(f"{count} particles in 4096 x 4096 px: shapes {shape:.1f} s, statistics and structure {statistics:.1f} s\n")
    print(f"{SAMPLES} samples of {PLACES} fields of view, {SIDE} x {SIDE} px each:")
    print(against_truth().to_string(index=False))


if __name__ == "__main__":
    main()
