"""What lies behind the loops in a bright-field picture of a metal foil: cloudy grain, dislocation lines, specks, text."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]


def grain(rng: np.random.Generator, shape: tuple[int, int], *, scale_px: float, elongation: float, angle_deg: float) -> Float:
    """Band-limited noise (height, width) of unit standard deviation, elongated along `angle_deg` (counter-clockwise as seen).

    The spectrum is a Gaussian of width 1 / `scale_px`, `elongation` times narrower along the fibres.
    """
    rows, columns = cv2.getOptimalDFTSize(shape[0]), cv2.getOptimalDFTSize(shape[1])
    spectrum = np.fft.rfft2(rng.standard_normal((rows, columns), dtype=np.float32))
    fy, fx = np.fft.fftfreq(rows)[:, None].astype(np.float32), np.fft.rfftfreq(columns)[None, :].astype(np.float32)
    cos, sin = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    along, across = fx * cos - fy * sin, fx * sin + fy * cos
    spectrum *= np.exp(-0.5 * (2 * np.pi * scale_px) ** 2 * ((along * elongation) ** 2 + across**2))
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum, s=(rows, columns))[: shape[0], : shape[1]].astype(np.float32)
    return np.asarray(field / max(float(field.std()), 1e-6), dtype=np.float32)


def wavy(rng: np.random.Generator, image: Float, *, amplitude_px: float, scale_px: float) -> Float:
    """`image` bent by a smooth random displacement, so that fibres meander."""
    height, width = image.shape
    small = (max(4, int(height // 8)), max(4, int(width // 8)))
    bend = [grain(rng, small, scale_px=scale_px / 8, elongation=1.0, angle_deg=0.0) * amplitude_px for _ in range(2)]
    dx, dy = (cv2.resize(b, (width, height), interpolation=cv2.INTER_LINEAR) for b in bend)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    bent = cv2.remap(image, x + dx, y + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(bent, dtype=np.float32)


def background(
    rng: np.random.Generator,
    shape: tuple[int, int],
    *,
    scale_px: float,
    elongation: float,
    angle_deg: float,
    shading: float,
) -> Float:
    """Cloudy, fibrous field (height, width) of about unit standard deviation plus `shading` times a slow one."""
    fibres = grain(rng, shape, scale_px=scale_px, elongation=elongation, angle_deg=angle_deg)
    fine = grain(rng, shape, scale_px=scale_px * 0.42, elongation=1 + (elongation - 1) * 0.4, angle_deg=angle_deg + 8)
    half = (shape[0] // 2 + 1, shape[1] // 2 + 1)
    clouds, stains = (
        cv2.resize(grain(rng, half, scale_px=scale_px * k, elongation=1.3, angle_deg=angle_deg), (shape[1], shape[0]))
        for k in (1.5, 1.1)
    )
    stains = np.maximum(stains - 0.9, 0)
    texture = 0.68 * fibres * np.clip(1 - 0.3 * clouds, 0.3, 1.9) + 0.36 * fine + 0.42 * clouds - 1.1 * (stains - stains.mean())
    bent = wavy(rng, texture.astype(np.float32), amplitude_px=scale_px * 1.3, scale_px=scale_px * 5)
    small = (shape[0] // 16 + 2, shape[1] // 16 + 2)
    slow = grain(rng, small, scale_px=max(shape) / 16 / 5, elongation=1.0, angle_deg=0.0)
    return bent + shading * cv2.resize(slow, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)


def dislocation_lines(rng: np.random.Generator, shape: tuple[int, int], count: int, *, contrast: float) -> Float:
    """Absorbed fraction (height, width) of `count` dark, curved, beaded lines, 0 where there is none."""
    depth = np.zeros(shape, dtype=np.float32)
    for _ in range(count):
        length = rng.uniform(0.12, 0.4) * min(shape)
        steps = max(8, int(length / 2))
        heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.05, steps) + rng.normal(0, 0.008))
        start = rng.uniform((0, 0), (shape[1], shape[0]))
        points = start + np.cumsum(np.stack([np.cos(heading), np.sin(heading)], 1) * 2.0, axis=0)
        strength = contrast * np.clip(0.6 + 0.4 * np.sin(np.cumsum(rng.uniform(0.02, 0.25, steps)) + rng.uniform(0, 6)), 0.1, 1)
        line = np.zeros(shape, dtype=np.float32)
        width = int(rng.integers(2, 5))
        for a, b, dark in zip(points[:-1], points[1:], strength, strict=False):
            cv2.line(line, _fixed(a), _fixed(b), float(dark), width, cv2.LINE_AA, 4)
        for _ in range(int(rng.integers(0, 4))):
            at = int(rng.integers(0, steps - 1))
            axes = (int(rng.uniform(4, 14) * 16), int(rng.uniform(3, 6) * 16))
            angle = float(np.rad2deg(heading[at]))
            cv2.ellipse(line, _fixed(points[at]), axes, angle, 0, 360, float(contrast), -1, cv2.LINE_AA, 4)
        depth = np.maximum(depth, cv2.GaussianBlur(line, (0, 0), float(rng.uniform(1.2, 2.4))))
    return depth


def specks(rng: np.random.Generator, shape: tuple[int, int], per_megapixel: float) -> Float:
    """Absorbed fraction (height, width) of tiny black specks of 1 to 4 px."""
    depth = np.zeros(shape, dtype=np.float32)
    for _ in range(int(rng.poisson(per_megapixel * shape[0] * shape[1] / 1e6))):
        at = rng.uniform((0, 0), (shape[1], shape[0]))
        axes = (int(rng.uniform(0.6, 2.2) * 16), int(rng.uniform(0.4, 1.0) * 16))
        dark = float(rng.uniform(0.4, 0.9))
        cv2.ellipse(depth, _fixed(at), axes, float(rng.uniform(0, 180)), 0, 360, dark, -1, cv2.LINE_AA, 4)
    return depth


def burn_in(image: NDArray[np.uint8], bar_px: float, bar_label: str, stamp: str) -> list[tuple[int, int, int, int]]:
    """Draw a scale bar at the lower left and a stamp at the lower right into `image`; the covered x0, y0, x1, y1."""
    height, width = image.shape
    unit = max(height / 710, 0.4)
    thick, top = max(1, round(3 * unit)), int(height - 70 * unit)
    covered = [(0, int(top - 40 * unit), int(bar_px + 26 * unit), height)]
    origin, end = (int(12 * unit), int(height - 44 * unit)), (int(12 * unit + bar_px), int(height - 38 * unit))
    cv2.rectangle(image, (origin[0] - 1, origin[1] - 1), (end[0] + 1, end[1] + 1), 0, -1)
    cv2.rectangle(image, origin, end, 255, -1)
    place = (origin[0], int(height - 54 * unit))
    for colour, stroke in ((0, thick + 2), (255, thick)):
        cv2.putText(image, bar_label, place, cv2.FONT_HERSHEY_SIMPLEX, 1.3 * unit, colour, stroke, cv2.LINE_AA)
    (wide, high), _ = cv2.getTextSize(stamp, cv2.FONT_HERSHEY_SIMPLEX, 1.2 * unit, thick)
    left, base = int(width - wide - 12 * unit), int(height - 24 * unit)
    for colour, stroke in ((255, thick + 2), (0, thick)):
        cv2.putText(image, stamp, (left, base), cv2.FONT_HERSHEY_SIMPLEX, 1.2 * unit, colour, stroke, cv2.LINE_AA)
    return [*covered, (left - 4, base - high - 6, width, height)]


def _fixed(point: NDArray[np.float64]) -> tuple[int, int]:
    return int(round(float(point[0]) * 16)), int(round(float(point[1]) * 16))
