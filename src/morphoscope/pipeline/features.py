"""A run over a table of features: positions that are known already, without any picture."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite, nan
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphoscope.calibration import Calibration
from morphoscope.errors import MorphoscopeError, PartialError, RecipeError, UsageError
from morphoscope.io.features import Features, read_features
from morphoscope.io.tables import table_hash
from morphoscope.models.card import ModelCard
from morphoscope.pipeline.doubts import result_notes, result_warnings
from morphoscope.pipeline.folder import Run, remove_parts, remove_run, write_json
from morphoscope.pipeline.follow import DISPLACEMENT
from morphoscope.pipeline.outputs import write_outputs
from morphoscope.pipeline.provenance import common_info, file_hash, peak_memory_mb, table_key
from morphoscope.pipeline.remarks import overruled, scale_warnings, unit_notes, unplaced_warnings
from morphoscope.pipeline.results import Results, compute_results, read_truth
from morphoscope.pipeline.selection import check_selection
from morphoscope.pipeline.stages import Plan, in_any
from morphoscope.pipeline.stream import Clock, Progress
from morphoscope.recipe import DetectRecipe, Recipe, Region
from morphoscope.track.drift_from_objects import drift_from_objects

NAME = "objects from a table"
IN_MEMORY = "a table in memory"
RESUMED = "There was nothing to resume: a table is analysed in one go, and was from the start."


@dataclass(frozen=True)
class Table:
    """A table of features made ready: what of it is analysed, and what is to be said of it."""

    features: Features
    objects: pd.DataFrame
    calibration: Calibration
    numbers: range
    box: tuple[float, float, float, float]
    valid_px: float
    notes: tuple[str, ...]

    @property
    def last(self) -> int:
        """The last frame that the table has."""
        return int(self.features.objects["frame"].max())

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the region, or of what the positions span, in px."""
        x0, y0, x1, y1 = self.box
        return round(y1 - y0), round(x1 - x0)


def analyze_features(
    source: Path | pd.DataFrame,
    recipe: Recipe,
    output: Path,
    *,
    claim_as: Callable[[Mapping[str, Any]], int | None],
    complete: Callable[[Run], Run],
    resume: bool = False,
    progress: Progress | None = None,
) -> Run:
    """A run folder from a table of features (`io.features`): registered from the objects, linked, physics, report; no overlay.

    Args:
        source: the table, or its path.
        recipe: settings; those of detection do not matter.
        output: the run folder.
        claim_as: makes the folder ready for a key, see `folder.claim`; None from it: the run is complete.
        complete: what a complete run is answered with.
        resume: whether an unfinished run was to be gone on with: there are no parts to go on from, and the run says so.
        progress: called with (frames done, frames in all), when the table is read.

    Raises:
        InputError: the table cannot be used.
        UsageError: the recipe does not fit the table, or the folder is in use.
    """
    start, clock = time.perf_counter(), Clock()
    with clock.stage("read"):
        table = _prepare(source, recipe)
    name = IN_MEMORY if isinstance(source, pd.DataFrame) else str(source.resolve())
    digest = table_hash(source) if isinstance(source, pd.DataFrame) else file_hash(source)
    inputs = [{"path": name, "sha256": digest, "frames": table.last + 1, "shape": table.shape}]
    key = table_key(recipe, digest)
    if claim_as(key) is None:
        remove_parts(output)
        return complete(Run(output))
    if progress is not None:
        progress(len(table.numbers), len(table.numbers))
    try:
        with clock.stage("track and physics"):
            results = _results(table, recipe, read_truth(recipe))
    except MorphoscopeError:
        remove_run(output)
        if not any(output.iterdir()):
            output.rmdir()
        raise
    card = _card(table, Path(name).name, digest)
    info = {
        **common_info(recipe, inputs, table.calibration, counts=results.counts, key=key),
        "model": {"name": NAME, "sha256": digest, "path": None, "resampled_by": None},
        "metadata": {"columns": table.features.kind},
        "warnings": _warnings(table, recipe) + unplaced_warnings(results.frames) + result_warnings(results, recipe),
        "notes": [*_notes(table, recipe), *result_notes(results, recipe, from_objects=True), *([RESUMED] if resume else [])],
        "exit_code": PartialError.exit_code if table.features.left_out else 0,
    }
    write_outputs(output, recipe, results, None, info=info, card=card, clock=clock)
    info["timings_s"] = {stage: round(value, 3) for stage, value in clock.seconds.items()}
    info["seconds"] = round(time.perf_counter() - start, 3)
    info["peak_memory_mb"] = peak_memory_mb()
    write_json(output / "run.json", info)
    remove_parts(output)
    return Run(output)


