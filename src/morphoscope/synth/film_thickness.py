"""The thickness of films from place to place: rings, streaks, clouds, slopes; and which of it counts as non-uniform."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from morphoscope.synth.film_dewetting import slow_field
from morphoscope.synth.film_scene import UNEVEN, WINDOW_PX, FilmScene

Float = NDArray[np.float32]


def relative_thickness(rng: np.random.Generator, scene: FilmScene) -> Float:
    """Thickness (h, w) over the mean one, before the film cracks or dewets."""
    height, width = scene.shape
    period = scene.px(scene.uneven_um)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    centre = rng.uniform((-0.4, -0.4), (1.4, 1.4)) * np.array([width, height])
    away = np.hypot(x - np.float32(centre[0]), y - np.float32(centre[1]))
    bend = slow_field(rng, scene.shape, 1.5 * period)
    if scene.uneven == "rings":
        field = np.cos(2 * np.pi * (away / period + 0.25 * bend)) * np.exp(-away / (1.2 * max(scene.shape)))
    elif scene.uneven == "streaks":
        angle = np.arctan2(y - centre[1], x - centre[0])
        turns = max(round(2 * np.pi * 0.6 * max(scene.shape) / period), 3)
        strength = 0.5 + 0.5 * np.cos(turns * angle / 7 + rng.uniform(0, 6))
        field = np.cos(turns * angle + 0.8 * bend) * strength
    elif scene.uneven == "clouds":
        field = np.clip(slow_field(rng, scene.shape, period) / 2, -1, 1)
    else:
        direction = rng.uniform(0, 2 * np.pi)
        tilt = np.cos(direction) * (x / width - 0.5) + np.sin(direction) * (y / height - 0.5)
        field = 2 * np.tanh(2 * tilt) + 0.15 * bend
    return np.asarray(np.maximum(1 + scene.unevenness / 2 * field, 0.2), np.float32)


def non_uniform(relative: Float) -> NDArray[np.bool_]:
    """Where (h, w) the thickness within `WINDOW_PX` px changes by more than `UNEVEN` of the mean one.

    The neighbourhood is a square of 64 px about each px: a change is judged on the grid of the picture, not in µm.
    """
    window = np.ones((WINDOW_PX + 1, WINDOW_PX + 1), np.uint8)
    change = cv2.dilate(relative, window) - cv2.erode(relative, window)
    return np.asarray(change > UNEVEN)
