"""What the motion of a run's tracks says: its tables and its fits."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from morphoscope.calibration import Calibration
from morphoscope.physics.anomalous import Anomalous, anomalous
from morphoscope.physics.brownian import PooledD, fit_pooled
from morphoscope.physics.by_size import chosen, d_eff_by_size, d_eff_per_track
from morphoscope.physics.lives import Watch, lives
from morphoscope.physics.msd import ensemble_msd
from morphoscope.physics.tables import growth_segments, survival_table
from morphoscope.physics.van_hove import NonGaussian, non_gaussian, van_hove
from morphoscope.pipeline.follow import Field
from morphoscope.recipe import Recipe, Region
from morphoscope.schema import DIFFUSION_BY_SIZE, EVENTS, GROWTH_SEGMENTS, MSD, SURVIVAL, VAN_HOVE, conform, empty
from morphoscope.track.ends import ends, events

MOVING = ("frame", "track_id", "x_px", "y_px", "x_reg_px", "y_reg_px", "major_px", "major_nm")  # what motion is told from


@dataclass(frozen=True)
class Motion:
    """Tables and fits of motion.

    `lived` are the lives behind `survival`, `steady` is the pooled D of the steady window and the inner region, `with_d_eff` the
    number of tracks there that have a D_eff, whether a bin of size holds them or not.
    """

    msd: pd.DataFrame
    van_hove: pd.DataFrame
    survival: pd.DataFrame
    diffusion_by_size: pd.DataFrame
    growth_segments: pd.DataFrame
    events: pd.DataFrame | None
    lived: pd.DataFrame
    pooled: PooledD
    steady: PooledD
    anomalous: Anomalous
    non_gaussian: NonGaussian
    with_d_eff: int = 0

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Each table by the name of its file."""
        names = ("msd", "van_hove", "survival", "diffusion_by_size", "growth_segments", "events")
        return {name: table for name in names if (table := getattr(self, name)) is not None}


def how_tracks_end(
    objects: pd.DataFrame, frames: pd.DataFrame, recipe: Recipe, field: Field | None
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Why each track began and ended, and the merges and splits where the recipe asks for them.

    Args:
        objects: linked and registered.
        frames: with the displacement of each.
        recipe: excluded parts, memory, and whether merges and splits are looked for.
        field: x0, y0, x1, y1 of what is analysed of each frame, px as stored; None where it is not known.
    """
    exclude = [corners(part) for part in recipe.frames.exclude]
    found = ends(objects, frames, field=field, memory=recipe.track.memory, exclude=exclude)
    if not recipe.track.events:
        return found, None
    happened = events(objects, found)
    found = ends(objects, frames, field=field, memory=recipe.track.memory, exclude=exclude, events=happened)
    return found, conform(happened, EVENTS)


def corners(part: Region) -> Field:
    """x0, y0, x1, y1 of a region in table px, whose pixel centres lie at integers."""
    return part.x0 - 0.5, part.y0 - 0.5, part.x1 - 0.5, part.y1 - 0.5


def motion_of(
    objects: pd.DataFrame,
    tracks: pd.DataFrame,
    recipe: Recipe,
    calibration: Calibration,
    happened: pd.DataFrame | None,
    *,
    last_frame: int,
) -> Motion:
    """Tables and fits of motion of the tracks kept.

    Args:
        objects: linked and registered, with sizes in nm.
        tracks: `schema.TRACKS`.
        recipe: lag, steady window, inner region.
        calibration: px to nm, frames to time.
        happened: merges and splits; None where they were not asked for.
        last_frame: the last one analysed.
    """
    watch = Watch(last_frame, recipe.frames.step, recipe.track.memory, recipe.track.min_points)
    lag = recipe.physics.lag_frames * recipe.frames.step
    kept = objects.loc[objects["track_id"].isin(tracks["track_id"]), list(MOVING)]
    window = recipe.physics.steady
    inner = None if recipe.physics.inner is None else corners(recipe.physics.inner)
    known = calibration.has_scale and calibration.frame_interval_s is not None and bool(kept["major_px"].notna().any())
    by_size = d_eff_by_size(kept, calibration, lag=lag, steady=window, inner=inner) if known else empty(DIFFUSION_BY_SIZE)
    lived = lives(tracks, watch)
    pooled, whole = fit_pooled(kept, calibration), window is None and inner is None
    there = kept if whole else chosen(kept, steady=window, inner=inner)
    return Motion(
        msd=conform(ensemble_msd(kept, calibration), MSD),
        van_hove=conform(van_hove(kept, calibration, lag=lag), VAN_HOVE),
        survival=conform(survival_table(lived, calibration), SURVIVAL),
        diffusion_by_size=conform(by_size, DIFFUSION_BY_SIZE),
        growth_segments=conform(growth_segments(kept, tracks, calibration, always=recipe.report.track), GROWTH_SEGMENTS),
        events=happened,
        lived=lived,
        pooled=pooled,
        steady=pooled if whole else fit_pooled(there, calibration),
        anomalous=anomalous(kept, calibration),
        non_gaussian=non_gaussian(kept, calibration, lag=lag),
        with_d_eff=len(d_eff_per_track(there, calibration, lag=lag)) if known else 0,
    )
