"""`score`: the extent of each class in any number of images, their maps, trends and response surfaces, as a run folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from morphoscope.errors import UsageError
from morphoscope.io.conditions import Conditions, matched, read_conditions
from morphoscope.io.films import FilmFile, list_films
from morphoscope.models.card import ModelCard
from morphoscope.pipeline.folder import Run, refuse_used
from morphoscope.pipeline.image_parts import ERROR, SAID, failures
from morphoscope.pipeline.image_run import (
    AS_THEY_ARE,
    UNUSED,
    Known,
    Source,
    as_paths,
    begin,
    end,
    known_of,
    left_out,
    refuse_unused,
    run_info,
)
from morphoscope.pipeline.provenance import same_settings
from morphoscope.pipeline.score_again import conditions_facts, forget, refuse_half_told, told_alike, told_before
from morphoscope.pipeline.score_findings import findings
from morphoscope.pipeline.score_images import PatchScorer
from morphoscope.pipeline.score_job import Job, scores_of
from morphoscope.pipeline.score_maps import join_maps
from morphoscope.pipeline.score_outputs import write_score_outputs
from morphoscope.pipeline.score_remarks import score_notes, score_warnings
from morphoscope.pipeline.score_results import check_columns, score_results
from morphoscope.pipeline.single_writer import single_writer
from morphoscope.pipeline.stream import Progress
from morphoscope.recipe import Recipe, as_recipe
from morphoscope.schema import SCORES

KIND = "score"  # what run.json says of these runs


def score(
    inputs: Source | Sequence[Source],
    recipe: Recipe | Source | None = None,
    output: Source = "morphoscope-run",
    *,
    conditions: Source | pd.DataFrame | None = None,
    overwrite: bool = False,
    resume: bool = False,
    scorer: PatchScorer | None = None,
    progress: Progress | None = None,
) -> Run:
    """Score the extent of defects in images: a row for each, a map for each class, trends and response surfaces.

    Args:
        inputs: pictures, folders of pictures, stacks or videos (a row per frame), of any sizes and formats; one run for all.
        recipe: settings, or the path of a TOML file; None for the defaults.
        output: the run folder: scores.parquet (`schema.SCORES`), maps/ (`score_maps.MapWriter`), trends.csv, response.csv,
            next.csv, figures, run.json and the report.
        conditions: what each file was made of, how and when (`io.conditions`); wins over the recipe's.
        overwrite: replace a run that is there.
        resume: go on with a run that was broken off; one that is complete is told against other conditions, without scoring.
        scorer: used instead of the recipe's model.
        progress: called with (files done, files in all).

    Returns:
        The run; its `exit_code` is 4 where files could not be used, `info["failed"]` lists them.

    Raises:
        InputError: no file could be scored, or the conditions are about none of them.
        UsageError: the recipe does not fit the conditions or names what scoring does not know, or the folder is in use.
        KeyboardInterrupt: Ctrl-C; the parts done stay, and `resume` goes on with them.
    """
    settings, sources = as_recipe(recipe), as_paths(inputs, "to score")
    refuse_unused(settings, UNUSED, f"scores, {AS_THEY_ARE}")
    output = Path(output)
    if isinstance(conditions, (str, Path)):
        named = settings.score.model_copy(update={"conditions": str(Path(conditions).resolve())})
        settings = settings.model_copy(update={"score": named})
    refuse_used(output, overwrite=overwrite, resume=resume)
    files = list_films(sources)
    job = Job(files, scorer or _load(settings), settings, output, progress=progress)
    given = conditions if isinstance(conditions, pd.DataFrame) else settings.score.conditions
    told = _conditions(given, files, job.scorer.card, settings)
    own = settings.score.model_dump(mode="json", include={"patch_px", "patch_nm", "stride_px", "maps"})
    known = known_of(job, sources, job.scorer, {"score": own})
    with single_writer(output):
        there = begin(job, known, overwrite=overwrite, resume=resume)
        if there is None:
            return end(job, known, _finish(job, job.run(), [], told, known))
        same_settings(
            there, settings if told is None else told_before(there, settings), "calibration", "frames", "score", "report"
        )
        if told is None:
            return refuse_half_told(there)
        if told_alike(there, told, settings):
            return there
        job.clock.seconds |= there.info["timings_s"]
        return end(job, known, _finish(job, *forget(there, told), told, known))


def _load(recipe: Recipe) -> PatchScorer:
    from morphoscope.models.score import load_scorer

    run = recipe.run
    return load_scorer(recipe.score.model, threads=run.threads, provider=run.provider, precision=run.precision)


def _conditions(
    given: Source | pd.DataFrame | None, files: Sequence[FilmFile], card: ModelCard, recipe: Recipe
) -> tuple[Conditions, list[str]] | None:
    if given is None:
        for name in ("x", "y", "time"):
            if getattr(recipe.score, name) is not None:
                raise UsageError(f"score.{name} names a column of conditions, and none are given: add --conditions TABLE.csv")
        return None
    ends = ("", "_low", "_high")
    taken = {*SCORES, ERROR, SAID, *(f"S_{name}{end}" for name in card.classes for end in ends)} - {"frame", "time_s"}
    found = matched(read_conditions(given, taken=taken), [file.name for file in files])
    check_columns(found[0], recipe)
    return found


def _finish(
    job: Job, rows: pd.DataFrame, said_before: Sequence[str], told: tuple[Conditions, list[str]] | None, known: Known
) -> dict[str, Any]:
    """Write all but run.json, whose content is given back."""
    card, failed = job.scorer.card, failures(rows)
    conditions, said = told or (None, [])
    with job.clock.stage("trends and surfaces"):
        results = score_results(scores_of(rows, conditions), conditions, card, job.recipe)
    images = dict.fromkeys([*said_before, *score_warnings(rows, results, job)])
    info = run_info(job, known, KIND, results.scores, failed) | {
        "conditions": conditions_facts(told),
        "warnings": [*left_out(failed), *said, *images],
        "notes": score_notes(results, job, told=conditions is not None),
        "findings": findings(results),
    }
    if job.recipe.score.maps:
        info["maps"] = join_maps(job.files, job.output)
    write_score_outputs(job, results, info)
    return info
