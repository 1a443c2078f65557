"""`morphoscope analyze`: from a video to a report."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from morphoscope.cli import options


def analyze(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            help="videos, stacks, images, folders of images, or tables of features (.csv, .tsv, .parquet); each is one series"
        ),
    ],
    output: options.Output,
    recipe: options.RecipeFile = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="a shipped model, an .onnx file, or without: otsu, multi-otsu, local, level, spots; wins over the recipe"
        ),
    ] = None,
    objects: Annotated[
        Path | None, typer.Option(help="labels, masks or corrected objects to measure in place of detection, without a model")
    ] = None,
    part: options.Part = None,
    channel: options.Channel = None,
    scale: options.Scale = None,
    interval: options.Interval = None,
    scale_bar: options.ScaleBar = None,
    overlay: Annotated[bool | None, typer.Option("--overlay/--no-overlay", help="write overlay.mp4")] = None,
    overwrite: options.Overwrite = False,
    resume: options.Resume = False,
    as_json: options.AsJson = False,
) -> None:
    """Detect objects, measure them, follow them through time and report, all into one folder.

    Ctrl-C keeps what is done and ends with exit code 130; the same command with --resume goes on.
    """
    from morphoscope.cli.show import carry_out
    from morphoscope.errors import UsageError
    from morphoscope.pipeline import analyze as run_analysis

    if model is not None and objects is not None:
        raise UsageError("--objects measures what is given without a model, --model detects: give one of them")
    settings = options.objects_recipe(
        recipe,
        model=model,
        objects=objects,
        part=part,
        channel=channel,
        scale=scale,
        interval=interval,
        scale_bar=scale_bar,
        overlay=overlay,
    )
    start = partial(run_analysis, inputs, settings)
    carry_out(start, "detecting", output, overwrite=overwrite, resume=resume, as_json=as_json)
