"""`classify`: a category and a decision for each of any number of images, as a run folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from morphoscope import __version__
from morphoscope.calibration import Calibration
from morphoscope.errors import InputError, PartialError, UsageError
from morphoscope.io.films import FilmFile, list_films
from morphoscope.pipeline.class_project import propose, said_by_people
from morphoscope.pipeline.classify_images import ImageClassifier
from morphoscope.pipeline.classify_job import ClassifyJob
from morphoscope.pipeline.classify_outputs import write_classify_outputs
from morphoscope.pipeline.classify_remarks import classify_findings, classify_notes, classify_warnings, promise_facts
from morphoscope.pipeline.classify_results import classify_results
from morphoscope.pipeline.folder import Run, claim, refuse_used, remove_parts, write_json
from morphoscope.pipeline.provenance import common_info, peak_memory_mb
from morphoscope.pipeline.score_job import failures
from morphoscope.pipeline.score_key import UNUSED, hashed_inputs, model_facts
from morphoscope.pipeline.single_writer import single_writer
from morphoscope.pipeline.sorting import refuse_moved, remove_sorted, sort_images
from morphoscope.pipeline.stream import Progress
from morphoscope.recipe import FramesRecipe, Recipe, load_recipe

Source = str | Path
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
    settings = recipe if isinstance(recipe, Recipe) else load_recipe(recipe) if recipe is not None else Recipe()
    sources = [Path(inputs)] if isinstance(inputs, (str, Path)) else [Path(path) for path in inputs]
    if not sources:
        raise InputError("wanted at least one picture, folder, stack or video to classify, got none")
    refuse_no_effect(settings)
    settings = _with_whole_paths(settings)
    output = Path(output)
    refuse_used(output, overwrite=overwrite, resume=resume)
    refuse_moved(output)
    project = None if settings.classify.project is None else Path(settings.classify.project)
    said_by_people(project)  # a project that cannot be used is told of now
    files = list_films(sources, deep=True)
    classifier = classifier or _load(settings)
    job = ClassifyJob(files, classifier, settings, output, progress=progress)
    start = time.perf_counter()
    with job.clock.stage("hash"):
        facts = hashed_inputs(sources, files, job.hashes)
    key = _key(settings, facts, model_facts(classifier))
    with single_writer(output):
        return _written(job, project, {"inputs": facts, "key": key}, start=start, overwrite=overwrite, resume=resume)


def _written(
    job: ClassifyJob, project: Path | None, known: dict[str, Any], *, start: float, overwrite: bool, resume: bool
) -> Run:
    """The run, written into its folder, or the complete one that is there."""
    output = job.output
    refuse_moved(output)
    if overwrite:
        remove_sorted(output)
    chunk = claim(output, known["key"], overwrite=overwrite, resume=resume)
    if chunk is None:
        remove_parts(output)
        return _complete(Run(output), job.recipe)
    job.chunk = chunk
    info = _finish(job, job.run(), project, known)
    info["seconds"] = round(time.perf_counter() - start, 3)
    info["peak_memory_mb"] = peak_memory_mb()
    write_json(output / "run.json", info)
    remove_parts(output)
    run = Run(output)
    run.info  # noqa: B018  what this run has written, whoever writes there next
    return run


def refuse_no_effect(recipe: Recipe) -> None:
    """Make sure that no setting is changed that classifying does not know.

    Raises:
        UsageError: one is.
    """
    usual = FramesRecipe()
    for name in NO_EFFECT:
        if getattr(recipe.frames, name) != getattr(usual, name):
            raise UsageError(
                f"frames.{name} = {getattr(recipe.frames, name)!r} has no effect on categories: whole images are seen, each by "
                "its own contrast, without info bar; leave it out of the recipe"
            )


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


def _key(recipe: Recipe, inputs: Sequence[dict[str, Any]], model: dict[str, Any]) -> dict[str, Any]:
    """Runs may share parts only where this is equal (`chunk` aside); what is decided afterwards is no part of it."""
    settings = {
        "frames": recipe.frames.model_dump(mode="json", exclude={"series", "samples", *NO_EFFECT}),
        "calibration": recipe.calibration.model_dump(mode="json", exclude={"axes"}),
        "provider": [recipe.run.provider, recipe.run.precision],
    }
    return {
        "input": [item["sha256"] for item in inputs],
        "model": model["sha256"],
        "recipe": settings,
        "version of morphoscope": __version__,
        "chunk": recipe.run.chunk,
    }


def _finish(job: ClassifyJob, rows: pd.DataFrame, project: Path | None, known: dict[str, Any]) -> dict[str, Any]:
    """Write all but run.json, whose content is given back."""
    recipe, wanted, model = job.recipe, job.recipe.classify, model_facts(job.classifier)
    card, failed, said = job.classifier.card, failures(rows), said_by_people(project)
    with job.clock.stage("decide"):
        results = classify_results(rows, card, recipe, said, job.features)
    counts = {"images": len(results.images), "files": results.images["file"].nunique(), "left out": len(failed)}
    told = list[str]()
    paths = {one.name: one.path for one in job.files}
    if project is not None:
        with job.clock.stage("project"):
            written, wrong = propose(project, results.proposed, paths, (model["name"], model["sha256"]))
        told += [f"Not in the project: {one}" for one in wrong]
        counts["in the project"] = written
    if wanted.sort is not None:
        with job.clock.stage("sort"):
            remove_sorted(job.output)
            told += sort_images(results.images, job.files, job.output, results.classes, how=wanted.sort, said=said)
    info = {
        **common_info(recipe, known["inputs"], recipe.calibrate(Calibration()), counts=counts, key=known["key"]),
        "kind": KIND,
        "root": str(_root(job.files[0])),
        "model": model,
        "provider": recipe.run.provider,
        "precision": recipe.run.precision,
        "decisions": results.counts,
        "promise": promise_facts(results),
        "failed": failed,
        "warnings": [*(f"Left out: {one['reason']}" for one in failed), *classify_warnings(rows, results, card), *told],
        "notes": classify_notes(results, recipe, card),
        "findings": classify_findings(results, recipe),
        "exit_code": PartialError.exit_code if failed else 0,
    }
    write_classify_outputs(job, results, info)
    info["timings_s"] = {name: round(value, 3) for name, value in job.clock.seconds.items()}
    return info


def _root(file: FilmFile) -> Path:
    """The folder that names of files are relative to."""
    return file.path.parents[file.name.count("/")]


def _complete(run: Run, recipe: Recipe) -> Run:
    """A run that is complete already, if it was made with the same settings."""
    old, new = run.info["recipe"], recipe.model_dump(mode="json")
    differ = [name for name in ("calibration", "frames", "classify", "report") if old.get(name) != new[name]]
    if differ:
        raise UsageError(
            f"{run.path} holds a complete run with other settings under {', '.join(differ)}; there is nothing to resume: "
            "use --overwrite to replace it, or another -o"
        )
    return run
