"""`morphoscope rerun`: a run again, with its own recipe and inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def rerun(
    run: Annotated[Path, typer.Argument(help="a run folder")],
    output: Annotated[Path, typer.Option("--output", "-o", help="the new run folder")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace the run that is in the new folder")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the run that is in the new folder")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the result as JSON")] = False,
) -> None:
    """Analyse the inputs of a run again with its recipe; `morphoscope diff` then compares the two."""
    from morphoscope.cli.show import progress_bar, resumable, say_run
    from morphoscope.errors import UsageError
    from morphoscope.pipeline import open_run
    from morphoscope.pipeline.again import analyze_again

    if overwrite and resume:
        raise UsageError("--overwrite starts again, --resume goes on: give one of them")
    with resumable(output), progress_bar("detecting", quiet=as_json) as progress:
        again = analyze_again(open_run(run), output, overwrite=overwrite, resume=resume, progress=progress)
    say_run(again, as_json=as_json)
    raise typer.Exit(again.exit_code)
