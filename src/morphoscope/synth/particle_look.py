"""How particles look: dark on a grainy film in bright-field TEM, bright with brighter edges in SEM; and their label images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from morphoscope.synth.outlines import radius_towards
from morphoscope.synth.particle_scene import Bodies, ParticleScene
from morphoscope.synth.texture import grain

Float = NDArray[np.float32]
Array = NDArray[np.float64]
ROUNDED = (2.0, 2.0, 5.0, 2.4, 8.0)  # of each of outlines.SHAPES: how flat its top is
STEP = 0.7  # share of a particle's contrast that is there at its very edge
EDGE = 4.0  # px beyond its outline that a particle changes the picture


class Patch:
    """The neighbourhood of one particle: where it lies, and how far inside the outline each px is."""

    def __init__(self, bodies: Bodies, i: int, shape: tuple[int, ...]) -> None:
        x, y, radii = float(bodies.x[i]), float(bodies.y[i]), bodies.radii[i]
        reach = float(radii.max()) * 1.15 + EDGE
        self.x0, self.x1 = max(int(x - reach), 0), min(int(x + reach) + 2, shape[1])
        self.y0, self.y1 = max(int(y - reach), 0), min(int(y + reach) + 2, shape[0])
        self.empty = self.x1 <= self.x0 or self.y1 <= self.y0
        if self.empty:
            return
        dx: Array = np.arange(self.x0, self.x1, dtype=np.float64) - x
        dy: Array = (np.arange(self.y0, self.y1, dtype=np.float64) - y)[:, None]
        self.dx, self.dy = dx, dy
        r = np.hypot(dx, dy)
        self.radius = radius_towards(radii, dx, dy)
        slope = np.gradient(np.r_[radii[-1], radii, radii[0]])[1:-1] * (len(radii) / (2 * np.pi))
        upright = radius_towards(radii / np.hypot(radii, slope), dx, dy)
        self.depth = (self.radius - r) * upright  # distance from the edge, near it; negative outside
        self.relative = r / self.radius
        self.inside = r < self.radius

    def of(self, image: NDArray[Any]) -> NDArray[Any]:
        """The part of an image (a view)."""
        return image[self.y0 : self.y1, self.x0 : self.x1]

    @property
    def cover(self) -> Array:
        """Share of each px that the particle covers."""
        return np.asarray(np.clip(self.depth + 0.5, 0, 1))

    def relief(self, rounded: float) -> Array:
        """Height over the middle plane, 1 in the centre, 0 at the edge."""
        return np.asarray(np.sqrt(np.maximum(1 - np.minimum(self.relative, 1) ** rounded, 0)))


def patches(bodies: Bodies, shape: tuple[int, ...]) -> Iterator[tuple[int, Patch]]:
    """The particles that reach into a picture, the lower ones first."""
    for i in range(len(bodies.x)):
        patch = Patch(bodies, i, shape)
        if not patch.empty:
            yield i, patch


def label_image(bodies: Bodies, shape: tuple[int, int]) -> NDArray[np.int32]:
    """Label image (h, w): each px that has its centre inside an outline holds 1 + the index of the uppermost such particle."""
    labels = np.zeros(shape, np.int32)
    for i, patch in patches(bodies, shape):
        patch.of(labels)[patch.inside] = i + 1
    return labels


def background(rng: np.random.Generator, scene: ParticleScene, shape: tuple[int, int]) -> Float:
    """What lies behind the particles (h, w), mean 1: fine grain, faint clouds and slow shading."""
    fine = 0.8 if scene.look == "tem" else 1.6
    grains = 0.8 * grain(rng, shape, scale_px=fine, elongation=1.0, angle_deg=0.0)
    grains = grains + 0.6 * grain(rng, shape, scale_px=2.4 * fine, elongation=1.0, angle_deg=0.0)
    small = (shape[0] // 16 + 2, shape[1] // 16 + 2)
    slow = grain(rng, small, scale_px=max(small) / 6, elongation=1.0, angle_deg=0.0)
    clouds = cv2.resize(slow, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    direction = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-0.5 : 0.5 : shape[0] * 1j, -0.5 : 0.5 : shape[1] * 1j]
    tilt = np.cos(direction) * x + np.sin(direction) * y
    return np.asarray(1 + scene.support * grains + scene.gradient * (0.8 * tilt + 0.06 * clouds), np.float32)


def render(rng: np.random.Generator, scene: ParticleScene, bodies: Bodies, behind: Float) -> NDArray[np.uint8]:
    """The picture (h, w) of particles before a background, as a camera or detector gives it."""
    field = _tem(scene, bodies, behind) if scene.look == "tem" else _sem(rng, scene, bodies, behind)
    level = 165.0 if scene.look == "tem" else 62.0
    if scene.blur_px > 0:
        field = np.asarray(cv2.GaussianBlur(field, (0, 0), scene.blur_px), np.float32)
    noise = rng.standard_normal(field.shape, dtype=np.float32)
    field = np.asarray(field + np.sqrt(np.maximum(field, 0.01) / np.float32(scene.dose)) * noise, np.float32)
    if scene.look == "sem":
        lines = rng.standard_normal((field.shape[0], 1), dtype=np.float32)
        field = np.asarray(field * (1 + np.float32(0.006) * lines), np.float32)
    return np.asarray(np.clip(np.rint(field * np.float32(level)), 0, 255), np.uint8)


def _tem(scene: ParticleScene, bodies: Bodies, behind: Float) -> Float:
    """Absorption by thickness, a few particles darker (near a zone axis), and a faint bright fringe of a slight defocus."""
    field = behind.copy()
    absorption = -np.log(1 - min(scene.contrast, 0.95))
    for i, patch in patches(bodies, field.shape):
        thick = patch.cover * (STEP + (1 - STEP) * patch.relief(ROUNDED[bodies.kind[i]]))
        size = float(np.sqrt((bodies.radii[i] ** 2).mean())) * 2 / scene.median_px
        deep = absorption * bodies.tone[i] * min(size, 1.6) ** 0.5
        fringe = 0.05 * np.exp(-((np.minimum(patch.depth, 0) + 1.5) ** 2) / 2) * (1 - patch.cover)
        patch.of(field)[...] *= np.exp(-deep * thick) + fringe
    return field


def _sem(rng: np.random.Generator, scene: ParticleScene, bodies: Bodies, behind: Float) -> Float:
    """Secondary electrons: more at edges and on the side of the detector, less in the gaps beside a particle."""
    field = behind.copy()
    rough = grain(rng, (field.shape[0], field.shape[1]), scale_px=1.4, elongation=1.0, angle_deg=0.0)
    for i, patch in patches(bodies, field.shape):
        size = float(np.sqrt((bodies.radii[i] ** 2).mean()))
        shadow = 1 - 0.38 * np.exp(np.minimum(patch.depth, 0) / max(0.14 * size, 1.5))
        glow = np.exp(-np.maximum(patch.depth, 0) / max(0.10 * size, 1.2))
        slope = (patch.dx * 0.7 - patch.dy * 0.7) / np.maximum(patch.radius, 1) * (1 - patch.relief(ROUNDED[bodies.kind[i]]))
        bright = 1 + (0.55 + scene.contrast) * bodies.tone[i] * (1.45 + 0.75 * glow + 0.45 * slope)
        surface = bright * (1 + 0.04 * patch.of(rough))
        cover = patch.cover
        patch.of(field)[...] = patch.of(field) * shadow * (1 - cover) + surface * cover
    return field
