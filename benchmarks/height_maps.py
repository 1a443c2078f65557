"""What levelling does to heights of known particles, beside plain least squares and plain medians of lines.

`python -m benchmarks.height_maps` draws AFM maps (half ellipsoids of 8 to 15 nm on a tilted, bowed ground with jumps of lines and
0.3 nm of noise, 256 x 256 px, 10 seeds for each share covered) and prints the rms error of the ground and the errors of heights
and volumes, of the package (quadratic+rows) and of a quadratic surface fitted to all pixels, then medians of lines. Then rows of
caps of one size, 20 nm high, as dense lattices have them: scan lines through their middles hold little ground (tilt, jumps of
lines of 3 nm, plane+rows, 5 seeds each); `doubted` is the share of maps that a run warns of.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.calibration import Calibration
from morphoscope.measure.heights import heights
from morphoscope.measure.levelling import level
from morphoscope.measure.line_levels import ground_seen

Array = NDArray[np.float64]
SHAPE = (256, 256)
NOISE_NM = 0.3
RADII = (9, 11, 14, 16, 17, 18, 19, 20)
COVERED = (0.05, 0.15, 0.3, 0.45)
Y, X = (axis / 255 - 0.5 for axis in np.indices(SHAPE, dtype=float))


def drawn(seed: int, share: float) -> tuple[Array, NDArray[np.int32], pd.DataFrame, Array]:
    """Flat heights with noise, labels of particles at half height, their tops and volumes (px nm^2), the map as measured."""
    rng = np.random.default_rng(seed)
    flat, labels, rows = np.zeros(SHAPE), np.zeros(SHAPE, np.int32), []
    for _ in range(4000):
        if (flat > 0).mean() >= share:
            break
        x, y, r, top = rng.uniform(12, 244), rng.uniform(12, 244), rng.uniform(6, 10), rng.uniform(8, 15)
        square = ((X * 255 + 127.5 - x) ** 2 + (Y * 255 + 127.5 - y) ** 2) / r**2
        if flat[square < 1.7].any():
            continue
        rows.append((len(rows) + 1, top, 2 / 3 * np.pi * r * r * top))
        flat = np.maximum(flat, top * np.sqrt(np.maximum(1 - square, 0)))
        labels[square < 0.75] = len(rows)
    ground = 40 * X - 25 * Y + 15 * (4 * X**2 + 3 * Y**2 - X * Y)
    flat = flat + NOISE_NM * rng.normal(size=SHAPE)
    measured = flat + ground + 6 * rng.normal(size=(SHAPE[0], 1))
    return flat, labels, pd.DataFrame(rows, columns=["mask_label", "top", "volume"]), measured


def lattice(seed: int, radius: float, kind: str = "cap", top: float = 20.0) -> tuple[Array, Array]:
    """Flat heights with noise of 6 x 6 particles (half ellipsoids or `plate`s) in rows along the scan lines; as measured."""
    rng = np.random.default_rng(seed)
    flat = np.zeros(SHAPE)
    for row, column in np.ndindex(6, 6):
        x, y = 20 + 43 * column + rng.uniform(-3, 3), 20 + 43 * row + rng.uniform(-3, 3)
        inside = np.maximum(1 - ((X * 255 + 127.5 - x) ** 2 + (Y * 255 + 127.5 - y) ** 2) / radius**2, 0)
        flat = np.maximum(flat, top * (np.sqrt(inside) if kind == "cap" else inside > 0))
    flat = flat + NOISE_NM * rng.normal(size=SHAPE)
    return flat, flat + 76.5 * X - 51 * Y + 3 * rng.normal(size=(SHAPE[0], 1))


def plain(z: Array) -> Array:
    """A quadratic surface by least squares over all pixels, then the median of each line."""
    basis = np.stack([np.ones(SHAPE), X, Y, X * X, X * Y, Y * Y]).reshape(6, -1)
    rest = z - (np.linalg.lstsq(basis.T, z.ravel(), rcond=None)[0] @ basis).reshape(SHAPE)
    return np.asarray(rest - np.median(rest, axis=1, keepdims=True))


WAYS: dict[str, Callable[[Array], NDArray[np.floating]]] = {"package": lambda z: level(z, "quadratic+rows"), "plain": plain}


def main() -> None:
    """Print the table."""
    rows = []
    for share in COVERED:
        maps = [drawn(seed, share) for seed in range(10)]
        for name, way in WAYS.items():
            ground, top, volume, seconds = [], [], [], 0.0
            for flat, labels, truth, measured in maps:
                start = time.perf_counter()
                flattened = way(measured)
                seconds += time.perf_counter() - start
                ground.append(float(((flattened - flat) ** 2).mean()))
                found = heights(flattened, labels, calibration=Calibration((1.0, 1.0))).merge(truth, on="mask_label")
                top += list(found["height_max_nm"] / found["top"] - 1)
                volume += list(found["volume_nm3"] / found["volume"] - 1)
            rows.append(
                {
                    "covered": round(float(np.mean([(m[1] > 0).mean() for m in maps])) / 0.75, 2),
                    "way": name,
                    "ground_rms_nm": float(np.mean(ground)) ** 0.5,
                    "height_bias": np.mean(top),
                    "height_sd": np.std(top),
                    "volume_bias": np.mean(volume),
                    "volume_sd": np.std(volume),
                    "particles": len(top),
                    "s_per_map": seconds / len(maps),
                }
            )
    print(pd.DataFrame(rows).round(4).to_string(index=False))
    print(pd.DataFrame([dense(kind, radius) for kind in ("cap", "plate") for radius in RADII]).round(3).to_string(index=False))


def dense(kind: str, radius: float) -> dict[str, object]:
    """A row of the second table."""
    least, covered, rms, doubted = [], [], [], []
    for seed in range(5):
        flat, measured = lattice(seed, radius, kind)
        found = level(measured, "plane+rows")
        ground = flat < 4 * NOISE_NM
        least.append(ground.mean(axis=1).min())
        covered.append(1 - ground.mean())
        rms.append(float(((found - flat) ** 2).mean()) ** 0.5)
        doubted.append(bool(ground_seen(found).doubts()))
    return {
        "kind": kind,
        "radius_px": radius,
        "covered": np.mean(covered),
        "least_ground_of_a_line": np.mean(least),
        "rms_nm": np.median(rms),
        "worst_rms_nm": np.max(rms),
        "doubted": np.mean(doubted),
    }


if __name__ == "__main__":
    main()
