"""What a run says of its own results: where they do not mean what they seem to, and settings that had no effect."""

from __future__ import annotations

import numpy as np
import pandas as pd

from morphoscope.physics.doubts import SHORTEST, greatest_movers, not_one_d, share_near_limit
from morphoscope.pipeline.motion import MOVING, Motion
from morphoscope.pipeline.results import Results
from morphoscope.recipe import Recipe
from morphoscope.report.by_size import bins_span

CUT_SHARE, CUT_STEPS = 0.1, 50  # share of steps near the search range that shows it cuts them, of so many steps or more
FEW = 20  # objects a frame: with fewer, what they have in common is no longer only drift


def result_warnings(results: Results, recipe: Recipe) -> list[str]:
    """What must be known before motion and tracks are used.

    Args:
        results: of the run.
        recipe: of the run.
    """
    said = _all_cut(results, recipe)
    motion = results.motion
    if motion is None:
        return said + (_no_track(results, recipe) if results.tracked else [])
    doubt = not_one_d(motion.anomalous, motion.non_gaussian)
    if doubt:
        said.append(
            f"Motion is not free diffusion with one D: {doubt}. The pooled D is {SHORTEST}; look at msd.png and van_hove.png."
        )
    said += _cut_steps(results, recipe)
    if motion.steady is not motion.pooled and motion.steady.n_tracks == 0:
        said.append("No track moves within physics.steady and physics.inner: there is no D of these, and no diffusion by size.")
    told = recipe.report.track
    if told is not None and told not in set(results.tracks["track_id"]):
        there = told in set(results.objects["track_id"].dropna())
        why = "is shorter than track.min_points and was left out" if there else "is none of the tracks found"
        said.append(f"Track {told} (report.track) {why}: its growth could not be told.")
    return said


def result_notes(results: Results, recipe: Recipe, *, from_objects: bool = False) -> list[str]:
    """What helps to read the numbers.

    Args:
        results: of the run.
        recipe: of the run.
        from_objects: whether drift was found from the objects themselves.
    """
    said = _not_analysed(results, recipe)
    said += [*results.remarks, *(results.particles.remarks if results.particles is not None else ())]
    if recipe.track.events and results.tracked and not results.objects["minor_px"].notna().any():
        said.append("No merges or splits were looked for (track.events): they are told by the sizes, and no object has minor_px.")
    if from_objects and results.registered and 0 < (few := float(results.frames["count"].median())) < FEW:
        said.append(
            f"Drift was found from {few:.3g} objects a frame (median): the mean motion of these counts as drift, so D comes out "
            f"too small by about 1/{few:.3g}. Where there was no drift, state track.register_frames = false."
        )
    if results.motion is not None:
        said += _few_tracks(results, recipe) + _outside_bins(results.motion)
    return said


def _kept(results: Results) -> pd.DataFrame:
    return results.objects.loc[results.objects["track_id"].isin(results.tracks["track_id"]), list(MOVING)]


def _all_cut(results: Results, recipe: Recipe) -> list[str]:
    """Particles were found, and none can be counted."""
    particles = results.particles
    if particles is None or not particles.masks or recipe.physics.edge == "keep":
        return []
    by_frame = particles.tables["particles"]
    cut = int(((by_frame["n"] > 0) & (by_frame["n_counted"] == 0)).sum())
    if not cut:
        return []
    if cut == int((by_frame["n"] > 0).sum()):
        return [
            "Every particle is cut by the edge of the field: sizes and the number per area are not known. Take larger fields of "
            'view, or physics.edge = "keep" for sizes as they are seen.'
        ]
    return [f"In {cut} of {len(by_frame)} frames every particle is cut by the edge: their own number per area is not known."]


def _no_track(results: Results, recipe: Recipe) -> list[str]:
    longest = results.objects["track_id"].value_counts()
    if longest.empty:
        return []
    return [
        f"No track was kept: the longest of {len(longest)} has {int(longest.max())} detections, and track.min_points is "
        f"{recipe.track.min_points}. There is nothing on motion, life and growth."
    ]


def _cut_steps(results: Results, recipe: Recipe) -> list[str]:
    """The steps pile up at the search range: longer ones were not linked."""
    limit = recipe.track.max_distance_px
    if limit is None or not results.linked:
        return []
    share, n = share_near_limit(_kept(results), limit, lag=recipe.frames.step)
    if n < CUT_STEPS or share <= CUT_SHARE:
        return []
    return [
        f"track.max_distance_px = {limit:.4g} cuts the steps: {share:.0%} of them lie within 15 % of it, so longer ones were not "
        "linked, tracks break and D is too small. State a larger one, or none to have it found from the data."
    ]


def _few_tracks(results: Results, recipe: Recipe) -> list[str]:
    rows = _kept(results)
    great = greatest_movers(rows, results.calibration, lag=recipe.physics.lag_frames * recipe.frames.step)
    if great.empty:
        return []
    named = []
    for row in great.itertuples():
        first = rows[rows["track_id"] == row.track_id].sort_values("frame").iloc[0]
        place = f"x {first['x_px']:.0f}, y {first['y_px']:.0f} px in frame {int(first['frame'])}"
        named.append(f"track {row.track_id} {row.share:.0%} ({place})")
    return [
        f"Few tracks make much of the mean squared displacement at the lag: {', '.join(named)}. Look at them in the overlay: "
        "linking that hops between neighbours looks like fast motion."
    ]


def _outside_bins(motion: Motion) -> list[str]:
    table, n = motion.diffusion_by_size, motion.with_d_eff
    outside = n - int(table["n_tracks"].sum())
    if not n or outside <= n / 2:
        return []
    return [
        f"{outside} of {n} tracks have no median size from {bins_span(table)}, the bins of the published analysis: diffusion by "
        f"size tells of the other {n - outside} only."
    ]


def _not_analysed(results: Results, recipe: Recipe) -> list[str]:
    """Values of report.box_plots_at beyond the frames that have objects: the nearest frame is drawn for them."""
    number = np.unique(results.objects["frame"].to_numpy())
    if not len(number) or not results.objects["major_px"].notna().any():
        return []
    calibration = results.calibration
    along = calibration.axis(recipe.report.axis) if recipe.report.axis else calibration.main_axis
    low, high = sorted((float(along.at(number[0])), float(along.at(number[-1]))))
    slack = abs(along.step) * recipe.frames.step / 2
    beyond = [value for value in recipe.report.box_plots_at if not low - slack <= value <= high + slack]
    if not beyond:
        return []
    listed = ", ".join(f"{value:.4g}" for value in beyond)
    return [
        f"report.box_plots_at: {listed} lie outside of what was analysed, {along.label} from {low:.4g} to {high:.4g}; the "
        "nearest frame with objects is shown instead."
    ]
