"""Drift of a whole ensemble from its tracks, for dense particles that have no other reference."""

from __future__ import annotations

import numpy as np
import pandas as pd

from morphoscope.physics.paths import paths


def ensemble_drift(objects: pd.DataFrame) -> pd.DataFrame:
    """Mean displacement of the linked objects from frame to frame, cumulated (trackpy's `compute_drift`).

    Args:
        objects: `frame`, `track_id`, `x_reg_px`, `y_reg_px`. Only steps of exactly one frame count; over frames
            without any the drift stays.

    Returns:
        A row per frame from the first to the last: `frame`, `shift_x_px`, `shift_y_px`, 0 in the first.
    """
    made = paths(objects)
    if not len(made.frame):
        return pd.DataFrame({"frame": np.empty(0, np.int64), "shift_x_px": np.empty(0), "shift_y_px": np.empty(0)})
    start = np.flatnonzero((np.diff(made.number) == 0) & (np.diff(made.frame) == 1))
    first = int(made.frame.min())
    frames = np.arange(first, int(made.frame.max()) + 1)
    at = made.frame[start + 1] - first
    n = np.maximum(np.bincount(at, minlength=len(frames)), 1)
    moved = made.px[start + 1] - made.px[start]
    shift = [np.cumsum(np.bincount(at, moved[:, axis], minlength=len(frames)) / n) for axis in (0, 1)]
    return pd.DataFrame({"frame": frames, "shift_x_px": shift[0], "shift_y_px": shift[1]})


def subtract_drift(objects: pd.DataFrame, drift: pd.DataFrame) -> pd.DataFrame:
    """A copy with `drift` (see `ensemble_drift`) taken from `x_reg_px`, `y_reg_px`; frames it lacks get what lies between
    the frames beside them, those before and after it its first and last shift."""
    if drift.empty:
        return objects.copy()
    at, known = objects["frame"].to_numpy(float), drift.sort_values("frame")
    shift = {a: np.interp(at, known["frame"].to_numpy(float), known[f"shift_{a}_px"].to_numpy(float)) for a in "xy"}
    return objects.assign(**{f"{a}_reg_px": objects[f"{a}_reg_px"].to_numpy(float) - shift[a] for a in "xy"})
