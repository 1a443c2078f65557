"""How many neighbours lie at each distance: the pair correlation g(r) with the edge of the field corrected exactly."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.stats import t

from morphoscope.calibration import Calibration
from morphoscope.errors import UsageError
from morphoscope.physics.points import Field, Points, points

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Correction = Literal["translation", "isotropic"]
REACH = 10.0  # mean spacings that g(r) goes out to where nothing is said
DIRECTIONS = 32  # in a quarter of a circle
TILES = 6  # the field is cut into so many times so many tiles, between which the variance is taken


def pair_correlation(
    objects: pd.DataFrame,
    calibration: Calibration,
    *,
    field: Field,
    r_max_px: float | None = None,
    bins: int = 100,
    correction: Correction = "translation",
    by_frame: bool = False,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """g(r): density of neighbours at distance r over the mean density; 1 where points know nothing of each other.

    Each pair weighs by the inverse of the chance to see it. `translation`: 1 / ((W - |dx|) (H - |dy|)) in a field W x H (Ohser &
    Stoyan 1981), right also where directions differ; `isotropic`: the inverse of the part of the circle through the
    neighbour that lies in the field (Ripley 1976). Both sums are without bias in every bin, at any distance up to the limit,
    where the density is the same everywhere. They are divided by N (N - 1) of the same field, which takes a little off g where
    N scatters much from field to field (clusters of five: 1.5 % with 300 points). Frames are pooled as sums of pairs over sums
    of N (N - 1).

    Args:
        objects: see `points.points`.
        calibration: without a scale `r_nm` is null.
        field: see `points.points`.
        r_max_px: up to half the shorter side of the field; none: ten mean spacings, or that half if it is less.
        bins: of equal width from 0 to `r_max_px`.
        correction: of the edge.
        by_frame: a curve for each frame instead of one of all.
        confidence: of the interval, from what each of 36 tiles of the field changes (a jackknife over tiles). All frames of a
            tile go together, so that slow changes in a video make it no narrower. At distances beyond a tile it is about 1.4
            times too wide (isotropic: up to twice), as a pair counts in both tiles it is in.

    Returns:
        A row per bin (and frame): `frame` where asked for, `r_low_px`, `r_px` the middle of the bin, `r_high_px`, `r_nm`,
        `n_pairs`, `g` (null where no frame has two points), `low`, `high` (null where no pair was seen).

    Raises:
        UsageError: an impossible distance, number of bins or correction.
    """
    if bins < 1 or correction not in ("translation", "isotropic") or not 0 < confidence < 1:
        raise UsageError(
            f"wanted at least 1 bin, translation or isotropic, 0 < confidence < 1, got {bins}, {correction}, {confidence}"
        )
    frames = list(points(objects, calibration, field=field))
    edges = np.linspace(0, _reach(frames, r_max_px), bins + 1)
    parts = [_Sums(edges).add(made, correction) for made in frames]
    if not by_frame:
        return _table(_Sums.total(edges, parts), calibration, confidence)
    tables = [_table(part, calibration, confidence).assign(frame=made.frame) for made, part in zip(frames, parts, strict=True)]
    table = pd.concat(tables, ignore_index=True) if tables else _table(_Sums(edges), calibration, confidence).assign(frame=0)[:0]
    return table[["frame", *(name for name in table.columns if name != "frame")]]


def _reach(frames: list[Points], r_max_px: float | None) -> float:
    most = float(frames[0].size.min()) / 2 if frames else math.inf
    if r_max_px is None:
        number = sum(len(made.xy) for made in frames)
        return min(most, REACH * math.sqrt(frames[0].area * len(frames) / number)) if frames else 1.0
    if not 0 < r_max_px <= most * (1 + 1e-9):
        raise UsageError(f"r_max_px must be above 0 and at most half the shorter side of the field, {most:g} px, got {r_max_px}")
    return float(r_max_px)


class _Sums:
    """Of b bins: weights of all pairs (b,) and of those with a point in a tile (tiles, b), number of pairs (b,).

    `gain` (tiles,) is what N (N - 1) gains by the points of a tile.
    """

    def __init__(self, edges: Array) -> None:
        self.edges, self.size = edges, np.ones(2)
        self.pairs = np.zeros(len(edges) - 1)
        self.touch = np.zeros((TILES**2, len(edges) - 1))
        self.gain = np.zeros(TILES**2)
        self.n = np.zeros(len(edges) - 1, np.int64)
        self.norm = 0.0  # sum of N (N - 1) / area

    def add(self, made: Points, correction: Correction) -> _Sums:
        """Count the pairs of a frame."""
        bins, count = len(self.edges) - 1, len(made.xy)
        i, j = close_pairs(made.xy, float(self.edges[-1]))
        apart = made.xy[i] - made.xy[j]
        r = np.sqrt(np.einsum("ij,ij->i", apart, apart))
        place = np.minimum((r * (bins / self.edges[-1])).astype(np.int64), bins - 1)
        if correction == "translation":
            weight = 2 / (made.size - np.abs(apart)).prod(axis=1)
        else:
            weight = (1 / circle_inside(made, i, r) + 1 / circle_inside(made, j, r)) / made.area
        weight *= made.area
        tile, self.size = _tile(made.xy, made.size), made.size
        for own, taken in ((tile[i], weight), (tile[j], weight * (tile[i] != tile[j]))):
            self.touch += np.bincount(own * bins + place, taken, minlength=self.touch.size).reshape(self.touch.shape)
        self.pairs += np.bincount(place, weight, minlength=bins)
        self.n += np.bincount(place, minlength=bins)
        self.gain += (2 * count - 1) / made.area * np.bincount(tile, minlength=TILES**2)
        self.norm += count * (count - 1) / made.area
        return self

    @staticmethod
    def total(edges: Array, parts: Iterable[_Sums]) -> _Sums:
        """All parts together."""
        made = _Sums(edges)
        for part in parts:
            for name in ("pairs", "touch", "gain", "n", "norm"):
                setattr(made, name, getattr(made, name) + getattr(part, name))
            made.size = part.size
        return made


def _table(sums: _Sums, calibration: Calibration, confidence: float) -> pd.DataFrame:
    low, high = sums.edges[:-1], sums.edges[1:]
    norm = sums.norm if sums.norm > 0 else math.nan
    mean_r = 2 / 3 * (high**3 - low**3) / (high**2 - low**2)
    g = sums.pairs / (norm * math.pi * (high**2 - low**2))
    with np.errstate(divide="ignore", invalid="ignore"):  # change of log g by each tile, less what its place alone makes
        change = sums.touch / sums.pairs - _expected(mean_r, sums.size) - ((sums.gain - sums.gain.mean()) / norm)[:, None]
    spread = np.sqrt((change**2).sum(axis=0) * TILES**2 / (TILES**2 - 1))
    half = float(t.ppf(0.5 + confidence / 2, TILES**2 - 1)) * spread
    return pd.DataFrame(
        {
            "r_low_px": low,
            "r_px": (low + high) / 2,
            "r_high_px": high,
            "r_nm": (low + high) / 2 * calibration.mean_pixel_nm,
            "n_pairs": sums.n,
            "g": g,
            "low": g * np.maximum(1 - half, 0),
            "high": g * (1 + half),
        }
    )


def _tile(xy: Array, size: Array) -> Ints:
    cell = np.clip((xy * (TILES / size)).astype(np.int64), 0, TILES - 1)
    return np.asarray(cell[:, 0] * TILES + cell[:, 1])


def _expected(r: Array, size: Array) -> Array:
    """Part (tiles, b) of all pairs at distances `r` (b,) with a point in each tile, were the points thrown at random."""
    angle = (np.arange(DIRECTIONS) + 0.5) * math.pi / 2 / DIRECTIONS
    either, both = [], []
    for length, step in zip(size, (np.cos(angle), np.sin(angle)), strict=True):
        away = (step[:, None] * r)[..., None]
        start = np.arange(TILES) * length / TILES
        stop = start + length / TILES
        seen = np.clip(np.minimum(stop, length - away) - start, 0, None) + np.clip(stop - np.maximum(start, away), 0, None)
        either.append(seen / 2 / (length - away))
        both.append(np.clip(length / TILES - away, 0, None) / (length - away))
    one = np.einsum("abi,abj->ijb", *either).reshape(TILES**2, len(r))
    return np.asarray((2 * one - (both[0] * both[1]).sum(axis=(0, 2))) / DIRECTIONS)


def close_pairs(xy: Array, reach: float) -> tuple[Ints, Ints]:
    """The two members (m,), (m,) of every pair of points (n, 2) that are at most `reach` apart, each pair once."""
    if len(xy) < 2:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    found = cKDTree(xy).query_pairs(reach, output_type="ndarray")
    return found[:, 0], found[:, 1]


def circle_inside(made: Points, i: Ints, r: Array) -> Array:
    """Part (m,) of the circle of radius `r` (m,) about points `i` (m,) that lies in the field, exactly.

    Each side cuts off an arc of 2 acos(d / r); where a circle passes round a corner the arcs of its two sides overlap by
    acos(d1 / r) + acos(d2 / r) - pi / 2. Arcs of opposite sides never meet.
    """
    part = np.ones(len(i))
    near = np.flatnonzero(made.to_edge[i] < r)
    if not len(near):
        return part
    place = made.xy[i[near]]
    away = np.concatenate([place, made.size - place], axis=1)  # left, top, right, bottom
    arc = np.arccos(np.minimum(away / r[near, None], 1.0))
    beyond = 2 * arc.sum(axis=1)
    for a, b in ((0, 1), (1, 2), (2, 3), (3, 0)):
        beyond -= np.maximum(arc[:, a] + arc[:, b] - math.pi / 2, 0)
    part[near] = 1 - beyond / (2 * math.pi)
    return part
