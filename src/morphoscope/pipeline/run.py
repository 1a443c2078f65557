"""`analyze`: one run from files to a run folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from morphoscope.errors import InputError, MorphoscopeError, PartialError, TruncatedError, UsageError
from morphoscope.io.features import is_feature_table
from morphoscope.models.runtime import available_cores
from morphoscope.pipeline.batch import analyze_many
from morphoscope.pipeline.doubts import result_notes, result_warnings
from morphoscope.pipeline.features import analyze_features
from morphoscope.pipeline.finders import MaskFinder, ObjectFinder
from morphoscope.pipeline.folder import Parts, Run, claim, refuse_used, remove_parts, remove_run, write_json
from morphoscope.pipeline.follow import Field
from morphoscope.pipeline.given import larger_than_boxes
from morphoscope.pipeline.load import as_finder, check_masks, load_finder
from morphoscope.pipeline.mask_files import join_masks
from morphoscope.pipeline.outputs import write_outputs
from morphoscope.pipeline.overlays import Overlays
from morphoscope.pipeline.prepare import Task, open_input, prepare
from morphoscope.pipeline.provenance import (
    common_info,
    input_hash,
    magnified_by,
    model_facts,
    parts_key,
    peak_memory_mb,
    same_settings,
)
from morphoscope.pipeline.remarks import outline_warnings, scale_warnings, unit_notes, unplaced_warnings
from morphoscope.pipeline.results import Results, compute_results, with_header_data
from morphoscope.pipeline.stages import Finder
from morphoscope.pipeline.stream import WORKERS, Chunks, Job, Progress
from morphoscope.pipeline.views import common_calibration, common_field
from morphoscope.recipe import Recipe, as_recipe

Source = str | Path


def analyze(
    inputs: Source | pd.DataFrame | Sequence[Source],
    recipe: Recipe | Source | None = None,
    output: Source = "morphoscope-run",
    *,
    overwrite: bool = False,
    resume: bool = False,
    detector: Finder | MaskFinder | None = None,
    progress: Progress | None = None,
) -> Run:
    """Detect, measure, track and report; everything is written into the folder `output`.

    Args:
        inputs: a video, a stack, an image or a folder of images: one series. Or a table of features (`io.features`: .csv, .tsv,
            .parquet, or a DataFrame such as trackpy's): its objects are followed without pictures. Several paths: a run each,
            in subfolders.
        recipe: settings, or the path of a TOML file; None for the defaults.
        output: the run folder, made where it is missing.
        overwrite: replace a run that is there; files that are no run's stay.
        resume: go on with a run that was broken off; a table is analysed in one go, from the start.
        detector: used instead of the recipe's model; a segmenter where the objects are to have masks.
        progress: called with (frames done, frames in all).

    Returns:
        The run; its `exit_code` is 4 and its `warnings` say why where part of the input could not be analysed.

    Raises:
        InputError: nothing could be analysed.
        UsageError: the recipe does not fit the input, or the folder is in use.
        KeyboardInterrupt: Ctrl-C; the parts done stay, and `resume` goes on with them.
    """
    if isinstance(inputs, (list, tuple)) and any(isinstance(one, pd.DataFrame) for one in inputs):
        raise UsageError("a DataFrame is analysed alone: give one at a time, or write them to files and give these")
    sources: list[Path | pd.DataFrame] = (
        [_source(inputs)] if isinstance(inputs, (str, Path, pd.DataFrame)) else [Path(path) for path in inputs]
    )
    settings = as_recipe(recipe)
    if not sources:
        raise InputError("wanted at least one video, stack, folder or table of features to analyse, got none")
    if len(sources) == 1:
        refuse_used(Path(output), overwrite=overwrite, resume=resume)
    pictures = any(not _is_table(source) for source in sources)
    finder: ObjectFinder | None = None
    parallel = False
    if detector is not None:
        finder = as_finder(detector, settings)
    elif pictures:
        finder, parallel = load_finder(settings)
    if finder is not None:
        check_masks(finder, settings)

    def one(source: Path | pd.DataFrame, folder: Path) -> Run:
        claim_as = partial(claim, folder, overwrite=overwrite, resume=resume)
        if isinstance(source, pd.DataFrame) or finder is None or _is_table(source):
            complete = partial(_complete, recipe=settings)
            return analyze_features(
                source, settings, folder, claim_as=claim_as, complete=complete, resume=resume, progress=progress
            )
        return _analyze_one(source, settings, folder, finder, parallel=parallel, claim_as=claim_as, progress=progress)

    if len(sources) == 1:
        return one(sources[0], Path(output))
    return analyze_many([Path(path) for path in sources], Path(output), one, overwrite=overwrite, resume=resume)


def _source(given: Source | pd.DataFrame) -> Path | pd.DataFrame:
    return given if isinstance(given, pd.DataFrame) else Path(given)


def _is_table(source: Path | pd.DataFrame) -> bool:
    return isinstance(source, pd.DataFrame) or is_feature_table(source)


def _analyze_one(
    path: Path,
    recipe: Recipe,
    output: Path,
    finder: ObjectFinder,
    *,
    parallel: bool,
    claim_as: Callable[[Mapping[str, Any]], int | None],
    progress: Progress | None,
) -> Run:
    start = time.perf_counter()
    with open_input(path, recipe) as frames:
        task = prepare(path, recipe, frames, finder)
        inputs = [{"path": str(path.resolve()), "sha256": input_hash(path, frames), "frames": len(frames), "shape": frames.shape}]
        model = model_facts(finder, task.plan)
        beside = task.finder.key(task.plan)
        if task.views is not None:
            beside |= {"independent": True, "scale bar": recipe.calibration.scale_bar, "info bar": recipe.frames.info_bar}
        key = parts_key(recipe, task.plan, task.registered, inputs, model, beside)
        chunk = claim_as(key)
        if chunk is None:
            remove_parts(output)
            return _complete(Run(output), recipe)
        job = Job(
            frames=frames,
            finder=task.finder,
            plan=task.plan,
            chunks=Chunks(task.numbers, chunk),
            parts=Parts(output / "parts"),
            register=task.registered,
            workers=min(WORKERS, recipe.run.threads or available_cores()),
            parallel_model=parallel,
            views=task.views,
            progress=progress,
        )
        began = time.perf_counter()
        ended, done = _make_parts(job, output)
        seconds = time.perf_counter() - began
        task, results = _results(task, job, done)
        info = {
            **common_info(recipe, inputs, task.calibration, counts=results.counts, key=key),
            "model": model | {"magnified": magnified_by(results.frames)},
            "provider": recipe.run.provider,
            "precision": recipe.run.precision,
            "metadata": dict(task.frames.metadata),
            "frames_per_s": round(len(results.frames) / seconds, 2),
            "warnings": _warnings(task, results, ended, [job.skipped[number] for number in sorted(job.skipped)]),
            "notes": _notes(task) + result_notes(results, recipe),
            "exit_code": PartialError.exit_code if ended or job.skipped else 0,
        }
        if recipe.report.masks:
            with job.clock.stage("write masks"):
                info["masks"] = join_masks(output, job.parts.folder, frames, results.objects)
        overlays = Overlays(frames, results, job.parts.read_mask)
        write_outputs(output, task.recipe, results, frames, overlays=overlays, info=info, card=finder.card, clock=job.clock)
        info["timings_s"] = {name: round(value, 3) for name, value in job.clock.seconds.items()}
        info["seconds"] = round(time.perf_counter() - start, 3)
        info["peak_memory_mb"] = peak_memory_mb()
    write_json(output / "run.json", info)
    remove_parts(output)
    return Run(output)


def _complete(run: Run, recipe: Recipe) -> Run:
    return same_settings(run, recipe, "calibration", "frames", "track", "physics", "report")


def _make_parts(job: Job, output: Path) -> tuple[TruncatedError | None, list[int]]:
    """Run the job; the error of an input that ended early, and the chunks done. Without any, the folder is left as it was."""

    def done() -> list[int]:
        return [chunk for chunk in range(len(job.chunks)) if job.parts.has(chunk)]

    try:
        ended = job.run()
        wrong = ended or next((job.skipped[number] for number in sorted(job.skipped)), None)
        if wrong is not None and not done():
            raise InputError(f"no frame could be read: {wrong}") from wrong
    except MorphoscopeError:
        if not done():
            remove_run(output)
            if not any(output.iterdir()):
                output.rmdir()
        raise
    return ended, done()


def _results(task: Task, job: Job, done: list[int]) -> tuple[Task, Results]:
    """The task with the calibration of all its images, where these are independent; and the results."""
    objects, frames = job.parts.read(done)
    field: Field | None = task.plan.field
    if task.views is not None:
        task.views.recall(frames)
        calibration, said = common_calibration(task.calibration, frames)
        task = replace(task, calibration=calibration, warnings=(*task.warnings, *said, *task.views.said()))
        field = common_field(frames)
    with job.clock.stage("track and physics"):
        results = compute_results(
            objects,
            frames,
            recipe=task.recipe,
            calibration=task.calibration,
            valid_px=int(task.plan.valid_mask().sum()),
            track=task.tracked,
            field=field,
            truth=task.truth,
            masks=task.finder.masks,
        )
        return task, with_header_data(results, task.frames.frame_data)


def _warnings(task: Task, results: Results, ended: TruncatedError | None, skipped: Sequence[MorphoscopeError]) -> list[str]:
    said = [f"Left out: {error}" for error in skipped] + list(task.warnings)
    if ended is not None:
        last = int(results.frames["frame"].max())
        said.append(f"The input ends early: {ended} Frames {task.numbers[0]} to {last} were analysed.")
    said += scale_warnings(task.calibration, task.recipe)
    if task.plan.zoom is not None:
        card = task.finder.card
        said.append(
            f"Frames were resampled for detection: they have {task.calibration.mean_pixel_nm:.4g} nm per px, the model "
            f"{card.name} was trained at {card.pixel_size_nm:.4g}. Look at the overlay before using the numbers."
        )
    said += outline_warnings(task.finder.card) + unplaced_warnings(results.frames) + result_warnings(results, task.recipe)
    if task.recipe.detect.objects is not None:
        said += larger_than_boxes(results.objects, task.recipe.detect.polarity)
    if results.objects.empty:
        said.append("No object was found in any frame; check the model, the threshold and the scale.")
    return said


def _notes(task: Task) -> list[str]:
    said = [*task.frames.notes, *task.notes]
    stop = task.recipe.frames.stop
    if stop is not None and stop > len(task.frames):
        said.append(f"frames.stop is {stop}, the input has {len(task.frames)} frames: all up to the end were analysed.")
    several = task.views is not None  # files of a folder, each for itself
    frames, masks = len(task.numbers), task.finder.masks
    return said + unit_notes(task.calibration, task.recipe, frames=frames, masks=masks, files=several)
