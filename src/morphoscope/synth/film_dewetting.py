"""Films that dewet: where the ground is bare at a given share of the area, and how thick the film that withdrew is.

Spinodal patterns are superposed waves of about one length, cut at a level (Cahn, J. Chem. Phys. 42 (1965) 93, eq. 12): isolated
holes at small shares, a labyrinth about one half, droplets at large ones. Holes start at random places and times and grow at one
speed (Johnson and Mehl 1939), and what they push away piles up in rims.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from morphoscope.synth.film_scene import FilmScene
from morphoscope.synth.texture import grain

Float = NDArray[np.float32]
Mask = NDArray[np.bool_]
BAND = 0.2  # spread of the wave numbers of a spinodal pattern, as a share of their mean
SPREAD = 0.7  # times between the first and last holes, in times a hole needs to reach its neighbour
RAGGED = 0.12  # how far holes leave a circle
THICKEST = 3.5  # of the first thickness


def bare_ground(rng: np.random.Generator, scene: FilmScene) -> Mask:
    """The bare share of a picture (h, w). The same generator gives one pattern that grows with `scene.dewetting`."""
    size = scene.px(scene.dewetting_um)
    order = waves(rng, scene.shape, size) if scene.mechanism == "spinodal" else -arrival(rng, scene.shape, size)
    slow = slow_field(rng, scene.shape, 2.5 * size)
    order = order / max(float(order.std()), 1e-6) + 2 * scene.patchiness * slow
    pixels = round(scene.dewetting * order.size)
    bare = np.zeros(order.size, np.bool_)
    if pixels:
        bare[np.argpartition(-order.ravel(), min(pixels, order.size - 1))[:pixels]] = True
    return bare.reshape(order.shape)


def waves(rng: np.random.Generator, shape: tuple[int, int], wavelength_px: float) -> Float:
    """Random waves (h, w) whose wave numbers lie in a band about 1 / `wavelength_px`; unit standard deviation."""
    rows, columns = cv2.getOptimalDFTSize(shape[0]), cv2.getOptimalDFTSize(shape[1])
    spectrum = np.fft.rfft2(rng.standard_normal((rows, columns), dtype=np.float32))
    q = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None, :]) * wavelength_px
    spectrum *= np.exp(-0.5 * ((q - 1) / BAND) ** 2)
    field = np.fft.irfft2(spectrum, s=(rows, columns))[: shape[0], : shape[1]]
    return np.asarray(field / max(float(field.std()), 1e-9), np.float32)


def arrival(rng: np.random.Generator, shape: tuple[int, int], spacing_px: float) -> Float:
    """When growing holes reach each px (h, w), in px of growth; holes start `spacing_px` apart on average."""
    height, width = shape
    margin = 1.5 * spacing_px
    count = max(int(rng.poisson((height + 2 * margin) * (width + 2 * margin) / spacing_px**2)), 1)
    x, y = rng.uniform(-margin, width + margin, count), rng.uniform(-margin, height + margin, count)
    start = rng.uniform(0, SPREAD * spacing_px, count)
    columns, rows = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    reach = np.float32(2.6 * spacing_px)
    first = np.full(shape, SPREAD * spacing_px + reach, np.float32)
    for cx, cy, born in zip(x, y, start, strict=True):
        x0, x1 = max(int(cx - reach), 0), min(int(cx + reach) + 1, width)
        y0, y1 = max(int(cy - reach), 0), min(int(cy + reach) + 1, height)
        if x0 < x1 and y0 < y1:
            away = np.hypot(columns[x0:x1] - np.float32(cx), rows[y0:y1] - np.float32(cy))
            np.minimum(first[y0:y1, x0:x1], away + np.float32(born), out=first[y0:y1, x0:x1])
    rough = grain(rng, shape, scale_px=max(spacing_px / 12, 1.0), elongation=1.0, angle_deg=0.0)
    return np.asarray(first + RAGGED * spacing_px * 0.4 * rough, np.float32)


def slow_field(rng: np.random.Generator, shape: tuple[int, int], scale_px: float) -> Float:
    """A smooth random field (h, w) of unit standard deviation that changes over `scale_px`."""
    step = max(int(scale_px / 6), 1)
    small = (shape[0] // step + 3, shape[1] // step + 3)
    field = grain(rng, small, scale_px=max(scale_px / step / 2, 0.8), elongation=1.0, angle_deg=0.0)
    return np.asarray(cv2.resize(field, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC), np.float32)


def withdrawn(bare: Mask, scene: FilmScene) -> Float:
    """Thickness (h, w) of the film in first thicknesses, 0 on bare ground; what left it lies on the rest, up to `THICKEST`."""
    if not bare.any() or bare.all():
        return np.asarray(~bare, np.float32)
    inside = cv2.distanceTransform((~bare).astype(np.uint8), cv2.DIST_L2, 5)
    size = scene.px(scene.dewetting_um)
    if scene.mechanism == "spinodal":
        dome = np.where(bare, 0, 1 - np.exp(-inside / max(size / 7, 1.5)))
        height = dome * min(bare.size / max(float(dome.sum()), 1.0), THICKEST)
    else:
        rim = np.where(bare, 0, np.exp(-inside / max(size / 10, 2.0)))
        height = ~bare + rim * min(float(bare.sum()) / max(float(rim.sum()), 1.0), THICKEST - 1)
    return np.asarray(height, np.float32)
