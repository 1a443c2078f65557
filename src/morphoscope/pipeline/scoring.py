"""`score`: the extent of each class in any number of images, their maps, trends and response surfaces, as a run folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError, PartialError, UsageError
from morphoscope.io.conditions import Conditions, matched, read_conditions
from morphoscope.io.films import FilmFile, list_films
from morphoscope.models.card import ModelCard
from morphoscope.pipeline.folder import Run, claim, refuse_used, remove_parts, write_json
from morphoscope.pipeline.provenance import common_info, peak_memory_mb
from morphoscope.pipeline.score_again import conditions_facts, forget, told_alike, told_before
from morphoscope.pipeline.score_findings import findings
from morphoscope.pipeline.score_images import ERROR, SAID, PatchScorer
from morphoscope.pipeline.score_job import Job, failures, join_maps, scores_of
from morphoscope.pipeline.score_key import hashed_inputs, model_facts, refuse_unused, score_key
from morphoscope.pipeline.score_outputs import write_score_outputs
from morphoscope.pipeline.score_remarks import score_notes, score_warnings
from morphoscope.pipeline.score_results import check_columns, score_results
from morphoscope.pipeline.stream import Progress
from morphoscope.recipe import Recipe, load_recipe
from morphoscope.schema import SCORES

Source = str | Path
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
    settings = recipe if isinstance(recipe, Recipe) else load_recipe(recipe) if recipe is not None else Recipe()
    sources = [Path(inputs)] if isinstance(inputs, (str, Path)) else [Path(path) for path in inputs]
    if not sources:
        raise InputError("wanted at least one picture, folder, stack or video to score, got none")
    refuse_unused(settings)
    output = Path(output)
    if isinstance(conditions, (str, Path)):
        named = settings.score.model_copy(update={"conditions": str(Path(conditions).resolve())})
        settings = settings.model_copy(update={"score": named})
    refuse_used(output, overwrite=overwrite, resume=resume)
    files = list_films(sources)
    scorer = scorer or _load(settings)
    told = _conditions(
        conditions if isinstance(conditions, pd.DataFrame) else settings.score.conditions, files, scorer.card, settings
    )
    job = Job(files, scorer, settings, output, progress=progress)
    start = time.perf_counter()
    with job.clock.stage("hash"):
        facts = hashed_inputs(sources, files)
    known: dict[str, Any] = {"inputs": facts, "key": score_key(settings, facts, model_facts(scorer)), "said": []}
    chunk = claim(output, known["key"], overwrite=overwrite, resume=resume)
    if chunk is None:
        remove_parts(output)
        run = Run(output)
        _complete(run, settings if told is None else told_before(run, settings))
        if told is None or told_alike(run, told, settings):
            return run
        job.clock.seconds |= run.info["timings_s"]
        rows, known["said"] = forget(run, told)
    else:
        job.chunk = chunk
        rows = job.run()
    info = _finish(job, rows, told, known)
    info["seconds"] = round(time.perf_counter() - start, 3)
    info["peak_memory_mb"] = peak_memory_mb()
    write_json(output / "run.json", info)
    remove_parts(output)
    return Run(output)


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


def _finish(job: Job, rows: pd.DataFrame, told: tuple[Conditions, list[str]] | None, known: dict[str, Any]) -> dict[str, Any]:
    """Write all but run.json, whose content is given back."""
    recipe, card = job.recipe, job.scorer.card
    conditions, said = told or (None, [])
    failed = failures(rows)
    with job.clock.stage("trends and surfaces"):
        results = score_results(scores_of(rows, conditions), conditions, card, recipe)
    images = list(dict.fromkeys([*known["said"], *score_warnings(rows, results, job)]))
    counts = {"images": len(results.scores), "files": results.scores["file"].nunique(), "left out": len(failed)}
    info = {
        **common_info(recipe, known["inputs"], recipe.calibrate(Calibration()), counts=counts, key=known["key"]),
        "kind": KIND,
        "model": model_facts(job.scorer),
        "provider": recipe.run.provider,
        "precision": recipe.run.precision,
        "conditions": conditions_facts(told),
        "failed": failed,
        "warnings": [f"Left out: {one['reason']}" for one in failed] + said + images,
        "notes": score_notes(results, job, told=conditions is not None),
        "findings": findings(results),
        "exit_code": PartialError.exit_code if failed else 0,
        "images_per_s": round(len(results.scores) / max(job.clock.seconds.get("score", 0.0), 1e-9), 2),
    }
    if recipe.score.maps:
        info["maps"] = join_maps(job)
    write_score_outputs(job, results, info)
    info["timings_s"] = {name: round(value, 3) for name, value in job.clock.seconds.items()}
    return info


def _complete(run: Run, recipe: Recipe) -> Run:
    """A run that is complete already, if it was made with the same settings."""
    old, new = run.info["recipe"], recipe.model_dump(mode="json")
    differ = [name for name in ("calibration", "frames", "score", "report") if old.get(name) != new[name]]
    if differ:
        raise UsageError(
            f"{run.path} holds a complete run with other settings under {', '.join(differ)}; there is nothing to resume: "
            "use --overwrite to replace it, or another -o"
        )
    return run
