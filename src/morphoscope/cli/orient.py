"""`morphoscope orient`: how nanowires and fibres run, and which share of them is coherently aligned."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from morphoscope.cli import options


def orient(
    inputs: options.Images,
    output: options.Output,
    recipe: options.RecipeFile = None,
    model: Annotated[str | None, typer.Option(help="a shipped model or an .onnx file; default: wires")] = None,
    radius: Annotated[
        float | None, typer.Option(help="px in which wires must run alike to be aligned, 3 to 12 of their widths; default: 32")
    ] = None,
    radius_nm: Annotated[float | None, typer.Option("--radius-nm", help="the same in nm, for images with a scale")] = None,
    compare: Annotated[
        bool | None, typer.Option("--compare/--no-compare", help="structure tensor and gradient orientation beside the model")
    ] = None,
    maps: Annotated[bool | None, typer.Option("--maps/--no-maps", help="write a map per file")] = None,
    part: options.Part = None,
    channel: options.OneChannel = None,
    scale: options.Scale = None,
    scale_bar: Annotated[
        str | None, typer.Option(help="burnt-in scale bar: check, read, off, or the length it stands for, such as '2 um'")
    ] = None,
    overwrite: options.Overwrite = False,
    resume: options.Resume = False,
    as_json: options.AsJson = False,
) -> None:
    """Directions of nanowires and fibres: orientation maps, histograms, the aligned fraction with its interval, S2, a report.

    By a learned model, with structure tensor and local gradient orientation beside it. Files that cannot be used are listed and
    left out (exit code 4).
    """
    from morphoscope.cli.show import carry_out
    from morphoscope.errors import UsageError
    from morphoscope.pipeline.orienting import orient as run_orienting

    if radius is not None and radius_nm is not None:
        raise UsageError("--radius is in px, --radius-nm in nm: give one of them")
    settings = options.recipe_with(
        recipe,
        {
            "orient": {"model": model, "radius_px": radius, "radius_nm": radius_nm, "compare": compare, "maps": maps},
            "frames": options.frames_given(part, channel),
            "calibration": {"pixel_size_nm": scale, "scale_bar": scale_bar},
        },
        instead=("radius_px", "radius_nm"),
    )
    start = partial(run_orienting, inputs, settings)
    carry_out(start, "orienting", output, overwrite=overwrite, resume=resume, as_json=as_json)
