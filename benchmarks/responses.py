"""Response surfaces of known truth: error, and how often the 95 % interval holds the truth; the same for intervals of extents."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from morphoscope.measure.extents import block_interval
from morphoscope.physics.response import fit_surface, matern

Array = NDArray[np.float64]
DRAWS, NOISE, GRID = 10, 0.03, 15
KINDS = ("process, length 0.3", "process, length 0.7", "sigmoid", "plane")


def lattice(side: int) -> Array:
    """side x side conditions of the unit square, (side^2, 2)."""
    return np.stack(np.meshgrid(np.linspace(0, 1, side), np.linspace(0, 1, side)), -1).reshape(-1, 2)


def truth(kind: str, points: Array, rng: np.random.Generator) -> Array:
    """A random surface of a kind at points (n, 2)."""
    if kind.startswith("process"):
        length = float(kind.rpartition(" ")[2])
        cov = matern(points, points, np.array([length, 1.5 * length]))
        return 0.5 + 0.2 * np.linalg.cholesky(cov + 1e-9 * np.eye(len(points))) @ rng.normal(size=len(points))
    if kind == "plane":
        return 0.2 + points @ rng.uniform(-0.3, 0.5, 2)
    angle = rng.uniform(0, np.pi / 2)
    along = points @ [np.cos(angle), np.sin(angle)]
    return 1 / (1 + np.exp(-(along - rng.uniform(0.3, 1)) / rng.uniform(0.05, 0.2)))


def surfaces() -> None:
    """A line per kind of surface and set of conditions."""
    grid = lattice(GRID)
    print(f"surfaces from scores with noise {NOISE}; intervals stated half to twice the true noise; {DRAWS} surfaces a line")
    print(f"{'truth':<22}{'conditions':<12}{'RMS':>8}{'half interval':>15}{'holds the truth':>17}{'least':>8}")
    for kind in KINDS:
        for name, side in (("8 x 8", 8), ("15 random", 0)):
            rng = np.random.default_rng(7)
            found = []
            for _ in range(DRAWS):
                points = lattice(side) if side else rng.random((15, 2))
                whole = truth(kind, np.vstack([points, grid + 1e-4]), rng)
                scores = whole[: len(points)] + rng.normal(0, NOISE, len(points))
                stated = np.full(len(points), 1.96 * NOISE * rng.uniform(0.5, 2))
                got, true = fit_surface(points, scores, stated).predict(grid), whole[len(points) :]
                inside = float(((got.low <= true) & (true <= got.high)).mean())
                found.append((float(np.square(got.mean - true).mean()), float((got.high - got.low).mean()) / 2, inside))
            rms, half, inside = np.mean(found, axis=0)
            least = min(row[2] for row in found)
            print(f"{kind:<22}{name:<12}{np.sqrt(rms):>8.4f}{half:>15.4f}{inside:>17.3f}{least:>8.2f}", flush=True)


def extents() -> None:
    """How often intervals of extents by blocks of patches hold the mean of the film that the image was cut from."""
    print("\nextents of images cut from a film, by blocks of patches drawn again; 300 images a line")
    print(f"{'patches':<12}{'defects (sd of blur, patches)':<32}{'width':>8}{'holds the truth':>17}")
    for shape, reach in (((12, 16), 0.0), ((9, 12), 0.7), ((24, 24), 2.0), ((60, 80), 3.0), ((60, 80), 8.0)):
        rng = np.random.default_rng(1)
        film = rng.normal(0, 1, (1500, 1500))
        film = cv2.GaussianBlur(film, (0, 0), reach) if reach else film
        film = (film > np.quantile(film, 0.7)).astype(float)
        corners = rng.integers(0, 1400, (300, 2))
        ends = np.array([block_interval(film[None, y : y + shape[0], x : x + shape[1]], side=1) for y, x in corners])[..., 0]
        inside = float(((ends[:, 0] <= film.mean()) & (film.mean() <= ends[:, 1])).mean())
        print(f"{shape[0]} x {shape[1]:<7}{reach:<32}{float(np.diff(ends, axis=1).mean()):>8.3f}{inside:>17.3f}", flush=True)


if __name__ == "__main__":
    surfaces()
    extents()
