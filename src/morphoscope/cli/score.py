"""`morphoscope score`: the extent of defects in films, trends and response surfaces."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from morphoscope.recipe import Recipe


def score(
    inputs: Annotated[
        list[Path], typer.Argument(help="pictures, folders of pictures, stacks or videos; one run for all of them")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="the run folder")],
    recipe: Annotated[Path | None, typer.Option(help="settings; `morphoscope init` writes one to start from")] = None,
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
    part: Annotated[str | None, typer.Option(help="which image or dataset, by name or number, of a file with several")] = None,
    channel: Annotated[str | None, typer.Option(help="one colour or channel: 0, 1, ... or red, green, blue")] = None,
    scale: Annotated[float | None, typer.Option(help="nm per px; wins over file and recipe")] = None,
    interval: Annotated[float | None, typer.Option(help="true seconds between frames of a stack or video")] = None,
    scale_bar: Annotated[
        str | None, typer.Option(help="burnt-in scale bar: check, read, off, or the length it stands for, such as '200 um'")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace the run that is in the folder")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the run that is in the folder")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the result as JSON and nothing else on stdout")] = False,
) -> None:
    """Score the extent of each defect in pictures of films: scores.parquet, a map per file, trends, response surfaces, a report.

    Files that cannot be used are listed and left out (exit code 4).
    """
    from morphoscope.cli.info import as_number
    from morphoscope.cli.show import progress_bar, resumable, say_run
    from morphoscope.errors import UsageError
    from morphoscope.pipeline import score as run_scoring

    if overwrite and resume:
        raise UsageError("--overwrite starts again, --resume goes on: give one of them")
    if patch is not None and patch_nm is not None:
        raise UsageError("--patch is in px, --patch-nm in nm: give one of them")
    given: dict[str, object] = {
        "model": model,
        "patch_px": patch,
        "patch_nm": patch_nm,
        "stride_px": stride,
        "x": x,
        "y": y,
        "time": time,
        "maps": maps,
    }
    given["conditions"] = None if conditions is None else str(conditions.resolve())
    frames: dict[str, object] = {"part": as_number(part), "channel": as_number(channel)}
    calibration: dict[str, object] = {"pixel_size_nm": scale, "frame_interval_s": interval, "scale_bar": scale_bar}
    settings = _settings(recipe, {"score": given, "frames": frames, "calibration": calibration})
    with resumable(output), progress_bar("scoring", quiet=as_json) as progress:
        run = run_scoring(inputs, settings, output, overwrite=overwrite, resume=resume, progress=progress)
    say_run(run, as_json=as_json)
    raise typer.Exit(run.exit_code)


def _settings(path: Path | None, given: dict[str, dict[str, object]]) -> Recipe:
    """The recipe at `path`, or the default one, with what the command line says put in."""
    from morphoscope.recipe import Recipe, load_recipe, parse_recipe

    values = (load_recipe(path) if path is not None else Recipe()).model_dump()
    for section, settings in given.items():
        stated = {key: value for key, value in settings.items() if value is not None}
        if section == "score" and {"patch_px", "patch_nm"} & set(stated):
            values[section] |= {"patch_px": None, "patch_nm": None}
        values[section] |= stated
    return parse_recipe(values, "the command line")