def _prepare(source: Path | pd.DataFrame, recipe: Recipe) -> Table:
    if recipe.detect.objects is not None:
        raise UsageError("a table of features holds the objects already: leave out --objects (detect.objects)")
    features = read_features(source, pixel_size_nm=recipe.calibrate(Calibration()).pixel_size_nm)
    calibration = recipe.calibrate(features.calibration)
    if recipe.report.axis is not None:
        calibration.axis(recipe.report.axis)
    objects = features.objects
    numbers = _numbers(objects["frame"], recipe)
    objects = objects[objects["frame"].isin(numbers)]
    if objects.empty:
        raise RecipeError(f"the table has no object in frames {numbers[0]} to {numbers[-1]} in steps of {numbers.step}")
    inside, box, valid_px, said = _field(objects, recipe)
    name = IN_MEMORY if isinstance(source, pd.DataFrame) else source.name
    objects = objects[inside].reset_index(drop=True)
    check_selection(recipe, numbers, box, tracks=set(objects["track_id"].dropna()))
    objects["file"] = objects["file"].where(objects["file"] != "", name)
    return Table(features, objects, calibration, numbers, box, valid_px, said)


def _numbers(frame: pd.Series, recipe: Recipe) -> range:
    """The analysed frames: from the first to the last that the table has, as the recipe cuts them."""
    wanted = recipe.frames
    first, last = int(frame.min()), int(frame.max())
    start = wanted.start + max(-(-(first - wanted.start) // wanted.step), 0) * wanted.step
    numbers = range(start, min(wanted.stop or last + 1, last + 1), wanted.step)
    if not numbers:
        raise RecipeError(
            f"frames.start = {wanted.start}, frames.stop = {wanted.stop}: no frame of the table, which has {first} to {last}"
        )
    return numbers


def _field(objects: pd.DataFrame, recipe: Recipe) -> tuple[Any, tuple[float, float, float, float], float, tuple[str, ...]]:
    """Which objects lie in the analysed part, its corners, its area in px (nan where it is not stated), and what to say."""
    region, exclude = recipe.frames.region, recipe.frames.exclude
    inside = ~in_any(objects, exclude)
    if region is None:
        x, y = objects["x_px"].to_numpy(float), objects["y_px"].to_numpy(float)
        box = (float(x.min()) - 0.5, float(y.min()) - 0.5, float(x.max()) + 0.5, float(y.max()) + 0.5)
        boxed = (
            f"The table has no frame size and the recipe no frames.region: the box around all positions, x {x.min():.0f} to "
            f"{x.max():.0f}, y {y.min():.0f} to {y.max():.0f} px, stands for the field, and no density is given.",
        )
        return inside, box, nan, boxed
    inside &= in_any(objects, [region])
    outside = len(objects) - int(in_any(objects, [region]).sum())
    valid = int(Plan(region, exclude).valid_mask().sum())
    if not valid:
        raise RecipeError("frames.exclude covers the whole region, nothing is left to analyse")
    if not inside.any():
        raise RecipeError(f"no object of the table lies in the analysed part, {_span(region)} less what is excluded")
    said = (f"{outside} objects lie outside of {_span(region)} and are not analysed.",) if outside else ()
    return inside, (region.x0 - 0.5, region.y0 - 0.5, region.x1 - 0.5, region.y1 - 0.5), float(valid), said


def _span(region: Region) -> str:
    return f"x {region.x0} to {region.x1}, y {region.y0} to {region.y1} px"


def _results(table: Table, recipe: Recipe, truth: pd.DataFrame | None) -> Results:
    track = recipe.track.enabled and recipe.frames.series and len(table.numbers) > 1
    return compute_results(
        table.objects,
        _frames(table, recipe, registered=track and recipe.track.register_frames),
        recipe=recipe,
        calibration=table.calibration,
        valid_px=table.valid_px,
        track=track,
        field=table.box,
        truth=truth,
    )


def _frames(table: Table, recipe: Recipe, *, registered: bool) -> pd.DataFrame:
    """A row per analysed frame, with its displacement where the objects are to tell it."""
    numbers = np.asarray(table.numbers)
    files = table.objects.drop_duplicates("frame").set_index("frame")["file"]
    frames = pd.DataFrame({"frame": numbers, "file": files.reindex(numbers).ffill().bfill().to_numpy()})
    if not registered:
        return frames
    moved = drift_from_objects(table.objects, frames=numbers)
    return frames.assign(**{name: moved[name].to_numpy() for name in DISPLACEMENT})


def _card(table: Table, name: str, digest: str) -> ModelCard:
    return ModelCard(
        name=NAME,
        task="detect",
        classes=tuple(sorted(set(table.objects["label"]))) or ("object",),
        preprocess="none",
        postprocess="none",
        training={
            "table": name,
            "columns": table.features.kind,
            "sha256": digest,
            "sizes": bool(table.objects["major_px"].notna().any()),
            "tracks": bool(table.objects["track_id"].notna().any()),
            "field": isfinite(table.valid_px),
        },
    )


def _warnings(table: Table, recipe: Recipe) -> list[str]:
    said = [f"Left out: {line}" for line in table.features.left_out]
    said += table.features.warnings
    said += overruled(recipe, table.features.calibration)
    return said + scale_warnings(table.calibration, recipe)


def _notes(table: Table, recipe: Recipe) -> list[str]:
    said = [*table.features.notes, *table.notes]
    if recipe.detect != DetectRecipe():
        said.append("Nothing was detected: the objects are those of the table, and settings of detection do not matter.")
    if table.objects["track_id"].notna().any():
        said.append("The table has track numbers: they are kept, nothing was linked.")
    return said + unit_notes(table.calibration, recipe, frames=len(table.numbers), area=isfinite(table.valid_px))
