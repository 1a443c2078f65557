"""`morphoscope classify`: images into categories, and what is left to a person."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from morphoscope.cli import options


def classify(
    inputs: options.Images,
    output: options.Output,
    model: Annotated[str | None, typer.Option(help="an .onnx file that `train classify` wrote")] = None,
    recipe: options.RecipeFile = None,
    accuracy: Annotated[
        float | None, typer.Option(help="what is accepted without a person shall be right in this share; default 0.99")
    ] = None,
    coverage: Annotated[
        float | None, typer.Option(help="share of images whose true category is among `labels`; default 0.9")
    ] = None,
    sort: Annotated[
        str | None, typer.Option(help="copy or link images into sorted/accept/CLASS, sorted/review/CLASS, sorted/foreign")
    ] = None,
    project: Annotated[
        Path | None, typer.Option(help="project that keeps decisions; what people said there holds; made where it is missing")
    ] = None,
    upcoming: Annotated[int | None, typer.Option("--next", help="images to label next in next.csv; default 20")] = None,
    part: options.Part = None,
    channel: options.OneChannel = None,
    scale: options.Scale = None,
    overwrite: options.Overwrite = False,
    resume: options.Resume = False,
    as_json: options.AsJson = False,
) -> None:
    """Put images into categories: accepted where that is sure enough, else left to a person, or foreign.

    Writes images.parquet, next.csv (what to label next) and a report with contact sheets. Move wrong images between the sorted
    folders and read them back with `morphoscope labels take`. Files that cannot be used are listed and left out (exit code 4).
    """
    from morphoscope.cli.show import carry_out
    from morphoscope.pipeline import classify as run_classifying

    given = {"model": model, "accuracy": accuracy, "coverage": coverage, "sort": sort, "next": upcoming}
    settings = options.recipe_with(
        recipe,
        {
            "classify": {**given, "project": options.whole(project)},
            "frames": options.frames_given(part, channel),
            "calibration": {"pixel_size_nm": scale},
        },
    )
    start = partial(run_classifying, inputs, settings)
    carry_out(start, "classifying", output, overwrite=overwrite, resume=resume, as_json=as_json)
