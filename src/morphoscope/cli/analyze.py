"""`morphoscope analyze`: from a video to a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from morphoscope.recipe import Recipe


def analyze(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            help="videos, stacks, images, folders of images, or tables of features (.csv, .tsv, .parquet); each is one series"
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="the run folder")],
    recipe: Annotated[Path | None, typer.Option(help="settings; `morphoscope init` writes one to start from")] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="a shipped model, an .onnx file, or without: otsu, multi-otsu, local, level, spots; wins over the recipe"
        ),
    ] = None,
    objects: Annotated[
        Path | None, typer.Option(help="labels, masks or corrected objects to measure in place of detection, without a model")
    ] = None,
    part: Annotated[str | None, typer.Option(help="which image or dataset, by name or number, of a file with several")] = None,
    channel: Annotated[str | None, typer.Option(help="colour or channel: 0, 1, ... or red, green, blue")] = None,
    scale: Annotated[float | None, typer.Option(help="nm per px; wins over file and recipe")] = None,
    interval: Annotated[float | None, typer.Option(help="true seconds between frames; wins over file and recipe")] = None,
    scale_bar: Annotated[
        str | None, typer.Option(help="burnt-in scale bar: check, read, off, or the length it stands for, such as '200 nm'")
    ] = None,
    overlay: Annotated[bool | None, typer.Option("--overlay/--no-overlay", help="write overlay.mp4")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace the run that is in the folder")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the run that is in the folder")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the result as JSON and nothing else on stdout")] = False,
) -> None:
    """Detect objects, measure them, follow them through time and report, all into one folder.

    Ctrl-C keeps what is done and ends with exit code 130; the same command with --resume goes on.
    """
    from morphoscope.cli.info import as_number
    from morphoscope.cli.show import progress_bar, resumable, say_run
    from morphoscope.errors import UsageError
    from morphoscope.pipeline import analyze as run_analysis

    if overwrite and resume:
        raise UsageError("--overwrite starts again, --resume goes on: give one of them")
    if model is not None and objects is not None:
        raise UsageError("--objects measures what is given without a model, --model detects: give one of them")
    frames = {"part": as_number(part), "channel": as_number(channel)}
    settings = settings_from(
        recipe, model=model, scale=scale, interval=interval, overlay=overlay, scale_bar=scale_bar, objects=objects, frames=frames
    )
    with resumable(output), progress_bar("detecting", quiet=as_json) as progress:
        run = run_analysis(inputs, settings, output, overwrite=overwrite, resume=resume, progress=progress)
    say_run(run, as_json=as_json)
    raise typer.Exit(run.exit_code)


def settings_from(
    path: Path | None,
    *,
    model: str | None = None,
    scale: float | None = None,
    interval: float | None = None,
    overlay: bool | None = None,
    scale_bar: str | None = None,
    objects: Path | None = None,
    frames: dict[str, int | str | None] | None = None,
) -> Recipe:
    """The recipe at `path`, or the default one, with what the command line says put in."""
    from morphoscope.recipe import Recipe, load_recipe, parse_recipe

    stated = load_recipe(path) if path is not None else Recipe()
    values = stated.model_dump()
    if "model" not in stated.detect.model_fields_set:  # each command has a default of its own
        del values["detect"]["model"]
    given = (
        ("detect", "model", model),
        ("detect", "objects", None if objects is None else str(objects.resolve())),
        ("calibration", "pixel_size_nm", scale),
        ("calibration", "frame_interval_s", interval),
        ("calibration", "scale_bar", scale_bar),
        ("report", "overlay", overlay),
    )
    for section, key, value in (*given, *(("frames", key, value) for key, value in (frames or {}).items())):
        if value is not None:
            values[section][key] = value
    return parse_recipe(values, "the command line")
