"""Frames and objects in time: the displacement of each frame, registered positions, tracks."""

from __future__ import annotations

import numpy as np
import pandas as pd

from morphoscope.pipeline.register import displaced
from morphoscope.recipe import Recipe
from morphoscope.track.link import link

Field = tuple[float, float, float, float]
DISPLACEMENT = ["shift_x_px", "shift_y_px", "jump", "shift_quality"]


def displace(frames: pd.DataFrame, *, registered: bool, known: bool) -> pd.DataFrame:
    """`frame`, `file`, `shift_x_px`, `shift_y_px`, `jump`, `shift_quality`.

    Shifts are 0 where drift was not asked for, null where frames do not follow each other; those that `frames` has already are
    kept.
    """
    if registered and "shift_x_px" in frames.columns:
        return frames.copy()
    table = frames[["frame", "file"]].copy()
    if not registered:
        shift = 0.0 if known else np.nan
        return table.assign(shift_x_px=shift, shift_y_px=shift, jump=False, shift_quality=np.nan)
    return pd.concat([table, displaced(frames)], axis=1)


def register(objects: pd.DataFrame, frames: pd.DataFrame) -> pd.DataFrame:
    """`objects` with registered positions."""
    row = np.searchsorted(frames["frame"].to_numpy(), objects["frame"].to_numpy())
    shift_x, shift_y = (frames[name].to_numpy(float)[row] for name in ("shift_x_px", "shift_y_px"))
    return objects.assign(x_reg_px=objects["x_px"] - shift_x, y_reg_px=objects["y_px"] - shift_y)


def follow(objects: pd.DataFrame, frames: pd.DataFrame, recipe: Recipe, field: Field | None) -> pd.DataFrame:
    """Objects, registered, with tracks; those that come with tracks keep them.

    Args:
        objects: of all frames.
        frames: with the displacement of each.
        recipe: how to link.
        field: x0, y0, x1, y1 of what is analysed of each frame, px as stored; None where it is not known.
    """
    placed = register(objects, frames)
    if "track_id" in objects.columns and bool(objects["track_id"].notna().any()):
        return placed
    order = np.searchsorted(frames["frame"].to_numpy(), objects["frame"].to_numpy())  # analysed frames, whatever the step
    settings = recipe.track
    tracks = link(
        placed.assign(frame=order),
        max_distance_px=settings.max_distance_px,
        memory=settings.memory,
        motion=settings.motion,
        field=field,
    )
    return placed.assign(track_id=tracks)
