"""Structure measured on points whose g(r), S(q) and order are known, and how long it takes.

`python -m benchmarks.structure` prints bias and coverage of the 95 % intervals of g(r) and S(q) for points thrown at random, in
clusters and as hard discs, what the edge does to spacing and cells, differences from slow sums, and seconds for 20 000 particles.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import Voronoi, cKDTree

from benchmarks.data import data_folder
from morphoscope.calibration import Calibration
from morphoscope.measure.spots import searched
from morphoscope.physics.clusters import clusters
from morphoscope.physics.neighbours import bonds, neighbourhood
from morphoscope.physics.pair_correlation import pair_correlation
from morphoscope.physics.structure import structure
from morphoscope.physics.structure_factor import structure_factor, waves

Array = NDArray[np.float64]
NONE = Calibration()
SIZE = np.array([300.0, 200.0])
FIELD = (0.0, 0.0, 300.0, 200.0)
DENSITY = 0.005  # 300 points in the field
SETS = 300
T_95 = 2.03  # of 35 degrees of freedom
SPREAD, CHILDREN = 4.0, 5.0
DISC, FILLING = 9.0, 0.3


def thrown(rng: np.random.Generator) -> Array:
    """A Poisson process: g = S = 1."""
    return rng.uniform(0, 1, (rng.poisson(DENSITY * SIZE.prod()), 2)) * SIZE


def clustered(rng: np.random.Generator) -> Array:
    """A Thomas process: on average 5 points about each parent, normally spread by 4 px."""
    rim = 6 * SPREAD
    parents = DENSITY / CHILDREN * (SIZE + 2 * rim).prod()
    centre = rng.uniform(0, 1, (rng.poisson(parents), 2)) * (SIZE + 2 * rim) - rim
    xy = np.repeat(centre, rng.poisson(CHILDREN, len(centre)), axis=0)
    xy = xy + rng.normal(0, SPREAD, xy.shape)
    return np.asarray(xy[((xy >= 0) & (xy <= SIZE)).all(axis=1)])


def clustered_g(low: Array, high: Array) -> Array:
    """g of it, averaged over rings."""
    fall = np.exp(-(low**2) / (4 * SPREAD**2)) - np.exp(-(high**2) / (4 * SPREAD**2))
    return np.asarray(1 + fall / (np.pi * (high**2 - low**2) * DENSITY / CHILDREN))


def clustered_s(q: Array) -> Array:
    """S of it."""
    return np.asarray(1 + CHILDREN * np.exp(-(q**2) * SPREAD**2))


def hard_discs(rng: np.random.Generator, *, sweeps: int = 300, every: int = 10) -> list[Array]:
    """Equilibrium hard discs of 9 px that fill 30 %, by Monte Carlo in a periodic box twice the field's length."""
    box = np.array([600.0, 200.0])
    at = np.stack(np.divmod(np.arange(44 * 14), 14), axis=1) * (box / [44, 14]) + 1.0
    number = round(FILLING * box.prod() / (math.pi * DISC**2 / 4))
    at, found = rng.permutation(at)[:number], []
    for sweep in range(sweeps):
        steps, order = rng.uniform(-4, 4, (number, 2)), rng.permutation(number)
        for i in order:
            new = (at[i] + steps[i]) % box
            apart = np.abs(at - new)
            apart = np.minimum(apart, box - apart)
            square = apart[:, 0] ** 2 + apart[:, 1] ** 2
            square[i] = np.inf
            if square.min() > DISC**2:
                at[i] = new
        if sweep >= sweeps // 3 and sweep % every == 0:
            found.append(at[(at <= SIZE).all(axis=1)].copy())
    return found


def slow_videos(make: Callable[[np.random.Generator], Array], frames: int) -> Callable[[np.random.Generator], pd.DataFrame]:
    """Tables of points that hardly move from frame to frame."""

    def one(rng: np.random.Generator) -> pd.DataFrame:
        first = make(rng)
        return pd.concat([table(first + rng.normal(0, 0.3, first.shape), k) for k in range(frames)])

    return one


def table(xy: Array, frame: int = 0) -> pd.DataFrame:
    """Points as objects."""
    return pd.DataFrame({"frame": frame, "x_px": xy[:, 0], "y_px": xy[:, 1]})


