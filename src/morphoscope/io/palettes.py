"""Colour tables: the grey they stand for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def grey_palette(rgb: NDArray[Any]) -> NDArray[Any]:
    """Grey (n,) of a table (n, 3): its grey where it is one, else the luma; the dtype stays."""
    if (rgb == rgb[:, :1]).all():
        return np.ascontiguousarray(rgb[:, 0])
    mixed = rgb @ np.array([0.299, 0.587, 0.114])
    return np.asarray(np.rint(mixed).astype(rgb.dtype))


def palette_note(rgb: NDArray[Any]) -> str:
    """What a user should know about a table (n, 3) that was applied."""
    if (rgb == rgb[:, :1]).all():
        return "the grey colour table of the file is applied"
    steps = np.diff(grey_palette(rgb).astype(int))
    if (steps >= 0).all() or (steps <= 0).all():
        return "the colour table of the file is applied and turned to grey (luma)"
    return (
        "the colour table of the file is applied and turned to grey (luma); it holds false colours, whose brightness does not "
        "rise with the stored values: export the image without colours if they stand for a signal"
    )
