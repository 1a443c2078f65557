"""`morphoscope init`: a commented recipe to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def init(
    output: Annotated[Path | None, typer.Option("--output", "-o", help="file to write; none: print")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace the file if it is there")] = False,
) -> None:
    """Write a commented recipe with all settings and their defaults."""
    from morphoscope.errors import UsageError
    from morphoscope.recipe import Recipe
    from morphoscope.recipe_text import recipe_toml

    text = recipe_toml(Recipe(), commented=True)
    if output is None:
        typer.echo(text, nl=False)
        return
    if output.exists() and not overwrite:
        raise UsageError(f"{output} is there already; --overwrite replaces it")
    output.write_text(text, encoding="utf-8")
    typer.echo(f"{output}: change it, then: morphoscope analyze INPUT --recipe {output} -o RUN")