def coverage_of_g() -> None:
    """Bias and coverage of g(r), close by and far away."""
    rng = np.random.default_rng(0)
    edges = np.linspace(0, 100, 26)
    ones, theory = np.ones(25), clustered_g(edges[:-1], edges[1:])
    cases: tuple[tuple[str, Callable[[np.random.Generator], pd.DataFrame], Array, dict[str, Any]], ...] = (
        ("at random, translation", lambda r: table(thrown(r)), ones, {}),
        ("at random, isotropic", lambda r: table(thrown(r)), ones, {"correction": "isotropic"}),
        ("clusters, translation", lambda r: table(clustered(r)), theory, {}),
        ("clusters, isotropic", lambda r: table(clustered(r)), theory, {"correction": "isotropic"}),
        ("at random, 20 like frames", slow_videos(thrown, 20), ones, {}),
    )
    rows = []
    for name, make, truth, options in cases:
        found = [pair_correlation(make(rng), NONE, field=FIELD, r_max_px=100, bins=25, **options) for _ in range(SETS)]
        g, low, high = (np.array([f[c] for f in found], dtype=float) for c in ("g", "low", "high"))
        for where, part in (("0 to 20 px", slice(0, 5)), ("20 to 60 px", slice(5, 15)), ("60 to 100 px", slice(15, 25))):
            bias = 100 * (np.nanmean(g, axis=0) / truth - 1)[part]
            known = np.isfinite(low)
            holds = ((low < truth) & (truth < high))[:, part].sum() / known[:, part].sum()
            wide = (np.nanmean(high - low, axis=0) / 2 / T_95 / np.nanstd(g, axis=0))[part].mean()
            rows.append((name, where, bias.mean(), np.abs(bias).max(), 100 * holds, wide))
    columns = ["points", "r", "bias %", "worst bin %", "covers %", "width / scatter"]
    print(f"g(r), {SETS} sets of about 300 points in 300x200 px")
    print(pd.DataFrame(rows, columns=columns).round(2).to_string(index=False))


def coverage_of_s() -> None:
    """Bias and coverage of S(q)."""
    rng, rows = np.random.default_rng(1), []
    for name, make, theory in (
        ("at random", lambda r: table(thrown(r)), np.ones_like),
        ("clusters", lambda r: table(clustered(r)), clustered_s),
        ("at random, 20 like frames", slow_videos(thrown, 20), np.ones_like),
    ):
        found = [structure_factor(make(rng), NONE, field=FIELD, q_max_per_px=1, bins=20) for _ in range(SETS)]
        S, low, high = (np.array([f[c] for f in found], dtype=float) for c in ("S", "low", "high"))
        truth = theory(found[0]["q_per_px"].to_numpy())
        known = np.isfinite(low)
        for where, part in (("below 0.2", slice(0, 4)), ("0.2 to 1", slice(4, 20))):
            bias = 100 * (S.mean(axis=0) / truth - 1)[part]
            holds = ((low < truth) & (truth < high))[:, part].sum() / known[:, part].sum()
            rows.append((name, where, bias.mean(), np.abs(bias).max(), 100 * holds))
    columns = ["points", "q per px", "bias %", "worst bin %", "covers %"]
    print(f"\nS(q), {SETS} sets\n{pd.DataFrame(rows, columns=columns).round(2).to_string(index=False)}")


def discs() -> None:
    """Hard discs beside the theory of Henderson (1975)."""
    eta = FILLING
    contact = (1 - 7 * eta / 16) / (1 - eta) ** 2
    steps = np.array([eta - 1e-6, eta + 1e-6])
    slope = np.diff(steps * (1 + steps**2 / 8) / (1 - steps) ** 2)[0] / 2e-6
    frames = hard_discs(np.random.default_rng(2))
    objects = pd.concat([table(xy, k) for k, xy in enumerate(frames)])
    g = pair_correlation(objects, NONE, field=FIELD, r_max_px=60, bins=240)
    near = g[(g["r_low_px"] >= DISC - 1e-9) & (g["r_px"] < DISC + 2)]
    extrapolated = np.polynomial.Polynomial.fit(near["r_px"], near["g"], 2)(DISC)
    S = structure_factor(objects, NONE, field=FIELD, q_max_per_px=1.5, bins=12)
    print(f"\nhard discs filling {eta:g}, {len(frames)} frames of {len(objects) / len(frames):.0f}")
    print(
        f"  g at contact {extrapolated:.3f}, theory {contact:.3f}; pairs closer: {g.loc[g['r_high_px'] <= DISC, 'n_pairs'].sum()}"
    )
    seen = "S at q = {q_per_px:.3f} per px {S:.3f} ({low:.3f} to {high:.3f})".format(**S.iloc[0])
    print(f"  {seen}, theory at 0 {1 / slope:.3f}")


def edges_of_cells() -> None:
    """What the edge of the field does to the mean cell and the mean distance to the nearest neighbour."""
    rng, rows = np.random.default_rng(3), []
    for number in (20, 50, 100, 300, 1000):
        objects = pd.concat([table(rng.uniform(0, 1, (number, 2)) * SIZE, k) for k in range(200)], ignore_index=True)
        made, each = structure(objects, NONE, field=FIELD), neighbourhood(objects, NONE, field=FIELD)
        own, spacing = SIZE.prod() / number, 0.5 * math.sqrt(SIZE.prod() / number)
        plain = (each["cell_area_px"].groupby(objects["frame"]).mean() / own).mean()
        naive = each["nearest_px"].mean() / spacing
        complete = 100 * each["complete"].mean()
        weighted = (made["cell_area_mean_px"] / own).mean()
        rows.append((number, complete, weighted, plain, made["clark_evans"].mean(), naive, made["psi6_mean"].mean()))
    columns = ["points", "complete %", "mean cell", "not weighted", "mean nearest", "edge ignored", "|psi6|"]
    print("\nedge, 200 frames each, points at random; 1 is right (but for the last)")
    print(pd.DataFrame(rows, columns=columns).round(3).to_string(index=False))


