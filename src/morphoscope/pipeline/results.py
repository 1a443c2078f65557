"""From the rows of all frames to the tables of a run: registered positions, tracks, densities, quantities."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError
from morphoscope.physics.density import density, sizes
from morphoscope.physics.growth import track_table
from morphoscope.physics.summary import quantities
from morphoscope.recipe import Recipe
from morphoscope.schema import FRAMES, OBJECTS, QUANTITIES, TRACKS, conform, empty
from morphoscope.track.drift import accumulate, refine_with_objects
from morphoscope.track.link import link


@dataclass(frozen=True)
class Results:
    """All tables of a run, and what the figures need beside them."""

    objects: pd.DataFrame
    frames: pd.DataFrame
    tracks: pd.DataFrame
    quantities: pd.DataFrame
    calibration: Calibration
    tracked: bool
    registered: bool
    truth: pd.DataFrame | None

    @property
    def counts(self) -> dict[str, int]:
        """How much there is of everything."""
        return {"frames": len(self.frames), "objects": len(self.objects), "tracks": len(self.tracks)}


def compute_results(
    objects: pd.DataFrame,
    frames: pd.DataFrame,
    *,
    recipe: Recipe,
    calibration: Calibration,
    valid_px: int,
    track: bool,
    truth: pd.DataFrame | None = None,
) -> Results:
    """The tables of a run.

    Args:
        objects: rows of all frames in order, as the parts have them.
        frames: a row per frame: frame, file, and dx, dy, quality, jump against the frame before.
        recipe: how to link and what to compute.
        calibration: px to nm, frames to time and dose.
        valid_px: px of the region less the excluded parts.
        track: whether frames follow each other in time.
        truth: hand counts, for the figures.
    """
    registered = track and recipe.track.register_frames
    frames = _displace(frames, registered=registered, known=track)
    objects = objects.assign(object_id=np.arange(len(objects)), time_s=calibration.time_s(objects["frame"]))
    if track:
        objects, frames = _follow(objects, frames, recipe)
    else:
        objects = objects.assign(track_id=pd.Series(pd.NA, objects.index, dtype="Int64"))
    objects = calibration.with_nm(_register(objects, frames))
    frames = _frames_table(objects, frames, recipe, calibration, valid_px)
    tracks = empty(TRACKS)
    if track:
        lag = recipe.physics.lag_frames * recipe.frames.step
        tracks = track_table(objects, calibration, lag_frames=lag, min_points=recipe.track.min_points)
    found = quantities(objects, frames, tracks if track else None, calibration)
    return Results(
        objects=conform(objects, OBJECTS),
        frames=conform(frames, FRAMES)[list(FRAMES)],
        tracks=conform(tracks, TRACKS),
        quantities=conform(found, QUANTITIES),
        calibration=calibration,
        tracked=track,
        registered=registered,
        truth=truth,
    )


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


def _displace(frames: pd.DataFrame, *, registered: bool, known: bool) -> pd.DataFrame:
    """`frame`, `file`, `shift_x_px`, `shift_y_px`, `jump`: 0 where drift was not asked for, null where frames do not follow."""
    table = frames[["frame", "file"]].copy()
    if not known:
        return table.assign(shift_x_px=np.nan, shift_y_px=np.nan, jump=False)
    if not registered:
        return table.assign(shift_x_px=0.0, shift_y_px=0.0, jump=False)
    steps = frames.copy()
    steps.loc[0, ["dx", "dy"]] = 0.0
    moved = accumulate(steps)
    return table.assign(shift_x_px=moved[:, 0], shift_y_px=moved[:, 1], jump=frames["jump"].to_numpy(bool))


def _register(objects: pd.DataFrame, frames: pd.DataFrame) -> pd.DataFrame:
    """`objects` with registered positions."""
    row = np.searchsorted(frames["frame"].to_numpy(), objects["frame"].to_numpy())
    shift_x, shift_y = (frames[name].to_numpy(float)[row] for name in ("shift_x_px", "shift_y_px"))
    return objects.assign(x_reg_px=objects["x_px"] - shift_x, y_reg_px=objects["y_px"] - shift_y)


def _follow(objects: pd.DataFrame, frames: pd.DataFrame, recipe: Recipe) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Objects with tracks, and frames with the drift those tracks show: linked, drift refined, linked again.

    Objects that come with tracks keep them.
    """
    known = "track_id" in objects.columns and bool(objects["track_id"].notna().any())
    linked = objects if known else _link(_register(objects, frames), frames, recipe)
    if not recipe.track.register_frames:
        return linked, frames
    columns = ["shift_x_px", "shift_y_px"]
    moved = refine_with_objects(linked, frames[columns].to_numpy(float), frames=frames["frame"].to_numpy(np.int64))
    frames = frames.assign(shift_x_px=moved[:, 0], shift_y_px=moved[:, 1])
    if known:
        return linked, frames
    return _link(_register(objects, frames), frames, recipe), frames


def _link(objects: pd.DataFrame, frames: pd.DataFrame, recipe: Recipe) -> pd.DataFrame:
    order = np.searchsorted(frames["frame"].to_numpy(), objects["frame"].to_numpy())  # analysed frames, whatever the step
    settings = recipe.track
    tracks = link(objects.assign(frame=order), max_distance_px=settings.max_distance_px, memory=settings.memory)
    return objects.assign(track_id=tracks)


def _frames_table(
    objects: pd.DataFrame, frames: pd.DataFrame, recipe: Recipe, calibration: Calibration, valid_px: int
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
