"""`morphoscope segment`: label images and measured objects."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def segment(
    inputs: Annotated[list[Path], typer.Argument(help="images, folders of images of any sizes, stacks or videos")],
    output: Annotated[Path, typer.Option("--output", "-o", help="the run folder")],
    recipe: Annotated[Path | None, typer.Option(help="settings; `morphoscope init` writes one to start from")] = None,
    model: Annotated[
        str | None,
        typer.Option(help="a shipped model, an .onnx file, or without one otsu, multi-otsu, local or level; default: particles"),
    ] = None,
    objects: Annotated[Path | None, typer.Option(help="masks to measure, such as corrected ones, without a model")] = None,
    part: Annotated[str | None, typer.Option(help="which image or dataset, by name or number, of a file with several")] = None,
    channel: Annotated[str | None, typer.Option(help="colour or channel: 0, 1, ... or red, green, blue")] = None,
    scale: Annotated[float | None, typer.Option(help="nm per px; wins over file and recipe")] = None,
    interval: Annotated[float | None, typer.Option(help="true seconds between frames; wins over file and recipe")] = None,
    scale_bar: Annotated[
        str | None, typer.Option(help="burnt-in scale bar: check, read, off, or the length it stands for, such as '200 nm'")
    ] = None,
    overlay: Annotated[bool | None, typer.Option("--overlay/--no-overlay", help="draw outlines on the pictures")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace the run that is in the folder")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the run that is in the folder")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the result as JSON and nothing else on stdout")] = False,
) -> None:
    """Outline particles in images: a label image per file under masks/, their sizes and shapes, and a report.

    Files of a folder are fields of view of their own. Frames of a stack or video show one place, so their particles are not
    pooled: sizes are told of its beginning and end. `analyze` with the same model follows particles through a video.
    """
    from morphoscope.cli.analyze import settings_from
    from morphoscope.cli.info import as_number
    from morphoscope.cli.show import progress_bar, resumable, say_run
    from morphoscope.errors import UsageError
    from morphoscope.pipeline import segment as run_segmentation

    if overwrite and resume:
        raise UsageError("--overwrite starts again, --resume goes on: give one of them")
    if model is not None and objects is not None:
        raise UsageError("--objects measures masks that are given, --model finds them: give one of them")
    frames = {"part": as_number(part), "channel": as_number(channel)}
    settings = settings_from(
        recipe, model=model, scale=scale, interval=interval, overlay=overlay, scale_bar=scale_bar, objects=objects, frames=frames
    )
    with resumable(output), progress_bar("segmenting", quiet=as_json) as progress:
        run = run_segmentation(inputs, settings, output, overwrite=overwrite, resume=resume, progress=progress)
    say_run(run, as_json=as_json)
    raise typer.Exit(run.exit_code)
