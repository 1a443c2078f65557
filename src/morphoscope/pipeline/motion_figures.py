"""What draws each figure of motion: the pieces a run has, put together when it is drawn."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from morphoscope.io.frames import Frames
from morphoscope.physics.by_size import chosen
from morphoscope.physics.doubts import not_one_d
from morphoscope.pipeline.motion import MOVING, Motion, corners
from morphoscope.pipeline.results import Results
from morphoscope.recipe import PhysicsRecipe, Recipe
from morphoscope.report import figures as draw
from morphoscope.report.overlay import stamp_text
from morphoscope.report.stories import pictured, slowest_and_fastest, told_track

Drawn = dict[str, Callable[[], Figure]]


def motion_figures(recipe: Recipe, results: Results, frames: Frames | None) -> Drawn:
    """The figures of motion by name, in the order of the report; none where nothing was tracked.

    Args:
        recipe: lag, steady window, inner region and the track that is told.
        results: the tables.
        frames: read again for pictures; None for a table.
    """
    motion, calibration = results.motion, results.calibration
    if motion is None:
        return {}
    lag = recipe.physics.lag_frames * recipe.frames.step
    sized = bool(results.tracks["size_median_px"].notna().any())
    drawn: Drawn = {}
    if sized:
        drawn["track_story"] = partial(_story, recipe, results, motion, frames)
        drawn["slowest_fastest"] = partial(_extremes, recipe, results, frames, lag)
    if sized and calibration.has_scale and calibration.frame_interval_s is not None:
        drawn["diffusion_by_size"] = partial(
            draw.diffusion_by_size,
            motion.diffusion_by_size,
            motion.steady,
            calibration,
            lag_frames=lag,
            where=where_said(recipe.physics),
            tracks=motion.with_d_eff,
            one_d=not not_one_d(motion.anomalous, motion.non_gaussian),
        )
    drawn["msd"] = lambda: draw.msd(_kept(results, *MOVING), motion.msd, motion.anomalous, calibration)
    drawn["van_hove"] = partial(draw.van_hove, motion.van_hove, calibration, lag_frames=lag, alpha=motion.non_gaussian)
    drawn["survival"] = partial(draw.survival, motion.survival, motion.lived, calibration)
    return drawn


def where_said(physics: PhysicsRecipe) -> str:
    """The steady window and the inner region in a few words."""
    said = [f"frames {physics.steady[0]} to {physics.steady[1] - 1}"] if physics.steady else []
    if physics.inner is not None:
        said.append("inner region")
    return ", ".join(said)


def _kept(results: Results, *columns: str) -> pd.DataFrame:
    """Rows of the tracks kept; made when a figure is drawn, as many rows are not to be held for all of them."""
    own = results.objects["track_id"].isin(results.tracks["track_id"])
    return results.objects.loc[own, list(columns) if columns else slice(None)]


def _story(recipe: Recipe, results: Results, motion: Motion, frames: Frames | None) -> Figure:
    kept = _kept(results)
    told = told_track(kept, results.tracks, recipe.report.track)
    shown = pictured(kept, told) if told is not None and frames is not None else []
    pictures = {number: frames[number] for number in shown} if frames is not None else {}
    return draw.track_story(kept, told, motion.growth_segments, pictures, results.calibration, axis=recipe.report.axis)


def _extremes(recipe: Recipe, results: Results, frames: Frames | None, lag: int) -> Figure:
    inner = None if recipe.physics.inner is None else corners(recipe.physics.inner)
    rows = chosen(_kept(results, *MOVING), steady=recipe.physics.steady, inner=inner)
    found = slowest_and_fastest(rows, results.calibration, lag=lag)
    if found is None:
        return draw.slowest_fastest(rows, None, None, results.calibration)
    own = results.frames[results.frames["frame"] == found.frame].iloc[0]
    shift = (float(own["shift_x_px"]), float(own["shift_y_px"]))
    return draw.slowest_fastest(
        rows,
        found,
        None if frames is None else frames[found.frame],
        results.calibration,
        shift=shift if np.isfinite(shift).all() else (0.0, 0.0),
        stamp=stamp_text(results.calibration, found.frame).replace("   ", ", "),
    )
