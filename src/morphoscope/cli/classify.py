"""`morphoscope classify`: images into categories, and what is left to a person."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from morphoscope.recipe import Recipe


def classify(
    inputs: Annotated[
        list[Path], typer.Argument(help="pictures, folders of pictures, stacks or videos; one run for all of them")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="the run folder")],
    model: Annotated[str | None, typer.Option(help="an .onnx file that `train classify` wrote")] = None,
    recipe: Annotated[Path | None, typer.Option(help="settings; `morphoscope init` writes one to start from")] = None,
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
    part: Annotated[str | None, typer.Option(help="which image or dataset, by name or number, of a file with several")] = None,
    channel: Annotated[str | None, typer.Option(help="one colour or channel: 0, 1, ... or red, green, blue")] = None,
    scale: Annotated[float | None, typer.Option(help="nm per px; wins over file and recipe")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace the run that is in the folder")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the run that is in the folder")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the result as JSON and nothing else on stdout")] = False,
) -> None:
    """Put images into categories: accepted where that is sure enough, else left to a person, or foreign.

    Writes images.parquet, next.csv (what to label next) and a report with contact sheets. Move wrong images between the sorted
    folders and read them back with `morphoscope labels take`. Files that cannot be used are listed and left out (exit code 4).
    """
    from morphoscope.cli.info import as_number
    from morphoscope.cli.show import progress_bar, resumable, say_run
    from morphoscope.errors import UsageError
    from morphoscope.pipeline import classify as run_classifying

    if overwrite and resume:
        raise UsageError("--overwrite starts again, --resume goes on: give one of them")
    given: dict[str, object] = {"model": model, "accuracy": accuracy, "coverage": coverage, "sort": sort, "next": upcoming}
    given["project"] = None if project is None else str(project.resolve())
    frames: dict[str, object] = {"part": as_number(part), "channel": as_number(channel)}
    settings = _settings(recipe, {"classify": given, "frames": frames, "calibration": {"pixel_size_nm": scale}})
    with resumable(output), progress_bar("classifying", quiet=as_json) as progress:
        run = run_classifying(inputs, settings, output, overwrite=overwrite, resume=resume, progress=progress)
    say_run(run, as_json=as_json)
    raise typer.Exit(run.exit_code)


def _settings(path: Path | None, given: dict[str, dict[str, object]]) -> Recipe:
    """The recipe at `path`, or the default one, with what the command line says put in."""
    from morphoscope.recipe import Recipe, load_recipe, parse_recipe

    values = (load_recipe(path) if path is not None else Recipe()).model_dump()
    for section, settings in given.items():
        values[section] |= {key: value for key, value in settings.items() if value is not None}
    return parse_recipe(values, "the command line")
