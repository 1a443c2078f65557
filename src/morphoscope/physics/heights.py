"""How high particles on a height map are: single numbers of a run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t

from morphoscope.physics.summary import median_interval, quantity

HOW = "above the ground around each particle, over all particles of all frames"


def height_rows(objects: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of `schema.QUANTITIES`: mean and median height, median volume. None where objects have no heights.

    Args:
        objects: per-object table; `height_max_nm`, `volume_nm3` and, where known, `on_edge`: particles that are cut off are left
            out.
    """
    if "height_max_nm" not in objects.columns:
        return []
    whole = objects[~objects["on_edge"].astype(bool)] if "on_edge" in objects.columns else objects
    height = whole["height_max_nm"].to_numpy(float)
    height = height[np.isfinite(height)]
    if not len(height):
        return []
    mean, n = float(height.mean()), len(height)
    half = float(t.ppf(0.975, n - 1)) * float(height.std(ddof=1)) / n**0.5 if n > 1 else float("nan")
    rows = [quantity("mean height", mean, "nm", n, f"highest point {HOW}; interval: t", (mean - half, mean + half))]
    for name, column, unit, what in (
        ("median height", "height_max_nm", "nm", "highest point"),
        ("median volume", "volume_nm3", "nm3", "volume with the foot"),
    ):
        values = whole[column].to_numpy(float)
        values = values[np.isfinite(values)]
        if len(values):
            middle, low, high = median_interval(values)
            rows.append(quantity(name, middle, unit, len(values), f"{what} {HOW}; interval: order statistics", (low, high)))
    return rows
