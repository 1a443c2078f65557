"""`orient`: how wires run in any number of images, and which share of them is coherently aligned, as a run folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from morphoscope.io.films import list_films
from morphoscope.pipeline.folder import Run, refuse_used
from morphoscope.pipeline.image_parts import failures, good_rows, said_of_images
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
from morphoscope.pipeline.orient_image import MODEL_ERROR, WireFinder
from morphoscope.pipeline.orient_job import ASPECT, OrientJob
from morphoscope.pipeline.orient_outputs import findings, orientation_of, write_orient_outputs
from morphoscope.pipeline.provenance import same_settings
from morphoscope.pipeline.score_maps import join_maps
from morphoscope.pipeline.single_writer import single_writer
from morphoscope.pipeline.square_pixels import UNEQUAL
from morphoscope.pipeline.stream import Progress
from morphoscope.recipe import Recipe, as_recipe

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
    settings, sources = as_recipe(recipe), as_paths(inputs, "with wires")
    refuse_unused(settings, UNUSED, f"directions of wires, {AS_THEY_ARE}")
    output = Path(output)
    refuse_used(output, overwrite=overwrite, resume=resume)
    job = OrientJob(list_films(sources), finder or _load(settings), settings, output, progress=progress)
    known = known_of(job, sources, job.finder, {"orient": settings.orient.model_dump(mode="json", exclude={"model"})})
    with single_writer(output):
        there = begin(job, known, overwrite=overwrite, resume=resume)
        if there is not None:
            return same_settings(there, settings, "calibration", "frames", "orient", "report")
        return end(job, known, _finish(job, job.run(), known))


def _load(recipe: Recipe) -> WireFinder:
    from morphoscope.models.orient import load_orienter

    run = recipe.run
    return load_orienter(recipe.orient.model, threads=run.threads, provider=run.provider, precision=run.precision)


def _finish(job: OrientJob, rows: pd.DataFrame, known: Known) -> dict[str, Any]:
    """Write all but run.json, whose content is given back."""
    failed, table = failures(rows), orientation_of(rows)
    info = run_info(job, known, KIND, table, failed) | {
        "warnings": left_out(failed) + _warnings(rows, table),
        "notes": _notes(job, rows, table),
        "findings": findings(table),
    }
    if job.recipe.orient.maps:
        info["maps"] = join_maps(job.files, job.output)
    write_orient_outputs(job, rows, table, info)
    return info


def _warnings(rows: pd.DataFrame, table: pd.DataFrame) -> list[str]:
    """What is said of single images, each once with the first image it is about; images without a scale."""
    lines = said_of_images(good_rows(rows))
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
