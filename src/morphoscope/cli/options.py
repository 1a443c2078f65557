"""What the commands that make a run share: their options, and the recipe with what the command line says."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from morphoscope.recipe import Recipe

Images = Annotated[list[Path], typer.Argument(help="pictures, folders of pictures, stacks or videos; one run for all of them")]
Output = Annotated[Path, typer.Option("--output", "-o", help="the run folder")]
RecipeFile = Annotated[Path | None, typer.Option(help="settings; `morphoscope init` writes one to start from")]
Part = Annotated[str | None, typer.Option(help="which image or dataset, by name or number, of a file with several")]
OneChannel = Annotated[str | None, typer.Option(help="one colour or channel: 0, 1, ... or red, green, blue")]
Channel = Annotated[str | None, typer.Option(help="colour or channel: 0, 1, ... or red, green, blue")]
Scale = Annotated[float | None, typer.Option(help="nm per px; wins over file and recipe")]
Interval = Annotated[float | None, typer.Option(help="true seconds between frames; wins over file and recipe")]
ScaleBar = Annotated[
    str | None, typer.Option(help="burnt-in scale bar: check, read, off, or the length it stands for, such as '200 nm'")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="replace the run that is in the folder")]
Resume = Annotated[bool, typer.Option("--resume", help="go on with the run that is in the folder")]
AsJson = Annotated[bool, typer.Option("--json", help="print the result as JSON and nothing else on stdout")]


def recipe_with(path: Path | None, given: Mapping[str, Mapping[str, object]], *, instead: Collection[str] = ()) -> Recipe:
    """The recipe at `path`, or the default one, with what the command line says put in.

    Args:
        path: a TOML file.
        given: values of each section; None where the command line says nothing.
        instead: settings of which there is one at a time: what is given takes the place of the others.
    """
    from morphoscope.recipe import Recipe, load_recipe, parse_recipe

    recipe = load_recipe(path) if path is not None else Recipe()
    values = recipe.model_dump()
    if "model" not in recipe.detect.model_fields_set:  # each command has a default of its own
        del values["detect"]["model"]
    for section, settings in given.items():
        stated = {key: value for key, value in settings.items() if value is not None}
        if set(instead) & set(stated):
            values[section] |= dict.fromkeys(instead)
        values[section] |= stated
    return parse_recipe(values, "the command line")


def objects_recipe(
    path: Path | None,
    *,
    model: str | None,
    objects: Path | None,
    part: str | None,
    channel: str | None,
    scale: float | None,
    interval: float | None,
    scale_bar: str | None,
    overlay: bool | None,
) -> Recipe:
    """The recipe of a command that finds objects, see `recipe_with`."""
    given: dict[str, dict[str, object]] = {
        "detect": {"model": model, "objects": whole(objects)},
        "frames": frames_given(part, channel),
        "calibration": {"pixel_size_nm": scale, "frame_interval_s": interval, "scale_bar": scale_bar},
        "report": {"overlay": overlay},
    }
    return recipe_with(path, given)


def frames_given(part: str | None, channel: str | None) -> dict[str, object]:
    """The options --part and --channel as settings of [frames]."""
    from morphoscope.cli.info import as_number

    return {"part": as_number(part), "channel": as_number(channel)}


def whole(path: Path | None) -> str | None:
    """A path as it is found from anywhere."""
    return None if path is None else str(path.resolve())
