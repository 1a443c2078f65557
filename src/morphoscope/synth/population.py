"""A population of dislocation loops: when each appears, how it grows, moves and goes, and what it looks like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from morphoscope.synth.scene import LoopScene

Array = NDArray[np.float64]
FADE_FRAMES = 6.0


@dataclass(frozen=True)
class Population:
    """n loops as arrays of length n; `path` is (n, n_frames, 2): x, y on the sample in px of the first frame."""

    path: Array
    birth: Array
    death: Array
    final_px: Array
    growth_frames: Array
    aspect: Array
    angle_deg: Array
    contrast: Array
    breathing: Array
    sharpness: Array
    halo: Array
    reach: Array
    kind: NDArray[np.int64]
    strength: Array
    skew: Array
    bump: Array
    step_px: Array

    def state(self, frame: int) -> tuple[Array, Array, Array]:
        """(major axis px, minor axis px, peak absorbed fraction) of every loop at `frame`; 0 contrast where it is not there."""
        age = frame - self.birth
        grown = 0.3 + 0.7 * (1 - np.exp(-np.maximum(age, 0) / self.growth_frames))
        major = self.final_px * grown
        fade = np.clip((age + 1) / FADE_FRAMES, 0, 1) * np.clip((self.death - frame) / FADE_FRAMES, 0, 1)
        amplitude, period, phase = self.breathing.T
        contrast: Array = self.contrast * fade * (1 + amplitude * np.sin(2 * np.pi * frame / period + phase))
        return major, major * self.aspect, np.clip(contrast, 0, 0.93)


def profile(radius: Array, sharpness: Array | float, halo: Array | float) -> Array:
    """Depth, 1 in the middle, at elliptical `radius`: a flat-topped core plus a strain halo 1.9 times as wide."""
    core = np.exp(-np.log(2) * radius ** (2 * sharpness))
    return np.asarray((1 - halo) * core + halo * np.exp(-np.log(2) * (radius / 1.9) ** 2))


def half_depth_reach(sharpness: Array, halo: Array) -> Array:
    """The radius at which `profile` falls to one half, by bisection (arrays of equal length)."""
    low, high = np.full(sharpness.shape, 0.5), np.full(sharpness.shape, 2.5)
    for _ in range(40):
        middle = (low + high) / 2
        deep = profile(middle, sharpness, halo) > 0.5
        low, high = np.where(deep, middle, low), np.where(deep, high, middle)
    return np.asarray((low + high) / 2)


def populate(rng: np.random.Generator, scene: LoopScene, field: tuple[float, float, float, float]) -> Population:
    """Draw a population over the sample region `field` (x0, y0, x1, y1) that the camera sees at some time."""
    area = (field[2] - field[0]) * (field[3] - field[1])
    n = int(rng.poisson(scene.loops * area / (780 * 710)))
    frames = scene.n_frames
    final = np.clip(scene.size_px * np.exp(rng.normal(0, scene.size_spread, n)), 5.5, 48)
    position = _scatter(rng, final, field)
    # birth times of a saturating population, some loops being there from the start
    share = np.clip(rng.uniform(0, 1, n), 0, 1 - 1e-9)
    early = share < scene.initial
    span = 1 - np.exp(-1 / scene.nucleation)
    birth = -scene.nucleation * frames * np.log1p(-span * (share - scene.initial) / (1 - scene.initial + 1e-9))
    birth = np.where(early, -rng.exponential(0.15 * frames, n), birth)
    vanishes = rng.random(n) < scene.vanishing
    death = np.where(vanishes, np.maximum(birth, 0) + rng.uniform(0.2, 1.0, n) * frames, np.inf)
    step = scene.wander_px * np.exp(rng.normal(0, 0.4, n)) if scene.wander_px else np.zeros(n)
    stop = np.where(rng.random(n) < scene.stopping, rng.uniform(0, frames, n), np.inf)
    walk = rng.normal(0, 1, (n, frames, 2)) * step[:, None, None] * (np.arange(frames)[None, :, None] < stop[:, None, None])
    walk[:, :1] = 0
    sharpness, halo = rng.uniform(0.9, 1.0 + final / 24), rng.uniform(0.02, 0.25, n)
    dark = rng.beta(2.0, 1.6, n) * np.clip(0.65 + 0.35 * final / 18, 0.6, 1.15)
    leaning = rng.random(n) < 0.6
    angle = np.where(leaning, scene.loop_angle_deg + rng.normal(0, 18, n), rng.uniform(0, 180, n)) % 180
    large = np.clip((final - 11) / 14, 0, 1)
    kind = np.where(rng.random(n) < 0.35 * large, rng.integers(1, 4, n), 0)
    breathing = np.stack([rng.uniform(0, 0.12, n), rng.uniform(40, 200, n), rng.uniform(0, 2 * np.pi, n)], 1)
    return Population(
        path=position[:, None, :] + np.cumsum(walk, axis=1),
        birth=birth,
        death=death,
        final_px=final,
        growth_frames=scene.growth * frames * rng.uniform(0.5, 1.6, n),
        aspect=np.clip(rng.beta(3.5, 2.0, n), 0.42, 0.97),
        angle_deg=angle,
        contrast=np.clip(scene.contrast * (0.3 + 1.0 * dark), 0.05, 0.9),
        breathing=breathing,
        sharpness=sharpness,
        halo=halo,
        reach=half_depth_reach(sharpness, halo),
        kind=kind,
        strength=rng.uniform(0.25, 0.75, n),
        skew=rng.normal(0, 0.3, n).clip(-0.8, 0.8),
        bump=np.stack([rng.uniform(0, scene.irregularity, n), rng.uniform(0, 2 * np.pi, n)], 1),
        step_px=step,
    )


def _scatter(rng: np.random.Generator, size: Array, field: tuple[float, float, float, float]) -> Array:
    """Places with few overlaps: each loop tries up to 12 places for one 0.75 mean sizes away from the others."""
    placed = np.empty((size.size, 2))
    for i in range(size.size):
        for _ in range(12):
            placed[i] = rng.uniform(field[:2], field[2:])
            apart = np.hypot(*(placed[:i] - placed[i]).T)
            if i == 0 or bool(np.all(apart > 0.75 * (size[:i] + size[i]) / 2)):
                break
    return placed


def stamp(
    loops: Population, i: int, centre: Array, axes: tuple[float, float], contrast: float
) -> tuple[int, int, NDArray[np.float32]]:
    """One loop as (left, top, transmission patch (h, w)); its half-depth outline is the ellipse of full `axes` at `centre`.

    Inner structure (kind 1: bright gap along the major axis, 2: across it, 3: bright centre) and the uneven depth die
    out before the outline.
    """
    half = max(axes) / 2
    pad = int(np.ceil(half * (2.6 if loops.halo[i] > 0.08 else 2.1) + 2))
    left, top = int(np.floor(centre[0])) - pad, int(np.floor(centre[1])) - pad
    x = np.arange(2 * pad + 2, dtype=np.float32) + (left - np.float32(centre[0]))
    y = (np.arange(2 * pad + 2, dtype=np.float32) + (top - np.float32(centre[1])))[:, None]
    cos, sin = np.float32(np.cos(np.deg2rad(loops.angle_deg[i]))), np.float32(np.sin(np.deg2rad(loops.angle_deg[i])))
    u, v = (x * cos - y * sin) / np.float32(axes[0] / 2), (x * sin + y * cos) / np.float32(axes[1] / 2)
    square = u * u + v * v
    r = np.sqrt(square) + np.float32(1e-6)
    amplitude, phase = loops.bump[i]
    c, s = u / r, v / r
    wobble = (4 * c**3 - 3 * c) * np.float32(np.cos(phase)) + (3 * s - 4 * s**3) * np.float32(np.sin(phase))
    depth = profile(r * np.float32(loops.reach[i]) / (1 + np.float32(amplitude) * wobble), loops.sharpness[i], loops.halo[i])
    inside = np.maximum(1 - square / 0.8, 0)
    depth = depth * (1 + np.float32(loops.skew[i]) * u * inside)
    if loops.kind[i]:
        at = np.float32(loops.skew[i] * 0.4)
        if loops.kind[i] == 3:
            gap, width = square, np.float32(0.3)
        else:
            coordinate, full = (v, axes[1]) if loops.kind[i] == 1 else (u, axes[0])
            gap, width = (coordinate - at) ** 2, np.float32(max(0.2, 3.6 / full) ** 2)
        depth = depth * (1 - np.float32(loops.strength[i]) * np.exp(-gap / width) * np.sqrt(inside))
    return left, top, (1 - np.float32(contrast) * depth).astype(np.float32)
