"""Particles and scratches on films."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from morphoscope.synth.film_scene import FilmScene

Float = NDArray[np.float32]
SHIFT = 4  # bits of the fraction of a px that shapes are drawn with
SIZES = 0.35  # spread of the logarithm of diameters
CLUMPED = 0.25  # share of the particles that lie beside another one


class Marks(NamedTuple):
    """How far each px (h, w) is covered, 0 to 1, and how brightly what covers it scatters."""

    cover: Float
    light: Float


def particles(rng: np.random.Generator, scene: FilmScene) -> Marks:
    """Specks and dust: discs and ellipses, some of them clumped, each of its own brightness."""
    cover, light = np.zeros(scene.shape, np.float32), np.zeros(scene.shape, np.float32)
    height, width = scene.shape
    area = height * width * (scene.pixel_size_nm / 1e6) ** 2
    at = np.zeros(2)
    for i in range(int(rng.poisson(scene.particles_per_mm2 * area))):
        size = scene.px(scene.particle_um) * float(np.exp(SIZES * rng.standard_normal()))
        beside = i > 0 and rng.random() < CLUMPED
        at = at + rng.normal(0, 1.2 * size, 2) if beside else rng.uniform((0, 0), (width, height))
        axes = np.array([size, size * rng.uniform(0.6, 1.0)]) / 2
        _ellipse(cover, light, at, axes, (float(rng.uniform(0, 180)), float(rng.uniform(0.7, 2.2))))
    return Marks(cover, light)


def _ellipse(cover: Float, light: Float, at: NDArray[np.float64], axes: NDArray[np.float64], look: tuple[float, float]) -> None:
    """One filled ellipse with soft edges: `look` is its angle (degrees) and brightness."""
    reach = int(axes.max()) + 4
    x0, y0 = max(int(at[0]) - reach, 0), max(int(at[1]) - reach, 0)
    part = cover[y0 : int(at[1]) + reach + 1, x0 : int(at[0]) + reach + 1]
    if min(part.shape) == 0 or min(at) < -reach:
        return
    y, x = np.mgrid[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1]] - np.array([at[1], at[0]])[:, None, None]
    cos, sin = np.cos(np.deg2rad(look[0])), np.sin(np.deg2rad(look[0]))
    relative = np.hypot((cos * x + sin * y) / axes[0], (cos * y - sin * x) / axes[1])
    share = np.clip((1 - relative) * float(axes.min()) + 0.5, 0, 1).astype(np.float32)
    np.maximum(part, share, out=part)
    lit = light[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1]]
    np.maximum(lit, share * np.float32(look[1]), out=lit)


def scratches(rng: np.random.Generator, scene: FilmScene) -> Marks:
    """Long lines and wide arcs, single or in parallel groups, fading along their length and broken in places."""
    cover, light = np.zeros(scene.shape, np.float32), np.zeros(scene.shape, np.float32)
    for _ in range(scene.scratches):
        path = _path(rng, scene.shape)
        group = int(rng.integers(2, 6)) if rng.random() < 0.35 else 1
        normal = np.stack([-np.gradient(path[:, 1]), np.gradient(path[:, 0])], 1)
        normal /= np.maximum(np.hypot(*normal.T)[:, None], 1e-6)
        away = np.cumsum(rng.uniform(2, 6, group)) * scene.px(scene.scratch_um)
        for offset in away - away[0]:
            width = max(scene.px(scene.scratch_um) * float(np.exp(0.25 * rng.standard_normal())), 1.0)
            strength = _along(rng, len(path)) * rng.uniform(0.4, 1.5)
            _line(cover, light, path + offset * normal, strength, width)
    return Marks(cover, light)


def _path(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Points 4 px apart along a straight line or an arc of a wide circle that crosses the picture."""
    length = rng.uniform(0.35, 1.6) * max(shape)
    steps = np.arange(0, length, 4.0) - length / 2
    turn = 0.0 if rng.random() < 0.5 else rng.uniform(-0.9, 0.9) / length
    heading = rng.uniform(0, 2 * np.pi) + turn * steps
    way = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], 1) * 4.0, axis=0)
    centre = rng.uniform((0.1, 0.1), (0.9, 0.9)) * np.array([shape[1], shape[0]])
    return np.asarray(way - way[len(way) // 2] + centre)


def _along(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """A strength per point, 0 where the line is broken."""
    slow = np.interp(np.arange(count), np.linspace(0, count, 12), rng.standard_normal(12))
    strength = np.clip(0.9 + 0.35 * slow, 0, 1.4)
    ends = np.minimum(np.arange(count), np.arange(count)[::-1]) / max(0.1 * count, 1)
    return np.asarray(np.where(strength < 0.4, 0, strength) * np.clip(ends + 0.3, 0, 1))


def _line(cover: Float, light: Float, path: NDArray[np.float64], strength: NDArray[np.float64], width: float) -> None:
    """A line of `width` px through points, drawn at four times the size only where it runs."""
    thick = max(round(width), 1)
    layer, lit = np.zeros_like(cover), np.zeros_like(cover)
    points = np.rint(path * (1 << SHIFT)).astype(int)
    for a, b, value in zip(points[:-1], points[1:], strength[:-1], strict=True):
        if value > 0:
            cv2.line(layer, (int(a[0]), int(a[1])), (int(b[0]), int(b[1])), 1.0, thick, cv2.LINE_AA, SHIFT)
            cv2.line(lit, (int(a[0]), int(a[1])), (int(b[0]), int(b[1])), float(value), thick, cv2.LINE_AA, SHIFT)
    np.maximum(cover, layer, out=cover)
    np.maximum(light, lit, out=light)
