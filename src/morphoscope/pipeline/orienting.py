"""`orient`: how wires run in any number of images, and which share of them is coherently aligned, as a run folder."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError, PartialError, UsageError
from morphoscope.io.films import list_films
from morphoscope.pipeline.folder import Run, claim, refuse_used, remove_parts, write_json
from morphoscope.pipeline.orient_image import MODEL_ERROR, WireFinder
from morphoscope.pipeline.orient_job import ASPECT, OrientJob
from morphoscope.pipeline.orient_outputs import findings, orientation_of, write_orient_outputs
from morphoscope.pipeline.provenance import common_info, peak_memory_mb
from morphoscope.pipeline.score_images import SAID
from morphoscope.pipeline.score_job import failures, join_maps
from morphoscope.pipeline.score_key import UNUSED, hashed_inputs, model_facts, refuse_unused
from morphoscope.pipeline.square_pixels import UNEQUAL
from morphoscope.pipeline.stream import Progress
from morphoscope.recipe import Recipe, load_recipe

Source = str | Path
KIND = "orient"  # what run.json says of these runs


def orient(
    inputs: Source | Sequence[Source],
    recipe: Recipe | Source | None = None,
    output: Source = "morphoscope-run",
    *,
    overwrite: bool = False,
    resume: bool = False,
    finder: WireFinder | None = None,
    progress: Progress | None = None,
) -> Run:
    """Tell how nanowires or fibres run: maps, histograms, the share that is coherently aligned, order and how far it reaches.

    What coherently aligned is, `measure.alignment` says.

    Args:
        inputs: pictures, folders of pictures, stacks or videos (a row per frame), of any sizes and formats; one run for all.
        recipe: settings, or the path of a TOML file; None for the defaults.
        output: the run folder: orientation.parquet (`schema.ORIENTATION`), histogram.csv, maps/ (a page each for the direction in
            degrees, the probability of wires and that of alignment), quantities.csv, figures, run.json and the report.
        overwrite: replace a run that is there.
        resume: go on with a run that was broken off.
        finder: used instead of the recipe's model.
        progress: called with (files done, files in all).

    Returns:
        The run; its `exit_code` is 4 where files could not be used, `info["failed"]` lists them.

    Raises:
        InputError: no file could be used.
        UsageError: the recipe names what has no effect here, or the folder is in use.
        KeyboardInterrupt: Ctrl-C; the parts done stay, and `resume` goes on with them.
    """
    settings = recipe if isinstance(recipe, Recipe) else load_recipe(recipe) if recipe is not None else Recipe()
    sources = [Path(inputs)] if isinstance(inputs, (str, Path)) else [Path(path) for path in inputs]
    if not sources:
        raise InputError("wanted at least one picture, folder, stack or video with wires, got none")
    refuse_unused(settings)
    output, start = Path(output), time.perf_counter()
    refuse_used(output, overwrite=overwrite, resume=resume)
    job = OrientJob(list_films(sources), finder or _load(settings), settings, output, progress=progress)
    with job.clock.stage("hash"):
        facts = hashed_inputs(sources, job.files)
    key = _key(settings, facts, model_facts(job.finder))
    chunk = claim(output, key, overwrite=overwrite, resume=resume)
    if chunk is None:
        remove_parts(output)
        return _complete(Run(output), settings)
    job.chunk = chunk
    info = _finish(job, job.run(), {"inputs": facts, "key": key})
    info["seconds"] = round(time.perf_counter() - start, 3)
    info["peak_memory_mb"] = peak_memory_mb()
    write_json(output / "run.json", info)
    remove_parts(output)
    return Run(output)


def _load(recipe: Recipe) -> WireFinder:
    from morphoscope.models.orient import load_orienter

    run = recipe.run
    return load_orienter(recipe.orient.model, threads=run.threads, provider=run.provider, precision=run.precision)


def _key(recipe: Recipe, inputs: Sequence[dict[str, Any]], model: dict[str, Any]) -> dict[str, Any]:
    """Runs may share parts only where this is equal (`chunk` aside)."""
    common = common_info(recipe, inputs, recipe.calibrate(Calibration()), counts={}, key={})
    settings = {
        "orient": recipe.orient.model_dump(mode="json", exclude={"model"}),
        "frames": recipe.frames.model_dump(mode="json", exclude={"series", "samples", *UNUSED}),
        "calibration": recipe.calibration.model_dump(mode="json", exclude={"axes"}),
        "provider": [recipe.run.provider, recipe.run.precision],
    }
    return {
        "input": [item["sha256"] for item in inputs],
        "model": model["sha256"],
        "recipe": settings,
        "version of morphoscope": common["versions"]["morphoscope"],
        "chunk": recipe.run.chunk,
    }


def _finish(job: OrientJob, rows: pd.DataFrame, known: dict[str, Any]) -> dict[str, Any]:
    """Write all but run.json, whose content is given back."""
    recipe, failed, table = job.recipe, failures(rows), orientation_of(rows)
    counts = {"images": len(table), "files": table["file"].nunique(), "left out": len(failed)}
    info = {
        **common_info(recipe, known["inputs"], recipe.calibrate(Calibration()), counts=counts, key=known["key"]),
        "kind": KIND,
        "model": model_facts(job.finder),
        "provider": recipe.run.provider,
        "precision": recipe.run.precision,
        "failed": failed,
        "warnings": [f"Left out: {one['reason']}" for one in failed] + _warnings(rows, table),
        "notes": _notes(job, rows, table),
        "findings": findings(table),
        "exit_code": PartialError.exit_code if failed else 0,
        "images_per_s": round(len(table) / max(job.clock.seconds.get("orient", 0.0), 1e-9), 2),
    }
    if recipe.orient.maps:
        info["maps"] = join_maps(job)
    write_orient_outputs(job, rows, table, info)
    info["timings_s"] = {name: round(value, 3) for name, value in job.clock.seconds.items()}
    return info


def _warnings(rows: pd.DataFrame, table: pd.DataFrame) -> list[str]:
    """What is said of single images, each once with the first image it is about; images without a scale."""
    said: dict[str, Counter[str]] = {}
    for file, own in zip(rows["file"], rows[SAID], strict=True):
        for line in json.loads(own):
            said.setdefault(line, Counter())[str(file)] += 1
    lines = []
    for line, files in said.items():
        more = sum(files.values()) - 1
        lines.append(f"{next(iter(files))}{f' and {more} more' if more else ''}: {line}")
    bare = int(table["pixel_size_nm"].isna().sum())
    if bare:
        lines.append(f"{bare} of {len(table)} images have no scale: their lengths are in px only.")
    return lines


def _notes(job: OrientJob, rows: pd.DataFrame, table: pd.DataFrame) -> list[str]:
    error = job.finder.card.extent_error.get(MODEL_ERROR)
    known = f"and the model's error on drawn pictures (\u00b1 {error:.2g})" if error else "without the model's error"
    radius = table["radius_px"]
    between = f"{radius.min():.4g} px" if radius.max() <= 1.001 * radius.min() else f"{radius.min():.4g} to {radius.max():.4g} px"
    said = [
        f"Wires are coherently aligned where those beside them, within {between}, run their way: mean of cos 2(difference) "
        "0.75 or more.",
        f"Intervals of aligned fractions are from the scatter between blocks of the picture {known}: how far another field of "
        "view of the same kind may differ.",
    ]
    doubtful = int((table["doubt"] != "").sum())
    if doubtful:
        others = f"means are of the other {len(table) - doubtful}" if doubtful < len(table) else "there are no others for means"
        said.append(f"{doubtful} of {len(table)} images are in doubt (column doubt); {others}.")
    with_all, sure = (of["aligned_fraction"].mean() for of in (table, table[table["doubt"] == ""]))
    if abs(with_all - sure) > 0:
        said.append(
            f"With the images that the methods disagree on, the mean aligned fraction would be {with_all:.3g} and not {sure:.3g}."
        )
    short = int((table["aligned_fraction_low"].isna() & table["aligned_fraction"].notna()).sum())
    if short:
        said.append(f"{short} of {len(table)} images are too small for an interval.")
    uneven = int(((rows[ASPECT] - 1).abs() > UNEQUAL).sum())
    if uneven:
        said.append(
            f"{uneven} of {len(table)} images have pixels that are not square. They were resampled to square pixels of the same "
            "area first: angles are those on the specimen, lengths in px count these pixels; maps fit the stored images."
        )
    return said


def _complete(run: Run, recipe: Recipe) -> Run:
    """A run that is complete already, if it was made with the same settings."""
    old, new = run.info["recipe"], recipe.model_dump(mode="json")
    differ = [name for name in ("calibration", "frames", "orient", "report") if old.get(name) != new[name]]
    if differ:
        raise UsageError(
            f"{run.path} holds a complete run with other settings under {', '.join(differ)}; there is nothing to resume: "
            "use --overwrite to replace it, or another -o"
        )
    return run
