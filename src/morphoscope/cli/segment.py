"""`morphoscope segment`: label images and measured objects."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from morphoscope.cli import options


def segment(
    inputs: Annotated[list[Path], typer.Argument(help="images, folders of images of any sizes, stacks or videos")],
    output: options.Output,
    recipe: options.RecipeFile = None,
    model: Annotated[
        str | None,
        typer.Option(help="a shipped model, an .onnx file, or without one otsu, multi-otsu, local or level; default: particles"),
    ] = None,
    objects: Annotated[Path | None, typer.Option(help="masks to measure, such as corrected ones, without a model")] = None,
    part: options.Part = None,
    channel: options.Channel = None,
    scale: options.Scale = None,
    interval: options.Interval = None,
    scale_bar: options.ScaleBar = None,
    overlay: Annotated[bool | None, typer.Option("--overlay/--no-overlay", help="draw outlines on the pictures")] = None,
    overwrite: options.Overwrite = False,
    resume: options.Resume = False,
    as_json: options.AsJson = False,
) -> None:
    """Outline particles in images: a label image per file under masks/, their sizes and shapes, and a report.

    Files of a folder are fields of view of their own. Frames of a stack or video show one place, so their particles are not
    pooled: sizes are told of its beginning and end. `analyze` with the same model follows particles through a video.
    """
    from morphoscope.cli.show import carry_out
    from morphoscope.errors import UsageError
    from morphoscope.pipeline import segment as run_segmentation

    if model is not None and objects is not None:
        raise UsageError("--objects measures masks that are given, --model finds them: give one of them")
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
    start = partial(run_segmentation, inputs, settings)
    carry_out(start, "segmenting", output, overwrite=overwrite, resume=resume, as_json=as_json)
