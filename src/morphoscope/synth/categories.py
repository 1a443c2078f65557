"""Pictures of categories as a scanning electron microscope would show them, for demos and tests of classifiers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.errors import UsageError
from morphoscope.synth.film_cracks import opening
from morphoscope.synth.film_scene import FilmScene
from morphoscope.synth.info_bar import add_info_bar
from morphoscope.synth.particles import ParticlePicture
from morphoscope.synth.texture import grain
from morphoscope.synth.wire_scene import WireScene
from morphoscope.synth.wires import WirePicture

Float = NDArray[np.float32]
SHAPE, SMALLEST = (288, 384), 144
BAR_SHARE, BAR_ROWS = 0.6, 28  # how many pictures have an info bar, and its height in px


def draw_category(kind: str, seed: int, *, shape: tuple[int, int] = SHAPE) -> NDArray[np.uint8]:
    """A picture (h, w) of one of `CATEGORIES`, or of `ODD` or `BETWEEN`; the same seed gives the same picture.

    Sizes, contrast, sharpness and noise differ from picture to picture; most have an info bar in their lowest rows.

    Raises:
        UsageError: there is no such category, or less than 96 px a side.
    """
    if min(shape) < SMALLEST:
        raise UsageError(f"categories are drawn in {SMALLEST} x {SMALLEST} px or more, got {shape[1]} x {shape[0]}")
    if kind not in DRAWN:
        raise UsageError(f"categories that can be drawn are {', '.join(DRAWN)}; got {kind!r}")
    rng = np.random.default_rng((seed, list(DRAWN).index(kind), 6))
    bar = BAR_ROWS if rng.random() < BAR_SHARE else 0
    picture = DRAWN[kind](rng, (shape[0] - bar, shape[1]))
    seen = _photograph(rng, picture)
    texts = [(8, "5.0 kV"), (shape[1] // 2, f"SE  x{int(rng.integers(5, 90))} k")]
    return add_info_bar(seen, bar, texts, font_px=13) if bar else seen


def write_categories(folder: str | Path, count: int, *, seed: int = 0, shape: tuple[int, int] = SHAPE) -> Path:
    """A folder of `count` pictures for each of `CATEGORIES`; returns the folder."""
    folder = Path(folder)
    for kind in CATEGORIES:
        for k in range(count):
            name = f"{kind.replace(' ', '-')}-{k:03d}.png"
            save_picture(folder / kind / name, draw_category(kind, seed * 100_003 + k, shape=shape))
    return folder


def write_pool(
    folder: str | Path, count: int, *, odd: int = 0, between: int = 0, seed: int = 0, shape: tuple[int, int] = SHAPE
) -> tuple[Path, pd.DataFrame]:
    """A folder of mixed pictures without labels, as a microscope's disk would hold them.

    `count` of each category, `odd` of none, and `between` of particles on nanowires.

    Returns:
        The folder, and what each file shows (`file`, `label`; also `ODD` and `BETWEEN`).
    """
    folder = Path(folder)
    kinds = [kind for kind in CATEGORIES for _ in range(count)] + [ODD] * odd + [BETWEEN] * between
    order = np.random.default_rng((seed, 7)).permutation(len(kinds))
    rows = []
    for number, at in enumerate(order):
        file = f"SEM_{number:04d}.png"
        save_picture(folder / file, draw_category(kinds[at], seed * 100_003 + 50_000 + int(at), shape=shape))
        rows.append((file, kinds[at]))
    return folder, pd.DataFrame(rows, columns=["file", "label"])


def save_picture(path: Path, image: NDArray[np.uint8]) -> None:
    """Write a picture, and the folder it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)


def _photograph(rng: np.random.Generator, light: Float) -> NDArray[np.uint8]:
    """A picture (h, w) of what scatters 0 to 1: blur, light that falls off, contrast, noise."""
    height, width = light.shape
    seen = np.asarray(cv2.GaussianBlur(light, (0, 0), rng.uniform(0.5, 1.1)), np.float32)
    away = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    ramp = (x / width - 0.5) * np.cos(away) + (y / height - 0.5) * np.sin(away)
    seen = (seen - seen.mean()) * rng.uniform(0.7, 1.2) + rng.uniform(0.35, 0.55) + rng.uniform(0, 0.15) * ramp
    seen = seen + rng.standard_normal(seen.shape) * rng.uniform(0.02, 0.06)
    return np.asarray(np.rint(np.clip(seen, 0, 1) * 255), np.uint8)


def _nanowires(rng: np.random.Generator, shape: tuple[int, int]) -> Float:
    pattern = ("parallel", "waves", "domains", "random")[int(rng.integers(4))]
    scene = WireScene(
        seed=int(rng.integers(1 << 30)), shape=shape, pattern=pattern, coverage=rng.uniform(0.3, 0.6),  # type: ignore[arg-type]
        width_px=rng.uniform(3, 7), length_px=rng.uniform(90, 200), angle_deg=rng.uniform(0, 180), noise=0.0,
    )  # fmt: skip
    return np.asarray(WirePicture(scene).image / 255, np.float32)


def _particles(rng: np.random.Generator, shape: tuple[int, int]) -> Float:
    picture = ParticlePicture(
        seed=int(rng.integers(1 << 30)), shape=shape, look="sem", median_nm=rng.uniform(8, 18), coverage=rng.uniform(0.1, 0.35),
        kinds=(("disc",), ("ellipse", "disc"), ("facet",))[int(rng.integers(3))], touching=rng.uniform(0.1, 0.6), dose=4000.0,
    )  # fmt: skip
    return np.asarray(picture.image / 255, np.float32)


