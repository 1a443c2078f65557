"""Shapes of particles beside scikit-image, and their errors against known shapes.

`python -m benchmarks.shapes` prints, for 20 000 ellipses in 4096 x 4096 px and for the particle images of emps-particles, the
time of `measure.shape.shapes` and of scikit-image's `regionprops_table` with the same properties (ours finds smallest calipers,
convexity and edge weights besides), the best of three runs of each in turns, their ratio and the largest differences; then
the errors of perimeters and caliper diameters of drawn ellipses and rectangles; then those with unequal pixels.
"""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pandas as pd
import tifffile
from numpy.typing import NDArray
from PIL import Image
from scipy.special import ellipe
from skimage.measure import regionprops_table

from benchmarks.data import data_folder
from morphoscope.calibration import Calibration
from morphoscope.measure.shape import shapes

SIDE, PITCH = 4096, 28.7
PROPERTIES = ("label", "area", "bbox", "centroid", "axis_major_length", "axis_minor_length", "orientation", "solidity")
PROPERTIES += ("perimeter_crofton", "area_convex", "feret_diameter_max", "equivalent_diameter_area")
PAIRS = {
    "area_px": "area",
    "equivalent_diameter_px": "equivalent_diameter_area",
    "ellipse_x_px": "centroid-1",
    "ellipse_y_px": "centroid-0",
    "perimeter_px": "perimeter_crofton",
    "convex_area_px": "area_convex",
    "solidity": "solidity",
    "feret_max_px": "feret_diameter_max",
}


def many_ellipses(seed: int = 0) -> NDArray[np.int32]:
    """A label image with about 20 000 ellipses apart from each other."""
    rng, image, label = np.random.default_rng(seed), np.zeros((SIDE, SIDE), np.int32), 0
    for place in np.ndindex(142, 142):
        centre = 14 + PITCH * np.array(place) + rng.uniform(0, 4, 2)
        corner = centre.astype(int) - 13
        if (corner < 0).any() or (corner + 27 > SIDE).any():
            continue
        label += 1
        part = image[corner[0] : corner[0] + 27, corner[1] : corner[1] + 27]
        part[_ellipse(27, centre - corner, rng.uniform(5, 11), rng.uniform(3, 9), rng.uniform(0, 180))] = label
    return image


def _turned(side: int, centre: Any, turn_deg: float, pixel: tuple[float, float]) -> tuple[NDArray[Any], NDArray[Any]]:
    y, x = np.mgrid[:side, :side]
    x, y, t = (x - centre[1]) * pixel[1], -(y - centre[0]) * pixel[0], math.radians(turn_deg)
    return x * math.cos(t) + y * math.sin(t), -x * math.sin(t) + y * math.cos(t)


def _ellipse(
    side: int, centre: Any, a: float, b: float, turn_deg: float, pixel: tuple[float, float] = (1.0, 1.0)
) -> NDArray[np.bool_]:
    u, v = _turned(side, centre, turn_deg, pixel)
    return np.asarray((u / a) ** 2 + (v / b) ** 2 <= 1)


def compare(images: list[NDArray[Any]], *, repeats: int = 3) -> dict[str, Any]:
    """Best times in turns, their ratio, and the largest differences over all particles of the images."""
    ours, theirs = [], []
    fast, slow = math.inf, math.inf
    for _ in range(repeats):
        start = time.perf_counter()
        ours = [shapes(image) for image in images]
        fast = min(fast, time.perf_counter() - start)
        start = time.perf_counter()
        theirs = [pd.DataFrame(regionprops_table(image, properties=PROPERTIES)) for image in images]
        slow = min(slow, time.perf_counter() - start)
    a, b = pd.concat(ours, ignore_index=True), pd.concat(theirs, ignore_index=True)
    row: dict[str, Any] = {"particles": len(a), "ours s": round(fast, 2), "scikit-image s": round(slow, 2)}
    row["ratio"] = round(slow / fast, 1)
    for mine, other in PAIRS.items():
        row[mine] = f"{(a[mine] - b[other]).abs().max():.1e}"
    more = b["feret_diameter_max"] - a["feret_max_px"]
    row["feret_max_px"] = f"theirs {more.min():.2f} to {more.max():.2f} px more, {more.mean():.2f} on average"
    for mine, other in (("major_px", "axis_major_length"), ("minor_px", "axis_minor_length")):
        row[f"{mine} (pixel as a square)"] = f"{(a[mine] - np.sqrt(b[other] ** 2 + 4 / 3)).abs().max():.1e}"
    long = a["aspect_ratio"] > 1.01
    turned = (np.degrees(b["orientation"]) + 90 - a["angle_deg"])[long]
    row["angle_deg"] = f"{((turned + 90) % 180 - 90).abs().max():.1e}"
    return row