def slow_sums(name: str, xy: Array, field: tuple[float, float, float, float]) -> None:
    """Differences from plain loops: pairs and waves one by one, neighbours from scipy's Voronoi cells."""
    size, n = np.array([field[2] - field[0], field[3] - field[1]]), len(xy)
    g = pair_correlation(table(xy), NONE, field=field, r_max_px=50, bins=20)
    edges, total = np.linspace(0, 50, 21), np.zeros(20)
    for i in range(n):
        for j in range(n):
            r = math.dist(xy[i], xy[j])
            if i != j and r < 50:
                room = (size[0] - abs(xy[i, 0] - xy[j, 0])) * (size[1] - abs(xy[i, 1] - xy[j, 1]))
                total[int(np.searchsorted(edges, r, side="right")) - 1] += 1 / room
    slow = total * size.prod() ** 2 / (n * (n - 1) * np.pi * np.diff(edges**2))
    psi = neighbourhood(table(xy), NONE, field=field)["psi"]
    others: list[list[int]] = [[] for _ in xy]
    for a, b in Voronoi(xy).ridge_points:
        others[a].append(b)
        others[b].append(a)
    angles = [[math.atan2(xy[k, 1] - xy[o, 1], xy[o, 0] - xy[k, 0]) for o in own] for k, own in enumerate(others)]
    worst = max(abs(abs(np.mean(np.exp(6j * np.array(own)))) - psi[k]) for k, own in enumerate(angles))
    S = structure_factor(table(xy), NONE, field=field, q_max_per_px=0.5, bins=1)["S"][0]
    wave = waves(size, 0.5)
    phase = sum(np.outer(k, xy[:, axis] - field[axis]) / size[axis] for axis, k in enumerate(wave))
    direct = float((np.abs(np.exp(-2j * np.pi * phase).sum(axis=1)) ** 2).mean() / n)
    print(f"{name}, {n} points, differences from plain loops: g {np.abs(slow - g['g']).max():.0e}, |psi6| {worst:.0e}, ", end="")
    print(f"S {abs(S - direct):.0e}")


def slow_sums_of_points_and_beads() -> None:
    """The same on drawn points and, where the data are there, on beads in water as trackpy located them."""
    print()
    slow_sums("clusters", clustered(np.random.default_rng(4)), FIELD)
    beads = pd.read_csv(data_folder("bulk-water") / "features.csv.gz", nrows=1000)
    own = beads.loc[beads["frame"] == 0, ["x", "y"]].to_numpy(float)
    slow_sums("beads in water", own, searched((424, 640), diameter_px=11))


def seconds() -> None:
    """Time for one frame of 20 000 particles in 4096x4096 px."""
    rng = np.random.default_rng(5)
    objects, field = table(rng.uniform(0, 4096, (20_000, 2))), (0.0, 0.0, 4096.0, 4096.0)
    work: dict[str, Callable[[], Any]] = {
        "g(r) to 10 spacings, translation": lambda: pair_correlation(objects, NONE, field=field),
        "g(r), isotropic": lambda: pair_correlation(objects, NONE, field=field, correction="isotropic"),
        "S(q) to 4 x 2 pi / spacing": lambda: structure_factor(objects, NONE, field=field),
        "neighbours, psi6, cells": lambda: neighbourhood(objects, NONE, field=field),
        "bonds": lambda: bonds(objects, NONE, field=field),
        "clusters": lambda: clusters(objects, NONE, field=field, distance_px=20),
        "row of structure": lambda: structure(objects, NONE, field=field, cluster_distance_px=20),
    }
    print("\nseconds (best of 5), 20 000 particles")
    for name, task in work.items():
        taken = []
        for _ in range(5):
            start = time.perf_counter()
            task()
            taken.append(time.perf_counter() - start)
        print(f"  {name:36s}{min(taken):.2f}")
    start = time.perf_counter()
    far = cKDTree(objects[["x_px", "y_px"]]).query_pairs(290, output_type="ndarray")
    print(f"  {len(far)} pairs alone {time.perf_counter() - start:10.2f}")


def main() -> None:
    """Print all."""
    coverage_of_g()
    coverage_of_s()
    discs()
    edges_of_cells()
    slow_sums_of_points_and_beads()
    seconds()


if __name__ == "__main__":
    main()
