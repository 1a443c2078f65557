"""From the rows of all frames to the tables of a run: registered positions, tracks, densities, quantities."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError
from morphoscope.physics.density import density, sizes
from morphoscope.physics.doubts import not_one_d
from morphoscope.physics.dynamics import change_rows, diffusion_rows, pooled_rows, reasons, survival_rows
from morphoscope.physics.summary import in_frame_numbers, quantities
from morphoscope.physics.tracks import track_table
from morphoscope.pipeline.follow import Field, displace, follow, register
from morphoscope.pipeline.motion import Motion, how_tracks_end, motion_of
from morphoscope.pipeline.particles import Particles, particles_of, wanted, with_particles
from morphoscope.pipeline.samples import name_samples
from morphoscope.pipeline.views import SIZE_X, SIZE_Y, VALID, areas_at_one_scale, at_one_scale, coarsest, with_own_nm
from morphoscope.recipe import Recipe
from morphoscope.schema import FRAMES, OBJECTS, QUANTITIES, SHAPES, TRACKS, conform, empty


@dataclass(frozen=True)
class Results:
    """All tables of a run, and what the figures need beside them.

    `motion` is None where there are no tracks; `linked` is false where objects came with their tracks. `particles` is None
    without masks, unless samples or structure are asked for; `remarks` are those on samples.
    """

    objects: pd.DataFrame
    frames: pd.DataFrame
    tracks: pd.DataFrame
    quantities: pd.DataFrame
    calibration: Calibration
    tracked: bool
    registered: bool
    truth: pd.DataFrame | None
    motion: Motion | None = None
    linked: bool = True
    particles: Particles | None = None
    remarks: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """How much there is of everything."""
        plain = {"frames": len(self.frames), "objects": len(self.objects), "tracks": len(self.tracks)}
        return plain | (self.particles.counts if self.particles is not None else {})


def compute_results(
    objects: pd.DataFrame,
    frames: pd.DataFrame,
    *,
    recipe: Recipe,
    calibration: Calibration,
    valid_px: float,
    track: bool,
    field: Field | None = None,
    truth: pd.DataFrame | None = None,
    masks: bool = False,
) -> Results:
    """The tables of a run.

    Args:
        objects: rows of all frames in order, as the parts have them.
        frames: a row per frame: frame, file, and dx, dy, quality, jump against the frame before; of independent images what
            `views.own_row` gives of each.
        recipe: how to link and what to compute.
        calibration: px to nm, frames to time and dose.
        valid_px: px of the region less the excluded parts; nan where the field is not known, and then there is no density.
        track: whether frames follow each other in time.
        field: x0, y0, x1, y1 of what is analysed of each frame, px as stored; None where it is not known.
        truth: hand counts, for the figures.
        masks: what found the objects gives masks, even where it found none.
    """
    registered = track and recipe.track.register_frames
    given = "track_id" in objects.columns and bool(objects["track_id"].notna().any())
    lag = recipe.physics.lag_frames * recipe.frames.step
    views = frames
    frames = displace(frames, registered=registered, known=track)
    objects, frames, unnamed = name_samples(objects, frames, recipe.frames.samples)
    objects = objects.assign(object_id=np.arange(len(objects)), time_s=calibration.time_s(objects["frame"]))
    if track:
        objects = follow(objects, frames, recipe, field)
    else:
        objects = objects.assign(track_id=pd.Series(pd.NA, objects.index, dtype="Int64"))
    objects = with_own_nm(register(objects, frames), views, calibration)
    areas = areas_at_one_scale(views, calibration) if VALID in views.columns else valid_px
    frames = _own_columns(_frames_table(objects, frames, recipe, calibration, areas), views)
    tracks, motion = empty(TRACKS), None
    if track:
        began, happened = how_tracks_end(objects, frames, recipe, field)
        tracks = track_table(objects, calibration, lag_frames=lag, min_points=recipe.track.min_points, ends=began)
        last = int(frames["frame"].max())
        motion = motion_of(objects, tracks, recipe, calibration, happened, last_frame=last) if len(tracks) else None
    life = [] if motion is None else survival_rows(motion.lived, calibration.frame_interval_s)
    found = quantities(objects, frames, tracks if track else None, calibration, lag_frames=lag, life=life)
    found = pd.concat([found, _dynamics(frames, tracks, motion, recipe, calibration)], ignore_index=True)
    particles = None
    if wanted(objects, recipe, masks=masks):
        pooled = at_one_scale(objects, views, calibration)
        particles = particles_of(
            pooled,
            frames,
            recipe,
            calibration,
            valid_px=areas,
            box=field,
            masks=masks,
            coarsest=coarsest(views, calibration) if VALID in views.columns else 1.0,
        )
        found = with_particles(found, particles, recipe)
    sampled = [name for name in ("sample", SIZE_Y, SIZE_X) if name in frames.columns]
    return Results(
        objects=conform(objects, OBJECTS | SHAPES),
        frames=conform(frames, FRAMES)[[*FRAMES, *sampled]],
        tracks=conform(tracks, TRACKS),
        quantities=conform(in_frame_numbers(found, recipe.frames.step), QUANTITIES),
        calibration=calibration,
        tracked=track,
        registered=registered,
        truth=truth,
        motion=motion,
        linked=track and not given,
        particles=particles,
        remarks=tuple(unnamed),
    )


def _own_columns(frames: pd.DataFrame, views: pd.DataFrame) -> pd.DataFrame:
    """The frames table with how far each was magnified; of images that have sizes and scales of their own, with these too."""
    frames = frames.assign(magnified=views["magnified"] if "magnified" in views.columns else np.nan)
    if VALID not in views.columns:
        return frames
    return frames.assign(valid_area_px=views[VALID], **{name: views[name] for name in (SIZE_Y, SIZE_X)})


def _dynamics(
    frames: pd.DataFrame, tracks: pd.DataFrame, motion: Motion | None, recipe: Recipe, calibration: Calibration
) -> pd.DataFrame:
    """Rows of `schema.QUANTITIES` of life, motion and growth."""
    if motion is None:
        return empty(QUANTITIES)
    lag = recipe.physics.lag_frames * recipe.frames.step
    along = calibration.axis(recipe.report.axis) if recipe.report.axis else calibration.main_axis
    rows = reasons(tracks) + diffusion_rows(motion.pooled, motion.anomalous, motion.non_gaussian, lag)
    if motion.steady is not motion.pooled:
        doubt = not_one_d(motion.anomalous, motion.non_gaussian)
        rows += pooled_rows(motion.steady, "steady frames and inner region", doubt=doubt)
    rows += change_rows(frames, along, "nm" if calibration.has_scale else "px")
    return conform(pd.DataFrame(rows, columns=list(QUANTITIES)), QUANTITIES)


def with_header_data(results: Results, stated: pd.DataFrame | None) -> Results:
    """The results with what the header states of each frame (stage, tilt, ...) as further columns of the frames table.

    Its times are taken for `time_s` where no even interval is known.
    """
    if stated is None:
        return results
    frames = results.frames.merge(stated.drop(columns="time_s", errors="ignore"), on="frame", how="left", validate="one_to_one")
    objects = results.objects
    if "time_s" in stated.columns and results.calibration.frame_interval_s is None:
        times = stated.set_index("frame")["time_s"].astype(float)
        frames = frames.assign(time_s=frames["frame"].map(times))
        objects = objects.assign(time_s=objects["frame"].map(times).astype(float))
    return replace(results, frames=frames, objects=objects)


def read_truth(recipe: Recipe) -> pd.DataFrame | None:
    """The hand counts a recipe names: frame, count and where known size_median_nm.

    Raises:
        InputError: the file is not there or has other columns.
    """
    if recipe.physics.truth is None:
        return None
    path = Path(recipe.physics.truth)
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the hand counts {path} (physics.truth): {error}") from error
    if not {"frame", "count"} <= set(table.columns):
        raise InputError(f"{path}: wanted the columns frame,count[,size_median_nm], got {','.join(map(str, table.columns))}")
    return table


def _frames_table(
    objects: pd.DataFrame, frames: pd.DataFrame, recipe: Recipe, calibration: Calibration, valid_px: ArrayLike
) -> pd.DataFrame:
    number = frames["frame"]
    sized = sizes(objects, number).drop(columns="frame").set_axis(frames.index)
    return density(
        pd.concat([frames.assign(time_s=calibration.time_s(number)), sized], axis=1),
        valid_area_px=valid_px,
        calibration=calibration,
        thickness_nm=recipe.physics.thickness_nm,
        visibility_factor=recipe.physics.visibility_factor,
    )
