"""Spots found without training, beside trackpy.

`python -m benchmarks.spots` prints, for the first 40 frames of beads in water, how many spots there are beside the features that
came with them (trackpy, diameter 11, minmass 20, inverted) and how far they lie from each other; and for drawn spots, whose
places are known, how many are found and how well. Times are of one thread, the best of some repetitions.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from benchmarks.data import data_folder
from morphoscope.measure.spots import spots

Array = NDArray[np.float64]
FRAMES, DIAMETER, MASS = 40, 11, 20
NEAR_PX = 3.0
GREEN = 1  # the channel that the published features come from
CASES: dict[str, dict[str, Any]] = {
    "as trackpy": {"method": "trackpy", "min_mass": MASS},
    "plain, limits 0 and 20": {"threshold": 0, "min_mass": MASS},
    "plain, nothing given": {},
}


def pictures() -> list[NDArray[np.uint8]]:
    """Green channel of the first frames."""
    folder = data_folder("bulk-water") / "frames"
    read = (cv2.imread(str(folder / f"bulk_water_{k:03d}.png"), cv2.IMREAD_COLOR) for k in range(FRAMES))
    return [np.ascontiguousarray(image[..., GREEN]) for image in read if image is not None]


def pairs(found: Array, truth: Array, near: float = NEAR_PX) -> Array:
    """Distances between places of both that are each other's nearest."""
    if not len(found) or not len(truth):
        return np.empty(0)
    away, which = cKDTree(truth).query(found)
    back = cKDTree(found).query(truth)[1]
    return np.asarray(away[(back[which] == np.arange(len(found))) & (away < near)])


def beside_features() -> pd.DataFrame:
    """Count and positions against the published features, frame by frame put together."""
    features = pd.read_csv(data_folder("bulk-water") / "features.csv.gz")
    images, rows = pictures(), {}
    for name, options in CASES.items():
        found = [spots(image, diameter_px=DIAMETER, polarity="dark", **options) for image in images]
        given = [features.loc[features["frame"] == k, ["x", "y"]].to_numpy() for k in range(len(images))]
        away = [pairs(f[["x_px", "y_px"]].to_numpy(), g) for f, g in zip(found, given, strict=True)]
        every, number = np.concatenate(away), sum(map(len, given))
        ratios = [len(f) / len(g) for f, g in zip(found, given, strict=True)]
        rows[name] = {
            "count ratio": sum(map(len, found)) / number,
            "worst frame": max(ratios, key=lambda r: abs(r - 1)),
            "matched %": 100 * len(every) / number,
            "median px": np.median(every),
            "rms px": np.sqrt((every**2).mean()),
            "within 0.3 px %": 100 * (every < 0.3).mean(),
        }
    return pd.DataFrame(rows).T


def drawn(rng: np.random.Generator, noise: float, n: int = 150, side: int = 400) -> tuple[NDArray[np.uint8], Array]:
    """Gaussian spots 40 grey levels high and of sigma 2 px on a slope, with noise, and their places."""
    places: list[Array] = []
    while len(places) < n:
        new = rng.uniform(8, side - 9, 2)
        if not places or np.hypot(*(np.array(places) - new).T).min() > 14:
            places.append(new)
    y, x = np.mgrid[:side, :side]
    image = 60 + 0.05 * x + rng.normal(0, noise, (side, side))
    for px, py in places:
        image += 40 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / 8)
    return image.clip(0, 255).astype(np.uint8), np.array(places)


def on_drawn_ones() -> pd.DataFrame:
    """Found, false and rms error for growing noise; trackpy's own choice of limits and a mass between spots and noise."""
    import trackpy

    def theirs(image: NDArray[np.uint8], least: float) -> Array:
        made = trackpy.locate(image, DIAMETER, minmass=least)
        return np.asarray(made[["x", "y"]].to_numpy(float)) if len(made) else np.empty((0, 2))

    finders: dict[str, Callable[[NDArray[np.uint8]], Array]] = {
        "plain, nothing given": lambda i: np.asarray(spots(i, diameter_px=DIAMETER)[["x_px", "y_px"]]),
        "trackpy, nothing given": lambda i: theirs(i, 0),
        "trackpy, minmass 250": lambda i: theirs(i, 250),
    }
    rows = []
    for noise in (0.5, 1, 2, 4, 8, 12):
        rng = np.random.default_rng(0)
        made = [drawn(rng, noise) for _ in range(5)]
        for name, finder in finders.items():
            found = [finder(image) for image, _ in made]
            away = [pairs(f, t) for f, (_, t) in zip(found, made, strict=True)]
            good, total = sum(map(len, away)), sum(len(t) for _, t in made)
            false = sum(map(len, found)) - good
            error = np.sqrt((np.concatenate(away) ** 2).mean()) if good else np.nan
            rows.append((noise, name, 100 * good / total, 100 * false / total, error))
    return pd.DataFrame(rows, columns=["noise", "finder", "found %", "false %", "rms px"])


def best(task: Callable[[], Any], repeat: int = 15) -> float:
    """Least ms of CPU time (of all threads), which the load of the machine changes little."""
    task()
    taken = []
    for _ in range(repeat):
        start = time.process_time()
        task()
        taken.append(time.process_time() - start)
    return 1000 * min(taken)


def speed() -> pd.DataFrame:
    """Milliseconds a frame of 640x424 px."""
    import trackpy

    image = pictures()[0]
    rows = {
        f"trackpy, {engine}": best(
            lambda engine=engine: trackpy.locate(image, DIAMETER, minmass=MASS, invert=True, engine=engine)
        )
        for engine in ("python", "numba")
    }
    for name, options in CASES.items():
        rows[name] = best(lambda options=options: spots(image, diameter_px=DIAMETER, polarity="dark", **options))
    table = pd.DataFrame({"CPU ms": rows})
    return table.assign(**{"times faster than numba": rows["trackpy, numba"] / table["CPU ms"]})


def main() -> None:
    """Print all of them."""
    import trackpy

    warnings.simplefilter("ignore")
    trackpy.quiet()
    cv2.setNumThreads(1)
    print(f"beads in water, {FRAMES} frames\n{beside_features().round(4).to_string()}")
    print(f"\ndrawn spots 40 levels high\n{on_drawn_ones().round(3).to_string(index=False)}")
    print(f"\nspeed\n{speed().round(2).to_string()}")


if __name__ == "__main__":
    main()