def _patterned(rng: np.random.Generator, shape: tuple[int, int]) -> Float:
    """Rows of pillars or lines of one pitch, turned, with slightly rounded corners."""
    pitch, angle, filled = rng.uniform(18, 46), rng.uniform(0, np.pi), rng.uniform(0.35, 0.65)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    first = (np.cos(angle) * x + np.sin(angle) * y) / pitch + rng.uniform()
    second = (np.cos(angle) * y - np.sin(angle) * x) / pitch + rng.uniform()
    across, along = (filled / 2 - np.abs(v % 1.0 - 0.5) for v in (first, second))
    inside = across if rng.random() < 0.4 else np.minimum(across, along)
    ridge = np.clip(inside * pitch + 0.5, 0, 1)
    edge = np.exp(-((inside * pitch / 1.6) ** 2))
    return np.asarray(0.25 + 0.35 * ridge + 0.35 * edge, np.float32)


def _porous(rng: np.random.Generator, shape: tuple[int, int]) -> Float:
    """Holes of all depths in a bright skeleton."""
    scale = rng.uniform(3.5, 9)
    upper, lower = (grain(rng, shape, scale_px=scale * k, elongation=1.0, angle_deg=0.0) for k in (1.0, 0.7))
    walls = np.exp(-((upper / 0.5) ** 2))
    return np.asarray(0.15 + 0.65 * walls + 0.2 * np.exp(-((lower / 0.4) ** 2)) * (1 - walls), np.float32)


def _cracked(rng: np.random.Generator, shape: tuple[int, int]) -> Float:
    """A film in pieces: smooth with grain, dark cracks with bright edges."""
    scene = FilmScene(
        seed=0, shape=shape, cracks=("network", "hierarchy")[int(rng.integers(2))], crack_spacing_um=rng.uniform(60, 140),
        crack_width_um=rng.uniform(2.5, 6),
    )  # fmt: skip
    open_to = opening(rng, scene)
    edge = np.clip(cv2.GaussianBlur(open_to, (0, 0), 2.2) - open_to, 0, 1)
    film = 0.6 + 0.03 * grain(rng, shape, scale_px=2.0, elongation=1.0, angle_deg=0.0)
    return np.asarray(film * (1 - 0.85 * open_to) + 0.6 * edge, np.float32)


def _tip(rng: np.random.Generator, shape: tuple[int, int]) -> Float:
    """A single cone before a dark ground, from one side of the picture into it, bright along its edges."""
    height, width = shape
    angle = rng.choice([0, 90, 180, 270]) + rng.uniform(-25, 25)
    axis = np.array([np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))])
    end = np.array([width, height]) * rng.uniform(0.4, 0.6, 2)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    along = (x - end[0]) * axis[0] + (y - end[1]) * axis[1]
    across = np.abs((y - end[1]) * axis[0] - (x - end[0]) * axis[1])
    half = np.maximum(along, 0) * np.tan(np.deg2rad(rng.uniform(6, 16))) + rng.uniform(1.5, 5)
    inside = np.clip(half - across, 0, 1) * np.clip(along + 2, 0, 1)
    edge = np.exp(-(((half - across) / rng.uniform(2.5, 5)) ** 2)) * inside
    ground = 0.12 + 0.03 * grain(rng, shape, scale_px=14, elongation=1.0, angle_deg=0.0)
    return np.asarray(ground + inside * (0.35 + 0.1 * across / np.maximum(half, 1)) + 0.4 * edge, np.float32)


def _odd(rng: np.random.Generator, shape: tuple[int, int]) -> Float:
    """What none of the categories shows: rings of interference, or a stage plate with screws."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    if rng.random() < 0.5:
        centre = rng.uniform(-0.5, 1.5, 2) * np.array(shape)
        away = np.hypot(y - centre[0], x - centre[1])
        return np.asarray(0.5 + 0.4 * np.cos(away**2 / rng.uniform(900, 2500)), np.float32)
    plate = np.full(shape, 0.7, np.float32)
    for _ in range(int(rng.integers(2, 5))):
        at, radius = rng.uniform(0.15, 0.85, 2) * np.array(shape), rng.uniform(25, 60)
        away = np.hypot(y - at[0], x - at[1])
        slot = (np.abs((y - at[0]) * 0.8 - (x - at[1]) * 0.6) < radius / 7) & (away < radius)
        plate = np.where(away < radius, 0.45, plate)
        plate = np.where(np.abs(away - radius) < 3, 0.1, plate)
        plate = np.where(slot, 0.05, plate)
    return np.asarray(plate, np.float32)


def _between(rng: np.random.Generator, shape: tuple[int, int]) -> Float:
    """Particles, and wires behind them."""
    wires, particles = _nanowires(rng, shape), _particles(rng, shape)
    over = np.clip((particles - np.quantile(particles, 0.5)) * 4, 0, 1)
    return np.asarray(0.75 * wires * (1 - over) + particles * over, np.float32)


ODD, BETWEEN = "none of them", "particles on nanowires"
DRAWN: dict[str, Callable[[np.random.Generator, tuple[int, int]], Float]] = {
    "nanowires": _nanowires,
    "particles": _particles,
    "patterned surface": _patterned,
    "porous sponge": _porous,
    "cracked film": _cracked,
    "tip": _tip,
    ODD: _odd,
    BETWEEN: _between,
}
CATEGORIES = tuple(kind for kind in DRAWN if kind not in (ODD, BETWEEN))
