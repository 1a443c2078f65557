"""`morphoscope orient`: how nanowires and fibres run, and which share of them is coherently aligned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from morphoscope.recipe import Recipe


def orient(
    inputs: Annotated[
        list[Path], typer.Argument(help="pictures, folders of pictures, stacks or videos; one run for all of them")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="the run folder")],
    recipe: Annotated[Path | None, typer.Option(help="settings; `morphoscope init` writes one to start from")] = None,
    model: Annotated[str | None, typer.Option(help="a shipped model or an .onnx file; default: wires")] = None,
    radius: Annotated[
        float | None, typer.Option(help="px in which wires must run alike to be aligned, 3 to 12 of their widths; default: 32")
    ] = None,
    radius_nm: Annotated[float | None, typer.Option("--radius-nm", help="the same in nm, for images with a scale")] = None,
    compare: Annotated[
        bool | None, typer.Option("--compare/--no-compare", help="structure tensor and gradient orientation beside the model")
    ] = None,
    maps: Annotated[bool | None, typer.Option("--maps/--no-maps", help="write a map per file")] = None,
    part: Annotated[str | None, typer.Option(help="which image or dataset, by name or number, of a file with several")] = None,
    channel: Annotated[str | None, typer.Option(help="one colour or channel: 0, 1, ... or red, green, blue")] = None,
    scale: Annotated[float | None, typer.Option(help="nm per px; wins over file and recipe")] = None,
    scale_bar: Annotated[
        str | None, typer.Option(help="burnt-in scale bar: check, read, off, or the length it stands for, such as '2 um'")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace the run that is in the folder")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the run that is in the folder")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the result as JSON and nothing else on stdout")] = False,
) -> None:
    """Directions of nanowires and fibres: orientation maps, histograms, the aligned fraction with its interval, S2, a report.

    By a learned model, with structure tensor and local gradient orientation beside it. Files that cannot be used are listed and
    left out (exit code 4).
    """
    from morphoscope.cli.info import as_number
    from morphoscope.cli.show import progress_bar, resumable, say_run
    from morphoscope.errors import UsageError
    from morphoscope.pipeline.orienting import orient as run_orienting

    if overwrite and resume:
        raise UsageError("--overwrite starts again, --resume goes on: give one of them")
    if radius is not None and radius_nm is not None:
        raise UsageError("--radius is in px, --radius-nm in nm: give one of them")
    given: dict[str, object] = {"model": model, "radius_px": radius, "radius_nm": radius_nm, "compare": compare, "maps": maps}
    frames: dict[str, object] = {"part": as_number(part), "channel": as_number(channel)}
    calibration: dict[str, object] = {"pixel_size_nm": scale, "scale_bar": scale_bar}
    settings = _settings(recipe, {"orient": given, "frames": frames, "calibration": calibration})
    with resumable(output), progress_bar("orienting", quiet=as_json) as progress:
        run = run_orienting(inputs, settings, output, overwrite=overwrite, resume=resume, progress=progress)
    say_run(run, as_json=as_json)
    raise typer.Exit(run.exit_code)


def _settings(path: Path | None, given: dict[str, dict[str, object]]) -> Recipe:
    """The recipe at `path`, or the default one, with what the command line says put in."""
    from morphoscope.recipe import Recipe, load_recipe, parse_recipe

    values = (load_recipe(path) if path is not None else Recipe()).model_dump()
    for section, settings in given.items():
        stated = {key: value for key, value in settings.items() if value is not None}
        if {"radius_px", "radius_nm"} & set(stated):
            values[section] |= {"radius_px": None, "radius_nm": None}
        values[section] |= stated
    return parse_recipe(values, "the command line")
