"""How wires look under a microscope: shading, depth, ground, particles, blur, noise, info bar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from morphoscope.synth.info_bar import add_info_bar
from morphoscope.synth.texture import grain
from morphoscope.synth.wire_scene import WireScene

if TYPE_CHECKING:
    from morphoscope.synth.wires import Seen

SHADOW = 0.35  # light lost beside a higher wire
BAR_SHARE = 0.09  # height of the info bar, of the picture's

Float = NDArray[np.float32]


def photograph(rng: np.random.Generator, scene: WireScene, seen: Seen, wires: int) -> NDArray[np.uint8]:
    """The picture (h, w) of what is seen, of that many wires, lowest first; an info bar adds rows below."""
    height, width = scene.shape
    grey = _lit(rng, scene, seen, wires)
    light = np.asarray(cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA), np.float32)
    _particles(rng, scene, light)
    if scene.blur_px > 0:
        light = np.asarray(cv2.GaussianBlur(light, (0, 0), scene.blur_px), np.float32)
    away = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    ramp = (x / width - 0.5) * np.cos(away) + (y / height - 0.5) * np.sin(away)
    light = light * (1 + np.float32(scene.slope) * ramp.astype(np.float32))
    light = light + rng.standard_normal(light.shape, dtype=np.float32) * np.float32(scene.noise)
    image: NDArray[np.uint8] = np.rint(np.clip(light, 0, 1) * 255).astype(np.uint8)
    if not scene.bar:
        return image
    rows = max(round(BAR_SHARE * height), 20)
    texts = [(8, "10.0 kV"), (width // 3, f"{scene.pixel_size_nm * width / 1000:.3g} um wide"), (2 * width // 3, "SE  WD 4.8 mm")]
    return add_info_bar(image, rows, texts, font_px=max(round(rows * 0.45), 9))


def _lit(rng: np.random.Generator, scene: WireScene, seen: Seen, wires: int) -> Float:
    """Grey values of ground and wires, fine."""
    shape = seen.wire.shape
    there = seen.wire >= 0
    level = (np.arange(wires, dtype=np.float32) + 1) / max(wires, 1)
    body = scene.grey * (1 - scene.depth * (1 - level)) * np.exp(rng.normal(0, scene.variety, wires)).astype(np.float32)
    profile = _profile(scene, seen)
    fine = max(shape[0] // scene.shape[0], 1)
    ground = np.full(shape, scene.ground, np.float32)
    if scene.texture:
        ground += np.float32(scene.texture) * _enlarged(rng, shape, scene.texture_px * fine)
    on = body[np.maximum(seen.wire, 0)] * profile
    if scene.rough:
        on = on * (1 + np.float32(scene.rough) * _enlarged(rng, shape, 1.2 * fine))
    grey = np.where(there, on, ground)
    height = np.where(there, level[np.maximum(seen.wire, 0)], 0).astype(np.float32)
    around = cv2.blur(height, (2 * int(scene.width_px * fine * 0.6) + 1,) * 2)
    if scene.look in ("sem", "afm"):
        grey = grey * (1 - np.float32(SHADOW * scene.depth) * np.clip((around - height) / max(float(height.max()), 1e-6), 0, 1))
    return np.asarray(1 - grey if scene.look == "dark" else grey, np.float32)


def _profile(scene: WireScene, seen: Seen) -> Float:
    """Light across a wire, about 1 on average."""
    u = seen.across
    if scene.look == "afm":
        shape = 0.45 + 0.8 * (1 - u * u)
    elif scene.look == "sem":
        shape = 0.8 + 0.45 * np.abs(u) ** 3
    else:
        shape = np.ones_like(u)
    side = np.sin(np.deg2rad(scene.light_deg) - seen.angle)
    shaded = shape * (1 - np.float32(scene.shade * 0.6) * u * side) if scene.look != "flat" else shape
    return np.asarray(shaded, np.float32)


def _enlarged(rng: np.random.Generator, shape: tuple[int, ...], scale_px: float) -> Float:
    """Cloudy noise of unit spread, drawn coarsely and enlarged."""
    step = max(scale_px / 1.5, 1.0)
    small = (int(shape[0] / step) + 4, int(shape[1] / step) + 4)
    field = grain(rng, small, scale_px=scale_px / step / 2, elongation=1.0, angle_deg=0.0)
    return np.asarray(cv2.resize(field, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR), np.float32)


def _particles(rng: np.random.Generator, scene: WireScene, light: Float) -> None:
    """Round particles on the picture, in place."""
    count = int(rng.poisson(scene.particles_per_mpx * light.size / 1e6))
    for _ in range(count):
        x, y = rng.uniform((0, 0), light.shape[::-1])
        size = scene.width_px * rng.uniform(0.5, 2.5)
        grey = float(np.clip(scene.grey * rng.uniform(0.8, 1.4), 0, 1))
        value: Any = 1 - grey if scene.look == "dark" else grey
        cv2.circle(light, (round(x * 16), round(y * 16)), round(size * 8), float(value), -1, cv2.LINE_8, 4)
