"""Noise of known kind and strength, as the published robustness test adds it (doi 10.1016/j.commatsci.2021.110560)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVELS: tuple[tuple[str, float], ...] = (
    ("poisson", 1.0),
    ("salt and pepper", 0.01),
    ("salt and pepper", 0.05),
    ("salt and pepper", 0.10),
    ("gaussian", 0.002),
    ("gaussian", 0.01),
    ("gaussian", 0.05),
)


def add_noise(image: NDArray[Any], kind: str, level: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The image (h, w) uint8 with noise.

    Args:
        image: grey values 0 to 255.
        kind: `poisson` (grey values times `level` are the expected counts), `salt and pepper` (`level` is the share of pixels,
            half of them black) or `gaussian` (`level` is the variance on the 0 to 1 scale).
        level: see kind.
        rng: random generator.

    Raises:
        ValueError: an unknown kind.
    """
    unit = image / 255.0
    if kind == "poisson":
        unit = rng.poisson(image * level) / (255.0 * level)
    elif kind == "gaussian":
        unit = unit + rng.normal(0, np.sqrt(level), image.shape)
    elif kind == "salt and pepper":
        draw = rng.random(image.shape)
        unit = np.where(draw < level / 2, 0.0, np.where(draw < level, 1.0, unit))
    else:
        raise ValueError(f"wanted poisson, salt and pepper or gaussian, got {kind!r}")
    return np.rint(np.clip(unit, 0, 1) * 255).astype(np.uint8)
