"""`classify`: a category and a decision for each of any number of images, as a run folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from morphoscope.errors import UsageError
from morphoscope.io.films import FilmFile, list_films
from morphoscope.pipeline.class_project import propose, said_by_people
from morphoscope.pipeline.classify_images import ImageClassifier
from morphoscope.pipeline.classify_job import ClassifyJob
from morphoscope.pipeline.classify_outputs import write_classify_outputs
from morphoscope.pipeline.classify_remarks import classify_findings, classify_notes, classify_warnings, promise_facts
from morphoscope.pipeline.classify_results import classify_results
from morphoscope.pipeline.folder import Run, refuse_used
from morphoscope.pipeline.image_parts import failures
from morphoscope.pipeline.image_run import (
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
from morphoscope.pipeline.single_writer import single_writer
from morphoscope.pipeline.sorting import refuse_moved, remove_sorted, sort_images
from morphoscope.pipeline.stream import Progress
from morphoscope.recipe import Recipe, as_recipe

KIND = "classify"  # what run.json says of these runs
NO_EFFECT = (*UNUSED, "exclude", "info_bar")  # of [frames]: whole images are seen, an info bar is always cut away


def classify(
    inputs: Source | Sequence[Source],
    recipe: Recipe | Source | None = None,
    output: Source = "morphoscope-run",
    *,
    overwrite: bool = False,
    resume: bool = False,
    classifier: ImageClassifier | None = None,
    progress: Progress | None = None,
) -> Run:
    """Put images into categories, and decide which of them need no person: accept, review or foreign.

    Accepted is what is sure enough for the accuracy named in the recipe (`classify.accuracy`), by images that the model has not
    learnt; foreign is what is like none of the images learnt; all else is left to a person. What people said in the recipe's
    project holds.

    Args:
        inputs: pictures, folders of pictures with all folders in them (but runs), stacks or videos (a row per frame), of any
            sizes and formats; one run for all.
        recipe: settings, or the path of a TOML file; `classify.model` is needed.
        output: the run folder: images.parquet (`schema.IMAGES`), next.csv (`schema.LABEL_NEXT`), sorted/ where that is asked for
            (`sorting`), quantities.csv, run.json and the report with its contact sheets.
        overwrite: replace a run that is there.
        resume: go on with a run that was broken off.
        classifier: used instead of the recipe's model.
        progress: called with (files done, files in all).

    Returns:
        The run; its `exit_code` is 4 where files could not be used, `info["failed"]` lists them.

    Raises:
        InputError: no file could be classified, or the project is of a newer version.
        UsageError: no model is named, the recipe names what classifying does not know, or the folder is in use.
        KeyboardInterrupt: Ctrl-C; the parts done stay, and `resume` goes on with them.
    """
    settings, sources = as_recipe(recipe), as_paths(inputs, "to classify")
    refuse_unused(
        settings,
        NO_EFFECT,
        "categories: whole images are seen, each by its own contrast, without info bar; leave it out of the recipe",
    )
    settings = _with_whole_paths(settings)
    output = Path(output)
    refuse_used(output, overwrite=overwrite, resume=resume)
    refuse_moved(output)
    project = None if settings.classify.project is None else Path(settings.classify.project)
    said_by_people(project)  # a project that cannot be used is told of now
    files = list_films(sources, deep=True)
    job = ClassifyJob(files, classifier or _load(settings), settings, output, progress=progress)
    known = known_of(job, sources, job.classifier, {}, unused=NO_EFFECT, hashes=job.hashes)
    with single_writer(output):
        refuse_moved(output)
        if overwrite:
            remove_sorted(output)
        there = begin(job, known, overwrite=overwrite, resume=resume)
        if there is not None:
            return same_settings(there, settings, "calibration", "frames", "classify", "report")
        return end(job, known, _finish(job, job.run(), project, known))


def _with_whole_paths(recipe: Recipe) -> Recipe:
    """The recipe with the files it names as they are found from anywhere, so that the run can be done again."""
    wanted = recipe.classify
    named = {"model": wanted.model, "project": wanted.project}
    whole = {key: str(Path(name).resolve()) for key, name in named.items() if name is not None and Path(name).exists()}
    return recipe.model_copy(update={"classify": wanted.model_copy(update=whole)})


def _load(recipe: Recipe) -> ImageClassifier:
    from morphoscope.models.classify import load_classifier

    if recipe.classify.model is None:
        raise UsageError("wanted a model of categories: --model M.onnx or classify.model; `morphoscope train classify` makes one")
    run = recipe.run
    return load_classifier(recipe.classify.model, threads=run.threads, provider=run.provider, precision=run.precision)


def _finish(job: ClassifyJob, rows: pd.DataFrame, project: Path | None, known: Known) -> dict[str, Any]:
    """Write all but run.json, whose content is given back."""
    recipe, card, failed = job.recipe, job.classifier.card, failures(rows)
    said = said_by_people(project)
    with job.clock.stage("decide"):
        results = classify_results(rows, card, recipe, said, job.features)
    info, told = run_info(job, known, KIND, results.images, failed), list[str]()
    if project is not None:
        with job.clock.stage("project"):
            paths = {one.name: one.path for one in job.files}
            written, wrong = propose(project, results.proposed, paths, (known.model["name"], known.model["sha256"]))
        told += [f"Not in the project: {one}" for one in wrong]
        info["counts"]["in the project"] = written
    if recipe.classify.sort is not None:
        with job.clock.stage("sort"):
            remove_sorted(job.output)
            told += sort_images(results.images, job.files, job.output, results.classes, how=recipe.classify.sort, said=said)
    info |= {
        "root": str(_root(job.files[0])),
        "decisions": results.counts,
        "promise": promise_facts(results),
        "warnings": [*left_out(failed), *classify_warnings(rows, results, card), *told],
        "notes": classify_notes(results, recipe, card),
        "findings": classify_findings(results, recipe),
    }
    write_classify_outputs(job, results, info)
    return info


def _root(file: FilmFile) -> Path:
    """The folder that names of files are relative to."""
    return file.path.parents[file.name.count("/")]
