"""`morphoscope diff`: whether two runs are the same."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def diff(
    first: Annotated[Path, typer.Argument(help="a run folder")],
    second: Annotated[Path, typer.Argument(help="another run folder")],
) -> None:
    """Compare the tables of two runs; exit 0 where they are the same, 1 where they differ."""
    from morphoscope.pipeline import open_run
    from morphoscope.pipeline.again import differences

    found = differences(open_run(first), open_run(second))
    for line in found:
        typer.echo(line)
    if not found:
        typer.echo("the same: all tables agree to the last bit")
    raise typer.Exit(1 if found else 0)
