"""Cracks of drying films: borders between pieces, open along some of their length and of many widths."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from morphoscope.synth.film_dewetting import slow_field
from morphoscope.synth.film_scene import FilmScene
from morphoscope.synth.texture import grain

Float = NDArray[np.float32]
SECOND = 0.45  # pieces of the second generation, in sizes of the first; their cracks are that much narrower
STRETCH = 5.0  # pieces between parallel cracks: length over width
BEND = 0.05  # how far borders leave straight lines, in sizes of a piece


class Borders(NamedTuple):
    """For each px (h, w) its distance to the nearest border between pieces (px), and a number in 0..1 that names the border."""

    distance: Float
    name: Float


def opening(rng: np.random.Generator, scene: FilmScene) -> Float:
    """How far (h, w) each px is covered by a crack: 1 inside, 0 outside, the share at the edges."""
    spacing, width = scene.px(scene.crack_spacing_um), scene.px(scene.crack_width_um)
    if scene.cracks is None:
        return np.zeros(scene.shape, np.float32)
    stretch = STRETCH if scene.cracks == "parallel" else 1.0
    cracks = _open(rng, scene, pieces(rng, scene.shape, spacing, stretch=stretch), width)
    if scene.cracks == "hierarchy":
        cut = slow_field(rng, scene.shape, 2 * spacing) > 0
        finer = _open(rng, scene, pieces(rng, scene.shape, spacing * SECOND), max(width * 0.55, 1.0))
        cracks = np.maximum(cracks, finer * cut)
    return cracks


def pieces(rng: np.random.Generator, shape: tuple[int, int], spacing_px: float, *, stretch: float = 1.0) -> Borders:
    """A random tessellation (Voronoi) with bent borders; pieces are `stretch` times longer along a random direction."""
    height, width = shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    for bent in (x, y):
        bent += BEND * spacing_px * grain(rng, shape, scale_px=max(spacing_px / 4, 1.5), elongation=1.0, angle_deg=0.0)
        bent += 0.2 * BEND * spacing_px * grain(rng, shape, scale_px=max(spacing_px / 20, 0.8), elongation=1.0, angle_deg=0.0)
    angle = rng.uniform(0, np.pi)
    along, across = (np.cos(angle) * x + np.sin(angle) * y) / stretch, np.cos(angle) * y - np.sin(angle) * x
    places = np.stack([along.ravel(), across.ravel()], 1)
    low, high = places.min(0) - 2 * spacing_px, places.max(0) + 2 * spacing_px
    count = max(int(np.prod(high - low) / spacing_px**2), 4)
    seeds = _apart(rng, low, high, count)
    away, near = cKDTree(seeds).query(places, k=2)
    between = seeds[near[:, 1]] - seeds[near[:, 0]]
    per_px = np.hypot(between[:, 0] / stretch, between[:, 1])  # the steepness of the difference below, along and across undone
    first, second = np.minimum(near[:, 0], near[:, 1]), np.maximum(near[:, 0], near[:, 1])
    name = np.modf(np.sin(first * 12.9898 + second * 78.233) * 43758.5453)[0] % 1.0
    distance = (away[:, 1] ** 2 - away[:, 0] ** 2) / (2 * np.maximum(per_px, 1e-6))
    return Borders(distance.reshape(shape).astype(np.float32), name.reshape(shape).astype(np.float32))


def _apart(rng: np.random.Generator, low: NDArray[np.float64], high: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Points of a jittered grid: no two pieces differ in size as much as those of independent points."""
    side = float(np.sqrt(np.prod(high - low) / count))
    across, down = (np.arange(a, b, side) for a, b in zip(low, high, strict=True))
    grid = np.stack(np.meshgrid(across, down), -1).reshape(-1, 2)
    return np.asarray(grid + rng.uniform(-0.48, 0.48, grid.shape) * side)


def _open(rng: np.random.Generator, scene: FilmScene, borders: Borders, width_px: float) -> Float:
    """Cracks along the borders that opened, their widths by border and along it; some end within a border."""
    spacing = scene.px(scene.crack_spacing_um)
    along = slow_field(rng, scene.shape, spacing / 2)
    is_open = np.clip((scene.crack_open - borders.name) * 12 + 0.8 * along + 0.5, 0, 1)
    wide = width_px * (0.45 + 1.1 * np.modf(borders.name * 57.0)[0]) * np.clip(1 + 0.25 * along, 0.4, 1.8) * is_open
    covered = np.clip(wide / 2 - borders.distance + 0.5, 0, 1) * (wide > 0.5)
    return np.asarray(cv2.GaussianBlur(covered.astype(np.float32), (0, 0), 0.5), np.float32)
