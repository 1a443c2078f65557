"""`morphoscope score`: the extent of defects in films, trends and response surfaces."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from morphoscope.cli import options


def score(
    inputs: options.Images,
    output: options.Output,
    recipe: options.RecipeFile = None,
    model: Annotated[str | None, typer.Option(help="a shipped model or an .onnx file; default: films")] = None,
    conditions: Annotated[
        Path | None, typer.Option(help="table (CSV, TSV): file, then columns such as time, ratio, anneal: trends and surfaces")
    ] = None,
    patch: Annotated[
        float | None, typer.Option(help="side of a patch in px of the image; default: as the model was trained")
    ] = None,
    patch_nm: Annotated[float | None, typer.Option("--patch-nm", help="the same in nm, for images with a scale")] = None,
    stride: Annotated[float | None, typer.Option(help="px from patch to patch; default: the patch")] = None,
    x: Annotated[str | None, typer.Option("--x", help="column along x of the response surface; default: found")] = None,
    y: Annotated[str | None, typer.Option("--y", help="column along y of the response surface; default: found")] = None,
    time: Annotated[str | None, typer.Option(help="column of the time; default: one named time, or a unit after it")] = None,
    maps: Annotated[bool | None, typer.Option("--maps/--no-maps", help="write a defect map per file")] = None,
    part: options.Part = None,
    channel: options.OneChannel = None,
    scale: options.Scale = None,
    interval: Annotated[float | None, typer.Option(help="true seconds between frames of a stack or video")] = None,
    scale_bar: Annotated[
        str | None, typer.Option(help="burnt-in scale bar: check, read, off, or the length it stands for, such as '200 um'")
    ] = None,
    overwrite: options.Overwrite = False,
    resume: options.Resume = False,
    as_json: options.AsJson = False,
) -> None:
    """Score the extent of each defect in pictures of films: scores.parquet, a map per file, trends, response surfaces, a report.

    Files that cannot be used are listed and left out (exit code 4).
    """
    from morphoscope.cli.show import carry_out
    from morphoscope.errors import UsageError
    from morphoscope.pipeline import score as run_scoring

    if patch is not None and patch_nm is not None:
        raise UsageError("--patch is in px, --patch-nm in nm: give one of them")
    given = {"model": model, "patch_px": patch, "patch_nm": patch_nm, "stride_px": stride, "maps": maps}
    given |= {"conditions": options.whole(conditions), "x": x, "y": y, "time": time}
    settings = options.recipe_with(
        recipe,
        {
            "score": given,
            "frames": options.frames_given(part, channel),
            "calibration": {"pixel_size_nm": scale, "frame_interval_s": interval, "scale_bar": scale_bar},
        },
        instead=("patch_px", "patch_nm"),
    )
    start = partial(run_scoring, inputs, settings)
    carry_out(start, "scoring", output, overwrite=overwrite, resume=resume, as_json=as_json)
