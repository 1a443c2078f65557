"""What a run leaves in its folder: tables, figures, overlay video, report."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from morphoscope.io.frames import Frames
from morphoscope.io.tables import write_csv, write_table
from morphoscope.models.card import ModelCard
from morphoscope.physics.doubts import not_one_d
from morphoscope.physics.tables import displacement_table
from morphoscope.pipeline.motion_figures import motion_figures
from morphoscope.pipeline.overlays import Overlays
from morphoscope.pipeline.particle_figures import density_of_particles, particle_figures
from morphoscope.pipeline.results import Results
from morphoscope.pipeline.stream import Clock
from morphoscope.pipeline.views import SIZE_Y
from morphoscope.recipe import Recipe
from morphoscope.recipe_text import recipe_toml
from morphoscope.report import figures as draw
from morphoscope.report.captions import caption_of
from morphoscope.report.html import write_report


def write_outputs(
    folder: Path,
    recipe: Recipe,
    results: Results,
    frames: Frames | None,
    *,
    overlays: Overlays | None = None,
    info: Mapping[str, Any],
    card: ModelCard,
    clock: Clock,
) -> None:
    """Write everything but run.json.

    Args:
        folder: the run folder.
        recipe: what is to be drawn, and how.
        results: the tables.
        frames: read again for the map; None for a table: there is nothing to draw on.
        overlays: draws pictures with objects; None where there is nothing to draw on.
        info: content of run.json so far, for the report.
        card: the model's.
        clock: takes the time of each output.
    """
    with clock.stage("write tables"):
        _write_tables(folder, results, csv=recipe.report.csv)
        (folder / "recipe.toml").write_text(recipe_toml(recipe), encoding="utf-8")
    with clock.stage("figures"):
        drawn = _draw_figures(recipe, results, frames)
        left_out = _save(drawn, folder / "figures", svg=recipe.report.svg)
        if overlays is not None:
            overlays.write_fullest(folder / "figures")
    stills: dict[str, str] = {}
    if recipe.report.overlay and overlays is not None:
        with clock.stage("overlay"):
            if SIZE_Y in results.frames.columns:  # independent images
                stills = overlays.write_first(folder / "figures")
            else:
                overlays.write_video(folder / "overlay.mp4")
    with clock.stage("report"):
        parts = _parts(recipe, results, frames)
        timed = {**info, "timings_s": {name: round(seconds, 3) for name, seconds in clock.seconds.items()}}
        write_report(
            folder,
            run=timed,
            frames=results.frames,
            tracks=results.tracks,
            quantities=results.quantities,
            card=card.model_dump(mode="json"),
            figures=[*((name, caption_of(name, parts)) for name in (*drawn, "overlay")), *stills.items()],
            left_out=list(left_out.items()),
        )


def _save(drawn: Mapping[str, Callable[[], Figure]], folder: Path, *, svg: bool) -> dict[str, str]:
    """Save the figures that show something; why each of the others does not."""
    left_out = {}
    for name, make in drawn.items():
        figure = make()
        why = draw.nothing_drawn(figure)
        if why:
            left_out[name] = why
        else:
            draw.save_figure(figure, folder, name, svg)
        del figure
        gc.collect()  # a figure is full of circles, and the next one must not come on top of it
    return left_out


def _parts(recipe: Recipe, results: Results, frames: Frames | None) -> set[str]:
    """What the captions are to speak of."""
    table, motion = results.frames, results.motion
    density = bool(table["density"].notna().any())
    particles = results.particles
    shown_again = len(table) > 1 and (recipe.frames.series or (particles is not None and particles.one_place))
    has = {
        "density": density,
        "pictures": frames is not None,
        "tracks": results.tracked,
        "hand counts": results.truth is not None and len(results.truth) > 0,
        "visibility": density and recipe.physics.visibility_factor != 1,
        "match": "shift_quality" in table and bool(table["shift_quality"].notna().any()),
        "jumps": "jump" in table and bool(table["jump"].fillna(False).any()),
        "masks": particles is not None and particles.masks,
        "weighted": particles is not None and particles.masks and recipe.physics.edge == "leave out" and density,
        "edge": recipe.physics.edge == "leave out",
        "series": shown_again,
        "places": not shown_again and table["file"].nunique() > 1,
        "many D": motion is not None and bool(not_one_d(motion.anomalous, motion.non_gaussian)),
    }
    return {name for name, there in has.items() if there}


def _write_tables(folder: Path, results: Results, *, csv: bool) -> None:
    for name, table in (("objects", results.objects), ("frames", results.frames), ("tracks", results.tracks)):
        write_table(folder / f"{name}.parquet", table)
        if csv:
            write_csv(folder / f"{name}.csv", table)
    write_csv(folder / "quantities.csv", results.quantities)
    if results.motion is not None:
        for name, table in results.motion.tables.items():
            write_csv(folder / f"{name}.csv", table)
    if results.particles is not None:
        for name, table in results.particles.tables.items():
            write_csv(folder / f"{name}.csv", table)
    if results.registered:
        write_csv(folder / "displacement.csv", displacement_table(results.frames, results.calibration))


def _draw_figures(recipe: Recipe, results: Results, frames: Frames | None) -> dict[str, Callable[[], Figure]]:
    """What draws each figure: one at a time is held in memory."""
    axis, calibration = recipe.report.axis, results.calibration
    sized = frames is not None or bool(results.objects["major_px"].notna().any())  # a table may have positions only
    drawn = particle_figures(recipe, results)
    follow_each_other = recipe.frames.series or (results.particles is not None and results.particles.one_place)
    if not drawn or follow_each_other:  # fields of view that do not follow each other have no axis to be drawn against
        drawn["density_and_size" if sized else "density"] = partial(
            draw.density_and_size, density_of_particles(results), calibration, axis=axis, truth=results.truth
        )
    if sized and (follow_each_other or "size_distribution" not in drawn):
        drawn["size_boxes"] = partial(draw.size_boxes, results.objects, calibration, axis=axis, values=recipe.report.box_plots_at)
    if results.tracked:
        last = results.frames.iloc[-1]
        shift = (float(last["shift_x_px"]), float(last["shift_y_px"]))
        if sized:
            drawn["track_growth"] = partial(
                draw.track_growth,
                results.objects,
                results.tracks,
                calibration,
                axis=axis,
                segments=None if results.motion is None else results.motion.growth_segments,
            )
        drawn["trajectory_map"] = partial(
            draw.trajectory_map,
            results.objects,
            results.tracks,
            None if frames is None else frames[int(last["frame"])],
            calibration,
            axis=axis,
            shift=shift if np.isfinite(shift).all() else (0.0, 0.0),
        )
    drawn |= motion_figures(recipe, results, frames)
    if results.registered:
        drawn["displacement"] = partial(draw.displacement, results.frames, calibration, axis=axis)
    return drawn