def errors(pixel: tuple[float, float] = (1.0, 1.0), draws: int = 20) -> pd.DataFrame:
    """Mean (and standard deviation) of relative errors in % of ellipses and rectangles at random places and angles."""
    rng, rows = np.random.default_rng(1), []
    for kind in ("ellipse", "rectangle"):
        for half in (3, 5, 10, 20, 50, 100):
            for ratio in (1.0, 0.5, 0.25):
                found = [_error(kind, half, half * ratio, rng, pixel) for _ in range(draws)]
                mean, sd = 100 * np.mean(found, axis=0), 100 * np.std(found, axis=0)
                cells = [f"{m:+.1f} ({s:.1f})" for m, s in zip(mean, sd, strict=True)]
                rows.append([kind, f"{2 * half} x {2 * half * ratio:g}", *cells])
    names = ["perimeter", "skimage perimeter", "feret max", "of pixel corners", "feret min", "circularity", "area"]
    return pd.DataFrame(rows, columns=["shape", "full axes", *names])


def _error(kind: str, a: float, b: float, rng: np.random.Generator, pixel: tuple[float, float]) -> list[float]:
    side = int(2 * math.hypot(a, b) / min(pixel)) + 8
    centre, turn = side / 2 + rng.uniform(-0.5, 0.5, 2), rng.uniform(0, 180)
    if kind == "ellipse":
        mask, around, far = _ellipse(side, centre, a, b, turn, pixel), 4 * a * float(ellipe(1 - (b / a) ** 2)), 2 * a
        area = math.pi * a * b
    else:
        u, v = _turned(side, centre, turn, pixel)
        mask, around, far, area = (np.abs(u) <= a) & (np.abs(v) <= b), 4 * (a + b), 2 * math.hypot(a, b), 4 * a * b
    row = shapes(mask.astype(np.int32), calibration=Calibration(pixel)).iloc[0]
    theirs = regionprops_table(mask.astype(np.int32), properties=("perimeter", "coords"))
    plain = float(theirs["perimeter"][0]) if pixel == (1.0, 1.0) else math.nan
    true = (around, around, far, far, 2 * b, 4 * math.pi * area / around**2, area)
    own = (row["perimeter_nm"], plain, row["feret_max_nm"], _corner_feret(theirs["coords"][0], pixel), row["feret_min_nm"])
    return [f / t - 1 for f, t in zip((*own, row["circularity"], row["area_nm2"]), true, strict=True)]


def _corner_feret(pixels: NDArray[Any], pixel: tuple[float, float]) -> float:
    """The largest distance between corners of pixels."""
    from scipy.spatial import ConvexHull
    from scipy.spatial.distance import pdist

    corners = np.concatenate([(pixels + np.array(c)) * pixel for c in ((0.5, 0.5), (0.5, -0.5), (-0.5, 0.5), (-0.5, -0.5))])
    return float(pdist(corners[ConvexHull(corners).vertices]).max())


def real_images() -> list[NDArray[Any]]:
    """The label images of emps-particles."""
    folder = data_folder("emps-particles") / "instances"
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".tif", ".tiff", ".png"))
    read = (tifffile.imread(path) if path.suffix.startswith(".tif") else np.asarray(Image.open(path)) for path in files)
    return [np.asarray(image, dtype=np.int32) for image in read]


def main() -> None:
    """Print all figures."""
    print("20 000 ellipses in 4096 x 4096 px:")
    print(pd.Series(compare([many_ellipses()])).to_string(), "\n")
    print("emps-particles:")
    print(pd.Series(compare(real_images())).to_string(), "\n")
    print("errors in % of known shapes, mean (standard deviation):")
    print(errors().to_string(index=False), "\n")
    for pixel in ((0.8, 1.2), (0.5, 1.5)):
        print(f"the same with pixels of {pixel[0]} x {pixel[1]} (y, x):")
        table = errors(pixel).drop(columns=["skimage perimeter", "of pixel corners"])
        print(table[table["full axes"].str.startswith(("40 ", "200 "))].to_string(index=False), "\n")


if __name__ == "__main__":
    main()
